//! The matcher against vectors recorded from stock, and against a naive reference.

use proptest::prelude::*;
use syncline_wildcard::Wildcard;

#[test]
fn every_recorded_match_is_reproduced() {
    let table = include_str!("vectors/wildmatch.tsv");
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let mut fields = row.split('\t');
        let (Some(pattern), Some(text), Some(wanted)) =
            (fields.next(), fields.next(), fields.next())
        else {
            panic!("a row has three fields: {row:?}");
        };
        let (pattern, text) = (unescape(pattern), unescape(text));
        assert_eq!(Wildcard::new(&pattern).matches(&text), wanted == "1", "{row}");
        rows += 1;
    }
    assert_eq!(rows, 1756);
}

/// Bytes outside the printable range, and `%`, are `%XX` in the table.
fn unescape(field: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// The specification read word for word, by trying everything. Sets are limited to single members and ranges.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        b'*' => {
            let more = rest.iter().take_while(|&&byte| byte == b'*').count();
            let after = &rest[more..];
            (0..=text.len())
                .take_while(|&skipped| more > 0 || !text[..skipped].contains(&b'/'))
                .any(|skipped| naive(after, &text[skipped..]))
        }
        b'?' => text.first().is_some_and(|&byte| byte != b'/') && naive(rest, &text[1..]),
        b'\\' => match rest.split_first() {
            Some((escaped, after)) => text.first() == Some(escaped) && naive(after, &text[1..]),
            None => false,
        },
        b'[' => {
            let negated = matches!(rest.first(), Some(b'!'));
            let body = &rest[usize::from(negated)..];
            let Some(close) = body.iter().skip(1).position(|&byte| byte == b']') else {
                return false;
            };
            let (members, after) = (&body[..=close], &body[close + 2..]);
            text.first().is_some_and(|byte| *byte != b'/' && members.contains(byte) != negated)
                && naive(after, &text[1..])
        }
        other => text.first() == Some(&other) && naive(rest, &text[1..]),
    }
}

/// All byte strings over `alphabet` of up to `length` bytes.
fn all_strings(alphabet: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut newest = 0..1;
    for _ in 0..length {
        let start = all.len();
        for index in newest {
            for &byte in alphabet {
                let mut longer: Vec<u8> = all[index].clone();
                longer.push(byte);
                all.push(longer);
            }
        }
        newest = start..all.len();
    }
    all
}

#[test]
fn every_short_pattern_equals_the_naive_reference_on_every_short_text() {
    for (pattern_alphabet, text_alphabet, text_length) in
        [(b"a?/*", &b"a/"[..], 7), (b"ab/*", b"ab/", 5)]
    {
        let texts = all_strings(text_alphabet, text_length);
        for pattern in all_strings(pattern_alphabet, 6) {
            let wildcard = Wildcard::new(&pattern);
            for text in &texts {
                let wanted = naive(&pattern, text);
                let shown = (pattern.escape_ascii(), text.escape_ascii());
                assert_eq!(wildcard.matches(text), wanted, "{} on {}", shown.0, shown.1);
            }
        }
    }
}

fn small_pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "/", "*", "**", "***", "?", "[ab]", "[!a]", "[]a]", "\\*", "\\a", "a*", "/**/",
        "*/",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

fn small_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "/", "*", "]", "ab"]), 0..10)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_equals_the_naive_reference(pattern in small_pattern(), text in small_text()) {
        let (matched, steps) = Wildcard::new(pattern.as_bytes()).matches_counting(text.as_bytes());
        prop_assert_eq!(matched, naive(pattern.as_bytes(), text.as_bytes()), "{} on {}", pattern, text);
        let limit = 4 * (pattern.len() as u64 + 2) * (text.len() as u64 + 2);
        prop_assert!(steps <= limit, "{} steps", steps);
    }

    #[test]
    fn beginning_behind_any_slash_equals_trying_each(pattern in small_pattern(), text in small_text()) {
        let (bytes, wildcard) = (text.as_bytes(), Wildcard::new(pattern.as_bytes()));
        let starts = (0..=bytes.len()).filter(|&start| start == 0 || bytes[start - 1] == b'/');
        let wanted = starts.into_iter().any(|start| naive(pattern.as_bytes(), &bytes[start..]));
        prop_assert_eq!(wildcard.matches_tail_counting(bytes).0, wanted, "{} on {}", pattern, text);
    }
}
