//! Temporary files: made beside their destination, removed unless renamed into place.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::{Dir, Holes, Name, NewObject, Place, RelPath, RelPathBuf, SourceFile};

/// The temporary files of a process that are not yet in place.
///
/// Each [`TempFile`] removes itself when it is dropped. What a drop cannot reach, because the process is about to exit
/// on a signal, [`TempFiles::remove_all`] removes. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct TempFiles(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Read-locked while something is created, so that nothing can be made behind the back of `remove_all`, and
    /// threads do not wait for each other's disk.
    closed: RwLock<bool>,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    files: HashMap<u64, (Dir, Vec<u8>)>,
    next: u64,
}

impl TempFiles {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a temporary file beside `destination`, named `.NAME.XXXXXX` (behaviour.md 11.2). `mode` are the
    /// permission bits the entry will have; until it is finished only the owner may use the file.
    pub fn create(&self, destination: &Place<'_>, mode: u32) -> Result<TempFile> {
        self.create_named(
            destination.directory(),
            destination.path(),
            destination.path(),
            true,
            mode,
        )
    }

    /// Creates a temporary file for `destination` in another directory (--temp-dir), named `NAME.XXXXXX`. The error's
    /// path is the temporary name alone.
    pub fn create_in(
        &self,
        directory: &Dir,
        destination: &Place<'_>,
        mode: u32,
    ) -> Result<TempFile> {
        let path = destination.path();
        self.create_named(directory, RelPath::ROOT, path, false, mode)
    }

    /// Puts what `object` describes in the place of what is there, so that the name is never missing: made under a
    /// temporary name and renamed over (behaviour.md 11.2). A directory there makes it fail.
    pub fn replace(&self, destination: &Place<'_>, object: &NewObject<'_>) -> Result<()> {
        let _open = self.stay_open(destination.path())?;
        let process = rustix::process::getpid().as_raw_nonzero().get();
        let first = if process > 999_999 { 0 } else { process };
        for number in first..=first + 100 {
            let name = temporary_name(destination.leaf(), true, number.to_string().as_bytes());
            let path = beside(destination.path(), &name);
            let temporary = destination.sibling(path.as_path());
            match temporary.create(object) {
                Ok(()) => {}
                Err(error) if error.errno() == Some(Errno::EXIST) => continue,
                Err(error) => return Err(error),
            }
            let result = temporary.rename_to(destination);
            // Renaming one link of a file onto another link of it does nothing and leaves both names.
            if result.is_err() || matches!(object, NewObject::HardLink { .. }) {
                let _ = temporary.unlink();
            }
            return result;
        }
        Err(Error::new(Op::MakeTemporary, destination.bytes(), Errno::EXIST))
    }

    /// Removes every temporary file and refuses to make new ones: the last act before exit.
    pub fn remove_all(&self) {
        *self.0.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
        for (_, (directory, name)) in self.pending().files.drain() {
            let _ = unlinkat(&directory, name.as_slice(), AtFlags::empty());
        }
    }

    fn create_named(
        &self,
        directory: &Dir,
        near: RelPath<'_>,
        destination: RelPath<'_>,
        dot: bool,
        mode: u32,
    ) -> Result<TempFile> {
        let mode = (mode | 0o200) & 0o700;
        let _open = self.stay_open(destination)?;
        for _ in 0..ATTEMPTS {
            let name = temporary_name(destination.leaf(), dot, &random_suffix()?);
            let path = beside(near, &name);
            let place = directory.place(path.as_path());
            match place.create_file(mode) {
                Ok(file) => {
                    let mut pending = self.pending();
                    let ticket = pending.next;
                    pending.next += 1;
                    pending.files.insert(ticket, (directory.clone(), name));
                    let registry = Some((self.clone(), ticket));
                    return Ok(TempFile { file, directory: directory.clone(), path, registry });
                }
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => {
                    let errno = error.errno().unwrap_or(Errno::IO);
                    return Err(Error::new(Op::MakeTemporary, path.as_bytes(), errno));
                }
            }
        }
        Err(Error::new(Op::MakeTemporary, destination.as_bytes(), Errno::EXIST))
    }

    /// As long as the guard lives, [`TempFiles::remove_all`] waits.
    fn stay_open(&self, destination: RelPath<'_>) -> Result<RwLockReadGuard<'_, bool>> {
        let closed = self.0.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(Error::ShuttingDown { path: destination.as_bytes().into() });
        }
        Ok(closed)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file under a temporary name; dropping it removes it.
#[derive(Debug)]
pub struct TempFile {
    file: File,
    directory: Dir,
    path: RelPathBuf,
    /// None once it has been renamed.
    registry: Option<(TempFiles, u64)>,
}

impl TempFile {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its temporary name, with its directory.
    pub fn path(&self) -> RelPath<'_> {
        self.path.as_path()
    }

    pub(crate) fn fakes(&self) -> bool {
        self.directory.fakes()
    }

    /// Where it is now.
    pub fn place(&self) -> Place<'_> {
        self.directory.place(self.path.as_path())
    }

    /// Renames it to `destination`, replacing what is there in one step. On failure it stays what it is: rename it
    /// elsewhere, copy it (`EXDEV`: see [`TempFile::copy_beside`]), or drop it.
    pub fn rename_to(&mut self, destination: &Place<'_>) -> Result<()> {
        self.place().rename_to(destination)?;
        self.keep();
        Ok(())
    }

    /// Leaves the file where it is, under its temporary name.
    pub fn keep(&mut self) {
        if let Some((files, ticket)) = self.registry.take() {
            files.pending().files.remove(&ticket);
        }
    }

    /// Copies the data to a new temporary file beside `destination`, from where it can be renamed: for a --temp-dir on
    /// another file system. Attributes have to be set again on the result.
    pub fn copy_beside(&self, destination: &Place<'_>, files: &TempFiles) -> Result<TempFile> {
        let copy = files.create(destination, 0o600)?;
        let file = self.file.try_clone().context(Op::Open, self.path.as_bytes())?;
        let source = SourceFile::from_file(file, self.path())?;
        source.copy_to(&copy.file, copy.path(), Holes::Keep)?;
        Ok(copy)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some((files, ticket)) = self.registry.take() {
            let entry = files.pending().files.remove(&ticket);
            // Already gone if `remove_all` was quicker.
            if let Some((directory, name)) = entry {
                let _ = unlinkat(&directory, name.as_slice(), AtFlags::empty());
            }
        }
    }
}

/// More names than this taken by others means that something is wrong.
const ATTEMPTS: usize = 100;

/// A temporary name has at most 254 bytes, of which the name itself may take this many (behaviour.md 11.2).
const MOST_OF_NAME: usize = 246;

/// `.NAME.SUFFIX`, with the name cut where the whole would become too long.
pub(crate) fn temporary_name(name: &[u8], dot: bool, suffix: &[u8]) -> Vec<u8> {
    let mut stem = if dot { name.strip_prefix(b".").unwrap_or(name) } else { name };
    if stem.len() > MOST_OF_NAME {
        let mut cut = MOST_OF_NAME;
        // Never leave half of a multi-byte character: drop the whole run it may be part of.
        if stem[cut] >= 0x80 {
            while cut > 0 && stem[cut - 1] >= 0x80 {
                cut -= 1;
            }
        }
        stem = &stem[..cut];
    }
    let stem = stem.strip_suffix(b".").unwrap_or(stem);
    let mut temporary = Vec::with_capacity(stem.len() + suffix.len() + 2);
    if dot {
        temporary.push(b'.');
    }
    temporary.extend_from_slice(stem);
    temporary.push(b'.');
    temporary.extend_from_slice(suffix);
    temporary
}

/// The path of `name` in the directory of `path`.
pub(crate) fn beside(path: RelPath<'_>, name: &[u8]) -> RelPathBuf {
    let mut result = path.parent().to_owned();
    // Made of a component and a suffix: always a component again.
    if let Ok(name) = Name::new(name) {
        result.push(name);
    }
    result
}

fn random_suffix() -> Result<[u8; 6]> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits =
        getrandom::u64().map_err(|_| Error::new(Op::MakeTemporary, b"random name", Errno::IO))?;
    Ok(std::array::from_fn(|_| {
        let letter = LETTERS[(bits % 62) as usize];
        bits /= 62;
        letter
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &[u8]) -> Vec<u8> {
        temporary_name(text, true, b"XXXXXX")
    }

    #[test]
    fn a_temporary_name_has_stock_s_form() {
        assert_eq!(name(b"file"), b".file.XXXXXX");
        assert_eq!(name(b".hidden"), b".hidden.XXXXXX");
        assert_eq!(name(b"dot."), b".dot.XXXXXX");
        assert_eq!(name(b"dots.."), b".dots..XXXXXX");
        assert_eq!(temporary_name(b"file", false, b"XXXXXX"), b"file.XXXXXX");
        assert_eq!(temporary_name(b".hidden", false, b"XXXXXX"), b".hidden.XXXXXX");
    }

    #[test]
    fn a_long_name_is_cut_and_never_inside_a_character() {
        assert_eq!(name(&[b'a'; 255]).len(), 254);
        assert_eq!(name(&[b'a'; 246]).len(), 254);
        let mut accents = vec![b'a'; 245];
        accents.extend_from_slice("éé".as_bytes());
        // The cut would fall between the two bytes of the first é.
        assert_eq!(name(&accents), [&b"."[..], &[b'a'; 245], b".XXXXXX"].concat());
        assert_eq!(name(&[0xe4; 255]), b"..XXXXXX");
    }

    #[test]
    fn two_suffixes_differ() {
        assert_ne!(random_suffix().unwrap(), random_suffix().unwrap());
    }
}
