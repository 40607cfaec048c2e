//! Reading lists (docs/spec filelist.md 3, 4, 5, 11, 12).

use std::collections::{HashMap, HashSet};
use std::io;

use super::acl::Acl;
use super::attributes::{Attributes, Table};
use super::encode::{Carried, CarriedValues};
use super::entry::{Device, DirectoryRole, FileEntry, FileKind, HardLink};
use super::ids::IdNames;
use super::store::FileList;
use super::xattr::XattrSet;
use super::{ListOptions, PATH_MAX, clean_name, flags, order::split_path};
use crate::error::lossy;
use crate::{Error, IoErrors, Result, WireRead};

/// Turns a name's bytes on the wire into local ones, or says why it cannot be said locally.
pub type CharsetConversion = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

/// An entry that cannot be used because this end's charset has no words for it.
#[derive(Debug)]
pub struct Unsayable {
    /// The entry's name: as it travelled, or as it is here if only the link's target is the trouble.
    pub name: Vec<u8>,
    /// Whether the trouble is the link's target.
    pub target: bool,
    /// What the conversion said.
    pub error: io::Error,
}

/// Reads the lists of one connection.
pub struct ListDecoder {
    options: ListOptions,
    /// What ACLs and attribute sets of entries refer to.
    pub attributes: Attributes,
    /// Names the sender told.
    pub names: IdNames,
    carried: Carried,
    /// First wire index of each group; below protocol 30 found by device and inode.
    groups: HashSet<u32>,
    inodes: HashMap<(i64, i64), u32>,
    /// Below protocol 30: wire name of the top directory whose region entries are in.
    region: Option<Vec<u8>>,
    /// Directory that the current list was announced for, without a leading slash.
    announced: Option<Vec<u8>>,
    name_charset: Option<CharsetConversion>,
    target_charset: Option<CharsetConversion>,
    /// What was wrong with the target just read.
    bad_target: Option<io::Error>,
    /// The current list was announced for a directory whose name cannot be said.
    lost: bool,
    unsayable: Vec<Unsayable>,
}

impl std::fmt::Debug for ListDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListDecoder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ListDecoder {
    /// Nothing was read yet.
    pub fn new(options: ListOptions) -> Self {
        Self {
            options,
            attributes: Attributes::default(),
            names: IdNames::default(),
            carried: Carried::default(),
            groups: HashSet::new(),
            inodes: HashMap::new(),
            region: None,
            announced: None,
            name_charset: None,
            target_charset: None,
            bad_target: None,
            lost: false,
            unsayable: Vec::new(),
        }
    }

    /// Converts names; an entry whose name cannot be converted keeps its index and must not be
    /// used.
    pub fn convert_names(&mut self, conversion: CharsetConversion) {
        self.name_charset = Some(conversion);
    }

    /// Converts link targets; an entry whose target cannot be converted keeps its index and must not
    /// be used. Only where both sides can (filelist.md 4.11).
    pub fn convert_targets(&mut self, conversion: CharsetConversion) {
        self.target_charset = Some(conversion);
    }

    /// Entries that could not be converted since last asked.
    pub fn take_unsayable(&mut self) -> Vec<Unsayable> {
        std::mem::take(&mut self.unsayable)
    }

    /// The fields this decoder expects.
    pub fn options(&self) -> &ListOptions {
        &self.options
    }

    /// Starts a list whose entries are numbered from `first` on: 0, or
    /// [`super::FileLists::next_first`] of an incremental series, where `directory` is the path it
    /// was announced for (`None` for the first list).
    pub fn begin(&mut self, first: u32, directory: Option<&[u8]>) -> FileList {
        self.lost = directory.is_some_and(<[u8]>::is_empty);
        let path = directory.unwrap_or_default();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        self.announced = Some(path.strip_suffix(b"/.").unwrap_or(path).to_vec());
        FileList::new(first, &self.options)
    }

    /// Reads one entry into `list`, or the end of it and what follows: then `false`. Leave the
    /// entries as they are until the end, later ones may copy from them.
    pub fn read_entry(&mut self, input: &mut impl WireRead, list: &mut FileList) -> Result<bool> {
        let bits = match self.read_flags(input)? {
            Start::Entry(bits) => bits,
            Start::End(errors) => {
                self.read_end(input, list, errors)?;
                return Ok(false);
            }
        };
        let entry = self.read_fields(input, list, bits)?;
        list.push(&entry)?;
        Ok(true)
    }

    /// Reads a whole list; see [`ListDecoder::begin`].
    pub fn read_list(
        &mut self,
        input: &mut impl WireRead,
        first: u32,
        directory: Option<&[u8]>,
    ) -> Result<FileList> {
        let mut list = self.begin(first, directory);
        while self.read_entry(input, &mut list)? {}
        Ok(list)
    }

    fn read_flags(&self, input: &mut impl WireRead) -> Result<Start> {
        if self.options.has_varint_flags() {
            return Ok(match input.read_varint()? {
                0 => Start::End(IoErrors::from_bits(input.read_varint()?)),
                bits => Start::Entry(bits as u32),
            });
        }
        let first = u32::from(input.read_u8()?);
        if first == 0 {
            return Ok(Start::End(IoErrors::NONE));
        }
        if first & flags::EXTENDED == 0 || !self.options.protocol.has_wide_entry_flags() {
            return Ok(Start::Entry(first));
        }
        let bits = first | u32::from(input.read_u8()?) << 8;
        if bits != flags::ERROR_END {
            return Ok(Start::Entry(bits));
        }
        if !self.options.is_safe() {
            return Err(Error::InvalidListFlag(bits));
        }
        Ok(Start::End(IoErrors::from_bits(input.read_varint()?)))
    }

    fn read_end(
        &mut self,
        input: &mut impl WireRead,
        list: &mut FileList,
        errors: IoErrors,
    ) -> Result<()> {
        self.names.read_lists(input, &self.options)?;
        let old = if self.options.protocol.has_io_error_int() {
            IoErrors::from_bits(input.read_i32()?)
        } else {
            IoErrors::NONE
        };
        list.set_io_errors(list.io_errors() | errors | old);
        Ok(())
    }

    fn read_fields(
        &mut self,
        input: &mut impl WireRead,
        list: &mut FileList,
        bits: u32,
    ) -> Result<FileEntry> {
        self.read_name(input, bits)?;
        let protocol = self.options.protocol;
        let index = list.first() + list.len() as u32;
        let mut entry = FileEntry::default();
        let linked = protocol.has_link_references() && bits & flags::HLINKED != 0;
        let group = if !linked {
            None
        } else if bits & flags::HLINK_FIRST != 0 {
            self.groups.insert(index);
            Some(index)
        } else {
            Some(self.read_reference(input, list.first(), index)?)
        };
        match group.filter(|group| (list.first()..index).contains(group)) {
            Some(group) => {
                let origin = list.get((group - list.first()) as usize);
                let origin =
                    origin.filter(|origin| origin.group() == Some(group) && !origin.is_directory());
                entry = origin.map(super::EntryRef::to_entry).ok_or(Error::HardLinkOutOfRange {
                    reference: group.into(),
                    limit: index.into(),
                })?;
                self.carry_over(&entry);
            }
            None => self.read_values(input, &mut entry, bits, index)?,
        }
        if let Some(group) = group {
            entry.hard_link = Some(HardLink::Group(group));
        }
        let kind = entry.kind();
        entry.role = self.role_of(bits, kind);
        self.read_attributes(input, &mut entry, kind)?;
        self.finish_name(&mut entry, list)?;
        if kind == FileKind::Directory && entry.hard_link.is_some() {
            return Err(Error::HardLinkOutOfRange {
                reference: group.unwrap_or(index).into(),
                limit: index.into(),
            });
        }
        Ok(entry)
    }

    /// Fields 1 to 3, into the carried name.
    fn read_name(&mut self, input: &mut impl WireRead, bits: u32) -> Result<()> {
        let prefix = match bits & flags::SAME_NAME {
            0 => 0,
            _ => usize::from(input.read_u8()?),
        };
        let suffix = match bits & flags::LONG_NAME {
            0 => i32::from(input.read_u8()?),
            _ => input.read_varint30(self.options.protocol)?,
        };
        if suffix < 0 || suffix as usize > PATH_MAX - prefix {
            return Err(Error::NameOverflow {
                flags: bits,
                prefix,
                suffix: suffix.into(),
                last: lossy(&self.carried.name),
            });
        }
        let length = self.carried.name.len();
        if prefix > length {
            return Err(Error::PrefixOverflow { prefix, length });
        }
        let name = &mut self.carried.name;
        name.resize(prefix + suffix as usize, 0);
        input.read_exact(name.get_mut(prefix..).unwrap_or_default())?;
        Ok(())
    }

    /// Field 4: the wire index of a group's first member.
    fn read_reference(&self, input: &mut impl WireRead, start: u32, index: u32) -> Result<u32> {
        let reference = input.read_varint()?;
        let group = u32::try_from(reference).ok().filter(|group| *group < index);
        let group = group.ok_or(Error::HardLinkOutOfRange {
            reference: reference.into(),
            limit: index.into(),
        })?;
        if group < start && !self.groups.contains(&group) {
            return Err(Error::HardLinkUnknown { group, start });
        }
        Ok(group)
    }

    /// Fields 5 to 15.
    fn read_values(
        &mut self,
        input: &mut impl WireRead,
        entry: &mut FileEntry,
        bits: u32,
        index: u32,
    ) -> Result<()> {
        let protocol = self.options.protocol;
        let size = input.read_varlong30(protocol, 3)?;
        entry.size = u64::try_from(size).map_err(|_| Error::NegativeSize)?;
        if bits & flags::SAME_TIME == 0 {
            self.carried.values.mtime = if protocol.has_varints() {
                input.read_varlong(4)?
            } else {
                input.read_u32()?.into()
            };
        }
        entry.mtime = self.carried.values.mtime;
        if protocol.has_nanoseconds() && bits & flags::NANOSECONDS != 0 {
            entry.mtime_nsec = input.read_varint_in("modtime_nsec", 0, 999_999_999)?;
        }
        if self.options.creation_times {
            entry.crtime = match bits & flags::CRTIME_IS_MTIME {
                0 => input.read_varlong(4)?,
                _ => entry.mtime,
            };
        }
        if bits & flags::SAME_MODE == 0 {
            self.carried.values.mode = self.read_mode(input)?;
        }
        entry.mode = self.carried.values.mode;
        let kind = self.kind_of(entry.mode)?;
        if self.options.access_times && kind != FileKind::Directory {
            if bits & flags::SAME_ATIME == 0 {
                self.carried.values.atime = input.read_varlong(4)?;
            }
            entry.atime = self.carried.values.atime;
        }
        self.read_owner(input, bits)?;
        entry.uid = self.carried.values.uid;
        entry.gid = self.carried.values.gid;
        entry.device = self.read_device(input, kind, bits)?;
        if kind.is_device() || kind.is_special() {
            entry.size = 0;
        }
        if kind == FileKind::Symlink && self.options.links {
            entry.target = Some(self.read_target(input)?);
        }
        self.read_inode(input, entry, kind, bits, index)?;
        if let Some(length) = self.options.checksum_length
            && (kind == FileKind::Regular || !protocol.has_wide_entry_flags())
        {
            entry.checksum = Some(input.read_vec(length)?);
        }
        Ok(())
    }

    fn read_mode(&self, input: &mut impl WireRead) -> Result<u32> {
        let mode = input.read_u32()? & 0xffff;
        self.kind_of(mode)?;
        Ok(mode)
    }

    fn kind_of(&self, mode: u32) -> Result<FileKind> {
        match FileKind::of(mode) {
            Some(FileKind::Missing) if !self.options.missing_args => None,
            kind => kind,
        }
        .ok_or_else(|| Error::InvalidMode { mode, name: lossy(&self.carried.name) })
    }

    fn read_owner(&mut self, input: &mut impl WireRead, bits: u32) -> Result<()> {
        let protocol = self.options.protocol;
        let names = protocol.has_varints();
        if self.options.owner && bits & flags::SAME_UID == 0 {
            let uid = input.read_varint30(protocol)? as u32;
            self.carried.values.uid = uid;
            if names && bits & flags::USER_NAME != 0 {
                self.names.read_user(input, uid)?;
            }
        }
        if self.options.group && bits & flags::SAME_GID == 0 {
            let gid = input.read_varint30(protocol)? as u32;
            self.carried.values.gid = gid;
            if names && bits & flags::GROUP_NAME != 0 {
                self.names.read_group(input, gid)?;
            }
        }
        Ok(())
    }

    fn read_device(
        &mut self,
        input: &mut impl WireRead,
        kind: FileKind,
        bits: u32,
    ) -> Result<Option<Device>> {
        let protocol = self.options.protocol;
        let special = kind.is_special() && self.options.specials && protocol.specials_have_device();
        if !(special || kind.is_device() && self.options.devices) {
            self.carried.values.rdev = 0;
            return Ok(None);
        }
        let device = if protocol.has_wide_entry_flags() {
            if bits & flags::SAME_RDEV_MAJOR == 0 {
                self.carried.values.rdev_major = input.read_varint30(protocol)? as u32;
            }
            let minor = if protocol.has_varints() {
                input.read_varint()? as u32
            } else if bits & flags::RDEV_MINOR_8 != 0 {
                input.read_u8()?.into()
            } else {
                input.read_u32()?
            };
            Device { major: self.carried.values.rdev_major, minor }
        } else {
            if bits & flags::SAME_RDEV == 0 {
                self.carried.values.rdev = input.read_u32()?;
            }
            Device::from_packed(self.carried.values.rdev)
        };
        Ok(kind.is_device().then_some(device))
    }

    fn read_target(&mut self, input: &mut impl WireRead) -> Result<Vec<u8>> {
        let length = input.read_varint30(self.options.protocol)?;
        let bounded = usize::try_from(length).ok().filter(|length| *length <= PATH_MAX);
        let target = input.read_vec(bounded.ok_or(Error::LinkOverflow(length.into()))?)?;
        let Some(convert) = &mut self.target_charset else { return Ok(target) };
        Ok(convert(&target).unwrap_or_else(|error| {
            self.bad_target = Some(error);
            Vec::new()
        }))
    }

    /// Field 15a: device and inode become the group of the first entry that had them.
    fn read_inode(
        &mut self,
        input: &mut impl WireRead,
        entry: &mut FileEntry,
        kind: FileKind,
        bits: u32,
        index: u32,
    ) -> Result<()> {
        let protocol = self.options.protocol;
        if protocol.has_link_references() || !self.options.hard_links {
            return Ok(());
        }
        let wide = protocol.has_wide_entry_flags();
        let present = if wide {
            bits & flags::HLINKED != 0 && kind != FileKind::Directory
        } else {
            kind == FileKind::Regular
        };
        if !present {
            return Ok(());
        }
        if !wide || bits & flags::SAME_DEV == 0 {
            self.carried.values.link_device = input.read_longint()? as u64;
        }
        let key = (self.carried.values.link_device as i64, input.read_longint()?);
        let group = *self.inodes.entry(key).or_insert(index);
        entry.hard_link = Some(HardLink::Group(group));
        Ok(())
    }

    /// After an abbreviated hard link: its fields are the carried ones.
    fn carry_over(&mut self, entry: &FileEntry) {
        let device_major = entry.device.map(|device| device.major);
        let before = self.carried.values;
        self.carried.values = CarriedValues {
            mode: entry.mode,
            mtime: entry.mtime,
            atime: if self.options.access_times { entry.atime } else { before.atime },
            uid: entry.uid,
            gid: entry.gid,
            rdev_major: device_major.unwrap_or(before.rdev_major),
            ..before
        };
    }

    fn role_of(&mut self, bits: u32, kind: FileKind) -> DirectoryRole {
        if kind != FileKind::Directory {
            return DirectoryRole::default();
        }
        let top = bits & flags::TOP_DIR != 0;
        if self.options.protocol.has_directory_marks() {
            return match (top, bits & flags::NO_CONTENT != 0) {
                (true, false) => DirectoryRole::Top,
                (false, false) => DirectoryRole::Content,
                (false, true) => DirectoryRole::Empty,
                (true, true) => DirectoryRole::Implied,
            };
        }
        let name = &self.carried.name;
        if top {
            let name = name.strip_suffix(b"/.").unwrap_or(name);
            self.region = Some(name.to_vec());
            return DirectoryRole::Top;
        }
        let inside = self.region.as_ref().is_some_and(|region| {
            !self.options.relative
                || region == b"."
                || name.strip_prefix(&region[..]).is_some_and(|rest| rest.starts_with(b"/"))
        });
        if !inside {
            self.region = None;
        }
        if inside && self.options.recursive { DirectoryRole::Content } else { DirectoryRole::Empty }
    }

    /// Fields 16 and 17.
    fn read_attributes(
        &mut self,
        input: &mut impl WireRead,
        entry: &mut FileEntry,
        kind: FileKind,
    ) -> Result<()> {
        (entry.access_acl, entry.default_acl, entry.xattrs) = (None, None, None);
        if self.options.acls && kind != FileKind::Symlink {
            let table = &mut self.attributes.access;
            let acl = read_acl(input, table, "ACL_TYPE_ACCESS", &mut self.names)?;
            entry.access_acl = Some(acl);
            if kind == FileKind::Directory {
                let table = &mut self.attributes.default;
                let acl = read_acl(input, table, "ACL_TYPE_DEFAULT", &mut self.names)?;
                entry.default_acl = Some(acl);
            }
        }
        if self.options.xattrs {
            let table = &mut self.attributes.xattrs;
            let number = input.read_varint()?;
            entry.xattrs = Some(match Shared::of(number, table.len()) {
                Shared::New => table.append(XattrSet::decode(input)?),
                Shared::Known(position) => position,
                Shared::Unknown => return Err(Error::XattrIndex(number.into())),
            });
        }
        Ok(())
    }

    /// Converts, cleans and checks the name, and where it stands.
    fn finish_name(&mut self, entry: &mut FileEntry, list: &mut FileList) -> Result<()> {
        let kind = entry.kind();
        let directory = kind == FileKind::Directory;
        entry.name = match &mut self.name_charset {
            None => clean_name(&self.carried.name, directory, self.options.relative)?,
            Some(convert) => match convert(&self.carried.name) {
                Ok(name) => clean_name(&name, directory, self.options.relative)?,
                Err(error) => {
                    let name = self.carried.name.clone();
                    self.unsayable.push(Unsayable { name, target: false, error });
                    Vec::new()
                }
            },
        };
        let broken = kind == FileKind::Symlink
            && self.target_charset.is_some()
            && entry.target.as_ref().is_some_and(Vec::is_empty);
        if broken {
            // A further name of a link that was told of already is not told of again.
            // Nor of one that has no name either.
            if let Some(error) = self.bad_target.take().filter(|_| !entry.name.is_empty()) {
                let name = entry.name.clone();
                self.unsayable.push(Unsayable { name, target: true, error });
            }
            entry.name.clear();
        }
        if self.lost {
            entry.name.clear();
        }
        if entry.name.is_empty() {
            if self.name_charset.is_some() {
                list.set_io_errors(list.io_errors() | IoErrors::GENERAL);
            }
            return Ok(());
        }
        if matches!(&entry.name[..], b"." | b"/.") && !directory {
            return Err(Error::RootNotDirectory(lossy(&entry.name)));
        }
        if let Some(announced) = self.announced.as_ref().filter(|_| self.options.is_incremental()) {
            let relative = entry.name.strip_prefix(b"/").unwrap_or(&entry.name);
            let path =
                if directory { relative.strip_suffix(b"/.").unwrap_or(relative) } else { relative };
            if split_path(path).0 != &announced[..] {
                return Err(Error::InvalidParent { path: lossy(&entry.name), incremental: true });
            }
        }
        Ok(())
    }
}

enum Start {
    Entry(u32),
    End(IoErrors),
}

/// What the number of an ACL or attribute set means.
enum Shared {
    New,
    Known(u32),
    Unknown,
}

impl Shared {
    fn of(number: i32, count: usize) -> Self {
        match number {
            0 => Self::New,
            number if number > 0 && number as usize <= count => Self::Known(number as u32 - 1),
            _ => Self::Unknown,
        }
    }
}

fn read_acl(
    input: &mut impl WireRead,
    table: &mut Table<Acl>,
    kind: &'static str,
    names: &mut IdNames,
) -> Result<u32> {
    let number = input.read_varint()?;
    match Shared::of(number, table.len()) {
        Shared::New => Ok(table.append(Acl::decode(input, names)?)),
        Shared::Known(position) => Ok(position),
        Shared::Unknown => Err(Error::AclIndex { kind, index: number.into(), count: table.len() }),
    }
}
