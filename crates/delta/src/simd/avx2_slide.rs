//! Sliding a window sixteen bytes at a time.
//!
//! The sums of sixteen windows in a row are prefix sums of what each step changes, so they come out of vectors of sixteen
//! 16-bit lanes. One word of the filter for each then says whether any block may have that sum.

use super::{Slid, Sums, Terms};
use crate::index::{Filter, MIXER};
use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_xor_si128,
    _mm256_add_epi16, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cvtepi8_epi16,
    _mm256_extract_epi64, _mm256_movemask_ps, _mm256_mullo_epi16, _mm256_mullo_epi32,
    _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_slli_si256, _mm256_srl_epi32,
    _mm256_srli_epi32, _mm256_srlv_epi32, _mm256_sub_epi16, _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi16,
};

/// Steps in one go.
const STEPS: usize = 16;

#[target_feature(enable = "avx2")]
pub(super) fn slide_to_candidate(
    sums: &mut Sums,
    terms: Terms,
    leaving: &[u8],
    entering: &[u8],
    filter: &Filter,
) -> Slid {
    let length = _mm256_set1_epi16(terms.length as i16);
    let offset = _mm256_set1_epi16(terms.offset as i16);
    let mut sum_before = _mm256_set1_epi16(sums.sum as i16);
    let mut running_before = _mm256_set1_epi16(sums.running as i16);
    let mut done = 0;
    let (leaving, _) = leaving.as_chunks::<STEPS>();
    let (entering, _) = entering.as_chunks::<STEPS>();
    for (leaving, entering) in leaving.iter().zip(entering) {
        let leaving = signed(leaving, terms.flip);
        let entering = signed(entering, terms.flip);
        let change = prefix_sums(_mm256_sub_epi16(entering, leaving));
        let sum = _mm256_add_epi16(sum_before, change);
        let weight = _mm256_mullo_epi16(length, _mm256_add_epi16(leaving, offset));
        let change_of_running = prefix_sums(_mm256_sub_epi16(sum, weight));
        let running = _mm256_add_epi16(running_before, change_of_running);

        // The lower halves of both 128-bit lanes, then the upper: windows 0-3 and 8-11, then 4-7 and 12-15.
        let first = may_hold(filter, _mm256_unpacklo_epi16(sum, running));
        let second = may_hold(filter, _mm256_unpackhi_epi16(sum, running));
        if first | second != 0 {
            let candidates =
                first & 0x0f | (second & 0x0f) << 4 | (first & 0xf0) << 4 | (second & 0xf0) << 8;
            let at = candidates.trailing_zeros() as usize;
            *sums = Sums { sum: lane(sum, at), running: lane(running, at) };
            return Slid::Candidate(done + at + 1);
        }
        sum_before = _mm256_add_epi16(sum_before, last_everywhere(change));
        running_before = _mm256_add_epi16(running_before, last_everywhere(change_of_running));
        done += STEPS;
    }
    *sums = Sums { sum: lane(sum_before, 0), running: lane(running_before, 0) };
    Slid::Past(done)
}

#[target_feature(enable = "avx2")]
fn signed(bytes: &[u8; STEPS], flip: u8) -> __m256i {
    let (words, _) = bytes.as_chunks::<8>();
    let bytes = _mm_set_epi64x(i64::from_le_bytes(words[1]), i64::from_le_bytes(words[0]));
    _mm256_cvtepi8_epi16(_mm_xor_si128(bytes, _mm_set1_epi8(flip as i8)))
}

/// In each lane the sum of all lanes up to it.
#[target_feature(enable = "avx2")]
fn prefix_sums(lanes: __m256i) -> __m256i {
    let sums = _mm256_add_epi16(lanes, _mm256_slli_si256::<2>(lanes));
    let sums = _mm256_add_epi16(sums, _mm256_slli_si256::<4>(sums));
    let sums = _mm256_add_epi16(sums, _mm256_slli_si256::<8>(sums));
    // The lower half's total still has to go into the upper half.
    let lower_half_above = _mm256_permute2x128_si256::<0x08>(sums, sums);
    let total = _mm256_shuffle_epi8(lower_half_above, _mm256_set1_epi16(0x0f0e));
    _mm256_add_epi16(sums, total)
}

#[target_feature(enable = "avx2")]
fn last_everywhere(lanes: __m256i) -> __m256i {
    let quarter = _mm256_permute4x64_epi64::<0xff>(lanes);
    _mm256_shuffle_epi8(quarter, _mm256_set1_epi16(0x0f0e))
}

#[target_feature(enable = "avx2")]
fn lane(lanes: __m256i, index: usize) -> u16 {
    let quarters = [
        _mm256_extract_epi64::<0>(lanes),
        _mm256_extract_epi64::<1>(lanes),
        _mm256_extract_epi64::<2>(lanes),
        _mm256_extract_epi64::<3>(lanes),
    ];
    (quarters[index / 4] >> (index % 4 * 16)) as u16
}

/// [`Filter::may_hold`] of eight weak sums: a bit for each.
#[target_feature(enable = "avx2")]
fn may_hold(filter: &Filter, weaks: __m256i) -> u32 {
    let keys = _mm256_mullo_epi32(weaks, _mm256_set1_epi32(MIXER as i32));
    let shift: __m128i = _mm_cvtsi32_si128(filter.shift() as i32);
    let indices = _mm256_srl_epi32(keys, shift);
    // Eight plain loads are no slower than a gather instruction, and checked.
    let mask = filter.words().len() - 1;
    let word = |index: u32| filter.words()[index as usize & mask] as i32;
    let two = |pair: i64| (word(pair as u32), word((pair >> 32) as u32));
    let (word_0, word_1) = two(_mm256_extract_epi64::<0>(indices));
    let (word_2, word_3) = two(_mm256_extract_epi64::<1>(indices));
    let (word_4, word_5) = two(_mm256_extract_epi64::<2>(indices));
    let (word_6, word_7) = two(_mm256_extract_epi64::<3>(indices));
    let words = _mm256_setr_epi32(word_0, word_1, word_2, word_3, word_4, word_5, word_6, word_7);
    let five_bits = _mm256_set1_epi32(31);
    let first =
        _mm256_and_si256(_mm256_srli_epi32::<{ Filter::FIRST_BIT as i32 }>(keys), five_bits);
    let second =
        _mm256_and_si256(_mm256_srli_epi32::<{ Filter::SECOND_BIT as i32 }>(keys), five_bits);
    let both = _mm256_and_si256(_mm256_srlv_epi32(words, first), _mm256_srlv_epi32(words, second));
    _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32::<31>(both))) as u32
}
