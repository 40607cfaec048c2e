//! Whether every thread still makes progress (R26).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Milliseconds of a deadline that is never missed.
const IDLE: u64 = u64::MAX;

/// A thread's word that it is alive: idle, or busy and done by a certain time. Dropped with the thread.
#[derive(Debug)]
pub struct Pulse {
    epoch: Instant,
    beat: Arc<Beat>,
}

#[derive(Debug)]
struct Beat {
    name: String,
    /// Milliseconds since the epoch.
    deadline: AtomicU64,
}

impl Pulse {
    /// Before something that is done, or says so again, in this time.
    pub fn busy(&self, within: Duration) {
        let deadline = self.epoch.elapsed().saturating_add(within).as_millis();
        let deadline = u64::try_from(deadline).unwrap_or(IDLE);
        self.beat.deadline.store(deadline, Ordering::Relaxed);
    }

    /// Before waiting for something to do, which may take for ever.
    pub fn idle(&self) {
        self.beat.deadline.store(IDLE, Ordering::Relaxed);
    }
}

/// The threads that gave their word.
#[derive(Debug, Default)]
pub(super) struct Pulses(Mutex<Vec<Weak<Beat>>>);

impl Pulses {
    pub(super) fn add(&self, epoch: Instant, name: &str) -> Pulse {
        let beat = Arc::new(Beat { name: name.to_owned(), deadline: AtomicU64::new(IDLE) });
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|beat| beat.strong_count() > 0);
        beats.push(Arc::downgrade(&beat));
        Pulse { epoch, beat }
    }

    /// The names of those that are late.
    pub(super) fn late(&self, now: Duration) -> Vec<String> {
        let now = u64::try_from(now.as_millis()).unwrap_or(IDLE);
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let beats = beats.iter().filter_map(Weak::upgrade);
        let late = beats.filter(|beat| beat.deadline.load(Ordering::Relaxed) < now);
        late.map(|beat| beat.name.clone()).collect()
    }
}
