#![no_main]
//! inotify's records: whatever is read is written back as it was, up to the padding's contents.

use libfuzzer_sys::fuzz_target;
use syncline_watch::{Record, records};

fuzz_target!(|bytes: &[u8]| {
    let all: Vec<Record<'_>> = records(bytes).collect();
    let mut written = Vec::new();
    for record in &all {
        record.encode(&mut written);
    }
    let again: Vec<Record<'_>> = records(&written).collect();
    assert_eq!(all, again);
});
