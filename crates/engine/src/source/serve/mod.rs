//! Answering a sink over a connection (docs/spec delta.md 1, session.md 11, filelist.md 8).

mod content;
mod ends;
mod exact;
mod lists;
mod xattrs;

use std::collections::{HashMap, HashSet, VecDeque};

use crossbeam_channel::Receiver;
use syncline_fs::{OpenSource, SourceFile};
use syncline_options::options::{Append, RemoveSource};
use syncline_options::values::flags::Debug;
use syncline_wire::list::{FileKind, FileLists};
use syncline_wire::{
    Index, IndexDecoder, IndexEncoder, IoErrors, Item, ItemFlags, Message, TokenEncoder, WireWrite,
};

use super::emit::{Origins, Scanned};
use super::remove::remove_source;
use super::tree::{Base, Tree};
use crate::session::Peer;
use crate::{
    Error, Event, ExitCode, ItemEvent, Job, Monitor, Moved, Problem, Progress, Result, Role,
    Severity, Stopwatch, Terms,
};
use exact::{Version, spoil};

/// Entries beyond the list in work that are sent before anything is waited for (filelist.md 8.5).
const AHEAD: usize = 1000;

/// Entries beyond the list in work that are sent while there is nothing else to do.
const FAR_AHEAD: usize = 3000;

/// How much of a file is read at once.
const READ: usize = 128 * 1024;

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
        .and_then(|tokens| tokens.with_threads(job.options.data.compress_threads))
        .map_err(|error| Error::wire(Role::Sender, error))?;
    let append = terms.append(&job.options);
    // The sink never waits for this thread with data of its own unread.
    peer.output.write_here();
    let tracks_sent = append != Append::No || job.options.data.inplace;
    let mut serve = Serve {
        peer,
        job,
        tree,
        scanned,
        monitor,
        lists: FileLists::new(&options),
        origins: VecDeque::new(),
        directories: Vec::new(),
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
        tells_items: monitor.wants_items(),
        owed: HashMap::new(),
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
    /// The base of each directory, by its number.
    directories: Vec<u32>,
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
    tells_items: bool,
    /// Values of attributes that were asked for with an item that could not be sent, by their set.
    owed: HashMap<u32, Vec<u32>>,
    round: u8,
    buffer: Vec<u8>,
}

impl Serve<'_> {
    fn run(&mut self) -> Result<()> {
        let watch = Stopwatch::start();
        let sent = self.send_first_list();
        // Why nothing could be written shows in what the peer has said.
        if sent.as_ref().map_or_else(|error| error.exit_code() == ExitCode::SOCKET, |()| true) {
            self.peer.confirm()?;
            self.terms.seed = self.peer.terms.seed;
        }
        sent?;
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
        let values = self.read_xattr_request(index, &item)?;
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
            self.put_xattr_values(index, values)?;
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
        self.transfer(index, &item, values)
    }

    fn transfer(&mut self, index: u32, item: &Item, values: Option<Vec<u32>>) -> Result<()> {
        let redo = self.sent.as_mut().is_some_and(|sent| !sent.insert(index));
        let before = self.peer.input.received();
        let header = self.read_header()?;
        let appends = self.append != Append::No && !redo;
        let signature =
            if appends || header.count() == 0 { None } else { Some(self.read_signature(header)?) };
        let sums = self.peer.input.received() - before;
        let (base, name) = self.origin(index)?;
        let opened = match self.open(index, &base, &name, appends)? {
            Some(file) => self.version(index, &file)?.map(|version| (file, version)),
            None => None,
        };
        let Some((file, version)) = opened else {
            return self.owe_xattr_values(index, values);
        };
        let shown = || base.show(&name);
        self.monitor.trace(Debug::Send, 1, || [b"[sender] sending ", &shown()[..]].concat());
        self.tell_item_of(Some(&base), index, item, None);
        let start = self.written();
        self.echo(index, item);
        self.put_xattr_values(index, values)?;
        // The sink at the other end reads no content: it goes into the batch.
        let diverts = self.job.options.batch.only_write && !self.job.is_server();
        if diverts {
            self.peer.output.divert(true).map_err(|error| self.peer.unwritten(error))?;
        }
        {
            let mut out = self.peer.output.buffer();
            header.to_wire().into_iter().for_each(|field| out.put_i32(field));
        }
        let in_place = self.updates_basis(item, redo);
        let mut sending = Sending { file: &file, position: 0, failed: false };
        let strong = self.terms.transfer_sum();
        let mut digest = if appends {
            let mut hasher = strong.file_hasher();
            self.append(index, &mut sending, &header, &mut hasher)?;
            hasher.finish()
        } else if let Some(signature) = signature {
            let table = || format!("[sender] table of {} blocks", header.count()).into_bytes();
            self.monitor.trace(Debug::Hash, 1, table);
            let blocks = || {
                let (count, length) = (header.count(), header.block_length());
                [format!("[sender] {count} blocks of {length} bytes for ").as_bytes(), &shown()]
                    .concat()
            };
            self.monitor.trace(Debug::Deltasum, 2, blocks);
            let mut hasher = strong.file_hasher();
            self.send_delta(index, &mut sending, signature, in_place, &mut hasher)?;
            hasher.finish()
        } else if file.length() <= READ as u64 {
            self.send_small(index, &mut sending)?;
            strong.file(&self.buffer)
        } else {
            let mut hasher = strong.file_hasher();
            self.send_whole(index, &mut sending, &mut hasher)?;
            hasher.finish()
        }
        .as_ref()
        .to_vec();
        if self.job.exact && (sending.failed || Version::of(&file) != Some(version)) {
            spoil(&mut digest);
            self.withhold(index, None)?;
        } else if sending.failed {
            spoil(&mut digest);
            self.tell_unread(&shown());
        }
        {
            let mut out = self.peer.output.buffer();
            self.tokens.end(&mut out).map_err(|error| Error::wire(Role::Sender, error))?;
            out.extend_from_slice(&digest);
        }
        if diverts {
            self.peer.output.divert(false).map_err(|error| self.peer.unwritten(error))?;
        }
        let data = self.written() - start;
        self.tell_progress(index, file.length(), file.length(), true);
        let moved = Moved { data, sums, digest: Some(&digest) };
        self.tell_item_of(Some(&base), index, item, Some(moved));
        self.commit()
    }

    /// Opens the content of an entry; none if it cannot be sent, which the sink is told.
    fn open(
        &mut self,
        index: u32,
        base: &Base,
        name: &[u8],
        appends: bool,
    ) -> Result<Option<SourceFile>> {
        let attributes = &self.job.options.attributes;
        let how =
            OpenSource { no_atime: attributes.open_noatime, devices: attributes.copy_devices };
        let follow = attributes.copy_links
            || attributes.copy_unsafe_links
            || attributes.copy_dirlinks
            || attributes.insecure_links;
        let error = match self.tree.open(base, name, how, follow) {
            Ok(file) => {
                let entry = appends.then(|| self.lists.entry(index)).and_then(Result::ok);
                let listed = entry.map_or(0, syncline_wire::list::EntryRef::size);
                if file.length() >= listed {
                    return Ok(Some(file));
                }
                let shown = self.job.quote(&base.show(name));
                let text = [b"skipped diminished file: ", &shown[..]].concat();
                self.monitor.problem(Problem::new(Severity::Warning, text));
                self.no_send(index);
                return Ok(None);
            }
            Err(error) => error,
        };
        let shown = base.show(name);
        if self.job.exact {
            let reason = error.reason();
            // Anything else says that something else has the name now.
            let unreadable = matches!(
                error.errno(),
                Some(
                    syncline_fs::Errno::ACCESS | syncline_fs::Errno::PERM | syncline_fs::Errno::IO
                )
            );
            self.withhold(index, unreadable.then_some(&reason))?;
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
        let place = self.lists.locate(index).map_err(|error| self.own(error))?;
        let number = match place {
            syncline_wire::list::Place::Entry { list: number, position } => {
                let list = self.lists.list(number);
                let entry = list.and_then(|list| Some((list.first(), list.get(position)?)));
                let origins = self.origins.get(number - self.lists.oldest());
                let (Some((first, entry)), Some(origins)) = (entry, origins) else {
                    return Err(self.own(syncline_wire::Error::ClearedIndex(index)));
                };
                origins.of(entry.wire_index() - first)
            }
            syncline_wire::list::Place::Directory(number) => {
                self.directories.get(number as usize).copied().unwrap_or(0)
            }
        };
        self.tree.base(number).ok_or(Error::Stopped)
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

    fn echo(&mut self, index: u32, item: &Item) {
        let mut out = self.peer.output.buffer();
        self.out_index.encode(&mut out, Index::File(index));
        item.encode(&mut out, self.terms.protocol);
    }

    fn tell_item(&self, index: u32, item: &Item, moved: Option<Moved<'_>>) {
        if self.tells_items {
            self.tell_item_of(self.base(index).ok().as_deref(), index, item, moved);
        }
    }

    fn tell_item_of(&self, base: Option<&Base>, index: u32, item: &Item, moved: Option<Moved<'_>>) {
        let (true, Ok(entry)) = (self.tells_items, self.lists.entry(index)) else { return };
        let leader = item.name.as_deref().filter(|_| !item.is_transfer());
        let top = base.map_or(&b""[..], Base::top);
        let (target, dressed) = (None, false);
        let event =
            ItemEvent { entry, flags: item.flags, top, leader, target, base, moved, dressed };
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
