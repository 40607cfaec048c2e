//! The daemon's life: start, readiness, reload, end, sockets of a service manager, questions about its configuration.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Daemon, HELLO, OURS, free_port, wait_until};
use rustix::process::Signal;

fn ours(configuration: &str) -> Daemon {
    Daemon::start(Path::new(OURS), configuration)
}

#[test]
fn a_detached_start_returns_when_the_daemon_listens() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    std::fs::write(
        directory.path().join("conf"),
        format!("pid file = {at}/pid\nlog file = {at}/log\n[m]\npath = /\n"),
    )
    .unwrap();
    let port = free_port();
    let start = || {
        Command::new(OURS)
            .args(["--daemon", "--address=127.0.0.1"])
            .arg(format!("--config={at}/conf"))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let first = start();
    assert!(first.status.success(), "{first:?}");
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(HELLO).unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"@RSYNCD: ");
    // Unlike stock's, the command that cannot start says so and fails.
    let second = start();
    assert_eq!(second.status.code(), Some(11));
    assert!(String::from_utf8_lossy(&second.stderr).contains("failed to lock pid file"));
    let pid: i32 =
        std::fs::read_to_string(directory.path().join("pid")).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    wait_until("the pid file is gone", || !directory.path().join("pid").exists());
}

#[test]
fn a_service_manager_hears_of_readiness_and_reload() {
    let mut socket = None;
    let mut daemon = Daemon::start_with(Path::new(OURS), "[m]\npath = /\n", |at, command| {
        let name = at.join("notify");
        socket = Some(UnixDatagram::bind(&name).unwrap());
        command.env("NOTIFY_SOCKET", name);
    });
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(hear().starts_with("READY=1"));
    daemon.signal(Signal::HUP);
    assert!(hear().starts_with("RELOADING=1"));
    assert_eq!(hear(), "READY=1");
    assert!(daemon.say(&[HELLO, b"#list\n"].concat()).contains("@RSYNCD: EXIT"));
    daemon.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stop_by_the_service_manager_waits_for_sessions() {
    let mut daemon = Daemon::start_with(Path::new(OURS), "[m]\npath = /\n", |at, command| {
        command.env("NOTIFY_SOCKET", at.join("nobody"));
    });
    let mut held = daemon.connect();
    held.write_all(HELLO).unwrap();
    wait_until("the session runs", || daemon.processes() == 2);
    daemon.signal(Signal::TERM);
    let port = daemon.port;
    wait_until("it listens no more", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(daemon.child.try_wait().unwrap().is_none());
    held.write_all(b"#list\n").unwrap();
    let mut answer = String::new();
    held.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("@RSYNCD: EXIT\n"), "{answer}");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

#[test]
fn sockets_of_a_service_manager_are_served() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let configuration = format!("log file = {at}/log\n[handed]\npath = /\n");
    std::fs::write(directory.path().join("conf"), configuration).unwrap();
    // The shell puts the socket where a service manager does.
    let script = format!(
        "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {OURS} --daemon --no-detach --config={at}/conf"
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&[HELLO, b"#list\n"].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.contains("handed         \t\n"), "{answer}");
}

#[test]
fn the_configuration_is_checked_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conf");
    let name = file.display();
    std::fs::write(
        &file,
        "hosts alow = 10.0.0.0/8\n[m]\npath = /no/such/place\nincoming chmod = zzz\ncharset = latin1\nrefuse options = nonsense\n",
    )
    .unwrap();
    let check = |path: &Path| {
        let config = format!("--config={}", path.display());
        Command::new(OURS).args(["-t", &config]).stdin(Stdio::null()).output().unwrap()
    };
    let outcome = check(&file);
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert_eq!(outcome.status.code(), Some(1), "{text}");
    for part in [
        format!("{name}:1: unknown parameter `hosts alow` is ignored: did you mean `hosts allow`?"),
        format!("{name}:3: `path`: /no/such/place: No such file or directory (2)"),
        format!("{name}:4: `incoming chmod`: zzz is no change of mode"),
        format!("{name}:5: `charset` is not performed by this version of Syncline"),
        format!("{name}:6: `refuse options`: no option is called nonsense"),
    ] {
        assert!(text.contains(&part), "{part}\nis missing in\n{text}");
    }
    let outcome = Command::new(OURS)
        .args(["--print-config", &format!("--config={name}")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&outcome.stdout).contains("path = /no/such/place"));
}

#[test]
fn the_sample_configuration_is_sound_and_starts() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/rsyncd.conf");
    let outcome = Command::new(OURS)
        .args(["--check-config", &format!("--config={}", sample.display())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    let text = std::fs::read_to_string(sample).unwrap();
    let text = text.replace("/run/synclined.pid", "{DIR}/pid");
    let daemon = ours(&text);
    assert!(daemon.say(&[HELLO, b"#list\n"].concat()).ends_with("@RSYNCD: EXIT\n"));
}

#[test]
fn the_log_can_be_json() {
    let daemon = ours("log json = yes\n[m]\npath = /\n");
    daemon.say(&[HELLO, b"nosuch\n"].concat());
    let found = || daemon.log().contains("unknown module 'nosuch'");
    wait_until("the line is there", found);
    for line in daemon.log().lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
}

#[test]
fn the_help_begins_with_the_release_that_scripts_look_for() {
    let output = Command::new(OURS).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("rsync  version 3.5.0  protocol version 32\nThis is Syncline "),
        "{text}"
    );
}
