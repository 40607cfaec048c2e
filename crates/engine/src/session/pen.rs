//! What writes to the peer: the writer thread, or another one while that has nothing to do.

use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_wire::{Message, Multiplexer, Protocol};

use super::channel::{Nothing, Receiver, Sender};
use super::queue::{Clock, LONGEST_WAIT};
use crate::Interrupt;

/// What is to be written, or done in its turn.
#[derive(Debug)]
pub(super) enum Order {
    Data(Vec<u8>),
    Message(Message),
    /// Frames of this version from here on, or none.
    Frames(Option<Protocol>),
    /// Answered when everything before it has been written.
    Flush(Sender<()>),
    /// Nothing after this is written.
    End,
}

/// How the connection is, for all who write.
#[derive(Debug, Default)]
pub(super) struct State {
    failed: AtomicBool,
    error: Mutex<Option<io::Error>>,
    sent: AtomicU64,
    /// Orders that were given and are not performed yet.
    waiting: AtomicUsize,
}

impl State {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why nothing can be written any more, if so; the reason is told once.
    pub(super) fn check(&self) -> io::Result<()> {
        if !self.has_failed() {
            return Ok(());
        }
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }

    /// To be called before an order is given.
    pub(super) fn expect(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn note<T>(&self, result: io::Result<T>) {
        if let Err(error) = result {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.failed.store(true, Ordering::Release);
        }
    }
}

/// The transport with its frames; one thread at a time has it. None once the writer has ended.
pub(super) struct Pen {
    stream: Mutex<Option<Stream>>,
    state: Arc<State>,
    clock: Arc<Clock>,
    interrupt: Interrupt,
}

type Stream = Multiplexer<Counted<Box<dyn Write + Send>>>;

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Pen {
    pub(super) fn new(
        transport: impl Write + Send + 'static,
        state: Arc<State>,
        clock: Arc<Clock>,
        interrupt: &Interrupt,
    ) -> Self {
        let inner: Box<dyn Write + Send> = Box::new(transport);
        let counted = Counted { inner, state: Arc::clone(&state), clock: Arc::clone(&clock) };
        let stream = Multiplexer::new(counted, Protocol::NEWEST);
        let interrupt = interrupt.clone();
        Self { stream: Mutex::new(Some(stream)), state, clock, interrupt }
    }

    /// Writes on this thread; `false` if that must be ordered, as others come first.
    pub(super) fn write_now(&self, data: &[u8]) -> bool {
        self.act_now(|pen, out| {
            if pen.wants_data() {
                pen.state.note(out.write_through(data));
            }
        })
    }

    /// The same for passing down what was written.
    pub(super) fn flush_now(&self) -> bool {
        self.act_now(Self::flush)
    }

    /// The same for a change of the frames.
    pub(super) fn set_frames_now(&self, frames: Option<Protocol>) -> bool {
        self.act_now(|pen, out| pen.set_frames(out, frames))
    }

    fn act_now(&self, act: impl FnOnce(&Self, &mut Stream)) -> bool {
        let Ok(mut stream) = self.stream.try_lock() else { return false };
        let (0, Some(out)) = (self.state.waiting.load(Ordering::Acquire), stream.as_mut()) else {
            return false;
        };
        act(self, out);
        true
    }

    /// The writer thread: performs orders until the end of them, then closes the transport.
    pub(super) fn perform_all(&self, orders: &Receiver<Order>, credits: &Sender<()>) {
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(Nothing::Ever) => break,
                Err(Nothing::Yet) => {
                    self.with(Self::flush);
                    match self.wait(orders) {
                        Some(order) => order,
                        None => break,
                    }
                }
            };
            if matches!(order, Order::End) {
                break;
            }
            self.with(|pen, out| {
                pen.perform(out, order, credits);
                pen.state.waiting.fetch_sub(1, Ordering::AcqRel);
            });
        }
        self.with(Self::flush);
        self.lock().take();
    }

    fn perform(&self, out: &mut Stream, order: Order, credits: &Sender<()>) {
        match order {
            Order::Data(data) => {
                if self.wants_data() {
                    self.state.note(out.write_all(&data));
                }
                // There is room for every credit ever given out.
                credits.try_send(());
            }
            Order::Message(message) if !self.state.has_failed() => {
                self.state.note(out.message(&message));
            }
            Order::Frames(frames) => self.set_frames(out, frames),
            Order::Flush(answer) => {
                self.flush(out);
                answer.try_send(());
            }
            Order::Message(_) | Order::End => {}
        }
    }

    /// To a run that is being stopped more data is of no use, and sending it may take long.
    fn wants_data(&self) -> bool {
        !self.state.has_failed() && !self.interrupt.is_raised()
    }

    fn flush(&self, out: &mut Stream) {
        if !self.state.has_failed() {
            self.state.note(out.flush());
        }
    }

    fn set_frames(&self, out: &mut Stream, frames: Option<Protocol>) {
        if self.state.has_failed() {
            return;
        }
        self.state.note(out.stop());
        if let Some(protocol) = frames {
            out.set_protocol(protocol);
            self.state.note(out.start());
        }
    }

    /// Sends keep-alives while nothing else is to be sent; none when everybody has gone.
    fn wait(&self, orders: &Receiver<Order>) -> Option<Order> {
        loop {
            match orders.recv_timeout(self.clock.keep_alive().unwrap_or(LONGEST_WAIT)) {
                Ok(order) => return Some(order),
                Err(Nothing::Ever) => return None,
                Err(Nothing::Yet) => {
                    if self.clock.keep_alive().is_some() {
                        self.with(|pen, out| {
                            if !pen.state.has_failed() {
                                let message = Message::KeepAlive { answer: false };
                                pen.state.note(out.message(&message));
                                pen.flush(out);
                            }
                        });
                    }
                }
            }
        }
    }

    fn with(&self, act: impl FnOnce(&Self, &mut Stream)) {
        if let Some(out) = self.lock().as_mut() {
            act(self, out);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what is written and tells the clock.
struct Counted<W> {
    inner: W,
    state: Arc<State>,
    clock: Arc<Clock>,
}

impl<W> Counted<W> {
    fn count(&self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(written) => {
                self.state.sent.fetch_add(written as u64, Ordering::Relaxed);
                self.clock.touch();
                Ok(written)
            }
            // Transports wait; what a socket says when its time is over.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.count(result)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.inner.write_vectored(slices);
        self.count(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
