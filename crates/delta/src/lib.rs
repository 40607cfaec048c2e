//! Delta transfer: bring a file up to date by sending only what its old version lacks.
//!
//! The side with the old file (the *basis*) cuts it into blocks and sums each twice: a weak sum that slides along a file
//! byte by byte, and a strong one that settles equality. The side with the new file searches it for those blocks and sends
//! copies where it finds them and literal bytes where not. The first side patches.
//!
//! ```
//! use syncline_delta::{
//!     Algorithm, MAX_BLOCK_LENGTH, Patcher, Search, SearchIndex, Signature, SignatureFormat, StrongSum, SumHeader,
//! };
//!
//! let basis = vec![7_u8; 10_000];
//! let mut new = basis.clone();
//! new.splice(5000..5000, *b"inserted");
//!
//! // The side with the basis.
//! let sums = StrongSum::rsync_named(Algorithm::Xxh128, 0x1234_5678);
//! let header = SumHeader::for_file(10_000, None, MAX_BLOCK_LENGTH, sums.digest_length(), false)?;
//! let signature = Signature::of_slice(SignatureFormat::rsync(&header, sums)?, &basis)?;
//!
//! // The side with the new file streams it; the other side patches as operations arrive.
//! let index = SearchIndex::new(signature);
//! let mut patcher = Patcher::new(&basis[..]);
//! let mut patched = Vec::new();
//! Search::new(&index).run(&new[..], |operation| patcher.apply(operation, &mut patched))?;
//! assert_eq!(patched, new);
//! # Ok::<(), syncline_delta::Error>(())
//! ```
//!
//! * [`StrongSum`] and [`WeakSum`] are the sums: all that rsync peers of protocol 27 to 32 use, with their seeds, and
//!   librsync's.
//! * [`SumHeader`] is rsync's rule for block and sum lengths, and the check of a peer's header.
//! * [`Signature`] is made from a slice, a reader, or (by [`SignatureBuilder`]) a peer's records.
//! * [`Search`] looks through a new file in pieces of any size, without copying it and in memory that depends on the
//!   signature alone. It is linear on every input: work that comes to nothing is bounded by the bytes searched.
//! * [`Patcher`] and [`InPlacePatcher`] apply what a search found.
//! * [`rdiff`] reads and writes librsync's signature and delta files.
//!
//! There is no framing, compression or file handling here, and no dependency on the rest of Syncline.

mod error;
mod header;
mod index;
mod md;
mod patch;
pub mod rdiff;
mod search;
mod signature;
mod simd;
mod strong;
mod weak;

pub use error::{Error, HeaderError};
pub use header::{
    MAX_BLOCK_LENGTH, MAX_BLOCK_LENGTH_BEFORE_30, SumHeader, block_length, full_strong_length,
    max_block_length, strong_length,
};
pub use index::SearchIndex;
pub use patch::{Basis, InPlacePatcher, Patcher, SeekBasis};
pub use search::{Operation, Search, SearchWork};
pub use signature::{Signature, SignatureBuilder, SignatureFormat};
pub use strong::{Algorithm, Digest, FileHasher, StrongSum};
pub use weak::WeakSum;
