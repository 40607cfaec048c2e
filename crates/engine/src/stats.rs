//! Counters of a run: what `--stats` shows and what the exit code is made of.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use syncline_wire::IoErrors;
use syncline_wire::list::FileKind;

use crate::ExitCode;

/// Counts of the five kinds of objects.
#[derive(Debug, Default)]
pub struct KindCounts([AtomicU64; 5]);

impl KindCounts {
    /// One more of a kind; missing arguments are none.
    pub fn add(&self, kind: FileKind) {
        self.add_many(kind, 1);
    }

    /// So many more of a kind.
    pub fn add_many(&self, kind: FileKind, count: u64) {
        if let Some(slot) = slot(kind) {
            self.0[slot].fetch_add(count, Ordering::Relaxed);
        }
    }

    /// So many less of a kind, which were counted elsewhere already.
    pub fn remove(&self, kind: FileKind, count: u64) {
        let Some(slot) = slot(kind) else { return };
        let less = |present: u64| Some(present.saturating_sub(count));
        // The closure always gives a value.
        let _ = self.0[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Adds counts of another run.
    pub fn add_all(&self, other: &Self) {
        for (own, more) in self.0.iter().zip(other.get()) {
            own.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Regular files, directories, symlinks, devices, specials.
    pub fn get(&self) -> [u64; 5] {
        std::array::from_fn(|slot| self.0[slot].load(Ordering::Relaxed))
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.get().iter().sum()
    }
}

fn slot(kind: FileKind) -> Option<usize> {
    match kind {
        FileKind::Regular => Some(0),
        FileKind::Directory => Some(1),
        FileKind::Symlink => Some(2),
        FileKind::BlockDevice | FileKind::CharacterDevice => Some(3),
        FileKind::Fifo | FileKind::Socket => Some(4),
        FileKind::Missing => None,
    }
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Takes a value learned elsewhere.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything counted during a run. Stages add, reports read.
#[derive(Debug, Default)]
pub struct Tally {
    /// Entries of the list.
    pub files: KindCounts,
    /// Objects that were not there before.
    pub created: KindCounts,
    /// Objects deleted.
    pub deleted: KindCounts,
    /// Regular files whose content was transferred.
    pub transferred: Count,
    /// Sizes of all regular files and symlink targets of the list.
    pub total_size: Count,
    /// Sizes of the transferred files.
    pub transferred_size: Count,
    /// Bytes that travelled as data.
    pub literal: Count,
    /// Bytes taken from a basis.
    pub matched: Count,
    /// Blocks found by a search.
    pub matches: Count,
    /// Bytes the list took.
    pub list_size: Count,
    /// Milliseconds until the first list was complete.
    pub list_build: Count,
    /// Milliseconds spent in passing lists.
    pub list_transfer: Count,
    /// Raw bytes to the peer.
    pub sent: Count,
    /// Raw bytes from the peer.
    pub received: Count,
    io_errors: AtomicU8,
    transfer_failed: AtomicBool,
    lists_ended: AtomicBool,
}

impl Tally {
    /// The line of `--debug=DELTASUM`.
    pub(crate) fn search_line(&self) -> String {
        let (matches, data) = (self.matches.get(), self.literal.get());
        format!("total: matches={matches}  hash_hits={matches}  false_alarms=0 data={data}")
    }

    /// Notes I/O errors, our own or the peer's.
    pub fn add_io_errors(&self, errors: IoErrors) {
        self.io_errors.fetch_or(errors.bits() as u8, Ordering::Relaxed);
    }

    /// The I/O errors so far.
    pub fn io_errors(&self) -> IoErrors {
        IoErrors::from_bits(self.io_errors.load(Ordering::Relaxed).into())
    }

    /// Notes that no list follows.
    pub fn end_lists(&self) {
        self.lists_ended.store(true, Ordering::Relaxed);
    }

    /// Whether all entries are known.
    pub fn lists_ended(&self) -> bool {
        self.lists_ended.load(Ordering::Relaxed)
    }

    /// Notes that something was not transferred.
    pub fn fail_transfer(&self) {
        self.transfer_failed.store(true, Ordering::Relaxed);
    }

    /// Adds what another session of the same run has counted.
    pub fn add(&self, other: &Self) {
        self.files.add_all(&other.files);
        self.created.add_all(&other.created);
        self.deleted.add_all(&other.deleted);
        for (own, more) in self.counts().into_iter().zip(other.counts()) {
            own.add(more.get());
        }
        self.add_io_errors(other.io_errors());
        if other.transfer_failed.load(Ordering::Relaxed) {
            self.fail_transfer();
        }
    }

    fn counts(&self) -> [&Count; 11] {
        [
            &self.transferred,
            &self.total_size,
            &self.transferred_size,
            &self.literal,
            &self.matched,
            &self.matches,
            &self.list_size,
            &self.list_build,
            &self.list_transfer,
            &self.sent,
            &self.received,
        ]
    }

    /// The exit code of a run that came to its end: 23 beats 24 beats 25 (docs/spec cli.md 16).
    pub fn exit_code(&self) -> ExitCode {
        let errors = self.io_errors();
        if self.transfer_failed.load(Ordering::Relaxed) || errors.contains(IoErrors::GENERAL) {
            ExitCode::PARTIAL
        } else if errors.contains(IoErrors::VANISHED) {
            ExitCode::VANISHED
        } else if errors.contains(IoErrors::DELETE_LIMIT) {
            ExitCode::DELETE_LIMIT
        } else {
            ExitCode::OK
        }
    }
}

/// Measures a stretch of time in milliseconds, at least one.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Whole milliseconds since the start, at least one.
    pub fn milliseconds(self) -> u64 {
        (self.0.elapsed().as_millis() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sessions_count_adds_up() {
        let (all, one) = (Tally::default(), Tally::default());
        one.files.add_many(FileKind::Directory, 3);
        one.files.remove(FileKind::Directory, 1);
        one.sent.add(7);
        one.add_io_errors(IoErrors::VANISHED);
        all.add(&one);
        all.add(&one);
        assert_eq!((all.files.total(), all.sent.get()), (4, 14));
        assert_eq!(all.exit_code(), ExitCode::VANISHED);
    }

    #[test]
    fn the_worst_of_the_partial_failures_decides() {
        let tally = Tally::default();
        assert_eq!(tally.exit_code(), ExitCode::OK);
        tally.add_io_errors(IoErrors::DELETE_LIMIT);
        assert_eq!(tally.exit_code(), ExitCode::DELETE_LIMIT);
        tally.add_io_errors(IoErrors::VANISHED);
        assert_eq!(tally.exit_code(), ExitCode::VANISHED);
        tally.fail_transfer();
        assert_eq!(tally.exit_code(), ExitCode::PARTIAL);
    }
}
