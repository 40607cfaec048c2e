//! Signals: an orderly stop, and a hard one where that takes too long (docs/spec cli.md 17).

use std::io;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use syncline_engine::{ExitCode, Job};

/// How long the stages have to end by themselves.
const PATIENCE: Duration = Duration::from_millis(1500);

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
            thread::sleep(PATIENCE);
            temporaries.remove_all();
            std::process::exit(code.number().into());
        }
    })?;
    Ok(())
}
