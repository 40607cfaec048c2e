//! Peers that stall, lie or talk nonsense: a client's run with one ends within a bound, with an error that says so, a
//! bounded memory, and nothing written but in its destination.
//!
//! The peers speak version 29, whose lists are the simplest (docs/spec filelist.md 4, session.md 4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use syncline_suite::daemon::Daemon;
use syncline_suite::program::{Program, Side};
use syncline_suite::sandbox::{Outcome, Sandbox, finish};
use syncline_suite::torture::random::Random;

/// How long a run may take that should end by itself.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory that a client with a hostile peer gets by with, in KiB of data.
const MEMORY: u32 = 400_000;

/// A directory for a file's mode, and a plain file's.
const FOLDER: i32 = 0o040_755;
const FILE: i32 = 0o100_644;

/// What a false daemon does once the client has got as far.
#[derive(Clone, Debug)]
enum Then {
    /// Says nothing.
    Stalls,
    /// Says this and ends.
    Says(Vec<u8>),
    /// Says this, and then nothing more.
    SaysAndStalls(Vec<u8>),
}

/// How far the dialogue goes as it should.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Until {
    Connected,
    Greeted,
    Admitted,
    /// The terms are settled; frames follow.
    Settled,
}

/// A daemon that serves one client wrongly.
struct FalseDaemon {
    port: u16,
    thread: JoinHandle<()>,
}

impl FalseDaemon {
    fn start(until: Until, then: Then) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // The client may have gone away at any point.
            let _ = Self::serve(stream, until, &then);
        });
        Self { port, thread }
    }

    fn serve(mut stream: TcpStream, until: Until, then: &Then) -> std::io::Result<()> {
        stream.set_read_timeout(Some(LIMIT))?;
        let mut input = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        if until >= Until::Greeted {
            stream.write_all(b"@RSYNCD: 29.0\n")?;
            input.read_line(&mut line)?;
            input.read_line(&mut line)?;
        }
        if until >= Until::Admitted {
            stream.write_all(b"@RSYNCD: OK\n")?;
            let mut words = Vec::new();
            while words != b"\n" && words != b"\0" {
                words.clear();
                if input.read_until(b'\n', &mut words)? == 0 {
                    return Ok(());
                }
            }
        }
        if until >= Until::Settled {
            stream.write_all(&[1, 0, 0, 0])?;
        }
        if let Then::Says(bytes) | Then::SaysAndStalls(bytes) = then {
            stream.write_all(bytes)?;
        }
        if matches!(then, Then::Says(_)) {
            stream.shutdown(Shutdown::Write)?;
        }
        // To the client's end, so that nothing is lost by a reset.
        input.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

/// A directory `to` for a client to fill.
struct Scene {
    sandbox: Sandbox,
    client: Program,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new(false).unwrap();
        fs::create_dir(sandbox.path().join("to")).unwrap();
        Self { sandbox, client: Program::under_test("rsync", "syncline").unwrap() }
    }

    /// A pull, within bounds of time and memory.
    fn pull(&self, until: Until, then: Then, words: &[&str]) -> Outcome {
        let what = format!("{until:?} {then:.200?}");
        let daemon = FalseDaemon::start(until, then);
        let mut command = self.sandbox.command("/bin/sh");
        command
            .args(["-c", &format!("ulimit -d {MEMORY}; exec \"$@\""), "sh"])
            .arg(&self.client.path)
            .args(words)
            .arg(format!("rsync://127.0.0.1:{}/m/", daemon.port))
            .arg("to/");
        let outcome = finish(&mut command, b"", LIMIT).unwrap();
        daemon.thread.join().unwrap();
        assert!(!outcome.timed_out, "{what} hangs: {outcome:?}");
        // Not by a signal, and not without a word.
        assert!(outcome.code.is_some_and(|code| code > 0), "{what}: {outcome:?}");
        assert!(!outcome.stderr.is_empty(), "{what}: {outcome:?}");
        let text = String::from_utf8_lossy(&outcome.stderr);
        assert!(!text.contains("panicked"), "{what}: {text}");
        let names: Vec<_> = fs::read_dir(self.sandbox.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{what}: {names:?}");
        outcome
    }
}

/// A frame of data.
fn data(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in bytes.chunks(0xff_ffff) {
        all.extend((chunk.len() as u32 | 7 << 24).to_le_bytes());
        all.extend_from_slice(chunk);
    }
    all
}

/// An entry of a list.
fn entry(name: &[u8], mode: i32, size: i32) -> Vec<u8> {
    // A long name, the same owner and group.
    let mut all = vec![0x40 | 0x10 | 0x08];
    all.extend((name.len() as i32).to_le_bytes());
    all.extend_from_slice(name);
    all.extend(size.to_le_bytes());
    all.extend(1_000_000_000_i32.to_le_bytes());
    all.extend(mode.to_le_bytes());
    all
}

/// A whole list, with the count of errors behind it.
fn list(entries: &[Vec<u8>]) -> Vec<u8> {
    data(&[&entries.concat()[..], &[0], &[0; 4]].concat())
}

#[test]
fn a_silent_peer_is_given_up_after_the_timeout() {
    let scene = Scene::new();
    let begun = list(&[entry(b".", FOLDER, 0), entry(b"f", FILE, 100)]);
    for (until, then) in [
        (Until::Connected, Then::Stalls),
        (Until::Greeted, Then::Stalls),
        (Until::Admitted, Then::Stalls),
        (Until::Settled, Then::Stalls),
        (Until::Settled, Then::SaysAndStalls(begun[..begun.len() - 7].to_vec())),
        (Until::Settled, Then::SaysAndStalls(begun.clone())),
    ] {
        let began = Instant::now();
        let outcome = scene.pull(until, then, &["-r", "--timeout=1"]);
        assert_eq!(outcome.code, Some(30), "{until:?}: {outcome:?}");
        let text = String::from_utf8_lossy(&outcome.stderr);
        assert!(text.contains("io timeout after 1 seconds -- exiting"), "{until:?}: {text}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{until:?}: {:?}", began.elapsed());
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let scene = Scene::new();
    let outside = scene.sandbox.path().join("outside");
    let absolute = outside.as_os_str().as_encoded_bytes();
    let names = [&b"../outside"[..], b"a/../../outside", absolute, b"..", b"../../outside"];
    for name in names {
        for mode in [FILE, FOLDER] {
            let bytes = list(&[entry(b".", FOLDER, 0), entry(name, mode, 10)]);
            let outcome = scene.pull(Until::Settled, Then::Says(bytes), &["-r"]);
            let text = String::from_utf8_lossy(&outcome.stderr);
            assert!(text.contains("unsafe"), "{}: {text}", name.escape_ascii());
            assert_eq!(outcome.code, Some(4), "{}: {text}", name.escape_ascii());
            assert_eq!(fs::read_dir(scene.sandbox.path().join("to")).unwrap().count(), 0);
        }
    }
}

#[test]
fn lengths_beyond_reason_are_refused_before_anything_is_reserved() {
    let scene = Scene::new();
    let name = |length: i32| {
        let mut all = vec![0x40 | 0x10 | 0x08];
        all.extend(length.to_le_bytes());
        all.extend([b'a'; 8000]);
        data(&all)
    };
    let begun = list(&[entry(b".", FOLDER, 0), entry(b"f", FILE, 100)]);
    // The item that was asked for, with sums that cannot be.
    let item = |sums: [i32; 4]| {
        let mut all = 1_i32.to_le_bytes().to_vec();
        all.extend([0x00, 0x80]);
        for field in sums {
            all.extend(field.to_le_bytes());
        }
        all.extend([b'x'; 1000]);
        [begun.clone(), data(&all)].concat()
    };
    let token = |length: i32| {
        let mut all = 1_i32.to_le_bytes().to_vec();
        all.extend([0x00, 0x80]);
        all.extend([0; 16]);
        all.extend(length.to_le_bytes());
        all.extend([b'x'; 1000]);
        [begun.clone(), data(&all)].concat()
    };
    let cases = [
        (name(i32::MAX), 22, "overflow: xflags=0x58 l1=0 l2=2147483647 lastname="),
        (name(-1), 22, "overflow: xflags=0x58 l1=0 l2=-1 lastname="),
        (name(4096), 22, "overflow: xflags=0x58 l1=0 l2=4096 lastname="),
        (
            list(&[entry(b".", FOLDER, 0), entry(b"f", FILE, -2)]),
            4,
            "Offset underflow: file-length is negative",
        ),
        (vec![0xff, 0xff, 0xff, 0xff], 12, "unexpected tag -8"),
        (vec![0xff, 0xff, 0xff, 9], 12, "multiplexing overflow 2:16777215"),
        (item([i32::MAX, 700, 16, 0]), 12, "rsync: connection unexpectedly closed"),
        (item([-1, 700, 16, 0]), 2, "Invalid checksum count -1"),
        (item([1, i32::MAX, 16, 0]), 2, "Invalid block length 2147483647"),
        (item([1, 700, 100, 0]), 2, "Invalid checksum length 100"),
        (token(i32::MAX), 12, "rsync: connection unexpectedly closed"),
        (token(i32::MIN), 2, "Invalid block index 2147483647 (count=0)"),
        (
            [begun.clone(), data(&[0xff, 0, 0, 0, 0, 0x80])].concat(),
            2,
            "File-list index 255 not in -1 - 1",
        ),
    ];
    for (bytes, code, words) in cases {
        let outcome = scene.pull(Until::Settled, Then::Says(bytes), &["-r"]);
        let text = String::from_utf8_lossy(&outcome.stderr);
        assert!(text.starts_with(words), "{words}: {text}");
        assert_eq!(outcome.code, Some(code), "{words}: {text}");
        let left = fs::read_dir(scene.sandbox.path().join("to")).unwrap().count();
        assert_eq!(left, 0, "{words}");
    }
}

#[test]
fn a_peer_that_goes_away_anywhere_is_told() {
    let scene = Scene::new();
    let whole = list(&[entry(b".", FOLDER, 0), entry(b"f", FILE, 100)]);
    for length in 0..=whole.len() {
        let outcome = scene.pull(Until::Settled, Then::Says(whole[..length].to_vec()), &["-r"]);
        assert_eq!(outcome.code, Some(12), "{length}: {outcome:?}");
    }
    for until in [Until::Connected, Until::Greeted, Until::Admitted] {
        let outcome = scene.pull(until, Then::Says(Vec::new()), &["-r"]);
        assert!([5, 10, 12].contains(&outcome.code.unwrap()), "{until:?}: {outcome:?}");
    }
}

#[test]
fn garbage_at_every_stage_ends_the_client() {
    let scene = Scene::new();
    let mut random = Random::new("garbage for clients");
    for number in 0..60 {
        let length = 1 + random.below(if number % 10 == 0 { 300_000 } else { 2000 });
        let bytes = random.bytes(length);
        let stage = number % 6;
        if stage > 3 && scene.client.side == Side::Stock {
            // Stock's own program goes on with some nonsense in frames until it is killed.
            continue;
        }
        let (until, bytes) = match stage {
            0 => (Until::Connected, bytes),
            1 => (Until::Greeted, bytes),
            2 => (Until::Admitted, bytes),
            3 => (Until::Settled, bytes),
            4 => (Until::Settled, data(&bytes)),
            _ => {
                let begun = list(&[entry(b".", FOLDER, 0), entry(b"f", FILE, 100)]);
                (Until::Settled, [begun, data(&bytes)].concat())
            }
        };
        let outcome = scene.pull(until, Then::Says(bytes), &["-r", "--timeout=10"]);
        // Who talks nonsense has not even begun to send files.
        if stage < 4 {
            let code = outcome.code.unwrap();
            assert!([2, 5, 10, 12].contains(&code), "{until:?}: {outcome:?}");
            let left = fs::read_dir(scene.sandbox.path().join("to")).unwrap().count();
            assert_eq!(left, 0, "{until:?}: {outcome:?}");
        }
    }
}

/// A client of version 29 in a daemon's module `m`, with the words of a push; the settings are the module's.
fn false_client(sandbox: &Sandbox, settings: &str) -> (Daemon, TcpStream) {
    let program = Program::under_test("rsync", "synclined").unwrap().path;
    let (module, files) = (sandbox.path().join("to"), sandbox.path().join("files"));
    fs::create_dir_all(&module).unwrap();
    fs::create_dir_all(&files).unwrap();
    let daemon = Daemon::start_with(&program, &module, &files, settings).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let words = b"@RSYNCD: 29.0\nm\n--server\n-r\n.\nm/\n\n";
    stream.write_all(words).unwrap();
    (daemon, stream)
}

/// What the daemon says to the end, and its log then.
fn ending(sandbox: &Sandbox, daemon: &Daemon, mut stream: TcpStream) -> (String, String) {
    let mut answer = Vec::new();
    // It may reset the connection.
    let _ = stream.read_to_end(&mut answer);
    drop(stream);
    let log = sandbox.path().join("files").join(format!("daemon-{}.log", daemon.port));
    (String::from_utf8_lossy(&answer).into_owned(), fs::read_to_string(log).unwrap())
}

#[test]
fn a_silent_client_is_given_up_by_the_daemon() {
    let begun = [entry(b".", FOLDER, 0), entry(b"f", FILE, 100)].concat();
    for said in [&b""[..], &begun[..9], &[&begun[..], &[0; 5]].concat()] {
        let sandbox = Sandbox::new(false).unwrap();
        let (daemon, mut stream) = false_client(&sandbox, "timeout = 1\n");
        stream.write_all(said).unwrap();
        let (_, log) = ending(&sandbox, &daemon, stream);
        assert!(log.contains("io timeout after 1 seconds -- exiting"), "{log}");
        assert!(log.contains("rsync error: timeout in data send/receive (code 30)"), "{log}");
    }
}

#[test]
fn names_that_lead_out_of_a_module_are_refused() {
    for name in [&b"../outside"[..], b"a/../../outside", b"/../outside", b".."] {
        for mode in [FILE, FOLDER] {
            let sandbox = Sandbox::new(false).unwrap();
            let (daemon, mut stream) = false_client(&sandbox, "");
            let list = [entry(b".", FOLDER, 0), entry(name, mode, 10)].concat();
            stream.write_all(&[&list[..], &[0; 5]].concat()).unwrap();
            let (answer, log) = ending(&sandbox, &daemon, stream);
            let shown = name.escape_ascii();
            assert!(log.contains("unsafe"), "{shown}: {log}");
            assert!(answer.contains("unsafe"), "{shown}: {answer}");
            assert!(!sandbox.path().join("outside").exists(), "{shown}");
            assert_eq!(fs::read_dir(sandbox.path().join("to")).unwrap().count(), 0, "{shown}");
        }
    }
}

#[test]
fn a_silent_client_is_given_up_by_a_server_behind_a_shell() {
    let sandbox = Sandbox::new(false).unwrap();
    let program = Program::under_test("rsync", "syncline").unwrap().path;
    let mut server = sandbox.command(program);
    server.args(["--server", "-r", "--timeout=1", ".", "to/"]);
    let mut server =
        server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.stdin.as_mut().unwrap().write_all(&[29, 0, 0, 0]).unwrap();
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = server.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it waits for ever");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(30));
    drop(server);
}
