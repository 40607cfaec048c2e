//! Everything at one moment, for the page, the metrics and the terminal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::lag::LagSample;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Snapshot {
    /// The version of the program.
    pub version: String,
    /// When this was so, by the clock on the wall.
    pub time: String,
    /// How long it has been running, in seconds.
    pub uptime_seconds: f64,
    /// The mirrors, in order of name.
    pub mirrors: Vec<MirrorSnapshot>,
}

/// A mirror at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MirrorSnapshot {
    /// Its name.
    pub name: String,
    /// The directory that is mirrored.
    pub source: String,
    /// Whether all its watches are there.
    pub watching: bool,
    /// Directories watched.
    pub watches: u64,
    /// As many as the kernel lets this user watch.
    pub watch_limit: u64,
    /// Directories that have no watch, since there are too many.
    #[serde(default)]
    pub polled: u64,
    /// How often these are looked at.
    #[serde(default)]
    pub poll_seconds: f64,
    /// How often the kernel's queue ran over.
    pub overflows: u64,
    /// Rescans of a directory, of a subtree, and of everything.
    pub rescans: Rescans,
    /// Runs of hooks.
    pub hooks: HookCounts,
    /// The last failures of hooks, the newest first.
    pub hook_errors: Vec<ErrorSnapshot>,
    /// The targets, in order of name.
    pub targets: Vec<TargetSnapshot>,
}

/// How often something was looked through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Rescans {
    /// Single directories.
    pub directory: u64,
    /// Directories with all that is in them.
    pub subtree: u64,
    /// Everything.
    pub full: u64,
}

/// What became of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HookCounts {
    /// Runs that succeeded.
    pub ok: u64,
    /// Runs that failed and were tried again.
    pub retried: u64,
    /// Runs that were given up.
    pub failed: u64,
    /// Changes that no hook was told of, since too many waited.
    pub dropped: u64,
}

/// A target at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TargetSnapshot {
    /// Its name.
    pub name: String,
    /// Its address, without a password.
    pub url: String,
    /// How it is.
    pub state: State,
    /// Why.
    pub reason: String,
    /// Since when, in seconds.
    pub state_seconds: f64,
    /// How far it lags.
    pub lag: LagSample,
    /// The last hour in half minutes, the oldest first.
    pub lag_history: Vec<LagSample>,
    /// When the next attempt is due, in seconds.
    pub next_attempt_seconds: Option<f64>,
    /// When the last batch arrived, in seconds from now back.
    pub last_batch_seconds: Option<f64>,
    /// What became of sessions.
    pub batches: BatchCounts,
    /// What was done to paths.
    pub paths: PathCounts,
    /// Bytes sent and received, and those of content that were sent as they are.
    pub bytes: ByteCounts,
    /// Renames by the way they took.
    pub renames: RenameCounts,
    /// Attempts after a failure.
    pub retries: u64,
    /// Paths that fail for a reason of their own.
    pub failed_paths: u64,
    /// Some of them.
    pub failed_samples: Vec<String>,
    /// Paths that a comparison found different without a change that was seen.
    pub drift_paths: u64,
    /// The size of the journal.
    pub journal_bytes: u64,
    /// The transfer that goes on, if it takes long.
    pub progress: Option<Progress>,
    /// How long sessions took.
    pub session: Histogram,
    /// How long changes took to arrive.
    pub visible: Histogram,
    /// The last errors, the newest first.
    pub errors: Vec<ErrorSnapshot>,
}

/// How a target is (R135).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// Watches are being made.
    Starting,
    /// Everything is being compared.
    Comparing,
    /// What changes arrives at once.
    Live,
    /// Changes wait, and are being sent.
    Behind,
    /// The last attempt failed; the next one is due.
    Retrying,
    /// All slots of the target are taken.
    Busy,
    /// Nothing moved for too long.
    Stalled,
    /// The target's disk is full.
    TargetFull,
    /// A person has to mend something at the target or in the configuration.
    Misconfigured,
    /// The target refuses removals; everything else arrives.
    NoDelete,
    /// So much would be removed that a person is asked.
    DeleteHeld,
    /// The source is empty where there was content.
    SourceEmpty,
    /// The source is gone, or is another.
    SourceLost,
    /// It works, without the safety of a journal or of all watches.
    Degraded,
    /// Nothing is sent any more.
    Stopped,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Starting,
        Self::Comparing,
        Self::Live,
        Self::Behind,
        Self::Retrying,
        Self::Busy,
        Self::Stalled,
        Self::TargetFull,
        Self::Misconfigured,
        Self::NoDelete,
        Self::DeleteHeld,
        Self::SourceEmpty,
        Self::SourceLost,
        Self::Degraded,
        Self::Stopped,
    ];

    /// Its name in logs, metrics and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Comparing => "comparing",
            Self::Live => "live",
            Self::Behind => "behind",
            Self::Retrying => "retrying",
            Self::Busy => "busy",
            Self::Stalled => "stalled",
            Self::TargetFull => "target-full",
            Self::Misconfigured => "misconfigured",
            Self::NoDelete => "no-delete",
            Self::DeleteHeld => "delete-held",
            Self::SourceEmpty => "source-empty",
            Self::SourceLost => "source-lost",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
        }
    }

    /// How much it concerns an operator.
    pub fn concern(self) -> Concern {
        match self {
            Self::Live => Concern::None,
            Self::Starting | Self::Comparing | Self::Behind | Self::Busy => Concern::Wait,
            Self::Retrying
            | Self::Stalled
            | Self::TargetFull
            | Self::Misconfigured
            | Self::NoDelete
            | Self::DeleteHeld
            | Self::SourceEmpty
            | Self::SourceLost
            | Self::Degraded
            | Self::Stopped => Concern::Trouble,
        }
    }
}

/// How much a state concerns an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Not at all.
    None,
    /// It passes by itself.
    Wait,
    /// It may need a person.
    Trouble,
}

/// What became of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BatchCounts {
    /// All of it arrived.
    pub ok: u64,
    /// Some paths did not.
    pub partial: u64,
    /// Nothing counts as arrived.
    pub failed: u64,
}

/// What was done to paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PathCounts {
    /// Made, or brought up to date.
    pub changed: u64,
    /// Removed.
    pub removed: u64,
}

/// Bytes of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ByteCounts {
    /// Written to the target.
    pub sent: u64,
    /// Read from it.
    pub received: u64,
    /// Of content, sent as it is.
    pub literal: u64,
}

/// Renames by the way they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RenameCounts {
    /// Hard links, then removal.
    pub hard_link: u64,
    /// A basis directory, then removal.
    pub link_dest: u64,
    /// A similar name as basis.
    pub fuzzy: u64,
    /// Content sent again.
    pub plain: u64,
}

/// A transfer that takes long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// What is sent.
    pub path: String,
    /// How much of it was.
    pub done: u64,
    /// How much it is.
    pub total: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ErrorSnapshot {
    /// How many seconds ago, the last time.
    pub seconds_ago: f64,
    /// How often, one time after the other.
    pub times: u64,
    /// What.
    pub text: String,
}

impl ByteCounts {
    /// Bytes of one session.
    pub fn new(sent: u64, received: u64, literal: u64) -> Self {
        Self { sent, received, literal }
    }
}

impl Snapshot {
    /// One line for each target that is neither live nor behind by less than `lag` (R136).
    pub fn unhealthy(&self, lag: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for mirror in &self.mirrors {
            for target in &mirror.targets {
                let healthy = match target.state {
                    State::Live => true,
                    State::Behind => target.lag.seconds < lag.as_secs_f64(),
                    _ => false,
                };
                if !healthy {
                    lines.push(format!(
                        "mirror={} target={} state={} lag={:.1}s paths={}{}{}",
                        mirror.name,
                        target.name,
                        target.state.name(),
                        target.lag.seconds,
                        target.lag.paths,
                        if target.reason.is_empty() { "" } else { " " },
                        target.reason,
                    ));
                }
            }
        }
        lines
    }

    /// How much the worst target concerns an operator.
    pub fn concern(&self) -> Concern {
        let targets = self.mirrors.iter().flat_map(|mirror| &mirror.targets);
        targets.map(|target| target.state.concern()).max().unwrap_or(Concern::None)
    }
}
