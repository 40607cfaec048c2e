//! The transfer engine: a source that scans and serves, a sink that decides and applies, and what joins them.
//!
//! ```text
//!  SOURCE                                             SINK
//!  scan ──entries──► offer ──file list──────────────► collect ──► decide ──┐ (quick check, itemize, delete, mkdir, links…)
//!                                                                          │ request {index, signature}
//!  serve ◄─────────────────────────────────────────────────────────────────┘
//!    └─ search ──► tokens ──────────────────────────► apply ──► verify ──► commit (rename, metadata) ──► finish (dir times)
//! ```
//!
//! # Rooms
//!
//! | module | holds | knows nothing of |
//! |---|---|---|
//! | [`link`] | the joint: what a sink hears and says | bytes |
//! | [`source`] | scan, serve, removal of sources | how the connection came to be |
//! | [`sink`] | collect, decide, apply, verify, commit, finish | whether its source is near or far |
//! | [`local`] | a source and a sink in one process | encoding |
//! | [`session`] | transports, set-up, the threads of a connection, the ends of a run | files |
//! | [`parallel`] | one job over several sessions: who does what, one run's events | how a session is run |
//! | [`report`] | events to stock's text | everything else |
//!
//! [`Job`] says what is to be done, [`Terms`] on what terms the two ends do it; a [`Monitor`] is handed to every stage
//! for events and counters. Nothing here prints, reads a command line or a configuration file.
//!
//! # Threads and back-pressure
//!
//! A connection has a reader thread (socket to chunks of bytes), a writer thread (chunks and messages to the socket,
//! flushed whenever nothing more is queued) and the role threads between them. Both channels are bounded.
//!
//! * **A sink** has a receiving thread, which decodes and applies, and a generator, which decides and requests. The
//!   receiving thread never waits for the generator or the writer: its word to the generator goes through an unbounded
//!   channel, its messages to the peer through the writer's unbounded message queue. So a peer that writes is always
//!   read, and a generator that is blocked on a full pipe is freed by the peer in the end.
//! * **A source** has a scanning thread, which runs ahead by a bounded number of entries, and the serving thread, which
//!   sends lists, reads requests and sends content. It may block on writing: its peer has a receiving thread of its own
//!   (ours, and stock's receiver process), so that what it writes is read whatever the peer's generator does.
//! * **Messages** never block. They overtake data only between frames.
//! * Shutting down is dropping a sender. A thread that fails says why once; the others find their channels closed,
//!   end with [`Error::Stopped`], and the first error is the run's.

// Arms are told apart by what they mean, not by what they do; handlers take what they end the life of, and share one
// shape whether or not each of them can fail.
#![allow(
    clippy::match_same_arms,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::large_enum_variant,
    clippy::option_option
)]

mod charset;
mod error;
mod event;
mod exit;
mod extras;
mod identity;
mod interrupt;
mod job;
pub mod link;
pub mod local;
mod module;
pub mod parallel;
mod paths;
pub mod report;
pub mod session;
pub mod sink;
pub mod source;
mod stats;

pub use charset::{Charset, locale_charset};
pub use error::{Error, Result};
pub use event::{
    Event, ItemEvent, Monitor, Moved, Notice, Observer, Overall, Problem, Progress, Role, Severity,
    Silent, reason,
};
pub use exit::ExitCode;
pub use extras::Extras;
pub use interrupt::{Cause, Interrupt};
pub use job::{Job, Place, Terms, sink_allows_incremental, unperformed};
pub use module::Module;
pub use paths::OperatorPaths;
pub use stats::{Count, KindCounts, Stopwatch, Tally};
