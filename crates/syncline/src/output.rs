//! Where lines go: standard output, standard error, the log file (docs/spec cli.md 1, 6, 18).

use std::fs::File;
use std::io::{self, Write};

use jiff::Timestamp;
use syncline_engine::report::{Class, Output, local_zone};
use syncline_options::Options;
use syncline_options::options::StderrMode;

use crate::escape;

/// A client's output.
#[derive(Debug)]
pub(crate) struct Streams {
    quiet: bool,
    all_to_stderr: bool,
    eight_bit: bool,
    utf8: bool,
    log: Option<File>,
}

impl Streams {
    pub(crate) fn new(options: &Options, log: Option<File>) -> Self {
        Self {
            quiet: options.output.quiet > 0,
            all_to_stderr: options.output.stderr == StderrMode::All,
            eight_bit: options.output.eight_bit,
            utf8: locale_is_utf8(),
            log,
        }
    }

    fn write_log(&mut self, text: &[u8]) {
        let Some(log) = &mut self.log else { return };
        let now = Timestamp::now().to_zoned(local_zone());
        let head = format!("{} [{}] ", now.strftime("%Y/%m/%d %H:%M:%S"), std::process::id());
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        if line.is_empty() {
            return;
        }
        let mut entry = head.into_bytes();
        entry.extend_from_slice(&escape::log(line));
        entry.push(b'\n');
        // A log that cannot be written does not stop a run.
        let _ = log.write_all(&entry);
    }
}

impl Output for Streams {
    fn put(&mut self, class: Class, text: &[u8]) {
        // Items have lines of their own in the log.
        if class != Class::ClientInfo {
            self.write_log(text);
        }
        let info = matches!(class, Class::Info | Class::ClientInfo);
        if class == Class::Log || (info && self.quiet) {
            return;
        }
        let shown = escape::terminal(text, self.utf8, self.eight_bit);
        if info && !self.all_to_stderr {
            to_stdout(&shown);
        } else {
            to_stderr(&shown);
            crate::hints::tell(&String::from_utf8_lossy(text));
        }
    }
}

/// A closed or full standard output never stops a run.
pub(crate) fn to_stdout(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// As [`to_stdout`].
pub(crate) fn to_stderr(text: &[u8]) {
    let _ = io::stderr().lock().write_all(text);
}

/// What `LC_ALL`, `LC_CTYPE` and `LANG` say, the first that is set.
fn locale_is_utf8() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}
