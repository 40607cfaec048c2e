//! What happens during a run, as values: the engine prints nothing.
//!
//! Stages hand events to a [`Monitor`], which counts what the exit code and the statistics need and passes the event to
//! the run's [`Observer`]. [`crate::report`] is the observer that turns events into stock's lines; a live mirror
//! brings one that turns them into metrics.

use std::fmt;
use std::io;
use std::sync::Arc;

use syncline_options::values::flags::Debug;
use syncline_wire::list::EntryRef;
use syncline_wire::{ItemFlags, TextKind};

use crate::Terms;
use crate::source::Base;
use crate::stats::Tally;

/// Which part of the program speaks; the word stock puts in brackets (docs/spec cli.md 1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// The invoked program before it knows its role.
    Client,
    /// A program started with `--server` before it knows its role.
    Server,
    /// Whoever reads the source.
    Sender,
    /// The receiving side before it splits: destination choice, list errors.
    Destination,
    /// The part that writes files.
    Receiver,
    /// The part that compares and decides.
    Generator,
}

impl Role {
    /// Stock's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Sender => "sender",
            Self::Destination => "Receiver",
            Self::Receiver => "receiver",
            Self::Generator => "generator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Worth a line on standard error.
    Warning,
    /// An error that sets no exit code by itself.
    Error,
    /// Something was not transferred: the run ends with 23.
    Transfer,
    /// As [`Severity::Error`]; a name in the text is in the wire's charset, because ours has no words for it.
    Foreign,
}

/// Something went wrong and the run goes on. The text is the line to print, without its newline.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The whole line.
    pub text: Vec<u8>,
}

impl Problem {
    /// A line of our own making.
    pub fn new(severity: Severity, text: impl Into<Vec<u8>>) -> Self {
        Self { severity, text: text.into() }
    }

    /// `[role] cannot convert what: name (reason)`.
    pub(crate) fn unconvertible(
        severity: Severity,
        role: Role,
        what: &[u8],
        name: &[u8],
        error: &io::Error,
    ) -> Self {
        let reason = reason(error);
        // Stock leaves the number out here.
        let reason = reason.rsplit_once(" (").map_or(reason.as_str(), |(words, _)| words);
        let mut text = format!("[{role}] cannot convert ").into_bytes();
        text.extend([what, b": ", name, b" (", reason.as_bytes(), b")"].concat());
        Self { severity, text }
    }

    /// `rsync: [role] what: reason (errno)`, a transfer error.
    pub fn system(role: Role, what: impl AsRef<[u8]>, error: &io::Error) -> Self {
        let mut text = format!("rsync: [{role}] ").into_bytes();
        text.extend_from_slice(what.as_ref());
        text.extend_from_slice(format!(": {}", reason(error)).as_bytes());
        Self { severity: Severity::Transfer, text }
    }
}

/// The system's words for an error and its number, as stock writes them: `No such file or directory (2)`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let words = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            format!("{words} ({number})")
        }
        None => text,
    }
}

/// What an entry was passed over for, or what was done beside a transfer. Names are paths below the transfer root.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Neither recursion nor `--dirs`.
    SkippingDirectory(&'a [u8]),
    /// A kind that is not transferred.
    SkippingNonRegular(&'a [u8]),
    /// `--existing`.
    NotCreating {
        /// The name.
        path: &'a [u8],
        /// Whether it is a directory.
        directory: bool,
    },
    /// `--ignore-existing`; the reason stands in parentheses at level 2.
    Exists {
        /// The name.
        path: &'a [u8],
        /// `type change`, `file change`, `sum change`, `attr change` or `uptodate`.
        reason: &'static str,
    },
    /// `--update`.
    IsNewer(&'a [u8]),
    /// `--max-size`.
    OverMaxSize(&'a [u8]),
    /// `--min-size`.
    UnderMinSize(&'a [u8]),
    /// `--safe-links`.
    IgnoringUnsafeLink {
        /// The link.
        path: &'a [u8],
        /// Where it points.
        target: &'a [u8],
    },
    /// `--copy-unsafe-links`.
    CopyingUnsafeLink {
        /// The link.
        path: &'a [u8],
        /// Where it points.
        target: &'a [u8],
    },
    /// `--backup` with `--safe-links`.
    NotBackingUpUnsafeLink {
        /// The link.
        path: &'a [u8],
        /// Where it points.
        target: &'a [u8],
    },
    /// `--backup`.
    BackedUp {
        /// What.
        path: &'a [u8],
        /// Where to.
        backup: &'a [u8],
    },
    /// `--backup-dir`, once.
    BackupDirectory {
        /// The directory.
        path: &'a [u8],
        /// It does not exist yet.
        new: bool,
    },
    /// `--remove-source-files`.
    SourceRemoved(&'a [u8]),
    /// It was gone already.
    SourceAlreadyRemoved(&'a [u8]),
    /// `-xx`.
    SkippingMountPoint {
        /// Who skips.
        role: Role,
        /// What.
        path: &'a [u8],
    },
    /// A mount point is not deleted.
    CannotDeleteMountPoint(&'a [u8]),
    /// A directory that deletion leaves.
    CannotDeleteNonEmpty(&'a [u8]),
    /// Deletion is off.
    DeletionSkipped,
    /// The destination directory was created.
    CreatedDirectory(&'a [u8]),
    /// `--mkpath` created this many directories for a path.
    CreatedPath {
        /// How many.
        count: usize,
        /// For what.
        path: &'a [u8],
    },
    /// What a rule decided about a name (debug FILTER).
    FilterDecision(&'a str),
    /// A batch has content that is not wanted here (any more).
    BatchedUpdateSkipped {
        /// Whose.
        path: &'a [u8],
        /// A second attempt.
        again: bool,
    },
    /// The server ends a silence earlier than we would.
    TimeoutOfServer(i32),
    /// Whether deltas are used, once (debug FLIST).
    DeltaTransmission(bool),
}

/// An item: what is being, or was, done to one entry.
#[derive(Clone, Copy, Debug)]
pub struct ItemEvent<'a> {
    /// The entry.
    pub entry: EntryRef<'a>,
    /// What differs and what is done.
    pub flags: ItemFlags,
    /// The directory that its name is below, as messages show it.
    pub top: &'a [u8],
    /// The file a hard link was made to.
    pub leader: Option<&'a [u8]>,
    /// What a symlink leads to here, where that is not what the source says.
    pub target: Option<&'a [u8]>,
    /// Where a source of ours finds it.
    pub base: Option<&'a Base>,
    /// What moved, once the item is handled; none while it begins.
    pub moved: Option<Moved<'a>>,
    /// Whether attributes of what was made had to be set. Below protocol 29 directories are named for that.
    pub dressed: bool,
}

/// What an item's transfer cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved<'a> {
    /// Bytes of file data on the wire: written by a sender, read by a receiver.
    pub data: u64,
    /// Bytes that went the other way: block sums.
    pub sums: u64,
    /// The whole file's digest.
    pub digest: Option<&'a [u8]>,
}

/// How far one file's data is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file.
    pub entry: EntryRef<'a>,
    /// Bytes handled.
    pub done: u64,
    /// Bytes expected.
    pub size: u64,
    /// Whether this was the last of it.
    pub last: bool,
    /// Entries behind this one that were not looked at yet.
    pub left: usize,
    /// Entries known so far.
    pub total: usize,
    /// More entries may come.
    pub growing: bool,
    /// Sizes of all files known so far.
    pub total_size: u64,
}

/// How far a run is, of one session or several.
#[derive(Clone, Copy, Debug)]
pub struct Overall {
    /// Bytes handled.
    pub done: u64,
    /// Bytes of all files known so far.
    pub size: u64,
    /// Files whose data is complete.
    pub transferred: u64,
    /// Entries that were not looked at yet.
    pub left: usize,
    /// Entries known so far.
    pub total: usize,
    /// More entries may come.
    pub growing: bool,
    /// It is to be told however little time has gone by.
    pub pressing: bool,
}

/// Something happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The list is being built or received; the count so far.
    Listing(usize),
    /// The list is complete where it comes in one piece.
    Listed(usize),
    /// An entry of a listing (`--list-only`).
    Entry(EntryRef<'a>),
    /// An item begins or is done: see [`ItemEvent::moved`]. Both are told for every item.
    Item(ItemEvent<'a>),
    /// An entry needed nothing.
    UpToDate(&'a [u8]),
    /// A name was deleted, or would be.
    Deleted {
        /// Path below the destination.
        path: &'a [u8],
        /// Whether it was a directory.
        directory: bool,
    },
    /// Passed over, or done beside.
    Notice(Notice<'a>),
    /// Went wrong.
    Problem(Problem),
    /// The terms are settled: messages can travel.
    Settled(&'a Terms),
    /// Text from the peer, untrusted, with its newline.
    Peer {
        /// Which channel.
        kind: TextKind,
        /// The bytes.
        text: &'a [u8],
    },
    /// What the sink has of a file stays as it is: the file is not what was listed, or could not be read (only where
    /// [`Job::exact`](crate::Job::exact)).
    Withheld {
        /// Path below the source.
        path: &'a [u8],
        /// Why it could not be read; none if it changed.
        why: Option<&'a str>,
    },
    /// A file's data moves.
    Progress(Progress<'a>),
    /// A list is done, or all of them once more.
    ListDone(Overall),
    /// What somebody who looks for a fault wants to know (`--debug`). Made only for an observer that traces.
    Trace(&'a [u8]),
}

/// Takes the events of a run. Called from several threads, in the order things happened on each.
pub trait Observer: Send + Sync {
    /// One event.
    fn event(&self, event: &Event<'_>);

    /// Whether [`Event::Progress`] is wanted; where nobody looks it is not made.
    fn wants_progress(&self) -> bool {
        false
    }

    /// Whether [`Event::Item`] is wanted, once the terms are settled; where nobody looks it is not made.
    fn wants_items(&self) -> bool {
        true
    }

    /// Whether [`Event::Trace`] about this is wanted.
    fn traces(&self, _flag: Debug, _level: u8) -> bool {
        false
    }
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// The run's one place for events and counters; clones share it.
#[derive(Clone)]
pub struct Monitor {
    observer: Arc<dyn Observer>,
    tally: Arc<Tally>,
}

impl Monitor {
    /// A monitor that passes events to `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, tally: Arc::new(Tally::default()) }
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Problem(problem) if problem.severity == Severity::Transfer => {
                self.tally.fail_transfer();
            }
            Event::Peer { kind: TextKind::TransferError, .. } => self.tally.fail_transfer(),
            _ => {}
        }
        self.observer.event(event);
    }

    /// Tells a notice.
    pub fn notice(&self, notice: Notice<'_>) {
        self.tell(&Event::Notice(notice));
    }

    /// Tells a problem.
    pub fn problem(&self, problem: Problem) {
        self.tell(&Event::Problem(problem));
    }

    /// Tells of a failed system call on one file; the run will end with 23.
    pub fn failed(&self, role: Role, what: impl AsRef<[u8]>, error: &io::Error) {
        self.problem(Problem::system(role, what, error));
    }

    /// Tells a warning.
    pub fn warn(&self, text: impl Into<Vec<u8>>) {
        self.problem(Problem::new(Severity::Warning, text));
    }

    /// Traces what happens; the text is made only where it is wanted.
    pub fn trace(&self, flag: Debug, level: u8, text: impl FnOnce() -> Vec<u8>) {
        if self.observer.traces(flag, level) {
            self.tell(&Event::Trace(&text()));
        }
    }

    /// Whether a trace about this is wanted.
    pub fn traces(&self, flag: Debug, level: u8) -> bool {
        self.observer.traces(flag, level)
    }

    /// Whether items are worth telling.
    pub fn wants_items(&self) -> bool {
        self.observer.wants_items()
    }

    /// Whether progress is worth telling.
    pub fn wants_progress(&self) -> bool {
        self.observer.wants_progress()
    }

    /// Tells that a list is done, if anybody looks: `seen` entries are behind us.
    pub(crate) fn list_done(&self, seen: usize, growing: bool) {
        if !self.wants_progress() {
            return;
        }
        let tally = self.tally();
        let total = tally.files.total() as usize;
        self.tell(&Event::ListDone(Overall {
            done: tally.transferred_size.get(),
            size: tally.total_size.get(),
            transferred: tally.transferred.get(),
            left: total.saturating_sub(seen),
            total,
            growing,
            pressing: true,
        }));
    }

    /// The counters.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("tally", &self.tally).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_as_stocks_do() {
        let error = io::Error::from_raw_os_error(2);
        let problem = Problem::system(Role::Sender, "link_stat \"/x\" failed", &error);
        assert_eq!(
            problem.text,
            b"rsync: [sender] link_stat \"/x\" failed: No such file or directory (2)"
        );
    }
}
