//! All mirrors of a configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use syncline_conf::live::{Address, Config, Deletion, Mirror, Startup, Target, Warm};
use syncline_engine::ExitCode;
use syncline_engine::session::{rules_of, sending_filter};
use syncline_engine::source::OperatorFiles;
use syncline_fs::{RelPath, RelPathBuf};
use syncline_watch::settle::Rules;
use syncline_wildcard::Wildcard;

use crate::check::unperformed;
use crate::hooks::Hooks;
use crate::lock::{Lock, Refusal};
use crate::log::Log;
use crate::mirror::{Bell, Expressions, Hiding, Planner, Source, Watching, Wish};
use crate::outbox::Outbox;
use crate::push::{Comparison, Keep, Load, Route, Words, options, schedule_differs};
use crate::queue::Todo;
use crate::state::Registry;
use crate::storage::Directory;
use crate::target::{Checker, Desk, Setting, Worker};

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] syncline_conf::Error),
    /// Another instance uses the state directory.
    #[error("{} is in use by another instance{}", path.display(), process.map_or(String::new(), |process| format!(", process {process}")))]
    Locked {
        /// The state directory.
        path: PathBuf,
        /// The other's process, if it could be told.
        process: Option<u32>,
    },
    /// The state directory.
    #[error("state directory {}: {source}", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A source cannot be opened.
    #[error("mirror {mirror}: source {}: {source}", path.display())]
    Source {
        /// Which mirror.
        mirror: String,
        /// Its source.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The options or filter rules of a target cannot be used.
    #[error("mirror {mirror}, target {target}: {text}")]
    Options {
        /// Which mirror.
        mirror: String,
        /// Which target.
        target: String,
        /// What is wrong.
        text: String,
    },
    /// A key that nothing performs yet.
    #[error("mirror {mirror}: `{key}` is not performed yet: leave it out")]
    Unperformed {
        /// Which mirror.
        mirror: String,
        /// The key.
        key: &'static str,
    },
    /// The journal of a target.
    #[error("mirror {mirror}, target {target}: {source}")]
    Journal {
        /// Which mirror.
        mirror: String,
        /// Which target.
        target: String,
        /// What went wrong.
        source: crate::Error,
    },
    /// A hook cannot work.
    #[error("mirror {mirror}: {source}")]
    Hook {
        /// Which mirror.
        mirror: String,
        /// What is wrong.
        source: crate::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// What a person wants of a start.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct StartOptions {
    /// Sources may be empty although they were not before.
    pub allow_empty_source: bool,
}

/// Mirrors at work. Dropping it without [`stop`](Self::stop) leaves the threads alone.
#[derive(Debug)]
pub struct Service {
    _lock: Lock,
    state_dir: PathBuf,
    options: StartOptions,
    registry: Registry,
    log: Log,
    mirrors: Mutex<BTreeMap<String, Running>>,
}

/// A mirror at work.
#[derive(Debug)]
struct Running {
    config: Mirror,
    bell: Bell,
    watching: JoinHandle<()>,
    targets: Vec<RunningTarget>,
    hooks: Arc<Hooks>,
}

#[derive(Debug)]
struct RunningTarget {
    name: String,
    desk: Arc<Desk>,
    checker: Arc<Checker>,
    worker: JoinHandle<()>,
}

impl Service {
    /// Starts all mirrors. Watches are made by their threads; when all are there,
    /// [`Registry::is_watching`] says so.
    pub fn start(
        config: &Config,
        options: StartOptions,
        registry: Registry,
        log: Log,
    ) -> Result<Self, ServiceError> {
        config.check()?;
        config.mirrors.iter().try_for_each(check_mirror)?;
        let state_dir = config.state_dir.clone();
        let lock = Lock::take(&state_dir).map_err(|refusal| match refusal {
            Refusal::Held(process) => ServiceError::Locked { path: state_dir.clone(), process },
            Refusal::Failed(source) => ServiceError::State { path: state_dir.clone(), source },
        })?;
        let service =
            Self { _lock: lock, state_dir, options, registry, log, mirrors: Mutex::default() };
        let mut running = BTreeMap::new();
        for mirror in &config.mirrors {
            match service.start_mirror(config, mirror, false) {
                Ok(started) => running.insert(name_of(mirror), started),
                Err(error) => {
                    service.stop_all(running, Duration::ZERO);
                    return Err(error);
                }
            };
        }
        *service.lock() = running;
        Ok(service)
    }

    /// Takes a new configuration: mirrors that are the same as before go on undisturbed (R139).
    pub fn reload(&self, config: &Config) -> Result<(), ServiceError> {
        config.check()?;
        for mirror in &config.mirrors {
            check_mirror(mirror)?;
        }
        let mut before = std::mem::take(&mut *self.lock());
        let mut after = BTreeMap::new();
        let mut fresh = Vec::new();
        for mirror in &config.mirrors {
            let name = name_of(mirror);
            match before.remove(&name) {
                Some(running) if running.config == *mirror => {
                    after.insert(name, running);
                }
                Some(running) => {
                    self.stop_all(BTreeMap::from([(name, running)]), config.stop_within.0);
                    fresh.push((mirror, true));
                }
                None => fresh.push((mirror, false)),
            }
        }
        for name in before.keys() {
            self.registry.remove_mirror(name);
        }
        self.stop_all(before, config.stop_within.0);
        let mut result = Ok(());
        for (mirror, goes_on) in fresh {
            match self.start_mirror(config, mirror, goes_on) {
                Ok(started) => {
                    after.insert(name_of(mirror), started);
                }
                Err(error) => result = Err(error),
            }
        }
        *self.lock() = after;
        result
    }

    /// Every target is tried at once, whatever its pauses (R81).
    pub fn retry_now(&self) {
        for running in self.lock().values() {
            for target in &running.targets {
                target.desk.change(|inner, _| inner.retry = true);
            }
        }
    }

    /// Releases what a mirror holds back for a person's word: many removals, an empty source, another source (R90,
    /// R91, R93). Whether there is such a mirror.
    pub fn allow(&self, mirror: &str) -> bool {
        let mirrors = self.lock();
        let Some(running) = mirrors.get(mirror) else { return false };
        running.bell.ring(Wish::Allow);
        for target in &running.targets {
            target.desk.change(|inner, _| inner.allow = true);
        }
        true
    }

    /// Everything is compared with every target: of one mirror, or of all. Whether there is such a mirror.
    pub fn compare(&self, mirror: Option<&str>) -> bool {
        let mirrors = self.lock();
        let mut any = false;
        for (name, running) in mirrors.iter() {
            if mirror.is_none_or(|wanted| wanted == name) {
                running.bell.ring(Wish::Compare);
                any = true;
            }
        }
        any
    }

    /// Ends: what can be sent within this time is sent, the rest is in the journals (R138).
    pub fn stop(self, within: Duration) {
        let running = std::mem::take(&mut *self.lock());
        self.stop_all(running, within);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_all(&self, mirrors: BTreeMap<String, Running>, within: Duration) {
        for running in mirrors.values() {
            running.bell.ring(Wish::Stop);
        }
        let deadline = self.registry.now() + within;
        let (mut targets, mut hooks) = (Vec::new(), Vec::new());
        for (name, running) in mirrors {
            hooks.push(running.hooks);
            // A thread that panicked has said why; its queue is to be saved all the same.
            let _ = running.watching.join();
            running.targets.iter().for_each(|target| target.checker.stop());
            for target in running.targets {
                target.desk.change(|inner, _| inner.stop = Some(deadline));
                targets.push((name.clone(), target));
            }
        }
        for (mirror, target) in targets {
            while !target.worker.is_finished() && self.registry.now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            while !target.worker.is_finished() {
                if let Some(interrupt) = &target.desk.lock().interrupt {
                    interrupt.raise();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = target.worker.join();
            drop(target.checker);
            let closed = Arc::try_unwrap(target.desk).map(Desk::close);
            if let Ok(Err(error)) = closed {
                self.log.error(format_args!("mirror={mirror} target={}: {error}", target.name));
            }
        }
        let left = deadline.saturating_sub(self.registry.now());
        for hooks in hooks.into_iter().filter_map(Arc::into_inner) {
            hooks.stop(left);
        }
    }

    /// `goes_on`: it was at work a moment ago, and nobody watched since.
    fn start_mirror(
        &self,
        config: &Config,
        mirror: &Mirror,
        goes_on: bool,
    ) -> Result<Running, ServiceError> {
        let name: Arc<str> = name_of(mirror).into();
        let source_error = |source| ServiceError::Source {
            mirror: name.to_string(),
            path: mirror.source.clone(),
            source,
        };
        let state = self.state_dir.join(escaped(&name));
        fs::create_dir_all(&state)
            .map_err(|source| ServiceError::State { path: state.clone(), source })?;
        let path = fs::canonicalize(&mirror.source).map_err(source_error)?;
        let single = if path.is_dir() { None } else { path.file_name() };
        let single = single.and_then(|single| RelPathBuf::clean(single.as_bytes()).ok());
        let top = match (&single, path.parent()) {
            (Some(_), Some(parent)) => parent.to_owned(),
            _ => path.clone(),
        };
        let may_be_empty = mirror.allow_empty_source || self.options.allow_empty_source;
        let source = Source::open(&top, &state, may_be_empty).map_err(source_error)?;
        let source = Arc::new(source);
        let hiding = hiding_of(mirror, &top)?;
        let status = self.registry.mirror(&name, &mirror.source);
        let hooks = Hooks::start(mirror, &name, &self.registry, &self.log);
        let hooks = Arc::new(
            hooks.map_err(|source| ServiceError::Hook { mirror: name.to_string(), source })?,
        );
        let bell = Bell::new().map_err(ServiceError::Thread)?;
        let (mut desks, mut compares, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let mut checkers = Vec::new();
        let mut worked = None;
        for target in &mirror.targets {
            let target_name: Arc<str> = target_name_of(target).into();
            let mut route = route_of(mirror, target, &top, single.as_ref())?;
            let directory = state.join(escaped(&target_name));
            let storage = Directory::open(&directory)
                .map_err(|source| ServiceError::State { path: directory.clone(), source })?;
            worked = worked.max(storage.written());
            let now = self.registry.now();
            let limit = mirror.max_paths as usize;
            let opened = Outbox::open(storage, config.journal_sync, limit, now);
            let (outbox, recovery) = opened.map_err(|source| ServiceError::Journal {
                mirror: name.to_string(),
                target: target_name.to_string(),
                source,
            })?;
            if recovery.existed {
                self.log.info(format_args!(
                    "mirror={name} target={target_name} journal: {} paths wait{}",
                    recovery.paths,
                    if recovery.damaged { ", a part of it was unreadable" } else { "" }
                ));
            }
            let compare = match mirror.startup {
                _ if goes_on => true,
                Startup::Compare => true,
                Startup::Trust => !recovery.clean,
                Startup::None => false,
            };
            let doubtful = match (recovery.existed && !recovery.clean, compare) {
                (false, _) => Vec::new(),
                // Whoever owes a comparison may have been killed in one.
                (true, true) => vec![(RelPath::ROOT.to_owned(), Todo::tree())],
                (true, false) => {
                    outbox.queue().iter().map(|pending| (pending.path, pending.todo)).collect()
                }
            };
            let desk = Desk::new(outbox, self.registry.clone());
            let target_status = status.target(&target_name, &target.url.to_string());
            route.shown = Some(Arc::clone(&target_status));
            let setting = Setting {
                guard: Arc::clone(&source),
                bell: bell.clone(),
                hooks: Arc::clone(&hooks),
                mirror: Arc::clone(&name),
                target: Arc::clone(&target_name),
                source: top.clone(),
                route,
                batch_paths: mirror.batch_paths as usize,
                batch_bytes: mirror.batch_bytes.0,
                delta_min: mirror.delta_min.0,
                backoff_max: target.backoff_max.0,
                min_interval: mirror.min_interval.map_or(Duration::ZERO, |interval| interval.0),
                resend: mirror.resend_interval.0,
                max_delete: mirror.max_delete,
                removes: matches!(mirror.delete, Deletion::Always | Deletion::Running),
                compare_removes: matches!(mirror.delete, Deletion::Always | Deletion::Startup),
                patience: target.connect_timeout.0
                    + target.handshake_timeout.0
                    + target.io_timeout.0 * 2,
                doubtful,
            };
            let checker = Arc::new(Checker {
                mirror: Arc::clone(&name),
                target: Arc::clone(&target_name),
                route: Route { keeps_spare: false, shown: None, ..setting.route.clone() },
                content: mirror.verify_content,
                removes: matches!(mirror.delete, Deletion::Always | Deletion::Startup),
                patience: setting.patience,
                settles: mirror.max_open_wait.0 + mirror.max_delay.0 + mirror.resend_interval.0,
                desk: Arc::clone(&desk),
                registry: self.registry.clone(),
                status: Arc::clone(&target_status),
                log: self.log.clone(),
                running: Mutex::default(),
            });
            checkers.push(Arc::clone(&checker));
            let worker = Worker::start(
                setting,
                Arc::clone(&desk),
                &self.registry,
                target_status,
                self.log.clone(),
            );
            let worker = worker.map_err(ServiceError::Thread)?;
            targets.push(RunningTarget {
                name: target_name.to_string(),
                desk: Arc::clone(&desk),
                checker,
                worker,
            });
            desks.push(desk);
            compares.push(compare);
        }
        let rules = Rules {
            settle: mirror.settle.0,
            max_delay: mirror.max_delay.0,
            max_open: mirror.max_open_wait.0,
            resend: mirror.resend_interval.0,
            max_paths: mirror.max_paths as usize,
            exact: true,
            transient: mirror
                .transient
                .iter()
                .map(|name| Wildcard::new(name.as_str().as_bytes()))
                .collect(),
        };
        let removes = matches!(mirror.delete, Deletion::Always | Deletion::Running);
        let watching = Watching {
            name: Arc::clone(&name),
            path,
            source,
            rules,
            hiding: Arc::new(hiding),
            planner: Planner::new(single, removes),
            desks,
            schedule: mirror.schedule.clone(),
            poll: mirror.poll_interval.0,
            verify: mirror.verify.clone(),
            checkers,
            scheduled_differs: schedule_differs(mirror),
            hooks: Arc::clone(&hooks),
            status,
            registry: self.registry.clone(),
            log: self.log.clone(),
            compare_removes: matches!(mirror.delete, Deletion::Always | Deletion::Startup),
            merge_names: merge_names(mirror),
            compares,
            worked,
        };
        let watching = watching.start(bell.clone()).map_err(ServiceError::Thread)?;
        Ok(Running { config: mirror.clone(), bell, watching, targets, hooks })
    }
}

/// Compares everything with every target once; the worst of the sessions' exit codes (R6).
pub fn once(config: &Config, log: &Log) -> Result<u8, ServiceError> {
    config.check()?;
    let registry = Registry::new();
    let mut worst = 0;
    for mirror in &config.mirrors {
        let path = fs::canonicalize(&mirror.source).map_err(|source| ServiceError::Source {
            mirror: name_of(mirror),
            path: mirror.source.clone(),
            source,
        })?;
        check_mirror(mirror)?;
        for target in &mirror.targets {
            let name = target_name_of(target);
            let route = route_of(mirror, target, &path, None)?;
            let removes = matches!(mirror.delete, Deletion::Always | Deletion::Startup)
                && (mirror.allow_empty_source
                    || fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()));
            let pulse = Arc::new(registry.pulse(&name));
            let load = Load::Everything { removes, kind: Comparison::Plain };
            let outcome =
                route.carry(load, &mut Keep::default(), &pulse, Duration::from_secs(3600), &|_| {});
            let code = match &outcome.result {
                Ok(code) => *code,
                Err(error) => error.exit_code(),
            };
            for text in &outcome.findings.texts {
                log.warn(format_args!("mirror={} target={name} {text}", name_of(mirror)));
            }
            if let Err(error) = &outcome.result {
                log.error(format_args!("mirror={} target={name} {error}", name_of(mirror)));
            }
            log.info(format_args!(
                "mirror={} target={name} sent={} literal={} removed={} ms={} code={}",
                name_of(mirror),
                outcome.sent,
                outcome.literal,
                outcome.deleted,
                outcome.took.as_millis(),
                code.number()
            ));
            if code != ExitCode::OK && (worst == 0 || outcome.result.is_err()) {
                worst = code.number();
            }
        }
    }
    Ok(worst)
}

pub(crate) fn route_of(
    mirror: &Mirror,
    target: &Target,
    top: &Path,
    single: Option<&RelPathBuf>,
) -> Result<Route, ServiceError> {
    let hidden = expressions_of(mirror)?.map(Arc::new);
    Ok(Route {
        source: top.to_owned(),
        single: single.cloned(),
        address: target.url.clone(),
        words: Words::of(mirror, target, hidden.as_deref()),
        hidden,
        password_file: target.password_file.clone(),
        handshake: target.handshake_timeout.0,
        max_delete: None,
        pipelines: target.pipeline,
        keeps_spare: target.warm != Warm::None,
        shown: None,
    })
}

fn expressions_of(mirror: &Mirror) -> Result<Option<Expressions>, ServiceError> {
    Expressions::new(&mirror.filter_regex).map_err(|text| ServiceError::Options {
        mirror: name_of(mirror),
        target: mirror.targets.first().map(target_name_of).unwrap_or_default(),
        text,
    })
}

pub(crate) fn check_mirror(mirror: &Mirror) -> Result<(), ServiceError> {
    if let Some(key) = unperformed(mirror) {
        return Err(ServiceError::Unperformed { mirror: name_of(mirror), key });
    }
    hiding_of(mirror, &mirror.source).map(drop)
}

/// The filter of a mirror; that of every target is made of the same rules.
fn hiding_of(mirror: &Mirror, top: &Path) -> Result<Hiding, ServiceError> {
    let mut hiding = None;
    let expressions = expressions_of(mirror)?.map(Arc::new);
    let nobody = Target::default();
    let targets = mirror.targets.iter().chain(mirror.targets.is_empty().then_some(&nobody));
    for target in targets {
        let mut files = OperatorFiles::default();
        let fail = |error: syncline_engine::Error| ServiceError::Options {
            mirror: name_of(mirror),
            target: target_name_of(target),
            text: error.to_string(),
        };
        let words = Words::of(mirror, target, expressions.as_deref());
        let load = |kind| Load::Everything { removes: true, kind };
        // Rules for another occasion are to be proper, too.
        let scheduled = options(&words.of_session(&load(Comparison::Scheduled), None));
        scheduled.and_then(|options| rules_of(&options, &mut files)).map_err(fail)?;
        let options = options(&words.of_session(&load(Comparison::Plain), None)).map_err(fail)?;
        if let Some(error) = syncline_engine::unperformed(&options) {
            return Err(ServiceError::Options {
                mirror: name_of(mirror),
                target: target_name_of(target),
                text: error.to_string(),
            });
        }
        if matches!(target.url, Address::Local(_)) && options.connection.iconv.is_some() {
            return Err(ServiceError::Options {
                mirror: name_of(mirror),
                target: target_name_of(target),
                text: "iconv: names are converted on the way to another host only; leave it out, or name \
                       the target user@localhost:/path"
                    .to_owned(),
            });
        }
        let mut filter = sending_filter(&options, &mut files).map_err(fail)?;
        if let Some(expressions) = expressions.clone() {
            filter.hide(expressions);
        }
        hiding.get_or_insert_with(|| Hiding::new(filter, files, top.as_os_str().as_bytes()));
    }
    hiding.ok_or_else(|| ServiceError::Options {
        mirror: name_of(mirror),
        target: String::new(),
        text: "there is no target".to_owned(),
    })
}

/// Names of files that hold rules for their directory.
fn merge_names(mirror: &Mirror) -> Vec<Vec<u8>> {
    let mut names = vec![b".rsync-filter".to_vec()];
    if mirror.options.is_on("cvs-exclude") {
        names.push(b".cvsignore".to_vec());
    }
    for rule in &mirror.filter {
        let text = rule.as_str();
        let merges = text.starts_with(':') || text.starts_with("dir-merge");
        if let (true, Some(name)) = (merges, text.split_whitespace().last()) {
            names.push(name.trim_start_matches('/').as_bytes().to_vec());
        }
    }
    names
}

pub(crate) fn name_of(mirror: &Mirror) -> String {
    match &mirror.name {
        Some(name) => name.as_str().to_owned(),
        None => mirror.source.display().to_string(),
    }
}

pub(crate) fn target_name_of(target: &Target) -> String {
    match &target.name {
        Some(name) => name.as_str().to_owned(),
        None => target.url.to_string(),
    }
}

/// A name as the name of a directory.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte) && !text.is_empty() {
            text.push(byte.into());
        } else {
            // Writing to text cannot fail.
            let _ = write!(text, "%{byte:02x}");
        }
    }
    if text.len() > 200 {
        // Two long names stay two.
        let sum = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        text.truncate(180);
        let _ = write!(text, "%{sum:016x}");
    }
    text
}
