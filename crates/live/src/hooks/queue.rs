//! What waits for a hook: bounded, each path once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use syncline_conf::live::{After, ChangeKind};
use syncline_fs::RelPathBuf;

use super::{Change, StateChange};

/// Changes that wait, at most (R131).
const MOST_CHANGES: usize = 10_000;

/// Changes of state that wait, at most.
const MOST_STATES: usize = 100;

/// What a hook is run for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The target; none if it concerns all.
    pub(super) target: Option<String>,
    /// The number of the last batch in it.
    pub(super) batch: u64,
    pub(super) work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    Changes(BTreeMap<RelPathBuf, Waiting>),
    /// More changed than is kept: anything in the source may have.
    Everything,
    State(StateChange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) kind: ChangeKind,
    pub(super) directory: bool,
    /// When the first target had it.
    since: Duration,
}

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// All that waits becomes "everything".
    Collapse,
    /// It is not told.
    Drop,
}

#[derive(Debug)]
pub(super) struct Queue {
    after: After,
    when_full: WhenFull,
    jobs: VecDeque<Job>,
    /// Changes in all jobs.
    changes: usize,
}

impl Queue {
    pub(super) fn new(after: After, when_full: WhenFull) -> Self {
        Self { after, when_full, jobs: VecDeque::new(), changes: 0 }
    }

    /// Adds what arrived at a target; gives the number of changes that did not fit.
    pub(super) fn add(
        &mut self,
        now: Duration,
        target: &str,
        batch: u64,
        changes: impl IntoIterator<Item = Change>,
    ) -> u64 {
        let target = (self.after == After::TargetBatch).then(|| target.to_owned());
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return 0;
        }
        let (at, when_full) = (self.job_of(target), self.when_full);
        let Some(job) = self.jobs.get_mut(at) else { return 0 };
        job.batch = batch;
        let mut dropped = 0;
        for change in changes {
            let Work::Changes(waiting) = &mut job.work else { break };
            let new = Waiting { kind: change.kind, directory: change.directory, since: now };
            if let Some(known) = waiting.get_mut(&change.path) {
                *known = Waiting { since: known.since, ..new };
            } else if self.changes < MOST_CHANGES {
                waiting.insert(change.path, new);
                self.changes += 1;
            } else if when_full == WhenFull::Collapse {
                self.changes -= waiting.len();
                job.work = Work::Everything;
            } else {
                dropped += 1;
            }
        }
        dropped
    }

    /// The index of the job that waits for a target, made if there is none.
    fn job_of(&mut self, target: Option<String>) -> usize {
        let known = self.jobs.iter().position(|job| job.target == target);
        known.unwrap_or_else(|| {
            self.jobs.push_back(Job { target, batch: 0, work: Work::Changes(BTreeMap::new()) });
            self.jobs.len() - 1
        })
    }

    pub(super) fn add_state(&mut self, change: StateChange) -> u64 {
        let mut dropped = 0;
        if self.jobs.len() >= MOST_STATES {
            self.jobs.pop_front();
            dropped = 1;
        }
        let target = Some(change.target.clone());
        self.jobs.push_back(Job { target, batch: 0, work: Work::State(change) });
        dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes the next job; of a job for all targets what the first of them had before `arrived`.
    pub(super) fn take(&mut self, arrived: Option<Duration>) -> Option<Job> {
        let mut job = self.jobs.pop_front()?;
        let Work::Changes(changes) = &mut job.work else { return Some(job) };
        if let (After::Batch, Some(arrived)) = (self.after, arrived) {
            let all = std::mem::take(changes);
            let (ready, later): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.into_iter().partition(|(_, waiting)| waiting.since < arrived);
            *changes = ready;
            let none_is_ready = changes.is_empty();
            if !later.is_empty() {
                let (target, batch) = (job.target.clone(), job.batch);
                self.jobs.push_front(Job { target, batch, work: Work::Changes(later) });
            }
            if none_is_ready {
                return None;
            }
        }
        if let Work::Changes(changes) = &job.work {
            self.changes -= changes.len();
        }
        Some(job)
    }

    /// Forgets all that waits; gives how many changes that were.
    pub(super) fn clear(&mut self) -> u64 {
        let states = self.jobs.iter().filter(|job| !matches!(job.work, Work::Changes(_))).count();
        let dropped = self.changes + states;
        self.jobs.clear();
        self.changes = 0;
        dropped as u64
    }
}

#[cfg(test)]
mod tests {
    use syncline_fs::RelPath;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn changed(path: &str) -> Change {
        Change::new(RelPath::new(path.as_bytes()).unwrap().to_owned(), ChangeKind::Changed, false)
    }

    fn paths(job: Option<Job>) -> Vec<String> {
        let Some(Job { work: Work::Changes(changes), .. }) = job else { return Vec::new() };
        changes.keys().map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn what_all_targets_have_goes_before_what_some_have() {
        let mut queue = Queue::new(After::Batch, WhenFull::Collapse);
        queue.add(s(1), "web1", 1, [changed("a")]);
        queue.add(s(5), "web1", 2, [changed("b")]);
        assert_eq!(paths(queue.take(Some(s(1)))), [""; 0]);
        queue.add(s(6), "web2", 1, [changed("a")]);
        assert_eq!(paths(queue.take(Some(s(5)))), ["a"]);
        assert_eq!(paths(queue.take(None)), ["b"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn each_target_has_a_job_of_its_own_and_a_path_is_in_it_once() {
        let mut queue = Queue::new(After::TargetBatch, WhenFull::Collapse);
        queue.add(s(1), "web1", 1, [changed("a")]);
        queue.add(s(1), "web2", 1, [changed("a")]);
        queue.add(s(2), "web1", 2, [changed("a"), changed("b")]);
        let job = queue.take(Some(s(0))).unwrap();
        assert_eq!((job.target.as_deref(), job.batch), (Some("web1"), 2));
        assert_eq!(paths(Some(job)), ["a", "b"]);
        assert_eq!(paths(queue.take(None)), ["a"]);
    }

    #[test]
    fn r131_what_does_not_fit_is_counted_or_becomes_everything() {
        let many = || (0..MOST_CHANGES + 5).map(|number| changed(&format!("f{number}")));
        let mut queue = Queue::new(After::Batch, WhenFull::Drop);
        assert_eq!(queue.add(s(1), "web1", 1, many()), 5);
        assert_eq!(queue.add(s(2), "web1", 2, [changed("f0")]), 0);
        assert_eq!(queue.clear(), MOST_CHANGES as u64);
        let mut queue = Queue::new(After::Batch, WhenFull::Collapse);
        assert_eq!(queue.add(s(1), "web1", 1, many()), 0);
        assert_eq!(queue.take(None).map(|job| job.work), Some(Work::Everything));
        assert_eq!((queue.changes, queue.is_empty()), (0, true));
    }
}
