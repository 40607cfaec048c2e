//! From what has settled to what the queues are told (R42 to R44, R52).
//!
//! Pure but for the queues: what is there now is looked up when a list is made.

use std::collections::{HashMap, HashSet};

use syncline_fs::{RelPath, RelPathBuf};
use syncline_watch::settle::Settled;
use syncline_watch::{Change, Place};

use crate::queue::{Look, Todo};

/// Remembers what settling forgets: whose content changed, and what names were given up.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    /// Files whose content changed since they were told last.
    written: HashSet<Vec<u8>>,
    /// Names that something left since they were told last.
    left: HashSet<Vec<u8>>,
    /// Names that appeared since, which no target knows, and the name by which it knows what has them.
    fresh: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// What a source that is a single file is called.
    single: Option<RelPathBuf>,
    /// What goes is removed.
    removes: bool,
}

impl Planner {
    pub(crate) fn new(single: Option<RelPathBuf>, removes: bool) -> Self {
        Self { single, removes, ..Self::default() }
    }

    /// Takes a change in before it settles; a rename that may be done without content.
    pub(crate) fn note(&mut self, change: &Change) -> Option<(RelPathBuf, RelPathBuf, bool)> {
        match change {
            Change::Appeared { place, directory, .. } => {
                self.fresh.insert(place.path.clone(), None);
                if !directory {
                    self.written.insert(place.path.clone());
                }
            }
            Change::Modified { place } | Change::Written { place } => {
                self.written.insert(place.path.clone());
            }
            Change::Vanished { place, .. } => {
                self.left.insert(place.path.clone());
                self.fresh.remove(&place.path);
            }
            Change::Renamed { from, to, directory } => {
                if self.written.remove(&from.path) {
                    self.written.insert(to.path.clone());
                }
                let origin = self.origin(&from.path);
                let occupied = self.left.contains(&to.path) || self.left.contains(&from.path);
                self.left.insert(from.path.clone());
                self.fresh.insert(to.path.clone(), origin.clone());
                if let (false, true, Some(origin)) = (occupied, self.removes, origin) {
                    let from = self.path(&Place { root: from.root, path: origin })?;
                    return Some((from, self.path(to)?, *directory))
                        .filter(|(from, to, _)| from != to);
                }
            }
            _ => {}
        }
        None
    }

    /// The name by which targets know what is called `path`, if they do.
    fn origin(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let above =
            memchr::memchr_iter(b'/', path).any(|end| self.fresh.contains_key(&path[..end]));
        match self.fresh.remove(path) {
            Some(origin) => origin,
            None if above => None,
            None => Some(path.to_vec()),
        }
    }

    /// What is to be done about something that has settled.
    pub(crate) fn plan(&mut self, settled: &Settled) -> Option<(RelPathBuf, Todo)> {
        let place = settled.place();
        let path = self.path(place)?;
        let written = self.written.remove(&place.path);
        self.left.remove(&place.path);
        self.fresh.remove(&place.path);
        let todo = match settled {
            Settled::Removed { .. } if self.removes => Todo::Remove,
            Settled::Removed { .. } => return None,
            Settled::Changed { directory: false, .. } if written => Todo::changed(),
            Settled::Changed { directory: true, whole: true, .. } => {
                let Todo::Look(look) = Todo::tree() else { return None };
                Todo::Look(Look { below_content: true, ..look })
            }
            Settled::Changed { .. } => Todo::attributes(),
            Settled::Rescan { deep: true, .. } => Todo::tree(),
            Settled::Rescan { .. } => Todo::names(),
        };
        Some((path, todo))
    }

    /// Nothing waits to settle any more.
    pub(crate) fn settled(&mut self) {
        self.written.clear();
        self.left.clear();
        self.fresh.clear();
    }

    fn path(&self, place: &Place) -> Option<RelPathBuf> {
        match (&self.single, &place.path[..]) {
            (Some(single), b"") => Some(single.clone()),
            (Some(_), _) => None,
            (None, b"") => Some(RelPathBuf::root()),
            (None, path) => RelPath::new(path).ok().map(RelPath::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline_watch::RootId;

    use super::*;

    fn place(path: &str) -> Place {
        Place { root: RootId(0), path: path.as_bytes().to_vec() }
    }

    fn changed(path: &str) -> Settled {
        Settled::Changed { place: place(path), directory: false, whole: false }
    }

    #[test]
    fn r44_content_is_forced_and_attributes_are_not() {
        let mut planner = Planner::new(None, true);
        planner.note(&Change::Attributes { place: place("a"), directory: false });
        assert_eq!(planner.plan(&changed("a")).unwrap().1, Todo::attributes());
        planner.note(&Change::Written { place: place("a") });
        assert_eq!(planner.plan(&changed("a")).unwrap().1, Todo::changed());
        // Content that was written under another name.
        planner.note(&Change::Written { place: place("t") });
        planner.note(&Change::Renamed { from: place("t"), to: place("a"), directory: false });
        assert_eq!(planner.plan(&changed("a")).unwrap().1, Todo::changed());
    }

    #[test]
    fn r52_a_name_that_was_left_before_is_no_goal_for_links() {
        let mut planner = Planner::new(None, true);
        let rename =
            |from, to| Change::Renamed { from: place(from), to: place(to), directory: true };
        assert!(planner.note(&rename("a", "b")).is_some());
        planner.note(&Change::Vanished { place: place("d"), directory: true });
        assert!(planner.note(&rename("e", "d")).is_none());
    }

    #[test]
    fn r52_r55_what_no_target_has_is_not_linked_and_of_chains_the_ends_count() {
        let mut planner = Planner::new(None, true);
        let mut rename = |from, to| {
            let change = Change::Renamed { from: place(from), to: place(to), directory: false };
            let text = |path: RelPathBuf| String::from_utf8_lossy(path.as_bytes()).into_owned();
            planner.note(&change).map(|(from, to, _)| (text(from), text(to)))
        };
        assert_eq!(rename("a", "b"), Some(("a".into(), "b".into())));
        assert_eq!(rename("b", "c"), Some(("a".into(), "c".into())));
        let mut planner = Planner::new(None, true);
        planner.note(&Change::Appeared { place: place("d"), directory: true, complete: true });
        for from in ["d/x", "d"] {
            let change = Change::Renamed { from: place(from), to: place("e"), directory: false };
            assert!(planner.note(&change).is_none());
        }
    }

    #[test]
    fn r15_a_single_file_has_its_own_name() {
        let single = RelPathBuf::clean(b"file").unwrap();
        let mut planner = Planner::new(Some(single.clone()), true);
        planner.note(&Change::Written { place: place("") });
        assert_eq!(planner.plan(&changed("")), Some((single, Todo::changed())));
    }

    #[test]
    fn r23_nothing_is_removed_where_deletion_is_off() {
        let mut planner = Planner::new(None, false);
        let gone = Settled::Removed { place: place("a"), directory: false };
        assert_eq!(planner.plan(&gone), None);
    }
}
