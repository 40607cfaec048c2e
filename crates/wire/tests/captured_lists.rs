//! The annotated captures of docs/spec filelist.md 17, byte for byte in both directions.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use syncline_wire::list::{
    Device, DirectoryRole, FileEntry, FileList, FileLists, HardLink, ListDecoder, ListEncoder,
    ListOptions, NameLookup,
};
use syncline_wire::{CompatFlags, Index, IndexDecoder, IndexEncoder, IoErrors, Protocol};

const MTIME: i64 = 1_000_000_000;

struct Names;

impl NameLookup for Names {
    fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        [(0, "root"), (1, "daemon")]
            .iter()
            .find(|(id, _)| *id == uid)
            .map(|(_, n)| n.as_bytes().to_vec())
    }

    fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        [(0, "root"), (60, "games")]
            .iter()
            .find(|(id, _)| *id == gid)
            .map(|(_, n)| n.as_bytes().to_vec())
    }
}

/// As [`Names`], for senders that keep the name of id 0 to themselves.
struct NamesWithoutRoot;

impl NameLookup for NamesWithoutRoot {
    fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        Names.user(uid).filter(|_| uid != 0)
    }

    fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        Names.group(gid).filter(|_| gid != 0)
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .filter(|word| *word != "|")
        .flat_map(|word| match word.strip_prefix('"') {
            Some(string) => string.trim_end_matches('"').as_bytes().to_vec(),
            None => vec![u8::from_str_radix(word, 16).unwrap()],
        })
        .collect()
}

fn options(version: u8, flags: u32) -> ListOptions {
    ListOptions {
        flags: CompatFlags(flags),
        links: true,
        hard_links: true,
        owner: true,
        group: true,
        devices: true,
        specials: true,
        recursive: true,
        ..ListOptions::new(Protocol::new(version).unwrap())
    }
}

fn entry(name: &str, mode: u32, size: u64) -> FileEntry {
    FileEntry { name: name.into(), mode, size, mtime: MTIME, ..FileEntry::default() }
}

/// The tree of the captures, in wire order; `d/f` last.
fn tree() -> Vec<FileEntry> {
    let inode = Some(HardLink::Inode { device: 0xfe00, inode: 0x9d_4b7e });
    vec![
        FileEntry { role: DirectoryRole::Top, ..entry(".", 0o040_755, 4096) },
        FileEntry { hard_link: inode, ..entry("b", 0o100_644, 5) },
        entry("p", 0o010_644, 0),
        FileEntry { device: Some(Device { major: 1, minor: 3 }), ..entry("n", 0o020_644, 0) },
        FileEntry { target: Some(b"a".to_vec()), ..entry("l", 0o120_777, 1) },
        FileEntry { hard_link: inode, ..entry("a", 0o100_644, 5) },
        entry("d", 0o040_755, 4096),
        FileEntry {
            mtime: 1_577_934_245,
            mtime_nsec: 123_456_789,
            uid: 1,
            gid: 60,
            ..entry("d/f", 0o100_644, 1)
        },
    ]
}

/// What a receiver makes of [`tree`], whose first list starts at `first`.
fn received(first: u32, nanoseconds: bool) -> Vec<FileEntry> {
    let mut tree = tree();
    for entry in &mut tree {
        entry.hard_link = entry.hard_link.map(|_| HardLink::Group(first + 1));
        if !nanoseconds {
            entry.mtime_nsec = 0;
        }
    }
    tree
}

/// Encodes the tree as one list, or as two with `d`'s contents announced.
fn encode(options: &ListOptions, names: &mut dyn NameLookup) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = ListEncoder::new(options.clone());
    let incremental = options.is_incremental();
    encoder.begin(u32::from(incremental));
    for mut entry in tree() {
        if incremental && entry.name == b"d/f" {
            encoder.end(&mut out, IoErrors::NONE, names);
            let mut indexes = IndexEncoder::new(options.protocol);
            indexes.encode(&mut out, Index::List(1));
            encoder.begin(9);
            encoder.encode(&mut out, &mut entry, names).unwrap();
            encoder.end(&mut out, IoErrors::NONE, names);
            indexes.encode(&mut out, Index::ListEnd);
            return out;
        }
        encoder.encode(&mut out, &mut entry, names).unwrap();
    }
    encoder.end(&mut out, IoErrors::NONE, names);
    out
}

fn entries(list: &FileList) -> Vec<FileEntry> {
    list.iter().map(syncline_wire::list::EntryRef::to_entry).collect()
}

/// Decodes what [`encode`] makes, checking every entry, and returns the decoder for its names.
fn decode(options: &ListOptions, wire: &[u8]) -> ListDecoder {
    let mut input = wire;
    let mut decoder = ListDecoder::new(options.clone());
    let mut lists = FileLists::new(options);
    let nanoseconds = options.protocol.has_nanoseconds();
    let mut list = decoder.read_list(&mut input, lists.next_first(), None).unwrap();
    let mut expected = received(list.first(), nanoseconds);
    if options.is_incremental() {
        let inner = expected.pop().unwrap();
        assert_eq!(entries(&list), expected);
        list.sort(options.protocol);
        let names: Vec<_> = list.iter().map(syncline_wire::list::EntryRef::path).collect();
        assert_eq!(names, [b".", b"a", b"b", b"l", b"n", b"p", b"d"]);
        lists.add(list, None).unwrap();
        let mut indexes = IndexDecoder::new(options.protocol);
        assert_eq!(indexes.decode(&mut input).unwrap(), Index::List(1));
        let path = lists.announce(1).unwrap();
        let list = decoder.read_list(&mut input, lists.next_first(), Some(&path)).unwrap();
        assert_eq!((list.first(), entries(&list)), (9, vec![inner]));
        lists.add(list, Some(1)).unwrap();
        assert_eq!(indexes.decode(&mut input).unwrap(), Index::ListEnd);
        assert_eq!(lists.entry(8).unwrap().path(), b"d");
    } else {
        if options.protocol.number() == 27 {
            // Every regular file has an inode there.
            expected.last_mut().unwrap().hard_link = Some(HardLink::Group(7));
        }
        assert_eq!(entries(&list), expected);
        list.sort(options.protocol);
        list.check_parents(options.protocol).unwrap();
    }
    assert!(input.is_empty());
    decoder
}

const LIST_32: &str = r#"
    8c 01  01 2e  00 00 10  3b 00 ca 9a  ed 41 00 00  00 04 "root"  00 04 "root"
    92 98  01 62  00 05 00  a4 81 00 00
    80 98  01 70  00 00 00  a4 11 00 00
    80 98  01 6e  00 00 00  a4 21 00 00  01 03
    80 98  01 6c  00 01 00  ff a1 00 00  01 61
    82 98  01 61  02
    80 98  01 64  00 00 10  ed 41 00 00
    00 00
    ff 65
    ac 20  01 02 2f 66  00 01 00  5e a5 5d 0d  e7 15 cd 5b  a4 81 00 00  01 06 "daemon"  3c 05 "games"
    00 00
    ff fe 80 02 00 00"#;

#[test]
fn protocol_32_incremental_is_as_captured() {
    let options = options(32, 0x1ff);
    assert_eq!(encode(&options, &mut Names), hex(LIST_32));
    let decoder = decode(&options, &hex(LIST_32));
    assert_eq!(decoder.names.user(1), Some(&b"daemon"[..]));
    assert_eq!(decoder.names.group(60), Some(&b"games"[..]));
    assert_eq!(decoder.names.user(0), Some(&b"root"[..]));
}

#[test]
fn protocol_30_with_varint_flags_has_a_dummy_device_and_no_nanoseconds() {
    let list = LIST_32
        .replace("80 98  01 70  00 00 00  a4 11 00 00", "81 98  01 70  00 00 00  a4 11 00 00 00")
        .replace("ac 20", "8c 20")
        .replace("e7 15 cd 5b", "");
    let options = options(30, 0x1ff);
    assert_eq!(encode(&options, &mut Names), hex(&list));
    decode(&options, &hex(&list));
}

#[test]
fn protocol_32_in_one_list_ends_with_id_lists() {
    let options = options(32, 0x1fe);
    let wire = encode(&options, &mut Names);
    let tail = hex(r#"00 00  01 06 "daemon" 00 04 "root" 3c 05 "games" 00 04 "root""#);
    assert!(wire.ends_with(&tail));
    let decoder = decode(&options, &wire);
    assert_eq!(decoder.names.group(60), Some(&b"games"[..]));
}

const LIST_31: &str = r#"
    01 01 2e 00 00 10 3b 00 ca 9a ed 41 00 00 00 00 | 9c 12 01 62 00 05 00 a4 81 00 00
    | 98 01 70 00 00 00 a4 11 00 00 | 98 01 6e 00 00 00 a4 21 00 00 01 03
    | 98 01 6c 00 01 00 ff a1 00 00 01 61 | 9c 02 01 61 02
    | 98 01 64 00 00 10 ed 41 00 00 | 00
    ff 65 | 24 2c 01 02 2f 66 00 01 00 5e a5 5d 0d e7 15 cd 5b a4 81 00 00 01 06 "daemon" 3c 05 "games"
    | 00 | ff fe 80 02 00 00"#;

#[test]
fn protocol_31_with_byte_flags_is_as_captured() {
    let options = options(31, 0x3f);
    assert_eq!(encode(&options, &mut NamesWithoutRoot), hex(LIST_31));
    decode(&options, &hex(LIST_31));
}

#[test]
fn protocol_30_of_the_first_release_is_as_captured() {
    let list = LIST_31
        .replace("98 01 70 00 00 00 a4 11 00 00", "9c 01 01 70 00 00 00 a4 11 00 00 00")
        .replace("24 2c", "24 0c")
        .replace("e7 15 cd 5b", "");
    let options = options(30, 0x03);
    assert_eq!(encode(&options, &mut NamesWithoutRoot), hex(&list));
    decode(&options, &hex(&list));
}

const LIST_29: &str = r#"
    01 01 2e  00 10 00 00  00 ca 9a 3b  ed 41 00 00  00 00 00 00  00 00 00 00
    9c 02  01 62 05 00 00 00 a4 81 00 00  01 fe 00 00  7e 4b 9d 00
    9c 09  01 70 00 00 00 00 a4 11 00 00 00
    9c 08  01 6e 00 00 00 00 a4 21 00 00  01 00 00 00 03
    98  01 6c 01 00 00 00 ff a1 00 00  01 00 00 00 61
    9c 06  01 61 05 00 00 00 a4 81 00 00  7e 4b 9d 00
    98  01 64 00 10 00 00 ed 41 00 00
    20  01 02 2f 66 01 00 00 00 a5 5d 0d 5e a4 81 00 00 01 00 00 00 3c 00 00 00
    00
    01 00 00 00 06 "daemon" 00 00 00 00
    3c 00 00 00 05 "games" 00 00 00 00
    00 00 00 00"#;

#[test]
fn protocols_28_and_29_are_as_captured() {
    for version in [28, 29] {
        let options = options(version, 0);
        assert_eq!(encode(&options, &mut Names), hex(LIST_29), "{version}");
        decode(&options, &hex(LIST_29));
    }
}

#[test]
fn protocol_27_of_stock_2_6_0_is_read() {
    let wire = hex(r#"
        1d 01 2e 00 10 00 00 00 ca 9a 3b ed 41 00 00
        9c 01 62 05 00 00 00 a4 81 00 00  00 fe 00 00 7e 4b 9d 00
        9c 01 70 00 00 00 00 a4 11 00 00
        98 01 6e 00 00 00 00 a4 21 00 00  03 01 00 00
        98 01 6c 01 00 00 00 ff a1 00 00  01 00 00 00 61
        9c 01 61 05 00 00 00 a4 81 00 00  00 fe 00 00 7e 4b 9d 00
        9c 01 64 00 10 00 00 ed 41 00 00
        24 01 02 2f 66 01 00 00 00 a5 5d 0d 5e a4 81 00 00 01 00 00 00 3c 00 00 00  00 fe 00 00 82 4b 9d 00
        00
        01 00 00 00 06 "daemon" 00 00 00 00 3c 00 00 00 05 "games" 00 00 00 00
        00 00 00 00"#);
    decode(&options(27, 0), &wire);
    let wire = encode(&options(27, 0), &mut Names);
    decode(&options(27, 0), &wire);
}

/// One entry decoded alone, then written again.
fn single(options: &ListOptions, bytes: &str) -> FileEntry {
    let wire = [hex(bytes), encode_end(options)].concat();
    let list = ListDecoder::new(options.clone()).read_list(&mut &wire[..], 0, None).unwrap();
    let mut entry = list.get(0).unwrap().to_entry();
    let read = entry.clone();
    let mut out = Vec::new();
    let mut encoder = ListEncoder::new(options.clone());
    encoder.encode(&mut out, &mut entry, &mut Names).unwrap();
    assert_eq!(out, hex(bytes));
    read
}

fn encode_end(options: &ListOptions) -> Vec<u8> {
    let mut out = Vec::new();
    ListEncoder::new(options.clone()).end(&mut out, IoErrors::NONE, &mut Names);
    out
}

#[test]
fn small_pieces_are_as_captured() {
    let flags = CompatFlags(0x1fe);
    let plain = ListOptions { flags, ..ListOptions::new(Protocol::NEWEST) };
    let negative = single(&plain, "18 03 6e 65 67 00 00 00 f8 ff ff ff ff ff ff ff ff ff 8f 00 00");
    assert_eq!((negative.mtime, negative.mode), (-1, 0o107_777));
    let owners = ListOptions { owner: true, group: true, numeric_ids: true, ..plain.clone() };
    let far = single(
        &owners,
        "04 03 66 61 72 00 00 00 82 00 00 00 00 a4 81 00 00 f0 fe ff ff ff c1 70 11",
    );
    assert_eq!((far.mtime, far.uid, far.gid), (1 << 33, 4_294_967_294, 70000));
    let missing = ListOptions { missing_args: true, ..plain.clone() };
    let none = single(&missing, "80 9a 04 6e 6f 70 65 00 00 00");
    assert_eq!((none.name, none.mode), (b"nope".to_vec(), 0));
    let relative = ListOptions { relative: true, ..plain };
    let implied = single(&relative, "81 19 01 61 00 00 10 3b 00 ca 9a ed 41 00 00");
    assert_eq!(implied.role, DirectoryRole::Implied);
}

#[test]
fn empty_lists_are_as_captured() {
    assert_eq!(encode_end(&options(32, 0x1ff)), hex("00 00"));
    assert_eq!(encode_end(&options(29, 0)), hex("00 00 00 00 00 00 00 00 00 00 00 00 00"));
    assert_eq!(encode_end(&options(32, 0x1fe)), hex(r#"00 00 | 00 04 "root" | 00 04 "root""#));
}

#[test]
fn errors_of_the_sender_are_told_in_the_form_of_the_connection() {
    let end = |version, flags| {
        let mut out = Vec::new();
        let options = ListOptions {
            flags: CompatFlags(flags),
            ..ListOptions::new(Protocol::new(version).unwrap())
        };
        ListEncoder::new(options.clone()).end(&mut out, IoErrors::GENERAL, &mut Names);
        let list = ListDecoder::new(options).read_list(&mut &out[..], 0, None).unwrap();
        (out, list.io_errors())
    };
    assert_eq!(end(32, 0xff), (hex("00 01"), IoErrors::GENERAL));
    assert_eq!(end(31, 0), (hex("04 10 01"), IoErrors::GENERAL));
    assert_eq!(end(30, 0x08), (hex("04 10 01"), IoErrors::GENERAL));
    assert_eq!(end(30, 0), (hex("00"), IoErrors::NONE));
    assert_eq!(end(29, 0), (hex("00 01 00 00 00"), IoErrors::GENERAL));
    let unsafe_list = ListOptions::new(Protocol::new(30).unwrap());
    let error = ListDecoder::new(unsafe_list).read_list(&mut &hex("04 10 01")[..], 0, None);
    assert_eq!(error.unwrap_err().to_string(), "Invalid flist flag: 1004");
}
