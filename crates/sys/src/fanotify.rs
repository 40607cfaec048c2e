//! fanotify with directory handles and names, and the handles it reports.
//!
//! Reading the group's descriptor gives the kernel's records as bytes; nothing here interprets them.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use libc::{FAN_ONDIR, FAN_Q_OVERFLOW, FAN_RENAME};

/// A group that reports for each event the directory's handle and the name in it. Needs `CAP_SYS_ADMIN` for
/// [`mark_file_system`](Group::mark_file_system).
#[derive(Debug)]
pub struct Group(OwnedFd);

impl Group {
    /// Opens a group whose descriptor does not block.
    pub fn new() -> io::Result<Self> {
        let flags = libc::FAN_CLASS_NOTIF
            | libc::FAN_REPORT_DFID_NAME
            | libc::FAN_NONBLOCK
            | libc::FAN_CLOEXEC;
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::fanotify_init(flags, libc::O_RDONLY as u32) };
        owned(fd).map(Self)
    }

    /// Asks for the events of the whole file system that holds `directory`.
    pub fn mark_file_system(&self, mask: u64, directory: BorrowedFd<'_>) -> io::Result<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        // SAFETY: both descriptors are borrowed for the call; without a path, `directory` itself is meant.
        let result = unsafe {
            libc::fanotify_mark(
                self.0.as_raw_fd(),
                flags,
                mask,
                directory.as_raw_fd(),
                std::ptr::null(),
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The longest handle the kernel makes.
pub const LONGEST_HANDLE: usize = 128;
const ROOM: u32 = 128;

/// `struct file_handle` with room for every handle.
#[repr(C)]
struct Handle {
    length: u32,
    kind: c_int,
    bytes: [u8; LONGEST_HANDLE],
}

/// Opens, only to refer to it, what a handle of a file system means now. `mount` is any descriptor on that file system.
/// Needs `CAP_DAC_READ_SEARCH`; what was deleted gives `ESTALE`.
pub fn open_handle(mount: BorrowedFd<'_>, kind: i32, handle: &[u8]) -> io::Result<OwnedFd> {
    let length = u32::try_from(handle.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut whole = Handle { length, kind, bytes: [0; LONGEST_HANDLE] };
    let place = whole.bytes.get_mut(..handle.len()).ok_or(io::ErrorKind::InvalidInput)?;
    place.copy_from_slice(handle);
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: `whole` is laid out as the kernel's file_handle, holds as many bytes as its length says, and outlives the call.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut whole).cast(), flags) };
    owned(fd)
}

/// The handle of a directory, as events name it: its kind and its bytes.
pub fn handle_of(directory: BorrowedFd<'_>) -> io::Result<(i32, Vec<u8>)> {
    let mut whole = Handle { length: ROOM, kind: 0, bytes: [0; LONGEST_HANDLE] };
    let mut mount: c_int = 0;
    let empty: &CStr = c"";
    // SAFETY: the kernel writes at most `length` bytes of handle, for which there is room; the path is NUL-terminated.
    let result = unsafe {
        libc::name_to_handle_at(
            directory.as_raw_fd(),
            empty.as_ptr(),
            (&raw mut whole).cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes = whole.bytes.get(..whole.length as usize).unwrap_or_default();
    Ok((whole.kind, bytes.to_vec()))
}

fn owned(fd: c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_leads_back_to_its_directory() {
        let top = tempfile::tempdir().unwrap();
        let directory = std::fs::File::open(top.path()).unwrap();
        let (kind, bytes) = handle_of(directory.as_fd()).unwrap();
        match open_handle(directory.as_fd(), kind, &bytes) {
            Ok(opened) => {
                let path =
                    std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap();
                assert_eq!(path, top.path().canonicalize().unwrap());
            }
            Err(error) => {
                eprintln!("SKIPPED a_handle_leads_back_to_its_directory: {error}");
            }
        }
    }

    #[test]
    fn a_handle_that_is_too_long_is_refused() {
        let here = std::fs::File::open(".").unwrap();
        let error = open_handle(here.as_fd(), 1, &[0; LONGEST_HANDLE + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
