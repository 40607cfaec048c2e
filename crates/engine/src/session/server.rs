//! The far end of a client's run: `--server` (docs/spec session.md 2.6, 6 to 12).

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::bounded;
use syncline_filter::{Filter, Rules, Side as FilterSide};
use syncline_options::options::FilesFrom;
use syncline_wire::{Message, Protocol, Side, TextKind};

use super::end::{self, Ending};
use super::far::{Asked, FarOffers, FarRequests};
use super::setup::Plan;
use super::{Connection, Peer, listing, names, rules};
use crate::link::{Offers, Requests};
use crate::report::Class;
use crate::sink::{self, SinkPlan};
use crate::source::{self, Names, OperatorFiles, ScanPlan, Tree};
use crate::{
    Charset, Error, Event, ExitCode, Job, Monitor, Problem, Result, Role, Severity, Terms,
};

/// What a server is started with beside its job.
#[derive(Debug)]
pub struct ServerPlan {
    /// The run.
    pub job: Job,
    /// The words behind the first `.`: sources to send, or one destination.
    pub arguments: Vec<Vec<u8>>,
    /// Where relative names start.
    pub start: PathBuf,
    /// How rule files are read.
    pub files: OperatorFiles,
    /// The version, where a daemon's greeting has settled it.
    pub settled: Option<Protocol>,
    /// `RSYNC_CHECKSUM_LIST` and `RSYNC_COMPRESS_LIST`.
    pub lists: (Option<String>, Option<String>),
}

impl ServerPlan {
    /// Whether this end sends the files.
    pub fn sends(&self) -> bool {
        self.job.options.server.as_ref().is_some_and(|server| server.sender)
    }

    /// Runs until the client has said goodbye. `observe` makes the monitor as soon as messages can travel: it is given
    /// the way for them.
    pub fn run(
        self,
        connection: Connection,
        observe: impl FnOnce(ServerVoice) -> Monitor,
    ) -> (Result<ExitCode>, Role) {
        // Where a daemon's file cannot be opened its client is told in a message; a shell's server has not begun to talk.
        let list = match self.job.module {
            None => self.list_text(),
            Some(_) => Ok(None),
        };
        let list = match list {
            Ok(list) => list,
            Err(error) => return (Err(error), Role::Server),
        };
        self.perform(connection, observe, |plan, peer, monitor| {
            if plan.sends() {
                plan.send(peer, list, monitor)
            } else {
                plan.receive(peer, list, monitor)
            }
        })
    }

    /// Only settles the terms, so that messages can travel, and says why the run is refused.
    pub fn refuse(
        self,
        connection: Connection,
        why: Error,
        observe: impl FnOnce(ServerVoice) -> Monitor,
    ) -> (Result<ExitCode>, Role) {
        self.perform(connection, observe, |plan, mut peer, _| {
            if !plan.sends() {
                names::forward_nothing(&mut peer, &plan.job);
            }
            Err(why)
        })
    }

    fn perform(
        mut self,
        connection: Connection,
        observe: impl FnOnce(ServerVoice) -> Monitor,
        work: impl FnOnce(&mut Self, Peer, &Monitor) -> Result<()>,
    ) -> (Result<ExitCode>, Role) {
        self.files.module.clone_from(&self.job.module);
        let sends = self.sends();
        let role = if sends { Role::Sender } else { Role::Destination };
        if let Err(error) = self.job.open_charset() {
            return (Err(error), role);
        }
        let voice = ServerVoice::new(&connection, self.job.charset.clone());
        let monitor = observe(voice.clone());
        self.job.trace_charset(role, &monitor);
        let plan = Plan {
            options: &self.job.options,
            charset: None,
            side: Side::Server,
            sends,
            settled: self.settled,
            checksum_list: self.lists.0.as_deref(),
            compress_list: self.lists.1.as_deref(),
        };
        let (peer, writer) = match connection.agree(&plan, &monitor) {
            Ok(agreed) => agreed,
            Err(error) => return (Err(error), role),
        };
        voice.open(peer.terms.protocol);
        if let (Some(_), Some(seconds)) = (&self.job.module, self.job.options.connection.timeout)
            && peer.terms.protocol.has_error_exit()
        {
            // A daemon's client learns how long its module waits (docs/spec session.md 7.4).
            voice.send(Message::IoTimeout(seconds as i32));
        }
        monitor.tell(&Event::Settled(&peer.terms));
        let ending = Ending::new(&peer);
        let result = self.job.take_identity(role).and_then(|()| work(&mut self, peer, &monitor));
        let result = result.map(|()| monitor.tally().exit_code());
        if let Err(error) = &result {
            // Said while messages still travel.
            if !matches!(error, Error::PeerExit(_) | Error::Stopped) {
                for line in error.to_string().lines() {
                    monitor.tell(&Event::Problem(Problem::new(Severity::Error, line)));
                }
            }
            if self.job.module.is_some() {
                // A daemon's log is not the client's: it hears of the end as from a server that it started.
                let (code, version) = (error.exit_code(), env!("CARGO_PKG_VERSION"));
                let text = format!("rsync error: {code} at server.rs(0) [{role}={version}]\n");
                voice.send(Message::Text { kind: TextKind::Error, text: text.into_bytes() });
            }
            ending.tell(error, &voice, role);
        }
        drop((ending, voice, monitor));
        end::close(writer);
        (result, role)
    }

    fn send(&mut self, mut peer: Peer, list: Option<Vec<u8>>, monitor: &Monitor) -> Result<()> {
        let received = rules::receive(&mut peer, &self.job.options, true, &mut self.files)?;
        let mut filter = Filter::new(&received, FilterSide::Sender);
        if let Some(module) = &self.job.module {
            filter = filter.with_daemon(module.filter.clone());
        }
        filter.set_role("sender");
        let names = self.names(&mut peer, list)?;
        peer.begin();
        let files = &mut self.files;
        let start = self.start.clone();
        let served = serve_names(&mut peer, &self.job, names, filter, start, files, false, monitor);
        let tally = monitor.tally();
        tally.sent.set(peer.bytes_sent());
        tally.received.set(peer.input.received());
        served
    }

    /// The text of a `--files-from` list that is at this end.
    fn list_text(&self) -> Result<Option<Vec<u8>>> {
        match &self.job.options.select.files_from {
            Some(FilesFrom::Stdin) if self.sends() => Ok(None),
            Some(FilesFrom::Stdin | FilesFrom::Remote { .. }) => Err(Error::fatal(
                ExitCode::USAGE,
                "The --files-from sent to the server cannot specify a host.",
            )),
            _ => names::text(&self.job, &self.start),
        }
    }

    /// The list, if it was opened before the run or is still to be.
    fn list(&self, early: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
        if self.job.module.is_some() { self.list_text() } else { Ok(early) }
    }

    /// The arguments, or the names that the client (or a file here) lists.
    fn names(&mut self, peer: &mut Peer, list: Option<Vec<u8>>) -> Result<Names> {
        let mut arguments = std::mem::take(&mut self.arguments);
        if self.job.options.select.files_from.is_none() {
            if arguments.is_empty() {
                arguments.push(b".".to_vec());
            }
            return Ok(Names::Arguments(arguments));
        }
        let below = arguments.into_iter().next().unwrap_or_default();
        let lines = match self.list(list)? {
            Some(text) => names::lines_of(&text, self.job.options.select.from0),
            None => names::hear(peer, &self.job)?,
        };
        Ok(Names::Lines { below, lines })
    }

    fn receive(&mut self, mut peer: Peer, list: Option<Vec<u8>>, monitor: &Monitor) -> Result<()> {
        let received = rules::receive(&mut peer, &self.job.options, false, &mut self.files)?;
        match self.list(list) {
            Ok(None) => {}
            Ok(Some(text)) => drop(names::forward(&mut peer, &self.job, &text)?),
            Err(error) => {
                names::forward_nothing(&mut peer, &self.job);
                return Err(error);
            }
        }
        let destination = self.arguments.first().cloned().unwrap_or_else(|| b".".to_vec());
        peer.begin();
        if self.job.options.output.list_only {
            // Nothing is looked at here, let alone changed.
            let terms = peer.terms.clone();
            let mut requests = FarRequests::new(&peer, &self.job);
            let mut offers = FarOffers::new(peer, &self.job, monitor)?;
            return listing::list(&terms, &mut offers, &mut requests, monitor);
        }
        receive_into(peer, &self.job, &received, (destination, self.start.clone()), None, monitor)
    }
}

/// How a server talks to its client beside the data: nothing before the terms are settled.
#[derive(Clone, Debug)]
pub struct ServerVoice {
    queue: super::queue::Queue,
    protocol: Arc<std::sync::OnceLock<Protocol>>,
    charset: Option<Charset>,
}

impl ServerVoice {
    fn new(connection: &Connection, charset: Option<Charset>) -> Self {
        Self { queue: connection.output.queue().clone(), protocol: Arc::default(), charset }
    }

    fn open(&self, protocol: Protocol) {
        // Settled once.
        let _ = self.protocol.set(protocol);
    }

    /// The version, once it is settled and messages can travel.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol.get().copied()
    }

    /// Sends a message, its words in the wire's charset; `false` if none can travel yet.
    pub fn send(&self, mut message: Message) -> bool {
        if let Some(charset) = &self.charset {
            match &mut message {
                Message::Text { text: words, .. } | Message::Deleted { name: words, .. } => {
                    *words = charset.text_to_wire(words);
                }
                _ => {}
            }
        }
        self.send_as_it_is(message)
    }

    /// Sends a text that belongs to the client as well; `false` if it does not, or none can travel yet.
    pub fn say(&self, class: Class, text: &[u8]) -> bool {
        let Some(kind) = class.text_kind() else { return false };
        let message = Message::Text { kind, text: text.to_vec() };
        match class {
            // It is in the wire's charset already.
            Class::Foreign => self.send_as_it_is(message),
            _ => self.send(message),
        }
    }

    fn send_as_it_is(&self, message: Message) -> bool {
        if self.protocol.get().is_none() {
            return false;
        }
        self.queue.message(message);
        true
    }

    pub(crate) fn drain(&self) {
        self.queue.drain();
    }
}

/// Scans on one thread and serves on this one.
#[allow(clippy::too_many_arguments)]
pub(super) fn serve_names(
    peer: &mut Peer,
    job: &Job,
    names: Names,
    filter: Filter,
    start: PathBuf,
    files: &mut OperatorFiles,
    listing: bool,
    monitor: &Monitor,
) -> Result<()> {
    let terms = peer.terms.clone();
    let tree = Tree::default();
    let (sink, scanned) = bounded(8);
    std::thread::scope(|scope| {
        let plan = ScanPlan { job, terms: &terms, filter, start, names, listing, encodes: true };
        let scan_tree = tree.clone();
        let scanning = scope.spawn(move || {
            let result = source::scan(plan, files, &scan_tree, &sink, monitor);
            drop(sink);
            result
        });
        let served = source::serve(peer, job, &tree, scanned, monitor);
        let scan_result = scanning.join().unwrap_or(Err(Error::Stopped));
        match (served, scan_result) {
            // The one that failed by itself says why; the other only stopped.
            (Err(Error::Stopped), Err(error)) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(()), Ok(()) | Err(Error::Stopped)) => Ok(()),
            (Ok(()), Err(error)) => Err(error),
        }
    })
}

/// Runs the sink on a connection.
pub(super) fn receive_into(
    peer: Peer,
    job: &Job,
    rules: &Rules,
    (destination, start): (Vec<u8>, PathBuf),
    asked: Option<Asked>,
    monitor: &Monitor,
) -> Result<()> {
    let terms = peer.terms.clone();
    let requests = FarRequests::new(&peer, job);
    let offers = FarOffers::new(peer, job, monitor)?.only(asked);
    let place = (destination, start);
    let (offers, requests) = (Box::new(offers), Box::new(requests));
    sink_into(job, &terms, rules, place, (offers, requests), monitor)
}

/// Runs the sink on both halves of a link.
pub(super) fn sink_into(
    job: &Job,
    terms: &Terms,
    rules: &Rules,
    (destination, start): (Vec<u8>, PathBuf),
    (offers, requests): (Box<dyn Offers>, Box<dyn Requests>),
    monitor: &Monitor,
) -> Result<()> {
    let mut filter = Filter::new(rules, FilterSide::Receiver);
    if let Some(module) = &job.module {
        filter = filter.with_daemon(module.filter.clone());
    }
    filter.set_role("generator");
    let plan = SinkPlan { destination, start, filter };
    sink::run(job, terms, plan, offers, requests, monitor)
}
