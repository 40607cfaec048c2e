//! Differential torture: the same random job given to stock rsync and to ours, everything they leave compared.
//!
//! A seed makes a source tree, a destination (absent, empty, equal, or a mutated copy), an option set and a transport. The
//! reference run uses stock on both ends; the tried run uses ours on one end or on both. Compared are the exit code, the
//! itemized lines (as a multiset: stock itself races on their order), the whole destination and what is left of the source.

pub mod grow;
pub mod job;
pub mod play;
pub mod random;
pub mod snapshot;
