//! Both halves of the link over a connection.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use syncline_filter::{ClientRules, Name, ReceiverChecks, RequestList};
use syncline_wire::list::{
    DirectoryRole, EntryRef, FileEntry, FileKind, FileList, FileLists, ListDecoder, Unsayable,
    XattrSet, put_xattr_request, read_xattr_values,
};
use syncline_wire::{
    Index, IndexDecoder, IndexEncoder, Item, Message, Protocol, SumHead, Token, TokenDecoder,
    WireRead, WireWrite,
};

use super::Peer;
use super::batch::Pace;
use super::queue::Output;
use crate::job::XattrExchange;
use crate::link::{Content, Offer, Offers, Received, Request, Requests, Sums, Tokens};
use crate::{
    Error, Event, ExitCode, Extras, Job, Monitor, Notice, Problem, Result, Role, Severity,
    Stopwatch,
};

/// What a source at the other end says.
#[derive(Debug)]
pub(crate) struct FarOffers {
    peer: Peer,
    monitor: Monitor,
    protocol: Protocol,
    digest_length: usize,
    /// Where names are converted: how what cannot be is told.
    converting: Option<Box<Job>>,
    /// Without content: neither side moves any.
    dry: bool,
    exchange: XattrExchange,
    extras: Extras,
    server: bool,
    /// `--max-alloc`; 0 is no limit.
    max_alloc: u64,
    decoder: ListDecoder,
    lists: FileLists,
    in_index: IndexDecoder,
    tokens: TokenDecoder,
    head: SumHead,
    queued: VecDeque<Offer>,
    first_list_read: bool,
    /// What a pulling client takes; none where everything is taken.
    asked: Option<Asked>,
    /// What the generator has decided, where the source does not wait to be asked.
    pace: Option<Pace>,
    /// Lists the source has ended so far.
    ended_lists: usize,
    round: u8,
}

impl FarOffers {
    pub(crate) fn new(peer: Peer, job: &Job, monitor: &Monitor) -> Result<Self> {
        let terms = peer.terms.clone();
        let options = terms.list_options(&job.options);
        let (method, _) = terms.compression;
        let tokens = TokenDecoder::new(method, terms.protocol)
            .map_err(|error| Error::wire(Role::Receiver, error))?;
        let mut decoder = ListDecoder::new(options.clone());
        if let Some(charset) = &job.charset {
            decoder.convert_names(charset.conversion());
            if terms.converts_targets(&job.options) {
                decoder.convert_targets(charset.conversion());
            }
        }
        Ok(Self {
            peer,
            monitor: monitor.clone(),
            protocol: terms.protocol,
            digest_length: terms.transfer_sum().digest_length(),
            dry: job.is_dry(),
            exchange: XattrExchange::new(job, &terms),
            extras: Extras::default(),
            server: job.is_server(),
            max_alloc: job.options.connection.max_alloc,
            converting: job.charset.as_ref().map(|_| Box::new(job.clone())),
            decoder,
            lists: FileLists::new(&options),
            in_index: IndexDecoder::new(terms.protocol),
            tokens,
            head: SumHead::default(),
            queued: VecDeque::new(),
            first_list_read: false,
            asked: None,
            pace: None,
            ended_lists: 0,
            round: 0,
        })
    }

    /// Takes only what was asked for (docs/spec filelist.md 15).
    pub(crate) fn only(mut self, asked: Option<Asked>) -> Self {
        self.asked = asked;
        self
    }

    /// The stream is a batch: what comes is taken once it is known whether it is wanted.
    pub(crate) fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Whether an item is wanted; what a batch has that is not, is read past.
    fn is_wanted(&mut self, index: u32, item: &Item) -> Result<bool> {
        let Some(pace) = self.pace.clone().filter(|_| item.is_transfer()) else { return Ok(true) };
        let again = self.round > 0;
        let lists = if self.peer.terms.incremental() { self.lists.arrived() } else { 1 };
        if pace.wait_for(index, again.then_some(lists))? {
            return Ok(true);
        }
        let name = self.lists.entry(index).map(EntryRef::path).unwrap_or_default();
        self.monitor.notice(Notice::BatchedUpdateSkipped { path: &name, again });
        let mut content = self.content()?;
        content.discard()?;
        Ok(false)
    }

    /// At the end of a list: what is wanted of a batch and did not come, will not.
    fn give_up_missing(&mut self) -> Result<()> {
        let Some(pace) = self.pace.clone().filter(|_| self.round == 0) else { return Ok(()) };
        let incremental = self.peer.terms.incremental();
        let list = self.lists.list(self.lists.oldest());
        let entries = list.into_iter().flat_map(FileList::iter);
        let wanted: Vec<u32> = entries
            .filter(|entry| entry.is_active() && !(incremental && entry.is_directory()))
            .map(syncline_wire::list::EntryRef::index)
            .collect();
        for index in pace.missing(&wanted)? {
            let name = self.lists.entry(index).map(EntryRef::path).unwrap_or_default();
            let text = [b"(No batched update for \"", &name[..], b"\")"].concat();
            self.monitor.problem(Problem::new(Severity::Transfer, text));
            self.queued.push_back(Offer::NoSend(index));
        }
        Ok(())
    }

    fn read_list(&mut self, directory: Option<(u32, FileEntry)>) -> Result<Offer> {
        let before = self.peer.input.received();
        let path = directory.as_ref().map(|(_, entry)| entry.name.clone());
        let mut list = self.decoder.begin(self.lists.next_first(), path.as_deref());
        loop {
            let (decoder, input) = (&mut self.decoder, &mut self.peer.input);
            match decoder.read_entry(input, &mut list) {
                Ok(true) => {
                    self.tell_unsayable();
                    if let Some(asked) = &self.asked {
                        asked.check_last(&mut list)?;
                    }
                }
                Ok(false) => break,
                Err(error) => return Err(self.list_failed(error)),
            }
            let role = self.list_role();
            crate::job::check_list_length(self.max_alloc, list.len(), role)?;
            if list.len().is_multiple_of(100) && self.monitor.wants_progress() {
                self.monitor.tell(&Event::Listing(list.len()));
            }
        }
        self.count(&list);
        self.extras.take_over(&self.decoder.attributes);
        self.monitor.tally().list_size.add(self.peer.input.received() - before);
        let names = Arc::new(self.decoder.names.clone());
        Ok(Offer::List(Received { list, directory, names }))
    }

    /// Entries that this end's charset has no words for.
    fn tell_unsayable(&mut self) {
        let Some(job) = &self.converting else { return };
        for Unsayable { name, target, error } in self.decoder.take_unsayable() {
            let role = self.list_role();
            let problem = if target {
                let base = if job.module.is_some() { PathBuf::new() } else { here() };
                let path = base.join(OsStr::from_bytes(&name));
                let shown = job.quote(path.as_os_str().as_bytes());
                let what = b"symlink data for";
                Problem::unconvertible(Severity::Transfer, role, what, &shown, &error)
            } else {
                Problem::unconvertible(Severity::Foreign, role, b"filename", &name, &error)
            };
            self.monitor.problem(problem);
        }
    }

    /// Who reads a list: the receiving side has not split before the first.
    fn list_role(&self) -> Role {
        if self.first_list_read { Role::Receiver } else { Role::Destination }
    }

    /// Faults in a list are found before the receiving side splits.
    fn list_failed(&mut self, error: syncline_wire::Error) -> Error {
        match self.peer.failed(error) {
            Error::Wire { source, .. } => Error::wire(self.list_role(), source),
            error => error,
        }
    }

    fn count(&self, list: &FileList) {
        let tally = self.monitor.tally();
        for entry in list.iter() {
            tally.files.add(entry.kind());
            if matches!(entry.kind(), FileKind::Regular | FileKind::Symlink) {
                tally.total_size.add(entry.size());
            }
        }
    }

    fn done(&mut self) -> Result<Offer> {
        if self.round == 0 && self.peer.terms.incremental() {
            self.ended_lists += 1;
            if self.ended_lists < self.lists.arrived() || !self.lists.is_ended() {
                return Ok(Offer::Done);
            }
        }
        self.round += 1;
        let last_phase = self.protocol.working_rounds();
        if self.round == last_phase && !self.server {
            self.read_statistics()?;
        }
        if self.server {
            // A client is not told; a daemon's log is.
            let tally = self.monitor.tally();
            tally.sent.set(self.peer.bytes_sent());
            tally.received.set(self.peer.input.received());
        }
        if self.round == self.protocol.sender_rounds() {
            self.queued.push_back(Offer::End);
        }
        Ok(Offer::Done)
    }

    fn read_statistics(&mut self) -> Result<()> {
        let protocol = self.protocol;
        let tally = self.monitor.tally();
        let mut field = || self.peer.read(|input| input.read_varlong30(protocol, 3));
        let received_there = field()?;
        let sent_there = field()?;
        let _total_size = field()?;
        if protocol.has_list_times() {
            tally.list_build.set(field()?.max(0) as u64);
            tally.list_transfer.set(field()?.max(0) as u64);
        }
        // What the server read we sent, and the other way round.
        tally.sent.set(received_there.max(0) as u64);
        tally.received.set(sent_there.max(0) as u64);
        Ok(())
    }

    fn message(message: Message) -> Option<Offer> {
        match message {
            Message::NoSend(index) => Some(Offer::NoSend(index)),
            Message::IoError(errors) => Some(Offer::IoErrors(errors)),
            _ => None,
        }
    }

    fn next_index(&mut self) -> Result<Offer> {
        loop {
            if let Some(offer) = self.peer.pending().and_then(Self::message) {
                if let Offer::IoErrors(errors) = &offer {
                    self.monitor.tally().add_io_errors(*errors);
                }
                return Ok(offer);
            }
            if !self.peer.wait()? {
                if self.peer.at_end()? {
                    return Err(self.peer.failed(syncline_wire::Error::Closed));
                }
                continue;
            }
            let index = self.peer.read(|input| self.in_index.decode(input))?;
            match index {
                Index::File(index) => {
                    let protocol = self.protocol;
                    let item = self.peer.read(|input| Item::decode(input, protocol))?;
                    if self.is_keep_alive(index, &item) {
                        continue;
                    }
                    let xattrs = self.read_xattrs(index, &item)?;
                    if !self.is_wanted(index, &item)? {
                        continue;
                    }
                    return Ok(Offer::Item { index, item, xattrs });
                }
                Index::Done => {
                    self.give_up_missing()?;
                    let done = self.done()?;
                    self.queued.push_back(done);
                    // The end comes after the last round.
                    self.queued.make_contiguous().sort_by_key(|offer| matches!(offer, Offer::End));
                    if let Some(offer) = self.queued.pop_front() {
                        return Ok(offer);
                    }
                }
                Index::DeleteStats => {
                    // An echo of what the generator said.
                    for _ in 0..5 {
                        self.peer
                            .read(|input| input.read_varint_in("deleted_files", 0, 1 << 28))?;
                    }
                }
                Index::ListEnd => {
                    self.lists.end().map_err(|error| Error::wire(Role::Receiver, error))?;
                    return Ok(Offer::ListsEnd);
                }
                Index::List(number) => {
                    let announced = self.lists.announce(number);
                    announced.map_err(|error| Error::wire(Role::Receiver, error))?;
                    let entry =
                        self.lists.directory(number).map(syncline_wire::list::EntryRef::to_entry);
                    return self.read_list(entry.map(|entry| (number, entry)));
                }
            }
        }
    }

    /// Values of the entry's attributes, where the item brings some.
    fn read_xattrs(&mut self, index: u32, item: &Item) -> Result<Option<Arc<XattrSet>>> {
        if !self.exchange.follows(item) {
            return Ok(None);
        }
        let wire = |error| Error::wire(Role::Receiver, error);
        let position = self.lists.entry(index).map_err(wire)?.xattrs();
        let Some(position) = position else { return Ok(None) };
        let table = &mut self.decoder.attributes.xattrs;
        let Some(set) = table.get_mut(position) else { return Ok(None) };
        let input = &mut self.peer.input;
        match read_xattr_values(input, set) {
            Ok(()) => Ok(table.shared(position)),
            Err(error) => Err(self.peer.failed(error)),
        }
    }

    fn is_keep_alive(&self, index: u32, item: &Item) -> bool {
        self.protocol.number() == 29
            && index == self.lists.next_first()
            && item.flags == syncline_wire::ItemFlags::IS_NEW
    }
}

/// Where relative names start, for messages.
fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The names a client asked for, and what it excludes itself.
#[derive(Debug)]
pub(crate) struct Asked {
    checks: ReceiverChecks,
    requests: Option<RequestList>,
}

impl Asked {
    pub(crate) fn new(rules: &ClientRules, requests: Option<RequestList>) -> Self {
        Self { checks: ReceiverChecks::new(rules, requests.clone()), requests }
    }

    /// Refuses the entry just read, or keeps a hostile sender from widening deletion with it.
    fn check_last(&self, list: &mut FileList) -> Result<()> {
        let Some(position) = list.len().checked_sub(1) else { return Ok(()) };
        let Some(entry) = list.get(position) else { return Ok(()) };
        if !entry.is_active() {
            // A name that cannot be said here names nothing.
            return Ok(());
        }
        let path = entry.path();
        let path = path.strip_prefix(b"/").unwrap_or(&path);
        let is_directory = entry.is_directory();
        let name = if is_directory { Name::directory(path) } else { Name::file(path) };
        self.checks
            .check(&name)
            .map_err(|error| Error::fatal(ExitCode::UNSUPPORTED, error.to_string()))?;
        let Some(requests) = self.requests.as_ref().filter(|_| is_directory) else {
            return Ok(());
        };
        let way = if matches!(path, b"." | b"") {
            !requests.asks_for_root_contents()
        } else {
            requests.is_only_a_parent(path)
        };
        if way {
            list.set_role(position, DirectoryRole::Implied);
        }
        Ok(())
    }
}

impl Offers for FarOffers {
    fn next(&mut self) -> Result<Offer> {
        if let Some(offer) = self.queued.pop_front() {
            if let (Offer::End, Some(pace)) = (&offer, &self.pace) {
                // No answer of the peer has waited for the generator's last word.
                pace.wait_for_end();
            }
            return Ok(offer);
        }
        if !self.first_list_read {
            let watch = Stopwatch::start();
            let offer = self.read_list(None)?;
            self.first_list_read = true;
            self.monitor.tally().list_build.set(watch.milliseconds());
            let Offer::List(received) = &offer else { return Ok(offer) };
            if !self.peer.terms.incremental() {
                self.monitor.tell(&Event::Listed(received.list.len()));
                self.queued.push_back(Offer::ListsEnd);
            }
            return Ok(offer);
        }
        self.next_index()
    }

    fn lists(&mut self) -> &mut FileLists {
        &mut self.lists
    }

    fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        let waker = self.peer.input.get_ref().waker();
        Some(Box::new(move || waker.wake()))
    }

    fn extras(&self) -> &Extras {
        &self.extras
    }

    fn content(&mut self) -> Result<Content<'_>> {
        if self.dry {
            self.head = SumHead::default();
        } else {
            let (protocol, digest_length) = (self.protocol, self.digest_length);
            self.head = self.peer.read(|input| SumHead::decode(input, protocol, digest_length))?;
        }
        self.tokens.start(self.head.count);
        Ok(Content::Tokens(self))
    }
}

impl Tokens for FarOffers {
    fn head(&self) -> SumHead {
        self.head
    }

    fn next(&mut self) -> Result<Token<'_>> {
        match self.tokens.next(&mut self.peer.input) {
            Ok(token) => Ok(token),
            Err(error) => Err(self.peer.failed(error)),
        }
    }

    fn wants_blocks(&self) -> bool {
        self.tokens.needs_blocks()
    }

    fn saw_block(&mut self, data: &[u8]) {
        self.tokens.insert(data);
    }

    fn digest(&mut self) -> Result<Vec<u8>> {
        let length = self.digest_length;
        self.peer.read(|input| input.read_vec(length))
    }

    fn received(&self) -> u64 {
        self.peer.input.received()
    }
}

/// What is said to a source at the other end.
#[derive(Debug)]
pub(crate) struct FarRequests {
    output: Output,
    protocol: Protocol,
    dry: bool,
    exchange: XattrExchange,
    out_index: IndexEncoder,
}

impl FarRequests {
    pub(crate) fn new(peer: &Peer, job: &Job) -> Self {
        let protocol = peer.terms.protocol;
        peer.output.share();
        Self {
            output: peer.output.clone(),
            protocol,
            dry: job.is_dry(),
            exchange: XattrExchange::new(job, &peer.terms),
            out_index: IndexEncoder::new(protocol),
        }
    }

    fn put_sums(out: &mut Vec<u8>, sums: Sums<'_>) {
        let mut put = |fields: [i32; 4]| fields.into_iter().for_each(|field| out.put_i32(field));
        match sums {
            Sums::Nothing => put([0; 4]),
            Sums::Prefix(header) => put(header.to_wire()),
            Sums::Blocks(header, signature) => {
                put(header.to_wire());
                for (weak, strong) in signature.blocks() {
                    out.put_i32(weak as i32);
                    out.put(strong);
                }
            }
        }
    }

    fn failed(error: std::io::Error) -> Error {
        Error::system(ExitCode::SOCKET, Role::Generator, "write error", error)
    }
}

impl Requests for FarRequests {
    fn item(&mut self, request: &Request<'_>) -> Result<()> {
        let transfers = request.item.is_transfer();
        if !transfers && !self.protocol.has_item_flags() {
            return Ok(());
        }
        {
            let mut out = self.output.buffer();
            self.out_index.encode(&mut out, Index::File(request.index));
            request.item.encode(&mut out, self.protocol);
            if self.exchange.follows(request.item) {
                put_xattr_request(&mut out, request.values.iter().copied());
            }
            if transfers && !self.dry {
                Self::put_sums(&mut out, request.basis);
            }
        }
        self.output.commit().map_err(Self::failed)
    }

    fn done(&mut self) -> Result<()> {
        self.out_index.encode(&mut self.output.buffer(), Index::Done);
        self.flush()
    }

    fn delete_stats(&mut self, counts: [u32; 5]) -> Result<()> {
        if !self.protocol.has_delete_stats() {
            return Ok(());
        }
        let mut out = self.output.buffer();
        self.out_index.encode(&mut out, Index::DeleteStats);
        for count in counts {
            out.put_varint(count as i32);
        }
        Ok(())
    }

    fn success(&mut self, index: u32) -> Result<()> {
        self.output.flush().map_err(Self::failed)?;
        self.output.queue().message(Message::Success(index));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush().map_err(Self::failed)
    }
}
