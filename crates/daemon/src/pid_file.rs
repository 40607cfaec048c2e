//! The pid file: locked for life, so that a stale one is recognised (docs/spec daemon.md 15.3).

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use syncline_engine::reason;
use syncline_sys::lock::try_lock;

use crate::paths::{path, shown};

/// A file that is longer was not written by a daemon.
const LONGEST: u64 = 32;

/// Bytes that are locked.
const LOCKED: i64 = 4;

/// A pid file that is ours.
#[derive(Debug)]
pub(crate) struct PidFile {
    name: Vec<u8>,
    _file: File,
}

impl PidFile {
    /// Creates or takes over the file; the error is stock's line.
    pub(crate) fn create(name: &[u8]) -> Result<Self, String> {
        let fail = |what: &str, errno: Errno| {
            let words = reason(&errno.into());
            let words = words.rsplit_once(" (").map_or(&words[..], |(words, _)| words).to_owned();
            format!("failed to {what} pid file {}: {words}", shown(name))
        };
        let at = path(name);
        match rustix::fs::statat(CWD, at, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) if data.st_mode & 0o170_000 == 0o100_000 => {
                if u64::try_from(data.st_size).is_ok_and(|size| size > LONGEST) {
                    return Err(fail("find small", Errno::FBIG));
                }
            }
            Ok(_) => rustix::fs::unlink(at).map_err(|errno| fail("unlink", errno))?,
            Err(_) => {}
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(at, flags, Mode::from_raw_mode(0o664))
            .map_err(|errno| fail("create", errno))?;
        match try_lock(file.as_fd(), 0, LOCKED) {
            Ok(true) => {}
            Ok(false) => return Err(fail("lock", Errno::AGAIN)),
            Err(error) => {
                return Err(fail("lock", Errno::from_io_error(&error).unwrap_or(Errno::IO)));
            }
        }
        let mut file = File::from(file);
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file)
            .map_err(|error| fail("write", Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(Self { name: name.to_vec(), _file: file })
    }

    /// Removes it, at an orderly end.
    pub(crate) fn remove(self) {
        // Somebody may have been faster.
        let _ = std::fs::remove_file(path(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_stale_file_is_taken_over_and_a_held_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        std::fs::write(&file, "99999\n").unwrap();
        let name = file.as_os_str().as_bytes();
        let held = PidFile::create(name).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{}\n", std::process::id()));
        let error = PidFile::create(name).unwrap_err();
        assert!(error.ends_with(": Resource temporarily unavailable"), "{error}");
        held.remove();
        assert!(!file.exists());
    }

    #[test]
    fn a_link_is_replaced_and_a_long_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("pid"));
        std::fs::write(&target, "x".repeat(40)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        PidFile::create(link.as_os_str().as_bytes()).unwrap();
        assert_eq!(std::fs::read(&target).unwrap().len(), 40);
        assert!(PidFile::create(target.as_os_str().as_bytes()).is_err());
    }
}
