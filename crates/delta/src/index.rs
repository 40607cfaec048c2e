//! Finding blocks by their sums.

use crate::signature::{LastBlock, Signature};
use std::cmp::Ordering;
use std::ops::Range;

/// A [`Signature`] made ready for searching. It may serve any number of searches.
///
/// Blocks are kept in order of weak sum, then strong sum, then position. Equal weak sums, however many, therefore cost a
/// binary search and not a walk, and a bit filter in front turns away nearly every weak sum that no block has.
#[derive(Debug)]
pub struct SearchIndex {
    signature: Signature,
    /// Blocks of full length, in the order above.
    order: Vec<u32>,
    /// The mixed weak sum of each entry of `order`.
    keys: Vec<u32>,
    /// Where in `order` the keys with given top bits start; one more than there are such bits' values.
    starts: Vec<u32>,
    starts_shift: u32,
    filter: Filter,
}

impl SearchIndex {
    /// Prepares a signature.
    pub fn new(signature: Signature) -> Self {
        let full = match signature.last() {
            LastBlock::Short(_) => signature.len().saturating_sub(1),
            LastBlock::Full | LastBlock::Unknown => signature.len(),
        };
        let mut entries: Vec<u64> = (0..full)
            .map(|block| u64::from(mix(signature.weaks()[block as usize])) << 32 | u64::from(block))
            .collect();
        let key = |entry: u64| (entry >> 32) as u32;
        entries.sort_unstable_by(|a, b| {
            key(*a).cmp(&key(*b)).then_with(|| {
                signature.strong_at(*a as u32).cmp(signature.strong_at(*b as u32)).then(a.cmp(b))
            })
        });
        let keys: Vec<u32> = entries.iter().map(|entry| key(*entry)).collect();
        let order: Vec<u32> = entries.into_iter().map(|entry| entry as u32).collect();

        let bits = full.max(2).ilog2();
        let starts_shift = 32 - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for key in &keys {
            starts[(key >> starts_shift) as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let filter = Filter::new(&keys);
        Self { signature, order, keys, starts, starts_shift, filter }
    }

    /// The signature within.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How many blocks have full length.
    pub(crate) fn full_blocks(&self) -> u32 {
        self.order.len() as u32
    }

    pub(crate) const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The entries with this weak sum, perhaps none.
    pub(crate) fn with_weak(&self, weak: u32) -> Range<usize> {
        let key = mix(weak);
        let bucket = (key >> self.starts_shift) as usize;
        let (start, end) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let keys = &self.keys[start..end];
        let first = keys.partition_point(|other| *other < key);
        let count = keys[first..].partition_point(|other| *other == key);
        start + first..start + first + count
    }

    /// Those of `entries`, all of one weak sum, that have this strong sum too: blocks in rising order.
    pub(crate) fn with_strong(&self, entries: Range<usize>, digest: &[u8]) -> &[u32] {
        let strong = &digest[..self.signature.format().strong_length()];
        let entries = &self.order[entries];
        let compare = |block: &u32| self.signature.strong_at(*block).cmp(strong);
        let first = entries.partition_point(|block| compare(block) == Ordering::Less);
        let entries = &entries[first..];
        &entries[..entries.partition_point(|block| compare(block) == Ordering::Equal)]
    }

    /// Whether a block of full length has these sums.
    pub(crate) fn is(&self, block: u32, weak: u32, digest: &[u8]) -> bool {
        self.signature.weaks().get(block as usize) == Some(&weak) && self.is_strong(block, digest)
    }

    /// Whether an existing block has this strong sum.
    pub(crate) fn is_strong(&self, block: u32, digest: &[u8]) -> bool {
        digest[..self.signature.format().strong_length()] == *self.signature.strong_at(block)
    }
}

/// Odd, and with its bits well spread.
pub(crate) const MIXER: u32 = 0x9e37_79b1;

/// A bijection that spreads weak sums, whose low and high halves are each poorly spread, over all bits.
#[inline(always)]
pub(crate) fn mix(weak: u32) -> u32 {
    weak.wrapping_mul(MIXER)
}

/// A set of weak sums that never misses a member and is wrong about few others: a Bloom filter whose two bits for each
/// member lie in one word, so that one load answers.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u32>,
    shift: u32,
}

impl Filter {
    /// Where the two bits' numbers lie in a key. The word's number is above them, in up to 20 bits.
    pub(crate) const FIRST_BIT: u32 = 7;
    pub(crate) const SECOND_BIT: u32 = 2;

    /// A word for each key, while that may lie in a near cache.
    pub(crate) fn new(keys: &[u32]) -> Self {
        let bits = keys.len().max(1).next_power_of_two().ilog2().clamp(7, 20);
        let shift = 32 - bits;
        let mut words = vec![0_u32; 1 << bits];
        for key in keys {
            words[(key >> shift) as usize] |=
                1 << (key >> Self::FIRST_BIT & 31) | 1 << (key >> Self::SECOND_BIT & 31);
        }
        Self { words, shift }
    }

    /// The words; a mixed weak sum shifted right by [`Filter::shift`] numbers one of them.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    pub(crate) const fn shift(&self) -> u32 {
        self.shift
    }

    /// Whether the set may hold this weak sum.
    #[inline(always)]
    pub(crate) fn may_hold(&self, weak: u32) -> bool {
        let key = mix(weak);
        // The mask changes nothing; it spares the bounds check's branch.
        let word = self.words[(key >> self.shift) as usize & (self.words.len() - 1)];
        (word >> (key >> Self::FIRST_BIT & 31)) & (word >> (key >> Self::SECOND_BIT & 31)) & 1 != 0
    }
}
