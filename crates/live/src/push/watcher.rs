//! What the events of a session say about its paths.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline_engine::{Event, Observer, Severity};
use syncline_wire::{ItemFlags, TextKind};

use crate::state::Pulse;

/// Lines of the peer that are kept.
const LINES: usize = 1000;

/// Collects while the session runs, and shows that it does.
#[derive(Debug)]
pub(super) struct Watcher {
    findings: Mutex<Findings>,
    pulse: Arc<Pulse>,
    patience: Duration,
}

/// What a session said about its paths.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Files whose content the target asked for.
    pub(crate) asked: BTreeSet<Vec<u8>>,
    /// Paths that the source did not give, and why if they could not be read.
    pub(crate) withheld: Vec<(Vec<u8>, Option<String>)>,
    /// Lines of trouble, the last ones, the peer's and our own.
    pub(crate) texts: Vec<String>,
    /// Whether there were more.
    pub(crate) dropped: bool,
}

impl Watcher {
    pub(super) fn new(pulse: &Arc<Pulse>, patience: Duration) -> Self {
        pulse.busy(patience);
        Self { findings: Mutex::default(), pulse: Arc::clone(pulse), patience }
    }

    pub(super) fn findings(&self) -> Findings {
        std::mem::take(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Watcher {
    fn event(&self, event: &Event<'_>) {
        self.pulse.busy(self.patience);
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Item(item)
                if item.moved.is_none() && item.flags.contains(ItemFlags::TRANSFER) =>
            {
                findings.asked.insert(item.entry.path());
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
                self.dropped = true;
            }
            self.texts.push(String::from_utf8_lossy(line).into_owned());
        }
    }
}
