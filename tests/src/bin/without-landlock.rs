//! `without-landlock PROGRAM WORDS…`: runs a program as on a kernel that has no Landlock, so that a test can see what a
//! daemon's own path rules hold by themselves.
#![allow(clippy::print_stderr, reason = "a program for tests")]

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// `landlock_create_ruleset`, the same number on every processor.
const CREATE_RULESET: i64 = 444;

/// `ENOSYS`.
const NO_SUCH_CALL: u32 = 38;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else { return ExitCode::from(2) };
    if let Err(error) = forget_landlock() {
        eprintln!("without-landlock: {error}");
        return ExitCode::from(2);
    }
    let error = Command::new(program).args(words).exec();
    eprintln!("without-landlock: {error}");
    ExitCode::from(2)
}

fn forget_landlock() -> Result<(), Box<dyn std::error::Error>> {
    let rules = [(CREATE_RULESET, Vec::new())].into();
    let absent = SeccompAction::Errno(NO_SUCH_CALL);
    let arch = std::env::consts::ARCH.try_into()?;
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, absent, arch)?.try_into()?;
    Ok(seccompiler::apply_filter(&filter)?)
}
