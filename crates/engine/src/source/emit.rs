//! From scanned entries to complete lists, encoded or not.

use std::collections::HashMap;

use crossbeam_channel::Sender;
use syncline_fs::Accounts;
use syncline_wire::list::{
    Attributes, FileEntry, FileList, HardLink, ListEncoder, ListOptions, NameLookup,
};
use syncline_wire::{IoErrors, Protocol};

use crate::{Error, Extras, Job, Result, Role, Tally};

/// A list in one piece is passed on as this much of it is encoded.
const PART: usize = 32 * 1024;

/// What the scan delivers.
#[derive(Debug)]
pub enum Scanned {
    /// A part of the list under way, encoded.
    Part(Vec<u8>),
    /// A list is complete: sorted and numbered.
    List {
        /// The directory it belongs to; none for the first.
        directory: Option<u32>,
        /// The rest of it, encoded. Empty in a local run.
        bytes: Vec<u8>,
        /// The list.
        list: FileList,
        /// Where its entries are.
        origins: Origins,
        /// No list follows.
        last: bool,
    },
    /// The scan is over: no list follows.
    End,
}

/// Which base each entry of a list lies below.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origins {
    /// All below the same.
    One(u32),
    /// By position in wire order.
    Each(Vec<u32>),
}

impl Origins {
    /// The base of the entry that was sent as the `wire`th of its list.
    pub fn of(&self, wire: u32) -> u32 {
        match self {
            Self::One(base) => *base,
            Self::Each(bases) => bases.get(wire as usize).copied().unwrap_or(0),
        }
    }

    fn push(&mut self, position: usize, base: u32) {
        match self {
            Self::One(only) if position == 0 => *only = base,
            Self::One(only) if *only == base => {}
            Self::One(only) => {
                let mut bases = vec![*only; position];
                bases.push(base);
                *self = Self::Each(bases);
            }
            Self::Each(bases) => bases.push(base),
        }
    }
}

/// An entry's name and a link's target in the wire's charset.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) name: Vec<u8>,
    pub(super) target: Option<Vec<u8>>,
}

/// Collects entries into lists.
pub(super) struct Emitter<'a> {
    sink: &'a Sender<Scanned>,
    tally: &'a Tally,
    options: ListOptions,
    /// None in a local run.
    encoder: Option<ListEncoder>,
    names: Names<'a>,
    bytes: Vec<u8>,
    list: FileList,
    origins: Origins,
    directory: Option<u32>,
    next_first: u32,
    /// ACLs and attributes of a local run, where no encoder keeps them.
    attributes: Attributes,
    extras: &'a Extras,
    /// Groups of a local run, where no encoder makes them.
    groups: HashMap<(u64, u64), u32>,
    /// Names are converted: entries are numbered as they are sent (docs/spec filelist.md 8.3).
    converts: bool,
    pub(super) errors: IoErrors,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        sink: &'a Sender<Scanned>,
        tally: &'a Tally,
        options: ListOptions,
        job: &'a Job,
        extras: &'a Extras,
        encodes: bool,
    ) -> Self {
        let first = u32::from(options.is_incremental());
        let mut encoder = encodes.then(|| ListEncoder::new(options.clone()));
        if let Some(encoder) = &mut encoder {
            encoder.begin(first);
        }
        Self {
            sink,
            tally,
            list: FileList::new(first, &options),
            options,
            encoder,
            names: Names(&job.accounts),
            bytes: Vec::new(),
            origins: Origins::One(0),
            directory: None,
            next_first: first,
            attributes: Attributes::default(),
            extras,
            groups: HashMap::new(),
            converts: job.charset.is_some(),
            errors: IoErrors::NONE,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.options.protocol
    }

    pub(super) fn is_incremental(&self) -> bool {
        self.options.is_incremental()
    }

    /// What entries refer to; add to it before the entry.
    pub(super) fn attributes(&mut self) -> &mut Attributes {
        match &mut self.encoder {
            Some(encoder) => &mut encoder.attributes,
            None => &mut self.attributes,
        }
    }

    /// Adds an entry to the list under way; `converted` is how it is sent, where that is not as it is.
    pub(super) fn push(
        &mut self,
        mut entry: FileEntry,
        converted: Option<Converted>,
        base: u32,
    ) -> Result<()> {
        let wire = |error| Error::wire(Role::Sender, error);
        let kind = entry.kind();
        self.tally.files.add(kind);
        if matches!(
            kind,
            syncline_wire::list::FileKind::Regular | syncline_wire::list::FileKind::Symlink
        ) {
            self.tally.total_size.add(entry.size);
        }
        if let Some(encoder) = &mut self.encoder {
            let own = converted.map(|Converted { name, target }| {
                let name = std::mem::replace(&mut entry.name, name);
                (name, std::mem::replace(&mut entry.target, target))
            });
            encoder.encode(&mut self.bytes, &mut entry, &mut self.names).map_err(wire)?;
            if let Some((name, target)) = own {
                (entry.name, entry.target) = (name, target);
            }
        } else {
            let linked = entry.hard_link.take().filter(|_| self.options.hard_links);
            if let Some(HardLink::Inode { device, inode }) = linked {
                let own = self.list.first() + self.list.len() as u32;
                let group = *self.groups.entry((device, inode)).or_insert(own);
                entry.hard_link = Some(HardLink::Group(group));
            }
        }
        self.origins.push(self.list.len(), base);
        self.list.push(&entry).map_err(wire)?;
        if self.bytes.len() >= PART && !self.is_incremental() {
            let part = std::mem::take(&mut self.bytes);
            self.tally.list_size.add(part.len() as u64);
            self.send(Scanned::Part(part))?;
        }
        Ok(())
    }

    /// Completes the list under way and delivers it; copies of its directories' entries in the order of names, each with
    /// its number among them, which `is_last` looks at to tell whether lists follow.
    pub(super) fn finish_list(
        &mut self,
        directory: Option<u32>,
        is_last: impl FnOnce(&[(u32, FileEntry)]) -> bool,
    ) -> Result<Vec<(u32, FileEntry)>> {
        if let Some(encoder) = &mut self.encoder {
            encoder.end(&mut self.bytes, self.errors, &mut self.names);
        }
        self.extras.take_over(match &self.encoder {
            Some(encoder) => &encoder.attributes,
            None => &self.attributes,
        });
        let protocol = self.options.protocol;
        if self.converts {
            self.list.sort_aside(protocol);
        } else {
            self.list.sort(protocol);
        }
        self.list.set_io_errors(self.errors);
        let gap = u32::from(self.is_incremental());
        self.next_first = self.list.first() + self.list.len() as u32 + gap;
        let list = std::mem::replace(&mut self.list, FileList::new(self.next_first, &self.options));
        if let Some(encoder) = &mut self.encoder {
            encoder.begin(self.next_first);
        }
        let directories =
            if self.is_incremental() { numbered_directories(&list) } else { Vec::new() };
        self.directory = directory;
        let bytes = std::mem::take(&mut self.bytes);
        self.tally.list_size.add(bytes.len() as u64);
        let origins = std::mem::replace(&mut self.origins, Origins::One(0));
        let last = is_last(&directories);
        self.send(Scanned::List { directory, bytes, list, origins, last })?;
        Ok(directories)
    }

    pub(super) fn finish(self) -> Result<()> {
        self.send(Scanned::End)
    }

    fn send(&self, scanned: Scanned) -> Result<()> {
        self.sink.send(scanned).map_err(|_| Error::Stopped)
    }

    /// Entries in the list under way.
    pub(super) fn pending(&self) -> usize {
        self.list.len()
    }

    pub(super) fn fail(&mut self, error: IoErrors) {
        self.errors = self.errors | error;
        // Within this machine the sink counts them when it comes to the list, as with a source elsewhere.
        if self.encoder.is_some() {
            self.tally.add_io_errors(error);
        }
    }
}

/// Directories are numbered by position.
fn numbered_directories(list: &FileList) -> Vec<(u32, FileEntry)> {
    let mut directories: Vec<_> = list.iter_sorted().filter(|entry| entry.is_directory()).collect();
    let mut positions: Vec<_> = directories.iter().map(|entry| entry.position()).collect();
    positions.sort_unstable();
    let number = |position| positions.partition_point(|other| *other < position) as u32;
    directories.drain(..).map(|entry| (number(entry.position()), entry.to_entry())).collect()
}

/// Names of ids of this machine.
struct Names<'a>(&'a Accounts);

impl NameLookup for Names<'_> {
    fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        self.0.user_name(uid)
    }

    fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        self.0.group_name(gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_stay_one_number_while_they_can() {
        let mut origins = Origins::One(0);
        (0..3).for_each(|position| origins.push(position, 7));
        assert_eq!(origins, Origins::One(7));
        origins.push(3, 8);
        assert_eq!((origins.of(2), origins.of(3)), (7, 8));
    }
}
