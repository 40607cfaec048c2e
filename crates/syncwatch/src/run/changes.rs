//! What settled, on its way to the command.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hasher;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::json;
use syncline_watch::settle::Settled;

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Changed,
    Removed,
    /// Something in it changed that has no name any more.
    Rescan,
}

impl What {
    pub(super) fn of(settled: &Settled) -> Self {
        match settled {
            Settled::Removed { .. } => Self::Removed,
            Settled::Rescan { .. } => Self::Rescan,
            Settled::Changed { .. } => Self::Changed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Rescan => "rescan",
        }
    }
}

/// Paths that wait for a run, in order and each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(BTreeMap<PathBuf, What>);

impl Changes {
    pub(super) fn insert(&mut self, path: PathBuf, what: What) {
        self.0.insert(path, what);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    pub(super) fn json(&self) -> String {
        let changes: Vec<_> = self
            .0
            .iter()
            .map(|(path, what)| json!({"path": path.to_string_lossy(), "what": what.name()}))
            .collect();
        json!({"changes": changes}).to_string()
    }
}

/// The contents of files, as far as it takes to say that they are what they were.
#[derive(Default)]
pub(super) struct Contents {
    known: HashMap<PathBuf, (u64, u64)>,
}

impl Contents {
    /// Reads everything below the paths that are watched.
    pub(super) fn read(paths: &[PathBuf], recursive: bool) -> Self {
        let mut contents = Self::default();
        let mut waiting: Vec<(PathBuf, bool)> =
            paths.iter().map(|path| (path.clone(), true)).collect();
        let mut seen = HashSet::new();
        while let Some((path, enter)) = waiting.pop() {
            let Ok(status) = path.symlink_metadata() else { continue };
            if status.is_file() {
                contents.differs(&path);
            } else if status.is_dir() && enter && seen.insert(path.clone()) {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                waiting.extend(entries.map(|entry| (entry.path(), recursive)));
            }
        }
        contents
    }

    /// Whether the file's contents are not those of the last time, which they are from now on.
    pub(super) fn differs(&mut self, path: &Path) -> bool {
        let Some(now) = fingerprint(path) else {
            self.known.remove(path);
            return true;
        };
        self.known.insert(path.to_path_buf(), now) != Some(now)
    }
}

/// Length and hash of a regular file.
fn fingerprint(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::File::open(path)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|status| status.is_file()))?;
    let mut reader = BufReader::new(file);
    let mut hasher = std::hash::DefaultHasher::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Some((length, hasher.finish())),
            Ok(count) => {
                hasher.write(buffer.get(..count)?);
                length += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_rewrite_is_no_difference() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("f");
        std::fs::write(&file, "one").unwrap();
        let mut contents = Contents::read(&[top.path().to_path_buf()], true);
        std::fs::write(&file, "one").unwrap();
        assert!(!contents.differs(&file));
        std::fs::write(&file, "two").unwrap();
        assert!(contents.differs(&file));
        assert!(!contents.differs(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(contents.differs(&file));
    }
}
