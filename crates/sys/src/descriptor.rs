//! What the standard library does with descriptors but does not tell about.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_closed_descriptor_is_closed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        close(ours.into()).unwrap();
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
    }
}
