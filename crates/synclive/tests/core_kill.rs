//! synclive killed again and again (R72): it converges, and sends no content twice.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn daemon(top: &Path) -> (Killed, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
    let (target, log) = (top.join("target"), top.join("daemon.log"));
    fs::create_dir(&target).unwrap();
    let text = format!(
        "use chroot = no\n{root}log file = {}\n[m]\npath = {}\nread only = no\n",
        log.display(),
        target.display()
    );
    fs::write(top.join("conf"), text).unwrap();
    let child = Command::new("rsync")
        .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(format!("--config={}", top.join("conf").display()))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let child = Killed(child);
    until("the daemon answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (child, port)
}

fn files(top: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut owed = vec![top.to_owned()];
    while let Some(directory) = owed.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                owed.push(path);
            } else {
                let content = fs::read(&path).unwrap_or_default();
                found.insert(path.strip_prefix(top).unwrap().to_owned(), content);
            }
        }
    }
    found
}

#[test]
fn r72_killed_ten_times_in_a_burst_it_converges() {
    if Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED r72_killed_ten_times_in_a_burst_it_converges: no rsync to mirror to");
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, port) = daemon(top.path());
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    fs::create_dir(&source).unwrap();
    let conf = top.path().join("synclive.toml");
    let text = format!(
        "state-dir = \"{}\"\n[[mirror]]\nsource = \"{}\"\n[[mirror.target]]\nurl = \"rsync://127.0.0.1:{port}/m/\"\n",
        top.path().join("state").display(),
        source.display()
    );
    fs::write(&conf, text).unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synclive"));
        command.arg("--config").arg(&conf).stdin(Stdio::null()).stderr(Stdio::null());
        Killed(command.spawn().unwrap())
    };
    let content = "0123456789".repeat(100);
    let mut running = start();
    for round in 0..10 {
        for number in 0..100 {
            let directory = source.join(format!("d{}", number % 5));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("f{round}-{number}")), &content).unwrap();
        }
        if round > 0 {
            fs::remove_file(source.join(format!("d1/f{}-1", round - 1))).unwrap();
            fs::rename(
                source.join(format!("d2/f{}-2", round - 1)),
                source.join(format!("r{round}")),
            )
            .unwrap();
        }
        // At a random moment of the burst, as the machine is as busy as it is.
        let some = || fs::read_dir(&target).is_ok_and(|entries| entries.count() > 0);
        until("the burst has begun to arrive", some);
        drop(running);
        running = start();
    }
    until("everything arrives", || files(&source) == files(&target));
    let log = fs::read_to_string(top.path().join("daemon.log")).unwrap_or_default();
    let received: u64 = log
        .lines()
        .filter_map(|line| {
            line.split_once("received ")?.1.split(' ').next()?.replace(',', "").parse::<u64>().ok()
        })
        .sum();
    // Each session may lose what was under way; never is all sent again.
    let all = 1000 * content.len() as u64;
    assert!(received < 3 * all, "{received} bytes for {all}");
}
