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
        let place = self.place(path)?;
        let stat = place.stat()?;
        if !stat.is_dir() {
            return place.unlink();
        }
        drop(place);
        self.empty(path, stat.dev)?;
        self.remove_directory(path)
    }

    /// Depth-first. Between two steps no descriptor is held but those the root keeps, however deep the tree is.
    fn empty(&self, path: RelPath<'_>, device: u64) -> Result<()> {
        let names = names_to_remove(&self.place(path)?, device)?;
        for (child, kind) in names {
            let child = child.as_path();
            let is_directory = match kind {
                Kind::Unknown => self.place(child)?.stat()?.is_dir(),
                kind => kind == Kind::Directory,
            };
            if is_directory {
                self.empty(child, device)?;
                self.forget(child);
                self.remove_doomed(child, true)?;
            } else {
                self.remove_doomed(child, false)?;
            }
        }
        Ok(())
    }

    /// Removes `path` and, if its parent, which is ours and doomed too, does not allow that, makes it.
    fn remove_doomed(&self, path: RelPath<'_>, directory: bool) -> Result<()> {
        let place = self.place(path)?;
        let remove = || if directory { remove_directory(&place) } else { place.unlink() };
        match remove() {
            Err(error) if error.errno() == Some(Errno::ACCESS) => {
                lend_access(&self.place(path.parent())?)?;
                remove()
            }
            result => result,
        }
    }
}

fn remove_directory(place: &Place<'_>) -> Result<()> {
    unlinkat(place.directory(), place.leaf(), AtFlags::REMOVEDIR)
        .context(Op::RemoveDirectory, place.bytes())
}

fn names_to_remove(place: &Place<'_>, device: u64) -> Result<Vec<(RelPathBuf, Kind)>> {
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
    directory.read_names(place.path(), |name, kind| names.push((place.path().join(name), kind)))?;
    Ok(names)
}

/// Gives the owner every right to the directory.
fn lend_access(place: &Place<'_>) -> Result<()> {
    let stat = place.real_stat()?;
    Object::from(place).set_mode(stat.permissions() | 0o700)
}
