//! An entry as the generator looks at it.

use std::sync::Arc;

use syncline_fs::{Dir, Place, RelPath, Stat};
use syncline_wire::ItemFlags;
use syncline_wire::list::EntryRef;

use super::collect::Batch;
use super::context::Context;
use crate::{Error, Result};

/// An entry being decided about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'w> {
    pub(super) batch: &'w Arc<Batch>,
    pub(super) entry: EntryRef<'w>,
    pub(super) index: u32,
    /// Its path at the destination.
    pub(super) path: RelPath<'w>,
    /// None below a directory that only a real run would make.
    pub(super) directory: Option<&'w Dir>,
    pub(super) stat: Option<Stat>,
    /// What is there is a link to a directory, and `stat` the directory's (`-K`).
    pub(super) linked: bool,
    pub(super) redo: bool,
    /// It was made, and attributes of it have to be set.
    pub(super) dressed: bool,
}

impl<'w> Work<'w> {
    pub(super) fn place(&self) -> Result<Place<'w>> {
        self.directory.map(|directory| directory.place(self.path)).ok_or(Error::Stopped)
    }

    pub(super) fn name(&self) -> &'w [u8] {
        self.path.as_bytes()
    }

    /// What differs from the object that is there. `written`: it is made anew.
    pub(super) fn differences(
        &self,
        context: &Context<'_>,
        stat: &Stat,
        mode: Option<u32>,
        written: bool,
    ) -> ItemFlags {
        let place = self.place().ok().filter(|_| !self.linked);
        context.differences(self.entry, place.as_ref(), stat, mode, written)
    }
}
