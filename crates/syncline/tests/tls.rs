//! `rsyncs://`: our client and a stock daemon behind TLS, ours and openssl's.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Daemon, OURS, stock_is_missing};
use syncline_tls::Server;

/// A stock daemon, and a certificate for `localhost`.
struct Scene {
    top: tempfile::TempDir,
    daemon: Daemon,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        if stock_is_missing(test) {
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
                     -subj /CN=localhost -addext subjectAltName=DNS:localhost";
        let certified = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(top.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !certified {
            eprintln!("SKIPPED {test}: needs openssl");
            return None;
        }
        let module = top.path().join("m");
        std::fs::create_dir_all(module.join("sub")).unwrap();
        std::fs::write(module.join("sub/file"), vec![b'x'; 2_000_000]).unwrap();
        let daemon = Daemon::of(top.path(), &module, "");
        Some(Self { top, daemon })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Carries connections to the daemon inside TLS by our own server; the port.
    fn behind_ours(&self) -> u16 {
        self.behind("cert.pem")
    }

    /// The same with another certificate of the same key.
    fn behind(&self, certificate: &str) -> u16 {
        let server = Server::new(&self.path(certificate), &self.path("key.pem")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, daemon) = (listener.local_addr().unwrap().port(), self.daemon.port);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (server, socket) = (server.clone(), socket.unwrap());
                thread::spawn(move || {
                    let (plain, theirs) = UnixStream::pair().unwrap();
                    let onward = TcpStream::connect(("127.0.0.1", daemon)).unwrap();
                    join(plain, onward);
                    // A client that does not trust us ends it.
                    let _ = server.serve(socket, theirs, "the client");
                });
            }
        });
        port
    }

    /// Runs openssl in the scene's directory.
    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(words.split(' ')).current_dir(self.top.path()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    fn ours(&self, trusted: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OURS);
        command.arg(format!("--tls-ca={}", self.path(trusted).display()));
        command.args(words).current_dir(self.top.path()).output().unwrap()
    }
}

/// Copies both ways between two sockets, in the background.
fn join(plain: UnixStream, onward: TcpStream) {
    let (mut from, mut to) = (plain.try_clone().unwrap(), onward.try_clone().unwrap());
    thread::spawn(move || {
        // Either end may be gone first.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (onward, plain);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn lists_pulls_and_pushes_go_through_tls() {
    let Some(scene) = Scene::new("lists_pulls_and_pushes_go_through_tls") else { return };
    let url = format!("rsyncs://localhost:{}/", scene.behind_ours());
    let output = scene.ours("cert.pem", &[&url]);
    assert!(output.status.success() && said(&output).starts_with("m  "), "{}", said(&output));
    let module = format!("{url}m/");
    let output = scene.ours("cert.pem", &["-a", &module, "got/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read(scene.path("got/sub/file")).unwrap().len(), 2_000_000);
    std::fs::write(scene.path("got/new"), vec![b'y'; 1_000_000]).unwrap();
    let output = scene.ours("cert.pem", &["-az", "--delete", "got/", &module]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read(scene.path("m/new")).unwrap().len(), 1_000_000);
}

#[test]
fn a_stock_daemon_behind_openssl_is_reached() {
    let Some(scene) = Scene::new("a_stock_daemon_behind_openssl_is_reached") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-naccept", "1", "-cert", "cert.pem", "-key", "key.pem"])
        .args(["-accept", &format!("127.0.0.1:{port}")])
        .current_dir(scene.top.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let onward = TcpStream::connect(("127.0.0.1", scene.daemon.port)).unwrap();
    let (mut from, mut to) = (server.stdout.take().unwrap(), onward.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (onward, server.stdin.take().unwrap());
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..count]).and_then(|()| to.flush()).is_err() {
                break;
            }
        }
    });
    // It accepts one connection: whether it listens can only be read from the kernel's table.
    let wanted = format!(":{port:04X} ");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted) {
        assert!(Instant::now() < deadline, "openssl does not listen");
        thread::yield_now();
    }
    let url = format!("rsyncs://localhost:{port}/m/");
    let output = scene.ours("cert.pem", &["-a", "-4", &url, "got/"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read(scene.path("got/sub/file")).unwrap().len(), 2_000_000);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn whoever_is_not_trusted_is_not_spoken_to() {
    let Some(scene) = Scene::new("whoever_is_not_trusted_is_not_spoken_to") else { return };
    let port = scene.behind_ours();
    let url = format!("rsyncs://127.0.0.1:{port}/m/");
    let output = scene.ours("cert.pem", &["-a", &url, "got/"]);
    assert_eq!(output.status.code(), Some(10), "{}", said(&output));
    assert!(said(&output).contains("rsync: TLS with 127.0.0.1"), "{}", said(&output));
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(OURS);
        command.args(["-a", &url, "got/"]).current_dir(scene.top.path());
        command.env_remove("RSYNC_SSL_CA_CERT").envs(variables.iter().copied()).output().unwrap()
    };
    assert_eq!(run(&[]).status.code(), Some(10), "the system does not know the certificate");
    let named = [("RSYNC_SSL_CA_CERT", "cert.pem")];
    assert_eq!(run(&named).status.code(), Some(10), "another name");
    let output = run(&[named[0], ("RSYNC_SSL_SKIP_HOSTNAME_CHECK", "1")]);
    assert!(output.status.success(), "{}", said(&output));
    let output = run(&[("RSYNC_SSL_CA_CERT", "")]);
    assert!(output.status.success(), "{}", said(&output));
    let output = scene.ours("missing.pem", &["-a", &url, "got/"]);
    assert!(said(&output).contains("missing.pem"), "{}", said(&output));
    let plain = format!("rsyncs://localhost:{}/m/", scene.daemon.port);
    let output = scene.ours("cert.pem", &["-a", "--timeout=20", &plain, "got/"]);
    assert_eq!(output.status.code(), Some(10), "no TLS there: {}", said(&output));
}

#[test]
fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
    let Some(scene) = Scene::new("what_is_wrong_with_a_server_is_said_with_what_to_do") else {
        return;
    };
    scene.openssl("req -new -key key.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost -out request.pem");
    let late = "x509 -req -in request.pem -signkey key.pem -copy_extensions copy";
    scene.openssl(&format!("{late} -days -1 -out expired.pem"));
    scene.openssl(&format!("{late} -days 2 -out renewed.pem"));
    let ask = |trusted: &str, host: &str, port: u16| {
        let url = format!("rsyncs://{host}:{port}/m/");
        let output = scene.ours(trusted, &["--timeout=20", &url]);
        assert_eq!(output.status.code(), Some(10), "{}", said(&output));
        said(&output)
    };
    let valid = scene.behind("cert.pem");
    let unknown = ask("renewed.pem", "localhost", valid);
    assert!(unknown.contains("name its authority") && unknown.contains("--tls-ca="), "{unknown}");
    let other = ask("cert.pem", "127.0.0.1", valid);
    assert!(other.contains("\"127.0.0.1\"") && other.contains("for another name"), "{other}");
    let outdated = scene.behind("expired.pem");
    for trusted in ["expired.pem", "cert.pem"] {
        let expired = ask(trusted, "localhost", outdated);
        assert!(expired.contains("has expired: its operator has to renew it"), "{expired}");
    }
    let plain = ask("cert.pem", "localhost", scene.daemon.port);
    assert!(plain.contains("nobody speaks TLS at this port"), "{plain}");
}

#[test]
fn a_stock_daemon_behind_stunnel_is_reached() {
    let name = "a_stock_daemon_behind_stunnel_is_reached";
    let Some(scene) = Scene::new(name) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "foreground = yes\npid =\n[m]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{}\ncert = {}\nkey = {}\n",
        scene.daemon.port,
        scene.path("cert.pem").display(),
        scene.path("key.pem").display()
    );
    std::fs::write(scene.path("stunnel.conf"), text).unwrap();
    let mut command = Command::new("stunnel");
    command.arg(scene.path("stunnel.conf")).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(mut stunnel) = command.stdout(Stdio::null()).spawn() else {
        eprintln!("SKIPPED {name}: needs stunnel");
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "stunnel does not listen");
        thread::yield_now();
    }
    let url = format!("rsyncs://localhost:{port}/m/");
    let pulled = scene.ours("cert.pem", &["-a", &url, "got/"]);
    std::fs::write(scene.path("got/new"), vec![b'y'; 1_000_000]).unwrap();
    let pushed = scene.ours("cert.pem", &["-az", "got/", &url]);
    stunnel.kill().unwrap();
    stunnel.wait().unwrap();
    assert!(pulled.status.success(), "{}", said(&pulled));
    assert!(pushed.status.success(), "{}", said(&pushed));
    assert_eq!(std::fs::read(scene.path("m/new")).unwrap().len(), 1_000_000);
}
