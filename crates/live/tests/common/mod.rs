//! Segments in memory, with faults.
#![allow(dead_code, clippy::unwrap_used)] // Each test program uses a part; helpers are as tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use syncline_live::Storage;

#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) synced: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) segments: BTreeMap<u64, Segment>,
    pub(crate) current: Option<u64>,
    /// How many more bytes fit.
    pub(crate) room: Option<usize>,
    pub(crate) syncs: usize,
}

/// A disk that outlives the one who writes to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(pub(crate) Rc<RefCell<Disk>>);

impl Memory {
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        let memory = Self::default();
        memory.0.borrow_mut().segments.insert(1, Segment { synced: bytes.len(), bytes });
        memory
    }

    /// The newest segment.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().segments.values().next_back().unwrap().bytes.clone()
    }

    /// What a loss of power leaves: of each segment what was synced.
    pub(crate) fn lose_power(&self) {
        for segment in self.0.borrow_mut().segments.values_mut() {
            segment.bytes.truncate(segment.synced);
        }
    }
}

impl Storage for Memory {
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.borrow().segments.keys().rev().copied().collect())
    }

    fn read(&self, segment: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = self.0.borrow().segments[&segment].bytes.clone();
        bytes.truncate(usize::try_from(limit).unwrap());
        Ok(bytes)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        assert!(disk.segments.insert(segment, Segment::default()).is_none());
        disk.current = Some(segment);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        let fits = disk.room.unwrap_or(usize::MAX).min(bytes.len());
        disk.room = disk.room.map(|room| room - fits);
        let current = disk.current.unwrap();
        disk.segments.get_mut(&current).unwrap().bytes.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        let current = disk.current.unwrap();
        let segment = disk.segments.get_mut(&current).unwrap();
        segment.synced = segment.bytes.len();
        disk.syncs += 1;
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.0
            .borrow_mut()
            .segments
            .remove(&segment)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
