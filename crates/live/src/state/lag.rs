//! How far a target lagged in the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a sample stands for.
const STEP: Duration = Duration::from_secs(30);

/// How many are kept: an hour.
const SAMPLES: usize = 120;

/// The lag of the last hour, the worst of each half minute.
///
/// Nothing has to wake up to keep it: what happened between two calls follows from the calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Lag {
    /// When the change was made that waits longest.
    oldest: Option<Duration>,
    pending: u64,
    /// The newest is the last; it is that of the step `at`.
    samples: VecDeque<LagSample>,
    at: u64,
}

/// The worst of half a minute.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LagSample {
    /// Seconds since the oldest change that had not arrived.
    pub seconds: f64,
    /// Paths that waited.
    pub paths: u64,
}

impl Lag {
    /// What waits from now on.
    pub(super) fn set(&mut self, now: Duration, pending: u64, oldest: Option<Duration>) {
        self.roll(now);
        self.oldest = oldest;
        self.pending = pending;
        self.roll(now);
    }

    /// When the change was made that waits longest.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.oldest
    }

    /// The age of the oldest change that waits, and how many do.
    pub(super) fn current(&self, now: Duration) -> LagSample {
        let age = self.oldest.map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest));
        LagSample { seconds: age.as_secs_f64(), paths: self.pending }
    }

    /// The last hour, the oldest first.
    pub(super) fn history(&mut self, now: Duration) -> Vec<LagSample> {
        self.roll(now);
        self.samples.iter().copied().collect()
    }

    /// Brings the samples up to `now`, with what waited until then.
    fn roll(&mut self, now: Duration) {
        let step = now.as_secs() / STEP.as_secs();
        if self.samples.is_empty() {
            self.samples.push_back(LagSample::default());
            self.at = step;
        }
        // A long time without a call leaves only what still fits.
        self.at = self.at.max(step.saturating_sub(SAMPLES as u64));
        while self.at < step {
            let end = STEP.saturating_mul(u32::try_from(self.at + 1).unwrap_or(u32::MAX));
            self.worsen(self.current(end));
            if self.samples.len() == SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(LagSample::default());
            self.at += 1;
        }
        self.worsen(self.current(now));
    }

    fn worsen(&mut self, seen: LagSample) {
        if let Some(last) = self.samples.back_mut() {
            last.seconds = last.seconds.max(seen.seconds);
            last.paths = last.paths.max(seen.paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_target_that_is_down_lags_more_with_each_sample_without_a_call() {
        let mut lag = Lag::default();
        lag.set(s(10), 3, Some(s(10)));
        assert_eq!(lag.current(s(100)), LagSample { seconds: 90.0, paths: 3 });
        let history = lag.history(s(100));
        assert_eq!(
            history.iter().map(|sample| sample.seconds).collect::<Vec<_>>(),
            [20.0, 50.0, 80.0, 90.0]
        );
        lag.set(s(101), 0, None);
        assert_eq!(lag.history(s(130)).last(), Some(&LagSample { seconds: 0.0, paths: 0 }));
    }

    #[test]
    fn the_history_is_an_hour_even_after_a_day_of_silence() {
        let mut lag = Lag::default();
        lag.set(s(0), 1, Some(s(0)));
        let history = lag.history(s(86_400));
        assert_eq!(history.len(), SAMPLES);
        assert!(history.iter().all(|sample| sample.seconds > 80_000.0));
    }

    proptest! {
        #[test]
        fn no_order_of_calls_grows_it_or_loses_the_worst(
            calls in prop::collection::vec((0_u64..5_000, 0_u64..10, prop::option::of(0_u64..9_000)), 1..40)
        ) {
            let mut lag = Lag::default();
            let mut now = 0;
            for (after, pending, oldest) in calls {
                now += after;
                lag.set(s(now), pending, oldest.map(|oldest| s(oldest.min(now))));
                let history = lag.history(s(now));
                prop_assert!(history.len() <= SAMPLES);
                let last = history.last().copied().unwrap_or_default();
                prop_assert!(last.seconds >= lag.current(s(now)).seconds && last.paths >= pending);
            }
        }
    }
}
