//! Signals: an orderly stop, and a hard one where that takes too long (docs/spec cli.md 17).

use std::io;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use syncline_engine::{Cause, ExitCode, Job};
use syncline_fs::TempFiles;

/// What is said when the time of `--stop-at` or `--stop-after` has come.
pub(crate) const AT_LIMIT: &str = "stopping at requested limit";

/// How long the stages have to end by themselves.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long the clock is not looked at.
const LONGEST_NAP: Duration = Duration::from_secs(20);

/// Stops the job's run on a signal. The process ends with the signal's code, here if the run does not get there.
pub(crate) fn watch(job: &Job) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE, SIGXFSZ])?;
    let interrupt = job.interrupt.clone();
    let temporaries = job.temporaries.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let code = match signal {
                SIGPIPE | SIGXFSZ => continue,
                SIGUSR1 => ExitCode::SIGUSR1,
                _ => ExitCode::SIGNAL,
            };
            interrupt.raise();
            end_hard(&temporaries, code);
        }
    })?;
    match job.options.connection.stop_at {
        Some(time) => stop_at(job, time),
        None => Ok(()),
    }
}

/// What a run that was stopped ends with.
pub(crate) fn code_of(cause: Cause) -> ExitCode {
    match cause {
        Cause::Deadline => ExitCode::TIMEOUT,
        Cause::Request => ExitCode::SIGNAL,
    }
}

/// Stops the job's run at a time of the clock, which may be set meanwhile.
fn stop_at(job: &Job, time: Timestamp) -> io::Result<()> {
    let interrupt = job.interrupt.clone();
    let temporaries = job.temporaries.clone();
    thread::Builder::new().name("deadline".into()).spawn(move || {
        loop {
            let left = time.duration_since(Timestamp::now());
            let Ok(left) = Duration::try_from(left) else { break };
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(LONGEST_NAP));
        }
        interrupt.raise_for(Cause::Deadline);
        end_hard(&temporaries, ExitCode::TIMEOUT);
    })?;
    Ok(())
}

/// Ends the process if the stages have not ended the run in time.
fn end_hard(temporaries: &TempFiles, code: ExitCode) -> ! {
    thread::sleep(PATIENCE);
    temporaries.remove_all();
    if code == ExitCode::TIMEOUT {
        crate::fail(AT_LIMIT, code);
    }
    std::process::exit(code.number().into());
}
