//! Renames that a target may do without content (docs/spec live.md 5.2, R50 to R55).
//!
//! A hint and nothing more: without it, or where it turns out to be wrong, content is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_fs::{RelPath, RelPathBuf};

use crate::mirror::Renamed;

/// A hint that found no use within this time is dropped.
const KEPT: Duration = Duration::from_secs(30);

/// More hints than this are not kept.
const MOST: usize = 10_000;

/// More paths with new content below one are not told apart: all of it is sent as content.
const MOST_WRITTEN: usize = 1000;

/// Something that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: RelPathBuf,
    pub(crate) to: RelPathBuf,
    pub(crate) directory: bool,
    /// What the target does not have below the old name, by its new name.
    pub(crate) written: BTreeSet<RelPathBuf>,
    at: Duration,
}

/// Renames since the last batch, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Moves(Vec<Move>);

impl Moves {
    /// What the target knows by the old name has the new one now.
    pub(crate) fn add(&mut self, now: Duration, renamed: Renamed) {
        let Renamed { from, to, directory, written } = renamed;
        // What had the name before is gone, wherever it came from.
        self.0
            .retain(|earlier| earlier.at + KEPT > now && earlier.from != from && earlier.to != to);
        if from != to && self.0.len() < MOST && written.len() <= MOST_WRITTEN {
            let written = written.into_iter().collect();
            self.0.push(Move { from, to, directory, written, at: now });
        }
    }

    /// Nothing is to be linked at this path or below it.
    pub(crate) fn forget(&mut self, path: RelPath<'_>) {
        self.0.retain(|hint| !hint.to.as_path().starts_with(path));
    }

    /// What the target has at this path, above it or below it is not what was thought.
    pub(crate) fn doubt(&mut self, path: RelPath<'_>) {
        let overlaps = |other: &RelPathBuf| {
            path.starts_with(other.as_path()) || other.as_path().starts_with(path)
        };
        self.0.retain(|hint| !overlaps(&hint.from) && !overlaps(&hint.to));
    }

    /// Content at this path is not what the target has below an old name.
    pub(crate) fn written(&mut self, path: RelPath<'_>) {
        self.0.retain_mut(|hint| {
            if path.starts_with(hint.to.as_path()) {
                hint.written.insert(path.to_owned());
            }
            hint.written.len() <= MOST_WRITTEN
        });
    }

    /// Those whose new name is in the batch, and which do not use each other's names. What is in a batch at an old name,
    /// above or below it changes what is there: nothing can be linked to it after that batch.
    pub(crate) fn take(
        &mut self,
        is_new: impl Fn(&RelPathBuf) -> bool,
        is_touched: impl Fn(&RelPathBuf) -> bool,
    ) -> Vec<Move> {
        let (mut taken, mut kept): (Vec<Move>, Vec<Move>) =
            std::mem::take(&mut self.0).into_iter().partition(|hint| is_new(&hint.to));
        kept.retain(|hint| !is_touched(&hint.from));
        self.0 = kept;
        let mut names: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for name in taken.iter().flat_map(|hint| [&hint.from, &hint.to]) {
            *names.entry(name.as_bytes().to_vec()).or_default() += 1;
        }
        let is_alone = |path: &RelPathBuf| {
            names.get(path.as_bytes()) == Some(&1) && !touches(&names, path, |_, _| true)
        };
        taken.retain(|hint| is_alone(&hint.from) && is_alone(&hint.to));
        taken
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether one of `names` is below `path`, or above it and `reaches` it from there, which is told whether it is the parent.
pub(crate) fn touches<T>(
    names: &BTreeMap<Vec<u8>, T>,
    path: &RelPathBuf,
    reaches: impl Fn(&T, bool) -> bool,
) -> bool {
    let bytes = path.as_bytes();
    // '0' follows '/' in ASCII.
    let below = [bytes, b"/"].concat()..[bytes, b"0"].concat();
    let parent = path.as_path().parent();
    let above = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut above = above.map(|(end, _)| &bytes[..end]).chain([RelPath::ROOT.as_bytes()]);
    names.range(below).next().is_some()
        || above.any(|name| {
            names.get(name).is_some_and(|found| reaches(found, name == parent.as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPathBuf {
        RelPathBuf::clean(text.as_bytes()).unwrap()
    }

    fn renamed(from: &str, to: &str) -> Renamed {
        Renamed { from: path(from), to: path(to), directory: false, written: Vec::new() }
    }

    fn taken(moves: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all = Moves::default();
        for (from, to) in moves {
            all.add(Duration::ZERO, renamed(from, to));
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
        all.add(Duration::ZERO, renamed("a", "b/c"));
        // The new name was left again.
        all.forget(path("b").as_path());
        assert!(all.is_empty());
        all.add(Duration::ZERO, renamed("a", "b"));
        // The old name is removed first: later there is nothing to link to.
        assert!(all.take(|_| false, |_| true).is_empty());
        assert!(all.take(|_| true, |_| false).is_empty());
    }

    #[test]
    fn r52_a_rename_is_forgotten_when_anything_at_above_or_below_its_old_name_is_sent() {
        for touched in ["d", "d/x", "d/x/y"] {
            let mut all = Moves::default();
            all.add(Duration::ZERO, renamed("d/x", "new"));
            let batch = BTreeMap::from([(touched.as_bytes().to_vec(), true)]);
            let is_touched = |path: &RelPathBuf| {
                batch.contains_key(path.as_bytes()) || touches(&batch, path, |found, _| *found)
            };
            assert!(all.take(|_| false, is_touched).is_empty());
            assert!(all.is_empty(), "{touched}");
        }
    }

    #[test]
    fn r55_names_that_are_both_source_and_goal_are_sent_as_content() {
        assert!(taken(&[("log.1", "log.2"), ("log", "log.1")]).is_empty());
        assert!(taken(&[("a", "t"), ("b", "a"), ("t", "b")]).is_empty());
        assert_eq!(taken(&[("a/x", "b/x"), ("c", "d")]).len(), 2);
    }
}
