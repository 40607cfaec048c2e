use std::fmt;

use rustix::io::Errno;

/// What went wrong in the file system, with what was tried on which name.
///
/// Paths are as the caller gave them: relative to the [`Root`](crate::Root) for confined names, the operator's own
/// text for operator paths. A program that prints full names puts its root in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call was refused.
    #[error("{op} \"{}\" failed: {}", Lossy(path), Reason(*errno))]
    Io {
        /// What was tried.
        op: Op,
        /// On which name.
        path: Box<[u8]>,
        /// What the system said.
        errno: Errno,
    },
    /// A source file ended before the length it had when it was opened.
    #[error("\"{}\" shrank while it was read: {found} of {expected} bytes", Lossy(path))]
    Shrank {
        /// The file.
        path: Box<[u8]>,
        /// Its length when it was opened.
        expected: u64,
        /// How much of it could be read.
        found: u64,
    },
    /// A regular file was wanted, and something else was there.
    #[error("\"{}\" is a {kind}, not a regular file", Lossy(path))]
    NotRegular {
        /// The object.
        path: Box<[u8]>,
        /// What it is.
        kind: crate::Kind,
    },
    /// An extended attribute that is stored by us is not in the form we store.
    #[error("corrupt {attribute} xattr attached to \"{}\"", Lossy(path))]
    Corrupt {
        /// The object.
        path: Box<[u8]>,
        /// The attribute's name.
        attribute: &'static str,
    },
    /// The process is shutting down: no new temporary file may be made.
    #[error("no temporary file for \"{}\": clean-up has begun", Lossy(path))]
    ShuttingDown {
        /// The file to be written.
        path: Box<[u8]>,
    },
}

/// The outcome of an operation on the file system.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The system's error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// What was tried, if a system call failed.
    pub fn op(&self) -> Option<Op> {
        match self {
            Self::Io { op, .. } => Some(*op),
            _ => None,
        }
    }

    /// The name it was tried on.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Io { path, .. }
            | Self::Shrank { path, .. }
            | Self::NotRegular { path, .. }
            | Self::Corrupt { path, .. }
            | Self::ShuttingDown { path } => path,
        }
    }

    /// The reason as stock prints it: `No space left on device (28)`.
    pub fn reason(&self) -> String {
        match self {
            Self::Io { errno, .. } => Reason(*errno).to_string(),
            other => other.to_string(),
        }
    }

    /// Nothing of that name is there.
    pub fn is_missing(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// The disk, the quota or the file-size limit is exhausted.
    pub fn is_full(&self) -> bool {
        matches!(self.errno(), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
    }

    /// The two names lie on different file systems.
    pub fn is_cross_device(&self) -> bool {
        self.errno() == Some(Errno::XDEV)
    }

    /// The same failure, told of `name`.
    pub(crate) fn on(mut self, name: crate::RelPath<'_>) -> Self {
        match &mut self {
            Self::Io { path, .. }
            | Self::Shrank { path, .. }
            | Self::NotRegular { path, .. }
            | Self::Corrupt { path, .. }
            | Self::ShuttingDown { path } => *path = name.as_bytes().into(),
        }
        self
    }

    /// A failure that the caller has found out by itself.
    pub fn new(op: Op, path: &[u8], errno: impl Into<Errno>) -> Self {
        Self::Io { op, path: path.into(), errno: errno.into() }
    }

    pub(crate) fn from_io(op: Op, path: &[u8], error: &std::io::Error) -> Self {
        Self::new(op, path, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

/// Turns a failure of a system call into our error.
pub(crate) trait Context<T> {
    fn context(self, op: Op, path: &[u8]) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, op: Op, path: &[u8]) -> Result<T> {
        self.map_err(|errno| Error::new(op, path, errno))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, op: Op, path: &[u8]) -> Result<T> {
        self.map_err(|error| Error::from_io(op, path, &error))
    }
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Entering a directory.
    ChangeDirectory,
    /// Looking at an object.
    Stat,
    /// Opening a file.
    Open,
    /// Opening a directory to list it.
    OpenDirectory,
    /// Listing a directory.
    ReadDirectory,
    /// Reading a symbolic link.
    ReadLink,
    /// Reading data.
    Read,
    /// Creating a temporary file.
    MakeTemporary,
    /// Writing data.
    Write,
    /// Changing a file's length.
    Truncate,
    /// Reserving space.
    Allocate,
    /// Flushing to disk.
    Sync,
    /// Closing a file that was written.
    Close,
    /// Creating a directory.
    MakeDirectory,
    /// Creating a device, fifo or socket.
    MakeNode,
    /// Creating a symbolic link.
    Symlink,
    /// Creating a hard link.
    Link,
    /// Renaming.
    Rename,
    /// Removing a non-directory.
    Unlink,
    /// Removing a directory.
    RemoveDirectory,
    /// Setting owner or group.
    SetOwner,
    /// Setting times.
    SetTimes,
    /// Setting permission bits.
    SetMode,
    /// Listing extended attributes.
    ListXattrs,
    /// Reading an extended attribute.
    GetXattr,
    /// Setting an extended attribute.
    SetXattr,
    /// Removing an extended attribute.
    RemoveXattr,
}

impl Op {
    /// The word stock uses for it in `WORD "PATH" failed: REASON (N)`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChangeDirectory => "change_dir",
            Self::Stat => "stat",
            Self::Open => "open",
            Self::OpenDirectory => "opendir",
            Self::ReadDirectory => "readdir",
            Self::ReadLink => "readlink",
            Self::Read => "read",
            Self::MakeTemporary => "mkstemp",
            Self::Write => "write",
            Self::Truncate => "ftruncate",
            Self::Allocate => "do_fallocate",
            Self::Sync => "fsync",
            Self::Close => "close",
            Self::MakeDirectory => "mkdir",
            Self::MakeNode => "mknod",
            Self::Symlink => "symlink",
            Self::Link => "link",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::RemoveDirectory => "rmdir",
            Self::SetOwner => "chown",
            Self::SetTimes => "utimensat",
            Self::SetMode => "chmod",
            Self::ListXattrs => "llistxattr",
            Self::GetXattr => "lgetxattr",
            Self::SetXattr => "lsetxattr",
            Self::RemoveXattr => "lremovexattr",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `No space left on device (28)`.
struct Reason(Errno);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.raw_os_error();
        let text = std::io::Error::from_raw_os_error(number).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        write!(f, "{text} ({number})")
    }
}

struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_like_stock_s() {
        let error = Error::new(Op::MakeTemporary, b"d/.f.a1b2c3", Errno::NOSPC);
        assert_eq!(
            error.to_string(),
            "mkstemp \"d/.f.a1b2c3\" failed: No space left on device (28)"
        );
        assert_eq!(error.reason(), "No space left on device (28)");
        assert!(error.is_full());
    }
}
