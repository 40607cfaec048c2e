//! The thread that brings one target up to date, and keeps it so.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use syncline_conf::live::ChangeKind;
use syncline_engine::{ExitCode, Interrupt};
use syncline_fs::RelPathBuf;

use super::desk::{Desk, Inner};
use super::held::Held;
use super::moves::{Move, Moves};
use super::plan::{Bounds, Plan};
use super::verdict::{Verdict, named};
use crate::backoff::{Backoff, Policy};
use crate::hooks::{Change, Hooks};
use crate::log::Log;
use crate::mirror::{Bell, Source, Wish};
use crate::push::{Comparison, Keep, Load, Outcome, Route};
use crate::queue::{Batch, Below, Pending, Todo};
use crate::state::{BatchReport, BatchResult, ByteCounts, Pulse, Registry, State, TargetStatus};

/// The least number of removals that a batch may hold without a person's word.
const MAX_DELETE: u64 = 10_000;

/// A busy module is no change of state before this.
const BUSY_AFTER: Duration = Duration::from_secs(30);

/// What a worker is told once.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) hooks: Arc<Hooks>,
    /// Whether the source is still what it was.
    pub(crate) guard: Arc<Source>,
    /// The mirror's thread.
    pub(crate) bell: Bell,
    pub(crate) mirror: Arc<str>,
    pub(crate) target: Arc<str>,
    pub(crate) source: PathBuf,
    pub(crate) route: Route,
    pub(crate) batch_paths: usize,
    pub(crate) batch_bytes: u64,
    pub(crate) delta_min: u64,
    pub(crate) backoff_max: Duration,
    pub(crate) min_interval: Duration,
    pub(crate) resend: Duration,
    /// None: ten thousand, or half of what is known.
    pub(crate) max_delete: Option<u64>,
    /// What was seen to go is removed.
    pub(crate) removes: bool,
    /// The longest a session may show no sign of life.
    pub(crate) patience: Duration,
}

/// Works off one target's queue.
pub(crate) struct Worker {
    setting: Setting,
    desk: Arc<Desk>,
    registry: Registry,
    status: Arc<TargetStatus>,
    pulse: Arc<Pulse>,
    log: Log,
    held: Held,
    keep: Keep,
    backoff: Backoff,
    busy_since: Option<Duration>,
    /// Nothing is begun before this.
    not_before: Duration,
    /// Entries in the source, as far as is known.
    known: u64,
    /// Removals that wait for a person's word.
    deletes: Vec<RelPathBuf>,
    /// A comparison stopped at its limit of removals, and whether it was a scheduled one.
    compare_held: Option<bool>,
    /// The next removals have a person's word.
    unlimited: bool,
    /// What is missing although everything arrives.
    degraded: Option<String>,
    /// When the log was last told of a journal that cannot be written.
    complained: Option<Duration>,
    no_delete: bool,
    no_links: bool,
    batch_bytes: u64,
    number: u64,
    paths_seen: usize,
}

enum Order {
    Stop,
    Compare { removes: bool, scheduled: bool },
    Send(Batch, Vec<Move>),
}

/// What became of all sessions of a batch.
#[derive(Default)]
struct Sum {
    bytes: ByteCounts,
    took: Duration,
    deleted: u64,
    sessions: u32,
}

/// A batch that did not arrive.
struct Failed {
    verdict: Verdict,
    text: String,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(
        setting: Setting,
        desk: Arc<Desk>,
        registry: &Registry,
        status: Arc<TargetStatus>,
        log: Log,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let pulse = Arc::new(registry.pulse(&format!("{} to {}", setting.mirror, setting.target)));
        let backoff = Backoff::new(Policy::transient(setting.backoff_max));
        let worker = Self {
            desk,
            registry: registry.clone(),
            status,
            pulse,
            log,
            held: Held::default(),
            keep: Keep::default(),
            backoff,
            busy_since: None,
            not_before: Duration::ZERO,
            known: 0,
            deletes: Vec::new(),
            compare_held: None,
            unlimited: false,
            degraded: None,
            complained: None,
            no_delete: false,
            no_links: false,
            batch_bytes: setting.batch_bytes,
            number: 0,
            paths_seen: 0,
            setting,
        };
        thread::Builder::new().name("target".into()).spawn(move || worker.run())
    }

    fn run(mut self) {
        loop {
            match self.wait() {
                Order::Stop => break,
                Order::Compare { removes, scheduled } => self.compare(removes, scheduled),
                Order::Send(batch, moves) => self.send(&batch, moves),
            }
        }
        // What rests or was refused is not in the queue; the next start must know of it.
        let rest = self.held.all();
        let deletes = std::mem::take(&mut self.deletes);
        self.desk.change(|inner, now| {
            for (path, todo) in rest {
                inner.outbox.push(now, path.as_path(), todo);
            }
            for path in deletes {
                inner.outbox.push(now, path.as_path(), Todo::Remove);
            }
        });
        self.set_state(State::Stopped, "stopped");
    }

    fn wait(&mut self) -> Order {
        let desk = Arc::clone(&self.desk);
        let mut inner = desk.lock();
        loop {
            let now = self.registry.now();
            self.take_wishes(&mut inner, now);
            inner.outbox.tick(now);
            self.show(&inner, now);
            self.note_trouble(&inner, now);
            let compares = inner.compare.is_some() || inner.scheduled.is_some();
            let waits = !inner.outbox.queue().is_empty() || compares;
            let may = inner.block.is_none();
            if let Some((state, reason)) = &inner.block {
                self.set_state(*state, reason);
            }
            if let Some(deadline) = inner.stop
                && (now >= deadline || !waits || !may || !self.backoff.is_due(now))
            {
                return Order::Stop;
            }
            if may && self.backoff.is_due(now) && now >= self.not_before {
                if let Some(removes) = inner.compare.take() {
                    return Order::Compare { removes, scheduled: false };
                }
                if let Some(removes) = inner.scheduled.take() {
                    return Order::Compare { removes, scheduled: true };
                }
                if let Some(batch) = inner.outbox.take(now, self.setting.batch_paths) {
                    let wanted: BTreeMap<&RelPathBuf, Todo> =
                        batch.entries.iter().map(|entry| (&entry.path, entry.todo)).collect();
                    let is_new =
                        |path: &RelPathBuf| matches!(wanted.get(path), Some(Todo::Look(_)));
                    let is_old = |path: &RelPathBuf| wanted.contains_key(path);
                    let moves = if inner.moves.is_empty() {
                        Vec::new()
                    } else {
                        inner.moves.take(is_new, is_old)
                    };
                    return Order::Send(batch, moves);
                }
            }
            let attempt = if waits && may {
                Some(self.backoff.due().unwrap_or(Duration::ZERO).max(self.not_before))
            } else {
                None
            };
            let renewal = self.keep.renewal();
            if renewal == Some(Duration::ZERO) {
                self.setting.route.renew(&self.keep);
            }
            let renewal = renewal.map(|renewal| now + renewal.max(RENEWED_WITHIN));
            let due = [attempt, self.held.next_due(), inner.outbox.due(), inner.stop, renewal];
            let due = due.into_iter().flatten().filter(|due| *due < Duration::MAX).min();
            self.pulse.idle();
            inner = desk.wait(inner, due.map(|due| due.saturating_sub(now).max(TICK)));
        }
    }

    /// What others asked for, and what is due.
    fn take_wishes(&mut self, inner: &mut Inner, now: Duration) {
        if std::mem::take(&mut inner.retry) {
            self.backoff.retry_now(now);
            self.held.retry_now();
        }
        if std::mem::take(&mut inner.allow) {
            self.unlimited = true;
            for path in std::mem::take(&mut self.deletes) {
                inner.outbox.push(now, path.as_path(), Todo::Remove);
            }
            match self.compare_held.take() {
                Some(true) => inner.scheduled = Some(true),
                Some(false) => inner.compare = Some(true),
                None => {}
            }
        }
        for (path, todo) in self.held.due(now) {
            inner.outbox.push(now, path.as_path(), todo);
        }
        let waiting = inner.outbox.queue().len();
        if waiting > self.paths_seen {
            self.backoff.changed(now);
        }
        self.paths_seen = waiting;
    }

    fn show(&self, inner: &Inner, now: Duration) {
        let queue = inner.outbox.queue();
        let pending = queue.len() + queue.under_way();
        self.status.set_queue(now, pending as u64, queue.oldest());
        self.status.set_journal_bytes(inner.outbox.journal_bytes());
    }

    /// Says so while the journal, or part of the watches, is missing (R12, R75).
    fn note_trouble(&mut self, inner: &Inner, now: Duration) {
        let journal = inner
            .outbox
            .trouble()
            .map(|trouble| format!("what waits is in memory only: {trouble}"));
        if let Some(text) = &journal
            && self.complained.is_none_or(|said| now >= said + COMPLAIN_EVERY)
        {
            self.complained = Some(now);
            self.status.error(now, text);
            let Setting { mirror, target, .. } = &self.setting;
            self.log.error(format_args!("mirror={mirror} target={target} {text}"));
        }
        if journal.is_none() {
            self.complained = None;
        }
        self.degraded = journal.or_else(|| inner.degraded.clone());
        if matches!(self.status.state(), State::Live | State::Degraded) {
            self.set_well();
        }
    }

    /// The state of a target to which everything arrives.
    fn set_well(&self) {
        match &self.degraded {
            Some(reason) => self.set_state(State::Degraded, reason),
            None => self.set_state(State::Live, "everything arrives"),
        }
    }

    fn set_state(&self, state: State, reason: &str) {
        let transition = self.status.set_state(self.registry.now(), state, reason);
        if let Some(transition) = transition {
            self.log.info(format_args!(
                "mirror={} target={} state={} was={}: {}",
                self.setting.mirror,
                self.setting.target,
                transition.to.name(),
                transition.from.name(),
                transition.reason
            ));
            self.setting.hooks.state(&self.setting.target, &transition);
        }
    }

    /// One session.
    fn carry(&mut self, load: Load, sum: &mut Sum) -> (Verdict, Outcome) {
        let gone = load.gone();
        let desk = Arc::clone(&self.desk);
        let running = |interrupt: &Interrupt| desk.lock().interrupt = Some(interrupt.clone());
        self.setting.route.max_delete = (!self.unlimited).then(|| self.limit());
        let outcome = self.setting.route.carry(
            load,
            &mut self.keep,
            &self.pulse,
            self.setting.patience,
            &running,
        );
        self.desk.lock().interrupt = None;
        sum.sessions += 1;
        sum.bytes.sent += outcome.sent;
        sum.bytes.received += outcome.received;
        sum.bytes.literal += outcome.literal;
        sum.deleted += outcome.deleted;
        self.known = (self.known + outcome.created).saturating_sub(outcome.deleted);
        sum.took += outcome.took;
        for (path, why) in &outcome.findings.withheld {
            let todo = match &gone.binary_search_by(|line| line.as_bytes().cmp(path)) {
                Ok(_) => Todo::Remove,
                Err(_) => Todo::changed(),
            };
            self.withheld(path, todo, why.as_deref());
        }
        (Verdict::of(&outcome), outcome)
    }

    fn withheld(&mut self, path: &[u8], todo: Todo, why: Option<&str>) {
        let now = self.registry.now();
        match why {
            None => self.held.rest(now + self.setting.resend, path.to_vec(), todo),
            Some(why) => self.fail_path(path, todo, why),
        }
    }

    fn fail_path(&mut self, path: &[u8], todo: Todo, why: &str) {
        let now = self.registry.now();
        let text = format!("{}: {why}", String::from_utf8_lossy(path));
        self.status.error(now, &text);
        if !self.held.has_failed(path) {
            self.log.warn(format_args!(
                "mirror={} target={} path failed, tried again later: {text}",
                self.setting.mirror, self.setting.target
            ));
        }
        if !self.held.fail(now, path.to_vec(), todo, why, chance())
            && let Ok(path) = RelPathBuf::clean(path)
        {
            self.desk.lock().outbox.push(now, path.as_path(), todo);
        }
        let (count, samples) = self.held.failures();
        self.status.set_failed_paths(count, samples);
    }

    fn limit(&self) -> u64 {
        self.setting.max_delete.unwrap_or_else(|| MAX_DELETE.max(self.known / 2))
    }

    /// Brings the target to what the source is, whatever it was.
    fn compare(&mut self, removes: bool, scheduled: bool) {
        if self.check_source().is_err() {
            self.desk.compare(removes, scheduled);
            return;
        }
        self.set_state(State::Comparing, "everything is compared");
        let mut sum = Sum::default();
        let removes = removes && !self.no_delete;
        let was_unlimited = self.unlimited;
        if self.known == 0 && self.setting.max_delete.is_none() {
            // Half of what is known is not known yet.
            self.unlimited = true;
        }
        let kind = if scheduled { Comparison::Scheduled } else { Comparison::Plain };
        let (verdict, outcome) = self.carry(Load::Everything { removes, kind }, &mut sum);
        self.unlimited = was_unlimited;
        let now = self.registry.now();
        match verdict {
            Verdict::Arrived | Verdict::Partial => {
                self.known = outcome.listed;
                if outcome.stopped_deleting() {
                    self.compare_held = Some(scheduled);
                }
                if verdict == Verdict::Partial {
                    self.comparison_was_partial(&outcome);
                }
                self.succeeded(&sum, outcome.findings.asked.len() as u64, BatchResult::Ok, &[]);
            }
            Verdict::Refused(option) if option.starts_with("delete") => {
                self.refuse_deletion();
                self.desk.compare(false, scheduled);
            }
            verdict => {
                let text = outcome.text();
                self.desk.compare(removes, scheduled);
                self.failed(now, &Failed { verdict, text }, &sum);
            }
        }
    }

    fn comparison_was_partial(&mut self, outcome: &Outcome) {
        let texts = &outcome.findings.texts;
        for text in texts {
            self.status.error(self.registry.now(), text);
        }
        let source = &self.setting.source;
        let exists = |path: &[u8]| {
            use std::os::unix::ffi::OsStrExt as _;
            !path.is_empty()
                && source.join(std::ffi::OsStr::from_bytes(path)).symlink_metadata().is_ok()
        };
        let (paths, _) = named(texts, exists);
        let why = texts.last().cloned().unwrap_or_default();
        if paths.is_empty() {
            // Nobody can say what: all of it is looked at again.
            self.fail_path(b".", Todo::tree(), &why);
        }
        for path in paths {
            self.fail_path(&path, Todo::changed(), &why);
        }
    }

    fn refuse_deletion(&mut self) {
        self.no_delete = true;
        self.set_state(State::NoDelete, "the target refuses removals; everything else is sent");
    }

    fn send(&mut self, batch: &Batch, moves: Vec<Move>) {
        let since = batch.entries.iter().map(|entry| entry.since).min();
        let mut sum = Sum::default();
        let result = self.send_all(batch, moves, &mut sum);
        let now = self.registry.now();
        match result {
            Ok(later) => {
                for entry in &batch.entries {
                    if !self.held.is_resting(entry.path.as_bytes()) {
                        self.held.forget(entry.path.as_bytes());
                    }
                }
                self.desk.change(|inner, now| inner.outbox.finish(now, &later));
                if let Some(since) = since {
                    self.status.visible(now.saturating_sub(since));
                }
                self.not_before = now + self.setting.min_interval;
                self.succeeded(&sum, batch.entries.len() as u64, BatchResult::Ok, &batch.entries);
            }
            Err(failed) => {
                let torn = matches!(failed.verdict, Verdict::Transient | Verdict::Stalled)
                    && (sum.bytes.sent > 0 || sum.bytes.literal > 0)
                    && self.setting.removes
                    && !self.no_delete;
                self.desk.change(|inner, now| {
                    inner.outbox.give_back(now);
                    if torn {
                        // A receiver that was killed leaves temporary files behind.
                        for directory in directories(batch) {
                            inner.outbox.push(now, directory.as_path(), Todo::names());
                        }
                    }
                    // Some of them took it for granted that this batch arrives.
                    inner.moves = Moves::default();
                });
                self.failed(now, &failed, &sum);
            }
        }
        let (count, samples) = self.held.failures();
        self.status.set_failed_paths(count, samples);
    }

    /// Nothing is removed, and nothing compared, while the source is not what it was.
    fn check_source(&mut self) -> Result<(), Failed> {
        self.setting.guard.check().map_err(|(state, reason)| {
            self.desk.change(|inner, _| inner.block = Some((state, reason.clone())));
            self.setting.bell.ring(Wish::Look);
            Failed { verdict: Verdict::Arrived, text: reason }
        })
    }

    /// Sends a batch; what of it is left for a later one.
    fn send_all(
        &mut self,
        batch: &Batch,
        moves: Vec<Move>,
        sum: &mut Sum,
    ) -> Result<Vec<RelPathBuf>, Failed> {
        let moves = if self.no_links { Vec::new() } else { moves };
        let bounds = Bounds { bytes: self.batch_bytes, delta_min: self.setting.delta_min };
        let mut plan = Plan::new(&self.setting.source, batch, moves, bounds);
        let removes = self.setting.removes && !self.no_delete;
        if !plan.links.is_empty() {
            let lines = plan.links.clone();
            let links = !plan.moves.is_empty();
            let load = Load::Lines { lines, forced: false, contents: false, removes, links };
            let (verdict, outcome) = self.carry(load, sum);
            match verdict {
                Verdict::Arrived => {}
                Verdict::Partial => plan.without_links(),
                Verdict::Refused(option) if option == "hard-links" => {
                    self.no_links = true;
                    plan.without_links();
                }
                verdict => self.react(verdict, &outcome, batch)?,
            }
        }
        if self.no_delete && !plan.removed.is_empty() {
            for path in &plan.removed {
                let now = self.registry.now();
                let why = "the target refuses removals";
                self.held.fail(now, path.as_bytes().to_vec(), Todo::Remove, why, chance());
            }
        }
        if !plan.removed.is_empty() {
            self.check_source()?;
        }
        if self.setting.removes && !self.unlimited && plan.removed.len() as u64 > self.limit() {
            self.hold_deletes(&plan.removed);
            return Err(Failed { verdict: Verdict::Arrived, text: String::new() });
        }
        let mut pending: Vec<Load> = plan.loads(removes);
        pending.reverse();
        while let Some(load) = pending.pop() {
            let again = load.again();
            let (verdict, outcome) = self.carry(load, sum);
            if outcome.stopped_deleting() {
                self.hold_deletes(&plan.removed);
            }
            match verdict {
                Verdict::Arrived => {}
                Verdict::Partial => self.resolve(&outcome, again, batch, sum)?,
                verdict => self.react(verdict, &outcome, batch)?,
            }
        }
        self.unlimited = false;
        Ok(plan.later)
    }

    /// Finds out which paths of a session did not arrive: by the words of the target, else by asking it again.
    fn resolve(
        &mut self,
        outcome: &Outcome,
        again: Option<Load>,
        batch: &Batch,
        sum: &mut Sum,
    ) -> Result<(), Failed> {
        let todos: BTreeMap<&[u8], Todo> =
            batch.entries.iter().map(|entry| (entry.path.as_bytes(), entry.todo)).collect();
        let asked = &outcome.findings.asked;
        let is_known = |path: &[u8]| todos.contains_key(path) || asked.contains(path);
        let (paths, all) = named(&outcome.findings.texts, is_known);
        let why = outcome.text();
        let todo = |path: &[u8]| todos.get(path).copied().unwrap_or_else(Todo::changed);
        if all && !paths.is_empty() {
            for path in paths {
                let todo = todo(&path);
                self.fail_path(&path, todo, &why);
            }
            return Ok(());
        }
        let Some(load) = again else {
            for entry in &batch.entries {
                self.fail_path(entry.path.as_bytes(), entry.todo, &why);
            }
            return Ok(());
        };
        // What arrived is not asked for again.
        let (verdict, second) = self.carry(load, sum);
        match verdict {
            Verdict::Arrived => return Ok(()),
            Verdict::Partial => {}
            verdict => return self.react(verdict, &second, batch),
        }
        let asked = &second.findings.asked;
        let (named, all) =
            named(&second.findings.texts, |path| todos.contains_key(path) || asked.contains(path));
        let mut failed: Vec<Vec<u8>> = asked.iter().cloned().chain(named).collect();
        if !all {
            let others = batch
                .entries
                .iter()
                .filter(|entry| !matches!(entry.todo, Todo::Look(look) if look.content));
            failed.extend(others.map(|entry| entry.path.as_bytes().to_vec()));
        }
        for path in failed {
            let todo = todo(&path);
            self.fail_path(&path, todo, &why);
        }
        Ok(())
    }

    /// What else than an arrival a session may end with.
    fn react(&mut self, verdict: Verdict, outcome: &Outcome, batch: &Batch) -> Result<(), Failed> {
        let text = outcome.text();
        match verdict {
            Verdict::Refused(option) if option.starts_with("delete") && !self.no_delete => {
                self.refuse_deletion();
                Err(Failed { verdict: Verdict::Arrived, text })
            }
            Verdict::BadList => {
                let known =
                    |path: &[u8]| batch.entries.iter().any(|entry| entry.path.as_bytes() == path);
                let path = text.rsplit_once(": ").map(|(_, path)| path.trim().as_bytes().to_vec());
                match path.filter(|path| known(path)) {
                    Some(path) => {
                        let todo = batch.entries.iter().find(|entry| entry.path.as_bytes() == path);
                        let todo = todo.map_or_else(Todo::changed, |entry| entry.todo);
                        self.fail_path(&path, todo, &text);
                        Err(Failed { verdict: Verdict::Transient, text })
                    }
                    None => Err(Failed { verdict: Verdict::Transient, text }),
                }
            }
            verdict => Err(Failed { verdict, text }),
        }
    }

    fn hold_deletes(&mut self, removed: &[RelPathBuf]) {
        self.deletes.extend_from_slice(removed);
        let samples: Vec<String> = removed
            .iter()
            .take(3)
            .map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned())
            .collect();
        let reason = format!(
            "{} removals are more than {} and wait for `synclive allow {}`: {}",
            self.deletes.len(),
            self.limit(),
            self.setting.mirror,
            samples.join(", ")
        );
        self.set_state(State::DeleteHeld, &reason);
    }

    fn succeeded(&mut self, sum: &Sum, paths: u64, result: BatchResult, entries: &[Pending]) {
        self.backoff.succeeded();
        self.backoff.set_policy(Policy::transient(self.setting.backoff_max));
        self.busy_since = None;
        self.batch_bytes = self.setting.batch_bytes;
        let removed = entries.iter().filter(|entry| entry.todo == Todo::Remove).count() as u64;
        let report = BatchReport {
            result,
            changed: paths - removed,
            removed: removed.max(sum.deleted),
            bytes: sum.bytes,
            session: sum.took,
            ..BatchReport::default()
        };
        self.report(&report, "ok");
        self.tell_hooks(entries);
        let state = if !self.deletes.is_empty() || self.compare_held.is_some() {
            State::DeleteHeld
        } else if self.no_delete {
            State::NoDelete
        } else {
            State::Live
        };
        if state == State::DeleteHeld && self.deletes.is_empty() {
            let reason = format!(
                "a comparison would remove more than {}: `synclive allow {}` lets it",
                self.limit(),
                self.setting.mirror
            );
            self.set_state(state, &reason);
        } else if state == State::Live {
            self.set_well();
        }
    }

    fn tell_hooks(&self, entries: &[Pending]) {
        let changes: Vec<Change> = entries
            .iter()
            .map(|entry| {
                let kind = match entry.todo {
                    Todo::Remove => ChangeKind::Removed,
                    Todo::Look(_) => ChangeKind::Changed,
                };
                let path =
                    self.setting.source.join(std::ffi::OsStr::from_bytes(entry.path.as_bytes()));
                let directory = path.symlink_metadata().is_ok_and(|data| data.is_dir());
                let mut change = Change::new(entry.path.clone(), kind, directory);
                change.failed = self.held.has_failed(entry.path.as_bytes());
                change
            })
            .collect();
        if !changes.is_empty() {
            self.setting.hooks.batch(&self.setting.target, self.number, &changes);
        }
    }

    fn report(&mut self, report: &BatchReport, result: &str) {
        self.number += 1;
        self.status.batch(self.registry.now(), report);
        self.log.info(format_args!(
            "mirror={} target={} batch={} paths={} removed={} sent={} received={} literal={} ms={} result={result}",
            self.setting.mirror,
            self.setting.target,
            self.number,
            report.changed,
            report.removed,
            report.bytes.sent,
            report.bytes.received,
            report.bytes.literal,
            report.session.as_millis(),
        ));
    }

    fn failed(&mut self, now: Duration, failed: &Failed, sum: &Sum) {
        let policy = match failed.verdict {
            // Tried again at once in another way.
            Verdict::Arrived | Verdict::Partial => return,
            Verdict::Busy => Policy::busy(),
            Verdict::Misconfigured | Verdict::Refused(_) => Policy::misconfigured(),
            _ => Policy::transient(self.setting.backoff_max),
        };
        if failed.verdict == Verdict::Stalled {
            self.batch_bytes = (self.batch_bytes / 2).max(16 << 20);
        }
        self.backoff.set_policy(policy);
        let due = self.backoff.failed(now, chance());
        self.status.retry(due);
        self.status.error(now, &failed.text);
        let report = BatchReport {
            result: BatchResult::Failed,
            bytes: sum.bytes,
            session: sum.took,
            ..BatchReport::default()
        };
        self.report(&report, "failed");
        let state = match failed.verdict {
            Verdict::Busy => {
                let since = *self.busy_since.get_or_insert(now);
                if now < since + BUSY_AFTER {
                    return;
                }
                State::Busy
            }
            Verdict::Misconfigured | Verdict::Refused(_) => State::Misconfigured,
            Verdict::Stalled => State::Stalled,
            Verdict::Full => State::TargetFull,
            _ => State::Retrying,
        };
        self.set_state(state, failed.text.lines().next().unwrap_or_default());
    }
}

/// How long a spare connection may take to be made anew before it is looked for.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);

/// How often the log is told of a journal that cannot be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// No wait is shorter.
const TICK: Duration = Duration::from_millis(1);

/// The directories in which a batch writes files without comparing what is there.
fn directories(batch: &Batch) -> BTreeSet<RelPathBuf> {
    let is_alone = |todo| matches!(todo, Todo::Look(look) if look.below == Below::Nothing);
    let written = batch.entries.iter().filter(|entry| is_alone(entry.todo));
    written.map(|entry| entry.path.as_path().parent().to_owned()).collect()
}

/// Any random number; without one, retries of several targets may fall together.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

impl Outcome {
    /// The words to show for it.
    pub(super) fn text(&self) -> String {
        match &self.result {
            Err(error) if !matches!(error, syncline_engine::Error::PeerExit(_)) => {
                error.to_string()
            }
            Err(error) => self.findings.texts.last().cloned().unwrap_or_else(|| error.to_string()),
            Ok(code) if *code == ExitCode::OK => String::new(),
            Ok(code) => self.findings.texts.last().cloned().unwrap_or_else(|| code.to_string()),
        }
    }

    fn stopped_deleting(&self) -> bool {
        self.findings.texts.iter().any(|text| text.starts_with("Deletions stopped"))
            || matches!(self.result, Ok(ExitCode::DELETE_LIMIT))
    }
}
