//! Lines of output: the default one, CSV, and `--format` (spec inotifywait.md 4.1, 5, 6).

use std::ffi::CString;

use syncline_watch::Mask;

use crate::events;

/// One event as it is printed.
pub(crate) struct Line<'a> {
    /// `%w`: the watched object's path; empty for the overflow event.
    pub(crate) watched: &'a [u8],
    /// `%f`: the name in it.
    pub(crate) name: &'a [u8],
    pub(crate) mask: Mask,
    pub(crate) cookie: u32,
}

/// How lines look.
#[derive(Debug)]
pub(crate) enum Format {
    Default,
    Csv,
    Pieces(Vec<Piece>),
}

/// A part of a format text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    Watched,
    Name,
    Events(u8),
    Time(Option<CString>),
    Cookie,
}

/// The longest format that the stock tool takes, its newline included.
const LONGEST: usize = 4096;

impl Format {
    /// Reads a format text; `None` when it is not valid (5.3).
    pub(crate) fn parse(text: &[u8], newline: bool, time: Option<&[u8]>) -> Option<Self> {
        let mut text = text.to_vec();
        if newline {
            text.push(b'\n');
        }
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let time = time.and_then(|time| CString::new(time).ok());
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text.as_slice();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'%' {
                literal.push(byte);
                continue;
            }
            let piece = match rest {
                [b'w', ..] => Some(Piece::Watched),
                [b'f', ..] => Some(Piece::Name),
                [b'e', ..] => Some(Piece::Events(b',')),
                [b'T', ..] => Some(Piece::Time(time.clone())),
                [b'c', ..] => Some(Piece::Cookie),
                [b'%', ..] => Some(Piece::Text(b"%".to_vec())),
                [b'0', ..] => Some(Piece::Text(b"\0".to_vec())),
                [b'n', ..] => Some(Piece::Text(b"\n".to_vec())),
                [separator, b'e', ..] => {
                    rest = &rest[1..];
                    Some(Piece::Events(*separator))
                }
                _ => None,
            };
            match piece {
                Some(piece) => {
                    rest = &rest[1..];
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(piece);
                }
                None => literal.push(b'%'),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Some(Self::Pieces(pieces))
    }

    /// Writes one line.
    pub(crate) fn write(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Default => {
                out.extend_from_slice(line.watched);
                out.push(b' ');
                events::print(line.mask, b',', out);
                out.push(b' ');
                out.extend_from_slice(line.name);
                out.push(b'\n');
            }
            Self::Csv => {
                if !line.watched.is_empty() {
                    csv(line.watched, out);
                    out.push(b',');
                }
                let mut names = Vec::new();
                events::print(line.mask, b',', &mut names);
                csv(&names, out);
                out.push(b',');
                csv(line.name, out);
                out.push(b'\n');
            }
            Self::Pieces(pieces) => pieces.iter().for_each(|piece| piece.write(line, out)),
        }
    }
}

impl Piece {
    fn write(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Watched => out.extend_from_slice(line.watched),
            Self::Name => out.extend_from_slice(line.name),
            Self::Events(separator) => events::print(line.mask, *separator, out),
            Self::Time(Some(format)) => {
                let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64);
                out.extend_from_slice(&syncline_sys::posix::local_time(now, format));
            }
            Self::Time(None) => {}
            Self::Cookie => out.extend_from_slice(format!("{:x}", line.cookie).as_bytes()),
        }
    }
}

/// Writes a field, in quotes only when it needs them.
fn csv(field: &[u8], out: &mut Vec<u8>) {
    let quoted = field.iter().any(|byte| b"\",\n".contains(byte))
        || field.first() == Some(&b' ')
        || field.last() == Some(&b' ');
    if !quoted {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str, newline: bool) -> Option<String> {
        let format = Format::parse(format.as_bytes(), newline, Some(b"T"))?;
        let mut out = Vec::new();
        let line = Line { watched: b"d/", name: b"f", mask: Mask::CLOSE_NOWRITE, cookie: 0x1f };
        format.write(&line, &mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn escapes_are_read_from_left_to_right_letters_first() {
        assert_eq!(
            written("%Te|%ce|%%e|%ee|%XXe", false).unwrap(),
            "Te|1fe|%e|CLOSE_NOWRITE,CLOSEe|%XXe"
        );
        assert_eq!(written("%:e %w%f %q%5w", false).unwrap(), "CLOSE_NOWRITE:CLOSE d/f %q%5w");
    }

    #[test]
    fn r13_a_lone_percent_at_the_end_prints_itself() {
        assert_eq!(written("%e%", false).unwrap(), "CLOSE_NOWRITE,CLOSE%");
        assert_eq!(written("%", true).unwrap(), "%\n");
    }

    #[test]
    fn r13_an_empty_time_leaves_the_rest_of_the_line() {
        let format = Format::parse(b"a%Tb", true, Some(b"")).unwrap();
        let mut out = Vec::new();
        format.write(&Line { watched: b"", name: b"", mask: Mask::OPEN, cookie: 0 }, &mut out);
        assert_eq!(out, b"ab\n");
    }

    #[test]
    fn r12_lines_have_no_longest_length_but_formats_have() {
        let long = vec![b'w'; 10_000];
        let format = Format::parse(b"%w|%w", true, None).unwrap();
        let mut out = Vec::new();
        format.write(&Line { watched: &long, name: b"", mask: Mask::OPEN, cookie: 0 }, &mut out);
        assert_eq!(out.len(), 20_002);
        assert!(written(&"x".repeat(4095), true).is_some());
        assert!(written(&"x".repeat(4096), true).is_none());
        assert!(written("", false).is_none());
    }
}
