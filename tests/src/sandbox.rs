//! An empty directory of one owner, and commands run in it with a bounded time and a clean environment.

use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The plain user that stands in when a case must not run as root.
const NOBODY: u32 = 65534;

/// A directory of its own for one case.
#[derive(Debug)]
pub struct Sandbox {
    outer: TempDir,
    folder: PathBuf,
    user: Option<u32>,
}

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code, or `None` after a signal or when time ran out.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: Vec<u8>,
    /// Everything on standard error.
    pub stderr: Vec<u8>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
}

impl Sandbox {
    /// Makes an empty directory with mode 755; `plain` asks for an unprivileged owner.
    pub fn new(plain: bool) -> io::Result<Self> {
        let outer = tempfile::Builder::new().prefix("suite").tempdir()?;
        std::fs::set_permissions(outer.path(), PermissionsExt::from_mode(0o755))?;
        let folder = outer.path().canonicalize()?.join("case");
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))?;
        let user = (plain && is_root()).then_some(NOBODY);
        if user.is_some() {
            chown(&folder, user, user)?;
        }
        Ok(Self { outer, folder, user })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A command in this directory, as its owner, with nothing in its environment but a fixed base.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("USER", "tester")
            .env("LOGNAME", "tester");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs a shell text that must succeed.
    pub fn shell(&self, text: &str) -> Result<(), String> {
        let mut command = self.command("/bin/sh");
        command.args(["-e", "-c", text]);
        let outcome = finish(&mut command, b"", Duration::from_secs(60))
            .map_err(|error| format!("sh: {error}"))?;
        if outcome.code == Some(0) {
            Ok(())
        } else {
            Err(format!("set-up failed: {}", String::from_utf8_lossy(&outcome.stderr)))
        }
    }

    /// Makes everything removable again; dropping the sandbox then removes it.
    pub fn unlock(&self) {
        // A directory that cannot be opened up stays behind: losing a temporary directory must not fail a case.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(self.outer.path()).output();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Whether the suite runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command to its end, or kills it when the time is over.
pub fn finish(command: &mut Command, input: &[u8], limit: Duration) -> io::Result<Outcome> {
    // A group of its own, so that whatever it started ends with it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let group = rustix::process::Pid::from_child(&child);
    let mut stdin = child.stdin.take();
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(pipe) = &mut stdin {
        // A program that does not read its input is not an error.
        let _ = pipe.write_all(input);
    }
    drop(stdin);
    let ended = wait(&mut child, limit)?;
    if ended.is_none() {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        child.wait()?;
    }
    let gather = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Outcome {
        code: ended.and_then(|status| status.code()),
        stdout: gather(stdout),
        stderr: gather(stderr),
        timed_out: ended.is_none(),
    })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
