//! Cutting the text of a rule file into rules (docs/spec/filters.md 5.1, 5.2).

use crate::error::MAX_LINE;
use crate::parse::is_space;

/// The lines or words of a rule file, without comments and empty ones.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    words: bool,
    nul_ends: bool,
    line: u32,
}

/// One line or word.
pub(crate) struct Line<'a> {
    /// Up to the first NUL, where rule text ends.
    pub(crate) text: &'a [u8],
    /// Counted from 1; of no meaning for words.
    pub(crate) number: u32,
    /// Longer than any rule may be: to be dropped whole.
    pub(crate) overlong: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a [u8], words: bool, nul_ends: bool) -> Self {
        Self { rest: text, words, nul_ends, line: 0 }
    }

    /// Takes one line or word off the text, empty or not.
    fn cut(&mut self) -> &'a [u8] {
        let (words, nul_ends) = (self.words, self.nul_ends);
        let ends = |byte: u8| match (words, nul_ends) {
            (true, _) => is_space(byte) || nul_ends && byte == 0,
            (false, true) => byte == 0,
            (false, false) => matches!(byte, b'\n' | b'\r'),
        };
        self.line = self.line.saturating_add(1);
        let Some(end) = self.rest.iter().position(|&byte| ends(byte)) else {
            return std::mem::take(&mut self.rest);
        };
        let line = &self.rest[..end];
        let pair = !words && !nul_ends && self.rest[end..].starts_with(b"\r\n");
        self.rest = &self.rest[end + 1 + usize::from(pair)..];
        line
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while !self.rest.is_empty() {
            let line = self.cut();
            // An overlong comment is complained about all the same.
            let overlong = line.len() > MAX_LINE;
            if !overlong && !self.words && matches!(line.first(), Some(b'#' | b';')) {
                continue;
            }
            let text = memchr::memchr(0, line).map_or(line, |nul| &line[..nul]);
            if overlong || !text.is_empty() {
                return Some(Line { text, number: self.line, overlong });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], words: bool, nul_ends: bool) -> Vec<(u32, Vec<u8>)> {
        Lines::new(text, words, nul_ends).map(|line| (line.number, line.text.to_vec())).collect()
    }

    #[test]
    fn every_line_end_counts_once() {
        let lines = cut(b"a\r\nb\rc\n\n# x\n;y\n d \ne\0f", false, false);
        let wanted: [(u32, &[u8]); 5] = [(1, b"a"), (2, b"b"), (3, b"c"), (7, b" d "), (8, b"e")];
        assert_eq!(lines, wanted.map(|(line, text)| (line, text.to_vec())));
    }

    #[test]
    fn words_have_no_comments_and_end_at_any_white_space() {
        let words: Vec<_> =
            cut(b"# a\x0b!\n\tb", true, false).into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, [&b"#"[..], b"a", b"!", b"b"]);
    }

    #[test]
    fn with_nul_ends_a_newline_belongs_to_the_rule() {
        assert_eq!(cut(b"#c\0- a\n\0", false, true), [(2, b"- a\n".to_vec())]);
    }
}
