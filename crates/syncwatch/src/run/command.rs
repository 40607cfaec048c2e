//! The command: started with what changed, stopped with everything it started.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::changes::Changes;
use super::options::{Pass, Settings};

/// Arguments of more bytes than this are not passed; the roots stand for them.
const MOST_ARGUMENT_BYTES: usize = 1 << 20;

/// A command that runs.
pub(super) struct Running {
    child: Child,
    /// Readable when the command has ended.
    pub(super) ended: OwnedFd,
    pub(super) since: Instant,
    /// What it was started for.
    pub(super) changes: Changes,
    /// When it is killed, once it was asked to stop.
    pub(super) kill_at: Option<Instant>,
    pub(super) restart: bool,
    json: Option<PathBuf>,
}

impl Running {
    /// Starts the command.
    pub(super) fn start(
        settings: &Settings,
        changes: Changes,
        roots: &[PathBuf],
    ) -> std::io::Result<Self> {
        let paths = paths_as_arguments(&changes, roots);
        let mut command = assemble(settings, &paths);
        command.process_group(0);
        let mut json = None;
        match settings.pass {
            Pass::Arguments => {
                command.stdin(Stdio::null());
            }
            Pass::Stdin => {
                command.stdin(Stdio::piped());
            }
            Pass::Json => {
                let file = json_file()?;
                std::fs::write(&file, changes.json())?;
                command.env("SYNCWATCH_JSON", &file).stdin(Stdio::null());
                json = Some(file);
            }
        }
        let started = command.spawn();
        if started.is_err() {
            remove(json.as_ref());
        }
        let mut child = started?;
        if let Some(mut stdin) = child.stdin.take() {
            let list: Vec<u8> = changes
                .paths()
                .flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat())
                .collect();
            // The command may be slow to read, or not read at all: neither is ours to wait for.
            std::thread::spawn(move || drop(stdin.write_all(&list)));
        }
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self {
            child,
            ended,
            since: Instant::now(),
            changes,
            kill_at: None,
            restart: false,
            json,
        })
    }

    /// Sends a signal to the command and everything it started.
    pub(super) fn signal(&self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal) {
            // It may have ended this moment.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
    }

    /// The status of a command that has ended.
    pub(super) fn finish(mut self) -> std::io::Result<(ExitStatus, Changes, bool)> {
        let status = self.child.wait();
        remove(self.json.as_ref());
        Ok((status?, self.changes, self.restart))
    }
}

/// The status as a shell shows it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn remove(file: Option<&PathBuf>) {
    if let Some(file) = file {
        // Somebody who cleans up may have been here before.
        let _ = std::fs::remove_file(file);
    }
}

fn paths_as_arguments(changes: &Changes, roots: &[PathBuf]) -> Vec<PathBuf> {
    let bytes: usize = changes.paths().map(|path| path.as_os_str().len() + 9).sum();
    if bytes > MOST_ARGUMENT_BYTES {
        roots.to_vec()
    } else {
        changes.paths().map(PathBuf::from).collect()
    }
}

fn assemble(settings: &Settings, paths: &[PathBuf]) -> Command {
    if settings.shell {
        let text = settings.command.join(b" ".as_slice());
        let text = replace(&text, b"{}", b"\"$@\"");
        let mut command = Command::new("sh");
        command.arg("-c").arg(OsStr::from_bytes(&text)).arg("sh").args(paths);
        return command;
    }
    let mut words = settings.command.iter();
    let mut command =
        Command::new(OsStr::from_bytes(words.next().map(Vec::as_slice).unwrap_or_default()));
    for word in words {
        if word == b"{}" {
            command.args(paths);
        } else {
            command.arg(OsStr::from_bytes(word));
        }
    }
    command
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&first) = rest.first() {
        if let Some(tail) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = tail;
        } else {
            out.push(first);
            rest = &rest[1..];
        }
    }
    out
}

/// A name for the list of changes, made so that nobody else can have made it.
fn json_file() -> std::io::Result<PathBuf> {
    let directory = std::env::temp_dir();
    for number in 0..1000 {
        let file = directory.join(format!("syncwatch.{}.{number}.json", std::process::id()));
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&file) {
            Ok(_) => return Ok(file),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::AlreadyExists,
        "no free name for the list of changes",
    ))
}
