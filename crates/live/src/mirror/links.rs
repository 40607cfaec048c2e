//! Other names of files that have several: what is done by one name changes what all of them show, and the kernel tells
//! of that one only (R10).

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use syncline_fs::RelPathBuf;

use super::Hiding;
use super::walk::files;
use super::watching::{Bell, Wish};
use crate::queue::Todo;

/// Files whose names are looked for at once, or remembered; with more of them the source is compared as a whole.
const MOST: usize = 10_000;

/// Names that are kept of all of them.
const MOST_NAMES: usize = 100_000;

/// A search begins no sooner after the last one than this many times what that one took.
const PAUSE: u32 = 20;

/// And no sooner than this.
const LEAST_PAUSE: Duration = Duration::from_millis(200);

/// What tells a file from all others.
type Identity = (u64, u64);

/// Looks for the other names of files that changed.
pub(super) struct Links {
    top: PathBuf,
    hiding: Arc<Hiding>,
    bell: Bell,
    known: HashMap<Identity, Known>,
    /// Files whose names are to be looked for, and what is to be done about those.
    wanted: HashMap<Identity, Todo>,
    /// There are too many of them.
    everything: bool,
    running: Option<Running>,
    not_before: Duration,
}

/// The names of a file, and how many it had with those outside of the source.
struct Known {
    names: BTreeSet<Vec<u8>>,
    count: u64,
}

struct Running {
    asked: HashMap<Identity, Todo>,
    found: Arc<Mutex<Option<Found>>>,
    over: Arc<AtomicBool>,
}

struct Found {
    /// Each with the number of names that it has; none if there were too many.
    names: Option<HashMap<Identity, Known>>,
    took: Duration,
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.over.store(true, Ordering::Relaxed);
        }
    }
}

impl Links {
    pub(super) fn new(top: PathBuf, hiding: Arc<Hiding>, bell: Bell) -> Self {
        Self {
            top,
            hiding,
            bell,
            known: HashMap::new(),
            wanted: HashMap::new(),
            everything: false,
            running: None,
            not_before: Duration::ZERO,
        }
    }

    /// Takes in that something was done to a file by this name; other names of it that are known already.
    pub(super) fn changed(&mut self, path: &RelPathBuf, todo: Todo) -> Vec<(RelPathBuf, Todo)> {
        let Some((identity, count)) = several(&self.top, path.as_bytes()) else {
            return Vec::new();
        };
        if let Some(known) = self.known.get_mut(&identity) {
            known.names.insert(path.as_bytes().to_vec());
            let before = known.names.len();
            let is_one = |name: &Vec<u8>| {
                several(&self.top, name).is_some_and(|(other, _)| other == identity)
            };
            known.names.retain(is_one);
            // As many as before, or all there are.
            let complete = known.names.len() as u64 == count
                || (known.names.len() == before && known.count == count);
            if complete {
                let others = known.names.iter().filter(|name| **name != path.as_bytes());
                let others = others.filter_map(|name| RelPathBuf::clean(name).ok());
                return others.map(|other| (other, todo)).collect();
            }
            self.known.remove(&identity);
        }
        if self.wanted.len() < MOST {
            let wanted = self.wanted.entry(identity).or_insert(todo);
            *wanted = wanted.then(todo);
        } else {
            self.everything = true;
        }
        Vec::new()
    }

    /// Begins a search if there is something to look for; the time until one may begin.
    pub(super) fn search(&mut self, now: Duration) -> Option<Duration> {
        if self.running.is_some() || (self.wanted.is_empty() && !self.everything) {
            return None;
        }
        if now < self.not_before {
            return Some(self.not_before.saturating_sub(now));
        }
        let asked = std::mem::take(&mut self.wanted);
        let (found, over) = (Arc::default(), Arc::<AtomicBool>::default());
        let running = Running { asked, found: Arc::clone(&found), over: Arc::clone(&over) };
        let wanted: BTreeSet<Identity> = running.asked.keys().copied().collect();
        let (top, hiding, bell) = (self.top.clone(), Arc::clone(&self.hiding), self.bell.clone());
        let look = move || {
            let begun = Instant::now();
            let names = search(&top, &hiding, &wanted, &over);
            let result = Found { names, took: begun.elapsed() };
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            bell.ring(Wish::Linked);
        };
        if thread::Builder::new().name("links".into()).spawn(look).is_ok() {
            self.running = Some(running);
        } else {
            self.everything = true;
            self.not_before = now + LEAST_PAUSE;
        }
        None
    }

    /// What a search that has ended found.
    pub(super) fn found(&mut self, now: Duration) -> Vec<(RelPathBuf, Todo)> {
        let Some(running) = self.running.take() else { return Vec::new() };
        let found = running.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(found) = found else {
            self.running = Some(running);
            return Vec::new();
        };
        self.not_before = now + (found.took * PAUSE).max(LEAST_PAUSE);
        let too_many = std::mem::take(&mut self.everything);
        let Some(names) = found.names.filter(|_| !too_many) else {
            // A comparison finds each of them.
            return vec![(RelPathBuf::root(), Todo::tree())];
        };
        if self.known.len() + names.len() > MOST {
            self.known.clear();
        }
        let mut changes = Vec::new();
        for (identity, known) in names {
            let todo = running.asked.get(&identity).copied().unwrap_or_else(Todo::changed);
            let paths = known.names.iter().filter_map(|name| RelPathBuf::clean(name).ok());
            changes.extend(paths.map(|path| (path, todo)));
            self.known.insert(identity, known);
        }
        changes
    }
}

/// What file this is and how many names it has, if those are several.
fn several(top: &Path, path: &[u8]) -> Option<(Identity, u64)> {
    let data = top.join(OsStr::from_bytes(path)).symlink_metadata().ok()?;
    (!data.is_dir() && data.nlink() > 1).then(|| ((data.dev(), data.ino()), data.nlink()))
}

/// Every name of these files; none if there are too many, or nobody waits for them any more.
fn search(
    top: &Path,
    hiding: &Hiding,
    wanted: &BTreeSet<Identity>,
    over: &AtomicBool,
) -> Option<HashMap<Identity, Known>> {
    let mut found: HashMap<Identity, Known> = HashMap::new();
    let mut count = 0;
    let whole = files(top, hiding, over, &mut |path, data| {
        let identity = (data.dev(), data.ino());
        if data.nlink() > 1 && wanted.contains(&identity) {
            count += 1;
            let known = found
                .entry(identity)
                .or_insert_with(|| Known { names: BTreeSet::new(), count: data.nlink() });
            known.names.insert(path);
        }
        count <= MOST_NAMES
    });
    whole.then_some(found)
}
