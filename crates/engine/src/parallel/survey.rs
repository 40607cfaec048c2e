//! What the top of the source looks like.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::{Event, Observer};

/// Levels of directories that a survey sees below what an argument copies.
const LEVELS: usize = 2;

/// An entry costs this much, whatever its size: looking it up, a request, a rename.
pub(super) const ENTRY: u64 = 16 * 1024;

/// A name in a directory takes about so many bytes of the directory's own size.
const NAME: u64 = 64;

/// Rules that end a listing of these sources below the levels of a survey. They come first.
pub(super) fn depth(sources: &[Vec<u8>]) -> (usize, Vec<u8>) {
    let contents = |source: &Vec<u8>| {
        source.is_empty() || source.ends_with(b"/") || source == b"." || source.ends_with(b"/.")
    };
    let levels = if sources.iter().all(contents) { LEVELS } else { LEVELS + 1 };
    let pattern = "/*".repeat(levels + 1);
    (levels, format!("- {pattern}").into_bytes())
}

/// What a survey found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub(super) directories: BTreeMap<Vec<u8>, Directory>,
    /// What stands beside the directories at the top.
    pub(super) loose: u64,
}

/// A directory of a survey.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) mode: u32,
    /// What is in it, as far as it is no directory of the survey.
    pub(super) weight: u64,
    /// Nothing in it was listed.
    pub(super) is_last: bool,
}

impl Survey {
    /// The directories at the top of their arguments, without the root.
    pub(super) fn top(&self) -> impl Iterator<Item = &[u8]> {
        let paths = self.directories.keys().map(Vec::as_slice);
        paths.filter(|path| *path != b"." && self.is_top(path))
    }

    pub(super) fn is_top(&self, path: &[u8]) -> bool {
        !path.contains(&b'/') || !self.directories.contains_key(super::division::parent(path))
    }

    /// Of everything.
    pub(super) fn weight(&self) -> u64 {
        self.directories.values().fold(self.loose, |sum, one| sum.saturating_add(one.weight))
    }

    pub(super) fn add(&mut self, path: Vec<u8>, directory: Option<u32>, size: u64, levels: usize) {
        if let Some(mode) = directory {
            let depth = path.split(|&byte| byte == b'/').count();
            let is_last = path != b"." && depth >= levels;
            // What is below was not seen: a large directory holds many names.
            let below = if is_last { size / NAME } else { 0 };
            let weight = (1 + below) * ENTRY;
            self.directories.insert(path, Directory { mode, weight, is_last });
            return;
        }
        let weight = ENTRY.saturating_add(size);
        match self.directories.get_mut(super::division::parent(&path)) {
            Some(directory) => directory.weight = directory.weight.saturating_add(weight),
            None => self.loose = self.loose.saturating_add(weight),
        }
    }
}

/// Takes the events of the session that lists the top of the source.
#[derive(Debug)]
pub struct Surveyor {
    found: Mutex<Found>,
    levels: usize,
}

#[derive(Debug, Default)]
struct Found {
    survey: Survey,
    lines: Vec<Vec<u8>>,
}

impl Surveyor {
    /// For a survey of these sources; the rule that keeps it at the top comes before all others.
    pub fn new(sources: &[Vec<u8>]) -> (Self, Vec<u8>) {
        let (levels, rule) = depth(sources);
        (Self { found: Mutex::default(), levels }, rule)
    }

    /// What was found, and what was said meanwhile.
    pub fn finish(&self) -> (Survey, Vec<Vec<u8>>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::mem::take(&mut *found);
        (found.survey, found.lines)
    }
}

impl Observer for Surveyor {
    fn event(&self, event: &Event<'_>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Entry(entry) => {
                let directory = entry.is_directory().then(|| entry.mode());
                found.survey.add(entry.path(), directory, entry.size(), self.levels);
            }
            Event::Peer { text, .. } => found.lines.push(text.trim_ascii_end().to_vec()),
            Event::Problem(problem) => found.lines.push(problem.text.clone()),
            _ => {}
        }
    }
}
