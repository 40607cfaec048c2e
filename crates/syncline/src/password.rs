//! The password a daemon asks for (docs/spec cli.md 19).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use syncline_engine::{Error, ExitCode, OperatorPaths, Role};
use syncline_options::Options;

/// Longest password that is read from a file.
const LONGEST: usize = 511;

/// Asks once for all sessions of a run.
#[derive(Default)]
pub(crate) struct Passwords(Mutex<Option<Vec<u8>>>);

impl Passwords {
    /// From `--password-file`, else the environment, else the terminal.
    pub(crate) fn ask(&self, options: &Options, role: Role) -> Result<Vec<u8>, Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(password) = &*known {
            return Ok(password.clone());
        }
        let password = ask(options, role)?;
        *known = Some(password.clone());
        Ok(password)
    }
}

fn ask(options: &Options, role: Role) -> Result<Vec<u8>, Error> {
    if let Some(path) = &options.connection.password_file {
        return from_file(path, options, role);
    }
    if let Some(password) = std::env::var_os("RSYNC_PASSWORD") {
        return Ok(password.as_bytes().to_vec());
    }
    prompt()
        .map_err(|error| Error::system(ExitCode::USAGE, role, "could not read a password", error))
}

fn from_file(path: &[u8], options: &Options, role: Role) -> Result<Vec<u8>, Error> {
    let shown = String::from_utf8_lossy(path).into_owned();
    let usage = |text: String| Error::fatal(ExitCode::USAGE, text);
    let mut text = Vec::new();
    if path == b"-" {
        let mut stdin = io::stdin().lock();
        stdin.read_until(b'\n', &mut text).map_err(|error| {
            usage(format!("ERROR: failed to read a password from {shown}: {error}"))
        })?;
    } else {
        let path = Path::new(OsStr::from_bytes(path));
        let file = OperatorPaths::of(options).open_file(path).map_err(|error| {
            let reason = error.reason();
            usage(format!("rsync: [{role}] could not open password file {shown}: {reason}"))
        })?;
        check_owner(&file).map_err(usage)?;
        // What cannot be read is as good as empty.
        let _ = file.take(LONGEST as u64).read_to_end(&mut text);
    }
    let end = text.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(text.len());
    text.truncate(end);
    if text.is_empty() {
        return Err(usage(format!("ERROR: failed to read a password from {shown}")));
    }
    Ok(text)
}

fn check_owner(file: &File) -> Result<(), String> {
    let Ok(found) = file.metadata() else { return Ok(()) };
    if found.mode() & 0o006 != 0 {
        return Err("ERROR: password file must not be other-accessible".to_owned());
    }
    if rustix::process::geteuid().is_root() && found.uid() != 0 {
        return Err("ERROR: password file must be owned by root when running as root".to_owned());
    }
    Ok(())
}

/// On the terminal without echo; without a terminal the question goes to standard error.
fn prompt() -> io::Result<Vec<u8>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut line = Vec::new();
    if let Ok(mut terminal) = terminal {
        terminal.write_all(b"Password: ")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        let read = BufReader::new(&terminal).read_until(b'\n', &mut line);
        tcsetattr(&terminal, OptionalActions::Flush, &before)?;
        terminal.write_all(b"\n")?;
        read?;
    } else {
        io::stderr().write_all(b"Password: ")?;
        io::stdin().lock().read_until(b'\n', &mut line)?;
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}
