//! What can be wrong with a command line, in the stock program's words (cli.md 2, 3.9 and 5.3).

use std::fmt;

use crate::options::AltDest;
use crate::values::size::Limit;
use crate::word::{Shown, Word};

/// The role word in the final error line (cli.md 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program the user started, before it knows its role.
    Client,
    /// The far end, before it knows its role.
    Server,
    /// It reads the source.
    Sender,
    /// It receives, or does not know yet.
    Receiver,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Sender => "sender",
            Self::Receiver => "Receiver",
        })
    }
}

/// Which table a word was looked up in; it changes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// A client's command line.
    Client,
    /// The words a client sent.
    Server,
    /// `--daemon`.
    Daemon,
    /// A live mirror's command line.
    Live,
}

/// What is wrong with one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordProblem {
    /// There is no such option.
    Unknown,
    /// A flag has a value.
    UnwantedArgument,
    /// The value is missing.
    MissingArgument,
    /// Not an integer.
    InvalidNumber,
    /// More than 32 bits.
    NumberRange,
}

impl WordProblem {
    const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown option",
            Self::UnwantedArgument => "option does not take an argument",
            Self::MissingArgument => "missing argument",
            Self::InvalidNumber => "invalid numeric value",
            Self::NumberRange => "number too large or too small",
        }
    }
}

/// The hint under every error of a daemon's command line.
const DAEMON_HINT: &str = "(Type \"rsync --daemon --help\" for assistance with daemon mode.)";

/// The stock program keeps the text after `rsync: ` in a buffer of this many bytes and one more.
const WORD_ERROR_LIMIT: usize = 199;

/// A command line that cannot be obeyed. `Display` is the exact text for standard error, without the last newline and
/// without the final `rsync error:` line, for which [`UsageError::exit_code`] and [`UsageError::role`] are given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The parser could not make sense of a word.
    #[error("{}", word_error(*.speaker, .word, *.problem))]
    Word {
        /// Whose command line.
        speaker: Speaker,
        /// The word.
        word: Word,
        /// What is wrong with it.
        problem: WordProblem,
    },
    /// Wrong use as a whole: the complete help text goes to standard error instead of a line.
    #[error("")]
    Usage,
    /// The same, said where the role is known or not yet asked for.
    #[error("")]
    NoArguments,
    /// `--parallel` and others of ours beside something they do not go with.
    #[error("rsync: {0}")]
    Ours(&'static str),
    /// The option is known but this program does not perform it.
    #[error("rsync: this version of Syncline does not perform {0} yet")]
    NotPerformed(String),
    /// The option does not exist on this system.
    #[error("rsync: {} does not support {option}", if *.server { "The server" } else { "This rsync" })]
    Unsupported {
        /// As the text shows it, e.g. `--crtimes (-N)`.
        option: String,
        /// Whether a server says so.
        server: bool,
    },
    /// The daemon's configuration refuses the option.
    #[error("rsync: The server is configured to refuse {0}")]
    Refused(String),
    /// A daemon's option reached a daemon's session.
    #[error("rsync: Attempt to hack rsync thwarted!")]
    HackAttempt,
    /// A daemon's option without `--daemon`.
    #[error("Daemon option(s) used without --daemon.\n{DAEMON_HINT}")]
    DaemonOptionAlone,
    /// `--dparam` without `=`.
    #[error("--dparam value is missing an '=': {}\n{DAEMON_HINT}", Shown(.0))]
    DparamWithoutEquals(Word),
    /// `-M` without a dash.
    #[error("rsync: Remote option must start with a dash: {}", Shown(.0))]
    RemoteOptionWithoutDash(Word),
    /// A size that is none.
    #[error("rsync: --{option}={} is invalid", Shown(.value))]
    SizeInvalid {
        /// The option.
        option: &'static str,
        /// Its value.
        value: Word,
    },
    /// A size above the maximum.
    #[error("rsync: --{option}={} is too large{}", Shown(.value), maximum(*.max))]
    SizeTooLarge {
        /// The option.
        option: &'static str,
        /// Its value.
        value: Word,
        /// The maximum, if there is one.
        max: Option<u64>,
    },
    /// A size below the minimum.
    #[error("rsync: --{option}={} is too small (min: {}{})", Shown(.value), Limit(*.min), if *.or_zero { " or 0 for unlimited" } else { "" })]
    SizeTooSmall {
        /// The option.
        option: &'static str,
        /// Its value.
        value: Word,
        /// The minimum.
        min: u64,
        /// Whether 0 is taken too.
        or_zero: bool,
    },
    /// `--link-dest` and its kin mixed.
    #[error("rsync: ERROR: the --{later} option conflicts with the --{earlier} option")]
    AltDestConflict {
        /// The one that came later.
        later: &'static str,
        /// The one that was there.
        earlier: &'static str,
    },
    /// Too many of them.
    #[error("rsync: ERROR: at most {max} --{0} args may be specified", max = AltDest::MAX)]
    AltDestCount(&'static str),
    /// `--chmod` outside its grammar.
    #[error("rsync: Invalid argument passed to --chmod ({})", Shown(.0))]
    Chmod(Word),
    /// `--usermap` after `--chown`, or the reverse.
    #[error("rsync: --{later} conflicts with prior --{earlier}.")]
    MapConflict {
        /// The one that came later.
        later: &'static str,
        /// The one that was there.
        earlier: &'static str,
    },
    /// A map twice.
    #[error("rsync: You can only specify --{0} once.")]
    MapTwice(&'static str),
    /// One half of `--chown` twice.
    #[error("rsync: You can only specify a {0}-affecting --chown once.")]
    ChownTwice(&'static str),
    /// `--stop-after` without a positive number.
    #[error("rsync: invalid --stop-after value: {}", Shown(.0))]
    StopAfter(Word),
    /// `--stop-at` outside its grammar.
    #[error("rsync: invalid --stop-at format: {}", Shown(.0))]
    StopAt(Word),
    /// `--stop-at` in the past.
    #[error("rsync: --stop-at time is not in the future: {}", Shown(.0))]
    StopAtPast(Word),
    /// `--stderr` with an unknown mode.
    #[error("rsync: --stderr mode \"{}\" is not one of errors, all, or client", Shown(.0))]
    StderrMode(Word),
    /// `--info` or `--debug` with an unknown word.
    #[error("Unknown --{option} item: \"{}\"", Shown(.word))]
    UnknownFlag {
        /// The option.
        option: &'static str,
        /// The word without its digits.
        word: Word,
    },
    /// `-s` and `--old-args`.
    #[error("rsync: --secluded-args conflicts with --old-args.")]
    SecludedOldArgs,
    /// No such checksum.
    #[error("unknown checksum name: {}", Shown(.0))]
    UnknownChecksum(Word),
    /// `--checksum` would compare nothing.
    #[error("Invalid checksum-choice for --checksum: none (0)")]
    NoWholeChecksum,
    /// No such compressor.
    #[error("unknown compress name: {}", Shown(.0))]
    UnknownCompressor(Word),
    /// `--outbuf` with an unknown letter.
    #[error("rsync: Invalid --outbuf setting -- specify N, L, or B.")]
    Outbuf,
    /// `--fake-super` and `-XX`.
    #[error("rsync: --fake-super conflicts with -XX")]
    FakeSuperXattrs,
    /// Two batches.
    #[error("rsync: --write-batch and --read-batch can not be used together")]
    TwoBatches,
    /// A batch and a list of names.
    #[error("rsync: --read-batch cannot be used with --files-from")]
    BatchFilesFrom,
    /// A batch and the removal of sources.
    #[error("rsync: --read-batch cannot be used with --{0}")]
    BatchRemove(&'static str),
    /// A long batch name.
    #[error("rsync: the batch-file name must be 256 characters or less.")]
    BatchName,
    /// A long temporary directory.
    #[error("rsync: the --temp-dir path is WAY too long.")]
    TempDirLength,
    /// Several times of deletion.
    #[error("rsync: You may not combine multiple --delete-WHEN options.")]
    DeleteWhen,
    /// Deletion without directories.
    #[error("rsync: --delete does not work without --recursive (-r) or --dirs (-d).")]
    DeleteAlone,
    /// A relative `--confine-root`.
    #[error("rsync: --confine-root must be an absolute path")]
    ConfineRelative,
    /// `--confine-root` with the check it needs switched off.
    #[error("rsync: --insecure-links cannot be combined with --confine-root")]
    ConfineInsecure,
    /// A suffix with a slash.
    #[error("rsync: --suffix cannot contain slashes: {}", Shown(.0))]
    SuffixSlash(Word),
    /// A long backup directory.
    #[error("rsync: the --backup-dir path is WAY too long.")]
    BackupDirLength,
    /// No suffix and no directory.
    #[error("rsync: --suffix cannot be empty without a --backup-dir")]
    SuffixEmpty,
    /// No suffix and the same directory.
    #[error("rsync: --suffix cannot be empty when --backup-dir is the same as the dest dir")]
    SuffixEmptySameDir,
    /// `--append` with whole files.
    #[error("rsync: --append cannot be used with --whole-file")]
    AppendWhole,
    /// In-place updates with something that needs a second file.
    #[error("rsync: --{0} cannot be used with --{1}")]
    InplaceConflict(&'static str, &'static str),
    /// `--files-from=host:-`.
    #[error("rsync: Invalid --files-from remote filename")]
    FilesFromRemoteStdin,
    /// More remote options than a server takes.
    #[error("too many remote options specified.")]
    TooManyRemoteOptions,
    /// A source or destination argument.
    #[error("{problem}")]
    Argument {
        /// What is wrong.
        problem: ArgumentProblem,
        /// The role the process has by then.
        role: Role,
    },
}

/// What is wrong with source and destination arguments (cli.md 5.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentProblem {
    /// Both ends are remote.
    #[error("The source and destination cannot both be remote.")]
    BothRemote,
    /// A remote source after a local one.
    #[error("Unexpected remote arg: {}", Shown(.0))]
    UnexpectedRemote(Word),
    /// A local source after a remote one.
    #[error("Unexpected local arg: {}\nIf arg is a remote file/dir, prefix it with a colon (:).", Shown(.0))]
    UnexpectedLocal(Word),
    /// Two hosts.
    #[error("All source args must come from the same machine.")]
    TwoMachines,
    /// Shell and daemon forms.
    #[error("All source args must use the same hostspec format.")]
    TwoFormats,
    /// Two ports.
    #[error("All source args must use the same port number.")]
    TwoPorts,
    /// An empty source.
    #[error("Empty source arg specified.")]
    EmptySource,
    /// An empty destination.
    #[error("Empty destination arg specified (use \".\" or see --old-args).")]
    EmptyDestination,
    /// The list of names is on another host.
    #[error("--files-from hostname is not the same as the transfer hostname")]
    FilesFromHost,
    /// The list of names is remote and nothing else is.
    #[error("--files-from cannot be remote when the transfer is local")]
    FilesFromRemote,
    /// A batch and a remote destination.
    #[error("remote destination is not allowed with --read-batch")]
    BatchRemote,
    /// A password without a daemon.
    #[error("The --password-file option may only be used when accessing an rsync daemon.")]
    PasswordFile,
    /// A connection timeout without a connection.
    #[error("The --contimeout option may only be used when connecting to an rsync daemon.")]
    Contimeout,
    /// A host that a shell would take for an option.
    #[error("Invalid remote host: hostnames may not start with '-'.")]
    HostDash,
    /// An open quote in the shell command.
    #[error("Missing trailing-{0} in remote-shell command.")]
    OpenQuote(char),
    /// A daemon path without a module, over a socket.
    #[error("ERROR: The remote path must start with a module name not a /")]
    NoModule,
    /// The same over a shell.
    #[error("ERROR: The remote path must start with a module name")]
    NoModuleOverShell,
    /// Ours: TLS with a shell in between.
    #[error("An rsyncs:// address cannot be combined with --rsh (-e).")]
    TlsOverShell,
}

impl UsageError {
    /// The exit status of the program.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownChecksum(_)
            | Self::NoWholeChecksum
            | Self::UnknownCompressor(_)
            | Self::Refused(_) => 4,
            Self::Argument {
                problem: ArgumentProblem::NoModule | ArgumentProblem::NoModuleOverShell,
                ..
            } => 5,
            _ => 1,
        }
    }

    /// The role word of the final line; `server` tells whether this is a `--server` process.
    pub const fn role(&self, server: bool) -> Role {
        match self {
            Self::Argument { role, .. } => *role,
            Self::NoArguments => Role::Receiver,
            Self::Word { speaker: Speaker::Server, .. } => Role::Server,
            _ if server => Role::Server,
            _ => Role::Client,
        }
    }

    /// Whether the complete help text goes to standard error in place of a line.
    pub const fn shows_help(&self) -> bool {
        matches!(self, Self::Usage | Self::NoArguments)
    }

    /// Whether a newline follows the text: not when it was cut at the stock program's buffer size.
    pub fn ends_line(&self) -> bool {
        match self {
            Self::Word { speaker, word, problem } => {
                word_text(*speaker, word, *problem).len() <= WORD_ERROR_LIMIT
            }
            _ => true,
        }
    }
}

fn word_text(speaker: Speaker, word: &[u8], problem: WordProblem) -> Word {
    let mut text =
        if speaker == Speaker::Server { b"on remote machine: ".to_vec() } else { Vec::new() };
    text.extend_from_slice(word);
    text.extend_from_slice(b": ");
    text.extend_from_slice(problem.text().as_bytes());
    text
}

fn word_error(speaker: Speaker, word: &[u8], problem: WordProblem) -> String {
    let mut text = word_text(speaker, word, problem);
    if speaker == Speaker::Daemon {
        return format!("rsync: {} (in daemon mode)\n{DAEMON_HINT}", Shown(&text));
    }
    if speaker == Speaker::Live {
        return format!("synclive: {}", Shown(&text));
    }
    text.truncate(WORD_ERROR_LIMIT);
    format!("rsync: {}", Shown(&text))
}

fn maximum(max: Option<u64>) -> String {
    max.map(|max| format!(" (max: {})", Limit(max))).unwrap_or_default()
}
