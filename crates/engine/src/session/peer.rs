//! A connection whose terms are settled: data in, data out, messages aside.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_wire::{Demultiplexer, Message, MessageSink, Side};

use super::queue::{Clock, Input, Output, Queue};
use super::setup::Expected;
use crate::{Charset, Error, Event, ExitCode, Monitor, Notice, Result, Role, Terms};

/// How long a peer that reads nothing any more is listened to.
const HEARING: Duration = Duration::from_secs(5);

/// Both directions, as one role thread uses them.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) input: Demultiplexer<Input, Inbox>,
    pub(crate) output: Output,
    pub(crate) terms: Terms,
    pub(crate) role: Role,
    clock: Arc<Clock>,
    /// What the set-up took.
    sent_before: u64,
    /// The peer's part of the set-up, if it was not waited for, and whether frames follow it.
    expected: Option<(Expected, bool)>,
}

impl Peer {
    pub(crate) fn new(
        input: Input,
        output: Output,
        terms: Terms,
        role: Role,
        monitor: Monitor,
        charset: Option<Charset>,
        clock: Arc<Clock>,
    ) -> Self {
        let inbox = Inbox {
            charset,
            monitor,
            side: terms.side,
            answers: role == Role::Sender,
            queue: output.queue().clone(),
            clock: Arc::clone(&clock),
            pending: VecDeque::new(),
            exit: None,
        };
        output.queue().drain();
        let sent_before = output.queue().sent();
        let input = Demultiplexer::new(input, inbox);
        Self { input, output, terms, role, clock, sent_before, expected: None }
    }

    /// The peer's part of the set-up is still to come; then frames, perhaps.
    pub(super) fn expect(&mut self, expected: Expected, framed: bool) {
        self.expected = Some((expected, framed));
    }

    /// Reads the peer's part of the set-up, if it was not waited for. To be called before the first other read.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        let Some((expected, framed)) = self.expected.take() else { return Ok(()) };
        // What a failure to write means shows in what can be read.
        let _ = self.output.flush();
        self.terms = expected.confirm(&mut self.input)?;
        if framed {
            self.input.start();
        }
        Ok(())
    }

    /// Decodes something.
    pub(crate) fn read<T>(
        &mut self,
        decode: impl FnOnce(&mut Demultiplexer<Input, Inbox>) -> syncline_wire::Result<T>,
    ) -> Result<T> {
        decode(&mut self.input).map_err(|error| self.failed(error))
    }

    /// Raw bytes written since the terms were settled.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.output.queue().sent() - self.sent_before
    }

    /// The next message that concerns the role, if one was met while reading.
    pub(crate) fn pending(&mut self) -> Option<Message> {
        self.input.sink_mut().pending.pop_front()
    }

    /// Waits for data; `false` if a message for the role came first, or the stream ended.
    pub(crate) fn wait(&mut self) -> Result<bool> {
        match self.input.fill_buf() {
            Ok(data) => Ok(!data.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(self.failed(error.into())),
        }
    }

    /// Whether the stream has ended. To be asked when [`Peer::wait`] said `false` and nothing is pending.
    pub(crate) fn at_end(&mut self) -> Result<bool> {
        match self.input.fill_buf() {
            Ok(data) => Ok(data.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(self.failed(error.into())),
        }
    }

    /// What a fault of the stream means for the run.
    pub(crate) fn failed(&mut self, error: syncline_wire::Error) -> Error {
        if let Some(code) = self.input.sink_mut().exit {
            return Error::PeerExit(code);
        }
        let role = self.role;
        match error {
            syncline_wire::Error::Closed => Error::Closed { received: self.input.received(), role },
            syncline_wire::Error::Io(error) => self.transport_failed(error, "read error"),
            source => Error::wire(role, source),
        }
    }

    /// What a failure to write means for the run.
    pub(crate) fn unwritten(&mut self, error: io::Error) -> Error {
        let failed = self.transport_failed(error, "write error");
        if matches!(failed, Error::Timeout { .. }) {
            return failed;
        }
        self.hear_out();
        self.input.sink_mut().exit.map_or(failed, Error::PeerExit)
    }

    /// Reads to the end: a peer that reads nothing any more may have said why.
    fn hear_out(&mut self) {
        let end = Instant::now() + HEARING;
        let seconds = HEARING.as_secs();
        self.clock.touch();
        self.clock
            .set_limit(self.clock.limit().map_or(seconds, |own| own.as_secs().min(seconds)) as u32);
        while Instant::now() < end {
            match self.input.fill_buf() {
                Ok([]) => return,
                Ok(data) => {
                    let length = data.len();
                    self.input.consume(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.input.sink_mut().pending.clear();
                }
                Err(_) => return,
            }
        }
    }

    /// What a failure of the transport means for the run, for those who have only the output.
    pub(crate) fn transport_failed(&self, error: io::Error, what: &str) -> Error {
        let role = self.role;
        if error.kind() == io::ErrorKind::TimedOut {
            let seconds = self.clock.limit().map_or(0, |limit| limit.as_secs());
            return Error::Timeout { seconds, role };
        }
        Error::system(ExitCode::SOCKET, role, what, error)
    }

    /// The role begins: keep-alives are sent from now on.
    pub(crate) fn begin(&self) {
        self.clock.begin_keep_alive();
    }
}

/// What became of messages.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// What a server says comes in the wire's.
    charset: Option<Charset>,
    monitor: Monitor,
    side: Side,
    /// Whether keep-alives of old peers are answered.
    answers: bool,
    queue: Queue,
    clock: Arc<Clock>,
    pending: VecDeque<Message>,
    exit: Option<ExitCode>,
}

impl Inbox {
    fn in_own_charset(&self, text: Vec<u8>) -> Vec<u8> {
        match &self.charset {
            Some(charset) => charset.text_to_local(&text),
            None => text,
        }
    }
}

impl MessageSink for Inbox {
    /// Messages for the user go out at once. One for the role is kept, and the read in progress is interrupted for
    /// it: reads in the middle of something go on by themselves, a wait between two things ends.
    fn message(&mut self, message: Message) -> syncline_wire::Result<()> {
        match message {
            Message::Text { kind, text } => {
                if self.side == Side::Client {
                    let text = self.in_own_charset(text);
                    self.monitor.tell(&Event::Peer { kind, text: &text });
                }
                Ok(())
            }
            Message::Deleted { name, directory } => {
                if self.side == Side::Client {
                    let name = self.in_own_charset(name);
                    self.monitor.tell(&Event::Deleted { path: &name, directory });
                }
                Ok(())
            }
            Message::IoTimeout(seconds) => {
                if let (Side::Client, 1..=86400) = (self.side, seconds) {
                    let shorter =
                        self.clock.limit().is_none_or(|own| own.as_secs() > seconds as u64);
                    if shorter {
                        self.clock.set_limit(seconds as u32);
                        self.monitor.notice(Notice::TimeoutOfServer(seconds));
                    }
                }
                Ok(())
            }
            Message::KeepAlive { answer } => {
                if answer && self.answers {
                    self.queue.message(Message::KeepAlive { answer: false });
                }
                Ok(())
            }
            Message::ErrorExit(code) => {
                let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0);
                self.exit = Some(ExitCode::new(code));
                Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())
            }
            message => {
                self.pending.push_back(message);
                Err(io::Error::from(io::ErrorKind::Interrupted).into())
            }
        }
    }
}
