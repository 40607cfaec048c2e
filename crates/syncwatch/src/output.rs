//! Standard output behind a bounded buffer: a slow reader does not keep the kernel's queue from being read.

use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

/// Beyond this, the kernel's queue fills instead, and its overflow is handled as one.
const MOST_BUFFERED: usize = 64 << 20;
/// How long a signal waits for lines that were read from the kernel to be written.
const LAST_FLUSH: Duration = Duration::from_millis(300);

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle on the buffer and its writing thread.
#[derive(Clone)]
pub(crate) struct Output {
    shared: Arc<Shared>,
}

impl Output {
    /// Starts the writing thread.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let output = Self { shared: shared.clone() };
        std::thread::spawn(move || write_all(&shared));
        output
    }

    /// Hands over a batch of lines and empties it.
    pub(crate) fn write(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        while state.waiting.len() > MOST_BUFFERED {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.waiting.is_empty() {
            std::mem::swap(&mut state.waiting, lines);
        } else {
            state.waiting.append(lines);
        }
        self.shared.changed.notify_all();
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&self) {
        self.wait_until_written(None);
    }

    /// Waits a moment for what is on its way, then lets a signal do what it does by default.
    pub(crate) fn die(&self, signal: i32) -> ! {
        self.wait_until_written(Some(Instant::now() + LAST_FLUSH));
        die_by(signal)
    }

    fn wait_until_written(&self, deadline: Option<Instant>) {
        let mut state = self.shared.lock();
        while state.writing || !state.waiting.is_empty() {
            let left = deadline.map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn write_all(shared: &Shared) {
    let stdout = std::io::stdout();
    let mut batch = Vec::new();
    loop {
        let mut state = shared.lock();
        state.writing = false;
        shared.changed.notify_all();
        while state.waiting.is_empty() {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, &mut batch);
        state.writing = true;
        drop(state);
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(stdout.as_fd(), rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PIPE) => die_by(PIPE_SIGNAL),
                // A full device or a closed descriptor does not stop the stock tool either.
                Err(_) => break,
            }
        }
        batch.clear();
    }
}

pub(crate) const PIPE_SIGNAL: i32 = signal_hook::consts::SIGPIPE;

/// Ends this process as an unhandled signal does.
pub(crate) fn die_by(signal: i32) -> ! {
    // When even that fails, the status says which signal it was.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

/// Whether standard output has a reader that can go away.
pub(crate) fn has_reader() -> bool {
    rustix::fs::fstat(std::io::stdout()).is_ok_and(|status| {
        matches!(FileType::from_raw_mode(status.st_mode), FileType::Fifo | FileType::Socket)
    })
}

/// The signals among `signals` that whoever started us does not ignore.
pub(crate) fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok())
        .unwrap_or(0);
    signals.iter().copied().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}
