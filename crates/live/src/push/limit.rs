//! A handshake has so much time and no more (R64).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use syncline_engine::{Error, ExitCode, Interrupt};

/// Interrupts a session that has not begun in time, unless it is dropped before.
#[derive(Debug)]
pub(super) struct Limit {
    passed: Arc<AtomicBool>,
    within: Duration,
    /// Nothing is ever sent: dropping it is the word.
    begun: Option<Sender<()>>,
}

impl Limit {
    pub(super) fn start(interrupt: &Interrupt, within: Duration) -> Self {
        let (begun, wait) = channel::<()>();
        let passed = Arc::new(AtomicBool::new(false));
        let (flag, interrupt) = (Arc::clone(&passed), interrupt.clone());
        let watch = move || {
            if wait.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::Release);
                interrupt.raise();
            }
        };
        // Without the thread the limit on silence is left.
        let _ = std::thread::Builder::new().name("limit".into()).spawn(watch);
        Self { passed, within, begun: Some(begun) }
    }

    /// It has begun.
    pub(super) fn lift(&mut self) {
        self.begun = None;
    }

    /// What came of it; in place of whatever the interruption caused, the reason for it.
    pub(super) fn explain<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match result {
            Err(_) if self.passed.load(Ordering::Acquire) => {
                let text =
                    format!("the handshake took longer than {} s", self.within.as_secs_f64());
                Err(Error::fatal(ExitCode::TIMEOUT, text))
            }
            result => result,
        }
    }
}
