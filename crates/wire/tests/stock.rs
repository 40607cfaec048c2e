//! Whole sessions against the stock program over pipes, at every protocol, as receiver of its lists
//! and as sender.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // Helpers may do what tests may.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use md5::Digest;
use syncline_wire::list::{
    Acl, AclName, Device, DirectoryRole, FileEntry, FileKind, FileList, FileLists, HardLink,
    ListDecoder, ListEncoder, ListOptions, NameLookup, Place, read_xattr_request,
};
use syncline_wire::{
    Algorithm, Checksum, CompatFlags, Compression, Demultiplexer, Index, IndexDecoder,
    IndexEncoder, IoErrors, Item, Message, MessageSink, Multiplexer, Protocol, Result, Statistics,
    SumHead, TokenEncoder, WireRead, WireWrite, negotiate_version, put_filter_end,
};

fn stock_is_missing(test: &str) -> bool {
    let missing = Command::new("rsync").arg("--version").output().is_err();
    if missing {
        eprintln!("SKIPPED {test}: no rsync");
    }
    missing
}

/// Keeps messages for the assertion that there were none.
struct Messages(std::sync::mpsc::Sender<Message>);

impl MessageSink for Messages {
    fn message(&mut self, message: Message) -> Result<()> {
        if !matches!(message, Message::KeepAlive { .. }) {
            self.0.send(message).unwrap();
        }
        Ok(())
    }
}

/// A stock server at the other end of two pipes, after the set-up.
struct Server {
    child: Child,
    input: Demultiplexer<BufReader<ChildStdout>, Messages>,
    output: Multiplexer<ChildStdin>,
    messages: Receiver<Message>,
    protocol: Protocol,
    flags: CompatFlags,
    seed: i32,
}

impl Server {
    fn start(directory: &Path, arguments: &[&str], version: u8) -> Self {
        let mut child = Command::new("rsync")
            .arg("--server")
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdin.take().unwrap();
        let mut input = BufReader::new(child.stdout.take().unwrap());
        out.write_all(&i32::from(version).to_le_bytes()).unwrap();
        let own = Protocol::new(version).unwrap();
        let protocol = negotiate_version(own, input.read_i32().unwrap()).unwrap();
        assert_eq!(protocol, own);
        let mut flags = CompatFlags::default();
        if protocol.has_compat_flags() {
            flags = CompatFlags::decode(&mut input).unwrap();
        }
        if flags.contains(CompatFlags::VARINT_FLAGS) {
            let mut offer = Vec::new();
            Checksum::put_offer(&mut offer, &[Checksum::Md5]);
            out.write_all(&offer).unwrap();
            assert!(Checksum::read_offer(&mut input).unwrap().contains(&Checksum::Md5));
        }
        let seed = input.read_i32().unwrap();
        let (sender, messages) = channel();
        let mut input = Demultiplexer::new(input, Messages(sender));
        input.start();
        let mut output = Multiplexer::new(out, protocol);
        if protocol.multiplexes_client() {
            output.start().unwrap();
        }
        Self { child, input, output, messages, protocol, flags, seed }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).unwrap();
        self.output.flush().unwrap();
    }

    fn finish(mut self) {
        drop(self.output);
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert_eq!(rest, b"");
        assert_eq!(self.messages.try_iter().collect::<Vec<_>>(), []);
    }
}

/// What all runs preserve.
fn options(protocol: Protocol, flags: CompatFlags) -> ListOptions {
    ListOptions {
        flags,
        links: true,
        hard_links: true,
        owner: true,
        group: true,
        devices: true,
        specials: true,
        recursive: true,
        ..ListOptions::new(protocol)
    }
}

/// Short options for [`options`], and the letters of what we can do.
fn bundle(extra: &str, version: u8, incremental: bool) -> String {
    let letters = if incremental { "i" } else { "" };
    let capabilities = if version >= 30 { format!("e.{letters}LsfxCIvu") } else { String::new() };
    format!("-lHogDtp{extra}r{capabilities}")
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A tree with one of each.
fn make_tree(root: &Path) {
    for directory in ["d/deep/er", "d-x", "empty"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for number in 0..30 {
        let name = format!("d/deep/file {number} with a longer name");
        fs::write(root.join(name), "x".repeat(number * 50)).unwrap();
    }
    fs::write(root.join("a"), "hello").unwrap();
    fs::hard_link(root.join("a"), root.join("d/a again")).unwrap();
    fs::hard_link(root.join("a"), root.join("b")).unwrap();
    fs::write(root.join("d-x/\u{e9}\n"), vec![7; 100_000]).unwrap();
    fs::set_permissions(root.join("d-x/\u{e9}\n"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("nowhere/else", root.join("d/link")).unwrap();
    let long = "n".repeat(250);
    fs::create_dir_all(root.join(&long).join(&long)).unwrap();
    fs::write(root.join(&long).join(&long).join("f"), "deep").unwrap();
    run("mkfifo", &["pipe"], root);
    run("mknod", &["null", "c", "1", "3"], root);
    run("mknod", &["loop300", "b", "7", "300"], root);
    set_times(root);
}

/// Gives everything one old time: stock leaves a time alone that differs by less than a second.
fn set_times(root: &Path) {
    let time = "2001-02-03 04:05:06.123456789";
    assert!(run("find", &[".", "-exec", "touch", "-h", "-d", time, "{}", "+"], root));
}

/// Every path below the root, as an entry with what the file system says.
fn scan(root: &Path) -> BTreeMap<Vec<u8>, FileEntry> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![String::from(".")];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        if meta.is_dir() {
            for child in fs::read_dir(&full).unwrap() {
                let name = child.unwrap().file_name().into_string().unwrap();
                waiting.push(if path == "." { name } else { format!("{path}/{name}") });
            }
        }
        let kind = meta.file_type();
        let device = kind.is_block_device() || kind.is_char_device();
        let minor = meta.rdev() & 0xff | meta.rdev() >> 12 & 0xf_ff00;
        let inode = HardLink::Inode { device: meta.dev(), inode: meta.ino() };
        let entry = FileEntry {
            mode: meta.mode(),
            size: if device || kind.is_fifo() { 0 } else { meta.size() },
            mtime: meta.mtime(),
            mtime_nsec: meta.mtime_nsec() as u32,
            uid: meta.uid(),
            gid: meta.gid(),
            device: device.then_some(Device {
                major: (meta.rdev() >> 8 & 0xfff) as u32,
                minor: minor as u32,
            }),
            target: fs::read_link(&full)
                .ok()
                .map(|target| target.into_os_string().into_encoded_bytes()),
            hard_link: (meta.nlink() > 1 && !meta.is_dir()).then_some(inode),
            name: path.clone().into_bytes(),
            ..FileEntry::default()
        };
        found.insert(path.into_bytes(), entry);
    }
    found
}

/// Without what depends on the order of the list or on the protocol.
fn plain(entry: &FileEntry, protocol: Protocol) -> FileEntry {
    FileEntry {
        hard_link: None,
        role: DirectoryRole::default(),
        checksum: None,
        access_acl: None,
        default_acl: None,
        xattrs: None,
        mtime_nsec: if protocol.has_nanoseconds() { entry.mtime_nsec } else { 0 },
        ..entry.clone()
    }
}

/// Reads every list of a stock sender, then says goodbye without asking for a file.
fn pull(mut server: Server, options: &ListOptions) -> (Vec<Arc<FileList>>, ListDecoder) {
    let protocol = server.protocol;
    let mut out = Vec::new();
    put_filter_end(&mut out);
    server.send(&out);
    let mut decoder = ListDecoder::new(options.clone());
    let mut lists = FileLists::new(options);
    let mut indexes = IndexDecoder::new(protocol);
    let mut sent = IndexEncoder::new(protocol);
    let mut from: Option<u32> = None;
    loop {
        let path = from.map(|directory| lists.announce(directory).unwrap());
        let first = lists.next_first();
        let mut list = decoder.read_list(&mut server.input, first, path.as_deref()).unwrap();
        assert!(list.io_errors().is_empty());
        list.sort(protocol);
        list.drop_duplicates(protocol);
        if !options.is_incremental() {
            list.check_parents(protocol).unwrap();
        }
        lists.add(list, from).unwrap();
        if !options.is_incremental() {
            break;
        }
        match indexes.decode(&mut server.input).unwrap() {
            Index::List(directory) => from = Some(directory),
            Index::ListEnd => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lists.next_waiting(), None);
    let mut done = || {
        let mut out = Vec::new();
        sent.encode(&mut out, Index::Done);
        out
    };
    let rounds = usize::from(protocol.sender_rounds());
    let extra = lists.arrived() - 1;
    for round in 1..=extra + rounds {
        server.send(&done());
        assert_eq!(indexes.decode(&mut server.input).unwrap(), Index::Done);
        if round == extra + rounds.min(3) {
            let statistics = Statistics::decode(&mut server.input, protocol).unwrap();
            assert!(statistics.written > 0);
        }
    }
    server.send(&done());
    server.finish();
    let lists = std::iter::from_fn(|| lists.release_oldest()).collect();
    (lists, decoder)
}

#[test]
fn lists_of_stock_are_read_at_every_protocol() {
    if stock_is_missing("lists_of_stock_are_read_at_every_protocol") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    make_tree(root.path());
    let wanted = scan(root.path());
    for (version, incremental) in [
        (27, false),
        (28, false),
        (29, false),
        (30, false),
        (30, true),
        (31, true),
        (32, false),
        (32, true),
    ] {
        let bundle = bundle("c", version, incremental);
        let server = Server::start(root.path(), &["--sender", &bundle, ".", "."], version);
        assert_eq!(server.flags.contains(CompatFlags::INCREMENTAL), incremental);
        let protocol = server.protocol;
        let options = ListOptions { checksum_length: Some(16), ..options(protocol, server.flags) };
        let (lists, decoder) = pull(server, &options);
        let entries: Vec<FileEntry> = lists
            .iter()
            .flat_map(|list| list.iter())
            .map(syncline_wire::list::EntryRef::to_entry)
            .collect();
        assert_eq!(entries.len(), wanted.len(), "{version}");
        let mut groups = BTreeMap::new();
        for entry in &entries {
            let wanted = &wanted[&entry.name];
            assert_eq!(plain(entry, protocol), plain(wanted, protocol), "{version}");
            if wanted.hard_link.is_some() {
                *groups.entry(entry.hard_link.unwrap().group()).or_insert(0) += 1;
            }
            if entry.kind() == FileKind::Regular {
                let full = root.path().join(std::str::from_utf8(&entry.name).unwrap());
                let content = fs::read(full).unwrap();
                let sum: [u8; 16] = match version {
                    30.. => md5::Md5::digest(&content).into(),
                    _ => md4::Md4::digest(&content).into(),
                };
                assert_eq!(entry.checksum.as_deref(), Some(&sum[..]));
            }
        }
        assert_eq!(groups.values().copied().collect::<Vec<_>>(), [3], "{version}");
        let owner = wanted[&b"a"[..]].uid;
        if owner != 0 {
            assert!(decoder.names.user(owner).is_some());
        }
    }
}

/// Members of a group, whatever tells it.
trait Grouped {
    fn group(self) -> u32;
}

impl Grouped for HardLink {
    fn group(self) -> u32 {
        match self {
            HardLink::Group(group) => group,
            HardLink::Inode { .. } => panic!("a list tells groups"),
        }
    }
}

#[test]
fn acls_and_attributes_of_stock_are_read() {
    if stock_is_missing("acls_and_attributes_of_stock_are_read") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let long = "v".repeat(100);
    fs::create_dir(root.path().join("d")).unwrap();
    for name in ["acl", "short", "long", "plain"] {
        fs::write(root.path().join(name), name).unwrap();
    }
    let made = run("setfattr", &["-n", "user.short", "-v", "abc", "short"], root.path())
        && run("setfattr", &["-n", "user.long", "-v", &long, "long"], root.path())
        && run("chmod", &["0674", "acl"], root.path())
        && run("setfacl", &["-m", "u:1:rwx,g:60:r--,m::rwx,g::r--", "acl"], root.path())
        && run("setfacl", &["-d", "-m", "u:1:rx", "d"], root.path());
    if !made {
        eprintln!("SKIPPED acls_and_attributes_of_stock_are_read: no setfattr, setfacl or support");
        return;
    }
    for (version, incremental) in [(30, false), (31, true), (32, true), (32, false)] {
        let bundle = bundle("AX", version, incremental);
        let server = Server::start(root.path(), &["--sender", &bundle, ".", "."], version);
        let options =
            ListOptions { acls: true, xattrs: true, ..options(server.protocol, server.flags) };
        let (lists, decoder) = pull(server, &options);
        let find = |name: &str, directory: bool| {
            let position = lists[0].find(name.as_bytes(), directory, options.protocol).unwrap();
            lists[0].get(position).unwrap()
        };
        let set = |name: &str| decoder.attributes.xattrs.get(find(name, false).xattrs().unwrap());
        let short = set("short").unwrap().get(1).unwrap();
        assert!(short.name == b"user.short" && short.is_value(b"abc"));
        assert!(set("long").unwrap().get(1).unwrap().is_value(long.as_bytes()));
        assert_eq!(set("plain").unwrap().as_slice(), []);
        let acl = find("acl", false);
        let access = decoder.attributes.access.get(acl.access_acl().unwrap()).unwrap();
        let names = vec![
            AclName { id: 1, is_user: true, permissions: 7 },
            AclName { id: 60, is_user: false, permissions: 4 },
        ];
        let full = Acl { user: Some(6), group: Some(4), mask: Some(7), other: Some(4), names };
        assert_eq!(access.clone().expand_access(acl.mode()), full);
        assert_eq!(*access, full.condense_access(acl.mode()));
        let default = find("d", true).default_acl().unwrap();
        let default = decoder.attributes.default.get(default).unwrap().clone();
        assert_eq!(default.expand_default().unwrap().names.len(), 1);
    }
}

struct Names;

impl NameLookup for Names {
    fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        (uid == 0).then(|| b"root".to_vec())
    }

    fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        (gid == 0).then(|| b"root".to_vec())
    }
}

/// Sends the tree's lists, all of them at once; returns them for looking up requests.
fn send_lists(
    server: &mut Server,
    options: &ListOptions,
    tree: &BTreeMap<Vec<u8>, FileEntry>,
    indexes: &mut IndexEncoder,
) -> (FileLists, ListEncoder) {
    let mut encoder = ListEncoder::new(options.clone());
    let mut lists = FileLists::new(options);
    let parent = |path: &[u8]| match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path[..slash].to_vec(),
        None => b".".to_vec(),
    };
    let mut from: Option<(u32, Vec<u8>)> = None;
    loop {
        let mut out = Vec::new();
        if let Some((number, _)) = &from {
            indexes.encode(&mut out, Index::List(*number));
        }
        let first = lists.next_first();
        encoder.begin(first);
        let mut list = FileList::new(first, options);
        let inside = |path: &[u8]| match &from {
            _ if !options.is_incremental() => true,
            None => parent(path) == b".",
            Some((_, directory)) => parent(path) == *directory,
        };
        for (path, entry) in tree.iter().filter(|(path, _)| inside(path)) {
            let mut entry = entry.clone();
            if path == b"." {
                entry.role = DirectoryRole::Top;
            }
            encoder.encode(&mut out, &mut entry, &mut Names).unwrap();
            list.push(&entry).unwrap();
        }
        encoder.end(&mut out, IoErrors::NONE, &mut Names);
        server.send(&out);
        list.sort(options.protocol);
        lists.add(list, from.take().map(|(number, _)| number)).unwrap();
        if !options.is_incremental() {
            break;
        }
        if let Some(number) = lists.next_waiting() {
            from = Some((number, lists.announce(number).unwrap()));
        } else {
            let mut out = Vec::new();
            indexes.encode(&mut out, Index::ListEnd);
            server.send(&out);
            break;
        }
    }
    (lists, encoder)
}

/// Answers one request for content.
fn serve(
    server: &mut Server,
    encoder: &mut TokenEncoder,
    new: &[u8],
    basis: &[u8],
    out: &mut Vec<u8>,
) {
    let head = SumHead::decode(&mut server.input, server.protocol, 16).unwrap();
    for _ in 0..head.count {
        head.decode_block(&mut server.input, &mut Vec::new()).unwrap();
    }
    head.echo(16).encode(out);
    // The test knows the basis, so equal bytes at equal places take the place of a search.
    let mut at = 0;
    while at < new.len() {
        let block = (at as u64 / u64::from(head.block_length.max(1))) as u32;
        let length = head.length_of(block) as usize;
        let known = basis.get(at..at + length).filter(|_| length > 0);
        if let Some(known) = known.filter(|known| new[at..].starts_with(known)) {
            encoder.block(out, block, known).unwrap();
            at += length;
        } else {
            let end = new.len().min(at + head.block_length.max(1000) as usize);
            encoder.data(out, &new[at..end]).unwrap();
            at = end;
        }
    }
    encoder.end(out).unwrap();
    if server.protocol.has_varints() {
        out.put(&md5::Md5::digest(new));
    } else {
        let seeded = [&server.seed.to_le_bytes()[..], new].concat();
        out.put(&md4::Md4::digest(seeded));
    }
}

/// Sends the tree below `source` into a stock receiver at `target`.
fn push(source: &Path, target: &Path, version: u8, incremental: bool, method: Compression) {
    let tree = scan(source);
    let bundle = bundle("I", version, incremental);
    let choice = format!("--compress-choice={}", method.name());
    let server = &[&bundle[..], "-z", &choice, ".", "."];
    let server = if method == Compression::None { &[&bundle[..], ".", "."] } else { &server[..] };
    let mut server = Server::start(target, server, version);
    assert_eq!(server.flags.contains(CompatFlags::INCREMENTAL), incremental);
    let protocol = server.protocol;
    let options = options(protocol, server.flags);
    let mut sent = IndexEncoder::new(protocol);
    let mut indexes = IndexDecoder::new(protocol);
    let (mut lists, _) = send_lists(&mut server, &options, &tree, &mut sent);
    let mut tokens = TokenEncoder::new(method, None, protocol).unwrap();
    let mut rounds = 0;
    loop {
        let mut out = Vec::new();
        match indexes.decode(&mut server.input).unwrap() {
            Index::File(number) => {
                let item = Item::decode(&mut server.input, protocol).unwrap();
                let path = lists.entry(number).unwrap().path();
                sent.encode(&mut out, Index::File(number));
                item.encode(&mut out, protocol);
                if item.is_transfer() {
                    assert!(matches!(lists.locate(number).unwrap(), Place::Entry { .. }));
                    let path = std::str::from_utf8(&path).unwrap();
                    let new = fs::read(source.join(path)).unwrap();
                    let basis = fs::read(target.join(path)).unwrap_or_default();
                    serve(&mut server, &mut tokens, &new, &basis, &mut out);
                }
            }
            Index::Done => {
                // Each list but the last costs a round of its own.
                if lists.arrived() - lists.oldest() > 1 {
                    lists.release_oldest();
                } else {
                    rounds += 1;
                }
                if rounds == protocol.generator_rounds() {
                    break;
                }
                sent.encode(&mut out, Index::Done);
            }
            other => panic!("{other:?}"),
        }
        server.send(&out);
    }
    server.finish();
    let came = scan(target);
    assert_eq!(came.keys().collect::<Vec<_>>(), tree.keys().collect::<Vec<_>>());
    for (path, entry) in &tree {
        assert_eq!(plain(&came[path], protocol), plain(entry, protocol), "{version}");
        if entry.kind() == FileKind::Regular {
            let path = std::str::from_utf8(path).unwrap();
            assert!(fs::read(source.join(path)).unwrap() == fs::read(target.join(path)).unwrap());
        }
    }
    let links = |path: &str| fs::metadata(target.join(path)).unwrap().nlink();
    assert_eq!((links("a"), links("b"), links("d/a again")), (3, 3, 3));
}

/// Old contents for some of the files, so that there are blocks to refer to.
fn age_tree(root: &Path) {
    fs::create_dir_all(root.join("d-x")).unwrap();
    let mut old = vec![7; 60_000];
    old[2000] = 8;
    old[50_000] = 9;
    fs::write(root.join("d-x/\u{e9}\n"), old).unwrap();
}

#[test]
fn stock_receives_our_lists_and_tokens_at_every_protocol() {
    if stock_is_missing("stock_receives_our_lists_and_tokens_at_every_protocol") {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    make_tree(source.path());
    for (version, incremental) in [
        (27, false),
        (28, false),
        (29, false),
        (30, false),
        (30, true),
        (31, true),
        (32, false),
        (32, true),
    ] {
        let target = tempfile::tempdir().unwrap();
        age_tree(target.path());
        push(source.path(), target.path(), version, incremental, Compression::None);
    }
}

#[test]
fn stock_understands_every_compression() {
    if stock_is_missing("stock_understands_every_compression") {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    make_tree(source.path());
    // Text that repeats itself across blocks, so that history matters.
    let lines: Vec<String> =
        (0..20_000).map(|n| format!("line {} of {}\n", n % 977, n % 31)).collect();
    let text = lines.concat();
    fs::write(source.path().join("text"), &text).unwrap();
    set_times(source.path());
    for (version, method) in [
        (27, Compression::Zlib),
        (29, Compression::Zlib),
        (30, Compression::Zlib),
        (32, Compression::Zlib),
        (32, Compression::Zlibx),
        (32, Compression::Zstd),
        (32, Compression::Lz4),
    ] {
        let target = tempfile::tempdir().unwrap();
        age_tree(target.path());
        let old = text.replacen("line 97 of", "row 97 with a different middle of", 40);
        fs::write(target.path().join("text"), old).unwrap();
        push(source.path(), target.path(), version, false, method);
    }
}

#[test]
fn stock_asks_for_our_long_attribute_values() {
    if stock_is_missing("stock_asks_for_our_long_attribute_values") {
        return;
    }
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("probe"), "").unwrap();
    if !run("setfattr", &["-n", "user.a", "-v", "b", "probe"], target.path()) {
        eprintln!("SKIPPED stock_asks_for_our_long_attribute_values: no setfattr or support");
        return;
    }
    fs::remove_file(target.path().join("probe")).unwrap();
    let value = vec![b'v'; 77];
    let mut server = Server::start(target.path(), &["-tXe.LsfxCIvu", ".", "."], 32);
    let protocol = server.protocol;
    let options = ListOptions { xattrs: true, flags: server.flags, ..ListOptions::new(protocol) };
    let mut encoder = ListEncoder::new(options);
    let xattr = syncline_wire::list::Xattr::new(b"user.long".to_vec(), value.clone());
    let set = syncline_wire::list::XattrSet::new(vec![xattr]);
    let mut entry = FileEntry {
        name: b"f".to_vec(),
        mode: 0o100_644,
        size: 2,
        mtime: 1_600_000_000,
        xattrs: Some(encoder.attributes.xattrs.intern(set.clone())),
        ..FileEntry::default()
    };
    let mut out = Vec::new();
    encoder.begin(0);
    encoder.encode(&mut out, &mut entry, &mut Names).unwrap();
    encoder.end(&mut out, IoErrors::NONE, &mut Names);
    server.send(&out);
    let mut indexes = IndexDecoder::new(protocol);
    let mut sent = IndexEncoder::new(protocol);
    let mut tokens = TokenEncoder::new(Compression::None, None, protocol).unwrap();
    let mut rounds = 0;
    while rounds < protocol.generator_rounds() {
        let index = indexes.decode(&mut server.input).unwrap();
        let mut out = Vec::new();
        match index {
            Index::File(0) => {
                let item = Item::decode(&mut server.input, protocol).unwrap();
                assert!(item.exchanges_xattrs(false));
                assert_eq!(read_xattr_request(&mut server.input, &set).unwrap(), [1]);
                sent.encode(&mut out, index);
                item.encode(&mut out, protocol);
                syncline_wire::list::put_xattr_value(&mut out, 0, 1, &value);
                syncline_wire::list::put_xattr_values_end(&mut out);
                serve(&mut server, &mut tokens, b"hi", b"", &mut out);
            }
            Index::Done => {
                rounds += 1;
                if rounds < protocol.generator_rounds() {
                    sent.encode(&mut out, Index::Done);
                }
            }
            other => panic!("{other:?}"),
        }
        server.send(&out);
    }
    server.finish();
    let got = Command::new("getfattr")
        .args(["--only-values", "-n", "user.long", "f"])
        .current_dir(target.path())
        .output()
        .unwrap();
    assert_eq!(got.stdout, value);
}
