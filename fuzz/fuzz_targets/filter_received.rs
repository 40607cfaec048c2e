#![no_main]
//! A filter section from a peer: bounded, and what is understood is written back to the same meaning.

use libfuzzer_sys::fuzz_target;
use syncline_filter::{Direction, Rules, Settings, write_section};

fuzz_target!(|input: &[u8]| {
    let Some((&mode, bytes)) = input.split_first() else { return };
    let protocol = 27 + mode % 6;
    let mut rules = Rules::new(Settings { protocol, ..Settings::default() });
    match rules.receive_section(bytes, protocol) {
        Ok(length) => assert!(length <= bytes.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for direction in [Direction::Push, Direction::Pull] {
        let sent = rules.encode(direction, 32).expect("protocol 32 expresses everything");
        let mut section = Vec::new();
        write_section(&sent, &mut section);
        let mut again = Rules::new(Settings::default());
        assert_eq!(again.receive_section(&section, 32).expect("our own section"), section.len());
        assert_eq!(again.encode(direction, 32).expect("as before"), sent);
    }
});
