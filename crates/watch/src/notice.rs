//! What a watcher saw, in the kernel's own terms.

use crate::mask::Mask;
use crate::options::RootId;

/// One thing a watcher has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened to an entry of a watched directory, or to a watched object itself.
    Entry(Entry),
    /// The kernel dropped events. What was lost follows as entries when rescans were asked for.
    Overflow,
    /// Names below this directory may have come or gone without an entry of their own: list it again.
    Rescan {
        /// The root.
        root: RootId,
        /// The directory below it; empty for the root itself.
        path: Vec<u8>,
        /// Everything below it is meant, not only its own names.
        deep: bool,
    },
    /// A root is not where it was.
    RootLost {
        /// The root.
        root: RootId,
        /// Why.
        reason: Lost,
    },
    /// A lost root is there again and watched; its contents follow as entries.
    RootBack {
        /// The root.
        root: RootId,
    },
    /// A directory that appeared could not be watched.
    Unwatched {
        /// The root.
        root: RootId,
        /// The directory below it.
        path: Vec<u8>,
        /// The kernel's answer.
        errno: i32,
    },
    /// Part of the tree did not fit under the limit on watches and is polled.
    Polled {
        /// The root.
        root: RootId,
        /// Directories polled for want of a watch.
        unwatched: u64,
        /// Watches that this watcher would need in all.
        needed: u64,
        /// The limit on watches.
        limit: u64,
    },
}

/// Why a root was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// It was deleted.
    Deleted,
    /// It, or a directory above it, was renamed.
    Moved,
    /// Its file system was unmounted.
    Unmounted,
}

/// An event on one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The root.
    pub root: RootId,
    /// The number of the watch that saw it, never used twice; in the order in which watches were made.
    pub watch: i64,
    /// The watched directory below the root, without slashes at its ends; empty for the root itself.
    pub directory: Vec<u8>,
    /// The name in that directory; empty when the watched object itself is meant.
    pub name: Vec<u8>,
    /// What happened.
    pub mask: Mask,
    /// Joins the halves of a rename; 0 otherwise.
    pub cookie: u32,
    /// Both halves of the rename are seen by this watcher, and what was below the old name is now below the new one.
    pub paired: bool,
    /// Nobody is going to close what was created: it was found, or is a directory, a link or a special file.
    pub complete: bool,
    /// The watcher found it by looking instead of being told by the kernel.
    pub found: bool,
}

impl Entry {
    /// The path below the root; empty when the root itself is meant.
    pub fn path(&self) -> Vec<u8> {
        join(&self.directory, &self.name)
    }
}

/// `directory/name`, without a slash when either is empty.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + name.len() + 1);
    path.extend_from_slice(directory);
    if !directory.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
