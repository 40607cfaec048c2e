//! The identities of options.

/// One option, whatever its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OptionId {
    /// `--verbose`
    Verbose,
    /// `--info`
    Info,
    /// `--debug`
    Debug,
    /// `--stderr`
    Stderr,
    /// `--msgs2stderr`
    Msgs2stderr,
    /// `--quiet`
    Quiet,
    /// `--motd`
    Motd,
    /// `--stats`
    Stats,
    /// `--human-readable`
    HumanReadable,
    /// `--8-bit-output`
    EightBitOutput,
    /// `--progress`
    Progress,
    /// `-P`
    PartialProgress,
    /// `--itemize-changes`
    ItemizeChanges,
    /// `--out-format`
    OutFormat,
    /// `--log-format`
    LogFormat,
    /// `--log-file`
    LogFile,
    /// `--log-file-format`
    LogFileFormat,
    /// `--list-only`
    ListOnly,
    /// `--outbuf`
    Outbuf,
    /// `--version`
    Version,
    /// `--help`
    Help,
    /// `--archive`
    Archive,
    /// `--recursive`
    Recursive,
    /// `--inc-recursive`
    IncRecursive,
    /// `--dirs`
    Dirs,
    /// `--old-dirs`
    OldDirs,
    /// `--relative`
    Relative,
    /// `--implied-dirs`
    ImpliedDirs,
    /// `--mkpath`
    Mkpath,
    /// `--one-file-system`
    OneFileSystem,
    /// `--prune-empty-dirs`
    PruneEmptyDirs,
    /// `--files-from`
    FilesFrom,
    /// `--from0`
    From0,
    /// `--filter`
    Filter,
    /// `-F`
    PerDirFilters,
    /// `--exclude`
    Exclude,
    /// `--exclude-from`
    ExcludeFrom,
    /// `--include`
    Include,
    /// `--include-from`
    IncludeFrom,
    /// `--cvs-exclude`
    CvsExclude,
    /// `--max-size`
    MaxSize,
    /// `--min-size`
    MinSize,
    /// `--existing`
    Existing,
    /// `--ignore-existing`
    IgnoreExisting,
    /// `--update`
    Update,
    /// `--ignore-missing-args`
    IgnoreMissingArgs,
    /// `--delete-missing-args`
    DeleteMissingArgs,
    /// `--remove-source-files`
    RemoveSourceFiles,
    /// `--remove-sent-files`
    RemoveSentFiles,
    /// `--checksum`
    Checksum,
    /// `--checksum-choice`
    ChecksumChoice,
    /// `--checksum-seed`
    ChecksumSeed,
    /// `--ignore-times`
    IgnoreTimes,
    /// `--size-only`
    SizeOnly,
    /// `--modify-window`
    ModifyWindow,
    /// `--whole-file`
    WholeFile,
    /// `--block-size`
    BlockSize,
    /// `--fuzzy`
    Fuzzy,
    /// `--compare-dest`
    CompareDest,
    /// `--copy-dest`
    CopyDest,
    /// `--link-dest`
    LinkDest,
    /// `--compress`
    Compress,
    /// `--compress-choice`
    CompressChoice,
    /// `--old-compress`
    OldCompress,
    /// `--new-compress`
    NewCompress,
    /// `--compress-level`
    CompressLevel,
    /// `--compress-threads`
    CompressThreads,
    /// `--skip-compress`
    SkipCompress,
    /// `--sparse`
    Sparse,
    /// `--preallocate`
    Preallocate,
    /// `--inplace`
    Inplace,
    /// `--append`
    Append,
    /// `--append-verify`
    AppendVerify,
    /// `--partial`
    Partial,
    /// `--partial-dir`
    PartialDir,
    /// `--delay-updates`
    DelayUpdates,
    /// `--temp-dir`
    TempDir,
    /// `--backup`
    Backup,
    /// `--backup-dir`
    BackupDir,
    /// `--suffix`
    Suffix,
    /// `--fsync`
    Fsync,
    /// `--qsort`
    Qsort,
    /// `--perms`
    Perms,
    /// `--executability`
    Executability,
    /// `--chmod`
    Chmod,
    /// `--acls`
    Acls,
    /// `--xattrs`
    Xattrs,
    /// `--times`
    Times,
    /// `--atimes`
    Atimes,
    /// `--open-noatime`
    OpenNoatime,
    /// `--crtimes`
    Crtimes,
    /// `--omit-dir-times`
    OmitDirTimes,
    /// `--omit-link-times`
    OmitLinkTimes,
    /// `--owner`
    Owner,
    /// `--group`
    Group,
    /// `-D`
    DevicesAndSpecials,
    /// `--devices`
    Devices,
    /// `--specials`
    Specials,
    /// `--copy-devices`
    CopyDevices,
    /// `--write-devices`
    WriteDevices,
    /// `--drop-D`
    DropDevices,
    /// `--super`
    Super,
    /// `--fake-super`
    FakeSuper,
    /// `--links`
    Links,
    /// `--copy-links`
    CopyLinks,
    /// `--copy-unsafe-links`
    CopyUnsafeLinks,
    /// `--safe-links`
    SafeLinks,
    /// `--copy-dirlinks`
    CopyDirlinks,
    /// `--keep-dirlinks`
    KeepDirlinks,
    /// `--munge-links`
    MungeLinks,
    /// `--insecure-links`
    InsecureLinks,
    /// `--confine-root`
    ConfineRoot,
    /// `--hard-links`
    HardLinks,
    /// `--numeric-ids`
    NumericIds,
    /// `--usermap`
    Usermap,
    /// `--groupmap`
    Groupmap,
    /// `--chown`
    Chown,
    /// `--copy-as`
    CopyAs,
    /// `--delete`
    Delete,
    /// `--delete-before`
    DeleteBefore,
    /// `--delete-during`
    DeleteDuring,
    /// `--delete-delay`
    DeleteDelay,
    /// `--delete-after`
    DeleteAfter,
    /// `--delete-excluded`
    DeleteExcluded,
    /// `--force`
    Force,
    /// `--ignore-errors`
    IgnoreErrors,
    /// `--max-delete`
    MaxDelete,
    /// `--dry-run`
    DryRun,
    /// `--rsh`
    Rsh,
    /// `--rsync-path`
    RsyncPath,
    /// `--remote-option`
    RemoteOption,
    /// `--blocking-io`
    BlockingIo,
    /// `--timeout`
    Timeout,
    /// `--no-timeout`
    NoTimeout,
    /// `--contimeout`
    Contimeout,
    /// `--no-contimeout`
    NoContimeout,
    /// `--stop-after`
    StopAfter,
    /// `--stop-at`
    StopAt,
    /// `--bwlimit`
    Bwlimit,
    /// `--no-bwlimit`
    NoBwlimit,
    /// `--port`
    Port,
    /// `--address`
    Address,
    /// `--sockopts`
    Sockopts,
    /// `--ipv4`
    Ipv4,
    /// `--ipv6`
    Ipv6,
    /// `--password-file`
    PasswordFile,
    /// `--early-input`
    EarlyInput,
    /// `--protocol`
    Protocol,
    /// `--iconv`
    Iconv,
    /// `--no-iconv`
    NoIconv,
    /// `--secluded-args`
    SecludedArgs,
    /// `--old-args`
    OldArgs,
    /// `--trust-sender`
    TrustSender,
    /// `--max-alloc`
    MaxAlloc,
    /// `--write-batch`
    WriteBatch,
    /// `--only-write-batch`
    OnlyWriteBatch,
    /// `--read-batch`
    ReadBatch,
    /// `--server`
    Server,
    /// `--sender`
    Sender,
    /// `--daemon`
    Daemon,
    /// `--config`
    Config,
    /// `--dparam`
    Dparam,
    /// `--detach`
    Detach,
    /// `--parallel`
    Parallel,
    /// `--tls-ca`
    TlsCa,
    /// `--serve-only`
    ServeOnly,
    /// `--ro`
    ServeReadOnly,
    /// `--wo`
    ServeWriteOnly,
    /// `--munge`
    ServeMunge,
    /// `--no-del`
    ServeNoDelete,
    /// `--no-overwrite`
    ServeNoOverwrite,
    /// `--absolute`
    ServeAbsolute,
    /// `--no-lock`
    ServeNoLock,
    /// `--check-config`
    CheckConfig,
    /// `--print-config`
    PrintConfig,
    /// `--sersync`
    Sersync,
    /// `-r` of a live mirror
    FirstPush,
    /// `-n` of a live mirror
    Workers,
    /// `-m` of a live mirror
    Plugin,
    /// `--startup`
    Startup,
    /// `--no-delete` of a live mirror
    LiveDelete,
    /// `--max-delete` of a live mirror
    LiveMaxDelete,
    /// `--allow-empty-source`
    AllowEmptySource,
    /// `--fail-fast`
    FailFast,
    /// `--settle`
    Settle,
    /// `--max-delay`
    MaxDelay,
    /// `--state-dir`
    StateDir,
    /// `--status-addr`
    StatusAddr,
    /// `--status-file`
    StatusFile,
    /// `--log-level`
    LogLevel,
    /// `--to`
    To,
    /// `--keep-delays`
    KeepDelays,
}
