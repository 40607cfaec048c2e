//! The generator: works through the lists, decides about each entry, asks for content, ends the phases
//! (docs/spec behaviour.md 4, session.md 11.1, filelist.md 8.6).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};
use syncline_fs::{Dir, Errno, Object, Place, RelPath, Stat, Time};
use syncline_options::options::{DeleteWhen, RemoveSource};
use syncline_options::values::flags::Debug;
use syncline_options::values::flags::Info;
use syncline_wire::list::{DirectoryRole, EntryRef, FileKind};

use super::apply::Outcome;
use super::attributes::time_of;
use super::collect::{Batch, is_content};
use super::commit;
use super::context::Context;
use super::decide::{Resembling, Rewritten};
use super::delete::Sweeper;
use super::destination::checked;
use super::extras::Undressed;
use super::groups::Groups;
use super::outlet::{Outlet, Report};
pub(super) use super::work::Work;
use crate::{Error, Problem, Result, Role, Severity};

/// Lists with fewer entries than this are not begun while more may come that hold links to the same files.
const LINK_LOOK_AHEAD: usize = 500;

/// Decides.
pub(crate) struct Generator<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) outlet: Box<dyn Outlet + 'a>,
    inbox: Receiver<Report>,
    pub(super) sweeper: Sweeper<'a>,
    pub(super) groups: Groups,
    /// Lists that wait to be worked through.
    waiting: VecDeque<Arc<Batch>>,
    /// Lists in work, or with something under way.
    open: VecDeque<Open>,
    lists_ended: bool,
    phases_heard: u8,
    /// Entries that are to be asked for again once this can be.
    redo: Vec<u32>,
    /// A list is being worked through: nothing is asked for again before its end.
    deciding: bool,
    delayed: Vec<(Arc<Batch>, usize)>,
    here: Here,
    /// Directories that were passed over or failed.
    skipped: HashSet<Vec<u8>>,
    /// Directories a dry run would have made.
    absent: HashSet<Vec<u8>>,
    /// The topmost directory made by this run around the current one: nothing is there but what we put there.
    fresh: Option<Vec<u8>>,
    finishes: Vec<Finish>,
    /// What `--fuzzy` may choose from in the current directory.
    pub(super) resembling: Option<Resembling>,
    pub(super) rewritten: Rewritten,
    /// Items are told even where nothing differs.
    pub(super) tells_all: bool,
    /// Values of attributes asked for: set and number.
    pub(super) asked: HashSet<(u32, u32)>,
    /// Objects of a local run; far sources answer first, and the receiving thread does it.
    pub(super) undressed: Vec<Undressed>,
    /// The current entry's path; kept for its room.
    path: Vec<u8>,
}

/// A list in work.
struct Open {
    batch: Arc<Batch>,
    /// Requests and waiting links.
    pending: usize,
}

/// The directory of the current entry.
#[derive(Debug, Default)]
struct Here {
    path: Vec<u8>,
    state: HereState,
}

#[derive(Clone, Debug, Default)]
enum HereState {
    #[default]
    Unknown,
    Held(Dir),
    /// A dry run would have made it.
    Absent,
    /// Nothing in it is looked at.
    Skipped,
    /// Something that may not be touched has its name.
    Blocked,
}

/// What is left to do to a directory when all in it is done.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) path: Vec<u8>,
    /// The mode it had to be lent others for.
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<Time>,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        outlet: Box<dyn Outlet + 'a>,
        inbox: Receiver<Report>,
        sweeper: Sweeper<'a>,
    ) -> Self {
        let output = &context.options().output;
        Self {
            context,
            outlet,
            inbox,
            sweeper,
            groups: Groups::default(),
            waiting: VecDeque::new(),
            open: VecDeque::new(),
            lists_ended: false,
            phases_heard: 0,
            redo: Vec::new(),
            deciding: false,
            delayed: Vec::new(),
            here: Here::default(),
            skipped: HashSet::new(),
            absent: HashSet::new(),
            fresh: context.destination.created.then(Vec::new),
            finishes: Vec::new(),
            resembling: None,
            rewritten: Rewritten::default(),
            asked: HashSet::new(),
            undressed: Vec::new(),
            tells_all: output.verbose >= 2
                || output.itemize >= 2
                || output.info.level(Info::Name) >= 2,
            path: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) -> Result<()> {
        let mut first = true;
        while let Some(batch) = self.next_batch()? {
            if std::mem::take(&mut first) && self.context.delete_when == DeleteWhen::Before {
                self.sweep_all(&batch)?;
            }
            self.work_through(&batch)?;
        }
        self.context.finish(&mut self.undressed)?;
        self.end_lists()?;
        self.end_phases()
    }

    // ---- lists ----

    fn next_batch(&mut self) -> Result<Option<Arc<Batch>>> {
        self.take_reports()?;
        loop {
            let options = self.context.options();
            // A batch goes on only when what it has brought is decided on.
            let looks_ahead = options.attributes.hard_links > 0 && options.batch.read.is_none();
            let enough = if looks_ahead { LINK_LOOK_AHEAD } else { 0 };
            let entries: usize = self.waiting.iter().map(|batch| batch.list.len()).sum();
            if self.lists_ended || (!self.waiting.is_empty() && entries >= enough) {
                // What went wrong at the source forbids deletions from the list on that tells of it.
                let looked_at = if looks_ahead { self.waiting.len() } else { 1 };
                for batch in self.waiting.iter().take(looked_at) {
                    self.context.monitor.tally().add_io_errors(batch.list.io_errors());
                }
                return Ok(self.waiting.pop_front());
            }
            self.hear()?;
        }
    }

    fn work_through(&mut self, batch: &Arc<Batch>) -> Result<()> {
        self.open.push_back(Open { batch: batch.clone(), pending: 0 });
        self.release()?;
        let incremental = self.context.terms.incremental();
        let directory = batch.directory.as_ref().and_then(|list| list.get(0));
        if let Some(directory) = directory.filter(|directory| directory.is_active()) {
            self.entry(batch, directory)?;
        }
        let ordered = self.context.options().connection.iconv.is_some();
        self.deciding = true;
        for rank in 0..batch.list.len() {
            let entry = if ordered { batch.list.at_rank(rank) } else { batch.list.get(rank) };
            let Some(entry) = entry.filter(|entry| entry.is_active()) else { continue };
            if incremental && entry.is_directory() {
                // Its turn comes with its own list.
                continue;
            }
            self.take_reports()?;
            self.entry(batch, entry)?;
            self.outlet.decided(entry.index());
        }
        self.deciding = false;
        if incremental { self.ask_for_all_again() } else { Ok(()) }
    }

    /// Ends the lists at the front that nothing is under way of, but never the one in work.
    fn release(&mut self) -> Result<()> {
        while self.open.len() > 1 && self.open.front().is_some_and(|open| open.pending == 0) {
            self.open.pop_front();
            self.outlet.done()?;
        }
        Ok(())
    }

    /// Waits for what is under way, where lists may only be ended when all of them is done.
    fn end_lists(&mut self) -> Result<()> {
        if self.context.terms.incremental() {
            loop {
                self.release()?;
                if self.open.iter().all(|open| open.pending == 0) {
                    break;
                }
                self.hear()?;
            }
        }
        self.outlet.done()
    }

    fn open_of(&mut self, index: u32) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| {
            let first = open.batch.list.first();
            (first..first + open.batch.list.len() as u32).contains(&index)
        })
    }

    pub(super) fn add_pending(&mut self, index: u32) {
        if let Some(open) = self.open_of(index) {
            open.pending += 1;
        }
    }

    pub(super) fn end_pending(&mut self, index: u32) {
        if let Some(open) = self.open_of(index) {
            open.pending = open.pending.saturating_sub(1);
        }
    }

    /// The entry an index stands for.
    pub(super) fn located(&mut self, index: u32) -> Option<(Arc<Batch>, usize)> {
        let open = self.open_of(index)?;
        let position = (index - open.batch.list.first()) as usize;
        Some((open.batch.clone(), position))
    }

    // ---- reports ----

    fn take_reports(&mut self) -> Result<()> {
        self.check_interrupt()?;
        loop {
            match self.inbox.try_recv() {
                Ok(report) => self.heard(report)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            }
        }
    }

    fn check_interrupt(&self) -> Result<()> {
        if self.context.job.interrupt.is_raised() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Waits for a report.
    fn hear(&mut self) -> Result<()> {
        self.check_interrupt()?;
        if let Ok(report) = self.inbox.try_recv() {
            return self.heard(report);
        }
        self.outlet.flush()?;
        let report = self.inbox.recv().map_err(|_| Error::Stopped)?;
        self.heard(report)
    }

    fn heard(&mut self, report: Report) -> Result<()> {
        match report {
            Report::List(batch) => {
                self.groups.expect(&batch);
                self.waiting.push_back(batch);
            }
            Report::ListsEnd => self.lists_ended = true,
            Report::Broken => return Err(Error::Stopped),
            Report::Phase => self.phases_heard += 1,
            Report::Finished { index, outcome } => self.finished(index, outcome)?,
            Report::NoSend(index) => {
                self.link_leader_lost(index)?;
                self.end_pending(index);
            }
        }
        Ok(())
    }

    fn finished(&mut self, index: u32, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Placed => {
                self.placed(index)?;
                self.end_pending(index);
            }
            Outcome::Delayed => {
                if let Some(located) = self.located(index) {
                    self.delayed.push(located);
                }
                self.end_pending(index);
            }
            Outcome::Redo if self.context.terms.incremental() && !self.deciding => {
                self.ask_again(index)?;
            }
            Outcome::Redo => self.redo.push(index),
            Outcome::Failed => {
                self.link_leader_failed(index);
                self.end_pending(index);
            }
        }
        self.release()
    }

    /// An entry is in place: links to it can be made, its source may go.
    pub(super) fn placed(&mut self, index: u32) -> Result<()> {
        let Some((batch, position)) = self.located(index) else { return Ok(()) };
        let Some(entry) = batch.list.get(position) else { return Ok(()) };
        let mut path = Vec::new();
        self.context.put_target(entry, &mut path);
        self.succeed(entry, &path)?;
        self.link_leader_placed(entry, &path)
    }

    /// An entry was right already. Old `--remove-sent-files` minds only what was sent.
    pub(super) fn was_right(&mut self, work: &Work<'_>) -> Result<()> {
        if self.context.options().select.remove_source != Some(RemoveSource::Sent) {
            self.succeed(work.entry, work.path.as_bytes())?;
        }
        self.link_leader_placed(work.entry, work.path.as_bytes())
    }

    /// Tells the source, if it waits for that to remove the original.
    pub(super) fn succeed(&mut self, entry: EntryRef<'_>, path: &[u8]) -> Result<()> {
        if self.context.removes_sources() {
            self.outlet.success(entry, path)?;
        }
        Ok(())
    }

    // ---- phases ----

    fn say_done(&mut self, said: &mut u8) -> Result<()> {
        *said += 1;
        self.outlet.done()
    }

    fn hear_phases(&mut self, count: u8) -> Result<()> {
        while self.phases_heard < count {
            self.hear()?;
        }
        Ok(())
    }

    fn end_phases(&mut self) -> Result<()> {
        let protocol = self.context.terms.protocol;
        let rounds = protocol.generator_rounds();
        let mut said = 1;
        self.hear_phases(1)?;
        let again = !self.redo.is_empty();
        self.ask_for_all_again()?;
        self.say_done(&mut said)?;
        if again || !self.delayed.is_empty() {
            self.hear_phases(2)?;
        }
        self.place_delayed()?;
        let late = matches!(self.context.delete_when, DeleteWhen::Delay | DeleteWhen::After);
        if rounds >= 4 {
            self.say_done(&mut said)?;
        }
        if late {
            self.hear_phases(rounds.min(4) - 1)?;
            self.sweep_late()?;
        }
        self.sweeper.tell_limit();
        if protocol.has_delete_stats() && self.context.may_empty_directories() {
            self.outlet.delete_stats(self.sweeper.counts())?;
        }
        if rounds >= 5 {
            self.say_done(&mut said)?;
        }
        self.hear_phases(rounds - 1)?;
        self.context.finish(&mut self.undressed)?;
        self.finish_directories()?;
        self.say_done(&mut said)?;
        self.outlet.flush()
    }

    fn ask_for_all_again(&mut self) -> Result<()> {
        let redo = std::mem::take(&mut self.redo);
        redo.into_iter().try_for_each(|index| self.ask_again(index))
    }

    /// Asks a second time for what failed verification (delta.md 9.3).
    fn ask_again(&mut self, index: u32) -> Result<()> {
        let Some((batch, position)) = self.located(index) else { return Ok(()) };
        let Some(entry) = batch.list.get(position) else { return Ok(()) };
        self.end_pending(index);
        self.decide(&batch, entry, true)
    }

    fn place_delayed(&mut self) -> Result<()> {
        let mut delayed = std::mem::take(&mut self.delayed);
        delayed.sort_by_key(|(batch, position)| batch.list.first() as usize + position);
        let mut path = Vec::new();
        for (batch, position) in delayed {
            let Some(entry) = batch.list.get(position) else { continue };
            self.context.put_target(entry, &mut path);
            match commit::place_delayed(self.context, &path)? {
                Outcome::Placed => self.placed(entry.index())?,
                _ => self.link_leader_failed(entry.index()),
            }
        }
        Ok(())
    }

    // ---- deletion ----

    /// Sweeps every content directory of a complete list.
    fn sweep_all(&mut self, batch: &Arc<Batch>) -> Result<()> {
        if self.context.destination.single.is_some() {
            return Ok(());
        }
        let mut path = Vec::new();
        for entry in batch.list.iter_sorted() {
            if !entry.is_active() || !entry.is_directory() || !is_content(entry.role()) {
                continue;
            }
            self.context.put_target(entry, &mut path);
            if self.skipped.contains(&path) {
                continue;
            }
            let Some(root) = &self.context.destination.root else { return Ok(()) };
            let relative = checked(&path)?;
            let is_directory =
                root.place(relative).and_then(|place| place.stat()).is_ok_and(|stat| stat.is_dir());
            if let (true, Ok(directory)) = (is_directory, root.directory(relative)) {
                if entry.role() == DirectoryRole::Top {
                    let text = || [b"deleting in ", &path[..]].concat();
                    self.context.monitor.trace(Debug::Del, 1, text);
                }
                self.sweeper.sweep(relative, &directory, batch)?;
            }
        }
        Ok(())
    }

    fn sweep_late(&mut self) -> Result<()> {
        if self.context.delete_when == DeleteWhen::Delay {
            return self.sweeper.delete_collected();
        }
        // Complete lists are never incremental: there is one.
        let batch = self.open.front().map(|open| open.batch.clone());
        batch.map_or(Ok(()), |batch| self.sweep_all(&batch))
    }

    // ---- directories' ends ----

    pub(super) fn finish_later(&mut self, finish: Finish) {
        if finish.mode.is_some() || finish.mtime.is_some() {
            self.finishes.push(finish);
        }
    }

    fn finish_directories(&mut self) -> Result<()> {
        let changed = self.context.has_changed();
        let finishes = std::mem::take(&mut self.finishes);
        if self.context.is_dry() || self.context.destination.single.is_some() {
            return Ok(());
        }
        for finish in finishes.iter().rev() {
            if finish.mode.is_none() && !changed {
                continue;
            }
            let path = checked(&finish.path)?;
            let Ok(place) = self.context.root()?.place(path) else { continue };
            // One that is gone by now has nothing to be finished.
            let Ok(stat) = place.stat() else { continue };
            if !stat.is_dir() {
                continue;
            }
            let wanted = syncline_fs::Attributes {
                mode: finish.mode,
                // Old versions know whole seconds only: those that are right stay.
                mtime: finish.mtime.filter(|time| !self.context.keep.same_time(*time, stat.mtime)),
                ..syncline_fs::Attributes::default()
            };
            self.context.set_attributes(Role::Generator, &wanted, Object::from(&place), &stat)?;
        }
        Ok(())
    }

    // ---- entries ----

    /// Decides about one entry of a list.
    fn entry(&mut self, batch: &Arc<Batch>, entry: EntryRef<'_>) -> Result<()> {
        let mut path = std::mem::take(&mut self.path);
        self.context.put_target(entry, &mut path);
        let decided = self.decide_at(batch, entry, &path, false);
        self.path = path;
        decided
    }

    /// Decides about an entry out of turn.
    pub(super) fn decide(
        &mut self,
        batch: &Arc<Batch>,
        entry: EntryRef<'_>,
        redo: bool,
    ) -> Result<()> {
        let mut path = Vec::new();
        self.context.put_target(entry, &mut path);
        self.decide_at(batch, entry, &path, redo)
    }

    /// The steps common to all kinds (behaviour.md 4.3).
    fn decide_at(
        &mut self,
        batch: &Arc<Batch>,
        entry: EntryRef<'_>,
        path: &[u8],
        redo: bool,
    ) -> Result<()> {
        let relative = checked(path)?;
        let text = || {
            let index = entry.index();
            [b"[generator] looking at ", path, format!(" ({index})").as_bytes()].concat()
        };
        self.context.monitor.trace(Debug::Genr, 1, text);
        let state = self.enter_directory(relative.parent())?;
        let directory = match &state {
            HereState::Skipped => return self.passed_over(entry, path),
            HereState::Held(directory) => Some(directory),
            HereState::Absent | HereState::Blocked | HereState::Unknown => None,
        };
        if self.sweeper.daemon_excludes(path, entry.is_directory()) {
            let kind: &[u8] = if entry.is_directory() { b"directory" } else { b"file" };
            self.context.fail(&[b"ERROR: daemon refused to receive ", kind, b" \"", path, b"\""]);
            if entry.is_directory() {
                let text = "*** Skipping any contents from this failed directory ***";
                self.context.monitor.problem(Problem::new(Severity::Error, text));
            }
            return self.passed_over(entry, path);
        }
        let mut work = Work {
            batch,
            entry,
            index: entry.index(),
            path: relative,
            directory,
            stat: None,
            linked: false,
            redo,
            dressed: false,
        };
        if matches!(state, HereState::Blocked) {
            return self.blocked(&work);
        }
        if let Some(held) = directory
            && (!self.is_fresh(relative) || redo)
        {
            match self.look(entry, &held.place(relative)) {
                Ok((stat, linked)) => (work.stat, work.linked) = (stat, linked),
                Err(error) => {
                    if error.errno() == Some(Errno::LOOP) {
                        self.keep_link(entry, &held.place(relative))?;
                    }
                    let shown = self.context.destination.show(path);
                    let words = "recv_generator: failed to stat";
                    self.context.failed_as(Role::Generator, words, &shown, &error)?;
                    return self.passed_over(entry, path);
                }
            }
        }
        if !redo && self.is_unwanted(&work)? {
            if work.stat.is_some_and(|stat| entry.is_directory() && !stat.is_dir()) {
                // What belongs into the directory will say that it cannot be placed.
                self.here.state = HereState::Unknown;
                return Ok(());
            }
            return self.passed_over(entry, path);
        }
        match entry.kind() {
            FileKind::Missing => self.missing_argument(&work),
            FileKind::Directory => self.directory(work),
            FileKind::Regular => self.file(work),
            FileKind::Symlink => self.symlink(work),
            _ => self.node(work),
        }
    }

    /// The object of that name; a directory entry may stand for a link to one (`-K`).
    fn look(
        &self,
        entry: EntryRef<'_>,
        place: &Place<'_>,
    ) -> Result<(Option<Stat>, bool), syncline_fs::Error> {
        let stat = place.stat_if_present()?;
        let follows = self.context.options().attributes.keep_dirlinks;
        let is_link = stat.as_ref().is_some_and(|stat| stat.kind() == syncline_fs::Kind::Symlink);
        if follows
            && is_link
            && entry.is_directory()
            && let Ok(root) = self.context.root()
        {
            match root.stat_following(place.path()) {
                Ok(target) if target.is_dir() => return Ok((Some(target), true)),
                // It leads out of the tree: it stays, and what is below it cannot be reached.
                Err(error) if error.errno() == Some(Errno::LOOP) => return Err(error),
                _ => {}
            }
        }
        Ok((stat, false))
    }

    /// A link that stays in the place of a directory gets the directory's time (behaviour.md 5.2).
    fn keep_link(&self, entry: EntryRef<'_>, place: &Place<'_>) -> Result<()> {
        let (Some(mtime), false) = (self.directory_time(entry), self.context.is_dry()) else {
            return Ok(());
        };
        let Ok(stat) = place.stat() else { return Ok(()) };
        let wanted = syncline_fs::Attributes { mtime: Some(mtime), ..Default::default() };
        self.context.set_attributes(Role::Generator, &wanted, Object::from(place), &stat).map(drop)
    }

    /// `--existing` and `--ignore-existing`.
    fn is_unwanted(&mut self, work: &Work<'_>) -> Result<bool> {
        let select = &self.context.options().select;
        let directory = work.entry.is_directory();
        if work.entry.kind() == FileKind::Missing {
            return Ok(false);
        }
        if select.existing_only && work.stat.is_none() {
            let path = work.name();
            self.context.monitor.notice(crate::Notice::NotCreating { path, directory });
            return Ok(true);
        }
        let Some(stat) = work.stat.as_ref().filter(|_| select.ignore_existing) else {
            return Ok(false);
        };
        if directory && stat.is_dir() {
            return Ok(false);
        }
        let reason = self.why_exists(work, stat);
        self.context.monitor.notice(crate::Notice::Exists { path: work.name(), reason });
        Ok(true)
    }

    /// The entry's place is below something that is no directory.
    fn blocked(&mut self, work: &Work<'_>) -> Result<()> {
        let attributes = &self.context.options().attributes;
        let kind = work.entry.kind();
        let wanted = match kind {
            FileKind::Symlink => attributes.links,
            _ if kind.is_device() => attributes.devices && self.context.keep.makes_devices(),
            _ if kind.is_special() => attributes.specials,
            _ => true,
        };
        if !wanted {
            self.context.monitor.notice(crate::Notice::SkippingNonRegular(work.name()));
            return self.passed_over(work.entry, work.path.as_bytes());
        }
        let reason = crate::reason(&Errno::NOTDIR.into());
        let shown = self.context.destination.show(work.name());
        let words: &[u8] = if work.entry.is_directory() { b"mkdir" } else { b"failed to stat" };
        let end: &[u8] = if work.entry.is_directory() { b"\" failed: " } else { b"\": " };
        let start = b"rsync: [generator] recv_generator: ";
        self.context.fail(&[start, words, b" \"", &shown, end, reason.as_bytes()]);
        if work.entry.is_directory() {
            return self.contents_skipped(work);
        }
        self.passed_over(work.entry, work.path.as_bytes())
    }

    /// An entry is left as it is; a directory takes its contents along.
    pub(super) fn passed_over(&mut self, entry: EntryRef<'_>, path: &[u8]) -> Result<()> {
        if entry.is_directory() {
            self.skipped.insert(path.to_vec());
            self.here.state = HereState::Unknown;
        }
        self.link_member_passed_over(entry)
    }

    /// Below this directory there is nothing yet, and a dry run will not make it.
    pub(super) fn note_absent(&mut self, path: &[u8]) {
        self.absent.insert(path.to_vec());
        self.here.state = HereState::Unknown;
    }

    pub(super) fn note_fresh(&mut self, path: RelPath<'_>) {
        if !self.is_fresh(path) {
            self.fresh = Some(path.as_bytes().to_vec());
        }
    }

    /// Whether all there is at this path was put there by us.
    fn is_fresh(&self, path: RelPath<'_>) -> bool {
        match self.fresh.as_deref() {
            None => false,
            Some(b"") => !path.is_root(),
            Some(top) => {
                let path = path.as_bytes();
                path.len() > top.len() && path.starts_with(top) && path[top.len()] == b'/'
            }
        }
    }

    fn enter_directory(&mut self, directory: RelPath<'_>) -> Result<HereState> {
        let known = !matches!(self.here.state, HereState::Unknown);
        if known && self.here.path == directory.as_bytes() {
            return Ok(self.here.state.clone());
        }
        self.here.path.clear();
        self.here.path.extend_from_slice(directory.as_bytes());
        self.here.state = self.find_directory(directory)?;
        Ok(self.here.state.clone())
    }

    fn find_directory(&mut self, directory: RelPath<'_>) -> Result<HereState> {
        let bytes = directory.as_bytes();
        let above = directory.parent().as_bytes();
        if !directory.is_root() && !self.skipped.is_empty() && self.is_below_skipped(directory) {
            return Ok(HereState::Skipped);
        }
        if self.context.destination.root.is_none()
            || self.absent.contains(bytes)
            || (!directory.is_root() && self.absent.contains(above))
        {
            return Ok(HereState::Absent);
        }
        let root = self.context.root()?;
        match root.directory(directory) {
            Ok(held) => Ok(HereState::Held(held)),
            Err(error) if error.is_missing() && self.makes_parents() => {
                if self.context.is_dry() {
                    return Ok(HereState::Absent);
                }
                let refuse = syncline_fs::Obstruction::Refuse;
                let made = root.make_directories(directory, 0o777, refuse, |_| Ok(()));
                self.context.note_change();
                match made.and_then(|()| root.directory(directory)) {
                    Ok(held) => Ok(HereState::Held(held)),
                    Err(error) => {
                        self.context.failed(Role::Generator, &error)?;
                        Ok(HereState::Skipped)
                    }
                }
            }
            Err(_) if self.context.is_dry() => Ok(HereState::Absent),
            Err(error) if error.errno() == Some(Errno::NOTDIR) => Ok(HereState::Blocked),
            Err(error) => {
                let shown = self.context.destination.show(bytes);
                let words = "recv_generator: failed to stat";
                self.context.failed_as(Role::Generator, words, &shown, &error)?;
                Ok(HereState::Skipped)
            }
        }
    }

    fn makes_parents(&self) -> bool {
        self.context.options().select.is_relative()
    }

    fn is_below_skipped(&self, directory: RelPath<'_>) -> bool {
        let mut at = directory;
        while !at.is_root() {
            if self.skipped.contains(at.as_bytes()) {
                return true;
            }
            at = at.parent();
        }
        false
    }

    /// When the directory's time has to be restored, and to what.
    pub(super) fn directory_time(&self, entry: EntryRef<'_>) -> Option<Time> {
        self.context.keep.dir_times().then(|| time_of(entry))
    }
}
