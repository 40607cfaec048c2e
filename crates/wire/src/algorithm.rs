//! Checksum and compression names, their lists, and the choice from two lists (docs/spec session.md
//! 6.4).

use std::fmt;

use crate::{Error, Protocol, Result, WireRead, WireWrite};

/// Longest list of names a peer takes.
pub const LIST_MAX: usize = 255;

/// What an environment list without a valid name is sent as.
const INVALID: &str = "INVALID";

/// Which end of the connection we are: the program the user started, or the one it reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// The program the user started.
    Client,
    /// The other end.
    Server,
}

/// A family of algorithms that peers agree on by name.
pub trait Algorithm: Copy + Eq + fmt::Debug + Sized + 'static {
    /// What stock calls the family in its messages.
    const FAMILY: &'static str;
    /// Everything supported, strongest first; the last one is "none", which clients do not offer.
    const ALL: &'static [Self];
    /// The name on the wire.
    fn name(self) -> &'static str;
    /// Other spellings of a name.
    fn alias(name: &str) -> Option<Self>;

    /// The algorithm of this name, in any case.
    fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.name().eq_ignore_ascii_case(name))
            .or_else(|| Self::alias(&name.to_ascii_lowercase()))
            .ok_or_else(|| Error::UnknownAlgorithm { what: Self::FAMILY, name: name.to_owned() })
    }

    /// What this side offers when the user has no wish.
    fn offer(side: Side) -> Vec<Self> {
        let offered = match side {
            Side::Client => Self::ALL.len() - 1,
            Side::Server => Self::ALL.len(),
        };
        Self::ALL.iter().copied().take(offered).collect()
    }

    /// The offer that `RSYNC_CHECKSUM_LIST` or `RSYNC_COMPRESS_LIST` asks for: `CLIENT-PART &
    /// SERVER-PART`. Unknown names and repetitions are dropped; an empty value means the default;
    /// an empty result means that nothing is acceptable.
    fn offer_from(value: &str, side: Side) -> Vec<Self> {
        let part = match (value.split_once('&'), side) {
            (Some((client, _)), Side::Client) => client,
            (Some((_, server)), Side::Server) => server,
            (None, _) => value,
        };
        if part.trim().is_empty() {
            return Self::offer(side);
        }
        parse_names(part)
    }

    /// Appends an offer as it is sent.
    fn put_offer(out: &mut Vec<u8>, offer: &[Self]) {
        let names: Vec<&str> = offer.iter().map(|known| known.name()).collect();
        let text = if names.is_empty() { INVALID.to_owned() } else { names.join(" ") };
        out.put_vstring(text.as_bytes());
    }

    /// Reads a peer's offer; names unknown here are dropped.
    fn read_offer(input: &mut impl WireRead) -> Result<Vec<Self>> {
        let text = input.read_vstring(LIST_MAX)?;
        Ok(parse_names(&String::from_utf8_lossy(&text)))
    }

    /// The client's first choice among what the server offers: what every stock client picks, and
    /// every stock server as long as both offers are in the same order.
    fn choose(client: &[Self], server: &[Self]) -> Result<Self> {
        client
            .iter()
            .copied()
            .find(|name| server.contains(name))
            .ok_or(Error::Negotiation { what: Self::FAMILY })
    }
}

fn parse_names<A: Algorithm>(text: &str) -> Vec<A> {
    let mut names = Vec::new();
    for known in text.split_ascii_whitespace().filter_map(|name| A::from_name(name).ok()) {
        if !names.contains(&known) {
            names.push(known);
        }
    }
    names
}

/// A checksum of blocks and files.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// No verification; whole files only.
    None,
}

impl Checksum {
    /// Bytes of a file's sum (docs/spec delta.md 3.1).
    pub fn digest_length(self) -> usize {
        match self {
            Self::Xxh128 | Self::Md5 | Self::Md4 => 16,
            Self::Xxh3 | Self::Xxh64 => 8,
            Self::Sha1 => 20,
            Self::None => 1,
        }
    }

    /// What is used where nothing is chosen or negotiated.
    pub fn default_of(protocol: Protocol) -> Self {
        if protocol.has_varints() { Self::Md5 } else { Self::Md4 }
    }
}

impl Algorithm for Checksum {
    const FAMILY: &'static str = "checksum";
    const ALL: &'static [Self] =
        &[Self::Xxh128, Self::Xxh3, Self::Xxh64, Self::Md5, Self::Md4, Self::Sha1, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
            Self::Xxh3 => "xxh3",
            Self::Xxh64 => "xxh64",
            Self::Md5 => "md5",
            Self::Md4 => "md4",
            Self::Sha1 => "sha1",
            Self::None => "none",
        }
    }

    fn alias(name: &str) -> Option<Self> {
        (name == "xxhash").then_some(Self::Xxh64)
    }
}

/// A compression of the token stream.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard, one frame for the session.
    Zstd,
    /// LZ4 blocks.
    Lz4,
    /// Deflate over literals only.
    Zlibx,
    /// Deflate whose history also holds matched blocks.
    Zlib,
    /// Plain tokens.
    None,
}

impl Compression {
    /// What `level` means for this method: the method really in force (zlib at level 0 is plain)
    /// and the level within its bounds (docs/spec delta.md 8.7).
    pub fn with_level(self, level: Option<i32>) -> (Self, i32) {
        match self {
            Self::None => (Self::None, 0),
            Self::Lz4 => (Self::Lz4, 0),
            Self::Zstd => match level {
                None | Some(0) => (Self::Zstd, 3),
                Some(level) => (Self::Zstd, level.clamp(-131_072, 22)),
            },
            Self::Zlib | Self::Zlibx => match level {
                None | Some(-1) => (self, 6),
                Some(0) => (Self::None, 0),
                Some(level) => (self, level.clamp(1, 9)),
            },
        }
    }
}

impl Algorithm for Compression {
    const FAMILY: &'static str = "compress";
    const ALL: &'static [Self] = &[Self::Zstd, Self::Lz4, Self::Zlibx, Self::Zlib, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Zlibx => "zlibx",
            Self::Zlib => "zlib",
            Self::None => "none",
        }
    }

    fn alias(_: &str) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_sent_as_stock_sends_them() {
        let mut out = Vec::new();
        Checksum::put_offer(&mut out, &Checksum::offer(Side::Client));
        assert_eq!(out, b"\x1exxh128 xxh3 xxh64 md5 md4 sha1");
        out.clear();
        Checksum::put_offer(&mut out, &Checksum::offer(Side::Server));
        assert_eq!(out, b"\x23xxh128 xxh3 xxh64 md5 md4 sha1 none");
        assert_eq!(Checksum::read_offer(&mut &out[..]).unwrap(), Checksum::ALL);
    }

    #[test]
    fn the_clients_order_decides() {
        use Checksum::{Md5, Sha1, Xxh128};
        assert_eq!(Checksum::choose(&[Md5, Xxh128], Checksum::ALL).unwrap(), Md5);
        let error = Checksum::choose(&[Md5], &[Sha1]).unwrap_err();
        assert_eq!(error.to_string(), "Failed to negotiate a checksum choice.");
    }

    #[test]
    fn environment_lists_have_a_part_for_each_side() {
        use Checksum::{Md4, Md5, Xxh64};
        let value = " XXHASH bogus md5 xxh64 & md4";
        assert_eq!(Checksum::offer_from(value, Side::Client), [Xxh64, Md5]);
        assert_eq!(Checksum::offer_from(value, Side::Server), [Md4]);
        assert_eq!(Checksum::offer_from("bogus", Side::Client), []);
        assert_eq!(Checksum::offer_from("", Side::Client), Checksum::offer(Side::Client));
        let mut out = Vec::new();
        Checksum::put_offer(&mut out, &[]);
        assert_eq!(out, b"\x07INVALID");
    }

    #[test]
    fn levels_are_clamped_and_zlib_zero_is_plain() {
        assert_eq!(Compression::Zlib.with_level(Some(0)), (Compression::None, 0));
        assert_eq!(Compression::Zlibx.with_level(Some(77)), (Compression::Zlibx, 9));
        assert_eq!(Compression::Zstd.with_level(Some(0)), (Compression::Zstd, 3));
        assert_eq!(Compression::Zstd.with_level(Some(99)), (Compression::Zstd, 22));
        assert_eq!(Compression::Lz4.with_level(Some(5)), (Compression::Lz4, 0));
    }
}
