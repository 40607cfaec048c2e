//! The one place with `unsafe`: calls into functions compiled for newer processors, each after asking the processor at run time.
//!
//! The functions themselves are safe code; what is unsafe is only to call them where the feature may be missing. Every one has
//! a portable twin that computes the same.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_digest;
#[cfg(target_arch = "x86_64")]
mod avx2_slide;

use crate::index::Filter;
use crate::md::{LANES, Messages};

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Sum of the bytes `(byte ^ flip) as i8`, and the sum of those running sums, both mod 2^32.
pub(crate) fn signed_sums(block: &[u8], flip: u8) -> (u32, u32) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has AVX2, as just asked.
        return unsafe { avx2::signed_sums(block, flip) };
    }
    signed_sums_portable(block, flip)
}

/// The states of all messages after digesting them in lockstep, where the processor makes that worthwhile.
pub(crate) fn digest_together(messages: &Messages<'_>) -> Option<[[u32; 4]; LANES]> {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has AVX2, as just asked.
        return Some(unsafe { avx2_digest::digest_together(messages) });
    }
    let _ = messages;
    None
}

/// A window's two sums, mod 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) sum: u16,
    pub(crate) running: u16,
}

/// What the sums are made of: the window's length, and bytes that count `(byte ^ flip) as i8 + offset`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) length: u16,
    pub(crate) flip: u8,
    pub(crate) offset: u16,
}

/// How far a window slid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slid {
    /// That many steps, to sums that the filter may hold.
    Candidate(usize),
    /// That many steps, none of them to a candidate; the rest is too short for vectors.
    Past(usize),
}

/// Slides many bytes at a time where the processor can, else not at all.
pub(crate) fn slide_to_candidate(
    sums: &mut Sums,
    terms: Terms,
    leaving: &[u8],
    entering: &[u8],
    filter: &Filter,
) -> Slid {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has AVX2, as just asked.
        return unsafe { avx2_slide::slide_to_candidate(sums, terms, leaving, entering, filter) };
    }
    let _ = (sums, terms, leaving, entering, filter);
    Slid::Past(0)
}

/// How much each of 32 bytes adds to the sum of running sums: the first stays longest.
const WEIGHTS: [u8; 32] = {
    let mut weights = [0; 32];
    let mut i = 0;
    while i < 32 {
        weights[i] = 32 - i as u8;
        i += 1;
    }
    weights
};

/// Written so that a compiler can use whatever vectors the target has.
fn signed_sums_portable(block: &[u8], flip: u8) -> (u32, u32) {
    let (chunks, rest) = block.as_chunks::<32>();
    let (mut sum, mut running) = (0_u32, 0_u32);
    for chunk in chunks {
        let (mut plain, mut weighted) = (0_i32, 0_i32);
        for (byte, weight) in chunk.iter().zip(WEIGHTS) {
            let byte = i32::from((byte ^ flip) as i8);
            plain += byte;
            weighted += byte * i32::from(weight);
        }
        running = running.wrapping_add(sum.wrapping_mul(32)).wrapping_add(weighted as u32);
        sum = sum.wrapping_add(plain as u32);
    }
    signed_sums_onward((sum, running), rest, flip)
}

/// Goes on byte by byte.
fn signed_sums_onward((mut sum, mut running): (u32, u32), bytes: &[u8], flip: u8) -> (u32, u32) {
    for byte in bytes {
        sum = sum.wrapping_add((byte ^ flip) as i8 as u32);
        running = running.wrapping_add(sum);
    }
    (sum, running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree(data: &[u8], flip: u8) {
        let bytewise = signed_sums_onward((0, 0), data, flip);
        assert_eq!(signed_sums(data, flip), bytewise);
        assert_eq!(signed_sums_portable(data, flip), bytewise);
    }

    proptest! {
        #[test]
        fn sums_in_chunks_equal_sums_byte_by_byte(
            data in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            agree(&data, 0);
            agree(&data, 0x80);
        }
    }

    #[test]
    fn extreme_bytes_do_not_saturate_sums_in_chunks() {
        for byte in [0x00, 0x7f_u8, 0x80, 0xff] {
            agree(&vec![byte; 131_072], 0);
            agree(&vec![byte; 131_072], 0x80);
        }
    }
}
