//! The journal of one queue (R70 to R76): append-only, checksummed, compacted into new segments.
//!
//! * A segment begins with everything that was not done when it was made, closed by a record that says so. Until
//!   that record is on the disk the older segments stay and count; after it they are removed.
//! * A change is a record; so is an acknowledgement, which names a part of all paths and the number of the last
//!   change it covers. Reading needs no knowledge of how a queue joins and collapses.
//! * A record that cannot be read, with readable ones behind it, is damage: everything is compared again. Without
//!   any behind it, it is a write that the end of the program or of the power cut off, and is left out.

use std::collections::BTreeMap;
use std::io;

use crate::Error;
use crate::key::Key;
use crate::queue::{Range, Todo};
use crate::record::{self, FORMAT, HEADER, MAGIC, Record};
use crate::storage::Storage;

/// What a journal may be larger than twice what it must hold (R74).
pub(crate) const SLACK: u64 = 8 << 20;

/// No segment is larger: twice the records of the largest queue, and the slack, are far below it.
const MAX_SEGMENT: u64 = 4 << 30;

/// The number of a change that no batch acknowledges: only another change of its path, made later, takes its place.
const ASIDE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Journal<S> {
    storage: S,
    /// The segment that is written, if one could be made.
    segment: Option<u64>,
    /// The number for the next segment.
    next_segment: u64,
    length: u64,
    /// Number of the last change.
    sequence: u64,
    /// The length at which compaction is worth its while.
    compact_at: u64,
}

/// What a journal held.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// What was not done, in the order in which it came.
    pub(crate) changes: Vec<(Key, Todo)>,
    pub(crate) closed: bool,
    pub(crate) damaged: bool,
    /// There was a journal at all.
    pub(crate) existed: bool,
}

impl<S: Storage> Journal<S> {
    /// Reads what is there. Nothing is written: the caller makes a new segment of what it got.
    pub(crate) fn open(storage: S) -> Result<(Self, Held), Error> {
        let fail = |action, segment| move |source| Error::Storage { action, segment, source };
        let mut segments = storage.segments().map_err(fail("list", None))?;
        segments.sort_unstable();
        let mut held = Held::default();
        for &segment in segments.iter().rev() {
            let bytes = storage.read(segment, MAX_SEGMENT).map_err(fail("read", Some(segment)))?;
            let read = read_segment(segment, &bytes)?;
            held.existed |= read.begun;
            held.damaged |= read.damaged;
            if read.complete {
                held.closed = read.closed;
                held.changes = read.changes;
                break;
            }
            if segments.first() == Some(&segment) {
                // The only one, cut off or damaged in its beginning: what can be read is better than nothing, but
                // it is not all.
                held.damaged |= read.begun;
                held.changes = read.changes;
            }
        }
        let next_segment = segments.last().map_or(1, |last| last.saturating_add(1));
        let journal =
            Self { storage, segment: None, next_segment, length: 0, sequence: 0, compact_at: 0 };
        Ok((journal, held))
    }

    /// Makes a new segment of all that is not done, and removes the older ones.
    pub(crate) fn compact<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a Key, Todo)>,
        aside: impl Iterator<Item = (&'a Key, Todo)>,
    ) -> Result<(), Error> {
        let segment = self.next_segment;
        self.next_segment = segment.saturating_add(1);
        let made = self.make(segment, changes, aside);
        if let Err(error) = made {
            // Its beginning is not closed, so that it does not count if it cannot be removed either.
            self.segment = None;
            let _ = self.storage.remove(segment);
            return Err(error);
        }
        let fail = |action, segment| {
            move |source| Error::Storage { action, segment: Some(segment), source }
        };
        for older in self.storage.segments().map_err(fail("list", segment))? {
            if older < segment {
                self.storage.remove(older).map_err(fail("remove", older))?;
            }
        }
        Ok(())
    }

    fn make<'a>(
        &mut self,
        segment: u64,
        changes: impl Iterator<Item = (&'a Key, Todo)>,
        aside: impl Iterator<Item = (&'a Key, Todo)>,
    ) -> Result<(), Error> {
        let fail = |action| move |source| Error::Storage { action, segment: Some(segment), source };
        self.storage.create(segment).map_err(fail("create"))?;
        let mut bytes = record::header();
        let mut written = 0;
        let numbered = changes.map(|change| (false, change));
        for (is_aside, (key, todo)) in numbered.chain(aside.map(|change| (true, change))) {
            let sequence = if is_aside { ASIDE } else { self.sequence + 1 };
            if !is_aside {
                self.sequence = sequence;
            }
            let change = Record::Change { sequence, key: key.clone(), todo };
            record::write(&change, segment, written + bytes.len() as u64, &mut bytes);
            if bytes.len() > 1 << 20 {
                self.storage.append(&bytes).map_err(fail("write"))?;
                written += bytes.len() as u64;
                bytes.clear();
            }
        }
        record::write(&Record::Complete, segment, written + bytes.len() as u64, &mut bytes);
        self.storage.append(&bytes).map_err(fail("write"))?;
        self.storage.sync().map_err(fail("sync"))?;
        self.segment = Some(segment);
        self.length = written + bytes.len() as u64;
        self.compact_at = 2 * self.length + SLACK;
        Ok(())
    }

    /// Appends a change.
    pub(crate) fn change(&mut self, key: Key, todo: Todo) -> Result<(), Error> {
        self.sequence += 1;
        self.append(&Record::Change { sequence: self.sequence, key, todo })
    }

    /// Appends something that is to be done at some time of its own, whatever is done of its path before.
    pub(crate) fn aside(&mut self, key: Key, todo: Todo) -> Result<(), Error> {
        self.append(&Record::Change { sequence: ASIDE, key, todo })
    }

    /// Appends that all changes up to number `up_to` in `range` are done.
    pub(crate) fn done(&mut self, up_to: u64, range: Range) -> Result<(), Error> {
        self.append(&Record::Done { up_to, range })
    }

    /// Appends that the program ends, and waits for the disk.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.append(&Record::Closed)?;
        self.sync()
    }

    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        let segment = self.segment;
        self.storage.sync().map_err(|source| Error::Storage { action: "sync", segment, source })
    }

    /// The number of the last change.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The size of the segment that is written.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it has grown beyond twice what it must hold, and the slack.
    pub(crate) fn is_long(&self) -> bool {
        self.length > self.compact_at
    }

    /// How long the records of what is not done are.
    pub(crate) fn set_live(&mut self, live: u64) {
        self.compact_at = 2 * (HEADER as u64 + live) + SLACK;
    }

    fn append(&mut self, record: &Record) -> Result<(), Error> {
        let fail = |segment| move |source| Error::Storage { action: "write", segment, source };
        let Some(segment) = self.segment else {
            return Err(fail(None)(io::Error::other("it has no segment")));
        };
        let mut bytes = Vec::new();
        record::write(record, segment, self.length, &mut bytes);
        if let Err(source) = self.storage.append(&bytes) {
            // A part of it may be there, so that no further record may follow.
            self.segment = None;
            return Err(fail(Some(segment))(source));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct SegmentRead {
    /// More than a header is there, or all of one.
    begun: bool,
    /// All that was not done before it is in it.
    complete: bool,
    closed: bool,
    damaged: bool,
    changes: Vec<(Key, Todo)>,
}

fn read_segment(segment: u64, bytes: &[u8]) -> Result<SegmentRead, Error> {
    let mut read = SegmentRead::default();
    if bytes.len() < HEADER {
        // Cut off as it was made; anything else is none of ours.
        let header = record::header();
        return if header.starts_with(bytes) {
            Ok(read)
        } else {
            Err(Error::NotAJournal { segment })
        };
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(Error::NotAJournal { segment });
    }
    let found =
        bytes[MAGIC.len()..HEADER].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk));
    if found != FORMAT {
        return Err(Error::UnknownVersion { segment, found, known: FORMAT });
    }
    read.begun = true;
    let mut changes: BTreeMap<Key, (u64, Todo)> = BTreeMap::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let Some((record, next)) = record::read(bytes, segment, at) else {
            read.closed = false;
            let Some(next) =
                (at + 1..bytes.len()).find(|&next| record::read(bytes, segment, next).is_some())
            else {
                break;
            };
            read.damaged = true;
            at = next;
            continue;
        };
        at = next;
        read.closed = record == Record::Closed;
        match record {
            Record::Change { sequence, key, todo } => {
                changes
                    .entry(key)
                    .and_modify(|(number, joined)| {
                        (*number, *joined) = (sequence, joined.then(todo));
                    })
                    .or_insert((sequence, todo));
            }
            Record::Done { up_to, range } => {
                let done =
                    changes.range(range.from.clone()..).take_while(|(key, _)| range.holds(key));
                let done = done.filter(|(_, (number, _))| *number <= up_to);
                let done: Vec<Key> = done.map(|(key, _)| key.clone()).collect();
                for key in done {
                    changes.remove(&key);
                }
            }
            Record::Complete => read.complete = true,
            Record::Closed => {}
        }
    }
    let mut changes: Vec<(u64, Key, Todo)> =
        changes.into_iter().map(|(key, (number, todo))| (number, key, todo)).collect();
    changes.sort_unstable_by_key(|(number, ..)| *number);
    read.changes = changes.into_iter().map(|(_, key, todo)| (key, todo)).collect();
    Ok(read)
}
