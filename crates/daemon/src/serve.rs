//! The listener: one process for each connection, and its own life (docs/spec daemon.md 4.3, 5.1, 15).
//!
//! The listener has one thread, so that a session can be split off it and finds loaded what every session needs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::WaitOptions;
use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use syncline_conf::rsyncd::Config;
use syncline_engine::ExitCode;
use syncline_fs::Trust;
use syncline_options::DaemonOptions;
use syncline_sys::notify;
use syncline_sys::process::{Half, split};
use syncline_wire::Protocol;
use syncline_wire::daemon::Greeting;

use crate::load::{Source, stock_lines};
use crate::log::{Log, Target};
use crate::peer::Peer;
use crate::pid_file::PidFile;
use crate::tls;
use crate::variables::SessionVariables;
use crate::{confine, listen, session};

/// What the log calls us.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long sessions may go on after a service manager has told the daemon to end.
const GRACE: Duration = Duration::from_secs(60);

/// The pause after a process could not be made.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs the listener until a signal ends it; the exit code.
pub(crate) fn run(options: &DaemonOptions, source: &Source) -> u8 {
    let config = match source.start() {
        Ok(parsed) => parsed,
        Err(failure) => {
            debug_assert!(failure.prevents_start());
            crate::complain(&format!("Failed to parse config file: {}", source.path.display()));
            return 1;
        }
    };
    let lines: Vec<String> = config.warnings.iter().flat_map(stock_lines).collect();
    let config = config.config;
    if !options.detach {
        return Listener::start(options, source, config, &lines, None);
    }
    // The command ends when the daemon serves, or with the daemon's own code if it never does.
    let Ok((mut readiness, told)) = io::pipe() else { return ExitCode::IPC.number() };
    match split() {
        Ok(Half::Child) => {
            drop(readiness);
            // Only a process that leads a session already is refused, and it is none: it is a child.
            let _ = rustix::process::setsid();
            let told = File::from(OwnedFd::from(told));
            Listener::start(options, source, config, &lines, Some(told))
        }
        Ok(Half::Parent(_)) => {
            drop(told);
            let mut code = [ExitCode::IPC.number()];
            match readiness.read(&mut code) {
                Ok(1) => code[0],
                _ => ExitCode::IPC.number(),
            }
        }
        Err(error) => {
            crate::complain(&format!("cannot detach: {}", syncline_engine::reason(&error)));
            ExitCode::IPC.number()
        }
    }
}

struct Listener<'a> {
    target: Target,
    signals: Signals,
    source: &'a Source,
    options: &'a DaemonOptions,
    config: Config,
    sockets: Vec<OwnedFd>,
    /// Sessions by process id, with their peers.
    sessions: HashMap<i32, Option<IpAddr>>,
}

/// Why the accept loop ended.
enum End {
    Terminated,
    Interrupted,
    User,
    /// This is the new process, and serves.
    Session(OwnedFd),
}

impl<'a> Listener<'a> {
    fn start(
        options: &'a DaemonOptions,
        source: &'a Source,
        config: Config,
        lines: &[String],
        parent: Option<File>,
    ) -> u8 {
        let tell_parent = |code: u8| {
            if let Some(mut parent) = parent.as_ref() {
                // A parent that was killed does not mind.
                let _ = parent.write_all(&[code]);
            }
            code
        };
        let target = session::target(options, config.global(), config.defaults(), None);
        let pid_file = match create_pid_file(&config) {
            Ok(file) => file,
            Err(complaint) => {
                crate::complain(&complaint);
                Log::open(target, Trust::Owners).warn(complaint);
                return tell_parent(ExitCode::FILE_IO.number());
            }
        };
        let Ok(signals) = Signals::new() else { return tell_parent(ExitCode::IPC.number()) };
        let log = Log::open(target.clone(), Trust::Owners);
        for line in lines {
            log.warn(line);
        }
        Self::advise(&config, &log);
        let place = listen::Place::new(options, config.global(), &log);
        log.info(format!("rsyncd version {VERSION} starting, listening on port {}", place.port));
        let sockets = listen::passed().map_or_else(|| place.listen(options.verbose > 1, &log), Ok);
        let sockets = match sockets {
            Ok(sockets) => sockets,
            Err(code) => {
                if parent.is_some() {
                    crate::complain(&format!("cannot listen on port {}: see the log", place.port));
                }
                if let Some(file) = pid_file {
                    file.remove();
                }
                return tell_parent(code);
            }
        };
        if parent.is_some() && crate::silence_stdio().is_err() {
            return tell_parent(ExitCode::IPC.number());
        }
        tell_parent(0);
        drop(parent);
        notify::tell(&format!("READY=1\nMAINPID={}", std::process::id()));
        confine::warm_up();
        let sessions = HashMap::new();
        let mut listener = Self { target, signals, source, options, config, sockets, sessions };
        let end = listener.accept_all();
        if let End::Session(connection) = end {
            // What is the listener's is closed, and the pid file stays.
            listener.signals.forget();
            drop((listener, pid_file));
            return session::serve_connection(options, source, connection);
        }
        listener.sockets.clear();
        if let Some(file) = pid_file {
            file.remove();
        }
        listener.finish(&end)
    }

    fn advise(config: &Config, log: &Log) {
        let global = config.global();
        if *global.proxy_protocol && global.proxy_protocol_hosts.is_empty() {
            log.warn(
                "\"proxy protocol = true\" but \"proxy protocol hosts\" is unset: all connections will be rejected as \
                 untrusted proxy peers.  Set \"proxy protocol hosts\" to your trusted proxy's address.",
            );
        }
        for layer in confine::missing_layers() {
            log.warn(format!("this kernel offers no {layer}: sessions run without it"));
        }
        if let Some((origin, text)) = tls::problem(global) {
            log.warn(format!("{origin}: {text}"));
        }
    }

    fn log(&self) -> Log {
        // Opened anew each time: the file may have been renamed.
        Log::open(self.target.clone(), Trust::Owners)
    }

    fn accept_all(&mut self) -> End {
        loop {
            let mut ready: Vec<PollFd<'_>> = self
                .sockets
                .iter()
                .map(|socket| PollFd::new(socket, PollFlags::IN))
                .chain([PollFd::new(&self.signals.wake, PollFlags::IN)])
                .collect();
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    self.log().warn(format!("poll failed: {errno}"));
                    std::thread::sleep(PAUSE);
                }
            }
            let due: Vec<usize> = (0..self.sockets.len())
                .filter(|&at| ready[at].revents().contains(PollFlags::IN))
                .collect();
            if let Some(end) = self.heed_signals() {
                return end;
            }
            for at in due {
                if let Some(connection) = self.accept(at) {
                    return End::Session(connection);
                }
            }
        }
    }

    fn heed_signals(&mut self) -> Option<End> {
        self.signals.drain();
        self.reap();
        let signals = &self.signals;
        if Signals::take(&signals.terminate) {
            return Some(End::Terminated);
        }
        if Signals::take(&signals.interrupt) {
            return Some(End::Interrupted);
        }
        if Signals::take(&signals.user) {
            return Some(End::User);
        }
        if Signals::take(&signals.hang_up) {
            // Stock ends; only a service manager that listens is known to mean a reload.
            if !notify::is_wanted() {
                return Some(End::Interrupted);
            }
            self.reload();
        }
        None
    }

    /// Sessions read the configuration anyway; this is for what only the listener minds.
    fn reload(&mut self) {
        let now = notify::monotonic_microseconds();
        notify::tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
        match self.source.start() {
            Ok(parsed) => {
                self.config = parsed.config;
                let (global, defaults) = (self.config.global(), self.config.defaults());
                self.target = session::target(self.options, global, defaults, None);
                self.log().info("configuration read again");
            }
            Err(failure) => {
                let log = self.log();
                failure.log_lines().into_iter().for_each(|line| log.warn(line));
                log.warn("the configuration could not be read again; the old one stays");
            }
        }
        notify::tell("READY=1");
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.sessions.remove(&pid.as_raw_nonzero().get());
        }
    }

    /// Takes one connection, if it is still there at the next look. It is returned in the process that is to serve it.
    fn accept(&mut self, at: usize) -> Option<OwnedFd> {
        let connection = match rustix::net::accept_with(&self.sockets[at], SocketFlags::CLOEXEC) {
            Ok(connection) => connection,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                std::thread::sleep(PAUSE);
                return None;
            }
            // Gone again, or taken by nobody.
            Err(_) => return None,
        };
        let peer = Peer::of_socket(&connection).map(|peer| peer.address);
        if let Some(address) = peer
            && self.is_crowded(address)
        {
            self.turn_away(&connection, address);
            return None;
        }
        match split() {
            Ok(Half::Child) => return Some(connection),
            Ok(Half::Parent(child)) => {
                self.sessions.insert(child, peer);
            }
            Err(_) => {
                drop(connection);
                self.log().warn("could not create child server process");
                std::thread::sleep(PAUSE);
            }
        }
        None
    }

    fn is_crowded(&self, address: IpAddr) -> bool {
        let global = self.config.global();
        // Behind a proxy all connections come from one address.
        let Ok(most @ 1..) = usize::try_from(*global.max_connections_per_host) else {
            return false;
        };
        let same = self.sessions.values().filter(|&&peer| peer == Some(address)).count();
        !*global.proxy_protocol && same >= most
    }

    fn turn_away(&self, connection: &OwnedFd, address: IpAddr) {
        let most = *self.config.global().max_connections_per_host;
        let text = format!("max connections per host ({most}) reached");
        self.log().warn(format!("{text} by {address}"));
        let hello = Greeting::own(Protocol::NEWEST).to_line();
        let line = format!("{hello}@ERROR: {text} -- try again later\n");
        // Without waiting: what does not fit into the socket's buffer is not for this client.
        let _ = rustix::net::send(connection, line.as_bytes(), rustix::net::SendFlags::DONTWAIT);
        let _ = rustix::net::shutdown(connection, rustix::net::Shutdown::Write);
    }

    fn finish(mut self, end: &End) -> u8 {
        notify::tell("STOPPING=1");
        if notify::is_wanted() {
            // It would kill what is left of the service when we are gone.
            self.wait_for_sessions();
        }
        let log = self.log();
        match end {
            End::Terminated => {
                log.info("sent 0 bytes  received 0 bytes  total size 0");
                ExitCode::OK.number()
            }
            End::Interrupted => {
                let code = ExitCode::SIGNAL;
                log.warn(format!("rsync error: {code} at serve.rs(0) [Receiver={VERSION}]"));
                code.number()
            }
            End::User => ExitCode::SIGUSR1.number(),
            End::Session(_) => ExitCode::OK.number(),
        }
    }

    fn wait_for_sessions(&mut self) {
        let end = Instant::now() + GRACE;
        loop {
            self.signals.drain();
            self.reap();
            let left = end.saturating_duration_since(Instant::now());
            if self.sessions.is_empty() || left.is_zero() {
                return;
            }
            let timeout = Timespec::try_from(left).ok();
            // Woken by the end of a session, or by the clock.
            let _ = poll(&mut [PollFd::new(&self.signals.wake, PollFlags::IN)], timeout.as_ref());
        }
    }
}

fn create_pid_file(config: &Config) -> Result<Option<PidFile>, String> {
    let setting = &config.global().pid_file;
    if setting.is_empty() {
        return Ok(None);
    }
    let name = setting.expand(&SessionVariables::default()).map_err(|error| error.to_string())?;
    PidFile::create(&name).map(Some)
}

/// Signals of the listener: flags, and a socket that wakes it.
struct Signals {
    wake: UnixStream,
    terminate: Arc<AtomicBool>,
    interrupt: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
    user: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut registered = Vec::new();
        let mut flag = |signal| -> io::Result<Arc<AtomicBool>> {
            let flag = Arc::new(AtomicBool::new(false));
            registered.push(signal_hook::flag::register(signal, Arc::clone(&flag))?);
            registered.push(signal_hook::low_level::pipe::register(signal, write.try_clone()?)?);
            Ok(flag)
        };
        let mut signals = Self {
            terminate: flag(SIGTERM)?,
            interrupt: flag(SIGINT)?,
            hang_up: flag(SIGHUP)?,
            user: flag(SIGUSR1)?,
            registered: Vec::new(),
            wake,
        };
        flag(SIGCHLD)?;
        signals.registered = registered;
        Ok(signals)
    }

    /// In a session: a signal to it does not concern the listener.
    fn forget(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }

    fn take(flag: &AtomicBool) -> bool {
        flag.swap(false, Ordering::SeqCst)
    }

    fn drain(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.wake).read(&mut buffer), Ok(1..)) {}
    }
}
