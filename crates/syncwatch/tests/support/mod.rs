//! The program under test, with its output as it comes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Tool {
    pub(crate) child: Child,
    lines: Option<Receiver<String>>,
    errors: Receiver<String>,
    pub(crate) said: Vec<String>,
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Tool {
    /// Starts the tool under a name, in a directory.
    pub(crate) fn start(name: &str, words: &[&str], directory: &Path) -> Self {
        Self::spawn(
            Command::new(env!("CARGO_BIN_EXE_syncwatch"))
                .arg0(name)
                .args(words)
                .current_dir(directory),
        )
    }

    /// The same, and waits until it watches.
    pub(crate) fn watching(words: &[&str], directory: &Path) -> Self {
        let mut tool = Self::start("inotifywait", words, directory);
        tool.wait_for_error("Watches established.");
        tool
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = lines(child.stderr.take().unwrap());
        let stdout = child.stdout.take().map(lines);
        Self { child, lines: stdout, errors, said: Vec::new() }
    }

    /// A tool whose output nobody reads yet.
    pub(crate) fn unread(words: &[&str], directory: &Path) -> (Self, ChildStdout) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncwatch"));
        let mut child = command
            .arg0("inotifywait")
            .args(words)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let errors = lines(child.stderr.take().unwrap());
        let mut tool = Self { child, lines: None, errors, said: Vec::new() };
        tool.wait_for_error("Watches established.");
        (tool, stdout)
    }

    pub(crate) fn read(&mut self, stdout: ChildStdout) {
        self.lines = Some(lines(stdout));
    }

    /// Reads lines until one is as wanted; it is the last of `said`.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines.as_ref().unwrap();
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line);
                    if wanted(self.said.last().unwrap()) {
                        return;
                    }
                }
                Err(error) => panic!("no line {what} ({error}); got {:?}", tail(&self.said)),
            }
        }
    }

    /// Waits until nothing was said for this long.
    pub(crate) fn wait_for_quiet(&mut self, quiet: Duration) {
        while let Ok(line) = self.lines.as_ref().unwrap().recv_timeout(quiet) {
            self.said.push(line);
        }
    }

    pub(crate) fn wait_for_line(&mut self, line: &str) {
        self.wait_for(line, |said| said == line);
    }

    pub(crate) fn wait_for_error(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            match self.errors.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => all.push(line),
                Err(error) => panic!("no error line with {part:?} ({error}); got {all:?}"),
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
    }

    /// Waits until it ends; everything it said is in `said`.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end");
            std::thread::sleep(Duration::from_millis(2));
        };
        while let Some(lines) = &self.lines {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("output stays open"),
            }
        }
        status
    }

    pub(crate) fn stop(&mut self) -> Vec<String> {
        self.signal("TERM");
        self.end();
        std::mem::take(&mut self.said)
    }

    pub(crate) fn resident_kilobytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many inotify watches the process holds.
    pub(crate) fn watches(&self) -> usize {
        let directory = format!("/proc/{}/fdinfo", self.child.id());
        std::fs::read_dir(directory)
            .unwrap()
            .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
            .map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count())
            .sum()
    }
}

fn tail(lines: &[String]) -> &[String] {
    &lines[lines.len().saturating_sub(20)..]
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
