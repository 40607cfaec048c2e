#![no_main]
//! The matcher against a table of all pattern and text positions, and against its step limit.

use libfuzzer_sys::fuzz_target;
use syncline_wildcard::Wildcard;

const LONGEST: usize = 256;

fuzz_target!(|input: &[u8]| {
    let Some(split) = input.iter().position(|&byte| byte == 0) else { return };
    let (pattern, text) = (&input[..split], &input[split + 1..]);
    if pattern.len() > LONGEST || text.len() > LONGEST {
        return;
    }
    let wildcard = Wildcard::new(pattern);
    let limit = 4 * (pattern.len() as u64 + 2) * (text.len() as u64 + 2);

    let (matched, steps) = wildcard.matches_counting(text);
    assert_eq!(matched, reference(pattern, text));
    assert!(steps <= limit, "{steps} steps, not {limit}");

    let (matched, steps) = wildcard.matches_tail_counting(text);
    let mut starts = (0..=text.len()).filter(|&start| start == 0 || text[start - 1] == b'/');
    assert_eq!(matched, starts.any(|start| reference(pattern, &text[start..])));
    assert!(steps <= limit, "{steps} steps behind any slash, not {limit}");
});

/// Walks the pattern once and keeps every text position that it can have reached.
fn reference(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let mut next = vec![false; text.len() + 1];
        if pattern[at] == b'*' {
            let stars = pattern[at..].iter().take_while(|&&byte| byte == b'*').count();
            for position in 0..=text.len() {
                let carried =
                    position > 0 && next[position - 1] && (stars > 1 || text[position - 1] != b'/');
                next[position] = reached[position] || carried;
            }
            at += stars;
        } else {
            for position in 0..text.len() {
                if reached[position] && one(&pattern[at..], text[position]) == Some(true) {
                    next[position + 1] = true;
                }
            }
            let Some(length) = token_length(&pattern[at..]) else { return false };
            at += length;
        }
        reached = next;
    }
    reached[text.len()]
}

/// How long the token at the beginning of the pattern is; `None` if nothing can match it.
fn token_length(pattern: &[u8]) -> Option<usize> {
    match pattern[0] {
        b'\\' => (pattern.len() > 1).then_some(2),
        b'[' => set(&pattern[1..], 0).map(|(_, length)| length + 1),
        _ => Some(1),
    }
}

fn one(pattern: &[u8], byte: u8) -> Option<bool> {
    Some(match pattern[0] {
        b'?' => byte != b'/',
        b'\\' => *pattern.get(1)? == byte,
        b'[' => set(&pattern[1..], byte)?.0 && byte != b'/',
        other => other == byte,
    })
}

/// Whether the set whose body begins here holds `byte`, and where it ends.
fn set(body: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(body.first()?, b'!' | b'^');
    let mut at = usize::from(negated);
    let begin = at;
    let mut found = false;
    let mut previous: Option<u8> = None;
    loop {
        let here = *body.get(at)?;
        if here == b']' && at > begin {
            return Some((found != negated, at + 1));
        }
        if here == b'-' && previous.is_some() && *body.get(at + 1)? != b']' {
            let escaped = body[at + 1] == b'\\';
            let to = *body.get(at + 1 + usize::from(escaped))?;
            found |= previous.is_some_and(|from| (from..=to).contains(&byte));
            previous = None;
            at += 2 + usize::from(escaped);
            continue;
        }
        if here == b'[' && body.get(at + 1) == Some(&b':') {
            let close = at + 2 + body[at + 2..].iter().position(|&byte| byte == b']')?;
            let inner = &body[at + 2..close];
            if let Some(name) = inner.strip_suffix(b":") {
                found |= class(name, byte)?;
                previous = None;
                at = close + 1;
                continue;
            }
        }
        let escaped = here == b'\\';
        let member = *body.get(at + usize::from(escaped))?;
        found |= member == byte;
        previous = Some(member);
        at += 1 + usize::from(escaped);
    }
}

fn class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => byte == b' ' || byte == b'\t',
        b"cntrl" => byte < 0x20 || byte == 0x7f,
        b"digit" => byte.is_ascii_digit(),
        b"graph" => (0x21..0x7f).contains(&byte),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => (0x20..0x7f).contains(&byte),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte == b' ' || (0x09..=0x0d).contains(&byte),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}
