//! The shell patterns of access lists and `auth users` (filters.md 6.5): the daemon matches them with the same
//! matcher as filter rules, but against whole host, user and group names, so the rules around it do not apply.

/// Whether `pattern` matches all of `text`.
///
/// Two retry points suffice, so that the time is at most the product of both lengths: a later star never needs an
/// earlier one to be tried again, except that a single star, which cannot cross a `/`, falls back to a double one.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            let start = p;
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p - start > 1 {
                (double, single) = (Some((p, t)), None);
            } else {
                single = Some((p, t));
            }
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        let step = match (pattern.get(p..).unwrap_or_default(), text.get(t)) {
            ([], _) | (_, None) => Step::Differs,
            (rest, Some(&byte)) => one(rest, byte),
        };
        match step {
            Step::Matches(length) => (p, t) = (p + length, t + 1),
            Step::Unmatchable => return false,
            Step::Differs => {
                if let Some((after, from)) = single
                    && text.get(from).is_some_and(|&byte| byte != b'/')
                {
                    single = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                } else if let Some((after, from)) = double
                    && from < text.len()
                {
                    double = Some((after, from + 1));
                    single = None;
                    (p, t) = (after, from + 1);
                } else {
                    return false;
                }
            }
        }
    }
}

enum Step {
    /// The byte is matched by that many bytes of the pattern.
    Matches(usize),
    Differs,
    /// This element can match nothing, whatever the byte.
    Unmatchable,
}

/// Matches the element other than a star at the start of `pattern` against one byte.
fn one(pattern: &[u8], byte: u8) -> Step {
    let (length, matched) = match pattern {
        [b'?', ..] => (1, byte != b'/'),
        [b'[', rest @ ..] => match set(rest, byte) {
            Some((length, member)) => (length + 1, member && byte != b'/'),
            None => return Step::Unmatchable,
        },
        [b'\\', escaped, ..] => (2, *escaped == byte),
        [b'\\'] => return Step::Unmatchable,
        [literal, ..] => (1, *literal == byte),
        [] => return Step::Differs,
    };
    if matched { Step::Matches(length) } else { Step::Differs }
}

/// Reads a set after its `[`: its length up to and with the `]`, and whether the byte is a member. None: the set is
/// not closed or names an unknown class.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let mut at = 0;
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    if negated {
        at += 1;
    }
    let mut member = false;
    // What a following `-` would make a range from.
    let mut range_start: Option<u8> = None;
    let mut first = true;
    loop {
        match (*pattern.get(at)?, range_start) {
            (b']', _) if !first => return Some((at + 1, member != negated)),
            (b'-', Some(start)) if !matches!(pattern.get(at + 1), None | Some(b']')) => {
                let (end, length) = literal(&pattern[at + 1..])?;
                member |= (start..=end).contains(&byte);
                range_start = None;
                at += 1 + length;
            }
            (b'[', _) if pattern.get(at + 1) == Some(&b':') => {
                let name = &pattern[at + 2..];
                let close = name.iter().position(|&byte| byte == b']')?;
                if let Some(name) = name[..close].strip_suffix(b":") {
                    member |= in_class(name, byte)?;
                    range_start = None;
                    at += 2 + close + 1;
                } else {
                    member |= byte == b'[';
                    range_start = Some(b'[');
                    at += 1;
                }
            }
            _ => {
                let (value, length) = literal(&pattern[at..])?;
                member |= value == byte;
                range_start = Some(value);
                at += length;
            }
        }
        first = false;
    }
}

/// One byte of a set, perhaps escaped, and its length.
fn literal(pattern: &[u8]) -> Option<(u8, usize)> {
    match pattern {
        [b'\\', escaped, ..] => Some((*escaped, 2)),
        [b'\\'] | [] => None,
        [byte, ..] => Some((*byte, 1)),
    }
}

fn in_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Undoes the `%XX` of the vectors.
    fn decoded(field: &str) -> Vec<u8> {
        let mut parts = field.split('%');
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    }

    #[test]
    fn every_vector_of_the_matcher_agrees() {
        let vectors = include_str!("../tests/vectors/filters/wildmatch.tsv");
        let mut count = 0;
        for line in vectors.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let (pattern, text) = (decoded(fields[0]), decoded(fields[1]));
            assert_eq!(matches(&pattern, &text), fields[2] == "1", "{line}");
            count += 1;
        }
        assert!(count > 1700, "only {count} vectors");
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = [&b"*a".repeat(40)[..], b"b"].concat();
        assert!(!matches(&pattern, &b"a".repeat(5000)));
    }
}
