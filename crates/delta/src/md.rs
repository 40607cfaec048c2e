//! MD4 and MD5, one message at a time or many of equal length side by side.
//!
//! Each step of these digests waits for the one before it, so a single message leaves most of a processor idle. Blocks of a
//! signature have equal lengths: [`LANES`] of them advance in lockstep, one in each vector lane.

/// How many messages advance side by side.
pub(crate) const LANES: usize = 16;

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// A compression function over `N` independent states.
pub(crate) trait Core {
    fn compress<const N: usize>(state: &mut [[u32; N]; 4], words: &[[u32; N]; 16]);
}

#[derive(Debug, Clone)]
pub(crate) struct Md4;

#[derive(Debug, Clone)]
pub(crate) struct Md5;

/// `d` where `b` is 0, `c` where it is 1.
#[inline(always)]
fn choose(b: u32, c: u32, d: u32) -> u32 {
    d ^ (b & (c ^ d))
}

#[inline(always)]
fn parity(b: u32, c: u32, d: u32) -> u32 {
    b ^ c ^ d
}

impl Core for Md4 {
    #[inline(always)]
    fn compress<const N: usize>(state: &mut [[u32; N]; 4], words: &[[u32; N]; 16]) {
        #[inline(always)]
        fn majority(b: u32, c: u32, d: u32) -> u32 {
            (b & c) | (d & (b | c))
        }
        let [mut a, mut b, mut c, mut d] = *state;
        macro_rules! step {
            ($a:ident $b:ident $c:ident $d:ident, $f:ident, $word:expr, $constant:expr, $turn:expr) => {
                for i in 0..N {
                    $a[i] = $a[i]
                        .wrapping_add($f($b[i], $c[i], $d[i]))
                        .wrapping_add(words[$word][i].wrapping_add($constant))
                        .rotate_left($turn);
                }
            };
        }
        macro_rules! four {
            ($f:ident, $constant:expr, [$w0:expr, $w1:expr, $w2:expr, $w3:expr], [$t0:expr, $t1:expr, $t2:expr, $t3:expr]) => {
                step!(a b c d, $f, $w0, $constant, $t0);
                step!(d a b c, $f, $w1, $constant, $t1);
                step!(c d a b, $f, $w2, $constant, $t2);
                step!(b c d a, $f, $w3, $constant, $t3);
            };
        }
        four!(choose, 0, [0, 1, 2, 3], [3, 7, 11, 19]);
        four!(choose, 0, [4, 5, 6, 7], [3, 7, 11, 19]);
        four!(choose, 0, [8, 9, 10, 11], [3, 7, 11, 19]);
        four!(choose, 0, [12, 13, 14, 15], [3, 7, 11, 19]);
        four!(majority, 0x5a82_7999, [0, 4, 8, 12], [3, 5, 9, 13]);
        four!(majority, 0x5a82_7999, [1, 5, 9, 13], [3, 5, 9, 13]);
        four!(majority, 0x5a82_7999, [2, 6, 10, 14], [3, 5, 9, 13]);
        four!(majority, 0x5a82_7999, [3, 7, 11, 15], [3, 5, 9, 13]);
        four!(parity, 0x6ed9_eba1, [0, 8, 4, 12], [3, 9, 11, 15]);
        four!(parity, 0x6ed9_eba1, [2, 10, 6, 14], [3, 9, 11, 15]);
        four!(parity, 0x6ed9_eba1, [1, 9, 5, 13], [3, 9, 11, 15]);
        four!(parity, 0x6ed9_eba1, [3, 11, 7, 15], [3, 9, 11, 15]);
        add(state, &[a, b, c, d]);
    }
}

/// The integer part of 2^32 * |sin(i + 1)|.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

impl Core for Md5 {
    #[inline(always)]
    fn compress<const N: usize>(state: &mut [[u32; N]; 4], words: &[[u32; N]; 16]) {
        #[inline(always)]
        fn choose_by_last(b: u32, c: u32, d: u32) -> u32 {
            choose(d, b, c)
        }
        #[inline(always)]
        fn skewed(b: u32, c: u32, d: u32) -> u32 {
            c ^ (b | !d)
        }
        let [mut a, mut b, mut c, mut d] = *state;
        macro_rules! step {
            ($a:ident $b:ident $c:ident $d:ident, $f:ident, $word:expr, $sine:expr, $turn:expr) => {
                for i in 0..N {
                    $a[i] = $a[i]
                        .wrapping_add($f($b[i], $c[i], $d[i]))
                        .wrapping_add(words[($word) % 16][i].wrapping_add(SINES[$sine]))
                        .rotate_left($turn)
                        .wrapping_add($b[i]);
                }
            };
        }
        macro_rules! sixteen {
            ($f:ident, $first:expr, $stride:expr, $offset:expr, [$t0:expr, $t1:expr, $t2:expr, $t3:expr]) => {
                sixteen!(@four $f, $first, $stride, $offset, 0, [$t0, $t1, $t2, $t3]);
                sixteen!(@four $f, $first, $stride, $offset, 4, [$t0, $t1, $t2, $t3]);
                sixteen!(@four $f, $first, $stride, $offset, 8, [$t0, $t1, $t2, $t3]);
                sixteen!(@four $f, $first, $stride, $offset, 12, [$t0, $t1, $t2, $t3]);
            };
            (@four $f:ident, $first:expr, $stride:expr, $offset:expr, $i:expr, [$t0:expr, $t1:expr, $t2:expr, $t3:expr]) => {
                step!(a b c d, $f, $stride * $i + $offset, $first + $i, $t0);
                step!(d a b c, $f, $stride * ($i + 1) + $offset, $first + $i + 1, $t1);
                step!(c d a b, $f, $stride * ($i + 2) + $offset, $first + $i + 2, $t2);
                step!(b c d a, $f, $stride * ($i + 3) + $offset, $first + $i + 3, $t3);
            };
        }
        sixteen!(choose, 0, 1, 0, [7, 12, 17, 22]);
        sixteen!(choose_by_last, 16, 5, 1, [5, 9, 14, 20]);
        sixteen!(parity, 32, 3, 5, [4, 11, 16, 23]);
        sixteen!(skewed, 48, 7, 0, [6, 10, 15, 21]);
        add(state, &[a, b, c, d]);
    }
}

#[inline(always)]
fn add<const N: usize>(state: &mut [[u32; N]; 4], more: &[[u32; N]; 4]) {
    for (word, more) in state.iter_mut().zip(more) {
        for i in 0..N {
            word[i] = word[i].wrapping_add(more[i]);
        }
    }
}

/// One message, fed in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Digester<C> {
    state: [[u32; 1]; 4],
    pending: [u8; 64],
    length: u64,
    core: std::marker::PhantomData<C>,
}

impl<C: Core> Digester<C> {
    pub(crate) fn new() -> Self {
        Self {
            state: START.map(|word| [word]),
            pending: [0; 64],
            length: 0,
            core: std::marker::PhantomData,
        }
    }

    pub(crate) fn update(&mut self, mut data: &[u8]) {
        let filled = (self.length % 64) as usize;
        self.length = self.length.wrapping_add(data.len() as u64);
        if filled > 0 {
            let taken = data.len().min(64 - filled);
            let (head, rest) = data.split_at(taken);
            self.pending[filled..filled + taken].copy_from_slice(head);
            data = rest;
            if filled + taken < 64 {
                return;
            }
            let block = self.pending;
            self.compress(&block);
        }
        let (blocks, rest) = data.as_chunks::<64>();
        for block in blocks {
            self.compress(block);
        }
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    /// Pads as RFC 1320 and RFC 1321 say.
    pub(crate) fn finish(mut self) -> [u8; 16] {
        self.pad(self.length.wrapping_mul(8));
        self.state_bytes()
    }

    /// Pads as peers before protocol 27 did: not at all where the message ends on a border of 64 bytes, and with the low
    /// 32 bits of the bit count (`docs/spec/delta.md` 3.1).
    pub(crate) fn finish_archaic(mut self) -> [u8; 16] {
        if !self.length.is_multiple_of(64) {
            self.pad(self.length.wrapping_mul(8) & 0xffff_ffff);
        }
        self.state_bytes()
    }

    fn pad(&mut self, bits: u64) {
        let zeros = (119 - self.length % 64) % 64;
        let mut padding = [0_u8; 72];
        padding[0] = 0x80;
        let counted = 1 + zeros as usize;
        padding[counted..counted + 8].copy_from_slice(&bits.to_le_bytes());
        self.update(&padding[..counted + 8]);
    }

    fn state_bytes(&self) -> [u8; 16] {
        let mut digest = [0; 16];
        for (bytes, [word]) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }

    fn compress(&mut self, block: &[u8; 64]) {
        let mut words = [[0; 1]; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = [u32::from_le_bytes(*bytes)];
        }
        C::compress(&mut self.state, &words);
    }
}

/// Up to [`LANES`] messages: contiguous blocks of equal length, each with the same few bytes before or behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes<'a> {
    data: &'a [u8],
    length: usize,
    before: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Lanes<'a> {
    /// `data` holds 1 to [`LANES`] blocks of `length` bytes; `before` and `behind` together at most 8 bytes.
    pub(crate) fn new(data: &'a [u8], length: usize, before: &'a [u8], behind: &'a [u8]) -> Self {
        debug_assert!(length > 0 && data.len().is_multiple_of(length));
        debug_assert!((1..=LANES).contains(&(data.len() / length)));
        debug_assert!(before.len() + behind.len() <= 8);
        Self { data, length, before, behind }
    }

    /// The blocks; where there are fewer than lanes the first one stands in.
    #[inline(always)]
    fn blocks(&self) -> [&'a [u8]; LANES] {
        let mut blocks = [&self.data[..self.length]; LANES];
        for (slot, block) in blocks.iter_mut().zip(self.data.chunks_exact(self.length)) {
            *slot = block;
        }
        blocks
    }
}

/// Reads the digests of [`lanes`]: that of message `lane`.
pub(crate) fn digest_of(state: &[[u32; LANES]; 4], lane: usize) -> [u8; 16] {
    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word[lane].to_le_bytes();
    }
    digest
}

/// Digests all messages in lockstep. Inlined into callers compiled for wider vectors.
#[inline(always)]
pub(crate) fn lanes<C: Core>(message: &Lanes<'_>) -> [[u32; LANES]; 4] {
    let mut state = START.map(|word| [word; LANES]);
    let mut words = [[0_u32; LANES]; 16];
    let blocks = message.blocks();
    let length = message.length;

    // Where something stands before the data, the first 64 bytes are put together by hand.
    let mut consumed = 0;
    let head = message.before.len();
    if head > 0 && head + length >= 64 {
        for (lane, block) in blocks.iter().enumerate() {
            let mut first = [0_u8; 64];
            first[..head].copy_from_slice(message.before);
            first[head..].copy_from_slice(&block[..64 - head]);
            load(&mut words, lane, &first);
        }
        C::compress(&mut state, &words);
        consumed = 64 - head;
    }
    let before = if consumed == 0 { message.before } else { &[] };
    if before.is_empty() {
        while length - consumed >= 64 {
            for (lane, block) in blocks.iter().enumerate() {
                if let Some(piece) = block[consumed..].first_chunk::<64>() {
                    load(&mut words, lane, piece);
                }
            }
            C::compress(&mut state, &words);
            consumed += 64;
        }
    }

    // What is left (under 64 bytes of data, and under 72 with its surroundings) and the padding: one or two pieces.
    let left = before.len() + (length - consumed) + message.behind.len();
    let pieces = (left + 9).div_ceil(64);
    let bits = ((head + length + message.behind.len()) as u64).wrapping_mul(8);
    let mut tails = [[0_u8; 128]; LANES];
    for (tail, block) in tails.iter_mut().zip(&blocks) {
        let rest = &block[consumed..];
        tail[..before.len()].copy_from_slice(before);
        tail[before.len()..before.len() + rest.len()].copy_from_slice(rest);
        tail[left - message.behind.len()..left].copy_from_slice(message.behind);
        tail[left] = 0x80;
        tail[pieces * 64 - 8..pieces * 64].copy_from_slice(&bits.to_le_bytes());
    }
    for piece in 0..pieces {
        for (lane, tail) in tails.iter().enumerate() {
            if let Some(tail) = tail[piece * 64..].first_chunk::<64>() {
                load(&mut words, lane, tail);
            }
        }
        C::compress(&mut state, &words);
    }
    state
}

#[inline(always)]
fn load(words: &mut [[u32; LANES]; 16], lane: usize, piece: &[u8; 64]) {
    for (word, bytes) in words.iter_mut().zip(piece.as_chunks::<4>().0) {
        word[lane] = u32::from_le_bytes(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd;
    use proptest::prelude::*;

    fn hex(bytes: &[u8; 16]) -> String {
        format!("{:032x}", u128::from_be_bytes(*bytes))
    }

    fn digest<C: Core>(message: &[u8]) -> [u8; 16] {
        let mut digester = Digester::<C>::new();
        digester.update(message);
        digester.finish()
    }

    #[test]
    fn digests_agree_with_their_rfcs() {
        assert_eq!(hex(&digest::<Md4>(b"")), "31d6cfe0d16ae931b73c59d7e0c089c0");
        assert_eq!(hex(&digest::<Md4>(b"message digest")), "d9130a8164549fe818874806e1c7014b");
        assert_eq!(hex(&digest::<Md5>(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&digest::<Md5>(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        let long =
            b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hex(&digest::<Md4>(long)), "e33b4ddc9c38f2199c3e7b164fcc0536");
        assert_eq!(hex(&digest::<Md5>(long)), "57edf4a22be3c955ac49da2e2107b67a");
    }

    #[test]
    fn archaic_padding_differs_only_on_borders_and_past_32_bits() {
        for length in [0_usize, 1, 63, 64, 65, 128, 200] {
            let mut digester = Digester::<Md4>::new();
            digester.update(&vec![7; length]);
            let same = digester.clone().finish() == digester.finish_archaic();
            assert_eq!(same, !length.is_multiple_of(64), "{length}");
        }
        let mut digester = Digester::<Md4>::new();
        digester.length = 1 << 29;
        digester.update(b"x");
        assert_ne!(digester.clone().finish(), digester.finish_archaic());
    }

    fn lanes_equal_singles<C: Core>(data: &[u8], length: usize, before: &[u8], behind: &[u8]) {
        let message = Lanes::new(data, length, before, behind);
        for state in [simd::lanes::<C>(&message), lanes::<C>(&message)] {
            for (lane, block) in data.chunks(length).enumerate() {
                let single = digest::<C>(&[before, block, behind].concat());
                assert_eq!(digest_of(&state, lane), single);
            }
        }
    }

    proptest! {
        #[test]
        fn lanes_digest_what_single_messages_do(
            data in proptest::collection::vec(any::<u8>(), LANES * 200), length in 1_usize..=200, count in 1..=LANES,
        ) {
            let data = &data[..length * count];
            for (before, behind) in [(&b""[..], &b""[..]), (b"seed", b""), (b"", b"seed")] {
                lanes_equal_singles::<Md4>(data, length, before, behind);
                lanes_equal_singles::<Md5>(data, length, before, behind);
            }
        }

        #[test]
        fn pieces_digest_like_the_whole(data in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let (head, tail) = data.split_at(cut.min(data.len()));
            let mut digester = Digester::<Md5>::new();
            digester.update(head);
            digester.update(tail);
            prop_assert_eq!(digester.finish(), digest::<Md5>(&data));
        }
    }
}
