//! A way to a daemon that can be made slow, or cut.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Carries bytes until the process ends.
pub(crate) struct Relay {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Relay {
    /// In front of a port of this machine, with at most so many bytes a second in each direction.
    pub(crate) fn start(to: u16, rate: Option<u32>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self { port: listener.local_addr()?.port(), cut: Arc::default() };
        let cut = Arc::clone(&relay.cut);
        spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                // A connection that is cut stays so: what is said on it goes nowhere.
                let was_cut = Arc::new(AtomicBool::new(false));
                let (Ok(back), Ok(home)) = (far.try_clone(), near.try_clone()) else { continue };
                for (from, to) in [(near, far), (back, home)] {
                    let (cut, was_cut) = (Arc::clone(&cut), Arc::clone(&was_cut));
                    spawn(move || carry(from, to, &cut, &was_cut, rate));
                }
            }
        });
        Ok(relay)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on what is said is swallowed, or, on new connections, no longer.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    cut: &AtomicBool,
    was_cut: &AtomicBool,
    rate: Option<u32>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if cut.load(Ordering::Relaxed) {
            was_cut.store(true, Ordering::Relaxed);
        }
        if was_cut.load(Ordering::Relaxed) {
            continue;
        }
        if to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            return;
        }
        if let Some(rate) = rate {
            sleep(Duration::from_secs_f64(count as f64 / f64::from(rate)));
        }
    }
    if !was_cut.load(Ordering::Relaxed) {
        // The other side may have gone.
        let _ = to.shutdown(std::net::Shutdown::Write);
    }
}
