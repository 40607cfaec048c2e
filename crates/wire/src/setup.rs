//! Versions, capability letters, compat flags and the seed (docs/spec session.md 2.3, 6).

use crate::{CompatFlags, Error, Protocol, Result, WireRead, WireWrite};

/// The version both sides use, from our own and the `int` (or greeting) of the peer (session.md
/// 6.1).
pub fn negotiate_version(own: Protocol, remote: i32) -> Result<Protocol> {
    if !(20..=40).contains(&remote) {
        return Err(Error::VersionMismatch { remote });
    }
    Protocol::new(own.number().min(remote as u8))
}

/// The letters after `-e` in a client's options: what it can do, and the compat flags it asks for
/// by that.
///
/// ```
/// use syncline_wire::{Capabilities, CompatFlags};
///
/// let letters = Capabilities::parse(b".iLsfxCIvu");
/// assert!(letters.flags.contains(CompatFlags::VARINT_FLAGS));
/// assert_eq!(letters.to_text(), ".iLsfxCIvu");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    /// One flag for each letter, in the same order.
    pub flags: CompatFlags,
    /// `version.sub` of a pre-release client.
    pub prerelease: Option<(u8, u8)>,
}

/// The letters, in the order they are sent and in the order of their compat flags.
const LETTERS: [(u8, CompatFlags); 9] = [
    (b'i', CompatFlags::INCREMENTAL),
    (b'L', CompatFlags::SYMLINK_TIMES),
    (b's', CompatFlags::SYMLINK_ICONV),
    (b'f', CompatFlags::SAFE_LIST),
    (b'x', CompatFlags::AVOID_XATTR_OPTIMISATION),
    (b'C', CompatFlags::SEED_ORDER),
    (b'I', CompatFlags::INPLACE_PARTIAL_DIR),
    (b'v', CompatFlags::VARINT_FLAGS),
    (b'u', CompatFlags::ID0_NAMES),
];

impl Capabilities {
    /// What we can do, as a client that is, or is not, willing to take lists directory by
    /// directory.
    pub fn own(incremental: bool) -> Self {
        let all = LETTERS.iter().fold(CompatFlags::default(), |flags, (_, flag)| flags.with(*flag));
        let flags =
            if incremental { all } else { CompatFlags(all.0 & !CompatFlags::INCREMENTAL.0) };
        Self { flags, prerelease: None }
    }

    /// Reads the value of the option `-e`; unknown letters mean nothing.
    pub fn parse(text: &[u8]) -> Self {
        let letters_at = text
            .iter()
            .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
            .unwrap_or(text.len());
        let (version, letters) = text.split_at(letters_at);
        let flags = LETTERS
            .iter()
            .filter(|(letter, _)| letters.contains(letter))
            .fold(CompatFlags::default(), |flags, (_, flag)| flags.with(*flag));
        let prerelease = std::str::from_utf8(version)
            .ok()
            .and_then(|version| version.split_once('.'))
            .and_then(|(version, sub)| Some((version.parse().ok()?, sub.parse().ok()?)));
        Self { flags, prerelease }
    }

    /// The value of the option `-e`.
    pub fn to_text(self) -> String {
        let version = self.prerelease.map(|(version, _)| version.to_string()).unwrap_or_default();
        let sub = self.prerelease.map(|(_, sub)| sub.to_string()).unwrap_or_default();
        let letters = LETTERS
            .iter()
            .filter(|(_, flag)| self.flags.contains(*flag))
            .map(|(letter, _)| char::from(*letter));
        format!("{version}.{sub}").chars().chain(letters).collect()
    }

    /// What a server answers: `incremental` is whether it may recurse incrementally itself; times
    /// of symlinks and charset conversion are its own abilities; the rest the client decides
    /// (session.md 6.2).
    pub fn answer(self, incremental: bool) -> CompatFlags {
        let own = CompatFlags::SYMLINK_TIMES.with(CompatFlags::SYMLINK_ICONV);
        let asked =
            if incremental { self.flags.0 } else { self.flags.0 & !CompatFlags::INCREMENTAL.0 };
        CompatFlags(asked).with(own)
    }

    /// The version a server announces to this client: one less than its own to a pre-release of it
    /// or of an older one (session.md 6.1).
    pub fn version_for(self, own: Protocol) -> u8 {
        match self.prerelease {
            Some((version, sub)) if sub != 0 && version < own.number() => version.saturating_sub(1),
            Some((version, sub)) if sub != 0 && version == own.number() => own.number() - 1,
            _ => own.number(),
        }
    }
}

impl CompatFlags {
    /// Appends the flags as a server sends them.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.put_varint(self.0 as i32);
    }

    /// Reads a server's flags.
    pub fn decode(input: &mut impl WireRead) -> Result<Self> {
        Ok(Self(input.read_varint()? as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_version_wins_and_nonsense_is_refused() {
        let own = Protocol::NEWEST;
        assert_eq!(negotiate_version(own, 40).unwrap(), own);
        assert_eq!(negotiate_version(own, 29).unwrap().number(), 29);
        assert!(matches!(negotiate_version(own, 26), Err(Error::VersionUnsupported(26))));
        for remote in [19, 41, 0x6d6f_7564, -1] {
            assert!(matches!(negotiate_version(own, remote), Err(Error::VersionMismatch { .. })));
        }
    }

    #[test]
    fn answers_to_a_stock_client_are_stocks() {
        let letters = Capabilities::parse(b".iLsfxCIvu");
        assert_eq!(letters, Capabilities::own(true));
        let mut out = Vec::new();
        letters.answer(true).encode(&mut out);
        letters.answer(false).encode(&mut out);
        assert_eq!(out, [0x81, 0xff, 0x81, 0xfe]);
        assert_eq!(CompatFlags::decode(&mut &out[..]).unwrap(), letters.answer(true));
    }

    #[test]
    fn prereleases_lower_the_version() {
        let own = Protocol::NEWEST;
        for (text, version) in [("31.5iv", 30), ("32.5", 31), ("33.2", 32), (".iLs", 32), ("", 32)]
        {
            assert_eq!(Capabilities::parse(text.as_bytes()).version_for(own), version, "{text}");
        }
        assert_eq!(Capabilities::parse(b"31.14Lf").to_text(), "31.14Lf");
    }
}
