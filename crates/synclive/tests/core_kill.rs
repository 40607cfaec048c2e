//! synclive killed again and again (R72): it converges, and sends no content twice.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bench::daemon::{PATIENCE, Signal, send};
use bench::{Daemon, stock_is_missing, until};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
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

/// A daemon for `target`, and what starts synclive with one mirror from `source` to it.
fn mirror(top: &Path, settings: &str, module: &str) -> (Daemon, impl Fn() -> Killed) {
    let daemon = Daemon::start(&top.join("daemon"), &top.join("target"), module);
    let source = top.join("source");
    fs::create_dir(&source).unwrap();
    let conf = top.join("synclive.toml");
    let text = format!(
        "state-dir = \"{}\"\n[[mirror]]\nsource = \"{}\"\n{settings}\n[[mirror.target]]\nurl = \"{}\"\n",
        top.join("state").display(),
        source.display(),
        daemon.url()
    );
    fs::write(&conf, text).unwrap();
    let log = top.join("log");
    let start = move || {
        let log = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_synclive"));
        command.arg("--config").arg(&conf).stdin(Stdio::null()).stderr(log);
        Killed(command.spawn().unwrap())
    };
    (daemon, start)
}

fn signal(process: &Killed, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(&process.0), signal).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    // Until then it goes on reading events.
    until("it stops", || signal != Signal::STOP || stat().contains(") T "));
}

#[test]
fn r72_killed_ten_times_in_a_burst_it_converges() {
    if stock_is_missing("r72_killed_ten_times_in_a_burst_it_converges") {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (daemon, start) = mirror(top.path(), "", "");
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
    let log = daemon.log();
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
    let (_daemon, start) = mirror(top.path(), "", "");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    for number in 0..200 {
        let directory = source.join(format!("d{}", number % 5));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{number}")), "before").unwrap();
    }
    let running = start();
    until_equal(&source, &target);
    signal(&running, Signal::STOP);
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
    signal(&running, Signal::CONT);
    until_equal(&source, &target);
    let log = fs::read_to_string(top.path().join("log")).unwrap();
    assert!(log.contains("the kernel dropped events"), "{log}");
}

#[test]
fn r111_overflow_upon_overflow_ends_equal() {
    if stock_is_missing("r111_overflow_upon_overflow_ends_equal") {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, start) = mirror(top.path(), "", "");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    for number in 0..100 {
        let directory = source.join(format!("d{}", number % 5));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{number}")), "before").unwrap();
    }
    let running = start();
    until_equal(&source, &target);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for round in 0..4_u32 {
        signal(&running, Signal::STOP);
        for number in 0..limit.trim().parse::<u32>().unwrap() {
            let name = source.join(format!("d0/f{}", 5 * (number % 2)));
            fs::set_permissions(name, fs::Permissions::from_mode(0o600 | (number % 7))).unwrap();
        }
        fs::write(source.join("d1/f1"), format!("beyond {round}")).unwrap();
        fs::create_dir_all(source.join(format!("new{round}/below"))).unwrap();
        fs::write(source.join(format!("new{round}/below/file")), "x").unwrap();
        if round > 0 {
            fs::rename(source.join(format!("new{}", round - 1)), source.join(format!("r{round}")))
                .unwrap();
        }
        // It has begun to look, no more.
        signal(&running, Signal::CONT);
        let log = || fs::read_to_string(top.path().join("log")).unwrap();
        until("it is told", || log().matches("the kernel dropped events").count() > round as usize);
    }
    until_equal(&source, &target);
}

#[test]
fn r82_r86_a_path_that_was_refused_is_tried_again_after_a_kill() {
    let test = "r82_r86_a_path_that_was_refused_is_tried_again_after_a_kill";
    if stock_is_missing(test) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (mut daemon, start) = mirror(top.path(), "startup = \"none\"", "exclude = refused");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    let log = || fs::read_to_string(top.path().join("log")).unwrap();
    let running = start();
    until("it watches", || log().contains(" watching "));
    fs::write(source.join("refused"), "at first").unwrap();
    until("it is told", || log().contains("path failed"));
    fs::write(source.join("other"), "x").unwrap();
    until("another arrives", || target.join("other").exists());
    drop(running);
    daemon.kill();
    let conf = top.path().join("daemon/conf");
    let text = fs::read_to_string(&conf).unwrap().replace("exclude = refused", "");
    fs::write(&conf, text).unwrap();
    daemon.up();
    let _running = start();
    until_equal(&source, &target);
}

/// Other content of the same size, and the time put back.
fn write_quietly(path: &Path, content: &str) {
    let before = path.metadata().unwrap();
    assert_eq!(before.len(), content.len() as u64);
    fs::write(path, content).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn r72_what_looks_as_before_but_was_written_while_nobody_watched_arrives() {
    let test = "r72_what_looks_as_before_but_was_written_while_nobody_watched_arrives";
    if stock_is_missing(test) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, start) = mirror(top.path(), "", "");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    fs::create_dir(source.join("d")).unwrap();
    for name in ["d/killed", "d/ended"] {
        fs::write(source.join(name), "before").unwrap();
    }
    let running = start();
    until_equal(&source, &target);
    drop(running);
    write_quietly(&source.join("d/killed"), "behind");
    let mut running = start();
    until_equal(&source, &target);
    signal(&running, Signal::TERM);
    until("it ends", || running.0.try_wait().unwrap().is_some());
    write_quietly(&source.join("d/ended"), "behind");
    let running = start();
    until_equal(&source, &target);
    drop(running);
}

#[test]
fn r139_nothing_is_lost_between_two_configurations() {
    let test = "r139_nothing_is_lost_between_two_configurations";
    if stock_is_missing(test) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (_daemon, start) = mirror(top.path(), "startup = \"none\"", "");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    let running = start();
    let log = || fs::read_to_string(top.path().join("log")).unwrap();
    until("it watches", || log().contains(" watching "));
    for number in 0..10 {
        fs::write(source.join(format!("f{number}")), "at first").unwrap();
    }
    until_equal(&source, &target);
    let conf = top.path().join("synclive.toml");
    let text = fs::read_to_string(&conf).unwrap();
    for round in 0..20 {
        let settle = format!("startup = \"none\"\nsettle = \"{}ms\"", 3 + round % 2);
        fs::write(&conf, text.replace("startup = \"none\"", &settle)).unwrap();
        signal(&running, Signal::HUP);
        for number in 0..100 {
            write_quietly(
                &source.join(format!("f{}", number % 10)),
                &format!("{:>8}", number + round),
            );
        }
        fs::write(source.join(format!("new{round}")), "x").unwrap();
    }
    until("it was read", || log().matches("the configuration was read again").count() > 1);
    until_equal(&source, &target);
}

/// Whether bytes wait to be read on a connection to this port.
fn something_waits(port: u16) -> bool {
    let text = fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, empty) = (format!(":{port:04X}"), "00000000");
    text.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_here = words.next().is_some_and(|address| address.ends_with(&local));
        let queues = words.nth(2).and_then(|queues| queues.split_once(':'));
        is_here && queues.is_some_and(|(_, received)| received != empty)
    })
}

#[test]
fn r85_what_an_old_session_still_does_after_a_kill_is_put_right() {
    let test = "r85_what_an_old_session_still_does_after_a_kill_is_put_right";
    if stock_is_missing(test) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let (daemon, start) = mirror(top.path(), "", "");
    let (source, target) = (top.path().join("source"), top.path().join("target"));
    for name in ["goes", "stays"] {
        fs::write(source.join(name), "before").unwrap();
    }
    let running = start();
    until_equal(&source, &target);
    fs::write(source.join("stays"), "and a spare is made").unwrap();
    until_equal(&source, &target);
    until("there is a spare and nothing else", || daemon.processes() == 1);
    daemon.signal_sessions(Signal::STOP);
    fs::remove_file(source.join("goes")).unwrap();
    until("the list waits", || something_waits(daemon.port));
    let stopped = daemon.sessions_now();
    drop(running);
    fs::write(source.join("goes"), "back again").unwrap();
    let running = start();
    until_equal(&source, &target);
    // Now it removes what it was told to remove.
    for process in stopped {
        send(process, Signal::CONT);
        until("it ends", || !daemon.sessions_now().contains(&process));
    }
    signal(&running, Signal::USR2);
    until_equal(&source, &target);
}
