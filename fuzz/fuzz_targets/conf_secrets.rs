//! Any bytes as a secrets file: what is written for a user is found again, and no finding shows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_conf::secrets::{ClientPassword, Secrets};

const PASSWORD: &[u8] = b"correct horse: battery";

fuzz_target!(|text: &[u8]| {
    let secrets = Secrets::new(text.to_vec());
    let _ = secrets.findings();
    assert!(secrets.passwords(b"joe", Some(b"staff")).len() <= 2);
    let _ = ClientPassword::parse(text.to_vec());

    // A line before all others decides, and hides no other.
    let line = [b"joe:", PASSWORD, b"\n", text].concat();
    let secrets = Secrets::new(line);
    assert_eq!(secrets.passwords(b"joe", None)[0].expose(), PASSWORD);
    // No line can have this name, so that only the group's is found.
    let of_group = Secrets::new(text.to_vec()).passwords(b"\n", Some(b"staff")).len();
    assert_eq!(secrets.passwords(b"joe", Some(b"staff")).len(), 1 + of_group);
    for finding in secrets.findings() {
        assert!(!finding.to_string().contains("correct horse"));
    }
});
