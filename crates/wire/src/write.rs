//! Writing the protocol's primitive encodings (docs/spec session.md 1).

use crate::Protocol;

/// Longest string a `vstring` can carry.
pub const VSTRING_MAX: usize = 0x7fff;

/// The protocol's integers and strings, appended to a byte buffer. Always the shortest form.
///
/// ```
/// use syncline_wire::WireWrite;
///
/// let mut out = Vec::new();
/// out.put_varint(0x3fff);
/// out.put_varlong(4096, 3);
/// assert_eq!(out, [0xbf, 0xff, 0x00, 0x00, 0x10]);
/// ```
pub trait WireWrite {
    /// Raw bytes.
    fn put(&mut self, bytes: &[u8]);

    /// One byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// A little-endian 16-bit number.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// An `int`: 32 signed bits.
    fn put_i32(&mut self, value: i32) {
        self.put(&value.to_le_bytes());
    }

    /// An `int` from unsigned bits.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// A `longint` (session.md 1.1).
    fn put_longint(&mut self, value: i64) {
        if let Ok(short @ 0..) = i32::try_from(value) {
            self.put_i32(short);
        } else {
            self.put_i32(-1);
            self.put(&value.to_le_bytes());
        }
    }

    /// A `varint` (session.md 1.2).
    fn put_varint(&mut self, value: i32) {
        let bits = value as u32;
        let extra = match bits {
            0..0x80 => 0,
            0x80..0x4000 => 1,
            0x4000..0x20_0000 => 2,
            0x20_0000..0x1000_0000 => 3,
            _ => 4,
        };
        let marker = !(0xff_u8 >> extra);
        let low = bits.to_le_bytes();
        match extra {
            4 => self.put_u8(marker),
            _ => self.put_u8(marker | (bits >> (8 * extra)) as u8),
        }
        self.put(low.get(..extra).unwrap_or_default());
    }

    /// A `varlong` of at least `minimum` bytes, 3 to 5 (session.md 1.3).
    fn put_varlong(&mut self, value: i64, minimum: usize) {
        let bits = value as u64;
        let longest = 9 - minimum;
        let fits = |extra: usize| {
            let width = 8 * (minimum - 1) + 7 + 7 * extra;
            width >= 64 || bits >> width == 0
        };
        let extra = (0..longest).find(|&extra| fits(extra)).unwrap_or(longest);
        let rest = minimum - 1 + extra;
        let marker = !(0xff_u8 >> extra);
        match rest {
            8 => self.put_u8(marker),
            _ => self.put_u8(marker | (bits >> (8 * rest)) as u8),
        }
        self.put(bits.to_le_bytes().get(..rest).unwrap_or_default());
    }

    /// A `varint30`: `int` below protocol 30, `varint` from 30.
    fn put_varint30(&mut self, value: i32, protocol: Protocol) {
        if protocol.has_varints() { self.put_varint(value) } else { self.put_i32(value) }
    }

    /// A `varlong30`: `longint` below protocol 30, `varlong` from 30.
    fn put_varlong30(&mut self, value: i64, minimum: usize, protocol: Protocol) {
        if protocol.has_varints() {
            self.put_varlong(value, minimum);
        } else {
            self.put_longint(value);
        }
    }

    /// A `vstring` (session.md 1.5). The caller keeps it within [`VSTRING_MAX`]; what is beyond is
    /// cut.
    fn put_vstring(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(..VSTRING_MAX).unwrap_or(bytes);
        if bytes.len() > 0x7f {
            self.put_u8((bytes.len() >> 8) as u8 | 0x80);
        }
        self.put_u8(bytes.len() as u8);
        self.put(bytes);
    }
}

impl WireWrite for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::WireRead;

    fn encode(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn longints_are_as_specified() {
        let rows: [(i64, &[u8]); 4] = [
            (0, &[0; 4]),
            (0x7fff_ffff, &[0xff, 0xff, 0xff, 0x7f]),
            (0x8000_0000, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80, 0, 0, 0, 0]),
            (-1, &[0xff; 12]),
        ];
        for (value, bytes) in rows {
            assert_eq!(encode(|out| out.put_longint(value)), bytes, "{value}");
        }
    }

    #[test]
    fn varints_are_as_specified() {
        let rows: [(i32, &[u8]); 17] = [
            (0, &[0]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 0x80]),
            (0xff, &[0x80, 0xff]),
            (300, &[0x81, 0x2c]),
            (0x1ff, &[0x81, 0xff]),
            (0x3fff, &[0xbf, 0xff]),
            (0x4000, &[0xc0, 0, 0x40]),
            (65535, &[0xc0, 0xff, 0xff]),
            (0x001f_ffff, &[0xdf, 0xff, 0xff]),
            (0x0020_0000, &[0xe0, 0, 0, 0x20]),
            (0x0fff_ffff, &[0xef, 0xff, 0xff, 0xff]),
            (0x1000_0000, &[0xf0, 0, 0, 0, 0x10]),
            (i32::MAX, &[0xf0, 0xff, 0xff, 0xff, 0x7f]),
            (-1, &[0xf0, 0xff, 0xff, 0xff, 0xff]),
            (-2, &[0xf0, 0xfe, 0xff, 0xff, 0xff]),
            (i32::MIN, &[0xf0, 0, 0, 0, 0x80]),
        ];
        for (value, bytes) in rows {
            assert_eq!(encode(|out| out.put_varint(value)), bytes, "{value:#x}");
        }
    }

    #[test]
    fn varlongs_are_as_specified() {
        let rows: [(i64, usize, &[u8]); 19] = [
            (1, 3, &[0, 1, 0]),
            (1, 4, &[0, 1, 0, 0]),
            (1, 5, &[0, 1, 0, 0, 0]),
            (0x7f_ffff, 3, &[0x7f, 0xff, 0xff]),
            (0x80_0000, 3, &[0x80, 0, 0, 0x80]),
            (0x80_0000, 4, &[0, 0, 0, 0x80]),
            (0x100_0000, 3, &[0x81, 0, 0, 0]),
            (0x5f5e_1000, 3, &[0xc0, 0, 0x10, 0x5e, 0x5f]),
            (0x5f5e_1000, 4, &[0x5f, 0, 0x10, 0x5e]),
            (5_368_709_120, 3, &[0xc1, 0, 0, 0, 0x40]),
            (2_208_988_800, 4, &[0x80, 0x80, 0x7e, 0xaa, 0x83]),
            (1 << 38, 3, &[0xe0, 0, 0, 0, 0, 0x40]),
            (1 << 38, 4, &[0xc0, 0, 0, 0, 0, 0x40]),
            (1 << 38, 5, &[0x40, 0, 0, 0, 0]),
            (1 << 40, 3, &[0xe1, 0, 0, 0, 0, 0]),
            (1 << 40, 5, &[0x81, 0, 0, 0, 0, 0]),
            (-1, 3, &[0xfc, 255, 255, 255, 255, 255, 255, 255, 255]),
            (-1, 4, &[0xf8, 255, 255, 255, 255, 255, 255, 255, 255]),
            (i64::MAX, 5, &[0xf0, 255, 255, 255, 255, 255, 255, 255, 0x7f]),
        ];
        for (value, minimum, bytes) in rows {
            assert_eq!(
                encode(|out| out.put_varlong(value, minimum)),
                bytes,
                "{value:#x} {minimum}"
            );
        }
    }

    #[test]
    fn vstrings_switch_to_two_length_bytes_at_128() {
        for (length, head) in [
            (0, &[0_u8][..]),
            (127, &[127]),
            (128, &[0x80, 0x80]),
            (255, &[0x80, 0xff]),
            (256, &[0x81, 0]),
            (32767, &[0xff, 0xff]),
        ] {
            let out = encode(|out| out.put_vstring(&vec![b'x'; length]));
            assert_eq!(out.get(..head.len()).unwrap(), head, "{length}");
            assert_eq!(out.len(), head.len() + length);
        }
    }

    proptest! {
        #[test]
        fn every_integer_survives_the_wire(long in any::<i64>(), shift in 0..64_u32, minimum in 3..=5_usize) {
            let long = long >> shift;
            let short = long as i32;
            let out = encode(|out| {
                out.put_longint(long);
                out.put_varint(short);
                out.put_varlong(long, minimum);
            });
            let mut input = &out[..];
            prop_assert_eq!(input.read_longint().unwrap(), long);
            prop_assert_eq!(input.read_varint().unwrap(), short);
            prop_assert_eq!(input.read_varlong(minimum).unwrap(), long);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn every_string_survives_the_wire(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let out = encode(|out| out.put_vstring(&bytes));
            prop_assert_eq!((&out[..]).read_vstring(VSTRING_MAX).unwrap(), bytes);
        }
    }
}
