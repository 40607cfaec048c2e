//! Weak sums 32 bytes at a time.

use super::{WEIGHTS, signed_sums_onward};
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_extract_epi64, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_xor_si256,
};

#[target_feature(enable = "avx2")]
pub(super) fn signed_sums(block: &[u8], flip: u8) -> (u32, u32) {
    let (chunks, rest) = block.as_chunks::<32>();
    let weights = vector(&WEIGHTS);
    let ones_8 = _mm256_set1_epi8(1);
    let ones_16 = _mm256_set1_epi16(1);
    let flip_all = _mm256_set1_epi8(flip as i8);
    let mut sum = _mm256_setzero_si256();
    let mut before = _mm256_setzero_si256();
    let mut weighted = _mm256_setzero_si256();
    for chunk in chunks {
        let bytes = _mm256_xor_si256(vector(chunk), flip_all);
        before = _mm256_add_epi32(before, sum);
        // Two products of at most 32 * 128 stay far inside 16 bits.
        let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(ones_8, bytes), ones_16);
        sum = _mm256_add_epi32(sum, pairs);
        let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(weights, bytes), ones_16);
        weighted = _mm256_add_epi32(weighted, pairs);
    }
    let running = horizontal(before).wrapping_mul(32).wrapping_add(horizontal(weighted));
    signed_sums_onward((horizontal(sum), running), rest, flip)
}

#[target_feature(enable = "avx2")]
pub(super) fn vector(bytes: &[u8; 32]) -> __m256i {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |i: usize| i64::from_le_bytes(words[i]);
    _mm256_set_epi64x(word(3), word(2), word(1), word(0))
}

#[target_feature(enable = "avx2")]
fn horizontal(vector: __m256i) -> u32 {
    let halves = [
        _mm256_extract_epi64::<0>(vector),
        _mm256_extract_epi64::<1>(vector),
        _mm256_extract_epi64::<2>(vector),
        _mm256_extract_epi64::<3>(vector),
    ];
    halves
        .iter()
        .fold(0_u32, |sum, half| sum.wrapping_add(*half as u32).wrapping_add((*half >> 32) as u32))
}
