//! A list that can be read is written and read again: the same entries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_wire::list::{
    DirectoryRole, FileEntry, HardLink, ListDecoder, ListEncoder, ListOptions, NoNames,
};
use syncline_wire::{CompatFlags, Protocol};

/// The first four bytes choose version, flags and options.
fn options([version, flags, high, bits]: [u8; 4]) -> ListOptions {
    let protocol = Protocol::ALL[usize::from(version) % Protocol::ALL.len()];
    let new = protocol.has_compat_flags();
    let flags = if new { u32::from(flags) | u32::from(high & 1) << 8 } else { 0 };
    let on = |bit: u32| bits >> bit & 1 != 0;
    ListOptions {
        flags: CompatFlags(flags),
        relative: high & 2 != 0,
        links: high & 4 != 0,
        hard_links: true,
        owner: on(0),
        group: on(1),
        devices: on(2),
        specials: on(3),
        access_times: on(4),
        creation_times: on(5) && flags & CompatFlags::VARINT_FLAGS.0 != 0,
        acls: on(6) && new,
        xattrs: on(7) && new,
        checksum_length: (high & 8 != 0).then_some(16),
        missing_args: high & 16 != 0,
        recursive: high & 32 != 0,
        numeric_ids: high & 64 != 0,
        ..ListOptions::new(protocol)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, mut input)) = data.split_first_chunk() else { return };
    let options = options(*head);
    let first = u32::from(options.is_incremental());
    let mut decoder = ListDecoder::new(options.clone());
    let Ok(mut list) = decoder.read_list(&mut input, first, None) else { return };

    let mut encoder = ListEncoder::new(options.clone());
    let mut wire = Vec::new();
    encoder.begin(first);
    let mut sent = Vec::new();
    for entry in list.iter() {
        let read = entry.to_entry();
        let mut entry = read.clone();
        entry.hard_link = entry.hard_link.map(|link| match link {
            HardLink::Group(group) => HardLink::Inode { device: 1, inode: group.into() },
            inode @ HardLink::Inode { .. } => inode,
        });
        let (from, to) = (&decoder.attributes, &mut encoder.attributes);
        let access = entry.access_acl.and_then(|position| from.access.get(position)).cloned();
        entry.access_acl = access.map(|acl| to.access.intern(acl));
        let default = entry.default_acl.and_then(|position| from.default.get(position)).cloned();
        entry.default_acl = default.map(|acl| to.default.intern(acl));
        let xattrs = entry.xattrs.and_then(|position| from.xattrs.get(position)).cloned();
        entry.xattrs = xattrs.map(|set| to.xattrs.intern(set));
        encoder.encode(&mut wire, &mut entry, &mut NoNames).expect("what was read can be written");
        sent.push(read);
    }
    encoder.end(&mut wire, list.io_errors(), &mut NoNames);

    let mut again = ListDecoder::new(options.clone());
    let mut rest = &wire[..];
    let second = again.read_list(&mut rest, first, None).expect("what was written can be read");
    assert!(rest.is_empty());
    assert_eq!(second.len(), sent.len());
    for (entry, sent) in second.iter().zip(sent) {
        let read = entry.to_entry();
        let shared = |decoder: &ListDecoder, entry: &FileEntry| {
            let attributes = &decoder.attributes;
            (
                entry.access_acl.and_then(|position| attributes.access.get(position)).cloned(),
                entry.default_acl.and_then(|position| attributes.default.get(position)).cloned(),
                entry.xattrs.and_then(|position| attributes.xattrs.get(position)).cloned(),
            )
        };
        assert_eq!(shared(&again, &read), shared(&decoder, &sent));
        let plain = |entry: FileEntry| {
            let old = !options.protocol.has_directory_marks();
            let role = if old { DirectoryRole::default() } else { entry.role };
            FileEntry { role, access_acl: None, default_acl: None, xattrs: None, ..entry }
        };
        assert_eq!(plain(read), plain(sent));
    }
    if head[0] & 0x80 == 0 {
        list.sort(options.protocol);
    } else {
        list.sort_aside(options.protocol);
    }
    list.drop_duplicates(options.protocol);
    for entry in list.iter().filter(|entry| entry.is_active()) {
        let found = list.find(&entry.path(), entry.is_directory(), options.protocol);
        assert_eq!(found, Some(entry.position()));
    }
});
