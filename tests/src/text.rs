//! Comparing printed text with an expectation that has placeholders.

use regex::bytes::Regex;

/// What each placeholder of `vectors/cli` stands for.
const PLACEHOLDERS: [(&str, &str); 15] = [
    ("{BYTES}", r"[0-9][0-9,.]*[KMGTP]?"),
    ("{RATE}", r"(?:[0-9.]+[kMG]B/s|[0-9][0-9,.]*[KMGTP]?)"),
    ("{TIME}", r"[0-9?]+:[0-9?]{2}:[0-9?]{2}"),
    ("{SPEEDUP}", r"[0-9][0-9,.]*"),
    ("{SECS}", r"[0-9][0-9.,]*"),
    ("{WHERE}", r"[^ ]+"),
    ("{VERSION}", r"[^ \]]+"),
    ("{PID}", r"[0-9]+"),
    ("{NOW}", r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ("{TMP}", r"[A-Za-z0-9]{6}"),
    ("{DIRSIZE}", r" *[0-9][0-9,.]*[KMGTP]?"),
    ("{TEXT}", r"[^\n]*"),
    ("{USAGE}", r"(?s-u:.*)"),
    ("{ANY}", r"(?s-u:.*)"),
    ("{TAG}", r"[^\n]*"),
];

/// How the bytes of an expectation are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As UTF-8.
    Utf8,
    /// One character for each byte.
    Latin1,
}

impl Encoding {
    /// The bytes that a text stands for.
    pub fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 => {
                text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
            }
        }
    }
}

/// An expected text, ready to be compared.
#[derive(Debug)]
pub struct Expected(Regex);

impl Expected {
    /// Compiles a text with placeholders into a pattern that must match the whole output.
    pub fn new(text: &str, encoding: Encoding) -> Self {
        let mut pattern = String::from(r"\A(?-u)");
        let mut rest = text;
        while !rest.is_empty() {
            let next = PLACEHOLDERS
                .iter()
                .filter_map(|(name, meaning)| Some((rest.find(name)?, *name, *meaning)))
                .min();
            let (literal, placeholder) = match next {
                Some((at, name, meaning)) => (&rest[..at], Some((name, meaning))),
                None => (rest, None),
            };
            for byte in encoding.bytes(literal) {
                pattern.push_str(&escaped(byte));
            }
            rest = &rest[literal.len()..];
            if let Some((name, meaning)) = placeholder {
                pattern.push_str(meaning);
                rest = &rest[name.len()..];
            }
        }
        pattern.push_str(r"\z");
        Self(Regex::new(&pattern).expect("an escaped text with known placeholders is a pattern"))
    }

    /// Whether the whole of `actual` is as expected.
    pub fn matches(&self, actual: &[u8]) -> bool {
        self.0.is_match(actual)
    }
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() {
        char::from(byte).to_string()
    } else {
        format!(r"\x{byte:02x}")
    }
}

/// Lines matched without regard to their order: each expected line takes one actual line, none is left.
pub fn same_lines(expected: &str, actual: &[u8], encoding: Encoding) -> bool {
    let mut left: Vec<&[u8]> = lines(actual);
    let wanted: Vec<&str> = expected.split_inclusive('\n').collect();
    wanted.len() == left.len() && wanted.iter().all(|line| take(line, &mut left, encoding))
}

/// Whether each expected line occurs somewhere, in any order.
pub fn contains_lines<'a>(
    expected: impl IntoIterator<Item = &'a String>,
    actual: &[u8],
    encoding: Encoding,
) -> bool {
    let mut left: Vec<&[u8]> =
        lines(actual).into_iter().map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect();
    expected.into_iter().all(|line| take(line, &mut left, encoding))
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

fn take(line: &str, left: &mut Vec<&[u8]>, encoding: Encoding) -> bool {
    let expected = Expected::new(line, encoding);
    match left.iter().position(|candidate| expected.matches(candidate)) {
        Some(at) => {
            left.remove(at);
            true
        }
        None => false,
    }
}

/// Brings progress output to the form the cases are written in: only the last update of a line, single blanks.
pub fn settle_progress(actual: &[u8]) -> Vec<u8> {
    let overwritten = Regex::new(r"(?-u)\r[^\r\n]*(\r)").expect("a fixed pattern");
    let mut text = actual.to_vec();
    loop {
        let next = overwritten.replace_all(&text, &b"$1"[..]).into_owned();
        if next == text {
            break;
        }
        text = next;
    }
    let padding = Regex::new(r"(?-u) *([0-9.]+[kMG]B/s) *([0-9?]+:[0-9?]{2}:[0-9?]{2})")
        .expect("a fixed pattern");
    padding.replace_all(&text, &b" $1 $2"[..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_match_what_they_stand_for_and_nothing_else() {
        let expected = Expected::new("sent {BYTES} bytes (a.b)\n", Encoding::Utf8);
        assert!(expected.matches(b"sent 1,234 bytes (a.b)\n"));
        assert!(!expected.matches(b"sent x bytes (a.b)\n"));
        assert!(!expected.matches(b"sent 1 bytes (a-b)\n"));
        assert!(!expected.matches(b"sent 1 bytes (a.b)\nmore\n"));
    }

    #[test]
    fn latin_1_texts_stand_for_bytes() {
        assert!(Expected::new("bad\u{ff}", Encoding::Latin1).matches(b"bad\xff"));
    }

    #[test]
    fn unordered_lines_are_a_multiset() {
        assert!(same_lines("a\nb\n", b"b\na\n", Encoding::Utf8));
        assert!(!same_lines("a\nb\n", b"a\na\n", Encoding::Utf8));
        assert!(!same_lines("a\n", b"a\na\n", Encoding::Utf8));
    }

    #[test]
    fn only_the_last_progress_update_of_a_line_counts() {
        let raw = b"f\n\r  1  50%  1.00kB/s    0:00:01\r  2 100%    2.00MB/s    0:00:00 (xfr#1)\n";
        assert_eq!(settle_progress(raw), b"f\n\r  2 100% 2.00MB/s 0:00:00 (xfr#1)\n");
    }
}
