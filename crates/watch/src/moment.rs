//! When something was last known to be told of in full.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// In nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// A moment by the clock that file systems stamp changes with, which people set, and by one that nobody can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    stamp: Timespec,
    at: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { stamp: clock_gettime(ClockId::RealtimeCoarse), at: Instant::now() }
    }

    /// So much earlier, and a second.
    pub(crate) fn earlier(mut self, by: Duration) -> Self {
        self.stamp.tv_sec -= by.as_secs() as i64 + 1;
        self
    }

    /// The same, if the clock was not set back between then and `now`; else by so much earlier that whatever has been
    /// stamped since counts as later.
    pub(crate) fn as_set_at(self, now: Self) -> Self {
        let nanoseconds =
            |time: Timespec| i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec);
        let passed = now.at.saturating_duration_since(self.at).as_nanos() as i128;
        let back = passed - (nanoseconds(now.stamp) - nanoseconds(self.stamp));
        let stamp = nanoseconds(self.stamp) - back.max(0);
        let (seconds, rest) = (stamp.div_euclid(SECOND), stamp.rem_euclid(SECOND));
        let stamp = Timespec { tv_sec: seconds as i64, tv_nsec: rest as _ };
        Self { stamp, at: self.at }
    }

    pub(crate) fn stamp(self) -> (i64, i64) {
        (self.stamp.tv_sec, self.stamp.tv_nsec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds later by the one clock, and by the other.
    fn later(moment: Moment, by_stamp: i64, by_time: u64) -> Moment {
        let tv_sec = moment.stamp.tv_sec + by_stamp;
        let stamp = Timespec { tv_sec, ..moment.stamp };
        Moment { stamp, at: moment.at + Duration::from_secs(by_time) }
    }

    #[test]
    fn r87_a_clock_that_was_set_back_hides_nothing_that_changed_since() {
        let good = Moment::now();
        // Five seconds pass, and in them the clock goes back a day.
        let now = later(good, 5 - 86_400, 5);
        let stamped = later(good, 1 - 86_400, 1).stamp();
        assert!(stamped < good.stamp());
        assert!(stamped >= good.as_set_at(now).stamp());
    }

    #[test]
    fn r87_a_clock_that_goes_as_it_should_or_forward_moves_nothing() {
        let good = Moment::now();
        for by_stamp in [5, 6, 86_400] {
            assert_eq!(good.as_set_at(later(good, by_stamp, 5)).stamp(), good.stamp());
        }
    }
}
