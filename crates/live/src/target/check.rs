//! The comparison in the background that finds what nobody told: drift (R112, R113).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline_engine::Interrupt;
use syncline_fs::{RelPath, RelPathBuf};

use super::desk::Desk;
use super::verdict::Verdict;
use crate::log::Log;
use crate::push::{Comparison, Keep, Load, Route};
use crate::queue::Todo;
use crate::state::{Registry, TargetStatus};

/// So many of the paths that differ are named in the log.
const NAMED: usize = 20;

/// The least favourable priority.
const NICE: i32 = 19;

/// Compares one target without changing anything, beside the worker that goes on. What differs although no change of
/// it was seen is told to the target's queue.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) mirror: Arc<str>,
    pub(crate) target: Arc<str>,
    pub(crate) route: Route,
    /// Contents are read, too.
    pub(crate) content: bool,
    /// What is not in the source is drift.
    pub(crate) removes: bool,
    pub(crate) patience: Duration,
    /// A change that is younger may not have been told.
    pub(crate) settles: Duration,
    pub(crate) desk: Arc<Desk>,
    pub(crate) registry: Registry,
    pub(crate) status: Arc<TargetStatus>,
    pub(crate) log: Log,
    pub(crate) running: Mutex<Option<(JoinHandle<()>, Interrupt)>>,
}

impl Checker {
    /// Begins in the background, unless the last one is still at it.
    pub(crate) fn begin(self: &Arc<Self>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|(thread, _)| !thread.is_finished()) {
            return self.log.warn(format_args!(
                "mirror={} target={} the last check is still under way",
                self.mirror, self.target
            ));
        }
        let (checker, interrupt) = (Arc::clone(self), Interrupt::default());
        let stop = interrupt.clone();
        let check = move || checker.check(&stop);
        match thread::Builder::new().name("check".into()).spawn(check) {
            Ok(thread) => *running = Some((thread, interrupt)),
            Err(error) => {
                self.log.error(format_args!("mirror={} cannot check: {error}", self.mirror));
            }
        }
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, interrupt)) = running {
            interrupt.raise();
            // One that panicked has said why.
            let _ = thread.join();
        }
    }

    fn check(&self, stop: &Interrupt) {
        // The threads of the session inherit it; without the right to be slower it is no slower.
        let _ = rustix::process::setpriority_process(None, NICE);
        let begun = SystemTime::now();
        self.desk.change(|inner, _| inner.touched = Some(BTreeSet::new()));
        let waiting: BTreeSet<RelPathBuf> =
            self.desk.lock().outbox.queue().iter().map(|pending| pending.path).collect();
        let running = |interrupt: &Interrupt| {
            let interrupt = interrupt.clone();
            stop.on_raise(move || interrupt.raise());
        };
        let pulse = self.registry.pulse(&format!("{} check of {}", self.mirror, self.target));
        let pulse = Arc::new(pulse);
        let kind = Comparison::Check { content: self.content };
        let load = Load::Everything { removes: self.removes, kind };
        let outcome = self.route.carry(load, &mut Keep::default(), &pulse, self.patience, &running);
        let touched = self.desk.change(|inner, _| inner.touched.take()).unwrap_or_default();
        let told: BTreeSet<RelPathBuf> = waiting.into_iter().chain(touched).collect();
        match Verdict::of(&outcome) {
            Verdict::Arrived | Verdict::Partial => {}
            _ if stop.is_raised() => return,
            _ => {
                return self.log.warn(format_args!(
                    "mirror={} target={} the check did not come to its end: {}",
                    self.mirror,
                    self.target,
                    outcome.text()
                ));
            }
        }
        let since = begun.checked_sub(self.settles).unwrap_or(UNIX_EPOCH);
        let drift: Vec<(RelPathBuf, Todo)> = outcome
            .findings
            .differing
            .iter()
            .filter_map(|path| RelPathBuf::clean(path).ok())
            .filter(|path| !is_told(&told, path.as_path()))
            .filter_map(|path| self.drifted(path, since))
            .collect();
        self.tell(&drift, outcome.listed, outcome.took);
    }

    /// What is to be done about a path that differs; nothing where that is news.
    fn drifted(&self, path: RelPathBuf, since: SystemTime) -> Option<(RelPathBuf, Todo)> {
        let at = self.route.source.join(OsStr::from_bytes(path.as_bytes()));
        let is_recent = |data: &fs::Metadata| {
            let changed = Duration::new(
                u64::try_from(data.ctime()).unwrap_or(0),
                u32::try_from(data.ctime_nsec()).unwrap_or(0),
            );
            UNIX_EPOCH + changed >= since
        };
        let todo = match fs::symlink_metadata(&at) {
            Ok(data) if is_recent(&data) => return None,
            Ok(data) if data.is_dir() => Todo::attributes(),
            Ok(_) => Todo::changed(),
            Err(_) => {
                let mut above = at.ancestors().skip(1);
                let parent = above.find_map(|above| fs::symlink_metadata(above).ok());
                if parent.is_none_or(|parent| is_recent(&parent)) {
                    return None;
                }
                Todo::Remove
            }
        };
        Some((path, todo))
    }

    fn tell(&self, drift: &[(RelPathBuf, Todo)], listed: u64, took: Duration) {
        for (path, todo) in drift.iter().take(NAMED) {
            self.log.warn(format_args!(
                "mirror={} target={} drift: {} {} although no change was seen",
                self.mirror,
                self.target,
                String::from_utf8_lossy(path.as_bytes()),
                if *todo == Todo::Remove { "is too much there" } else { "differs" }
            ));
        }
        self.log.info(format_args!(
            "mirror={} target={} checked={listed} drift={} ms={}",
            self.mirror,
            self.target,
            drift.len(),
            took.as_millis()
        ));
        if !drift.is_empty() {
            self.status.drift(drift.len() as u64);
            self.desk.push(drift);
        }
    }
}

/// Whether a path, something above it or something below it was told.
fn is_told(told: &BTreeSet<RelPathBuf>, path: RelPath<'_>) -> bool {
    // The root has a name of its own.
    let plain = |path: &[u8]| if path == b"." { Vec::new() } else { path.to_vec() };
    let path = &plain(path.as_bytes())[..];
    let is_below = |below: &[u8], above: &[u8]| {
        above.is_empty() || below.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"))
    };
    told.iter().any(|told| {
        let told = &plain(told.as_bytes())[..];
        told == path || is_below(path, told) || is_below(told, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r112_what_was_told_meanwhile_is_no_drift_nor_what_is_around_it() {
        let path = |path: &str| RelPathBuf::clean(path.as_bytes()).unwrap();
        let told = [path("a/b"), path("c")].into();
        for (name, expected) in [
            ("a/b", true),
            ("a", true),
            ("a/b/c", true),
            ("a/bb", false),
            ("cc", false),
            ("d", false),
        ] {
            assert_eq!(is_told(&told, path(name).as_path()), expected, "{name}");
        }
        assert!(is_told(&told, RelPath::ROOT), "its time changed with them");
    }
}
