//! A mirror under a steady mixed load for as long as wanted (docs/spec live.md 6.15): three stock daemons, one of which is
//! killed again and again, a load that never stops for long, and synclive itself killed once in a while.
//!
//! ```text
//! cargo build -p synclive && cargo run -p syncline-live --example soak -- target/debug/synclive MINUTES [KILLED_EVERY]
//! ```
//!
//! synclive is killed every ten minutes, or every so many; with 0 it never is, and what it holds must stay the same.
//!
//! Once a minute the load pauses until all targets are equal to the source, and a line tells how long that took and what
//! the process holds: memory, descriptors, threads, journal, and the greatest lag of each target since the last line.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)] // As a test.

#[path = "../tests/bench/mod.rs"]
mod bench;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench::load::{Random, act};
use bench::{Daemon, difference, stock_is_missing, tree, until};

const PAUSE: Duration = Duration::from_secs(60);
const KILLED_EVERY: u64 = 10;

/// A tree with more than this loses its directories, so that what the process holds does not grow with it.
const MOST_ENTRIES: usize = 3000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(program), Some(minutes)) = (arguments.next(), arguments.next()) else {
        eprintln!("soak SYNCLIVE MINUTES [KILLED_EVERY]");
        std::process::exit(2);
    };
    if stock_is_missing("soak") {
        return;
    }
    let minutes: u64 = minutes.parse().unwrap();
    let killed_every: u64 =
        arguments.next().map_or(KILLED_EVERY, |minutes| minutes.parse().unwrap());
    let killed_every = (killed_every > 0).then(|| Duration::from_secs(60 * killed_every));
    let top = tempfile::tempdir().unwrap();
    let source = top.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("stays"), "x").unwrap();
    let mut daemons: Vec<Daemon> = (0..3)
        .map(|number| {
            let (at, path) =
                (top.path().join(format!("daemon{number}")), top.path().join(format!("t{number}")));
            Daemon::start(&at, &path, "")
        })
        .collect();
    let status = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let conf = top.path().join("synclive.toml");
    let mut text = format!(
        "state-dir = \"{}\"\nstatus-addr = \"{status}\"\n[[mirror]]\nname = \"m\"\nsource = \"{}\"\n",
        top.path().join("state").display(),
        source.display()
    );
    for (number, daemon) in daemons.iter().enumerate() {
        write!(text, "[[mirror.target]]\nname = \"t{number}\"\nurl = \"{}\"\n", daemon.url())
            .unwrap();
    }
    fs::write(&conf, text).unwrap();
    let log = fs::File::create(top.path().join("log")).unwrap();
    let start = || -> Child {
        let command = Command::new(&program)
            .arg("--config")
            .arg(&conf)
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .spawn();
        command.unwrap()
    };
    let mut synclive = start();
    let over = AtomicBool::new(false);
    let paused = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writers = [1, 2].map(|seed| {
            let (over, paused, source) = (&over, &paused, &source);
            scope.spawn(move || write(seed, source, over, paused))
        });
        let (mut said, mut killed, mut flipped) = (Instant::now(), Instant::now(), Instant::now());
        let mut lag = [0.0_f64; 3];
        let mut is_up = true;
        while begun.elapsed() < Duration::from_secs(60 * minutes) {
            std::thread::sleep(Duration::from_millis(500));
            for (target, worst) in lag.iter_mut().enumerate() {
                *worst = worst.max(metric(status, "synclive_lag_seconds", target));
            }
            if flipped.elapsed() > Duration::from_secs(if is_up { 7 } else { 2 }) {
                if is_up {
                    daemons[2].kill();
                } else {
                    daemons[2].up();
                }
                (is_up, flipped) = (!is_up, Instant::now());
            }
            if killed_every.is_some_and(|every| killed.elapsed() > every) {
                synclive.kill().unwrap();
                synclive.wait().unwrap();
                synclive = start();
                killed = Instant::now();
                println!("{:>6} synclive killed and started again", begun.elapsed().as_secs() / 60);
            }
            if said.elapsed() > PAUSE {
                daemons[2].up();
                (is_up, flipped) = (true, Instant::now());
                paused.store(true, Ordering::Relaxed);
                let since = Instant::now();
                for number in 0..3 {
                    let is_equal = || tree(&source) == tree(&top.path().join(format!("t{number}")));
                    while !is_equal() {
                        if since.elapsed() > Duration::from_secs(120) {
                            over.store(true, Ordering::Relaxed);
                            let found = tree(&top.path().join(format!("t{number}")));
                            panic!("t{number} differs: {}", difference(&tree(&source), &found));
                        }
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
                let took = since.elapsed().as_millis();
                tell(begun, &synclive, top.path(), status, &daemons, lag, took);
                lag = [0.0; 3];
                if tree(&source).len() > MOST_ENTRIES {
                    for entry in fs::read_dir(&source).unwrap().flatten() {
                        // Whatever is no directory stays.
                        let _ = fs::remove_dir_all(entry.path());
                    }
                }
                paused.store(false, Ordering::Relaxed);
                said = Instant::now();
            }
        }
        over.store(true, Ordering::Relaxed);
        let done: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        println!("{done} operations in {} s", begun.elapsed().as_secs());
    });
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_child(&synclive),
        rustix::process::Signal::TERM,
    );
    until("synclive ends", || synclive.try_wait().unwrap().is_some());
}

/// A hundred things a second until it is over.
fn write(seed: u64, source: &Path, over: &AtomicBool, paused: &AtomicBool) -> u64 {
    let mut random = Random(seed);
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        if !paused.load(Ordering::Relaxed) {
            act(&mut random, source);
            done += 1;
        }
        std::thread::sleep(Duration::from_millis(random.below(20)));
    }
    done
}

fn tell(
    begun: Instant,
    synclive: &Child,
    top: &Path,
    status: std::net::SocketAddr,
    daemons: &[Daemon],
    lag: [f64; 3],
    took: u128,
) {
    let process = format!("/proc/{}", synclive.id());
    let text = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or("?").to_owned()
    };
    let fds = fs::read_dir(format!("{process}/fd")).map_or(0, Iterator::count);
    let journal: f64 = (0..3).map(|target| metric(status, "synclive_journal_bytes", target)).sum();
    let sessions: Vec<usize> = daemons.iter().map(Daemon::sessions).collect();
    let entries = tree(&top.join("source")).len();
    println!(
        "{:>6} entries={entries} rss_kb={} anon_kb={} fds={fds} threads={} journal={journal} sessions={sessions:?} lag_ms={:?} equal_after_ms={took}",
        begun.elapsed().as_secs() / 60,
        field("VmRSS:"),
        field("RssAnon:"),
        field("Threads:"),
        lag.map(|lag| (lag * 1000.0) as u64),
    );
    let _ = std::io::stdout().flush();
}

/// A number that the status address tells of a target.
fn metric(status: std::net::SocketAddr, name: &str, target: usize) -> f64 {
    let Ok(mut stream) = TcpStream::connect(status) else { return 0.0 };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {status}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    let wanted = format!("target=\"t{target}\"");
    let line = answer.lines().find(|line| line.starts_with(name) && line.contains(&wanted));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}
