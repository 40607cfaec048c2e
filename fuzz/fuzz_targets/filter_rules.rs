#![no_main]
//! Rule text as options give it: whatever parses is sent to a peer, which sends the same on.

use libfuzzer_sys::fuzz_target;
use syncline_filter::{Direction, Filter, ListedRule, Name, NoFiles, Rules, Settings, Side};

fuzz_target!(|input: &[u8]| {
    let Some((&mode, text)) = input.split_first() else { return };
    let protocol = 27 + mode % 6;
    let direction = if mode & 0x40 == 0 { Direction::Push } else { Direction::Pull };
    let settings = Settings { protocol, delete_excluded: mode & 0x80 != 0, ..Settings::default() };
    let mut rules = Rules::new(settings);
    for line in text.split(|&byte| byte == b'\n') {
        let result = match line.first() {
            Some(0x01) => rules.exclude(&line[1..]),
            Some(0x02) => rules.include(&line[1..]),
            _ => rules.filter(line, &mut NoFiles),
        };
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
            assert!(error.exit_code() != 0);
        }
    }
    let Ok(sent) = rules.encode(direction, protocol) else {
        assert!(protocol < 30, "the newest protocols express every rule");
        return;
    };
    // An old peer clears its list at this name, as stock's does.
    if protocol < 29 && sent.iter().any(|text| text == b"!") {
        return;
    }
    let mut received = Rules::new(Settings { delete_excluded: false, ..settings });
    for text in &sent {
        received.receive(text, protocol, &mut NoFiles).expect("what was sent is understood");
    }
    assert_eq!(received.encode(direction, protocol).expect("still expressible"), sent);

    // The modifiers of the first CVS rule are those of the process's one list, and the first one sent need not be it.
    if rules.iter().filter(|rule| matches!(rule, ListedRule::Cvs(..))).count() > 1 {
        return;
    }
    let peer = if direction == Direction::Push { Side::Receiver } else { Side::Sender };
    let (wanted, found) = (Filter::new(&rules, peer), Filter::new(&received, peer));
    for path in [&b"a"[..], b"a/b", b"core", b"x/y.o/z", text] {
        for name in [Name::file(path), Name::directory(path)] {
            assert_eq!(found.excludes(&name), wanted.excludes(&name));
        }
    }
});
