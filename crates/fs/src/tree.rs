//! Making and removing directories, alone and whole trees of them.

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::{Kind, Object, Place, RelPath, RelPathBuf, Root};

/// What [`Root::make_directories`] does with something else than a directory on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstruction {
    /// It is in the way: `ENOTDIR`.
    Refuse,
    /// It is removed, a symbolic link included (inside a backup directory, behaviour.md 13.3).
    Remove,
}

impl Root {
    /// Creates `path` and what is missing above it, each with `mode` less umask. `made` hears of each new directory,
    /// from the top down.
    pub fn make_directories(
        &self,
        path: RelPath<'_>,
        mode: u32,
        obstruction: Obstruction,
        mut made: impl FnMut(&Place<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut so_far = RelPathBuf::root();
        for name in path.components() {
            so_far.push(name);
            // Held already, or there already.
            match self.directory(so_far.as_path()) {
                Ok(_) => continue,
                Err(error) if error.is_missing() => {}
                Err(error) if obstruction == Obstruction::Refuse => return Err(error),
                Err(error) => match error.errno() {
                    Some(Errno::NOTDIR | Errno::LOOP) => self.place(so_far.as_path())?.unlink()?,
                    _ => return Err(error),
                },
            }
            let place = self.place(so_far.as_path())?;
            match place.make_directory(mode) {
                Ok(()) => made(&place)?,
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the empty directory `path`.
    pub fn remove_directory(&self, path: RelPath<'_>) -> Result<()> {
        self.forget(path);
        remove_directory(&self.place(path)?)
    }

    /// Removes whatever is at `path`, a directory with all it holds. Links are removed, never followed; nothing on
    /// another file system than the top of the tree is touched. Read-only directories of our own are made writable.
    pub fn remove_tree(&self, path: RelPath<'_>) -> Result<()> {
        self.forget(path);
        let place = self.place(path)?;
        let stat = place.stat()?;
        if stat.is_dir() { remove_tree(&place, stat.dev) } else { place.unlink() }
    }
}

fn remove_directory(place: &Place<'_>) -> Result<()> {
    unlinkat(place.directory(), place.leaf(), AtFlags::REMOVEDIR)
        .context(Op::RemoveDirectory, place.bytes())
}

/// Depth-first. One descriptor a level is held: what a path of 4095 bytes can name stays below the usual limit only
/// for sane trees, and a deeper one fails with `EMFILE` rather than doing harm.
fn remove_tree(place: &Place<'_>, device: u64) -> Result<()> {
    let directory = match place.open_directory() {
        Err(error) if error.errno() == Some(Errno::ACCESS) => {
            lend_access(place)?;
            place.open_directory()?
        }
        result => result?,
    };
    if directory.stat(place.path())?.dev != device {
        return Err(Error::new(Op::RemoveDirectory, place.bytes(), Errno::XDEV));
    }
    let mut names = Vec::new();
    directory.read_names(place.path(), |name, kind| {
        names.push((place.path().join(name), kind));
    })?;
    for (path, kind) in names {
        let child = directory.place(path.as_path());
        if kind != Kind::Directory && kind != Kind::Unknown {
            match child.unlink() {
                Err(error) if error.errno() == Some(Errno::ACCESS) => {
                    lend_access(place)?;
                    child.unlink()?;
                }
                result => result?,
            }
        } else if child.stat()?.is_dir() {
            remove_tree(&child, device)?;
        } else {
            child.unlink()?;
        }
    }
    remove_directory(place)
}

/// Gives the owner every right to the directory.
fn lend_access(place: &Place<'_>) -> Result<()> {
    let stat = place.stat()?;
    Object::from(place).set_mode(stat.permissions() | 0o700)
}
