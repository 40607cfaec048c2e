//! Sessions with daemons, what is remembered of them, and connections kept ready for them (R60 to R63).

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use syncline_conf::live::Address;
use syncline_engine::session::daemon::{Admission, DaemonRequest, Greeted};
use syncline_engine::session::socket::{DAEMON_PORT, Detour, Stream, connect};
use syncline_engine::session::{Admitted, ClientPlan, Connection, Remembered};
use syncline_engine::{Error, ExitCode, Interrupt, Monitor, Role, Terms};
use syncline_options::Options;
use syncline_wire::Protocol;

use super::limit::Limit;
use super::{Route, password};

/// A spare is made anew after this time, well before a stock daemon gives it up (docs/spec live.md 5.3).
const RENEW: Duration = Duration::from_secs(45);

/// Never used when it is older: it serves with the configuration of its connect time.
const OLDEST: Duration = Duration::from_secs(50);

/// Spares are kept while there was a change within this time.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// More kinds of sessions than this are not remembered.
const MOST_MEMORIES: usize = 16;

/// A connection made ahead.
#[derive(Debug)]
struct Spare {
    greeted: Greeted,
    interrupt: Interrupt,
    made: Instant,
    line: Line,
}

/// A socket that ends with what used it: without that, a thread would go on listening to a peer that says nothing.
#[derive(Debug)]
struct Line(TcpStream);

impl Drop for Line {
    fn drop(&mut self) {
        // The peer may have gone first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What is kept between the sessions with one daemon.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    memories: HashMap<Vec<Vec<u8>>, Remembered>,
    spare: Arc<Mutex<Option<Spare>>>,
    used: Option<Instant>,
}

impl Keep {
    /// The spare, if there is one that is worth a try.
    fn take_spare(&self) -> Option<Spare> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let fresh = spare.made.elapsed() < OLDEST && spare.greeted.is_alive();
        fresh.then_some(spare)
    }

    /// When the spare is to be renewed, if it is.
    pub(crate) fn renewal(&self) -> Option<Duration> {
        let used = self.used?;
        let made = self.spare.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.made;
        (used.elapsed() < KEPT_FOR).then(|| RENEW.saturating_sub(made.elapsed()))
    }
}

/// How a session with a daemon is tried.
enum Way {
    /// On a spare, with what is remembered.
    Quick(Option<Box<Spare>>),
    /// On a new connection, in the order of the stock program.
    Plain,
}

impl Route {
    /// Runs a session: first the quick way, and where that proves nothing the plain one.
    pub(super) fn by_daemon(
        &self,
        options: &Options,
        key: &[Vec<u8>],
        mut plan: impl FnMut(Interrupt) -> Result<ClientPlan<'static>, Error>,
        keep: &mut Keep,
        running: &dyn Fn(&Interrupt),
        monitor: &Monitor,
    ) -> Result<ExitCode, Error> {
        keep.used = Some(Instant::now());
        let spare = keep.take_spare();
        let quick = spare.is_some() || (self.pipelines && keep.memories.contains_key(key));
        let way = if quick { Way::Quick(spare.map(Box::new)) } else { Way::Plain };
        let first = self.attempt(options, key, &mut plan, keep, way, running, monitor);
        match first {
            Err(error) if quick && is_doubtful(&error) => {
                keep.memories.remove(key);
                self.attempt(options, key, &mut plan, keep, Way::Plain, running, monitor)
            }
            result => result,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn attempt(
        &self,
        options: &Options,
        key: &[Vec<u8>],
        plan: &mut impl FnMut(Interrupt) -> Result<ClientPlan<'static>, Error>,
        keep: &mut Keep,
        way: Way,
        running: &dyn Fn(&Interrupt),
        monitor: &Monitor,
    ) -> Result<ExitCode, Error> {
        let Address::Daemon { user, module, path, .. } = &self.address else {
            return Err(Error::fatal(ExitCode::USAGE, "this target is no daemon's"));
        };
        let user = user.clone().unwrap_or_else(user_of_environment).into_bytes();
        let paths = [format!("{module}/{path}").into_bytes()];
        let memory = match way {
            Way::Quick(_) if self.pipelines => keep.memories.get(key).cloned(),
            _ => None,
        };
        let request = DaemonRequest {
            options,
            module: module.as_bytes(),
            user: &user,
            paths: &paths,
            pull: false,
            early_input: None,
            memory: memory.as_ref(),
        };
        let mut password = || match &self.password_file {
            Some(file) => password::read(file),
            None => Err(Error::fatal(
                ExitCode::START,
                "the daemon asks for a password: set `password-file`",
            )),
        };
        let text = &mut |_: &[u8]| {};
        let (admission, connection, interrupt, limit, _line) = if let Way::Quick(Some(spare)) = way
        {
            let Spare { mut greeted, interrupt, line, .. } = *spare;
            running(&interrupt);
            let limit = Limit::start(&interrupt, self.handshake);
            let entered = request.enter_greeted(&mut greeted, text, &mut password);
            (limit.explain(entered)?, greeted.connection, interrupt, limit, line)
        } else {
            let interrupt = Interrupt::default();
            running(&interrupt);
            let (mut connection, line) = self.dial(options, &interrupt)?;
            let limit = Limit::start(&interrupt, self.handshake);
            let entered = request.enter(&mut connection, Protocol::NEWEST, text, &mut password);
            (limit.explain(entered)?, connection, interrupt, limit, line)
        };
        let Admission::Admitted(admitted) = admission else {
            return Err(Error::fatal(ExitCode::START, "the daemon listed its modules"));
        };
        let terms: Arc<OnceLock<Terms>> = Arc::default();
        let mut plan = plan(interrupt)?;
        plan.settled = Some(admitted.protocol);
        let result = run_noting(plan, connection, &terms, limit, monitor);
        match (&result, terms.get()) {
            (Ok(_), Some(terms)) if self.pipelines => keep.remember(key, &admitted, terms),
            _ => {}
        }
        result
    }

    fn dial(&self, options: &Options, interrupt: &Interrupt) -> Result<(Connection, Line), Error> {
        let Address::Daemon { host, port, .. } = &self.address else {
            return Err(Error::fatal(ExitCode::USAGE, "this target is no daemon's"));
        };
        let detour = Detour { proxy: None, program: None, shell: None };
        let port = port.unwrap_or(DAEMON_PORT);
        let stream = connect(options, host, port, &detour, Role::Sender, &mut |_| {})?;
        let Stream::Tcp(socket) = &stream.writer else {
            return Err(Error::fatal(ExitCode::SOCKET, "no socket"));
        };
        let line = socket.try_clone().map(Line);
        let line = line.map_err(|error| {
            Error::fatal(ExitCode::SOCKET, format!("a second handle of the socket: {error}"))
        })?;
        Ok((Connection::new(stream.reader, stream.writer, options, interrupt)?, line))
    }

    /// Makes a spare, on a thread of its own: nobody waits for it.
    pub(super) fn make_spare(&self, options: &Options, keep: &Keep) {
        let (route, options, slot) = (self.clone(), options.clone(), Arc::clone(&keep.spare));
        let make = move || {
            let interrupt = Interrupt::default();
            let (connection, line) = route.dial(&options, &interrupt).ok()?;
            let _limit = Limit::start(&interrupt, route.handshake);
            let greeted = Greeted::exchange(connection, Protocol::NEWEST).ok()?;
            let spare = Spare { greeted, interrupt, made: Instant::now(), line };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(spare);
            Some(())
        };
        // Without a spare the next session is a little later, nothing else.
        let _ = std::thread::Builder::new().name("spare".into()).spawn(make);
    }
}

impl Keep {
    fn remember(&mut self, key: &[Vec<u8>], admitted: &Admitted, terms: &Terms) {
        if self.memories.len() >= MOST_MEMORIES && !self.memories.contains_key(key) {
            self.memories.clear();
        }
        if let Some(remembered) = admitted.remember(terms) {
            self.memories.insert(key.to_vec(), remembered);
        }
    }
}

/// Runs the plan and notes the terms it settles.
fn run_noting(
    plan: ClientPlan<'_>,
    connection: Connection,
    terms: &Arc<OnceLock<Terms>>,
    limit: Limit,
    monitor: &Monitor,
) -> Result<ExitCode, Error> {
    let limit = RefCell::new(limit);
    let note = |settled: &Terms| {
        limit.borrow_mut().lift();
        // Settled once.
        let _ = terms.set(settled.clone());
    };
    let result = ClientPlan { begun: &note, ..plan }.run(connection, monitor).0;
    limit.borrow().explain(result)
}

/// Whether a failure of the quick way says little about the daemon (R63): all but that it is busy.
fn is_doubtful(error: &Error) -> bool {
    match error {
        Error::Outdated | Error::Closed { .. } | Error::System { .. } => true,
        Error::Fatal { text, .. } => !text.contains("max connections"),
        _ => false,
    }
}

fn user_of_environment() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "nobody".to_owned())
}
