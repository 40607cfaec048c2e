//! What signals do to a session (docs/spec daemon.md 15.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals as Watched;
use syncline_engine::{ExitCode, Interrupt};
use syncline_fs::TempFiles;

/// Exit codes of the signals that end a session before its transfer.
const BEFORE: [(i32, i32); 4] = [(SIGTERM, 0), (SIGINT, 20), (SIGHUP, 20), (SIGUSR1, 19)];

/// How long the stages of a run have to end by themselves.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The signals of this process.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    ends_at_once: Arc<AtomicBool>,
}

impl Signals {
    /// Before the transfer a signal simply ends the process.
    pub(crate) fn before_transfer() -> Self {
        let ends_at_once = Arc::new(AtomicBool::new(true));
        for (signal, code) in BEFORE {
            // Without it the signal's own action ends the process just the same.
            let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&ends_at_once));
        }
        Self { ends_at_once }
    }

    /// During it they stop the run, so that temporary files go and the client hears of it; the process ends with the
    /// signal's code where the run does not get there in time.
    pub(crate) fn during_transfer(&self, interrupt: &Interrupt, temporaries: &TempFiles) {
        self.disarm();
        let Ok(mut signals) = Watched::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]) else { return };
        let (interrupt, temporaries) = (interrupt.clone(), temporaries.clone());
        let watch = move || {
            let Some(signal) = signals.forever().next() else { return };
            interrupt.raise();
            std::thread::sleep(PATIENCE);
            temporaries.remove_all();
            let code = if signal == SIGUSR1 { ExitCode::SIGUSR1 } else { ExitCode::SIGNAL };
            std::process::exit(code.number().into());
        };
        // Without the thread a signal is not minded, and the run ends by itself.
        let _ = std::thread::Builder::new().name("signals".into()).spawn(watch);
    }

    /// From now on they do nothing by themselves.
    pub(crate) fn disarm(&self) {
        self.ends_at_once.store(false, Ordering::SeqCst);
    }
}
