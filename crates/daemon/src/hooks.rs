//! Commands of the administrator around a transfer (docs/spec daemon.md 9.5, 9.6).
//!
//! Hooks run as the daemon's user outside of the module's chroot, though what they are told is known only inside it. So
//! each is started by a process that was split off before.

use std::ffi::OsStr;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, WaitOptions, waitpid};
use syncline_conf::{Error as ConfError, Text};
use syncline_sys::process::{Half, split};

use crate::variables::{SessionVariables, of_process};

/// What of a failed hook's output a client is shown.
const OUTPUT_MAX: usize = 5119;

/// Longest `RSYNC_REQUEST`.
const REQUEST_MAX: usize = 1024;

/// The hook's command, or none if it is unset or hooks are switched off.
pub(crate) fn command(
    setting: &Text,
    variables: &SessionVariables,
) -> Result<Option<Vec<u8>>, ConfError> {
    if setting.is_empty() || of_process(b"RSYNC_NO_XFER_EXEC").is_some() {
        return Ok(None);
    }
    setting.expand_command(variables).map(|command| Some(command.into_owned()))
}

/// What a service manager told the listener is not for hooks.
const OF_THE_LISTENER: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

fn shell(command: &[u8], variables: &SessionVariables) -> Command {
    let shell = of_process(b"RSYNC_SHELL").unwrap_or_else(|| b"sh".to_vec());
    let mut process = Command::new(OsStr::from_bytes(&shell));
    process.arg("-c").arg(OsStr::from_bytes(command));
    variables.give_to(&mut process);
    for name in OF_THE_LISTENER {
        process.env_remove(name);
    }
    process
}

/// Runs `early exec`; `Ok(false)` when it fails.
pub(crate) fn early(
    command: &[u8],
    variables: &SessionVariables,
    input: &[u8],
) -> io::Result<ExitStatus> {
    let mut process = shell(command, variables);
    process.env("RSYNC_REQUEST", "(NONE)").stdin(Stdio::piped());
    let mut child = process.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read what it is given.
        let _ = stdin.write_all(input);
    }
    child.wait()
}

/// What a client asks for, as hooks are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The file words as they were sent.
    pub(crate) words: Vec<Vec<u8>>,
    /// The option words, `.`, and the file words as they are understood.
    pub(crate) arguments: Vec<Vec<u8>>,
}

impl Request {
    /// `RSYNC_REQUEST`: none if there are no file words.
    pub(crate) fn text(&self) -> Option<Vec<u8>> {
        let mut text = self.words.join(&b' ');
        text.truncate(REQUEST_MAX);
        (!self.words.is_empty()).then_some(text)
    }
}

/// `pre-xfer exec`, waiting to be told the request.
#[derive(Debug)]
pub(crate) struct PreTransfer {
    child: Pid,
    request: PipeWriter,
    output: PipeReader,
}

impl PreTransfer {
    /// Splits off the process that will run it.
    pub(crate) fn prepare(command: &[u8], variables: &SessionVariables) -> io::Result<Self> {
        let (request_reader, request) = io::pipe()?;
        let (output, output_writer) = io::pipe()?;
        match split()? {
            Half::Parent(child) => {
                let child = Pid::from_raw(child).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Self { child, request, output })
            }
            Half::Child => {
                drop((request, output));
                let status = run(command, variables, request_reader, output_writer);
                std::process::exit(status.unwrap_or(1))
            }
        }
    }

    /// Runs it. On failure the raw status and what it printed.
    pub(crate) fn finish(self, request: &Request) -> io::Result<Result<(), (i32, Vec<u8>)>> {
        let Self { child, request: mut told, output } = self;
        told.write_all(&encode(request))?;
        drop(told);
        let mut shown = Vec::new();
        let mut output = output.take(OUTPUT_MAX as u64);
        output.read_to_end(&mut shown)?;
        io::copy(output.get_mut(), &mut io::sink())?;
        let status = wait_for(child)?;
        if status == 0 {
            return Ok(Ok(()));
        }
        let text: Vec<u8> = shown
            .iter()
            .enumerate()
            .filter(|&(at, &byte)| byte != b'\r' || shown.get(at + 1) != Some(&b'\n'))
            .map(|(_, &byte)| byte)
            .collect();
        Ok(Err((status, text)))
    }
}

fn run(
    command: &[u8],
    variables: &SessionVariables,
    told: PipeReader,
    output: PipeWriter,
) -> io::Result<i32> {
    let Some(mut process) = told_shell(command, variables, told)? else { return Ok(0) };
    process.stdin(Stdio::null()).stdout(output);
    Ok(process.status()?.code().unwrap_or(1))
}

/// Waits for the request and makes the command that is told of it; none if the session ended before.
pub(crate) fn told_shell(
    command: &[u8],
    variables: &SessionVariables,
    mut told: PipeReader,
) -> io::Result<Option<Command>> {
    let mut bytes = Vec::new();
    told.read_to_end(&mut bytes)?;
    let Some((text, arguments)) = decode(&bytes) else { return Ok(None) };
    let mut process = shell(command, variables);
    process.env("RSYNC_REQUEST", OsStr::from_bytes(text)).env("RSYNC_ARG0", "rsyncd");
    for (number, argument) in arguments.iter().enumerate() {
        process.env(format!("RSYNC_ARG{}", number + 1), OsStr::from_bytes(argument));
    }
    Ok(Some(process))
}

/// A request, for the process that waits for it.
pub(crate) fn encode(request: &Request) -> Vec<u8> {
    let text = request.text().unwrap_or_else(|| b"(NONE)".to_vec());
    let mut bytes = text;
    bytes.push(0);
    for argument in &request.arguments {
        bytes.extend_from_slice(argument);
        bytes.push(0);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let mut words = bytes.strip_suffix(b"\0")?.split(|&byte| byte == 0);
    let text = words.next()?;
    Some((text, words.collect()))
}

/// Makes the rest of the session a process of its own and stays behind to run `post-xfer exec` after it: this returns
/// in the new process only. What this one holds, such as the slot, it holds until the hook has ended.
pub(crate) fn stay_for_post_transfer(
    command: &[u8],
    variables: &SessionVariables,
    leave: impl FnOnce(),
) -> io::Result<()> {
    let Half::Parent(child) = split()? else { return Ok(()) };
    leave();
    let status = Pid::from_raw(child).map_or(Ok(0), wait_for).unwrap_or(-1);
    let ended = ExitStatus::from_raw(status);
    let code = ended.code().unwrap_or(-1);
    let mut process = shell(command, variables);
    process.env("RSYNC_EXIT_STATUS", code.to_string());
    process.env("RSYNC_RAW_STATUS", status.to_string());
    // Its own fate is of no interest to the client.
    let _ = process.status();
    std::process::exit(if code < 0 { 128 + ended.signal().unwrap_or(0) } else { code })
}

fn wait_for(child: Pid) -> io::Result<i32> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.as_raw()),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_pipe() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let request =
            Request { words: words(&["m/a", "m/b"]), arguments: words(&["-e.", ".", "a"]) };
        let bytes = encode(&request);
        let (text, arguments) = decode(&bytes).unwrap();
        assert_eq!(text, b"m/a m/b");
        assert_eq!(arguments, [&b"-e."[..], b".", b"a"]);
        assert_eq!(decode(&encode(&Request::default())).unwrap().0, b"(NONE)");
        assert!(decode(b"").is_none());
    }
}
