//! Hard links: which member of a group is fetched, and which become links to it (docs/spec behaviour.md 15).

use std::collections::HashMap;
use std::sync::Arc;

use syncline_fs::{Kind, NewObject, RelPath, Stat};
use syncline_options::options::{AltDestKind, RemoveSource};
use syncline_options::values::flags::Debug;
use syncline_wire::Item;
use syncline_wire::ItemFlags;
use syncline_wire::list::{EntryRef, FileKind};

use super::collect::Batch;
use super::delete::Removal;
use super::destination::checked;
use super::generate::{Generator, Work};
use crate::{Result, Role};

/// All groups of the run.
#[derive(Debug, Default)]
pub(crate) struct Groups(HashMap<u32, Group>);

#[derive(Debug, Default)]
struct Group {
    leader: Leader,
    /// Members that become links.
    waiting: Vec<(Arc<Batch>, usize)>,
    /// The last member known.
    last: Option<u32>,
    /// A member was asked for, so that the others may have had to wait.
    fetched: bool,
}

#[derive(Debug, Default)]
enum Leader {
    /// Nobody yet.
    #[default]
    None,
    /// Asked for.
    Requested(u32),
    /// In place, under this name.
    Placed(Vec<u8>),
}

/// What a member of a group has to do.
#[derive(Debug)]
pub(super) enum Part {
    /// Nothing special: there is no group.
    Alone,
    /// Lead.
    Lead,
    /// Wait for another.
    Wait,
    /// Become a link to this name.
    Link(Vec<u8>),
}

impl Groups {
    /// Notes the members of a list that will be worked through.
    pub(super) fn expect(&mut self, batch: &Batch) {
        for entry in batch.list.iter_sorted().filter(|entry| entry.is_active()) {
            if let Some(group) = entry.group() {
                self.0.entry(group).or_default().last = Some(entry.index());
            }
        }
    }
}

impl Generator<'_> {
    fn group_of(&mut self, entry: EntryRef<'_>) -> Option<&mut Group> {
        if self.context.options().attributes.hard_links == 0 {
            return None;
        }
        self.groups.0.get_mut(&entry.group()?)
    }

    /// What a member that is due has to do. `has_basis`: something is there that it can be made from.
    pub(super) fn part_in_group(&mut self, work: &Work<'_>, has_basis: bool) -> Part {
        let Some(group) = self.group_of(work.entry) else { return Part::Alone };
        match &group.leader {
            Leader::Placed(path) => Part::Link(path.clone()),
            Leader::Requested(index) if *index != work.index => Part::Wait,
            Leader::Requested(_) => Part::Lead,
            Leader::None if has_basis || group.last == Some(work.index) => Part::Lead,
            Leader::None => Part::Wait,
        }
    }

    /// A member waits for its leader.
    pub(super) fn wait_for_leader(&mut self, work: &Work<'_>) {
        let position = work.entry.position();
        if let Some(group) = self.group_of(work.entry) {
            group.waiting.push((work.batch.clone(), position));
            self.add_pending(work.index);
        }
    }

    /// A member was asked for.
    pub(super) fn leader_requested(&mut self, work: &Work<'_>) {
        let index = work.index;
        if let Some(group) = self.group_of(work.entry) {
            group.leader = Leader::Requested(index);
            group.fetched = true;
        }
    }

    /// A member is in place: the others become links to it, the last first.
    pub(super) fn link_leader_placed(&mut self, entry: EntryRef<'_>, path: &[u8]) -> Result<()> {
        let Some(group) = self.group_of(entry) else { return Ok(()) };
        if !matches!(group.leader, Leader::Placed(_)) {
            group.leader = Leader::Placed(path.to_vec());
        }
        let waiting = std::mem::take(&mut group.waiting);
        for (batch, position) in waiting.into_iter().rev() {
            if let Some(entry) = batch.list.get(position) {
                self.decide(&batch, entry, false)?;
                self.end_pending(entry.index());
            }
        }
        Ok(())
    }

    /// A member is left out. If the others waited for it, the one before it takes its place.
    pub(super) fn link_member_passed_over(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let index = entry.index();
        match self.group_of(entry) {
            Some(group) if matches!(group.leader, Leader::None) && group.last == Some(index) => {
                self.promote(entry)
            }
            _ => Ok(()),
        }
    }

    /// What is in a member's place cannot be removed. It is tried again when the others are linked.
    pub(super) fn link_member_blocked(&mut self, work: &Work<'_>) -> Result<()> {
        let index = work.index;
        match self.group_of(work.entry) {
            Some(group) if matches!(group.leader, Leader::None) && group.last != Some(index) => {
                self.wait_for_leader(work);
                Ok(())
            }
            _ => {
                self.link_leader_failed(index);
                self.link_member_passed_over(work.entry)
            }
        }
    }

    fn promote(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let Some(group) = self.group_of(entry) else { return Ok(()) };
        let Some((batch, position)) = group.waiting.pop() else { return Ok(()) };
        let Some(next) = batch.list.get(position) else { return Ok(()) };
        group.last = Some(next.index());
        group.leader = Leader::None;
        self.decide(&batch, next, false)?;
        self.end_pending(next.index());
        Ok(())
    }

    /// The source cannot send the leader: another is asked for.
    pub(super) fn link_leader_lost(&mut self, index: u32) -> Result<()> {
        let Some((batch, position)) = self.located(index) else { return Ok(()) };
        let Some(entry) = batch.list.get(position) else { return Ok(()) };
        self.promote(entry)
    }

    /// A member could not be written: if it leads, the others are not made.
    pub(super) fn link_leader_failed(&mut self, index: u32) {
        let Some((batch, position)) = self.located(index) else { return };
        let Some(entry) = batch.list.get(position) else { return };
        let Some(group) = self.group_of(entry) else { return };
        let leads = match group.leader {
            Leader::None => group.last == Some(index),
            Leader::Requested(leader) => leader == index,
            Leader::Placed(_) => false,
        };
        if !leads {
            return;
        }
        let waiting = std::mem::take(&mut group.waiting);
        for (batch, position) in waiting {
            if let Some(entry) = batch.list.get(position) {
                self.end_pending(entry.index());
            }
        }
    }

    /// Makes an entry another name of the object at `leader`.
    pub(super) fn link_to(&mut self, mut work: Work<'_>, leader: &[u8]) -> Result<()> {
        let context = self.context;
        let link = ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS;
        let item = |flags: ItemFlags, name: &[u8]| Item {
            flags: flags | link,
            basis: None,
            name: Some(name.to_vec()),
        };
        let text = || {
            let path = work.path.as_bytes();
            [b"[generator] hard link ", path, b" => ", leader].concat()
        };
        context.monitor.trace(Debug::Hlink, 1, text);
        let existing = work.stat;
        let leader_path = checked(leader)?;
        let leader_place = context.root().map(|root| root.place(leader_path));
        let reached = leader_place.as_ref().ok().and_then(|place| place.as_ref().ok());
        let other = reached.and_then(|place| place.stat().ok());
        let is_linked = existing.zip(other).is_some_and(|(stat, other)| stat.is_same_inode(&other));
        let told = if let Some(stat) = &existing {
            let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
            // Lists and attributes are the leader's, which has what it shall have or soon will.
            let own = if context.is_dry() { None } else { reached };
            let flags = match own {
                Some(place) => context.differences(work.entry, Some(place), stat, mode, !is_linked),
                None => work.differences(context, stat, mode, !is_linked),
            };
            item(flags, leader)
        } else {
            let stat = other.filter(|_| !context.is_dry());
            self.told_of_new_link(&work, leader_path, stat.as_ref(), item)
        };
        if is_linked {
            self.report_item(&work, &item(told.flags, b""))?;
            return self.was_linked(&work);
        }
        if let Some(stat) = &existing {
            if stat.is_dir() {
                if !self.clear_way(&work, stat, kind_words(work.entry.kind()))? {
                    return Ok(());
                }
                work.stat = None;
            } else if !context.is_dry() && !self.back_up_replaced(&work, stat)? {
                return Ok(());
            }
        }
        if context.is_dry() {
            return self.report_item(&work, &told);
        }
        let leader_place = match leader_place? {
            Ok(place) => place,
            Err(error) => return context.failed(Role::Generator, &error),
        };
        let place = work.place()?;
        let object = NewObject::HardLink { to: &leader_place };
        let made = if work.stat.is_some() {
            context.temporaries.replace(&place, &object)
        } else {
            place.create(&object)
        };
        if let Err(error) = made {
            let shown = context.destination.show(work.name());
            let target = context.destination.show(leader);
            context.fail(&[
                b"rsync: [generator] link \"",
                &shown,
                b"\" => ",
                &target,
                b" failed: ",
                error.reason().as_bytes(),
            ]);
            return Ok(());
        }
        context.note_change();
        self.report_item(&work, &told)?;
        self.was_linked(&work)
    }

    /// What is told of a link where nothing was. If nobody had to wait it is compared with its own basis: with
    /// `--link-dest` nothing is new if that is the very object that the leader is, else what differs from it is told.
    fn told_of_new_link(
        &mut self,
        work: &Work<'_>,
        leader: RelPath<'_>,
        leader_stat: Option<&Stat>,
        item: impl Fn(ItemFlags, &[u8]) -> Item,
    ) -> Item {
        let name = leader.as_bytes();
        let waits = !self.context.is_dry();
        let waited = self.group_of(work.entry).is_some_and(|group| group.fetched && waits);
        let basis = if waited { None } else { self.basis_of_link(work, leader) };
        match (basis, self.context.alternates()) {
            (Some(basis), Some(AltDestKind::Link)) => {
                let is_leader = leader_stat
                    .or(basis.of_leader.as_ref())
                    .is_some_and(|stat| stat.is_same_inode(&basis.stat));
                let new = item(ItemFlags::IS_NEW, name);
                if is_leader { item(ItemFlags::default(), b"") } else { new }
            }
            (Some(basis), Some(_)) => item(basis.flags, name),
            _ => item(ItemFlags::IS_NEW, name),
        }
    }

    fn was_linked(&mut self, work: &Work<'_>) -> Result<()> {
        if self.context.options().select.remove_source == Some(RemoveSource::Sent) {
            return Ok(());
        }
        self.succeed(work.entry, work.path.as_bytes())
    }
}

/// What stock calls a new object of a kind.
pub(super) fn kind_words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::BlockDevice | FileKind::CharacterDevice => "device file",
        FileKind::Fifo | FileKind::Socket => "special file",
        FileKind::Regular | FileKind::Missing => "regular file",
    }
}

/// The kind of object on disk that an entry stands for.
pub(super) fn kind_on_disk(kind: FileKind) -> Kind {
    match kind {
        FileKind::Regular | FileKind::Missing => Kind::File,
        FileKind::Directory => Kind::Directory,
        FileKind::Symlink => Kind::Symlink,
        FileKind::BlockDevice => Kind::BlockDevice,
        FileKind::CharacterDevice => Kind::CharDevice,
        FileKind::Fifo => Kind::Fifo,
        FileKind::Socket => Kind::Socket,
    }
}

/// Whether a removal made room.
pub(super) fn made_room(removal: Removal) -> bool {
    removal == Removal::Gone
}
