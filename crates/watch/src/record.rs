//! The kernel's inotify records as bytes (spec inotifywait.md 12.1).

use crate::mask::Mask;

const HEADER: usize = 16;

/// One event as the kernel wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The watch's number; -1 for an overflow.
    pub watch: i32,
    /// What happened.
    pub mask: Mask,
    /// Joins the halves of a rename; 0 means none.
    pub cookie: u32,
    /// The name inside the watched directory; empty when the watched object itself is meant.
    pub name: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes` and what follows it; `None` when no whole record is there.
    pub fn split_first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let word = |at: usize| -> Option<[u8; 4]> { header.get(at..at + 4)?.try_into().ok() };
        let length = u32::from_ne_bytes(word(12)?) as usize;
        let (padded, rest) = rest.split_at_checked(length)?;
        let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
        let record = Self {
            watch: i32::from_ne_bytes(word(0)?),
            mask: Mask::from_bits(u32::from_ne_bytes(word(4)?)),
            cookie: u32::from_ne_bytes(word(8)?),
            name,
        };
        Some((record, rest))
    }

    /// Writes the record as the kernel would: the name padded with NUL to a multiple of 16, with at least one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let padded = if self.name.is_empty() { 0 } else { (self.name.len() / 16 + 1) * 16 };
        out.extend_from_slice(&self.watch.to_ne_bytes());
        out.extend_from_slice(&self.mask.bits().to_ne_bytes());
        out.extend_from_slice(&self.cookie.to_ne_bytes());
        out.extend_from_slice(&(padded as u32).to_ne_bytes());
        out.extend_from_slice(self.name);
        out.resize(out.len() + padded - self.name.len(), 0);
    }
}

/// The records in `bytes`, in order; a torn tail ends the walk.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (record, rest) = Record::split_first(bytes)?;
        bytes = rest;
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_torn_record_is_no_record() {
        let mut bytes = Vec::new();
        Record { watch: 1, mask: Mask::CREATE, cookie: 0, name: b"f" }.encode(&mut bytes);
        assert_eq!(bytes.len(), 32);
        for cut in 0..32 {
            assert_eq!(Record::split_first(&bytes[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            all in prop::collection::vec(
                (any::<i32>(), any::<u32>(), any::<u32>(), prop::collection::vec(1u8.., 0..256)), 0..20)
        ) {
            let mut bytes = Vec::new();
            for (watch, mask, cookie, name) in &all {
                Record { watch: *watch, mask: Mask::from_bits(*mask), cookie: *cookie, name }.encode(&mut bytes);
            }
            let back: Vec<_> = records(&bytes)
                .map(|r| (r.watch, r.mask.bits(), r.cookie, r.name.to_vec()))
                .collect();
            prop_assert_eq!(back, all);
        }
    }
}
