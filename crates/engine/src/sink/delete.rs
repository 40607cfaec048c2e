//! Removing what the source does not have (docs/spec behaviour.md 16, 17).

use syncline_filter::{Filter, Name, RuleFiles};
use syncline_fs::{BackupFor, Dir, Errno, Kind, Object, Place, RelPath, Stat};
use syncline_options::options::DeleteWhen;
use syncline_options::values::flags::Debug;
use syncline_wire::IoErrors;
use syncline_wire::list::{FileKind, NameParts, compare_names};

use super::collect::Batch;
use super::context::Context;
use super::destination::checked;
use crate::{Error, Event, ExitCode, Notice, Result, Role};

/// Deletes, and counts.
pub(crate) struct Sweeper<'a> {
    context: &'a Context<'a>,
    filter: Filter,
    files: &'a mut (dyn RuleFiles + Send),
    /// File system the transfer stays on (`-x`).
    device: Option<u64>,
    removed: u32,
    over_limit: u32,
    counts: [u32; 5],
    told_suppressed: bool,
    /// What `--delete-delay` found.
    collected: Vec<(Vec<u8>, Stat)>,
}

/// What became of an object that was to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Removal {
    Gone,
    Stays,
}

/// How a removal came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    /// It is surplus itself.
    Top,
    /// It lies in a directory that is to go.
    Inside,
}

impl<'a> Sweeper<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        mut filter: Filter,
        files: &'a mut (dyn RuleFiles + Send),
    ) -> Self {
        filter.set_root(&context.destination.shown);
        filter.set_role("generator");
        let stays = context.options().select.one_file_system > 0;
        let device = context
            .destination
            .root
            .as_ref()
            .filter(|_| stays)
            .and_then(|root| root.top().stat(RelPath::ROOT).ok().map(|stat| stat.dev));
        Self {
            context,
            filter,
            files,
            device,
            removed: 0,
            over_limit: 0,
            counts: [0; 5],
            told_suppressed: false,
            collected: Vec::new(),
        }
    }

    /// Regular files, directories, symlinks, devices, specials.
    pub(crate) fn counts(&self) -> [u32; 5] {
        self.counts
    }

    /// Whether a daemon's own rules keep a name out.
    pub(crate) fn daemon_excludes(&self, path: &[u8], is_directory: bool) -> bool {
        self.filter.daemon_excludes_name(&Name { is_directory, ..Name::file(path) })
    }

    /// Deletes, or notes for later, what is in the directory and not in the list.
    pub(crate) fn sweep(
        &mut self,
        path: RelPath<'_>,
        directory: &Dir,
        batch: &Batch,
    ) -> Result<()> {
        if self.is_suppressed() {
            return Ok(());
        }
        self.enter(path)?;
        let protocol = self.context.terms.protocol;
        let mut name_path = Vec::new();
        let listed = |name: &[u8], scratch: &mut Vec<u8>| {
            put_child(path, name, scratch);
            batch.list.find(scratch, false, protocol).is_some()
                || batch.list.find(scratch, true, protocol).is_some()
        };
        let listing = directory.list(path, |name, _| !listed(name.as_bytes(), &mut name_path));
        let listing = match listing {
            Ok(listing) => listing,
            Err(error) => return self.cannot_read(&error),
        };
        let mut surplus: Vec<(Vec<u8>, Stat)> = Vec::new();
        for entry in listing.iter() {
            // One that vanished meanwhile is gone already.
            let Ok(stat) = entry.stat else { continue };
            put_child(path, entry.name.as_bytes(), &mut name_path);
            if self.is_protected(&name_path, &stat, false) {
                continue;
            }
            surplus.push((name_path.clone(), stat));
        }
        if let Some(error) = &listing.error {
            self.cannot_read(error)?;
        }
        sort_last_first(&mut surplus, protocol);
        let text = || {
            let count = surplus.len();
            [format!("[generator] {count} to delete in ").as_bytes(), path.as_bytes()].concat()
        };
        self.context.monitor.trace(Debug::Del, 2, text);
        if self.context.delete_when == DeleteWhen::Delay {
            self.collected.extend(surplus);
            return Ok(());
        }
        for (path, stat) in surplus {
            let place = directory.place(checked(&path)?);
            self.remove(&place, &stat, Depth::Top)?;
        }
        Ok(())
    }

    /// Deletes what was noted.
    pub(crate) fn delete_collected(&mut self) -> Result<()> {
        let collected = std::mem::take(&mut self.collected);
        for (path, _) in collected {
            let path = checked(&path)?;
            self.enter(path.parent())?;
            let Ok(place) = self.context.root()?.place(path) else { continue };
            let Ok(stat) = place.stat() else { continue };
            self.remove(&place, &stat, Depth::Top)?;
        }
        Ok(())
    }

    /// Deletes one name that the source does not have any more (`--delete-missing-args`).
    pub(crate) fn delete_one(&mut self, place: &Place<'_>, stat: &Stat) -> Result<()> {
        self.enter(place.path().parent())?;
        let directory = stat.is_dir();
        let name = place.path().as_bytes();
        if self.filter.excludes(&Name { is_directory: directory, ..Name::file(name) }) {
            return Ok(());
        }
        if directory && !self.context.may_empty_directories() && !is_empty(place) {
            self.context.monitor.notice(Notice::CannotDeleteNonEmpty(name));
            return Ok(());
        }
        self.remove(place, stat, Depth::Top).map(drop)
    }

    /// Makes room for another kind of object: a directory goes if it is empty or may be emptied.
    pub(crate) fn make_way(&mut self, place: &Place<'_>, stat: &Stat) -> Result<Removal> {
        let context = self.context;
        if stat.is_dir() {
            return self.make_way_of_directory(place);
        }
        if let Some(backups) = &context.backups
            && !backups.is_backup(place.path().as_bytes())
        {
            match backups.keep(context, place, stat, BackupFor::Deleting) {
                Ok(true) => return Ok(Removal::Gone),
                Ok(false) => {}
                Err(error) => {
                    context.failed(Role::Generator, &error)?;
                    return Ok(Removal::Stays);
                }
            }
        }
        if context.is_dry() {
            return Ok(Removal::Gone);
        }
        match place.unlink_if_present() {
            Ok(()) => {
                context.note_change();
                Ok(Removal::Gone)
            }
            Err(error) => {
                context.failed(Role::Generator, &error)?;
                Ok(Removal::Stays)
            }
        }
    }

    fn make_way_of_directory(&mut self, place: &Place<'_>) -> Result<Removal> {
        let context = self.context;
        let stays = || {
            context.monitor.notice(Notice::CannotDeleteNonEmpty(place.path().as_bytes()));
            Ok(Removal::Stays)
        };
        if context.may_empty_directories() {
            self.enter(place.path().parent())?;
            if self.empty(place)? == Removal::Stays {
                return stays();
            }
        } else if context.is_dry() && !is_empty(place) {
            return stays();
        }
        if context.is_dry() {
            return Ok(Removal::Gone);
        }
        match context.root()?.remove_directory(place.path()) {
            Ok(()) => {
                context.note_change();
                Ok(Removal::Gone)
            }
            Err(error) if is_not_empty(&error) => stays(),
            Err(error) => {
                context.failed(Role::Generator, &error)?;
                Ok(Removal::Stays)
            }
        }
    }

    /// Tells what the limit spared, once, at the end.
    pub(crate) fn tell_limit(&mut self) {
        if self.over_limit == 0 {
            return;
        }
        let count = self.over_limit;
        self.context
            .monitor
            .warn(format!("Deletions stopped due to --max-delete limit ({count} skipped)"));
        self.context.monitor.tally().add_io_errors(IoErrors::DELETE_LIMIT);
    }

    // ---- judging ----

    /// Follows the walk: per-directory rules are those of the destination, as they are now.
    fn enter(&mut self, directory: RelPath<'_>) -> Result<()> {
        if !self.filter.reads_directories() {
            return Ok(());
        }
        self.filter
            .move_to(directory.as_bytes(), self.files)
            .map_err(|error| Error::fatal(ExitCode::new(error.exit_code()), error.to_string()))
    }

    fn is_protected(&self, path: &[u8], stat: &Stat, doomed: bool) -> bool {
        let is_directory = stat.is_dir();
        let name = Name { is_directory, in_doomed_directory: doomed, ..Name::file(path) };
        if let Some(decision) = self.filter.decide(&name) {
            if self.context.options().output.debug.level(Debug::Filter) > 0 {
                let kind = if is_directory { "directory" } else { "file" };
                let text = self.filter.explain(kind, path, &decision);
                self.context.monitor.notice(Notice::FilterDecision(&text));
            }
            if decision.excludes() {
                return true;
            }
        }
        let mounted = is_directory && self.device.is_some_and(|device| device != stat.dev);
        if mounted {
            self.context.monitor.notice(Notice::CannotDeleteMountPoint(path));
        }
        mounted
    }

    /// Whether errors at the source forbid deletions; the first time that is told.
    pub(crate) fn is_suppressed(&mut self) -> bool {
        let errors = self.context.monitor.tally().io_errors();
        let suppressed =
            errors.contains(IoErrors::GENERAL) && !self.context.options().delete.ignore_errors;
        if suppressed && !std::mem::replace(&mut self.told_suppressed, true) {
            self.context.monitor.notice(Notice::DeletionSkipped);
        }
        suppressed
    }

    fn is_at_limit(&self) -> bool {
        self.context.options().delete.max.is_some_and(|most| self.removed >= most)
    }

    fn cannot_read(&mut self, error: &syncline_fs::Error) -> Result<()> {
        self.context.monitor.tally().add_io_errors(IoErrors::GENERAL);
        self.context.failed(Role::Generator, error)
    }

    // ---- removing ----

    fn remove(&mut self, place: &Place<'_>, stat: &Stat, depth: Depth) -> Result<Removal> {
        if stat.is_dir() {
            return self.remove_directory(place, stat, depth);
        }
        if self.is_at_limit() {
            self.over_limit += 1;
            return Ok(Removal::Stays);
        }
        let path = place.path().as_bytes();
        let context = self.context;
        let backups = context.backups.as_ref().filter(|backups| !backups.is_backup(path));
        if let Some(backups) = backups {
            match backups.keep(context, place, stat, BackupFor::Deleting) {
                Ok(true) => {
                    self.count(stat);
                    context.monitor.tell(&Event::Deleted { path, directory: false });
                    return Ok(self.after_backup());
                }
                Ok(false) => {}
                Err(error) => {
                    context.failed(Role::Generator, &error)?;
                    return Ok(Removal::Stays);
                }
            }
        }
        if !context.is_dry() {
            match place.unlink() {
                Ok(()) => context.note_change(),
                Err(error) if error.is_missing() => return Ok(Removal::Gone),
                Err(error) => return self.cannot_delete("unlink", path, &error),
            }
        }
        self.count(stat);
        context.monitor.tell(&Event::Deleted { path, directory: false });
        Ok(Removal::Gone)
    }

    /// A backup in the same directory keeps that directory alive.
    fn after_backup(&self) -> Removal {
        let beside = self.context.options().data.backup_dir.is_none();
        if beside { Removal::Stays } else { Removal::Gone }
    }

    fn remove_directory(
        &mut self,
        place: &Place<'_>,
        stat: &Stat,
        depth: Depth,
    ) -> Result<Removal> {
        let context = self.context;
        let path = place.path();
        if self.empty(place)? == Removal::Stays {
            let notice = Notice::CannotDeleteNonEmpty(path.as_bytes());
            context.monitor.notice(notice);
            // One inside another is tried all the same (cli.md 15.1).
            if depth == Depth::Inside {
                if self.is_at_limit() {
                    self.over_limit += 1;
                } else if context.is_dry() {
                    self.count(stat);
                    context
                        .monitor
                        .tell(&Event::Deleted { path: path.as_bytes(), directory: true });
                } else {
                    context.monitor.notice(notice);
                }
            }
            return Ok(Removal::Stays);
        }
        if self.is_at_limit() {
            self.over_limit += 1;
            return Ok(Removal::Stays);
        }
        if !context.is_dry() {
            match context.root()?.remove_directory(path) {
                Ok(()) => context.note_change(),
                Err(error) if error.is_missing() => return Ok(Removal::Gone),
                Err(error) if is_not_empty(&error) => {
                    context.monitor.notice(Notice::CannotDeleteNonEmpty(path.as_bytes()));
                    return Ok(Removal::Stays);
                }
                Err(error) => return self.cannot_delete("rmdir", path.as_bytes(), &error),
            }
        }
        self.count(stat);
        context.monitor.tell(&Event::Deleted { path: path.as_bytes(), directory: true });
        Ok(Removal::Gone)
    }

    /// Deletes all that may be deleted in a directory; whether it is empty then.
    fn empty(&mut self, place: &Place<'_>) -> Result<Removal> {
        let path = place.path();
        self.lend_write_permission(place);
        let opened = place
            .open_directory()
            .and_then(|directory| Ok((directory.list(path, |_, _| true)?, directory)));
        let (listing, directory) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.cannot_read(&error).map(|()| Removal::Stays),
        };
        self.enter(path)?;
        let mut children: Vec<(Vec<u8>, Stat)> = Vec::new();
        let mut result = Removal::Gone;
        let mut child = Vec::new();
        for entry in listing.iter() {
            let Ok(stat) = entry.stat else { continue };
            put_child(path, entry.name.as_bytes(), &mut child);
            if self.is_protected(&child, &stat, true) {
                result = Removal::Stays;
            } else {
                children.push((child.clone(), stat));
            }
        }
        sort_last_first(&mut children, self.context.terms.protocol);
        for (path, stat) in children {
            let child = directory.place(checked(&path)?);
            if self.remove(&child, &stat, Depth::Inside)? == Removal::Stays {
                result = Removal::Stays;
            }
            self.enter(place.path())?;
        }
        Ok(result)
    }

    /// A plain user's own read-only directory can be emptied all the same (behaviour.md 17.4).
    fn lend_write_permission(&self, place: &Place<'_>) {
        if self.context.is_dry() || !self.context.keep.is_plain() {
            return;
        }
        if let Ok(stat) = place.stat()
            && stat.mode & 0o200 == 0
        {
            // Refused: the deletions below will tell.
            let _ = Object::from(place).set_mode(stat.permissions() | 0o200);
        }
    }

    fn cannot_delete(
        &self,
        call: &str,
        path: &[u8],
        error: &syncline_fs::Error,
    ) -> Result<Removal> {
        let reason = error.reason();
        self.context.fail(&[
            b"rsync: [generator] delete_file: ",
            call.as_bytes(),
            b"(",
            path,
            b") failed: ",
            reason.as_bytes(),
        ]);
        Ok(Removal::Stays)
    }

    fn count(&mut self, stat: &Stat) {
        self.removed += 1;
        let (slot, kind) = match stat.kind() {
            Kind::Directory => (1, FileKind::Directory),
            Kind::Symlink => (2, FileKind::Symlink),
            Kind::CharDevice | Kind::BlockDevice => (3, FileKind::CharacterDevice),
            Kind::Fifo | Kind::Socket => (4, FileKind::Fifo),
            Kind::File | Kind::Unknown => (0, FileKind::Regular),
        };
        self.counts[slot] += 1;
        self.context.monitor.tally().deleted.add(kind);
    }
}

/// Reverse order of a list: directories first, each group from its last name on (behaviour.md 17.3).
fn sort_last_first(names: &mut [(Vec<u8>, Stat)], protocol: syncline_wire::Protocol) {
    names.sort_by(|(a, a_stat), (b, b_stat)| {
        let a = NameParts::new(a, a_stat.is_dir());
        compare_names(NameParts::new(b, b_stat.is_dir()), a, protocol)
    });
}

fn put_child(directory: RelPath<'_>, name: &[u8], path: &mut Vec<u8>) {
    path.clear();
    if !directory.is_root() {
        path.extend_from_slice(directory.as_bytes());
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn is_empty(place: &Place<'_>) -> bool {
    let mut empty = true;
    let read = place
        .open_directory()
        .and_then(|directory| directory.read_names(place.path(), |_, _| empty = false));
    read.is_ok() && empty
}

fn is_not_empty(error: &syncline_fs::Error) -> bool {
    matches!(error.errno(), Some(Errno::NOTEMPTY | Errno::EXIST))
}
