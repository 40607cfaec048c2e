//! Every byte of the rsync protocol, versions 27 to 32, as codecs.
//!
//! Bytes in, state out: nothing here opens a socket or a file, decides a policy or prints. Decoders
//! read from any [`std::io::BufRead`] through [`WireRead`]; encoders append to a `Vec<u8>` through
//! [`WireWrite`]. Every length that comes from a peer is bounded before it has a buffer.
//!
//! # A session from end to end
//!
//! 1. Set-up, unframed: over a shell both sides send their version as an int
//!    ([`negotiate_version`]); with a daemon they exchange [`daemon::Greeting`]s, a
//!    [`daemon::Request`], [`daemon::Reply`]s and argument words. Then, from protocol 30, the
//!    server's [`CompatFlags`]; with [`CompatFlags::VARINT_FLAGS`] both offers of [`Algorithm`]s;
//!    the seed, an int.
//! 2. Frames: wrap the streams in [`Demultiplexer`] and [`Multiplexer`], and `start` them where the
//!    version says so.
//! 3. The filter list ([`put_filter_rule`]), then the file lists ([`list`]).
//! 4. Requests and answers: an [`Index`], an [`Item`], a [`SumHead`] with its records; back come
//!    the same, then the tokens ([`TokenEncoder`]) and the file's sum.
//! 5. [`Index::Done`] as often as [`Protocol::generator_rounds`] says, [`DeleteStats`] and
//!    [`Statistics`] in between.
//!
//! ```
//! use syncline_wire::{Index, IndexDecoder, Item, ItemFlags, Protocol, SumHead};
//!
//! // A generator asks for file 0 as a whole.
//! let mut wire: &[u8] = &[0x01, 0x00, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
//! let protocol = Protocol::NEWEST;
//! let index = IndexDecoder::new(protocol).decode(&mut wire)?;
//! let item = Item::decode(&mut wire, protocol)?;
//! let head = SumHead::decode(&mut wire, protocol, 16)?;
//! assert_eq!(index, Index::File(0));
//! assert_eq!(item.flags, ItemFlags::TRANSFER | ItemFlags::IS_NEW);
//! assert!(head.is_empty());
//! # Ok::<(), syncline_wire::Error>(())
//! ```

mod algorithm;
mod batch;
pub mod daemon;
mod error;
mod files_from;
mod filters;
mod finish;
mod index;
mod item;
pub mod list;
mod message;
mod multiplex;
mod protocol;
mod read;
mod setup;
mod sums;
mod token;
mod write;

pub use algorithm::{Algorithm, Checksum, Compression, LIST_MAX, Side};
pub use batch::{BatchHeader, BatchOptions};
pub use error::{Error, ErrorClass, Result};
pub use files_from::{FilesFromForwarder, read_files_from_name};
pub use filters::{FILTER_RULE_MAX, put_filter_end, put_filter_rule, read_filter_rule};
pub use finish::{DeleteStats, Statistics};
pub use index::{Index, IndexDecoder, IndexEncoder};
pub use item::{BASIS_NAME_MAX, BasisType, Item, ItemFlags};
pub use message::{IoErrors, MESSAGE_MAX, Message, TextKind};
pub use multiplex::{Demultiplexer, FrameHeader, MessageSink, Multiplexer};
pub use protocol::{CompatFlags, Protocol};
pub use read::WireRead;
pub use setup::{Capabilities, negotiate_version};
pub use sums::{STRONG_MAX, SumHead};
pub use token::{Token, TokenDecoder, TokenEncoder};
pub use write::{VSTRING_MAX, WireWrite};
