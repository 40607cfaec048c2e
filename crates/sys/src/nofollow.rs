//! Metadata calls on a name in a directory that never follow a symbolic link.
//!
//! Young system calls all: on a kernel without them each returns `ENOSYS`, and the caller takes the long way round.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets the permission bits of `name` in `directory` (`fchmodat2`, Linux 6.6). A symbolic link gives `EOPNOTSUPP`.
pub fn set_mode(directory: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the descriptor is borrowed for the call and `name` is NUL-terminated; no memory is written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fchmodat2,
            directory.as_raw_fd(),
            name.as_ptr(),
            mode,
            libc::AT_SYMLINK_NOFOLLOW,
        )
    };
    check(result).map(drop)
}

/// Reads an extended attribute into `value` (`getxattrat`, Linux 6.13); an empty `value` asks for the length only.
pub fn xattr(
    directory: BorrowedFd<'_>,
    name: &[u8],
    attribute: &CStr,
    value: &mut [u8],
) -> io::Result<usize> {
    let name = CString::new(name)?;
    let args = Arguments {
        value: value.as_mut_ptr() as u64,
        size: u32::try_from(value.len()).unwrap_or(u32::MAX),
        flags: 0,
    };
    // SAFETY: `args` describes the caller's exclusive buffer and never more than its length; both strings are
    // NUL-terminated; everything outlives the call.
    let result = unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            &raw const args,
            size_of::<Arguments>(),
        )
    };
    check(result)
}

/// Sets an extended attribute (`setxattrat`, Linux 6.13).
pub fn set_xattr(
    directory: BorrowedFd<'_>,
    name: &[u8],
    attribute: &CStr,
    value: &[u8],
) -> io::Result<()> {
    let name = CString::new(name)?;
    let Ok(size) = u32::try_from(value.len()) else {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    };
    let args = Arguments { value: value.as_ptr() as u64, size, flags: 0 };
    // SAFETY: `args` describes the caller's buffer, which the kernel only reads; both strings are NUL-terminated;
    // everything outlives the call.
    let result = unsafe {
        libc::syscall(
            SYS_SETXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            &raw const args,
            size_of::<Arguments>(),
        )
    };
    check(result).map(drop)
}

/// Lists the names of the extended attributes, each NUL-terminated (`listxattrat`, Linux 6.13); an empty `list` asks
/// for the length only.
pub fn xattr_names(directory: BorrowedFd<'_>, name: &[u8], list: &mut [u8]) -> io::Result<usize> {
    let name = CString::new(name)?;
    // SAFETY: pointer and length are those of the caller's exclusive buffer; `name` is NUL-terminated.
    let result = unsafe {
        libc::syscall(
            SYS_LISTXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            list.as_mut_ptr(),
            list.len(),
        )
    };
    check(result)
}

/// Removes an extended attribute (`removexattrat`, Linux 6.13).
pub fn remove_xattr(directory: BorrowedFd<'_>, name: &[u8], attribute: &CStr) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: both strings are NUL-terminated and outlive the call; no memory is written.
    let result = unsafe {
        libc::syscall(
            SYS_REMOVEXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
        )
    };
    check(result).map(drop)
}

// System calls added since Linux 5.1 have one number on all architectures that libc's headers have caught up with;
// Alpha, the exception, is not a target of Rust.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_LISTXATTRAT: libc::c_long = 465;
const SYS_REMOVEXATTRAT: libc::c_long = 466;

/// `struct xattr_args` of the kernel.
#[repr(C, align(8))]
struct Arguments {
    value: u64,
    size: u32,
    flags: u32,
}

fn check(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_mode_is_set_on_the_file_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        let handle = File::open(dir.path()).unwrap();
        match set_mode(handle.as_fd(), b"file", 0o640) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                eprintln!("SKIPPED a_mode_is_set_on_the_file_and_never_through_a_link: old kernel");
                return;
            }
            result => result.unwrap(),
        }
        assert!(set_mode(handle.as_fd(), b"link", 0o777).is_err());
        let mode = fs::metadata(dir.path().join("file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn an_attribute_goes_to_the_named_object_and_comes_back() {
        let dir = tempfile::tempdir_in(".").unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        let handle = File::open(dir.path()).unwrap();
        let (fd, key) = (handle.as_fd(), c"user.syncline-test");
        if let Err(error) = set_xattr(fd, b"file", key, b"value") {
            eprintln!("SKIPPED an_attribute_goes_to_the_named_object_and_comes_back: {error}");
            return;
        }
        let mut value = [0; 16];
        assert_eq!(xattr(fd, b"file", key, &mut value).unwrap(), 5);
        assert_eq!(&value[..5], b"value");
        assert_eq!(xattr(fd, b"file", key, &mut []).unwrap(), 5);
        let mut names = [0; 64];
        let length = xattr_names(fd, b"file", &mut names).unwrap();
        assert!(names[..length].split(|byte| *byte == 0).any(|name| name == key.to_bytes()));
        assert!(xattr(fd, b"link", key, &mut value).is_err(), "the link itself has none");
        remove_xattr(fd, b"file", key).unwrap();
        assert!(xattr(fd, b"file", key, &mut value).is_err());
    }
}
