//! The jobs in which something goes wrong, or much at once.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::relay::Relay;
use super::{Bench, Figures, LIMIT, latency, noise};

/// 100 MB in steps, the file open all the time; what a reader of the target sees meanwhile.
pub(super) fn slow_writer(bench: &mut Bench) -> io::Result<Figures> {
    let before = bench.counted().1;
    let (path, target) = (bench.source("slow"), bench.target("slow"));
    let (over, mut half) = (AtomicBool::new(false), 0);
    scope(|threads| {
        let writer = threads.spawn(|| {
            let mut file = fs::File::create(&path)?;
            for number in 0..100 {
                file.write_all(&noise(1 << 20, number))?;
                sleep(Duration::from_millis(50));
            }
            over.store(true, Ordering::Relaxed);
            io::Result::Ok(())
        });
        while !over.load(Ordering::Relaxed) {
            half += u64::from(target.exists());
            sleep(Duration::from_millis(5));
        }
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer died")))
    })?;
    let sessions = bench.counted().1 - before;
    let seconds = bench.equal(LIMIT);
    let note = format!("{sessions} sessions before it was closed, seen in part {half} times");
    Ok(Figures { seconds, note, ..Figures::default() })
}

pub(super) fn rename_busy(bench: &mut Bench) -> io::Result<Figures> {
    let end = Instant::now() + Duration::from_secs(5);
    scope(|threads| {
        for writer in 0..4 {
            let bench = &*bench;
            threads.spawn(move || {
                for number in 0.. {
                    if Instant::now() > end {
                        break;
                    }
                    // The directory is now here, now there.
                    for name in 0..5 {
                        let path = bench.source(&format!("busy{name}/w{writer}-{number}"));
                        let _ = fs::write(path, noise(100, number));
                    }
                    sleep(Duration::from_millis(2));
                }
            });
        }
        for number in 0.. {
            if Instant::now() > end {
                break;
            }
            let name = |number: u64| bench.source(&format!("busy{}", number % 5));
            let _ = fs::rename(name(number), name(number + 1));
            sleep(Duration::from_millis(100));
        }
    });
    bench.job(|| Ok(()))
}

/// Each kind of object turned into each other one.
pub(super) fn types(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| {
        for from in 0..4 {
            for to in 0..4 {
                let path = bench.source(&format!("k{from}{to}"));
                make(&path, from)?;
                sleep(Duration::from_millis(200));
                remove(&path)?;
                make(&path, to)?;
            }
        }
        Ok(())
    })
}

fn make(path: &Path, kind: u8) -> io::Result<()> {
    match kind {
        0 => fs::write(path, "a file"),
        1 => {
            fs::create_dir_all(path.join("in/it"))?;
            fs::write(path.join("in/it/file"), "x")
        }
        2 => symlink("points/to", path),
        _ => Command::new("mkfifo").arg(path).status().map(drop),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// More events than the kernel keeps, while the tool is stopped.
pub(super) fn overflow(bench: &mut Bench) -> io::Result<Figures> {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let room: u64 = text.trim().parse().unwrap_or(16_384);
    bench.signal(Signal::STOP);
    let path = bench.source("w/again");
    // Equal events in a row are one: each is of another name than the last.
    for number in 0..room.min(400_000) + 1000 {
        fs::write(if number % 2 == 0 { path.clone() } else { bench.source("w/other") }, "x")?;
    }
    for number in 0..2500_u64 {
        let path = bench.source(&format!("o{}/f{number}", number % 20));
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(&path, noise(100, number))?;
        if number % 5 == 0 {
            fs::rename(&path, path.with_extension("moved"))?;
        }
    }
    bench.signal(Signal::CONT);
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = format!("queue of {room} events");
    Ok(figures)
}

/// Four writers that do everything in few names for ten seconds.
pub(super) fn stress(bench: &mut Bench) -> io::Result<Figures> {
    let end = Instant::now() + Duration::from_secs(10);
    scope(|threads| {
        for writer in 0..4_u64 {
            let (top, seed) = (bench.source("s"), bench.wanted.seed * 4 + writer);
            threads.spawn(move || storm(&top, seed, end));
        }
    });
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = format!("seed {}", bench.wanted.seed);
    Ok(figures)
}

fn storm(top: &Path, seed: u64, end: Instant) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    while Instant::now() < end {
        let mut place = || -> PathBuf {
            let depth = random(3);
            (0..=depth).fold(top.to_owned(), |path, _| path.join(format!("n{}", random(16))))
        };
        let (one, other) = (place(), place());
        // What another writer took away meanwhile cannot be had.
        let _ = match random(11) {
            0 | 1 => fs::create_dir_all(&one),
            2 | 3 => fs::write(&one, noise(random(5000) as usize, seed)),
            4 => fs::OpenOptions::new()
                .append(true)
                .open(&one)
                .and_then(|mut file| file.write_all(b"more")),
            5 | 6 => fs::rename(&one, &other),
            7 => fs::remove_file(&one),
            8 => fs::remove_dir_all(&one),
            9 => fs::set_permissions(&one, fs::Permissions::from_mode(0o700 | random(64) as u32)),
            _ if random(2) == 0 => symlink("n1", &one),
            _ => fs::hard_link(&other, &one),
        };
        if random(20) == 0 {
            sleep(Duration::from_millis(1));
        }
    }
}

pub(super) fn down_30(bench: &mut Bench) -> io::Result<Figures> {
    bench.daemon_down()?;
    for number in 0..500_u64 {
        fs::write(bench.source(&format!("tree/d0/e0/new{number}")), noise(500, number))?;
        sleep(Duration::from_millis(60));
    }
    let memory = bench.memory();
    bench.daemon_up()?;
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = format!("{memory:.1} MB while it was away");
    Ok(figures)
}

/// The tool killed at some moment of a burst and started again, ten times.
pub(super) fn kill_9(bench: &mut Bench) -> io::Result<Figures> {
    for round in 0..10_u64 {
        let top = bench.source(&format!("burst{round}"));
        let writer = spawn(move || super::fill(&top, 400, 400));
        sleep(Duration::from_millis(20 + round * 37 % 200));
        bench.kill();
        bench.start()?;
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer died")))?;
    }
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = format!("{} bytes of content in all", 10 * 400 * 400);
    Ok(figures)
}

impl Bench {
    /// Beside the first target one that is slow, and one that accepts and never answers.
    pub(super) fn make_slow_targets(&mut self) -> io::Result<()> {
        let slow = Relay::start(self.port, Some(100 << 10))?;
        let silent = TcpListener::bind("127.0.0.1:0")?;
        self.others = vec![
            format!("rsync://127.0.0.1:{}/m/slow/", slow.port()),
            format!("rsync://127.0.0.1:{}/m/never/", silent.local_addr()?.port()),
        ];
        // Beside the mirror, which must not take it for its own.
        fs::create_dir_all(self.top.path().join("dst/slow"))?;
        spawn(move || silent.incoming().flatten().collect::<Vec<_>>());
        Ok(())
    }

    /// A target with little room.
    pub(super) fn mount_target(&mut self) -> io::Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=755", "none"]).arg(self.target(""));
        self.is_mounted = mount.status()?.success();
        Ok(())
    }

    /// 100,000 files in 10,000 directories, at both ends.
    pub(super) fn fill_for_start(&mut self) -> io::Result<()> {
        for number in 0..10_000 {
            let path = self.source(&format!("s{}/d{number}", number % 100));
            fs::create_dir_all(&path)?;
            for file in 0..10 {
                fs::write(path.join(format!("f{file}")), "x")?;
            }
        }
        let mut copy = Command::new("rsync");
        copy.arg("-a").arg(format!("{}/", self.source("").display()));
        copy.arg(self.target("")).status().map(drop)
    }
}

pub(super) fn slow_target(bench: &mut Bench) -> io::Result<Figures> {
    fs::write(bench.source("large"), noise(20 << 20, 1))?;
    let mut figures = latency(bench)?;
    // The slow one is still at it.
    figures.seconds = None;
    figures.note = format!("{:.1} MB", bench.memory());
    Ok(figures)
}

pub(super) fn full_disk(bench: &mut Bench) -> io::Result<Figures> {
    for number in 0..8 {
        fs::write(bench.source(&format!("large{number}")), noise(1 << 20, number))?;
    }
    sleep(Duration::from_secs(20));
    let state = shown_state(bench);
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,size=64m"]).arg(bench.target("")).status()?;
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = state;
    Ok(figures)
}

/// What the tool said last about a state.
fn shown_state(bench: &Bench) -> String {
    let log = fs::read_to_string(bench.top.path().join("tool.log")).unwrap_or_default();
    let state = |line: &str| Some(line.split_once(" state=")?.1.split(' ').next()?.to_owned());
    log.lines().rev().find_map(state).unwrap_or_else(|| "no state".to_owned())
}

pub(super) fn cut(bench: &mut Bench) -> io::Result<Figures> {
    fs::write(bench.source("large"), noise(200 << 20, 1))?;
    sleep(Duration::from_millis(300));
    let relay = bench.relay.as_ref().ok_or_else(|| io::Error::other("no relay"))?;
    relay.cut(true);
    sleep(Duration::from_secs(90));
    relay.cut(false);
    bench.job(|| Ok(()))
}

/// The source goes away, comes back empty, and is itself again.
pub(super) fn empty_root(bench: &mut Bench) -> io::Result<Figures> {
    let (source, away) = (bench.top.path().join("src"), bench.top.path().join("away"));
    let count = || fs::read_dir(bench.target("")).map_or(0, Iterator::count);
    let before = count();
    fs::rename(&source, &away)?;
    sleep(Duration::from_secs(3));
    fs::create_dir(&source)?;
    sleep(Duration::from_secs(3));
    let after = count();
    fs::remove_dir(&source)?;
    fs::rename(&away, &source)?;
    fs::write(bench.source("w/back"), "x")?;
    let mut figures = bench.job(|| Ok(()))?;
    figures.note = format!("{} of {before} names gone meanwhile", before - after.min(before));
    Ok(figures)
}

/// From the start of the tool, on trees that are equal, until a change arrives.
pub(super) fn start(bench: &mut Bench) -> io::Result<Figures> {
    bench.kill();
    let begun = Instant::now();
    bench.start()?;
    fs::write(bench.source("w/probe"), "x")?;
    Bench::until(|| bench.target("w/probe").exists());
    let seconds = Some(begun.elapsed().as_secs_f64());
    let note = format!("{:.1} MB", bench.memory());
    Ok(Figures { seconds, note, ..Figures::default() })
}
