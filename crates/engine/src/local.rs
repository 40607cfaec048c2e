//! Both ends in one process: the scan feeds the sink, and what the sink requests is copied by the file layer.
//!
//! Same lists, same decisions, same itemizing, same order of output as over a connection; no byte is encoded. What the
//! generator requests goes to a few copying threads through a bounded channel: the source file is opened and the item
//! told when it is requested, in the order of the lists; a copying thread then applies it through the sink's own apply
//! and commit, and reports to the generator. A round ends when nothing is under way.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};
use syncline_delta::SearchIndex;
use syncline_filter::{Filter, Rules, Side};
use syncline_fs::{OpenSource, SourceFile, Stat};
use syncline_options::Options;
use syncline_options::options::Append;
use syncline_options::values::chmod::Chmod;
use syncline_options::values::flags::Debug;
use syncline_wire::list::{EntryRef, FileList, FileLists, IdNames};
use syncline_wire::{CompatFlags, IoErrors, Item, Side as WireSide};

use crate::link::{Content, Offer, Offers, Received, Sums};
use crate::session::{check_options, complete, own_lines, own_version};
use crate::sink::apply::{self, Incoming, Outcome};
use crate::sink::collect::Batch;
use crate::sink::context::Context;
use crate::sink::outlet::{Order, Outlet, Report};
use crate::sink::{Link, SinkPlan, Worker, receive_with};
use crate::source::{
    Base, Names, OperatorFiles, Origins, ScanPlan, Scanned, Tree, remove_source, scan,
};
use crate::{
    Error, Event, ExitCode, Extras, Job, Monitor, Moved, Problem, Result, Role, Severity,
    Stopwatch, Terms,
};

/// Entries that may wait in lists before the scan has to.
const SCANNED_AHEAD: u32 = 20_000;

/// Files that may be open and waiting for a copying thread.
const REQUESTED_AHEAD: usize = 64;

/// More copying threads than this are no faster.
const MOST_THREADS: usize = 4;

/// What a run within this machine needs.
#[derive(Debug)]
pub struct LocalPlan {
    /// The run.
    pub job: Job,
    /// What is copied.
    pub sources: Vec<Vec<u8>>,
    /// What is copied in place of the sources.
    pub names: Option<Names>,
    /// Where it goes; none lists.
    pub destination: Option<Vec<u8>>,
    /// There is no destination.
    pub listing: bool,
    /// Where relative names start.
    pub start: PathBuf,
    /// The rules of the command line.
    pub rules: Rules,
    /// How rule files are read.
    pub files: OperatorFiles,
}

impl LocalPlan {
    /// Runs until everything is done. `begun` is told the terms.
    pub fn run(self, begun: &dyn Fn(&Terms), monitor: &Monitor) -> (Result<ExitCode>, Role) {
        let result = self.copy(begun, monitor).map(|()| monitor.tally().exit_code());
        let tally = monitor.tally();
        tally.sent.set(tally.literal.get());
        // The process the user started is the source of a local copy.
        let role = match &result {
            Ok(_) => Role::Sender,
            Err(Error::System { role, .. }) => *role,
            Err(Error::Fatal { code, .. }) if *code == ExitCode::PROTOCOL => Role::Sender,
            Err(_) => Role::Destination,
        };
        (result, role)
    }

    fn copy(self, begun: &dyn Fn(&Terms), monitor: &Monitor) -> Result<()> {
        let Self { mut job, sources, names, destination, listing, start, rules, mut files } = self;
        job.open_charset()?;
        if job.charset.is_some() && !listing {
            let text = "a copy within one process cannot convert file names (--iconv)";
            return Err(Error::fatal(ExitCode::UNSUPPORTED, text));
        }
        job.trace_charset(Role::Sender, monitor);
        let protocol = own_version(&job.options, WireSide::Client)?;
        check_options(&job.options, protocol)?;
        job.take_identity(Role::Sender)?;
        let mut terms = Terms::local(&job.options, protocol);
        begun(&terms);
        if listing {
            // One list, in order.
            terms.compat = CompatFlags(terms.compat.0 & !CompatFlags::INCREMENTAL.0);
        }
        let complete = complete(rules, &job.options, false, terms.protocol, &mut files)?;
        let mut filter = Filter::new(&complete.rules, Side::Sender);
        filter.set_role("sender");
        let names = match &job.options.select.files_from {
            _ if names.is_some() => names.unwrap_or(Names::Arguments(Vec::new())),
            None => Names::Arguments(sources),
            Some(_) => {
                let below = sources.into_iter().next().unwrap_or_default();
                Names::Lines { below, lines: own_lines(&job, &start)? }
            }
        };
        let scanning = ScanPlan {
            job: &job,
            terms: &terms,
            filter,
            start: start.clone(),
            names,
            listing,
            encodes: false,
        };
        let Some(destination) = destination.filter(|_| !listing) else {
            return list(scanning, &mut files, monitor);
        };
        let filter = Filter::new(&complete.rules, Side::Receiver);
        let plan = SinkPlan { destination, start, filter };
        run(scanning, &mut files, plan, monitor)
    }
}

/// Tells of everything there is.
fn list(scanning: ScanPlan<'_>, files: &mut OperatorFiles, monitor: &Monitor) -> Result<()> {
    let protocol = scanning.terms.protocol;
    let (deliver, scanned) = bounded(64);
    std::thread::scope(|scope| {
        let scanner =
            scope.spawn(move || scan(scanning, files, &Tree::default(), &deliver, monitor));
        for delivered in scanned {
            if let Scanned::List { mut list, .. } = delivered {
                monitor.tally().add_io_errors(list.io_errors());
                monitor.tell(&Event::Listed(list.len()));
                list.drop_duplicates(protocol);
                for entry in list.iter_sorted().filter(|entry| entry.is_active()) {
                    monitor.tell(&Event::Entry(entry));
                }
            }
        }
        scanner.join().unwrap_or(Err(Error::Stopped))
    })
}

/// Copies within this machine until everything is done.
fn run(
    scanning: ScanPlan<'_>,
    files: &mut OperatorFiles,
    plan: SinkPlan,
    monitor: &Monitor,
) -> Result<()> {
    let (job, terms) = (scanning.job, scanning.terms);
    let tree = Tree::default();
    let (deliver, scanned) = bounded(64);
    let known = Known::default();
    let (say, said) = unbounded();
    std::thread::scope(|scope| {
        let scan_tree = tree.clone();
        let scanner = scope.spawn(move || {
            let result = scan(scanning, files, &scan_tree, &deliver, monitor);
            drop(deliver);
            result
        });
        let mut offers = LocalOffers {
            monitor: monitor.clone(),
            watch: Stopwatch::start(),
            scanned: Some(scanned),
            said,
            lists: FileLists::new(&terms.list_options(&job.options)),
            known: known.clone(),
            extras: tree.extras.clone(),
            queued: VecDeque::new(),
            incremental: terms.incremental(),
            rounds: terms.protocol.generator_rounds().into(),
            heard: 0,
        };
        let sink_job = sink_job(job);
        let received =
            receive_with(&sink_job, terms, plan, &mut offers, monitor, |context, reports| {
                Near::link(context, reports, tree, known, say)
            });
        drop(offers);
        match (received, scanner.join().unwrap_or(Err(Error::Stopped))) {
            (Ok(()), Ok(()) | Err(Error::Stopped)) => Ok(()),
            // The one that failed by itself says why; the other only stopped.
            (Ok(()) | Err(Error::Stopped), Err(error)) | (Err(error), _) => Err(error),
        }
    })
}

/// What the sink is to do: `-M` speaks to it alone. How the ends are joined is the same for both.
fn sink_job(job: &Job) -> Job {
    let mut sink = job.clone();
    // Between two ends of one process these are the source's (behaviour.md 3.4).
    sink.options.attributes.munge_links = None;
    sink.options.attributes.chmod = Chmod::default();
    if let Some(receiving) = &job.receiving {
        sink.options = Options::clone(receiving);
        sink.options.connection = job.options.connection.clone();
        sink.options.batch = job.options.batch.clone();
    }
    sink
}

/// The lists that are in work, and where their entries are.
#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<VecDeque<Origin>>>);

#[derive(Debug)]
struct Origin {
    first: u32,
    length: u32,
    origins: Origins,
}

impl Known {
    fn add(&self, list: &FileList, origins: Origins) {
        let origin = Origin { first: list.first(), length: list.len() as u32, origins };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(origin);
    }

    fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    fn base(&self, entry: EntryRef<'_>) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wire = entry.wire_index();
        let found = known
            .iter()
            .find(|origin| (origin.first..origin.first + origin.length).contains(&wire));
        found.map_or(0, |origin| origin.origins.of(wire - origin.first))
    }
}

/// What the scan delivers, as offers.
#[derive(Debug)]
struct LocalOffers {
    monitor: Monitor,
    watch: Stopwatch,
    /// None when the scan is over.
    scanned: Option<Receiver<Scanned>>,
    /// Rounds the generator has ended.
    said: Receiver<()>,
    lists: FileLists,
    known: Known,
    extras: Extras,
    queued: VecDeque<Offer>,
    incremental: bool,
    rounds: usize,
    heard: usize,
}

impl LocalOffers {
    fn delivered(&mut self, scanned: Scanned) -> Result<()> {
        let own = |error| Error::wire(Role::Sender, error);
        match scanned {
            Scanned::Part(_) => {}
            Scanned::List { directory, list, origins, last, .. } => {
                let directory = match directory {
                    None => None,
                    Some(number) => {
                        self.lists.announce(number).map_err(own)?;
                        let entry = self.lists.directory(number).map(EntryRef::to_entry);
                        entry.map(|entry| (number, entry))
                    }
                };
                if last {
                    // Before anybody can be told of a file in it: the count of what is left is final.
                    self.monitor.tally().end_lists();
                }
                self.known.add(&list, origins);
                if self.lists.arrived() == 0 {
                    self.monitor.tally().list_build.set(self.watch.milliseconds());
                }
                let names = Arc::new(IdNames::default());
                self.queued.push_back(Offer::List(Received { list, directory, names }));
                if !self.incremental {
                    let count = self.monitor.tally().files.total();
                    self.monitor.tell(&Event::Listed(count as usize));
                    self.queued.push_back(Offer::ListsEnd);
                }
            }
            Scanned::End => {
                self.scanned = None;
                if self.incremental {
                    self.lists.end().map_err(own)?;
                    self.queued.push_back(Offer::ListsEnd);
                }
            }
        }
        Ok(())
    }

    /// A round is over: a list's, a phase's, or the run's.
    fn ended(&mut self) -> Offer {
        self.heard += 1;
        let lists = if self.incremental { self.lists.arrived().saturating_sub(1) } else { 0 };
        let over = self.scanned.is_none() || !self.incremental;
        if over && self.heard == lists + self.rounds { Offer::End } else { Offer::Done }
    }

    fn is_far_ahead(&self) -> bool {
        let oldest = self.lists.list(self.lists.oldest());
        let live = self.lists.arrived() - self.lists.oldest();
        let first = oldest.map_or(0, FileList::first);
        live > 2 && self.lists.next_first() - first > SCANNED_AHEAD
    }
}

impl Offers for LocalOffers {
    fn next(&mut self) -> Result<Offer> {
        loop {
            if let Some(offer) = self.queued.pop_front() {
                return Ok(offer);
            }
            let waits = self.is_far_ahead();
            let nothing = never();
            let scanned = self.scanned.as_ref().filter(|_| !waits).unwrap_or(&nothing);
            let delivered = select! {
                recv(scanned) -> delivered => Some(delivered),
                recv(self.said) -> said => {
                    said.map_err(|_| Error::Stopped)?;
                    None
                }
            };
            match delivered {
                Some(Ok(delivered)) => self.delivered(delivered)?,
                // The scan has failed, and says why when it is joined.
                Some(Err(_)) if self.incremental || self.lists.arrived() == 0 => {
                    return Err(Error::Stopped);
                }
                Some(Err(_)) => self.scanned = None,
                None => {
                    let offer = self.ended();
                    if self.incremental && self.heard < self.lists.arrived() {
                        self.known.release();
                    }
                    return Ok(offer);
                }
            }
        }
    }

    fn lists(&mut self) -> &mut FileLists {
        &mut self.lists
    }

    fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        None
    }

    fn extras(&self) -> &Extras {
        &self.extras
    }

    fn content(&mut self) -> Result<Content<'_>> {
        // Content never comes this way: the copying threads open it themselves.
        Err(Error::Stopped)
    }
}

/// A file to be copied.
struct Task {
    batch: Arc<Batch>,
    position: usize,
    index: u32,
    item: Item,
    existing: Option<Stat>,
    redo: bool,
    source: SourceFile,
    /// The blocks of the basis, where differences are wanted.
    basis: Option<SearchIndex>,
}

/// Files under way.
#[derive(Debug, Default)]
struct Busy {
    count: Mutex<usize>,
    idle: Condvar,
}

impl Busy {
    fn begin(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn end(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.idle.notify_all();
        }
    }

    fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.idle.wait_while(count, |count| *count > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A source in this process.
struct Near<'c> {
    context: &'c Context<'c>,
    reports: Sender<Report>,
    tree: Tree,
    known: Known,
    tasks: Sender<Task>,
    busy: Arc<Busy>,
    say: Sender<()>,
    pace: Pace,
    /// What is told of a file's end belongs between what is told of files' beginnings.
    one_by_one: bool,
}

/// `--bwlimit` within a machine: no file is begun before its time.
struct Pace {
    /// Bytes a second.
    limit: Option<u64>,
    start: Instant,
    begun: u64,
}

impl Pace {
    fn wait(&self) {
        let Some(limit) = self.limit.filter(|limit| *limit > 0) else { return };
        let due = Duration::from_secs_f64(self.begun as f64 / limit as f64);
        std::thread::sleep(due.saturating_sub(self.start.elapsed()));
    }
}

impl<'c> Near<'c> {
    fn link(
        context: &'c Context<'c>,
        reports: &Sender<Report>,
        tree: Tree,
        known: Known,
        say: Sender<()>,
    ) -> Link<'c> {
        let (tasks, queue) = bounded::<Task>(REQUESTED_AHEAD);
        let busy = Arc::new(Busy::default());
        let worker = || {
            let (queue, reports, busy) = (queue.clone(), reports.clone(), busy.clone());
            Box::new(move || work(context, &queue, &reports, &busy)) as Worker<'c>
        };
        let workers = (0..threads(context)).map(|_| worker()).collect();
        let reports = reports.clone();
        let limit = context.job.options.connection.bwlimit;
        let pace = Pace {
            limit: limit.map(|kibibytes| u64::from(kibibytes) << 10),
            start: Instant::now(),
            begun: 0,
        };
        let options = &context.job.options;
        let one_by_one = context.monitor.wants_progress()
            || options.output.log_file.is_some()
            || options.item_format().is_some_and(|format| format.needs_transfer());
        let outlet = Self { context, reports, tree, known, tasks, busy, say, pace, one_by_one };
        Link { outlet: Box::new(outlet), workers }
    }

    fn tell(&self, order: &Order<'_>, moved: Option<Moved<'_>>) {
        let base = self.origin(order.entry).ok();
        self.context.tell_item_of(order.entry, order.item, base.as_deref(), moved, order.dressed);
    }

    fn origin(&self, entry: EntryRef<'_>) -> Result<Arc<Base>> {
        self.tree.base(self.known.base(entry)).ok_or(Error::Stopped)
    }

    /// Opens the content of an entry; none if it cannot be had, which was told.
    fn open(&self, order: &Order<'_>) -> Result<Option<SourceFile>> {
        let context = self.context;
        let attributes = &context.job.options.attributes;
        let how =
            OpenSource { no_atime: attributes.open_noatime, devices: attributes.copy_devices };
        let follow = attributes.copy_links
            || attributes.copy_unsafe_links
            || attributes.copy_dirlinks
            || attributes.insecure_links;
        let base = self.origin(order.entry)?;
        let name = order.entry.path();
        let error = match self.tree.open(&base, &name, how, follow) {
            Ok(file) => {
                let appends = context.append != Append::No && !order.redo;
                if !(appends && file.length() < order.entry.size()) {
                    return Ok(Some(file));
                }
                let text = [b"skipped diminished file: \"", &base.show(&name)[..], b"\""].concat();
                context.monitor.problem(Problem::new(Severity::Warning, text));
                return Ok(None);
            }
            Err(error) => error,
        };
        let shown = base.show(&name);
        if error.is_missing() {
            let text = [b"file has vanished: \"", &shown[..], b"\""].concat();
            context.monitor.problem(Problem::new(Severity::Warning, text));
            context.monitor.tally().add_io_errors(IoErrors::VANISHED);
        } else {
            let reason = error.reason();
            context.fail(&[
                b"rsync: [sender] send_files failed to open \"",
                &shown,
                b"\": ",
                reason.as_bytes(),
            ]);
            context.monitor.tally().add_io_errors(IoErrors::GENERAL);
        }
        Ok(None)
    }

    /// A copy that shares its inode with its source must not take the source's name away.
    fn is_source_itself(&self, base: &Base, name: &[u8], path: &[u8]) -> bool {
        let stat_of = |root: &syncline_fs::Root, path: &[u8]| {
            let path = syncline_fs::RelPath::new(path).ok()?;
            root.place(path).ok()?.stat().ok()
        };
        let source = stat_of(&base.root, base.below(name));
        let copy = self.context.root().ok().and_then(|root| stat_of(root, path));
        matches!((source, copy), (Some(source), Some(copy)) if source.is_same_inode(&copy))
    }
}

impl Outlet for Near<'_> {
    fn item(&mut self, order: &Order<'_>) -> Result<()> {
        let context = self.context;
        if !order.item.is_transfer() {
            // Old versions never heard of items without a transfer, and a source told of none.
            if context.terms.protocol.has_item_flags() {
                self.tell(order, None);
                self.tell(order, Some(Moved::default()));
            }
            return Ok(());
        }
        let tally = context.monitor.tally();
        if context.is_dry() {
            tally.transferred.add(1);
            tally.transferred_size.add(order.entry.size());
            self.tell(order, None);
            self.tell(order, Some(Moved::default()));
            return Ok(());
        }
        self.pace.wait();
        let Some(source) = self.open(order)? else {
            let _ = self.reports.send(Report::NoSend(order.index));
            return Ok(());
        };
        tally.transferred.add(1);
        tally.transferred_size.add(order.entry.size());
        self.tell(order, None);
        let text = || [b"[sender] sending ", &order.entry.path()[..]].concat();
        context.monitor.trace(Debug::Send, 1, text);
        self.pace.begun += source.length();
        self.busy.begin();
        let task = Task {
            batch: order.batch.clone(),
            position: order.entry.position(),
            index: order.index,
            item: order.item.clone(),
            existing: order.existing.copied(),
            redo: order.redo,
            source,
            basis: match order.sums {
                Sums::Blocks(_, signature) => Some(SearchIndex::new(signature.clone())),
                Sums::Nothing | Sums::Prefix(_) => None,
            },
        };
        self.tasks.send(task).map_err(|_| Error::Stopped)?;
        if self.one_by_one {
            self.busy.wait();
        }
        Ok(())
    }

    fn done(&mut self) -> Result<()> {
        if !self.context.terms.incremental() {
            self.busy.wait();
        }
        self.say.send(()).map_err(|_| Error::Stopped)
    }

    fn delete_stats(&mut self, _counts: [u32; 5]) -> Result<()> {
        // Both ends count in the same place.
        Ok(())
    }

    fn success(&mut self, order: EntryRef<'_>, path: &[u8]) -> Result<()> {
        let context = self.context;
        let base = self.origin(order)?;
        let name = order.path();
        if self.is_source_itself(&base, &name, path) {
            context.fail(&[b"ERROR: Skipping sender remove of destination file: ", &name]);
            return Ok(());
        }
        remove_source(context.job, &base, &name, order, true, context.monitor);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Copies until no more is asked for.
fn work(
    context: &Context<'_>,
    queue: &Receiver<Task>,
    reports: &Sender<Report>,
    busy: &Busy,
) -> Result<()> {
    let mut path = Vec::new();
    for task in queue {
        let stops = context.job.interrupt.is_raised();
        let result = if stops { Err(Error::Stopped) } else { copy(context, &task, &mut path) };
        let report = match &result {
            Ok(outcome) => Report::Finished { index: task.index, outcome: *outcome },
            Err(_) => Report::Broken,
        };
        // A generator that has ended does not need to know.
        let _ = reports.send(report);
        busy.end();
        result?;
    }
    Ok(())
}

fn copy(context: &Context<'_>, task: &Task, path: &mut Vec<u8>) -> Result<Outcome> {
    let Some(entry) = task.batch.list.get(task.position) else { return Ok(Outcome::Failed) };
    context.put_target(entry, path);
    context.monitor.trace(Debug::Recv, 1, || [b"[receiver] receiving ", &path[..]].concat());
    let incoming = Incoming {
        entry,
        item: &task.item,
        path,
        known: Some(task.existing.as_ref()),
        redo: task.redo,
        counts: Some(context.entries_up_to(task.index, task.batch.number)),
    };
    let content = Content::File(&task.source, task.basis.as_ref());
    let applied = apply::receive(context, incoming, content)?;
    let digest = applied.digest.as_deref();
    let moved = Moved { data: applied.literal, digest, ..Moved::default() };
    context.tell_item(entry, &task.item, Some(moved));
    Ok(applied.outcome)
}

fn threads(context: &Context<'_>) -> usize {
    // Equal names share one place in an absolute partial directory: one after the other.
    if matches!(context.partial_dir, Some(crate::sink::context::PartialDir::One(_))) {
        return 1;
    }
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    processors.min(MOST_THREADS)
}
