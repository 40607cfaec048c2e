//! One connection, from its first byte to the module's door (docs/spec daemon.md 5 to 8).

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use syncline_conf::access::{self, AccessList};
use syncline_conf::auth::{Access, AuthRules};
use syncline_conf::rsyncd::{Config, GlobalSettings, Module, ModuleSettings};
use syncline_conf::{Text, Variables};
use syncline_engine::reason;
use syncline_fs::{Trust, open_operator_file};
use syncline_options::DaemonOptions;
use syncline_wire::daemon::{
    AuthDigest, Greeting, ProxyAddress, REQUEST_LINE_MAX, Reply, Request, listing_line, read_line,
    read_proxy_header,
};
use syncline_wire::{Error as WireError, Protocol, WireRead};

use crate::entry::Entry;
use crate::identity::{Identity, find_group, find_user};
use crate::link::Link;
use crate::load::{Source, stock_lines};
use crate::log::{Log, Target};
use crate::login::{Denial, Gate, Terms, User};
use crate::paths::{message, path, shown};
use crate::peer::{Peer, Resolver, is_socket};
use crate::signals::Signals;
use crate::slots::{NoSlot, Slot};
use crate::tls;
use crate::variables::SessionVariables;

/// The exit code of a session that ended before its transfer, a listing included.
pub(crate) const REFUSED: u8 = 255;

/// Longest handshake, whatever the configuration says.
const HANDSHAKE_SECONDS: i32 = 60;

/// No message of the day is longer.
const MOTD_LIMIT: u64 = 1 << 20;

/// The session is over; everything has been said that will be. The exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over(pub(crate) u8);

/// How far a step got.
pub(crate) type Step<T> = Result<T, Over>;

/// What is known of a connection so far.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) options: &'a DaemonOptions,
    pub(crate) log: Log,
    pub(crate) link: Link,
    pub(crate) peer: Peer,
    pub(crate) variables: SessionVariables,
    pub(crate) signals: Signals,
    config: Config,
    /// It came through a remote shell.
    shell: bool,
}

/// A client that may enter its module.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) module: Module,
    pub(crate) user: Vec<u8>,
    pub(crate) access: Access,
    pub(crate) protocol: Result<Protocol, WireError>,
    pub(crate) early_input: Vec<u8>,
    /// Held to the end.
    pub(crate) slot: Option<Slot>,
}

/// Serves the connection on standard input (and output); the exit code.
pub(crate) fn serve(options: &DaemonOptions, source: &Source) -> u8 {
    let begin = || {
        crate::confine::warm_up();
        let (input, output) = take_stdio(options.server)?;
        Session::begin(options, source, input, output)
    };
    run(begin())
}

/// Serves a connection that the listener has accepted; the exit code.
pub(crate) fn serve_connection(
    options: &DaemonOptions,
    source: &Source,
    connection: OwnedFd,
) -> u8 {
    let begin = || {
        let output = connection.try_clone().map_err(|_| Over(REFUSED))?;
        Session::begin(options, source, connection, output)
    };
    run(begin())
}

fn run(session: Step<Session<'_>>) -> u8 {
    session.map_or_else(|Over(code)| code, Session::run)
}

/// The two directions of a session that was started with its connection.
fn take_stdio(shell: bool) -> Step<(OwnedFd, OwnedFd)> {
    let (input, output) = (hold(rustix::stdio::stdin())?, hold(rustix::stdio::stdout())?);
    let output = if is_socket(&input) && !shell {
        input.try_clone().map_err(|_| Over(REFUSED))?
    } else {
        output
    };
    detach_from_stdio(shell)?;
    Ok((input, output))
}

impl<'a> Session<'a> {
    fn begin(
        options: &'a DaemonOptions,
        source: &Source,
        input: OwnedFd,
        output: OwnedFd,
    ) -> Step<Self> {
        let signals = Signals::before_transfer();
        let config = Self::read_config(options, source)?;
        let log =
            Log::open(target(options, config.global(), config.defaults(), None), Trust::Owners);
        let found = if options.server { Peer::of_shell() } else { None };
        let peer = found.or_else(|| Peer::of_socket(&input)).ok_or_else(|| {
            log.warn("rsync error: error in socket IO (code 10): the peer has no address");
            Over(10)
        })?;
        let (input, output) = if options.server {
            (input, output)
        } else {
            tls::guard(config.global(), (input, output), &peer, &log)?
        };
        let link = Link::new(input, output);
        let variables = SessionVariables::default();
        let shell = options.server;
        Ok(Self { options, log, link, peer, variables, signals, config, shell })
    }

    fn read_config(options: &DaemonOptions, source: &Source) -> Step<Config> {
        match source.whole() {
            Ok(parsed) => {
                let settings = (parsed.config.global(), parsed.config.defaults());
                let mut lines = parsed.warnings.iter().flat_map(stock_lines).peekable();
                if lines.peek().is_some() {
                    let log =
                        Log::open(target(options, settings.0, settings.1, None), Trust::Owners);
                    lines.for_each(|line| log.warn(line));
                }
                Ok(parsed.config)
            }
            Err(failure) => {
                // What stands above the first section still says where to log.
                let config = source.start().map(|parsed| parsed.config).unwrap_or_default();
                let target = target(options, config.global(), config.defaults(), None);
                let log = Log::open(target, Trust::Owners);
                failure.log_lines().into_iter().for_each(|line| log.warn(line));
                Err(Over(1))
            }
        }
    }

    fn run(mut self) -> u8 {
        let outcome = self.admit();
        match outcome {
            Ok(Some(admitted)) => Entry::enter(self, admitted).unwrap_or_else(|Over(code)| code),
            Ok(None) => {
                self.link.close();
                REFUSED
            }
            Err(Over(code)) => {
                self.link.close();
                code
            }
        }
    }

    /// Everything up to authentication. None: it only wanted a list.
    fn admit(&mut self) -> Step<Option<Admitted>> {
        let timeout = *self.config.defaults().timeout;
        if !self.shell {
            self.link.tune();
            self.limit(timeout);
        }
        self.hear_proxy()?;
        self.look_up_peer();
        self.drop_daemon_rights()?;
        self.log.info(message![b"connect from ", self.peer.shown()]);
        if !self.shell {
            self.link.keep_alive();
        }
        let (terms, version) = self.greet()?;
        let Some((module, early_input)) = self.hear_request(version)? else { return Ok(None) };
        self.link.limit(None);
        self.check_host(&module)?;
        let slot = self.claim_slot(&module)?;
        self.limit(*module.settings.timeout);
        let user = self.log_in(&module, &terms)?;
        self.link.limit(None);
        let (user, access) = match user {
            Some(user) => (user.name, user.access),
            None => (Vec::new(), Access::AsModule),
        };
        self.variables.set("RSYNC_USER_NAME", user.clone());
        let own = Greeting::own(self.own_protocol());
        let (sub, digests) = (version.1, terms.digests.clone());
        let protocol = own.negotiate(&Greeting { version: version.0, sub, digests });
        Ok(Some(Admitted { module, user, access, protocol, early_input, slot }))
    }

    /// The handshake deadline that a `timeout` makes.
    pub(crate) fn limit(&mut self, timeout: i32) {
        let seconds =
            if (1..=HANDSHAKE_SECONDS).contains(&timeout) { timeout } else { HANDSHAKE_SECONDS };
        self.link.limit(u64::try_from(seconds).ok());
    }

    /// Ends the session because reading or writing failed: late, or gone.
    pub(crate) fn lost(&self, error: &WireError) -> Over {
        match error {
            WireError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => self.late(),
            _ => Over(REFUSED),
        }
    }

    fn late(&self) -> Over {
        self.log.warn("[Receiver] daemon handshake timeout -- exiting");
        Over(30)
    }

    /// Says so and ends.
    pub(crate) fn refuse(&mut self, text: impl AsRef<[u8]>) -> Over {
        // The client may be gone.
        let _ = self.link.send(&message![b"@ERROR: ", text, b"\n"]);
        Over(REFUSED)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Step<()> {
        self.link.send(bytes).map_err(|error| self.lost(&error.into()))
    }

    /// A value with its variables replaced.
    pub(crate) fn expand(&self, text: &Text) -> Step<Vec<u8>> {
        expand(text, &self.variables).map_err(|error| {
            self.log.warn(error);
            Over(22)
        })
    }

    fn hear_proxy(&mut self) -> Step<()> {
        if !*self.config.global().proxy_protocol {
            return Ok(());
        }
        let hosts = self.expand(&self.config.global().proxy_protocol_hosts)?;
        let direct = access::Peer { name: b"undetermined", ..self.peer.to_access() };
        if !AccessList::parse(&hosts).matches(&direct, &Resolver { forward: false }) {
            self.log
                .warn(message![b"proxy protocol rejected from untrusted peer ", self.peer.shown()]);
            return Err(Over(REFUSED));
        }
        match read_proxy_header(&mut self.link) {
            Ok(ProxyAddress::Client(address)) => self.peer.forward(address),
            Ok(ProxyAddress::Unchanged) => {}
            Err(error) => return Err(self.lost(&error)),
        }
        Ok(())
    }

    fn look_up_peer(&mut self) {
        let default = *self.config.defaults().reverse_lookup;
        let wanted =
            default || self.config.modules().iter().any(|module| *module.settings.reverse_lookup);
        if wanted {
            self.peer.look_up(default, &self.log);
        }
    }

    /// `daemon chroot`, `daemon gid`, `daemon uid`.
    fn drop_daemon_rights(&mut self) -> Step<()> {
        let global = self.config.global();
        let root = self.expand(&global.daemon_chroot)?;
        let (gid, uid) = (self.expand(&global.daemon_gid)?, self.expand(&global.daemon_uid)?);
        let fail = |text: String| {
            self.log.warn(text);
            Over(REFUSED)
        };
        if !root.is_empty() {
            let change =
                rustix::process::chroot(path(&root)).and_then(|()| rustix::process::chdir("/"));
            change.map_err(|errno| {
                let reason = reason(&errno.into());
                fail(format!(
                    "rsync: [Receiver] daemon chroot(\"{}\") failed: {reason}",
                    shown(&root)
                ))
            })?;
        }
        let mut identity = Identity::default();
        if !gid.is_empty() {
            let group = find_group(&syncline_conf::identity::Id::parse(&gid))
                .map_err(|_| fail(format!("Invalid daemon gid: {}", shown(&gid))))?;
            identity.groups = vec![group];
        }
        if !uid.is_empty() {
            let user = find_user(&uid)
                .map_err(|_| fail(format!("Invalid daemon uid: {}", shown(&uid))))?;
            identity.user = Some(user);
        }
        identity.take().map_err(|trouble| fail(trouble.log))
    }

    fn own_protocol(&self) -> Protocol {
        let wanted = self.options.protocol.and_then(|number| u8::try_from(number).ok());
        wanted.and_then(|number| Protocol::new(number).ok()).unwrap_or(Protocol::NEWEST)
    }

    /// Greetings cross; what the client's says.
    fn greet(&mut self) -> Step<(Terms, (i32, Option<u32>))> {
        let own = self.own_protocol();
        let mut hello = Greeting::own(own).to_line().into_bytes();
        let motd = self.expand(&self.config.global().motd_file)?;
        if !motd.is_empty() {
            if let Ok(file) = open_operator_file(path(&motd), Trust::Owners) {
                // A message that cannot be read is none.
                let _ = file.take(MOTD_LIMIT).read_to_end(&mut hello);
            }
            hello.push(b'\n');
        }
        self.send(&hello)?;
        let line =
            read_line(&mut self.link, REQUEST_LINE_MAX).map_err(|error| self.lost(&error))?;
        let greeting = match Greeting::parse(&line) {
            Ok(greeting) => greeting,
            Err(WireError::NoSubprotocol(_)) => {
                let text = b"your client omitted the subprotocol value: ";
                return Err(self.refuse(message![text, line]));
            }
            Err(WireError::NoDigests(_)) => {
                let text = b"your client omitted the digest name list: ";
                return Err(self.refuse(message![text, line]));
            }
            Err(_) => return Err(self.refuse("protocol startup error")),
        };
        let nearest = u8::try_from(greeting.version.clamp(0, own.number().into())).unwrap_or(0);
        let protocol = Protocol::new(nearest).unwrap_or(Protocol::OLDEST);
        Ok((Terms { protocol, digests: greeting.digests }, (greeting.version, greeting.sub)))
    }

    /// The module the client wants; none if it wants the list, which it has got then.
    fn hear_request(&mut self, version: (i32, Option<u32>)) -> Step<Option<(Module, Vec<u8>)>> {
        let mut early_input = Vec::new();
        for early_allowed in [true, false] {
            let line =
                read_line(&mut self.link, REQUEST_LINE_MAX).map_err(|error| self.lost(&error))?;
            match Request::parse(&line) {
                Ok(Request::EarlyInput(length)) if early_allowed => {
                    early_input = self.link.read_vec(length).map_err(|error| self.lost(&error))?;
                }
                Err(WireError::EarlyInput) if early_allowed => {
                    return Err(self.refuse("invalid early_input length"));
                }
                Ok(Request::List) => {
                    self.log.info(message![b"module-list request from ", self.peer.shown()]);
                    let list = self.listing(version.0)?;
                    self.send(&list)?;
                    return Ok(None);
                }
                Ok(Request::Module(name)) => return self.find(&name, early_input).map(Some),
                _ => return Err(self.refuse(message![b"Unknown command '", line, b"'"])),
            }
        }
        Err(Over(REFUSED))
    }

    fn listing(&self, version: i32) -> Step<Vec<u8>> {
        let mut lines = Vec::new();
        for module in self.config.modules().iter().filter(|module| *module.settings.list) {
            lines.extend(listing_line(module.name(), &self.expand(&module.settings.comment)?));
        }
        if version >= 25 {
            lines.extend(Reply::Exit.to_line());
        }
        Ok(lines)
    }

    fn find(&mut self, name: &[u8], early_input: Vec<u8>) -> Step<(Module, Vec<u8>)> {
        let Some(module) = self.config.module(name).cloned() else {
            let from = self.peer.shown();
            self.log.warn(message![b"unknown module '", name, b"' tried from ", from]);
            return Err(self.refuse(message![b"Unknown module '", name, b"'"]));
        };
        self.variables.set("RSYNC_MODULE_NAME", name);
        self.variables.set("RSYNC_HOST_ADDR", self.peer.address.to_string());
        self.peer.show_name(*module.settings.reverse_lookup);
        self.variables.set("RSYNC_HOST_NAME", self.peer.host.clone());
        Ok((module, early_input))
    }

    fn check_host(&mut self, module: &Module) -> Step<()> {
        let settings = &module.settings;
        let allow = AccessList::parse(&self.expand(&settings.hosts_allow)?);
        let deny = AccessList::parse(&self.expand(&settings.hosts_deny)?);
        let resolver = Resolver { forward: *settings.forward_lookup };
        let decision = access::decide(&allow, &deny, &self.peer.to_access(), &resolver);
        for complaint in &decision.complaints {
            self.log.warn(complaint.to_string());
        }
        if let Some(name) = decision.resolved_name
            && self.peer.host == crate::peer::UNDETERMINED
        {
            self.peer.host = name;
            self.variables.set("RSYNC_HOST_NAME", self.peer.host.clone());
        }
        let from = self.peer.shown();
        let name = module.name();
        if decision.allowed {
            if !self.shell {
                self.log.info(message![b"rsync allowed access on module ", name, b" from ", from]);
            }
            return Ok(());
        }
        self.log.warn(message![b"rsync denied on module ", name, b" from ", from]);
        if *settings.list {
            Err(self.refuse(message![b"access denied to ", name, b" from ", from]))
        } else {
            Err(self.refuse(message![b"Unknown module '", name, b"'"]))
        }
    }

    fn claim_slot(&mut self, module: &Module) -> Step<Option<Slot>> {
        let most = *module.settings.max_connections;
        if most == 0 {
            return Ok(None);
        }
        let file = self.expand(&module.settings.lock_file)?;
        match Slot::claim(&file, most) {
            Ok(slot) => Ok(Some(slot)),
            Err(NoSlot::Full) => {
                let text = format!("max connections ({most}) reached");
                self.log.warn(&text);
                Err(self.refuse(text + " -- try again later"))
            }
            Err(NoSlot::Trouble(reason)) => {
                let file = shown(&file);
                self.log
                    .warn(format!("rsync: [Receiver] failed to open lock file {file}: {reason}"));
                Err(self.refuse("failed to open lock file"))
            }
        }
    }

    /// None: the module wants no names.
    fn log_in(&mut self, module: &Module, terms: &Terms) -> Step<Option<User>> {
        let settings = &module.settings;
        let users = self.expand(&settings.auth_users)?;
        if users.is_empty() {
            return Ok(None);
        }
        let secrets_file = self.expand(&settings.secrets_file)?;
        let gate = Gate { settings, rules: AuthRules::parse(&users), secrets_file };
        match gate.admit(&mut self.link, terms) {
            Ok(user) => Ok(Some(user)),
            Err(Denial::Late) => Err(self.late()),
            Err(Denial::NoCommonDigest) => {
                let names = AuthDigest::OFFERED.map(AuthDigest::name).join(" ");
                let text = "your client does not support one of our daemon-auth checksums: ";
                self.refuse(format!("{text}{names}"));
                Err(Over(4))
            }
            Err(Denial::Failed(before, why)) => {
                if let Some(before) = before {
                    self.log.warn(before);
                }
                let (name, from) = (module.name(), self.peer.shown());
                self.log.warn(message![b"auth failed on module ", name, b" from ", from, why]);
                Err(self.refuse(message![b"auth failed on module ", name]))
            }
        }
    }

    /// The log that is in force inside a module: `--log-file` is not (docs/spec daemon.md 14.2).
    pub(crate) fn module_target(&self, settings: &ModuleSettings) -> Step<Target> {
        let file = self.expand(&settings.log_file)?;
        let tag = self.expand(&settings.syslog_tag)?;
        let json = *self.config.global().log_json;
        Ok(Target { file, facility: settings.syslog_facility.raw(), tag, json })
    }
}

/// Where a listener logs, and a session before its module.
pub(crate) fn target(
    options: &DaemonOptions,
    global: &GlobalSettings,
    defaults: &ModuleSettings,
    variables: Option<&SessionVariables>,
) -> Target {
    let none = SessionVariables::default();
    let variables = variables.unwrap_or(&none);
    let expanded = |text: &Text| expand(text, variables).unwrap_or_default();
    let file = options.log_file.clone().unwrap_or_else(|| expanded(&defaults.log_file));
    Target {
        file,
        facility: defaults.syslog_facility.raw(),
        tag: expanded(&defaults.syslog_tag),
        json: *global.log_json,
    }
}

fn expand(text: &Text, variables: &dyn Variables) -> Result<Vec<u8>, String> {
    text.expand(variables).map(std::borrow::Cow::into_owned).map_err(|error| error.to_string())
}

/// A descriptor of our own that no hook inherits.
fn hold(descriptor: impl std::os::fd::AsFd) -> Step<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 3).map_err(|_| Over(REFUSED))
}

/// Hooks must not speak on the connection: whatever standard stream is part of it becomes `/dev/null`. A session of a
/// listener has the others from it, and the user of a remote shell reads standard error.
fn detach_from_stdio(shell: bool) -> Step<()> {
    let null = || rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty());
    let replace = || -> rustix::io::Result<()> {
        rustix::stdio::dup2_stdin(null()?)?;
        if shell || is_socket(rustix::stdio::stdout()) {
            rustix::stdio::dup2_stdout(null()?)?;
        }
        if !shell && is_socket(rustix::stdio::stderr()) {
            rustix::stdio::dup2_stderr(null()?)?;
        }
        Ok(())
    };
    replace().map_err(|_| Over(REFUSED))
}
