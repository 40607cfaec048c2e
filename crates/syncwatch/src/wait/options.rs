//! The command line of `syncwatch wait` and `inotifywait` (spec inotifywait.md 1).

use std::time::Duration;

use crate::common::timeout;
use crate::getopt::{Parser, Row, Values, Word, flag, ours, value};
use crate::help::{Line, Text};
use crate::options::{self, Ended, LEAVE_OUT, Watching};

/// In the order in which the stock tool names them when an abbreviation is ambiguous.
const TABLE: &[Row] = &[
    options::HELP,
    value(
        "event",
        Some(b'e'),
        "event1",
        "Wait for these events only: a comma list, or the option again.",
    )
    .takes(Values::Words(crate::events::ALL_NAMES)),
    flag("monitor", Some(b'm'), "Go on after the first event."),
    flag("quiet", Some(b'q'), "Print events only."),
    value("timeout", Some(b't'), "seconds", "End when nothing happens for this long."),
    // Taken only to be refused with the stock tool's explanation.
    flag("filename", Some(b'f'), ""),
    options::RECURSIVE,
    options::INOTIFY,
    options::FANOTIFY,
    options::FILE_SYSTEM,
    flag("csv", Some(b'c'), "Print events as comma-separated values."),
    flag("daemon", Some(b'd'), "The same in the background; needs --outfile."),
    flag("syslog", Some(b's'), "Send errors to the system log."),
    options::NO_DEREFERENCE,
    value(
        "format",
        None,
        "fmt",
        "Print events in this format: %w watched path, %f name,\n%e events, %Xe events joined by X, %T time, %c cookie,\n%0 NUL, %n newline, %% percent.",
    ),
    flag("no-newline", None, "No newline after the format."),
    value("timefmt", None, "fmt", "A strftime format for %T."),
    options::FROM_FILE,
    value("outfile", Some(b'o'), "file", "Append events to this file.").takes(Values::Files),
    options::EXCLUDE,
    options::EXCLUDE_CASELESS,
    options::INCLUDE,
    options::INCLUDE_CASELESS,
    options::VERSION,
    options::BACKEND,
    ours(flag("by-name", None, "A watched file stays watched when it is replaced.")),
    ours(
        value(
            "root-lost",
            None,
            "what",
            "Say when a watched path is gone; exit: end with 1; wait: wait for it.",
        )
        .takes(Values::Words(&["exit", "wait"])),
    ),
    ours(flag("keep-going", None, "When watches run out, watch what fits and poll the rest.")),
    ours(
        value("ready-file", None, "file", "Create this file when all watches are established.")
            .takes(Values::Files),
    ),
];

/// The help.
pub(crate) const TEXT: Text = Text {
    program: "inotifywait",
    about: "Wait for events on files and directories and print them.",
    arguments: "file1 [ file2 ] [ file3 ] [ ... ]",
    table: TABLE,
    lines: &[
        Line::Option("help"),
        Line::Other(LEAVE_OUT.0, LEAVE_OUT.1),
        Line::Option("exclude"),
        Line::Option("excludei"),
        Line::Option("include"),
        Line::Option("includei"),
        Line::Option("monitor"),
        Line::Option("daemon"),
        Line::Option("no-dereference"),
        Line::Option("recursive"),
        Line::Option("inotify"),
        Line::Option("fanotify"),
        Line::Option("filesystem"),
        Line::Option("fromfile"),
        Line::Option("outfile"),
        Line::Option("syslog"),
        Line::Option("quiet"),
        Line::Other("-qq", "Print nothing."),
        Line::Option("format"),
        Line::Option("no-newline"),
        Line::Option("timefmt"),
        Line::Option("csv"),
        Line::Option("timeout"),
        Line::Option("event"),
    ],
    statuses: &[
        (0, "An event came."),
        (1, "An error occurred, or an event came that was not asked for."),
        (2, "The time ran out."),
    ],
};

/// What to do when a watched argument is no longer where it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RootLost {
    /// As the stock tool: say nothing.
    #[default]
    Ignore,
    Exit,
    Wait,
}

/// A command line that was understood.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) watching: Watching,
    pub(super) monitor: bool,
    pub(super) quiet: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) csv: bool,
    pub(super) daemon: bool,
    pub(super) syslog: bool,
    pub(super) format: Option<Vec<u8>>,
    pub(super) no_newline: bool,
    pub(super) timefmt: Option<Vec<u8>>,
    pub(super) outfile: Option<Vec<u8>>,
    pub(super) by_name: bool,
    pub(super) root_lost: RootLost,
    pub(super) keep_going: bool,
    pub(super) ready_file: Option<Vec<u8>>,
    warnings: Vec<&'static str>,
}

impl Settings {
    /// Reads the command line and makes the checks of 1.4. Lines that go before anything else are in `warnings`.
    pub(super) fn parse(program: &str, words: Vec<Vec<u8>>) -> Result<Self, Ended> {
        let mut settings = Self::default();
        let mut parser = Parser::new(program, TABLE, words);
        let mut failed = None;
        while let Some(word) = parser.next() {
            match word {
                Ok(Word::Path(path)) => settings.watching.arguments.push(path),
                Ok(Word::Option(name, value)) => {
                    settings.set(name, value.unwrap_or_default())?;
                }
                Err(line) => {
                    failed = Some(line);
                    break;
                }
            }
        }
        settings.watching.finish();
        let conflict = settings.conflict();
        if failed.is_some() || conflict.is_some() {
            let mut lines: Vec<&str> = failed.iter().map(String::as_str).collect();
            match conflict {
                Some(conflict) => lines.push(conflict),
                None => lines.extend(&settings.warnings),
            }
            return Err(Ended::Refused(lines.join("\n")));
        }
        Ok(settings)
    }

    pub(super) fn warnings(&self) -> &[&'static str] {
        &self.warnings
    }

    fn set(&mut self, name: &'static str, mut value: Vec<u8>) -> Result<(), Ended> {
        let patterns = &self.watching.patterns;
        if name == "exclude" && patterns.exclude.is_some() {
            self.warnings.push("--exclude: only the last option will be taken into consideration.");
        } else if name == "excludei" && patterns.excludei.is_some() {
            self.warnings
                .push("--excludei: only the last option will be taken into consideration.");
        }
        if self.watching.set(name, &mut value)? {
            return Ok(());
        }
        match name {
            "help" => return Err(Ended::Told(TEXT.help(), 1)),
            "monitor" => self.monitor = true,
            "quiet" => self.quiet += 1,
            "timeout" => {
                let seconds = timeout(&value).map_err(Ended::Refused)?;
                self.timeout = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
            }
            "filename" => {
                return Ended::refused(
                    "The '--filename' option no longer exists.  The option it enabled in earlier\n\
                     versions of inotifywait is now turned on by default.",
                );
            }
            "csv" => self.csv = true,
            "daemon" => (self.daemon, self.monitor, self.syslog) = (true, true, true),
            "syslog" => self.syslog = true,
            "format" => self.format = Some(value),
            "no-newline" => self.no_newline = true,
            "timefmt" => self.timefmt = Some(value),
            "outfile" if self.outfile.is_some() => {
                return Ended::refused("Multiple --outfile options given.");
            }
            "outfile" => self.outfile = Some(value),
            "by-name" => self.by_name = true,
            "root-lost" => {
                self.by_name = true;
                self.root_lost = match value.as_slice() {
                    b"exit" => RootLost::Exit,
                    b"wait" => RootLost::Wait,
                    _ => return Ended::refused("--root-lost takes exit or wait."),
                };
            }
            "keep-going" => self.keep_going = true,
            "ready-file" => self.ready_file = Some(value),
            other => unreachable!("--{other} is in the table and nowhere else"),
        }
        Ok(())
    }

    fn conflict(&self) -> Option<&'static str> {
        if let Some(conflict) = self.watching.patterns.conflict() {
            return Some(conflict);
        }
        if self.format.is_some() && self.csv {
            return Some("-c and --format cannot both be specified.");
        }
        let Some(format) = &self.format else {
            if self.no_newline {
                return Some("--no-newline cannot be specified without --format.");
            }
            if self.timefmt.is_some() {
                return Some("--timefmt cannot be specified without --format.");
            }
            return self.daemon_without_file();
        };
        if self.timefmt.is_none() && format.windows(2).any(|two| two == b"%T") {
            return Some("%T is in --format string, but --timefmt was not specified.");
        }
        self.daemon_without_file()
    }

    fn daemon_without_file(&self) -> Option<&'static str> {
        (self.daemon && self.outfile.is_none()).then_some("-o must be specified with -d.")
    }
}
