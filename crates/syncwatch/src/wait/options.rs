//! The command line of `syncwatch wait` and `inotifywait` (spec inotifywait.md 1).

use std::time::Duration;

use syncline_watch::{Backend, Mask};

use crate::common::{Paths, Patterns, backend, help_events, timeout};
use crate::events;
use crate::getopt::{Parser, Spec, Word, flag, ours, value};

const TABLE: &[Spec] = &[
    flag("help", Some(b'h')),
    value("event", Some(b'e')),
    flag("monitor", Some(b'm')),
    flag("quiet", Some(b'q')),
    value("timeout", Some(b't')),
    flag("filename", Some(b'f')),
    flag("recursive", Some(b'r')),
    flag("inotify", Some(b'I')),
    flag("fanotify", Some(b'F')),
    flag("filesystem", Some(b'S')),
    flag("csv", Some(b'c')),
    flag("daemon", Some(b'd')),
    flag("syslog", Some(b's')),
    flag("no-dereference", Some(b'P')),
    value("format", None),
    flag("no-newline", None),
    value("timefmt", None),
    value("fromfile", None),
    value("outfile", Some(b'o')),
    value("exclude", None),
    value("excludei", None),
    value("include", None),
    value("includei", None),
    ours("version", false),
    ours("backend", true),
    ours("by-name", false),
    ours("root-lost", true),
    ours("keep-going", false),
    ours("ready-file", true),
];

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
    pub(super) events: Mask,
    pub(super) monitor: bool,
    pub(super) quiet: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) recursive: bool,
    pub(super) csv: bool,
    pub(super) daemon: bool,
    pub(super) syslog: bool,
    pub(super) watch_links: bool,
    pub(super) format: Option<Vec<u8>>,
    pub(super) no_newline: bool,
    pub(super) timefmt: Option<Vec<u8>>,
    pub(super) fromfile: Option<Vec<u8>>,
    pub(super) outfile: Option<Vec<u8>>,
    pub(super) patterns: Patterns,
    pub(super) arguments: Vec<Vec<u8>>,
    pub(super) backend: Backend,
    pub(super) by_name: bool,
    pub(super) root_lost: RootLost,
    pub(super) keep_going: bool,
    pub(super) ready_file: Option<Vec<u8>>,
    warnings: Vec<&'static str>,
}

/// How the program ends before it has begun.
pub(super) enum Ended {
    /// Lines for standard error; the status is 1.
    Refused(String),
    /// A text for standard output, and the status.
    Told(String, u8),
}

impl Settings {
    /// Reads the command line and makes the checks of 1.4. Lines that go before anything else are in `warnings`.
    pub(super) fn parse(program: &str, words: Vec<Vec<u8>>) -> Result<Self, Ended> {
        let mut settings = Self { backend: Backend::Inotify, ..Self::default() };
        let mut parser = Parser::new(program, TABLE, words);
        let mut failed = None;
        while let Some(word) = parser.next() {
            match word {
                Ok(Word::Path(path)) => settings.arguments.push(path),
                Ok(Word::Option(name, value)) => {
                    settings.set(name, value.unwrap_or_default())?;
                }
                Err(line) => {
                    failed = Some(line);
                    break;
                }
            }
        }
        if settings.events.is_empty() {
            settings.events = Mask::ALL;
        }
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

    /// The paths to watch, from file and arguments.
    pub(super) fn paths(&self, report: impl FnOnce(&str)) -> Paths {
        let mut paths = match &self.fromfile {
            Some(file) => Paths::from_file(file, report),
            None => Paths::default(),
        };
        self.arguments.iter().for_each(|word| paths.push(word));
        paths
    }

    fn set(&mut self, name: &'static str, value: Vec<u8>) -> Result<(), Ended> {
        let refuse = |text: &str| Err(Ended::Refused(text.to_owned()));
        match name {
            "help" => return Err(Ended::Told(help(), 1)),
            "version" => {
                return Err(Ended::Told(format!("syncwatch {}\n", env!("CARGO_PKG_VERSION")), 0));
            }
            "event" => match events::parse(&value) {
                Some(mask) => self.events |= mask,
                None => return Err(Ended::Refused(events::unknown(&value))),
            },
            "monitor" => self.monitor = true,
            "quiet" => self.quiet += 1,
            "timeout" => {
                let seconds = timeout(&value).map_err(Ended::Refused)?;
                self.timeout = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
            }
            "filename" => {
                return refuse(
                    "The '--filename' option no longer exists.  The option it enabled in earlier\n\
                     versions of inotifywait is now turned on by default.",
                );
            }
            "recursive" => self.recursive = true,
            "csv" => self.csv = true,
            "daemon" => (self.daemon, self.monitor, self.syslog) = (true, true, true),
            "syslog" => self.syslog = true,
            "no-dereference" => self.watch_links = true,
            "format" => self.format = Some(value),
            "no-newline" => self.no_newline = true,
            "timefmt" => self.timefmt = Some(value),
            "fromfile" if self.fromfile.is_some() => {
                return refuse("Multiple --fromfile options given.");
            }
            "fromfile" => self.fromfile = Some(value),
            "outfile" if self.outfile.is_some() => {
                return refuse("Multiple --outfile options given.");
            }
            "outfile" => self.outfile = Some(value),
            "exclude" => {
                if self.patterns.exclude.replace(value).is_some() {
                    self.warnings
                        .push("--exclude: only the last option will be taken into consideration.");
                }
            }
            "excludei" => {
                if self.patterns.excludei.replace(value).is_some() {
                    self.warnings
                        .push("--excludei: only the last option will be taken into consideration.");
                }
            }
            "include" => self.patterns.include = Some(value),
            "includei" => self.patterns.includei = Some(value),
            "backend" => self.backend = backend(&value).map_err(Ended::Refused)?,
            "by-name" => self.by_name = true,
            "root-lost" => {
                self.by_name = true;
                self.root_lost = match value.as_slice() {
                    b"exit" => RootLost::Exit,
                    b"wait" => RootLost::Wait,
                    _ => return refuse("--root-lost takes exit or wait."),
                };
            }
            "keep-going" => self.keep_going = true,
            "ready-file" => self.ready_file = Some(value),
            // The back end never changes what is printed; --backend chooses it.
            "inotify" | "fanotify" | "filesystem" => {}
            other => unreachable!("--{other} is in the table and nowhere else"),
        }
        Ok(())
    }

    fn conflict(&self) -> Option<&'static str> {
        if let Some(conflict) = self.patterns.conflict() {
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

fn help() -> String {
    let events = help_events();
    format!(
        "inotifywait {STOCK}\n\
Wait for events on files and directories and print them.\n\
Usage: inotifywait [ options ] file1 [ file2 ] [ file3 ] [ ... ]\n\
Options:\n\
\t-h|--help     \tShow this text.\n\
\t@<file>       \tLeave this directory out of a recursive watch.\n\
\t--exclude <pattern>\n\
\t              \tDrop events on paths that match this extended regular expression.\n\
\t--excludei <pattern>\n\
\t              \tThe same, ignoring case.\n\
\t--include <pattern>\n\
\t              \tDrop events on paths that do not match.\n\
\t--includei <pattern>\n\
\t              \tThe same, ignoring case.\n\
\t-m|--monitor  \tGo on after the first event.\n\
\t-d|--daemon   \tThe same in the background; needs --outfile.\n\
\t-P|--no-dereference\n\
\t              \tWatch symbolic links themselves.\n\
\t-r|--recursive\tWatch directories with everything below them.\n\
\t--fromfile <file>\n\
\t              \tRead paths, one on a line, from a file or `-' for stdin.\n\
\t-o|--outfile <file>\n\
\t              \tAppend events to this file.\n\
\t-s|--syslog   \tSend errors to the system log.\n\
\t-q|--quiet    \tPrint events only.\n\
\t-qq           \tPrint nothing.\n\
\t--format <fmt>\tPrint events in this format: %w watched path, %f name,\n\
\t              \t%e events, %Xe events joined by X, %T time, %c cookie,\n\
\t              \t%0 NUL, %n newline, %% percent.\n\
\t--no-newline  \tNo newline after the format.\n\
\t--timefmt <fmt>\tA strftime format for %T.\n\
\t-c|--csv      \tPrint events as comma-separated values.\n\
\t-t|--timeout <seconds>\n\
\t              \tEnd when nothing happens for this long.\n\
\t-e|--event <event1> [ -e|--event <event2> ... ]\n\
\t              \tWait for these events only.\n\
\n\
Exit status:\n\
\t0\tAn event came.\n\
\t1\tAn error occurred, or an event came that was not asked for.\n\
\t2\tThe time ran out.\n\
\n\
{events}\
\n\
Options of this program only (never abbreviated):\n\
\t--backend <name>\tauto, inotify (the default here) or fanotify.\n\
\t--by-name     \tA watched file stays watched when it is replaced.\n\
\t--root-lost <exit|wait>\n\
\t              \tSay when a watched path is gone; end with 1, or wait for it.\n\
\t--keep-going  \tWhen watches run out, watch what fits and poll the rest.\n\
\t--ready-file <file>\n\
\t              \tCreate this file when all watches are established.\n\
\t--version     \tPrint the version.\n"
    )
}

/// The release whose behaviour is kept; scripts read it from the first word of the help.
pub(crate) const STOCK: &str = "3.22.6.0";
