//! Bytes to logical lines (daemon.md 1.1 to 1.6): continuations are joined, comments and blank lines are gone.

use crate::text::{is_blank, trim};

/// A logical line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `[name] trailing`
    Section { name: Vec<u8>, trailing: Vec<u8> },
    /// A header that is not closed.
    UnclosedSection { name: Vec<u8> },
    /// `name = value`; the name may be empty.
    Parameter { name: Vec<u8>, value: Vec<u8> },
    /// `&name value`
    Directive { name: Vec<u8>, value: Vec<u8> },
    /// Text without `=`, which is skipped.
    NotAParameter { text: Vec<u8> },
}

/// The logical lines of a file, each with the number of its first physical line.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, number: 1 }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        if byte == b'\n' {
            self.number += 1;
        }
        Some(byte)
    }

    fn skip_blanks(&mut self) {
        while self.rest.first().is_some_and(|&byte| is_blank(byte)) {
            self.rest = &self.rest[1..];
        }
    }

    /// The rest of the physical line, whose end is consumed; a NUL ends it as well.
    fn rest_of_line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | 0));
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.next_byte();
        line
    }

    fn section(&mut self) -> Line {
        let mut name = Vec::new();
        loop {
            match self.next_byte() {
                Some(b']') => {
                    let trailing = trim(self.rest_of_line()).to_vec();
                    return Line::Section { name: squeezed(&name), trailing };
                }
                Some(b'\n') if continues(&mut name) => {}
                None | Some(b'\n' | 0) => return Line::UnclosedSection { name: squeezed(&name) },
                Some(byte) => name.push(byte),
            }
        }
    }

    fn parameter_or_directive(&mut self) -> Line {
        let is_directive = self.rest.first() == Some(&b'&');
        let mut name = Vec::new();
        loop {
            match self.next_byte() {
                Some(b'=') => break,
                Some(b' ' | b'\t') if is_directive => {
                    self.skip_blanks();
                    if self.rest.first() == Some(&b'=') {
                        self.next_byte();
                    }
                    break;
                }
                Some(b'\n') if continues(&mut name) => {}
                None | Some(b'\n' | 0) => return Line::NotAParameter { text: squeezed(&name) },
                Some(byte) => name.push(byte),
            }
        }
        let value = self.value();
        match name.strip_prefix(b"&") {
            Some(name) if is_directive => Line::Directive { name: squeezed(name), value },
            _ => Line::Parameter { name: squeezed(&name), value },
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.skip_blanks();
        let mut value = Vec::new();
        // Blanks before a continuing backslash stay even when nothing follows them.
        let mut kept = 0;
        loop {
            match self.next_byte() {
                Some(b'\n') if continues(&mut value) => kept = value.len(),
                None | Some(b'\n' | 0) => break,
                Some(b'\r') => {}
                Some(byte) => value.push(byte),
            }
        }
        let end = value.iter().rposition(|&byte| !is_blank(byte)).map_or(0, |last| last + 1);
        value.truncate(end.max(kept));
        value
    }
}

impl Iterator for Lines<'_> {
    type Item = (u32, Line);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.skip_blanks();
            let number = self.number;
            let text = self.rest;
            let line = match text.first()? {
                b'\n' | b'\\' => {
                    self.next_byte();
                    continue;
                }
                b'#' | b';' => {
                    let comment = self.rest_of_line().len();
                    if text[comment..].first() == Some(&0) {
                        return None;
                    }
                    continue;
                }
                // A NUL where a line could begin ends the file, as does one in a comment.
                0 => return None,
                b'[' => {
                    self.next_byte();
                    self.section()
                }
                _ => self.parameter_or_directive(),
            };
            return Some((number, line));
        }
    }
}

/// At a line feed: whether what was read so far ends in a backslash, which is then removed with what follows it.
fn continues(read: &mut Vec<u8>) -> bool {
    let last = read.iter().rposition(|&byte| !is_blank(byte));
    let Some(at) = last.filter(|&at| read[at] == b'\\') else { return false };
    read.truncate(at);
    true
}

/// Without blanks at the ends, and with one space for each run of them inside.
pub(super) fn squeezed(name: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> =
        name.split(|&byte| is_blank(byte)).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &[u8]) -> Vec<(String, String)> {
        let shown = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Lines::new(text)
            .map(|(_, line)| match line {
                Line::Parameter { name, value } => (shown(name), shown(value)),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn value(text: &[u8]) -> String {
        parameters(text).remove(0).1
    }

    #[test]
    fn a_backslash_joins_lines_as_they_are() {
        assert_eq!(value(b"c = a \\\n   b\\\nc\\   \n\td \n"), "a    bc\td");
        assert_eq!(value(b"c = \\\n   v"), "   v");
        assert_eq!(value(b"c = a \\\n\n"), "a ");
        assert_eq!(value(b"c = a \\\n# b\n"), "a # b");
        assert_eq!(
            parameters(b"comm\\\nent = zz\npath\\\n = /y\n")[1],
            ("path".into(), "/y".into())
        );
    }

    #[test]
    fn a_doubled_backslash_is_no_escape() {
        assert_eq!(value(b"c = end\\\\\nnext\n"), "end\\next");
        assert_eq!(value(b"c = end\\\\\n\nd = x"), "endd = x");
        assert_eq!(value(b"c = a\\"), "a\\");
    }

    #[test]
    fn values_hold_everything_but_carriage_returns() {
        assert_eq!(
            value(b"c =  hello # inline ; [too] = \"x\"  \r\n"),
            "hello # inline ; [too] = \"x\""
        );
        assert_eq!(value(b"c = a\rb\r\n"), "ab");
        assert_eq!(value(b"c ="), "");
    }

    #[test]
    fn a_nul_ends_a_value_and_the_rest_is_a_new_line() {
        assert_eq!(
            parameters(b"c = x\0list=no\n"),
            [("c".into(), "x".into()), ("list".into(), "no".into())]
        );
        assert_eq!(Lines::new(b"\n  \0[o]\n").count(), 0);
    }

    #[test]
    fn a_header_ends_at_the_first_bracket_and_the_rest_of_its_line_is_ignored() {
        let lines: Vec<_> = Lines::new(b"[ n \\\n  o\t p ] x \\\n[q]").collect();
        assert_eq!(
            lines[0],
            (1, Line::Section { name: b"n o p".to_vec(), trailing: b"x \\".to_vec() })
        );
        assert_eq!(lines[1], (3, Line::Section { name: b"q".to_vec(), trailing: Vec::new() }));
        assert!(matches!(Lines::new(b"[n\n]").next(), Some((1, Line::UnclosedSection { .. }))));
    }

    #[test]
    fn a_directive_needs_something_behind_it() {
        let line = |text: &'static [u8]| Lines::new(text).next().unwrap().1;
        let directive =
            |name: &[u8], value: &[u8]| Line::Directive { name: name.into(), value: value.into() };
        assert_eq!(line(b"&include\t/a b \n"), directive(b"include", b"/a b"));
        assert_eq!(line(b"&include = /a\n"), directive(b"include", b"/a"));
        assert_eq!(line(b"&inc\\\nlude /a\\\n/b"), directive(b"include", b"/a/b"));
        assert_eq!(line(b"& include x\n"), directive(b"", b"include x"));
        assert_eq!(line(b"&include\n"), Line::NotAParameter { text: b"&include".to_vec() });
    }

    #[test]
    fn a_leading_backslash_is_dropped() {
        let lines: Vec<_> = Lines::new(b"\\[n]\n \\ c = x\n\\\n\\# c\n\\\\[p]\n")
            .map(|(number, _)| number)
            .collect();
        assert_eq!(lines, [1, 2, 5]);
    }
}
