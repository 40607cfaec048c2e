//! A peer that says nothing and takes nothing (R64, R88).
//!
//! Our own keep-alives are no sign of life: what is between may take them for ever.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writes of no more bytes are keep-alives.
const KEEP_ALIVE: usize = 8;

/// When something was written last, in milliseconds since a beginning.
#[derive(Debug)]
struct Written {
    since: Instant,
    last: AtomicU64,
}

impl Written {
    fn now(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }
}

/// The reading half: it gives up when nothing is read, and nothing but keep-alives written, for as long as the limit.
/// Its transport must come back from a read without data after that time.
#[derive(Debug)]
pub(super) struct Reader<R> {
    transport: R,
    written: Arc<Written>,
    limit: Option<Duration>,
}

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer<W> {
    transport: W,
    written: Arc<Written>,
}

/// Both halves of a connection.
pub(super) fn watched<R, W>(
    reader: R,
    writer: W,
    limit: Option<Duration>,
) -> (Reader<R>, Writer<W>) {
    let written = Arc::new(Written { since: Instant::now(), last: AtomicU64::new(0) });
    let reader = Reader { transport: reader, written: Arc::clone(&written), limit };
    (reader, Writer { transport: writer, written })
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begun = self.written.now();
        loop {
            let result = self.transport.read(buffer);
            let Some(limit) = self.limit else { return result };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let last = self.written.last.load(Ordering::Relaxed).max(begun);
                    if self.written.now() >= last + limit.as_millis() as u64 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                result => return result,
            }
        }
    }
}

impl<W> Writer<W> {
    fn note(&self, written: usize) {
        if written > KEEP_ALIVE {
            self.written.last.store(self.written.now(), Ordering::Relaxed);
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.transport.write(bytes)?;
        self.note(written);
        Ok(written)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.transport.write_vectored(slices)?;
        self.note(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket with a time limit on which nothing ever arrives, while keep-alives go out.
    struct Silent(Writer<io::Sink>);

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.write_all(&[0; 4])?;
            std::thread::sleep(Duration::from_millis(1));
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn r88_keep_alives_are_no_sign_of_life_and_data_is() {
        let limit = Some(Duration::from_millis(20));
        let (empty, writer) = watched(io::empty(), io::sink(), limit);
        let transport = Silent(writer);
        let mut reader = Reader { transport, written: Arc::clone(&empty.written), limit };
        let error = reader.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(empty.written.last.load(Ordering::Relaxed), 0);
        reader.transport.0.write_all(&[0; 100]).unwrap();
        assert!(empty.written.last.load(Ordering::Relaxed) > 0);
    }
}
