#![doc = include_str!("../README.md")]

mod common;
mod events;
mod format;
mod getopt;
mod help;
mod options;
mod output;
mod pages;
mod run;
mod stats;
mod syslog;
mod wait;

pub use pages::{bash, fish, man_page, zsh};

use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Runs the program with the arguments of this process.
pub fn run_program() -> ExitCode {
    let mut words: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let program = if words.is_empty() { Vec::new() } else { words.remove(0) };
    let shown = String::from_utf8_lossy(&program).into_owned();
    let called = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    match called {
        b"inotifywait" => return wait::run(&shown, words),
        b"inotifywatch" => return stats::run(&shown, words),
        _ => {}
    }
    if words.is_empty() {
        return usage(1);
    }
    let face = words.remove(0);
    match face.as_slice() {
        b"wait" => wait::run(&format!("{shown} wait"), words),
        b"stats" => stats::run(&format!("{shown} stats"), words),
        b"run" => run::run(&format!("{shown} run"), words),
        b"-h" | b"--help" | b"help" => usage(0),
        b"-V" | b"--version" => say(concat!("syncwatch ", env!("CARGO_PKG_VERSION"), "\n"), 0),
        _ => usage(1),
    }
}

const USAGE: &str = "\
Usage: syncwatch wait [options] PATH...      print events (also as inotifywait)
       syncwatch stats [options] PATH...     count events (also as inotifywatch)
       syncwatch run [options] PATH... -- COMMAND [ARGUMENT]...
                                             run a command when changes have settled
Each has its own --help.
";

fn usage(status: u8) -> ExitCode {
    say(USAGE, status)
}

fn say(text: &str, status: u8) -> ExitCode {
    // Nobody to tell when the stream is closed.
    let _ = if status == 0 {
        rustix::io::write(std::io::stdout(), text.as_bytes())
    } else {
        rustix::io::write(std::io::stderr(), text.as_bytes())
    };
    ExitCode::from(status)
}
