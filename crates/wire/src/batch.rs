//! The head of a batch file (docs/spec session.md 14.1). What follows is the sender's data stream
//! without frames.

use crate::{CompatFlags, Error, Protocol, Result, WireRead, WireWrite};

/// The options a batch was written with, as bits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct BatchOptions(pub u32);

impl BatchOptions {
    /// `-r`
    pub const RECURSIVE: Self = Self(1 << 0);
    /// `-o`
    pub const OWNER: Self = Self(1 << 1);
    /// `-g`
    pub const GROUP: Self = Self(1 << 2);
    /// `-l`
    pub const LINKS: Self = Self(1 << 3);
    /// `-D`
    pub const DEVICES: Self = Self(1 << 4);
    /// `-H`
    pub const HARD_LINKS: Self = Self(1 << 5);
    /// `-c`
    pub const CHECKSUM: Self = Self(1 << 6);
    /// `-d`, set whenever directories are transferred; from protocol 29.
    pub const DIRS: Self = Self(1 << 7);
    /// `-z`; from protocol 29.
    pub const COMPRESS: Self = Self(1 << 8);
    /// `--iconv`; from protocol 30.
    pub const ICONV: Self = Self(1 << 9);
    /// `-A`; from protocol 30.
    pub const ACLS: Self = Self(1 << 10);
    /// `-X`; from protocol 30.
    pub const XATTRS: Self = Self(1 << 11);
    /// `--inplace`; from protocol 30.
    pub const INPLACE: Self = Self(1 << 12);
    /// `--append`; from protocol 30.
    pub const APPEND: Self = Self(1 << 13);
    /// `--append-verify`; from protocol 30.
    pub const APPEND_VERIFY: Self = Self(1 << 14);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `self` with the bits of `other` if `wanted`.
    pub fn with_if(self, wanted: bool, other: Self) -> Self {
        if wanted { Self(self.0 | other.0) } else { self }
    }

    /// The bits that exist in this version; others are ignored.
    pub fn known_in(self, protocol: Protocol) -> Self {
        let bits = match protocol.number() {
            ..29 => 7,
            29 => 9,
            _ => 15,
        };
        Self(self.0 & ((1 << bits) - 1))
    }
}

/// The head of a batch file. The flags in it hold for reading it, not our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchHeader {
    /// Options it was written with.
    pub options: BatchOptions,
    /// Version of its stream.
    pub protocol: Protocol,
    /// Compat flags of its stream; none below protocol 30.
    pub flags: CompatFlags,
    /// Checksum seed.
    pub seed: i32,
}

impl BatchHeader {
    /// Appends the head.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.options.0);
        out.put_u32(self.protocol.number().into());
        if self.protocol.has_compat_flags() {
            self.flags.encode(out);
        }
        out.put_i32(self.seed);
    }

    /// Reads the head.
    pub fn decode(input: &mut impl WireRead) -> Result<Self> {
        let options = BatchOptions(input.read_u32()?);
        let found = input.read_i32()?;
        let own = Protocol::NEWEST.number();
        if found > own.into() {
            return Err(Error::BatchTooNew { found, own });
        }
        let protocol = Protocol::new(u8::try_from(found).unwrap_or(0))?;
        let flags = if protocol.has_compat_flags() {
            CompatFlags::decode(input)?
        } else {
            CompatFlags::default()
        };
        let seed = input.read_i32()?;
        Ok(Self { options: options.known_in(protocol), protocol, flags, seed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_heads_are_read_and_written() {
        for (bytes, version) in [
            (&[0x81, 0, 0, 0, 0x20, 0, 0, 0, 0x81, 0xff, 0x6a, 0xf3, 0x04, 0x6b][..], 32),
            (&[0xa1, 0, 0, 0, 0x1d, 0, 0, 0, 0x6a, 0xee, 0x04, 0x6b], 29),
        ] {
            let head = BatchHeader::decode(&mut &bytes[..]).unwrap();
            assert_eq!(head.protocol.number(), version);
            assert!(head.options.contains(BatchOptions::RECURSIVE));
            let mut out = Vec::new();
            head.encode(&mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn newer_batches_are_refused_and_unknown_bits_ignored() {
        let error = BatchHeader::decode(&mut &[0, 0, 0, 0, 33, 0, 0, 0][..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The protocol version in the batch file is too new (33 > 32)."
        );
        let bytes = [0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(BatchHeader::decode(&mut &bytes[..]).unwrap().options.0, 0x7f);
    }
}
