//! What a user sees who types something odd.

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
fn the_version_is_what_scripts_look_for() {
    let bench = Bench::new();
    let output = bench.run(OURS, &words(&["--version"]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("rsync  version "), "{text}");
    assert!(text.lines().next().unwrap().contains("  protocol version 32"), "{text}");
    assert!(output.status.success());
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
