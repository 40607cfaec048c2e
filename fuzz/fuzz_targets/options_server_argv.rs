//! Any words of a client are understood or refused; packing what was understood is stable.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_options::{Context, Direction, Packing, Refusals, Word, parse_server};

fuzz_target!(|data: &[u8]| {
    let words: Vec<Word> = data.split(|&b| b == 0).take(64).map(<[u8]>::to_vec).collect();
    let context = Context::at("2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date"));
    let first = parse_server(&words, &context, &Refusals::none());
    let _ = parse_server(&words, &context, &Refusals::for_module(b"* !a !v delete", false));
    if first.error.is_some() || !first.options.connection.remote_options.is_empty() {
        return;
    }
    let sender = first.options.server.as_ref().is_some_and(|server| server.sender);
    let direction = if sender { Direction::Pull } else { Direction::Push };
    let packing = Packing { direction, version: 32 };
    let once = first.options.pack(packing).expect("words");
    let mut again: Vec<Word> = once.words().cloned().collect();
    again.extend([b".".to_vec(), b"d".to_vec()]);
    let second = parse_server(&again, &context, &Refusals::none());
    assert_eq!(second.error, None, "{once:?}");
    let mut twice = second.options.pack(packing).expect("words");
    // A lone argument lists on a client only; the number of arguments is not the same here.
    let mut once = once;
    for packed in [&mut once, &mut twice] {
        for word in &mut packed.head {
            if word.starts_with(b"-") && !word.starts_with(b"--") {
                let end = word.iter().position(|&b| b == b'e').unwrap_or(word.len());
                let letters: Vec<u8> = word[..end].iter().copied().filter(|&b| b != b'd').collect();
                *word = letters;
            }
        }
    }
    assert_eq!(once, twice);
});
