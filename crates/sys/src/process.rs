//! Splitting a process in two.
#![allow(unsafe_code)]

use std::io;

/// Which of the two a process is after [`split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The one that was there; the other's process id.
    Parent(i32),
    /// The new one.
    Child,
}

/// Makes a copy of this process (`fork`). Refused with `EBUSY` while other threads run: their copies would not exist
/// in the child, whatever locks they held.
pub fn split() -> io::Result<Half> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: this is the only thread, and only a thread could start another one: so the child is a complete copy.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Half::Child),
        child => Ok(Half::Parent(child)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_other_threads_is_not_split() {
        // The harness runs tests on threads of their own.
        let error = split().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    }
}
