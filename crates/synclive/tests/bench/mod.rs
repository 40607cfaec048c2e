//! The program under test, and stock daemons for it.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)] // Each test file uses its part; helpers are as tests.

#[path = "../../../live/tests/bench/daemon.rs"]
pub(crate) mod daemon;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) use daemon::{Daemon, stock_is_missing, until};

/// Runs the program to its end.
pub(crate) fn synclive<I: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synclive")).args(words).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a `source`, a place for state, and programs that end with it.
pub(crate) struct Bench {
    pub(crate) top: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("source")).unwrap();
        Self { top }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn until_is(&self, name: &str, content: &str) {
        until(&format!("{name} is {content:?}"), || self.read(name) == content);
    }

    /// Starts the program with `state` as its state directory and its log in `log`.
    pub(crate) fn start(&self, words: &[&str]) -> Live {
        self.start_with(words, |_| {})
    }

    pub(crate) fn start_with(&self, words: &[&str], more: impl Fn(&mut Command)) -> Live {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_synclive"));
        command.args(words).arg(format!("--state-dir={}", self.text("state")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        more(&mut command);
        Live(command.spawn().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        self.read("log")
    }

    pub(crate) fn until_log(&self, text: &str) {
        until(&format!("the log has {text:?}"), || self.log().contains(text));
    }

    /// A port that nobody listens at.
    pub(crate) fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }
}

/// The program at work, killed when it is dropped.
pub(crate) struct Live(pub(crate) Child);

impl Live {
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(self.0.id().to_string());
        assert!(kill.status().unwrap().success());
    }

    /// Waits for its end; the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let mut status = None;
        until("it ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
