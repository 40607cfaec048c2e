//! Events read from the kernel and not yet handled, in the kernel's own bytes.
//!
//! Reading ahead serves two ends: the second half of a rename is found before the first is told, and a directory that was
//! just listed is compared with the events that its new watch already queued.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use crate::mask::Mask;
use crate::record::{Record, records};

/// More than the largest queue the kernel keeps by default; beyond it the kernel's own overflow takes over.
const HELD_AT_MOST: usize = 64 << 20;
const BLOCK: usize = 64 << 10;

struct Block {
    bytes: Vec<u8>,
    /// Up to here the block was handled.
    start: usize,
    /// Where the block begins in everything ever read.
    offset: u64,
    read_at: Instant,
}

/// One event taken out of the queue.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) watch: i32,
    pub(crate) mask: Mask,
    pub(crate) cookie: u32,
    pub(crate) name: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Queue {
    blocks: VecDeque<Block>,
    /// The cookies of all MOVED_TO in `blocks`.
    arrivals: HashSet<u32>,
    held: usize,
    read: u64,
    spare: Vec<u8>,
}

impl Queue {
    /// Reads one block; false when the kernel has nothing, or too much is held already.
    pub(crate) fn fill(&mut self, fd: BorrowedFd<'_>) -> Result<bool, Errno> {
        if self.held > HELD_AT_MOST {
            return Ok(false);
        }
        self.spare.resize(BLOCK, 0);
        let count = loop {
            match rustix::io::read(fd, &mut self.spare) {
                Ok(count) => break count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        };
        self.push(self.spare.get(..count).unwrap_or_default().to_vec());
        Ok(count > 0)
    }

    /// Reads until everything that is queued now is held. True when nothing had to be left behind.
    pub(crate) fn catch_up(&mut self, fd: BorrowedFd<'_>) -> Result<bool, Errno> {
        let goal = self.read + pending(fd)?;
        while self.read < goal {
            if !self.fill(fd)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push(&mut self, bytes: Vec<u8>) {
        for record in records(&bytes) {
            if record.mask.intersects(Mask::MOVED_TO) {
                self.arrivals.insert(record.cookie);
            }
        }
        self.held += bytes.len();
        let offset = self.read;
        self.read += bytes.len() as u64;
        self.blocks.push_back(Block { bytes, start: 0, offset, read_at: Instant::now() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many bytes were ever read.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// How many bytes were ever handled.
    pub(crate) fn handled(&self) -> u64 {
        self.blocks.front().map_or(self.read, |block| block.offset + block.start as u64)
    }

    /// The next event, and when it was read.
    pub(crate) fn front(&self) -> Option<(Record<'_>, Instant)> {
        let block = self.blocks.front()?;
        let (record, _) = Record::split_first(block.bytes.get(block.start..)?)?;
        Some((record, block.read_at))
    }

    /// Takes the next event out.
    pub(crate) fn take(&mut self, taken: &mut Taken) -> bool {
        let Some(block) = self.blocks.front_mut() else { return false };
        let rest = block.bytes.get(block.start..).unwrap_or_default();
        let whole = rest.len();
        let left = match Record::split_first(rest) {
            Some((record, left)) => {
                taken.watch = record.watch;
                taken.mask = record.mask;
                taken.cookie = record.cookie;
                taken.name.clear();
                taken.name.extend_from_slice(record.name);
                left.len()
            }
            // The kernel writes whole records only.
            None => 0,
        };
        let found = left < whole;
        block.start += whole - left;
        if left == 0 {
            self.held -= block.bytes.len();
            self.blocks.pop_front();
        }
        if taken.mask.intersects(Mask::MOVED_TO) {
            self.arrivals.remove(&taken.cookie);
        }
        found
    }

    /// The other half of a rename, if it was read already.
    pub(crate) fn arrival(&self, cookie: u32) -> Option<Record<'_>> {
        if !self.arrivals.contains(&cookie) {
            return None;
        }
        self.since(0)
            .find(|record| record.cookie == cookie && record.mask.intersects(Mask::MOVED_TO))
    }

    /// The unhandled events that were read after `position`.
    pub(crate) fn since(&self, position: u64) -> impl Iterator<Item = Record<'_>> {
        self.blocks
            .iter()
            .filter(move |block| block.offset >= position || position == 0)
            .flat_map(|block| records(block.bytes.get(block.start..).unwrap_or_default()))
    }
}

/// How many bytes the kernel has queued.
pub(crate) fn pending(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    rustix::io::ioctl_fionread(fd)
}
