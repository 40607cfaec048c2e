//! The server's argument words on a stream (docs/spec session.md 3.4, 4.6).

use crate::{Error, Protocol, Result, WireRead, WireWrite};

/// Longest word of the plain list. Stock cuts longer ones silently; here they are refused.
pub const DAEMON_WORD_MAX: usize = 5119;

/// Longest word of the secluded list.
pub const SECLUDED_WORD_MAX: usize = 4095;

/// Most words of a list.
pub const DAEMON_ARGUMENTS_MAX: usize = 15998;

/// A server's argument words, program name excluded.
pub type Arguments = Vec<Vec<u8>>;

/// Appends the plain list: each word and the list end in NUL, or in LF below protocol 30.
pub fn put_daemon_arguments<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[W], protocol: Protocol) {
    let end = if protocol.ends_arguments_with_nul() { 0 } else { b'\n' };
    for word in words {
        out.put(word.as_ref());
        out.put_u8(end);
    }
    out.put_u8(end);
}

/// Reads the plain list up to its empty word.
pub fn read_daemon_arguments(input: &mut impl WireRead, protocol: Protocol) -> Result<Arguments> {
    let ends: &[u8] = if protocol.ends_arguments_with_nul() { b"\0" } else { b"\r\n" };
    read_words(input, ends, DAEMON_WORD_MAX)
}

/// Appends the secluded list: a program name, every word (an empty one as `.`), an end; always with
/// NULs.
pub fn put_secluded_arguments<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[W]) {
    out.put(b"rsync\0");
    for word in words {
        match word.as_ref() {
            b"" => out.put(b"."),
            word => out.put(word),
        }
        out.put_u8(0);
    }
    out.put_u8(0);
}

/// Reads the secluded list up to its empty word; the program name is dropped. Not a byte beyond it
/// is consumed.
pub fn read_secluded_arguments(input: &mut impl WireRead) -> Result<Arguments> {
    let mut words = read_words(input, b"\0", SECLUDED_WORD_MAX)?;
    words.drain(..words.len().min(1));
    Ok(words)
}

fn read_words(input: &mut impl WireRead, ends: &[u8], limit: usize) -> Result<Arguments> {
    let mut words = Vec::new();
    loop {
        let mut word = Vec::new();
        loop {
            let byte = input.read_u8()?;
            if ends.contains(&byte) {
                break;
            }
            if word.len() == limit {
                return Err(Error::LineTooLong { what: "argument", limit });
            }
            word.push(byte);
        }
        if word.is_empty() {
            return Ok(words);
        }
        if words.len() == DAEMON_ARGUMENTS_MAX {
            return Err(Error::TooMany { what: "arguments", limit: DAEMON_ARGUMENTS_MAX });
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documented_lists_are_written_and_read() {
        let mut out = Vec::new();
        put_daemon_arguments(
            &mut out,
            &["--server", "--sender", "-ste.LsfxCIvu"],
            Protocol::NEWEST,
        );
        put_secluded_arguments(&mut out, &[".", "pub/f"]);
        assert_eq!(out, b"--server\0--sender\0-ste.LsfxCIvu\0\0rsync\0.\0pub/f\0\0");
        let mut input = &out[..];
        assert_eq!(read_daemon_arguments(&mut input, Protocol::NEWEST).unwrap().len(), 3);
        assert_eq!(read_secluded_arguments(&mut input).unwrap(), [&b"."[..], b"pub/f"]);
        assert!(input.is_empty());
    }

    #[test]
    fn old_lists_end_in_line_feeds() {
        let old = Protocol::OLDEST;
        let mut out = Vec::new();
        put_daemon_arguments(&mut out, &["--server", "."], old);
        assert_eq!(out, b"--server\n.\n\n");
        assert_eq!(read_daemon_arguments(&mut &b"a\rb\n\nrest"[..], old).unwrap(), [b"a", b"b"]);
    }

    #[test]
    fn longer_words_and_lists_are_refused() {
        let word = vec![b'x'; SECLUDED_WORD_MAX + 1];
        assert!(matches!(read_secluded_arguments(&mut &word[..]), Err(Error::LineTooLong { .. })));
        let many = b"x\0".repeat(DAEMON_ARGUMENTS_MAX + 1);
        assert!(matches!(
            read_daemon_arguments(&mut &many[..], Protocol::NEWEST),
            Err(Error::TooMany { .. })
        ));
    }

    proptest! {
        #[test]
        fn every_list_survives_the_wire(
            words in proptest::collection::vec(proptest::collection::vec(14..=255_u8, 1..50), 0..20),
        ) {
            for protocol in Protocol::ALL {
                let mut out = Vec::new();
                put_daemon_arguments(&mut out, &words, protocol);
                put_secluded_arguments(&mut out, &words);
                let mut input = &out[..];
                prop_assert_eq!(&read_daemon_arguments(&mut input, protocol).unwrap(), &words);
                prop_assert_eq!(&read_secluded_arguments(&mut input).unwrap(), &words);
            }
        }
    }
}
