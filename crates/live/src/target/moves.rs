//! Renames that a target may do without content (docs/spec live.md 5.2, R50 to R55).
//!
//! A hint and nothing more: without it, or where it turns out to be wrong, content is sent.

use std::time::Duration;

use syncline_fs::{RelPath, RelPathBuf};

/// A hint that found no use within this time is dropped.
const KEPT: Duration = Duration::from_secs(30);

/// More hints than this are not kept.
const MOST: usize = 10_000;

/// Something that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: RelPathBuf,
    pub(crate) to: RelPathBuf,
    pub(crate) directory: bool,
    at: Duration,
}

/// Renames since the last batch, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Moves(Vec<Move>);

impl Moves {
    /// What the target knows as `from` is called `to` now.
    pub(crate) fn add(&mut self, now: Duration, from: RelPathBuf, to: RelPathBuf, directory: bool) {
        // What had the name before is gone, wherever it came from.
        self.0
            .retain(|earlier| earlier.at + KEPT > now && earlier.from != from && earlier.to != to);
        if from != to && self.0.len() < MOST {
            self.0.push(Move { from, to, directory, at: now });
        }
    }

    /// Nothing is to be linked at this path or below it.
    pub(crate) fn forget(&mut self, path: RelPath<'_>) {
        self.0.retain(|hint| !hint.to.as_path().starts_with(path));
    }

    /// Those whose new name is in the batch, and which do not use each other's names. An old name that is in a batch is
    /// gone after it: nothing can be linked to it then.
    pub(crate) fn take(
        &mut self,
        is_new: impl Fn(&RelPathBuf) -> bool,
        is_old: impl Fn(&RelPathBuf) -> bool,
    ) -> Vec<Move> {
        let (mut taken, mut kept): (Vec<Move>, Vec<Move>) =
            std::mem::take(&mut self.0).into_iter().partition(|hint| is_new(&hint.to));
        kept.retain(|hint| !is_old(&hint.from));
        self.0 = kept;
        let overlaps = |one: &RelPathBuf, other: &RelPathBuf| {
            one.as_path().starts_with(other.as_path()) || other.as_path().starts_with(one.as_path())
        };
        let all = taken.clone();
        taken.retain(|hint| {
            all.iter().filter(|other| *other != hint).all(|other| {
                !overlaps(&hint.to, &other.from)
                    && !overlaps(&hint.from, &other.to)
                    && !overlaps(&hint.to, &other.to)
                    && !overlaps(&hint.from, &other.from)
            })
        });
        taken
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPathBuf {
        RelPathBuf::clean(text.as_bytes()).unwrap()
    }

    fn taken(moves: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all = Moves::default();
        for (from, to) in moves {
            all.add(Duration::ZERO, path(from), path(to), false);
        }
        let text = |path: &RelPathBuf| String::from_utf8_lossy(path.as_bytes()).into_owned();
        all.take(|_| true, |_| false)
            .iter()
            .map(|hint| (text(&hint.from), text(&hint.to)))
            .collect()
    }

    #[test]
    fn r55_of_a_chain_only_the_ends_count() {
        assert_eq!(taken(&[("a", "b"), ("a", "c")]), [("a".into(), "c".into())]);
        assert!(taken(&[("a", "b"), ("b", "a")]).is_empty());
        let mut all = Moves::default();
        all.add(Duration::ZERO, path("a"), path("b/c"), false);
        // The new name was left again.
        all.forget(path("b").as_path());
        assert!(all.is_empty());
        all.add(Duration::ZERO, path("a"), path("b"), false);
        // The old name is removed first: later there is nothing to link to.
        assert!(all.take(|_| false, |_| true).is_empty());
        assert!(all.take(|_| true, |_| false).is_empty());
    }

    #[test]
    fn r55_names_that_are_both_source_and_goal_are_sent_as_content() {
        assert!(taken(&[("log.1", "log.2"), ("log", "log.1")]).is_empty());
        assert!(taken(&[("a", "t"), ("b", "a"), ("t", "b")]).is_empty());
        assert_eq!(taken(&[("a/x", "b/x"), ("c", "d")]).len(), 2);
    }
}
