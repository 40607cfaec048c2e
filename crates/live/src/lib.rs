//! What waits for the targets of a live mirror, when it is tried again, and how mirrors and targets are ([`state`]).
//!
//! Queues are pure: time is what the caller says it is, as a duration since any moment it likes, and the disk is behind a
//! small trait. Requirements are numbered as in `docs/spec/live.md` 6.
//!
//! ```
//! use std::time::Duration;
//! use syncline_fs::RelPath;
//! use syncline_live::{Directory, JournalSync, Outbox, Todo};
//!
//! # let dir = tempfile::tempdir()?;
//! let now = Duration::ZERO;
//! let (mut outbox, _) = Outbox::open(Directory::open(dir.path())?, JournalSync::Batch, 200_000, now)?;
//! outbox.push(now, RelPath::new(b"a/b").unwrap(), Todo::changed());
//! outbox.push(now, RelPath::new(b"a").unwrap(), Todo::Remove);
//! drop(outbox); // As after `kill -9`.
//!
//! let (mut outbox, recovery) = Outbox::open(Directory::open(dir.path())?, JournalSync::Batch, 200_000, now)?;
//! assert!(!recovery.clean);
//! let batch = outbox.take(now, 10_000).unwrap();
//! assert_eq!(batch.entries.len(), 1);
//! assert_eq!((batch.entries[0].path.as_bytes(), batch.entries[0].todo), (&b"a"[..], Todo::Remove));
//! outbox.finish(now, &[]); // Everything arrived.
//! assert!(outbox.queue().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod check;
mod error;
mod hooks;
mod journal;
mod key;
mod lock;
mod log;
mod mirror;
mod notify;
mod outbox;
mod push;
mod queue;
mod record;
pub mod schedule;
mod service;
pub mod state;
pub mod status;
mod status_file;
mod storage;
mod target;

pub use backoff::{Backoff, Policy};
pub use check::{Finding, check, validate};
pub use error::Error;
#[doc(hidden)]
pub use hooks::answer_status;
pub use hooks::{Change, Hooks};
pub use log::{Log, LogLevel};
pub use notify::{Notifier, Watchdog};
pub use outbox::{Outbox, Recovery};
pub use queue::{Batch, Below, Look, Pending, Queue, Todo};
pub use service::{Service, ServiceError, StartOptions, once};
pub use status_file::StatusFile;
pub use storage::{Directory, Storage};
pub use syncline_conf::live::JournalSync;
