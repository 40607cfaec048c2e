//! Protocol set-up: version, flags, algorithms, seed (docs/spec session.md 6).

use std::io;

use syncline_options::Options;
use syncline_options::values::choice;
use syncline_wire::{
    Algorithm, Capabilities, Checksum, CompatFlags, Compression, Protocol, Side, WireRead,
    WireWrite, negotiate_version,
};

use super::daemon::hear_admission;
use super::queue::Output;
use super::remember::Remembered;
use crate::job::sink_allows_incremental;
use crate::{Charset, Error, ExitCode, Result, Role, Terms};

/// What this end brings to the set-up.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) options: &'a Options,
    /// The charset that messages of a server are converted to.
    pub(crate) charset: Option<&'a Charset>,
    pub(crate) side: Side,
    /// Whether this end sends the files.
    pub(crate) sends: bool,
    /// The version, where a greeting has settled it.
    pub(crate) settled: Option<Protocol>,
    /// Order of preference where the environment gives one.
    pub(crate) checksum_list: Option<&'a str>,
    pub(crate) compress_list: Option<&'a str>,
}

impl Plan<'_> {
    pub(crate) fn role(&self) -> Role {
        if self.sends { Role::Sender } else { Role::Destination }
    }

    /// The version we start with.
    pub(crate) fn own_version(&self) -> Result<Protocol> {
        own_version(self.options, self.side)
    }

    /// Exchanges everything up to the seed. Nothing is framed yet.
    pub(crate) fn agree(&self, input: &mut impl WireRead, output: &Output) -> Result<Terms> {
        self.exchange(input, output).map_err(|error| match error {
            SetupError::Wire(source) => self.explain(source),
            SetupError::Run(error) => error,
        })
    }

    fn explain(&self, source: syncline_wire::Error) -> Error {
        use syncline_wire::Error as Wire;
        let role = self.role();
        match source {
            Wire::Closed => Error::Closed { received: 0, role },
            Wire::VersionMismatch { .. } => Error::fatal(
                ExitCode::PROTOCOL,
                "protocol version mismatch -- is your shell clean?\n(see the rsync manpage for an explanation)",
            ),
            Wire::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                let seconds = self.options.connection.timeout.unwrap_or_default().into();
                Error::Timeout { seconds, role }
            }
            source => Error::wire(role, source),
        }
    }

    fn exchange(&self, input: &mut impl WireRead, output: &Output) -> Result<Terms, SetupError> {
        let capabilities = self.capabilities();
        let (protocol, peer_version) = match self.settled {
            Some(protocol) => (protocol, protocol.number().into()),
            None => self.exchange_versions(input, output, capabilities)?,
        };
        let compat = self.exchange_flags(input, output, protocol, capabilities)?;
        check_options(self.options, protocol)?;
        let negotiates = compat.contains(CompatFlags::VARINT_FLAGS);
        let choice = &self.options.data.checksum_choice;
        let chosen = !choice.text.is_empty();
        let wants_compression = self.options.data.compression == choice::Compression::Negotiated;
        let (mut checksum, mut compression) = (None, None);
        if negotiates {
            let checksums = (!chosen).then(|| self.checksum_offer());
            let compressions = wants_compression.then(|| self.compression_offer());
            (checksum, compression) = self.negotiate(input, output, checksums, compressions)?;
        }
        let seed = self.exchange_seed(input, output)?;
        let default = Checksum::default_of(protocol);
        let named = |choice: Option<choice::Checksum>| choice.and_then(wire_checksum);
        let transfer = if chosen { named(choice.transfer) } else { checksum };
        let whole = if chosen { named(choice.whole) } else { checksum };
        let method = match self.options.data.compression {
            choice::Compression::Off => Compression::None,
            choice::Compression::Negotiated => compression.unwrap_or(Compression::Zlib),
            choice::Compression::Chosen(name) => {
                wire_compression(name).unwrap_or(Compression::None)
            }
        };
        Ok(Terms {
            protocol,
            peer_version,
            compat,
            side: self.side,
            seed,
            transfer_checksum: transfer.unwrap_or(default),
            list_checksum: whole.unwrap_or(default),
            default_checksum: transfer.is_none(),
            compression: method.with_level(self.options.data.compress_level),
        })
    }

    /// As a server: what the client said it can do.
    fn capabilities(&self) -> Capabilities {
        let Some(server) = &self.options.server else { return Capabilities::default() };
        let text = [b".", server.capabilities.letters()].concat();
        let mut capabilities = Capabilities::parse(&text);
        capabilities.prerelease = server
            .capabilities
            .pre_release
            .and_then(|(version, sub)| Some((version.try_into().ok()?, sub.try_into().ok()?)));
        capabilities
    }

    fn exchange_versions(
        &self,
        input: &mut impl WireRead,
        output: &Output,
        capabilities: Capabilities,
    ) -> Result<(Protocol, i32), SetupError> {
        let own = self.own_version()?;
        let announced = match self.side {
            Side::Server => capabilities.version_for(own),
            Side::Client => own.number(),
        };
        output.buffer().put_i32(announced.into());
        output.flush().map_err(syncline_wire::Error::from)?;
        let own = Protocol::new(announced)?;
        let peer = input.read_i32()?;
        Ok((negotiate_version(own, peer)?, peer))
    }

    fn exchange_flags(
        &self,
        input: &mut impl WireRead,
        output: &Output,
        protocol: Protocol,
        capabilities: Capabilities,
    ) -> Result<CompatFlags, SetupError> {
        if !protocol.has_compat_flags() {
            return Ok(CompatFlags::default());
        }
        let select = &self.options.select;
        let willing = select.recursive
            && select.incremental
            && (self.sends || sink_allows_incremental(self.options));
        match self.side {
            Side::Server => {
                let flags = capabilities.answer(willing);
                flags.encode(&mut output.buffer());
                Ok(flags)
            }
            Side::Client => {
                let flags = CompatFlags::decode(input)?;
                if flags.contains(CompatFlags::INCREMENTAL) && !willing {
                    return Err(SetupError::Run(Error::fatal(
                        ExitCode::USAGE,
                        "Incompatible options specified for inc-recursive connection.",
                    )));
                }
                Ok(flags)
            }
        }
    }

    fn checksum_offer(&self) -> Vec<Checksum> {
        match self.checksum_list {
            Some(list) => Checksum::offer_from(list, self.side),
            None => Checksum::offer(self.side),
        }
    }

    fn compression_offer(&self) -> Vec<Compression> {
        match self.compress_list {
            Some(list) => Compression::offer_from(list, self.side),
            None => Compression::offer(self.side),
        }
    }

    /// A server names everything it has and takes the client's first wish; a client reads that first and names only
    /// what it chose, so that both come to the same result whatever the server's rule is (session.md 6, traps).
    fn negotiate(
        &self,
        input: &mut impl WireRead,
        output: &Output,
        checksums: Option<Vec<Checksum>>,
        compressions: Option<Vec<Compression>>,
    ) -> Result<(Option<Checksum>, Option<Compression>), SetupError> {
        if self.side == Side::Server {
            put_offer(output, checksums.as_deref());
            put_offer(output, compressions.as_deref());
            output.flush().map_err(syncline_wire::Error::from)?;
            let checksum = checksums.map(|own| agree_as_server(input, &own)).transpose()?;
            let compression = compressions.map(|own| agree_as_server(input, &own)).transpose()?;
            return Ok((checksum, compression));
        }
        let checksum = checksums.map(|own| agree_as_client(input, &own)).transpose()?;
        let compression = compressions.map(|own| agree_as_client(input, &own)).transpose()?;
        put_offer(output, checksum.as_ref().map(std::slice::from_ref));
        put_offer(output, compression.as_ref().map(std::slice::from_ref));
        output.flush().map_err(syncline_wire::Error::from)?;
        Ok((checksum, compression))
    }

    fn exchange_seed(&self, input: &mut impl WireRead, output: &Output) -> Result<i32, SetupError> {
        if self.side == Side::Client {
            return Ok(input.read_i32()?);
        }
        let seed = match self.options.data.checksum_seed {
            0 => {
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(1, |since| since.as_secs() as i32);
                (now ^ ((std::process::id() as i32) << 6)).max(1)
            }
            seed => seed,
        };
        output.buffer().put_i32(seed);
        output.flush().map_err(syncline_wire::Error::from)?;
        Ok(seed)
    }
}

/// Terms that a client took for granted, so that it had to wait for nothing.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) terms: Terms,
    /// Whether a daemon is still to say that the module is open.
    admits: bool,
    algorithms: Negotiated,
    /// The time limit, for the words of its error.
    seconds: u64,
}

/// Which algorithms are left to negotiation.
#[derive(Clone, Copy, Debug)]
struct Negotiated {
    checksum: bool,
    compression: bool,
}

impl Negotiated {
    fn of(options: &Options, compat: CompatFlags) -> Self {
        let negotiates = compat.contains(CompatFlags::VARINT_FLAGS);
        Self {
            checksum: negotiates && options.data.checksum_choice.text.is_empty(),
            compression: negotiates && options.data.compression == choice::Compression::Negotiated,
        }
    }
}

impl Expected {
    pub(super) fn new(options: &Options, memory: &Remembered, admitted: bool) -> Self {
        Self {
            admits: !admitted,
            algorithms: Negotiated::of(options, memory.terms.compat),
            seconds: options.connection.timeout.unwrap_or_default().into(),
            terms: memory.terms.clone(),
        }
    }

    /// Hears whether the server agrees, and the seed.
    pub(crate) fn confirm(mut self, input: &mut impl WireRead) -> Result<Terms> {
        let admission = if self.admits { hear_admission(input) } else { Ok(None) };
        let agrees = match admission {
            Ok(Some(refusal)) => return Err(refusal),
            Ok(None) => self.hear(input),
            Err(error) => Err(error),
        };
        match agrees {
            Ok(true) => Ok(self.terms),
            Err(syncline_wire::Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Error::Timeout { seconds: self.seconds, role: Role::Client })
            }
            Ok(false) | Err(_) => Err(Error::Outdated),
        }
    }

    fn hear(&mut self, input: &mut impl WireRead) -> syncline_wire::Result<bool> {
        let Negotiated { checksum, compression } = self.algorithms;
        if CompatFlags::decode(input)? != self.terms.compat {
            return Ok(false);
        }
        if checksum && !Checksum::read_offer(input)?.contains(&self.terms.transfer_checksum) {
            return Ok(false);
        }
        let (method, _) = self.terms.compression;
        if compression && !Compression::read_offer(input)?.contains(&method) {
            return Ok(false);
        }
        self.terms.seed = input.read_i32()?;
        Ok(true)
    }
}

/// What a client adds to the arguments where it knows what the server will say.
pub(super) fn put_chosen(out: &mut Vec<u8>, options: &Options, terms: &Terms) {
    let Negotiated { checksum, compression } = Negotiated::of(options, terms.compat);
    if checksum {
        Checksum::put_offer(out, &[terms.transfer_checksum]);
    }
    if compression {
        Compression::put_offer(out, &[terms.compression.0]);
    }
}

/// Which streams are framed, and from when (docs/spec session.md 7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Framing {
    /// What this end writes travels in frames.
    pub(crate) output: bool,
    /// What this end reads travels in frames.
    pub(crate) input: bool,
}

impl Framing {
    pub(crate) fn of(terms: &Terms, options: &Options, pull: bool) -> Self {
        let removes = options.select.remove_source.is_some();
        let client = terms.protocol.multiplexes_client() || (pull && removes);
        match terms.side {
            Side::Client => Self { output: client, input: true },
            Side::Server => Self { output: true, input: client },
        }
    }
}

/// The highest version this end will speak.
pub(crate) fn own_version(options: &Options, side: Side) -> Result<Protocol> {
    let newest = Protocol::NEWEST;
    let end = match side {
        Side::Client => "Client",
        Side::Server => "Server",
    };
    match options.connection.protocol {
        None => Ok(newest),
        Some(number) if number > i32::from(newest.number()) => Err(Error::fatal(
            ExitCode::PROTOCOL,
            format!("--protocol must be no more than {newest} on the {end}."),
        )),
        Some(number) if number < 20 => Err(Error::fatal(
            ExitCode::PROTOCOL,
            format!("--protocol must be at least 20 on the {end}."),
        )),
        Some(number) => u8::try_from(number)
            .ok()
            .and_then(|number| Protocol::new(number).ok())
            .ok_or_else(|| {
                let oldest = Protocol::OLDEST;
                let text =
                    format!("--protocol={number} is not supported ({oldest} to {newest} are)");
                Error::fatal(ExitCode::PROTOCOL, text)
            }),
    }
}

/// Options that a version cannot carry (docs/spec session.md 6.7).
pub(crate) fn check_options(options: &Options, protocol: Protocol) -> Result<()> {
    let require = |wanted: bool, least: u8, what: &str| {
        if wanted && protocol.number() < least {
            let text =
                format!("{what} requires protocol {least} or higher (negotiated {protocol}).");
            return Err(Error::fatal(ExitCode::PROTOCOL, text));
        }
        Ok(())
    };
    require(options.attributes.acls, 30, "--acls")?;
    require(options.attributes.xattrs > 0, 30, "--xattrs")?;
    require(options.data.fuzzy > 0, 29, "--fuzzy")?;
    require(options.select.prune_empty_dirs, 29, "--prune-empty-dirs")?;
    if let Some(alternate) = &options.data.alt_dest {
        let name = alternate.kind.name();
        require(options.data.inplace, 29, &format!("--{name} with --inplace"))?;
        require(alternate.dirs.len() > 1, 29, &format!("Using more than one --{name} option"))?;
    }
    Ok(())
}

pub(super) fn wire_checksum(chosen: choice::Checksum) -> Option<Checksum> {
    let (name, _) = choice::Checksum::NAMES.iter().find(|(_, known)| *known == chosen)?;
    Checksum::from_name(name).ok()
}

pub(super) fn wire_compression(chosen: choice::Compressor) -> Option<Compression> {
    let (name, _) = choice::Compressor::NAMES.iter().find(|(_, known)| *known == chosen)?;
    Compression::from_name(name).ok()
}

fn put_offer<A: Algorithm>(output: &Output, offer: Option<&[A]>) {
    if let Some(offer) = offer {
        A::put_offer(&mut output.buffer(), offer);
    }
}

fn agree_as_server<A: Algorithm>(input: &mut impl WireRead, own: &[A]) -> Result<A, SetupError> {
    let client = A::read_offer(input)?;
    // A stock server ends without a word here: the client explains.
    A::choose(&client, own).map_err(|_| SetupError::Run(Error::PeerExit(ExitCode::UNSUPPORTED)))
}

fn agree_as_client<A: Algorithm>(input: &mut impl WireRead, own: &[A]) -> Result<A, SetupError> {
    let server = A::read_offer(input)?;
    A::choose(own, &server).map_err(|_| {
        let names =
            |list: &[A]| list.iter().map(|known| known.name()).collect::<Vec<_>>().join(" ");
        let text = format!(
            "Failed to negotiate a {} choice.\nServer list: {}\nClient list: {}",
            A::FAMILY,
            names(&server),
            names(own)
        );
        SetupError::Run(Error::fatal(ExitCode::UNSUPPORTED, text))
    })
}

/// A fault of the stream, whose words depend on who hears it, or one that is complete.
#[derive(Debug)]
enum SetupError {
    Wire(syncline_wire::Error),
    Run(Error),
}

impl From<syncline_wire::Error> for SetupError {
    fn from(error: syncline_wire::Error) -> Self {
        Self::Wire(error)
    }
}

impl From<Error> for SetupError {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}
