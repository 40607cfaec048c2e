//! `syncline`: copies files within a machine and between machines, a drop-in rsync.
//!
//! The command line goes through `syncline-options`, the work through `syncline-engine`; here are only the ends of the
//! process: streams, signals, exit codes.

mod aliases;
mod client;
mod daemon;
mod escape;
mod help;
mod hints;
mod output;
mod parallel;
mod password;
mod script;
mod serve_only;
mod server;
mod signals;
mod tls;

use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use syncline_engine::{ExitCode as Code, Role};
use syncline_options::values::flags;
use syncline_options::{Command, Context, Environment, UsageError};

fn main() -> ExitCode {
    let words: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let code = run(&words);
    ExitCode::from(code.number())
}

fn run(words: &[Vec<u8>]) -> Code {
    let mut context = context();
    // Whom others tell what to serve may serve the very directory in which the user's file is.
    let serves = |word: &Vec<u8>| word == b"--server" || word.starts_with(b"--serve-only");
    if !words.iter().any(serves) {
        context.aliases = aliases::read();
    }
    match syncline_options::parse(words, &context) {
        Ok(Command::Transfer(options)) => client::run(*options),
        Ok(Command::Server(options)) => server::run(*options, words),
        Ok(Command::Help) => help::print(&help::text()),
        Ok(Command::DaemonHelp) => help::print(&help::daemon_text()),
        Ok(Command::Version { json }) => help::print(&help::version(json)),
        Ok(Command::InfoHelp) => help::print(&flags::info_help()),
        Ok(Command::DebugHelp) => help::print(&flags::debug_help()),
        Ok(Command::Daemon(_)) => become_daemon(),
        Ok(Command::ServeOnly(asked)) => serve_only::run(&asked),
        Ok(_) => fail("rsync: this mode is not performed by syncline", Code::UNSUPPORTED),
        Err(error) => usage(&error, words.iter().any(|word| word == b"--server")),
    }
}

/// The daemon is a program of its own that stands beside this one.
fn become_daemon() -> Code {
    let beside = std::env::current_exe().map(|path| path.with_file_name("synclined"));
    let program = beside.ok().filter(|path| path.exists()).unwrap_or_else(|| "synclined".into());
    let error = std::process::Command::new(&program).args(std::env::args_os().skip(1)).exec();
    let reason = syncline_engine::reason(&error);
    fail(&format!("rsync: [client] Failed to exec {}: {reason}", program.display()), Code::IPC)
}

/// What the parser must know of its surroundings.
pub(crate) fn context() -> Context {
    let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    Context {
        environment: Environment::from_variables(variables),
        ..Context::at(jiff::Timestamp::now().to_zoned(syncline_engine::report::local_zone()))
    }
}

/// A command line that asks for nothing sensible.
pub(crate) fn usage(error: &UsageError, server: bool) -> Code {
    let mut text = String::new();
    if error.shows_help() {
        text.push_str(&help::text());
    } else {
        text.push_str(&error.to_string());
        if error.ends_line() {
            text.push('\n');
        }
    }
    let code = Code::new(error.exit_code());
    let role = error.role(server);
    let version = env!("CARGO_PKG_VERSION");
    let last = format!("rsync error: {code} at main.rs(0) [{role}={version}]\n");
    text.push_str(&last);
    output::to_stderr(&escape::early(text.as_bytes()));
    hints::tell(text.trim_end());
    code
}

/// A line on standard error, and the final one.
pub(crate) fn fail(text: &str, code: Code) -> Code {
    fail_as(Role::Client, text, code)
}

/// The same by somebody else than a client.
pub(crate) fn fail_as(role: Role, text: &str, code: Code) -> Code {
    let version = env!("CARGO_PKG_VERSION");
    let lines = format!("{text}\nrsync error: {code} at main.rs(0) [{role}={version}]\n");
    output::to_stderr(lines.as_bytes());
    hints::tell(text);
    code
}
