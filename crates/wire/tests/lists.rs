//! Every list survives the wire at every protocol, with every set of options.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use std::collections::HashMap;

use proptest::prelude::*;
use syncline_wire::list::{
    Acl, AclName, Device, DirectoryRole, FileEntry, FileKind, FileList, HardLink, ListDecoder,
    ListEncoder, ListOptions, NameLookup, Xattr, XattrSet,
};
use syncline_wire::{CompatFlags, IoErrors, Protocol};

/// Every other id has a name, some too long to be sent.
struct Names;

fn name_of(id: u32) -> Option<Vec<u8>> {
    match id % 4 {
        0 => Some(format!("name{id}").into_bytes()),
        1 => Some(vec![b'x'; 300]),
        _ => None,
    }
}

impl NameLookup for Names {
    fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        name_of(uid)
    }

    fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        name_of(gid)
    }
}

/// An entry together with its shared attributes.
#[derive(Clone, Debug)]
struct Item {
    entry: FileEntry,
    access: Acl,
    default: Acl,
    xattrs: XattrSet,
}

fn options() -> impl Strategy<Value = ListOptions> {
    (27..=32_u8, any::<u32>(), any::<[bool; 13]>()).prop_map(|(version, flags, on)| {
        let protocol = Protocol::new(version).unwrap();
        let flags = if protocol.has_compat_flags() { flags & 0x1ff } else { 0 };
        let varint_flags = flags & CompatFlags::VARINT_FLAGS.0 != 0;
        ListOptions {
            flags: CompatFlags(flags),
            links: on[0],
            hard_links: on[1],
            owner: on[2],
            group: on[3],
            devices: on[4],
            specials: on[5],
            access_times: on[6],
            creation_times: on[7] && varint_flags,
            acls: on[8] && protocol.has_compat_flags(),
            xattrs: on[9] && protocol.has_compat_flags(),
            numeric_ids: on[10],
            checksum_length: on[11].then_some(16),
            recursive: true,
            ..ListOptions::new(protocol)
        }
    })
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..5_u32, any::<u32>()]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1_000_000_000..1_000_000_003_i64, any::<i64>()]
}

fn acl() -> impl Strategy<Value = Acl> {
    let permissions = || proptest::option::of(0..=7_u8);
    let name = (number(), any::<bool>(), 0..=7_u8).prop_map(|(id, is_user, permissions)| AclName {
        id,
        is_user,
        permissions,
    });
    let names = proptest::collection::vec(name, 0..3);
    (permissions(), permissions(), permissions(), permissions(), names)
        .prop_map(|(user, group, mask, other, names)| Acl { user, group, mask, other, names })
}

fn xattrs() -> impl Strategy<Value = XattrSet> {
    let value = prop_oneof![Just(0_usize), 30..35_usize].prop_map(|length| vec![b'v'; length]);
    let xattr = ("[a-c]{1,3}", value).prop_map(|(name, value)| Xattr::new(name.into(), value));
    proptest::collection::vec(xattr, 0..3).prop_map(XattrSet::new)
}

fn item() -> impl Strategy<Value = Item> {
    let kinds = [
        0o100_000, 0o100_000, 0o100_000, 0o040_000, 0o120_000, 0o060_000, 0o020_000, 0o010_000,
        0o140_000,
    ];
    let name = prop_oneof!["[a-c]{1,3}", "[a-c]{200,300}", "\\PC{1,20}"];
    let mode = (proptest::sample::select(kinds.to_vec()), prop_oneof![Just(0o644), 0..0o10000_u32]);
    let roles =
        [DirectoryRole::Top, DirectoryRole::Content, DirectoryRole::Empty, DirectoryRole::Implied];
    let times = (time(), 0..2_000_000_000_u32, time(), time());
    let numbers = (number(), number(), 0..4096_u32, 0..(1_u32 << 20), 0..(1_u64 << 62));
    let rest =
        (0..6_u64, proptest::sample::select(roles.to_vec()), any::<[u8; 16]>(), "[a-z/.]{0,30}");
    (name, mode, times, numbers, rest, (acl(), acl(), xattrs())).prop_map(
        |(name, (kind, bits), times, (uid, gid, major, minor, size), rest, shared)| {
            let (mtime, mtime_nsec, atime, crtime) = times;
            let (inode, role, checksum, target) = rest;
            let name = name.replace(['/', '\0'], "_");
            let name = if name == "." || name == ".." { "dot".into() } else { name };
            let entry = FileEntry {
                name: name.into_bytes(),
                mode: kind | bits,
                size,
                mtime,
                mtime_nsec,
                atime,
                crtime,
                uid,
                gid,
                device: Some(Device { major, minor }),
                target: Some(target.into_bytes()),
                hard_link: (inode < 3).then_some(HardLink::Inode { device: inode / 2, inode }),
                checksum: Some(checksum.to_vec()),
                role,
                ..FileEntry::default()
            };
            let (access, default, xattrs) = shared;
            Item { entry, access, default, xattrs }
        },
    )
}

/// Files of one inode are one file: all members get the first one's values.
fn unify(items: &mut [Item]) {
    let mut firsts: HashMap<HardLink, FileEntry> = HashMap::new();
    for item in items.iter_mut().filter(|item| !item.entry.is_directory()) {
        let Some(link) = item.entry.hard_link else { continue };
        let first = firsts.entry(link).or_insert_with(|| item.entry.clone());
        item.entry = FileEntry { name: item.entry.name.clone(), ..first.clone() };
    }
}

/// What a receiver can know of an entry.
fn known(entry: &FileEntry, options: &ListOptions) -> FileEntry {
    let protocol = options.protocol;
    let kind = entry.kind();
    let mut known = entry.clone();
    if kind.is_device() || kind.is_special() {
        known.size = 0;
    }
    if !protocol.has_varints() {
        known.mtime = i64::from(entry.mtime as u32);
    }
    if !protocol.has_nanoseconds() || entry.mtime_nsec > 999_999_999 {
        known.mtime_nsec = 0;
    }
    if !options.access_times || kind == FileKind::Directory {
        known.atime = 0;
    }
    if !options.creation_times {
        known.crtime = 0;
    }
    known.uid = if options.owner { entry.uid } else { 0 };
    known.gid = if options.group { entry.gid } else { 0 };
    known.device = entry.device.filter(|_| kind.is_device() && options.devices);
    known.target = entry.target.clone().filter(|_| kind == FileKind::Symlink && options.links);
    let summed = kind == FileKind::Regular || protocol.number() == 27;
    known.checksum = entry.checksum.clone().filter(|_| summed && options.checksum_length.is_some());
    if !protocol.has_directory_marks() || kind != FileKind::Directory {
        known.role = DirectoryRole::default();
    }
    known
}

/// What the receiver's entry says, without what depends on other entries.
fn comparable(entry: &FileEntry, options: &ListOptions) -> FileEntry {
    let mut entry = entry.clone();
    (entry.access_acl, entry.default_acl, entry.xattrs) = (None, None, None);
    if !options.protocol.has_directory_marks() {
        entry.role = DirectoryRole::default();
    }
    entry
}

/// The groups a receiver finds.
fn expected_group(
    entry: &FileEntry,
    index: u32,
    options: &ListOptions,
    groups: &mut HashMap<HardLink, u32>,
) -> Option<HardLink> {
    let kind = entry.kind();
    let old = options.protocol.number() == 27;
    if !options.hard_links || kind == FileKind::Directory || old && kind != FileKind::Regular {
        return None;
    }
    match entry.hard_link {
        Some(link) => Some(HardLink::Group(*groups.entry(link).or_insert(index))),
        None => old.then_some(HardLink::Group(index)),
    }
}

fn check(options: &ListOptions, lists: &[Vec<Item>]) -> Result<(), TestCaseError> {
    let mut encoder = ListEncoder::new(options.clone());
    let mut decoder = ListDecoder::new(options.clone());
    let mut wire = Vec::new();
    let starts: Vec<u32> = lists
        .iter()
        .scan(u32::from(options.is_incremental()), |next, list| {
            let first = *next;
            *next += list.len() as u32 + 1;
            Some(first)
        })
        .collect();
    let mut sent = Vec::new();
    for (list, &first) in lists.iter().zip(&starts) {
        encoder.begin(first);
        for item in list {
            let mut entry = item.entry.clone();
            entry.access_acl = Some(encoder.attributes.access.intern(item.access.clone()));
            entry.default_acl = Some(encoder.attributes.default.intern(item.default.clone()));
            entry.xattrs = Some(encoder.attributes.xattrs.intern(item.xattrs.clone()));
            encoder.encode(&mut wire, &mut entry, &mut Names).unwrap();
            sent.push(entry);
        }
        encoder.end(&mut wire, IoErrors::VANISHED, &mut Names);
    }
    let mut input = &wire[..];
    let mut groups = HashMap::new();
    let mut told = sent.iter();
    for (list, &first) in lists.iter().zip(&starts) {
        let read = decoder.read_list(&mut input, first, None).unwrap();
        prop_assert_eq!(read.len(), list.len());
        let unsafe_list = !options.has_varint_flags() && !options.is_safe();
        let silent = unsafe_list && !options.protocol.has_io_error_int();
        prop_assert_eq!(read.io_errors().is_empty(), silent);
        for (item, entry) in list.iter().zip(read.iter()) {
            let mut wanted = known(&item.entry, options);
            let index = entry.index();
            wanted.hard_link = expected_group(&item.entry, index, options, &mut groups);
            let got = entry.to_entry();
            prop_assert_eq!(comparable(&got, options), wanted);
            let sender = told.next().unwrap().hard_link;
            if options.protocol.number() > 27 {
                prop_assert_eq!(sender, got.hard_link);
            }
            let kind = item.entry.kind();
            if options.acls && kind != FileKind::Symlink {
                let attributes = &decoder.attributes;
                prop_assert_eq!(attributes.access.get(got.access_acl.unwrap()), Some(&item.access));
                if kind == FileKind::Directory {
                    let default = got.default_acl.unwrap();
                    prop_assert_eq!(attributes.default.get(default), Some(&item.default));
                }
            }
            if options.xattrs {
                let set = decoder.attributes.xattrs.get(got.xattrs.unwrap());
                prop_assert_eq!(set, Some(&item.xattrs));
            }
            if options.owner && !options.numeric_ids && item.entry.uid % 4 == 0 {
                let zero_told = options.flags.contains(CompatFlags::ID0_NAMES);
                if item.entry.uid != 0 || zero_told || options.is_incremental() {
                    let name = name_of(item.entry.uid);
                    prop_assert_eq!(decoder.names.user(item.entry.uid), name.as_deref());
                }
            }
        }
    }
    prop_assert!(input.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_list_survives_the_wire(
        options in options(),
        items in proptest::collection::vec(item(), 0..12),
        cut in 0..12_usize,
    ) {
        let mut items = items;
        unify(&mut items);
        if options.is_incremental() {
            let (first, second) = items.split_at(cut.min(items.len()));
            check(&options, &[first.to_vec(), second.to_vec()])?;
        } else {
            check(&options, &[items])?;
        }
    }

    #[test]
    fn sorting_agrees_with_finding(
        names in proptest::collection::vec(("[ab!/.-]{1,6}", any::<bool>()), 0..20),
        version in 27..=32_u8,
        aside in any::<bool>(),
    ) {
        let protocol = Protocol::new(version).unwrap();
        let options = ListOptions::new(protocol);
        let mut list = FileList::new(0, &options);
        for (name, directory) in &names {
            let mode = if *directory { 0o040_755 } else { 0o100_644 };
            let Ok(name) = syncline_wire::list::clean_name(name.as_bytes(), *directory, true) else { continue };
            list.push(&FileEntry { name, mode, ..FileEntry::default() }).unwrap();
        }
        if aside {
            list.sort_aside(protocol);
        } else {
            list.sort(protocol);
        }
        list.drop_duplicates(protocol);
        let mut paths = std::collections::HashSet::new();
        for entry in list.iter().filter(|entry| entry.is_active()) {
            let path = entry.path();
            let found = list.find(&path, entry.is_directory(), protocol);
            prop_assert_eq!(found, Some(entry.position()), "{:?}", String::from_utf8_lossy(&path));
            prop_assert!(paths.insert(path), "one active entry for each path");
        }
    }
}

#[test]
fn a_list_of_usual_names_takes_less_than_100_bytes_a_file() {
    let options = ListOptions::new(Protocol::NEWEST);
    let mut list = FileList::new(0, &options);
    for number in 0..100_000 {
        let name =
            format!("some/directory{:03}/of/usual/depth/file-number-{number:07}.txt", number / 100);
        let entry = FileEntry { name: name.into(), mode: 0o100_644, ..FileEntry::default() };
        list.push(&entry).unwrap();
    }
    list.sort(Protocol::NEWEST);
    assert!(list.memory() < 80 * list.len(), "{}", list.memory() / list.len());
}

#[test]
fn what_cannot_be_said_here_keeps_its_index_and_is_told() {
    let flags = CompatFlags::INCREMENTAL.with(CompatFlags::VARINT_FLAGS);
    let options =
        ListOptions { links: true, recursive: true, flags, ..ListOptions::new(Protocol::NEWEST) };
    let entry = |name: &str, mode, target: Option<&str>| FileEntry {
        name: name.into(),
        mode,
        target: target.map(Into::into),
        ..FileEntry::default()
    };
    let mut encoder = syncline_wire::list::ListEncoder::new(options.clone());
    let mut names = syncline_wire::list::NoNames;
    let mut put = |first, entries: &[FileEntry]| {
        let mut wire = Vec::new();
        encoder.begin(first);
        for entry in entries {
            encoder.encode(&mut wire, &mut entry.clone(), &mut names).unwrap();
        }
        encoder.end(&mut wire, syncline_wire::IoErrors::NONE, &mut names);
        wire
    };
    let first = put(
        1,
        &[
            entry(".", 0o040_755, None),
            entry("bad1", 0o040_755, None),
            entry("bad2", 0o040_755, None),
            entry("good", 0o100_644, None),
            entry("link", 0o120_777, Some("bad")),
        ],
    );
    let second = put(7, &[entry("bad1/good", 0o100_644, None)]);
    // Who has words for the parts only still gets nothing of a directory that has none.
    let conversion = || -> syncline_wire::list::CharsetConversion {
        Box::new(|name: &[u8]| match name {
            b"bad1/good" => Ok(b"good".to_vec()),
            name if name.starts_with(b"bad") => Err(std::io::Error::other("unsayable")),
            name => Ok(name.to_ascii_uppercase()),
        })
    };
    let mut decoder = syncline_wire::list::ListDecoder::new(options.clone());
    decoder.convert_names(conversion());
    decoder.convert_targets(conversion());
    let mut lists = syncline_wire::list::FileLists::new(&options);
    let mut list = decoder.read_list(&mut &first[..], lists.next_first(), None).unwrap();
    assert!(!list.io_errors().is_empty());
    let told: Vec<(Vec<u8>, bool)> =
        decoder.take_unsayable().into_iter().map(|it| (it.name, it.target)).collect();
    let expected = [(&b"bad1"[..], false), (b"bad2", false), (b"LINK", true)];
    assert_eq!(told, expected.map(|(name, target)| (name.to_vec(), target)));
    list.sort_aside(options.protocol);
    list.drop_duplicates(options.protocol);
    let active: Vec<_> = list
        .iter()
        .filter(|entry| entry.is_active())
        .map(|entry| (entry.index(), entry.path()))
        .collect();
    assert_eq!(active, [(1, b".".to_vec()), (4, b"GOOD".to_vec())]);
    lists.add(list, None).unwrap();
    let path = lists.announce(1).unwrap();
    let list = decoder.read_list(&mut &second[..], lists.next_first(), Some(&path)).unwrap();
    assert!(list.iter().all(|entry| !entry.is_active()));
    lists.add(list, Some(1)).unwrap();
    // The other one is owed as well.
    assert!(lists.announce(2).is_ok());
}
