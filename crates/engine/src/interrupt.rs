//! Stopping a run from outside: a signal, a watchdog, a supervisor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A wish to stop; clones share it.
///
/// Raising it wakes whoever waits for a peer; stages then end with errors as if the connection had been lost, so that
/// partial files are kept where they are wanted and temporary ones go.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    raised: AtomicBool,
    hooks: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

impl Interrupt {
    /// Stops the run.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        let hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().for_each(|hook| hook());
    }

    /// Whether the run is to stop.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
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
        f.debug_tuple("Interrupt").field(&self.is_raised()).finish()
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
}
