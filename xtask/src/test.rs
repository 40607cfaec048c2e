//! `cargo xtask test`: everything a change must pass, on a fresh Debian-like machine.

use crate::run::{self, Chore, Failure};
use lexopt::prelude::*;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// The package of recorded cases that run against either side.
const SUITE: &str = "syncline-suite";

/// Programs that the tests compare with or lean on, and the Debian package of each.
const NEEDED: [(&str, &str); 7] = [
    ("rsync", "rsync"),
    ("sshd", "openssh-server"),
    ("inotifywait", "inotify-tools"),
    ("rdiff", "rdiff"),
    ("setfacl", "acl"),
    ("setfattr", "attr"),
    ("mkfs.xfs", "xfsprogs"),
];

pub(crate) fn run(mut arguments: lexopt::Parser) -> Chore {
    let mut install = true;
    let mut forwarded: Vec<OsString> = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-install") => install = false,
            Value(first) => {
                forwarded.push(first);
                forwarded.extend(arguments.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if install {
        install_needed()?;
    }
    // Binaries first: the suites start them by path.
    run::must(&mut run::cargo(["build", "--workspace", "--all-targets", "--locked"]))?;
    let nextest = run::works(&mut run::cargo(["nextest", "--version"]));
    let mut skipped = BTreeSet::new();
    if !forwarded.is_empty() {
        skipped = tests(nextest, &[], "ours", &forwarded)?;
        report_skipped(&skipped);
        return Ok(());
    }
    skipped.extend(tests(nextest, &["--workspace", "--exclude", SUITE], "ours", &[])?);
    // The recorded cases, first against stock: a case that fails there is wrong. Then against us.
    for side in ["stock", "ours"] {
        skipped.extend(tests(nextest, &["--package", SUITE], side, &[])?);
    }
    run::must(&mut run::cargo(["test", "--workspace", "--doc", "--locked"]))?;
    report_skipped(&skipped);
    Ok(())
}

/// Runs the tests of some packages against one side; returns what they skipped.
fn tests(
    nextest: bool,
    packages: &[&str],
    side: &str,
    forwarded: &[OsString],
) -> Chore<BTreeSet<String>> {
    println!("xtask: testing {} ({side})", packages.join(" "));
    if nextest {
        with_nextest(packages, side, forwarded)
    } else {
        with_cargo_test(packages, side, forwarded)
    }
}

fn install_needed() -> Chore {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| run::program(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if run::program("apt-get").is_none() {
        return Err(Failure::new(format!(
            "the tests need the programs of these Debian packages: {list}; \
             install them, or pass --no-install to skip the tests that use them"
        )));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(format!(
            "the tests need packages that only root can install: sudo apt-get install {list} \
             (or pass --no-install to skip the tests that use them)"
        )));
    }
    println!("xtask: installing {list}");
    let apt = |words: &[&str]| {
        run::must(Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat())
}

fn with_nextest(packages: &[&str], side: &str, forwarded: &[OsString]) -> Chore<BTreeSet<String>> {
    run::must(
        run::cargo(["nextest", "run", "--locked", "--no-tests=pass"])
            .args(packages)
            .args(forwarded)
            .env("SYNCLINE_UNDER_TEST", side),
    )?;
    let report = run::workspace().join("target/nextest/default/junit.xml");
    let text = std::fs::read_to_string(&report)
        .map_err(|error| Failure::new(format!("{}: {error}", report.display())))?;
    Ok(skip_lines(&text))
}

fn with_cargo_test(
    packages: &[&str],
    side: &str,
    forwarded: &[OsString],
) -> Chore<BTreeSet<String>> {
    let mut command = run::cargo(["test", "--lib", "--bins", "--tests", "--locked"]);
    command.args(packages).args(forwarded).args(["--", "--show-output"]);
    command.env("SYNCLINE_UNDER_TEST", side).stdout(Stdio::piped());
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| Failure::new(format!("cargo test: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if output.status.success() {
        Ok(skip_lines(&text))
    } else {
        Err(Failure::new(format!("cargo test ended with {}", output.status)))
    }
}

/// The lines `SKIPPED test_name: reason` that tests print instead of running.
fn skip_lines(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| Some(&line[line.find("SKIPPED ")?..]))
        .map(|line| line.replace("&quot;", "\"").replace("&gt;", ">").replace("&amp;", "&"))
        .collect()
}

fn report_skipped(skipped: &BTreeSet<String>) {
    if skipped.is_empty() {
        println!("xtask: no test was skipped");
        return;
    }
    println!("xtask: {} skipped:", skipped.len());
    for line in skipped {
        println!("  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_lines_are_found_inside_a_report() {
        let report =
            "<system-err>SKIPPED a_b: needs root\n</system-err>\nSKIPPED c: no &quot;x&quot;\n";
        let found: Vec<_> = skip_lines(report).into_iter().collect();
        assert_eq!(found, ["SKIPPED a_b: needs root", "SKIPPED c: no \"x\""]);
    }
}
