//! `-d` and `-o`. The daemon is this program started again: it sets up everything with the caller's directory and standard
//! error, and the caller leaves when it says that all watches are established.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::common::{path, reason};

const CHILD: &str = "SYNCWATCH_DAEMON";
const READY: &[u8] = b"ready";

/// The daemon's output, until it replaces standard output.
static OUTFILE: OnceLock<std::fs::File> = OnceLock::new();

pub(super) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Starts the daemon and waits until it is ready; the caller's status.
pub(super) fn spawn() -> Result<u8, String> {
    let fail = |error: std::io::Error| format!("Couldn't start the daemon: {}", reason(&error));
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let mut child = Command::new("/proc/self/exe")
        .arg0(program)
        .args(words)
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).map_err(fail)?;
    }
    if said == READY {
        return Ok(0);
    }
    let status = child.wait().map_err(fail)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Opens the output file, at once or, for a daemon, for later.
pub(super) fn append_to(file: &[u8], now: bool) -> Result<(), String> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path(file));
    let name = String::from_utf8_lossy(file);
    let opened = opened.map_err(|error| {
        if now {
            format!("Failed to open output file {name}")
        } else {
            format!("{}: {name}", reason(&error))
        }
    })?;
    if now {
        return rustix::stdio::dup2_stdout(&opened)
            .map_err(|errno| format!("Failed to open output file {name}: {errno}"));
    }
    OUTFILE.get_or_init(|| opened);
    Ok(())
}

/// A path that keeps its meaning when the working directory changes.
pub(super) fn absolute(argument: &[u8]) -> PathBuf {
    let argument = Path::new(OsStr::from_bytes(argument));
    if argument.is_absolute() {
        return argument.to_path_buf();
    }
    std::env::current_dir()
        .map_or_else(|_| argument.to_path_buf(), |directory| directory.join(argument))
}

/// Lets the caller go: a session of its own, `/` as working directory, nothing left of the caller's standard streams.
pub(super) fn detach() -> Result<(), String> {
    let fail = |what: &str| format!("Couldn't detach the daemon: {what}");
    rustix::process::setsid().map_err(|errno| fail(&errno.to_string()))?;
    std::env::set_current_dir("/").map_err(|error| fail(&error.to_string()))?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| fail(&error.to_string()))?;
    let outfile = OUTFILE.get().ok_or_else(|| fail("no output file"))?;
    rustix::io::write(std::io::stdout(), READY).map_err(|errno| fail(&errno.to_string()))?;
    let redirected = rustix::stdio::dup2_stdin(null.as_fd())
        .and_then(|()| rustix::stdio::dup2_stdout(outfile))
        .and_then(|()| rustix::stdio::dup2_stderr(null.as_fd()));
    redirected.map_err(|errno| fail(&errno.to_string()))
}
