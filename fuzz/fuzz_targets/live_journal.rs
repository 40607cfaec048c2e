//! Any bytes as a journal: reading never panics, and what was understood is what the next reader finds. A queue that is
//! fed, cut off as by a kill and read again waits for the same.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use syncline_fs::RelPath;
use syncline_live::{JournalSync, Outbox, Pending, Storage, Todo};

#[derive(Clone, Default)]
struct Memory(Rc<RefCell<BTreeMap<u64, Vec<u8>>>>);

impl Storage for Memory {
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.borrow().keys().copied().collect())
    }

    fn read(&self, segment: u64, _: u64) -> io::Result<Vec<u8>> {
        self.0.borrow().get(&segment).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.0.borrow_mut().insert(segment, Vec::new());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut segments = self.0.borrow_mut();
        let last = segments.values_mut().next_back().ok_or(io::ErrorKind::NotFound)?;
        last.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.0.borrow_mut().remove(&segment);
        Ok(())
    }
}

fn open(disk: &Memory, limit: usize) -> Option<Outbox<Memory>> {
    let opened = Outbox::open(disk.clone(), JournalSync::Never, limit, Duration::ZERO);
    opened.ok().map(|(outbox, _)| outbox)
}

fn waiting(outbox: &Outbox<Memory>) -> Vec<(Vec<u8>, Todo)> {
    let shown = |pending: Pending| (pending.path.as_bytes().to_vec(), pending.todo);
    outbox.queue().iter().map(shown).collect()
}

/// A journal as found, a limit, and changes to push: path and kind.
type Input<'a> = (&'a [u8], u8, Vec<(&'a [u8], u8)>);

fuzz_target!(|input: Input<'_>| {
    let (bytes, limit, changes) = input;
    let limit = usize::from(limit) + 1;
    let disk = Memory::default();
    disk.0.borrow_mut().insert(1, bytes.to_vec());
    let mut outbox = match open(&disk, limit) {
        Some(outbox) => outbox,
        None => {
            // What cannot be read stays as it is.
            assert_eq!(disk.0.borrow().get(&1).map(Vec::as_slice), Some(bytes));
            disk.0.borrow_mut().clear();
            open(&disk, limit).expect("an empty disk holds an empty queue")
        }
    };
    for (path, kind) in changes {
        let Ok(path) = RelPath::new(path) else { continue };
        match kind % 8 {
            0 | 1 => outbox.push(Duration::ZERO, path, Todo::changed()),
            2 => outbox.push(Duration::ZERO, path, Todo::attributes()),
            3 => outbox.push(Duration::ZERO, path, Todo::Remove),
            4 => outbox.push(Duration::ZERO, path, Todo::tree()),
            5 => outbox.push(Duration::ZERO, path, Todo::names()),
            6 => drop(outbox.take(Duration::ZERO, usize::from(kind))),
            _ => outbox.finish(Duration::ZERO, &[path.to_owned()]),
        }
    }
    // What is under way counts as not arrived.
    outbox.give_back(Duration::ZERO);
    let before = waiting(&outbox);
    assert!(before.len() <= limit);
    drop(outbox);
    let after = open(&disk, limit).expect("what was written can be read");
    assert_eq!(waiting(&after), before);
});
