//! The things that people and programs do to trees, at random.

// Each test file uses its own part of this; it is test code, where a panic is the answer.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A generator of random numbers whose seed is all there is to it.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of sixteen names in one of three nested levels.
    pub(crate) fn path(&mut self, top: &Path) -> PathBuf {
        let mut path = top.to_owned();
        for _ in 0..self.below(3) {
            path.push(format!("d{}", self.below(3)));
        }
        path.join(format!("n{}", self.below(16)))
    }

    /// A name that nothing had before.
    fn fresh(&mut self) -> String {
        format!("new.{:x}", self.below(u64::MAX))
    }

    fn content(&mut self, limit: u64) -> Vec<u8> {
        vec![b'a' + self.below(26) as u8; self.below(limit) as usize]
    }
}

/// One of the things that are done to trees; what cannot be done is not.
pub(crate) fn act(random: &mut Random, top: &Path) {
    let path = random.path(top);
    let other = random.path(top);
    let parent = path.parent().unwrap();
    let _ = match random.below(18) {
        0 | 1 => fs::create_dir_all(parent).and_then(|()| fs::write(&path, random.content(20_000))),
        2 => fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"more")),
        3 => fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| {
            let byte = random.below(256) as u8;
            file.write_all(&[byte; 40])
        }),
        4 => fs::rename(&path, &other),
        5 => fs::rename(parent, other.parent().unwrap().join("moved")),
        6 => fs::remove_file(&path),
        7 => fs::remove_dir_all(parent.join(format!("d{}", random.below(3)))),
        8 => {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | random.below(64) as u32))
        }
        9 => symlink("somewhere", &path),
        10 => fs::create_dir_all(&path).and_then(|()| fs::write(path.join("in"), "x")),
        11 => save(random, parent, &path),
        12 => {
            // A link over whatever file has the name.
            let beside = parent.join(random.fresh());
            symlink("elsewhere", &beside).and_then(|()| fs::rename(&beside, &path))
        }
        13 => chain(random, parent, &path, &other),
        14 => rotate(&path),
        15 => {
            // Came and went.
            let beside = parent.join(random.fresh());
            fs::write(&beside, "gone").and_then(|()| fs::remove_file(&beside))
        }
        16 => quietly(random, &path),
        _ => replace_directory(random, parent, &path),
    };
}

/// As editors save.
fn save(random: &mut Random, parent: &Path, path: &Path) -> io::Result<()> {
    let beside = parent.join(random.fresh());
    fs::write(&beside, random.content(5000))?;
    fs::rename(&beside, path)
}

/// Names that are given on, and taken by something else at once.
fn chain(random: &mut Random, parent: &Path, path: &Path, other: &Path) -> io::Result<()> {
    let middle = parent.join(random.fresh());
    fs::rename(path, &middle)?;
    symlink("instead", path)?;
    fs::rename(&middle, other)
}

/// Other content of the same size, and the time put back.
fn quietly(random: &mut Random, path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    let before = file.metadata()?;
    file.write_all(&vec![random.below(256) as u8; before.len() as usize])?;
    file.set_modified(before.modified()?)
}

/// As logs are rotated.
fn rotate(path: &Path) -> io::Result<()> {
    let older = |number: u32| path.with_extension(format!("{number}"));
    let _ = fs::rename(older(1), older(2));
    let _ = fs::rename(path, older(1));
    fs::write(path, "begun anew")
}

/// A directory with content in place of what had the name.
fn replace_directory(random: &mut Random, parent: &Path, path: &Path) -> io::Result<()> {
    let beside = parent.join(random.fresh());
    fs::create_dir(&beside)?;
    fs::write(beside.join("in"), random.content(3000))?;
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
    fs::rename(&beside, path)
}
