//! The sending side: what the arguments mean, what lies below them, and the content of what is asked for.
//!
//! [`scan`] runs on a thread of its own and delivers complete lists, in the order the protocol announces them. Over a
//! connection it also encodes them (serving passes the bytes on between its answers); in a local run the lists go to the
//! sink as they are. A [`Tree`] remembers where the entries of the lists are, so that their content can be opened.

mod arguments;
mod emit;
mod extras;
mod files;
mod remove;
mod scan;
mod serve;
mod tree;

pub use arguments::sanitize_line;
pub use emit::{Origins, Scanned};
pub use files::{CvsPlaces, OperatorFiles};
pub(crate) use remove::remove_source;
pub use scan::{Line, Names, ScanPlan, scan};
pub(crate) use serve::serve;
pub use tree::{Base, Tree};
