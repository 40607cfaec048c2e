//! Writing lists (docs/spec filelist.md 3, 4, 11, 12).

use std::collections::HashMap;

use super::acl::Acl;
use super::attributes::Attributes;
use super::entry::{Device, DirectoryRole, FileEntry, FileKind, HardLink};
use super::ids::{NameLookup, UsedIds, put_name};
use super::xattr::XattrSet;
use super::{ListOptions, PATH_MAX, flags};
use crate::error::lossy;
use crate::{CompatFlags, Error, IoErrors, Result, WireWrite};

/// Longest prefix shared with the name before.
const PREFIX_MAX: usize = 255;

/// What the next entry is a difference from. It carries over all lists of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    pub(super) name: Vec<u8>,
    pub(super) values: CarriedValues,
}

/// The part of [`Carried`] that a hard link takes over from the entry it points at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CarriedValues {
    pub(super) mode: u32,
    pub(super) mtime: i64,
    pub(super) atime: i64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Protocol 27.
    pub(super) rdev: u32,
    pub(super) rdev_major: u32,
    /// Protocols 28 and 29, as it travels.
    pub(super) link_device: u64,
}

/// Writes the lists of one connection.
#[derive(Debug)]
pub struct ListEncoder {
    options: ListOptions,
    /// What ACLs and attribute sets of entries refer to; add to it before encoding an entry.
    pub attributes: Attributes,
    carried: Carried,
    started: bool,
    /// Index of the next entry, as transmitted.
    next: u32,
    first: u32,
    links: HashMap<(u64, u64), (u32, CarriedValues)>,
    users: UsedIds,
    groups: UsedIds,
    sent_access: SentNumbers,
    sent_default: SentNumbers,
    sent_xattrs: SentNumbers,
}

impl ListEncoder {
    /// Nothing was written yet.
    pub fn new(options: ListOptions) -> Self {
        Self {
            options,
            attributes: Attributes::default(),
            carried: Carried::default(),
            started: false,
            next: 0,
            first: 0,
            links: HashMap::new(),
            users: UsedIds::default(),
            groups: UsedIds::default(),
            sent_access: SentNumbers::default(),
            sent_default: SentNumbers::default(),
            sent_xattrs: SentNumbers::default(),
        }
    }

    /// The fields this encoder writes.
    pub fn options(&self) -> &ListOptions {
        &self.options
    }

    /// Starts a list whose entries are numbered from `first` on: 0, or
    /// [`super::FileLists::next_first`] of an incremental series. The number that announces a later
    /// list is the caller's.
    pub fn begin(&mut self, first: u32) {
        (self.first, self.next) = (first, first);
    }

    /// Appends an entry. A hard link's inode is replaced by its group, so that the entry can be
    /// stored as the peer will know it.
    pub fn encode(
        &mut self,
        out: &mut Vec<u8>,
        entry: &mut FileEntry,
        names: &mut dyn NameLookup,
    ) -> Result<()> {
        if entry.name.len() > PATH_MAX {
            return Err(Error::SizeOutOfRange {
                what: "file name",
                value: entry.name.len() as i64,
                limit: PATH_MAX as i64,
            });
        }
        if entry.name.contains(&0) {
            return Err(Error::NulInName(lossy(&entry.name)));
        }
        let protocol = self.options.protocol;
        let kind = entry.kind();
        let link = self.link_of(entry, kind);
        let abbreviated = matches!(link, Link::Later { group, .. } if group >= self.first);
        let (user_name, group_name) = if abbreviated {
            (None, None)
        } else {
            (self.owner_name(entry.uid, names), self.group_name(entry.gid, names))
        };
        let mut bits = self.flags_of(entry, kind, &link);
        if user_name.is_some() {
            bits |= flags::USER_NAME;
        }
        if group_name.is_some() {
            bits |= flags::GROUP_NAME;
        }
        let shared = entry.name.iter().zip(&self.carried.name).take_while(|(a, b)| a == b).count();
        let prefix = shared.min(PREFIX_MAX);
        let suffix = entry.name.get(prefix..).unwrap_or_default();
        if prefix > 0 {
            bits |= flags::SAME_NAME;
        }
        if suffix.len() > 255 {
            bits |= flags::LONG_NAME;
        }
        bits = self.put_flags(out, bits, kind);
        if bits & flags::SAME_NAME != 0 {
            out.put_u8(prefix as u8);
        }
        if bits & flags::LONG_NAME != 0 {
            out.put_varint30(suffix.len() as i32, protocol);
        } else {
            out.put_u8(suffix.len() as u8);
        }
        out.put(suffix);
        self.carried.name.clear();
        self.carried.name.extend_from_slice(&entry.name);
        if let Link::Later { group, .. } = link {
            out.put_varint(group as i32);
        }
        match link {
            Link::Later { carried, .. } if abbreviated => self.carry_over(carried, kind),
            _ => {
                self.put_fields(out, entry, kind, bits, user_name, group_name);
                self.put_inode(out, &link, bits);
                self.put_checksum(out, entry, kind);
            }
        }
        if let Link::First { key } | Link::Inode { key } = link {
            self.links.entry(key).or_insert((self.next, self.carried.values));
        }
        entry.hard_link = self.group_of(&link).map(HardLink::Group);
        self.put_attributes(out, entry, kind, names);
        self.started = true;
        self.next += 1;
        Ok(())
    }

    /// Ends the list, with everything that follows it. `errors` is what went wrong so far; where
    /// the peer cannot be told here ([`ListOptions::is_safe`]) the caller sends
    /// [`crate::Message::IoError`].
    pub fn end(&mut self, out: &mut Vec<u8>, errors: IoErrors, names: &mut dyn NameLookup) {
        let protocol = self.options.protocol;
        if self.options.has_varint_flags() {
            out.put_varint(0);
            out.put_varint(errors.bits());
        } else if !protocol.has_io_error_int() && self.options.is_safe() && !errors.is_empty() {
            out.put_u16(flags::ERROR_END as u16);
            out.put_varint(errors.bits());
        } else {
            out.put_u8(0);
        }
        let (users, groups) = self.options.id_lists();
        let zero_names = self.options.flags.contains(CompatFlags::ID0_NAMES);
        if users {
            self.users.put_list(
                out,
                protocol,
                zero_names.then(|| names.user(0).unwrap_or_default()),
            );
        }
        if groups {
            self.groups.put_list(
                out,
                protocol,
                zero_names.then(|| names.group(0).unwrap_or_default()),
            );
        }
        if protocol.has_io_error_int() {
            out.put_i32(errors.bits());
        }
    }

    fn link_of(&self, entry: &FileEntry, kind: FileKind) -> Link {
        if !self.options.hard_links || kind == FileKind::Directory {
            return Link::None;
        }
        let protocol = self.options.protocol;
        let inode = match entry.hard_link {
            Some(HardLink::Inode { device, inode }) => Some((device, inode)),
            _ => None,
        };
        if protocol.has_link_references() {
            return match inode.map(|key| (key, self.links.get(&key))) {
                None => Link::None,
                Some((key, None)) => Link::First { key },
                Some((_, Some(&(group, carried)))) => Link::Later { group, carried },
            };
        }
        if protocol.has_wide_entry_flags() {
            return inode.map_or(Link::None, |key| Link::Inode { key });
        }
        match (kind, inode) {
            (FileKind::Regular, Some(key)) => Link::Inode { key },
            (FileKind::Regular, None) => Link::Alone,
            _ => Link::None,
        }
    }

    /// After an abbreviated hard link, what the peer takes over from the first of its group.
    fn carry_over(&mut self, origin: CarriedValues, kind: FileKind) {
        let rdev_major =
            if self.has_device(kind) { origin.rdev_major } else { self.carried.values.rdev_major };
        let CarriedValues { rdev, link_device, .. } = self.carried.values;
        self.carried.values = CarriedValues { rdev, rdev_major, link_device, ..origin };
    }

    fn group_of(&self, link: &Link) -> Option<u32> {
        match link {
            Link::None | Link::Alone => None,
            Link::First { .. } => Some(self.next),
            Link::Later { group, .. } => Some(*group),
            Link::Inode { key } => self.links.get(key).map(|(group, _)| *group),
        }
    }

    fn owner_name(&mut self, uid: u32, names: &mut dyn NameLookup) -> Option<Vec<u8>> {
        let asked = self.options.owner && !self.options.numeric_ids;
        let name = asked.then(|| self.users.first_use(uid, |id| names.user(id)))?;
        name.filter(|_| self.options.has_inline_names()).map(<[u8]>::to_vec)
    }

    fn group_name(&mut self, gid: u32, names: &mut dyn NameLookup) -> Option<Vec<u8>> {
        let asked = self.options.group && !self.options.numeric_ids;
        let name = asked.then(|| self.groups.first_use(gid, |id| names.group(id)))?;
        name.filter(|_| self.options.has_inline_names()).map(<[u8]>::to_vec)
    }

    /// The bits that values decide; those of the name are added later.
    fn flags_of(&self, entry: &FileEntry, kind: FileKind, link: &Link) -> u32 {
        let options = &self.options;
        let protocol = options.protocol;
        let carried = &self.carried.values;
        let mut bits = 0;
        let mut set = |condition: bool, bit: u32| {
            if condition {
                bits |= bit;
            }
        };
        if kind == FileKind::Directory {
            let role = entry.role;
            if protocol.has_directory_marks() {
                set(matches!(role, DirectoryRole::Top | DirectoryRole::Implied), flags::TOP_DIR);
                set(
                    matches!(role, DirectoryRole::Empty | DirectoryRole::Implied),
                    flags::NO_CONTENT,
                );
            } else {
                set(role == DirectoryRole::Top, flags::TOP_DIR);
            }
        }
        set(entry.mode == carried.mode, flags::SAME_MODE);
        set(entry.mtime == carried.mtime, flags::SAME_TIME);
        let same_uid = self.started && entry.uid == carried.uid;
        let same_gid = self.started && entry.gid == carried.gid;
        set(!options.owner || same_uid, flags::SAME_UID);
        set(!options.group || same_gid, flags::SAME_GID);
        set(
            protocol.has_nanoseconds() && (1..1_000_000_000).contains(&entry.mtime_nsec),
            flags::NANOSECONDS,
        );
        let timed = options.access_times && kind != FileKind::Directory;
        let wide = protocol.has_wide_entry_flags();
        set(wide && timed && entry.atime == carried.atime, flags::SAME_ATIME);
        let created = options.creation_times && options.has_varint_flags();
        set(created && entry.crtime == entry.mtime, flags::CRTIME_IS_MTIME);
        if self.has_device(kind) {
            let device = device_of(entry, kind);
            if wide {
                let same = kind.is_special() || device.major == carried.rdev_major;
                set(same, flags::SAME_RDEV_MAJOR);
                set(!protocol.has_varints() && device.minor <= 0xff, flags::RDEV_MINOR_8);
            } else {
                let same = kind.is_special() || device.to_packed() == carried.rdev;
                set(same, flags::SAME_RDEV);
            }
        }
        match link {
            Link::None | Link::Alone => {}
            Link::First { .. } => set(true, flags::HLINKED | flags::HLINK_FIRST),
            Link::Later { .. } => set(true, flags::HLINKED),
            Link::Inode { key: (device, _) } => {
                set(wide, flags::HLINKED);
                set(wide && device.wrapping_add(1) == carried.link_device, flags::SAME_DEV);
            }
        }
        bits
    }

    /// Appends the flags, adding what keeps them apart from the end of the list; returns what was
    /// sent.
    fn put_flags(&self, out: &mut Vec<u8>, mut bits: u32, kind: FileKind) -> u32 {
        let filler = if kind == FileKind::Directory { flags::EXTENDED } else { flags::TOP_DIR };
        if self.options.has_varint_flags() {
            if bits == 0 {
                bits = flags::EXTENDED;
            }
            out.put_varint(bits as i32);
        } else if self.options.protocol.has_wide_entry_flags() {
            if bits == 0 {
                bits = filler;
            }
            if bits & 0xff00 != 0 {
                bits |= flags::EXTENDED;
            }
            if bits & flags::EXTENDED != 0 {
                out.put_u16(bits as u16);
            } else {
                out.put_u8(bits as u8);
            }
        } else {
            if bits as u8 == 0 {
                bits |= if kind == FileKind::Directory { flags::LONG_NAME } else { flags::TOP_DIR };
            }
            out.put_u8(bits as u8);
        }
        bits
    }

    /// Fields 5 to 14.
    fn put_fields(
        &mut self,
        out: &mut Vec<u8>,
        entry: &FileEntry,
        kind: FileKind,
        bits: u32,
        user_name: Option<Vec<u8>>,
        group_name: Option<Vec<u8>>,
    ) {
        let protocol = self.options.protocol;
        let sized = !(kind.is_device() || kind.is_special());
        out.put_varlong30(if sized { entry.size as i64 } else { 0 }, 3, protocol);
        if bits & flags::SAME_TIME == 0 {
            if protocol.has_varints() {
                out.put_varlong(entry.mtime, 4);
            } else {
                out.put_u32(entry.mtime as u32);
            }
        }
        if bits & flags::NANOSECONDS != 0 {
            out.put_varint(entry.mtime_nsec as i32);
        }
        if self.options.creation_times && bits & flags::CRTIME_IS_MTIME == 0 {
            out.put_varlong(entry.crtime, 4);
        }
        if bits & flags::SAME_MODE == 0 {
            out.put_u32(entry.mode);
        }
        let timed = self.options.access_times && kind != FileKind::Directory;
        if timed && bits & flags::SAME_ATIME == 0 {
            out.put_varlong(entry.atime, 4);
        }
        if bits & flags::SAME_UID == 0 {
            out.put_varint30(entry.uid as i32, protocol);
            if let Some(name) = user_name {
                put_name(out, &name);
            }
        }
        if bits & flags::SAME_GID == 0 {
            out.put_varint30(entry.gid as i32, protocol);
            if let Some(name) = group_name {
                put_name(out, &name);
            }
        }
        let carried = &mut self.carried.values;
        carried.mode = entry.mode;
        carried.mtime = entry.mtime;
        if timed {
            carried.atime = entry.atime;
        }
        if self.options.owner {
            carried.uid = entry.uid;
        }
        if self.options.group {
            carried.gid = entry.gid;
        }
        self.put_device(out, entry, kind, bits);
        if kind == FileKind::Symlink && self.options.links {
            let target = entry.target.as_deref().unwrap_or_default();
            let target = target.get(..PATH_MAX).unwrap_or(target);
            out.put_varint30(target.len() as i32, protocol);
            out.put(target);
        }
    }

    fn put_device(&mut self, out: &mut Vec<u8>, entry: &FileEntry, kind: FileKind, bits: u32) {
        let protocol = self.options.protocol;
        if !self.has_device(kind) {
            self.carried.values.rdev = 0;
            return;
        }
        let device = device_of(entry, kind);
        if !protocol.has_wide_entry_flags() {
            if bits & flags::SAME_RDEV == 0 {
                out.put_u32(device.to_packed());
                self.carried.values.rdev = device.to_packed();
            }
            return;
        }
        if bits & flags::SAME_RDEV_MAJOR == 0 {
            out.put_varint30(device.major as i32, protocol);
            self.carried.values.rdev_major = device.major;
        }
        if protocol.has_varints() {
            out.put_varint(device.minor as i32);
        } else if bits & flags::RDEV_MINOR_8 != 0 {
            out.put_u8(device.minor as u8);
        } else {
            out.put_u32(device.minor);
        }
    }

    /// Field 15a.
    fn put_inode(&mut self, out: &mut Vec<u8>, link: &Link, bits: u32) {
        let (device, inode) = match *link {
            // Nobody else's key: real devices are sent plus one.
            Link::Alone => (0, u64::from(self.next) + 1),
            Link::Inode { key: (device, inode) } => (device.wrapping_add(1), inode),
            _ => return,
        };
        if !self.options.protocol.has_wide_entry_flags() || bits & flags::SAME_DEV == 0 {
            out.put_longint(device as i64);
        }
        out.put_longint(inode as i64);
        self.carried.values.link_device = device;
    }

    /// Field 15b.
    fn put_checksum(&self, out: &mut Vec<u8>, entry: &FileEntry, kind: FileKind) {
        let Some(length) = self.options.checksum_length else { return };
        if kind == FileKind::Regular || !self.options.protocol.has_wide_entry_flags() {
            let mut sum = entry.checksum.clone().unwrap_or_default();
            sum.resize(length, 0);
            out.put(&sum);
        }
    }

    /// Fields 16 and 17. What an entry does not have travels as an empty ACL or set.
    fn put_attributes(
        &mut self,
        out: &mut Vec<u8>,
        entry: &mut FileEntry,
        kind: FileKind,
        names: &mut dyn NameLookup,
    ) {
        let inline = self.options.has_inline_names();
        if self.options.acls && kind != FileKind::Symlink {
            let table = &mut self.attributes.access;
            let position = *entry.access_acl.get_or_insert_with(|| table.intern(Acl::default()));
            if let Some(acl) =
                self.sent_access.put(out, position).then(|| table.get(position)).flatten()
            {
                acl.encode(out, inline, (&mut self.users, &mut self.groups), names);
            }
        }
        if self.options.acls && kind == FileKind::Directory {
            let table = &mut self.attributes.default;
            let position = *entry.default_acl.get_or_insert_with(|| table.intern(Acl::default()));
            if let Some(acl) =
                self.sent_default.put(out, position).then(|| table.get(position)).flatten()
            {
                acl.encode(out, inline, (&mut self.users, &mut self.groups), names);
            }
        }
        if self.options.xattrs {
            let table = &mut self.attributes.xattrs;
            let position = *entry.xattrs.get_or_insert_with(|| table.intern(XattrSet::default()));
            if let Some(set) =
                self.sent_xattrs.put(out, position).then(|| table.get(position)).flatten()
            {
                set.encode(out);
            }
        }
    }

    fn has_device(&self, kind: FileKind) -> bool {
        let special = self.options.specials && self.options.protocol.specials_have_device();
        kind.is_device() && self.options.devices || kind.is_special() && special
    }
}

/// The number an entry is sent with: FIFOs and sockets have a dummy.
fn device_of(entry: &FileEntry, kind: FileKind) -> Device {
    if kind.is_special() { Device::default() } else { entry.device.unwrap_or_default() }
}

/// What is known of an entry's other names.
enum Link {
    None,
    /// Protocol 27, a regular file without others.
    Alone,
    /// Below 30.
    Inode {
        key: (u64, u64),
    },
    First {
        key: (u64, u64),
    },
    Later {
        group: u32,
        carried: CarriedValues,
    },
}

/// Which positions of a table the peer has, under which number.
#[derive(Debug, Default)]
struct SentNumbers {
    numbers: HashMap<u32, i32>,
}

impl SentNumbers {
    /// Appends the number the peer knows a position by; `true` if it was 0 and the contents must
    /// follow.
    fn put(&mut self, out: &mut Vec<u8>, position: u32) -> bool {
        let next = self.numbers.len() as i32 + 1;
        let number = *self.numbers.entry(position).or_insert(next);
        let new = number == next;
        out.put_varint(if new { 0 } else { number });
        new
    }
}
