//! What the events of a session say about its paths.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use syncline_engine::{Event, Observer, Severity};
use syncline_wire::{ItemFlags, TextKind};

use crate::state::{Progress, Pulse, TargetStatus};

/// Lines of the peer that are kept.
const LINES: usize = 20;

/// A file that takes longer is shown.
const LONG: Duration = Duration::from_secs(5);

/// Collects while the session runs, and shows that it does.
#[derive(Debug)]
pub(super) struct Watcher {
    findings: Mutex<Findings>,
    pulse: Arc<Pulse>,
    patience: Duration,
    /// All that differs is noted.
    checks: bool,
    shown: Option<Arc<TargetStatus>>,
    /// The file whose content is sent, and since when.
    sending: Mutex<Option<(Vec<u8>, Instant)>>,
}

/// What a session said about its paths.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Files whose content the target asked for.
    pub(crate) asked: BTreeSet<Vec<u8>>,
    /// What would be made, brought up to date or removed, where nothing is to be done.
    pub(crate) differing: BTreeSet<Vec<u8>>,
    /// Paths that the source did not give, and why if they could not be read.
    pub(crate) withheld: Vec<(Vec<u8>, Option<String>)>,
    /// Lines of trouble, the last ones, the peer's and our own.
    pub(crate) texts: Vec<String>,
}

impl Watcher {
    pub(super) fn new(
        pulse: &Arc<Pulse>,
        patience: Duration,
        checks: bool,
        shown: Option<Arc<TargetStatus>>,
    ) -> Self {
        pulse.busy(patience);
        let (findings, sending) = (Mutex::default(), Mutex::default());
        Self { findings, pulse: Arc::clone(pulse), patience, checks, shown, sending }
    }

    /// Shows the transfer of a file that takes long (R107).
    fn show(&self, progress: &syncline_engine::Progress<'_>) {
        let Some(status) = &self.shown else { return };
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let path = progress.entry.path();
        let since = match &*sending {
            Some((before, since)) if *before == path => *since,
            _ => {
                if sending.take().is_some_and(|(_, since)| since.elapsed() > LONG) {
                    status.set_progress(None);
                }
                sending.insert((path.clone(), Instant::now())).1
            }
        };
        if since.elapsed() > LONG {
            let path = String::from_utf8_lossy(&path).into_owned();
            let (done, total) = (progress.done, progress.size);
            status.set_progress((!progress.last).then_some(Progress { path, done, total }));
        }
    }

    /// What was found, at the end.
    pub(super) fn findings(&self) -> Findings {
        if let Some(status) = &self.shown {
            status.set_progress(None);
        }
        std::mem::take(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Watcher {
    fn event(&self, event: &Event<'_>) {
        self.pulse.busy(self.patience);
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Item(item) if self.checks => {
                findings.differing.insert(item.entry.path());
            }
            Event::Deleted { path, .. } if self.checks => {
                findings.differing.insert(path.to_vec());
            }
            Event::Item(item)
                if item.moved.is_none() && item.flags.contains(ItemFlags::TRANSFER) =>
            {
                findings.asked.insert(item.entry.path());
            }
            Event::Progress(progress) => {
                drop(findings);
                self.show(progress);
            }
            Event::Withheld { path, why } => {
                findings.withheld.push((path.to_vec(), why.map(str::to_owned)));
            }
            Event::Problem(problem) if problem.severity != Severity::Warning => {
                findings.line(&problem.text);
            }
            Event::Peer { kind: TextKind::Error | TextKind::TransferError, text } => {
                findings.line(text);
            }
            // The limit on deletions is told as information only.
            Event::Peer { text, .. } if text.starts_with(b"Deletions stopped") => {
                findings.line(text);
            }
            _ => {}
        }
    }

    fn wants_progress(&self) -> bool {
        true
    }
}

impl Findings {
    fn line(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if self.texts.len() == LINES {
                self.texts.remove(0);
            }
            self.texts.push(String::from_utf8_lossy(line).into_owned());
        }
    }
}
