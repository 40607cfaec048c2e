//! What is mounted below the roots. A mark covers one file system, so each of them needs its own, and a handle means
//! something only on the mount of its file system.
//!
//! Nothing mounted below a root is held open: it can be unmounted as if nobody watched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

const TABLE: &str = "/proc/self/mountinfo";

/// The number that events carry for a file system.
pub(super) type FileSystem = [u8; 8];

/// The number of the file system that holds what is open.
pub(super) fn file_system(fd: BorrowedFd<'_>) -> Result<FileSystem, Errno> {
    let whole = rustix::fs::fstatvfs(fd)?.f_fsid;
    let mut number = FileSystem::default();
    // The kernel's two halves, in their order whatever the machine's.
    let (first, second) = number.split_at_mut(4);
    first.copy_from_slice(&(whole as u32).to_ne_bytes());
    second.copy_from_slice(&((whole >> 32) as u32).to_ne_bytes());
    Ok(number)
}

/// One mount that a mark was made on.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    /// The kernel's number of the mount.
    pub(super) number: u32,
    pub(super) file_system: FileSystem,
}

/// Opens a directory only to refer to it.
pub(super) fn open(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, OsStr::from_bytes(path), flags, Mode::empty())
}

/// The mounts below the roots, and the means to learn of others.
pub(super) struct Mounts {
    /// By path.
    pub(super) marked: BTreeMap<Vec<u8>, Mount>,
    /// Says that the table has changed, to us.
    table: Option<OwnedFd>,
    /// Readable when the group or the table has something.
    both: OwnedFd,
    /// The table once more. Asking it takes the answer from whoever asks next: what wakes the caller must not be what we ask.
    _waker: Option<OwnedFd>,
}

impl Mounts {
    pub(super) fn new(group: BorrowedFd<'_>) -> Result<Self, Errno> {
        let both = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&both, group, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        let open =
            || rustix::fs::openat(CWD, TABLE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        let waker = open();
        if let Some(waker) = &waker {
            epoll::add(&both, waker, epoll::EventData::new_u64(1), epoll::EventFlags::PRI)?;
        }
        Ok(Self { marked: BTreeMap::new(), table: open(), both, _waker: waker })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.both.as_fd()
    }

    /// Whether something was mounted or unmounted since the last call.
    pub(super) fn have_changed(&self) -> bool {
        let Some(table) = &self.table else { return false };
        let mut polled = [PollFd::new(table, PollFlags::PRI)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
    }
}

/// Everything that is mounted, by path: the number of the topmost mount there. Empty where there is no table to read.
pub(super) fn present() -> BTreeMap<Vec<u8>, u32> {
    std::fs::read(TABLE).map(|text| parse(&text)).unwrap_or_default()
}

/// The fields of a line are the mount's number, its parent's, the device, the path within the file system, the path.
fn parse(text: &[u8]) -> BTreeMap<Vec<u8>, u32> {
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            Some((unescape(fields.nth(3)?), number))
        })
        .collect()
}

/// Blanks, newlines and backslashes are written as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| first == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(code.unwrap_or(first));
        rest = if code.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_mount_at_a_path_counts_and_names_are_unescaped() {
        let text = b"22 1 0:20 / / rw - ext4 /dev/vda rw\n\
            40 22 0:33 / /mnt/a\\040b\\134 rw - tmpfs none rw\n\
            41 40 0:34 / /mnt/a\\040b\\134 rw - tmpfs none rw\n\
            torn";
        let expected = [(b"/".to_vec(), 22), (b"/mnt/a b\\".to_vec(), 41)];
        assert_eq!(parse(text), expected.into());
    }
}
