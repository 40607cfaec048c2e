//! File indexes and the control numbers that share their place (docs/spec session.md 1.4,
//! filelist.md 9).

use crate::{Error, Protocol, Result, WireRead, WireWrite};

/// What stands where an index is expected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Index {
    /// A file of the lists, by number.
    File(u32),
    /// The end of a list's requests, of a phase, or of the run.
    Done,
    /// No further lists follow.
    ListEnd,
    /// Deletion statistics follow.
    DeleteStats,
    /// The list of a directory's contents follows; the directory is numbered from 0.
    List(u32),
}

/// The number that stands for the list of directory 0.
const LIST_BASE: i32 = -101;

impl Index {
    /// The number on the wire before coding.
    pub fn number(self) -> i32 {
        match self {
            Self::File(index) => index as i32,
            Self::Done => -1,
            Self::ListEnd => -2,
            Self::DeleteStats => -3,
            Self::List(directory) => LIST_BASE - directory as i32,
        }
    }

    /// The meaning of a number; -4 to -100 have none.
    pub fn from_number(number: i32) -> Result<Self> {
        match number {
            0.. => Ok(Self::File(number as u32)),
            -1 => Ok(Self::Done),
            -2 => Ok(Self::ListEnd),
            -3 => Ok(Self::DeleteStats),
            ..=LIST_BASE => Ok(Self::List((LIST_BASE - number) as u32)),
            _ => Err(Error::InvalidDirectory { index: number, last: LIST_BASE.into() }),
        }
    }
}

/// The two numbers that coded indexes are differences from; one for each direction of a connection,
/// for as long as it lives.
#[derive(Clone, Debug)]
struct Memory {
    positive: u32,
    negative: u32,
}

impl Memory {
    /// Indexes start "after -1", which the wrapping start value stands for.
    const START: Self = Self { positive: u32::MAX, negative: 1 };
}

/// Writes the indexes of one direction.
///
/// ```
/// use syncline_wire::{Index, IndexEncoder, Protocol};
///
/// let mut encoder = IndexEncoder::new(Protocol::NEWEST);
/// let mut out = Vec::new();
/// for index in [Index::File(0), Index::File(253), Index::List(1), Index::Done] {
///     encoder.encode(&mut out, index);
/// }
/// assert_eq!(out, [0x01, 0xfd, 0xff, 0x65, 0x00]);
/// ```
#[derive(Clone, Debug)]
pub struct IndexEncoder {
    protocol: Protocol,
    memory: Memory,
}

impl IndexEncoder {
    /// A direction in which nothing was written yet.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, memory: Memory::START }
    }

    /// Appends one index.
    pub fn encode(&mut self, out: &mut Vec<u8>, index: Index) {
        let number = index.number();
        if !self.protocol.has_varints() {
            return out.put_i32(number);
        }
        let magnitude = number.unsigned_abs();
        let memory = match number {
            -1 => return out.put_u8(0),
            0.. => &mut self.memory.positive,
            _ => {
                out.put_u8(0xff);
                &mut self.memory.negative
            }
        };
        // Memory starts one below zero; there the difference of any file index is small and
        // positive.
        let difference = i64::from(magnitude) - i64::from(*memory as i32);
        match difference {
            1..=253 => out.put_u8(difference as u8),
            0 | 254..=32767 => {
                out.put_u8(0xfe);
                out.put(&(difference as u16).to_be_bytes());
            }
            _ => {
                let [low, second, third, high] = magnitude.to_le_bytes();
                out.put(&[0xfe, high | 0x80, low, second, third]);
            }
        }
        *memory = magnitude;
    }
}

/// Reads the indexes of one direction.
#[derive(Clone, Debug)]
pub struct IndexDecoder {
    protocol: Protocol,
    memory: Memory,
}

impl IndexDecoder {
    /// A direction in which nothing was read yet.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, memory: Memory::START }
    }

    /// Reads one index.
    pub fn decode(&mut self, input: &mut impl WireRead) -> Result<Index> {
        if !self.protocol.has_varints() {
            return match input.read_i32()? {
                number @ -1.. => Index::from_number(number),
                index => Err(Error::InvalidIndex { index, last: -1 }),
            };
        }
        match input.read_u8()? {
            0 => Ok(Index::Done),
            0xff => {
                let first = input.read_u8()?;
                let magnitude = read_coded(input, first, &mut self.memory.negative)?;
                Index::from_number(-(magnitude as i32)).and_then(|index| match index {
                    Index::File(_) | Index::Done => {
                        Err(Error::InvalidIndex { index: index.number(), last: -1 })
                    }
                    control => Ok(control),
                })
            }
            first => read_coded(input, first, &mut self.memory.positive).map(Index::File),
        }
    }
}

/// Reads one magnitude that starts with `first`, relative to `memory`.
fn read_coded(input: &mut impl WireRead, first: u8, memory: &mut u32) -> Result<u32> {
    let before = i64::from(*memory as i32);
    let value = match first {
        0xfe => {
            let [high, low] = input.read_bytes()?;
            if high & 0x80 == 0 {
                before + i64::from(u16::from_be_bytes([high, low]))
            } else {
                let [second, third] = input.read_bytes()?;
                i64::from(u32::from_le_bytes([low, second, third, high & 0x7f]))
            }
        }
        0 | 0xff => return Err(Error::InvalidIndex { index: -i32::from(first), last: -1 }),
        difference => before + i64::from(difference),
    };
    match i32::try_from(value) {
        Ok(small @ 0..) => {
            *memory = small as u32;
            Ok(small as u32)
        }
        _ => Err(Error::IndexOverflow(value as u64)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(number: i32) -> Index {
        Index::from_number(number).unwrap()
    }

    #[test]
    fn the_documented_sequence_is_coded_byte_for_byte() {
        let rows: [(i32, &[u8]); 19] = [
            (0, &[0x01]),
            (1, &[0x01]),
            (5, &[0x04]),
            (258, &[0xfd]),
            (512, &[0xfe, 0x00, 0xfe]),
            (512, &[0xfe, 0x00, 0x00]),
            (511, &[0xfe, 0x80, 0xff, 0x01, 0x00]),
            (40000, &[0xfe, 0x80, 0x40, 0x9c, 0x00]),
            (40253, &[0xfd]),
            (-2, &[0xff, 0x01]),
            (-102, &[0xff, 0x64]),
            (-103, &[0xff, 0x01]),
            (-102, &[0xff, 0xfe, 0x80, 0x66, 0x00, 0x00]),
            (-1, &[0x00]),
            (-3, &[0xff, 0xfe, 0x80, 0x03, 0x00, 0x00]),
            (-101, &[0xff, 0x62]),
            (100_000_000, &[0xfe, 0x85, 0x00, 0xe1, 0xf5]),
            (7, &[0xfe, 0x80, 0x07, 0x00, 0x00]),
            (-1, &[0x00]),
        ];
        let mut encoder = IndexEncoder::new(Protocol::NEWEST);
        let mut decoder = IndexDecoder::new(Protocol::NEWEST);
        for (value, bytes) in rows {
            let mut out = Vec::new();
            encoder.encode(&mut out, number(value));
            assert_eq!(out, bytes, "{value}");
            assert_eq!(decoder.decode(&mut &out[..]).unwrap(), number(value));
        }
    }

    #[test]
    fn first_indexes_far_from_the_start_are_coded_as_specified() {
        for (value, bytes) in [
            (252, &[0xfd][..]),
            (253, &[0xfe, 0x00, 0xfe]),
            (32766, &[0xfe, 0x7f, 0xff]),
            (32767, &[0xfe, 0x80, 0xff, 0x7f, 0x00]),
        ] {
            let mut out = Vec::new();
            IndexEncoder::new(Protocol::NEWEST).encode(&mut out, number(value));
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn an_index_above_31_bits_is_refused() {
        let mut decoder = IndexDecoder::new(Protocol::NEWEST);
        let bytes = [0xfe, 0xff, 0xff, 0xff, 0xff, 0x01];
        let mut input = &bytes[..];
        assert_eq!(decoder.decode(&mut input).unwrap(), Index::File(0x7fff_ffff));
        let error = decoder.decode(&mut input).unwrap_err();
        assert_eq!(error.to_string(), "Invalid file index: 2147483648");
    }

    #[test]
    fn old_versions_know_no_control_numbers_but_done() {
        let mut decoder = IndexDecoder::new(Protocol::new(29).unwrap());
        assert_eq!(decoder.decode(&mut &[0xff; 4][..]).unwrap(), Index::Done);
        assert!(decoder.decode(&mut &[0xfe, 0xff, 0xff, 0xff][..]).is_err());
    }

    proptest! {
        #[test]
        fn every_sequence_survives_the_wire(
            numbers in proptest::collection::vec(
                prop_oneof![0..=i32::MAX, 0..2000_i32, Just(-1), Just(-2), Just(-3), -2000..=-101_i32, i32::MIN+1..=-101],
                0..50),
        ) {
            let mut out = Vec::new();
            let mut encoder = IndexEncoder::new(Protocol::NEWEST);
            for &value in &numbers {
                encoder.encode(&mut out, number(value));
            }
            let mut input = &out[..];
            let mut decoder = IndexDecoder::new(Protocol::NEWEST);
            for &value in &numbers {
                prop_assert_eq!(decoder.decode(&mut input).unwrap(), number(value));
            }
            prop_assert!(input.is_empty());
        }

        #[test]
        fn old_versions_send_plain_ints(index in 0..=i32::MAX) {
            let protocol = Protocol::OLDEST;
            let mut out = Vec::new();
            IndexEncoder::new(protocol).encode(&mut out, number(index));
            prop_assert_eq!(&out[..], &index.to_le_bytes()[..]);
            prop_assert_eq!(IndexDecoder::new(protocol).decode(&mut &out[..]).unwrap(), number(index));
        }
    }
}
