//! One word of a command line: any bytes, shown as the stock program shows them.

use std::fmt;

/// A command-line word or a piece of one. File names have any bytes, so this is not a `String`.
pub type Word = Vec<u8>;

/// Shows bytes in a message written before a character set is known: everything outside printable ASCII and tab
/// becomes `\#ooo` (cli.md 6.4 rules 1, 2 and 4).
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        for (at, &byte) in bytes.iter().enumerate() {
            let looks_escaped = byte == b'\\'
                && matches!(bytes.get(at + 1..at + 5), Some([b'#', digits @ ..]) if digits.iter().all(u8::is_ascii_digit));
            if byte == b'\t' || (matches!(byte, b' '..=b'~') && !looks_escaped) {
                write!(f, "{}", byte as char)?;
            } else {
                write!(f, "\\#{byte:03o}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_bytes_are_shown_in_octal() {
        assert_eq!(Shown(b"a\tb\nc\xff\x7f").to_string(), "a\tb\\#012c\\#377\\#177");
        assert_eq!(Shown(b"\\#101 \\x").to_string(), "\\#134#101 \\x");
    }
}
