//! The far end of a client's run: `--server` (docs/spec session.md 2.6, 6 to 12).

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, unbounded};
use syncline_filter::{Filter, Rules, Side as FilterSide};
use syncline_options::options::FilesFrom;
use syncline_wire::{Message, Protocol, Side, TextKind, WireRead};

use super::end::{self, Ending};
use super::far::{Asked, FarOffers, FarRequests};
use super::setup::Plan;
use super::{Connection, Peer, listing, rules};
use crate::link::{Offers, Requests};
use crate::sink::context::io_error;
use crate::sink::{self, SinkPlan};
use crate::source::{self, Names, OperatorFiles, ScanPlan, Tree};
use crate::{Error, Event, ExitCode, Job, Monitor, Problem, Result, Role, Severity, Terms};

/// Memory for the names of one `--files-from` list that a client sends, or names in a daemon's module.
const NAMES_MAX: u64 = 1 << 30;

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
        self.perform(connection, observe, |plan, peer, monitor| {
            if plan.sends() { plan.send(peer, monitor) } else { plan.receive(peer, monitor) }
        })
    }

    /// Only settles the terms, so that messages can travel, and says why the run is refused.
    pub fn refuse(
        self,
        connection: Connection,
        why: Error,
        observe: impl FnOnce(ServerVoice) -> Monitor,
    ) -> (Result<ExitCode>, Role) {
        self.perform(connection, observe, |_, _, _| Err(why))
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
        let voice = ServerVoice::new(&connection);
        let monitor = observe(voice.clone());
        let plan = Plan {
            options: &self.job.options,
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

    fn send(&mut self, mut peer: Peer, monitor: &Monitor) -> Result<()> {
        let received = rules::receive(&mut peer, &self.job.options, true, &mut self.files)?;
        let mut filter = Filter::new(&received, FilterSide::Sender);
        if let Some(module) = &self.job.module {
            filter = filter.with_daemon(module.filter.clone());
        }
        filter.set_role("sender");
        let names = self.names(&mut peer)?;
        peer.begin();
        let files = &mut self.files;
        let start = self.start.clone();
        let served = serve_names(&mut peer, &self.job, names, filter, start, files, false, monitor);
        let tally = monitor.tally();
        tally.sent.set(peer.bytes_sent());
        tally.received.set(peer.input.received());
        served
    }

    /// The arguments, or the names that the client (or a file here) lists.
    fn names(&mut self, peer: &mut Peer) -> Result<Names> {
        let mut arguments = std::mem::take(&mut self.arguments);
        let Some(files_from) = &self.job.options.select.files_from else {
            if arguments.is_empty() {
                arguments.push(b".".to_vec());
            }
            return Ok(Names::Arguments(arguments));
        };
        let below = arguments.into_iter().next().unwrap_or_default();
        let lines = match files_from {
            FilesFrom::Stdin => {
                let names = read_names(peer)?;
                let (send, lines) = unbounded();
                for name in names {
                    // The receiving end is in this function.
                    let _ = send.send(name);
                }
                lines
            }
            FilesFrom::Local(path) => local_lines(path, &self.job, &self.start)?,
            _ => {
                return Err(Error::fatal(
                    ExitCode::USAGE,
                    "The --files-from sent to the server cannot specify a host.",
                ));
            }
        };
        Ok(Names::Lines { below, lines })
    }

    fn receive(&mut self, mut peer: Peer, monitor: &Monitor) -> Result<()> {
        let received = rules::receive(&mut peer, &self.job.options, false, &mut self.files)?;
        if self.job.options.select.files_from.is_some() {
            return Err(Error::fatal(
                ExitCode::UNSUPPORTED,
                "--files-from on the receiving server is not performed yet",
            ));
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
}

impl ServerVoice {
    fn new(connection: &Connection) -> Self {
        Self { queue: connection.output.queue().clone(), protocol: Arc::default() }
    }

    fn open(&self, protocol: Protocol) {
        // Settled once.
        let _ = self.protocol.set(protocol);
    }

    /// The version, once it is settled and messages can travel.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol.get().copied()
    }

    /// Sends a message; `false` if none can travel yet.
    pub fn send(&self, message: Message) -> bool {
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

/// The names a client sends (docs/spec session.md 9).
fn read_names(peer: &mut Peer) -> Result<Vec<Vec<u8>>> {
    let framed = peer.terms.protocol.frames_files_from();
    let was_framed = peer.terms.protocol.multiplexes_client();
    if !framed && was_framed {
        peer.read(syncline_wire::Demultiplexer::stop)?;
    }
    let mut names = Vec::new();
    let mut length = 0;
    loop {
        let name = peer.read(|input| input.read_delimited(0, 4095, "file name"))?;
        if name.is_empty() {
            break;
        }
        length += (name.len() + size_of_val(&name)) as u64;
        if length > NAMES_MAX {
            let text = "too many names in the list of files to send";
            return Err(Error::fatal_by(Role::Sender, ExitCode::PROTOCOL, text));
        }
        names.push(name);
    }
    if !framed && was_framed {
        peer.input.start();
    }
    Ok(names)
}

/// Lines of a list that the sender opens itself: comments and empty lines are skipped.
pub(crate) fn local_lines(
    path: &[u8],
    job: &Job,
    start: &std::path::Path,
) -> Result<Receiver<Vec<u8>>> {
    use std::ffi::OsStr;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;
    let read = || {
        if let Some(module) = &job.module {
            return module.read_file(path, job.trust(), NAMES_MAX);
        }
        let mut text = Vec::new();
        if path == b"-" {
            std::io::stdin().read_to_end(&mut text)?;
        } else {
            let path = start.join(OsStr::from_bytes(path));
            let file = job.paths.open_file(&path);
            file.map_err(|error| io_error(&error))?.read_to_end(&mut text)?;
        }
        Ok(text)
    };
    let text = read().map_err(|error| {
        let reason = crate::reason(&error);
        // Stock leaves the number out here.
        let reason = reason.rsplit_once(" (").map_or(reason.as_str(), |(words, _)| words);
        let path = String::from_utf8_lossy(path);
        let text = format!("rsync: failed to open files-from file {path}: {reason}");
        let code = if job.module.is_some() { ExitCode::UNSUPPORTED } else { ExitCode::USAGE };
        Error::fatal_by(Role::Client, code, text)
    })?;
    let (send, lines) = unbounded();
    let from0 = job.options.select.from0;
    let ends_line = |byte: &u8| if from0 { *byte == 0 } else { matches!(byte, b'\n' | b'\r') };
    for line in text.split(ends_line) {
        let skipped = line.is_empty() || matches!(line.first(), Some(b'#' | b';'));
        if !skipped {
            // The receiving end is in this function.
            let _ = send.send(line.to_vec());
        }
    }
    Ok(lines)
}
