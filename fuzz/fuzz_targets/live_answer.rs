//! Any bytes as the answer to a hook: a status is found once its line is there, and nothing that follows changes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_live::answer_status;

fuzz_target!(|head: &[u8]| {
    let whole = answer_status(head);
    let more = [head, b"HTTP/1.1 200 OK\r\n\r\n"].concat();
    match &whole {
        Ok(Some(status)) => {
            assert!(!(100..200).contains(status) && *status < 1000);
            assert_eq!(answer_status(&more).ok(), Some(Some(*status)));
            let after = [&b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n"[..], head].concat();
            assert_eq!(answer_status(&after).ok(), Some(Some(*status)));
        }
        Ok(None) => {}
        Err(_) => assert!(answer_status(&more).is_err()),
    }
    let at = head.first().map_or(0, |first| usize::from(*first) * head.len() / 256);
    if let Ok(Some(early)) = answer_status(&head[..at]) {
        assert_eq!(whole.ok(), Some(Some(early)));
    }
});
