//! The command line of a live mirror (live.md 6.1).

use super::{Argument, Hint, OptionId, Row};

/// rsync's options that a mirror takes with the meaning they have there.
pub(super) const OF_RSYNC: &[OptionId] = &[
    OptionId::Archive,
    OptionId::Recursive,
    OptionId::OneFileSystem,
    OptionId::PruneEmptyDirs,
    OptionId::Filter,
    OptionId::Exclude,
    OptionId::ExcludeFrom,
    OptionId::Include,
    OptionId::IncludeFrom,
    OptionId::CvsExclude,
    OptionId::MaxSize,
    OptionId::MinSize,
    OptionId::Existing,
    OptionId::IgnoreExisting,
    OptionId::Update,
    OptionId::Checksum,
    OptionId::ChecksumChoice,
    OptionId::IgnoreTimes,
    OptionId::SizeOnly,
    OptionId::ModifyWindow,
    OptionId::WholeFile,
    OptionId::BlockSize,
    OptionId::Compress,
    OptionId::CompressChoice,
    OptionId::CompressLevel,
    OptionId::SkipCompress,
    OptionId::Sparse,
    OptionId::Preallocate,
    OptionId::Inplace,
    OptionId::Append,
    OptionId::AppendVerify,
    OptionId::Partial,
    OptionId::PartialDir,
    OptionId::TempDir,
    OptionId::Backup,
    OptionId::BackupDir,
    OptionId::Suffix,
    OptionId::Fsync,
    OptionId::Perms,
    OptionId::Executability,
    OptionId::Chmod,
    OptionId::Acls,
    OptionId::Xattrs,
    OptionId::Times,
    OptionId::Atimes,
    OptionId::OmitDirTimes,
    OptionId::OmitLinkTimes,
    OptionId::Owner,
    OptionId::Group,
    OptionId::DevicesAndSpecials,
    OptionId::Devices,
    OptionId::Specials,
    OptionId::Super,
    OptionId::FakeSuper,
    OptionId::Links,
    OptionId::CopyLinks,
    OptionId::CopyUnsafeLinks,
    OptionId::SafeLinks,
    OptionId::CopyDirlinks,
    OptionId::KeepDirlinks,
    OptionId::MungeLinks,
    OptionId::HardLinks,
    OptionId::NumericIds,
    OptionId::Usermap,
    OptionId::Groupmap,
    OptionId::Chown,
    OptionId::Delete,
    OptionId::DeleteExcluded,
    OptionId::Force,
    OptionId::Ipv4,
    OptionId::Ipv6,
    OptionId::Rsh,
    OptionId::RsyncPath,
    OptionId::Timeout,
    OptionId::Bwlimit,
    OptionId::Port,
    OptionId::PasswordFile,
    OptionId::Iconv,
];

pub(super) const ROWS: &[Row] = &[
    Row::text(OptionId::Config, &["config"], "FILE", "mirror what this configuration says")
        .hint(Hint::File)
        .live(|o, it| o.config = Some(it.text().to_vec())),
    Row::text(OptionId::Sersync, &["sersync"], "FILE", "run a confxml.xml of sersync as it is")
        .short(b'o')
        .hint(Hint::File)
        .live(|o, it| o.sersync = Some(it.text().to_vec())),
    Row::new(
        OptionId::FirstPush,
        &[],
        Argument::None,
        "with -o: compare everything with each target first",
    )
    .short(b'r')
    .live(|o, _| o.first_push = true),
    Row::new(OptionId::Workers, &[], Argument::Integer("NUM"), "with -o: taken, but each target has one worker")
        .short(b'n')
        .live(|o, it| o.workers = Some(it.integer())),
    Row::new(OptionId::Plugin, &[], Argument::Text("NAME"), "with -o: only run this plugin, mirror nothing")
        .short(b'm')
        .hint(Hint::Words(&["command", "socket", "refreshCDN"]))
        .live(|o, it| o.plugin = Some(it.text().to_vec())),
    Row::flag(OptionId::Detach, &["detach"], "go into the background once everything is watched")
        .short(b'd')
        .live(|o, _| o.detach = true),
    Row::text(OptionId::Startup, &["startup"], "WHEN", "what is done first: compare, trust or none")
        .hint(Hint::Words(&["compare", "trust", "none"]))
        .more(
            "compare looks at everything; trust believes a journal that was closed cleanly; none sends only what \
             changes from now on.",
        )
        .live(|o, it| o.startup = Some(it.text().to_vec())),
    Row::flag(OptionId::LiveDelete, &[], "remove nothing at the targets")
        .shown_off(&["no-delete"])
        .live(|o, _| o.no_delete = true),
    Row::text(
        OptionId::LiveMaxDelete,
        &["max-delete"],
        "NUM",
        "hold a batch that removes more than this until a person allows it",
    )
    .live(|o, it| o.max_delete = Some(it.text().to_vec())),
    Row::flag(
        OptionId::AllowEmptySource,
        &["allow-empty-source"],
        "let an empty source empty its targets",
    )
    .live(|o, _| o.allow_empty_source = true),
    Row::flag(OptionId::FailFast, &["fail-fast"], "end when a target cannot be reached at the start")
        .live(|o, _| o.fail_fast = true),
    Row::text(OptionId::Settle, &["settle"], "TIME", "how long a path is left in peace first")
        .live(|o, it| o.settle = Some(it.text().to_vec())),
    Row::text(OptionId::MaxDelay, &["max-delay"], "TIME", "how long a path that never rests waits")
        .live(|o, it| o.max_delay = Some(it.text().to_vec())),
    Row::text(OptionId::StateDir, &["state-dir"], "DIR", "keep queues and identities here")
        .hint(Hint::Directory)
        .live(|o, it| o.state_dir = Some(it.text().to_vec())),
    Row::text(
        OptionId::StatusAddr,
        &["status-addr"],
        "ADDR:PORT",
        "serve metrics, health and a status page here",
    )
    .live(|o, it| o.status_addr = Some(it.text().to_vec())),
    Row::text(OptionId::StatusFile, &["status-file"], "FILE", "write the status into this file")
        .hint(Hint::File)
        .live(|o, it| o.status_file = Some(it.text().to_vec())),
    Row::text(OptionId::LogLevel, &["log-level"], "LEVEL", "log error, warn, info or debug lines")
        .hint(Hint::Words(&["error", "warn", "info", "debug"]))
        .live(|o, it| o.log_level = Some(it.text().to_vec())),
    Row::flag(OptionId::Verbose, &["verbose"], "log each path")
        .short(b'v')
        .live(|o, _| o.log_level = Some(b"debug".to_vec())),
    Row::flag(OptionId::Quiet, &["quiet"], "log what needs a person only")
        .short(b'q')
        .live(|o, _| o.log_level = Some(b"error".to_vec())),
    Row::flag(OptionId::CheckConfig, &["check-config"], "check the configuration and end")
        .live(|o, _| o.check_config = true),
    Row::flag(OptionId::PrintConfig, &["print-config"], "print the same as synclive.toml and end")
        .live(|o, _| o.print_config = true),
    Row::text(OptionId::To, &["to"], "FILE", "with migrate: write there, not to standard output")
        .hint(Hint::File)
        .live(|o, it| o.to = Some(it.text().to_vec())),
    Row::flag(OptionId::KeepDelays, &["keep-delays"], "with migrate: keep the delays of lsyncd")
        .live(|o, _| o.keep_delays = true),
    Row::flag(OptionId::Version, &["version"], "print the version").short(b'V').live(|o, _| o.version = true),
    Row::flag(OptionId::Help, &["help"], "print this help").short(b'h').live(|o, _| o.help = true),
];
