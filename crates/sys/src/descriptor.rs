//! What the standard library does with descriptors but does not tell about.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Closes a descriptor and tells what the file system said: some report only now that written data did not arrive.
pub fn close(descriptor: OwnedFd) -> io::Result<()> {
    // SAFETY: ownership was passed in and is given up here, so the number is valid and used by nobody else.
    if unsafe { libc::close(descriptor.into_raw_fd()) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // On Linux the descriptor is gone then, and nothing was lost.
        error if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
        error => Err(error),
    }
}

/// A copy of a descriptor that this process was started with (`LISTEN_FDS`). Neither it nor the number itself, which
/// stays open and belongs to nobody, is passed on to other programs.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes any number and fails with EBADF if nothing is open there.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; only the flag of the number changes.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the copy was just made, so that nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_copy_of_an_inherited_descriptor_outlives_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let copy = inherited(std::os::fd::AsRawFd::as_raw_fd(&ours)).unwrap();
        drop(ours);
        theirs.set_nonblocking(true).unwrap();
        assert!(theirs.read(&mut [0; 1]).is_err());
        drop(copy);
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
        assert!(inherited(-1).is_err());
    }

    #[test]
    fn a_closed_descriptor_is_closed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        close(ours.into()).unwrap();
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
    }
}
