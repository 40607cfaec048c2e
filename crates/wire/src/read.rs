//! Reading the protocol's primitive encodings (docs/spec session.md 1).

use std::io::{BufRead, ErrorKind, Read};

use crate::{Error, Protocol, Result};

/// How much is reserved ahead of the bytes that fill it, whatever length a peer announced.
const RESERVE: usize = 64 * 1024;

/// The protocol's integers and strings, read from any buffered byte source.
///
/// Nothing is read ahead beyond what the source's own buffer holds, and no length taken from the
/// stream reserves memory before its bytes arrive.
///
/// ```
/// use syncline_wire::WireRead;
///
/// let mut bytes: &[u8] = &[0xbf, 0xff, 0x00, 0x00, 0x10];
/// assert_eq!(bytes.read_varint()?, 0x3fff);
/// assert_eq!(bytes.read_varlong(3)?, 4096);
/// # Ok::<(), syncline_wire::Error>(())
/// ```
pub trait WireRead: BufRead + Sized {
    /// One byte.
    fn read_u8(&mut self) -> Result<u8> {
        loop {
            match self.fill_buf() {
                Ok([first, ..]) => {
                    let byte = *first;
                    self.consume(1);
                    return Ok(byte);
                }
                Ok([]) => return Err(Error::Closed),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Exactly `N` bytes.
    fn read_bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A little-endian 16-bit number.
    fn read_u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.read_bytes()?))
    }

    /// An `int`: 32 signed bits.
    fn read_i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.read_bytes()?))
    }

    /// An `int` whose bits are taken as unsigned.
    fn read_u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.read_bytes()?))
    }

    /// A `longint`: 4 bytes, or 12 when the value does not fit 31 bits (session.md 1.1).
    fn read_longint(&mut self) -> Result<i64> {
        match self.read_i32()? {
            -1 => Ok(i64::from_le_bytes(self.read_bytes()?)),
            short => Ok(i64::from(short)),
        }
    }

    /// A `varint`: 1 to 5 bytes (session.md 1.2).
    fn read_varint(&mut self) -> Result<i32> {
        let first = self.read_u8()?;
        let extra = first.leading_ones() as usize;
        if extra > 4 {
            return Err(Error::VarintOverflow);
        }
        let mut bytes = [0; 4];
        if let Some(low) = bytes.get_mut(..extra) {
            self.read_exact(low)?;
        }
        let low = u32::from_le_bytes(bytes);
        let high = u32::from(first) & (0x7f_u32 >> extra);
        Ok(if extra == 4 { low } else { low | high << (8 * extra) } as i32)
    }

    /// A `varlong` of at least `minimum` bytes, 3 to 5 (session.md 1.3).
    fn read_varlong(&mut self, minimum: usize) -> Result<i64> {
        let first = self.read_u8()?;
        let extra = (first.leading_ones() as usize).min(6);
        let rest = minimum - 1 + extra;
        if rest > 8 {
            return Err(Error::VarlongOverflow);
        }
        let mut bytes = [0; 8];
        if let Some(low) = bytes.get_mut(..rest) {
            self.read_exact(low)?;
        }
        let low = u64::from_le_bytes(bytes);
        let high = u64::from(first) & (0x7f_u64 >> extra);
        Ok(if rest == 8 { low } else { low | high << (8 * rest) } as i64)
    }

    /// A `varint30`: `int` below protocol 30, `varint` from 30.
    fn read_varint30(&mut self, protocol: Protocol) -> Result<i32> {
        if protocol.has_varints() { self.read_varint() } else { self.read_i32() }
    }

    /// A `varlong30`: `longint` below protocol 30, `varlong` from 30.
    fn read_varlong30(&mut self, protocol: Protocol, minimum: usize) -> Result<i64> {
        if protocol.has_varints() { self.read_varlong(minimum) } else { self.read_longint() }
    }

    /// A `varint` that must lie in `low..=high`; `what` names it in the error.
    fn read_varint_in(&mut self, what: &'static str, low: i32, high: i32) -> Result<u32> {
        let value = self.read_varint()?;
        if !(low..=high).contains(&value) {
            let (value, low, high) = (value.into(), low.into(), high.into());
            return Err(Error::OutOfRange { what, value, low, high });
        }
        Ok(value as u32)
    }

    /// `length` bytes. The caller has bounded `length`; memory still grows only with what arrives.
    fn read_vec(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(RESERVE));
        let got = self.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if got < length {
            return Err(Error::Closed);
        }
        Ok(bytes)
    }

    /// A `vstring` of at most `limit` bytes (session.md 1.5).
    fn read_vstring(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut length = usize::from(self.read_u8()?);
        if length & 0x80 != 0 {
            length = (length & 0x7f) << 8 | usize::from(self.read_u8()?);
        }
        if length > limit {
            return Err(Error::VstringTooLong { length, limit });
        }
        self.read_vec(length)
    }

    /// Bytes up to `delimiter`, which is consumed and not returned; more than `limit` of them is an
    /// error.
    fn read_delimited(
        &mut self,
        delimiter: u8,
        limit: usize,
        what: &'static str,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref().take(limit as u64 + 1).read_until(delimiter, &mut bytes)?;
        match bytes.pop() {
            Some(last) if last == delimiter => Ok(bytes),
            Some(_) if bytes.len() >= limit => Err(Error::LineTooLong { what, limit }),
            _ => Err(Error::Closed),
        }
    }
}

impl<R: BufRead> WireRead for R {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_forms_than_needed_are_read() {
        assert_eq!((&[0x80_u8, 0x01][..]).read_varint().unwrap(), 1);
        assert_eq!((&[0xf7_u8, 1, 0, 0, 0][..]).read_varint().unwrap(), 1);
    }

    #[test]
    fn overlong_first_bytes_are_refused() {
        for first in 0xf8..=0xff_u8 {
            let bytes = [first, 0, 0, 0, 0, 0, 0, 0, 0];
            assert!(matches!((&bytes[..]).read_varint(), Err(Error::VarintOverflow)));
        }
        let bytes = [0xfc_u8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!((&bytes[..]).read_varlong(4), Err(Error::VarlongOverflow)));
        assert!((&bytes[..]).read_varlong(3).is_ok());
    }

    #[test]
    fn a_string_beyond_its_limit_is_refused_before_it_is_read() {
        let error = (&[0xff_u8, 0xff][..]).read_vstring(4095).unwrap_err();
        assert_eq!(error.to_string(), "over-long vstring received (32767 > 4095)");
    }

    #[test]
    fn a_delimited_word_may_fill_its_limit_and_no_more() {
        assert_eq!((&b"abc\n"[..]).read_delimited(b'\n', 3, "line").unwrap(), b"abc");
        assert!(matches!(
            (&b"abcd\n"[..]).read_delimited(b'\n', 3, "line"),
            Err(Error::LineTooLong { .. })
        ));
        assert!(matches!((&b"abc"[..]).read_delimited(b'\n', 9, "line"), Err(Error::Closed)));
        assert!(matches!((&b""[..]).read_delimited(b'\n', 9, "line"), Err(Error::Closed)));
    }
}
