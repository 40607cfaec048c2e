//! Contexts, includes, parameters given to the program, and the warnings about them.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::path::Path;

use common::Files;
use syncline_conf::rsyncd::{Config, Module, NoIncludes, Overrides};

fn comments(text: &[u8], files: &Files, parameter: &str) -> Vec<String> {
    let mut overrides = Overrides::default();
    overrides.add(parameter.as_bytes()).unwrap();
    let config = Config::parse_with(Path::new("c"), text, files, &overrides).unwrap().config;
    let shown = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    let modules = config.modules().iter();
    modules
        .map(|module| shown(module.name()) + "=" + &shown(module.settings.comment.as_bytes()))
        .collect()
}

#[test]
fn a_parameter_given_to_the_program_ends_the_first_default_context() {
    let mut files = Files::default();
    files.files.insert("/i".into(), b"[i]\n".to_vec());
    let cli = "comment=  cli  ";
    assert_eq!(comments(b"comment=a\n[global]\ncomment=b\n[n]\n", &files, cli), ["n=cli  "]);
    assert_eq!(comments(b"comment=a\n&include /i\n[m]\n", &files, cli), ["i=cli  ", "m=a"]);
    assert_eq!(
        comments(b"[m]\n&include /i\n[n]\ncomment=own\n", &files, cli),
        ["m=cli  ", "i=cli  ", "n=own"]
    );
}

#[test]
fn a_renamed_module_is_found_and_reopened_by_its_new_name() {
    let text = b"[a]\ncomment=1\n[b]\ncomment=2\nname = a\n[a]\ncomment=3\n[b]\n";
    let config = Config::parse(Path::new("c"), text, &NoIncludes).unwrap().config;
    let names: Vec<&[u8]> = config.modules().iter().map(Module::name).collect();
    assert_eq!(names, [b"a", b"a", b"b"]);
    assert_eq!(config.module(b"a").unwrap().settings.comment.as_bytes(), b"3");
}

#[test]
fn a_string_that_nothing_set_takes_the_default_at_the_end_of_the_file() {
    let text = b"[m]\n[n]\ncomment =\n[global]\ncomment = late\nlist = no\nlog file = /log\n";
    let config = Config::parse(Path::new("c"), text, &NoIncludes).unwrap().config;
    let module = |name: &[u8]| &config.module(name).unwrap().settings;
    assert_eq!(
        (module(b"m").comment.as_bytes(), module(b"n").comment.as_bytes()),
        (&b"late"[..], &b""[..])
    );
    assert_eq!(module(b"m").comment.origin().to_string(), "c:5");
    assert!(*module(b"m").list);
}

#[test]
fn a_value_with_a_lookalike_says_so() {
    let parsed =
        Config::parse(Path::new("c"), "list = ｎｏ\ntimeout = 3＃ 秒\n".as_bytes(), &NoIncludes)
            .unwrap();
    let shown: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert!(
        shown[0].ends_with("stays `yes`; it holds `ｎ` (U+FF4E) where `n` is meant"),
        "{shown:?}"
    );
    assert!(
        shown[1].ends_with("write a decimal number; it holds `＃` (U+FF03) where `#` is meant"),
        "{shown:?}"
    );
}

#[test]
fn the_listener_sees_only_what_stands_above_the_first_section() {
    let text = b"port = 8730\n[global]\naddress = 127.0.0.1\n[m]\npath = /x\n";
    let start =
        Config::parse_start(Path::new("c"), text, &NoIncludes, &Overrides::default()).unwrap();
    assert_eq!(
        (*start.config.global().port, start.config.global().address.is_empty()),
        (8730, true)
    );
    let session = Config::parse(Path::new("c"), text, &NoIncludes).unwrap();
    assert_eq!(
        session.warnings[0].to_string(),
        "c:3: `address` has no effect here, because the daemon reads it at start and only above the first [section], \
         [global] included: move it there"
    );
}

#[test]
fn every_error_is_reported_at_once() {
    let text = b"= x\n[]\n[a/b]\nlist = maybe\n&foo\t1\n&include /nope\n[open\n";
    let errors = Config::parse(Path::new("c"), text, &NoIncludes).unwrap_err();
    assert!(errors.before_first_section);
    let lines: Vec<String> = errors
        .errors
        .iter()
        .map(|error| error.to_string().split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["c:1", "c:2", "c:3", "c:5", "c:6", "c:7"]);
    assert_eq!(errors.warnings.len(), 1);
}

#[test]
fn files_that_include_each_other_for_ever_are_an_error() {
    let mut files = Files::default();
    files.files.insert("/loop".into(), b"&merge /loop\n&merge /loop\n".to_vec());
    let errors = Config::parse(Path::new("c"), b"&include /loop\n", &files).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/loop:1: files include each other more than 32 deep: does a file include itself?"
    );
}

#[test]
fn traps_of_includes_are_pointed_out() {
    let mut files = Files::default();
    files.files.insert("/defaults".into(), b"uid = root\nmotd file = /motd\n".to_vec());
    let text = b"[m]\npath = /x\n&include /defaults\nread only = no\n";
    let parsed = Config::parse(Path::new("c"), text, &files).unwrap();
    let shown: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "/defaults:2: global parameter `motd file` has no effect in a file that is read by &include: use &merge, \
             or move it",
            "c:3: `/defaults` only sets defaults, and those end with an included file: use &merge instead of &include",
            "c:4: `read only` sets a default and not module [m], because &include has ended the module: move the \
             &include out of the module, or use &merge",
        ]
    );
    assert!(parsed.config.global().motd_file.is_empty());
    assert!(parsed.config.module(b"m").unwrap().settings.uid.is_empty());
}
