//! Configurations of the kind operators really run, mix-ups included: they are read as stock reads them, and what
//! does not do what it looks like is pointed out with its line.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::path::Path;

use common::{Files, vectors};
use syncline_conf::rsyncd::{Config, NoIncludes, Overrides, Parsed};
use syncline_conf::secrets::{ClientPassword, Secrets};

fn read(name: &str) -> Parsed {
    let text = std::fs::read_to_string(vectors().join("operators").join(name)).unwrap();
    let text = text.replace("{DIR}", "/srv").replace("{ME}", "me");
    Config::parse(Path::new(name), text.as_bytes(), &NoIncludes).unwrap()
}

fn warnings(name: &str) -> Vec<String> {
    read(name).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_configuration_has_no_warnings() {
    assert_eq!(warnings("basic.conf"), [""; 0]);
    let config = read("basic.conf").config;
    let files = &config.module(b"files").unwrap().settings;
    assert_eq!(files.uid.as_bytes(), b"root");
    assert_eq!(files.uid.origin().to_string(), "basic.conf:13");
    assert_eq!((*files.max_connections, *files.timeout, *files.use_chroot), (4, 300, Some(true)));
    assert_eq!(files.timeout.origin().to_string(), "basic.conf:6");
}

#[test]
fn a_deny_list_that_opens_the_module_is_pointed_out_once() {
    let opens = "`hosts deny`: `0.0.0.0/32` matches only the address 0.0.0.0, which no peer has: write `*` for \
                 everybody; as it matches nobody, hosts that `hosts allow` does not have are let in, though without \
                 `hosts deny` they would not be";
    let no_equals = |line: u32, name: &str| {
        format!(
            "{name}:{line}: `ignore errors` has no `=` and is ignored: write `NAME = VALUE`, or put a # before it"
        )
    };
    assert_eq!(
        warnings("backup-modules.conf"),
        [no_equals(9, "backup-modules.conf"), format!("backup-modules.conf:13: {opens}")]
    );
    assert_eq!(
        warnings("env-files.conf"),
        [no_equals(12, "env-files.conf"), format!("env-files.conf:16: {opens}")]
    );
    assert_eq!(warnings("push-target.conf"), [no_equals(12, "push-target.conf")]);
    assert!(!*read("push-target.conf").config.module(b"web1").unwrap().settings.ignore_errors);
}

#[test]
fn comments_after_values_are_part_of_them_and_pointed_out() {
    let own_line = "a comment after a value is part of the value: give it a line of its own";
    assert_eq!(
        warnings("inline-comments.conf"),
        [
            format!("inline-comments.conf:17: the value of `path` is `/srv/data # 同步目录`: {own_line}"),
            format!(
                "inline-comments.conf:18: `list = no # 是否允许列出模块内容` is not a boolean (accepted: yes, true, \
                 1, no, false, 0), so the value stays `yes`; {own_line}"
            ),
            "inline-comments.conf:19: `ignore errors` has no `=` and is ignored: write `NAME = VALUE`, or put a # \
             before it"
                .to_owned(),
            "inline-comments.conf:21: `auth users`: there is no comment after a value: `#` and every word after it \
             are names of allowed users; remove them or give the comment a line of its own"
                .to_owned(),
        ]
    );
    let config = read("inline-comments.conf").config;
    assert_eq!(
        config.module(b"data").unwrap().settings.path.as_bytes(),
        "/srv/data # 同步目录".as_bytes()
    );
}

#[test]
fn full_width_characters_are_named() {
    assert_eq!(
        warnings("fullwidth.conf"),
        [
            "fullwidth.conf:10: `＃ 密码文件` has no `=` and is ignored: it holds `＃` (U+FF03) where `#` is meant"
        ]
    );
    let text = "uid ＝ nobody\n［pub］\npath = /srv # x\nauth users = ＠staff\nread only ＝ no\nread　only = no\n";
    let parsed = Config::parse(Path::new("web.conf"), text.as_bytes(), &NoIncludes).unwrap();
    let shown: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert!(shown[0].ends_with("it holds `＝` (U+FF1D) where `=` is meant"), "{shown:?}");
    assert!(shown[1].ends_with("it holds `［` (U+FF3B) where `[` is meant"), "{shown:?}");
    assert!(shown[3].contains("`＠staff` holds `＠`, which is not `@`"), "{shown:?}");
    assert!(shown[5].starts_with("web.conf:6: unknown parameter `read　only`"), "{shown:?}");
    assert_eq!(shown.len(), 6);
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
fn every_configuration_prints_and_reads_back_the_same() {
    for entry in std::fs::read_dir(vectors().join("operators")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "conf") {
            let config = read(&name).config;
            let again =
                Config::parse(Path::new("printed"), &config.print(), &NoIncludes).unwrap().config;
            for (module, same) in config.modules().iter().zip(again.modules()) {
                let values = |settings: &syncline_conf::rsyncd::ModuleSettings| -> Vec<Vec<u8>> {
                    settings.effective().into_iter().map(|effective| effective.value).collect()
                };
                assert_eq!(
                    (module.name(), values(&module.settings)),
                    (same.name(), values(&same.settings))
                );
            }
        }
    }
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

#[test]
fn the_secrets_of_the_operators_are_clean_and_a_clients_mix_up_is_seen() {
    let file = |name: &str| std::fs::read(vectors().join("operators").join(name)).unwrap();
    let secrets = Secrets::new(file("server.secrets"));
    assert_eq!(secrets.findings(), []);
    assert_eq!(secrets.passwords(b"rsync", None)[0].expose(), b"env pass");
    assert!(
        !ClientPassword::parse(file("client.password")).unwrap().looks_like_secrets_line_of(b"ops")
    );
    assert!(
        ClientPassword::parse(file("client.password.mixed-up"))
            .unwrap()
            .looks_like_secrets_line_of(b"ops")
    );
}
