//! What a translation tells the operator.

use std::fmt;

use crate::sersync::FindingKind;

/// Something that changed its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line in the old file; 0 if it is about the file as a whole.
    pub line: u32,
    /// What.
    pub kind: NoteKind,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{} [{}]", self.kind, self.kind.code())
    }
}

/// The kinds of notes, each with the old meaning and the new one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says what it is in its message")]
#[non_exhaustive]
pub enum NoteKind {
    #[error("{0}")]
    Finding(FindingKind),
    #[error(
        "`-u` was given and stays as `update = true`: what is newer on the target stays different for ever; better remove it, the source wins then"
    )]
    UpdateKeepsNewer,
    #[error(
        "the fail log `{0}` is replaced by a journal: nothing is lost and nothing is run from a file any more; do not run the old script, its commands are stale"
    )]
    FailLogReplaced(String),
    #[error(
        "`attrib` was off, so that chmod, chown and touch of existing files were lost: modes and times are mirrored now"
    )]
    AttributesNowMirrored,
    #[error(
        "`createFolder` was off, so that everything in new directories was lost: it is mirrored now"
    )]
    DirectoriesNowMirrored,
    #[error(
        "`moveFrom` was off, so that old names stayed on the target: they are removed now, as `delete` has it"
    )]
    MovesNowMirrored,
    #[error(
        "`closeWrite` and `modify` were off, so that contents were never mirrored: they are now"
    )]
    ContentsNowMirrored,
    #[error(
        "files were pushed at each write: now they are sent whole when they are closed, and at latest 1 s after a change while they stay open (`max-open-wait`)"
    )]
    ModifyBecomesOpenWait,
    #[error(
        "`filter` concerned single events; full pushes were refused with it and recursive ones ignored it: it is in force everywhere now"
    )]
    FilterNowAppliesToFullPush,
    #[error(
        "an expression of `filter` did not match directories that were there at the start: it hides them too now"
    )]
    FilterDirectoriesByEventOnly,
    #[error(
        "`{0}` has no equal among rsync's rules: it is kept in `filter-regex`, matched against whole paths"
    )]
    FilterKeptAsRegex(String),
    #[error(
        "`{0}` of the plugin's filter has no equal among rsync's rules: the hook is called for every path now"
    )]
    HookFilterDropped(String),
    #[error(
        "`crontabfilter` and `filter` hide different names: what a scheduled run hides it also protects on the target (`schedule-filter`)"
    )]
    ScheduleFilterDiffers,
    #[error(
        "the plugin ran once for each path through a shell: the hook runs once for each batch with all paths as arguments, without a shell; a program that looks at one argument only must go through all of them"
    )]
    HookOncePerBatch,
    #[error(
        "the password of refreshCDN stood in the file: write it into `{0}`, where the hook reads it"
    )]
    CdnPasswordLeftOut(String),
    #[error(
        "refreshCDN asked for directories with `dirs=`: the hook asks for every path with `urls=`"
    )]
    CdnDirectoriesAsUrls,
    #[error("the password file `{0}` means nothing to a remote shell: it is left out")]
    SshPasswordFileDropped(String),
    #[error(
        "port {0} was given to rsync, which does not use it with a remote shell: it is left out; for another port of ssh write `ssh = [\"ssh\", \"-p\", \"PORT\"]`"
    )]
    SshPortDropped(String),
    #[error(
        "`{0}` does not exist: the old tool ran on, watching nothing; a mirror waits for it and says so"
    )]
    SourceMissing(String),
    #[error(
        "changes waited {0} s: they are sent at once now (`--keep-delays` keeps the pause as `min-interval`)"
    )]
    DelayDropped(String),
    #[error(
        "without `insist` a target that was down ended the start: a mirror starts without it now (`--fail-fast` has the old way)"
    )]
    InsistNowOn,
    #[error("without `archive` these were not mirrored and still are not: {}; write `archive = true` for all", .0.join(", "))]
    NoArchive(Vec<&'static str>),
    #[error("the log went to a file: it goes to standard error now, for the journal of the system")]
    LogToStderr,
    #[error("the status file has another format now")]
    StatusFormat,
    #[error(
        "`maxProcesses` and `maxDelays` have no equal: each target has one worker, and its queue is bounded by itself"
    )]
    MaxProcessesDropped,
    #[error(
        "`exitcodes` has no equal: each failure is handled by its class, and none ends the program"
    )]
    ExitcodesDropped,
    #[error("several syncs of one source became one mirror with several targets")]
    SyncsJoined,
    #[error(
        "renames ran `mv` in a remote shell: they travel in the session now, without sending content"
    )]
    SshMovesReplaced,
    #[error(
        "`default.direct` ignored chmod and copied what symlinks point to: symlinks are links now, and with `archive = true` modes and owners are mirrored too"
    )]
    DirectNowExact,
    #[error("`init = true` ends lsyncd: it is taken as the default, a comparison at the start")]
    InitTrueTakenAsDefault,
    #[error(
        "`delete` is none of true, false, \"startup\" and \"running\": lsyncd takes that as false, and so it is"
    )]
    DeleteTakenAsFalse,
    #[error("the value that the environment variable `{0}` has now was taken")]
    EnvironmentTaken(String),
    #[error("`{0}` concerns the old program's own output or process: it is left out")]
    OptionDropped(String),
    #[error("`{0}` is passed on as it is in `rsync-options`")]
    OptionKeptAsWord(String),
    #[error(
        "`{0}` writes files in place: who reads the target sees them half-written, and an interrupted session leaves them so"
    )]
    TornReads(String),
    #[error(
        "`{0}` was a pattern of lsyncd's own for events, where `[` and `\\` meant themselves: it is an rsync pattern everywhere now"
    )]
    PatternNowRsync(String),
    #[error(
        "the password file `{0}` holds `USER:PASSWORD`: it must hold the password alone, since all of the line is sent"
    )]
    PasswordFileHoldsUser(String),
    #[error("the result needs a correction before it can run: {0}")]
    NeedsCorrection(String),
}

impl NoteKind {
    /// The code of the note, the thing it is about after a colon.
    pub fn code(&self) -> String {
        let plain = match self {
            Self::Finding(finding) => return finding.code(),
            Self::FilterKeptAsRegex(it) => return format!("filter-kept-as-regex:{it}"),
            Self::HookFilterDropped(it) => return format!("hook-filter-dropped:{it}"),
            Self::DelayDropped(delay) => return format!("delay-dropped:{delay}"),
            Self::NoArchive(names) => return format!("no-archive:{}", names.join(",")),
            Self::EnvironmentTaken(name) => return format!("environment-taken:{name}"),
            Self::OptionDropped(word) => return format!("option-dropped:{word}"),
            Self::OptionKeptAsWord(word) => return format!("option-kept-as-word:{word}"),
            Self::TornReads(option) => return format!("torn-reads:{option}"),
            Self::PatternNowRsync(pattern) => return format!("pattern-now-rsync:{pattern}"),
            Self::PasswordFileHoldsUser(path) => return format!("password-file-holds-user:{path}"),
            Self::UpdateKeepsNewer => "update-keeps-newer",
            Self::FailLogReplaced(_) => "fail-log-replaced",
            Self::AttributesNowMirrored => "attributes-now-mirrored",
            Self::DirectoriesNowMirrored => "directories-now-mirrored",
            Self::MovesNowMirrored => "moves-now-mirrored",
            Self::ContentsNowMirrored => "contents-now-mirrored",
            Self::ModifyBecomesOpenWait => "modify-becomes-open-wait",
            Self::FilterNowAppliesToFullPush => "filter-now-applies-to-full-push",
            Self::FilterDirectoriesByEventOnly => "filter-directories-by-event-only",
            Self::ScheduleFilterDiffers => "schedule-filter-differs",
            Self::HookOncePerBatch => "hook-once-per-batch",
            Self::CdnPasswordLeftOut(_) => "cdn-password-left-out",
            Self::CdnDirectoriesAsUrls => "cdn-directories-as-urls",
            Self::SshPasswordFileDropped(_) => "ssh-password-file-dropped",
            Self::SshPortDropped(_) => "ssh-port-dropped",
            Self::SourceMissing(_) => "source-missing",
            Self::InsistNowOn => "insist-now-on",
            Self::LogToStderr => "log-to-stderr",
            Self::StatusFormat => "status-format",
            Self::MaxProcessesDropped => "max-processes-dropped",
            Self::ExitcodesDropped => "exitcodes-dropped",
            Self::SyncsJoined => "syncs-joined",
            Self::SshMovesReplaced => "ssh-moves-replaced",
            Self::DirectNowExact => "direct-now-exact",
            Self::InitTrueTakenAsDefault => "init-true-taken-as-default",
            Self::DeleteTakenAsFalse => "delete-taken-as-false",
            Self::NeedsCorrection(_) => "needs-correction",
        };
        plain.to_owned()
    }
}
