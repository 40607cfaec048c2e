//! The value of `log format` (daemon.md 14.4).

use crate::Error;

/// The longest format stock takes.
const MAX_LENGTH: usize = 4096;

/// A parsed `log format`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFormat {
    pieces: Vec<Piece>,
}

/// Literal bytes or an escape.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Bytes to be copied; `%%` has become `%`, and an unknown escape stays as it is written.
    Literal(Vec<u8>),
    /// A value to be inserted.
    Field {
        /// Which value.
        field: Field,
        /// How it is laid out.
        layout: Layout,
    },
}

/// What stands between the `%` and the letter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// The least number of columns.
    pub width: usize,
    /// A `-`: padded on the right.
    pub left: bool,
    /// The number of apostrophes: the level of human-readable numbers.
    pub human: u8,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $letter:literal,)*) => {
        /// The values a format can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Field { $($(#[$doc])* $name,)* }

        impl Field {
            /// The field of an escape's letter.
            pub fn from_letter(letter: u8) -> Option<Self> {
                match letter { $($letter => Some(Self::$name),)* _ => None }
            }

            /// The letter of its escape.
            pub fn letter(self) -> u8 {
                match self { $(Self::$name => $letter,)* }
            }
        }
    };
}

fields! {
    /// `%a`: the peer's address.
    Address = b'a',
    /// `%b`: bytes really transferred.
    BytesTransferred = b'b',
    /// `%B`: permission bits as `rwxr-xr-x`.
    Permissions = b'B',
    /// `%c`: bytes of checksums received for the basis.
    ChecksumBytes = b'c',
    /// `%C`: the whole file's checksum.
    Checksum = b'C',
    /// `%f`: path below the module.
    Path = b'f',
    /// `%G`: group id or `DEFAULT`.
    GroupId = b'G',
    /// `%h`: the peer's name.
    Host = b'h',
    /// `%i`: itemised changes.
    Itemized = b'i',
    /// `%l`: length.
    Length = b'l',
    /// `%L`: target of a link.
    LinkTarget = b'L',
    /// `%m`: module.
    Module = b'm',
    /// `%M`: modification time.
    ModificationTime = b'M',
    /// `%n`: name in the transfer.
    Name = b'n',
    /// `%o`: operation.
    Operation = b'o',
    /// `%p`: process id.
    ProcessId = b'p',
    /// `%P`: module path.
    ModulePath = b'P',
    /// `%t`: the time now.
    Now = b't',
    /// `%u`: authenticated user.
    User = b'u',
    /// `%U`: user id of the file.
    UserId = b'U',
}

impl LogFormat {
    /// Reads a format, variables already replaced.
    ///
    /// ```
    /// use syncline_conf::log_format::{Field, LogFormat};
    /// let format = LogFormat::parse(b"%o [%a] %-8l %q")?;
    /// assert!(format.contains(Field::Operation) && !format.contains(Field::Itemized));
    /// # Ok::<(), syncline_conf::Error>(())
    /// ```
    pub fn parse(format: &[u8]) -> Result<Self, Error> {
        if format.len() > MAX_LENGTH {
            return Err(Error::LogFormatTooLong { length: format.len(), limit: MAX_LENGTH });
        }
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = format;
        while let Some((&byte, tail)) = rest.split_first() {
            if let Some((field, layout, length)) = field(rest) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Field { field, layout });
                rest = &rest[length..];
            } else if rest.starts_with(b"%%") {
                literal.push(b'%');
                rest = &rest[2..];
            } else {
                literal.push(byte);
                rest = tail;
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether the format is empty, which means no transfer lines.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the format names the field: `%i` and `%o` decide which lines are written.
    pub fn contains(&self, wanted: Field) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Field { field, .. } if *field == wanted))
    }
}

/// Reads an escape of a known letter at the start: the field, its layout and the escape's length.
fn field(bytes: &[u8]) -> Option<(Field, Layout, usize)> {
    let mut layout = Layout::default();
    let mut at = 1;
    if bytes.first() != Some(&b'%') {
        return None;
    }
    let mut apostrophes = |at: &mut usize| {
        while bytes.get(*at) == Some(&b'\'') {
            layout.human = layout.human.saturating_add(1);
            *at += 1;
        }
    };
    apostrophes(&mut at);
    let left = bytes.get(at) == Some(&b'-');
    at += usize::from(left);
    let mut width = 0_usize;
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        width = (width * 10 + usize::from(digit - b'0')).min(MAX_LENGTH);
        at += 1;
    }
    apostrophes(&mut at);
    (layout.left, layout.width) = (left, width);
    Some((Field::from_letter(*bytes.get(at)?)?, layout, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_alignment_and_apostrophes_are_read() {
        let format = LogFormat::parse(b"%8l%-8l%''l%'10l").unwrap();
        let layouts: Vec<Layout> = format
            .pieces()
            .iter()
            .filter_map(|piece| match piece {
                Piece::Field { layout, .. } => Some(*layout),
                Piece::Literal(_) => None,
            })
            .collect();
        assert_eq!(
            layouts,
            [
                Layout { width: 8, left: false, human: 0 },
                Layout { width: 8, left: true, human: 0 },
                Layout { width: 0, left: false, human: 2 },
                Layout { width: 10, left: false, human: 1 },
            ]
        );
    }

    #[test]
    fn unknown_escapes_stay_and_a_doubled_percent_sign_is_one() {
        let format = LogFormat::parse(b"%% %z 100%").unwrap();
        assert_eq!(format.pieces(), [Piece::Literal(b"% %z 100%".to_vec())]);
    }

    #[test]
    fn a_format_beyond_the_limit_is_refused() {
        assert!(LogFormat::parse(&[b'x'; 4096]).is_ok());
        assert!(matches!(LogFormat::parse(&[b'x'; 4097]), Err(Error::LogFormatTooLong { .. })));
    }

    #[test]
    fn every_letter_names_its_field() {
        for letter in 0..=255 {
            if let Some(field) = Field::from_letter(letter) {
                assert_eq!(field.letter(), letter);
            }
        }
    }
}
