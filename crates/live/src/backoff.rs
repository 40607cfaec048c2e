//! When something that failed is tried again (R81 to R83).

use std::time::Duration;

/// How pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    first: Duration,
    max: Duration,
    /// The least part of a pause, in percent; the rest is chance.
    floor: u8,
}

impl Policy {
    /// A target that cannot be reached: 0.2 s doubling to `max`, anything from nothing to the whole of it.
    pub fn transient(max: Duration) -> Self {
        Self { first: Duration::from_millis(200).min(max), max, floor: 0 }
    }

    /// A daemon whose slots are taken: 0.1 s doubling to 2 s.
    pub fn busy() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(2), floor: 0 }
    }

    /// A path that the target refuses: 1 minute doubling to 1 hour.
    pub fn path() -> Self {
        Self { first: Duration::from_secs(60), max: Duration::from_secs(3600), floor: 90 }
    }

    /// A target that a person must set right: every 5 minutes.
    pub fn misconfigured() -> Self {
        Self { first: Duration::from_secs(300), max: Duration::from_secs(300), floor: 90 }
    }
}

/// A new change does not bring the next attempt nearer than this to the last one.
const CHANGE_AFTER: Duration = Duration::from_secs(1);

/// The pause after failures.
///
/// Times are those of a clock that never jumps (R87).
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: Policy,
    failures: u32,
    failed_at: Duration,
    due: Option<Duration>,
}

impl Backoff {
    /// Without a failure yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, failures: 0, failed_at: Duration::ZERO, due: None }
    }

    /// Another kind of failure has other pauses, which begin anew.
    pub fn set_policy(&mut self, policy: Policy) {
        if policy != self.policy {
            *self = Self { due: self.due, failed_at: self.failed_at, ..Self::new(policy) };
        }
    }

    /// An attempt failed; `chance` is any random number. Gives the moment of the next one.
    pub fn failed(&mut self, now: Duration, chance: u32) -> Duration {
        let doubled =
            self.policy.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let longest = doubled.min(self.policy.max);
        let floor = longest * u32::from(self.policy.floor) / 100;
        let pause =
            floor + longest.saturating_sub(floor).mul_f64(f64::from(chance) / f64::from(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        let due = now.saturating_add(pause.max(Duration::from_millis(1)));
        self.due = Some(due);
        due
    }

    /// An attempt went well: the next failure is the first.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.due = None;
    }

    /// Something new is there to be sent: the next attempt may be sooner, but not within a second of the last.
    pub fn changed(&mut self, now: Duration) {
        let soonest = now.max(self.failed_at.saturating_add(CHANGE_AFTER));
        self.due = self.due.map(|due| due.min(soonest));
    }

    /// Somebody asked for an attempt at once.
    pub fn retry_now(&mut self, now: Duration) {
        self.due = self.due.map(|due| due.min(now));
    }

    /// When the next attempt is due; `None`: whenever there is something to do.
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether an attempt may be made.
    pub fn is_due(&self, now: Duration) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// How many attempts have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn r81_pauses_double_from_a_fifth_of_a_second_to_the_limit() {
        let mut backoff = Backoff::new(Policy::transient(MAX));
        let longest: Vec<u128> =
            (0..10).map(|_| backoff.failed(milliseconds(0), u32::MAX).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        backoff.succeeded();
        assert_eq!((backoff.due(), backoff.failures()), (None, 0));
        assert_eq!(backoff.failed(milliseconds(5), u32::MAX), milliseconds(205));
    }

    #[test]
    fn r81_a_new_change_shortens_the_pause_to_a_second_and_no_further() {
        let mut backoff = Backoff::new(Policy::transient(MAX));
        (0..9).for_each(|_| _ = backoff.failed(milliseconds(1000), u32::MAX));
        backoff.changed(milliseconds(1001));
        assert_eq!(backoff.due(), Some(milliseconds(2000)));
        // Later than a second after the failure: at once.
        (0..2).for_each(|_| _ = backoff.failed(milliseconds(2000), u32::MAX));
        backoff.changed(milliseconds(9000));
        assert!(backoff.is_due(milliseconds(9000)));
        // A pause that is shorter anyway stays as it is.
        backoff.succeeded();
        backoff.failed(milliseconds(10_000), u32::MAX);
        backoff.changed(milliseconds(10_001));
        assert_eq!(backoff.due(), Some(milliseconds(10_200)));
    }

    #[test]
    fn r81_a_person_may_ask_for_an_attempt_at_once() {
        let mut backoff = Backoff::new(Policy::misconfigured());
        backoff.failed(milliseconds(0), 0);
        assert!(!backoff.is_due(milliseconds(1)));
        backoff.retry_now(milliseconds(1));
        assert!(backoff.is_due(milliseconds(1)));
    }

    #[test]
    fn r82_and_r83_paths_and_misconfigured_targets_have_their_own_pauses() {
        let mut path = Backoff::new(Policy::path());
        let pauses: Vec<u64> =
            (0..8).map(|_| path.failed(milliseconds(0), u32::MAX).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        let mut target = Backoff::new(Policy::transient(MAX));
        target.failed(milliseconds(0), 0);
        target.set_policy(Policy::misconfigured());
        assert_eq!(target.failed(milliseconds(0), 0), Duration::from_secs(270));
        assert_eq!(target.failed(milliseconds(0), u32::MAX), Duration::from_secs(300));
    }

    proptest! {
        #[test]
        fn r81_a_pause_is_never_nothing_and_never_longer_than_the_limit(now in 0_u64..1 << 40, chances in prop::collection::vec(any::<u32>(), 1..80)) {
            let mut backoff = Backoff::new(Policy::transient(MAX));
            for chance in chances {
                let due = backoff.failed(milliseconds(now), chance);
                prop_assert!(due > milliseconds(now) && due <= milliseconds(now) + MAX);
            }
        }
    }
}
