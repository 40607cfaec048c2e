//! The daemon's log: stock's lines in a file or to syslog, or one JSON object a line (docs/spec daemon.md 14).

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use syncline_engine::report::local_zone;
use syncline_fs::{Trust, create_operator_file};

use crate::paths::path;

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The normal course, and transfer lines.
    Info,
    /// Errors and warnings.
    Warning,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A file; empty for syslog.
    pub(crate) file: Vec<u8>,
    /// Syslog's facility, as `<syslog.h>` has it.
    pub(crate) facility: i32,
    /// Syslog's tag.
    pub(crate) tag: Vec<u8>,
    /// One JSON object a line.
    pub(crate) json: bool,
}

/// A log that is open. Its connection and its time zone outlast a chroot.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Open>);

#[derive(Debug)]
struct Open {
    target: Target,
    sink: Sink,
    zone: TimeZone,
}

#[derive(Debug)]
enum Sink {
    File(File),
    Syslog(UnixDatagram),
    /// There is no syslog here: nobody listens.
    Nobody,
}

impl Log {
    /// Opens the target; where that is a file that cannot be opened, syslog, with a word about it.
    pub(crate) fn open(target: Target, trust: Trust<'_>) -> Self {
        let zone = local_zone();
        let open = |target, sink| Self(Arc::new(Open { target, sink, zone: zone.clone() }));
        if target.file.is_empty() {
            return open(target, syslog());
        }
        match create_operator_file(path(&target.file), trust, true, 0o644) {
            Ok(file) => open(target, Sink::File(file)),
            Err(error) => {
                let name = String::from_utf8_lossy(&target.file).into_owned();
                let log = open(target, syslog());
                let reason = error.reason();
                log.warn(format!("rsync: [Receiver] failed to open log-file {name}: {reason}"));
                log.warn("Ignoring \"log file\" setting.");
                log
            }
        }
    }

    /// The log of a module. One with the same target stays open: below a `daemon chroot` its name leads nowhere.
    pub(crate) fn or_open(&self, target: Target, trust: Trust<'_>) -> Self {
        if self.0.target == target && matches!(self.0.sink, Sink::File(_)) {
            return self.clone();
        }
        Self::open(target, trust)
    }

    /// Logs what happens in the normal course.
    pub(crate) fn info(&self, message: impl AsRef<[u8]>) {
        self.write(Level::Info, message.as_ref());
    }

    /// Logs an error or a warning.
    pub(crate) fn warn(&self, message: impl AsRef<[u8]>) {
        self.write(Level::Warning, message.as_ref());
    }

    /// Logs a message, one line for each of its own.
    pub(crate) fn write(&self, level: Level, message: &[u8]) {
        let message = message.strip_suffix(b"\n").unwrap_or(message);
        for line in message.split(|&byte| byte == b'\n') {
            self.0.write_line(level, line);
        }
    }
}

impl Open {
    fn write_line(&self, level: Level, message: &[u8]) {
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let pid = std::process::id();
        // A log that cannot be written must not stop the service.
        let _ = match &self.sink {
            Sink::File(file) if self.target.json => {
                let level = if level == Level::Info { "info" } else { "warning" };
                let mut line = serde_json::json!({
                    "time": now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
                    "pid": pid,
                    "level": level,
                    "message": String::from_utf8_lossy(message),
                })
                .to_string();
                line.push('\n');
                (&mut &*file).write_all(line.as_bytes())
            }
            Sink::File(file) => {
                let mut line =
                    format!("{} [{pid}] ", now.strftime("%Y/%m/%d %H:%M:%S")).into_bytes();
                escape(message, &mut line);
                line.push(b'\n');
                // One write a line: several processes share the file.
                (&mut &*file).write_all(&line)
            }
            Sink::Syslog(socket) => {
                let severity = if level == Level::Info { 6 } else { 4 };
                let priority = self.target.facility | severity;
                let time = now.strftime("%b %e %H:%M:%S");
                let mut line = format!("<{priority}>{time} ").into_bytes();
                line.extend_from_slice(&self.target.tag);
                line.extend_from_slice(format!("[{pid}]: ").as_bytes());
                line.extend_from_slice(message);
                socket.send(&line).map(drop)
            }
            Sink::Nobody => Ok(()),
        };
    }
}

fn syslog() -> Sink {
    let connect = || {
        let socket = UnixDatagram::unbound()?;
        // A full syslog must not stop the service either.
        socket.set_nonblocking(true)?;
        socket.connect(Path::new("/dev/log"))?;
        std::io::Result::Ok(socket)
    };
    connect().map_or(Sink::Nobody, Sink::Syslog)
}

/// Makes control bytes, and what could be mistaken for one that was made so, visible.
pub(crate) fn escape(message: &[u8], out: &mut Vec<u8>) {
    for (at, &byte) in message.iter().enumerate() {
        let looks_escaped = byte == b'\\'
            && matches!(message.get(at + 1..at + 5), Some([b'#', digits @ ..]) if digits.iter().all(u8::is_ascii_digit));
        let control = (byte < 0x20 && byte != b'\t') || (0x80..0xa0).contains(&byte);
        if control || looks_escaped {
            out.extend_from_slice(format!("\\#{byte:03o}").as_bytes());
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape(message, &mut out);
        out
    }

    #[test]
    fn control_bytes_and_lookalikes_of_escapes_are_escaped() {
        assert_eq!(escaped(b"a\x1b[31m"), b"a\\#033[31m");
        assert_eq!(escaped(b"a\\#033"), b"a\\#134#033");
        assert_eq!(escaped(b"a\\#03x"), b"a\\#03x");
        assert_eq!(escaped("同\t".as_bytes()), b"\xe5\\#220\\#214\t");
    }

    #[test]
    fn a_json_log_has_one_object_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let target = Target {
            file: file.as_os_str().as_encoded_bytes().to_vec(),
            facility: 24,
            tag: b"rsyncd".to_vec(),
            json: true,
        };
        Log::open(target, Trust::Owners).warn("say \"no\"\nand again");
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["message"], "say \"no\"");
        assert_eq!(lines[1]["level"], "warning");
        assert_eq!(lines.len(), 2);
    }
}
