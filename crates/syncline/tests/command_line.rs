//! What a user sees who types something odd.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, OURS, words};

fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let bench = Bench::new();
    let output = bench.run(OURS, &words(arguments));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn unknown_options_are_named() {
    let (code, text) = told(&["--nope", "a", "b"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("rsync: --nope: unknown option\n"), "{text}");
    assert!(text.contains("rsync error: syntax or usage error (code 1) at "), "{text}");
}

#[test]
fn options_that_are_not_performed_are_refused() {
    let (code, text) = told(&["-aN", "src/", "to"]);
    assert_ne!(code, Some(0));
    assert!(text.contains("-N") || text.contains("--crtimes"), "{text}");
}

#[test]
fn two_remote_ends_are_refused() {
    let (code, text) = told(&["h:a", "g:b"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("The source and destination cannot both be remote.\n"), "{text}");
}

#[test]
fn the_version_is_what_scripts_look_for_and_names_syncline() {
    let bench = Bench::new();
    for option in ["--version", "-V"] {
        let output = bench.run(OURS, &words(&[option]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("rsync  version 3.5.0  protocol version 32"));
        assert!(lines.next().unwrap().contains(concat!("Syncline ", env!("CARGO_PKG_VERSION"))));
        assert!(output.status.success());
    }
}

/// The names that a JSON text of an object gives its members, with the object they are in.
fn keys(json: &[u8]) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap();
    let mut keys = Vec::new();
    for (name, member) in value.as_object().unwrap() {
        keys.push(name.clone());
        let inner = member.as_object().into_iter().flat_map(serde_json::Map::keys);
        keys.extend(inner.map(|key| format!("{name}.{key}")));
    }
    keys.sort();
    keys
}

#[test]
fn the_version_as_json_has_every_member_of_stocks_and_names_syncline() {
    let bench = Bench::new();
    let ours = bench.run(OURS, &words(&["-VV"]));
    let value: serde_json::Value = serde_json::from_slice(&ours.stdout).unwrap();
    assert_eq!(value["implementation"], "Syncline");
    assert_eq!(value["protocol"], "32.0");
    // What the capabilities say is what is performed.
    let refused = told(&["-aN", "src/", "to"]).0 != Some(0);
    assert_eq!(value["capabilities"]["crtimes"], !refused);
    if common::stock_is_missing("the_version_as_json_has_every_member_of_stocks") {
        return;
    }
    let stock = bench.run("rsync", &words(&["-VV"]));
    let mut expected = keys(&stock.stdout);
    expected.extend(["implementation".to_owned(), "implementation_version".to_owned()]);
    expected.sort();
    assert_eq!(keys(&ours.stdout), expected);
}

#[test]
fn called_as_rsync_it_does_the_same_under_that_name() {
    use std::os::unix::process::CommandExt;
    let bench = Bench::new();
    let run = |name: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(OURS);
        command.arg0(name).args(arguments).current_dir(bench.top.path()).output().unwrap()
    };
    let help = run("/usr/bin/rsync", &["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(text.contains("Usage: rsync [OPTION]... SRC [SRC]... DEST\n"), "{text}");
    for arguments in [&["-V"][..], &["-VV"], &["-ain", "src/", "to/"], &["--nonsense"]] {
        let (one, other) = (run("rsync", arguments), run("syncline", arguments));
        assert_eq!(one, other, "{arguments:?}");
    }
}

#[test]
fn a_missing_remote_shell_is_14() {
    let (code, text) = told(&["-e", "/no/such/shell", "src/", "h:to"]);
    assert_eq!(code, Some(14), "{text}");
    assert!(text.contains("Failed to exec /no/such/shell"), "{text}");
}

#[test]
fn a_shell_that_says_nothing_sensible_is_noticed() {
    let bench = Bench::new();
    let output =
        bench.run(OURS, &words(&["-a", "-e", "echo garbage that is no version", "src/", "h:to"]));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("protocol version mismatch -- is your shell clean?"), "{text}");
}

#[test]
fn aliases_of_the_user_stand_for_other_options() {
    let bench = Bench::new();
    std::fs::write(
        bench.path(".popt"),
        "rsync alias --shown -n --out-format='<%n>'\nrsync alias -a -a --stats\nrsync alias --hide --exclude\n\
         rsync alias --bang --exclude=!#:+\nrsync alias --loop --loop\nrsync alias --many -nR \\\n --out-format=%n\n\
         rsync alias -Z --info=name1\nrsync alias --serve-only --version\n",
    )
    .unwrap();
    let run = |program: &str, list: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(list).current_dir(bench.top.path()).env("HOME", bench.top.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = text.lines().next().unwrap_or_default().to_owned();
        let lines = common::lines(&output).into_iter();
        let counted =
            |line: &String| !line.starts_with("File list") && !line.starts_with("Total bytes");
        let lines: Vec<String> = lines.filter(counted).collect();
        (output.status.code(), lines, first)
    };
    let missing = common::stock_is_missing("aliases_of_the_user_stand_for_other_options");
    for (list, code, line) in [
        (&["-r", "--shown", "src/", "to/"][..], 0, "<sub/file>"),
        (&["-na", "src/", "to/"], 0, "Number of files: 11 (reg: 6, dir: 4, link: 1)"),
        (&["-ra", "--shown", "--hide", "sub", "src/", "to/"], 0, "<big>"),
        (&["-r", "--shown", "--hide=sub", "src/", "to/"], 0, "<small>"),
        (&["-r", "--shown", "--bang", "sub", "src/", "to/"], 0, "<small>"),
        (&["-r", "--loop", "src/", "to/"], 1, ""),
        (&["-r", "--many", "src/", "to/"], 0, "src/sub/file"),
        (&["-rnZv", "src/", "to/"], 0, "sub/file"),
        (&["-r", "-shown", "src/", "to/"], 0, "<sub/file>"),
        (&["-r", "-n=3", "src/", "to/"], 1, ""),
        (&["-rn", "--", "--shown", "to/"], 23, ""),
    ] {
        let found = run(OURS, list);
        assert_eq!(found.0, Some(code), "{list:?}: {found:?}");
        assert!(line.is_empty() || found.1.iter().any(|told| told == line), "{list:?}: {found:?}");
        if !missing {
            assert_eq!(found, run("rsync", list), "{list:?}");
        }
    }
    // Nobody may give another meaning to what confines him.
    let served = run(OURS, &["--serve-only", "src"]);
    assert_ne!(served.0, Some(0), "{served:?}");
}
