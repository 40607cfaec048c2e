//! Answering a sink over a connection (docs/spec delta.md 1, session.md 11, filelist.md 8).

use std::collections::{HashSet, VecDeque};
use std::io::Read;

use crossbeam_channel::{Receiver, TryRecvError};
use syncline_delta::{
    FileHasher, MAX_BLOCK_LENGTH, MAX_BLOCK_LENGTH_BEFORE_30, Operation, Search, SearchIndex,
    Signature, SignatureBuilder, SumHeader,
};
use syncline_fs::{OpenSource, SourceFile};
use syncline_options::options::{Append, RemoveSource};
use syncline_wire::list::{FileKind, FileLists};
use syncline_wire::{
    BasisType, CompatFlags, Index, IndexDecoder, IndexEncoder, IoErrors, Item, ItemFlags, Message,
    TokenEncoder, WireRead, WireWrite,
};

use super::emit::{Origins, Scanned};
use super::remove::remove_source;
use super::tree::{Base, Tree};
use crate::session::Peer;
use crate::{
    Error, Event, ExitCode, ItemEvent, Job, Monitor, Moved, Problem, Progress, Result, Role,
    Severity, Stopwatch, Terms,
};

/// Entries beyond the list in work that are sent before anything is waited for (filelist.md 8.5).
const AHEAD: usize = 1000;

/// Entries beyond the list in work that are sent while there is nothing else to do.
const FAR_AHEAD: usize = 10_000;

/// How much of a file is read at once.
const READ: usize = 256 * 1024;

/// Serves until the sink has said goodbye.
pub(crate) fn serve(
    peer: &mut Peer,
    job: &Job,
    tree: &Tree,
    scanned: Receiver<Scanned>,
    monitor: &Monitor,
) -> Result<()> {
    let terms = peer.terms.clone();
    let protocol = terms.protocol;
    let options = terms.list_options(&job.options);
    let (method, level) = terms.compression;
    let tokens = TokenEncoder::new(method, Some(level), protocol)
        .map_err(|error| Error::wire(Role::Sender, error))?;
    let append = terms.append(&job.options);
    let tracks_sent = append != Append::No || job.options.data.inplace;
    let mut serve = Serve {
        peer,
        job,
        tree,
        scanned,
        monitor,
        lists: FileLists::new(&options),
        origins: VecDeque::new(),
        sent_lists: VecDeque::new(),
        current: 0,
        ahead: 0,
        all_listed: false,
        in_index: IndexDecoder::new(protocol),
        out_index: IndexEncoder::new(protocol),
        tokens,
        append,
        sent: tracks_sent.then(HashSet::new),
        told_errors: IoErrors::NONE,
        round: 0,
        buffer: Vec::new(),
        terms,
    };
    serve.run()
}

struct Serve<'a> {
    peer: &'a mut Peer,
    job: &'a Job,
    tree: &'a Tree,
    scanned: Receiver<Scanned>,
    monitor: &'a Monitor,
    terms: Terms,
    lists: FileLists,
    /// Origins of the live lists.
    origins: VecDeque<Origins>,
    /// Numbers of entries of the lists behind the current one.
    sent_lists: VecDeque<usize>,
    /// The list the last item belonged to, counted from the first.
    current: usize,
    /// Entries in the lists behind it.
    ahead: usize,
    all_listed: bool,
    in_index: IndexDecoder,
    out_index: IndexEncoder,
    tokens: TokenEncoder,
    append: Append,
    /// Indexes sent before, where a redo changes the rules.
    sent: Option<HashSet<u32>>,
    told_errors: IoErrors,
    round: u8,
    buffer: Vec<u8>,
}

impl Serve<'_> {
    fn run(&mut self) -> Result<()> {
        let watch = Stopwatch::start();
        self.send_first_list()?;
        self.monitor.tally().list_build.set(watch.milliseconds());
        let empty = self.lists.list(0).is_none_or(syncline_wire::list::FileList::is_empty);
        if empty && self.job.is_server() {
            self.flush()?;
            self.peer.output.queue().drain();
            return Ok(());
        }
        loop {
            if self.send_lists_ahead()? {
                continue;
            }
            if !self.peer.wait()? {
                if !self.take_messages()? && self.peer.at_end()? {
                    return Err(self.peer.failed(syncline_wire::Error::Closed));
                }
                continue;
            }
            let index = self.peer.read(|input| self.in_index.decode(input))?;
            self.take_messages()?;
            match index {
                Index::File(index) => self.item(index)?,
                Index::Done => {
                    if self.done()? {
                        break;
                    }
                }
                Index::DeleteStats => self.delete_stats()?,
                other => {
                    let last = i64::from(self.lists.next_first()) - 1;
                    let error = syncline_wire::Error::InvalidIndex { index: other.number(), last };
                    return Err(Error::wire(Role::Sender, error));
                }
            }
        }
        self.flush()?;
        self.peer.output.queue().drain();
        Ok(())
    }

    // ---- lists ----

    fn send_first_list(&mut self) -> Result<()> {
        while !matches!(self.next_scanned()?, Some(true)) {}
        if self.job.is_server() || self.terms.incremental() {
            return Ok(());
        }
        let count = self.lists.list(0).map_or(0, syncline_wire::list::FileList::len);
        self.monitor.tell(&Event::Listed(count));
        Ok(())
    }

    /// Sends what the sink must, or might as well, know already; whether anything was sent.
    fn send_lists_ahead(&mut self) -> Result<bool> {
        if self.all_listed {
            return Ok(false);
        }
        if self.ahead < AHEAD {
            self.next_scanned()?;
            return Ok(true);
        }
        if self.ahead < FAR_AHEAD && !self.peer.input.get_ref().has_data() {
            return match self.scanned.try_recv() {
                Ok(scanned) => {
                    self.pass_on(scanned)?;
                    Ok(true)
                }
                Err(TryRecvError::Empty) => Ok(false),
                Err(TryRecvError::Disconnected) => Err(Error::Stopped),
            };
        }
        Ok(false)
    }

    /// Takes the next delivery of the scan; `Some(true)` if it completed a list.
    fn next_scanned(&mut self) -> Result<Option<bool>> {
        let scanned = match self.scanned.try_recv() {
            Ok(scanned) => scanned,
            Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            Err(TryRecvError::Empty) => {
                self.flush()?;
                self.scanned.recv().map_err(|_| Error::Stopped)?
            }
        };
        self.pass_on(scanned)
    }

    fn pass_on(&mut self, scanned: Scanned) -> Result<Option<bool>> {
        match scanned {
            Scanned::Part(bytes) => {
                self.peer.output.buffer().extend_from_slice(&bytes);
                self.commit()?;
                Ok(Some(false))
            }
            Scanned::List { directory, bytes, list, origins } => {
                {
                    let mut out = self.peer.output.buffer();
                    if let Some(directory) = directory {
                        self.out_index.encode(&mut out, Index::List(directory));
                    }
                    out.extend_from_slice(&bytes);
                }
                if let Some(directory) = directory {
                    self.lists.announce(directory).map_err(|error| self.own(error))?;
                    self.ahead += list.len();
                    self.sent_lists.push_back(list.len());
                }
                self.lists.add(list, directory).map_err(|error| self.own(error))?;
                self.origins.push_back(origins);
                self.tell_errors();
                self.commit()?;
                if !self.terms.incremental() {
                    self.all_listed = true;
                }
                Ok(Some(true))
            }
            Scanned::End => {
                if self.terms.incremental() && !self.all_listed {
                    self.out_index.encode(&mut self.peer.output.buffer(), Index::ListEnd);
                    self.lists.end().map_err(|error| self.own(error))?;
                }
                self.all_listed = true;
                Ok(None)
            }
        }
    }

    /// Where lists cannot carry I/O errors, or protocol 30 has new ones, a message does (filelist.md 3.3).
    fn tell_errors(&mut self) {
        let errors = self.monitor.tally().io_errors();
        let in_lists = self.terms.protocol.always_safe_list()
            || self.terms.compat.contains(CompatFlags::VARINT_FLAGS)
            || self.terms.protocol.has_io_error_int();
        if !in_lists && errors != self.told_errors && !self.job.options.delete.ignore_errors {
            self.peer.output.queue().message(Message::IoError(errors));
        }
        self.told_errors = errors;
    }

    /// The list an index belongs to is the one in work now.
    fn advance_to(&mut self, list: usize) {
        while self.current < list {
            self.current += 1;
            self.ahead -= self.sent_lists.pop_front().unwrap_or(0);
        }
    }

    // ---- requests ----

    fn item(&mut self, index: u32) -> Result<()> {
        let protocol = self.terms.protocol;
        let item = self.peer.read(|input| Item::decode(input, protocol))?;
        let keep_alive = protocol.number() == 29
            && index == self.lists.next_first()
            && item.flags == ItemFlags::IS_NEW;
        if keep_alive {
            self.peer.output.queue().message(Message::KeepAlive { answer: false });
            return Ok(());
        }
        let found = self.lists.locate(index).map_err(|error| self.own(error))?;
        if let syncline_wire::list::Place::Entry { list, .. } = found {
            self.advance_to(list);
        }
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        let kind = entry.kind();
        if item.flags.contains(ItemFlags::IS_NEW) {
            self.monitor.tally().created.add(kind);
        }
        if !item.is_transfer() {
            self.tell_item(index, &item, None);
            self.echo(index, &item);
            self.tell_item(index, &item, Some(Moved::default()));
            return self.commit();
        }
        if kind != FileKind::Regular {
            let text = format!("received request to transfer non-regular file: {index} [sender]");
            return Err(Error::fatal(ExitCode::PROTOCOL, text));
        }
        if self.round >= 2 {
            return Err(self.own(syncline_wire::Error::TransferInLastPhase));
        }
        let tally = self.monitor.tally();
        tally.transferred.add(1);
        tally.transferred_size.add(entry.size());
        if self.job.is_dry() {
            self.tell_item(index, &item, None);
            self.echo(index, &item);
            self.tell_item(index, &item, Some(Moved::default()));
            return self.commit();
        }
        self.transfer(index, &item)
    }

    fn transfer(&mut self, index: u32, item: &Item) -> Result<()> {
        let redo = self.sent.as_mut().is_some_and(|sent| !sent.insert(index));
        let before = self.peer.input.received();
        let header = self.read_header()?;
        let appends = self.append != Append::No && !redo;
        let signature =
            if appends || header.count() == 0 { None } else { Some(self.read_signature(header)?) };
        let sums = self.peer.input.received() - before;
        let Some((file, shown)) = self.open(index, appends)? else { return Ok(()) };
        let Some(version) = self.version(index, &file)? else { return Ok(()) };
        self.tell_item(index, item, None);
        let start = self.written();
        self.echo(index, item);
        {
            let mut out = self.peer.output.buffer();
            header.to_wire().into_iter().for_each(|field| out.put_i32(field));
        }
        let in_place = self.updates_basis(item, redo);
        let mut sending = Sending { file: &file, position: 0, failed: false };
        let mut hasher = self.terms.transfer_sum().file_hasher();
        if appends {
            self.append(index, &mut sending, &header, &mut hasher)?;
        } else if let Some(signature) = signature {
            self.send_delta(index, &mut sending, signature, in_place, &mut hasher)?;
        } else {
            self.send_whole(index, &mut sending, &mut hasher)?;
        }
        let mut digest = hasher.finish().as_ref().to_vec();
        if self.job.exact && (sending.failed || !Version::of(&file).is_some_and(|now| now == version))
        {
            spoil(&mut digest);
            self.withhold(index, None)?;
        } else if sending.failed {
            spoil(&mut digest);
            self.tell_unread(&shown);
        }
        {
            let mut out = self.peer.output.buffer();
            self.tokens.end(&mut out).map_err(|error| Error::wire(Role::Sender, error))?;
            out.extend_from_slice(&digest);
        }
        let data = self.written() - start;
        self.tell_progress(index, file.length(), file.length(), true);
        self.tell_item(index, item, Some(Moved { data, sums, digest: Some(&digest) }));
        self.commit()
    }

    /// Whether blocks are taken from the file that is being written (delta.md 11).
    fn updates_basis(&self, item: &Item, redo: bool) -> bool {
        let partial = self.terms.compat.contains(CompatFlags::INPLACE_PARTIAL_DIR)
            && item.basis() == BasisType::Partial;
        let data = &self.job.options.data;
        let in_place = data.inplace
            && if self.terms.protocol.has_item_flags() {
                item.basis() == BasisType::Destination
            } else {
                !data.backup || redo
            };
        partial || in_place
    }

    fn read_header(&mut self) -> Result<SumHeader> {
        let longest = if self.terms.protocol.has_varints() {
            MAX_BLOCK_LENGTH
        } else {
            MAX_BLOCK_LENGTH_BEFORE_30
        };
        let fields = self.peer.read(|input| {
            Ok([input.read_i32()?, input.read_i32()?, input.read_i32()?, input.read_i32()?])
        })?;
        let digest_length = self.terms.transfer_sum().digest_length();
        SumHeader::from_wire(fields, longest, digest_length)
            .map_err(|error| Error::fatal(ExitCode::PROTOCOL, format!("{error} [sender]")))
    }

    fn read_signature(&mut self, header: SumHeader) -> Result<Signature> {
        let strong = self.terms.transfer_sum();
        let bad = |error: syncline_delta::Error| {
            Error::fatal(ExitCode::PROTOCOL, format!("{error} [sender]"))
        };
        let mut builder = SignatureBuilder::new(header, strong).map_err(bad)?;
        let length = header.strong_length();
        let surplus = header.surplus();
        let limit = self.job.options.connection.max_alloc;
        let cost = 4 + length as u64;
        if limit > 0 && u64::from(header.count()) * cost.max(24) > limit {
            let text =
                format!("[sender] exceeded --max-alloc={limit} setting (file=serve.rs, line=0)");
            return Err(Error::fatal(ExitCode::MEMORY, text));
        }
        self.peer.read(|input| {
            let mut record = [0; 64];
            for _ in 0..header.count() {
                let weak = input.read_u32()?;
                let sum = &mut record[..length + surplus];
                input.read_exact(sum)?;
                // Cannot fail: as many records as announced, each of the announced length.
                let _ = builder.push(weak, &sum[..length]);
            }
            Ok(())
        })?;
        builder.finish().map_err(bad)
    }

    /// Opens the content of an entry; none if it cannot be sent, which the sink is told.
    fn open(&mut self, index: u32, appends: bool) -> Result<Option<(SourceFile, Vec<u8>)>> {
        let (base, name) = self.origin(index)?;
        let shown = base.show(&name);
        let attributes = &self.job.options.attributes;
        let how =
            OpenSource { no_atime: attributes.open_noatime, devices: attributes.copy_devices };
        let follow = attributes.copy_links
            || attributes.copy_unsafe_links
            || attributes.copy_dirlinks
            || attributes.insecure_links;
        let error = match self.tree.open(&base, &name, how, follow) {
            Ok(file) => {
                let listed = self.lists.entry(index).map_or(0, syncline_wire::list::EntryRef::size);
                if !(appends && file.length() < listed) {
                    return Ok(Some((file, shown)));
                }
                let text = [b"skipped diminished file: ", &self.job.quote(&shown)[..]].concat();
                self.monitor.problem(Problem::new(Severity::Warning, text));
                self.no_send(index);
                return Ok(None);
            }
            Err(error) => error,
        };
        if self.job.exact {
            let reason = error.reason();
            self.withhold(index, (!error.is_missing()).then_some(&reason))?;
        } else if error.is_missing() {
            let text = [b"file has vanished: ", &self.job.quote(&shown)[..]].concat();
            self.monitor.problem(Problem::new(Severity::Warning, text));
            self.fail(IoErrors::VANISHED);
        } else {
            let text = [
                b"rsync: [sender] send_files failed to open ",
                &self.job.quote(&shown)[..],
                b": ",
                error.reason().as_bytes(),
            ]
            .concat();
            self.monitor.problem(Problem::new(Severity::Transfer, text));
            self.fail(IoErrors::GENERAL);
        }
        self.no_send(index);
        Ok(None)
    }

    fn no_send(&mut self, index: u32) {
        if self.terms.protocol.has_varints() {
            self.peer.output.queue().message(Message::NoSend(index));
        }
    }

    fn fail(&mut self, errors: IoErrors) {
        self.monitor.tally().add_io_errors(errors);
        let all = self.monitor.tally().io_errors();
        if self.terms.protocol.has_varints()
            && all != self.told_errors
            && !self.job.options.delete.ignore_errors
        {
            self.peer.output.queue().message(Message::IoError(all));
            self.told_errors = all;
        }
    }

    /// Where an entry is: its base and its name as it was scanned.
    fn origin(&self, index: u32) -> Result<(std::sync::Arc<Base>, Vec<u8>)> {
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        Ok((self.base(index)?, entry.path()))
    }

    fn base(&self, index: u32) -> Result<std::sync::Arc<Base>> {
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        let place = self.lists.locate(index).map_err(|error| self.own(error))?;
        let number = match place {
            syncline_wire::list::Place::Entry { list, .. } => {
                let origins = self.origins.get(list - self.lists.oldest());
                let first = self.lists.list(list).map_or(0, syncline_wire::list::FileList::first);
                origins.map_or(0, |origins| origins.of(entry.wire_index() - first))
            }
            syncline_wire::list::Place::Directory(_) => 0,
        };
        self.tree.base(number).ok_or(Error::Stopped)
    }

    // ---- content ----

    fn send_whole(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let length = sending.file.length();
        while sending.position < length {
            let mut buffer = std::mem::take(&mut self.buffer);
            let wanted = (length - sending.position).min(READ as u64) as usize;
            buffer.resize(wanted, 0);
            sending.fill(&mut buffer);
            self.send_data(&buffer, hasher)?;
            self.buffer = buffer;
            self.tell_progress(index, sending.position, length, false);
            self.monitor.tally().literal.add(wanted as u64);
        }
        Ok(())
    }

    fn send_data(&mut self, data: &[u8], hasher: &mut FileHasher) -> Result<()> {
        hasher.update(data);
        {
            let mut out = self.peer.output.buffer();
            self.tokens.data(&mut out, data).map_err(|error| Error::wire(Role::Sender, error))?;
        }
        self.commit()
    }

    fn append(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        header: &SumHeader,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let prefix = header.covered().min(sending.file.length());
        if self.append == Append::Verify {
            let mut buffer = std::mem::take(&mut self.buffer);
            while sending.position < prefix {
                buffer.resize((prefix - sending.position).min(READ as u64) as usize, 0);
                sending.fill(&mut buffer);
                hasher.update(&buffer);
            }
            self.buffer = buffer;
        }
        sending.position = prefix;
        self.send_whole(index, sending, hasher)
    }

    fn send_delta(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        signature: Signature,
        in_place: bool,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let length = sending.file.length();
        let search_index = SearchIndex::new(signature);
        let mut search = Search::new(&search_index);
        if in_place {
            search = search.in_place();
        }
        let room = READ.max(4 * search.window());
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut start = 0;
        loop {
            // What is left of the last round moves to the front, and more is read behind it.
            buffer.drain(..start);
            let kept = buffer.len();
            let more = (length - sending.position).min((room - kept) as u64) as usize;
            buffer.resize(kept + more, 0);
            sending.fill(&mut buffer[kept..]);
            let at_end = sending.position >= length;
            let mut done = 0;
            start = search.scan(&buffer, at_end, |operation| {
                let bytes = &buffer[done..done + operation.length() as usize];
                done += bytes.len();
                self.send_operation(operation, bytes, hasher)
            })?;
            self.tell_progress(
                index,
                sending.position - (buffer.len() - start) as u64,
                length,
                false,
            );
            if at_end {
                break;
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn send_operation(
        &mut self,
        operation: Operation<'_>,
        bytes: &[u8],
        hasher: &mut FileHasher,
    ) -> Result<()> {
        match operation {
            Operation::Literal(data) => {
                self.monitor.tally().literal.add(data.len() as u64);
                self.send_data(data, hasher)
            }
            Operation::Copy { block, length, .. } => {
                self.monitor.tally().matched.add(length.into());
                self.monitor.tally().matches.add(1);
                hasher.update(bytes);
                {
                    let mut out = self.peer.output.buffer();
                    self.tokens
                        .block(&mut out, block, bytes)
                        .map_err(|error| Error::wire(Role::Sender, error))?;
                }
                self.commit()
            }
        }
    }

    fn tell_unread(&mut self, shown: &[u8]) {
        let shown = self.job.quote(shown);
        let text =
            [b"rsync: [sender] read errors mapping ", &shown[..], b": Input/output error (5)"]
                .concat();
        self.monitor.problem(Problem::new(Severity::Transfer, text));
        self.fail(IoErrors::GENERAL);
    }

    /// The version of an opened file; none if it is not the one that was listed, where that matters.
    fn version(&mut self, index: u32, file: &SourceFile) -> Result<Option<Version>> {
        let Some(version) = Version::of(file) else { return Ok(Some(Version::default())) };
        if self.job.exact && self.terms.protocol.has_varints() {
            let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
            let (seconds, nanoseconds) = entry.mtime();
            let same = version.size == entry.size()
                && version.mtime == seconds
                && (version.mtime_nsec == i64::from(nanoseconds)
                    || !self.terms.protocol.has_nanoseconds());
            if !same {
                self.no_send(index);
                self.withhold(index, None)?;
                return Ok(None);
            }
        }
        Ok(Some(version))
    }

    fn withhold(&self, index: u32, why: Option<&str>) -> Result<()> {
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        self.monitor.tell(&Event::Withheld { path: &entry.path(), why });
        Ok(())
    }

    // ---- ends ----

    /// A round of the sink is over (session.md 11.1); whether it was the last.
    fn done(&mut self) -> Result<bool> {
        if self.round == 0 && self.terms.incremental() {
            self.lists.release_oldest();
            self.origins.pop_front();
            if self.lists.oldest() < self.lists.arrived() || !self.all_listed {
                let oldest = self.lists.oldest();
                self.advance_to(oldest.max(self.current));
                self.put_done();
                return self.commit().map(|()| false);
            }
        }
        self.round += 1;
        if self.round > self.terms.protocol.sender_rounds() {
            return Ok(true);
        }
        self.put_done();
        let last_phase = if self.terms.protocol.has_item_flags() { 3 } else { 2 };
        if self.round == last_phase && self.job.is_server() {
            self.put_statistics()?;
        }
        self.commit()?;
        Ok(false)
    }

    fn put_done(&mut self) {
        self.out_index.encode(&mut self.peer.output.buffer(), Index::Done);
    }

    fn put_statistics(&mut self) -> Result<()> {
        self.flush()?;
        self.peer.output.queue().drain();
        let protocol = self.terms.protocol;
        let tally = self.monitor.tally();
        let sent = self.peer.bytes_sent();
        let received = self.peer.input.received();
        let mut out = self.peer.output.buffer();
        let mut put = |value: u64| out.put_varlong30(value as i64, 3, protocol);
        put(received);
        put(sent);
        put(tally.total_size.get());
        if protocol.has_list_times() {
            put(tally.list_build.get());
            put(tally.list_transfer.get());
        }
        Ok(())
    }

    fn delete_stats(&mut self) -> Result<()> {
        const NAMES: [&str; 5] = [
            "deleted_files",
            "deleted_dirs",
            "deleted_symlinks",
            "deleted_devices",
            "deleted_specials",
        ];
        let counts = self.peer.read(|input| {
            let mut counts = [0_u32; 5];
            for (count, name) in counts.iter_mut().zip(NAMES) {
                *count = input.read_varint_in(name, 0, 1 << 28)?;
            }
            Ok(counts)
        })?;
        if self.job.is_server() {
            let mut out = self.peer.output.buffer();
            self.out_index.encode(&mut out, Index::DeleteStats);
            for count in counts {
                out.put_varint(count as i32);
            }
            return Ok(());
        }
        let kinds = [
            FileKind::Regular,
            FileKind::Directory,
            FileKind::Symlink,
            FileKind::BlockDevice,
            FileKind::Fifo,
        ];
        for (kind, count) in kinds.into_iter().zip(counts) {
            self.monitor.tally().deleted.add_many(kind, count.into());
        }
        Ok(())
    }

    /// Handles what came beside the data; whether there was any.
    fn take_messages(&mut self) -> Result<bool> {
        let mut any = false;
        while let Some(message) = self.peer.pending() {
            any = true;
            match message {
                Message::Success(index) => self.remove(index)?,
                // The sink's own troubles count for the exit code.
                Message::IoError(errors) => self.monitor.tally().add_io_errors(errors),
                _ => {}
            }
        }
        Ok(any)
    }

    fn remove(&mut self, index: u32) -> Result<()> {
        let wanted: Option<RemoveSource> = self.job.options.select.remove_source;
        if wanted.is_none() || self.job.is_dry() {
            return Ok(());
        }
        let (base, name) = self.origin(index)?;
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        let nanoseconds = self.terms.protocol.has_nanoseconds();
        remove_source(self.job, &base, &name, entry, nanoseconds, self.monitor);
        Ok(())
    }

    // ---- small things ----

    fn echo(&mut self, index: u32, item: &Item) {
        let mut out = self.peer.output.buffer();
        self.out_index.encode(&mut out, Index::File(index));
        item.encode(&mut out, self.terms.protocol);
    }

    fn tell_item(&self, index: u32, item: &Item, moved: Option<Moved<'_>>) {
        let Ok(entry) = self.lists.entry(index) else { return };
        let leader = item.name.as_deref().filter(|_| !item.is_transfer());
        let base = self.origin(index).ok().map(|(base, _)| base);
        let base = base.as_deref();
        let top = base.map_or(&b""[..], Base::top);
        let event = ItemEvent { entry, flags: item.flags, top, leader, base, moved };
        self.monitor.tell(&Event::Item(event));
    }

    fn tell_progress(&self, index: u32, done: u64, size: u64, last: bool) {
        if !self.monitor.wants_progress() {
            return;
        }
        if let Ok(entry) = self.lists.entry(index) {
            let tally = self.monitor.tally();
            let total = tally.files.total() as usize;
            let gaps = if self.terms.incremental() { self.current + 1 } else { 0 };
            let left = (total + gaps).saturating_sub(index as usize + 1);
            let (growing, total_size) = (!self.all_listed, tally.total_size.get());
            let progress = Progress { entry, done, size, last, left, total, growing, total_size };
            self.monitor.tell(&Event::Progress(progress));
        }
    }

    /// Bytes written and gathered so far; differences tell what a file took.
    fn written(&self) -> u64 {
        self.peer.output.handed_over() + self.peer.output.buffer().len() as u64
    }

    fn own(&self, error: syncline_wire::Error) -> Error {
        Error::wire(Role::Sender, error)
    }

    fn commit(&mut self) -> Result<()> {
        self.peer.output.commit().map_err(|error| self.peer.unwritten(error))
    }

    fn flush(&mut self) -> Result<()> {
        self.peer.output.flush().map_err(|error| self.peer.unwritten(error))
    }
}

/// What tells two versions of a file apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Version {
    size: u64,
    mtime: i64,
    mtime_nsec: i64,
    ctime: (i64, i64),
}

impl Version {
    fn of(file: &SourceFile) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let data = file.file().metadata().ok()?;
        Some(Self {
            size: data.size(),
            mtime: data.mtime(),
            mtime_nsec: data.mtime_nsec(),
            ctime: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// Makes the sink's verification fail: what was sent is not what the file holds (delta.md 9.2).
fn spoil(digest: &mut [u8]) {
    let was_zero = digest.iter().all(|&byte| byte == 0);
    digest.fill(0);
    if let (true, Some(last)) = (was_zero, digest.last_mut()) {
        *last = 1;
    }
}

/// A file being read for sending.
struct Sending<'f> {
    file: &'f SourceFile,
    position: u64,
    /// Something could not be read and went as zeros.
    failed: bool,
}

impl Sending<'_> {
    /// Fills `buffer` with the next bytes; with zeros from where they cannot be had.
    fn fill(&mut self, buffer: &mut [u8]) {
        let got =
            if self.failed { 0 } else { self.file.read_at(buffer, self.position).unwrap_or(0) };
        if got < buffer.len() {
            self.failed = true;
            buffer[got..].fill(0);
        }
        self.position += buffer.len() as u64;
    }
}
