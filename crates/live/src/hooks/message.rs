//! Changes as JSON and as a form.

use std::fmt::Write as _;

use serde_json::{Value, json};
use syncline_conf::live::ChangeKind;

use super::queue::Work;

/// The word for a kind.
pub(super) fn what(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

/// A path as a value: text, and beside it all bytes in hexadecimal where they are no text.
pub(super) fn put_path(into: &mut Value, path: &[u8]) {
    into["path"] = json!(String::from_utf8_lossy(path));
    if str::from_utf8(path).is_err() {
        let hex = path.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        into["path_hex"] = json!(hex);
    }
}

/// What a job is about, with paths as `shown` has them.
pub(super) fn json(
    mirror: &str,
    target: Option<&str>,
    batch: u64,
    work: &Work,
    shown: impl Fn(&[u8]) -> Vec<u8>,
) -> Value {
    let mut message = json!({"mirror": mirror, "target": target});
    match work {
        Work::State(state) => {
            message["from"] = json!(state.from);
            message["to"] = json!(state.to);
            message["reason"] = json!(state.reason);
        }
        Work::Everything => {
            let mut everything = json!({"what": "rescan"});
            put_path(&mut everything, &shown(b"."));
            message["batch"] = json!(batch);
            message["changes"] = json!([everything]);
        }
        Work::Changes(changes) => {
            let changes = changes.iter().map(|(path, waiting)| {
                let mut change = json!({"what": what(waiting.kind)});
                put_path(&mut change, &shown(path.as_bytes()));
                change
            });
            message["batch"] = json!(batch);
            message["changes"] = Value::Array(changes.collect());
        }
    }
    message
}

/// What a job is about, as a form.
pub(super) fn form(mirror: &str, target: Option<&str>, work: &Work) -> String {
    let mut form = String::new();
    let mut add = |name: &str, value: &[u8]| {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        percent_encode(value, b"", &mut form);
    };
    add("mirror", mirror.as_bytes());
    if let Some(target) = target {
        add("target", target.as_bytes());
    }
    match work {
        Work::State(state) => {
            add("from", state.from.name().as_bytes());
            add("to", state.to.name().as_bytes());
            add("reason", state.reason.as_bytes());
        }
        Work::Everything => add("rescan", b"."),
        Work::Changes(changes) => {
            for (path, waiting) in changes {
                add(what(waiting.kind), path.as_bytes());
            }
        }
    }
    form
}

/// Writes bytes as a part of a URL: what is not harmless, nor one of `kept`, as `%XX`.
pub(super) fn percent_encode(bytes: &[u8], kept: &[u8], into: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_text_are_told_exactly() {
        let mut value = json!({});
        put_path(&mut value, b"a\xff");
        assert_eq!(value, json!({"path": "a\u{fffd}", "path_hex": "61ff"}));
    }

    #[test]
    fn what_means_something_in_a_url_is_encoded() {
        let mut url = String::new();
        percent_encode("a b/ä?&=%\n".as_bytes(), b"/", &mut url);
        assert_eq!(url, "a%20b/%C3%A4%3F%26%3D%25%0A");
    }
}
