//! The state of mirrors over HTTP: `/metrics`, `/healthz`, `/status.json` and a page (R134, R136, R144).
//!
//! Read-only, without a script, and bounded: in the size of requests, in connections, and in the time of each.

mod metrics;
mod page;
mod request;
mod text;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::state::{Registry, Snapshot};
use request::{Parsed, Request};
pub use text::text;

/// Connections at a time; more are turned away.
const MOST_CONNECTIONS: usize = 16;

/// How long a request may take to come, and an answer to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer, at most (R136).
const LONGEST_BODY: usize = 1 << 20;

/// Serves the state of mirrors until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropped to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at an address; a target is healthy while it lags less than `healthy_lag`.
    pub fn start(
        address: SocketAddr,
        registry: Registry,
        healthy_lag: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = UnixStream::pair()?;
        let answers = Arc::new(Answers { registry, healthy_lag });
        let thread = std::thread::Builder::new()
            .name("status".into())
            .spawn(move || listen(&listener, &stopped, &answers))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that died has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// Reads the state of a running mirror from where it serves it.
pub fn fetch(address: SocketAddr) -> io::Result<Snapshot> {
    let until = Instant::now() + PATIENCE;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    write!(socket, "GET /status.json HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > LONGEST_BODY + request::LONGEST {
            return Err(io::Error::other("the answer is not that of a mirror"));
        }
        socket.set_read_timeout(Some(left))?;
        let mut buffer = [0; 8192];
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let body = memchr::memmem::find(&answer, b"\r\n\r\n").and_then(|end| answer.get(end + 4..));
    read(body.unwrap_or_default())
}

/// What is asked for by the head of a request, for those who look for faults in reading it: nothing while more has to
/// come, else the path and whether a body is wanted, or the status that refuses it.
#[doc(hidden)]
pub fn asked(head: &[u8]) -> Option<Result<(String, bool), &'static str>> {
    match request::parse(head) {
        Parsed::Incomplete => None,
        Parsed::Request(request) => Some(Ok((request.path, request.with_body))),
        Parsed::Bad(status) => Some(Err(status)),
    }
}

/// Reads the state from its JSON.
pub fn read(text: &[u8]) -> io::Result<Snapshot> {
    serde_json::from_slice(text).map_err(|_| io::Error::other("this is not the state of mirrors"))
}

/// Everything as JSON of at most 1 MB: histories go first, then texts, then targets.
pub fn json(snapshot: &Snapshot) -> String {
    let write = |snapshot: &Snapshot| serde_json::to_string(snapshot).unwrap_or_default() + "\n";
    let mut text = write(snapshot);
    if text.len() <= LONGEST_BODY {
        return text;
    }
    let mut less = snapshot.clone();
    let targets = |less: &mut Snapshot, change: fn(&mut crate::state::TargetSnapshot)| {
        less.mirrors.iter_mut().flat_map(|mirror| &mut mirror.targets).for_each(change);
    };
    targets(&mut less, |target| target.lag_history.clear());
    text = write(&less);
    if text.len() > LONGEST_BODY {
        targets(&mut less, |target| {
            target.errors.truncate(1);
            target.failed_samples.clear();
        });
        less.mirrors.iter_mut().for_each(|mirror| mirror.hook_errors.clear());
        text = write(&less);
    }
    while text.len() > LONGEST_BODY && !less.mirrors.is_empty() {
        let half = |length: usize| length / 2;
        match less.mirrors.iter_mut().max_by_key(|mirror| mirror.targets.len()) {
            Some(mirror) if !mirror.targets.is_empty() => {
                mirror.targets.truncate(half(mirror.targets.len()));
            }
            _ => less.mirrors.truncate(half(less.mirrors.len())),
        }
        text = write(&less);
    }
    text
}

fn listen(listener: &TcpListener, stopped: &UnixStream, answers: &Arc<Answers>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut waits = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        // An interruption is a wake-up like any other.
        let _ = poll(&mut waits, None);
        if waits[1].revents() != PollFlags::empty() {
            return;
        }
        let Ok((socket, _)) = listener.accept() else {
            // No descriptors left, say: others will be given back.
            if waits[0].revents() != PollFlags::empty() {
                std::thread::sleep(Duration::from_millis(50));
            }
            continue;
        };
        let place = Place::take(&open);
        let answers = answers.clone();
        let turned_away = place.is_none();
        let serve = move || {
            let _place = place;
            // A peer that went away needs no answer.
            let _ = answers.serve(socket);
        };
        if turned_away {
            continue;
        }
        // Without a thread the connection is closed, and the peer asks again.
        let _ = std::thread::Builder::new().name("status request".into()).spawn(serve);
    }
}

/// One of the connections that may be open.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let take = |count| (count < MOST_CONNECTIONS).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Self(open.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Answers {
    registry: Registry,
    healthy_lag: Duration,
}

#[derive(Debug)]
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answers {
    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        let until = Instant::now() + PATIENCE;
        let mut head = Vec::new();
        let parsed = loop {
            match request::parse(&head) {
                Parsed::Incomplete => {}
                whole => break whole,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Parsed::Bad("408 Request Timeout");
            }
            socket.set_read_timeout(Some(left))?;
            let mut buffer = [0; 1024];
            match socket.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => head.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        let (answer, with_body) = match parsed {
            Parsed::Request(Request { path, with_body }) => (self.answer(&path), with_body),
            Parsed::Bad(status) => (plain(status, format!("{status}\n")), true),
            Parsed::Incomplete => return Ok(()),
        };
        let Answer { status, kind, body } = answer;
        let mut text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n",
            body.len()
        );
        if with_body {
            text += &body;
        }
        // A peer that reads slowly has this time for all of it, and costs a thread, of which there are few.
        let until = Instant::now() + PATIENCE;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_write_timeout(Some(left))?;
            match socket.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn answer(&self, path: &str) -> Answer {
        let snapshot = || self.registry.snapshot(self.registry.now());
        match path {
            "/" => Answer {
                status: "200 OK",
                kind: "text/html; charset=utf-8",
                body: page::page(&snapshot()),
            },
            "/status.json" => {
                Answer { status: "200 OK", kind: "application/json", body: json(&snapshot()) }
            }
            "/metrics" => Answer {
                status: "200 OK",
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: metrics::metrics(&snapshot()),
            },
            "/healthz" => {
                let mut lines = snapshot().unhealthy(self.healthy_lag);
                if lines.is_empty() {
                    return plain("200 OK", "ok\n".into());
                }
                let mut length = 0;
                lines.retain(|line| {
                    length += line.len() + 1;
                    length <= LONGEST_BODY
                });
                plain("503 Service Unavailable", lines.join("\n") + "\n")
            }
            _ => plain("404 Not Found", "there is /, /status.json, /metrics and /healthz\n".into()),
        }
    }
}

fn plain(status: &'static str, body: String) -> Answer {
    Answer { status, kind: "text/plain; charset=utf-8", body }
}
