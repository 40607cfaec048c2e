//! Carrying bytes between a socket inside TLS and a local one in the clear.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::io::ioctl_fionbio;
use rustls::Connection;

/// Bytes that wait in either direction before the side they come from is no longer read.
const MOST_WAITING: usize = 64 << 10;
const PIECE: usize = 16 << 10;
/// How long a peer has to hear the end.
const LINGER: Duration = Duration::from_secs(2);

/// What carries a tunnel in the background.
#[derive(Debug)]
pub struct Relay(JoinHandle<io::Result<()>>);

impl Relay {
    /// Waits until everything that was written has gone out. To be called when the tunnel's stream is closed.
    pub fn finish(self) {
        // What broke the connection was seen on the stream.
        let _ = self.0.join();
    }
}

/// A socket behind its handshake.
pub(crate) struct Tunnelled {
    tls: Connection,
    socket: File,
    /// The peer has said all it had to say.
    ended: bool,
}

impl Tunnelled {
    pub(crate) fn new(mut tls: Connection, socket: OwnedFd) -> Self {
        tls.set_buffer_limit(Some(MOST_WAITING));
        Self { tls, socket: socket.into(), ended: false }
    }

    /// Carries in a thread; the returned stream is the clear end.
    pub(crate) fn start(self) -> io::Result<(UnixStream, Relay)> {
        let (ours, theirs) = UnixStream::pair()?;
        let thread = std::thread::Builder::new().name("tls".to_owned());
        Ok((theirs, Relay(thread.spawn(move || self.carry(ours))?)))
    }

    /// Carries until one side is gone and what it left is delivered.
    pub(crate) fn carry(mut self, stream: UnixStream) -> io::Result<()> {
        ioctl_fionbio(&self.socket, true)?;
        stream.set_nonblocking(true)?;
        let mut plain =
            Plain { stream, incoming: Vec::new(), outgoing: Vec::new(), ended: false, gone: false };
        let mut told_socket = false;
        let mut told_plain = false;
        loop {
            let more = self.decrypt(&mut plain)?;
            plain.deliver()?;
            let heard = self.ended && !more && plain.incoming.is_empty();
            if heard && !told_plain {
                told_plain = true;
                // It may have gone already.
                let _ = plain.stream.shutdown(Shutdown::Write);
            }
            plain.listen()?;
            self.encrypt(&mut plain)?;
            if plain.ended && plain.outgoing.is_empty() && !told_socket {
                told_socket = true;
                self.tls.send_close_notify();
            }
            self.transmit()?;
            let sendable = !plain.outgoing.is_empty() && !self.tls.wants_write();
            if sendable || more && plain.incoming.len() < MOST_WAITING {
                // There is room again for what no descriptor would wake us for.
                continue;
            }
            if told_socket && (heard || plain.gone) && !self.tls.wants_write() {
                self.linger();
                return Ok(());
            }
            self.wait(&mut plain)?;
        }
    }

    /// Takes what the peer said from the socket, as far as there is room for it; whether that ended it.
    fn decrypt(&mut self, plain: &mut Plain) -> io::Result<bool> {
        loop {
            let mut piece = [0; PIECE];
            while plain.incoming.len() < MOST_WAITING {
                match self.tls.reader().read(&mut piece) {
                    // A peer that leaves without a word of TLS is one that left: the protocol inside has its own end.
                    Ok(0) => self.ended = true,
                    Ok(count) => {
                        plain.incoming.extend_from_slice(piece.get(..count).unwrap_or_default());
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                break;
            }
            if plain.incoming.len() >= MOST_WAITING {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => self.ended = true,
                Ok(_) => {
                    if let Err(error) = self.tls.process_new_packets() {
                        // The alert that says why, if it still gets through.
                        let _ = self.transmit();
                        return Err(io::Error::other(error));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
    }

    fn encrypt(&mut self, plain: &mut Plain) -> io::Result<()> {
        if !plain.outgoing.is_empty() {
            let taken = self.tls.writer().write(&plain.outgoing)?;
            plain.outgoing.drain(..taken);
        }
        Ok(())
    }

    /// Puts what is encrypted on the socket, as far as it takes it.
    fn transmit(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets what was sent arrive: closing a socket with something unread would make the kernel throw it away at the other
    /// end.
    fn linger(&mut self) {
        // A connection that is gone needs no gentle end.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        let end = Instant::now() + LINGER;
        let mut piece = [0; PIECE];
        while !self.ended {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or_default(),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let ready = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout));
            if left.is_zero() || ready != Ok(1) || !matches!(self.socket.read(&mut piece), Ok(1..))
            {
                return;
            }
        }
    }

    fn wait(&self, plain: &mut Plain) -> io::Result<()> {
        let mut of_socket = PollFlags::empty();
        of_socket.set(PollFlags::IN, !self.ended && plain.incoming.len() < MOST_WAITING);
        of_socket.set(PollFlags::OUT, self.tls.wants_write());
        let mut of_plain = PollFlags::empty();
        of_plain.set(PollFlags::IN, !plain.ended && plain.outgoing.is_empty());
        of_plain.set(PollFlags::OUT, !plain.incoming.is_empty());
        // An end that hung up says so whatever it is asked: asked no more, it cannot keep us awake.
        let mut polled = Vec::with_capacity(2);
        if !of_socket.is_empty() {
            polled.push(PollFd::new(&self.socket, of_socket));
        }
        let asks_plain = !of_plain.is_empty() || plain.ended && !plain.gone;
        if asks_plain {
            polled.push(PollFd::new(&plain.stream, of_plain));
        }
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let hung_up = polled
            .last()
            .is_some_and(|last| last.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        plain.gone |= asks_plain && plain.ended && hung_up;
        Ok(())
    }
}

/// The clear end.
struct Plain {
    stream: UnixStream,
    /// From the peer.
    incoming: Vec<u8>,
    /// For the peer.
    outgoing: Vec<u8>,
    /// It has said all it had to say.
    ended: bool,
    /// It listens no more.
    gone: bool,
}

impl Plain {
    fn deliver(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while let Some(rest) = self.incoming.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_gone(&error) => {
                    self.gone = true;
                    taken = self.incoming.len();
                }
                Err(error) => return Err(error),
            }
        }
        self.incoming.drain(..taken);
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        if self.ended || !self.outgoing.is_empty() {
            return Ok(());
        }
        self.outgoing.resize(PIECE, 0);
        let outcome = self.stream.read(&mut self.outgoing);
        self.outgoing.truncate(outcome.as_ref().copied().unwrap_or(0));
        match outcome {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if is_gone(&error) => (self.ended, self.gone) = (true, true),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
