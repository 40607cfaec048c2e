//! The program the user started, with a peer (docs/spec session.md 3, 4).

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use syncline_filter::{
    ClientRules, Filter, RequestList, RequestOptions, Rules, Settings, Side as FilterSide,
};
use syncline_options::options::{ArgumentProtection, FilesFrom};
use syncline_wire::{Protocol, Side};

use super::batch::Recorder;
use super::end::{self, Ending};
use super::far::{Asked, FarOffers, FarRequests};
use super::setup::Plan;
use super::{Connection, Peer, listing, names, rules, server};
use crate::source::{Names, OperatorFiles};
use crate::{Error, ExitCode, Job, Monitor, Result, Role, Terms};

/// What a client's run needs beside the connection.
pub struct ClientPlan<'a> {
    /// The run.
    pub job: Job,
    /// What is sent, or nothing on a pull.
    pub sources: Vec<Vec<u8>>,
    /// What is sent in place of the sources.
    pub names: Option<Names>,
    /// What a pull asked for: the paths the server was given, and whether they begin with a module's name.
    pub requested: (Vec<Vec<u8>>, bool),
    /// Where a pull puts things; none lists.
    pub destination: Option<Vec<u8>>,
    /// Files come to us.
    pub pull: bool,
    /// There is no destination.
    pub listing: bool,
    /// Where relative names start.
    pub start: PathBuf,
    /// The rules of the command line.
    pub rules: Rules,
    /// How rule files are read.
    pub files: OperatorFiles,
    /// The version, where a daemon's greeting has settled it.
    pub settled: Option<Protocol>,
    /// `RSYNC_CHECKSUM_LIST` and `RSYNC_COMPRESS_LIST`.
    pub lists: (Option<String>, Option<String>),
    /// Told once the terms are settled and the server knows the rules: lists can begin.
    pub begun: &'a dyn Fn(&Terms),
}

impl ClientPlan<'_> {
    /// Runs until both sides have said goodbye.
    pub fn run(mut self, connection: Connection, monitor: &Monitor) -> (Result<ExitCode>, Role) {
        let role = if self.pull { Role::Destination } else { Role::Sender };
        if self.job.options.batch.write.is_some() {
            // Who does the batch again cannot negotiate (docs/spec session.md 6.4).
            let old = self.settled.map_or(self.job.options.connection.protocol, |settled| {
                Some(settled.number().into())
            });
            let checksum = if old.is_some_and(|version| version < 30) { "md4" } else { "md5" };
            self.lists = (Some(checksum.into()), Some("zlib".into()));
        }
        if let Err(error) = self.job.open_charset() {
            return (Err(error), role);
        }
        self.job.trace_charset(role, monitor);
        let plan = Plan {
            options: &self.job.options,
            charset: self.job.charset.as_ref(),
            side: Side::Client,
            sends: !self.pull,
            settled: self.settled,
            checksum_list: self.lists.0.as_deref(),
            compress_list: self.lists.1.as_deref(),
        };
        let (peer, writer) = match connection.agree(&plan, monitor) {
            Ok(agreed) => agreed,
            Err(error) => return (Err(error), role),
        };
        let ending = Ending::new(&peer);
        let result = self.job.take_identity(role).and_then(|()| {
            if self.pull { self.receive(peer, monitor) } else { self.send(peer, monitor) }
        });
        let result = result.map(|()| monitor.tally().exit_code());
        if let Err(error) = &result {
            ending.tell_code(error);
        }
        drop(ending);
        end::close(writer);
        (result, role)
    }

    /// From here on the source's stream is recorded, if it is to be (--write-batch).
    fn record(&self, peer: &mut Peer) -> Result<()> {
        let Some(name) = &self.job.options.batch.write else { return Ok(()) };
        peer.confirm()?;
        let role = if self.pull { Role::Destination } else { Role::Sender };
        let path = self.start.join(std::ffi::OsStr::from_bytes(name));
        let recorder = Recorder::create(&path, &self.job, role)?;
        let failed =
            |error| Error::system(ExitCode::FILE_IO, role, "write to the batch file", error);
        recorder.put_header(&self.job.options, &peer.terms).map_err(failed)?;
        if self.pull {
            peer.input.set_tap(Box::new(recorder));
            return Ok(());
        }
        peer.output.record(recorder).map_err(failed)
    }

    fn complete(&mut self, peer: &mut Peer) -> Result<ClientRules> {
        let rules = std::mem::replace(&mut self.rules, Rules::new(Settings::default()));
        let options = &self.job.options;
        let protocol = peer.terms.protocol;
        let complete = rules::complete(rules, options, self.pull, protocol, &mut self.files)?;
        rules::send(peer, &complete, options, self.pull)?;
        (self.begun)(&peer.terms);
        Ok(complete)
    }

    fn send(&mut self, mut peer: Peer, monitor: &Monitor) -> Result<()> {
        let complete = self.complete(&mut peer)?;
        let mut filter = Filter::new(&complete.rules, FilterSide::Sender);
        filter.set_role("sender");
        let names = self.names(&mut peer)?;
        self.record(&mut peer)?;
        peer.begin();
        let start = self.start.clone();
        let files = &mut self.files;
        let job = &self.job;
        server::serve_names(&mut peer, job, names, filter, start, files, false, monitor)?;
        let tally = monitor.tally();
        tally.sent.set(peer.bytes_sent());
        tally.received.set(peer.input.received());
        Ok(())
    }

    fn names(&mut self, peer: &mut Peer) -> Result<Names> {
        if let Some(names) = self.names.take() {
            return Ok(names);
        }
        let sources = std::mem::take(&mut self.sources);
        let lines = match &self.job.options.select.files_from {
            None => return Ok(Names::Arguments(sources)),
            Some(FilesFrom::Remote { .. }) => names::hear(peer, &self.job)?,
            Some(_) => names::own_lines(&self.job, &self.start)?,
        };
        let below = sources.into_iter().next().unwrap_or_default();
        Ok(Names::Lines { below, lines })
    }

    fn receive(&mut self, mut peer: Peer, monitor: &Monitor) -> Result<()> {
        let complete = self.complete(&mut peer)?;
        let names = match names::text(&self.job, &self.start)? {
            Some(text) => Some(names::forward(&mut peer, &self.job, &text)?),
            None => None,
        };
        let asked = self.asked(&complete, names);
        self.record(&mut peer)?;
        peer.begin();
        let terms = peer.terms.clone();
        let Some(destination) = self.destination.take().filter(|_| !self.listing) else {
            let mut requests = FarRequests::new(&peer, &self.job);
            let mut offers = FarOffers::new(peer, &self.job, monitor)?.only(asked);
            return listing::list(&terms, &mut offers, &mut requests, monitor);
        };
        let start = self.start.clone();
        let plan = (destination, start);
        server::receive_into(peer, &self.job, &complete.rules, plan, asked, monitor)
    }

    /// What this client takes; nothing is refused where the user trusts the sender.
    fn asked(&self, rules: &ClientRules, names: Option<Vec<Vec<u8>>>) -> Option<Asked> {
        let options = &self.job.options;
        if options.connection.trust_sender {
            return None;
        }
        let protection = options.connection.protection;
        let old = matches!(protection, ArgumentProtection::OldArgs | ArgumentProtection::Nothing);
        let remote_list = matches!(options.select.files_from, Some(FilesFrom::Remote { .. }));
        let request = RequestOptions {
            daemon: self.requested.1 && names.is_none(),
            relative: options.select.is_relative(),
            recursive: options.select.recursive,
            dirs: crate::job::takes_dirs(options, self.listing),
        };
        let paths = names.as_ref().unwrap_or(&self.requested.0);
        let requests = (!old && !remote_list)
            .then(|| RequestList::new(paths.iter().map(Vec::as_slice), request));
        Some(Asked::new(rules, requests))
    }
}

impl std::fmt::Debug for ClientPlan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientPlan")
            .field("pull", &self.pull)
            .field("listing", &self.listing)
            .finish_non_exhaustive()
    }
}
