//! Files that were written while nobody watched, and may look as they did before: a comparison by size and time passes them
//! over (R72, R139).

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_fs::RelPathBuf;

use super::Hiding;
use super::walk::files;
use crate::queue::Todo;
use crate::target::Desk;

/// So many are told at once.
const PIECE: usize = 1000;

/// A look at the source on a thread of its own, which ends with this.
pub(super) struct Unseen {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Unseen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said why.
            let _ = thread.join();
        }
    }
}

impl Unseen {
    /// Tells the desks of all files whose status changed at or after this moment: their content is sent, whatever size
    /// and time they have.
    pub(super) fn look(
        top: PathBuf,
        hiding: Arc<Hiding>,
        desks: Vec<Arc<Desk>>,
        since: SystemTime,
    ) -> std::io::Result<Self> {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = (since.as_secs() as i64, i64::from(since.subsec_nanos()));
        let over = Arc::<AtomicBool>::default();
        let until = Arc::clone(&over);
        let look = move || {
            let mut changes = Vec::new();
            let tell = |changes: &mut Vec<(RelPathBuf, Todo)>| {
                for desk in &desks {
                    desk.push(changes);
                }
                changes.clear();
            };
            files(&top, &hiding, &until, &mut |path, data| {
                if data.is_file() && (data.ctime(), data.ctime_nsec()) >= since {
                    let path = RelPathBuf::clean(&path).ok();
                    changes.extend(path.map(|path| (path, Todo::changed())));
                    if changes.len() >= PIECE {
                        tell(&mut changes);
                    }
                }
                true
            });
            tell(&mut changes);
        };
        let thread = thread::Builder::new().name("unseen".into()).spawn(look)?;
        Ok(Self { over, thread: Some(thread) })
    }
}
