//! What is told of a target: its state, its batches, its troubles, to the log, the status and the hooks.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use syncline_conf::live::ChangeKind;

use super::{Failed, Setting, Sum, Worker, chance};
use crate::backoff::Policy;
use crate::hooks::Change;
use crate::queue::{Pending, Todo};
use crate::state::{BEHIND, BEHIND_REASON, BatchReport, BatchResult, State};
use crate::target::desk::Inner;
use crate::target::verdict::Verdict;

/// A busy module is no change of state before this.
const BUSY_AFTER: Duration = Duration::from_secs(30);

/// How often the log is told of a journal that cannot be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

pub(super) const NO_DELETE_REASON: &str = "the target refuses removals; everything else is sent";

const LIVE_REASON: &str = "everything arrives";

impl Worker {
    pub(super) fn show(&self, inner: &Inner, now: Duration) {
        let queue = inner.outbox.queue();
        let pending = queue.len() + queue.under_way();
        self.status.set_queue(now, pending as u64, queue.oldest());
        self.status.set_journal_bytes(inner.outbox.journal_bytes());
        let lag = queue.oldest().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest));
        match self.status.state() {
            State::Live if lag > BEHIND => self.set_state(State::Behind, BEHIND_REASON),
            State::Behind if pending == 0 => self.set_state(State::Live, LIVE_REASON),
            _ => {}
        }
    }

    /// Says so while the journal, or part of the watches, is missing (R12, R75).
    pub(super) fn note_trouble(&mut self, inner: &Inner, now: Duration) {
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
        if matches!(self.status.state(), State::Live | State::Behind | State::Degraded) {
            self.set_well();
        }
    }

    /// The state of a target to which everything arrives.
    fn set_well(&self) {
        match &self.degraded {
            Some(reason) => self.set_state(State::Degraded, reason),
            // Until nothing waits any more.
            None if self.status.state() == State::Behind => {}
            None => self.set_state(State::Live, LIVE_REASON),
        }
    }

    pub(super) fn set_state(&self, state: State, reason: &str) {
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

    pub(super) fn succeeded(
        &mut self,
        sum: &Sum,
        paths: u64,
        result: BatchResult,
        entries: &[Pending],
    ) {
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
        } else if state == State::NoDelete {
            self.set_state(state, NO_DELETE_REASON);
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

    pub(super) fn report(&mut self, report: &BatchReport, result: &str) {
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

    pub(super) fn failed(&mut self, now: Duration, failed: &Failed, sum: &Sum) {
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
