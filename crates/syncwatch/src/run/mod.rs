//! `syncwatch run`: runs a command when changes have settled.

mod changes;
mod command;
mod hidden;
mod options;

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use syncline_watch::settle::{Rules, Settled, Settler};
use syncline_watch::{Change, Entry, Joiner, Notice, Options, Place, Root, RootId, Watcher};

use crate::common::path;
use crate::output::{die_by, not_ignored};
use crate::syslog::Diagnostics::Stderr;
use changes::{Changes, Contents, What};
use command::{Running, code};
use hidden::Hidden;
pub(crate) use options::{ABOUT, STATUS, TABLE, USAGE};
use options::{OnBusy, Settings, help};

/// Runs the program.
pub(crate) fn run(program: &str, words: Vec<Vec<u8>>) -> ExitCode {
    let settings = match Settings::parse(program, words) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            // Nobody to tell when standard output is closed.
            let _ = rustix::io::write(std::io::stdout(), help().as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            Stderr.say(&text);
            return ExitCode::FAILURE;
        }
    };
    match Runner::new(&settings).and_then(|mut runner| runner.run()) {
        Ok(status) => ExitCode::from(status),
        Err(text) => {
            Stderr.say(&format!("syncwatch: {text}"));
            ExitCode::FAILURE
        }
    }
}

struct Runner<'a> {
    settings: &'a Settings,
    watcher: Watcher,
    joiner: Joiner,
    settler: Settler,
    roots: Vec<PathBuf>,
    contents: Option<Contents>,
    /// Paths at which something happened that was asked for.
    asked: HashSet<Place>,
    started: Instant,
    /// Settled, and not yet handed to a run.
    waiting: Changes,
    waiting_since: Option<Instant>,
    running: Option<Running>,
    /// Runs of the same changes that failed so far, and when the next one is due.
    failures: u32,
    retry_at: Option<Instant>,
    last_signal: Arc<AtomicUsize>,
    signals: UnixStream,
    _signal_sender: UnixStream,
}

impl<'a> Runner<'a> {
    fn new(settings: &'a Settings) -> Result<Self, String> {
        let filter = Arc::new(settings.patterns().compile()?);
        let options = Options {
            backend: settings.backend,
            reattach: true,
            exclude: Some(Arc::new(Hidden::new(settings, filter.clone())?)),
            ..Options::default()
        };
        let mut watcher = Watcher::new(options).map_err(|error| error.to_string())?;
        let mut roots = Vec::new();
        for argument in &settings.paths {
            let root = path(argument);
            filter.push_shown([argument.strip_suffix(b"/").unwrap_or(argument), b"/"].concat());
            let added = if settings.recursive { Root::tree(&root) } else { Root::single(&root) };
            watcher.add(added).map_err(|error| error.to_string())?;
            roots.push(root);
        }
        let (signals, sender) = UnixStream::pair().map_err(|error| error.to_string())?;
        let last_signal = Arc::new(AtomicUsize::new(0));
        for signal in not_ignored(&[SIGINT, SIGTERM, SIGHUP]) {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, last_signal.clone(), number)
                .and_then(|_| signal_hook::low_level::pipe::register(signal, sender.try_clone()?))
                .map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
        }
        let rules = Rules {
            settle: settings.settle,
            max_delay: settings.max_delay,
            max_open: settings.max_delay.max(Duration::from_secs(10)),
            resend: Duration::ZERO,
            ..Rules::default()
        };
        let contents = settings.compare.then(|| Contents::read(&roots, settings.recursive));
        Ok(Self {
            settings,
            watcher,
            joiner: Joiner::default(),
            settler: Settler::new(rules),
            roots,
            contents,
            asked: HashSet::new(),
            started: Instant::now(),
            waiting: Changes::default(),
            waiting_since: None,
            running: None,
            failures: 0,
            retry_at: None,
            last_signal,
            signals,
            _signal_sender: sender,
        })
    }

    fn run(&mut self) -> Result<u8, String> {
        self.log(&format!(
            "watching {} paths with {} watches",
            self.roots.len(),
            self.watcher.watches()
        ));
        if self.settings.initial {
            self.start(Changes::default());
        }
        loop {
            let wake = self.read()?;
            self.collect();
            self.act();
            let wait = [wake, self.next_moment()].into_iter().flatten().min();
            if let Some(status) = self.wait(wait)? {
                return Ok(status);
            }
        }
    }

    /// Feeds what the watcher has to the settler.
    fn read(&mut self) -> Result<Option<Duration>, String> {
        let mut notices = Vec::new();
        let wake = self.watcher.ready(&mut notices).map_err(|error| error.to_string())?;
        let now = self.started.elapsed();
        for notice in notices {
            if let Notice::Entry(Entry { root, mask, .. }) = &notice
                && let Notice::Entry(entry) = &notice
                && mask.intersects(self.settings.events)
            {
                self.asked.insert(Place { root: *root, path: entry.path() });
            }
            let Some(change) = self.joiner.join(notice) else { continue };
            self.tell(&change);
            self.settler.feed(now, &change);
        }
        Ok(wake)
    }

    /// Logs what is no ordinary change.
    fn tell(&self, change: &Change) {
        let root = |root: RootId| self.roots.get(root.0 as usize).cloned().unwrap_or_default();
        match change {
            Change::Overflow => {
                self.log("events were lost in a full queue; looking for the differences");
            }
            Change::RootLost { root: id, .. } => {
                Stderr.say(&format!("syncwatch: {} is gone; waiting for it", root(*id).display()));
            }
            Change::RootBack { root: id } => {
                Stderr.say(&format!("syncwatch: {} is back", root(*id).display()));
            }
            Change::Unwatched { place, errno } => {
                let reason = crate::common::errno_reason(*errno);
                Stderr.say(&format!(
                    "syncwatch: cannot watch {}: {reason}",
                    self.path(place).display()
                ));
            }
            _ => {}
        }
    }

    /// Takes what has settled.
    fn collect(&mut self) {
        for settled in self.settler.take(self.started.elapsed()) {
            let place = settled.place();
            let asked = self.asked.remove(place);
            let named = matches!(settled, Settled::Changed { .. } | Settled::Removed { .. });
            if named && !asked {
                continue;
            }
            let path = self.path(place);
            let regular = matches!(settled, Settled::Changed { directory: false, .. });
            if let Some(contents) = &mut self.contents
                && regular
                && !contents.differs(&path)
            {
                self.log(&format!("{} has the same contents as before", path.display()));
                continue;
            }
            self.waiting_since.get_or_insert_with(Instant::now);
            self.waiting.insert(path, What::of(&settled));
        }
        if self.settler.is_empty() {
            self.asked.clear();
        }
    }

    /// Starts, restarts, signals or leaves alone.
    fn act(&mut self) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            let changes = std::mem::take(&mut self.waiting);
            self.waiting_since = None;
            return self.start(changes);
        }
        // A burst is over when nothing more is about to settle, or when it has lasted too long.
        let over = self.settler.is_empty()
            || self.waiting_since.is_some_and(|since| since.elapsed() >= self.settings.max_delay);
        if self.waiting.is_empty() || !over || self.retry_at.is_some() {
            return;
        }
        let Some(running) = &mut self.running else {
            let changes = std::mem::take(&mut self.waiting);
            self.waiting_since = None;
            self.failures = 0;
            return self.start(changes);
        };
        match self.settings.on_busy {
            OnBusy::Ignore => {
                self.waiting = Changes::default();
                self.waiting_since = None;
                self.log("changes while the command runs are ignored");
            }
            OnBusy::Signal => {
                running.signal(self.settings.signal);
                self.waiting = Changes::default();
                self.waiting_since = None;
                self.log(&format!("sent signal {} to the running command", self.settings.signal));
            }
            OnBusy::Restart if running.kill_at.is_none() => {
                running.signal(self.settings.stop_signal);
                running.kill_at = Some(Instant::now() + self.settings.stop_timeout);
                running.restart = true;
                self.log("stopping the command to run it again");
            }
            // They wait for the end of this run.
            OnBusy::Queue | OnBusy::Restart => {}
        }
    }

    fn start(&mut self, changes: Changes) {
        let command = self.settings.command.join(b" ".as_slice());
        let command = String::from_utf8_lossy(&command).into_owned();
        let first = changes
            .paths()
            .next()
            .map(|path| format!(", first {}", path.display()))
            .unwrap_or_default();
        self.log(&format!("{} paths changed{first}; running {command}", changes.len()));
        match Running::start(self.settings, changes.clone(), &self.roots) {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                Stderr.say(&format!("syncwatch: cannot run {command}: {error}"));
                self.failed(changes);
            }
        }
    }

    /// Puts the changes of a run that failed back for a retry, if one is left.
    fn failed(&mut self, changes: Changes) {
        if self.failures < self.settings.retry {
            let delay = self.settings.retry_delay.saturating_mul(1 << self.failures.min(16));
            self.failures += 1;
            self.log(&format!("retry {} of {} in {delay:?}", self.failures, self.settings.retry));
            self.waiting.append(changes);
            self.retry_at = Some(Instant::now() + delay);
        } else {
            self.failures = 0;
        }
    }

    /// Sleeps until something happens; the status when the program is to end.
    fn wait(&mut self, wait: Option<Duration>) -> Result<Option<u8>, String> {
        let wait = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let mut polled = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.watcher, PollFlags::IN),
        ];
        if let Some(running) = &self.running {
            polled.push(PollFd::new(&running.ended, PollFlags::IN));
        }
        match poll(&mut polled, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(format!("cannot wait for events: {errno}")),
        }
        let readable =
            |at: usize| polled.get(at).is_some_and(|fd| fd.revents().intersects(PollFlags::IN));
        let (signalled, ended) = (readable(0), readable(2));
        drop(polled);
        if signalled {
            self.stop();
            die_by(i32::try_from(self.last_signal.load(Ordering::Relaxed)).unwrap_or(SIGTERM));
        }
        if let Some(running) = &self.running
            && running.kill_at.is_some_and(|at| at <= Instant::now())
        {
            running.signal(SIGKILL);
        }
        if !ended {
            return Ok(None);
        }
        self.ended()
    }

    /// The command has ended.
    fn ended(&mut self) -> Result<Option<u8>, String> {
        let Some(running) = self.running.take() else { return Ok(None) };
        let took = running.since.elapsed();
        let (status, changes, restart) =
            running.finish().map_err(|error| format!("cannot wait for the command: {error}"))?;
        if restart {
            let mut all = changes;
            all.append(std::mem::take(&mut self.waiting));
            self.waiting_since = None;
            self.failures = 0;
            self.start(all);
            return Ok(None);
        }
        if status.success() {
            self.failures = 0;
            self.log(&format!("finished in {} ms", took.as_millis()));
            return Ok(self.settings.once.then_some(0));
        }
        Stderr.say(&format!("syncwatch: the command failed: {status}"));
        let retries_left = self.failures < self.settings.retry;
        self.failed(changes);
        let ends = self.settings.once || self.settings.exit_on_error;
        Ok((ends && !retries_left).then(|| code(status)))
    }

    /// Stops the command on the way out.
    fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.signal(self.settings.stop_signal);
        let timeout = Timespec {
            tv_sec: i64::try_from(self.settings.stop_timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(self.settings.stop_timeout.subsec_nanos()),
        };
        let ended = poll(&mut [PollFd::new(&running.ended, PollFlags::IN)], Some(&timeout));
        if ended != Ok(1) {
            running.signal(SIGKILL);
        }
        // Its status is nobody's business any more.
        let _ = running.finish();
    }

    fn next_moment(&self) -> Option<Duration> {
        let now = self.started.elapsed();
        let settles = self.settler.next_due().map(|due| due.saturating_sub(now));
        let at = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(Instant::now()));
        let kill = at(self.running.as_ref().and_then(|running| running.kill_at));
        [settles, kill, at(self.retry_at)].into_iter().flatten().min()
    }

    fn path(&self, place: &Place) -> PathBuf {
        let root = self.roots.get(place.root.0 as usize).cloned().unwrap_or_default();
        if place.path.is_empty() {
            root
        } else {
            root.join(std::ffi::OsStr::from_bytes(&place.path))
        }
    }

    fn log(&self, text: &str) {
        if !self.settings.quiet {
            Stderr.say(&format!("syncwatch: {text}"));
        }
    }
}
