//! Reading on the thread that wants the bytes: for one that sends much and hears little, a reader of its own costs more
//! than it gives.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A transport that can be waited for.
pub(super) trait Awaited: Read + AsFd + Send {}

impl<T: Read + AsFd + Send> Awaited for T {}

/// The transport, and what ends a wait for it.
pub(super) struct Here {
    transport: Box<dyn Awaited>,
    woken: PipeReader,
}

impl std::fmt::Debug for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Here").finish_non_exhaustive()
    }
}

/// Ends a wait from another thread, for good.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<PipeWriter>);

impl Bell {
    pub(super) fn ring(&self) {
        // Nobody waits if nobody can hear it.
        let _ = (&*self.0).write(&[0]);
    }
}

impl Here {
    pub(super) fn new(transport: Box<dyn Awaited>) -> io::Result<(Self, Bell)> {
        let (woken, wake) = io::pipe()?;
        Ok((Self { transport, woken }, Bell(Arc::new(wake))))
    }

    /// Waits until there is something to read, or to hear; `false` when the time is over.
    pub(super) fn wait(&self, time: Duration) -> io::Result<bool> {
        let time = Timespec::try_from(time).ok();
        let transport = PollFd::from_borrowed_fd(self.transport.as_fd(), PollFlags::IN);
        let mut both = [transport, PollFd::new(&self.woken, PollFlags::IN)];
        match poll(&mut both, time.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.transport.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
