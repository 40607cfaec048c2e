//! One instance for each state directory (R7).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held for as long as the service runs; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another instance has it: its process, if it can be told.
    Held(Option<u32>),
    Failed(io::Error),
}

impl Lock {
    /// Takes the lock of a state directory, which is made if it is not there.
    pub(crate) fn take(directory: &Path) -> Result<Self, Refusal> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(Refusal::Failed)?;
        let path = directory.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(Refusal::Failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                return Err(Refusal::Held(text.trim().parse().ok()));
            }
            Err(errno) => return Err(Refusal::Failed(errno.into())),
        }
        file.set_len(0).map_err(Refusal::Failed)?;
        writeln!(file, "{}", std::process::id()).map_err(Refusal::Failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_a_second_instance_is_told_who_is_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = Lock::take(&state).unwrap();
        match Lock::take(&state) {
            Err(Refusal::Held(Some(process))) => assert_eq!(process, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(Lock::take(&state).is_ok());
    }
}
