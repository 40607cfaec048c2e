//! Just enough XML for confxml.xml, as lenient as sersync 2.5.4 where that does no harm (live.md 1.3).
//!
//! A general XML reader does not fit: the declared encoding must not be honoured, an unclosed element must be told
//! from one closed by another's name, and a quote that was forgotten must be refused where sersync read on into the
//! next value without a word.

use crate::Error;
use crate::text::show;

/// How deep elements may be nested.
const MAX_DEPTH: usize = 32;

/// An element with what the reader needs of it.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: Vec<u8>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) children: Vec<Element>,
    /// The lines on which text stands directly inside it.
    pub(super) text_lines: Vec<u32>,
    pub(super) line: u32,
}

/// Why a file is no XML that sersync would read, or would read as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlProblem {
    /// There is nothing in it.
    #[error("the file is empty")]
    NoData,
    /// There is no element in it.
    #[error("there is no element: the file must consist of `<head>…</head>`")]
    NoElement,
    /// The root is another element.
    #[error("the outermost element is `{0}`: it must be `head`")]
    WrongRoot(String),
    /// `</b>` inside of `<a>`, and no `<b>` is open.
    #[error(
        "`</{found}>` closes nothing: `<{open}>` of line {open_line} is open, write `</{open}>`"
    )]
    UnmatchedEndTag {
        /// The name in the end tag.
        found: String,
        /// The element that is open.
        open: String,
        /// Where it begins.
        open_line: u32,
    },
    /// The end of an outer element, or of the file.
    #[error("`<{name}>` of line {begin} is not closed: write `</{name}>`")]
    NotClosed {
        /// The element.
        name: String,
        /// Where it begins.
        begin: u32,
    },
    /// `&` that begins no entity.
    #[error("`&` in `{0}` begins no known entity: write `&amp;`")]
    UnknownEntity(String),
    /// `start=true`
    #[error("the value of `{0}` is not in quotes, which sersync misreads: write `{0}=\"…\"`")]
    Unquoted(String),
    /// `start="true`
    #[error(
        "the value of `{0}` has no closing quote on its line, so that it would swallow what follows: add it"
    )]
    MissingQuote(String),
    /// Anything else between `<` and `>`.
    #[error("`{0}` is not well formed: write `<name attribute=\"value\">`")]
    MalformedTag(String),
    /// Far more than a confxml.xml has.
    #[error("elements are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Reads the root element.
pub(super) fn parse(text: &[u8]) -> Result<Element, Error> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let line_feeds = (0..text.len()).filter(|&at| text[at] == b'\n').collect();
    let mut reader = Reader { text, line_feeds, at: 0, open: Vec::new() };
    if text.is_empty() {
        return Err(reader.problem(XmlProblem::NoData));
    }
    loop {
        if let Some(root) = reader.step()? {
            return Ok(root);
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    /// Where they are.
    line_feeds: Vec<usize>,
    at: usize,
    /// Elements whose end has not been seen, the innermost last.
    open: Vec<Element>,
}

impl<'a> Reader<'a> {
    /// Reads text, a tag or a comment. Some: the root is complete.
    fn step(&mut self) -> Result<Option<Element>, Error> {
        let rest = self.rest();
        let Some(tag) = rest.iter().position(|&byte| byte == b'<') else {
            return Err(self.unexpected_end());
        };
        if let Some(first) = rest[..tag].iter().position(|byte| !byte.is_ascii_whitespace()) {
            let line = self.line_at(self.at + first);
            if let Some(element) = self.open.last_mut() {
                element.text_lines.push(line);
            }
        }
        self.at += tag;
        let rest = self.rest();
        for (begin, end) in
            [(&b"<!--"[..], &b"-->"[..]), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"), (b"<!", b">")]
        {
            if rest.starts_with(begin) {
                let after =
                    find(&rest[begin.len()..], end).map(|found| begin.len() + found + end.len());
                self.at = after.map_or(self.text.len(), |length| self.at + length);
                return Ok(None);
            }
        }
        if rest.starts_with(b"</") { self.end_tag() } else { self.start_tag() }
    }

    fn end_tag(&mut self) -> Result<Option<Element>, Error> {
        let rest = self.rest();
        let Some(end) = rest.iter().position(|&byte| byte == b'>') else {
            return Err(self.malformed());
        };
        let name = rest[2..end].trim_ascii();
        self.at += end + 1;
        let Some(element) = self.open.pop() else {
            return Err(self.problem(XmlProblem::MalformedTag(format!("</{}>", show(name)))));
        };
        if element.name != name {
            let open = show(&element.name);
            let closes_outer = self.open.iter().any(|outer| outer.name == name);
            return Err(self.problem(if closes_outer {
                XmlProblem::NotClosed { name: open, begin: element.line }
            } else {
                XmlProblem::UnmatchedEndTag { found: show(name), open, open_line: element.line }
            }));
        }
        Ok(self.complete(element))
    }

    fn start_tag(&mut self) -> Result<Option<Element>, Error> {
        let line = self.line_at(self.at);
        let begin = self.at;
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            self.at = begin;
            return Err(self.malformed());
        }
        let mut element = Element {
            name,
            attributes: Vec::new(),
            children: Vec::new(),
            text_lines: Vec::new(),
            line,
        };
        loop {
            self.skip_whitespace();
            match self.rest() {
                [b'/', b'>', ..] => {
                    self.at += 2;
                    return Ok(self.complete(element));
                }
                [b'>', ..] => {
                    self.at += 1;
                    if self.open.len() == MAX_DEPTH {
                        return Err(self.problem(XmlProblem::TooDeep));
                    }
                    self.open.push(element);
                    return Ok(None);
                }
                _ => element.attributes.push(self.attribute(begin)?),
            }
        }
    }

    fn attribute(&mut self, tag: usize) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let name = self.name();
        self.skip_whitespace();
        if name.is_empty() || self.rest().first() != Some(&b'=') {
            self.at = tag;
            return Err(self.malformed());
        }
        self.at += 1;
        self.skip_whitespace();
        let Some(&quote @ (b'"' | b'\'')) = self.rest().first() else {
            return Err(self.problem(XmlProblem::Unquoted(show(&name))));
        };
        self.at += 1;
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == quote || byte == b'\n');
        let Some(end) = end.filter(|&end| rest[end] == quote) else {
            return Err(self.problem(XmlProblem::MissingQuote(show(&name))));
        };
        let raw = &rest[..end];
        self.at += end + 1;
        match decoded(raw) {
            Some(value) => Ok((name, value)),
            None => Err(self.problem(XmlProblem::UnknownEntity(show(raw)))),
        }
    }

    /// Hands a finished element to the one around it; it is the root if there is none.
    fn complete(&mut self, element: Element) -> Option<Element> {
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(element);
                None
            }
            None => Some(element),
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn name(&mut self) -> Vec<u8> {
        let rest = self.rest();
        let ends = |byte: &u8| {
            byte.is_ascii_whitespace() || matches!(byte, b'=' | b'/' | b'>' | b'<' | b'"' | b'\'')
        };
        let name = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        self.at += name.len();
        name.to_vec()
    }

    fn skip_whitespace(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    fn line_at(&self, at: usize) -> u32 {
        1 + self.line_feeds.partition_point(|&line_feed| line_feed < at) as u32
    }

    fn unexpected_end(&mut self) -> Error {
        self.at = self.text.len();
        let problem = match self.open.last() {
            Some(element) => {
                XmlProblem::NotClosed { name: show(&element.name), begin: element.line }
            }
            None => XmlProblem::NoElement,
        };
        self.problem(problem)
    }

    fn malformed(&mut self) -> Error {
        let rest = self.rest();
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'>' | b'\n'))
            .map_or(rest.len(), |at| at + 1);
        let tag = show(rest[..end.min(60)].trim_ascii_end());
        self.problem(XmlProblem::MalformedTag(tag))
    }

    fn problem(&self, problem: XmlProblem) -> Error {
        let begin =
            self.text[..self.at].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        Error::Xml { line: self.line_at(self.at), column: (self.at - begin) as u32 + 1, problem }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Replaces the five entities and character references. None: a `&` begins none of them.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&byte| byte == b'&') {
        decoded.extend_from_slice(&rest[..at]);
        let end = rest[at..].iter().position(|&byte| byte == b';')? + at;
        let character = match &rest[at + 1..end] {
            b"amp" => '&',
            b"lt" => '<',
            b"gt" => '>',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', b'x' | b'X', digits @ ..] => reference(digits, 16)?,
            [b'#', digits @ ..] => reference(digits, 10)?,
            _ => return None,
        };
        decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[end + 1..];
    }
    decoded.extend_from_slice(rest);
    Some(decoded)
}

fn reference(digits: &[u8], radix: u32) -> Option<char> {
    char::from_u32(u32::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (u32, u32, XmlProblem) {
        match parse(text.as_bytes()) {
            Err(Error::Xml { line, column, problem }) => (line, column, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quotes_comments_declarations_and_entities_are_read() {
        let text = "\u{feff}<?xml version='1.0' encoding='ISO-8859-1'?>\n<!DOCTYPE x>\n<head a='1 \"&amp;&#65;' >\n\
                    <!-- <b> --> <b x=\"a>b<c\"/>#这里\n</head >";
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!(root.attributes, [(b"a".to_vec(), b"1 \"&A".to_vec())]);
        assert_eq!(
            (root.children.len(), root.children[0].line, &root.text_lines[..]),
            (1, 4, &[4][..])
        );
        assert_eq!(root.children[0].attributes[0].1, b"a>b<c");
    }

    #[test]
    fn an_unclosed_element_is_told_from_a_wrong_end_tag() {
        assert_eq!(
            problem("<head>\n<a>\n</b></head>"),
            (
                3,
                5,
                XmlProblem::UnmatchedEndTag { found: "b".into(), open: "a".into(), open_line: 2 }
            )
        );
        assert_eq!(
            problem("<head>\n<a>\n</head>"),
            (3, 8, XmlProblem::NotClosed { name: "a".into(), begin: 2 })
        );
        assert_eq!(
            problem("<head>\n"),
            (2, 1, XmlProblem::NotClosed { name: "head".into(), begin: 1 })
        );
    }

    #[test]
    fn values_that_sersync_misreads_are_refused() {
        assert!(matches!(problem("<head a=true/>").2, XmlProblem::Unquoted(_)));
        assert!(matches!(problem("<head a=\"true>\n<b c=\"\"/>").2, XmlProblem::MissingQuote(_)));
        assert!(matches!(problem("<head a=\"b&c\"/>").2, XmlProblem::UnknownEntity(_)));
        assert!(matches!(problem("<head a=“true”/>").2, XmlProblem::Unquoted(_)));
    }

    #[test]
    fn what_is_no_xml_says_so() {
        assert_eq!(problem("").2, XmlProblem::NoData);
        assert_eq!(problem("just text\n").2, XmlProblem::NoElement);
        assert!(matches!(problem("< head>").2, XmlProblem::MalformedTag(_)));
        assert!(matches!(problem("</head>").2, XmlProblem::MalformedTag(_)));
        assert!(matches!(problem("<head").2, XmlProblem::MalformedTag(_)));
        assert_eq!(problem(&"<a>".repeat(100)).2, XmlProblem::TooDeep);
    }
}
