//! Clients that mean no good, and many of them: the daemon goes on and does not grow.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Daemon, HELLO, OURS, as_ourselves, client, skipped, stock, wait_until};

fn ours(configuration: &str) -> Daemon {
    Daemon::start(Path::new(OURS), configuration)
}

fn serves(daemon: &Daemon) -> bool {
    daemon.say(&[HELLO, b"#list\n"].concat()).ends_with("@RSYNCD: EXIT\n")
}

#[test]
fn a_client_that_trickles_is_cut_off_at_the_deadline() {
    let daemon = ours("timeout = 2\n[m]\npath = /\n");
    let start = Instant::now();
    let mut slow = daemon.connect();
    slow.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut byte = [0];
    loop {
        // The greeting, then nothing, then the end.
        match slow.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(start.elapsed() < Duration::from_secs(15), "it is still served");
        if slow.write_all(b"@").is_err() {
            break;
        }
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
    wait_until("the deadline is logged", || {
        daemon.log().contains("[Receiver] daemon handshake timeout -- exiting")
    });
    assert!(serves(&daemon));
}

#[test]
fn garbage_is_refused_and_leaves_nothing_behind() {
    let daemon = ours("[m]\npath = /\n");
    assert!(serves(&daemon));
    // Random enough, and the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut garbage = vec![0; 4000];
    for round in 0..60 {
        for byte in &mut garbage {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        let mut words = Vec::new();
        if round % 3 > 0 {
            words.extend_from_slice(HELLO);
        }
        if round % 3 > 1 {
            words.extend_from_slice(b"m\n");
        }
        words.extend_from_slice(&garbage);
        words.extend_from_slice(b"\n\0\0");
        let mut stream = daemon.connect();
        let _ = stream.write_all(&words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    wait_until("all sessions have ended", || daemon.processes() == 1);
    assert!(serves(&daemon));
}

#[test]
fn half_open_connections_do_not_keep_others_out() {
    let daemon = ours("[m]\npath = /\n");
    let held: Vec<_> = (0..50).map(|_| daemon.connect()).collect();
    assert!(serves(&daemon));
    drop(held);
    wait_until("all sessions have ended", || daemon.processes() == 1);
}

#[test]
fn many_connections_in_a_row_leave_no_trace() {
    let daemon = ours("[m]\npath = /\n");
    let visit = |count: usize| (0..count).for_each(|_| assert!(serves(&daemon)));
    visit(50);
    wait_until("all sessions have ended", || daemon.processes() == 1);
    let (descriptors, memory) = (daemon.descriptors(), daemon.memory());
    visit(500);
    wait_until("all sessions have ended", || daemon.processes() == 1);
    let (descriptors_after, memory_after) = (daemon.descriptors(), daemon.memory());
    eprintln!(
        "after 500 more connections: descriptors {descriptors} -> {descriptors_after}, memory {memory} -> {memory_after} KiB"
    );
    assert_eq!(descriptors, descriptors_after);
    assert!(memory_after <= memory + 512, "{memory} KiB became {memory_after}");
}

#[test]
fn one_address_has_only_so_many_connections() {
    let daemon = ours("max connections per host = 2\n[m]\npath = /\n");
    let held: Vec<_> = (0..2).map(|_| daemon.connect()).collect();
    wait_until("both sessions run", || daemon.processes() == 3);
    let answer = daemon.say(b"");
    assert!(
        answer.ends_with("@ERROR: max connections per host (2) reached -- try again later\n"),
        "{answer}"
    );
    drop(held);
    wait_until("the sessions have ended", || daemon.processes() == 1);
    assert!(serves(&daemon));
}

#[test]
fn a_session_is_confined_before_it_hears_the_request() {
    let own = as_ourselves();
    let daemon = ours(&format!("use chroot = no\n{own}path = {{DIR}}\n[m]\n"));
    let mut stream = daemon.connect();
    stream.write_all(&[HELLO, b"m\n"].concat()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"@RSYNCD: OK\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let own = daemon.child.id();
    let children = format!("/proc/{own}/task/{own}/children");
    let session = std::fs::read_to_string(children).unwrap().trim().to_owned();
    let status = std::fs::read_to_string(format!("/proc/{session}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        skipped("a_session_is_confined_before_it_hears_the_request", "no seccomp");
        return;
    }
    assert!(status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn a_slot_is_free_again_after_its_session_was_killed() {
    let own = as_ourselves();
    let daemon = ours(&format!(
        "use chroot = no\n{own}path = {{DIR}}\nlock file = {{DIR}}/lock\nmax connections = 1\n[m]\n"
    ));
    let mut held = daemon.connect();
    // Inside before anybody else asks: a later connection must not win the slot.
    enter(&mut held);
    let full = || daemon.say(&[HELLO, b"m\n\0"].concat()).contains("max connections (1) reached");
    wait_until("the slot is taken", full);
    let own = daemon.child.id();
    let children = format!("/proc/{own}/task/{own}/children");
    wait_until("only the holder is left", || daemon.processes() == 2);
    let session: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let session = rustix::process::Pid::from_raw(session).unwrap();
    rustix::process::kill_process(session, rustix::process::Signal::KILL).unwrap();
    wait_until("the session is gone", || daemon.processes() == 1);
    enter(&mut daemon.connect());
}

/// Asks for module `m` and waits until the daemon lets us in.
fn enter(connection: &mut std::net::TcpStream) {
    connection.write_all(&[HELLO, b"m\n"].concat()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"@RSYNCD: OK\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_ends_its_session() {
    if stock().is_none() {
        skipped("a_client_that_goes_away_in_the_middle_ends_its_session", "no stock client");
        return;
    }
    let own = as_ourselves();
    let daemon = ours(&format!("use chroot = no\n{own}path = {{DIR}}/m\n[m]\n"));
    std::fs::create_dir(daemon.path("m")).unwrap();
    std::fs::write(daemon.path("m/big"), vec![7; 8 << 20]).unwrap();
    let mut slow = std::process::Command::new("rsync")
        .args(["--bwlimit=64", &daemon.url("m/big")])
        .arg(daemon.path("copy"))
        .process_group(0)
        .spawn()
        .unwrap();
    wait_until("the session runs", || daemon.processes() == 2);
    wait_until("data flows", || daemon.log().contains("rsync on m/big"));
    // Both of its processes.
    let group = rustix::process::Pid::from_child(&slow);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    slow.wait().unwrap();
    wait_until("the session has ended", || daemon.processes() == 1);
    let copied = client(&[&daemon.url("m/big"), daemon.path("copy2").to_str().unwrap()]);
    assert!(copied.status.success(), "{copied:?}");
}

#[test]
fn a_client_that_takes_nothing_any_more_is_given_up_after_the_timeout() {
    let test = "a_client_that_takes_nothing_any_more_is_given_up_after_the_timeout";
    if stock().is_none() {
        return skipped(test, "no stock client");
    }
    let own = as_ourselves();
    // What the kernel takes for a client that reads nothing is little, so that the daemon soon feels it.
    let daemon = ours(&format!(
        "use chroot = no\n{own}timeout = 2\nsocket options = SO_SNDBUF=65536\n[m]\npath = {{DIR}}/m\n"
    ));
    std::fs::create_dir_all(daemon.path("m")).unwrap();
    std::fs::write(daemon.path("m/big"), vec![7; 48 << 20]).unwrap();
    let copies = daemon.path("copies");
    std::fs::create_dir_all(&copies).unwrap();
    let mut client = std::process::Command::new("rsync")
        // The daemon sends slowly, so that it is not done when the client stops.
        .args(["-r", "--bwlimit=500", "--sockopts=SO_RCVBUF=65536", "--timeout=0"])
        .args([daemon.url("m/big").into(), copies.join("big")])
        .process_group(0)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("data flows", || copies.read_dir().unwrap().next().is_some());
    let group = rustix::process::Pid::from_child(&client);
    rustix::process::kill_process_group(group, rustix::process::Signal::STOP).unwrap();
    wait_until("it is given up", || daemon.processes() == 1);
    let log = daemon.log();
    assert!(log.contains("timeout in data send/receive (code 30)"), "{log}");
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    client.wait().unwrap();
}
