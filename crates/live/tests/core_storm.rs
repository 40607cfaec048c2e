//! The storm (R154): four writers, three targets, one of them killed and started again and again; all end equal.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench::{Bench, Daemon, stock_is_missing};

/// A generator of random numbers whose seed is all there is to it.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of sixteen names in one of three nested levels.
    fn path(&mut self, top: &Path) -> PathBuf {
        let mut path = top.to_owned();
        for _ in 0..self.below(3) {
            path.push(format!("d{}", self.below(3)));
        }
        path.join(format!("n{}", self.below(16)))
    }
}

/// One of the things that people do to trees; what cannot be done is not.
fn act(random: &mut Random, top: &Path) {
    let path = random.path(top);
    let other = random.path(top);
    let parent = path.parent().unwrap();
    let _ = match random.below(11) {
        0 | 1 => fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, vec![b'x'; random.below(20_000) as usize])),
        2 => fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"more")),
        3 => fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| {
            let byte = random.below(256) as u8;
            file.write_all(&[byte; 40])
        }),
        4 => fs::rename(&path, &other),
        5 => fs::rename(parent, other.parent().unwrap().join("moved")),
        6 => fs::remove_file(&path),
        7 => fs::remove_dir_all(parent.join(format!("d{}", random.below(3)))),
        8 => {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | random.below(64) as u32))
        }
        9 => symlink("somewhere", &path),
        _ => fs::create_dir_all(&path).and_then(|()| fs::write(path.join("in"), "x")),
    };
}

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
                    if random.below(40) == 0 {
                        std::thread::sleep(Duration::from_millis(random.below(30)));
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
    let seeds = std::env::var("SYNCLINE_STORM_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=seeds.unwrap_or(2) {
        eprintln!("storm of seed {seed}");
        storm(seed, 3);
    }
}
