//! Names of checksums and compressors, and what was chosen (cli.md 3.4).

use crate::word::Word;

/// A checksum of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// XXH3 with 128 bits.
    Xxh128,
    /// XXH3 with 64 bits.
    Xxh3,
    /// XXH64.
    Xxh64,
    /// MD5.
    Md5,
    /// MD4.
    Md4,
    /// SHA-1.
    Sha1,
    /// No checksum.
    None,
}

impl Checksum {
    /// Every name a user may write; `xxhash` is another name of `xxh64`.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("xxh128", Self::Xxh128),
        ("xxh3", Self::Xxh3),
        ("xxh64", Self::Xxh64),
        ("xxhash", Self::Xxh64),
        ("md5", Self::Md5),
        ("md4", Self::Md4),
        ("sha1", Self::Sha1),
        ("none", Self::None),
    ];

    fn named(text: &[u8]) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text))
            .map(|&(_, sum)| sum)
    }
}

/// `--checksum-choice`: `None` leaves a part to negotiation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChecksumChoice {
    /// For the data of transferred files.
    pub transfer: Option<Checksum>,
    /// For comparing whole files before a transfer (`--checksum`).
    pub whole: Option<Checksum>,
    /// As written; the server is told this. Empty when nothing was chosen.
    pub text: Word,
}

impl ChecksumChoice {
    /// Parses `NAME` or `NAME1,NAME2`; the error is the unknown name.
    pub fn parse(text: &[u8]) -> Result<Self, Word> {
        let part = |name: &[u8]| match name {
            name if name.eq_ignore_ascii_case(b"auto") => Ok(None),
            name => Checksum::named(name).map(Some).ok_or_else(|| name.to_vec()),
        };
        // A comma with nothing before it belongs to a name that does not exist.
        let (transfer, whole) =
            match text.iter().position(|&b| b == b',').filter(|&comma| comma > 0) {
                Some(comma) => (part(&text[..comma])?, part(&text[comma + 1..])?),
                None => (part(text)?, part(text)?),
            };
        Ok(Self { transfer, whole, text: text.to_vec() })
    }
}

/// A compressor of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compressor {
    /// Zstandard.
    Zstd,
    /// LZ4.
    Lz4,
    /// Deflate without matched data in its window.
    Zlibx,
    /// Deflate of older versions.
    Zlib,
    /// None.
    None,
}

impl Compressor {
    /// Every name.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("zstd", Self::Zstd),
        ("lz4", Self::Lz4),
        ("zlibx", Self::Zlibx),
        ("zlib", Self::Zlib),
        ("none", Self::None),
    ];

    /// Finds a name.
    pub fn named(text: &[u8]) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text))
            .map(|&(_, which)| which)
    }
}

/// Whether and how file data is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression was asked for.
    #[default]
    Off,
    /// The sides agree on one; `-z`, or a level by itself.
    Negotiated,
    /// The named one, which may be `None`.
    Chosen(Compressor),
}
