//! What is told after changes: programs, web servers, streams (R130 to R133).
//!
//! Each hook and each stream has a thread and a bounded queue: handing changes over never waits for anybody.

mod http;
mod message;
mod queue;
mod run;
mod stream;

#[doc(hidden)]
pub use http::status as answer_status;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use syncline_conf::live::{self as conf, Action, After, ChangeKind};
use syncline_filter::{Filter, Name, NoFiles, Rules, Settings, Side};
use syncline_fs::{RelPath, RelPathBuf};

use crate::state::{HookOutcome, MirrorStatus, Registry, State, Transition};
use crate::{Error, Log};
use queue::{Job, Queue, WhenFull, Work};
use stream::Stream;

/// How often it is looked whether all targets have what waits; nobody looks while nothing waits.
const LOOK: Duration = Duration::from_millis(50);

/// The pause before the first retry; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of a path at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which.
    pub path: RelPathBuf,
    /// What.
    pub kind: ChangeKind,
    /// Whether it is a directory.
    pub directory: bool,
    /// The target refused it: streams tell so, hooks are not run for it.
    pub failed: bool,
}

impl Change {
    /// A path that arrived.
    pub fn new(path: RelPathBuf, kind: ChangeKind, directory: bool) -> Self {
        Self { path, kind, directory, failed: false }
    }
}

/// A change of a target's state, as hooks are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StateChange {
    target: String,
    from: State,
    to: State,
    reason: String,
}

/// The hooks and streams of a mirror.
#[derive(Debug)]
pub struct Hooks {
    registry: Registry,
    status: Arc<MirrorStatus>,
    all: Vec<Hook>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Hook {
    after: After,
    kinds: Vec<ChangeKind>,
    only: Option<Filter>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a hook's thread and the others share.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug)]
struct Waiting {
    queue: Queue,
    /// When everything ends, once that is wanted.
    end: Option<Instant>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When everything ends, once that is wanted.
    fn end(&self) -> Option<Instant> {
        self.lock().end
    }

    /// Waits so long, or until everything shall end.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut waiting = self.lock();
        while waiting.end.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            waiting =
                self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Hooks {
    /// Starts what the configuration of a mirror asks for.
    pub fn start(
        mirror: &conf::Mirror,
        name: &str,
        registry: &Registry,
        log: &Log,
    ) -> Result<Self, Error> {
        let status = registry.mirror(name, &mirror.source);
        let mut hooks = Vec::new();
        for (number, hook) in mirror.hooks.iter().enumerate() {
            let only = only(&hook.only).map_err(|problem| Error::Hook {
                mirror: name.to_owned(),
                number,
                problem,
            })?;
            let kind = match &hook.action {
                Action::Run(run) => Kind::Run(run.clone()),
                Action::Http(hook) => {
                    Kind::Http(http::Request::new(hook).map_err(|problem| Error::Hook {
                        mirror: name.to_owned(),
                        number,
                        problem,
                    })?)
                }
                _ => continue,
            };
            let when_full = match &kind {
                Kind::Http(request) if request.is_for_each_path() => WhenFull::Drop,
                _ => WhenFull::Collapse,
            };
            let waiting =
                Mutex::new(Waiting { queue: Queue::new(hook.after, when_full), end: None });
            let shared = Arc::new(Shared { waiting, wake: Condvar::new() });
            let runner = Runner {
                label: kind.label(),
                kind,
                mirror: name.to_owned(),
                source: mirror.source.clone(),
                timeout: hook.timeout.0,
                retries: hook.retries,
                // What has only one way to go has arrived everywhere when it is told.
                gathers: hook.after == After::Batch && mirror.targets.len() > 1,
                shared: shared.clone(),
                registry: registry.clone(),
                status: status.clone(),
                log: log.clone(),
            };
            let thread = spawn("hook", move || runner.run())?;
            let (after, kinds) = (hook.after, hook.kinds.clone());
            hooks.push(Hook { after, kinds, only, shared, thread: Some(thread) });
        }
        let mut streams = Vec::new();
        for stream in &mirror.streams {
            streams.push(Stream::start(stream, name, &mirror.source, registry, log)?);
        }
        Ok(Self { registry: registry.clone(), status, all: hooks, streams })
    }

    /// A batch arrived at a target; a mirror without targets gives none its name.
    ///
    /// To be called before the target's queue is said to be shorter: hooks that wait for all targets go by that.
    pub fn batch(&self, target: &str, number: u64, changes: &[Change]) {
        let now = self.registry.now();
        for hook in self.all.iter().filter(|hook| hook.after != After::State) {
            let wanted = changes.iter().filter(|change| hook.wants(change)).cloned();
            let dropped = {
                let mut waiting = hook.shared.lock();
                waiting.queue.add(now, target, number, wanted)
            };
            hook.shared.wake.notify_one();
            if dropped > 0 {
                self.status.hook(now, HookOutcome::Dropped(dropped));
            }
        }
        let time = Timestamp::now();
        for stream in &self.streams {
            stream.tell(time, target, changes);
        }
    }

    /// The state of a target changed.
    pub fn state(&self, target: &str, transition: &Transition) {
        for hook in self.all.iter().filter(|hook| hook.after == After::State) {
            let change = StateChange {
                target: target.to_owned(),
                from: transition.from,
                to: transition.to,
                reason: transition.reason.clone(),
            };
            let dropped = hook.shared.lock().queue.add_state(change);
            hook.shared.wake.notify_one();
            if dropped > 0 {
                self.status.hook(self.registry.now(), HookOutcome::Dropped(dropped));
            }
        }
    }

    /// Ends when everything was told, at latest after this time.
    pub fn stop(mut self, within: Duration) {
        let end = Instant::now() + within;
        for hook in &self.all {
            hook.shared.lock().end = Some(end);
            hook.shared.wake.notify_all();
        }
        for stream in &self.streams {
            stream.end(end);
        }
        for hook in &mut self.all {
            hook.join();
        }
        for stream in self.streams {
            stream.join();
        }
    }
}

impl Hook {
    fn wants(&self, change: &Change) -> bool {
        let name = if change.directory { Name::directory } else { Name::file };
        !change.failed
            && self.kinds.contains(&change.kind)
            && self.only.as_ref().is_none_or(|only| !only.excludes(&name(change.path.as_bytes())))
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that died has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The rules of `only`; none: all.
fn only(rules: &[conf::Rule]) -> Result<Option<Filter>, String> {
    if rules.is_empty() {
        return Ok(None);
    }
    let mut list = Rules::new(Settings::default());
    for rule in rules {
        list.filter(rule.as_str().as_bytes(), &mut NoFiles).map_err(|error| error.to_string())?;
    }
    Ok(Some(Filter::new(&list, Side::Sender)))
}

fn spawn(
    what: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let thread = std::thread::Builder::new().name(what.to_owned()).spawn(work);
    thread.map_err(|error| Error::Thread { what, error })
}

#[derive(Debug)]
enum Kind {
    Run(conf::RunHook),
    Http(http::Request),
}

impl Kind {
    /// What the log calls it.
    fn label(&self) -> String {
        match self {
            Self::Run(run) => run.run.first().cloned().unwrap_or_default(),
            Self::Http(request) => request.label(),
        }
    }
}

/// A hook's thread.
struct Runner {
    kind: Kind,
    label: String,
    mirror: String,
    source: PathBuf,
    timeout: Duration,
    retries: u32,
    gathers: bool,
    shared: Arc<Shared>,
    registry: Registry,
    status: Arc<MirrorStatus>,
    log: Log,
}

impl Runner {
    fn run(&self) {
        while let Some(job) = self.next() {
            match &self.kind {
                Kind::Run(run) => {
                    for portion in run::portions(run, &self.source, &self.mirror, &job) {
                        self.attempt(&job, || {
                            let log = |line: &str| {
                                self.log.info(format_args!(
                                    "mirror={} hook={} output: {line}",
                                    self.mirror, self.label
                                ));
                            };
                            let end = || self.shared.end();
                            run::run(run, &self.mirror, &portion, self.timeout, &end, &log)
                        });
                    }
                }
                Kind::Http(request) => {
                    for sending in request.sendings(&self.mirror, &job) {
                        self.attempt(&job, || {
                            let left = self
                                .shared
                                .end()
                                .map(|end| end.saturating_duration_since(Instant::now()));
                            sending.send(left.unwrap_or(self.timeout).min(self.timeout))
                        });
                    }
                }
            }
        }
    }

    /// Waits for the next job; none when everything shall end.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.shared.lock();
        loop {
            if waiting.end.is_some_and(|end| end <= Instant::now()) {
                let dropped = waiting.queue.clear();
                drop(waiting);
                if dropped > 0 {
                    self.status.hook(self.registry.now(), HookOutcome::Dropped(dropped));
                    self.log.warn(format_args!(
                        "mirror={} hook={} stopped with {dropped} changes untold",
                        self.mirror, self.label
                    ));
                }
                return None;
            }
            let gathers = self.gathers && waiting.end.is_none();
            let arrived = if gathers { self.status.oldest_waiting() } else { None };
            if let Some(job) = waiting.queue.take(arrived) {
                return Some(job);
            }
            if waiting.end.is_some() {
                return None;
            }
            let wake = &self.shared.wake;
            waiting = if waiting.queue.is_empty() {
                wake.wait(waiting).unwrap_or_else(PoisonError::into_inner)
            } else {
                wake.wait_timeout(waiting, LOOK).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Does something until it succeeds or has been tried often enough.
    fn attempt(&self, job: &Job, run: impl Fn() -> Result<(), String>) {
        let mut pause = FIRST_PAUSE;
        for retry in 0_u32.. {
            if self.shared.end().is_some_and(|end| end <= Instant::now()) {
                self.status
                    .hook(self.registry.now(), HookOutcome::Dropped(job.work.count() as u64));
                return;
            }
            let Err(why) = run() else {
                self.status.hook(self.registry.now(), HookOutcome::Ok);
                return;
            };
            let text = format!("{}: {why}", self.label);
            let target = job.target.as_deref().unwrap_or("-");
            let line =
                format!("mirror={} target={target} hook={} failed: {why}", self.mirror, self.label);
            if retry == self.retries || self.shared.end().is_some() {
                self.status.hook(self.registry.now(), HookOutcome::Failed(text));
                self.log.error(format_args!("{line}; given up"));
                return;
            }
            self.status.hook(self.registry.now(), HookOutcome::Retried(text));
            self.log.warn(format_args!("{line}; again in {} s", pause.as_secs()));
            self.shared.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Where a path is on this machine.
fn on_disk(source: &Path, path: RelPath<'_>) -> PathBuf {
    if path.is_root() { source.to_owned() } else { source.join(OsStr::from_bytes(path.as_bytes())) }
}

impl Work {
    fn count(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::Everything => 1,
            Self::State(_) => 0,
        }
    }
}
