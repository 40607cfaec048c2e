//! librsync's files: signatures and deltas as the `rdiff` program reads and writes them (`docs/spec/delta.md` 14).
//!
//! ```
//! use syncline_delta::{Algorithm, SearchIndex, WeakSum, rdiff};
//!
//! let (old, new) = (&b"abcdefghij"[..], &b"abcdXefghij"[..]);
//!
//! let format = rdiff::format(WeakSum::RabinKarp, Algorithm::Blake2b, 4, 8)?;
//! let mut signature_file = Vec::new();
//! rdiff::sign(old, format, &mut signature_file)?;
//!
//! let index = SearchIndex::new(rdiff::read_signature(&signature_file[..])?);
//! let mut delta_file = Vec::new();
//! rdiff::delta(&index, new, &mut delta_file)?;
//!
//! let mut patched = Vec::new();
//! rdiff::patch(old, &delta_file[..], &mut patched)?;
//! assert_eq!(patched, new);
//! # Ok::<(), syncline_delta::Error>(())
//! ```

mod delta;
mod signature;

pub use delta::{DeltaReader, DeltaStep, DeltaWriter, delta, patch};
pub use signature::{format, read_signature, sign, write_signature};

/// The block length rdiff chooses for a basis of `length` bytes, or of unknown length.
pub fn default_block_length(length: Option<u64>) -> u32 {
    match length {
        None => 2048,
        Some(..=65536) => 256,
        Some(length) => (length.isqrt() / 128 * 128) as u32,
    }
}

/// The least bytes of strong sum that make a false match unlikely: what `rdiff -S -1` takes.
pub fn minimum_strong_length(length: Option<u64>, block_length: u32) -> usize {
    let Some(length) = length else { return 12 };
    let blocks = length / u64::from(block_length.max(1)) + 1;
    let bits = length.saturating_add(1 << 24).ilog2() + blocks.ilog2();
    2 + (bits as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rdiffs() {
        assert_eq!(default_block_length(Some(65_536)), 256);
        assert_eq!(default_block_length(Some(65_537)), 256);
        assert_eq!(default_block_length(Some(10_000_000)), 3072);
        assert_eq!(minimum_strong_length(Some(5000), 256), 6);
    }
}
