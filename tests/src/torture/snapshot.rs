//! Everything that can be compared about a tree, a line for each object.

use rustix::fs::{lgetxattr, llistxattr};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Path below the root → description.
pub type Snapshot = BTreeMap<Vec<u8>, String>;

/// Describes every object below `root`. Times since `began` were stamped by the job itself and read `now`.
pub fn take(root: &Path, began: SystemTime) -> io::Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    let mut links = HashMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for path in entries {
            let data = path.symlink_metadata()?;
            let name =
                path.strip_prefix(root).map_err(io::Error::other)?.as_os_str().as_bytes().to_vec();
            let mut line = describe(&path, &data, began)?;
            if data.nlink() > 1 && !data.is_dir() {
                let leader = links.entry((data.dev(), data.ino())).or_insert_with(|| name.clone());
                let _ = write!(line, " linked-to={}", leader.escape_ascii());
            }
            snapshot.insert(name, line);
            if data.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(snapshot)
}

fn describe(path: &Path, data: &fs::Metadata, began: SystemTime) -> io::Result<String> {
    let mut line = format!("{:06o} {}:{}", data.mode(), data.uid(), data.gid());
    let recent = began.checked_sub(Duration::from_secs(900)).unwrap_or(began);
    if data.modified().is_ok_and(|time| time > recent && time < began + Duration::from_secs(900)) {
        line.push_str(" now");
    } else {
        let _ = write!(line, " {}.{:09}", data.mtime(), data.mtime_nsec());
    }
    let kind = data.file_type();
    if kind.is_file() {
        let hash = Sha256::digest(fs::read(path)?);
        let _ = write!(line, " {} bytes {:02x?}", data.size(), &hash[..6]);
    } else if kind.is_symlink() {
        let _ = write!(line, " -> {}", fs::read_link(path)?.as_os_str().as_bytes().escape_ascii());
    } else if kind.is_char_device() || kind.is_block_device() {
        let _ = write!(line, " device {:#x}", data.rdev());
    }
    for (name, value) in attributes(path) {
        let _ = write!(line, " {}={:02x?}", name.escape_ascii(), value);
    }
    Ok(line)
}

/// Extended attributes; a file system without them has none.
fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65_536];
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let mut value = vec![0; 65_536];
            let length = lgetxattr(path, name, value.as_mut_slice()).ok()?;
            value.truncate(length);
            let is_list = name.starts_with(b"system.posix_acl_");
            Some((name.to_vec(), if is_list { without_doubles(&value) } else { value }))
        })
        .collect()
}

/// An access list without second entries for one user or group: where two names became one stock writes both, and we
/// the first, which alone has effect (docs/spec behaviour.md 14.6).
fn without_doubles(list: &[u8]) -> Vec<u8> {
    const HEAD: usize = 4;
    const ENTRY: usize = 8;
    let named = |entry: &[u8]| [entry[0], entry[4], entry[5], entry[6], entry[7]];
    let mut kept: Vec<&[u8]> = Vec::new();
    for entry in list.get(HEAD..).unwrap_or_default().chunks_exact(ENTRY) {
        if kept.iter().all(|other| named(other) != named(entry)) {
            kept.push(entry);
        }
    }
    [&list[..HEAD.min(list.len())], &kept.concat()].concat()
}

/// The first few differences between two snapshots, a line each.
pub fn differences(reference: &Snapshot, tried: &Snapshot) -> Vec<String> {
    let mut names: Vec<_> = reference.keys().chain(tried.keys()).collect();
    names.sort();
    names.dedup();
    let show = |line: Option<&String>| line.map_or("absent".to_owned(), Clone::clone);
    names
        .into_iter()
        .filter(|name| reference.get(*name) != tried.get(*name))
        .map(|name| {
            let (stock, ours) = (show(reference.get(name)), show(tried.get(name)));
            format!("{}: stock {stock}; ours {ours}", name.escape_ascii())
        })
        .collect()
}
