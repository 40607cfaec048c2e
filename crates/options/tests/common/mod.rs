//! Helpers of the black-box tests against the stock program.

#![allow(dead_code)] // No test uses all of it.

pub(crate) mod line_up;

use std::path::Path;
use std::process::{Command as Process, Output};

use syncline_options::{Context, Environment, Word};

/// The environment of every run, beside `PATH`.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("USER", "tester"),
    ("LOGNAME", "tester"),
];

/// Whether the stock program of the right version is here; says so if not.
#[allow(clippy::print_stderr)] // A skipped test says so.
pub(crate) fn stock_is_here(test: &str) -> bool {
    let version = Process::new("rsync").arg("--version").output();
    let here = version.is_ok_and(|output| output.stdout.starts_with(b"rsync  version 3.5."));
    if !here {
        eprintln!("SKIPPED {test}: needs rsync 3.5");
    }
    here
}

/// Words of a line split at blanks; `''` is an empty word.
pub(crate) fn words(line: &str) -> Vec<Word> {
    line.split_whitespace()
        .map(|word| if word == "''" { Word::new() } else { word.as_bytes().to_vec() })
        .collect()
}

/// A context for the parser with these variables.
pub(crate) fn context(variables: &[(String, String)]) -> Context {
    let mut context = Context::at(jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC));
    context.environment = Environment::from_variables(
        variables
            .iter()
            .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())),
    );
    context
}

/// Runs the stock program in `directory`.
pub(crate) fn run_stock(
    directory: &Path,
    words: &[Word],
    variables: &[(String, String)],
) -> Output {
    use std::os::unix::ffi::OsStrExt;
    Process::new("rsync")
        .args(words.iter().map(|word| std::ffi::OsStr::from_bytes(word)))
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(ENVIRONMENT.iter().copied())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the stock program was started")
}
