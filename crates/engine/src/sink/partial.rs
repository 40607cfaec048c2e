//! Parts of files, and files that wait for their turn (docs/spec behaviour.md 12).

use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_fs::{Name, Place, RelPath, RelPathBuf, Root, TempFile};

use super::context::{Context, PartialDir};
use super::destination::checked;
use crate::{Error, Result};

/// Where the part of one file is kept.
#[derive(Debug)]
pub(crate) struct PartialPlace<'a> {
    root: &'a Root,
    path: RelPathBuf,
    turns: &'a Mutex<()>,
    /// The directory was made for this and goes when it is empty.
    beside: bool,
}

impl<'a> PartialPlace<'a> {
    /// The place for the file at `path`; none where parts are not kept in a directory.
    pub(crate) fn of(context: &'a Context<'_>, path: &[u8]) -> Result<Option<Self>> {
        let path = checked(path)?;
        let Some(name) = path.file_name() else { return Ok(None) };
        let turns = &context.partial_turns;
        match &context.partial_dir {
            None | Some(PartialDir::One(None)) => Ok(None),
            Some(PartialDir::One(Some(root))) => {
                Ok(Some(Self { root, path: name.as_path().to_owned(), turns, beside: false }))
            }
            Some(PartialDir::Beside(directory)) => {
                let mut place = path.parent().to_owned();
                directory.as_path().components().for_each(|part| place.push(part));
                place.push(name);
                let shown = context.destination.show(place.as_bytes());
                if context.job.module.as_ref().is_some_and(|module| module.hides(&shown, false)) {
                    return Ok(None);
                }
                Ok(Some(Self { root: context.root()?, path: place, turns, beside: true }))
            }
        }
    }

    /// The held place; an error where its directory is not there.
    pub(crate) fn place(&self) -> syncline_fs::Result<Place<'_>> {
        self.root.place(self.path.as_path())
    }

    /// Moves a file there, into a directory made for it; whatever else has the directory's name is removed.
    pub(crate) fn keep(&self, file: &mut TempFile) -> syncline_fs::Result<()> {
        let _turn = self.turn();
        if self.beside {
            let directory = self.path.as_path().parent();
            self.root.forget(directory);
            self.root.place(directory)?.ensure_directory(0o700)?;
        }
        file.rename_to(&self.place()?)
    }

    /// Removes the directory if it is empty now.
    pub(crate) fn tidy(&self) {
        if self.beside {
            let _turn = self.turn();
            // Others' parts may be in it.
            let _ = self.root.remove_directory(self.path.as_path().parent());
        }
    }

    /// No thread removes a directory that another has just made.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name beside `path`.
pub(crate) fn sibling(path: RelPath<'_>, name: &[u8]) -> Result<RelPathBuf> {
    let name = Name::new(name).map_err(|error| {
        Error::fatal(
            crate::ExitCode::PROTOCOL,
            format!("invalid basis name \"{}\": {error}", String::from_utf8_lossy(name)),
        )
    })?;
    Ok(path.parent().join(name))
}
