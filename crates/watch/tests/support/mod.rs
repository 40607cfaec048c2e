//! A copy of a tree that is kept by changes alone, and the tree itself to compare it with.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use syncline_watch::{Change, Place};

/// Paths, and whether each is a directory.
pub(crate) type Listing = BTreeMap<Vec<u8>, bool>;

/// What is below `top`.
pub(crate) fn listing(top: &Path) -> Listing {
    let mut all = Listing::new();
    let mut waiting = vec![(top.to_path_buf(), Vec::new())];
    while let Some((path, prefix)) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let mut name: Vec<u8> = prefix.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(entry.file_name().as_bytes());
            let directory = entry.file_type().unwrap().is_dir();
            if directory {
                waiting.push((entry.path(), name.clone()));
            }
            all.insert(name, directory);
        }
    }
    all
}

/// The copy.
#[derive(Default)]
pub(crate) struct Copy {
    pub(crate) entries: Listing,
}

impl Copy {
    pub(crate) fn apply(&mut self, top: &Path, change: &Change) {
        match change {
            Change::Appeared { place, directory, .. } => {
                self.entries.insert(place.path.clone(), *directory);
            }
            Change::Vanished { place, .. } => self.remove(&place.path),
            Change::Renamed { from, to, .. } => {
                let moved: Vec<_> = self
                    .entries
                    .iter()
                    .filter(|(path, _)| is_within(path, &from.path))
                    .map(|(path, directory)| (path.clone(), *directory))
                    .collect();
                self.remove(&from.path);
                for (path, directory) in moved {
                    self.entries.insert([&to.path, &path[from.path.len()..]].concat(), directory);
                }
            }
            Change::Rescan { place, deep: false } => self.list_again(top, place),
            Change::Rescan { deep: true, .. } => self.entries = listing(top),
            _ => {}
        }
    }

    /// Files only: directories that came or went are told.
    fn list_again(&mut self, top: &Path, place: &Place) {
        let depth = if place.path.is_empty() { 0 } else { place.path.len() + 1 };
        self.entries.retain(|path, directory| {
            *directory || !is_within(path, &place.path) || path[depth..].contains(&b'/')
        });
        let path = top.join(std::ffi::OsStr::from_bytes(&place.path));
        for (name, directory) in listing(&path) {
            if !directory && !name.contains(&b'/') {
                let mut whole = place.path.clone();
                if !whole.is_empty() {
                    whole.push(b'/');
                }
                whole.extend_from_slice(&name);
                self.entries.insert(whole, false);
            }
        }
    }

    fn remove(&mut self, gone: &[u8]) {
        self.entries.retain(|path, _| !is_within(path, gone));
    }
}

pub(crate) fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
