//! The state in a file, for those who read files (R137).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Log;
use crate::state::{Registry, Snapshot};
use crate::status;

/// How often it is looked whether the state changed.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps a file with the state, replaced when it changes, until it is dropped; then it says what was last.
#[derive(Debug)]
pub struct StatusFile {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StatusFile {
    /// Writes the file, and does so again whenever something changed.
    pub fn start(path: PathBuf, registry: &Registry, log: &Log) -> io::Result<Self> {
        // Looked at first, so that what changes from here on is seen as a change.
        let mut written = unchanging(registry);
        write(&path, registry)?;
        let (stop, stopped) = channel();
        let (registry, log) = (registry.clone(), log.clone());
        let work = move || {
            let mut failed = false;
            loop {
                let ends = stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout);
                let now = unchanging(&registry);
                if now != written || failed {
                    let result = write(&path, &registry);
                    if let (Err(error), false) = (&result, failed) {
                        log.error(format_args!("status file {}: {error}", path.display()));
                    }
                    (written, failed) = (now, result.is_err());
                }
                if ends {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("status file".into()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that died has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The state without what only time changes.
fn unchanging(registry: &Registry) -> Snapshot {
    let mut snapshot = registry.snapshot(Duration::ZERO);
    snapshot.time.clear();
    snapshot
}

/// Writes beside the file and renames, so that a reader finds a whole one at any time.
fn write(path: &Path, registry: &Registry) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let text = status::json(&registry.snapshot(registry.now()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // There may be none.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::state::State;

    #[test]
    fn r137_a_reader_always_finds_a_whole_file_and_in_the_end_the_last_state() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("status.json");
        let registry = Registry::new();
        let target = registry.mirror("www", Path::new("/data")).target("web1", "web1::www");
        let file = StatusFile::start(path.clone(), &registry, &Log::to(|_, _| {})).unwrap();
        let read = || {
            let text = fs::read(&path).unwrap();
            let snapshot: Snapshot = serde_json::from_slice(&text).unwrap();
            snapshot.mirrors[0].targets[0].state
        };
        assert_eq!(read(), State::Starting);
        let _ = target.set_state(Duration::ZERO, State::Live, "");
        let began = Instant::now();
        while read() != State::Live {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        let _ = target.set_state(Duration::ZERO, State::Stopped, "");
        drop(file);
        assert_eq!(read(), State::Stopped);
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
    }
}
