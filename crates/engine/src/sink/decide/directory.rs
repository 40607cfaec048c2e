//! Directories (docs/spec behaviour.md 5).

use syncline_fs::{Errno, Object, Stat};
use syncline_options::options::DeleteWhen;
use syncline_wire::ItemFlags;
use syncline_wire::list::DirectoryRole;

use crate::sink::attributes::Times;
use crate::sink::collect::is_content;
use crate::sink::generate::{Finish, Generator, Work};
use crate::{Notice, Problem, Result, Role, Severity};

/// What the owner needs to work in a directory.
const OWNER: u32 = 0o700;

impl Generator<'_> {
    pub(in crate::sink) fn directory(&mut self, mut work: Work<'_>) -> Result<()> {
        let context = self.context;
        let options = context.options();
        // With --relative the parents of a name come whether or not directories are copied.
        if !options.select.takes_dirs() && !options.select.is_relative() {
            context.monitor.notice(Notice::SkippingDirectory(work.name()));
            return self.passed_over(work.entry, work.path.as_bytes());
        }
        let implied = work.entry.role() == DirectoryRole::Implied;
        if implied && !options.select.implied_dirs {
            // Where it is missing and needed it is made, and that is all.
            return Ok(());
        }
        if let Some(stat) = work.stat.filter(|stat| !stat.is_dir()) {
            if !self.clear_way(&work, &stat, "directory")? {
                return self.passed_over(work.entry, work.path.as_bytes());
            }
            work.stat = None;
        }
        // Old versions may sort a name before the root, which then is no longer new (cli.md 10).
        let root_is_new = work.path.is_root()
            && context.destination.created
            && (context.terms.protocol.has_item_flags() || work.index == work.batch.list.first());
        match work.stat.filter(|_| !root_is_new) {
            Some(stat) => self.existing_directory(&work, stat),
            None => self.new_directory(&work),
        }
    }

    fn existing_directory(&mut self, work: &Work<'_>, stat: Stat) -> Result<()> {
        let context = self.context;
        let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
        let flags = work.differences(context, &stat, mode, false);
        if context.is_dry() {
            self.sweep_during(work)?;
            return self.report(work, flags);
        }
        let final_mode = mode.unwrap_or_else(|| stat.permissions());
        let lent = self.lends(final_mode).then_some(final_mode | OWNER);
        self.report(work, flags)?;
        let fixed = if work.linked {
            self.fix_linked(work, &stat, mode)?
        } else {
            self.fix_attributes(work, &stat, lent.or(mode), Times::Differing)?
        };
        if !fixed {
            // Its time has still to be set, as if something had changed in it.
            context.note_change();
        }
        if fixed || lent.is_none() {
            self.finish_later(Finish {
                path: work.path.as_bytes().to_vec(),
                mode: lent.map(|_| final_mode),
                mtime: self.directory_time(work.entry),
            });
        }
        self.sweep_during(work)
    }

    fn new_directory(&mut self, work: &Work<'_>) -> Result<()> {
        let context = self.context;
        let matched = self.match_directory(work)?;
        let flags =
            ItemFlags::LOCAL_CHANGE | matched.unwrap_or_else(|| context.new_flags(work.entry));
        if context.is_dry() {
            self.note_absent(work.path.as_bytes());
            return self.report(work, flags);
        }
        let place = work.place()?;
        let parent = work.path.parent();
        let mode = context.keep.mode(work.entry, None, || context.creation_mask(parent));
        if !work.path.is_root() {
            let open = if self.waits_for_owner() { OWNER } else { 0o7777 };
            match place.make_directory(mode.unwrap_or(work.entry.mode()) & open) {
                Ok(()) => context.note_change(),
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => return self.directory_failed(work, &error),
            }
            self.note_fresh(work.path);
        }
        let stat = match place.stat() {
            Ok(stat) => stat,
            Err(error) => return self.directory_failed(work, &error),
        };
        let inherited = if context.keep.perms() { 0 } else { stat.mode & 0o2000 };
        let final_mode = mode.unwrap_or_else(|| stat.permissions()) | inherited;
        let lent = self.lends(final_mode).then_some(final_mode | OWNER);
        let wanted = lent.or(Some(final_mode));
        let dressed = context.keep.changes(work.entry, &stat, wanted);
        self.report(&Work { dressed, ..*work }, flags)?;
        let (object, how) = ((Object::from(&place), &stat), (wanted, Times::Exact));
        context.set_entry(Role::Generator, work.entry, object, how, work.name())?;
        self.finish_later(Finish {
            path: work.path.as_bytes().to_vec(),
            mode: lent.map(|_| final_mode),
            mtime: self.directory_time(work.entry),
        });
        if self.sweeps_now(work) {
            // There is nothing to delete, but that nothing will be is told here as anywhere.
            self.sweeper.is_suppressed();
        }
        Ok(())
    }

    /// A link that stands for a directory: both get the time, the directory gets the rest (behaviour.md 5.2).
    fn fix_linked(&self, work: &Work<'_>, stat: &Stat, mode: Option<u32>) -> Result<bool> {
        let context = self.context;
        let wanted = context.keep.attributes(work.entry, stat, mode, Times::Exact);
        let link = work.place()?;
        let time = syncline_fs::Attributes { mtime: wanted.mtime, ..Default::default() };
        if let Ok(own) = link.stat() {
            context.set_attributes(Role::Generator, &time, Object::from(&link), &own)?;
        }
        match context.root()?.open_directory_following(work.path) {
            Ok(directory) => {
                let here = directory.place(syncline_fs::RelPath::ROOT);
                let (object, how) = ((Object::from(&here), stat), (mode, Times::Exact));
                context.fix_entry(Role::Generator, work.entry, object, how)
            }
            Err(error) => context.failed(Role::Generator, &error).map(|()| false),
        }
    }

    /// Whether a plain user must be lent rights to work in a directory of this mode.
    fn lends(&self, mode: u32) -> bool {
        self.context.keep.is_plain() && mode & OWNER != OWNER
    }

    /// Whether a new directory is its maker's alone until it has its owner, also where it never gets it
    /// (behaviour.md 4.2).
    fn waits_for_owner(&self) -> bool {
        let context = self.context;
        context.terms.incremental() && context.keep.dir_times() && context.keep.gives_away()
    }

    fn directory_failed(&mut self, work: &Work<'_>, error: &syncline_fs::Error) -> Result<()> {
        let context = self.context;
        let shown = context.destination.show(work.name());
        context.failed_as(Role::Generator, "recv_generator: mkdir", &shown, error)?;
        self.contents_skipped(work)
    }

    /// A directory could not be made: told as an item all the same, as stock does.
    pub(in crate::sink) fn contents_skipped(&mut self, work: &Work<'_>) -> Result<()> {
        let text = "*** Skipping any contents from this failed directory ***";
        self.context.monitor.problem(Problem::new(Severity::Error, text));
        self.report(work, ItemFlags::LOCAL_CHANGE | ItemFlags::IS_NEW)?;
        self.passed_over(work.entry, work.path.as_bytes())
    }

    fn sweeps_now(&self, work: &Work<'_>) -> bool {
        matches!(self.context.delete_when, DeleteWhen::During | DeleteWhen::Delay)
            && is_content(work.entry.role())
            && self.context.destination.single.is_none()
    }

    /// `--delete-during` and the search of `--delete-delay`.
    fn sweep_during(&mut self, work: &Work<'_>) -> Result<()> {
        let context = self.context;
        if !self.sweeps_now(work) {
            return Ok(());
        }
        let directory = match context.root()?.directory(work.path) {
            Ok(directory) => directory,
            Err(error) => return context.failed(Role::Generator, &error),
        };
        self.sweeper.sweep(work.path, &directory, work.batch)
    }
}
