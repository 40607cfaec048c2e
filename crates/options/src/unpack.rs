//! Reading a server's argument list: the inverse of packing (session.md 2.6).

use crate::word::Word;

/// What a client says it can do in the value of `-e` (session.md 2.3).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The version and sub-version of a pre-release; `None` for a release (`.`) or nothing.
    pub pre_release: Option<(u32, u32)>,
    letters: Word,
}

impl Capabilities {
    /// Parses the value of `-e`, e.g. `.iLsfxCIvu`. Unknown letters are kept and ignored.
    pub fn parse(text: &[u8]) -> Self {
        let start =
            text.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(text.len());
        let (version, letters) = text.split_at(start);
        let pre_release = std::str::from_utf8(version)
            .ok()
            .and_then(|version| version.split_once('.'))
            .and_then(|(version, sub)| Some((version.parse().ok()?, sub.parse().ok()?)));
        Self { pre_release, letters: letters.to_vec() }
    }

    /// Whether the client sent this letter.
    pub fn has(&self, letter: u8) -> bool {
        self.letters.contains(&letter)
    }

    /// Whether the client is willing to recurse incrementally (`i`).
    pub fn incremental_recursion(&self) -> bool {
        self.has(b'i')
    }

    /// Whether strings are negotiated and file-list flags are variable integers (`v`).
    pub fn negotiates(&self) -> bool {
        self.has(b'v')
    }

    /// All letters as sent.
    pub fn letters(&self) -> &[u8] {
        &self.letters
    }
}
