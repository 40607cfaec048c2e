//! Weak sums: cheap to slide over a file one byte at a time.

use crate::index::Filter;
use crate::simd;

/// Which weak sum a signature carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeakSum {
    /// The rsync protocol's: signed bytes, no offset (`docs/spec/delta.md` 2).
    Rsync,
    /// librsync's first: unsigned bytes, each 31 more (`docs/spec/delta.md` 14.1).
    Rollsum,
    /// librsync's second: a Rabin-Karp polynomial (`docs/spec/delta.md` 14.1).
    RabinKarp,
}

impl WeakSum {
    /// The weak sum of one block.
    ///
    /// ```
    /// use syncline_delta::WeakSum;
    /// assert_eq!(WeakSum::Rsync.of(b"abcd"), 0x03d4_018a);
    /// assert_eq!(WeakSum::Rollsum.of(b"abcd"), 0x050a_0206);
    /// assert_eq!(WeakSum::RabinKarp.of(b"abcd"), 0x238b_d873);
    /// ```
    pub fn of(self, block: &[u8]) -> u32 {
        match self {
            Self::Rsync => RsyncWindow::over(block).value(),
            Self::Rollsum => RollsumWindow::over(block).value(),
            Self::RabinKarp => RabinKarpWindow::over(block).value(),
        }
    }
}

/// A weak sum that follows a window of fixed length through a file.
pub(crate) trait Window: Copy {
    /// Starts with `block` as the window.
    fn over(block: &[u8]) -> Self;
    fn value(self) -> u32;
    /// Moves on by one byte.
    fn slide(&mut self, leaving: u8, entering: u8);
    /// Shortens the window at its front.
    fn drop_first(&mut self, leaving: u8);

    /// Slides until the filter may hold the window's sum, and returns how often; or, where that does not come, to the end
    /// of the shorter slice.
    fn slide_to_candidate(
        &mut self,
        leaving: &[u8],
        entering: &[u8],
        filter: &Filter,
    ) -> Option<usize> {
        slide_singly(self, leaving, entering, filter)
    }
}

pub(crate) type RsyncWindow = SumOfSums<0x00, 0>;
/// Unsigned bytes are the signed ones after flipping the top bit, plus 128.
pub(crate) type RollsumWindow = SumOfSums<0x80, { 128 + 31 }>;

/// The family of sums "sum of bytes, sum of those sums", both mod 2^16. A byte counts as `(byte ^ FLIP) as i8 + OFFSET`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SumOfSums<const FLIP: u8, const OFFSET: u32> {
    sum: u32,
    running: u32,
    length: u32,
}

impl<const FLIP: u8, const OFFSET: u32> SumOfSums<FLIP, OFFSET> {
    #[inline(always)]
    fn worth(byte: u8) -> u32 {
        ((byte ^ FLIP) as i8 as u32).wrapping_add(OFFSET)
    }
}

impl<const FLIP: u8, const OFFSET: u32> Window for SumOfSums<FLIP, OFFSET> {
    fn over(block: &[u8]) -> Self {
        let (sum, running) = simd::signed_sums(block, FLIP);
        let length = block.len() as u32;
        // Both halves wrap mod 2^16 in the end, so mod 2^32 arithmetic on the way is exact; the triangular number needs 64 bits.
        let triangle = (block.len() as u64 * (block.len() as u64 + 1) / 2) as u32;
        Self {
            sum: sum.wrapping_add(OFFSET.wrapping_mul(length)),
            running: running.wrapping_add(OFFSET.wrapping_mul(triangle)),
            length,
        }
    }

    #[inline(always)]
    fn value(self) -> u32 {
        (self.sum & 0xffff) | (self.running << 16)
    }

    #[inline(always)]
    fn slide(&mut self, leaving: u8, entering: u8) {
        let leaving = Self::worth(leaving);
        self.sum = self.sum.wrapping_sub(leaving).wrapping_add(Self::worth(entering));
        self.running =
            self.running.wrapping_sub(self.length.wrapping_mul(leaving)).wrapping_add(self.sum);
    }

    #[inline(always)]
    fn drop_first(&mut self, leaving: u8) {
        let leaving = Self::worth(leaving);
        self.sum = self.sum.wrapping_sub(leaving);
        self.running = self.running.wrapping_sub(self.length.wrapping_mul(leaving));
        self.length = self.length.wrapping_sub(1);
    }

    fn slide_to_candidate(
        &mut self,
        leaving: &[u8],
        entering: &[u8],
        filter: &Filter,
    ) -> Option<usize> {
        let mut sums = simd::Sums { sum: self.sum as u16, running: self.running as u16 };
        let terms = simd::Terms { length: self.length as u16, flip: FLIP, offset: OFFSET as u16 };
        let slid = simd::slide_to_candidate(&mut sums, terms, leaving, entering, filter);
        (self.sum, self.running) = (u32::from(sums.sum), u32::from(sums.running));
        match slid {
            simd::Slid::Candidate(steps) => Some(steps),
            simd::Slid::Past(done) => {
                let steps = slide_singly(self, &leaving[done..], &entering[done..], filter);
                steps.map(|steps| done + steps)
            }
        }
    }
}

fn slide_singly<W: Window>(
    window: &mut W,
    leaving: &[u8],
    entering: &[u8],
    filter: &Filter,
) -> Option<usize> {
    let steps = leaving.iter().zip(entering).position(|(leaving, entering)| {
        window.slide(*leaving, *entering);
        filter.may_hold(window.value())
    });
    steps.map(|steps| steps + 1)
}

const MULTIPLIER: u32 = 0x0810_4225;
const MULTIPLIER_INVERSE: u32 = 0x98f0_09ad;

/// `h = h * M + byte` from 1, mod 2^32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RabinKarpWindow {
    hash: u32,
    /// M to the power of the window's length.
    power: u32,
}

impl Window for RabinKarpWindow {
    fn over(block: &[u8]) -> Self {
        const POWERS: [u32; 16] = {
            let mut powers = [1_u32; 16];
            let mut i = 15;
            while i > 0 {
                i -= 1;
                powers[i] = powers[i + 1].wrapping_mul(MULTIPLIER);
            }
            powers
        };
        const STRIDE: u32 = POWERS[0].wrapping_mul(MULTIPLIER);
        let mut hash = 1_u32;
        let (chunks, rest) = block.as_chunks::<16>();
        for chunk in chunks {
            let mut part = 0_u32;
            for (byte, power) in chunk.iter().zip(POWERS) {
                part = part.wrapping_add(u32::from(*byte).wrapping_mul(power));
            }
            hash = hash.wrapping_mul(STRIDE).wrapping_add(part);
        }
        for byte in rest {
            hash = hash.wrapping_mul(MULTIPLIER).wrapping_add(u32::from(*byte));
        }
        Self { hash, power: MULTIPLIER.wrapping_pow(block.len() as u32) }
    }

    #[inline(always)]
    fn value(self) -> u32 {
        self.hash
    }

    #[inline(always)]
    fn slide(&mut self, leaving: u8, entering: u8) {
        let leaving = u32::from(leaving).wrapping_add(MULTIPLIER - 1);
        self.hash = self
            .hash
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(u32::from(entering))
            .wrapping_sub(self.power.wrapping_mul(leaving));
    }

    #[inline(always)]
    fn drop_first(&mut self, leaving: u8) {
        self.power = self.power.wrapping_mul(MULTIPLIER_INVERSE);
        let leaving = u32::from(leaving).wrapping_add(MULTIPLIER - 1);
        self.hash = self.hash.wrapping_sub(self.power.wrapping_mul(leaving));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::mix;
    use proptest::prelude::*;

    #[test]
    fn sums_agree_with_the_specification() {
        let all: Vec<u8> = (0..=255).collect();
        for (block, weak) in [
            (&b""[..], 0),
            (b"a", 0x0061_0061),
            (b"ij", 0x013c_00d3),
            (b"\xff", 0xffff_ffff),
            (b"\x80\x7f", 0xff7f_ffff),
            (&[0xff; 4], 0xfff6_fffc),
            (&all, 0x6a80_ff80),
            (&[0xff; 700], 0x419a_fd44),
            (&[0; 700], 0),
        ] {
            assert_eq!(WeakSum::Rsync.of(block), weak, "{block:?}");
        }
        assert_eq!(WeakSum::Rollsum.of(&[0xff; 700]), 0xb5f4_0e08);
        assert_eq!(WeakSum::RabinKarp.of(&[0xff; 700]), 0x0f68_80ed);
        assert_eq!(WeakSum::RabinKarp.of(b""), 1);
    }

    fn follows<W: Window>(data: &[u8], length: usize) {
        let mut window = W::over(&data[..length]);
        for start in 1..=data.len() - length {
            window.slide(data[start - 1], data[start + length - 1]);
            assert_eq!(window.value(), W::over(&data[start..start + length]).value());
        }
        for start in data.len() - length + 1..data.len() {
            window.drop_first(data[start - 1]);
            assert_eq!(window.value(), W::over(&data[start..]).value());
        }
    }

    proptest! {
        #[test]
        fn a_window_that_slides_equals_one_computed_afresh(
            data in proptest::collection::vec(any::<u8>(), 1..400), length in 1_usize..400,
        ) {
            let length = length.min(data.len());
            follows::<RsyncWindow>(&data, length);
            follows::<RollsumWindow>(&data, length);
            follows::<RabinKarpWindow>(&data, length);
        }

        #[test]
        fn a_window_stops_at_the_first_candidate(
            data in proptest::collection::vec(any::<u8>(), 1..600), length in 1_usize..200,
            known in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let length = length.min(data.len());
            stops::<RsyncWindow>(WeakSum::Rsync, &data, length, &known);
            stops::<RollsumWindow>(WeakSum::Rollsum, &data, length, &known);
            stops::<RabinKarpWindow>(WeakSum::RabinKarp, &data, length, &known);
        }
    }

    /// Slides over all of `data`, some windows of which are known, and compares with asking at each place.
    fn stops<W: Window>(weak: WeakSum, data: &[u8], length: usize, known: &[prop::sample::Index]) {
        let windows: Vec<u32> = data.windows(length).map(|window| weak.of(window)).collect();
        let keys: Vec<u32> =
            known.iter().map(|index| mix(windows[index.index(windows.len())])).collect();
        let filter = Filter::new(&keys);
        let mut window = W::over(&data[..length]);
        let mut stops = Vec::new();
        let mut at = 0;
        while let Some(steps) =
            window.slide_to_candidate(&data[at..], &data[at + length..], &filter)
        {
            at += steps;
            assert_eq!(window.value(), windows[at]);
            stops.push(at);
        }
        let expected: Vec<usize> =
            (1..windows.len()).filter(|at| filter.may_hold(windows[*at])).collect();
        assert_eq!(stops, expected);
    }
}
