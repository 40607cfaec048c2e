//! When a change is worth acting on: one word for a burst, none for what came and went, nothing half-written.
//!
//! Pure: time is what the caller says it is, as a duration since any moment it likes. Changes go in with
//! [`feed`](Settler::feed), what has settled comes out of [`take`](Settler::take), and
//! [`next_due`](Settler::next_due) says when to ask again. The rules are R30 to R36 of `docs/spec/live.md`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use syncline_wildcard::Wildcard;

use crate::change::{Change, Place};
use crate::options::RootId;

/// The times and bounds of settling.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A path is settled when nothing happened to it for this long.
    pub settle: Duration,
    /// A path that never comes to rest is told this long after its first change.
    pub max_delay: Duration,
    /// A file whose writer does not close it is told this long after its first change.
    pub max_open: Duration,
    /// A path is not told again within this time.
    pub resend: Duration,
    /// With more waiting paths than this, whole directories are told instead.
    pub max_paths: usize,
    /// Names that are there for a moment only: what has one is settled after [`TRANSIENT`], if it is still there.
    pub transient: Vec<Wildcard>,
}

/// How long a name that is thought to be there for a moment only is left in peace.
pub const TRANSIENT: Duration = Duration::from_secs(1);

impl Default for Rules {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(3),
            max_delay: Duration::from_secs(2),
            max_open: Duration::from_secs(10),
            resend: Duration::from_millis(500),
            max_paths: 200_000,
            transient: Vec::new(),
        }
    }
}

/// Something that has come to rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settled {
    /// It is gone, with everything below it.
    Removed {
        /// Where.
        place: Place,
        /// Whether it was a directory.
        directory: bool,
    },
    /// It is new or different.
    Changed {
        /// Where.
        place: Place,
        /// Whether it is a directory.
        directory: bool,
        /// Everything below it may differ as well: it was moved here, or replaced.
        whole: bool,
    },
    /// Names in this directory may have come or gone.
    Rescan {
        /// The directory.
        place: Place,
        /// Everything below it may differ as well.
        deep: bool,
    },
}

impl Settled {
    /// Where it happened.
    pub fn place(&self) -> &Place {
        match self {
            Self::Removed { place, .. }
            | Self::Changed { place, .. }
            | Self::Rescan { place, .. } => place,
        }
    }
}

/// What is known of one path that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    first: Duration,
    last: Duration,
    /// The moment of its entry in the heap; entries with another one are stale.
    queued: Duration,
    /// Not again before this moment.
    not_before: Duration,
    /// It did not exist when the first change came.
    was_absent: bool,
    /// `None` when it was told and only its resend interval runs.
    now: Option<State>,
    directory: bool,
    /// A writer has it open.
    open: bool,
    /// What was below it before is not below it now.
    whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Present,
    Absent,
    /// To be listed again; `true` with everything below it.
    Doubtful(bool),
}

/// When a path is to be looked at.
type Due = (Duration, RootId, Arc<[u8]>);

/// Collects changes until they have settled.
#[derive(Debug)]
pub struct Settler {
    rules: Rules,
    roots: BTreeMap<RootId, BTreeMap<Arc<[u8]>, Waiting>>,
    /// For each waiting path an entry at a moment not after its due time, and stale ones that are dropped when met.
    heap: BinaryHeap<Reverse<Due>>,
    count: usize,
}

impl Settler {
    /// A settler with nothing waiting.
    pub fn new(rules: Rules) -> Self {
        Self { rules, roots: BTreeMap::new(), heap: BinaryHeap::new(), count: 0 }
    }

    /// How many paths wait, those included whose resend interval runs.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes a change in.
    pub fn feed(&mut self, now: Duration, change: &Change) {
        match change {
            Change::Appeared { place, directory, complete } => {
                self.appeared(now, place, *directory, !complete && !directory);
                self.hurry(place);
            }
            Change::Modified { place } => self.touched(now, place, false, Some(true)),
            Change::Written { place } => {
                self.touched(now, place, false, Some(false));
                self.hurry(place);
            }
            Change::Attributes { place, directory } => self.touched(now, place, *directory, None),
            Change::Vanished { place, directory } => {
                self.vanished(now, place, *directory);
                self.hurry(place);
            }
            Change::Renamed { from, to, directory } => {
                self.renamed(now, from, to, *directory);
                self.hurry(from);
                self.hurry(to);
            }
            Change::Rescan { place, deep } => self.rescan(now, place, *deep),
            Change::RootBack { root } => {
                self.rescan(now, &Place { root: *root, path: Vec::new() }, true);
            }
            _ => {}
        }
        if self.count > self.rules.max_paths {
            self.collapse(now);
        }
    }

    /// The moment at which [`take`](Self::take) may have something.
    pub fn next_due(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((due, ..))| *due)
    }

    /// What has settled by `now`: removals, children before parents; then the rest, parents before children.
    pub fn take(&mut self, now: Duration) -> Vec<Settled> {
        let mut removed = Vec::new();
        let mut changed = Vec::new();
        while let Some(Reverse((at, ..))) = self.heap.peek()
            && *at <= now
        {
            let Some(Reverse((at, root, path))) = self.heap.pop() else { break };
            let Some(waiting) = self.get(root, &path).copied() else { continue };
            if waiting.queued != at {
                continue;
            }
            if waiting.now.is_none() {
                if waiting.not_before <= now {
                    self.remove(root, &path);
                } else {
                    self.queue(waiting.not_before, root, path);
                }
                continue;
            }
            let due = self.due(&path, &waiting);
            if due > now {
                self.queue(due, root, path);
                continue;
            }
            // A new directory goes before what is in it, although something may still happen to it.
            for end in (0..path.len()).filter(|&at| path.get(at) == Some(&b'/')).chain([0]) {
                let ancestor = path.get(..end).unwrap_or_default();
                if ancestor.len() < path.len()
                    && self.get(root, ancestor).is_some_and(|w| w.now == Some(State::Present))
                {
                    changed.extend(self.tell(now, root, ancestor));
                }
            }
            match self.tell(now, root, &path) {
                Some(gone @ Settled::Removed { .. }) => removed.push(gone),
                told => changed.extend(told),
            }
            self.queue(now + self.rules.resend, root, path);
        }
        removed.sort_unstable_by(|a, b| b.place().cmp(a.place()));
        changed.sort_unstable_by(|a, b| a.place().cmp(b.place()));
        removed.extend(changed);
        removed
    }

    fn queue(&mut self, at: Duration, root: RootId, path: Arc<[u8]>) {
        if let Some(waiting) = self.roots.get_mut(&root).and_then(|paths| paths.get_mut(&path)) {
            waiting.queued = at;
            self.heap.push(Reverse((at, root, path)));
        }
    }

    /// Brings a path's entry in the heap forward when it is due earlier than was thought.
    fn hurry(&mut self, place: &Place) {
        let Some(paths) = self.roots.get(&place.root) else { return };
        if let Some((path, waiting)) = paths.get_key_value(place.path.as_slice()) {
            let due = self.due(path, waiting);
            if due < waiting.queued {
                let path = path.clone();
                self.queue(due, place.root, path);
            }
        }
    }

    /// What a path has become. It then waits out its resend interval.
    fn tell(&mut self, now: Duration, root: RootId, path: &[u8]) -> Option<Settled> {
        let resend = self.rules.resend;
        let waiting = self.roots.get_mut(&root)?.get_mut(path)?;
        let state = waiting.now.take()?;
        waiting.not_before = now + resend;
        let Waiting { directory, whole, .. } = *waiting;
        waiting.was_absent = false;
        waiting.whole = false;
        let place = Place { root, path: path.to_vec() };
        Some(match state {
            State::Present => Settled::Changed { place, directory, whole },
            State::Absent => Settled::Removed { place, directory },
            State::Doubtful(deep) => Settled::Rescan { place, deep },
        })
    }

    fn due(&self, path: &[u8], waiting: &Waiting) -> Duration {
        let Rules { settle, max_delay, max_open, .. } = self.rules;
        let due = if waiting.open {
            waiting.first + max_open
        } else if self.is_transient(path) {
            (waiting.last + settle.max(TRANSIENT)).min(waiting.first + max_delay.max(TRANSIENT))
        } else {
            (waiting.last + settle).min(waiting.first + max_delay)
        };
        due.max(waiting.not_before)
    }

    fn is_transient(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        self.rules.transient.iter().any(|pattern| pattern.matches(name))
    }

    fn appeared(&mut self, now: Duration, place: &Place, directory: bool, open: bool) {
        if self.is_covered(now, place) {
            return;
        }
        let replaced = self.get(place.root, &place.path).is_some_and(|waiting| {
            // What was there went within the window, or was told and nothing says that it is gone.
            waiting.now == Some(State::Absent) || waiting.now.is_none()
        });
        let waiting = self.wait_for(now, place, true);
        waiting.now = Some(State::Present);
        waiting.directory = directory;
        waiting.open = open;
        waiting.whole |= replaced && directory;
    }

    fn touched(&mut self, now: Duration, place: &Place, directory: bool, open: Option<bool>) {
        if self.is_covered(now, place) {
            return;
        }
        let waiting = self.wait_for(now, place, false);
        if !matches!(waiting.now, Some(State::Doubtful(_))) {
            waiting.now = Some(State::Present);
            waiting.directory = directory;
            waiting.open = open.unwrap_or(waiting.open);
        }
    }

    fn vanished(&mut self, now: Duration, place: &Place, directory: bool) {
        self.remove_below(place);
        if self.is_covered(now, place) {
            self.remove(place.root, &place.path);
            return;
        }
        let waiting = self.wait_for(now, place, false);
        if waiting.was_absent {
            self.remove(place.root, &place.path);
            return;
        }
        waiting.now = Some(State::Absent);
        waiting.directory = directory;
        waiting.open = false;
    }

    fn renamed(&mut self, now: Duration, from: &Place, to: &Place, directory: bool) {
        // What waited below the old name needs no word: the new name is told whole.
        self.remove_below(to);
        self.vanished(now, from, directory);
        if self.is_covered(now, to) {
            return;
        }
        let waiting = self.wait_for(now, to, false);
        waiting.now = Some(State::Present);
        waiting.directory = directory;
        waiting.open = false;
        waiting.whole = directory;
    }

    fn rescan(&mut self, now: Duration, place: &Place, deep: bool) {
        if deep {
            self.remove_below(place);
        }
        if self.is_covered(now, place) {
            return;
        }
        let waiting = self.wait_for(now, place, false);
        let deep = deep || waiting.whole || waiting.now == Some(State::Doubtful(true));
        waiting.now = Some(State::Doubtful(deep));
        waiting.directory = true;
        waiting.open = false;
    }

    /// Whether a directory above waits to be told with everything below it.
    fn is_covered(&mut self, now: Duration, place: &Place) -> bool {
        let path = place.path.as_slice();
        let covering = (0..path.len()).filter(|&at| path[at] == b'/').chain([0]).find(|&end| {
            self.get(place.root, &path[..end]).is_some_and(|waiting| {
                end < path.len()
                    && (waiting.now == Some(State::Doubtful(true))
                        || waiting.whole && waiting.now == Some(State::Present))
            })
        });
        let Some(end) = covering else { return false };
        if let Some(above) =
            self.roots.get_mut(&place.root).and_then(|paths| paths.get_mut(&path[..end]))
        {
            above.last = now;
        }
        true
    }

    fn get(&self, root: RootId, path: &[u8]) -> Option<&Waiting> {
        self.roots.get(&root)?.get(path)
    }

    /// The entry of a path, made when there is none, with its times brought up to date.
    fn wait_for(&mut self, now: Duration, place: &Place, was_absent: bool) -> &mut Waiting {
        let settle = self.rules.settle;
        let paths = self.roots.entry(place.root).or_default();
        if !paths.contains_key(place.path.as_slice()) {
            let path: Arc<[u8]> = place.path.as_slice().into();
            self.heap.push(Reverse((now + settle, place.root, path.clone())));
            self.count += 1;
            let fresh = Waiting {
                first: now,
                last: now,
                queued: now + settle,
                not_before: Duration::ZERO,
                was_absent,
                now: None,
                directory: false,
                open: false,
                whole: false,
            };
            paths.insert(path, fresh);
        }
        let Some(waiting) = paths.get_mut(place.path.as_slice()) else {
            unreachable!("inserted above")
        };
        if waiting.now.is_none() {
            waiting.first = now;
        }
        waiting.last = now;
        waiting
    }

    fn remove(&mut self, root: RootId, path: &[u8]) {
        if let Some(paths) = self.roots.get_mut(&root)
            && paths.remove(path).is_some()
        {
            self.count -= 1;
        }
    }

    fn remove_below(&mut self, place: &Place) {
        let Some(paths) = self.roots.get_mut(&place.root) else { return };
        let below: Vec<Arc<[u8]>> =
            below(paths, &place.path).map(|(path, _)| path.clone()).collect();
        for path in below {
            paths.remove(&path);
            self.count -= 1;
        }
    }

    /// Tells directories instead of what is in them, the deepest first, until half the bound is free.
    fn collapse(&mut self, now: Duration) {
        while self.count > self.rules.max_paths / 2 {
            let depth = |path: &[u8]| {
                path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count()
            };
            let deepest = self
                .roots
                .values()
                .flat_map(BTreeMap::keys)
                .map(|path| depth(path))
                .max()
                .unwrap_or(0);
            if deepest == 0 {
                break;
            }
            let parents: Vec<Place> = self
                .roots
                .iter()
                .flat_map(|(&root, paths)| {
                    paths
                        .keys()
                        .filter(|path| depth(path) == deepest)
                        .map(move |path| Place { root, path: parent(path).to_vec() })
                })
                .collect();
            for place in parents {
                self.rescan(now, &place, true);
            }
        }
        // What left no trace in the map needs none in the heap.
        let roots = &self.roots;
        self.heap.retain(|Reverse((_, root, path))| {
            roots.get(root).is_some_and(|paths| paths.contains_key(path))
        });
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').and_then(|at| path.get(..at)).unwrap_or_default()
}

/// What is strictly below `directory`.
fn below<'a>(
    paths: &'a BTreeMap<Arc<[u8]>, Waiting>,
    directory: &[u8],
) -> Box<dyn Iterator<Item = (&'a Arc<[u8]>, &'a Waiting)> + 'a> {
    if directory.is_empty() {
        return Box::new(paths.iter().filter(|(path, _)| !path.is_empty()));
    }
    let first = [directory, b"/"].concat();
    let end = [directory, b"0"].concat();
    // '0' follows '/' in ASCII.
    Box::new(paths.range::<[u8], _>((Bound::Excluded(&*first), Bound::Excluded(&*end))))
}

#[cfg(test)]
mod tests;
