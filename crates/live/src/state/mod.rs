//! How mirrors and targets are: written by those that work, read by those that show it.
//!
//! A handle is one short mutex, never held while anything is waited for. All lists are bounded.

mod histogram;
mod lag;
mod pulse;
mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use histogram::{BOUNDS, Histogram};
use lag::Lag;
pub use lag::LagSample;
pub use pulse::Pulse;
use pulse::Pulses;
pub use snapshot::{
    BatchCounts, ByteCounts, Concern, ErrorSnapshot, HookCounts, MirrorSnapshot, PathCounts,
    Progress, RenameCounts, Rescans, Snapshot, State, TargetSnapshot,
};

/// Errors that are remembered.
const MOST_ERRORS: usize = 10;

/// Bytes of a text that are remembered.
const LONGEST_TEXT: usize = 1000;

/// A live target whose oldest change is older than this is behind.
pub(crate) const BEHIND: Duration = Duration::from_secs(1);

pub(crate) const BEHIND_REASON: &str = "changes wait and are being sent";

/// Names of failing paths that are shown.
const MOST_SAMPLES: usize = 20;

/// Every mirror and target.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Everything>);

#[derive(Debug)]
struct Everything {
    epoch: Instant,
    mirrors: Mutex<BTreeMap<String, Arc<MirrorStatus>>>,
    pulses: Pulses,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty one; its clock starts.
    pub fn new() -> Self {
        let (mirrors, pulses) = (Mutex::default(), Pulses::default());
        Self(Arc::new(Everything { epoch: Instant::now(), mirrors, pulses }))
    }

    /// The time by its clock, which no one can set.
    pub fn now(&self) -> Duration {
        self.0.epoch.elapsed()
    }

    /// The mirror of this name, made if it is not there yet.
    pub fn mirror(&self, name: &str, source: &Path) -> Arc<MirrorStatus> {
        let mut mirrors = lock(&self.0.mirrors);
        let new = || Arc::new(MirrorStatus::new(source));
        mirrors.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Forgets a mirror.
    pub fn remove_mirror(&self, name: &str) {
        lock(&self.0.mirrors).remove(name);
    }

    /// A thread's word that it is alive.
    pub fn pulse(&self, name: &str) -> Pulse {
        self.0.pulses.add(self.0.epoch, name)
    }

    /// The threads that did not keep their word.
    pub fn late(&self, now: Duration) -> Vec<String> {
        self.0.pulses.late(now)
    }

    /// Whether every mirror has all its watches.
    pub fn is_watching(&self) -> bool {
        lock(&self.0.mirrors).values().all(|mirror| lock(&mirror.status).complete)
    }

    /// Everything at this moment.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let mirrors: Vec<_> = lock(&self.0.mirrors)
            .iter()
            .map(|(name, mirror)| (name.clone(), mirror.clone()))
            .collect();
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: format!("{:.0}", jiff::Timestamp::now()),
            uptime_seconds: now.as_secs_f64(),
            mirrors: mirrors.into_iter().map(|(name, mirror)| mirror.snapshot(name, now)).collect(),
        }
    }
}

/// How a mirror is.
#[derive(Debug)]
pub struct MirrorStatus {
    source: PathBuf,
    status: Mutex<Watching>,
    targets: Mutex<BTreeMap<String, Arc<TargetStatus>>>,
}

#[derive(Debug, Default)]
struct Watching {
    complete: bool,
    watches: u64,
    watch_limit: u64,
    polled: u64,
    poll_seconds: f64,
    overflows: u64,
    rescans: Rescans,
    hooks: HookCounts,
    hook_errors: Errors,
}

/// How much is looked through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One directory.
    Directory,
    /// A directory and all that is in it.
    Subtree,
    /// Everything.
    Full,
}

/// What became of a run of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookOutcome {
    /// It succeeded.
    Ok,
    /// It failed for this reason, and is tried again.
    Retried(String),
    /// It failed for this reason, and is given up.
    Failed(String),
    /// So many changes are not told.
    Dropped(u64),
}

impl MirrorStatus {
    fn new(source: &Path) -> Self {
        Self { source: source.to_owned(), status: Mutex::default(), targets: Mutex::default() }
    }

    /// The target of this name, made if it is not there yet.
    pub fn target(&self, name: &str, url: &str) -> Arc<TargetStatus> {
        let new = || Arc::new(TargetStatus::new(url));
        lock(&self.targets).entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Forgets a target.
    pub fn remove_target(&self, name: &str) {
        lock(&self.targets).remove(name);
    }

    /// Whether all watches are there.
    pub fn set_watching(&self, watching: bool) {
        lock(&self.status).complete = watching;
    }

    /// How many watches there are, and how many this user may have.
    pub fn set_watches(&self, watches: u64, limit: u64) {
        let mut status = lock(&self.status);
        (status.watches, status.watch_limit) = (watches, limit);
    }

    /// So many directories have no watch and are looked at this often.
    pub fn set_polled(&self, directories: u64, seconds: f64) {
        let mut status = lock(&self.status);
        (status.polled, status.poll_seconds) = (directories, seconds);
    }

    /// The kernel's queue ran over.
    pub fn overflow(&self) {
        lock(&self.status).overflows += 1;
    }

    /// Something is looked through again.
    pub fn rescan(&self, scope: Scope) {
        let rescans = &mut lock(&self.status).rescans;
        *match scope {
            Scope::Directory => &mut rescans.directory,
            Scope::Subtree => &mut rescans.subtree,
            Scope::Full => &mut rescans.full,
        } += 1;
    }

    /// A hook ran, or did not.
    pub fn hook(&self, now: Duration, outcome: HookOutcome) {
        let status = &mut *lock(&self.status);
        match outcome {
            HookOutcome::Ok => status.hooks.ok += 1,
            HookOutcome::Retried(why) => {
                status.hooks.retried += 1;
                status.hook_errors.add(now, &why);
            }
            HookOutcome::Failed(why) => {
                status.hooks.failed += 1;
                status.hook_errors.add(now, &why);
            }
            HookOutcome::Dropped(changes) => status.hooks.dropped += changes,
        }
    }

    /// When the change was made that waits longest for any target that is not in trouble.
    pub(crate) fn oldest_waiting(&self) -> Option<Duration> {
        let targets: Vec<_> = lock(&self.targets).values().cloned().collect();
        targets.iter().filter_map(|target| target.oldest_waiting()).min()
    }

    fn snapshot(&self, name: String, now: Duration) -> MirrorSnapshot {
        let targets: Vec<_> = lock(&self.targets)
            .iter()
            .map(|(name, target)| (name.clone(), target.clone()))
            .collect();
        let status = lock(&self.status);
        MirrorSnapshot {
            name,
            source: self.source.to_string_lossy().into_owned(),
            watching: status.complete,
            watches: status.watches,
            watch_limit: status.watch_limit,
            polled: status.polled,
            poll_seconds: status.poll_seconds,
            overflows: status.overflows,
            rescans: status.rescans,
            hooks: status.hooks,
            hook_errors: status.hook_errors.snapshot(now),
            targets: targets.into_iter().map(|(name, target)| target.snapshot(name, now)).collect(),
        }
    }
}

/// How a target is.
#[derive(Debug)]
pub struct TargetStatus {
    url: String,
    status: Mutex<Working>,
}

#[derive(Debug)]
struct Working {
    state: State,
    reason: String,
    since: Duration,
    lag: Lag,
    next_attempt: Option<Duration>,
    last_batch: Option<Duration>,
    batches: BatchCounts,
    paths: PathCounts,
    bytes: ByteCounts,
    renames: RenameCounts,
    retries: u64,
    failed_paths: u64,
    failed_samples: Vec<String>,
    drift_paths: u64,
    journal_bytes: u64,
    progress: Option<Progress>,
    session: Histogram,
    visible: Histogram,
    errors: Errors,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "each change of state is a line in the log"]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state from now on.
    pub to: State,
    /// Why.
    pub reason: String,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchResult {
    /// All of it arrived.
    #[default]
    Ok,
    /// Some paths did not.
    Partial,
    /// Nothing counts as arrived.
    Failed,
}

/// How a rename was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameMethod {
    /// Hard links, then removal.
    HardLink,
    /// A basis directory, then removal.
    LinkDest,
    /// A similar name as basis.
    Fuzzy,
    /// Content sent again.
    Plain,
}

/// A session that ended.
#[derive(Debug, Clone, Default)]
pub struct BatchReport {
    /// How.
    pub result: BatchResult,
    /// Paths made or brought up to date.
    pub changed: u64,
    /// Paths removed.
    pub removed: u64,
    /// Bytes.
    pub bytes: ByteCounts,
    /// How long it took.
    pub session: Duration,
    /// Renames in it.
    pub renames: Vec<(RenameMethod, u64)>,
}

impl TargetStatus {
    fn new(url: &str) -> Self {
        let status = Working {
            state: State::Starting,
            reason: String::new(),
            since: Duration::ZERO,
            lag: Lag::default(),
            next_attempt: None,
            last_batch: None,
            batches: BatchCounts::default(),
            paths: PathCounts::default(),
            bytes: ByteCounts::default(),
            renames: RenameCounts::default(),
            retries: 0,
            failed_paths: 0,
            failed_samples: Vec::new(),
            drift_paths: 0,
            journal_bytes: 0,
            progress: None,
            session: Histogram::default(),
            visible: Histogram::default(),
            errors: Errors::default(),
        };
        Self { url: url.to_owned(), status: Mutex::new(status) }
    }

    /// Sets the state; tells what changed, if it did. A new reason alone is no change.
    pub fn set_state(&self, now: Duration, state: State, reason: &str) -> Option<Transition> {
        let mut status = lock(&self.status);
        reason.clone_into(&mut status.reason);
        cut(&mut status.reason);
        if !matches!(
            state,
            State::Retrying | State::Misconfigured | State::Busy | State::TargetFull
        ) {
            status.next_attempt = None;
        }
        let from = std::mem::replace(&mut status.state, state);
        if from == state {
            return None;
        }
        status.since = now;
        Some(Transition { from, to: state, reason: status.reason.clone() })
    }

    /// The state.
    pub fn state(&self) -> State {
        lock(&self.status).state
    }

    /// How many paths wait, and since when the first of them does.
    pub fn set_queue(&self, now: Duration, pending: u64, oldest: Option<Duration>) {
        lock(&self.status).lag.set(now, pending, oldest);
    }

    fn oldest_waiting(&self) -> Option<Duration> {
        let status = lock(&self.status);
        status.lag.oldest().filter(|_| status.state.concern() < Concern::Trouble)
    }

    /// A session ended.
    pub fn batch(&self, now: Duration, report: &BatchReport) {
        let status = &mut *lock(&self.status);
        *match report.result {
            BatchResult::Ok => &mut status.batches.ok,
            BatchResult::Partial => &mut status.batches.partial,
            BatchResult::Failed => &mut status.batches.failed,
        } += 1;
        if report.result != BatchResult::Failed {
            status.last_batch = Some(now);
        }
        status.paths.changed += report.changed;
        status.paths.removed += report.removed;
        status.bytes.sent += report.bytes.sent;
        status.bytes.received += report.bytes.received;
        status.bytes.literal += report.bytes.literal;
        status.session.add(report.session);
        for &(method, count) in &report.renames {
            *match method {
                RenameMethod::HardLink => &mut status.renames.hard_link,
                RenameMethod::LinkDest => &mut status.renames.link_dest,
                RenameMethod::Fuzzy => &mut status.renames.fuzzy,
                RenameMethod::Plain => &mut status.renames.plain,
            } += count;
        }
    }

    /// A change arrived this long after it was made.
    pub fn visible(&self, after: Duration) {
        lock(&self.status).visible.add(after);
    }

    /// An attempt failed; the next one is due then.
    pub fn retry(&self, next: Duration) {
        let mut status = lock(&self.status);
        status.retries += 1;
        status.next_attempt = Some(next);
    }

    /// Something went wrong.
    pub fn error(&self, now: Duration, text: &str) {
        lock(&self.status).errors.add(now, text);
    }

    /// How many paths fail for a reason of their own, and some of them.
    pub fn set_failed_paths(&self, count: u64, samples: impl IntoIterator<Item = String>) {
        let mut status = lock(&self.status);
        status.failed_paths = count;
        status.failed_samples = samples.into_iter().take(MOST_SAMPLES).collect();
        status.failed_samples.iter_mut().for_each(cut);
    }

    /// The size of the journal.
    pub fn set_journal_bytes(&self, bytes: u64) {
        lock(&self.status).journal_bytes = bytes;
    }

    /// A comparison found so many paths different without a change that was seen.
    pub fn drift(&self, paths: u64) {
        lock(&self.status).drift_paths += paths;
    }

    /// A transfer that takes long goes on, or not any more.
    pub fn set_progress(&self, progress: Option<Progress>) {
        lock(&self.status).progress = progress;
    }

    fn snapshot(&self, name: String, now: Duration) -> TargetSnapshot {
        let status = &mut *lock(&self.status);
        let ago = |then: Duration| now.saturating_sub(then).as_secs_f64();
        let lag = status.lag.current(now);
        let is_behind = status.state == State::Live && lag.seconds > BEHIND.as_secs_f64();
        TargetSnapshot {
            name,
            url: self.url.clone(),
            state: if is_behind { State::Behind } else { status.state },
            reason: if is_behind { BEHIND_REASON.to_owned() } else { status.reason.clone() },
            state_seconds: ago(status.since),
            lag,
            lag_history: status.lag.history(now),
            next_attempt_seconds: status
                .next_attempt
                .map(|next| next.saturating_sub(now).as_secs_f64()),
            last_batch_seconds: status.last_batch.map(ago),
            batches: status.batches,
            paths: status.paths,
            bytes: status.bytes,
            renames: status.renames,
            retries: status.retries,
            failed_paths: status.failed_paths,
            failed_samples: status.failed_samples.clone(),
            drift_paths: status.drift_paths,
            journal_bytes: status.journal_bytes,
            progress: status.progress.clone(),
            session: status.session,
            visible: status.visible,
            errors: status.errors.snapshot(now),
        }
    }
}

/// The last errors; the same one again and again counts as one.
#[derive(Debug, Default)]
struct Errors(VecDeque<(Duration, u64, String)>);

impl Errors {
    fn add(&mut self, now: Duration, text: &str) {
        let mut text = text.to_owned();
        cut(&mut text);
        if let Some((at, times, last)) = self.0.front_mut()
            && *last == text
        {
            (*at, *times) = (now, *times + 1);
            return;
        }
        self.0.push_front((now, 1, text));
        self.0.truncate(MOST_ERRORS);
    }

    fn snapshot(&self, now: Duration) -> Vec<ErrorSnapshot> {
        let errors = self.0.iter().map(|(at, times, text)| ErrorSnapshot {
            seconds_ago: now.saturating_sub(*at).as_secs_f64(),
            times: *times,
            text: text.clone(),
        });
        errors.collect()
    }
}

fn cut(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let mut end = LONGEST_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

/// What is guarded stays sound whatever thread died while it held the lock: it is counters and texts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn one_target() -> (Registry, Arc<MirrorStatus>, Arc<TargetStatus>) {
        let registry = Registry::new();
        let mirror = registry.mirror("www", Path::new("/data/www"));
        let target = mirror.target("web1", "rsync://web1/www/");
        (registry, mirror, target)
    }

    #[test]
    fn r135_only_a_change_of_state_is_a_transition() {
        let (_, _, target) = one_target();
        let transition = target.set_state(SECOND, State::Live, "in sync").unwrap();
        assert_eq!((transition.from, transition.to), (State::Starting, State::Live));
        assert_eq!(target.set_state(SECOND, State::Live, "still"), None);
        assert!(target.set_state(SECOND, State::Retrying, "connection refused").is_some());
    }

    #[test]
    fn r135_names_are_those_of_the_serialised_form() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }

    #[test]
    fn r136_behind_is_healthy_until_it_lags_too_much_and_trouble_is_not() {
        let (registry, _, target) = one_target();
        let _ = target.set_state(SECOND, State::Live, "");
        target.set_queue(SECOND, 1, Some(SECOND));
        assert_eq!(registry.snapshot(SECOND * 2).mirrors[0].targets[0].state, State::Live);
        assert!(registry.snapshot(SECOND * 60).unhealthy(SECOND * 60).is_empty());
        let lines = registry.snapshot(SECOND * 62).unhealthy(SECOND * 60);
        assert_eq!(
            lines,
            [
                "mirror=www target=web1 state=behind lag=61.0s paths=1 changes wait and are being sent"
            ]
        );
        let _ = target.set_state(SECOND, State::Misconfigured, "auth failed");
        let lines = registry.snapshot(SECOND).unhealthy(SECOND * 60);
        assert!(lines[0].ends_with("state=misconfigured lag=0.0s paths=1 auth failed"));
    }

    #[test]
    fn errors_are_few_short_and_counted() {
        let (registry, _, target) = one_target();
        for number in 0..30 {
            target.error(SECOND * number, &format!("error {number}"));
        }
        for _ in 0..3 {
            target.error(SECOND * 40, &"ä".repeat(5000));
        }
        let errors = registry.snapshot(SECOND * 41).mirrors[0].targets[0].errors.clone();
        assert_eq!(errors.len(), MOST_ERRORS);
        assert_eq!((errors[0].times, errors[0].seconds_ago), (3, 1.0));
        assert!(errors[0].text.len() < LONGEST_TEXT + 5);
        assert_eq!(errors[1].text, "error 29");
    }

    #[test]
    fn a_name_keeps_its_handle_until_it_is_removed() {
        let (registry, mirror, target) = one_target();
        target.drift(2);
        assert!(Arc::ptr_eq(&mirror, &registry.mirror("www", Path::new("/data/www"))));
        assert!(Arc::ptr_eq(&target, &mirror.target("web1", "rsync://web1/www/")));
        mirror.remove_target("web1");
        assert!(registry.snapshot(SECOND).mirrors[0].targets.is_empty());
        registry.remove_mirror("www");
        assert!(registry.snapshot(SECOND).mirrors.is_empty());
    }

    #[test]
    fn r26_a_thread_that_is_busy_too_long_is_late_and_an_idle_or_dead_one_is_not() {
        let registry = Registry::new();
        let pulse = registry.pulse("worker www web1");
        assert!(registry.late(SECOND * 1000).is_empty());
        pulse.busy(SECOND);
        assert_eq!(registry.late(registry.now() + SECOND * 2), ["worker www web1"]);
        assert!(registry.late(registry.now()).is_empty());
        pulse.idle();
        assert!(registry.late(registry.now() + SECOND * 2).is_empty());
        pulse.busy(SECOND);
        drop(pulse);
        assert!(registry.late(registry.now() + SECOND * 2).is_empty());
    }
}
