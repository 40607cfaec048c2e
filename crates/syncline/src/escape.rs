//! What a terminal may be shown of names and other untrusted bytes (docs/spec cli.md 6.4).

/// Escapes control bytes, what could be mistaken for an escape, and what is no text in the locale. `utf8` says whether
/// the locale's charset is UTF-8, `raw` that high bytes pass (`-8`).
pub(crate) fn terminal(text: &[u8], utf8: bool, raw: bool) -> Vec<u8> {
    let (start, end) = exempt(text);
    let mut escaped = Vec::with_capacity(text.len() + 16);
    escaped.extend_from_slice(&text[..start]);
    let body = &text[start..end];
    let mut rest = body;
    while let Some(&byte) = rest.first() {
        if byte < 0x80 || raw {
            put(&mut escaped, byte, control(byte) || looks_escaped(rest));
            rest = &rest[1..];
            continue;
        }
        let length = if utf8 { character(rest) } else { None };
        if let Some(length) = length {
            escaped.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
        } else {
            put(&mut escaped, byte, true);
            rest = &rest[1..];
        }
    }
    escaped.extend_from_slice(&text[end..]);
    escaped
}

/// The same before the charset is known: only printable ASCII passes.
pub(crate) fn early(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text {
        put(&mut escaped, byte, (control(byte) && byte != b'\n') || byte >= 0x7f);
    }
    escaped
}

/// The log file: high control bytes too, other high bytes as they are.
pub(crate) fn log(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() + 16);
    for (place, &byte) in text.iter().enumerate() {
        let hidden =
            control(byte) || (0x80..=0x9f).contains(&byte) || looks_escaped(&text[place..]);
        put(&mut escaped, byte, hidden);
    }
    escaped
}

/// A leading return and a trailing newline or return are the program's own.
fn exempt(text: &[u8]) -> (usize, usize) {
    let end = text.len() - usize::from(matches!(text.last(), Some(b'\n' | b'\r')));
    let start = usize::from(end > 0 && text.first() == Some(&b'\r'));
    (start, end)
}

fn control(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t'
}

fn looks_escaped(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'#', a, b, c, ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()))
}

fn put(escaped: &mut Vec<u8>, byte: u8, hidden: bool) {
    if hidden {
        escaped.extend_from_slice(format!("\\#{byte:03o}").as_bytes());
    } else {
        escaped.push(byte);
    }
}

/// The length of the valid character that `bytes` start with.
fn character(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next().map(char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_spared_what_is_no_text() {
        for (given, shown) in [
            (&b"a\nb\n"[..], &b"a\\#012b\n"[..]),
            (b"\rx\r", b"\rx\r"),
            (b"\\#101", b"\\#134#101"),
            (b"\\#1x", b"\\#1x"),
            ("é".as_bytes(), "é".as_bytes()),
            (b"\xff", b"\\#377"),
            (b"\t\x7f", b"\t\x7f"),
            (b"\n", b"\n"),
            (b"\r", b"\r"),
        ] {
            assert_eq!(terminal(given, true, false), shown);
        }
        assert_eq!(terminal("é".as_bytes(), false, false), b"\\#303\\#251");
        assert_eq!(terminal(b"\xff", true, true), b"\xff");
        assert_eq!(early(b"a\xc3\n"), b"a\\#303\n");
        assert_eq!(log(b"\xc3\x85"), b"\xc3\\#205");
    }
}
