//! What breaks between a mirror and its target, and heals without a human (R62, R84, R85, R88).

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bench::{Bench, Daemon, SmallDisk, stock_is_missing, until};
use syncline_live::StartOptions;
use syncline_live::state::State;

/// A relay before a daemon that can stop passing anything on without a word.
struct Relay {
    port: u16,
    /// Connections made before this number pass nothing on.
    cut: Arc<AtomicUsize>,
    /// Of connections.
    made: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Relay {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let relay = Self { port, cut, made, over };
        let (cut, made) = (Arc::clone(&relay.cut), Arc::clone(&relay.made));
        let over = Arc::clone(&relay.over);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let number = made.fetch_add(1, Ordering::Relaxed) + 1;
                let (one, other) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                for (from, to) in [(client, server), (other, one)] {
                    let cut = Arc::clone(&cut);
                    std::thread::spawn(move || pass_on(from, to, number, &cut));
                }
            }
        });
        relay
    }

    /// From now on nothing passes, in either direction, and nobody hears of it.
    fn cut(&self) {
        self.cut.store(usize::MAX, Ordering::Relaxed);
    }

    /// New connections pass again; the old ones never do.
    fn heal(&self) {
        self.cut.store(self.made.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, number: usize, cut: &AtomicUsize) {
    let mut buffer = [0; 4096];
    let is_cut = || number < cut.load(Ordering::Relaxed);
    while let Ok(count) = from.read(&mut buffer) {
        if is_cut() {
            // Whatever comes is swallowed, the end as well: the other side waits.
            if count == 0 {
                return;
            }
            continue;
        }
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !is_cut() {
        let _ = to.shutdown(Shutdown::Write);
    }
}

#[test]
fn r88_a_line_that_is_cut_without_a_word_is_noticed_and_everything_arrives_when_it_is_back() {
    let test = "r88_a_line_that_is_cut_without_a_word_is_noticed";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    bench.write("before", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    let relay = Relay::start(daemon.port);
    let url = format!("rsync://127.0.0.1:{}/m/", relay.port);
    let limits = "io-timeout = \"2s\"\nhandshake-timeout = \"2s\"\nbackoff-max = \"1s\"";
    let config = bench.config_to("", &url, limits);
    bench.start_with(&config, StartOptions::default());
    bench.until_equal("t");
    for round in 0..3 {
        // In the midst of content, of a list, and of nothing.
        bench.write(&format!("large{round}"), &"0123456789".repeat(500_000));
        if round == 0 {
            until("content is under way", || {
                fs::read_dir(bench.path("t")).unwrap().flatten().any(|entry| {
                    entry.file_name().as_encoded_bytes().starts_with(b".large")
                        || entry.file_name() == "large0"
                })
            });
        }
        relay.cut();
        for number in 0..50 {
            bench.write(&format!("d/f{number}"), &format!("{round}"));
        }
        fs::rename(bench.source("before"), bench.source("between")).unwrap();
        fs::rename(bench.source("between"), bench.source("before")).unwrap();
        bench.until_state("t0", State::Stalled);
        relay.heal();
        bench.until_equal("t");
    }
}

#[test]
fn r84_a_full_disk_keeps_the_rest_waiting_and_is_gone_on_with_when_there_is_room() {
    let test = "r84_a_full_disk_keeps_the_rest_waiting";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    let disk = bench.path("disk");
    let Some(_mount) = SmallDisk::mount(&disk, "2m") else {
        eprintln!("SKIPPED {test}: no file system can be mounted here");
        return;
    };
    bench.write("before", "x");
    let daemon = Daemon::start(&bench.path("daemon"), &disk.join("t"), "");
    let config = bench.config_to("", &daemon.url(), "backoff-max = \"1s\"");
    bench.start_with(&config, StartOptions::default());
    bench.until_equal("disk/t");
    bench.write("large", &"0123456789".repeat(300_000));
    bench.write("small", "arrives later");
    bench.until_state("t0", State::TargetFull);
    fs::write(bench.source("large"), "not large any more").unwrap();
    bench.until_equal("disk/t");
    bench.until_state("t0", State::Live);
}

#[test]
fn r75_a_mirror_starts_with_a_full_disk_under_its_state() {
    let test = "r75_a_mirror_starts_with_a_full_disk_under_its_state";
    let mut bench = Bench::new();
    let Some(_disk) = SmallDisk::mount(&bench.path("state"), "64k") else {
        eprintln!("SKIPPED {test}: no file system can be mounted here");
        return;
    };
    bench.write("a", "x");
    fs::create_dir(bench.path("t")).unwrap();
    let target = bench.path("t").display().to_string();
    bench.start("", &[&target]);
    bench.until_equal("t");
    bench.stop();
    // Until nothing more fits.
    assert!(fs::write(bench.path("state/full"), vec![0; 1 << 20]).is_err());
    bench.write("b", "x");
    bench.start("", &[&target]);
    bench.until_equal("t");
    bench.until_state("t0", State::Degraded);
    bench.write("c", "x");
    bench.until_equal("t");
    fs::remove_file(bench.path("state/full")).unwrap();
}

#[test]
fn r14_what_is_made_while_the_source_is_away_is_watched_when_it_is_back() {
    let test = "r14_what_is_made_while_the_source_is_away_is_watched_when_it_is_back";
    let mut bench = Bench::new();
    let (kept, source) = (bench.path("kept"), bench.path("source"));
    fs::create_dir(&kept).unwrap();
    let bind = || {
        let mut mount = Command::new("mount");
        mount.arg("--bind").args([&kept, &source]);
        mount.output().is_ok_and(|output| output.status.success())
    };
    let unmount = || Command::new("umount").arg("-l").arg(&source).status().unwrap().success();
    if !bind() {
        eprintln!("SKIPPED {test}: no file system can be mounted here");
        return;
    }
    bench.write("a", "x");
    fs::create_dir(bench.path("t")).unwrap();
    bench.start("", &[&bench.path("t").display().to_string()]);
    bench.until_equal("t");
    for round in 0..3 {
        assert!(unmount());
        // The old watches are still told of this, and find nothing at the path.
        fs::create_dir_all(kept.join(format!("d{round}/below"))).unwrap();
        fs::write(kept.join(format!("d{round}/below/f")), "before").unwrap();
        bench.service.as_ref().unwrap().compare(None);
        bench.until_state("t0", State::SourceLost);
        assert!(bench.path("t/a").exists());
        assert!(bind());
        bench.until_equal("t");
        bench.write(&format!("d{round}/below/f"), "after");
        bench.until_equal("t");
    }
    bench.stop();
    assert!(unmount());
}

#[test]
fn r62_a_busy_mirror_holds_one_spare_connection_and_no_more() {
    let test = "r62_a_busy_mirror_holds_one_spare_connection_and_no_more";
    if stock_is_missing(test) {
        return;
    }
    let mut bench = Bench::new();
    bench.write("file", "0");
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), "");
    bench.start("resend-interval = \"1ms\"", &[&daemon.url()]);
    bench.until_equal("t");
    for number in 0..60 {
        bench.write("file", &number.to_string());
        fs::rename(bench.source("file"), bench.source("other")).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        fs::rename(bench.source("other"), bench.source("file")).unwrap();
        until("it arrives", || {
            fs::read(bench.path("t/file")).is_ok_and(|found| found == number.to_string().as_bytes())
        });
    }
    bench.until_equal("t");
    // A daemon has a process for each connection. Those that were not used would stay for a minute.
    until("no connection but the spare is left", || daemon.processes() <= 2);
}
