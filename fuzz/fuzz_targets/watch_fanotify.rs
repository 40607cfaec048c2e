#![no_main]
//! fanotify's records: any bytes are read without harm, and nothing is found that is not in them.

use libfuzzer_sys::fuzz_target;
use syncline_watch::fanotify_events;

fuzz_target!(|bytes: &[u8]| {
    let mut found = 0;
    for event in fanotify_events(bytes) {
        for named in [event.place, event.target].into_iter().flatten() {
            found += named.handle.len() + named.name.len();
            assert!(!named.name.contains(&0));
        }
    }
    assert!(found <= bytes.len());
});
