//! `--out-format` and `--log-file-format` (cli.md 11).

use crate::word::Word;

/// The most characters of quotes, dash and digits between `%` and its letter.
const MAX_WIDTH_CHARACTERS: usize = 23;

/// How a byte count is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digits {
    /// Plain digits.
    #[default]
    Plain,
    /// `'`: groups of three.
    Grouped,
    /// `''`: units of 1000.
    Decimal,
    /// `'''`: units of 1024.
    Binary,
}

/// One piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Text copied as it is.
    Literal(Word),
    /// A value.
    Field {
        /// The escape's letter.
        letter: u8,
        /// Pad to this many characters.
        width: usize,
        /// Pad on the right.
        left: bool,
        /// How numbers are written.
        digits: Digits,
    },
}

/// The line printed for each item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
    text: Word,
}

impl Format {
    /// Parses a format. Every text is one: what is not an escape is literal. Whether a letter has a value depends on
    /// the program (`%h` has one in a daemon's log only), so unknown letters are fields too; [`Piece::spelling`]
    /// gives back their text.
    pub fn parse(text: &[u8]) -> Self {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            if first == b'%'
                && let Some((field, length)) = field(after)
            {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(field);
                rest = &after[length..];
            } else {
                literal.push(first);
                rest = after;
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Self { pieces, text: text.to_vec() }
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The text that was parsed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a field with this letter occurs.
    pub fn has(&self, wanted: u8) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Field { letter, .. } if *letter == wanted))
    }

    /// Whether the line can only be written after the file's transfer.
    pub fn needs_transfer(&self) -> bool {
        self.has(b'b') || self.has(b'c') || self.has(b'C')
    }
}

impl Piece {
    /// The piece as it is written in a format; a field is written in one normal form.
    pub fn spelling(&self) -> Word {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Field { letter, width, left, digits } => {
                let mut text = b"%".to_vec();
                text.extend_from_slice(match digits {
                    Digits::Plain => b"",
                    Digits::Grouped => b"'",
                    Digits::Decimal => b"''",
                    Digits::Binary => b"'''",
                });
                if *left {
                    text.push(b'-');
                }
                if *width > 0 {
                    text.extend_from_slice(width.to_string().as_bytes());
                }
                text.push(*letter);
                text
            }
        }
    }
}

/// Reads what follows a `%`; returns the field and its length.
fn field(text: &[u8]) -> Option<(Piece, usize)> {
    let mut at = 0;
    let mut quotes = 0;
    let mut width = 0usize;
    let mut left = false;
    while text.get(at) == Some(&b'\'') {
        quotes += 1;
        at += 1;
    }
    if text.get(at) == Some(&b'-') {
        left = true;
        at += 1;
    }
    while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit()) {
        width = width.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        at += 1;
    }
    while text.get(at) == Some(&b'\'') {
        quotes += 1;
        at += 1;
    }
    if at > MAX_WIDTH_CHARACTERS {
        return None;
    }
    let letter = *text.get(at)?;
    if !letter.is_ascii_alphabetic() && letter != b'%' {
        return None;
    }
    let digits = match quotes {
        0 => Digits::Plain,
        1 => Digits::Grouped,
        2 => Digits::Decimal,
        _ => Digits::Binary,
    };
    // No line is wider than this; a larger number could only exhaust memory.
    let width = width.min(4096);
    Some((Piece::Field { letter, width, left, digits }, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_quotes_and_sides_are_read() {
        let format = Format::parse(b"[%-12n|%'l|%''8l%%]%");
        assert_eq!(
            format.pieces(),
            [
                Piece::Literal(b"[".to_vec()),
                Piece::Field { letter: b'n', width: 12, left: true, digits: Digits::Plain },
                Piece::Literal(b"|".to_vec()),
                Piece::Field { letter: b'l', width: 0, left: false, digits: Digits::Grouped },
                Piece::Literal(b"|".to_vec()),
                Piece::Field { letter: b'l', width: 8, left: false, digits: Digits::Decimal },
                Piece::Field { letter: b'%', width: 0, left: false, digits: Digits::Plain },
                Piece::Literal(b"]%".to_vec()),
            ]
        );
    }

    #[test]
    fn a_doubled_percent_hides_the_letter_after_it() {
        assert!(!Format::parse(b"%%i").has(b'i'));
        assert!(Format::parse(b"%-10i").has(b'i'));
    }
}
