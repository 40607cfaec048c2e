//! Durations in classes, as Prometheus wants them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper bounds of the classes in seconds; what is longer is in none of them, only in the count.
pub const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// How long something took, each time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Histogram {
    /// For each of [`BOUNDS`], how many took at most so long.
    pub at_most: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// How long all took together, in seconds.
    pub sum: f64,
}

impl Histogram {
    pub(super) fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        for (class, bound) in self.at_most.iter_mut().zip(BOUNDS) {
            *class += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// The smallest bound that holds this part of all, if one does.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = part * self.count as f64;
        let found = self.at_most.iter().zip(BOUNDS).find(|(count, _)| **count as f64 >= wanted);
        found.map(|(_, bound)| bound).filter(|_| self.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_all_that_is_not_longer() {
        let mut histogram = Histogram::default();
        for milliseconds in [1, 4, 4, 700_000] {
            histogram.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(histogram.at_most[..3], [1, 1, 3]);
        assert_eq!((histogram.at_most[13], histogram.count), (3, 4));
        assert_eq!((histogram.quantile(0.5), histogram.quantile(1.0)), (Some(0.005), None));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
