//! A stock daemon, and waiting for something to be so. The tests of `synclive` use it as well.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the stock program is there; says so if not.
pub(crate) fn stock_is_missing(test: &str) -> bool {
    let missing = Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_err();
    if missing {
        eprintln!("SKIPPED {test}: no rsync to mirror to");
    }
    missing
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A stock daemon with one module `m`.
pub(crate) struct Daemon {
    pub(crate) port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one for `path`; `settings` are further lines of the module.
    pub(crate) fn start(directory: &Path, path: &Path, settings: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        fs::create_dir_all(path).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root =
            if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
        let text = format!(
            "pid file = {0}/pid\nlog file = {0}/log\nuse chroot = no\nmunge symlinks = no\n{root}[m]\npath = {1}\nread only = no\n{settings}\n",
            directory.display(),
            path.display()
        );
        fs::write(directory.join("conf"), text).unwrap();
        let mut daemon = Self { port, directory: directory.to_owned(), child: None };
        daemon.up();
        daemon
    }

    /// Starts it if it is not there.
    pub(crate) fn up(&mut self) {
        if self.child.is_some() {
            return;
        }
        let _ = fs::remove_file(self.directory.join("pid"));
        let child = Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--config={}", self.directory.join("conf").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        until("the daemon answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it and everything it started.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // So that it starts no more while they are looked up.
        send(child.id(), Signal::STOP);
        for process in descendants(child.id()) {
            send(process, Signal::KILL);
        }
        send(child.id(), Signal::KILL);
        child.wait().unwrap();
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// How many sessions it has served.
    pub(crate) fn sessions(&self) -> usize {
        self.log().lines().filter(|line| line.contains("receiving file list")).count()
    }

    /// How many processes serve connections now.
    pub(crate) fn processes(&self) -> usize {
        self.sessions_now().len()
    }

    /// Those processes.
    pub(crate) fn sessions_now(&self) -> Vec<u32> {
        self.child.as_ref().map_or_else(Vec::new, |child| descendants(child.id()))
    }

    /// Sends a signal to all of them.
    pub(crate) fn signal_sessions(&self, signal: Signal) {
        for process in self.sessions_now() {
            send(process, signal);
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("rsync://127.0.0.1:{}/m/", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that may have ended.
pub(crate) fn send(process: u32, signal: Signal) {
    let process = rustix::process::Pid::from_raw(process as i32).unwrap();
    let _ = rustix::process::kill_process(process, signal);
}

fn descendants(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut all = Vec::new();
    for child in text.split_whitespace().filter_map(|word| word.parse().ok()) {
        all.push(child);
        all.extend(descendants(child));
    }
    all
}
