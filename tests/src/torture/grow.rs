//! Random trees, and random damage to a copy of one.

use super::random::Random;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const NAMES: [&[u8]; 46] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"A",
    b"B",
    b"ab",
    b"a.b",
    b"a-b",
    b"a.o",
    b"b.c",
    b"file",
    b"file2",
    b"file.txt",
    b"data.bin",
    b"index.html",
    b"core",
    b"sub",
    b"sub.d",
    b"sub-x",
    b".hidden",
    b"~",
    b"foo~",
    b"with space",
    b"\xc3\xbcn\xc3\xaf",
    b"-dash",
    b"x*y",
    b"q?z",
    b"[br]",
    b"new\nline",
    b"tab\tx",
    b"\xff\xfebad",
    b"quote'q",
    b"dq\"x",
    b"$dollar",
    b"semi;colon",
    b"#hash",
    b"!bang",
    b"+ plus",
    b"- minus",
    b"back\\slash",
    b"\x1besc",
    b"...",
    b"..x",
    b"cr\r",
];
const SIZES: [usize; 18] = [
    0, 0, 1, 5, 31, 100, 699, 700, 701, 1400, 4096, 10_000, 32_768, 65_536, 131_072, 262_145,
    300_000, 1_048_576,
];
const TARGETS: [&str; 8] =
    ["a", "file.txt", "../a.o", "/etc/hostname", "nowhere", "sub", "../../../../outside", "b/../c"];
const TIMES: [i64; 6] =
    [1_000_000_000, 1_500_000_000, 1_700_000_000, 1_700_000_001, 86_400, 2_000_000_000];
const NANOSECONDS: [i64; 5] = [0, 0, 1, 500_000_000, 999_999_999];

/// What kinds of objects a tree may hold beyond files, directories, links and fifos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What every user has.
    Plain,
    /// Extended attributes too and, as root, owners and device nodes.
    Meta,
}

/// Grows a random tree in an existing empty directory.
#[derive(Debug)]
pub struct Grower<'a> {
    random: &'a mut Random,
    profile: Profile,
    objects_left: usize,
}

impl<'a> Grower<'a> {
    /// Draws how large the tree becomes: most are small, a few hold hundreds of objects.
    pub fn new(random: &'a mut Random, profile: Profile) -> Self {
        let objects_left = *random.pick(&[3, 8, 8, 20, 20, 45, 45, 300]);
        Self { random, profile, objects_left }
    }

    /// Fills `folder`.
    pub fn grow(&mut self, folder: &Path) -> io::Result<()> {
        self.level(folder, 0)?;
        if self.random.chance(5) {
            self.chain(folder)?;
        }
        self.stamp(folder)
    }

    fn level(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let width = if self.objects_left > 100 { 60 } else { 8 };
        let mut names = HashSet::new();
        let mut files: Vec<PathBuf> = Vec::new();
        for _ in 0..=self.random.below(width) {
            if self.objects_left == 0 {
                break;
            }
            self.objects_left -= 1;
            let name = self.name();
            if !names.insert(name.clone()) {
                continue;
            }
            let path = folder.join(name);
            match self.random.below(100) {
                0..55 => {
                    self.file(&path)?;
                    files.push(path.clone());
                }
                55..74 if depth < 5 => {
                    fs::create_dir(&path)?;
                    self.level(&path, depth + 1)?;
                    self.stamp(&path)?;
                }
                74..84 => {
                    symlink(self.random.pick(&TARGETS), &path)?;
                    set_time(&path, self.time())?;
                }
                84..90 if !files.is_empty() => fs::hard_link(self.random.pick(&files), &path)?,
                90..93 => {
                    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
                    self.stamp(&path)?;
                }
                93..95 if self.profile == Profile::Meta && super::super::sandbox::is_root() => {
                    let device = rustix::fs::makedev(1, 3);
                    let mode = Mode::from_raw_mode(0o644);
                    rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, device)?;
                    self.stamp(&path)?;
                }
                _ => {
                    self.sparse(&path)?;
                    files.push(path.clone());
                }
            }
            if self.profile == Profile::Meta {
                self.dress(&path)?;
            }
        }
        Ok(())
    }

    /// A chain of nested directories, deep enough that its path is long.
    fn chain(&mut self, folder: &Path) -> io::Result<()> {
        let mut path = folder.to_path_buf();
        for level in 0..self.random.below(40) {
            path.push(format!("level-{level}-{}", "x".repeat(self.random.below(40))));
        }
        fs::create_dir_all(&path)?;
        self.file(&path.join("bottom"))?;
        // Whoever comes a second later must not find other times.
        let above = path.ancestors().take_while(|above| *above != folder);
        let time = Timespec { tv_sec: TIMES[0], tv_nsec: 0 };
        above.into_iter().try_for_each(|above| set_time(above, time))
    }

    fn name(&mut self) -> OsString {
        let bytes = match self.random.below(100) {
            0..70 => self.random.pick(&NAMES).to_vec(),
            70..73 => vec![b'l'; 255],
            73..77 => [b"z".repeat(100), self.random.below(9).to_string().into_bytes()].concat(),
            77..80 => "\u{e9}".repeat(120).into_bytes(),
            _ => format!("n{}", self.random.below(1_000_000)).into_bytes(),
        };
        OsString::from_vec(bytes)
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let size = *self.random.pick(&SIZES);
        let content = match self.random.below(4) {
            0 => vec![0; size],
            1 => {
                let period = self.random.bytes(37);
                period.into_iter().cycle().take(size).collect()
            }
            _ => self.random.bytes(size),
        };
        fs::write(path, content)?;
        self.stamp(path)
    }

    fn sparse(&mut self, path: &Path) -> io::Result<()> {
        let mut file = fs::File::create(path)?;
        file.seek(SeekFrom::Start(*self.random.pick(&[0, 5_000, 200_000, 3_000_000])))?;
        file.write_all(b"tail")?;
        self.stamp(path)
    }

    /// A random mode and time.
    fn stamp(&mut self, path: &Path) -> io::Result<()> {
        let mode = if path.symlink_metadata()?.is_dir() {
            *self.random.pick(&[0o755, 0o700, 0o775, 0o1777, 0o2775])
        } else {
            *self.random.pick(&[0o644, 0o600, 0o755, 0o444, 0o640, 0o664, 0o700, 0o4755, 0o2755])
        };
        fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
        set_time(path, self.time())
    }

    fn time(&mut self) -> Timespec {
        Timespec { tv_sec: *self.random.pick(&TIMES), tv_nsec: *self.random.pick(&NANOSECONDS) }
    }

    /// Attributes, access lists and owners; what the file system refuses is left out.
    fn dress(&mut self, path: &Path) -> io::Result<()> {
        let data = path.symlink_metadata()?;
        if self.random.chance(20) {
            put_lists(self.random, path, &data);
        }
        if self.random.chance(5) {
            // Only root has these, on links and nodes too.
            let value = self.random.bytes(40);
            let flags = rustix::fs::XattrFlags::empty();
            let _ = rustix::fs::lsetxattr(path, "trusted.far", &value, flags);
        }
        if self.random.chance(30) && (data.is_file() || data.is_dir()) {
            let name = format!("user.{}", self.random.pick(&["k", "test", "long"]));
            let length = *self.random.pick(&[0, 3, 31, 32, 33, 300]);
            let value = self.random.bytes(length);
            let _ = rustix::fs::setxattr(path, name, &value, rustix::fs::XattrFlags::empty());
        }
        if self.random.chance(20) && super::super::sandbox::is_root() {
            let owner = Uid::from_raw(*self.random.pick(&[0, 1000, 54_321]));
            let group = Gid::from_raw(*self.random.pick(&[0, 1000, 12_345]));
            rustix::fs::chownat(CWD, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
            if !data.is_symlink() {
                fs::set_permissions(path, data.permissions())?;
            }
        }
        set_time(path, Timespec { tv_sec: data.mtime(), tv_nsec: data.mtime_nsec() })
    }
}

/// Damages a copy of a tree: edits, removals, changed types, extra objects. What a destination looks like in life.
pub fn mutate(random: &mut Random, folder: &Path) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        let data = path.symlink_metadata()?;
        if data.is_dir() {
            mutate(random, &path)?;
            if random.chance(10) {
                fs::remove_dir_all(&path)?;
                fs::write(&path, "was a dir")?;
            }
        } else if random.chance(55) && data.is_file() {
            edit(random, &path, &data)?;
        } else if random.chance(20) && data.is_symlink() {
            fs::remove_file(&path)?;
            symlink("changed", &path)?;
        }
    }
    let extra = folder.join(format!("extra{}", random.below(9)));
    if random.chance(40) && extra.symlink_metadata().is_err() {
        if random.chance(30) {
            fs::create_dir(&extra)?;
            fs::write(extra.join("in.o"), "y")?;
        } else {
            fs::write(&extra, "extra")?;
        }
    }
    Ok(())
}

fn edit(random: &mut Random, path: &Path, data: &fs::Metadata) -> io::Result<()> {
    let time =
        |seconds: i64| Timespec { tv_sec: data.mtime() + seconds, tv_nsec: data.mtime_nsec() };
    let mut content = fs::read(path)?;
    let at = random.below(content.len() + 1);
    match random.below(8) {
        0 => return fs::remove_file(path),
        1 => return set_time(path, time(-5)),
        2 => return fs::set_permissions(path, PermissionsExt::from_mode(0o600)),
        3 => {
            fs::remove_file(path)?;
            fs::create_dir(path)?;
            return fs::write(path.join("inner"), "x");
        }
        4 => {
            let length = *random.pick(&[1, 50, 3000]);
            let piece = random.bytes(length);
            content.splice(at..at, piece);
        }
        5 => content.truncate(at),
        6 => {
            let end = (at + random.pick(&[1, 100, 5000])).min(content.len());
            content.drain(at..end);
        }
        _ => content.extend_from_slice(b"more"),
    }
    // A new inode: other names of the file keep the old content.
    fs::remove_file(path)?;
    fs::write(path, content)?;
    fs::set_permissions(path, data.permissions())?;
    set_time(path, time(*random.pick(&[-1, 1, 0, -3600])))
}

/// Random POSIX access lists in the kernel's form: one for the object, and one that a directory hands down.
fn put_lists(random: &mut Random, path: &Path, data: &fs::Metadata) {
    const NOBODY: u32 = u32::MAX;
    let list = |random: &mut Random| {
        let bits = |random: &mut Random| random.below(8) as u16;
        let mut entries = vec![(0x01, 7, NOBODY)];
        let mut users: Vec<u32> =
            random.sample(&[1_u32, 1000, 54_321], 2).into_iter().copied().collect();
        users.sort_unstable();
        users.truncate(random.below(3));
        entries.extend(users.iter().map(|id| (0x02, bits(random), *id)));
        entries.push((0x04, bits(random), NOBODY));
        if random.chance(40) {
            entries.push((0x08, bits(random), *random.pick(&[1, 1000, 12_345])));
        }
        if entries.len() > 2 || random.chance(20) {
            entries.push((0x10, bits(random), NOBODY));
        }
        entries.push((0x20, bits(random), NOBODY));
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend_from_slice(&u16::to_le_bytes(tag));
            bytes.extend_from_slice(&bits.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    };
    let flags = rustix::fs::XattrFlags::empty();
    if !data.is_symlink() {
        let _ = rustix::fs::setxattr(path, "system.posix_acl_access", &list(random), flags);
    }
    if data.is_dir() && random.chance(60) {
        let _ = rustix::fs::setxattr(path, "system.posix_acl_default", &list(random), flags);
    }
}

/// Changes attributes, access lists and owners here and there; what the file system refuses stays.
pub fn redress(random: &mut Random, folder: &Path) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        let data = path.symlink_metadata()?;
        if data.is_dir() {
            redress(random, &path)?;
        }
        let flags = rustix::fs::XattrFlags::empty();
        match random.below(12) {
            0 => {
                let value = random.bytes(random.clone().below(60));
                let _ = rustix::fs::lsetxattr(&path, "user.k", &value, flags);
            }
            1 => drop(rustix::fs::lremovexattr(&path, "user.test")),
            2 => drop(rustix::fs::lsetxattr(&path, "user.surplus", b"surplus", flags)),
            3 => put_lists(random, &path, &data),
            4 => drop(rustix::fs::lremovexattr(&path, "system.posix_acl_access")),
            5 => drop(rustix::fs::lremovexattr(&path, "system.posix_acl_default")),
            6 if super::super::sandbox::is_root() && !data.is_symlink() => {
                let owner = Some(Uid::from_raw(*random.pick(&[0, 1000])));
                let _ = rustix::fs::chownat(CWD, &path, owner, None, AtFlags::SYMLINK_NOFOLLOW);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives everything the same time of last use: copying and comparing leave traces of their own.
pub fn settle(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            settle(&path)?;
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 1_400_000_000, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        let bytes = path.as_os_str().as_bytes();
        rustix::fs::utimensat(CWD, bytes, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn set_time(path: &Path, time: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(CWD, path.as_os_str().as_bytes(), &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
