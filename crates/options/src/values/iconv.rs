//! `--iconv=LOCAL[,REMOTE]` (session.md 10).

use crate::word::Word;

/// The character sets to convert file names between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iconv {
    /// The character set of this side; `.` is the locale's.
    pub local: Word,
    /// The character set that the other side is told, if it was named.
    pub remote: Option<Word>,
}

impl Iconv {
    /// Splits the option's value; `-` switches conversion off.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text == b"-" {
            return None;
        }
        Some(match text.iter().position(|&b| b == b',') {
            Some(comma) => {
                Self { local: text[..comma].to_vec(), remote: Some(text[comma + 1..].to_vec()) }
            }
            None => Self { local: text.to_vec(), remote: None },
        })
    }

    /// What the server is told: the remote name, or the only one.
    pub fn for_server(&self) -> &[u8] {
        self.remote.as_deref().unwrap_or(&self.local)
    }
}
