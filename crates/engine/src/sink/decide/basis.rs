//! `--compare-dest`, `--copy-dest`, `--link-dest` (docs/spec behaviour.md 9).

use syncline_fs::{Kind, NewObject, OpenSource, Place, RelPath, Stat, Time};
use syncline_options::options::AltDestKind;
use syncline_wire::{BasisType, Item, ItemFlags};

use super::file::Basis;
use super::is_alike;
use crate::link::Content;
use crate::sink::apply::{self, Incoming, Outcome};
use crate::sink::attributes::time_of;
use crate::sink::generate::{Generator, Work};
use crate::{Result, Role};

/// What the basis directories did for a regular file.
pub(super) enum FileMatch {
    /// It is finished.
    Done,
    /// Something to build it from.
    Basis(Basis),
    /// Nothing.
    None,
}

/// What they did for a symlink or node.
pub(super) enum ObjectMatch {
    /// It is finished.
    Done,
    /// It is to be made; this differs from the one that is there.
    Differs(ItemFlags),
    /// Nothing.
    None,
}

/// How well a candidate matches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    /// It is of the right kind.
    Alike,
    /// It has the right content.
    SameContent,
    /// Every attribute kept is the same too.
    Same,
}

/// What a basis directory has for a hard link.
pub(in crate::sink) struct LinkBasis {
    pub(in crate::sink) stat: Stat,
    pub(in crate::sink) flags: ItemFlags,
    /// What it has for the link's leader.
    pub(in crate::sink) of_leader: Option<Stat>,
}

struct Candidate {
    level: Level,
    number: usize,
    stat: Stat,
    flags: ItemFlags,
}

impl Generator<'_> {
    pub(super) fn match_file(&mut self, work: &Work<'_>, kind: AltDestKind) -> Result<FileMatch> {
        let context = self.context;
        let Some(candidate) = self.best_file(work) else { return Ok(FileMatch::None) };
        let Some(Some(root)) = context.destination.alternates.get(candidate.number) else {
            return Ok(FileMatch::None);
        };
        let Ok(place) = root.place(work.path) else { return Ok(FileMatch::None) };
        match (candidate.level, kind) {
            (Level::Same, AltDestKind::Link) => self.link_to_basis(work, &candidate, &place),
            (Level::Same, AltDestKind::Compare) => {
                if let (Some(_), false) = (&work.stat, context.is_dry()) {
                    match work.place()?.unlink() {
                        Ok(()) => context.note_change(),
                        Err(error) => context.failed(Role::Generator, &error)?,
                    }
                }
                self.report(work, ItemFlags::default())?;
                self.succeed(work.entry, work.path.as_bytes())?;
                self.link_member_passed_over(work.entry)?;
                Ok(FileMatch::Done)
            }
            (Level::Same | Level::SameContent, _) if work.stat.is_none() => {
                self.copy_from_basis(work, &candidate, &place)
            }
            (Level::Alike, _) if work.stat.is_none() => Ok(FileMatch::Basis(Basis {
                kind: BasisType::Alternate(candidate.number as u8),
                name: None,
                stat: candidate.stat,
                file: self.context.reading().open(&place).ok(),
            })),
            _ => Ok(FileMatch::None),
        }
    }

    fn best_file(&self, work: &Work<'_>) -> Option<Candidate> {
        self.best(work, |stat, place| {
            if stat.kind() != Kind::File {
                return None;
            }
            let same = self.is_unchanged(work, stat, place);
            Some(if same { Level::SameContent } else { Level::Alike })
        })
    }

    /// The file with the right content that a basis directory has for a hard link.
    pub(in crate::sink) fn basis_of_link(
        &self,
        work: &Work<'_>,
        leader: RelPath<'_>,
    ) -> Option<LinkBasis> {
        let candidate = self.best_file(work).filter(|best| best.level >= Level::SameContent)?;
        let root = self.context.destination.alternates.get(candidate.number)?.as_ref()?;
        let of_leader = root.place(leader).and_then(|place| place.stat()).ok();
        Some(LinkBasis { stat: candidate.stat, flags: candidate.flags, of_leader })
    }

    fn link_to_basis(
        &mut self,
        work: &Work<'_>,
        candidate: &Candidate,
        basis: &Place<'_>,
    ) -> Result<FileMatch> {
        let context = self.context;
        if work.stat.is_some_and(|stat| stat.is_same_inode(&candidate.stat)) {
            return Ok(FileMatch::None);
        }
        if !context.is_dry() {
            let place = work.place()?;
            if work.stat.is_some()
                && let Err(error) = place.unlink_if_present()
            {
                context.failed(Role::Generator, &error)?;
                return Ok(FileMatch::Done);
            }
            if place.create(&NewObject::HardLink { to: basis }).is_err() {
                // Another file system, too many links: a copy serves as well.
                return self.copy_from_basis(work, candidate, basis);
            }
            context.note_change();
        }
        self.report_item(work, &linked())?;
        self.placed_here(work)
    }

    fn copy_from_basis(
        &mut self,
        work: &Work<'_>,
        candidate: &Candidate,
        basis: &Place<'_>,
    ) -> Result<FileMatch> {
        let context = self.context;
        let mode = context.keep.mode(work.entry, Some(candidate.stat.mode), || 0);
        let differs = context.differences(work.entry, Some(basis), &candidate.stat, mode, true);
        let item = Item::new(ItemFlags::LOCAL_CHANGE | differs);
        if !context.is_dry() {
            // Stock leaves a trace here, even with --open-noatime.
            let source = match OpenSource::default().open(basis) {
                Ok(source) => source,
                Err(error) => {
                    let path = work.path.as_bytes();
                    let shown = context.destination.show_alternate(candidate.number, path);
                    context.unopened_basis(&shown, &error);
                    return Ok(FileMatch::None);
                }
            };
            let incoming = Incoming {
                entry: work.entry,
                item: &item,
                path: work.path.as_bytes(),
                known: Some(None),
                redo: false,
                counts: None,
            };
            let applied = apply::receive(context, incoming, Content::File(&source, None))?;
            if applied.outcome == Outcome::Failed {
                return Ok(FileMatch::Done);
            }
        }
        // A server that has no item flags to send names it for the attributes that had to be set.
        let copied = Stat { mtime: Time::default(), ..candidate.stat };
        if context.terms.protocol.has_item_flags()
            || context.job.place != crate::Place::Server
            || context.is_dry()
            || context.keep.changes(work.entry, &copied, mode)
        {
            self.report_item(work, &item)?;
        }
        self.placed_here(work)
    }

    fn placed_here(&mut self, work: &Work<'_>) -> Result<FileMatch> {
        if self.context.is_dry() {
            self.leader_would_be_placed(work)?;
        } else {
            self.placed(work.index)?;
        }
        Ok(FileMatch::Done)
    }

    /// A dry run tells of links as if their leader were there.
    pub(super) fn leader_would_be_placed(&mut self, work: &Work<'_>) -> Result<()> {
        self.link_leader_placed(work.entry, work.path.as_bytes())
    }

    /// A symlink with this target, or a node like the entry.
    pub(super) fn match_object(
        &mut self,
        work: &Work<'_>,
        target: Option<&[u8]>,
    ) -> Result<ObjectMatch> {
        let context = self.context;
        let Some(kind) = context.alternates() else { return Ok(ObjectMatch::None) };
        let device = work.entry.device().map(|device| (device.major, device.minor));
        let best = self.best(work, |stat, place| {
            let alike = is_alike(stat, work.entry.kind());
            let same = match target {
                Some(target) => place.read_kept_link().is_ok_and(|now| now == target),
                None => {
                    !work.entry.kind().is_device()
                        || Some((stat.rdev.major, stat.rdev.minor)) == device
                }
            };
            alike.then_some(if same { Level::SameContent } else { Level::Alike })
        });
        let Some(candidate) = best else { return Ok(ObjectMatch::None) };
        let root = context.destination.alternates.get(candidate.number).and_then(Option::as_ref);
        let Some(basis) = root.and_then(|root| root.place(work.path).ok()) else {
            return Ok(ObjectMatch::None);
        };
        if candidate.level != Level::Same {
            let mode = context.keep.mode(work.entry, Some(candidate.stat.mode), || 0);
            let flags = context.differences(work.entry, Some(&basis), &candidate.stat, mode, true);
            return Ok(ObjectMatch::Differs(flags | ItemFlags::REPORT_CHANGE));
        }
        if kind == AltDestKind::Copy {
            return Ok(ObjectMatch::Differs(ItemFlags::default()));
        }
        if kind == AltDestKind::Compare {
            self.report(work, ItemFlags::default())?;
            return Ok(ObjectMatch::Done);
        }
        if !context.is_dry() {
            if work.place()?.create(&NewObject::HardLink { to: &basis }).is_err() {
                return Ok(ObjectMatch::Differs(candidate.flags));
            }
            context.note_change();
        }
        self.report_item(work, &linked())?;
        self.link_leader_placed(work.entry, work.path.as_bytes())?;
        Ok(ObjectMatch::Done)
    }

    /// Basis directories only matter for what is told of a new directory.
    pub(super) fn match_directory(&mut self, work: &Work<'_>) -> Result<Option<ItemFlags>> {
        if self.context.alternates().is_none() {
            return Ok(None);
        }
        let best = self.best(work, |stat, _| stat.is_dir().then_some(Level::SameContent));
        Ok(best.map(|candidate| {
            let mut flags = candidate.flags;
            let times = self.context.options().attributes.times;
            let differs = !self.context.keep.same_time(time_of(work.entry), candidate.stat.mtime);
            if (times && differs) || (!times && flags != ItemFlags::default()) {
                flags = flags | ItemFlags::REPORT_TIME;
            }
            flags
        }))
    }

    /// The first candidate of the highest level.
    fn best(
        &self,
        work: &Work<'_>,
        level: impl Fn(&Stat, &Place<'_>) -> Option<Level>,
    ) -> Option<Candidate> {
        let context = self.context;
        let mut best: Option<Candidate> = None;
        for (number, root) in context.destination.alternates.iter().enumerate() {
            let Some(place) = root.as_ref().and_then(|root| root.place(work.path).ok()) else {
                continue;
            };
            let Ok(stat) = place.stat() else { continue };
            let Some(mut level) = level(&stat, &place) else { continue };
            let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
            let flags = context.differences(work.entry, Some(&place), &stat, mode, false);
            if level == Level::SameContent && flags == ItemFlags::default() {
                level = Level::Same;
            }
            if best.as_ref().is_none_or(|best| level > best.level) {
                best = Some(Candidate { level, number, stat, flags });
            }
            if level == Level::Same {
                break;
            }
        }
        best
    }
}

/// A link into a basis directory: no name is told.
fn linked() -> Item {
    Item {
        flags: ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS,
        basis: None,
        name: Some(Vec::new()),
    }
}
