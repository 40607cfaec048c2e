//! Every byte of the rsync protocol, versions 27 to 32, as codecs.
//!
//! Bytes in, state out: nothing here opens a socket or a file, decides a policy or prints. Decoders read
//! from any [`std::io::BufRead`] through [`WireRead`]; encoders append to a `Vec<u8>` through [`WireWrite`]. Every
//! length that comes from a peer is bounded before it has a buffer.
#![doc = include_str!("../README.md")]

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
