//! synclive killed again and again (R72): it converges, and sends no content twice.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

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
        "use chroot = no\nmunge symlinks = no\n{root}log file = {}\n[m]\npath = {}\nread only = no\n",
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

/// Kind, mode, time and content of everything below.
fn files(top: &Path) -> BTreeMap<PathBuf, (u32, SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut owed = vec![top.to_owned()];
    while let Some(directory) = owed.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(status) = path.symlink_metadata() else { continue };
            let content = if status.is_dir() {
                owed.push(path.clone());
                Vec::new()
            } else if status.is_symlink() {
                fs::read_link(&path).unwrap_or_default().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap_or_default()
            };
            let time = status.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = path.strip_prefix(top).unwrap().to_owned();
            found.insert(name, (status.mode(), time, content));
        }
    }
    found
}

/// Waits until the target is what the source is.
fn until_equal(source: &Path, target: &Path) {
    let begun = Instant::now();
    while files(source) != files(target) {
        if begun.elapsed() > PATIENCE {
            let (ours, theirs) = (files(source), files(target));
            let differs = |name: &&PathBuf| ours.get(*name) != theirs.get(*name);
            let names: Vec<&PathBuf> = ours.keys().chain(theirs.keys()).filter(differs).collect();
            panic!("these differ after {PATIENCE:?}: {names:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A configuration with one mirror and one target, and what starts synclive with it.
fn mirror(top: &Path, port: u16) -> impl Fn() -> Killed {
    let source = top.join("source");
    fs::create_dir(&source).unwrap();
    let conf = top.join("synclive.toml");
    let text = format!(
        "state-dir = \"{}\"\n[[mirror]]\nsource = \"{}\"\n[[mirror.target]]\nurl = \"rsync://127.0.0.1:{port}/m/\"\n",
        top.join("state").display(),
        source.display()
    );
    fs::write(&conf, text).unwrap();
    let log = top.join("log");
    move || {
        let log = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_synclive"));
        command.arg("--config").arg(&conf).stdin(Stdio::null()).stderr(log);
        Killed(command.spawn().unwrap())
    }
}

fn signal(process: &Killed, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(&process.0), signal).unwrap();
}

fn stock_is_missing(test: &str) -> bool {
    let missing = Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_err();
    if missing {
        eprintln!("SKIPPED {test}: no rsync to mirror to");
    }
    missing
}

#[test]
fn r72_killed_ten_times_in_a_burst_it_converges() {
    if stock_is_missing("r72_killed_ten_times_in_a_burst_it_converges") {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, port) = daemon(top.path());
    let start = mirror(top.path(), port);
    let (source, target) = (top.path().join("source"), top.path().join("target"));
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
        // And while nobody looks: a file of the same size, a link over a file, a file in place of a directory.
        let kept = source.join("d0/f0-0");
        fs::write(&kept, content.replace('0', &round.to_string())).unwrap();
        let (beside, over) = (source.join("beside"), source.join(format!("d3/f{round}-3")));
        std::os::unix::fs::symlink(round.to_string(), &beside).unwrap();
        fs::rename(&beside, &over).unwrap();
        if round > 0 {
            let before = source.join(format!("turns{}", round - 1));
            fs::remove_dir_all(&before).unwrap();
            fs::write(&before, "a file now").unwrap();
        }
        fs::create_dir_all(source.join(format!("turns{round}/below"))).unwrap();
        running = start();
    }
    until_equal(&source, &target);
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

#[test]
fn r110_what_the_kernel_had_no_room_to_tell_is_looked_for() {
    if stock_is_missing("r110_what_the_kernel_had_no_room_to_tell_is_looked_for") {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, port) = daemon(top.path());
    let start = mirror(top.path(), port);
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    for number in 0..200 {
        let directory = source.join(format!("d{}", number % 5));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{number}")), "before").unwrap();
    }
    let running = start();
    until_equal(&source, &target);
    signal(&running, rustix::process::Signal::STOP);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    // Two names in turn, or the kernel would tell of all of it at once.
    for round in 0..limit.trim().parse::<u32>().unwrap() {
        let name = source.join(format!("d0/f{}", 5 * (round % 2)));
        fs::set_permissions(name, fs::Permissions::from_mode(0o600 | (round % 7))).unwrap();
    }
    // All this is told by nobody.
    fs::write(source.join("d0/f10"), "beyond").unwrap();
    fs::remove_file(source.join("d1/f1")).unwrap();
    fs::rename(source.join("d2"), source.join("renamed")).unwrap();
    fs::remove_dir_all(source.join("d3")).unwrap();
    fs::write(source.join("d3"), "a file now").unwrap();
    fs::create_dir_all(source.join("new/below")).unwrap();
    fs::write(source.join("new/below/file"), "x").unwrap();
    let beside = source.join("beside");
    std::os::unix::fs::symlink("elsewhere", &beside).unwrap();
    fs::rename(&beside, source.join("d4/f4")).unwrap();
    signal(&running, rustix::process::Signal::CONT);
    until_equal(&source, &target);
    let log = fs::read_to_string(top.path().join("log")).unwrap();
    assert!(log.contains("the kernel dropped events"), "{log}");
}
