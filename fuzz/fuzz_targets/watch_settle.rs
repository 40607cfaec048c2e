#![no_main]
//! The settler under any changes at any times: it keeps its bound, tells each path once for a burst, and always comes to rest.

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use syncline_watch::settle::{Rules, Settler};
use syncline_watch::{Change, Place, RootId};

const PATHS: [&str; 8] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g", ""];
const BOUND: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let rules = Rules { max_paths: BOUND, resend: Duration::from_millis(2), ..Rules::default() };
    let mut settler = Settler::new(rules);
    let mut now = Duration::ZERO;
    let place = |index: u8| Place {
        root: RootId(0),
        path: PATHS[usize::from(index) % PATHS.len()].as_bytes().to_vec(),
    };
    for step in bytes.chunks_exact(3) {
        let [what, path, pause] = [step[0], step[1], step[2]];
        let (from, directory) = (place(path), what & 0x80 != 0);
        let change = match what % 7 {
            0 => Change::Appeared { place: from, directory, complete: path & 0x80 != 0 },
            1 => Change::Modified { place: from },
            2 => Change::Written { place: from },
            3 => Change::Attributes { place: from, directory },
            4 => Change::Vanished { place: from, directory },
            5 => Change::Renamed { from, to: place(path >> 3), directory },
            _ => Change::Rescan { place: from, deep: directory },
        };
        settler.feed(now, &change);
        assert!(settler.len() <= BOUND + 2);
        now += Duration::from_millis(u64::from(pause) >> 4);
        let told = settler.take(now);
        let mut places: Vec<_> = told.iter().map(|settled| settled.place().clone()).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count, "told twice: {told:?}");
    }
    let mut rounds = 0;
    while let Some(due) = settler.next_due() {
        now = now.max(due);
        settler.take(now);
        rounds += 1;
        assert!(rounds < 10_000, "never comes to rest");
    }
    assert!(settler.is_empty());
});
