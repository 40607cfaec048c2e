//! The lists of a connection, and the numbers by which the peer refers to their entries (docs/spec
//! filelist.md 8).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::entry::FileKind;
use super::store::{EntryRef, FileList};
use super::{ListOptions, NameParts, compare_names};
use crate::{Error, Result};

/// Where an index points.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// An entry: the list's number in arrival order, and the position in it.
    Entry {
        /// Counts all lists, released ones included; see [`FileLists::list`].
        list: usize,
        /// Position in the list.
        position: usize,
    },
    /// The gap before a list: the directory whose contents it holds, by its number; see
    /// [`FileLists::directory`].
    Directory(u32),
}

/// Every list that is still live, and every directory ever listed.
///
/// Without incremental recursion there is one list and it starts at 0.
#[derive(Debug)]
pub struct FileLists {
    options: ListOptions,
    live: VecDeque<Live>,
    released: usize,
    next_first: u32,
    ended: bool,
    /// A copy of each directory's entry, by directory number: its own list may be gone when its
    /// contents come.
    directories: FileList,
    states: Vec<State>,
    /// Directories not announced yet, the next one last.
    waiting: Vec<u32>,
}

#[derive(Debug)]
struct Live {
    list: Arc<FileList>,
    /// The directory the list holds the contents of.
    directory: Option<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Announced,
    Cleared,
}

impl FileLists {
    /// No list yet.
    pub fn new(options: &ListOptions) -> Self {
        Self {
            options: options.clone(),
            live: VecDeque::new(),
            released: 0,
            next_first: u32::from(options.is_incremental()),
            ended: !options.is_incremental(),
            directories: FileList::new(0, options),
            states: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Number of the first entry of the next list.
    pub fn next_first(&self) -> u32 {
        self.next_first
    }

    /// Accepts the announcement of a directory's list; returns the path the list's entries must lie
    /// in.
    pub fn announce(&mut self, directory: u32) -> Result<Vec<u8>> {
        let last = -100 - self.states.len() as i64;
        let index = -101_i32.wrapping_sub(directory as i32);
        let state = self
            .states
            .get_mut(directory as usize)
            .ok_or(Error::InvalidDirectory { index, last })?;
        match *state {
            State::Announced => return Err(Error::DuplicateList(directory)),
            State::Cleared => return Err(Error::ClearedDirectory(directory)),
            State::Waiting if self.ended => return Err(Error::ListAfterEnd),
            State::Waiting => *state = State::Announced,
        }
        Ok(self.directories.get(directory as usize).map(EntryRef::path).unwrap_or_default())
    }

    /// Adds a list that is complete, sorted and (on the receiving side) free of duplicates; `directory` is the one it
    /// was announced for, `None` for the first.
    pub fn add(&mut self, list: impl Into<Arc<FileList>>, directory: Option<u32>) -> Result<()> {
        let list = list.into();
        let incremental = self.options.is_incremental();
        let directory = match directory {
            None if incremental => self.root_of(&list),
            other => other,
        };
        if incremental {
            self.add_directories(&list)?;
        }
        let gap = u32::from(incremental);
        let next = (list.len() as u32)
            .checked_add(gap)
            .and_then(|count| self.next_first.checked_add(count))
            .filter(|next| i32::try_from(*next).is_ok());
        self.next_first = next.ok_or(Error::ListTooLarge)?;
        self.live.push_back(Live { list, directory });
        Ok(())
    }

    /// Notes that no further list will come; a second time is an error.
    pub fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Err(Error::InvalidIndex { index: -2, last: self.last_index() });
        }
        Ok(())
    }

    /// Whether no further list will come.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What an index names, if it is live.
    pub fn locate(&self, index: u32) -> Result<Place> {
        let out_of_range = || Error::IndexOutOfRange {
            index: index as i32,
            first: self.live.front().map_or(0, |live| i64::from(live.list.first()) - 1),
            last: self.last_index(),
        };
        let after = self.live.partition_point(|live| live.list.first() <= index);
        let found = after.checked_sub(1).and_then(|at| Some((at, self.live.get(at)?)));
        if let Some((at, live)) = found {
            let position = (index - live.list.first()) as usize;
            if position < live.list.len() {
                return Ok(Place::Entry { list: self.released + at, position });
            }
        }
        let next = self.live.get(after).filter(|live| live.list.first() == index + 1);
        next.and_then(|live| live.directory).map(Place::Directory).ok_or_else(out_of_range)
    }

    /// The entry an index names: a file of a live list, or the directory of a gap.
    pub fn entry(&self, index: u32) -> Result<EntryRef<'_>> {
        let entry = match self.locate(index)? {
            Place::Entry { list, position } => self.list(list).and_then(|list| list.get(position)),
            Place::Directory(directory) => self.directories.get(directory as usize),
        };
        entry.filter(|entry| entry.is_active()).ok_or(Error::ClearedIndex(index))
    }

    /// A live list by its number in arrival order.
    pub fn list(&self, number: usize) -> Option<&FileList> {
        self.live.get(number.checked_sub(self.released)?).map(|live| &*live.list)
    }

    /// A live list to share with whoever works through it while this value keeps the numbers.
    pub fn shared(&self, number: usize) -> Option<&Arc<FileList>> {
        self.live.get(number.checked_sub(self.released)?).map(|live| &live.list)
    }

    /// The directory whose contents a live list holds; `None` for a first list without `.`.
    pub fn directory_of(&self, number: usize) -> Option<u32> {
        self.live.get(number.checked_sub(self.released)?)?.directory
    }

    /// Number of the oldest live list.
    pub fn oldest(&self) -> usize {
        self.released
    }

    /// Number the next list will have.
    pub fn arrived(&self) -> usize {
        self.released + self.live.len()
    }

    /// Forgets the oldest list; its directories stay known.
    pub fn release_oldest(&mut self) -> Option<Arc<FileList>> {
        let oldest = self.live.pop_front()?;
        self.released += 1;
        Some(oldest.list)
    }

    /// A directory by its number.
    pub fn directory(&self, number: u32) -> Option<EntryRef<'_>> {
        self.directories.get(number as usize)
    }

    /// How many directories are numbered.
    pub fn directory_count(&self) -> u32 {
        self.states.len() as u32
    }

    /// Every directory's entry by number; owners and modes may be adjusted there as in the lists.
    pub fn directories_mut(&mut self) -> &mut FileList {
        &mut self.directories
    }

    /// The directory whose list a sender announces next, depth first as stock does; `None` when
    /// every directory had its list and [`Index::ListEnd`](crate::Index::ListEnd) is due.
    pub fn next_waiting(&mut self) -> Option<u32> {
        while let Some(number) = self.waiting.pop() {
            if self.states.get(number as usize) == Some(&State::Waiting) {
                return Some(number);
            }
        }
        None
    }

    fn last_index(&self) -> i64 {
        let gap = i64::from(self.options.is_incremental());
        if self.live.is_empty() { -1 } else { i64::from(self.next_first) - 1 - gap }
    }

    /// The number that `.` will have among the directories, if the first list starts with it.
    fn root_of(&self, list: &FileList) -> Option<u32> {
        let first = list.iter_sorted().find(|entry| entry.is_active())?;
        let before = list.iter().take(first.position()).filter(|entry| entry.is_directory());
        (first.is_root() && self.states.is_empty()).then(|| before.count() as u32)
    }

    fn add_directories(&mut self, list: &FileList) -> Result<()> {
        // What a sender lists twice has two numbers, and the first one's list holds the contents of
        // both.
        let mut before: Option<EntryRef<'_>> = None;
        let mut cleared = HashSet::new();
        for entry in list.iter_sorted().filter(|entry| entry.kind() == FileKind::Directory) {
            let protocol = self.options.protocol;
            let same = before.is_some_and(|before| {
                let (a, b): (NameParts<'_>, NameParts<'_>) =
                    (before.name_parts(), entry.name_parts());
                compare_names(a, b, protocol).is_eq()
            });
            if entry.base().is_empty() {
                // Without a name in this end's charset; its list comes all the same.
            } else if same || !entry.is_active() {
                cleared.insert(entry.position());
            } else {
                before = Some(entry);
            }
        }
        let first = self.states.len() as u32;
        for entry in list.iter().filter(|entry| entry.kind() == FileKind::Directory) {
            self.directories.push(&entry.to_entry())?;
            let position = self.states.len();
            let state = if cleared.contains(&entry.position()) {
                self.directories.deactivate(position);
                State::Cleared
            } else if entry.is_root() {
                State::Announced
            } else {
                State::Waiting
            };
            self.states.push(state);
        }
        self.waiting.extend((first..self.states.len() as u32).rev());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::FileEntry;
    use crate::{CompatFlags, Protocol};

    fn options() -> ListOptions {
        let flags = CompatFlags::INCREMENTAL;
        ListOptions { flags, ..ListOptions::new(Protocol::NEWEST) }
    }

    fn list(lists: &FileLists, names: &[&str]) -> FileList {
        let mut list = FileList::new(lists.next_first(), &options());
        for name in names {
            let path = name.trim_end_matches('/');
            let mode = if path.len() == name.len() { 0o100_644 } else { 0o040_755 };
            list.push(&FileEntry { name: path.into(), mode, ..FileEntry::default() }).unwrap();
        }
        list.sort(Protocol::NEWEST);
        list.drop_duplicates(Protocol::NEWEST);
        list
    }

    #[test]
    fn lists_are_numbered_with_gaps_that_stand_for_directories() {
        let mut lists = FileLists::new(&options());
        lists.add(list(&lists, &["./", "b", "a", "l", "n", "p", "d/"]), None).unwrap();
        assert_eq!(lists.locate(0).unwrap(), Place::Directory(0));
        assert_eq!(lists.entry(3).unwrap().path(), b"b");
        assert!(lists.locate(8).is_err());
        assert_eq!(lists.announce(1).unwrap(), b"d");
        lists.add(list(&lists, &["d/f"]), Some(1)).unwrap();
        assert_eq!(lists.entry(8).unwrap().path(), b"d");
        assert_eq!(lists.entry(9).unwrap().path(), b"d/f");
        assert_eq!(lists.locate(9).unwrap(), Place::Entry { list: 1, position: 0 });
        lists.release_oldest().unwrap();
        assert_eq!(lists.entry(8).unwrap().path(), b"d");
        assert_eq!(lists.locate(3).unwrap_err().to_string(), "File-list index 3 not in 8 - 9");
    }

    #[test]
    fn announcements_are_taken_once_and_for_known_directories_only() {
        let mut lists = FileLists::new(&options());
        lists.add(list(&lists, &["d/", "d/", "e/"]), None).unwrap();
        assert!(lists.locate(0).is_err());
        assert!(matches!(lists.announce(3), Err(Error::InvalidDirectory { .. })));
        assert_eq!(lists.announce(0).unwrap(), b"d");
        assert!(matches!(lists.announce(0), Err(Error::DuplicateList(0))));
        assert!(matches!(lists.announce(1), Err(Error::ClearedDirectory(1))));
        assert!(matches!(lists.entry(2), Err(Error::ClearedIndex(2))));
        lists.end().unwrap();
        assert!(matches!(lists.announce(2), Err(Error::ListAfterEnd)));
        assert!(lists.end().is_err());
    }
}
