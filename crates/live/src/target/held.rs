//! Paths that wait for their own moment, so that they delay no others (R82).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_fs::RelPathBuf;

use super::moves::touches;
use crate::backoff::{Backoff, Policy};
use crate::queue::Todo;

/// More than these are not kept one by one: the rest goes back to the queue at once.
const MOST: usize = 10_000;

/// Paths, and when they are tried again.
#[derive(Debug, Default)]
pub(crate) struct Held {
    paths: BTreeMap<Vec<u8>, Entry>,
    /// What the journal does not know of them yet.
    unwritten: BTreeSet<Vec<u8>>,
}

#[derive(Debug)]
struct Entry {
    todo: Todo,
    due: Duration,
    /// None where only a moment's rest is wanted.
    failure: Option<(Backoff, String)>,
}

impl Held {
    /// The target or the source refused this path; gives back what cannot be kept.
    pub(crate) fn fail(
        &mut self,
        now: Duration,
        path: Vec<u8>,
        todo: Todo,
        why: &str,
        chance: u32,
    ) -> bool {
        if self.paths.len() >= MOST && !self.paths.contains_key(&path) {
            return false;
        }
        let before = self.paths.remove(&path).and_then(|entry| entry.failure);
        let mut backoff = before.map_or_else(|| Backoff::new(Policy::path()), |(before, _)| before);
        let due = backoff.failed(now, chance);
        self.unwritten.insert(path.clone());
        self.paths.insert(path, Entry { todo, due, failure: Some((backoff, why.to_owned())) });
        true
    }

    /// This path is to be tried again after a rest; gives back what cannot be kept.
    pub(crate) fn rest(&mut self, due: Duration, path: Vec<u8>, todo: Todo) -> bool {
        if self.paths.len() >= MOST && !self.paths.contains_key(&path) {
            return false;
        }
        self.unwritten.insert(path.clone());
        let entry = self.paths.entry(path).or_insert(Entry { todo, due, failure: None });
        // One that failed before may be here although the queue had it.
        entry.due = entry.due.min(due);
        entry.todo = entry.todo.then(todo);
        true
    }

    /// So much of the path arrived. What only rests has its reasons.
    pub(crate) fn arrived(&mut self, path: &[u8], todo: Todo) {
        let is_all = |entry: &Entry| {
            entry.due == Duration::MAX || (entry.failure.is_some() && todo.then(entry.todo) == todo)
        };
        let Some(entry) = self.paths.get(path) else { return };
        // The journal takes it for done in any case.
        self.unwritten.insert(path.to_vec());
        if is_all(entry) {
            self.paths.remove(path);
        }
    }

    /// What the journal is to know: the paths that wait here now, and those that do no more.
    pub(crate) fn unwritten(&mut self) -> Vec<(RelPathBuf, Option<Todo>)> {
        let paths = std::mem::take(&mut self.unwritten);
        let state = |path: Vec<u8>| {
            let todo = self.paths.get(&path).map(|entry| entry.todo);
            Some((RelPathBuf::clean(&path).ok()?, todo))
        };
        paths.into_iter().filter_map(state).collect()
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.paths.values().map(|entry| entry.due).min()
    }

    /// What is due, which stays here until it arrives or fails again.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<(RelPathBuf, Todo)> {
        let mut due = Vec::new();
        let mut over = Vec::new();
        for (path, entry) in self.paths.iter_mut().filter(|(_, entry)| entry.due <= now) {
            if let Ok(clean) = RelPathBuf::clean(path) {
                due.push((clean, entry.todo));
            }
            if entry.failure.is_none() {
                over.push(path.clone());
            }
            entry.due = Duration::MAX;
        }
        for path in over {
            self.paths.remove(&path);
            self.unwritten.insert(path);
        }
        due
    }

    /// Everything, to be kept over the end of the process.
    pub(crate) fn all(&self) -> Vec<(RelPathBuf, Todo)> {
        let clean = |path: &[u8]| RelPathBuf::clean(path).ok();
        self.paths.iter().filter_map(|(path, entry)| Some((clean(path)?, entry.todo))).collect()
    }

    /// Makes all of them due.
    pub(crate) fn retry_now(&mut self) {
        self.paths.values_mut().for_each(|entry| entry.due = Duration::ZERO);
    }

    /// How many have failed, and the words for some of them.
    pub(crate) fn failures(&self) -> (u64, Vec<String>) {
        let failed = self.paths.iter().filter_map(|(path, entry)| {
            let (_, why) = entry.failure.as_ref()?;
            Some(format!("{}: {why}", String::from_utf8_lossy(path)))
        });
        let all: Vec<String> = failed.collect();
        (all.len() as u64, all.into_iter().take(10).collect())
    }

    /// Whether something at this path, below it or above it waits for its moment.
    pub(crate) fn concerns(&self, path: &RelPathBuf) -> bool {
        self.paths.contains_key(path.as_bytes()) || touches(&self.paths, path, |_, _| true)
    }

    /// Whether this path has failed before.
    pub(crate) fn has_failed(&self, path: &[u8]) -> bool {
        self.paths.get(path).is_some_and(|entry| entry.failure.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn r82_a_failed_path_waits_a_minute_then_two_and_delays_nobody() {
        let mut held = Held::default();
        let now = MINUTE;
        assert!(held.fail(now, b"a".to_vec(), Todo::changed(), "no", u32::MAX));
        assert_eq!(held.next_due(), Some(2 * MINUTE));
        assert!(held.due(now).is_empty());
        assert_eq!(held.due(2 * MINUTE).len(), 1);
        assert!(held.fail(2 * MINUTE, b"a".to_vec(), Todo::changed(), "no", u32::MAX));
        assert_eq!(held.next_due(), Some(4 * MINUTE));
        assert_eq!(held.failures(), (1, vec!["a: no".to_owned()]));
        held.arrived(b"a", Todo::changed());
        assert_eq!(held.failures().0, 0);
    }

    #[test]
    fn what_only_rests_is_told_once() {
        let mut held = Held::default();
        held.rest(MINUTE, b"a".to_vec(), Todo::changed());
        assert_eq!(held.failures().0, 0);
        assert_eq!(held.due(MINUTE).len(), 1);
        assert!(held.due(2 * MINUTE).is_empty() && held.next_due().is_none());
    }
}
