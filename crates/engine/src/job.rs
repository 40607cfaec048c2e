//! What one run is to do, and the terms on which the two ends do it.

use syncline_delta::{Algorithm as Digest, StrongSum};
use syncline_fs::{Accounts, TempFiles};
use syncline_options::options::{Append, DeleteWhen, Dirs, MissingArguments};
use syncline_options::values::choice;
use syncline_options::values::flags::Debug;
use syncline_options::{OptionId, Options, UsageError};
use syncline_wire::list::ListOptions;
use syncline_wire::{Algorithm as _, Checksum, CompatFlags, Compression, Item, Protocol, Side};

use crate::{Charset, Error, ExitCode, Interrupt, Module, Monitor, OperatorPaths, Result, Role};

/// One run, as far as it does not depend on the connection. Nothing changes in it once the run begins.
#[derive(Clone, Debug)]
pub struct Job {
    /// What was asked for. On a server what the client passed on.
    pub options: Options,
    /// What the receiving end of a local run goes by, where `-M` told it something of its own.
    pub receiving: Option<Box<Options>>,
    /// Where the process is, and what it may do there.
    pub place: Place,
    /// The module a daemon serves; none elsewhere.
    pub module: Option<Module>,
    /// Opens what options name.
    pub paths: OperatorPaths,
    /// A file that is not what was listed any more, or changes while it is read, is withheld from the sink instead of
    /// sent as it never was (docs/spec live.md 5.5).
    pub exact: bool,
    /// Stops the run from outside.
    pub interrupt: Interrupt,
    /// Names and ids of users and groups at this end.
    pub accounts: Accounts,
    /// The charset of names at this end, where names are converted. What runs a job opens it, if nobody did before.
    pub charset: Option<Charset>,
    /// The run's temporary files, so that a process about to exit can remove them.
    pub temporaries: TempFiles,
}

/// Which of the three ends a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Both ends are this process.
    Local,
    /// The program the user started, with a peer.
    Client,
    /// Started by a peer.
    Server,
}

impl Job {
    /// A run of this process.
    pub fn new(options: Options, place: Place) -> Self {
        Self {
            paths: OperatorPaths::of(&options),
            options,
            receiving: None,
            place,
            module: None,
            exact: false,
            interrupt: Interrupt::default(),
            accounts: Accounts::new(),
            charset: None,
            temporaries: TempFiles::new(),
        }
    }

    /// Opens the charset that the options name. Its tables are files: where none can be opened any more once a run begins,
    /// this has to come before.
    pub fn open_charset(&mut self) -> Result<()> {
        if let (None, Some(iconv)) = (&self.charset, &self.options.connection.iconv) {
            self.charset = Some(Charset::open(&iconv.local)?);
        }
        Ok(())
    }

    /// The charset of forwarded names of `--files-from`, which are converted where arguments are secluded only.
    pub(crate) fn names_charset(&self) -> Option<&Charset> {
        self.charset.as_ref().filter(|_| self.options.connection.is_secluded())
    }

    /// Tells who looks for a fault which charset is used.
    pub(crate) fn trace_charset(&self, role: Role, monitor: &Monitor) {
        if let Some(charset) = &self.charset {
            let text = || format!("[{role}] charset: {}", charset.name()).into_bytes();
            monitor.trace(Debug::Iconv, 1, text);
        }
    }

    /// Becomes who `--copy-as` names. To be called once the connection stands, before any file is touched.
    pub(crate) fn take_identity(&self, role: Role) -> Result<()> {
        match &self.options.attributes.copy_as {
            Some(wanted) => crate::identity::become_user(wanted, role),
            None => Ok(()),
        }
    }

    /// Whether nothing is to be changed.
    pub fn is_dry(&self) -> bool {
        self.options.connection.dry_run
    }

    /// Whether both ends are this process.
    pub fn is_local(&self) -> bool {
        self.place == Place::Local
    }

    /// Whether the client at the other end prints, not we.
    pub fn is_server(&self) -> bool {
        self.place == Place::Server
    }
}

/// What both ends agreed on before the first list (docs/spec session.md 6).
#[derive(Clone, Debug)]
pub struct Terms {
    /// The negotiated version.
    pub protocol: Protocol,
    /// What the peer announced.
    pub peer_version: i32,
    /// What the server settled.
    pub compat: CompatFlags,
    /// Which end we are.
    pub side: Side,
    /// Seeds block sums.
    pub seed: i32,
    /// Sums blocks and whole files.
    pub transfer_checksum: Checksum,
    /// Sums files for `--checksum`.
    pub list_checksum: Checksum,
    /// Whether [`Terms::transfer_checksum`] is the default of a version without negotiation, which then may have
    /// rules of its own (docs/spec delta.md 3.1).
    pub default_checksum: bool,
    /// How file data is compressed, and how hard.
    pub compression: (Compression, i32),
}

impl Terms {
    /// The terms of a run that stays in this process, on the version asked for.
    pub fn local(options: &Options, protocol: Protocol) -> Self {
        let incremental = protocol.has_varints()
            && options.select.recursive
            && options.select.incremental
            && sink_allows_incremental(options);
        Self {
            protocol,
            peer_version: protocol.number().into(),
            compat: CompatFlags(if protocol.has_compat_flags() { 0x1fe } else { 0 })
                .with_if(incremental, CompatFlags::INCREMENTAL),
            side: Side::Client,
            seed: options.data.checksum_seed,
            transfer_checksum: chosen(options.data.checksum_choice.transfer),
            list_checksum: chosen(options.data.checksum_choice.whole),
            default_checksum: false,
            compression: (Compression::None, 0),
        }
    }

    /// Whether lists come directory by directory.
    pub fn incremental(&self) -> bool {
        self.compat.contains(CompatFlags::INCREMENTAL)
    }

    /// The sums of blocks and of transferred files.
    pub fn transfer_sum(&self) -> StrongSum {
        if self.default_checksum {
            let fixed = self.compat.contains(CompatFlags::SEED_ORDER);
            StrongSum::rsync_default(self.protocol.number().into(), self.seed, fixed)
        } else {
            StrongSum::rsync_named(digest(self.transfer_checksum), self.seed)
        }
    }

    /// The sum of a whole file for `--checksum`.
    pub fn list_sum(&self) -> StrongSum {
        StrongSum::unseeded(digest(self.list_checksum))
    }

    /// What decides which fields a list has.
    pub fn list_options(&self, options: &Options) -> ListOptions {
        let attributes = &options.attributes;
        ListOptions {
            protocol: self.protocol,
            flags: self.compat,
            relative: options.select.is_relative(),
            links: attributes.links,
            hard_links: attributes.hard_links > 0,
            owner: attributes.owner,
            group: attributes.group,
            devices: attributes.devices,
            specials: attributes.specials,
            access_times: attributes.atimes > 0,
            creation_times: attributes.crtimes,
            acls: attributes.acls,
            xattrs: attributes.xattrs > 0,
            numeric_ids: attributes.numeric_ids,
            checksum_length: options.data.checksum.then(|| self.list_checksum.digest_length()),
            missing_args: options.select.missing_arguments == MissingArguments::Delete,
            recursive: options.select.recursive,
        }
    }

    /// Whether targets of symlinks are converted where names are (docs/spec filelist.md 4.11).
    pub fn converts_targets(&self, options: &Options) -> bool {
        match (&options.server, self.side) {
            (Some(server), Side::Server) => {
                self.protocol.has_compat_flags() && server.capabilities.letters().contains(&b's')
            }
            _ => self.compat.contains(CompatFlags::SYMLINK_ICONV),
        }
    }

    /// When deletions happen; plain `--delete` depends on the version.
    pub fn delete_when(&self, options: &Options) -> DeleteWhen {
        match options.delete.when {
            DeleteWhen::ByProtocol if self.protocol.number() >= 30 => DeleteWhen::During,
            DeleteWhen::ByProtocol => DeleteWhen::Before,
            when => when,
        }
    }

    /// Whether `--append` checks the part that is there: always below protocol 30.
    pub fn append(&self, options: &Options) -> Append {
        match options.data.append {
            Append::Blind if !self.protocol.appends_unverified() => Append::Verify,
            append => append,
        }
    }
}

/// Whether a receiving side with these options can take lists directory by directory (docs/spec session.md 6.3).
pub fn sink_allows_incremental(options: &Options) -> bool {
    !matches!(options.delete.when, DeleteWhen::Before | DeleteWhen::After)
        && !options.data.delay_updates
        && !options.select.prune_empty_dirs
}

/// Refuses a list of more entries than `--max-alloc` has room for, at eight bytes each as in stock.
pub(crate) fn check_list_length(limit: u64, length: usize, role: Role) -> Result<()> {
    if limit == 0 || length as u64 <= limit / 8 {
        return Ok(());
    }
    let text = format!("[{role}] exceeded --max-alloc={limit} setting (file=job.rs, line=0)");
    Err(Error::fatal_by(role, ExitCode::MEMORY, text))
}

/// Behind which items values of attributes are exchanged (docs/spec filelist.md 14.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct XattrExchange {
    on: bool,
    /// Not behind hard links.
    optimised: bool,
}

impl XattrExchange {
    pub(crate) fn new(job: &Job, terms: &Terms) -> Self {
        let protocol = terms.protocol;
        let avoided = terms.compat.contains(CompatFlags::AVOID_XATTR_OPTIMISATION);
        let on = job.options.attributes.xattrs > 0 && protocol.has_varints() && !job.is_dry();
        Self { on, optimised: protocol.has_nanoseconds() && !avoided }
    }

    pub(crate) fn follows(self, item: &Item) -> bool {
        self.on && item.exchanges_xattrs(self.optimised)
    }
}

/// Whether a source may have to send what links lead to.
pub(crate) fn follows_links(options: &Options) -> bool {
    let attributes = &options.attributes;
    attributes.copy_links
        || attributes.copy_unsafe_links
        || attributes.copy_dirlinks
        || attributes.insecure_links
}

/// Whether directory entries are transferred in this run; a listing implies them.
pub(crate) fn takes_dirs(options: &Options, listing: bool) -> bool {
    options.select.takes_dirs() || (listing && options.select.dirs != Dirs::Refused)
}

/// The wire's value for a checksum named in the options; the strongest where none is.
fn chosen(name: Option<choice::Checksum>) -> Checksum {
    let found = choice::Checksum::NAMES.iter().find(|(_, known)| Some(*known) == name);
    found.and_then(|(name, _)| Checksum::from_name(name).ok()).unwrap_or(Checksum::Xxh128)
}

fn digest(checksum: Checksum) -> Digest {
    match checksum {
        Checksum::Xxh128 => Digest::Xxh128,
        Checksum::Xxh3 => Digest::Xxh3,
        Checksum::Xxh64 => Digest::Xxh64,
        Checksum::Md5 => Digest::Md5,
        Checksum::Md4 => Digest::Md4,
        Checksum::Sha1 => Digest::Sha1,
        _ => Digest::None,
    }
}

/// The first option that is understood but not performed yet: it must not be passed over in silence.
pub fn unperformed(options: &Options) -> Option<UsageError> {
    use OptionId as Id;
    options.not_performed(|id| id != Id::Crtimes || !options.attributes.crtimes)
}
