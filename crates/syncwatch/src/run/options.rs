//! The command line of `syncwatch run`.

use std::fmt::Write as _;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use syncline_watch::{Backend, Mask};

use crate::common::{Patterns, backend};
use crate::events;
use crate::getopt::{Parser, Row, Values, Word, flag, value};

pub(crate) const TABLE: &[Row] = &[
    value("settle", Some(b's'), "TIME", "quiet that ends a burst [200ms]"),
    value("max-delay", None, "TIME", "run at the latest this long after a change [5s]"),
    value(
        "on-busy",
        Some(b'b'),
        "WHAT",
        "changes while COMMAND runs: queue, restart,\nsignal or ignore [queue]",
    )
    .takes(Values::Words(&["queue", "restart", "signal", "ignore"])),
    value("signal", None, "NAME", "what --on-busy=signal sends [HUP]").takes(SIGNALS),
    value("stop-signal", None, "NAME", "what stops COMMAND [TERM]").takes(SIGNALS),
    value("stop-timeout", None, "TIME", "then it is killed [10s]"),
    value(
        "events",
        Some(b'e'),
        "LIST",
        "what counts as a change, in inotifywait's names\n[create,delete,move,modify,close_write,attrib]",
    )
    .takes(Values::Words(events::ALL_NAMES)),
    value(
        "filter",
        Some(b'f'),
        "RULE",
        "an rsync filter rule, such as '- *.tmp', '+ *.conf'\nor ': .rsync-filter', a file of rules in each\ndirectory; may be given several times, the first\nmatch decides",
    ),
    value("exclude", None, "PATTERN", "leave out paths that match (extended regular\nexpression)"),
    value("include", None, "PATTERN", "leave out paths that do not match"),
    value(
        "pass",
        Some(b'p'),
        "HOW",
        "changed paths to COMMAND: args (in place of {}),\nstdin (each ended by NUL), json (in the file that\n$SYNCWATCH_JSON names) [args]",
    )
    .takes(Values::Words(&["args", "stdin", "json"])),
    flag("compare", Some(b'c'), "a file whose contents are what they were is no change"),
    flag("initial", Some(b'i'), "run at the start too"),
    flag("once", Some(b'1'), "run once and end with COMMAND's status"),
    value("retry", None, "N", "run a COMMAND that failed up to N more times [0]"),
    value("retry-delay", None, "TIME", "wait before the first retry, doubled each time [1s]"),
    flag("exit-on-error", None, "end with COMMAND's status when it fails for good"),
    flag("shell", None, "COMMAND is one text for sh -c; {} becomes \"$@\""),
    flag("no-recursive", None, "do not watch what is below subdirectories"),
    value("backend", None, "NAME", "auto, inotify or fanotify [auto]")
        .takes(Values::Words(&["auto", "inotify", "fanotify"])),
    flag("quiet", Some(b'q'), "log errors only"),
    flag("help", Some(b'h'), "show this text"),
];

const SIGNALS: Values = Values::Words(&["HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2"]);

/// What to do with changes that settle while the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnBusy {
    /// Run again afterwards.
    Queue,
    /// Stop the command and run it with all changes.
    Restart,
    /// Send the command a signal.
    Signal,
    /// Forget them.
    Ignore,
}

/// How the command learns what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// As arguments, in place of `{}`.
    Arguments,
    /// On standard input, each ended by NUL.
    Stdin,
    /// In a file that `SYNCWATCH_JSON` names.
    Json,
}

/// A command line that was understood.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) settle: Duration,
    pub(super) max_delay: Duration,
    pub(super) on_busy: OnBusy,
    pub(super) signal: i32,
    pub(super) stop_signal: i32,
    pub(super) stop_timeout: Duration,
    pub(super) events: Mask,
    pub(super) pass: Pass,
    pub(super) retry: u32,
    pub(super) retry_delay: Duration,
    pub(super) backend: Backend,
    pub(super) recursive: bool,
    pub(super) compare: bool,
    pub(super) initial: bool,
    pub(super) once: bool,
    pub(super) exit_on_error: bool,
    pub(super) shell: bool,
    pub(super) quiet: bool,
    pub(super) filter: Vec<Vec<u8>>,
    pub(super) exclude: Option<Vec<u8>>,
    pub(super) include: Option<Vec<u8>>,
    pub(super) paths: Vec<Vec<u8>>,
    pub(super) command: Vec<Vec<u8>>,
}

impl Settings {
    /// Reads the command line; `None` asks for the help.
    pub(super) fn parse(program: &str, mut words: Vec<Vec<u8>>) -> Result<Option<Self>, String> {
        let command = match words.iter().position(|word| word == b"--") {
            Some(at) => words.split_off(at).split_off(1),
            None => Vec::new(),
        };
        let mut settings = Self {
            settle: Duration::from_millis(200),
            max_delay: Duration::from_secs(5),
            on_busy: OnBusy::Queue,
            signal: SIGHUP,
            stop_signal: SIGTERM,
            stop_timeout: Duration::from_secs(10),
            events: Mask::CREATE
                | Mask::DELETE
                | Mask::MOVE
                | Mask::MODIFY
                | Mask::CLOSE_WRITE
                | Mask::ATTRIB,
            pass: Pass::Arguments,
            retry: 0,
            retry_delay: Duration::from_secs(1),
            backend: Backend::Auto,
            recursive: true,
            compare: false,
            initial: false,
            once: false,
            exit_on_error: false,
            shell: false,
            quiet: false,
            filter: Vec::new(),
            exclude: None,
            include: None,
            paths: Vec::new(),
            command,
        };
        let mut parser = Parser::new(program, TABLE, words);
        while let Some(word) = parser.next() {
            match word? {
                Word::Path(path) => settings.paths.push(path),
                Word::Option("help", _) => return Ok(None),
                Word::Option(name, value) => settings.set(name, value.unwrap_or_default())?,
            }
        }
        if settings.paths.is_empty() {
            return Err(format!("{program}: nothing to watch: give a path before --"));
        }
        if settings.command.is_empty() {
            return Err(format!("{program}: nothing to run: give a command after --"));
        }
        Ok(Some(settings))
    }

    /// The patterns of `--exclude` and `--include`.
    pub(super) fn patterns(&self) -> Patterns {
        Patterns {
            exclude: self.exclude.clone(),
            include: self.include.clone(),
            ..Patterns::default()
        }
    }

    fn set(&mut self, name: &'static str, value: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8_lossy(&value).into_owned();
        let bad = |expected: &str| Err(format!("--{name} takes {expected}, not '{text}'"));
        let time = || {
            duration(&text).ok_or_else(|| {
                format!("--{name} takes a time such as 200ms, 5s or 2m, not '{text}'")
            })
        };
        match name {
            "settle" => self.settle = time()?,
            "max-delay" => self.max_delay = time()?,
            "stop-timeout" => self.stop_timeout = time()?,
            "retry-delay" => self.retry_delay = time()?,
            "on-busy" => {
                self.on_busy = match text.as_str() {
                    "queue" => OnBusy::Queue,
                    "restart" => OnBusy::Restart,
                    "signal" => OnBusy::Signal,
                    "ignore" => OnBusy::Ignore,
                    _ => return bad("queue, restart, signal or ignore"),
                }
            }
            "pass" => {
                self.pass = match text.as_str() {
                    "args" => Pass::Arguments,
                    "stdin" => Pass::Stdin,
                    "json" => Pass::Json,
                    _ => return bad("args, stdin or json"),
                }
            }
            "signal" | "stop-signal" => {
                let Some(signal) = signal(&text) else {
                    return bad("HUP, INT, QUIT, TERM, KILL, USR1 or USR2");
                };
                *(if name == "signal" { &mut self.signal } else { &mut self.stop_signal }) = signal;
            }
            "retry" => match text.parse() {
                Ok(retry) => self.retry = retry,
                Err(_) => return bad("a number"),
            },
            "events" => match events::parse(&value) {
                Some(mask) => self.events = mask,
                None => return Err(events::unknown(&value)),
            },
            "filter" => self.filter.push(value),
            "exclude" => self.exclude = Some(value),
            "include" => self.include = Some(value),
            "backend" => self.backend = backend(&value)?,
            "no-recursive" => self.recursive = false,
            "compare" => self.compare = true,
            "initial" => self.initial = true,
            "once" => self.once = true,
            "exit-on-error" => self.exit_on_error = true,
            "shell" => self.shell = true,
            "quiet" => self.quiet = true,
            other => unreachable!("--{other} is in the table and nowhere else"),
        }
        Ok(())
    }
}

/// A number with a unit; without one, seconds.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

fn signal(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    Some(match name {
        "HUP" => SIGHUP,
        "INT" => SIGINT,
        "QUIT" => SIGQUIT,
        "TERM" => SIGTERM,
        "KILL" => SIGKILL,
        "USR1" => SIGUSR1,
        "USR2" => SIGUSR2,
        _ => return None,
    })
}

/// The forms of the command line.
pub(crate) const USAGE: &str = "[options] PATH... -- COMMAND [ARGUMENT]...";

/// What the program does, in a paragraph.
pub(crate) const ABOUT: &str = "\
Runs COMMAND when changes below the PATHs have settled: once for a burst, not for
files that come and go, and for a PATH that is a file also when it is replaced.
An ARGUMENT that is {} stands for the changed paths.
";

/// How the program ends.
pub(crate) const STATUS: &str = "\
Ends with COMMAND's status (--once, --exit-on-error), 1 on an error of its own, and
by the signal that ended it.
";

/// Where meanings begin in the help.
const COLUMN: usize = 26;

pub(super) fn help() -> String {
    let mut text = format!("Usage: syncwatch run {USAGE}\n\n{ABOUT}\n");
    for row in TABLE {
        let short = row.short.map_or("    ".to_owned(), |letter| format!("-{}, ", letter as char));
        let value = row.value.map(|name| format!(" {name}")).unwrap_or_default();
        let form = format!("  {short}--{}{value}", row.long);
        let help = row.help.replace('\n', &format!("\n{:COLUMN$}", ""));
        let _ = writeln!(text, "{form:<width$}  {help}", width = COLUMN - 2);
    }
    format!("{text}\n{STATUS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Settings>, String> {
        Settings::parse(
            "syncwatch run",
            words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        )
    }

    #[test]
    fn what_follows_the_two_dashes_is_the_command() {
        let settings =
            parse(&["-s", "1.5s", "etc", "--on-busy=restart", "--", "nginx", "-s", "reload"])
                .unwrap()
                .unwrap();
        assert_eq!(settings.settle, Duration::from_millis(1500));
        assert_eq!(settings.on_busy, OnBusy::Restart);
        assert_eq!(settings.paths, [b"etc"]);
        assert_eq!(settings.command, [b"nginx".as_slice(), b"-s", b"reload"]);
    }

    #[test]
    fn bad_values_are_named_with_what_is_taken() {
        assert_eq!(
            parse(&["--on-busy", "x", "d", "--", "c"]).unwrap_err(),
            "--on-busy takes queue, restart, signal or ignore, not 'x'"
        );
        assert!(parse(&["--settle", "5y", "d", "--", "c"]).unwrap_err().contains("200ms"));
        assert!(parse(&["d"]).unwrap_err().contains("nothing to run"));
    }
}
