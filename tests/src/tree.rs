//! A directory tree as data, to be compared with what a case expects to find.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One object that a case expects; an absent field is described in `vectors/behaviour/README.md`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Below the case's directory.
    pub path: String,
    #[serde(rename = "type")]
    kind: String,
    mode: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
    mtime: Option<i64>,
    #[serde(default)]
    mtime_nsec: i64,
    target: Option<String>,
    rdev: Option<[u32; 2]>,
    nlink: Option<u64>,
    link_id: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    #[serde(default)]
    sparse: bool,
    xattrs: Option<BTreeMap<String, String>>,
}

/// Every difference between the tree below `root` and the expected one, a line each.
pub fn differences(
    root: &Path,
    expected: &[Expected],
    owner: (u32, u32),
) -> io::Result<Vec<String>> {
    let mut found = BTreeMap::new();
    scan(root, root, &mut found)?;
    let mut lines = Vec::new();
    let mut links = BTreeMap::new();
    for entry in expected {
        match found.remove(&entry.path) {
            None => lines.push(format!("{}: missing", entry.path)),
            Some(path) => lines.extend(
                compare(entry, &path, owner, &mut links)?
                    .into_iter()
                    .map(|difference| format!("{}: {difference}", entry.path)),
            ),
        }
    }
    lines.extend(found.into_keys().map(|path| format!("{path}: not expected")));
    Ok(lines)
}

fn scan(root: &Path, folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).map_err(io::Error::other)?;
        found.insert(
            String::from_utf8_lossy(name.as_os_str().as_bytes()).into_owned(),
            path.clone(),
        );
        if path.symlink_metadata()?.is_dir() {
            match scan(root, &path, found) {
                // A directory that the case locked away; its owner could not look inside either.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
    }
    Ok(())
}

fn compare(
    entry: &Expected,
    path: &Path,
    owner: (u32, u32),
    links: &mut BTreeMap<u64, (u64, u64)>,
) -> io::Result<Vec<String>> {
    let data = path.symlink_metadata()?;
    let mut lines = Vec::new();
    let mut check = |what: &str, expected: String, actual: String| {
        if expected != actual {
            lines.push(format!("{what} is {actual}, expected {expected}"));
        }
    };
    let kind = kind(data.file_type());
    check("type", entry.kind.clone(), kind.to_owned());
    if let Some(mode) = &entry.mode {
        check("mode", mode.clone(), format!("{:04o}", data.mode() & 0o7777));
    }
    if let Some(size) = entry.size.filter(|_| kind == "file") {
        check("size", size.to_string(), data.size().to_string());
    }
    if let Some(hash) = entry.sha256.as_ref().filter(|_| kind == "file") {
        match std::fs::read(path) {
            Ok(content) => check("sha256", hash.clone(), hex(&Sha256::digest(content))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(mtime) = entry.mtime {
        let actual = format!("{}.{:09}", data.mtime(), data.mtime_nsec());
        check("mtime", format!("{mtime}.{:09}", entry.mtime_nsec), actual);
    }
    if let Some(target) = entry.target.as_ref().filter(|_| kind == "symlink") {
        let actual = std::fs::read_link(path)?;
        check("target", target.clone(), actual.to_string_lossy().into_owned());
    }
    if let Some([major, minor]) = entry.rdev {
        let device = data.rdev();
        let actual = [rustix::fs::major(device), rustix::fs::minor(device)];
        check("rdev", format!("{:?}", [major, minor]), format!("{actual:?}"));
    }
    if kind != "dir" {
        check("nlink", entry.nlink.unwrap_or(1).to_string(), data.nlink().to_string());
    }
    if let Some(id) = entry.link_id {
        let inode = (data.dev(), data.ino());
        let first = *links.entry(id).or_insert(inode);
        check("link group", format!("{first:?}"), format!("{inode:?}"));
    }
    check("uid", entry.uid.unwrap_or(owner.0).to_string(), data.uid().to_string());
    check("gid", entry.gid.unwrap_or(owner.1).to_string(), data.gid().to_string());
    if entry.sparse && data.blocks() * 512 * 2 >= data.size() {
        check("sparse", "true".into(), format!("{} blocks", data.blocks()));
    }
    if let Some(expected) = &entry.xattrs {
        check("xattrs", format!("{expected:?}"), format!("{:?}", user_attributes(path)?));
    }
    Ok(lines)
}

fn kind(kind: std::fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_file() => "file",
        kind if kind.is_dir() => "dir",
        kind if kind.is_symlink() => "symlink",
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        kind if kind.is_char_device() => "char",
        _ => "block",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn user_attributes(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| name.starts_with(b"user.")) {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
        let latin = value[..length].iter().map(|&byte| char::from(byte)).collect();
        attributes.insert(String::from_utf8_lossy(name).into_owned(), latin);
    }
    Ok(attributes)
}
