//! What happened to the tree: notices joined and put in the words of somebody who keeps a copy of it.

use std::collections::HashMap;

use crate::mask::Mask;
use crate::notice::{Entry, Lost, Notice};
use crate::options::RootId;

/// A path below a root; the root itself has an empty path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The root.
    pub root: RootId,
    /// Bytes without a slash at either end.
    pub path: Vec<u8>,
}

/// One change of a tree.
///
/// What appears is told with everything that is in it, parents before children; only fanotify may tell a file a moment before
/// the directory that was moved with it. What vanishes or is renamed takes everything in it along without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was made, moved in, or found.
    Appeared {
        /// Where.
        place: Place,
        /// Whether it is a directory.
        directory: bool,
        /// It is complete: moved in, linked, or found. Otherwise somebody may be about to write to it.
        complete: bool,
    },
    /// Its contents change; the writer has not closed it yet.
    Modified {
        /// Where.
        place: Place,
    },
    /// Somebody who could write to it has closed it.
    Written {
        /// Where.
        place: Place,
    },
    /// Its mode, owner, times or extended attributes changed.
    Attributes {
        /// Where.
        place: Place,
        /// Whether it is a directory.
        directory: bool,
    },
    /// It was removed or moved out.
    Vanished {
        /// Where.
        place: Place,
        /// Whether it is a directory.
        directory: bool,
    },
    /// It has another name. What had that name before is gone.
    Renamed {
        /// Its old name.
        from: Place,
        /// Its new name, in the same root.
        to: Place,
        /// Whether it is a directory.
        directory: bool,
    },
    /// Names in this directory may have come or gone untold: list it again.
    Rescan {
        /// The directory.
        place: Place,
        /// Everything below it is meant, not only its own names.
        deep: bool,
    },
    /// The kernel dropped events.
    Overflow,
    /// A root is not where it was.
    RootLost {
        /// Which.
        root: RootId,
        /// Why.
        reason: Lost,
    },
    /// A lost root is there again; its contents follow.
    RootBack {
        /// Which.
        root: RootId,
    },
    /// A directory could not be watched.
    Unwatched {
        /// Where.
        place: Place,
        /// The kernel's answer.
        errno: i32,
    },
    /// Part of the tree did not fit under the limit on watches and is polled.
    Polled {
        /// The root.
        root: RootId,
        /// Directories without a watch.
        unwatched: u64,
        /// Watches needed in all.
        needed: u64,
        /// The limit.
        limit: u64,
    },
}

/// Turns notices into changes.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The old names of renames whose second half is on its way.
    leaving: HashMap<u32, Place>,
}

impl Joiner {
    /// The change that `notice` completes, if any.
    pub fn join(&mut self, notice: Notice) -> Option<Change> {
        Some(match notice {
            Notice::Entry(entry) => return self.entry(&entry),
            Notice::Overflow => Change::Overflow,
            Notice::Rescan { root, path, deep } => {
                Change::Rescan { place: Place { root, path }, deep }
            }
            Notice::RootLost { root, reason } => Change::RootLost { root, reason },
            Notice::RootBack { root } => Change::RootBack { root },
            Notice::Unwatched { root, path, errno } => {
                Change::Unwatched { place: Place { root, path }, errno }
            }
            Notice::Polled { root, unwatched, needed, limit } => {
                Change::Polled { root, unwatched, needed, limit }
            }
        })
    }

    fn entry(&mut self, entry: &Entry) -> Option<Change> {
        let mask = entry.mask;
        if entry.name.is_empty() && !entry.directory.is_empty() {
            // The parent's watch says the same with a name.
            return None;
        }
        let place = Place { root: entry.root, path: entry.path() };
        let directory = mask.intersects(Mask::IS_DIR);
        let is = |bit| mask.intersects(bit);
        Some(if is(Mask::MOVED_FROM) {
            if entry.paired {
                self.leaving.insert(entry.cookie, place);
                return None;
            }
            Change::Vanished { place, directory }
        } else if is(Mask::MOVED_TO) {
            match self.leaving.remove(&entry.cookie).filter(|_| entry.paired) {
                Some(from) => Change::Renamed { from, to: place, directory },
                None => Change::Appeared { place, directory, complete: true },
            }
        } else if is(Mask::CREATE) {
            Change::Appeared { place, directory, complete: entry.complete }
        } else if is(Mask::DELETE) {
            Change::Vanished { place, directory }
        } else if is(Mask::CLOSE_WRITE) {
            Change::Written { place }
        } else if is(Mask::MODIFY) {
            Change::Modified { place }
        } else if is(Mask::ATTRIB) {
            Change::Attributes { place, directory }
        } else {
            return None;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, mask: Mask, cookie: u32, paired: bool) -> Notice {
        Notice::Entry(Entry {
            root: RootId(0),
            watch: 1,
            directory: b"d".to_vec(),
            name: name.as_bytes().to_vec(),
            mask,
            cookie,
            paired,
            complete: false,
            found: false,
        })
    }

    fn place(path: &str) -> Place {
        Place { root: RootId(0), path: path.as_bytes().to_vec() }
    }

    #[test]
    fn two_halves_with_one_cookie_are_one_rename_whatever_lies_between() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.join(entry("a", Mask::MOVED_FROM, 7, true)), None);
        assert_eq!(
            joiner.join(entry("x", Mask::DELETE, 0, false)),
            Some(Change::Vanished { place: place("d/x"), directory: false })
        );
        assert_eq!(
            joiner.join(entry("b", Mask::MOVED_TO, 7, true)),
            Some(Change::Renamed { from: place("d/a"), to: place("d/b"), directory: false })
        );
    }

    #[test]
    fn half_a_rename_is_a_coming_or_a_going() {
        let mut joiner = Joiner::default();
        assert_eq!(
            joiner.join(entry("a", Mask::MOVED_FROM | Mask::IS_DIR, 7, false)),
            Some(Change::Vanished { place: place("d/a"), directory: true })
        );
        assert_eq!(
            joiner.join(entry("b", Mask::MOVED_TO, 8, false)),
            Some(Change::Appeared { place: place("d/b"), directory: false, complete: true })
        );
    }
}
