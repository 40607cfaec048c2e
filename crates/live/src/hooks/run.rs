//! Programs: started with what changed, ended with everything they started.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{PipeReader, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use syncline_conf::live::{Output, PassPaths, RunHook};
use syncline_fs::RelPath;

use super::queue::{Job, Work};
use super::{message, on_disk};

/// Arguments of more bytes than this are given to several runs.
const MOST_ARGUMENT_BYTES: usize = 512 << 10;

/// The pause between asking a program to end and ending it.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether everything shall end, while a program runs.
const LOOK: Duration = Duration::from_millis(200);

/// Lines of output that are logged of a run.
const MOST_LINES: usize = 100;

/// Bytes of a line that are logged.
const LONGEST_LINE: usize = 1000;

/// What one run is given.
#[derive(Debug)]
pub(super) struct Portion {
    target: Option<String>,
    batch: u64,
    /// Where the source is.
    source: PathBuf,
    arguments: Vec<PathBuf>,
    stdin: Vec<u8>,
    json: Option<String>,
    count: usize,
    /// The new state, the old one and the reason.
    state: Option<[String; 3]>,
}

/// What a job's runs are given.
pub(super) fn portions(hook: &RunHook, source: &Path, mirror: &str, job: &Job) -> Vec<Portion> {
    let whole = || Portion {
        target: job.target.clone(),
        batch: job.batch,
        source: source.to_owned(),
        arguments: Vec::new(),
        stdin: Vec::new(),
        json: None,
        count: job.work.count(),
        state: match &job.work {
            Work::State(change) => {
                Some([change.to.name().into(), change.from.name().into(), change.reason.clone()])
            }
            _ => None,
        },
    };
    let paths: Vec<PathBuf> = match &job.work {
        Work::Changes(changes) => {
            changes.keys().map(|path| on_disk(source, path.as_path())).collect()
        }
        Work::Everything => vec![source.to_owned()],
        Work::State(_) => Vec::new(),
    };
    match hook.pass {
        PassPaths::Args | PassPaths::Each if !paths.is_empty() => {
            let most = if hook.pass == PassPaths::Each { 0 } else { MOST_ARGUMENT_BYTES };
            let parts = parts(paths, most).into_iter();
            parts
                .map(|arguments| Portion { count: arguments.len(), arguments, ..whole() })
                .collect()
        }
        PassPaths::Stdin => {
            let ended = |path: PathBuf| [path.into_os_string().into_vec(), vec![0]].concat();
            vec![Portion { stdin: paths.into_iter().flat_map(ended).collect(), ..whole() }]
        }
        PassPaths::Json => {
            let shown = |path: &[u8]| {
                let path = RelPath::new(path).unwrap_or(RelPath::ROOT);
                on_disk(source, path).into_os_string().into_vec()
            };
            let target = job.target.as_deref();
            let json = message::json(mirror, target, job.batch, &job.work, shown).to_string();
            vec![Portion { json: Some(json), ..whole() }]
        }
        _ => vec![whole()],
    }
}

/// Splits paths into lists of at most so many bytes, each of one path at least.
fn parts(paths: Vec<PathBuf>, most: usize) -> Vec<Vec<PathBuf>> {
    let mut parts: Vec<Vec<PathBuf>> = Vec::new();
    let mut bytes = 0;
    for path in paths {
        // Each has a NUL and a pointer.
        let length = path.as_os_str().len() + 9;
        if let Some(part) = parts.last_mut().filter(|_| bytes + length <= most) {
            part.push(path);
        } else {
            parts.push(vec![path]);
            bytes = 0;
        }
        bytes += length;
    }
    parts
}

/// Runs the program once; `end` tells when everything shall end, once that is wanted.
pub(super) fn run(
    hook: &RunHook,
    mirror: &str,
    portion: &Portion,
    timeout: Duration,
    end: &dyn Fn() -> Option<Instant>,
    log: &dyn Fn(&str),
) -> Result<(), String> {
    let (json, words) = match &portion.json {
        Some(text) => {
            let file =
                JsonFile::new(text).map_err(|error| format!("cannot write JSON: {error}"))?;
            let words = vec![file.0.clone().into_os_string()];
            (Some(file), words)
        }
        None => (None, portion.arguments.iter().map(|path| path.clone().into()).collect()),
    };
    let program = hook.run.first().map(String::as_str).unwrap_or_default();
    let mut command = command(hook, mirror, portion, &words);
    let stdin = stdin(hook, portion).map_err(|error| format!("cannot pass the paths: {error}"))?;
    command.stdin(stdin);
    let mut output = None;
    if hook.output == Output::Log {
        let pipe =
            std::io::pipe().and_then(|(reader, writer)| Ok((reader, writer.try_clone()?, writer)));
        let (reader, writer, second) = pipe.map_err(|error| format!("no pipe: {error}"))?;
        command.stdout(writer).stderr(second);
        output = Some(reader);
    } else {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
    // It holds the other end of the pipe, which would never end.
    drop(command);
    let status = supervise(child, output, timeout, end, log);
    drop(json);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(match (status.code(), status.signal()) {
            (Some(code), _) => format!("it ended with status {code}"),
            (None, Some(signal)) => format!("it was ended by signal {signal}"),
            (None, None) => "it ended".into(),
        }),
        Err(problem) => Err(problem),
    }
}

fn command(hook: &RunHook, mirror: &str, portion: &Portion, words: &[OsString]) -> Command {
    let mut all = hook.run.iter().map(OsStr::new);
    let mut command = Command::new(all.next().unwrap_or_default());
    command.args(all).args(words).args(&hook.suffix).process_group(0);
    command
        .env("SYNCLIVE_MIRROR", mirror)
        .env("SYNCLIVE_TARGET", portion.target.as_deref().unwrap_or_default())
        .env("SYNCLIVE_SOURCE", &portion.source)
        .env("SYNCLIVE_COUNT", portion.count.to_string())
        .env("SYNCLIVE_BATCH", portion.batch.to_string());
    if let Some([to, from, reason]) = &portion.state {
        command
            .env("SYNCLIVE_STATE", to)
            .env("SYNCLIVE_STATE_BEFORE", from)
            .env("SYNCLIVE_REASON", reason);
    }
    command
}

/// The paths as standard input: in memory, so that a program that does not read them holds nobody up.
fn stdin(hook: &RunHook, portion: &Portion) -> std::io::Result<Stdio> {
    if hook.pass != PassPaths::Stdin {
        return Ok(Stdio::null());
    }
    let mut file = File::from(memfd_create("synclive-paths", MemfdFlags::CLOEXEC)?);
    file.write_all(&portion.stdin)?;
    file.rewind()?;
    Ok(file.into())
}

/// Waits for a program, logs what it says, and ends it when its time is over.
fn supervise(
    mut child: Child,
    mut output: Option<PipeReader>,
    timeout: Duration,
    end: &dyn Fn() -> Option<Instant>,
    log: &dyn Fn(&str),
) -> Result<ExitStatus, String> {
    let pid = Pid::from_child(&child);
    let ended = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| format!("cannot wait for it: {error}"))?;
    let mut lines = Lines::new(log);
    let mut until = Instant::now() + timeout;
    let (mut asked, mut stopped) = (false, false);
    loop {
        if let Some(end) = end().filter(|end| *end < until) {
            (until, stopped) = (end, true);
        }
        let now = Instant::now();
        if now >= until {
            let signal = if asked { Signal::KILL } else { Signal::TERM };
            // It may have ended this moment.
            let _ = kill_process_group(pid, signal);
            (asked, until) = (true, now + GRACE);
        }
        let left = until.saturating_duration_since(now).min(LOOK);
        let left = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut waits = vec![PollFd::new(&ended, PollFlags::IN)];
        if let Some(output) = &output {
            waits.push(PollFd::new(output, PollFlags::IN));
        }
        // An interruption is a wake-up like any other.
        let _ = poll(&mut waits, Some(&left));
        let is_over = waits.first().is_some_and(|wait| !wait.revents().is_empty());
        let speaks = waits.get(1).is_some_and(|wait| !wait.revents().is_empty());
        if speaks && !lines.read(output.as_mut()) {
            output = None;
        }
        if is_over && !speaks {
            break;
        }
    }
    lines.end();
    let status = child.wait().map_err(|error| format!("cannot wait for it: {error}"))?;
    match (asked, stopped) {
        (true, true) => Err("the mirror stopped before it ended".into()),
        (true, false) => Err(format!("it took longer than {} s", timeout.as_secs_f64())),
        _ => Ok(status),
    }
}

/// Output on its way to the log.
struct Lines<'a> {
    log: &'a dyn Fn(&str),
    line: Vec<u8>,
    count: usize,
}

impl<'a> Lines<'a> {
    fn new(log: &'a dyn Fn(&str)) -> Self {
        Self { log, line: Vec::new(), count: 0 }
    }

    /// Reads what is there; false at the end of it.
    fn read(&mut self, output: Option<&mut PipeReader>) -> bool {
        let mut buffer = [0; 4096];
        let Some(Ok(count @ 1..)) = output.map(|output| output.read(&mut buffer)) else {
            return false;
        };
        for &byte in buffer.get(..count).unwrap_or_default() {
            if byte == b'\n' {
                self.write();
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
        }
        true
    }

    fn write(&mut self) {
        if self.count < MOST_LINES {
            (self.log)(&String::from_utf8_lossy(&self.line));
        }
        self.count += 1;
        self.line.clear();
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.write();
        }
        if self.count > MOST_LINES {
            (self.log)(&format!("… and {} lines more", self.count - MOST_LINES));
        }
    }
}

/// A file for a program, removed afterwards.
struct JsonFile(PathBuf);

impl JsonFile {
    fn new(text: &str) -> std::io::Result<Self> {
        let directory = std::env::temp_dir();
        loop {
            let name = format!("synclive.{}.{:016x}.json", std::process::id(), getrandom_u64()?);
            let path = directory.join(name);
            let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
            match file {
                Ok(mut file) => {
                    let this = Self(path);
                    file.write_all(text.as_bytes())?;
                    return Ok(this);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        // Somebody who cleans up may have been here before.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn getrandom_u64() -> std::io::Result<u64> {
    getrandom::u64().map_err(|error| std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_too_many_are_given_to_several_runs() {
        let paths: Vec<PathBuf> = (0..5).map(|number| PathBuf::from(format!("{number}"))).collect();
        let lengths = |most| parts(paths.clone(), most).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(1000), [5]);
        assert_eq!(lengths(20), [2, 2, 1]);
        assert_eq!(lengths(0), [1, 1, 1, 1, 1]);
    }
}
