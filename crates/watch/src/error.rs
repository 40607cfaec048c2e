//! What can go wrong, and on what.

use std::path::PathBuf;

use rustix::io::Errno;

/// Why a watcher could not be made or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No inotify instance could be opened.
    #[error("cannot open inotify: {0}")]
    Inotify(#[source] Errno),
    /// fanotify was asked for and is not to be had.
    #[error("cannot use fanotify on {path}: {errno}", path = path.display())]
    Fanotify {
        /// The root that was to be watched.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A root could not be watched.
    #[error("cannot watch {path}: {errno}", path = path.display())]
    Watch {
        /// The root, or the directory below it that failed.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// The tree has more directories than this user may watch.
    #[error(
        "cannot watch {path}: it has {needed} directories and the limit on watches is {limit}; \
         raise it with: sysctl fs.inotify.max_user_watches={wanted}",
        path = path.display(),
        wanted = wanted_limit(*needed, *limit)
    )]
    WatchLimit {
        /// The root that does not fit.
        path: PathBuf,
        /// Directories in all roots up to this one.
        needed: u64,
        /// The present limit.
        limit: u64,
    },
    /// Reading the event queue failed.
    #[error("cannot read events: {0}")]
    Read(#[source] Errno),
    /// Waiting for events failed.
    #[error("cannot wait for events: {0}")]
    Wait(#[source] Errno),
}

impl Error {
    /// The kernel's answer behind the error.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Inotify(errno)
            | Self::Fanotify { errno, .. }
            | Self::Watch { errno, .. }
            | Self::Read(errno)
            | Self::Wait(errno) => *errno,
            Self::WatchLimit { .. } => Errno::NOSPC,
        }
    }
}

/// A limit that leaves room for the tree to grow, and for the other programs of the user.
fn wanted_limit(needed: u64, limit: u64) -> u64 {
    (needed * 3 / 2).max(limit + needed).next_power_of_two()
}
