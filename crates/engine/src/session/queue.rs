//! The reader and writer threads of a connection and the bounded queues between them and the role threads.

use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use syncline_wire::{Message, Multiplexer, Protocol};

use super::batch::Recorder;
use super::channel::{Nothing, Receiver, Sender, bounded, unbounded};
use crate::Interrupt;

/// What is still read for nobody at most, so that a peer in the middle of writing gets to hear why it ended.
const DISCARDED: usize = 64 * 1024 * 1024;

/// Size of one read from the transport.
const CHUNK: usize = 64 * 1024;

/// Size of the first reads: many a session never fills one.
const SMALL_CHUNK: usize = 4 * 1024;

/// Chunks that may wait on either side of a role thread.
const DEPTH: usize = 4;

/// Data is handed to the writer once this much has gathered.
const GATHER: usize = 32 * 1024;

/// What a peer may say while nobody asks it for anything: a message of the day.
const MOST_KEPT: usize = 256 * 1024;

/// The longest wait between two looks at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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

/// What arrived, read ahead by a thread of its own so that the peer can always write.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: Receiver<io::Result<Chunk>>,
    spent: Sender<Vec<u8>>,
    chunk: Chunk,
    position: usize,
    clock: Arc<Clock>,
    /// What this thread has gathered for the peer goes out before it waits.
    flush_before_wait: Option<Output>,
    ended: bool,
    waker: Waker,
}

/// Ends an [`Input`]'s wait from another thread, for good.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    chunks: Sender<io::Result<Chunk>>,
    given_up: Arc<AtomicBool>,
}

impl Waker {
    /// From now on every read fails.
    pub(crate) fn wake(&self) {
        self.given_up.store(true, Ordering::Release);
        // A full queue wakes by itself.
        self.chunks.try_send(Err(io::ErrorKind::ConnectionAborted.into()));
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
        let waker = Waker { chunks: chunks_in.clone(), given_up: Arc::default() };
        let stop = waker.clone();
        interrupt.on_raise(move || stop.wake());
        thread::Builder::new()
            .name("reader".into())
            .spawn(move || read_all(transport, &chunks_in, &spent_out, &reader_clock))?;
        Ok(Self {
            chunks,
            spent,
            chunk: Chunk::default(),
            position: 0,
            clock,
            flush_before_wait: None,
            ended: false,
            waker,
        })
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
        self.position < self.chunk.length || self.ended || !self.chunks.is_empty()
    }

    /// Whether the peer's end has not been seen, without waiting for it. What arrived is kept.
    pub(crate) fn is_open(&mut self) -> bool {
        while let (false, Ok(received)) = (self.ended, self.chunks.try_recv()) {
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
        if self.waker.given_up.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let received = match self.chunks.try_recv() {
            Ok(received) => received,
            Err(Nothing::Ever) => {
                self.ended = true;
                return Ok(());
            }
            Err(Nothing::Yet) => {
                if let Some(output) = &self.flush_before_wait {
                    output.flush_before_wait()?;
                }
                self.wait()?
            }
        };
        match received {
            Ok(chunk) if chunk.length == 0 => self.ended = true,
            Ok(chunk) => {
                let spent = std::mem::replace(&mut self.chunk, chunk);
                self.position = 0;
                // The reader may have ended; then nobody needs the buffer.
                let _ = self.spent.send(spent.bytes);
            }
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<io::Result<Chunk>> {
        loop {
            match self.chunks.recv_timeout(self.clock.wait()?) {
                Ok(received) => return Ok(received),
                Err(Nothing::Yet) => {}
                Err(Nothing::Ever) => return Ok(Ok(Chunk::default())),
            }
        }
    }
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
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        let result = match transport.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A reset is how some systems say that the peer has closed with data unread.
            Err(error) => Err(error),
            Ok(length) => {
                if length == bytes.len() {
                    size = CHUNK;
                }
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
            queue: self.queue.clone(),
        }
    }
}

/// The way to the writer thread.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    orders: Sender<Order>,
    /// One credit for each chunk of data that may wait; messages need none.
    credits: Receiver<()>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    failed: AtomicBool,
    error: Mutex<Option<io::Error>>,
    sent: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Data(Vec<u8>),
    Message(Message),
    /// Frames of this version from here on, or none.
    Frames(Option<Protocol>),
    /// Answered when everything before it has been written.
    Flush(Sender<()>),
    /// Nothing after this is written.
    End,
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
        let (credits_in, credits) = bounded(DEPTH);
        for _ in 0..DEPTH {
            // Room was made for exactly these.
            credits_in.try_send(());
        }
        let state = Arc::new(State::default());
        let writer_state = Arc::clone(&state);
        let interrupt = interrupt.clone();
        let thread = thread::Builder::new().name("writer".into()).spawn(move || {
            write_all(transport, (&orders_out, &credits_in), &writer_state, &clock, &interrupt);
        })?;
        let queue = Queue { orders: orders.clone(), credits, state };
        Ok((
            Self {
                gathered: Arc::default(),
                turn: Arc::default(),
                shared: Arc::default(),
                handed_over: Arc::default(),
                recorder: Arc::default(),
                diverted: Arc::default(),
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
        if self.buffer().len() >= GATHER { self.flush() } else { Ok(()) }
    }

    /// Passes on what was gathered.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.check()?;
        if self.buffer().is_empty() {
            return Ok(());
        }
        if !self.diverted.load(Ordering::Relaxed) {
            // An error means that the writer has ended, which the next step reports.
            let _ = self.queue.credits.recv();
        }
        self.pass_on(&turn)
    }

    /// Puts data into the queue however much waits there: for what a peer reads only as fast as its own data is read.
    pub(crate) fn put_at_once(&self, data: Vec<u8>) -> io::Result<()> {
        self.flush()?;
        self.handed_over.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.queue.order(Order::Data(data))
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
        if idle || self.queue.credits.try_recv().is_err() {
            return Ok(());
        }
        self.pass_on(&turn)
    }

    /// Puts what was gathered into the queue. The credit for it was taken.
    fn pass_on(&self, _turn: &MutexGuard<'_, ()>) -> io::Result<()> {
        let mut buffer = self.buffer();
        let data = std::mem::take(&mut *buffer);
        buffer.reserve(GATHER + 4096);
        drop(buffer);
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
        let _ = self.orders.send(Order::Message(message));
    }

    /// Waits until everything before this has been written, or could not be.
    pub(crate) fn drain(&self) {
        let (answer, wait) = bounded(1);
        if self.orders.send(Order::Flush(answer)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// Bytes written so far, frame headers included.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.check()?;
        self.orders.send(order).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn check(&self) -> io::Result<()> {
        if !self.state.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let error = self.state.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
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

fn write_all(
    transport: impl Write,
    (orders, credits): (&Receiver<Order>, &Sender<()>),
    state: &State,
    clock: &Clock,
    interrupt: &Interrupt,
) {
    let mut out = Multiplexer::new(Counted { inner: transport, state, clock }, Protocol::NEWEST);
    loop {
        let order = match orders.try_recv() {
            Ok(order) => order,
            Err(Nothing::Ever) => break,
            Err(Nothing::Yet) => {
                state.note(out.flush());
                match wait_for_order(orders, &mut out, state, clock) {
                    Some(order) => order,
                    None => break,
                }
            }
        };
        let failed = state.failed.load(Ordering::Relaxed);
        match order {
            Order::Data(data) => {
                // To a run that is being stopped more data is of no use, and sending it may take long.
                if !failed && !interrupt.is_raised() {
                    state.note(out.write_all(&data));
                }
                // There is room for every credit ever given out; what was put in without one gives none back.
                credits.try_send(());
            }
            Order::Message(message) if !failed => state.note(out.message(&message)),
            Order::Frames(frames) if !failed => {
                state.note(out.stop());
                if let Some(protocol) = frames {
                    out = Multiplexer::new(out.into_inner(), protocol);
                    state.note(out.start());
                }
            }
            Order::Flush(answer) => {
                if !failed {
                    state.note(out.flush());
                }
                answer.try_send(());
            }
            Order::End => break,
            Order::Message(_) | Order::Frames(_) => {}
        }
    }
    if !state.failed.load(Ordering::Relaxed) {
        state.note(out.flush());
    }
}

/// Sends keep-alives while nothing else is to be sent; none when everybody has gone.
fn wait_for_order<W: Write>(
    orders: &Receiver<Order>,
    out: &mut Multiplexer<W>,
    state: &State,
    clock: &Clock,
) -> Option<Order> {
    loop {
        let wait = match clock.limit() {
            Some(limit) if clock.keep_alive.load(Ordering::Relaxed) => half(limit),
            _ => LONGEST_WAIT,
        };
        match orders.recv_timeout(wait) {
            Ok(order) => return Some(order),
            Err(Nothing::Ever) => return None,
            Err(Nothing::Yet) => {
                let due = clock.limit().is_some() && clock.keep_alive.load(Ordering::Relaxed);
                if due && !state.failed.load(Ordering::Relaxed) {
                    state.note(out.message(&Message::KeepAlive { answer: false }));
                    state.note(out.flush());
                }
            }
        }
    }
}

impl State {
    fn note<T>(&self, result: io::Result<T>) {
        if let Err(error) = result {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.failed.store(true, Ordering::Release);
        }
    }
}

/// Counts what is written and tells the clock.
struct Counted<'a, W> {
    inner: W,
    state: &'a State,
    clock: &'a Clock,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.state.sent.fetch_add(written as u64, Ordering::Relaxed);
        self.clock.touch();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
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
    fn silence_beyond_the_limit_is_a_timeout() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let clock = Clock::new(Some(1));
        let mut input = Input::spawn(theirs, clock, &Interrupt::default()).unwrap();
        assert_eq!(input.fill_buf().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
