//! A server reached by a remote shell, as a child process (docs/spec session.md 3).

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use syncline_options::Options;
use syncline_options::options::{ArgumentProtection, Family};
use syncline_options::{Direction, Packing};

use crate::{Charset, Error, ExitCode, Result, Role};

/// A child that speaks the protocol on its standard input and output.
#[derive(Debug)]
pub struct RemoteShell {
    child: Child,
    /// What the child says.
    pub reader: UnixStream,
    /// What the child hears.
    pub writer: UnixStream,
}

impl RemoteShell {
    /// Starts `words`; `environment` is added to the child's.
    pub fn spawn(words: &[Vec<u8>], environment: &[(&str, String)], role: Role) -> Result<Self> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Error::fatal(ExitCode::USAGE, "No remote shell command."));
        };
        let start = || -> io::Result<Self> {
            // One pair for each direction: either side may end one without the other.
            let (reader, theirs_out) = UnixStream::pair()?;
            let (writer, theirs_in) = UnixStream::pair()?;
            let child = Command::new(OsStr::from_bytes(program))
                .args(arguments.iter().map(|word| OsStr::from_bytes(word)))
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::from(OwnedFd::from(theirs_in)))
                .stdout(Stdio::from(OwnedFd::from(theirs_out)))
                .spawn()?;
            Ok(Self { child, reader, writer })
        };
        start().map_err(|error| {
            let program = String::from_utf8_lossy(program);
            Error::system(ExitCode::IPC, role, format!("Failed to exec {program}"), error)
        })
    }

    /// Waits for the child; its status as an exit code. A child killed by a signal counts as 0 after a failure of
    /// our own, else as terminated.
    pub fn wait(mut child: Child, failed: bool) -> ExitCode {
        match child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => ExitCode::new(u8::try_from(code).unwrap_or(255)),
                (None, Some(_)) if !failed && status.core_dumped() => ExitCode::CRASHED,
                (None, Some(_)) if !failed => ExitCode::TERMINATED,
                _ => ExitCode::OK,
            },
            Err(_) => ExitCode::WAIT,
        }
    }

    /// The two directions and the child.
    pub fn into_parts(self) -> (UnixStream, UnixStream, Child) {
        (self.reader, self.writer, self.child)
    }
}

/// The words to run, and those that go over the stream where arguments are secluded.
pub type ShellCommand = (Vec<Vec<u8>>, Option<Vec<Vec<u8>>>);

/// The command line that starts a server on `host` (docs/spec session.md 3.2), and what goes over the stream
/// first where arguments are secluded.
pub fn server_command(
    options: &Options,
    user: Option<&[u8]>,
    host: &[u8],
    direction: Direction,
    version: u8,
    paths: &[Vec<u8>],
) -> Result<ShellCommand> {
    let mut words = shell_words(options, user, host)?;
    words.push(options.connection.rsync_path.clone().unwrap_or_else(|| b"rsync".to_vec()));
    let packed = options
        .pack(Packing { direction, version })
        .map_err(|error| Error::fatal(ExitCode::USAGE, error.to_string()))?;
    let protection = options.connection.protection;
    words.extend(packed.head.iter().cloned());
    let mut rest: Vec<Vec<u8>> = packed.options.clone();
    rest.extend(packed.remote_options.iter().cloned());
    if protection == ArgumentProtection::Secluded {
        rest.push(b".".to_vec());
        rest.extend(paths.iter().map(|path| dashless(path)));
        if let Some(iconv) = &options.connection.iconv {
            let charset = Charset::open(&iconv.local)?;
            rest = rest.iter().map(|word| charset.text_to_wire(word)).collect();
        }
        return Ok((words, Some(rest)));
    }
    let quotes_files = protection == ArgumentProtection::Escaped;
    let quotes_options = protection != ArgumentProtection::Nothing;
    for word in &packed.options {
        words.push(if quotes_options { escape_option(word) } else { word.clone() });
    }
    for word in &packed.remote_options {
        words.push(if quotes_files { escape_option(word) } else { word.clone() });
    }
    words.push(b".".to_vec());
    let tildes = direction == Direction::Pull && quotes_files && !options.connection.trust_sender;
    for path in paths {
        let relative = options.select.is_relative();
        let path = dashless(path);
        words.push(if quotes_files { escape_file(&path, tildes, relative) } else { path });
    }
    Ok((words, None))
}

/// The remote shell's own words: command, user, address family, host.
pub fn shell_words(options: &Options, user: Option<&[u8]>, host: &[u8]) -> Result<Vec<Vec<u8>>> {
    if host.starts_with(b"-") {
        return Err(Error::fatal(
            ExitCode::USAGE,
            "Invalid remote host: hostnames may not start with '-'.",
        ));
    }
    let mut words = split_command(options.connection.shell())?;
    let base = words
        .first()
        .map(|first| first.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec());
    if let Some(user) = user {
        words.extend([b"-l".to_vec(), user.to_vec()]);
    }
    if base.as_deref() == Some(b"ssh") {
        match options.connection.family {
            Family::V4 => words.push(b"-4".to_vec()),
            Family::V6 => words.push(b"-6".to_vec()),
            Family::Any => {}
        }
    }
    words.push(host.to_vec());
    Ok(words)
}

/// Splits a shell command at spaces; quotes group, a doubled quote inside its own stands for one.
pub fn split_command(command: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = command.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => {
                if bytes.peek() == Some(&open) {
                    bytes.next();
                    word.get_or_insert_default().push(open);
                } else {
                    quote = None;
                }
            }
            (Some(_), byte) => word.get_or_insert_default().push(byte),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ') => words.extend(word.take()),
            (None, byte) => word.get_or_insert_default().push(byte),
        }
    }
    if let Some(open) = quote {
        let text = format!("Missing trailing-{} in remote-shell command.", char::from(open));
        return Err(Error::fatal(ExitCode::USAGE, text));
    }
    words.extend(word);
    Ok(words)
}

/// A file argument that looks like an option is made to look like a file.
pub(super) fn dashless(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"-") { [b"./", path].concat() } else { path.to_vec() }
}

const SPECIAL: &[u8] = b" \t\n\r\\`'\"|!#$&;<>(){}";

/// An option's value is protected as a whole; its name has nothing to protect.
pub(super) fn escape_option(word: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(word.len());
    for &byte in word {
        if SPECIAL.contains(&byte) || b"*?[]".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// A file argument keeps its wildcards alive.
fn escape_file(path: &[u8], tildes: bool, relative: bool) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    if tildes && path.starts_with(b"~") {
        let named = if relative {
            path.windows(3).any(|window| window == b"/./")
        } else {
            path.contains(&b'/')
        };
        if !named {
            escaped.push(b'\\');
        }
    }
    for (place, &byte) in path.iter().enumerate() {
        let before_wildcard =
            byte == b'\\' && path.get(place + 1).is_some_and(|next| b"*?[]".contains(next));
        if SPECIAL.contains(&byte) && !before_wildcard {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let words = split_command(text.as_bytes()).unwrap();
        words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn commands_are_split_by_stocks_rules() {
        assert_eq!(split("ssh -p 22"), ["ssh", "-p", "22"]);
        assert_eq!(split("ssh  -o 'a b' \"it's\""), ["ssh", "-o", "a b", "it's"]);
        assert_eq!(split("x 'a''b' c\\ d ''"), ["x", "a'b", "c\\", "d", ""]);
        let error = split_command(b"ssh 'a").unwrap_err();
        assert_eq!(error.to_string(), "Missing trailing-' in remote-shell command.");
    }

    #[test]
    fn words_are_escaped_as_documented() {
        let file =
            |text: &str| String::from_utf8(escape_file(text.as_bytes(), true, false)).unwrap();
        assert_eq!(file("/a b/*.c"), "/a\\ b/*.c");
        assert_eq!(file("{a,b}"), "\\{a,b\\}");
        assert_eq!(file("a\\*b"), "a\\*b");
        assert_eq!(file("a\\b"), "a\\\\b");
        assert_eq!(file("~/x"), "~/x");
        assert_eq!(file("~bob"), "\\~bob");
        assert_eq!(escape_option(b"--usermap=*:b"), b"--usermap=\\*:b");
        assert_eq!(dashless(b"-x"), b"./-x");
    }
}
