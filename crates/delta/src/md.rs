//! MD4 and MD5.
//!
//! Each step of these digests waits for the one before it, so a single message leaves most of a processor idle. Blocks of a
//! signature have equal lengths: many of them can advance in lockstep, one in each vector lane. The rounds are therefore
//! written once, as macros over whatever a word is: `u32` here, a vector of them in `simd`.

use crate::simd;

/// How many messages are digested together at best.
pub(crate) const LANES: usize = 16;

pub(crate) const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Md4,
    Md5,
}

/// The rounds of MD4 on `$state`, four words, with `$words`, sixteen. Around it there must be functions on words: `plus`,
/// `xor`, `and`, `or`, `not`, `turn::<left, right>` (left + right = 32) and `splat`.
macro_rules! md4_rounds {
    ($state:ident, $words:ident) => {{
        macro_rules! choose { ($b:expr, $c:expr, $d:expr) => { xor($d, and($b, xor($c, $d))) }; }
        macro_rules! majority { ($b:expr, $c:expr, $d:expr) => { or(and($b, $c), and($d, or($b, $c))) }; }
        macro_rules! parity { ($b:expr, $c:expr, $d:expr) => { xor(xor($b, $c), $d) }; }
        let [mut a, mut b, mut c, mut d] = *$state;
        macro_rules! step {
            ($a:ident $b:ident $c:ident $d:ident, $f:ident, $constant:ident, $word:expr, $turn:expr) => {
                let mixed = plus($f!($b, $c, $d), plus($words[$word], $constant));
                $a = turn::<{ $turn }, { 32 - $turn }>(plus($a, mixed));
            };
        }
        macro_rules! four {
            ($f:ident, $constant:ident, [$w0:expr, $w1:expr, $w2:expr, $w3:expr], [$t0:expr, $t1:expr, $t2:expr, $t3:expr]) => {
                step!(a b c d, $f, $constant, $w0, $t0);
                step!(d a b c, $f, $constant, $w1, $t1);
                step!(c d a b, $f, $constant, $w2, $t2);
                step!(b c d a, $f, $constant, $w3, $t3);
            };
        }
        let (zero, root_2, root_3) = (splat(0), splat(0x5a82_7999), splat(0x6ed9_eba1));
        four!(choose, zero, [0, 1, 2, 3], [3, 7, 11, 19]);
        four!(choose, zero, [4, 5, 6, 7], [3, 7, 11, 19]);
        four!(choose, zero, [8, 9, 10, 11], [3, 7, 11, 19]);
        four!(choose, zero, [12, 13, 14, 15], [3, 7, 11, 19]);
        four!(majority, root_2, [0, 4, 8, 12], [3, 5, 9, 13]);
        four!(majority, root_2, [1, 5, 9, 13], [3, 5, 9, 13]);
        four!(majority, root_2, [2, 6, 10, 14], [3, 5, 9, 13]);
        four!(majority, root_2, [3, 7, 11, 15], [3, 5, 9, 13]);
        four!(parity, root_3, [0, 8, 4, 12], [3, 9, 11, 15]);
        four!(parity, root_3, [2, 10, 6, 14], [3, 9, 11, 15]);
        four!(parity, root_3, [1, 9, 5, 13], [3, 9, 11, 15]);
        four!(parity, root_3, [3, 11, 7, 15], [3, 9, 11, 15]);
        let [a0, b0, c0, d0] = *$state;
        *$state = [plus(a0, a), plus(b0, b), plus(c0, c), plus(d0, d)];
    }};
}

/// The rounds of MD5, on the same terms.
macro_rules! md5_rounds {
    ($state:ident, $words:ident) => {{
        macro_rules! choose { ($b:expr, $c:expr, $d:expr) => { xor($d, and($b, xor($c, $d))) }; }
        macro_rules! choose_by_last { ($b:expr, $c:expr, $d:expr) => { xor($c, and($d, xor($b, $c))) }; }
        macro_rules! parity { ($b:expr, $c:expr, $d:expr) => { xor(xor($b, $c), $d) }; }
        macro_rules! skewed { ($b:expr, $c:expr, $d:expr) => { xor($c, or($b, not($d))) }; }
        let [mut a, mut b, mut c, mut d] = *$state;
        macro_rules! step {
            ($a:ident $b:ident $c:ident $d:ident, $f:ident, $step:expr, $word:expr, $turn:expr) => {
                let mixed = plus($f!($b, $c, $d), plus($words[($word) % 16], splat($crate::md::SINES[$step])));
                $a = plus($b, turn::<{ $turn }, { 32 - $turn }>(plus($a, mixed)));
            };
        }
        macro_rules! four {
            ($f:ident, $step:expr, $stride:expr, $offset:expr, [$t0:expr, $t1:expr, $t2:expr, $t3:expr]) => {
                step!(a b c d, $f, $step, $stride * $step + $offset, $t0);
                step!(d a b c, $f, $step + 1, $stride * ($step + 1) + $offset, $t1);
                step!(c d a b, $f, $step + 2, $stride * ($step + 2) + $offset, $t2);
                step!(b c d a, $f, $step + 3, $stride * ($step + 3) + $offset, $t3);
            };
        }
        four!(choose, 0, 1, 0, [7, 12, 17, 22]);
        four!(choose, 4, 1, 0, [7, 12, 17, 22]);
        four!(choose, 8, 1, 0, [7, 12, 17, 22]);
        four!(choose, 12, 1, 0, [7, 12, 17, 22]);
        four!(choose_by_last, 16, 5, 1, [5, 9, 14, 20]);
        four!(choose_by_last, 20, 5, 1, [5, 9, 14, 20]);
        four!(choose_by_last, 24, 5, 1, [5, 9, 14, 20]);
        four!(choose_by_last, 28, 5, 1, [5, 9, 14, 20]);
        four!(parity, 32, 3, 5, [4, 11, 16, 23]);
        four!(parity, 36, 3, 5, [4, 11, 16, 23]);
        four!(parity, 40, 3, 5, [4, 11, 16, 23]);
        four!(parity, 44, 3, 5, [4, 11, 16, 23]);
        four!(skewed, 48, 7, 0, [6, 10, 15, 21]);
        four!(skewed, 52, 7, 0, [6, 10, 15, 21]);
        four!(skewed, 56, 7, 0, [6, 10, 15, 21]);
        four!(skewed, 60, 7, 0, [6, 10, 15, 21]);
        let [a0, b0, c0, d0] = *$state;
        *$state = [plus(a0, a), plus(b0, b), plus(c0, c), plus(d0, d)];
    }};
}

pub(crate) use {md4_rounds, md5_rounds};

/// The integer part of 2^32 * |sin(i + 1)|.
pub(crate) const SINES: [u32; 64] = [
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

/// Words one at a time.
mod single {
    #[inline(always)]
    fn plus(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn xor(a: u32, b: u32) -> u32 {
        a ^ b
    }

    #[inline(always)]
    fn and(a: u32, b: u32) -> u32 {
        a & b
    }

    #[inline(always)]
    fn or(a: u32, b: u32) -> u32 {
        a | b
    }

    #[inline(always)]
    fn not(a: u32) -> u32 {
        !a
    }

    #[inline(always)]
    fn turn<const LEFT: u32, const RIGHT: u32>(a: u32) -> u32 {
        a << LEFT | a >> RIGHT
    }

    #[inline(always)]
    fn splat(a: u32) -> u32 {
        a
    }

    pub(super) fn md4(state: &mut [u32; 4], words: &[u32; 16]) {
        super::md4_rounds!(state, words);
    }

    pub(super) fn md5(state: &mut [u32; 4], words: &[u32; 16]) {
        super::md5_rounds!(state, words);
    }
}

/// One message, fed in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Digester {
    kind: Kind,
    state: [u32; 4],
    pending: [u8; 64],
    length: u64,
}

impl Digester {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, state: START, pending: [0; 64], length: 0 }
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
        digest_of(self.state)
    }

    /// Pads as peers before protocol 27 did: not at all where the message ends on a border of 64 bytes, and with the low
    /// 32 bits of the bit count (`docs/spec/delta.md` 3.1).
    pub(crate) fn finish_archaic(mut self) -> [u8; 16] {
        if !self.length.is_multiple_of(64) {
            self.pad(self.length.wrapping_mul(8) & 0xffff_ffff);
        }
        digest_of(self.state)
    }

    fn pad(&mut self, bits: u64) {
        let zeros = (119 - self.length % 64) % 64;
        let mut padding = [0_u8; 72];
        padding[0] = 0x80;
        let counted = 1 + zeros as usize;
        padding[counted..counted + 8].copy_from_slice(&bits.to_le_bytes());
        self.update(&padding[..counted + 8]);
    }

    fn compress(&mut self, block: &[u8; 64]) {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        match self.kind {
            Kind::Md4 => single::md4(&mut self.state, &words),
            Kind::Md5 => single::md5(&mut self.state, &words),
        }
    }
}

/// A state as it is written.
pub(crate) fn digest_of(state: [u32; 4]) -> [u8; 16] {
    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    digest
}

/// Up to [`LANES`] messages: contiguous blocks of equal length, each with the same few bytes before or behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages<'a> {
    pub(crate) kind: Kind,
    /// 1 to [`LANES`] blocks of `length` bytes.
    pub(crate) data: &'a [u8],
    /// Not 0.
    pub(crate) length: usize,
    /// At most 8 bytes, together with those behind.
    pub(crate) before: &'a [u8],
    pub(crate) behind: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The digests of all messages, and nothing of note in the places behind them.
    pub(crate) fn digests(&self) -> [[u8; 16]; LANES] {
        // Lockstep costs about as much as two single messages, however many it carries.
        if self.data.len() / self.length > 2
            && let Some(states) = simd::digest_together(self)
        {
            return states.map(digest_of);
        }
        let mut digests = [[0; 16]; LANES];
        for (digest, block) in digests.iter_mut().zip(self.blocks()) {
            let mut digester = Digester::new(self.kind);
            digester.update(self.before);
            digester.update(block);
            digester.update(self.behind);
            *digest = digester.finish();
        }
        digests
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = &'a [u8]> {
        self.data.chunks_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8; 16]) -> String {
        format!("{:032x}", u128::from_be_bytes(*bytes))
    }

    fn digest(kind: Kind, message: &[u8]) -> [u8; 16] {
        let mut digester = Digester::new(kind);
        digester.update(message);
        digester.finish()
    }

    #[test]
    fn digests_agree_with_their_rfcs() {
        assert_eq!(hex(&digest(Kind::Md4, b"")), "31d6cfe0d16ae931b73c59d7e0c089c0");
        assert_eq!(hex(&digest(Kind::Md4, b"message digest")), "d9130a8164549fe818874806e1c7014b");
        assert_eq!(hex(&digest(Kind::Md5, b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&digest(Kind::Md5, b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        let long =
            b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hex(&digest(Kind::Md4, long)), "e33b4ddc9c38f2199c3e7b164fcc0536");
        assert_eq!(hex(&digest(Kind::Md5, long)), "57edf4a22be3c955ac49da2e2107b67a");
    }

    #[test]
    fn archaic_padding_differs_only_on_borders_and_past_32_bits() {
        for length in [0_usize, 1, 63, 64, 65, 128, 200] {
            let mut digester = Digester::new(Kind::Md4);
            digester.update(&vec![7; length]);
            let same = digester.clone().finish() == digester.finish_archaic();
            assert_eq!(same, !length.is_multiple_of(64), "{length}");
        }
        let mut digester = Digester::new(Kind::Md4);
        digester.length = 1 << 29;
        digester.update(b"x");
        assert_ne!(digester.clone().finish(), digester.finish_archaic());
    }

    proptest! {
        #[test]
        fn messages_together_digest_as_each_alone(
            data in proptest::collection::vec(any::<u8>(), LANES * 200), length in 1_usize..=200, count in 1..=LANES,
        ) {
            let data = &data[..length * count];
            for kind in [Kind::Md4, Kind::Md5] {
                for (before, behind) in [(&b""[..], &b""[..]), (b"seed", b""), (b"", b"seed"), (b"1234", b"5678")] {
                    let messages = Messages { kind, data, length, before, behind };
                    for (block, together) in data.chunks(length).zip(messages.digests()) {
                        prop_assert_eq!(together, digest(kind, &[before, block, behind].concat()));
                    }
                }
            }
        }

        #[test]
        fn pieces_digest_like_the_whole(data in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let (head, tail) = data.split_at(cut.min(data.len()));
            let mut digester = Digester::new(Kind::Md5);
            digester.update(head);
            digester.update(tail);
            prop_assert_eq!(digester.finish(), digest(Kind::Md5, &data));
        }
    }
}
