//! MD4 and MD5 of sixteen messages in lockstep: two vectors of eight, so that one's waiting is the other's work.

use super::avx2::vector;
use crate::md::{Kind, LANES, Messages, START, md4_rounds, md5_rounds};
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_extract_epi64, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

/// A word of each message.
type Words = [__m256i; 2];

#[target_feature(enable = "avx2")]
fn plus(a: Words, b: Words) -> Words {
    [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn xor(a: Words, b: Words) -> Words {
    [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn and(a: Words, b: Words) -> Words {
    [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn or(a: Words, b: Words) -> Words {
    [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn not(a: Words) -> Words {
    xor(a, splat(u32::MAX))
}

#[target_feature(enable = "avx2")]
fn turn<const LEFT: i32, const RIGHT: i32>(a: Words) -> Words {
    or(
        [_mm256_slli_epi32::<LEFT>(a[0]), _mm256_slli_epi32::<LEFT>(a[1])],
        [_mm256_srli_epi32::<RIGHT>(a[0]), _mm256_srli_epi32::<RIGHT>(a[1])],
    )
}

#[target_feature(enable = "avx2")]
fn splat(a: u32) -> Words {
    [_mm256_set1_epi32(a as i32); 2]
}

#[target_feature(enable = "avx2")]
fn compress(kind: Kind, state: &mut [Words; 4], words: &[Words; 16]) {
    match kind {
        Kind::Md4 => md4_rounds!(state, words),
        Kind::Md5 => md5_rounds!(state, words),
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn digest_together(messages: &Messages<'_>) -> [[u32; 4]; LANES] {
    let Messages { kind, data, length, before, behind } = *messages;
    // Where there are fewer messages than lanes the first one stands in.
    let mut blocks = [&data[..length]; LANES];
    for (slot, block) in blocks.iter_mut().zip(messages.blocks()) {
        *slot = block;
    }
    let mut state = START.map(|word| splat(word));

    // What stands before the data shifts it against the pieces of 64 bytes, so the first piece is put together by hand.
    let mut consumed = 0;
    let mut pending = before;
    if !before.is_empty() && before.len() + length >= 64 {
        consumed = 64 - before.len();
        pending = &[];
        let mut pieces = [[0; 64]; LANES];
        for (piece, block) in pieces.iter_mut().zip(blocks) {
            piece[..before.len()].copy_from_slice(before);
            piece[before.len()..].copy_from_slice(&block[..consumed]);
        }
        compress(kind, &mut state, &gather(pieces.each_ref()));
    }
    if pending.is_empty() {
        let mut rests = blocks.map(|block| block[consumed..].as_chunks::<64>().0.iter());
        while let Some(first) = rests[0].next() {
            let mut pieces = [first; LANES];
            for (piece, rest) in pieces[1..].iter_mut().zip(&mut rests[1..]) {
                *piece = rest.next().unwrap_or(first);
            }
            compress(kind, &mut state, &gather(pieces));
            consumed += 64;
        }
    }

    // What is left (under 64 bytes of data, under 72 with its surroundings) and the padding: one or two pieces.
    let left = pending.len() + (length - consumed) + behind.len();
    let padded = (left + 9).div_ceil(64) * 64;
    let bits = ((before.len() + length + behind.len()) as u64).wrapping_mul(8);
    let mut tails = [[[0; 64]; 2]; LANES];
    for (tail, block) in tails.iter_mut().zip(blocks) {
        let tail = tail.as_flattened_mut();
        let rest = &block[consumed..];
        tail[..pending.len()].copy_from_slice(pending);
        tail[pending.len()..pending.len() + rest.len()].copy_from_slice(rest);
        tail[left - behind.len()..left].copy_from_slice(behind);
        tail[left] = 0x80;
        tail[padded - 8..padded].copy_from_slice(&bits.to_le_bytes());
    }
    for piece in 0..padded / 64 {
        compress(kind, &mut state, &gather(tails.each_ref().map(|tail| &tail[piece])));
    }
    scatter(&state)
}

/// Word i of every message into vector i.
#[target_feature(enable = "avx2")]
fn gather(pieces: [&[u8; 64]; LANES]) -> [Words; 16] {
    let mut words = [splat(0); 16];
    for half in 0..2 {
        for side in 0..2 {
            let rows: [__m256i; 8] = std::array::from_fn(|lane| {
                vector(&pieces[half * 8 + lane].as_chunks::<32>().0[side])
            });
            for (i, column) in transposed(rows).into_iter().enumerate() {
                words[side * 8 + i][half] = column;
            }
        }
    }
    words
}

#[target_feature(enable = "avx2")]
fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
    let low = |i: usize| _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
    let high = |i: usize| _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    let (ab_low, cd_low, ef_low, gh_low) = (low(0), low(2), low(4), low(6));
    let (ab_high, cd_high, ef_high, gh_high) = (high(0), high(2), high(4), high(6));
    // Each holds four rows of column i in its lower half, and of column i + 4 in its upper.
    let upper = [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ];
    let lower = [
        _mm256_unpacklo_epi64(ef_low, gh_low),
        _mm256_unpackhi_epi64(ef_low, gh_low),
        _mm256_unpacklo_epi64(ef_high, gh_high),
        _mm256_unpackhi_epi64(ef_high, gh_high),
    ];
    [
        _mm256_permute2x128_si256::<0x20>(upper[0], lower[0]),
        _mm256_permute2x128_si256::<0x20>(upper[1], lower[1]),
        _mm256_permute2x128_si256::<0x20>(upper[2], lower[2]),
        _mm256_permute2x128_si256::<0x20>(upper[3], lower[3]),
        _mm256_permute2x128_si256::<0x31>(upper[0], lower[0]),
        _mm256_permute2x128_si256::<0x31>(upper[1], lower[1]),
        _mm256_permute2x128_si256::<0x31>(upper[2], lower[2]),
        _mm256_permute2x128_si256::<0x31>(upper[3], lower[3]),
    ]
}

/// The states, message by message.
#[target_feature(enable = "avx2")]
fn scatter(state: &[Words; 4]) -> [[u32; 4]; LANES] {
    let mut states = [[0; 4]; LANES];
    for (word, vectors) in state.iter().enumerate() {
        for (half, vector) in vectors.iter().enumerate() {
            let pairs = [
                _mm256_extract_epi64::<0>(*vector),
                _mm256_extract_epi64::<1>(*vector),
                _mm256_extract_epi64::<2>(*vector),
                _mm256_extract_epi64::<3>(*vector),
            ];
            for (i, pair) in pairs.into_iter().enumerate() {
                states[half * 8 + 2 * i][word] = pair as u32;
                states[half * 8 + 2 * i + 1][word] = (pair >> 32) as u32;
            }
        }
    }
    states
}
