//! Sessions with daemons, what is remembered of them, and connections kept ready for them (R60 to R63).

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use syncline_conf::live::Address;
use syncline_engine::session::daemon::{Admission, DaemonRequest, Greeted};
use syncline_engine::session::socket::{DAEMON_PORT, Detour, Stream, connect};
use syncline_engine::session::{Admitted, ClientPlan, Connection, Remembered};
use syncline_engine::{Error, ExitCode, Interrupt, Monitor, Role, Terms};
use syncline_options::Options;
use syncline_wire::Protocol;

use super::{Route, password, quiet};

/// A spare is made anew after this time, well before a stock daemon gives it up (docs/spec live.md 5.3).
const RENEW: Duration = Duration::from_secs(45);

/// Never used when it is older: it serves with the configuration of its connect time.
const OLDEST: Duration = Duration::from_secs(50);

/// Spares are kept while there was a change within this time.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// More kinds of sessions than this are not remembered.
const MOST_MEMORIES: usize = 16;

/// Ends a connection when it is dropped, whoever still waits for its peer: a stock daemon holds one that is never used for
/// a minute, and a peer that is gone says nothing for ever.
#[derive(Debug)]
struct Hangup(Option<TcpStream>);

impl Drop for Hangup {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            // One that has ended already is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A connection made ahead.
#[derive(Debug)]
struct Spare {
    greeted: Greeted,
    hangup: Hangup,
    interrupt: Interrupt,
    made: Instant,
}

/// What is kept between the sessions with one daemon.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    memories: HashMap<Vec<Vec<u8>>, Remembered>,
    spare: Arc<Mutex<Option<Spare>>>,
    /// A spare is being made.
    making: Arc<AtomicBool>,
    used: Option<Instant>,
}

impl Keep {
    /// The spare, if there is one that is worth a try.
    fn take_spare(&self) -> Option<Spare> {
        let mut spare = lock(&self.spare).take()?;
        let fresh = spare.made.elapsed() < OLDEST && spare.greeted.is_alive();
        fresh.then_some(spare)
    }

    /// When the spare is to be renewed, if it is.
    pub(crate) fn renewal(&self) -> Option<Duration> {
        let used = self.used?;
        let made = lock(&self.spare).as_ref()?.made;
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
        // Kept to the end of the session.
        let _hangup;
        let (admission, connection, interrupt) = if let Way::Quick(Some(spare)) = way {
            let Spare { mut greeted, interrupt, hangup, .. } = *spare;
            _hangup = hangup;
            running(&interrupt);
            let admission = request.enter_greeted(&mut greeted, text, &mut password)?;
            (admission, greeted.connection, interrupt)
        } else {
            let interrupt = Interrupt::default();
            running(&interrupt);
            let (mut connection, hangup) = self.dial(options, &interrupt)?;
            _hangup = hangup;
            let admission =
                request.enter(&mut connection, Protocol::NEWEST, text, &mut password)?;
            (admission, connection, interrupt)
        };
        let Admission::Admitted(admitted) = admission else {
            return Err(Error::fatal(ExitCode::START, "the daemon listed its modules"));
        };
        let terms: Arc<OnceLock<Terms>> = Arc::default();
        let mut plan = plan(interrupt)?;
        plan.settled = Some(admitted.protocol);
        let result = run_noting(plan, connection, &terms, monitor);
        match (&result, terms.get()) {
            (Ok(_), Some(terms)) if self.pipelines => keep.remember(key, &admitted, terms),
            _ => {}
        }
        result
    }

    fn dial(
        &self,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<(Connection, Hangup), Error> {
        let Address::Daemon { host, port, .. } = &self.address else {
            return Err(Error::fatal(ExitCode::USAGE, "this target is no daemon's"));
        };
        let detour = Detour { proxy: None, program: None, shell: None };
        let port = port.unwrap_or(DAEMON_PORT);
        let stream = connect(options, host, port, &detour, Role::Sender, &mut |_| {})?;
        let hangup = Hangup(match &stream.writer {
            Stream::Tcp(stream) => stream.try_clone().ok(),
            Stream::Unix(_) => None,
        });
        let limit = options.connection.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        if let Stream::Tcp(socket) = &stream.reader {
            // Without it the wait lasts longer, nothing else.
            let _ = socket.set_read_timeout(limit);
        }
        let (reader, writer) = quiet::watched(stream.reader, stream.writer, limit);
        let connection = Connection::new(reader, writer, options, interrupt)?;
        Ok((connection, hangup))
    }

    /// Makes a spare if there is none that will do, on a thread of its own: nobody waits for it.
    pub(super) fn make_spare(&self, options: &Options, keep: &Keep) {
        let is_young = |spare: &Spare| spare.made.elapsed() < RENEW;
        let has_one = lock(&keep.spare).as_ref().is_some_and(is_young);
        if has_one || keep.making.swap(true, Ordering::AcqRel) {
            return;
        }
        let (route, options, slot) = (self.clone(), options.clone(), Arc::clone(&keep.spare));
        let making = Arc::clone(&keep.making);
        let make = move || {
            let interrupt = Interrupt::default();
            let made = route.dial(&options, &interrupt).and_then(|(connection, hangup)| {
                let greeted = Greeted::exchange(connection, Protocol::NEWEST)?;
                Ok(Spare { greeted, interrupt, hangup, made: Instant::now() })
            });
            // Without a spare the next session is a little later, nothing else.
            if let Ok(spare) = made {
                *lock(&slot) = Some(spare);
            }
            making.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("spare".into()).spawn(make).is_err() {
            keep.making.store(false, Ordering::Release);
        }
    }
}

fn lock(spare: &Mutex<Option<Spare>>) -> MutexGuard<'_, Option<Spare>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
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
    monitor: &Monitor,
) -> Result<ExitCode, Error> {
    let note = |settled: &Terms| {
        // Settled once.
        let _ = terms.set(settled.clone());
    };
    ClientPlan { begun: &note, ..plan }.run(connection, monitor).0
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
