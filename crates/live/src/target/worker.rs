//! The thread that brings one target up to date, and keeps it so.

mod blame;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use syncline_engine::{ExitCode, Interrupt};
use syncline_fs::RelPathBuf;

use super::desk::{Desk, Inner};
use super::held::Held;
use super::moves::{Move, Moves, touches};
use super::plan::{Bounds, Plan};
use super::verdict::{Verdict, named};
use crate::backoff::{Backoff, Policy};
use crate::hooks::Hooks;
use crate::log::Log;
use crate::mirror::{Bell, Source, Wish};
use crate::push::{Comparison, Keep, Load, Outcome, Route};
use crate::queue::{Batch, Below, Look, Todo};
use crate::state::{BatchResult, ByteCounts, Pulse, Registry, State, TargetStatus};

/// The least number of removals that a batch may hold without a person's word.
const MAX_DELETE: u64 = 10_000;

/// The pause between batches while more paths have failed than are kept.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// A target that refuses removals is asked again so often.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// After a session that was lost its paths are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long a spare connection may take to be made anew before it is looked for.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);

/// No wait is shorter.
const TICK: Duration = Duration::from_millis(1);

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
    /// What a comparison finds to be gone is removed.
    pub(crate) compare_removes: bool,
    /// The longest a session may show no sign of life.
    pub(crate) patience: Duration,
    /// What a process that was killed may have left under way at the target.
    pub(crate) doubtful: Vec<(RelPathBuf, Todo)>,
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
    /// What of the batch under way did not arrive.
    refused: BTreeSet<Vec<u8>>,
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
    /// When it is asked again whether it takes removals.
    ask_again: Duration,
    /// The comparison that is to be made asks that.
    asks: bool,
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
            refused: BTreeSet::new(),
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
            ask_again: Duration::ZERO,
            asks: false,
            no_links: false,
            batch_bytes: setting.batch_bytes,
            number: 0,
            paths_seen: 0,
            setting,
        };
        thread::Builder::new().name("target".into()).spawn(move || worker.run())
    }

    fn run(mut self) {
        let now = self.registry.now();
        for (path, todo) in std::mem::take(&mut self.setting.doubtful) {
            self.rest_to_look(now, &path, todo);
        }
        loop {
            match self.wait() {
                Order::Stop => break,
                Order::Compare { removes, scheduled } => {
                    self.compare(removes, scheduled);
                    self.write_down();
                }
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
        if std::mem::take(&mut inner.works) {
            inner.worked = Some(self.registry.now());
        }
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
                inner.works = inner.owes_comparison() || !inner.outbox.queue().is_empty();
                if let Some(removes) = inner.compare.take() {
                    return Order::Compare { removes, scheduled: false };
                }
                if let Some(removes) = inner.scheduled.take() {
                    return Order::Compare { removes, scheduled: true };
                }
                if let Some(batch) = inner.outbox.take(now, self.setting.batch_paths) {
                    let moves = self.moves_of(&mut inner, &batch);
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
            let asks = self.no_delete.then_some(self.ask_again);
            let due =
                [attempt, self.held.next_due(), inner.outbox.due(), inner.stop, renewal, asks];
            let due = due.into_iter().flatten().filter(|due| *due < Duration::MAX).min();
            self.pulse.idle();
            inner = desk.wait(inner, due.map(|due| due.saturating_sub(now).max(TICK)));
        }
    }

    /// The renames that this batch may do without content.
    fn moves_of(&self, inner: &mut Inner, batch: &Batch) -> Vec<Move> {
        if inner.moves.is_empty() {
            return Vec::new();
        }
        let wanted = todos(batch);
        let is_new = |path: &RelPathBuf| matches!(wanted.get(path.as_bytes()), Some(Todo::Look(_)));
        let is_touched = |path: &RelPathBuf| {
            wanted.contains_key(path.as_bytes())
                || touches(&wanted, path, |todo, is_parent| todo.reaches_down(is_parent))
        };
        let mut moves = inner.moves.take(is_new, is_touched);
        moves.retain(|hint| !self.held.concerns(&hint.from) && !self.held.concerns(&hint.to));
        moves
    }

    /// What others asked for, and what is due.
    fn take_wishes(&mut self, inner: &mut Inner, now: Duration) {
        if std::mem::take(&mut inner.retry) {
            self.backoff.retry_now(now);
            self.held.retry_now();
            self.ask_again = now;
        }
        if self.no_delete && now >= self.ask_again {
            // Somebody may have changed its mind.
            self.no_delete = false;
            if self.setting.compare_removes {
                self.asks = true;
                inner.compare = Some(true);
            }
            self.held.retry_now();
        }
        if std::mem::take(&mut inner.allow) {
            self.unlimited = true;
            for path in std::mem::take(&mut self.deletes) {
                inner.outbox.push_older(now, path.as_path(), Todo::Remove);
                inner.outbox.not_aside(path.as_path());
            }
            match self.compare_held.take() {
                Some(true) => inner.scheduled = Some(true),
                Some(false) => inner.compare = Some(true),
                None => {}
            }
        }
        for (path, todo) in self.held.due(now) {
            inner.moves.doubt(path.as_path());
            inner.outbox.push_older(now, path.as_path(), todo);
        }
        let waiting = inner.outbox.queue().len();
        if waiting > self.paths_seen {
            self.backoff.changed(now);
        }
        self.paths_seen = waiting;
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
        self.refuse(path);
        match why {
            None if !self.held.rest(now + self.setting.resend, path.to_vec(), todo) => {
                self.put_back(now, path, todo);
            }
            None => {}
            Some(why) => self.fail_path(path, todo, why),
        }
    }

    /// The path did not arrive with the batch under way.
    fn refuse(&mut self, path: &[u8]) {
        self.refused.insert(path.to_vec());
        if let Ok(path) = RelPathBuf::clean(path) {
            self.desk.lock().moves.doubt(path.as_path());
        }
    }

    /// Too many wait for their moment to keep this one, too: all of them wait a little.
    fn put_back(&mut self, now: Duration, path: &[u8], todo: Todo) {
        if let Ok(path) = RelPathBuf::clean(path) {
            self.desk.lock().outbox.push(now, path.as_path(), todo);
        }
        self.not_before = now + FULL_PAUSE;
    }

    fn fail_path(&mut self, path: &[u8], todo: Todo, why: &str) {
        let now = self.registry.now();
        self.refuse(path);
        let text = format!("{}: {why}", String::from_utf8_lossy(path));
        self.status.error(now, &text);
        if !self.held.has_failed(path) {
            self.log.warn(format_args!(
                "mirror={} target={} path failed, tried again later: {text}",
                self.setting.mirror, self.setting.target
            ));
        }
        if !self.held.fail(now, path.to_vec(), todo, why, chance()) {
            self.put_back(now, path, todo);
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
        if !self.asks {
            self.set_state(State::Comparing, "everything is compared");
        }
        // After it old names may be gone.
        self.desk.lock().moves = Moves::default();
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
                self.asks = false;
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
                // All else was compared before it was asked again.
                if !std::mem::take(&mut self.asks) {
                    self.desk.compare(false, scheduled);
                }
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
            !path.is_empty()
                && source.join(std::ffi::OsStr::from_bytes(path)).symlink_metadata().is_ok()
        };
        let (paths, all) = named(&outcome.findings, exists);
        let why = texts.last().cloned().unwrap_or_default();
        if paths.is_empty() || !all {
            // Nobody can say what: all of it is looked at again.
            self.fail_path(b".", Todo::tree(), &why);
        }
        for path in paths {
            self.fail_path(&path, Todo::changed(), &why);
        }
    }

    fn refuse_deletion(&mut self) {
        self.no_delete = true;
        self.ask_again = self.registry.now() + ASK_AGAIN;
        self.set_state(State::NoDelete, told::NO_DELETE_REASON);
    }

    fn send(&mut self, batch: &Batch, moves: Vec<Move>) {
        let since = batch.entries.iter().map(|entry| entry.since).min();
        let mut sum = Sum::default();
        self.refused.clear();
        let result = self.send_all(batch, moves, &mut sum);
        let now = self.registry.now();
        match result {
            Ok(later) => {
                for entry in &batch.entries {
                    if !self.refused.contains(entry.path.as_bytes()) {
                        self.held.arrived(entry.path.as_bytes(), entry.todo);
                    }
                }
                // Before the journal is told that the batch is done.
                self.write_down();
                self.desk.change(|inner, now| inner.outbox.finish(now, &later));
                if let Some(since) = since {
                    self.status.visible(now.saturating_sub(since));
                }
                self.not_before = self.not_before.max(now + self.setting.min_interval);
                self.succeeded(&sum, batch.entries.len() as u64, BatchResult::Ok, &batch.entries);
            }
            Err(failed) => {
                let torn = matches!(failed.verdict, Verdict::Transient | Verdict::Stalled)
                    && (sum.bytes.sent > 0 || sum.bytes.literal > 0)
                    && self.setting.removes
                    && !self.no_delete;
                if matches!(failed.verdict, Verdict::Transient | Verdict::Stalled)
                    && sum.bytes.sent > 0
                {
                    self.look_again(batch, now);
                }
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
                self.write_down();
                self.failed(now, &failed, &sum);
            }
        }
        let (count, samples) = self.held.failures();
        self.status.set_failed_paths(count, samples);
    }

    /// Has the journal know what waits outside of the queue: the next start must find it, however this process ends.
    fn write_down(&mut self) {
        let unwritten = self.held.unwritten();
        if unwritten.is_empty() {
            return;
        }
        self.desk.change(|inner, now| {
            for (path, todo) in unwritten {
                match todo {
                    Some(todo) => inner.outbox.set_aside(now, path.as_path(), todo),
                    None => inner.outbox.not_aside(path.as_path()),
                }
            }
        });
    }

    /// A process at the target that hangs may do its part of a session long after the next one has ended, and undo what
    /// that did: all is looked at once more.
    fn look_again(&mut self, batch: &Batch, now: Duration) {
        for entry in &batch.entries {
            self.rest_to_look(now, &entry.path, entry.todo);
        }
    }

    fn rest_to_look(&mut self, now: Duration, path: &RelPathBuf, todo: Todo) {
        let todo = match todo {
            Todo::Remove => Todo::Remove,
            Todo::Look(look) => Todo::Look(Look { content: false, ..look }),
        };
        // More than can be kept are not looked at.
        let _ = self.held.rest(now + LOOK_AGAIN, path.as_bytes().to_vec(), todo);
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
        // Where nothing is removed, both names would stay.
        let moves = if self.no_links || self.no_delete { Vec::new() } else { moves };
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
                self.refused.insert(path.as_bytes().to_vec());
                self.held.fail(now, path.as_bytes().to_vec(), Todo::Remove, why, chance());
            }
        }
        if !plan.removed.is_empty() {
            self.check_source()?;
        }
        if self.setting.removes && !self.unlimited && plan.removed.len() as u64 > self.limit() {
            let removed = plan.without_removals();
            self.hold_deletes(&removed);
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
        self.desk.change(|inner, now| {
            for path in removed {
                inner.outbox.set_aside(now, path.as_path(), Todo::Remove);
            }
        });
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
}

fn todos(batch: &Batch) -> BTreeMap<Vec<u8>, Todo> {
    batch.entries.iter().map(|entry| (entry.path.as_bytes().to_vec(), entry.todo)).collect()
}

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
