//! Tunnels between our two ends, and with openssl at the other one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use syncline_tls::{Client, Error, Server, Trust, Tunnel, Verification};

/// Keys and certificates, made by openssl: an authority, and one that it signed for `localhost`.
struct Papers(tempfile::TempDir);

impl Papers {
    fn new(test: &str) -> Option<Self> {
        let papers = Self(tempfile::tempdir().unwrap());
        let made = papers.make(&[
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out cert.pem",
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.pem -days 2 \
             -subj /CN=localhost -addext subjectAltName=DNS:localhost",
        ]);
        if !made {
            eprintln!("SKIPPED {test}: needs openssl 3");
        }
        made.then_some(papers)
    }

    fn make(&self, lines: &[&str]) -> bool {
        lines.iter().all(|line| {
            let mut command = Command::new("openssl");
            command.args(line.split_whitespace()).current_dir(self.0.path());
            command.output().is_ok_and(|output| output.status.success())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn trusting(&self, name: &str) -> Trust {
        Trust { authorities: Some(self.path(name)), ..Trust::default() }
    }

    fn server(&self) -> Server {
        Server::new(&self.path("cert.pem"), &self.path("key.pem")).unwrap()
    }
}

/// Accepts one connection and answers by `answer`; the port.
fn serve(server: Server, answer: impl FnOnce(UnixStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let (plain, theirs) = UnixStream::pair().unwrap();
        let relay = thread::spawn(move || server.serve(socket, theirs, "the client"));
        answer(plain);
        let _ = relay.join().unwrap();
    });
    port
}

fn connect(trust: &Trust, port: u16, name: &str) -> Result<Tunnel, Error> {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    Client::new(trust)?.connect(socket, name)
}

fn echo(mut plain: UnixStream) {
    let mut all = Vec::new();
    plain.read_to_end(&mut all).unwrap();
    plain.write_all(&all).unwrap();
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn megabytes_go_both_ways_and_each_end_hears_the_other_one_end() {
    let Some(papers) = Papers::new("megabytes_go_both_ways") else { return };
    let port = serve(papers.server(), echo);
    let Tunnel { mut stream, relay } =
        connect(&papers.trusting("ca.pem"), port, "localhost").unwrap();
    let sent = noise(5_000_000);
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert!(back == sent, "{} bytes back", back.len());
    drop(stream);
    relay.finish();
}

/// Bursts of every size around the relay's bounds, with an answer awaited after each: nothing may be left lying in it.
#[test]
fn nothing_is_left_lying_when_a_burst_ends() {
    let Some(papers) = Papers::new("nothing_is_left_lying_when_a_burst_ends") else { return };
    let sizes: Vec<usize> =
        (0..12).flat_map(|n| [60_000 + n * 1_111, 16_384 * (n + 1), 1]).collect();
    let theirs = sizes.clone();
    let port = serve(papers.server(), move |mut plain| {
        for size in theirs {
            let mut all = vec![0; size];
            plain.read_exact(&mut all).unwrap();
            plain.write_all(&all).unwrap();
        }
    });
    let Tunnel { mut stream, relay } =
        connect(&papers.trusting("ca.pem"), port, "localhost").unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    for size in sizes {
        let sent = noise(size);
        let mut writer = stream.try_clone().unwrap();
        let copy = sent.clone();
        let writing = thread::spawn(move || writer.write_all(&copy).unwrap());
        let mut back = vec![0; size];
        stream.read_exact(&mut back).unwrap();
        assert!(back == sent, "{size}");
        writing.join().unwrap();
    }
    drop(stream);
    relay.finish();
}

#[test]
fn what_was_written_arrives_though_the_stream_is_closed_at_once() {
    let Some(papers) = Papers::new("what_was_written_arrives") else { return };
    let (tell, heard) = std::sync::mpsc::channel();
    let port = serve(papers.server(), move |mut plain| {
        let mut all = Vec::new();
        plain.read_to_end(&mut all).unwrap();
        tell.send(all.len()).unwrap();
    });
    let Tunnel { mut stream, relay } =
        connect(&papers.trusting("ca.pem"), port, "localhost").unwrap();
    stream.write_all(&noise(100_000)).unwrap();
    drop(stream);
    relay.finish();
    assert_eq!(heard.recv().unwrap(), 100_000);
}

#[test]
fn a_peer_is_taken_only_with_the_right_certificate_and_name() {
    let Some(papers) = Papers::new("a_peer_is_taken_only_with_the_right_certificate") else {
        return;
    };
    let own = || Server::new(&papers.path("self.pem"), &papers.path("self.key")).unwrap();
    let with = |trust: Trust, verification| Trust { verification, ..trust };
    let (full, chain, none) = (Verification::Full, Verification::ChainOnly, Verification::None);
    for (server, file, verification, name, taken) in [
        (papers.server(), "ca.pem", full, "localhost", true),
        (papers.server(), "ca.pem", full, "127.0.0.1", true),
        (papers.server(), "ca.pem", full, "example.com", false),
        (papers.server(), "ca.pem", chain, "example.com", true),
        (papers.server(), "self.pem", full, "localhost", false),
        (papers.server(), "self.pem", chain, "localhost", false),
        (papers.server(), "self.pem", none, "example.com", true),
        (own(), "self.pem", full, "localhost", true),
        (own(), "self.pem", full, "example.com", false),
        (own(), "ca.pem", full, "localhost", false),
    ] {
        let port = serve(server, drop);
        let outcome = connect(&with(papers.trusting(file), verification), port, name);
        match outcome {
            Ok(_) => assert!(taken, "{file} {verification:?} {name}"),
            Err(error @ Error::Handshake { .. }) => {
                assert!(!taken, "{file} {verification:?} {name}: {error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    let port = serve(papers.server(), drop);
    let unknown = connect(&Trust::default(), port, "localhost");
    assert!(
        matches!(unknown, Err(Error::Handshake { .. } | Error::NoRoots(_))),
        "the system knows nothing of our authority"
    );
}

#[test]
fn openssl_talks_to_our_server() {
    let Some(papers) = Papers::new("openssl_talks_to_our_server") else { return };
    for version in ["-tls1_2", "-tls1_3"] {
        let port = serve(papers.server(), |mut plain| {
            let mut line = String::new();
            BufReader::new(&plain).read_line(&mut line).unwrap();
            plain.write_all(line.to_uppercase().as_bytes()).unwrap();
        });
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", version, "-CAfile"])
            .arg(papers.path("ca.pem"))
            .args(["-connect", &format!("localhost:{port}"), "-4"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        client.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        let mut said = String::new();
        client.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "HELLO\n", "{version}");
        client.wait().unwrap();
    }
}

#[test]
fn files_that_are_missing_or_hold_something_else_are_named() {
    let nowhere = Path::new("/nonexistent/cert.pem");
    let error = Server::new(nowhere, nowhere).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/cert.pem"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "nothing").unwrap();
    let trust = Trust { authorities: Some(file.path().into()), ..Trust::default() };
    assert!(matches!(Client::new(&trust), Err(Error::File { .. })));
}

/// A client that says something else than TLS is told so in an error, not in a panic or a wait.
#[test]
fn a_client_without_tls_is_refused() {
    let Some(papers) = Papers::new("a_client_without_tls_is_refused") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"@RSYNCD: 32.0\n").unwrap();
    let (socket, _) = listener.accept().unwrap();
    let (_plain, theirs) = UnixStream::pair().unwrap();
    let error = papers.server().serve(socket, theirs, "the client").unwrap_err();
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
}
