//! Compact storage of a list.
//!
//! A fixed record of 48 bytes for each entry; the last component of its name and whatever few
//! entries have (target, device, sums, …) lie behind one another in one pool, directories' paths
//! once for each run of entries that share one. With names of usual length a file takes about 70
//! bytes.

use std::cmp::Ordering;

use super::entry::{Device, DirectoryRole, FileEntry, FileKind, HardLink};
use super::order::{NameParts, compare_names, split_path};
use super::{ListOptions, PATH_MAX};
use crate::error::lossy;
use crate::{Error, IoErrors, Protocol, Result};

/// The parts an entry has in the pool behind its name, in this order.
mod has {
    pub(super) const DEVICE: u16 = 0x01;
    pub(super) const GROUP: u16 = 0x02;
    pub(super) const ATIME: u16 = 0x04;
    pub(super) const CRTIME: u16 = 0x08;
    pub(super) const ACCESS_ACL: u16 = 0x10;
    pub(super) const DEFAULT_ACL: u16 = 0x20;
    pub(super) const XATTRS: u16 = 0x40;
    pub(super) const CHECKSUM: u16 = 0x80;
    pub(super) const TARGET: u16 = 0x100;
    /// Not a part: the entry keeps its index but must not be used.
    pub(super) const INACTIVE: u16 = 0x8000;

    /// Bytes that each part before the checksum takes.
    pub(super) const SIZES: [(u16, usize); 7] = [
        (DEVICE, 8),
        (GROUP, 4),
        (ATIME, 8),
        (CRTIME, 8),
        (ACCESS_ACL, 4),
        (DEFAULT_ACL, 4),
        (XATTRS, 4),
    ];
}

#[derive(Clone, Debug)]
struct Record {
    size: u64,
    mtime: i64,
    mtime_nsec: u32,
    uid: u32,
    gid: u32,
    /// Start of the base name in the pool.
    name: u32,
    /// Position in `directories`.
    directory: u32,
    /// Position at which the entry was transmitted.
    wire: u32,
    name_length: u16,
    mode: u16,
    has: u16,
    role: DirectoryRole,
    mark: u8,
}

/// A list, or one list of an incremental series.
///
/// Positions count from 0; after [`FileList::sort`] position plus [`FileList::first`] is the index
/// on the wire.
#[derive(Clone, Debug)]
pub struct FileList {
    first: u32,
    records: Vec<Record>,
    pool: Vec<u8>,
    /// Where each directory part lies in the pool.
    directories: Vec<(u32, u16)>,
    /// Positions in the order of names, if entries are numbered as transmitted.
    order: Option<Vec<u32>>,
    /// Whether a name begins with a slash.
    absolute: bool,
    checksum_length: usize,
    io_errors: IoErrors,
}

impl FileList {
    /// An empty list whose entries are numbered from `first` on.
    pub fn new(first: u32, options: &ListOptions) -> Self {
        Self {
            first,
            records: Vec::new(),
            pool: Vec::new(),
            directories: Vec::new(),
            order: None,
            absolute: false,
            checksum_length: options.checksum_length.unwrap_or(0),
            io_errors: IoErrors::NONE,
        }
    }

    /// Index of the first entry.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Number of entries, those that must not be used included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What went wrong at the sender while it built this list.
    pub fn io_errors(&self) -> IoErrors {
        self.io_errors
    }

    /// Notes what went wrong at the sender up to the end of this list.
    pub fn set_io_errors(&mut self, errors: IoErrors) {
        self.io_errors = errors;
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.pool.capacity()
            + self.directories.capacity() * size_of::<(u32, u16)>()
            + self.order.as_ref().map_or(0, |order| order.capacity() * size_of::<u32>())
    }

    /// Adds an entry at the end; of its hard link only a group is kept.
    pub fn push(&mut self, entry: &FileEntry) -> Result<()> {
        let (directory, base) = split_path(&entry.name);
        let directory = self.directory_of(directory)?;
        let name = u32::try_from(self.pool.len()).map_err(|_| Error::ListTooLarge)?;
        if base.len() > PATH_MAX || self.records.len() >= i32::MAX as usize {
            return Err(Error::ListTooLarge);
        }
        self.pool.extend_from_slice(base);
        let mut has = 0;
        let mut part = |bit: u16, bytes: Option<&[u8]>| {
            if let Some(bytes) = bytes {
                has |= bit;
                self.pool.extend_from_slice(bytes);
            }
        };
        let number = |value: Option<u32>| value.map(u32::to_le_bytes);
        let time = |value: i64| (value != 0).then(|| value.to_le_bytes());
        let device = entry
            .device
            .map(|device| (u64::from(device.major) << 32 | u64::from(device.minor)).to_le_bytes());
        let group = match entry.hard_link {
            Some(HardLink::Group(group)) => Some(group),
            _ => None,
        };
        part(has::DEVICE, device.as_ref().map(|bytes| &bytes[..]));
        part(has::GROUP, number(group).as_ref().map(|bytes| &bytes[..]));
        part(has::ATIME, time(entry.atime).as_ref().map(|bytes| &bytes[..]));
        part(has::CRTIME, time(entry.crtime).as_ref().map(|bytes| &bytes[..]));
        part(has::ACCESS_ACL, number(entry.access_acl).as_ref().map(|bytes| &bytes[..]));
        part(has::DEFAULT_ACL, number(entry.default_acl).as_ref().map(|bytes| &bytes[..]));
        part(has::XATTRS, number(entry.xattrs).as_ref().map(|bytes| &bytes[..]));
        if self.checksum_length > 0 {
            let mut sum = entry.checksum.clone();
            if let Some(sum) = &mut sum {
                sum.resize(self.checksum_length, 0);
            }
            part(has::CHECKSUM, sum.as_deref());
        }
        if let Some(target) = &entry.target {
            let length = target.len().min(PATH_MAX) as u16;
            part(has::TARGET, Some(&length.to_le_bytes()));
            self.pool.extend_from_slice(target.get(..length.into()).unwrap_or(target));
        }
        if entry.name.is_empty() {
            has |= has::INACTIVE;
        }
        self.records.push(Record {
            size: entry.size,
            mtime: entry.mtime,
            mtime_nsec: entry.mtime_nsec,
            uid: entry.uid,
            gid: entry.gid,
            name,
            directory,
            wire: self.records.len() as u32,
            name_length: base.len() as u16,
            mode: entry.mode as u16,
            has,
            role: entry.role,
            mark: 0,
        });
        Ok(())
    }

    /// The entry at a position.
    pub fn get(&self, position: usize) -> Option<EntryRef<'_>> {
        self.records.get(position).map(|record| EntryRef { list: self, record, position })
    }

    /// Every entry by position.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = EntryRef<'_>> + ExactSizeIterator {
        let entry = |(position, record)| EntryRef { list: self, record, position };
        self.records.iter().enumerate().map(entry)
    }

    /// Every entry in the order of names: the order to work through a list in.
    pub fn iter_sorted(&self) -> impl Iterator<Item = EntryRef<'_>> {
        (0..self.len()).filter_map(|rank| self.get(self.position_at(rank)))
    }

    /// The entry that comes so many places after the first in the order of names.
    pub fn at_rank(&self, rank: usize) -> Option<EntryRef<'_>> {
        self.get(self.position_at(rank))
    }

    /// Sorts and numbers the entries; call it once, when the list is complete. A leading slash of
    /// `-R` counts here and nowhere else: [`EntryRef::path`] is without it.
    pub fn sort(&mut self, protocol: Protocol) {
        let mut records = std::mem::take(&mut self.records);
        // In place: a stable sort would take half as much memory again.
        records.sort_unstable_by(|a, b| {
            self.compare(a, b, protocol).then_with(|| a.wire.cmp(&b.wire))
        });
        self.records = records;
        self.shrink();
    }

    /// Like [`FileList::sort`], but entries keep their wire positions: numbering with `--iconv`
    /// (filelist.md 8.3).
    pub fn sort_aside(&mut self, protocol: Protocol) {
        let mut order: Vec<u32> = (0..self.records.len() as u32).collect();
        let record = |position: &u32| self.records.get(*position as usize);
        order.sort_by(|a, b| match (record(a), record(b)) {
            (Some(a), Some(b)) => self.compare(a, b, protocol),
            _ => Ordering::Equal,
        });
        self.order = Some(order);
        self.shrink();
    }

    /// Position of the active entry with this path that is, or is not, a directory. The list must
    /// be sorted.
    pub fn find(&self, path: &[u8], is_directory: bool, protocol: Protocol) -> Option<usize> {
        let found = self.find_exactly(NameParts::new(path, is_directory), protocol);
        if found.is_some() || !self.absolute {
            return found;
        }
        let absolute = [b"/", path].concat();
        self.find_exactly(NameParts::new(&absolute, is_directory), protocol)
    }

    /// Deactivates entries that name what an earlier one names (filelist.md 7.2). The receiving
    /// side calls it after sorting.
    pub fn drop_duplicates(&mut self, protocol: Protocol) {
        // By kind: below protocol 29 a file may stand between two mentions of a directory of its
        // name.
        let mut before: [Option<usize>; 2] = [None; 2];
        for rank in 0..self.len() {
            let position = self.position_at(rank);
            let Some(entry) = self.get(position).filter(|entry| entry.is_active()) else {
                continue;
            };
            let [file, directory] = &mut before;
            let before = if entry.is_directory() { directory } else { file };
            let kept =
                before.filter(|&kept| self.get(kept).is_some_and(|kept| kept.same_name(entry)));
            match kept {
                Some(kept) => self.merge(kept, position),
                None => *before = Some(position),
            }
        }
        if self.absolute {
            self.drop_absolute_twins(protocol);
        }
        let directories: Vec<usize> = self
            .iter()
            .filter(|entry| entry.is_active() && entry.is_directory())
            .map(|entry| entry.position)
            .collect();
        for position in directories {
            let Some(entry) = self.get(position) else { continue };
            let path = entry.path();
            if let Some(owner) = path.strip_suffix(b"/.") {
                if let Some(kept) = self.find(owner, true, protocol) {
                    self.merge(kept, position);
                }
            } else if let Some(file) = self.find(&path, false, protocol) {
                self.deactivate(file);
            }
        }
    }

    /// Checks that every active entry's directory is an active directory of the list: lists that
    /// are not incremental (filelist.md 5). Entries of mode 0 are let pass.
    pub fn check_parents(&self, protocol: Protocol) -> Result<()> {
        let mut checked = None;
        for entry in self.iter_sorted() {
            let directory = entry.directory();
            let exempt = directory.is_empty() || directory == b"." || entry.mode() == 0;
            if !entry.is_active() || exempt || checked == Some(directory) {
                continue;
            }
            if self.find(directory, true, protocol).is_none() {
                return Err(Error::InvalidParent {
                    path: lossy(&entry.path()),
                    incremental: false,
                });
            }
            checked = Some(directory);
        }
        Ok(())
    }

    /// Takes an entry out of use; it keeps its index.
    pub fn deactivate(&mut self, position: usize) {
        if let Some(record) = self.records.get_mut(position) {
            record.has |= has::INACTIVE;
        }
    }

    /// Replaces type and permissions, as `--chmod` does.
    pub fn set_mode(&mut self, position: usize, mode: u32) {
        if let Some(record) = self.records.get_mut(position) {
            record.mode = mode as u16;
        }
    }

    /// Replaces the owners, as id mapping does.
    pub fn set_owner(&mut self, position: usize, uid: u32, gid: u32) {
        if let Some(record) = self.records.get_mut(position) {
            (record.uid, record.gid) = (uid, gid);
        }
    }

    /// Replaces what the list says about a directory's contents.
    pub fn set_role(&mut self, position: usize, role: DirectoryRole) {
        if let Some(record) = self.records.get_mut(position) {
            record.role = role;
        }
    }

    /// Sets the byte that is the caller's own.
    pub fn set_mark(&mut self, position: usize, mark: u8) {
        if let Some(record) = self.records.get_mut(position) {
            record.mark = mark;
        }
    }

    /// Gives unused capacity back.
    pub fn shrink(&mut self) {
        self.records.shrink_to_fit();
        self.pool.shrink_to_fit();
        self.directories.shrink_to_fit();
    }

    /// With and without a leading slash a name is the same one.
    fn drop_absolute_twins(&mut self, protocol: Protocol) {
        for position in 0..self.len() {
            let Some(entry) = self.get(position).filter(|entry| entry.is_active()) else {
                continue;
            };
            if entry.name_parts().directory.starts_with(b"/") {
                let path = entry.path();
                let wanted = NameParts::new(&path, entry.is_directory());
                if let Some(kept) = self.find_exactly(wanted, protocol) {
                    self.merge(kept, position);
                }
            }
        }
    }

    /// Position of the active entry whose name compares equal and is of the same kind.
    fn find_exactly(&self, wanted: NameParts<'_>, protocol: Protocol) -> Option<usize> {
        let compare = |rank: usize| {
            let name = self.get(self.position_at(rank)).map(EntryRef::name_parts);
            name.map_or(Ordering::Less, |name| compare_names(name, wanted, protocol))
        };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if compare(middle) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low..self.len())
            .take_while(|&rank| compare(rank) == Ordering::Equal)
            .map(|rank| self.position_at(rank))
            .find(|&position| {
                self.get(position).is_some_and(|entry| {
                    entry.is_active() && entry.is_directory() == wanted.is_directory
                })
            })
    }

    fn merge(&mut self, kept: usize, dropped: usize) {
        if let (Some(first), Some(second)) = (self.get(kept), self.get(dropped)) {
            let role = first.role().merge(second.role());
            self.set_role(kept, role);
        }
        self.deactivate(dropped);
    }

    fn position_at(&self, rank: usize) -> usize {
        match &self.order {
            Some(order) => order.get(rank).map_or(rank, |position| *position as usize),
            None => rank,
        }
    }

    /// The number of a directory part: that of the entry before, if it is the same one.
    fn directory_of(&mut self, path: &[u8]) -> Result<u32> {
        if let Some(last) = self.records.last()
            && self.directory_path(last) == path
        {
            return Ok(last.directory);
        }
        let at = u32::try_from(self.pool.len()).map_err(|_| Error::ListTooLarge)?;
        let length = u16::try_from(path.len()).map_err(|_| Error::ListTooLarge)?;
        self.pool.extend_from_slice(path);
        self.absolute |= path.starts_with(b"/");
        self.directories.push((at, length));
        Ok(self.directories.len() as u32 - 1)
    }

    fn directory_path(&self, record: &Record) -> &[u8] {
        match self.directories.get(record.directory as usize) {
            Some(&(at, length)) => self.bytes(at as usize, length.into()),
            None => b"",
        }
    }

    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        self.pool.get(at..at + length).unwrap_or_default()
    }

    fn compare(&self, a: &Record, b: &Record, protocol: Protocol) -> Ordering {
        let parts = |record: &Record| -> NameParts<'_> {
            NameParts {
                directory: self.directory_path(record),
                base: self.bytes(record.name as usize, record.name_length.into()),
                is_directory: FileKind::of(record.mode.into()) == Some(FileKind::Directory),
            }
        };
        compare_names(parts(a), parts(b), protocol)
    }
}

/// An entry of a [`FileList`].
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    list: &'a FileList,
    record: &'a Record,
    position: usize,
}

impl<'a> EntryRef<'a> {
    /// Position in the list.
    pub fn position(self) -> usize {
        self.position
    }

    /// Index on the wire.
    pub fn index(self) -> u32 {
        self.list.first + self.position as u32
    }

    /// Index in the order of transmission, which hard-link groups count by.
    pub fn wire_index(self) -> u32 {
        self.list.first + self.record.wire
    }

    /// Whether the entry may be used: not a duplicate, not without a name.
    pub fn is_active(self) -> bool {
        self.record.has & has::INACTIVE == 0
    }

    /// Everything before the last slash of the path; empty for entries of the root.
    pub fn directory(self) -> &'a [u8] {
        let directory = self.list.directory_path(self.record);
        directory.strip_prefix(b"/").unwrap_or(directory)
    }

    /// The last component of the path.
    pub fn base(self) -> &'a [u8] {
        self.list.bytes(self.record.name as usize, self.record.name_length.into())
    }

    /// The whole path.
    pub fn path(self) -> Vec<u8> {
        let mut path = Vec::new();
        self.put_path(&mut path);
        path
    }

    /// Appends the whole path.
    pub fn put_path(self, out: &mut Vec<u8>) {
        let directory = self.directory();
        out.extend_from_slice(directory);
        if !directory.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(self.base());
    }

    /// The name as it is compared, a leading slash included.
    pub fn name_parts(self) -> NameParts<'a> {
        NameParts {
            directory: self.list.directory_path(self.record),
            base: self.base(),
            is_directory: self.is_directory(),
        }
    }

    /// Whether this is the root of the transfer.
    pub fn is_root(self) -> bool {
        self.directory().is_empty() && self.base() == b"."
    }

    /// Type and permissions.
    pub fn mode(self) -> u32 {
        self.record.mode.into()
    }

    /// Type of file.
    pub fn kind(self) -> FileKind {
        FileKind::of(self.mode()).unwrap_or(FileKind::Missing)
    }

    /// Whether it is a directory.
    pub fn is_directory(self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// Length in bytes.
    pub fn size(self) -> u64 {
        self.record.size
    }

    /// Modification time, seconds and nanoseconds.
    pub fn mtime(self) -> (i64, u32) {
        (self.record.mtime, self.record.mtime_nsec)
    }

    /// Access time; 0 if it was not sent.
    pub fn atime(self) -> i64 {
        self.part(has::ATIME).map_or(0, i64::from_le_bytes)
    }

    /// Creation time; 0 if it was not sent.
    pub fn crtime(self) -> i64 {
        self.part(has::CRTIME).map_or(0, i64::from_le_bytes)
    }

    /// Owner.
    pub fn uid(self) -> u32 {
        self.record.uid
    }

    /// Group.
    pub fn gid(self) -> u32 {
        self.record.gid
    }

    /// Number of a device.
    pub fn device(self) -> Option<Device> {
        let packed = self.part(has::DEVICE).map(u64::from_le_bytes)?;
        Some(Device { major: (packed >> 32) as u32, minor: packed as u32 })
    }

    /// Hard-link group.
    pub fn group(self) -> Option<u32> {
        self.part(has::GROUP).map(u32::from_le_bytes)
    }

    /// Position of the access ACL.
    pub fn access_acl(self) -> Option<u32> {
        self.part(has::ACCESS_ACL).map(u32::from_le_bytes)
    }

    /// Position of the default ACL.
    pub fn default_acl(self) -> Option<u32> {
        self.part(has::DEFAULT_ACL).map(u32::from_le_bytes)
    }

    /// Position of the attribute set.
    pub fn xattrs(self) -> Option<u32> {
        self.part(has::XATTRS).map(u32::from_le_bytes)
    }

    /// Sum of the content.
    pub fn checksum(self) -> Option<&'a [u8]> {
        let at = self.part_at(has::CHECKSUM)?;
        Some(self.list.bytes(at, self.list.checksum_length))
    }

    /// Target of a symlink.
    pub fn target(self) -> Option<&'a [u8]> {
        let at = self.part_at(has::TARGET)?;
        let length = self.list.bytes(at, 2).first_chunk().copied().map(u16::from_le_bytes)?;
        Some(self.list.bytes(at + 2, length.into()))
    }

    /// What the list says about a directory's contents.
    pub fn role(self) -> DirectoryRole {
        self.record.role
    }

    /// The caller's own byte.
    pub fn mark(self) -> u8 {
        self.record.mark
    }

    /// A copy outside of the list.
    pub fn to_entry(self) -> FileEntry {
        FileEntry {
            name: self.path(),
            mode: self.mode(),
            size: self.size(),
            mtime: self.record.mtime,
            mtime_nsec: self.record.mtime_nsec,
            atime: self.atime(),
            crtime: self.crtime(),
            uid: self.uid(),
            gid: self.gid(),
            device: self.device(),
            target: self.target().map(<[u8]>::to_vec),
            hard_link: self.group().map(HardLink::Group),
            checksum: self.checksum().map(<[u8]>::to_vec),
            role: self.role(),
            access_acl: self.access_acl(),
            default_acl: self.default_acl(),
            xattrs: self.xattrs(),
        }
    }

    fn same_name(self, other: Self) -> bool {
        let (own, other) = (self.name_parts(), other.name_parts());
        own.base == other.base && own.directory == other.directory
    }

    /// Where a part lies in the pool, if the entry has it.
    fn part_at(self, wanted: u16) -> Option<usize> {
        let has = self.record.has;
        if has & wanted == 0 {
            return None;
        }
        let name_end = self.record.name as usize + usize::from(self.record.name_length);
        let before = has::SIZES.iter().filter(|(bit, _)| has & bit != 0 && *bit < wanted);
        let sized = before.map(|(_, size)| size).sum::<usize>();
        let sum = if has & has::CHECKSUM != 0 && wanted > has::CHECKSUM {
            self.list.checksum_length
        } else {
            0
        };
        Some(name_end + sized + sum)
    }

    fn part<const N: usize>(self, wanted: u16) -> Option<[u8; N]> {
        let at = self.part_at(wanted)?;
        self.list.bytes(at, N).first_chunk().copied()
    }
}
