//! `synclive`: keeps directories identical on other machines, live.
//!
//! The work is done by `syncline-live`; here are the ends of the process: arguments, signals, exit codes.

mod control;
mod migrate;
mod plan;
mod serve;
mod status;

use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use syncline_live::{Log, LogLevel, ServiceError};
use syncline_options::{LiveOptions, live_help, parse_live};

/// It cannot do its work.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;
/// Another instance is at work.
const LOCKED: u8 = 4;

fn main() -> ExitCode {
    let words: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    ExitCode::from(run(words))
}

fn run(mut words: Vec<Vec<u8>>) -> u8 {
    // Each session has threads of its own; over months their heaps would come to much more than what they hold.
    syncline_sys::heap::share();
    let command = words.first().and_then(|word| Command::named(word));
    if command.is_some() {
        words.remove(0);
    }
    let options = match parse_live(&words) {
        Ok(options) => options,
        Err(error) => return wrong(error),
    };
    if options.help || (command.is_none() && words.is_empty()) {
        print(&live_help(concat!("synclive ", env!("CARGO_PKG_VERSION"))));
        return if options.help { 0 } else { WRONG };
    }
    if options.version {
        print(concat!("synclive ", env!("CARGO_PKG_VERSION"), "\n"));
        return 0;
    }
    match command {
        None => mirror(&options),
        Some(Command::Once) => with_plan(&options, |plan, log| {
            syncline_live::once(&plan.config, log).map_err(|error| failure(&error))
        }),
        Some(Command::Check) => with_plan(&options, |plan, _| Ok(check(plan))),
        Some(Command::Migrate) => migrate::run(&options),
        Some(Command::Status) => status::run(&options),
        Some(Command::Retry) => control::retry(&options),
        Some(Command::Allow) => control::allow(&options),
    }
}

/// What is asked for beside mirroring.
#[derive(Clone, Copy)]
enum Command {
    Once,
    Check,
    Migrate,
    Status,
    Retry,
    Allow,
}

impl Command {
    fn named(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"once" => Self::Once,
            b"check" => Self::Check,
            b"migrate" => Self::Migrate,
            b"status" => Self::Status,
            b"retry" => Self::Retry,
            b"allow" => Self::Allow,
            _ => return None,
        })
    }
}

fn mirror(options: &LiveOptions) -> u8 {
    with_plan(options, |plan, log| {
        if options.print_config {
            print(&plan.config.print().map_err(wrong)?);
            return Ok(0);
        }
        if options.check_config {
            plan.tell(log);
            syncline_live::validate(&plan.config).map_err(wrong)?;
            log.info("the configuration is in order");
            return Ok(0);
        }
        serve::run(options, plan, log)
    })
}

fn check(plan: &plan::Plan) -> u8 {
    let findings = syncline_live::check(&plan.config);
    for finding in &findings {
        let mark = if finding.ok { "ok" } else { "FAILED" };
        print(&format!("{mark}  {}  {}: {}\n", finding.mirror, finding.target, finding.text));
    }
    u8::from(findings.iter().any(|finding| !finding.ok))
}

fn with_plan(options: &LiveOptions, work: impl FnOnce(&plan::Plan, &Log) -> Result<u8, u8>) -> u8 {
    let plan = match plan::Plan::of(options) {
        Ok(plan) => plan,
        Err(error) => return wrong(error),
    };
    let log = Log::standard_error();
    log.set_level(plan.config.log_level);
    work(&plan, &log).unwrap_or_else(|code| code)
}

/// The exit code of a service that cannot start, said.
fn failure(error: &ServiceError) -> u8 {
    complain(error);
    match error {
        ServiceError::Locked { .. } => LOCKED,
        ServiceError::Config(_)
        | ServiceError::Options { .. }
        | ServiceError::Unperformed { .. }
        | ServiceError::Hook { .. } => WRONG,
        _ => FAILED,
    }
}

fn wrong(error: impl Display) -> u8 {
    complain(error);
    WRONG
}

fn complain(text: impl Display) {
    let text = text.to_string();
    let text = text.strip_prefix("synclive: ").unwrap_or(&text);
    Log::plain().write(LogLevel::Error, &format_args!("synclive: {text}"));
}

fn print(text: &str) {
    let mut rest = text.as_bytes();
    while let Ok(count @ 1..) = rustix::io::write(std::io::stdout(), rest) {
        rest = rest.get(count..).unwrap_or_default();
    }
}
