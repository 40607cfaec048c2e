//! The behaviour suite: what a run of the program prints, returns and leaves on disk.
//!
//! Every case was recorded from the stock program. The same cases run against stock and against Syncline, chosen by
//! `SYNCLINE_UNDER_TEST=stock|ours`: a case that stock fails is a wrong case, one that we fail is a defect of ours.

pub mod daemon;
pub mod pending;
pub mod program;
pub mod sandbox;
pub mod text;
pub mod torture;
pub mod tree;

/// Says that a test does not run here, and why; `cargo xtask test` gathers these lines.
#[allow(clippy::print_stderr)]
pub fn skipped(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}

/// The examples of the project's README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
