//! A librsync signature file that is read is written back as it was, but for what a reader leaves out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_delta::rdiff;

fuzz_target!(|data: &[u8]| {
    let Ok(signature) = rdiff::read_signature(data) else { return };
    let mut written = Vec::new();
    rdiff::write_signature(&signature, &mut written).unwrap();
    // Up to three stray bytes are dropped, and a strong length of 0 is spelled out.
    assert!(data.len() - written.len() <= 3);
    assert_eq!(written[..8], data[..8]);
    assert_eq!(written[12..], data[12..written.len()]);
    assert_eq!(rdiff::read_signature(&written[..]).unwrap(), signature);
});
