//! `max connections`: slots that are byte ranges of a lock file, shared with stock daemons (docs/spec daemon.md 9.1).

use std::fs::File;
use std::os::fd::AsFd;

use syncline_fs::{Trust, create_operator_file};
use syncline_sys::lock::try_lock;

use crate::paths::path;

/// Bytes of the lock file that stand for one connection.
const SLOT: i64 = 4;

/// A claimed slot: it is free again when the last process that holds it ends, however it ends.
#[derive(Debug)]
pub(crate) struct Slot {
    _file: File,
}

/// Why there is no slot.
#[derive(Debug)]
pub(crate) enum NoSlot {
    /// All are taken, or there are none.
    Full,
    /// The lock file cannot be used: stock's reason.
    Trouble(String),
}

impl Slot {
    /// Claims the first free one of `most`.
    pub(crate) fn claim(lock_file: &[u8], most: i32) -> Result<Self, NoSlot> {
        let file = create_operator_file(path(lock_file), Trust::Owners, true, 0o600)
            .map_err(|error| NoSlot::Trouble(error.reason()))?;
        for number in 0..i64::from(most) {
            match try_lock(file.as_fd(), number * SLOT, SLOT) {
                Ok(true) => return Ok(Self { _file: file }),
                Ok(false) => {}
                Err(error) => return Err(NoSlot::Trouble(syncline_engine::reason(&error))),
            }
        }
        Err(NoSlot::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_slot_is_free_again_when_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lock");
        let file = file.as_os_str().as_bytes();
        let first = Slot::claim(file, 2).unwrap();
        let _second = Slot::claim(file, 2).unwrap();
        assert!(matches!(Slot::claim(file, 2), Err(NoSlot::Full)));
        drop(first);
        assert!(Slot::claim(file, 2).is_ok());
        assert!(matches!(Slot::claim(file, -1), Err(NoSlot::Full)));
        assert!(matches!(Slot::claim(b"/nowhere/lock", 1), Err(NoSlot::Trouble(_))));
    }
}
