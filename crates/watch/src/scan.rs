//! Listing directories.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::mask::Mask;

/// What an entry is, as far as a watcher cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Regular,
    Link,
    Other,
}

/// Reads directories through one buffer.
pub(crate) struct Lister {
    buffer: Vec<MaybeUninit<u8>>,
}

impl Lister {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![MaybeUninit::uninit(); 32 << 10] }
    }

    /// One that holds the place of another.
    pub(crate) fn none() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Calls `each` for every entry but `.` and `..`.
    pub(crate) fn list(
        &mut self,
        directory: BorrowedFd<'_>,
        mut each: impl FnMut(&CStr, Kind),
    ) -> Result<(), Errno> {
        let mut entries = RawDir::new(directory, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match stat_at(directory, name) {
                    Ok(stat) => kind(&stat),
                    Err(_) => continue,
                },
                known => kind_of(known),
            };
            each(name, kind);
        }
        Ok(())
    }
}

/// Opens a directory to list it.
pub(crate) fn open(path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    let flags = listing_flags(follow);
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NAMETOOLONG) => open_long(path, flags),
        other => other,
    }
}

/// Opens a subdirectory of an open directory to list it.
pub(crate) fn open_at(parent: BorrowedFd<'_>, name: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, listing_flags(follow), Mode::empty())
}

/// Opens something only to refer to it.
pub(crate) fn refer(path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

fn listing_flags(follow: bool) -> OFlags {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if follow { flags } else { flags | OFlags::NOFOLLOW }
}

/// Opens a path longer than the kernel takes at once, piece by piece.
fn open_long(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while !rest.is_empty() {
        let (piece, tail) = if rest.len() < PIECE {
            (rest, &rest[rest.len()..])
        } else {
            let cut =
                rest[..PIECE].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            // A leading slash belongs to its piece; any other separates two.
            (&rest[..cut.max(1)], &rest[cut + 1..])
        };
        let from = at.as_ref().map_or(CWD, AsFd::as_fd);
        let piece_flags = if tail.is_empty() {
            flags
        } else {
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
        };
        at = Some(rustix::fs::openat(from, piece, piece_flags, Mode::empty())?);
        rest = tail;
    }
    at.ok_or(Errno::NOENT)
}

const PIECE: usize = 4000;

/// A path of few bytes that leads to what a descriptor holds.
pub(crate) fn descriptor_path(fd: &impl AsFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

pub(crate) fn stat_at(directory: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether a symbolic link leads to a directory.
pub(crate) fn leads_to_directory(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    rustix::fs::statat(directory, name, AtFlags::empty())
        .is_ok_and(|stat| kind(&stat) == Kind::Directory)
}

/// What is told of an entry that may have changed since a moment of the file system's clock.
pub(crate) fn changed_since(status: &Stat, good: (i64, i64)) -> &'static [Mask] {
    if (status.st_ctime, status.st_ctime_nsec as i64) < good {
        return &[];
    }
    if kind(status) == Kind::Directory {
        const CHANGED: Mask = Mask::ATTRIB.with(Mask::IS_DIR);
        return &[CHANGED];
    }
    if (status.st_mtime, status.st_mtime_nsec as i64) < good {
        return &[Mask::ATTRIB];
    }
    &[Mask::MODIFY, Mask::CLOSE_WRITE]
}

pub(crate) fn kind(stat: &Stat) -> Kind {
    kind_of(FileType::from_raw_mode(stat.st_mode))
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::Regular,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_pieces() {
        let top = tempfile::tempdir().unwrap();
        let name = "n".repeat(250);
        let mut path = top.path().as_os_str().as_encoded_bytes().to_vec();
        let mut at = open(&path, true).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, name.as_str(), OFlags::PATH, Mode::empty()).unwrap();
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
        }
        assert!(path.len() > 5000);
        let opened = rustix::fs::fstat(open(&path, false).unwrap()).unwrap();
        assert_eq!(opened.st_ino, rustix::fs::fstat(at).unwrap().st_ino);
    }
}
