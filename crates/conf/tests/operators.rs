//! Configurations of the kind operators really run, mix-ups included: they are read as stock reads them, and what
//! does not do what it looks like is pointed out with its line.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::path::Path;

use common::vectors;
use syncline_conf::rsyncd::{Config, NoIncludes, Parsed};
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
