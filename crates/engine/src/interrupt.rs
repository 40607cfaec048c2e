//! Stopping a run from outside: a signal, a deadline, a watchdog, a supervisor.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A wish to stop; clones share it.
///
/// Raising it wakes whoever waits for a peer; stages then end with errors as if the connection had been lost, so that
/// partial files are kept where they are wanted and temporary ones go.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cause: AtomicU8,
    hooks: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

/// Why a run is to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Somebody asked for it.
    Request = 1,
    /// The time of `--stop-at` has come.
    Deadline = 2,
}

impl Interrupt {
    /// Stops the run.
    pub fn raise(&self) {
        self.raise_for(Cause::Request);
    }

    /// Stops the run; of several causes the first counts.
    pub fn raise_for(&self, cause: Cause) {
        let (order, otherwise) = (Ordering::AcqRel, Ordering::Acquire);
        // One that was raised before stays as it is.
        let _ = self.0.cause.compare_exchange(0, cause as u8, order, otherwise);
        let hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().for_each(|hook| hook());
    }

    /// Whether the run is to stop.
    pub fn is_raised(&self) -> bool {
        self.cause().is_some()
    }

    /// Why the run is to stop, if it is.
    pub fn cause(&self) -> Option<Cause> {
        match self.0.cause.load(Ordering::Acquire) {
            0 => None,
            2 => Some(Cause::Deadline),
            _ => Some(Cause::Request),
        }
    }

    /// Calls `hook` when the run is to stop, at once if it is already.
    pub fn on_raise(&self, hook: impl Fn() + Send + 'static) {
        let mut hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_raised() {
            hook();
        }
        hooks.push(Box::new(hook));
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Interrupt").field(&self.cause()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn late_hooks_are_called_too() {
        let (interrupt, count) = (Interrupt::default(), Arc::new(AtomicUsize::new(0)));
        let hook = |count: &Arc<AtomicUsize>| {
            let count = Arc::clone(count);
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        interrupt.on_raise(hook(&count));
        assert_eq!(count.load(Ordering::Relaxed), 0);
        interrupt.raise();
        interrupt.on_raise(hook(&count));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn the_first_cause_counts() {
        let interrupt = Interrupt::default();
        interrupt.raise_for(Cause::Deadline);
        interrupt.raise();
        assert_eq!(interrupt.cause(), Some(Cause::Deadline));
    }
}
