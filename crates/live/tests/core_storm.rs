//! The storm (R154): four writers, three targets, one of them killed and started again and again; all end equal.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench::load::{Random, act};
use bench::{Bench, Daemon, stock_is_missing};

/// One storm of this seed.
fn storm(seed: u64, seconds: u64) {
    let mut bench = Bench::new();
    bench.write("d0/d1/stays", "x");
    bench.write("stays", "x");
    let mut daemons: Vec<Daemon> = (0..3)
        .map(|number| {
            let (directory, path) =
                (bench.path(&format!("daemon{number}")), bench.path(&format!("t{number}")));
            Daemon::start(&directory, &path, "")
        })
        .collect();
    let urls: Vec<String> = daemons.iter().map(Daemon::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    bench.start("resend-interval = \"100ms\"\nmax-delete = 100000", &urls);
    let over = AtomicBool::new(false);
    let top = bench.path("source");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (over, top) = (&over, &top);
            scope.spawn(move || {
                let mut random = Random(seed * 31 + writer + 1);
                while !over.load(Ordering::Relaxed) {
                    act(&mut random, top);
                    if random.below(20) == 0 {
                        std::thread::sleep(Duration::from_millis(random.below(60)));
                    }
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            daemons[2].kill();
            std::thread::sleep(Duration::from_millis(200));
            daemons[2].up();
            std::thread::sleep(Duration::from_millis(400));
        }
        over.store(true, Ordering::Relaxed);
    });
    for target in ["t0", "t1", "t2"] {
        bench.until_equal_told(target, &["t0", "t1", "t2"]);
    }
}

#[test]
fn r154_a_storm_ends_with_all_targets_equal() {
    if stock_is_missing("r154_a_storm_ends_with_all_targets_equal") {
        return;
    }
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("SYNCLINE_STORM_FIRST").unwrap_or(1);
    for seed in first..first + number("SYNCLINE_STORM_SEEDS").unwrap_or(2) {
        eprintln!("storm of seed {seed}");
        storm(seed, 3);
    }
}
