//! Streams of changes: to a socket, a line of JSON for each, or as sersync's socket plugin (R132).

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use syncline_conf::live::{self as conf, StreamAddress, StreamFormat};

use super::{Change, http, message, on_disk, spawn};
use crate::state::{HookOutcome, MirrorStatus, Registry};
use crate::{Error, Log};

/// Changes that wait, at most.
const MOST_CHANGES: usize = 10_000;

/// How long a reader may take none of it, and a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// sersync's tries and the pause between them (live.md 1.11).
const TRIES: u32 = 5;
const TRY_PAUSE: Duration = Duration::from_millis(100);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A stream with its thread.
#[derive(Debug)]
pub(super) struct Stream {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    status: Arc<MirrorStatus>,
    registry: Registry,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// The number of the next event; those that are dropped have one too, so that a reader sees the gap.
    next: u64,
    end: Option<Instant>,
}

#[derive(Debug)]
struct Event {
    number: u64,
    time: Timestamp,
    target: String,
    change: Change,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.lock().end.is_some_and(|end| end <= Instant::now())
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut waiting = self.lock();
        loop {
            let until = waiting.end.map_or(until, |end| end.min(until));
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            waiting =
                self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Stream {
    pub(super) fn start(
        stream: &conf::Stream,
        mirror: &str,
        source: &Path,
        registry: &Registry,
        log: &Log,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), wake: Condvar::new() });
        let status = registry.mirror(mirror, source);
        let writer = Writer {
            to: stream.to.clone(),
            format: stream.format,
            mirror: mirror.to_owned(),
            source: source.to_owned(),
            shared: shared.clone(),
            status: status.clone(),
            registry: registry.clone(),
            log: log.clone(),
        };
        let thread = spawn("stream", move || writer.run())?;
        Ok(Self { shared, thread, status, registry: registry.clone() })
    }

    /// Tells what happened at a target.
    pub(super) fn tell(&self, time: Timestamp, target: &str, changes: &[Change]) {
        let mut dropped = 0;
        {
            let mut waiting = self.shared.lock();
            for change in changes {
                let number = waiting.next;
                waiting.next += 1;
                if waiting.events.len() < MOST_CHANGES {
                    let (target, change) = (target.to_owned(), change.clone());
                    waiting.events.push_back(Event { number, time, target, change });
                } else {
                    dropped += 1;
                }
            }
        }
        self.shared.wake.notify_one();
        if dropped > 0 {
            self.status.hook(self.registry.now(), HookOutcome::Dropped(dropped));
        }
    }

    pub(super) fn end(&self, end: Instant) {
        self.shared.lock().end = Some(end);
        self.shared.wake.notify_all();
    }

    pub(super) fn join(self) {
        // A thread that died has said so on standard error.
        let _ = self.thread.join();
    }
}

/// The thread of a stream.
struct Writer {
    to: StreamAddress,
    format: StreamFormat,
    mirror: String,
    source: PathBuf,
    shared: Arc<Shared>,
    status: Arc<MirrorStatus>,
    registry: Registry,
    log: Log,
}

type Connection = Box<dyn Write>;

impl Writer {
    fn run(&self) {
        let mut connection: Option<Connection> = None;
        let mut pause = FIRST_PAUSE;
        while let Some(event) = self.next() {
            let sent = match self.format {
                StreamFormat::Jsonl => self.send_line(&mut connection, &event, &mut pause),
                StreamFormat::Sersync => self.send_alone(&event),
            };
            if sent {
                self.status.hook(self.registry.now(), HookOutcome::Ok);
            }
        }
    }

    /// Waits for the next event; none when everything shall end.
    fn next(&self) -> Option<Event> {
        let mut waiting = self.shared.lock();
        loop {
            if waiting.end.is_some_and(|end| end <= Instant::now()) {
                let dropped = waiting.events.len() as u64;
                waiting.events.clear();
                drop(waiting);
                if dropped > 0 {
                    self.status.hook(self.registry.now(), HookOutcome::Dropped(dropped));
                }
                return None;
            }
            match waiting.events.pop_front() {
                Some(event) => return Some(event),
                None if waiting.end.is_some() => return None,
                None => {}
            }
            waiting = self.shared.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends a line on the connection that stands, or on a new one as soon as there is one.
    fn send_line(
        &self,
        connection: &mut Option<Connection>,
        event: &Event,
        pause: &mut Duration,
    ) -> bool {
        let line = self.line(event);
        while !self.shared.is_over() {
            let ready = match connection.take() {
                Some(ready) => Ok(ready),
                None => self.connect(),
            };
            match ready.and_then(|mut ready| ready.write_all(line.as_bytes()).map(|()| ready)) {
                Ok(ready) => {
                    *connection = Some(ready);
                    *pause = FIRST_PAUSE;
                    return true;
                }
                // What of the line was read cannot be known: a new connection gets it whole.
                Err(error) => {
                    self.failed(&error, HookOutcome::Retried);
                    self.shared.pause(*pause);
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        self.status.hook(self.registry.now(), HookOutcome::Dropped(1));
        false
    }

    /// Sends a path on a connection of its own, as sersync does.
    fn send_alone(&self, event: &Event) -> bool {
        let path = on_disk(&self.source, event.change.path.as_path());
        for tried in 1..=TRIES {
            let sent = self.connect().and_then(|mut to| to.write_all(path.as_os_str().as_bytes()));
            match sent {
                Ok(()) => return true,
                Err(error) if tried == TRIES => self.failed(&error, HookOutcome::Failed),
                Err(_) => self.shared.pause(TRY_PAUSE),
            }
        }
        false
    }

    fn failed(&self, error: &std::io::Error, outcome: fn(String) -> HookOutcome) {
        let to = self.address();
        let why = match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                format!("its reader took nothing for {} s", PATIENCE.as_secs())
            }
            _ => error.to_string(),
        };
        self.log.warn(format_args!("mirror={} stream={to} failed: {why}", self.mirror));
        self.status.hook(self.registry.now(), outcome(format!("stream {to}: {why}")));
    }

    fn address(&self) -> String {
        match &self.to {
            StreamAddress::Tcp(address) => address.to_string(),
            StreamAddress::Unix(path) => path.display().to_string(),
            _ => String::new(),
        }
    }

    fn connect(&self) -> std::io::Result<Connection> {
        match &self.to {
            StreamAddress::Tcp(to) => {
                let socket = http::connect(to.host(), to.port(), Instant::now() + PATIENCE)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Box::new(socket))
            }
            StreamAddress::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Box::new(socket))
            }
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    fn line(&self, event: &Event) -> String {
        let Event { number, time, target, change } = event;
        let mut line = json!({
            "seq": number,
            "time": format!("{time:.3}"),
            "mirror": self.mirror,
            "kind": message::what(change.kind),
            "target": target,
            "result": if change.failed { "failed" } else { "ok" },
        });
        let path = on_disk(&self.source, change.path.as_path());
        message::put_path(&mut line, path.as_os_str().as_bytes());
        line.to_string() + "\n"
    }
}
