//! rsync's filter language: include, exclude, hide, protect, merge files, and what travels to the peer.
//!
//! The crate parses rules, judges names by them and puts them into the words of the protocol. It opens no file and
//! walks no directory: [`RuleFiles`] supplies the text of rule files, and the caller says which directory it enters.
//! Names and patterns are bytes. It is written from `docs/spec/filters.md`, which its comments cite by section.
//!
//! ```
//! use syncline_filter::{Filter, Name, NoFiles, Rules, Settings, Side};
//!
//! # fn main() -> Result<(), syncline_filter::FilterError> {
//! let mut rules = Rules::new(Settings::default());
//! rules.filter(b"+ keep.o", &mut NoFiles)?;
//! rules.exclude(b"*.o")?;
//! rules.filter(b"P /cache/", &mut NoFiles)?;
//!
//! let hiding = Filter::new(&rules, Side::Sender);
//! assert!(hiding.excludes(&Name::file(b"src/main.o")));
//! assert!(!hiding.excludes(&Name::file(b"src/keep.o")));
//! assert!(!hiding.excludes(&Name::directory(b"cache")), "protecting is the receiver's affair");
//! # Ok(())
//! # }
//! ```
//!
//! # Walking a tree
//!
//! A walk with per-directory files keeps the filter in step: [`Filter::enter`] before the entries of a directory are
//! judged, [`Filter::leave`] after the last of them. A directory that is itself excluded is not entered.
//!
//! ```
//! use std::io;
//! use syncline_filter::{Filter, Name, RuleFile, RuleFiles, Rules, Settings, Side};
//!
//! struct Disk;
//!
//! impl RuleFiles for Disk {
//!     fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
//!         match file {
//!             RuleFile::PerDirectory { directory: b"/srv/tree/doc", .. } => Ok(b"- /draft*\n".to_vec()),
//!             _ => Err(io::ErrorKind::NotFound.into()),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), syncline_filter::FilterError> {
//! let mut rules = Rules::new(Settings::default());
//! rules.filter(b": .rules", &mut Disk)?;
//! let mut filter = Filter::new(&rules, Side::Sender);
//! filter.set_root(b"/srv/tree");
//!
//! filter.enter(b"", &mut Disk)?;
//! filter.enter(b"doc", &mut Disk)?;
//! assert!(filter.excludes(&Name::file(b"doc/draft.txt")));
//! filter.leave();
//! assert!(!filter.excludes(&Name::file(b"draft.txt")));
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! * [`Rules`] is the ordered list as options give it; [`Rules::complete`] adds what the program implies and encodes
//!   it for a peer, [`Rules::receive`] takes a peer's rules.
//! * [`Filter`] is what acts on one [`Side`], with the state of the walk.
//! * [`Hide`] is a test of the caller's own, in front of all rules: [`Rules::hide`].
//! * [`ModuleFilters`] are a daemon module's parameters, put before the main list with [`Filter::with_daemon`].
//! * [`ReceiverChecks`] and [`RequestList`] tell a pulling client which names no honest sender would have sent.
//! * The matcher alone is `syncline_wildcard::Wildcard`. It never takes more steps than a small multiple of pattern times text.
//!
//! # Knowingly unlike stock
//!
//! * A received rule that merges a file is refused ([`FilterError::PeerNamedFile`]); no client sends one.
//! * A request that can yield nothing lets the client accept nothing, where stock accepts anything.
//! * Per-directory rules named by per-directory files nest no deeper than [`MAX_DEPTH`].
//! * The files of a one-sided per-directory rule are not read on the side where it does not act.
//! * A receiver-only `-C` does not make a pulling client reject what the sender rightly sent.

mod client;
mod cvs;
mod daemon;
mod error;
mod eval;
mod filter;
mod hide;
mod lines;
mod load;
mod parse;
mod pattern;
mod request;
mod rule;
mod rules;
mod text;
mod wire;

pub use client::{ClientRules, ImpliedRules};
pub use daemon::ModuleFilters;
pub use error::{
    FilterError, MAX_DEPTH, MAX_LINE, MAX_PATTERN, MAX_WIRE_RULE, Place, RuleText, Warning,
};
pub use eval::{Decision, ListKind, Name};
pub use filter::Filter;
pub use hide::Hide;
pub use load::{CvsSources, NoFiles, RuleFile, RuleFiles, Settings};
pub use request::{ReceiverChecks, RejectedName, RequestList, RequestOptions};
pub use rule::{Action, DirMerge, Modifiers, Rule, Side, Sides};
pub use rules::{ListedRule, Rules};
pub use wire::{Direction, SectionOptions, wire_length, write_section};
