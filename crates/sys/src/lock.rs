//! Locks on a range of a file that belong to the open file, not to the process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Takes an exclusive lock on `length` bytes from `start` without waiting; `false` if somebody holds part of it.
///
/// It conflicts with record locks of other processes as well, lasts until the last copy of the descriptor is closed,
/// and is not lost by closing another descriptor of the same file (`F_OFD_SETLK`, Linux 3.15).
pub fn try_lock(file: BorrowedFd<'_>, start: i64, length: i64) -> io::Result<bool> {
    // SAFETY: `flock` is a struct of integers, for which all zeros are a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(libc::F_WRLCK).unwrap_or_default();
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default();
    lock.l_start = start;
    lock.l_len = length;
    // SAFETY: the descriptor is borrowed for the call, which only reads `lock`.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::os::fd::AsFd;

    #[test]
    fn ranges_are_locked_apart_from_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let open =
            || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let (first, second) = (open().unwrap(), open().unwrap());
        assert!(try_lock(first.as_fd(), 0, 4).unwrap());
        assert!(!try_lock(second.as_fd(), 0, 4).unwrap());
        assert!(try_lock(second.as_fd(), 4, 4).unwrap());
        drop(open().unwrap());
        assert!(!try_lock(second.as_fd(), 0, 4).unwrap());
        drop(first);
        assert!(try_lock(second.as_fd(), 0, 4).unwrap());
    }
}
