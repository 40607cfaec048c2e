//! Any bytes as the head of a request for the status: what is decided stays so whatever follows, and what is
//! understood is understood again when it is written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_live::status::asked;

fuzz_target!(|head: &[u8]| {
    let whole = asked(head);
    let more = [head, b" HTTP/1.1\r\n\r\n"].concat();
    if whole.is_some() {
        assert_eq!(asked(&more), whole);
    }
    // However it comes in pieces, it is the same in the end.
    let at = head.first().map_or(0, |first| usize::from(*first) * head.len() / 256);
    if let Some(Ok(early)) = asked(&head[..at]) {
        assert_eq!(whole, Some(Ok(early)));
    }
    if let Some(Ok((path, with_body))) = whole {
        assert!(path.starts_with('/') && !path.contains([' ', '?', '\r']));
        let method = if with_body { "GET" } else { "HEAD" };
        let again = format!("{method} {path} HTTP/1.0\r\n\r\n");
        assert_eq!(asked(again.as_bytes()), Some(Ok((path, with_body))));
    }
});
