//! From what has settled to what the queues are told (R42 to R44, R52).
//!
//! Pure but for the queues: what is there now is looked up when a list is made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use syncline_fs::{RelPath, RelPathBuf};
use syncline_watch::settle::{Settled, Settler};
use syncline_watch::{Change, Place};

use crate::queue::Todo;

/// Names that nothing waits for any more are dropped when there are this many beyond those that wait.
const SPARE: usize = 4096;

/// A rename that may be done without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    /// The name by which targets know it.
    pub(crate) from: RelPathBuf,
    pub(crate) to: RelPathBuf,
    pub(crate) directory: bool,
    /// What of it has other content than targets know, by its new name.
    pub(crate) written: Vec<RelPathBuf>,
}

/// Remembers what settling forgets: whose content changed, and what names were given up.
///
/// A name is in one of the sets only while something waits at it or above it, or a few more do.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    /// Files whose content changed since they were told last.
    written: BTreeSet<Vec<u8>>,
    /// Names by which something was done to a file since they were told last: other names of it show that as well.
    edited: BTreeSet<Vec<u8>>,
    /// Names that something left since they were told last.
    left: BTreeSet<Vec<u8>>,
    /// Names that appeared since, which no target knows, and the name by which it knows what has them.
    fresh: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Something happened that nobody told: no rename is what it seems until all has settled.
    doubt: bool,
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
    pub(crate) fn note(&mut self, change: &Change) -> Option<Renamed> {
        match change {
            Change::Appeared { place, directory, .. } => {
                self.fresh.insert(place.path.clone(), None);
                if !directory {
                    self.written.insert(place.path.clone());
                }
            }
            Change::Modified { place } | Change::Written { place } => {
                self.written.insert(place.path.clone());
                self.edited.insert(place.path.clone());
            }
            Change::Vanished { place, .. } => {
                self.forget(&place.path);
                self.left.insert(place.path.clone());
            }
            // What a look at everything finds to have other attributes may have other content as well.
            Change::Attributes { place, directory: false } => {
                if self.doubt {
                    self.written.insert(place.path.clone());
                }
                self.edited.insert(place.path.clone());
            }
            Change::Renamed { from, to, directory } => return self.renamed(from, to, *directory),
            Change::Overflow | Change::Rescan { .. } | Change::RootBack { .. } => self.doubt = true,
            _ => {}
        }
        None
    }

    fn renamed(&mut self, from: &Place, to: &Place, directory: bool) -> Option<Renamed> {
        let origin = self.origin(&from.path);
        let inside = self.written.range::<Vec<u8>, _>(below(&from.path));
        let mut written: Vec<Vec<u8>> =
            inside.map(|path| [&to.path[..], &path[from.path.len()..]].concat()).collect();
        if self.written.contains(&from.path) {
            written.push(to.path.clone());
        }
        let edited = self.edited.iter().filter_map(|path| {
            let inside = path.strip_prefix(&from.path[..])?;
            (inside.is_empty() || inside[0] == b'/').then(|| [&to.path[..], inside].concat())
        });
        let edited: Vec<Vec<u8>> = edited.collect();
        // Something that has not been told may still be there where it goes.
        let occupied = |path: &[u8]| {
            self.left.contains(path) || self.left.range::<Vec<u8>, _>(below(path)).next().is_some()
        };
        let occupied = self.doubt || occupied(&to.path) || self.left.contains(&from.path);
        // A target that was told that the name was left has nothing there.
        let origin = origin.filter(|origin| *origin == from.path || self.left.contains(origin));
        self.forget(&from.path);
        self.forget(&to.path);
        self.left.insert(from.path.clone());
        self.fresh.insert(to.path.clone(), origin.clone());
        self.written.extend(written.iter().cloned());
        self.edited.extend(edited);
        if !directory {
            // Whatever had the name before had other content.
            self.written.insert(to.path.clone());
        }
        if occupied || !self.removes {
            return None;
        }
        let path = |path: Vec<u8>| self.path(&Place { root: from.root, path });
        let renamed = Renamed {
            from: path(origin?)?,
            to: path(to.path.clone())?,
            directory,
            written: written.into_iter().map(path).collect::<Option<_>>()?,
        };
        (renamed.from != renamed.to).then_some(renamed)
    }

    /// The name by which targets know what is called `path`, if they do.
    fn origin(&self, path: &[u8]) -> Option<Vec<u8>> {
        let above =
            memchr::memchr_iter(b'/', path).any(|end| self.fresh.contains_key(&path[..end]));
        match self.fresh.get(path) {
            Some(origin) => origin.clone(),
            None if above => None,
            None => Some(path.to_vec()),
        }
    }

    /// What had this name, and what was below it, is not there any more.
    fn forget(&mut self, path: &[u8]) {
        self.written.remove(path);
        self.edited.remove(path);
        self.fresh.remove(path);
        remove_below(&mut self.written, path);
        remove_below(&mut self.edited, path);
        let fresh = self.fresh.range::<Vec<u8>, _>(below(path));
        let fresh: Vec<Vec<u8>> = fresh.map(|(path, _)| path.clone()).collect();
        for path in fresh {
            self.fresh.remove(&path);
        }
    }

    /// The names by which something was done to files that have settled, with what [`plan`](Self::plan) is about to say.
    pub(crate) fn edited(&self, settled: &Settled) -> Vec<(RelPathBuf, Todo)> {
        if self.single.is_some() || self.edited.is_empty() {
            return Vec::new();
        }
        let place = settled.place();
        let inside = match settled {
            Settled::Removed { .. } | Settled::Changed { whole: false, .. } => None,
            _ => Some(self.edited.range::<Vec<u8>, _>(below(&place.path))),
        };
        let paths = self.edited.get(&place.path).into_iter().chain(inside.into_iter().flatten());
        let todo = |path: &Vec<u8>| {
            if self.written.contains(path) { Todo::changed() } else { Todo::attributes() }
        };
        let clean = |path: &Vec<u8>| Some((RelPathBuf::clean(path).ok()?, todo(path)));
        paths.filter_map(clean).collect()
    }

    /// What is to be done about something that has settled.
    pub(crate) fn plan(&mut self, settled: &Settled) -> Option<(RelPathBuf, Todo)> {
        let place = settled.place();
        let path = self.path(place)?;
        let written = self.written.contains(&place.path);
        let todo = match settled {
            Settled::Removed { .. } if self.removes => Some(Todo::Remove),
            Settled::Removed { .. } => None,
            Settled::Changed { directory: false, .. } if written => Some(Todo::changed()),
            Settled::Changed { directory: true, whole: true, .. } => Some(Todo::anything()),
            Settled::Changed { .. } => Some(Todo::attributes()),
            Settled::Rescan { deep: true, .. } => {
                let mut below = self.written.range::<Vec<u8>, _>(below(&place.path));
                Some(if below.next().is_some() { Todo::anything() } else { Todo::tree() })
            }
            Settled::Rescan { .. } => Some(Todo::names()),
        };
        let is_all = match settled {
            Settled::Removed { .. } => true,
            Settled::Changed { whole, .. } => *whole,
            Settled::Rescan { deep, .. } => *deep,
        };
        if is_all {
            self.forget(&place.path);
            remove_below(&mut self.left, &place.path);
        }
        self.written.remove(&place.path);
        self.edited.remove(&place.path);
        self.left.remove(&place.path);
        self.fresh.remove(&place.path);
        Some((path, todo?))
    }

    /// Drops what nothing waits for any more.
    pub(crate) fn settled(&mut self, settler: &Settler) {
        if settler.is_empty() {
            self.written.clear();
            self.edited.clear();
            self.left.clear();
            self.fresh.clear();
            self.doubt = false;
            return;
        }
        let most = 2 * settler.len() + SPARE;
        if self.written.len().max(self.left.len()).max(self.fresh.len()) > most {
            self.written.retain(|path| settler.waits_for(path));
            self.edited.retain(|path| settler.waits_for(path));
            self.left.retain(|path| settler.waits_for(path));
            self.fresh.retain(|path, _| settler.waits_for(path));
        }
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

/// All paths strictly below one.
fn below(path: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    if path.is_empty() {
        return (Bound::Excluded(Vec::new()), Bound::Unbounded);
    }
    // '0' follows '/' in ASCII.
    (Bound::Excluded([path, b"/"].concat()), Bound::Excluded([path, b"0"].concat()))
}

fn remove_below(paths: &mut BTreeSet<Vec<u8>>, path: &[u8]) {
    let inside: Vec<Vec<u8>> = paths.range::<Vec<u8>, _>(below(path)).cloned().collect();
    for path in inside {
        paths.remove(&path);
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
            planner.note(&change).map(|renamed| (text(renamed.from), text(renamed.to)))
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

    fn rename(planner: &mut Planner, from: &str, to: &str) -> Option<Renamed> {
        planner.note(&Change::Renamed { from: place(from), to: place(to), directory: false })
    }

    fn gone(path: &str) -> Settled {
        Settled::Removed { place: place(path), directory: false }
    }

    #[test]
    fn r52_a_name_that_was_told_to_be_left_is_where_no_target_has_anything() {
        let mut planner = Planner::new(None, true);
        assert!(rename(&mut planner, "a", "b").is_some());
        // Something else has the name, and is told before what had it before comes to rest.
        planner.note(&Change::Appeared { place: place("a"), directory: false, complete: true });
        assert_eq!(planner.plan(&changed("a")).unwrap().1, Todo::changed());
        assert_eq!(rename(&mut planner, "b", "c"), None);
        let mut planner = Planner::new(None, true);
        rename(&mut planner, "a", "b");
        planner.plan(&gone("a"));
        assert_eq!(rename(&mut planner, "b", "c"), None);
    }

    #[test]
    fn r55_where_something_went_untold_nothing_is_linked() {
        let mut planner = Planner::new(None, true);
        planner.note(&Change::Vanished { place: place("e/f"), directory: false });
        let onto = Change::Renamed { from: place("d"), to: place("e"), directory: true };
        assert_eq!(planner.note(&onto), None);
        planner.note(&Change::Overflow);
        assert_eq!(rename(&mut planner, "x", "y"), None);
    }

    #[test]
    fn r53_content_that_is_new_below_a_renamed_directory_is_named() {
        let mut planner = Planner::new(None, true);
        planner.note(&Change::Written { place: place("d/sub/x") });
        let renamed =
            planner.note(&Change::Renamed { from: place("d"), to: place("e"), directory: true });
        let written: Vec<RelPathBuf> = renamed.unwrap().written;
        assert_eq!(written, [RelPathBuf::clean(b"e/sub/x").unwrap()]);
        // What has a name that something else had is other content, written or not.
        rename(&mut planner, "a", "b");
        assert_eq!(planner.plan(&changed("b")).unwrap().1, Todo::changed());
    }

    #[test]
    fn names_that_nothing_waits_for_are_dropped() {
        use std::time::Duration;

        use syncline_watch::settle::Rules;

        let (mut planner, mut settler) = (Planner::new(None, true), Settler::new(Rules::default()));
        let waits = Change::Written { place: place("waits") };
        planner.note(&waits);
        settler.feed(Duration::ZERO, &waits);
        for number in 0..3 * SPARE {
            let place = place(&format!("temporary{number}"));
            let came = Change::Appeared { place: place.clone(), directory: false, complete: false };
            for change in [came, Change::Vanished { place, directory: false }] {
                planner.note(&change);
                settler.feed(Duration::ZERO, &change);
            }
            planner.settled(&settler);
        }
        assert!(planner.left.len() <= 2 * SPARE, "{}", planner.left.len());
        assert!(planner.written.contains(b"waits".as_slice()));
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
