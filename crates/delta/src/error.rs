//! What can go wrong.

use std::io;

/// Why a signature, a delta or a patch could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A sum header that no peer may send.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// More or fewer block records than the header announced.
    #[error("signature has {found} block records where its header says {expected}")]
    RecordCount {
        /// From the header.
        expected: u32,
        /// Those there were; one more where a surplus record was refused.
        found: u32,
    },
    /// A record's strong sum has another length than the header says.
    #[error("strong sum of {found} bytes where the signature has {expected}")]
    RecordLength {
        /// From the header.
        expected: usize,
        /// Of the record.
        found: usize,
    },
    /// There are no block sums without a digest algorithm.
    #[error("no block sums without a strong sum algorithm")]
    NoBlockSums,
    /// A signature cannot count its blocks.
    #[error("file is too large for a signature with blocks of {block_length} bytes")]
    TooManyBlocks {
        /// Bytes of a block.
        block_length: u32,
    },
    /// A copy reaches beyond the basis.
    #[error("copy of {length} bytes at offset {offset} reaches beyond the end of the basis")]
    BeyondBasis {
        /// Where the copy starts.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// A librsync file starts with other bytes than a known magic number.
    #[error("bad magic number {found:#010x} at start of {what}")]
    Magic {
        /// The kind of file expected.
        what: &'static str,
        /// What it starts with.
        found: u32,
    },
    /// A librsync file stops too early.
    #[error("unexpected end of {what}")]
    Truncated {
        /// The part that is cut short.
        what: &'static str,
    },
    /// A librsync file contradicts itself.
    #[error("{what} of {value} is not allowed in a {file}")]
    Corrupt {
        /// The kind of file.
        file: &'static str,
        /// The field.
        what: &'static str,
        /// What it holds.
        value: u64,
    },
    /// librsync files cannot hold this sum.
    #[error("a librsync signature cannot hold {0:?} sums")]
    NotLibrsync(crate::Algorithm),
}

impl Error {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

/// A field of a received sum header is out of its bounds; the first bad one, in the order of the wire
/// (`docs/spec/delta.md` 4.5). The text is stock's, to which a role such as ` [sender]` may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The number of blocks is negative.
    #[error("Invalid checksum count {0}")]
    Count(i32),
    /// The block length is negative or above the maximum.
    #[error("Invalid block length {0}")]
    BlockLength(i32),
    /// There are blocks, of no length.
    #[error("Invalid zero block length")]
    ZeroBlockLength,
    /// The strong sum's length is negative or above the digest's.
    #[error("Invalid checksum length {0}")]
    StrongLength(i32),
    /// The last block's length is negative or above the block length.
    #[error("Invalid remainder length {0}")]
    Remainder(i32),
}
