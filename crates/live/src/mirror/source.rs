//! The source: which directory it was, and whether it still is (R14, R90, R91).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::state::State;

const FILE: &str = "source";

/// The source of a mirror, as it was found at the start.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// Where its identity and whether it held anything are kept.
    record: PathBuf,
    known: Mutex<Identity>,
    held_content: AtomicBool,
    may_be_empty: AtomicBool,
}

/// What tells one directory from another that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    file_system: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        let file_system = rustix::fs::statvfs(path).map_or(0, |found| found.f_fsid);
        Ok(Self { device: data.dev(), file_system, inode: data.ino() })
    }

    /// Device numbers may change when the machine starts anew, those of file systems do not where they are known.
    fn is(&self, other: &Self) -> bool {
        let same_system = self.device == other.device
            || (self.file_system != 0 && self.file_system == other.file_system);
        self.inode == other.inode && same_system
    }
}

impl Source {
    /// The directory at `path`, and what `state` says about it.
    pub(crate) fn open(path: &Path, state: &Path, may_be_empty: bool) -> io::Result<Self> {
        let found = Identity::of(path)?;
        let record = state.join(FILE);
        let recorded = fs::read_to_string(&record).ok().and_then(|text| parse(&text));
        let (known, held_content) = recorded.unwrap_or((found, false));
        let source = Self {
            path: path.to_owned(),
            record,
            known: Mutex::new(known),
            held_content: AtomicBool::new(held_content),
            may_be_empty: AtomicBool::new(may_be_empty),
        };
        source.note_content();
        match source.write() {
            // The journal, which lies beside it, tells of a disk that is full. The next start asks again, nothing worse.
            Err(error)
                if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]
                    .contains(&error.kind()) => {}
            result => result?,
        }
        Ok(source)
    }

    /// Why nothing may be removed, or compared, now.
    pub(crate) fn check(&self) -> Result<(), (State, String)> {
        let shown = self.path.display();
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match Identity::of(&self.path) {
            Err(error) => return Err((State::SourceLost, format!("{shown}: {error}"))),
            Ok(found) if !known.is(&found) => {
                let text = format!(
                    "{shown} is another directory than before: nothing is sent until the old one is back, or \
                     `synclive allow`"
                );
                return Err((State::SourceLost, text));
            }
            Ok(_) => {}
        }
        self.note_content();
        let may_be_empty = self.may_be_empty.load(Ordering::Relaxed);
        if self.is_empty() && self.held_content.load(Ordering::Relaxed) && !may_be_empty {
            let text = format!(
                "{shown} is empty where there was content: nothing is removed until something is there, or \
                 `synclive allow`"
            );
            return Err((State::SourceEmpty, text));
        }
        Ok(())
    }

    /// What is there now is what is meant, whatever was there before.
    pub(crate) fn allow(&self) {
        if let Ok(found) = Identity::of(&self.path) {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        self.held_content.store(false, Ordering::Relaxed);
        self.note_content();
        // The next start asks again, nothing worse.
        let _ = self.write();
    }

    /// Whether nothing is in it, as far as can be seen.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }

    fn note_content(&self) {
        if !self.held_content.load(Ordering::Relaxed) && self.path.is_dir() && !self.is_empty() {
            self.held_content.store(true, Ordering::Relaxed);
            let _ = self.write();
        }
    }

    fn write(&self) -> io::Result<()> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let held = u8::from(self.held_content.load(Ordering::Relaxed));
        let Identity { device, file_system, inode } = known;
        let text = format!("1 {device} {file_system} {inode} {held}\n");
        let beside = self.record.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(beside, &self.record)
    }
}

fn parse(text: &str) -> Option<(Identity, bool)> {
    let numbers: Vec<u64> =
        text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [1, device, file_system, inode, held] = numbers[..] else { return None };
    Some((Identity { device, file_system, inode }, held == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(source: &Source) -> Option<State> {
        source.check().err().map(|(state, _)| state)
    }

    #[test]
    fn r90_a_source_that_was_never_full_may_be_empty_and_one_that_was_may_not() {
        let (top, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = Source::open(top.path(), kept.path(), false).unwrap();
        assert_eq!(state(&source), None);
        fs::write(top.path().join("a"), "x").unwrap();
        assert_eq!(state(&source), None);
        fs::remove_file(top.path().join("a")).unwrap();
        assert_eq!(state(&source), Some(State::SourceEmpty));
        // A new start knows it still.
        let source = Source::open(top.path(), kept.path(), false).unwrap();
        assert_eq!(state(&source), Some(State::SourceEmpty));
        source.allow();
        assert_eq!(state(&source), None);
    }

    #[test]
    fn r91_another_directory_of_the_same_name_is_not_the_source() {
        let (top, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = top.path().join("source");
        fs::create_dir(&path).unwrap();
        let source = Source::open(&path, kept.path(), false).unwrap();
        fs::rename(&path, top.path().join("away")).unwrap();
        assert_eq!(state(&source), Some(State::SourceLost));
        fs::create_dir(&path).unwrap();
        assert_eq!(state(&source), Some(State::SourceLost));
        fs::remove_dir(&path).unwrap();
        fs::rename(top.path().join("away"), &path).unwrap();
        assert_eq!(state(&source), None);
    }
}
