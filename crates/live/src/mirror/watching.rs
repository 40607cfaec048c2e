//! The thread that watches a source and tells the queues.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::Zoned;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use syncline_conf::live::{ChangeKind, Schedule};
use syncline_fs::{RelPath, RelPathBuf};
use syncline_watch::settle::{Rules, Settler};
use syncline_watch::{Backend, Change, Joiner, OnLimit, Options, Root, Watcher};

use super::links::Links;
use super::repeats::Repeats;
use super::unseen::Unseen;
use super::{Hiding, Planner, Source};
use crate::hooks::{self, Hooks};
use crate::log::Log;
use crate::queue::Todo;
use crate::schedule::Timer;
use crate::state::{MirrorStatus, Pulse, Registry, Scope, State};
use crate::target::{Checker, Desk};

/// While the source is lost it is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One round of the thread takes no longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// By then everything has settled.
const A_DAY: Duration = Duration::from_secs(86_400);

/// What others may ask of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Watches no more; what was seen is told at once.
    Stop,
    /// The source as it is now is what is meant.
    Allow,
    /// Everything is compared with every target.
    Compare,
    /// Somebody found the source in doubt.
    Look,
    /// A search for names of files has ended.
    Linked,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(crate) struct Bell {
    wishes: Arc<Mutex<Vec<Wish>>>,
    wake: Arc<OwnedFd>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { wishes: Arc::default(), wake: Arc::new(wake) })
    }

    pub(crate) fn ring(&self, wish: Wish) {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).push(wish);
        // It can only fail when it has been rung so often that the thread is awake.
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Wish> {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut counter);
        std::mem::take(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the thread is told once.
pub(crate) struct Watching {
    pub(crate) name: Arc<str>,
    /// What is watched: a directory, or a single file.
    pub(crate) path: PathBuf,
    pub(crate) source: Arc<Source>,
    pub(crate) rules: Rules,
    pub(crate) hiding: Arc<Hiding>,
    pub(crate) planner: Planner,
    pub(crate) desks: Vec<Arc<Desk>>,
    /// When everything is compared.
    pub(crate) schedule: Option<Schedule>,
    /// That has rules of its own.
    pub(crate) scheduled_differs: bool,
    /// How often directories without a watch are looked at; zero: none may be without.
    pub(crate) poll: Duration,
    /// When targets are checked in the background, and who does it.
    pub(crate) verify: Option<Schedule>,
    pub(crate) checkers: Vec<Arc<Checker>>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) status: Arc<MirrorStatus>,
    pub(crate) registry: Registry,
    pub(crate) log: Log,
    /// What a comparison removes.
    pub(crate) compare_removes: bool,
    /// Names of rule files in directories.
    pub(crate) merge_names: Vec<Vec<u8>>,
    /// Which desks begin with a comparison.
    pub(crate) compares: Vec<bool>,
    /// When the mirror was last at work, if it ever was.
    pub(crate) worked: Option<SystemTime>,
}

impl Watching {
    /// Starts the thread, which answers to `bell`.
    pub(crate) fn start(self, bell: Bell) -> io::Result<thread::JoinHandle<()>> {
        let pulse = self.registry.pulse(&format!("{} watching", self.name));
        let start = move || Thread::new(self, bell, pulse).run();
        thread::Builder::new().name("mirror".into()).spawn(start)
    }
}

struct Thread {
    setting: Watching,
    bell: Bell,
    pulse: Pulse,
    settler: Settler,
    joiner: Joiner,
    blocked: bool,
    /// It was, and is no more: watches are to be made anew.
    is_back: bool,
    /// How often hooks were told without a target.
    told: u64,
    timer: Option<Timer>,
    /// What happened before this moment has been told.
    drained: Duration,
    check_timer: Option<Timer>,
    /// Part of the source is without watches.
    polls: bool,
    repeats: Repeats,
    links: Links,
    unseen: Option<Unseen>,
}

impl Thread {
    fn new(setting: Watching, bell: Bell, pulse: Pulse) -> Self {
        let settler = Settler::new(setting.rules.clone());
        let now = setting.registry.now();
        let keep = |schedule: &Schedule| Timer::new(schedule, &Zoned::now(), now);
        let timer = setting.schedule.as_ref().map(keep);
        let check_timer = setting.verify.as_ref().map(keep);
        let links = Links::new(setting.path.clone(), Arc::clone(&setting.hiding), bell.clone());
        Self {
            links,
            unseen: None,
            setting,
            bell,
            pulse,
            settler,
            joiner: Joiner::default(),
            blocked: false,
            is_back: false,
            told: 0,
            timer,
            check_timer,
            polls: false,
            repeats: Repeats::default(),
            drained: Duration::ZERO,
        }
    }

    fn run(mut self) {
        self.pulse.busy(Duration::from_secs(600));
        let mut watcher = match self.watch() {
            Ok(watcher) => watcher,
            Err(error) => {
                self.setting.log.error(format_args!("mirror={} {error}", self.setting.name));
                self.block(State::SourceLost, &error.to_string());
                return;
            }
        };
        self.setting.status.set_watches(watcher.watches() as u64, watch_limit());
        self.setting.status.set_watching(true);
        self.setting.log.info(format_args!(
            "mirror={} watching {} with {} watches",
            self.setting.name,
            self.setting.path.display(),
            watcher.watches()
        ));
        self.check();
        if !self.blocked {
            let removes = self.compare_removes();
            for (desk, compares) in self.setting.desks.iter().zip(&self.setting.compares) {
                if *compares {
                    desk.compare(removes, false);
                }
            }
            self.look_for_unseen(&self.setting.compares.clone());
        }
        while self.round(&mut watcher) {
            if std::mem::take(&mut self.is_back) {
                match self.watch() {
                    Ok(fresh) => {
                        watcher = fresh;
                        self.go_on(&watcher);
                    }
                    Err(error) => self.block(State::SourceLost, &error.to_string()),
                }
            }
        }
    }

    /// The source is there again. Watches of the time when it was not may lead nowhere, so that all are new.
    fn go_on(&mut self, watcher: &Watcher) {
        self.setting.status.set_watches(watcher.watches() as u64, watch_limit());
        for desk in &self.setting.desks {
            desk.change(|inner, _| inner.block = None);
        }
        self.setting
            .log
            .info(format_args!("mirror={} the source is there again", self.setting.name));
        self.compare(false);
        self.look_for_unseen(&vec![true; self.setting.desks.len()]);
    }

    /// What was written since the mirror was last at work, for those that are compared.
    fn look_for_unseen(&mut self, compared: &[bool]) {
        let Some(worked) = self.setting.worked.take() else { return };
        let desks = self.setting.desks.iter().zip(compared);
        let desks: Vec<_> =
            desks.filter(|(_, compared)| **compared).map(|(desk, _)| Arc::clone(desk)).collect();
        if desks.is_empty() || !self.setting.path.is_dir() {
            return;
        }
        let rules = &self.setting.rules;
        // What had not settled by then was not told.
        let unsettled = rules.max_open + rules.max_delay + Duration::from_secs(1);
        let since = worked.checked_sub(unsettled).unwrap_or(SystemTime::UNIX_EPOCH);
        let (top, hiding) = (self.setting.path.clone(), Arc::clone(&self.setting.hiding));
        self.unseen = None;
        match Unseen::look(top, hiding, desks, since) {
            Ok(unseen) => self.unseen = Some(unseen),
            Err(error) => self.setting.log.error(format_args!(
                "mirror={} cannot look for what was written meanwhile: {error}",
                self.setting.name
            )),
        }
    }

    fn watch(&self) -> Result<Watcher, syncline_watch::Error> {
        let options = Options {
            backend: Backend::Inotify,
            reattach: true,
            exclude: Some(self.setting.hiding.clone()),
            on_limit: if self.setting.poll.is_zero() {
                OnLimit::Fail
            } else {
                OnLimit::Poll(self.setting.poll)
            },
            ..Options::default()
        };
        let mut watcher = Watcher::new(options)?;
        watcher.add(Root::tree(&self.setting.path))?;
        Ok(watcher)
    }

    /// Waits for something to happen and tells it; `false` when the thread is to end.
    fn round(&mut self, watcher: &mut Watcher) -> bool {
        self.pulse.busy(PATIENCE);
        let begun = self.setting.registry.now();
        let mut notices = Vec::new();
        let wake = match watcher.ready(&mut notices) {
            Ok(wake) => wake,
            Err(error) => {
                self.setting.log.error(format_args!("mirror={} {error}", self.setting.name));
                self.block(State::SourceLost, &error.to_string());
                None
            }
        };
        // What is told now happened after the last moment at which nothing more was to be told.
        let looked = self.setting.desks.iter().any(|desk| desk.looked_since(self.drained));
        self.settler.set_looking(looked);
        if wake != Some(Duration::ZERO) {
            self.drained = begun;
        }
        let now = self.setting.registry.now();
        let any = !notices.is_empty();
        for notice in notices {
            if let Some(change) = self.joiner.join(notice) {
                self.take(now, &change);
            }
        }
        if self.polls && !watcher.polls() {
            self.polled_no_more();
        }
        if any {
            self.setting.status.set_watches(watcher.watches() as u64, watch_limit());
        }
        self.tell(now);
        let due = self.settler.next_due().map(|due| due.saturating_sub(now));
        let look = self.blocked.then_some(LOOK_AGAIN);
        let scheduled = self.keep_schedule(now);
        let checked = self.keep_checks(now);
        let searched = self.links.search(now);
        let wait = [wake, due, look, scheduled, checked, searched].into_iter().flatten().min();
        if wait != Some(Duration::ZERO) {
            self.pulse.idle();
            self.sleep(watcher, wait);
        }
        for wish in self.bell.take() {
            match wish {
                Wish::Stop => {
                    self.stop(watcher);
                    return false;
                }
                Wish::Allow => {
                    self.setting.source.allow();
                    self.check();
                }
                Wish::Compare => self.compare(false),
                Wish::Linked => {
                    let found = self.links.found(self.setting.registry.now());
                    self.push(&found);
                }
                Wish::Look => {
                    // The one who asks has stopped, and goes on when the doubt is over.
                    self.blocked = true;
                    self.check();
                }
            }
        }
        if self.blocked {
            self.check();
        }
        true
    }

    /// Compares everything when that is due (R122); gives the time until it is due again.
    fn keep_schedule(&mut self, now: Duration) -> Option<Duration> {
        let timer = self.timer.as_mut()?;
        let wall = Zoned::now();
        let is_due = timer.fire(&wall, now);
        let wait = timer.wait(&wall, now);
        if is_due {
            self.setting.log.info(format_args!(
                "mirror={} everything is compared, as scheduled",
                self.setting.name
            ));
            self.compare(self.setting.scheduled_differs);
        }
        wait
    }

    /// Checks all targets when that is due (R112); gives the time until it is due again.
    fn keep_checks(&mut self, now: Duration) -> Option<Duration> {
        let timer = self.check_timer.as_mut()?;
        let wall = Zoned::now();
        if timer.fire(&wall, now) && !self.blocked {
            self.setting.checkers.iter().for_each(Checker::begin);
        }
        timer.wait(&wall, now)
    }

    fn sleep(&self, watcher: &Watcher, wait: Option<Duration>) {
        let timeout = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let wake = &*self.bell.wake;
        let mut fds = [
            PollFd::from_borrowed_fd(watcher.as_fd(), PollFlags::IN),
            PollFd::new(wake, PollFlags::IN),
        ];
        // Interrupted or not: the next look says what there is.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn take(&mut self, now: Duration, change: &Change) {
        match change {
            Change::Overflow => {
                self.setting.status.overflow();
                self.setting.log.warn(format_args!(
                    "mirror={} the kernel dropped events: what was missed is looked for",
                    self.setting.name
                ));
            }
            Change::Rescan { deep, .. } => {
                self.setting.status.rescan(if *deep { Scope::Subtree } else { Scope::Directory });
            }
            Change::RootLost { .. } | Change::RootBack { .. } => self.check(),
            Change::Polled { unwatched, needed, limit, .. } => {
                self.polled(*unwatched, *needed, *limit);
            }
            Change::Unwatched { place, errno } => {
                self.setting.log.error(format_args!(
                    "mirror={} {} cannot be watched: {}",
                    self.setting.name,
                    String::from_utf8_lossy(&place.path),
                    io::Error::from_raw_os_error(*errno)
                ));
            }
            _ => {}
        }
        self.merge_file_changed(now, change);
        let went = match change {
            Change::Appeared { place, .. } | Change::Vanished { place, .. } => [Some(place), None],
            Change::Renamed { from, to, .. } => [Some(from), Some(to)],
            _ => [None, None],
        };
        for path in went.into_iter().flatten().filter_map(|place| RelPath::new(&place.path).ok()) {
            self.setting.desks.iter().for_each(|desk| desk.left(path));
        }
        if let Change::Appeared { place, .. }
        | Change::Modified { place }
        | Change::Written { place } = change
            && let Ok(path) = RelPath::new(&place.path)
        {
            self.setting.desks.iter().for_each(|desk| desk.written(path));
        }
        if let Change::Overflow | Change::Rescan { .. } | Change::RootBack { .. } = change {
            // Nobody knows what has which name.
            self.setting.desks.iter().for_each(|desk| desk.left(RelPath::ROOT));
        }
        if let Some(renamed) = self.planner().note(change) {
            for desk in &self.setting.desks {
                desk.moved(&renamed);
            }
        }
        self.settler.feed(now, change);
    }

    /// More directories than may be watched (R12): told once, and each time the number grows.
    fn polled(&mut self, unwatched: u64, needed: u64, limit: u64) {
        let interval = self.setting.poll.as_secs_f64();
        self.setting.status.set_polled(unwatched, interval);
        let reason = format!(
            "{unwatched} of {needed} directories have no watch and are looked at every {interval} s: the limit is \
             {limit}; raise it with: sysctl fs.inotify.max_user_watches={}",
            (needed * 3 / 2).next_power_of_two()
        );
        if !self.polls {
            self.setting.log.error(format_args!("mirror={} {reason}", self.setting.name));
        }
        self.polls = true;
        for desk in &self.setting.desks {
            desk.change(|inner, _| inner.degraded = Some(reason.clone()));
        }
    }

    /// Everything has its watch by now.
    fn polled_no_more(&mut self) {
        self.polls = false;
        self.setting.status.set_polled(0, 0.0);
        self.setting
            .log
            .info(format_args!("mirror={} every directory has its watch", self.setting.name));
        for desk in &self.setting.desks {
            desk.change(|inner, _| inner.degraded = None);
        }
    }

    /// A rule file of a directory changed: what it hides may have, too (R103).
    fn merge_file_changed(&mut self, now: Duration, change: &Change) {
        if !self.setting.hiding.reads_directories() {
            return;
        }
        let (Change::Written { place }
        | Change::Appeared { place, .. }
        | Change::Vanished { place, .. }
        | Change::Renamed { to: place, .. }) = change
        else {
            return;
        };
        let slash = place.path.iter().rposition(|&byte| byte == b'/');
        let name = slash.map_or(&place.path[..], |slash| &place.path[slash + 1..]);
        if self.setting.merge_names.iter().any(|merge| merge == name) {
            self.setting.hiding.forget();
            let path = slash.map_or(Vec::new(), |slash| place.path[..slash].to_vec());
            let place = syncline_watch::Place { root: place.root, path };
            self.settler.feed(now, &Change::Rescan { place, deep: true });
        }
    }

    fn planner(&mut self) -> &mut Planner {
        &mut self.setting.planner
    }

    fn tell(&mut self, now: Duration) {
        let settled = self.settler.take(now);
        if settled.is_empty() {
            return;
        }
        let mut changes = Vec::with_capacity(settled.len());
        let mut others = Vec::new();
        for settled in &settled {
            let edited = self.setting.planner.edited(settled);
            others.extend(edited.iter().flat_map(|(path, todo)| self.links.changed(path, *todo)));
            changes.extend(self.setting.planner.plan(settled));
        }
        self.setting.planner.settled(&self.settler);
        if changes.is_empty() {
            return;
        }
        self.look_for_loops(now, &changes);
        changes.append(&mut others);
        self.push(&changes);
    }

    fn push(&mut self, changes: &[(RelPathBuf, Todo)]) {
        if changes.is_empty() {
            return;
        }
        for desk in &self.setting.desks {
            desk.push(changes);
        }
        if self.setting.desks.is_empty() {
            self.told += 1;
            self.setting.hooks.batch("", self.told, &self.arrived(changes));
        }
    }

    /// A file that is written again and again without a difference is mirrored back by somebody (R96).
    fn look_for_loops(&mut self, now: Duration, changes: &[(RelPathBuf, Todo)]) {
        let written = |todo: &Todo| matches!(todo, Todo::Look(look) if look.content);
        for (path, _) in changes.iter().filter(|(_, todo)| written(todo)) {
            let look = || {
                let at = self.setting.path.join(OsStr::from_bytes(path.as_bytes()));
                let data = at.symlink_metadata().ok()?;
                Some((data.len(), data.mtime(), data.mtime_nsec()))
            };
            if self.repeats.note(now, path.as_bytes(), look) {
                self.setting.log.warn(format_args!(
                    "mirror={} {} is written again and again without a difference: does somebody mirror it back?",
                    self.setting.name,
                    String::from_utf8_lossy(path.as_bytes())
                ));
            }
        }
    }

    /// What hooks are told where there is nobody to send it to.
    fn arrived(&self, changes: &[(RelPathBuf, Todo)]) -> Vec<hooks::Change> {
        let directory = |path: &RelPathBuf| {
            let path = self.setting.path.join(OsStr::from_bytes(path.as_bytes()));
            path.symlink_metadata().is_ok_and(|status| status.is_dir())
        };
        let arrived = changes.iter().map(|(path, todo)| {
            let kind =
                if *todo == Todo::Remove { ChangeKind::Removed } else { ChangeKind::Changed };
            hooks::Change::new(path.clone(), kind, directory(path))
        });
        arrived.collect()
    }

    fn stop(&mut self, watcher: &mut Watcher) {
        let mut notices = Vec::new();
        // What cannot be read any more is found by the next comparison.
        let _ = watcher.ready(&mut notices);
        let now = self.setting.registry.now();
        for notice in notices {
            if let Some(change) = self.joiner.join(notice) {
                self.take(now, &change);
            }
        }
        self.tell(now + A_DAY);
    }

    fn compare(&mut self, scheduled: bool) {
        let removes = self.compare_removes();
        for desk in &self.setting.desks {
            desk.compare(removes, scheduled);
        }
    }

    /// An empty source proves nothing.
    fn compare_removes(&self) -> bool {
        self.setting.compare_removes && !self.setting.source.is_empty()
    }

    /// Looks whether the source is what it was, and stops or goes on.
    fn check(&mut self) {
        match self.setting.source.check() {
            Ok(()) if self.blocked => {
                self.blocked = false;
                self.is_back = true;
            }
            Ok(()) => {}
            Err((state, reason)) => self.block(state, &reason),
        }
    }

    fn block(&mut self, state: State, reason: &str) {
        if !self.blocked {
            self.setting.log.error(format_args!("mirror={} {reason}", self.setting.name));
            self.setting.worked.get_or_insert_with(SystemTime::now);
        }
        self.blocked = true;
        self.is_back = false;
        for desk in &self.setting.desks {
            desk.change(|inner, _| inner.block = Some((state, reason.to_owned())));
        }
    }
}

fn watch_limit() -> u64 {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}
