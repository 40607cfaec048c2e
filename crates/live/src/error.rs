//! The error of this crate.

use std::io;

/// Why a mirror cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk.
    #[error("cannot {action} the journal{}: {source}", segment.map_or(String::new(), |number| format!(" segment {number:016x}")))]
    Storage {
        /// What was tried.
        action: &'static str,
        /// On which segment, if on one.
        segment: Option<u64>,
        /// What went wrong.
        source: io::Error,
    },
    /// Written by another version of the program.
    #[error(
        "journal segment {segment:016x} has format {found}, this program reads {known}: run the program that wrote it, \
         or remove the state directory for a full comparison"
    )]
    UnknownVersion {
        /// The segment.
        segment: u64,
        /// Its format.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// Something else under the name of a segment.
    #[error(
        "journal segment {segment:016x} does not begin as a journal does: remove it for a full comparison"
    )]
    NotAJournal {
        /// The segment.
        segment: u64,
    },
    /// A hook that cannot be run.
    #[error("mirror {mirror}: hook[{number}]: {problem}")]
    Hook {
        /// The name of the mirror.
        mirror: String,
        /// Which of its hooks, from 0.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A thread that could not be started.
    #[error("cannot start a thread for a {what}: {error}")]
    Thread {
        /// What it was for.
        what: &'static str,
        /// What went wrong.
        error: io::Error,
    },
}
