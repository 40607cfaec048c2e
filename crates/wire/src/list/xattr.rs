//! Extended attributes in entries, and the exchange of long values (docs/spec filelist.md 14).

use md5::{Digest, Md5};

use crate::error::lossy;
use crate::{Error, Result, WireRead, WireWrite};

/// Values up to this length travel in the list; of longer ones only the digest does.
const FULL_MAX: usize = 32;
const DIGEST_LENGTH: usize = 16;
const COUNT_MAX: i32 = 65536;
/// Longest name, with its NUL.
const NAME_MAX: i32 = 4096;
const VALUE_MAX: i32 = 128 << 20;
const SET_MAX: u64 = 512 << 20;

/// The value of an attribute.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum XattrValue {
    /// The bytes.
    Full(Vec<u8>),
    /// Length and MD5 of a value above 32 bytes that was not exchanged yet.
    Digest {
        /// Its length.
        length: u32,
        /// Its digest.
        md5: [u8; DIGEST_LENGTH],
    },
}

/// One attribute.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Xattr {
    /// The name, without its NUL.
    pub name: Vec<u8>,
    /// The value.
    pub value: XattrValue,
}

impl Xattr {
    /// An attribute as a list carries it: a long value is replaced by its digest, so that lists
    /// stay small.
    pub fn new(name: Vec<u8>, value: Vec<u8>) -> Self {
        let value = if value.len() > FULL_MAX {
            XattrValue::Digest { length: value.len() as u32, md5: Md5::digest(&value).into() }
        } else {
            XattrValue::Full(value)
        };
        Self { name, value }
    }

    /// Whether `value` is what this attribute holds.
    pub fn is_value(&self, value: &[u8]) -> bool {
        match &self.value {
            XattrValue::Full(own) => own == value,
            XattrValue::Digest { length, md5 } => {
                *length as usize == value.len() && *md5 == <[u8; 16]>::from(Md5::digest(value))
            }
        }
    }

    fn is_abbreviated(&self) -> bool {
        matches!(self.value, XattrValue::Digest { .. })
    }
}

/// The attributes of a file, in the order they travel, which their numbers (from 1) count.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct XattrSet {
    attributes: Vec<Xattr>,
}

impl XattrSet {
    /// A set sorted by name.
    pub fn new(mut attributes: Vec<Xattr>) -> Self {
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        Self { attributes }
    }

    /// The attributes in order.
    pub fn as_slice(&self) -> &[Xattr] {
        &self.attributes
    }

    /// The attribute of a number.
    pub fn get(&self, number: u32) -> Option<&Xattr> {
        self.attributes.get((number as usize).checked_sub(1)?)
    }

    /// Numbers of the attributes whose values were not exchanged yet.
    pub fn abbreviated(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.attributes).filter(|(_, xattr)| xattr.is_abbreviated()).map(|(n, _)| n)
    }

    pub(super) fn decode(input: &mut impl WireRead) -> Result<Self> {
        let count = input.read_varint_in("xattr count", 0, COUNT_MAX)?;
        let mut attributes = Vec::new();
        let mut total = 0_u64;
        for _ in 0..count {
            let name_length = read_size(input, "xattr name_len", NAME_MAX)?;
            let value_length = read_value_length(input)?;
            total += (name_length + value_length) as u64;
            if total > SET_MAX {
                return Err(Error::XattrSetTooLong);
            }
            let mut name = input.read_vec(name_length)?;
            if name.pop() != Some(0) || name.is_empty() {
                return Err(Error::XattrName);
            }
            let value = if value_length > FULL_MAX {
                XattrValue::Digest { length: value_length as u32, md5: input.read_bytes()? }
            } else {
                XattrValue::Full(input.read_vec(value_length)?)
            };
            attributes.push(Xattr { name, value });
        }
        Ok(Self { attributes })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.attributes.len() as i32);
        for Xattr { name, value } in &self.attributes {
            let digest: [u8; DIGEST_LENGTH];
            let (length, bytes) = match value {
                XattrValue::Full(value) if value.len() > FULL_MAX => {
                    digest = Md5::digest(value).into();
                    (value.len(), &digest[..])
                }
                XattrValue::Full(value) => (value.len(), &value[..]),
                XattrValue::Digest { length, md5 } => (*length as usize, &md5[..]),
            };
            out.put_varint(name.len() as i32 + 1);
            out.put_varint(length as i32);
            out.put(name);
            out.put_u8(0);
            out.put(bytes);
        }
    }
}

/// Appends the generator's request for values, by number.
pub fn put_xattr_request(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut before = 0;
    for number in numbers {
        out.put_varint(number as i32 - before);
        before = number as i32;
    }
    out.put_varint(0);
}

/// Reads a request for values of `set`; every number is one whose value is long.
pub fn read_xattr_request(input: &mut impl WireRead, set: &XattrSet) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let mut last = 0;
    while let Some(number) = read_number(input, &mut last)? {
        let xattr = set.get(number).ok_or(Error::XattrNumber(number.into()))?;
        if !xattr.is_abbreviated() || numbers.len() >= set.attributes.len() {
            return Err(Error::XattrNotAbbreviated(lossy(&xattr.name)));
        }
        numbers.push(number);
    }
    Ok(numbers)
}

/// Appends one value of the sender's reply; `last` is the number of the value before, 0 at first.
/// An empty value stands for one that cannot be read any more.
pub fn put_xattr_value(out: &mut Vec<u8>, last: u32, number: u32, value: &[u8]) {
    out.put_varint(number as i32 - last as i32);
    out.put_varint(value.len() as i32);
    out.put(value);
}

/// Ends the sender's reply.
pub fn put_xattr_values_end(out: &mut Vec<u8>) {
    out.put_varint(0);
}

/// Reads the sender's reply into `set`.
pub fn read_xattr_values(input: &mut impl WireRead, set: &mut XattrSet) -> Result<()> {
    let mut last = 0;
    while let Some(number) = read_number(input, &mut last)? {
        let length = read_value_length(input)?;
        let xattr =
            set.attributes.get_mut(number as usize - 1).ok_or(Error::XattrNumber(number.into()))?;
        if !xattr.is_abbreviated() {
            return Err(Error::XattrNotAbbreviated(lossy(&xattr.name)));
        }
        xattr.value = XattrValue::Full(input.read_vec(length)?);
    }
    Ok(())
}

/// The next number of a request or reply; `None` at its end.
fn read_number(input: &mut impl WireRead, last: &mut i32) -> Result<Option<u32>> {
    let difference = input.read_varint()?;
    if difference == 0 {
        return Ok(None);
    }
    *last = last.checked_add(difference).ok_or(Error::XattrOverflow)?;
    match *last {
        number @ 1.. => Ok(Some(number as u32)),
        number => Err(Error::XattrNumber(number.into())),
    }
}

fn read_size(input: &mut impl WireRead, what: &'static str, limit: i32) -> Result<usize> {
    match input.read_varint()? {
        size if (0..=limit).contains(&size) => Ok(size as usize),
        size => Err(Error::SizeOutOfRange { what, value: size.into(), limit: limit.into() }),
    }
}

fn read_value_length(input: &mut impl WireRead) -> Result<usize> {
    match read_size(input, "xattr datum_len", i32::MAX)? {
        length if length > VALUE_MAX as usize => Err(Error::XattrValueTooLong),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> XattrSet {
        XattrSet::new(vec![
            Xattr::new(b"user.short".to_vec(), b"abc".to_vec()),
            Xattr::new(b"user.long".to_vec(), vec![b'x'; 40]),
        ])
    }

    #[test]
    fn a_set_is_written_as_captured() {
        let mut out = Vec::new();
        set().encode(&mut out);
        assert!(out.starts_with(b"\x02\x0a\x28user.long\0"));
        assert!(out.ends_with(b"\x0b\x03user.short\0abc"));
        assert_eq!(XattrSet::decode(&mut &out[..]).unwrap(), set());
    }

    #[test]
    fn long_values_are_fetched_once() {
        let mut receiver = set();
        let mut request = Vec::new();
        put_xattr_request(&mut request, receiver.abbreviated());
        assert_eq!(request, [1, 0]);
        assert_eq!(read_xattr_request(&mut &request[..], &set()).unwrap(), [1]);
        let mut reply = Vec::new();
        put_xattr_value(&mut reply, 0, 1, &[b'x'; 40]);
        put_xattr_values_end(&mut reply);
        read_xattr_values(&mut &reply[..], &mut receiver).unwrap();
        assert_eq!(receiver.get(1).unwrap().value, XattrValue::Full(vec![b'x'; 40]));
        assert!(set().get(1).unwrap().is_value(&[b'x'; 40]));
        assert!(matches!(
            read_xattr_values(&mut &reply[..], &mut receiver),
            Err(Error::XattrNotAbbreviated(_))
        ));
    }

    #[test]
    fn numbers_outside_of_the_set_are_refused() {
        for bytes in [&[3, 0][..], &[0xf0, 0xff, 0xff, 0xff, 0xff], &[2, 0]] {
            assert!(read_xattr_request(&mut &bytes[..], &set()).is_err());
        }
        let bytes = [0xf0, 0xff, 0xff, 0xff, 0x7f, 0xf0, 0xff, 0xff, 0xff, 0x7f];
        assert!(read_xattr_values(&mut &bytes[..], &mut set()).is_err());
    }

    #[test]
    fn oversized_sets_are_refused() {
        for (bytes, text) in [
            (&[0xc1, 1, 0][..], "wire value xattr count out of range: 65537 not in [0,65536]"),
            (&[1, 0x90, 1], "wire size xattr name_len out of range: 4097 > 4096"),
            (&[1, 2, 0xe8, 1, 0, 0], "xattr datum_len exceeds per-value limit"),
            (&[1, 2, 0, b'a', b'b'], "Invalid xattr name received (missing trailing \\0)."),
            (&[1, 1, 0, 0], "Invalid xattr name received (missing trailing \\0)."),
        ] {
            assert_eq!(XattrSet::decode(&mut &bytes[..]).unwrap_err().to_string(), text);
        }
    }
}
