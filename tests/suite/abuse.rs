//! What strangers do to an open port: connects in a row, silence, trickles, garbage, kills. The daemon serves on, and
//! neither descriptors nor processes nor memory of its listener grow.
//!
//! `SYNCLINE_CONNECTS` says how many connects in a row there are.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "figures for a person")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use syncline_suite::program::Program;
use syncline_suite::sandbox::is_root;
use syncline_suite::torture::random::Random;
use tempfile::TempDir;

const HELLO: &[u8] = b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n";

/// How long anything may take that should happen soon.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    folder: TempDir,
    program: PathBuf,
    process: Child,
    port: u16,
}

/// What a listener holds.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    sessions: usize,
    kibibytes: u64,
}

impl Server {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("m")).unwrap();
        fs::write(at("m/file"), "content").unwrap();
        configure(&folder, settings);
        let program = Program::under_test("rsync", "synclined").unwrap().path;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let process = Self::spawn(&program, &folder, port);
        let server = Self { folder, program, process, port };
        server.wait_until_it_listens();
        server
    }

    fn spawn(program: &PathBuf, folder: &TempDir, port: u16) -> Child {
        Command::new(program)
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={}", folder.path().join("conf").display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("errors")).unwrap())
            .spawn()
            .unwrap()
    }

    /// Other settings for the connections to come.
    fn configure(&self, settings: &str) {
        configure(&self.folder, settings);
    }

    fn wait_until_it_listens(&self) {
        wait_until("the daemon listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        wait_until("that connection is over", || self.holds().sessions == 0);
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection whose greeting has been read.
    fn greeted(&self) -> TcpStream {
        let mut stream = self.connect();
        let line = read_line(&mut stream);
        assert!(line.starts_with("@RSYNCD: 32.0"), "{line}");
        stream
    }

    /// A connection that has entered a module, or why it has not.
    fn entered(&self, module: &str) -> Result<TcpStream, String> {
        let mut stream = self.greeted();
        stream.write_all(&[HELLO, module.as_bytes(), b"\n"].concat()).unwrap();
        let line = read_line(&mut stream);
        if line == "@RSYNCD: OK" { Ok(stream) } else { Err(line) }
    }

    fn serves(&self) {
        let to = tempfile::tempdir().unwrap();
        let client = Program::stock("rsync").unwrap().path;
        let status = Command::new(client)
            .arg("-a")
            .arg(format!("rsync://127.0.0.1:{}/m/file", self.port))
            .arg(to.path())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::read_to_string(to.path().join("file")).unwrap(), "content");
    }

    fn sessions(&self) -> Vec<i32> {
        let pid = self.process.id();
        let text =
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    fn holds(&self) -> Holdings {
        let pid = self.process.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        Holdings {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            sessions: self.sessions().len(),
            kibibytes: anonymous.split_whitespace().next().unwrap().parse().unwrap(),
        }
    }

    /// Still there, with no more than it held.
    fn is_as(&self, before: Holdings, what: &str) {
        // A connection that is being taken has a descriptor for a moment.
        wait_until("sessions and descriptors are as before", || {
            let now = self.holds();
            now.sessions == 0 && now.descriptors == before.descriptors
        });
        let after = self.holds();
        eprintln!("{what}: {before:?} before, {after:?} after");
        assert!(after.kibibytes <= before.kibibytes + 256, "{what}: {before:?} {after:?}");
        self.serves();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configure(folder: &TempDir, settings: &str) {
    let at = |name: &str| folder.path().join(name);
    let owner = if is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let conf = format!(
        "use chroot = no\n{owner}log file = {log}\n{settings}\n[m]\npath = {module}\nread only = no\n\
         [few]\npath = {module}\nmax connections = 1\nlock file = {lock}\n",
        log = at("log").display(),
        module = at("m").display(),
        lock = at("lock").display(),
    );
    fs::write(at("conf"), conf).unwrap();
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn connects_in_a_row_leave_nothing_behind() {
    let server = Server::start("");
    server.serves();
    let count = std::env::var("SYNCLINE_CONNECTS").ok().and_then(|text| text.parse().ok());
    let count: usize = count.unwrap_or(1000);
    let half = |server: &Server| {
        for number in 0..count / 2 {
            // Closed before the greeting, behind it, or behind a list.
            match number % 3 {
                0 => drop(server.connect()),
                1 => drop(server.greeted()),
                _ => {
                    let mut stream = server.greeted();
                    stream.write_all(&[HELLO, b"#list\n"].concat()).unwrap();
                    let mut rest = String::new();
                    stream.read_to_string(&mut rest).unwrap();
                    assert!(rest.ends_with("@RSYNCD: EXIT\n"), "{rest}");
                }
            }
        }
        wait_until("all sessions are over", || server.holds().sessions == 0);
    };
    half(&server);
    let before = server.holds();
    half(&server);
    server.is_as(before, &format!("{count} connects"));
}

#[test]
fn silent_and_half_closed_connections_do_not_keep_others_out() {
    let server = Server::start("");
    server.serves();
    let before = server.holds();
    let silent: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    let half: Vec<TcpStream> = (0..60)
        .map(|_| {
            let stream = server.connect();
            stream.shutdown(Shutdown::Write).unwrap();
            stream
        })
        .collect();
    server.serves();
    drop((silent, half));
    server.is_as(before, "120 silent connections");
}

#[test]
fn a_trickle_does_not_put_off_the_deadline() {
    let server = Server::start("");
    server.serves();
    let before = server.holds();
    // For the trickles alone: on a machine that is busy an honest client may need longer.
    server.configure("timeout = 2");
    let mut stream = server.connect();
    let began = Instant::now();
    // One byte at a time, never a whole line.
    while stream.write_all(b"@").is_ok() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // And behind the door: words that never end.
    if let Ok(mut stream) = server.entered("m") {
        let began = Instant::now();
        while stream.write_all(b"-").is_ok() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }
    server.configure("");
    server.is_as(before, "two trickles");
    let log = fs::read_to_string(server.folder.path().join("log")).unwrap();
    assert_eq!(log.matches("daemon handshake timeout").count(), 2, "{log}");
}

#[test]
fn garbage_at_every_stage_harms_nobody() {
    let server = Server::start("timeout = 5");
    server.serves();
    let mut random = Random::new("garbage");
    let throw = |server: &Server, random: &mut Random, number: usize| {
        let length = 1 + random.below(if number.is_multiple_of(50) { 300_000 } else { 3000 });
        let mut bytes = random.bytes(length);
        // Every stage is reached by some.
        let stage: &[&[u8]] = match number % 8 {
            0 => &[],
            1 => &[b"@RSYNCD: "],
            2 => &[HELLO],
            3 => &[HELLO, b"#early_input=100\n"],
            4 => &[HELLO, b"m\n"],
            5 => &[HELLO, b"m\n", b"--server\0--sender\0-vlogDtpre.iLsfxCIvu\0.\0m/\0\0"],
            6 => &[HELLO, b"m\n", b"--server\0-vlogDtpre.iLsfxCIvu\0--delete\0.\0m/\0\0"],
            _ => &[HELLO, b"m\n", b"--server\0-s\0.\0\0"],
        };
        if number.is_multiple_of(5) {
            // Well-formed words with wild contents.
            for byte in &mut bytes {
                *byte = b"-/.m\0*=:[\\\n0x"[usize::from(*byte) % 13];
            }
        }
        let mut stream = server.connect();
        let all = [stage.concat(), bytes].concat();
        // It may hang up in the middle.
        let _ = stream.write_all(&all);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    };
    (0..80).for_each(|number| throw(&server, &mut random, number));
    wait_until("all sessions are over", || server.holds().sessions == 0);
    let before = server.holds();
    (0..240).for_each(|number| throw(&server, &mut random, number));
    server.is_as(before, "240 lots of garbage");
    let errors = fs::read_to_string(server.folder.path().join("errors")).unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_slot_is_held_by_its_session_alone_whatever_is_killed() {
    let mut server = Server::start("");
    let session = server.entered("few").unwrap();
    let full = "@ERROR: max connections (1) reached -- try again later";
    assert_eq!(server.entered("few").unwrap_err(), full);
    // The listener goes, its session stays, and so does the slot for the next listener.
    let pid = server.sessions()[0];
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    server.process = Server::spawn(&server.program, &server.folder, server.port);
    server.wait_until_it_listens();
    assert_eq!(server.entered("few").unwrap_err(), full);
    // A session that is killed leaves its slot.
    let killed = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();
    drop(session);
    wait_until("the slot is free", || server.entered("few").is_ok());
    server.serves();
}
