//! `--bwlimit` (docs/spec session.md 13.4).

use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

/// Debts below this are left for later.
const LEAST_SLEEP: Duration = Duration::from_millis(100);

/// A writer that keeps to a rate.
#[derive(Debug)]
pub(crate) struct Throttled<W> {
    inner: W,
    /// KiB a second.
    rate: Option<u32>,
    /// Bytes written beyond what the time that passed allows.
    debt: f64,
    last: Instant,
}

impl<W: Write> Throttled<W> {
    pub(crate) fn new(inner: W, rate: Option<u32>) -> Self {
        Self { inner, rate: rate.filter(|&rate| rate > 0), debt: 0.0, last: Instant::now() }
    }

    fn account(&mut self, rate: u32, written: usize) {
        let rate = f64::from(rate) * 1024.0;
        let now = Instant::now();
        let earned = (now - self.last).as_secs_f64() * rate;
        self.last = now;
        self.debt = (self.debt + written as f64 - earned).max(0.0);
        let wait = Duration::from_secs_f64(self.debt / rate);
        if wait >= LEAST_SLEEP {
            std::thread::sleep(wait);
        }
    }
}

impl<W: Write> Write for Throttled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(rate) = self.rate else { return self.inner.write(bytes) };
        let most = (rate as usize).saturating_mul(128).max(512);
        let written = self.inner.write(&bytes[..bytes.len().min(most)])?;
        self.account(rate, written);
        Ok(written)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.rate.is_none() {
            return self.inner.write_vectored(slices);
        }
        let slice = slices.iter().find(|slice| !slice.is_empty());
        self.write(slice.map_or(&[][..], |slice| slice))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
