//! The connection during the handshake: lines in and out before an absolute deadline.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};

/// What is read ahead at most.
const BUFFER: usize = 8 * 1024;

/// What is written at once after the kernel has said that there is room.
const CHUNK: usize = 4 * 1024;

/// How long a refused client may take to hear why, and what it may say meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// The same after a transfer that failed, for a client in the middle of sending.
const LONG_LINGER: Duration = Duration::from_secs(10);

/// Both directions of a connection, which need not be a socket.
#[derive(Debug)]
pub(crate) struct Link {
    input: OwnedFd,
    output: OwnedFd,
    deadline: Option<Instant>,
    buffer: Vec<u8>,
    used: usize,
}

impl Link {
    /// A connection whose two directions are these.
    pub(crate) fn new(input: OwnedFd, output: OwnedFd) -> Self {
        Self { input, output, deadline: None, buffer: Vec::new(), used: 0 }
    }

    /// From now on everything must be over in `seconds`; trickling does not help.
    pub(crate) fn limit(&mut self, seconds: Option<u64>) {
        self.deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    }

    /// Makes a socket speak without delay and notice a peer that is gone. Other kinds of descriptors do not mind.
    pub(crate) fn tune(&self) {
        // Each is only a help.
        let _ = sockopt::set_tcp_nodelay(&self.output, true);
        acknowledge(&self.input);
    }

    /// Makes a socket notice a peer that is gone.
    pub(crate) fn keep_alive(&self) {
        // Only a help.
        let _ = sockopt::set_socket_keepalive(&self.input, true);
    }

    /// Writes all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            let mut rest = chunk;
            while !rest.is_empty() {
                wait(&self.output, PollFlags::OUT, self.deadline)?;
                match rustix::io::write(&self.output, rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }

    /// Lets go of the connection without ending it: another process has it too.
    pub(crate) fn abandon(&mut self) {
        let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        if let (Ok(input), Ok(output)) = (null(), null()) {
            (self.input, self.output) = (input, output);
        }
    }

    /// Ends the connection so that what was said arrives: closing with unread input would make the kernel throw it
    /// away at the other end.
    pub(crate) fn close(self) {
        self.close_within(LINGER, LINGER_BYTES);
    }

    /// The same for a client that may be in the middle of sending much.
    pub(crate) fn close_patiently(self) {
        self.close_within(LONG_LINGER, usize::MAX);
    }

    fn close_within(mut self, time: Duration, mut left: usize) {
        if shutdown(&self.output, Shutdown::Write).is_err() {
            return;
        }
        self.deadline = Some(Instant::now() + time);
        let mut buffer = [0; 4096];
        while left > 0 && wait(&self.input, PollFlags::IN, self.deadline).is_ok() {
            match rustix::io::read(&self.input, &mut buffer) {
                Ok(0) => return,
                Ok(count) => left = left.saturating_sub(count),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }

    /// A second handle on a socket, to end it gently after the transfer.
    pub(crate) fn linger(&self) -> Option<Self> {
        let (input, output) = (self.input.try_clone().ok()?, self.output.try_clone().ok()?);
        Some(Self::new(input, output))
    }

    /// The two directions for the transfer, and what was read ahead.
    pub(crate) fn into_parts(self) -> (Prompt, Vec<u8>, File) {
        let ahead = self.buffer[self.used..].to_vec();
        let prompt = Prompt { input: File::from(self.input), acknowledges: true };
        (prompt, ahead, File::from(self.output))
    }
}

/// Reads of this length and more come from a stream that has no need for haste.
const HASTY: usize = 8 * 1024;

/// Acknowledges what it has read of a socket: a stock client's next small piece waits for that, and the kernel's own
/// acknowledgement for 40 ms.
pub(crate) struct Prompt {
    input: File,
    acknowledges: bool,
}

impl AsFd for Prompt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

impl Read for Prompt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if self.acknowledges && count < HASTY {
            // No socket of that kind is none the next time either.
            self.acknowledges = acknowledge(&self.input);
        }
        Ok(count)
    }
}

fn acknowledge(input: impl AsFd) -> bool {
    sockopt::set_tcp_quickack(input, true).is_ok()
}

impl Read for Link {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(target)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Link {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.buffer.len() {
            wait(&self.input, PollFlags::IN, self.deadline)?;
            self.buffer.resize(BUFFER, 0);
            self.used = 0;
            let outcome = rustix::io::read(&self.input, self.buffer.as_mut_slice());
            acknowledge(&self.input);
            self.buffer.truncate(outcome.unwrap_or(0));
            match outcome {
                Ok(0) => return Ok(&[]),
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

/// Waits until the descriptor is ready: `TimedOut` when the deadline comes first.
fn wait(descriptor: &OwnedFd, events: PollFlags, deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let timeout = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Timespec::try_from(left).ok()
            }
        };
        match poll(&mut [PollFd::new(&descriptor.as_fd(), events)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use syncline_wire::daemon::read_line;

    fn pair() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Link::new(ours.try_clone().unwrap().into(), ours.into()), theirs)
    }

    #[test]
    fn what_was_read_ahead_is_not_lost() {
        let (mut link, mut peer) = pair();
        peer.write_all(b"line\nrest").unwrap();
        assert_eq!(read_line(&mut link, 10).unwrap(), b"line");
        drop(peer);
        let (mut input, mut rest, _) = link.into_parts();
        input.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn a_deadline_that_has_passed_ends_reading() {
        let (mut link, _peer) = pair();
        link.limit(Some(0));
        assert_eq!(link.fill_buf().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
