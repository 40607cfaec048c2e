//! The sum head and block records of a signature (docs/spec delta.md 4).

use crate::{Error, Protocol, Result, WireRead, WireWrite};

/// Longest strong sum of a block record.
pub const STRONG_MAX: usize = 16;

/// The four numbers before a signature, repeated before the tokens that refer to it. The default
/// asks for everything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SumHead {
    /// Number of blocks.
    pub count: u32,
    /// Bytes of each block except perhaps the last.
    pub block_length: u32,
    /// Bytes of a strong sum in the block records.
    pub strong_length: u32,
    /// Length of the last block if it is short, else 0.
    pub remainder: u32,
}

impl SumHead {
    /// Appends the head.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.count, self.block_length, self.strong_length, self.remainder] {
            out.put_u32(number);
        }
    }

    /// Reads and checks a head. `digest_length` is that of the transfer checksum; strong sums of up
    /// to [`STRONG_MAX`] bytes are let pass for the sake of 3.2 to 3.4 generators, see
    /// [`SumHead::echo`].
    pub fn decode(
        input: &mut impl WireRead,
        protocol: Protocol,
        digest_length: usize,
    ) -> Result<Self> {
        let count = input.read_i32()?;
        if count < 0 {
            return Err(Error::SumCount(count));
        }
        let block_length = input.read_i32()?;
        if block_length < 0 || block_length as u32 > protocol.block_length_max() {
            return Err(Error::BlockLength(block_length));
        }
        if count > 0 && block_length == 0 {
            return Err(Error::ZeroBlockLength);
        }
        let strong_length = input.read_i32()?;
        if strong_length < 0 || strong_length as usize > digest_length.max(STRONG_MAX) {
            return Err(Error::SumLength(strong_length));
        }
        let remainder = input.read_i32()?;
        if remainder < 0 || remainder > block_length {
            return Err(Error::Remainder(remainder));
        }
        Ok(Self {
            count: count as u32,
            block_length: block_length as u32,
            strong_length: strong_length as u32,
            remainder: remainder as u32,
        })
    }

    /// The head a sender repeats: strong length not beyond the digest, which 3.4 receivers insist
    /// on.
    pub fn echo(self, digest_length: usize) -> Self {
        Self { strong_length: self.strong_length.min(digest_length as u32), ..self }
    }

    /// Whether everything is asked for.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of one block; 0 beyond the last.
    pub fn length_of(&self, block: u32) -> u32 {
        match self.count.checked_sub(block) {
            None | Some(0) => 0,
            Some(1) if self.remainder != 0 => self.remainder,
            Some(_) => self.block_length,
        }
    }

    /// Where a block starts in the basis.
    pub fn offset_of(&self, block: u32) -> u64 {
        u64::from(block) * u64::from(self.block_length)
    }

    /// Length of the basis; in append mode, how much of the file the receiver has.
    pub fn total_length(&self) -> u64 {
        match self.count.checked_sub(1) {
            None => 0,
            Some(last) => self.offset_of(last) + u64::from(self.length_of(last)),
        }
    }

    /// Appends one block record; of `strong` the first [`SumHead::strong_length`] bytes.
    pub fn encode_block(&self, out: &mut Vec<u8>, weak: u32, strong: &[u8]) {
        out.put_u32(weak);
        out.put(strong.get(..self.strong_length as usize).unwrap_or(strong));
    }

    /// Reads one block record: returns the weak sum, appends the strong one to `strong`. There are
    /// [`SumHead::count`] of them; do not reserve memory from that number.
    pub fn decode_block(&self, input: &mut impl WireRead, strong: &mut Vec<u8>) -> Result<u32> {
        let weak = input.read_u32()?;
        let start = strong.len();
        strong.resize(start + self.strong_length as usize, 0);
        input.read_exact(strong.get_mut(start..).unwrap_or_default())?;
        Ok(weak)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(fields: [i32; 4], protocol: u8) -> Result<SumHead> {
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        SumHead::decode(&mut &bytes[..], Protocol::new(protocol).unwrap(), 8)
    }

    #[test]
    fn bad_heads_are_refused_with_stocks_words() {
        for (fields, protocol, text) in [
            ([-1, 700, 2, 0], 32, "Invalid checksum count -1"),
            ([1, 131_073, 2, 0], 32, "Invalid block length 131073"),
            ([1, -5, 2, 0], 32, "Invalid block length -5"),
            ([1, (1 << 29) + 1, 2, 0], 29, "Invalid block length 536870913"),
            ([1, 0, 2, 0], 32, "Invalid zero block length"),
            ([1, 700, 17, 0], 32, "Invalid checksum length 17"),
            ([1, 700, -1, 0], 32, "Invalid checksum length -1"),
            ([1, 700, 2, 701], 32, "Invalid remainder length 701"),
            ([1, 700, 2, -1], 32, "Invalid remainder length -1"),
        ] {
            assert_eq!(decode(fields, protocol).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn odd_but_legal_heads_pass() {
        assert!(decode([0, 700, 0, 700], 32).is_ok());
        assert!(decode([1, 1 << 29, 2, 0], 27).is_ok());
        let long = decode([3, 700, 16, 1], 32).unwrap();
        assert_eq!(long.echo(8).strong_length, 8);
        assert_eq!(long.total_length(), 1401);
        assert_eq!([0, 1, 2, 3].map(|block| long.length_of(block)), [700, 700, 1, 0]);
    }

    proptest! {
        #[test]
        fn heads_and_records_survive_the_wire(
            count in 0..=0x7fff_ffff_u32, block_length in 1..=131_072_u32, strong_length in 0..=16_u32,
            remainder in 0..=131_072_u32, weak in any::<u32>(), strong in any::<[u8; 16]>(),
        ) {
            let remainder = remainder.min(block_length);
            let head = SumHead { count, block_length, strong_length, remainder };
            let mut out = Vec::new();
            head.encode(&mut out);
            head.encode_block(&mut out, weak, &strong);
            let mut input = &out[..];
            prop_assert_eq!(SumHead::decode(&mut input, Protocol::NEWEST, 16).unwrap(), head);
            let mut read = Vec::new();
            prop_assert_eq!(head.decode_block(&mut input, &mut read).unwrap(), weak);
            prop_assert_eq!(&read[..], &strong[..strong_length as usize]);
            prop_assert!(input.is_empty());
        }
    }
}
