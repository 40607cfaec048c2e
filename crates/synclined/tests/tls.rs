//! `tls cert` and `tls key`: our daemon behind TLS, with openssl and the stock client at the other end.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Daemon, HELLO, OURS, as_ourselves, skipped, stock};
use syncline_tls::{Client, Trust, Tunnel};

/// A key and a certificate for `localhost` in the daemon's directory; false where openssl is missing.
fn certify(directory: &Path) -> bool {
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
                 -subj /CN=localhost -addext subjectAltName=DNS:localhost";
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).current_dir(directory);
    command.output().is_ok_and(|output| output.status.success())
}

const TLS: &str = "tls cert = {DIR}/cert.pem\ntls key = {DIR}/key.pem\n";

/// A daemon with a module `m` behind TLS.
fn daemon(test: &str) -> Option<Daemon> {
    let mut able = true;
    let configuration = format!(
        "{TLS}[m]\npath = {{DIR}}/m\nread only = false\nuse chroot = false\n{}",
        as_ourselves()
    );
    let daemon = Daemon::start_with(Path::new(OURS), &configuration, |directory, _| {
        able = certify(directory);
        std::fs::create_dir(directory.join("m")).unwrap();
        std::fs::write(directory.join("m/file"), vec![b'x'; 3_000_000]).unwrap();
    });
    if !able {
        skipped(test, "needs openssl");
    }
    able.then_some(daemon)
}

fn tunnel(daemon: &Daemon) -> Tunnel {
    let trust = Trust { authorities: Some(daemon.path("cert.pem")), ..Trust::default() };
    let socket = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    Client::new(&trust).unwrap().connect(socket, "localhost").unwrap()
}

#[test]
fn a_list_of_modules_comes_through_the_tunnel_and_the_end_of_it_too() {
    let Some(daemon) = daemon("a_list_of_modules_comes_through_the_tunnel") else { return };
    let Tunnel { mut stream, relay } = tunnel(&daemon);
    stream.write_all(HELLO).unwrap();
    stream.write_all(b"#list\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains("m              \t"), "{said}");
    assert!(said.ends_with("@RSYNCD: EXIT\n"), "{said}");
    drop(stream);
    relay.finish();
}

#[test]
fn the_stock_client_pulls_and_pushes_through_openssl() {
    let name = "the_stock_client_pulls_and_pushes_through_openssl";
    let Some(daemon) = daemon(name) else { return };
    let Some(stock) = stock() else { return skipped(name, "needs rsync") };
    let program = format!(
        "openssl s_client -quiet -verify_quiet -verify_return_error -verify_hostname localhost -CAfile {} -connect %H:{}",
        daemon.path("cert.pem").display(),
        daemon.port
    );
    let run = |words: &[PathBuf]| {
        let mut command = Command::new(&stock);
        command.arg("-a").args(words).env("RSYNC_CONNECT_PROG", &program);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let url = PathBuf::from("rsync://127.0.0.1/m/");
    run(&[url.clone(), daemon.path("got")]);
    assert_eq!(std::fs::read(daemon.path("got/file")).unwrap().len(), 3_000_000);
    std::fs::write(daemon.path("got/new"), "new").unwrap();
    run(&[daemon.path("got/new"), url]);
    assert_eq!(std::fs::read_to_string(daemon.path("m/new")).unwrap(), "new");
}

#[test]
fn the_stock_helper_reaches_it() {
    let name = "the_stock_helper_reaches_it";
    let Some(daemon) = daemon(name) else { return };
    let got = daemon.path("got");
    let mut command = Command::new("rsync-ssl");
    command.args(["--type=openssl", "-a"]);
    command.arg(format!("rsync://localhost:{}/m/", daemon.port)).arg(&got);
    let Ok(output) = command.env("RSYNC_SSL_CA_CERT", daemon.path("cert.pem")).output() else {
        return skipped(name, "needs rsync-ssl");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(got.join("file")).unwrap().len(), 3_000_000);
}

#[test]
fn who_speaks_without_tls_hears_nothing_and_the_log_says_why() {
    let Some(daemon) = daemon("who_speaks_without_tls_hears_nothing") else { return };
    let answer = daemon.say(HELLO);
    assert!(!answer.contains("@RSYNCD"), "{answer}");
    common::wait_until("the log names the reason", || daemon.log().contains("TLS with 127.0.0.1"));
}

#[test]
fn a_certificate_that_cannot_be_used_serves_nobody_and_is_a_problem_of_the_configuration() {
    let daemon = Daemon::start(Path::new(OURS), &format!("{TLS}[m]\npath = {{DIR}}\n"));
    let answer = daemon.say(HELLO);
    assert!(!answer.contains("@RSYNCD"), "{answer}");
    assert!(daemon.log().contains("cert.pem"), "{}", daemon.log());
    let output = Command::new(OURS)
        .arg("--check-config")
        .arg(format!("--config={}", daemon.path("rsyncd.conf").display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no client is served"), "{text}");
}
