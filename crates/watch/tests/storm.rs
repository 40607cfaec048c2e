//! Four threads make, rename and remove files and directories while a copy of the tree is kept by changes alone. Afterwards
//! the copy is the tree, and every directory of the tree is watched.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Copy, listing};
use syncline_watch::{Backend, Change, Options, Root, Watcher};

/// Operations of one storm; the figure of the requirement is 100,000, set with `SYNCLINE_STORM=100000`.
fn operations() -> u32 {
    std::env::var("SYNCLINE_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(4000)
}

/// A generator that needs no crate: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn path(&mut self, top: &Path) -> PathBuf {
        let mut path = top.to_path_buf();
        for _ in 0..=self.below(4) {
            path.push(format!("n{}", self.below(5)));
        }
        path
    }
}

fn storm(top: &Path, seed: u64, count: u32) {
    let mut random = Random(seed);
    for _ in 0..count {
        let path = random.path(top);
        // Any of these may fail: the name is taken, gone, or of the wrong kind. That is part of the storm.
        let _ = match random.below(10) {
            0..3 => std::fs::create_dir(&path),
            3..5 => std::fs::write(&path, b"contents"),
            5 => {
                std::fs::create_dir_all(&path).and_then(|()| std::fs::write(path.join("late"), b""))
            }
            6..8 => std::fs::rename(&path, random.path(top)),
            8 => std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)),
            _ if random.below(8) == 0 => std::fs::remove_dir_all(&path),
            _ => Ok(()),
        };
    }
}

struct Weather {
    backend: Backend,
    remember_names: bool,
    /// The reader sleeps through the storm, so that the kernel's queue overflows.
    asleep: bool,
}

fn survive(seed: u64, weather: &Weather) {
    // In memory where that is to be had: the storm is to be the watcher's, not the disk's.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let top = directory.path();
    for seed in 1..5 {
        storm(top, seed, 50);
    }
    let options = Options {
        backend: weather.backend,
        remember_names: weather.remember_names,
        ..Options::default()
    };
    let mut watcher = Watcher::new(options).unwrap();
    watcher.add(Root::tree(top)).unwrap();
    let mut copy = Copy { entries: listing(top) };
    let done = AtomicBool::new(false);
    let mut overflows = 0;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let seed = (seed * 4 + worker + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                scope.spawn(move || storm(top, seed, operations() / 4))
            })
            .collect();
        let done = &done;
        let ender = scope.spawn(move || {
            for worker in workers {
                worker.join().unwrap();
            }
            std::fs::write(top.join("end"), b"").unwrap();
            done.store(true, Ordering::Release);
        });
        if weather.asleep {
            ender.join().unwrap();
        }
        // Quiet after the end: nothing waits for the other half of a rename any more.
        let mut ended = false;
        loop {
            match watcher.next_change(Some(Duration::from_millis(40))).unwrap() {
                Some(change) => {
                    overflows += u32::from(change == Change::Overflow);
                    ended |= matches!(&change, Change::Appeared { place, .. } | Change::Written { place } if place.path == b"end");
                    copy.apply(top, &change);
                }
                None if done.load(Ordering::Acquire) && (ended || overflows > 0) => break,
                None => {}
            }
        }
    });
    let real = listing(top);
    let difference: Vec<_> = real
        .iter()
        .filter(|entry| !copy.entries.iter().any(|other| other == *entry))
        .map(|(path, _)| format!("missing {}", path.escape_ascii()))
        .chain(
            copy.entries
                .iter()
                .filter(|entry| !real.iter().any(|other| other == *entry))
                .map(|(path, _)| format!("invented {}", path.escape_ascii())),
        )
        .collect();
    assert!(difference.is_empty(), "seed {seed}: {difference:#?} after {overflows} overflows");
    if weather.backend == Backend::Inotify {
        let watched: BTreeSet<_> = watcher.watched().into_iter().map(|(_, path)| path).collect();
        let directories: BTreeSet<_> = real
            .into_iter()
            .filter_map(|(path, directory)| directory.then_some(path))
            .chain([Vec::new()])
            .collect();
        assert_eq!(watched, directories, "seed {seed}");
    }
}

fn twenty_storms(name: &str, backend: Backend, asleep: bool) {
    if backend == Backend::Fanotify
        && let Err(error) = fanotify_works()
    {
        eprintln!("SKIPPED {name}: {error}");
        return;
    }
    for seed in 0..20 {
        survive(seed, &Weather { backend, remember_names: seed % 2 == 0, asleep });
    }
}

fn fanotify_works() -> Result<(), syncline_watch::Error> {
    let top = tempfile::tempdir().unwrap();
    let options = Options { backend: Backend::Fanotify, ..Options::default() };
    Watcher::new(options)?.add(Root::tree(top.path())).map(|_| ())
}

#[test]
fn after_a_storm_the_copy_is_the_tree() {
    twenty_storms("after_a_storm_the_copy_is_the_tree", Backend::Inotify, false);
}

#[test]
fn after_a_storm_slept_through_the_copy_is_the_tree() {
    twenty_storms("after_a_storm_slept_through_the_copy_is_the_tree", Backend::Inotify, true);
}

#[test]
fn after_a_storm_seen_through_fanotify_the_copy_is_the_tree() {
    let name = "after_a_storm_seen_through_fanotify_the_copy_is_the_tree";
    twenty_storms(name, Backend::Fanotify, false);
}

#[test]
fn after_a_storm_slept_through_with_fanotify_the_copy_is_the_tree() {
    let name = "after_a_storm_slept_through_with_fanotify_the_copy_is_the_tree";
    twenty_storms(name, Backend::Fanotify, true);
}
