//! Trees, peers and comparisons for tests against the stock program.

// Each test file uses its own part of this; it is test code, where a panic is the answer.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::TempDir;

/// The program under test.
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_syncline");

/// Longer than any run here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the stock program is there; says so if not.
pub(crate) fn stock_is_missing(test: &str) -> bool {
    let missing = Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_err();
    if missing {
        eprintln!("SKIPPED {test}: no rsync to compare with");
    }
    missing
}

/// A directory with a source tree and a shell that runs commands on this machine.
pub(crate) struct Bench {
    pub(crate) top: TempDir,
}

impl Bench {
    /// A tree with what trees have.
    pub(crate) fn new() -> Self {
        let bench = Self { top: tempfile::tempdir().unwrap() };
        let source = bench.path("src");
        fs::create_dir_all(source.join("sub/deep")).unwrap();
        fs::create_dir_all(source.join("empty")).unwrap();
        let lines: String = (0..20_000).fold(String::new(), |mut text, line| {
            writeln!(text, "line {line}").unwrap();
            text
        });
        fs::write(source.join("big"), &lines).unwrap();
        fs::write(source.join("small"), "hello\n").unwrap();
        fs::write(source.join("none"), "").unwrap();
        fs::write(source.join("sub/file"), "x").unwrap();
        fs::write(source.join("sub/deep/new\nline"), "y").unwrap();
        fs::hard_link(source.join("small"), source.join("sub/linked")).unwrap();
        symlink("small", source.join("link")).unwrap();
        fs::set_permissions(source.join("small"), fs::Permissions::from_mode(0o640)).unwrap();
        // Stock loses parts of seconds of directories that were changed within the second.
        let then = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        for name in [
            "big",
            "small",
            "none",
            "sub/file",
            "sub/deep/new\nline",
            "sub/deep",
            "sub",
            "empty",
            ".",
        ] {
            fs::File::open(source.join(name)).unwrap().set_modified(then).unwrap();
        }
        let touch = ["-h", "-d", "@1600000000"];
        assert!(
            Command::new("touch").args(touch).arg(source.join("link")).status().unwrap().success()
        );
        let shell = bench.path("rsh");
        fs::write(&shell, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Options that reach `server` through the shell that stays here.
    pub(crate) fn shell_options(&self, server: &str) -> Vec<String> {
        vec![format!("--rsh={}", self.text("rsh")), format!("--rsync-path={server}")]
    }

    /// Runs a program here and waits for it, but not for ever.
    pub(crate) fn run(&self, program: &str, arguments: &[String]) -> Output {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.top.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut err = child.stderr.take().unwrap();
        let out = std::thread::spawn(move || read(&mut out));
        let err = std::thread::spawn(move || read(&mut err));
        let status = wait(&mut child);
        Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
    }
}

fn read(stream: &mut dyn Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits for a child; one that does not end is a failure.
pub(crate) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("a run did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything below a directory, one line each: kind and mode, size, time, links, name, content or target.
pub(crate) fn snapshot(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut owed = vec![root.to_owned()];
    while let Some(directory) = owed.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let content = if found.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if found.is_file() {
                let mut hasher = DefaultHasher::new();
                fs::read(&path).unwrap().hash(&mut hasher);
                format!("{:x}", hasher.finish())
            } else {
                String::new()
            };
            let size = if found.is_dir() { 0 } else { found.len() };
            lines.push(format!(
                "{name:?} {:o} {size} {}.{} {} {content}",
                found.mode(),
                found.mtime(),
                found.mtime_nsec(),
                if found.is_dir() { 0 } else { found.nlink() },
            ));
            if found.is_dir() {
                owed.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// A stock daemon with a module `m` on the bench's directory.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) port: u16,
}

impl Daemon {
    pub(crate) fn start(bench: &Bench, module: &str) -> Self {
        Self::of(bench.top.path(), bench.top.path(), module)
    }

    /// One that has its own files in `top`, with a module `m` on `path`.
    pub(crate) fn of(top: &Path, path: &Path, module: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A daemon of root would serve as nobody.
        let uid = fs::metadata(top).unwrap().uid();
        let (top, path) = (top.display(), path.display());
        let ids = if uid == 0 { "uid = 0\ngid = 0\n" } else { "" };
        let text = format!(
            "{ids}use chroot = no\nread only = no\nlog file = {top}/log\n[m]\npath = {path}\n{module}"
        );
        fs::write(format!("{top}/conf"), text).unwrap();
        let child = Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={top}/conf"))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "the daemon did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("rsync://127.0.0.1:{}/m/{path}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Words as arguments.
pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// Lines of standard output that do not depend on who counted bytes.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("sent ") && !line.starts_with("total size is"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}
