//! What a caller asks of a watcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::mask::Mask;

/// Which root something belongs to: the number of [`add`](crate::Watcher::add) calls before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootId(pub u32);

/// Where events come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// fanotify where this process may use it and the file system supports it, else inotify.
    #[default]
    Auto,
    /// One watch for each directory; works for everybody.
    Inotify,
    /// One mark for a whole file system; needs root.
    Fanotify,
}

/// What to do when the tree has more directories than may be watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// Report [`Error::WatchLimit`](crate::Error::WatchLimit).
    #[default]
    Fail,
    /// Watch what fits and look at the rest at this interval.
    Poll(Duration),
}

/// Decides what is left out.
pub trait Exclude: Send + Sync {
    /// Whether nothing is to be told about this path.
    fn hides(&self, root: RootId, path: &[u8], directory: bool) -> bool;

    /// Whether this directory is not to be entered. `fresh` says that it appeared after its root was added.
    fn prunes(&self, root: RootId, directory: &[u8], fresh: bool) -> bool {
        let _ = fresh;
        self.hides(root, directory, true)
    }
}

/// How a watcher works. The default suits a mirror: changes only, new directories followed, roots watched by name.
#[derive(Clone)]
pub struct Options {
    /// Where events come from.
    pub backend: Backend,
    /// What to tell.
    pub mask: Mask,
    /// Watch directories that appear later.
    pub grow: bool,
    /// Tell what is already in a directory that appears.
    pub report_found: bool,
    /// After an overflow, look at everything and tell the differences.
    pub rescan: bool,
    /// Remember the names of all files, so that a rescan can also tell which are gone. Costs about 15 bytes a file with inotify,
    /// and with fanotify about 60 bytes a name and a look at the whole tree when a root is added.
    pub remember_names: bool,
    /// A root is a name: a file stays watched when it is replaced, and a root that leaves its name is lost.
    /// Otherwise a root is whatever had that name when it was added.
    pub by_name: bool,
    /// Watch a lost root again when something on the same file system has its name.
    pub reattach: bool,
    /// Enter symbolic links to directories; inotify only.
    pub follow_links: bool,
    /// Watch a root that is a symbolic link itself instead of what it points to, unless that is a directory with everything
    /// below it.
    pub watch_links: bool,
    /// What to do when watches run out.
    pub on_limit: OnLimit,
    /// Ask of each file that is created whether it is complete already: a link or a special file, which nobody closes.
    pub inspect_created: bool,
    /// How long to wait for the second half of a rename.
    pub pairing: Duration,
    /// What to leave out.
    pub exclude: Option<Arc<dyn Exclude>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            mask: Mask::MODIFY
                | Mask::ATTRIB
                | Mask::CLOSE_WRITE
                | Mask::MOVE
                | Mask::CREATE
                | Mask::DELETE
                | Mask::EXCLUDE_UNLINKED,
            grow: true,
            report_found: true,
            rescan: true,
            remember_names: false,
            by_name: true,
            reattach: false,
            follow_links: false,
            watch_links: false,
            on_limit: OnLimit::Fail,
            inspect_created: true,
            pairing: Duration::from_millis(10),
            exclude: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("backend", &self.backend)
            .field("mask", &self.mask)
            .finish_non_exhaustive()
    }
}

/// A path to watch.
#[derive(Clone, Debug)]
pub struct Root {
    pub(crate) path: PathBuf,
    pub(crate) recursive: bool,
}

impl Root {
    /// A file, or a directory with everything below it.
    pub fn tree(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), recursive: true }
    }

    /// A file, or a directory without what is below its subdirectories.
    pub fn single(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), recursive: false }
    }
}
