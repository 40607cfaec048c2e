//! The typed result: what a command line asks for, grouped as the table is.

use jiff::Timestamp;

use crate::OptionId;
use crate::error::UsageError;
use crate::unpack::Capabilities;
use crate::values::chmod::Chmod;
use crate::values::choice::{ChecksumChoice, Compression};
use crate::values::flags::{Debug as DebugFlag, Info, Levels, imply_verbosity};
use crate::values::format::Format;
use crate::values::iconv::Iconv;
use crate::word::Word;

/// Everything one command line asks for, checked. Built by [`crate::parse`] or [`crate::parse_server`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Options {
    /// Set when this is the far end, started with `--server`.
    pub server: Option<Server>,
    /// What is said and how.
    pub output: Output,
    /// What is copied.
    pub select: Select,
    /// How files are compared and data moves.
    pub data: Data,
    /// Which attributes are kept.
    pub attributes: Attributes,
    /// What is deleted.
    pub delete: Delete,
    /// Connection, limits, shell.
    pub connection: Connection,
    /// Batch files.
    pub batch: Batch,
    /// Split the job over this many sessions; 1 unless `--parallel` was given.
    pub parallel: u16,
    /// The arguments that are not options, in order.
    pub arguments: Vec<Word>,
    /// Every option as it was given, in order, for [`Options::not_performed`].
    pub(crate) used: Vec<(OptionId, String)>,
}

/// How the far end was started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Server {
    /// `--sender`: this end reads the source.
    pub sender: bool,
    /// What the client said it can do.
    pub capabilities: Capabilities,
}

/// Where messages of all processes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StderrMode {
    /// Errors straight to each process's standard error.
    #[default]
    Errors,
    /// Everything to standard error.
    All,
    /// Errors travel to the client over the protocol.
    Client,
}

/// Buffering of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbuf {
    /// None.
    None,
    /// By line.
    Line,
    /// By block.
    Block,
}

/// Information and output.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Output {
    /// Count of `-v`.
    pub verbose: u8,
    /// Levels of `--info` words, with what other options imply.
    pub info: Levels<Info>,
    /// Levels of `--debug` words.
    pub debug: Levels<DebugFlag>,
    /// `--stderr`.
    pub stderr: StderrMode,
    /// Count of `-q`.
    pub quiet: u8,
    /// Whether a daemon's message of the day is wanted.
    pub motd: bool,
    /// `--stats`.
    pub stats: bool,
    /// Level of `-h`, 1 by default.
    pub human_readable: u8,
    /// `-8`.
    pub eight_bit: bool,
    /// `--progress` or `-P`; levels are in `info`.
    pub progress: bool,
    /// Count of `-i`; on a server 1 or 2 after a format with `%i`.
    pub itemize: u8,
    /// The line for each item as the user or the client gave it; see [`Options::item_format`] for the one in force.
    pub out_format: Option<Format>,
    /// `--log-file`.
    pub log_file: Option<Word>,
    /// `--log-file-format`.
    pub log_file_format: Option<Format>,
    /// `--list-only` was given. [`crate::Job::listing`] tells of listings for want of a destination.
    pub list_only: bool,
    /// `--outbuf`.
    pub outbuf: Option<Outbuf>,
}

/// Why directory entries are transferred when there is no recursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dirs {
    /// They are not.
    #[default]
    No,
    /// `--no-dirs` said they are not.
    Refused,
    /// Another option (`--files-from`, a listing) needs them.
    Implied,
    /// `--dirs`.
    Yes,
}

/// One filter option; order matters across all kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterArgument {
    /// `--filter`, or the rule that `-F` and other options stand for.
    Rule(Word),
    /// `--include`.
    Include(Word),
    /// `--exclude`.
    Exclude(Word),
    /// `--include-from`.
    IncludeFrom(Word),
    /// `--exclude-from`.
    ExcludeFrom(Word),
}

/// `--files-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilesFrom {
    /// `-` on a client: this process's standard input. On a server: the client sends the names.
    Stdin,
    /// A file on this side.
    Local(Word),
    /// A file on the far side; an empty host is the transfer's.
    Remote {
        /// The host as written, with its user.
        host: Word,
        /// The file.
        path: Word,
    },
}

/// What to do about a source argument that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingArguments {
    /// An error.
    #[default]
    Report,
    /// `--ignore-missing-args`.
    Ignore,
    /// `--delete-missing-args`.
    Delete,
}

/// Which removal of source files was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveSource {
    /// `--remove-source-files`: everything that is the same on both sides now.
    Synchronized,
    /// `--remove-sent-files` of old versions: only what was sent.
    Sent,
}

impl RemoveSource {
    /// The option's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synchronized => "remove-source-files",
            Self::Sent => "remove-sent-files",
        }
    }
}

/// Selecting what is copied.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Select {
    /// Descend into directories.
    pub recursive: bool,
    /// Whether the list may grow during the transfer (`--no-inc-recursive` and others switch it off).
    pub incremental: bool,
    /// Directory entries without recursion.
    pub dirs: Dirs,
    /// `--old-dirs` is in force: recursion with the rule `- /*/*`.
    pub old_dirs: bool,
    /// `-R`; `None` when nothing was said (off, or on with `--files-from`: see [`Select::is_relative`]).
    pub relative: Option<bool>,
    /// Whether parents of `-R` names are sent.
    pub implied_dirs: bool,
    /// `--mkpath`.
    pub mkpath: bool,
    /// Count of `-x`.
    pub one_file_system: u8,
    /// `-m`.
    pub prune_empty_dirs: bool,
    /// `--files-from`.
    pub files_from: Option<FilesFrom>,
    /// `-0`.
    pub from0: bool,
    /// All filter options in order. `-C` is not among them.
    pub filters: Vec<FilterArgument>,
    /// `-C`.
    pub cvs_exclude: bool,
    /// `--max-size`.
    pub max_size: Option<u64>,
    /// `--min-size`.
    pub min_size: Option<u64>,
    /// `--existing`.
    pub existing_only: bool,
    /// `--ignore-existing`.
    pub ignore_existing: bool,
    /// `-u`.
    pub update: bool,
    /// Missing source arguments.
    pub missing_arguments: MissingArguments,
    /// Removal of source files.
    pub remove_source: Option<RemoveSource>,
}

impl Select {
    /// Whether whole paths are sent.
    pub fn is_relative(&self) -> bool {
        self.relative.unwrap_or(self.files_from.is_some())
    }

    /// Whether directory entries are transferred.
    pub fn takes_dirs(&self) -> bool {
        self.recursive || matches!(self.dirs, Dirs::Implied | Dirs::Yes)
    }
}

/// The kind of another directory to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltDestKind {
    /// `--compare-dest`.
    Compare,
    /// `--copy-dest`.
    Copy,
    /// `--link-dest`.
    Link,
}

impl AltDestKind {
    /// The option's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compare => "compare-dest",
            Self::Copy => "copy-dest",
            Self::Link => "link-dest",
        }
    }
}

/// All `--compare-dest`, `--copy-dest` or `--link-dest` directories; never a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AltDest {
    /// Which option it was.
    pub kind: AltDestKind,
    /// The directories in order, at most [`AltDest::MAX`].
    pub dirs: Vec<Word>,
}

impl AltDest {
    /// The most directories.
    pub const MAX: usize = 20;
}

/// `--append` and `--append-verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Append {
    /// Neither.
    #[default]
    No,
    /// `--append`.
    Blind,
    /// `--append-verify`.
    Verify,
}

/// What becomes of a file whose transfer was cut.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Partial {
    /// Removed.
    #[default]
    Discard,
    /// Kept under the file's name.
    Keep,
    /// Kept in a directory (relative: beside the file).
    Dir(Word),
}

/// Comparison and data transfer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Data {
    /// `-c`.
    pub checksum: bool,
    /// `--checksum-choice`.
    pub checksum_choice: ChecksumChoice,
    /// `--checksum-seed`; 0 is random.
    pub checksum_seed: i32,
    /// `-I`.
    pub ignore_times: bool,
    /// `--size-only`.
    pub size_only: bool,
    /// `--modify-window`; negative compares nanoseconds.
    pub modify_window: Option<i32>,
    /// `-W` or `--no-whole-file`; see [`Options::copies_whole_files`].
    pub whole_file: Option<bool>,
    /// `--block-size` when not 0.
    pub block_size: Option<u32>,
    /// Count of `-y`.
    pub fuzzy: u8,
    /// Other directories to compare with.
    pub alt_dest: Option<AltDest>,
    /// Whether and how data is compressed.
    pub compression: Compression,
    /// `-z` was given: a server is told so, while a level by itself compresses without it.
    pub compress_flag: bool,
    /// The compressor as written; the server is told this. Empty when none was named.
    pub compress_choice_text: Word,
    /// `--compress-level` as given; the compressor clamps it.
    pub compress_level: Option<i32>,
    /// `--compress-threads`, at least 0.
    pub compress_threads: u32,
    /// `--skip-compress`, the list as given.
    pub skip_compress: Option<Word>,
    /// `-S`.
    pub sparse: bool,
    /// `--preallocate`.
    pub preallocate: bool,
    /// Write into the existing file (`--inplace`, `--append`, `--write-devices`).
    pub inplace: bool,
    /// `--append`.
    pub append: Append,
    /// What is kept of a cut transfer, after all rules between options.
    pub partial: Partial,
    /// The partial directory to tell a server: one that the user named.
    pub partial_dir_for_server: Option<Word>,
    /// `--delay-updates`.
    pub delay_updates: bool,
    /// `-T`.
    pub temp_dir: Option<Word>,
    /// `-b` (also implied by `--backup-dir`).
    pub backup: bool,
    /// `--backup-dir`, cleaned; `None` is the file's own directory.
    pub backup_dir: Option<Word>,
    /// The suffix in force.
    pub suffix: Word,
    /// `--fsync`.
    pub fsync: bool,
}

/// What the receiver believes about its powers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SuperUser {
    /// Finds out.
    #[default]
    Auto,
    /// `--super`.
    Yes,
    /// `--no-super`.
    No,
    /// `--fake-super`.
    Fake,
}

/// Attributes to keep.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `-p`.
    pub perms: bool,
    /// `-E`; without effect beside `-p`.
    pub executability: bool,
    /// `--chmod`.
    pub chmod: Chmod,
    /// `-A`.
    pub acls: bool,
    /// Count of `-X`.
    pub xattrs: u8,
    /// `-t`.
    pub times: bool,
    /// Count of `-U`.
    pub atimes: u8,
    /// `--open-noatime` (also `-UU`).
    pub open_noatime: bool,
    /// `-N`, where the system has creation times.
    pub crtimes: bool,
    /// `-O` given.
    pub omit_dir_times: bool,
    /// `-J`.
    pub omit_link_times: bool,
    /// `-o`.
    pub owner: bool,
    /// `-g`.
    pub group: bool,
    /// `--devices`.
    pub devices: bool,
    /// `--specials`.
    pub specials: bool,
    /// `--copy-devices`.
    pub copy_devices: bool,
    /// `--write-devices`.
    pub write_devices: bool,
    /// `--drop-D`.
    pub drop_devices: bool,
    /// `--super` and its kin.
    pub super_user: SuperUser,
    /// `-l`.
    pub links: bool,
    /// `-L`.
    pub copy_links: bool,
    /// `--copy-unsafe-links`.
    pub copy_unsafe_links: bool,
    /// `--safe-links`.
    pub safe_links: bool,
    /// `-k`.
    pub copy_dirlinks: bool,
    /// `-K`.
    pub keep_dirlinks: bool,
    /// `--munge-links`; `None` when nothing was said.
    pub munge_links: Option<bool>,
    /// `--insecure-links`.
    pub insecure_links: bool,
    /// `--confine-root`.
    pub confine_root: Option<Word>,
    /// Count of `-H`.
    pub hard_links: u8,
    /// `--numeric-ids`.
    pub numeric_ids: bool,
    /// `--usermap`, or the user half of `--chown`, as a map's text.
    pub usermap: Option<Word>,
    /// `--groupmap`, or the group half of `--chown`.
    pub groupmap: Option<Word>,
    /// `--copy-as`.
    pub copy_as: Option<Word>,
}

/// When extraneous files are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeleteWhen {
    /// They are not.
    #[default]
    Never,
    /// `--delete`: during the transfer from protocol 30 on, before it below.
    ByProtocol,
    /// `--delete-before`.
    Before,
    /// `--delete-during`.
    During,
    /// `--delete-delay`.
    Delay,
    /// `--delete-after`.
    After,
}

/// Deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Delete {
    /// When.
    pub when: DeleteWhen,
    /// `--delete-excluded`.
    pub excluded: bool,
    /// `--force`.
    pub force: bool,
    /// `--ignore-errors`.
    pub ignore_errors: bool,
    /// `--max-delete`; 0 when the number was negative.
    pub max: Option<u32>,
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Family {
    /// Any.
    #[default]
    Any,
    /// `-4`.
    V4,
    /// `-6`.
    V6,
}

/// How arguments are protected from a remote shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ArgumentProtection {
    /// Escaped with backslashes.
    #[default]
    Escaped,
    /// `--old-args`: only option values are.
    OldArgs,
    /// `--old-args` twice: nothing is.
    Nothing,
    /// `-s`: they travel over the protocol.
    Secluded,
}

/// Connection and limits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Connection {
    /// `-n`.
    pub dry_run: bool,
    /// `-e` of the command line; [`Connection::shell`] adds the environment's.
    pub rsh: Option<Word>,
    /// `RSYNC_RSH`.
    pub rsh_from_environment: Option<Word>,
    /// `--rsync-path`.
    pub rsync_path: Option<Word>,
    /// `-M`, in order.
    pub remote_options: Vec<Word>,
    /// `--blocking-io`; `None` when nothing was said.
    pub blocking_io: Option<bool>,
    /// `--timeout` in seconds, `None` for none.
    pub timeout: Option<u32>,
    /// `--contimeout` in seconds, `None` for none; 0 when it was negative, which limits nothing.
    pub contimeout: Option<u32>,
    /// `--stop-after` or `--stop-at`, whichever came last.
    pub stop_at: Option<Timestamp>,
    /// `--bwlimit` in KiB a second, `None` for none.
    pub bwlimit: Option<u32>,
    /// `--port` as given; whether it is one is found out when connecting.
    pub port: Option<i32>,
    /// `--address`.
    pub address: Option<Word>,
    /// `--sockopts`.
    pub sockopts: Option<Word>,
    /// `-4`, `-6`.
    pub family: Family,
    /// `--password-file`.
    pub password_file: Option<Word>,
    /// `--tls-ca`.
    pub tls_ca: Option<Word>,
    /// `--early-input`.
    pub early_input: Option<Word>,
    /// `--protocol`, not checked: the text of that error needs the versions of the program.
    pub protocol: Option<i32>,
    /// `--iconv`.
    pub iconv: Option<Iconv>,
    /// `--no-iconv` or `--iconv=-` was given.
    pub iconv_refused: bool,
    /// Protection of arguments.
    pub protection: ArgumentProtection,
    /// `--trust-sender`.
    pub trust_sender: bool,
    /// The limit of `--max-alloc`, 0 for none.
    pub max_alloc: u64,
    /// `--max-alloc` as the server is told it; `None` when it is the default.
    pub max_alloc_text: Option<Word>,
}

impl Connection {
    /// The limit of `--max-alloc` when nothing was said.
    pub const DEFAULT_MAX_ALLOC: u64 = 1 << 30;

    /// The remote shell command: `-e`, else `RSYNC_RSH`, else `ssh`.
    pub fn shell(&self) -> &[u8] {
        self.rsh.as_deref().or(self.rsh_from_environment.as_deref()).unwrap_or(b"ssh")
    }

    /// Whether arguments travel over the protocol.
    pub fn is_secluded(&self) -> bool {
        self.protection == ArgumentProtection::Secluded
    }
}

/// Batch files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// `--write-batch` or `--only-write-batch`. Nothing is written in a dry run.
    pub write: Option<Word>,
    /// It was `--only-write-batch`: the destination is left alone. Also on a server that was told so.
    pub only_write: bool,
    /// `--read-batch`.
    pub read: Option<Word>,
}

impl Options {
    /// Whether delta transfer is off when the user left it open: for local copies without a batch to write.
    pub fn copies_whole_files(&self, local: bool) -> bool {
        let default = local && self.batch.write.is_none() && self.data.append == Append::No;
        self.data.whole_file.unwrap_or(default)
    }

    /// The format of the line for each item: the given one, else that of `-i`, else that of a NAME level.
    pub fn item_format(&self) -> Option<Format> {
        match &self.output.out_format {
            Some(format) => Some(format.clone()),
            None if self.output.itemize > 0 => Some(Format::parse(b"%i %n%L")),
            None if self.output.info.level(Info::Name) > 0 => Some(Format::parse(b"%n%L")),
            None => None,
        }
    }

    /// Caps verbosity, as a daemon's `max verbosity` does: levels above what that many `-v` imply are lowered.
    pub fn limit_verbosity(&mut self, most: u8) {
        self.output.verbose = self.output.verbose.min(most);
        let (mut info, mut debug) = (Levels::default(), Levels::default());
        imply_verbosity(&mut info, &mut debug, most);
        self.output.info.limit(&info);
        self.output.debug.limit(&debug);
    }

    /// The first option of the command line that is not among those that a program performs.
    pub fn not_performed(&self, performed: impl Fn(OptionId) -> bool) -> Option<UsageError> {
        let (_, spelling) = self.used.iter().find(|(id, _)| !performed(*id))?;
        Some(UsageError::NotPerformed(spelling.clone()))
    }
}
