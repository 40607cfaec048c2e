//! Lists of `--files-from` that lie at the other end: forwarded by the receiving side, with the stock program at either.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::process::Command;

use common::{Bench, OURS, snapshot, stock_is_missing, words};

/// Client and server; stock alone first, where it is there.
fn pairs(test: &str) -> Vec<(&'static str, &'static str)> {
    if stock_is_missing(test) {
        return vec![(OURS, OURS)];
    }
    vec![("rsync", "rsync"), (OURS, OURS), (OURS, "rsync"), ("rsync", OURS)]
}

/// What a run came to: its code, its lines, its complaints without who counted the source's lines, the destination.
type Outcome = (Option<i32>, Vec<String>, Vec<String>, Vec<String>);

fn outcome(
    bench: &Bench,
    client: &str,
    arguments: &[String],
    variables: &[(&str, &str)],
) -> Outcome {
    let _ = fs::remove_dir_all(bench.path("dst"));
    fs::create_dir(bench.path("dst")).unwrap();
    let mut command = Command::new(client);
    command.args(arguments).current_dir(bench.top.path()).env("LC_ALL", "C.UTF-8");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints = text.lines().map(|line| {
        // `(code 23) at main.c(1394) [sender=3.5.0]`
        let line = line.split(" at ").next().unwrap();
        line.to_owned()
    });
    let tree = snapshot(&bench.path("dst"));
    (output.status.code(), common::lines(&output), complaints.collect(), tree)
}

/// Every pair comes to what the first one comes to.
fn all_agree(test: &str, bench: &Bench, arguments: &[&str]) -> Outcome {
    let mut first: Option<Outcome> = None;
    for (client, server) in pairs(test) {
        let to = format!("h:{}", bench.text("dst/"));
        let arguments =
            [bench.shell_options(server), words(arguments), words(&["src/", &to])].concat();
        let found = outcome(bench, client, &arguments, &[]);
        let expected = first.get_or_insert_with(|| found.clone());
        assert_eq!(&found, expected, "{client} to {server}: {arguments:?}");
    }
    first.unwrap()
}

#[test]
fn a_list_at_the_receiving_server_names_what_is_pushed() {
    let test = "a_list_at_the_receiving_server_names_what_is_pushed";
    let bench = Bench::new();
    fs::write(bench.path("list"), "small\r\n\n# no comment\n;nor this\nsub/\n/sub/../none\n")
        .unwrap();
    fs::write(bench.path("nul"), "small\0sub/deep/new\nline\0\0none").unwrap();
    fs::write(bench.path("empty"), "").unwrap();
    let (plain, named) = (format!(":{}", bench.text("list")), format!("h:{}", bench.text("list")));
    let (nul, empty) = (bench.text("nul"), bench.text("empty"));
    for protocol in ["32", "31", "30", "29", "28", "27"] {
        let protocol = format!("--protocol={protocol}");
        for more in [
            &["-a"][..],
            &["-a", "--no-relative"],
            &["-ar"],
            &["-a", "--remove-source-files", "-n"],
        ] {
            let list = format!("--files-from={plain}");
            let found = all_agree(test, &bench, &[&[&protocol, "-i", &list], more].concat());
            assert_eq!(found.0, Some(23), "{found:?}");
            assert!(found.2[0].contains("/# no comment\" failed: No such file"), "{found:?}");
        }
        let list = format!("--files-from=:{nul}");
        let found = all_agree(test, &bench, &[&protocol, "-ai", "--from0", &list]);
        assert_eq!((found.0, found.3.len()), (Some(0), 5), "{found:?}");
        let list = format!("--files-from=:{empty}");
        assert_eq!(all_agree(test, &bench, &[&protocol, "-ai", &list]).0, Some(0));
    }
    let found = all_agree(test, &bench, &["-a", &format!("--files-from={named}")]);
    assert_eq!(found.0, Some(23));
    let found = all_agree(test, &bench, &["-a", "--files-from=:/no/such/list"]);
    assert_eq!(found.0, Some(12));
    let text = "rsync: failed to open files-from file /no/such/list: No such file or directory";
    assert_eq!(found.2[0], text);
    let found = all_agree(test, &bench, &["-a", "--files-from=other:list"]);
    assert_eq!(found.0, Some(1));
}

#[test]
fn a_list_longer_than_every_buffer_is_forwarded_while_the_files_come() {
    let test = "a_list_longer_than_every_buffer_is_forwarded_while_the_files_come";
    let bench = Bench::new();
    // The same few files again and again.
    let mut list = String::new();
    for round in 0..4000 {
        for name in ["small", "sub/file", "none", "sub/linked"] {
            list.push_str(&"./".repeat(round % 100));
            list.push_str(name);
            list.push('\n');
        }
    }
    fs::write(bench.path("list"), list).unwrap();
    let list = format!("--files-from=:{}", bench.text("list"));
    for protocol in ["--protocol=32", "--protocol=30"] {
        let found = all_agree(test, &bench, &[protocol, "-a", &list]);
        assert_eq!((found.0, found.3.len()), (Some(0), 5), "{found:?}");
    }
}

#[test]
fn names_of_a_list_at_the_other_end_are_converted_where_arguments_are_secluded() {
    let test = "names_of_a_list_at_the_other_end_are_converted_where_arguments_are_secluded";
    let bench = Bench::new();
    fs::write(bench.path("src/café"), "1").unwrap();
    fs::write(bench.path("gbk"), b"caf\xa8\xa6\n").unwrap();
    fs::write(bench.path("utf"), "café\n").unwrap();
    for (more, list, code) in
        [("-s", "gbk", 0), ("-s", "utf", 23), ("--no-s", "gbk", 23), ("--no-s", "utf", 0)]
    {
        let list = format!("--files-from=:{}", bench.text(list));
        let found = all_agree(test, &bench, &["-ai", more, "--iconv=UTF-8,GBK", &list]);
        assert_eq!(found.0, Some(code), "{more} {list}: {found:?}");
        assert_eq!(found.3.len(), usize::from(code == 0), "{found:?}");
    }
}

#[test]
fn a_daemon_forwards_lists_of_its_module() {
    let test = "a_daemon_forwards_lists_of_its_module";
    let bench = Bench::new();
    fs::write(bench.path("list"), "small\nsub/\n").unwrap();
    fs::write(bench.path("hidden"), "small\n").unwrap();
    let own = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let top = bench.top.path().display();
    let text = format!(
        "{own}use chroot = no\nread only = no\nlog file = {top}/log\n[m]\npath = {top}\nexclude = /hidden\n"
    );
    fs::write(bench.path("conf"), text).unwrap();
    for (client, server) in pairs(test) {
        let beside = std::path::Path::new(server).with_file_name("synclined");
        if server == OURS && !beside.exists() {
            eprintln!("SKIPPED {test}: synclined is not built");
            continue;
        }
        let daemon = format!("{server} --daemon --config={}", bench.text("conf"));
        let push = |protocol: &str, list: &str| {
            let list = format!("--files-from={list}");
            let arguments = words(&["-ai", protocol, &list, "src/", "rsync://localhost/m/dst/"]);
            outcome(&bench, client, &arguments, &[("RSYNC_CONNECT_PROG", &daemon)])
        };
        for protocol in ["--protocol=32", "--protocol=30", "--protocol=29"] {
            for list in [":list", ":/list", ":/../list", "localhost:list"] {
                let found = push(protocol, list);
                let shown = format!("{client} to {server} {protocol} {list}: {found:?}");
                assert_eq!((found.0, found.3.len()), (Some(0), 5), "{shown}");
            }
            if server == OURS {
                // Stock's end is not orderly here.
                let found = push(protocol, ":missing");
                let text =
                    "rsync: failed to open files-from file missing: No such file or directory";
                assert!(found.2.iter().any(|line| line == text), "{found:?}");
                let found = push(protocol, ":hidden");
                let text = "rsync: Your options have been rejected by the server.";
                assert!(found.2.iter().any(|line| line == text), "{found:?}");
                assert!(found.3.is_empty(), "{found:?}");
            }
        }
    }
}
