//! A queue and its journal as one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_conf::live::JournalSync;
use syncline_fs::{RelPath, RelPathBuf};

use crate::Error;
use crate::journal::Journal;
use crate::key::Key;
use crate::queue::{Batch, Queue, Todo};
use crate::record::{self, MAX_PATH};
use crate::storage::Storage;

/// How often the journal reaches the disk when nothing else makes it (R71).
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How often a journal that cannot be written is tried again (R75).
const REPAIR_EVERY: Duration = Duration::from_secs(60);

/// What waits for one target, kept over the end of the process.
///
/// With [`JournalSync::Always`] a change is on the disk when [`push`](Self::push) returns. With
/// [`JournalSync::Batch`] it is there before a batch is taken and at latest a second later, if
/// [`tick`](Self::tick) is called: a loss of power costs the last second, which the comparison after a start that
/// follows no clean end finds again. With [`JournalSync::Never`] a loss of power may cost all since the last
/// compaction; the end of the process alone costs nothing with any of them.
///
/// A disk that is full or broken stops nothing: the queue goes on in memory, [`trouble`](Self::trouble) says
/// so, and the journal is made anew as soon as it can be.
#[derive(Debug)]
pub struct Outbox<S> {
    queue: Queue,
    journal: Journal<S>,
    policy: JournalSync,
    /// What waits for a moment of its own, outside of the queue.
    aside: BTreeMap<Key, Todo>,
    /// The last change that the batch under way may hold.
    taken_up_to: u64,
    /// Something was written since the last wait for the disk.
    unsynced: bool,
    synced_at: Duration,
    trouble: Option<Error>,
    repaired_at: Duration,
}

/// What was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// A journal was there, and the program that wrote it ended as it should: the queue is all that is to be done.
    pub clean: bool,
    /// A journal was there.
    pub existed: bool,
    /// A part of it could not be read: everything is to be compared, and the queue says so already.
    pub damaged: bool,
    /// Paths that waited.
    pub paths: usize,
}

impl<S: Storage> Outbox<S> {
    /// Takes up what the journal holds, for at most `limit` waiting paths.
    ///
    /// Fails if the journal cannot be read or is of another program's making; it stays as it is then.
    pub fn open(
        storage: S,
        policy: JournalSync,
        limit: usize,
        now: Duration,
    ) -> Result<(Self, Recovery), Error> {
        let (journal, held) = Journal::open(storage)?;
        let mut queue = Queue::new(limit);
        for (key, todo) in held.changes {
            queue.push_key(now, &key, todo);
        }
        if held.damaged {
            queue.push_key(now, &Key::root(), Todo::tree());
        }
        let recovery = Recovery {
            clean: held.closed && !held.damaged,
            existed: held.existed,
            damaged: held.damaged,
            paths: queue.len(),
        };
        let mut outbox = Self {
            queue,
            journal,
            policy,
            aside: BTreeMap::new(),
            taken_up_to: 0,
            unsynced: false,
            synced_at: now,
            trouble: None,
            repaired_at: now,
        };
        outbox.begin_segment(now);
        Ok((outbox, recovery))
    }

    /// Adds what is to be done about a path.
    pub fn push(&mut self, now: Duration, path: RelPath<'_>, todo: Todo) {
        let mut key = Key::of(path);
        let mut todo = todo;
        while key.as_bytes().len() > MAX_PATH {
            key = key.parent().unwrap_or_else(Key::root);
            todo = Todo::tree();
        }
        let made = self.queue.push_key(now, &key, todo);
        self.record(key, todo);
        if !made.is_empty() {
            self.measure();
        }
        for (key, todo) in made {
            self.record(key, todo);
        }
        self.written(now);
    }

    /// The same for what was set aside and is due: it is older than what waits of that path.
    pub fn push_older(&mut self, now: Duration, path: RelPath<'_>, todo: Todo) {
        let todo = self.queue.todo(path).map_or(todo, |newer| todo.then(newer));
        self.push(now, path, todo);
    }

    /// Takes what a session is to carry: see [`Queue::take`].
    pub fn take(&mut self, now: Duration, limit: usize) -> Option<Batch> {
        let batch = self.queue.take(limit)?;
        self.taken_up_to = self.journal.sequence();
        if self.policy == JournalSync::Batch {
            self.sync(now);
        }
        Some(batch)
    }

    /// The batch arrived, except for these paths, which wait again.
    pub fn finish(&mut self, now: Duration, failed: &[RelPathBuf]) {
        let Some(range) = self.queue.range_under_way().cloned() else { return };
        let keys: BTreeSet<Key> = failed.iter().map(|path| Key::of(path.as_path())).collect();
        let back = self.queue.entries_under_way().filter(|(key, _)| keys.contains(key));
        let back: Vec<(Key, Todo)> = back.map(|(key, todo)| (key.clone(), todo)).collect();
        let made = self.queue.finish_keys(failed);
        // Their numbers are later than those of what is done.
        for (key, todo) in back.into_iter().chain(made) {
            self.record(key, todo);
        }
        if self.trouble.is_none() {
            let up_to = self.taken_up_to;
            let done = self.journal.done(up_to, range);
            self.note(done);
        }
        self.measure();
        self.written(now);
    }

    /// This is to be done at some other time, which the caller keeps: the next start finds it in the queue, whatever
    /// arrives of its path until it is [pushed](Self::push) again.
    pub fn set_aside(&mut self, now: Duration, path: RelPath<'_>, todo: Todo) {
        let key = Key::of(path);
        if key.as_bytes().len() > MAX_PATH {
            return self.push(now, path, todo);
        }
        if self.trouble.is_none() {
            let written = self.journal.aside(key.clone(), todo);
            self.note(written);
        }
        self.aside.insert(key, todo);
        self.written(now);
    }

    /// It is not set aside any more. Until the journal is made anew the next start may look at it once more.
    pub fn not_aside(&mut self, path: RelPath<'_>) {
        self.aside.remove(&Key::of(path));
    }

    /// The batch did not arrive, or nobody knows: all of it waits again.
    pub fn give_back(&mut self, now: Duration) {
        let made = self.queue.give_back_keys();
        for (key, todo) in made {
            self.record(key, todo);
        }
        self.written(now);
    }

    /// To be called at least once a second: brings the journal to the disk, or makes it anew.
    pub fn tick(&mut self, now: Duration) {
        if self.trouble.is_some() && now >= self.repaired_at.saturating_add(REPAIR_EVERY) {
            self.begin_segment(now);
        }
        if self.policy == JournalSync::Batch && now >= self.synced_at.saturating_add(SYNC_EVERY) {
            self.sync(now);
        }
    }

    /// When [`tick`](Self::tick) has something to do; none if nothing waits for it.
    pub fn due(&self) -> Option<Duration> {
        if self.trouble.is_some() {
            return Some(self.repaired_at.saturating_add(REPAIR_EVERY));
        }
        let waits = self.unsynced && self.policy == JournalSync::Batch;
        waits.then(|| self.synced_at.saturating_add(SYNC_EVERY))
    }

    /// Ends as a program should: what waits is kept, and the next start may trust it.
    pub fn close(mut self) -> Result<(), Error> {
        self.queue.give_back();
        if self.trouble.is_some() {
            // Part of the queue is only in memory; a new segment holds all of it.
            self.journal.compact(self.queue.all(), set_aside(&self.aside))?;
        }
        self.journal.close()
    }

    /// What waits.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Why the journal is not written at present, if it is not.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    /// The size of the journal in bytes.
    pub fn journal_bytes(&self) -> u64 {
        self.journal.length()
    }

    fn record(&mut self, key: Key, todo: Todo) {
        if self.trouble.is_none() {
            let written = self.journal.change(key, todo);
            self.note(written);
        }
    }

    /// After records: brings them to the disk and shortens the journal as the policy and its length ask for.
    fn written(&mut self, now: Duration) {
        self.unsynced = true;
        if self.policy == JournalSync::Always {
            self.sync(now);
        }
        if self.trouble.is_none() && self.journal.is_long() {
            self.begin_segment(now);
        }
    }

    /// The journal may be twice as large as what it must hold, and a little (R74).
    fn measure(&mut self) {
        let all = self.queue.all().map(|(key, _)| key).chain(self.aside.keys());
        self.journal.set_live(all.map(record::change_length).sum());
    }

    /// Writes all that is not done into a new segment. A batch under way comes first in it, so that its end is
    /// told by a number as before.
    fn begin_segment(&mut self, now: Duration) {
        self.repaired_at = now;
        let before = self.journal.sequence();
        match self.journal.compact(self.queue.all(), set_aside(&self.aside)) {
            Ok(()) => {
                self.trouble = None;
                self.synced_at = now;
                self.unsynced = false;
                self.taken_up_to = before + self.queue.under_way() as u64;
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    fn sync(&mut self, now: Duration) {
        self.synced_at = now;
        if self.unsynced && self.trouble.is_none() {
            let synced = self.journal.sync();
            self.unsynced = synced.is_err();
            self.note(synced);
        }
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.trouble = Some(error);
        }
    }
}

fn set_aside(aside: &BTreeMap<Key, Todo>) -> impl Iterator<Item = (&Key, Todo)> {
    aside.iter().map(|(key, todo)| (key, *todo))
}
