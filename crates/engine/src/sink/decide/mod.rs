//! What is done about one entry, by kind (docs/spec behaviour.md 5 to 8).

mod basis;
mod directory;
mod file;
mod fuzzy;
mod node;
mod symlink;

pub(super) use fuzzy::{Resembling, Rewritten};

use syncline_fs::{BackupFor, Kind, NewObject, Object, Stat};
use syncline_wire::ItemFlags;
use syncline_wire::list::{EntryRef, FileKind};

use super::attributes::Times;
use super::generate::{Generator, Work};
use super::groups::{Part, kind_words, made_room};
use crate::{Result, Role};

impl Generator<'_> {
    /// `--delete-missing-args`: an argument that is gone at the source goes here too.
    pub(super) fn missing_argument(&mut self, work: &Work<'_>) -> Result<()> {
        match (&work.stat, work.directory) {
            (Some(stat), Some(_)) => self.sweeper.delete_one(&work.place()?, stat),
            _ => Ok(()),
        }
    }

    /// Removes what is in the way of another kind of object; false, and told, if that is not possible.
    pub(super) fn clear_way(
        &mut self,
        work: &Work<'_>,
        stat: &Stat,
        kind: &'static str,
    ) -> Result<bool> {
        let removal = self.sweeper.make_way(&work.place()?, stat)?;
        if made_room(removal) {
            return Ok(true);
        }
        let kind = kind.as_bytes();
        self.context.fail(&[b"could not make way for new ", kind, b": ", work.name()]);
        Ok(false)
    }

    /// Keeps a non-directory that something new is about to be renamed over; whether that may go on.
    pub(super) fn back_up_replaced(&self, work: &Work<'_>, stat: &Stat) -> Result<bool> {
        let context = self.context;
        let Some(backups) = context.backups.as_ref() else { return Ok(true) };
        match backups.keep(context, &work.place()?, stat, BackupFor::Replacing) {
            Ok(_) => Ok(true),
            Err(error) => context.failed(Role::Generator, &error).map(|()| false),
        }
    }

    /// A symlink, device, fifo or socket is there already, up to its attributes.
    fn fix_in_place(&mut self, work: &Work<'_>, stat: &Stat) -> Result<()> {
        let context = self.context;
        let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
        let mut flags = work.differences(context, stat, mode, false);
        if !context.is_dry() {
            flags = context.keep.told(work.entry, flags, stat, mode);
        }
        self.report(work, flags)?;
        if !context.is_dry() {
            self.fix_attributes(work, stat, mode, Times::Differing)?;
        }
        Ok(())
    }

    /// Sets the attributes that differ on what is there; whether that worked.
    pub(super) fn fix_attributes(
        &self,
        work: &Work<'_>,
        stat: &Stat,
        mode: Option<u32>,
        times: Times,
    ) -> Result<bool> {
        let place = work.place()?;
        let (object, how) = ((Object::from(&place), stat), (mode, times));
        self.context.fix_entry(Role::Generator, work.entry, object, how)
    }

    /// Makes a symlink or node, over what is there if need be, and gives it its attributes. `like`: what differs from
    /// one in a basis directory.
    fn make(
        &mut self,
        work: &Work<'_>,
        object: &NewObject<'_>,
        like: Option<ItemFlags>,
    ) -> Result<()> {
        let context = self.context;
        let old = work.stat;
        let same_kind = old.filter(|stat| is_alike(stat, work.entry.kind()));
        let differences = match (&same_kind, like) {
            (Some(stat), _) => {
                let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
                let old = work.differences(context, stat, mode, true);
                old.without(ItemFlags::REPORT_XATTR) | context.undressed_flags(work.entry)
            }
            (None, Some(flags)) => flags,
            (None, None) => context.new_flags(work.entry),
        };
        let value = if like.is_none() { ItemFlags::REPORT_CHANGE } else { ItemFlags::default() };
        let flags = ItemFlags::LOCAL_CHANGE | value | differences;
        let directly = old
            .as_ref()
            .is_some_and(|stat| stat.is_dir() || context.options().data.temp_dir.is_some());
        if let Some(stat) = &old {
            let is_clear = if directly {
                self.clear_way(work, stat, kind_words(work.entry.kind()))?
            } else {
                self.back_up_replaced(work, stat)?
            };
            if !is_clear {
                return Ok(());
            }
        }
        if context.is_dry() {
            self.report(work, flags)?;
            return self.link_leader_placed(work.entry, work.path.as_bytes());
        }
        let place = work.place()?;
        let replaces = old.is_some() && !directly;
        let made = if replaces {
            context.temporaries.replace(&place, object)
        } else {
            place.create(object)
        };
        if let Err(error) = made {
            return self.not_made(work, object, &error);
        }
        context.note_change();
        let stat = match place.stat() {
            Ok(stat) => stat,
            Err(error) => return context.failed(Role::Generator, &error),
        };
        let kept = same_kind.map(|stat| stat.mode);
        let parent = work.path.parent();
        let mode = context.keep.mode(work.entry, kept, || context.creation_mask(parent));
        let (object, how) = ((Object::from(&place), &stat), (mode, Times::Exact));
        context.set_entry(Role::Generator, work.entry, object, how, work.name())?;
        self.report(work, flags)?;
        self.placed(work.index)
    }

    fn not_made(
        &self,
        work: &Work<'_>,
        object: &NewObject<'_>,
        error: &syncline_fs::Error,
    ) -> Result<()> {
        let shown = self.context.destination.show(work.name());
        if let NewObject::Symlink { target } = object {
            let reason = error.reason();
            self.context.fail(&[
                b"rsync: [generator] symlink \"",
                &shown,
                b"\" -> \"",
                target,
                b"\" failed: ",
                reason.as_bytes(),
            ]);
            return Ok(());
        }
        let words = error.op().map_or("mknod", |op| op.name());
        self.context.failed_as(Role::Generator, words, &shown, error)
    }

    /// Links to what leads its group, or waits for that; true: nothing else is to be done.
    fn joins_group(&mut self, work: &Work<'_>, has_basis: bool) -> Result<bool> {
        match self.part_in_group(work, has_basis) {
            Part::Alone | Part::Lead => Ok(false),
            Part::Wait => {
                self.wait_for_leader(work);
                Ok(true)
            }
            Part::Link(leader) => {
                self.link_to(*work, &leader)?;
                Ok(true)
            }
        }
    }

    /// An entry that is not transferred at all.
    fn skip(&mut self, entry: EntryRef<'_>) -> Result<()> {
        self.link_member_passed_over(entry)
    }
}

/// Whether an object is of the sort that an entry stands for; devices are one sort, and so are fifos and sockets.
fn is_alike(stat: &Stat, kind: FileKind) -> bool {
    match kind {
        FileKind::Symlink => stat.kind() == Kind::Symlink,
        FileKind::BlockDevice | FileKind::CharacterDevice => stat.kind().is_device(),
        FileKind::Fifo => stat.kind() == Kind::Fifo,
        FileKind::Socket => stat.kind() == Kind::Socket,
        FileKind::Directory => stat.is_dir(),
        FileKind::Regular | FileKind::Missing => stat.kind() == Kind::File,
    }
}
