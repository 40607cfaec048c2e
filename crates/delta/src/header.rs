//! The sum header: how a file is cut into blocks and how much of each sum is sent.

use crate::error::{Error, HeaderError};

/// The longest block up to protocol 29 (`docs/spec/delta.md` 4.2).
pub const MAX_BLOCK_LENGTH_BEFORE_30: u32 = 1 << 29;
/// The longest block from protocol 30 on.
pub const MAX_BLOCK_LENGTH: u32 = 1 << 17;

/// The longest strong sum ever put into a record.
const MAX_STRONG_LENGTH: usize = 16;
const SHORTEST_BLOCK: u32 = 700;
/// Files up to this length (700 * 700) have the shortest blocks.
const SHORTEST_BLOCKS_UP_TO: u64 = 490_000;

/// The longest block that peers of `protocol` accept.
pub const fn max_block_length(protocol: u32) -> u32 {
    if protocol < 30 { MAX_BLOCK_LENGTH_BEFORE_30 } else { MAX_BLOCK_LENGTH }
}

/// The block length rsync chooses for a file of `length` bytes, at most `max`.
///
/// ```
/// use syncline_delta::{MAX_BLOCK_LENGTH, block_length};
/// assert_eq!(block_length(10_000_000, MAX_BLOCK_LENGTH), 3160);
/// ```
pub fn block_length(length: u64, max: u32) -> u32 {
    if length <= SHORTEST_BLOCKS_UP_TO {
        return SHORTEST_BLOCK;
    }
    let root = length.isqrt() / 8 * 8;
    root.clamp(u64::from(SHORTEST_BLOCK), u64::from(max.max(SHORTEST_BLOCK))) as u32
}

/// How many bytes of a strong sum rsync sends for each block in the first pass: enough that a false match in a file of
/// this length is unlikely (`docs/spec/delta.md` 4.3).
pub fn strong_length(length: u64, block_length: u32, digest_length: usize) -> usize {
    let bits = 10 + 2 * i64::from(length.max(1).ilog2()) - i64::from(block_length.max(1).ilog2());
    let bytes = (bits.max(0) - 24) / 8;
    (bytes.max(2) as usize).min(full_strong_length(digest_length))
}

/// The strong sum's length in a second pass, after a first one failed verification.
pub fn full_strong_length(digest_length: usize) -> usize {
    digest_length.min(MAX_STRONG_LENGTH)
}

/// How a file was cut into blocks, and how long their strong sums are: the four numbers in front of the block records.
///
/// ```
/// use syncline_delta::{MAX_BLOCK_LENGTH, SumHeader};
///
/// let header = SumHeader::for_file(1_048_575, None, MAX_BLOCK_LENGTH, 16, false)?;
/// assert_eq!(header.to_wire(), [1033, 1016, 2, 63]);
/// assert_eq!(SumHeader::from_wire([1033, 1016, 2, 63], MAX_BLOCK_LENGTH, 16)?, header);
/// # Ok::<(), syncline_delta::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SumHeader {
    count: u32,
    block_length: u32,
    strong_length: u32,
    remainder: u32,
    surplus: u32,
}

impl SumHeader {
    /// No blocks at all: "send everything".
    pub const EMPTY: Self =
        Self { count: 0, block_length: 0, strong_length: 0, remainder: 0, surplus: 0 };

    /// The header for a basis of `length` bytes. `block_size` overrides the rule; `full` asks for whole strong sums, as a
    /// second pass does. An empty file has the empty header.
    ///
    /// Fails with [`Error::TooManyBlocks`] where the blocks cannot be counted in 31 bits, and with [`Error::Header`] where
    /// `block_size` is 0 or above `max_block_length`.
    pub fn for_file(
        length: u64,
        block_size: Option<u32>,
        max_block_length: u32,
        digest_length: usize,
        full: bool,
    ) -> Result<Self, Error> {
        if length == 0 {
            return Ok(Self::EMPTY);
        }
        let block_length = block_size.unwrap_or_else(|| block_length(length, max_block_length));
        if block_length == 0 || block_length > max_block_length {
            return Err(HeaderError::BlockLength(block_length as i32).into());
        }
        let count = i32::try_from(length.div_ceil(u64::from(block_length)))
            .map_err(|_| Error::TooManyBlocks { block_length })?;
        let strong = if full {
            full_strong_length(digest_length)
        } else {
            strong_length(length, block_length, digest_length)
        };
        Ok(Self {
            count: count as u32,
            block_length,
            strong_length: strong as u32,
            remainder: (length % u64::from(block_length)) as u32,
            surplus: 0,
        })
    }

    /// Checks the four numbers as they came from a peer: count, block length, strong length, remainder.
    ///
    /// Some peers send 16 bytes for an 8-byte digest in the second pass, half of them garbage. They are let in: the header
    /// then says how many bytes of each record to skip ([`SumHeader::surplus`]) and is written back with the honest length
    /// (`docs/spec/delta.md` 4, traps).
    pub fn from_wire(
        [count, block_length, strong_length, remainder]: [i32; 4],
        max_block_length: u32,
        digest_length: usize,
    ) -> Result<Self, HeaderError> {
        let digest = digest_length.min(usize::from(u8::MAX)) as u32;
        let longest_sum = digest.max(MAX_STRONG_LENGTH as u32);
        let blocks = u32::try_from(count).map_err(|_| HeaderError::Count(count))?;
        let length = bounded(block_length, max_block_length)
            .ok_or(HeaderError::BlockLength(block_length))?;
        if blocks > 0 && length == 0 {
            return Err(HeaderError::ZeroBlockLength);
        }
        let strong =
            bounded(strong_length, longest_sum).ok_or(HeaderError::StrongLength(strong_length))?;
        let last = bounded(remainder, length).ok_or(HeaderError::Remainder(remainder))?;
        Ok(Self {
            count: blocks,
            block_length: length,
            strong_length: strong.min(digest),
            remainder: last,
            surplus: strong.saturating_sub(digest),
        })
    }

    /// The four numbers for a peer.
    pub fn to_wire(&self) -> [i32; 4] {
        // Each is below 2^31: made so, or once an int32.
        [self.count, self.block_length, self.strong_length, self.remainder]
            .map(|field| field as i32)
    }

    /// The number of blocks.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of every block but perhaps the last.
    pub const fn block_length(&self) -> u32 {
        self.block_length
    }

    /// Bytes of the strong sum in each record.
    pub const fn strong_length(&self) -> usize {
        self.strong_length as usize
    }

    /// The length of the last block where it is short, else 0.
    pub const fn remainder(&self) -> u32 {
        self.remainder
    }

    /// Bytes behind the strong sum of each received record that mean nothing.
    pub const fn surplus(&self) -> usize {
        self.surplus as usize
    }

    /// The length of block `index`; 0 where there is no such block.
    pub const fn length_of(&self, index: u32) -> u32 {
        if index >= self.count {
            0
        } else if index + 1 == self.count && self.remainder != 0 {
            self.remainder
        } else {
            self.block_length
        }
    }

    /// Where block `index` starts in the basis.
    pub const fn offset_of(&self, index: u32) -> u64 {
        index as u64 * self.block_length as u64
    }

    /// Bytes all blocks cover: the basis' length, and in append mode the offset where new data begins
    /// (`docs/spec/delta.md` 10).
    pub const fn covered(&self) -> u64 {
        match self.count {
            0 => 0,
            count => self.offset_of(count - 1) + self.length_of(count - 1) as u64,
        }
    }
}

fn bounded(field: i32, max: u32) -> Option<u32> {
    u32::try_from(field).ok().filter(|field| *field <= max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_agree_with_the_specification() {
        const OLD: u32 = MAX_BLOCK_LENGTH_BEFORE_30;
        const NEW: u32 = MAX_BLOCK_LENGTH;
        for (length, block_size, max, wire) in [
            (0, None, NEW, [0, 0, 0, 0]),
            (495_615, None, NEW, [709, 700, 2, 15]),
            (4_294_967_295, None, NEW, [65545, 65528, 4, 63]),
            (17_179_869_189, None, NEW, [131_073, 131_072, 4, 5]),
            (1_000_000_000_000, None, NEW, [7_629_395, 131_072, 5, 69632]),
            (1_000_000_000_000, None, OLD, [1_000_000, 1_000_000, 5, 0]),
            (1_000_000_000, Some(700), NEW, [1_428_572, 700, 4, 300]),
            (1_000_000_000, Some(10), NEW, [100_000_000, 10, 5, 0]),
        ] {
            let header = SumHeader::for_file(length, block_size, max, 16, false).unwrap();
            assert_eq!(header.to_wire(), wire);
            assert_eq!(header.covered(), length);
        }
        assert!(SumHeader::for_file(u64::MAX, Some(10), NEW, 16, false).is_err());
        assert!(SumHeader::for_file(9, Some(0), NEW, 16, false).is_err());
        assert_eq!(SumHeader::for_file(9, None, NEW, 8, true).unwrap().strong_length(), 8);
        assert_eq!(SumHeader::for_file(9, None, NEW, 20, true).unwrap().strong_length(), 16);
    }

    #[test]
    fn the_first_bad_field_is_named_in_stocks_words() {
        let refused = |fields, digest| {
            SumHeader::from_wire(fields, MAX_BLOCK_LENGTH, digest).unwrap_err().to_string()
        };
        assert_eq!(refused([-1, -1, -1, -1], 16), "Invalid checksum count -1");
        assert_eq!(refused([1, -1, -1, -1], 16), "Invalid block length -1");
        assert_eq!(refused([1, 131_073, 2, 0], 16), "Invalid block length 131073");
        assert_eq!(refused([1, 0, 2, 0], 16), "Invalid zero block length");
        assert_eq!(refused([1, 700, -1, 0], 16), "Invalid checksum length -1");
        assert_eq!(refused([1, 700, 17, 0], 16), "Invalid checksum length 17");
        assert_eq!(refused([1, 700, 21, 0], 20), "Invalid checksum length 21");
        assert_eq!(refused([1, 700, 2, -1], 16), "Invalid remainder length -1");
        assert_eq!(refused([1, 700, 2, 701], 16), "Invalid remainder length 701");
    }

    #[test]
    fn an_overlong_strong_sum_is_clipped_and_its_surplus_known() {
        let header = SumHeader::from_wire([1, 700, 16, 3], MAX_BLOCK_LENGTH, 8).unwrap();
        assert_eq!((header.strong_length(), header.surplus()), (8, 8));
        assert_eq!(header.to_wire(), [1, 700, 8, 3]);
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(length in any::<u64>(), block_size in proptest::option::of(1_u32..=MAX_BLOCK_LENGTH)) {
            if let Ok(header) = SumHeader::for_file(length, block_size, MAX_BLOCK_LENGTH, 16, false) {
                prop_assert_eq!(SumHeader::from_wire(header.to_wire(), MAX_BLOCK_LENGTH, 16), Ok(header));
                prop_assert_eq!(header.covered(), length);
            }
        }
    }
}
