//! The reader and writer threads of a connection and the bounded queues between them and the role threads.

use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use syncline_wire::{Message, Protocol};

use super::batch::Recorder;
use super::channel::{Nothing, Receiver, Sender, bounded, unbounded};
use super::here::{Awaited, Bell, Here};
use super::pen::{Order, Pen, State};
use crate::Interrupt;

/// What is still read for nobody at most, so that a peer in the middle of writing gets to hear why it ended.
const DISCARDED: usize = 64 * 1024 * 1024;

/// Size of one read from the transport.
const CHUNK: usize = 128 * 1024;

/// Size of the first reads: many a session never fills one.
const SMALL_CHUNK: usize = 4 * 1024;

/// Chunks that may wait on either side of a role thread.
const DEPTH: usize = 4;

/// Data is handed to the writer once this much has gathered.
const GATHER: usize = 32 * 1024;

/// The same for a thread that writes by itself, and what it writes: more is worth a second thread's time.
const GATHER_BY_HAND: usize = 48 * 1024;
const BY_HAND: usize = 64 * 1024 - 4;

/// What a peer may say while nobody asks it for anything: a message of the day.
const MOST_KEPT: usize = 256 * 1024;

/// The longest wait between two looks at the clock.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// When something last moved, and how long nothing may (docs/spec session.md 13.1).
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Milliseconds from `start` to the last byte moved.
    last: AtomicU64,
    /// Seconds; 0 is no limit.
    limit: AtomicU32,
    /// Whether this side has begun its role: keep-alives are sent from then on.
    keep_alive: AtomicBool,
}

impl Clock {
    pub(crate) fn new(limit: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            limit: AtomicU32::new(limit.unwrap_or(0)),
            keep_alive: AtomicBool::new(false),
        })
    }

    /// A shorter limit from the peer, or the first one.
    pub(crate) fn set_limit(&self, seconds: u32) {
        self.limit.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        }
    }

    pub(crate) fn begin_keep_alive(&self) {
        self.keep_alive.store(true, Ordering::Relaxed);
    }

    pub(crate) fn touch(&self) {
        self.last.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// After how much silence of ours the peer is to hear that we are there, once that is done.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive.load(Ordering::Relaxed).then(|| self.limit().map(half)).flatten()
    }

    fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    /// How long to wait for input before looking at the clock again; an error when the limit is passed.
    fn wait(&self) -> io::Result<Duration> {
        let Some(limit) = self.limit() else { return Ok(LONGEST_WAIT) };
        if self.idle() >= limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(half(limit).min(LONGEST_WAIT))
    }
}

/// Half of a limit, rounded up to whole seconds.
fn half(limit: Duration) -> Duration {
    Duration::from_secs(limit.as_secs().div_ceil(2))
}

/// What arrived.
#[derive(Debug)]
pub(crate) struct Input {
    feed: Feed,
    chunk: Chunk,
    position: usize,
    clock: Arc<Clock>,
    /// What this thread has gathered for the peer goes out before it waits.
    flush_before_wait: Option<Output>,
    ended: bool,
    waker: Waker,
    /// What is read at once, where that is done here.
    size: usize,
}

/// Where an [`Input`] has its chunks from.
#[derive(Debug)]
enum Feed {
    /// A thread of its own reads ahead, so that the peer can always write.
    Reader { chunks: Receiver<io::Result<Chunk>>, spent: Sender<Vec<u8>> },
    /// The transport.
    Here(Here),
}

/// Ends an [`Input`]'s wait from another thread, for good.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    way: Way,
    given_up: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Way {
    Reader(Sender<io::Result<Chunk>>),
    Here(Bell),
}

impl Waker {
    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// From now on every read fails.
    pub(crate) fn wake(&self) {
        self.given_up.store(true, Ordering::Release);
        match &self.way {
            Way::Reader(chunks) => {
                // A full queue wakes by itself.
                chunks.try_send(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Way::Here(bell) => bell.ring(),
        }
    }
}

/// A buffer and how much of it was filled.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    length: usize,
}

impl Input {
    /// Starts the reader thread.
    pub(crate) fn spawn(
        transport: impl Read + Send + 'static,
        clock: Arc<Clock>,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        let (chunks_in, chunks) = bounded(DEPTH);
        let (spent, spent_out) = unbounded();
        let reader_clock = Arc::clone(&clock);
        let way = Way::Reader(chunks_in.clone());
        thread::Builder::new()
            .name("reader".into())
            .spawn(move || read_all(transport, &chunks_in, &spent_out, &reader_clock))?;
        Ok(Self::new(Feed::Reader { chunks, spent }, way, clock, interrupt))
    }

    /// Reads on the thread that wants the bytes, `ahead` first.
    pub(super) fn here(
        transport: Box<dyn Awaited>,
        ahead: Vec<u8>,
        clock: Arc<Clock>,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        let (here, bell) = Here::new(transport)?;
        let mut input = Self::new(Feed::Here(here), Way::Here(bell), clock, interrupt);
        input.chunk = Chunk { length: ahead.len(), bytes: ahead };
        Ok(input)
    }

    fn new(feed: Feed, way: Way, clock: Arc<Clock>, interrupt: &Interrupt) -> Self {
        let waker = Waker { way, given_up: Arc::default() };
        let stop = waker.clone();
        interrupt.on_raise(move || stop.wake());
        Self {
            feed,
            chunk: Chunk::default(),
            position: 0,
            clock,
            flush_before_wait: None,
            ended: false,
            waker,
            size: SMALL_CHUNK,
        }
    }

    /// What ends this input's wait.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Whatever `output` holds is passed on before this input waits.
    pub(crate) fn flush_before_wait(&mut self, output: &Output) {
        self.flush_before_wait = Some(output.clone());
    }

    /// Whether reading would not wait.
    pub(crate) fn has_data(&self) -> bool {
        self.position < self.chunk.length
            || self.ended
            || match &self.feed {
                Feed::Reader { chunks, .. } => !chunks.is_empty(),
                Feed::Here(here) => here.wait(Duration::ZERO).unwrap_or(true),
            }
    }

    /// Whether the peer's end has not been seen, without waiting for it. What arrived is kept.
    pub(crate) fn is_open(&mut self) -> bool {
        while let (false, Feed::Reader { chunks, .. }) = (self.ended, &self.feed)
            && let Ok(received) = chunks.try_recv()
        {
            match received {
                Ok(chunk) if chunk.length > 0 && self.chunk.bytes.len() < MOST_KEPT => {
                    self.chunk.bytes.truncate(self.chunk.length);
                    self.chunk.bytes.extend_from_slice(&chunk.bytes[..chunk.length]);
                    self.chunk.length = self.chunk.bytes.len();
                }
                _ => self.ended = true,
            }
        }
        !self.ended
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.waker.check()?;
        let flush = || self.flush_before_wait.as_ref().map_or(Ok(()), Output::flush_before_wait);
        let received = match &mut self.feed {
            Feed::Reader { chunks, .. } => receive(chunks, flush, &self.clock)?,
            Feed::Here(here) => {
                if !here.wait(Duration::ZERO)? {
                    flush()?;
                    while !here.wait(self.clock.wait()?)? {}
                    self.waker.check()?;
                }
                let mut bytes = std::mem::take(&mut self.chunk.bytes);
                bytes.resize(self.size, 0);
                here.read(&mut bytes).map(|length| Chunk { bytes, length })
            }
        };
        match received {
            Ok(chunk) if chunk.length == 0 => self.ended = true,
            Ok(chunk) => {
                let old = std::mem::replace(&mut self.chunk, chunk);
                self.position = 0;
                match &self.feed {
                    Feed::Reader { spent, .. } => {
                        // The reader may have ended; then nobody needs the buffer.
                        let _ = spent.send(old.bytes);
                    }
                    Feed::Here(_) => {
                        self.clock.touch();
                        self.size = size_after(self.size, self.chunk.length);
                    }
                }
            }
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// What the reader has, or will have.
fn receive(
    chunks: &Receiver<io::Result<Chunk>>,
    flush: impl FnOnce() -> io::Result<()>,
    clock: &Clock,
) -> io::Result<io::Result<Chunk>> {
    match chunks.try_recv() {
        Ok(received) => return Ok(received),
        Err(Nothing::Ever) => return Ok(Ok(Chunk::default())),
        Err(Nothing::Yet) => flush()?,
    }
    loop {
        match chunks.recv_timeout(clock.wait()?) {
            Ok(received) => return Ok(received),
            Err(Nothing::Yet) => {}
            Err(Nothing::Ever) => return Ok(Ok(Chunk::default())),
        }
    }
}

/// Reads grow once they are filled.
fn size_after(size: usize, length: usize) -> usize {
    if length == size { CHUNK } else { size }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position >= self.chunk.length && !self.ended {
            self.next_chunk()?;
        }
        Ok(self.chunk.bytes.get(self.position..self.chunk.length).unwrap_or(&[]))
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

fn read_all(
    mut transport: impl Read,
    chunks: &Sender<io::Result<Chunk>>,
    spent: &Receiver<Vec<u8>>,
    clock: &Clock,
) {
    let mut size = SMALL_CHUNK;
    loop {
        let mut bytes = spent.try_recv().unwrap_or_default();
        bytes.resize(size, 0);
        let result = match transport.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A reset is how some systems say that the peer has closed with data unread.
            Err(error) => Err(error),
            Ok(length) => {
                size = size_after(size, length);
                Ok(Chunk { bytes, length })
            }
        };
        clock.touch();
        let last = !matches!(&result, Ok(chunk) if chunk.length > 0);
        match chunks.send(result) {
            Ok(()) if last => return,
            Ok(()) => {}
            Err(_) if last => return,
            Err(unread) => return discard(transport, unread),
        }
    }
}

/// Reads on when nobody listens any more.
fn discard(mut transport: impl Read, unread: io::Result<Chunk>) {
    let Ok(Chunk { mut bytes, .. }) = unread else { return };
    let mut left = DISCARDED;
    while left > 0 {
        match transport.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(length) => left = left.saturating_sub(length),
        }
    }
}

/// What is on its way to the peer; clones share the connection, not what was gathered.
#[derive(Debug)]
pub(crate) struct Output {
    gathered: Arc<Mutex<Vec<u8>>>,
    /// Held from taking what was gathered until it is in the queue, so that nothing overtakes it.
    turn: Arc<Mutex<()>>,
    /// Another thread than the one that reads gathers, and passes on by itself before it waits.
    shared: Arc<AtomicBool>,
    /// Bytes handed to the writer.
    handed_over: Arc<AtomicU64>,
    /// A batch that what is gathered is written to as well, or instead.
    recorder: Arc<OnceLock<Recorder>>,
    diverted: Arc<AtomicBool>,
    /// What is gathered is written by the thread that passes it on, where that costs less than handing it over.
    by_hand: Arc<AtomicBool>,
    queue: Queue,
}

impl Clone for Output {
    fn clone(&self) -> Self {
        Self {
            gathered: Arc::clone(&self.gathered),
            turn: Arc::clone(&self.turn),
            shared: Arc::clone(&self.shared),
            handed_over: Arc::clone(&self.handed_over),
            recorder: Arc::clone(&self.recorder),
            diverted: Arc::clone(&self.diverted),
            by_hand: Arc::clone(&self.by_hand),
            queue: self.queue.clone(),
        }
    }
}

/// The way to the writer thread.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    orders: Sender<Order>,
    /// Spent buffers. Each is also leave to put one chunk of data into the queue; messages need none.
    spares: Receiver<Vec<u8>>,
    state: Arc<State>,
    pen: Arc<Pen>,
}

/// The writer thread; joined by [`Writer::close`].
#[derive(Debug)]
pub(crate) struct Writer {
    orders: Sender<Order>,
    thread: thread::JoinHandle<()>,
}

impl Output {
    /// Starts the writer thread.
    pub(crate) fn spawn(
        transport: impl Write + Send + 'static,
        clock: Arc<Clock>,
        interrupt: &Interrupt,
    ) -> io::Result<(Self, Writer)> {
        let (orders, orders_out) = unbounded();
        let (spares_in, spares) = bounded(DEPTH);
        for _ in 0..DEPTH {
            // Room was made for exactly these.
            spares_in.try_send(Vec::new());
        }
        let state = Arc::new(State::default());
        let pen = Arc::new(Pen::new(transport, Arc::clone(&state), clock, interrupt));
        let writers = Arc::clone(&pen);
        let thread = thread::Builder::new()
            .name("writer".into())
            .spawn(move || writers.perform_all(&orders_out, &spares_in))?;
        let queue = Queue { orders: orders.clone(), spares, state, pen };
        Ok((
            Self {
                gathered: Arc::default(),
                turn: Arc::default(),
                shared: Arc::default(),
                handed_over: Arc::default(),
                recorder: Arc::default(),
                diverted: Arc::default(),
                by_hand: Arc::default(),
                queue,
            },
            Writer { orders, thread },
        ))
    }

    /// The buffer of this thread's data. Keep the guard no longer than it takes to append.
    pub(crate) fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what was gathered once it is worth it.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let enough = if self.by_hand.load(Ordering::Relaxed) { GATHER_BY_HAND } else { GATHER };
        if self.buffer().len() >= enough { self.flush() } else { Ok(()) }
    }

    /// Passes on what was gathered.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.check()?;
        let length = self.buffer().len();
        if length == 0 {
            return Ok(());
        }
        if length <= BY_HAND && self.by_hand.load(Ordering::Relaxed) && self.write_by_hand() {
            return self.queue.check();
        }
        let spare = if self.diverted.load(Ordering::Relaxed) {
            None
        } else {
            // None means that the writer has ended, which the next step reports.
            self.queue.spares.recv()
        };
        self.pass_on(&turn, spare.unwrap_or_default())
    }

    /// Puts data into the queue however much waits there: for what a peer reads only as fast as its own data is read.
    pub(crate) fn put_at_once(&self, data: Vec<u8>) -> io::Result<()> {
        self.flush()?;
        self.handed_over.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.queue.order(Order::Data(data))
    }

    /// From here on little is written by the thread that passes it on: one that never keeps the peer from being read.
    pub(crate) fn write_here(&self) {
        self.by_hand.store(true, Ordering::Relaxed);
    }

    /// Whether what was gathered could be written on this thread.
    fn write_by_hand(&self) -> bool {
        if self.recorder.get().is_some() {
            return false;
        }
        // Nobody gathers but the thread that is here: the guard keeps no other waiting.
        let mut buffer = self.buffer();
        let written = self.queue.pen.write_now(&buffer);
        if written {
            self.handed_over.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            buffer.clear();
        }
        written
    }

    /// From here on one thread gathers while another reads. The reader must not wait for a peer that waits for it.
    pub(crate) fn share(&self) {
        self.shared.store(true, Ordering::Relaxed);
    }

    /// What the reading thread does before it waits for the peer.
    fn flush_before_wait(&self) -> io::Result<()> {
        if !self.shared.load(Ordering::Relaxed) {
            return self.flush();
        }
        // Where this would wait the other thread is at it, or will be.
        self.queue.check()?;
        let Ok(turn) = self.turn.try_lock() else { return Ok(()) };
        let idle = self.buffer().is_empty() || self.diverted.load(Ordering::Relaxed);
        if idle {
            return Ok(());
        }
        match self.queue.spares.try_recv() {
            Ok(spare) => self.pass_on(&turn, spare),
            Err(_) => Ok(()),
        }
    }

    /// Puts what was gathered into the queue, and an empty buffer into its place.
    fn pass_on(&self, _turn: &MutexGuard<'_, ()>, spare: Vec<u8>) -> io::Result<()> {
        let data = std::mem::replace(&mut *self.buffer(), spare);
        self.handed_over.fetch_add(data.len() as u64, Ordering::Relaxed);
        if let Some(recorder) = self.recorder.get() {
            recorder.put(&data)?;
            if self.diverted.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        self.queue.order(Order::Data(data))
    }

    /// What is gathered from here on is recorded.
    pub(crate) fn record(&self, recorder: Recorder) -> io::Result<()> {
        self.flush()?;
        // There is one batch a run.
        let _ = self.recorder.set(recorder);
        Ok(())
    }

    /// The batch that is being recorded.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.get()
    }

    /// What is gathered from here on goes into the batch only, or to the peer again.
    pub(crate) fn divert(&self, on: bool) -> io::Result<()> {
        self.flush()?;
        self.diverted.store(on, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes handed to the writer so far, without those still gathered.
    pub(crate) fn handed_over(&self) -> u64 {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// From here on data travels in frames of this version, or raw.
    pub(crate) fn set_framed(&self, frames: Option<Protocol>) -> io::Result<()> {
        self.flush()?;
        if self.queue.pen.set_frames_now(frames) {
            return self.queue.check();
        }
        self.queue.order(Order::Frames(frames))
    }

    /// The way past the gathered data, for messages from any thread.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Queue {
    /// A message; never blocks.
    pub(crate) fn message(&self, message: Message) {
        // A writer that has ended has said why to those who wait for it.
        let _ = self.give(Order::Message(message));
    }

    /// Waits until everything before this has been written, or could not be.
    pub(crate) fn drain(&self) {
        if self.pen.flush_now() {
            return;
        }
        let (answer, wait) = bounded(1);
        if self.give(Order::Flush(answer)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// Bytes written so far, frame headers included.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent()
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.check()?;
        self.give(order).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn give(&self, order: Order) -> Result<(), Order> {
        self.state.expect();
        self.orders.send(order)
    }

    fn check(&self) -> io::Result<()> {
        self.state.check()
    }
}

impl Writer {
    /// Writes what was ordered before, then closes the transport; what comes later is lost.
    pub(crate) fn close(self) {
        let _ = self.orders.send(Order::End);
        // A panic there has printed itself; what was to be written is lost either way.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_written_arrives_and_messages_stand_between_frames() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let clock = Clock::new(None);
        let (output, writer) =
            Output::spawn(ours, Arc::clone(&clock), &Interrupt::default()).unwrap();
        output.buffer().extend_from_slice(b"raw");
        output.set_framed(Some(Protocol::NEWEST)).unwrap();
        output.buffer().extend_from_slice(b"data");
        output.flush().unwrap();
        output.queue().message(Message::Success(1));
        output.queue().drain();
        assert_eq!(output.queue().sent(), 3 + 8 + 8);
        drop(output);
        writer.close();
        let mut input = Input::spawn(theirs, clock, &Interrupt::default()).unwrap();
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"raw\x04\0\0\x07data\x04\0\0\x6b\x01\0\0\0");
    }

    #[test]
    fn what_one_thread_gathers_and_another_passes_on_stays_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let clock = Clock::new(None);
        let (output, writer) =
            Output::spawn(ours, Arc::clone(&clock), &Interrupt::default()).unwrap();
        output.share();
        let done = AtomicBool::new(false);
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut theirs = theirs;
            theirs.read_to_end(&mut bytes).map(|_| bytes)
        });
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        output.flush_before_wait().unwrap();
                    }
                });
            }
            for number in 0..200_000_u32 {
                output.buffer().extend_from_slice(&number.to_le_bytes());
                if number % 3 == 0 {
                    output.flush().unwrap();
                }
            }
            output.flush().unwrap();
            done.store(true, Ordering::Relaxed);
        });
        drop(output);
        writer.close();
        let bytes = reader.join().unwrap().unwrap();
        let numbers =
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap()));
        assert!(numbers.eq(0..200_000));
    }

    #[test]
    fn what_is_written_by_hand_stands_behind_what_was_ordered() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (output, writer) =
            Output::spawn(ours, Clock::new(None), &Interrupt::default()).unwrap();
        output.set_framed(Some(Protocol::NEWEST)).unwrap();
        output.write_here();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut theirs = theirs;
            theirs.read_to_end(&mut bytes).map(|_| bytes)
        });
        for number in 0..20_000_u32 {
            output.buffer().extend_from_slice(&number.to_le_bytes());
            if number % 7 == 0 {
                output.flush().unwrap();
            }
            if number % 50 == 0 {
                output.flush().unwrap();
                output.queue().message(Message::Success(number));
            }
        }
        output.flush().unwrap();
        assert_eq!(output.handed_over(), 4 * 20_000);
        drop(output);
        writer.close();
        let bytes = reader.join().unwrap().unwrap();
        // Numbers and messages say the same order.
        let (met, messages) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let mut data = syncline_wire::Demultiplexer::new(&bytes[..], |message| {
            assert_eq!(message, Message::Success(met.get() - 1));
            messages.set(messages.get() + 1);
            Ok(())
        });
        data.start();
        while let Ok(number) = syncline_wire::WireRead::read_u32(&mut data) {
            assert_eq!(number, met.get());
            met.set(number + 1);
        }
        assert_eq!((met.get(), messages.get()), (20_000, 400));
    }

    #[test]
    fn what_is_read_here_begins_with_what_was_read_ahead_and_ends_when_it_is_woken() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let interrupt = Interrupt::default();
        let clock = Clock::new(None);
        let mut input = Input::here(Box::new(ours), b"ahead".to_vec(), clock, &interrupt).unwrap();
        assert!(input.has_data());
        let mut bytes = [0; 5];
        input.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"ahead");
        assert!(!input.has_data());
        theirs.write_all(b"later").unwrap();
        assert!(input.has_data());
        input.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"later");
        let waiting = thread::spawn(move || input.fill_buf().map(<[u8]>::len));
        interrupt.raise();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn silence_is_a_timeout_and_the_end_an_end_for_who_reads_here() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (clock, interrupt) = (Clock::new(Some(1)), Interrupt::default());
        let mut input = Input::here(Box::new(ours), Vec::new(), clock, &interrupt).unwrap();
        assert_eq!(input.fill_buf().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        assert_eq!(input.fill_buf().unwrap(), b"");
    }

    #[test]
    fn a_peer_that_went_away_is_an_error_and_no_hang() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (output, writer) =
            Output::spawn(ours, Clock::new(None), &Interrupt::default()).unwrap();
        drop(theirs);
        let mut failed = false;
        for _ in 0..100 {
            output.buffer().resize(GATHER, 0);
            failed |= output.flush().is_err();
        }
        assert!(failed);
        drop(output);
        writer.close();
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_by_the_thread_that_writes_and_by_the_writer() {
        for by_hand in [true, false] {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            ours.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
            let (output, writer) =
                Output::spawn(ours, Clock::new(None), &Interrupt::default()).unwrap();
            if by_hand {
                output.write_here();
            }
            let error = loop {
                output.buffer().resize(GATHER, 0);
                if let Err(error) = output.flush() {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(output);
            writer.close();
        }
    }

    #[test]
    fn silence_beyond_the_limit_is_a_timeout() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let clock = Clock::new(Some(1));
        let mut input = Input::spawn(theirs, clock, &Interrupt::default()).unwrap();
        assert_eq!(input.fill_buf().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
