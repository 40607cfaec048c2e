//! A daemon of ours or of stock on a free port, and what to say to it.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_synclined");

/// A greeting of the newest version.
pub(crate) const HELLO: &[u8] = b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n";

/// A running daemon with a directory of its own.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) directory: tempfile::TempDir,
}

/// Lines that make a daemon of root serve as root.
pub(crate) fn as_ourselves() -> &'static str {
    if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" }
}

/// Whether stock's program is there.
pub(crate) fn stock() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("rsync")).find(|path| path.is_file())
}

pub(crate) fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Daemon {
    /// Starts `program` with a configuration in which `{DIR}` is the daemon's own directory.
    pub(crate) fn start(program: &Path, configuration: &str) -> Self {
        Self::start_with(program, configuration, |_, _| {})
    }

    pub(crate) fn start_with(
        program: &Path,
        configuration: &str,
        prepare: impl FnOnce(&Path, &mut Command),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let text = configuration.replace("{DIR}", at.to_str().unwrap());
        std::fs::write(at.join("rsyncd.conf"), format!("log file = {}/log\n{text}", at.display()))
            .unwrap();
        let port = free_port();
        let mut command = Command::new(program);
        command
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={}/rsyncd.conf", at.display()))
            .arg(format!("--port={port}"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        prepare(at, &mut command);
        let child = command.spawn().unwrap();
        let daemon = Self { child, port, directory };
        wait_until("the daemon listens", || is_listening(port));
        daemon
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("rsync://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Says something and reads what comes until the daemon closes.
    pub(crate) fn say(&self, words: &[u8]) -> String {
        let mut stream = self.connect();
        // A daemon that has refused us already may have closed.
        let _ = stream.write_all(words);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its processes: itself and its sessions.
    pub(crate) fn processes(&self) -> usize {
        let own = self.child.id();
        let children = format!("/proc/{own}/task/{own}/children");
        1 + std::fs::read_to_string(children).unwrap_or_default().split_whitespace().count()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By the kernel's own table, so that no connection is made.
fn is_listening(port: u16) -> bool {
    let wanted = format!("0100007F:{port:04X} 00000000:0000 0A");
    std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted)
}

pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs stock's client.
pub(crate) fn client(arguments: &[&str]) -> Output {
    Command::new("rsync").args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap()
}
