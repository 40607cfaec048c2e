//! The head of a request.

/// Bytes of a head, at most.
pub(super) const LONGEST: usize = 8 << 10;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More has to come.
    Incomplete,
    /// What is to be answered.
    Request(Request),
    /// Nothing to answer but this status.
    Bad(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without what follows a `?`.
    pub(super) path: String,
    pub(super) with_body: bool,
}

/// Reads a head as far as it has come.
pub(super) fn parse(head: &[u8]) -> Parsed {
    let bad = Parsed::Bad("400 Bad Request");
    let end = memchr::memmem::find(head, b"\r\n\r\n");
    if head.len() > LONGEST && end.is_none_or(|end| end > LONGEST) {
        return Parsed::Bad("431 Request Header Fields Too Large");
    }
    let Some(end) = end else { return Parsed::Incomplete };
    let line = head.get(..end).and_then(|head| head.split(|byte| *byte == b'\r').next());
    let Some(line) = line.and_then(|line| str::from_utf8(line).ok()) else { return bad };
    let words: Vec<&str> = line.split(' ').collect();
    let &[method, target, version] = words.as_slice() else { return bad };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return bad;
    }
    let with_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Parsed::Bad("405 Method Not Allowed"),
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Parsed::Request(Request { path, with_body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_understood_once_all_of_its_head_is_there() {
        let text = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(parse(&text[..length]), Parsed::Incomplete);
        }
        let request = Request { path: "/metrics".into(), with_body: true };
        assert_eq!(parse(text), Parsed::Request(request));
    }

    #[test]
    fn what_is_no_request_or_too_long_is_refused() {
        for (text, status) in [
            ("POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("GET / SSH\r\n\r\n", "400 Bad Request"),
            ("GET http://x/ HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET /\r\n\r\n", "400 Bad Request"),
            (&"x".repeat(LONGEST + 1), "431 Request Header Fields Too Large"),
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Bad(status), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&head);
        }
    }
}
