//! The command line of `syncwatch stats` and `inotifywatch` (spec inotifywait.md 11.1, 11.4).

use syncline_watch::{Backend, Mask};

use crate::common::{Paths, Patterns, backend, help_events, timeout};
use crate::events;
use crate::getopt::{Parser, Spec, Word, flag, ours, value};
use crate::wait::STOCK;

use super::table::{Key, Order};

const TABLE: &[Spec] = &[
    flag("help", Some(b'h')),
    value("event", Some(b'e')),
    value("timeout", Some(b't')),
    flag("verbose", Some(b'v')),
    flag("zero", Some(b'z')),
    value("ascending", Some(b'a')),
    value("descending", Some(b'd')),
    flag("recursive", Some(b'r')),
    flag("inotify", Some(b'I')),
    flag("fanotify", Some(b'F')),
    flag("filesystem", Some(b'S')),
    flag("no-dereference", Some(b'P')),
    value("fromfile", None),
    value("exclude", None),
    value("excludei", None),
    value("include", None),
    value("includei", None),
    ours("version", false),
    ours("json", false),
    ours("backend", true),
];

/// A command line that was understood.
pub(super) struct Settings {
    pub(super) events: Mask,
    pub(super) timeout: Option<u32>,
    pub(super) verbose: bool,
    pub(super) zero: bool,
    pub(super) order: Order,
    pub(super) recursive: bool,
    pub(super) watch_links: bool,
    pub(super) json: bool,
    pub(super) backend: Backend,
    pub(super) patterns: Patterns,
    fromfile: Option<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    ascending_given: bool,
}

/// How the program ends before it has begun.
pub(super) enum Ended {
    Refused(String),
    Told(String, u8),
}

impl Settings {
    pub(super) fn parse(program: &str, words: Vec<Vec<u8>>) -> Result<Self, Ended> {
        let mut settings = Self {
            events: Mask::default(),
            timeout: None,
            verbose: false,
            zero: false,
            order: Order { key: Key::Total, descending: true },
            recursive: false,
            watch_links: false,
            json: false,
            backend: Backend::Inotify,
            patterns: Patterns::default(),
            fromfile: None,
            arguments: Vec::new(),
            ascending_given: false,
        };
        let mut parser = Parser::new(program, TABLE, words);
        let mut lines: Vec<String> = Vec::new();
        while let Some(word) = parser.next() {
            match word {
                Ok(Word::Path(path)) => settings.arguments.push(path),
                Ok(Word::Option(name, value)) => settings.set(name, value.unwrap_or_default())?,
                Err(line) => {
                    lines.push(line);
                    break;
                }
            }
        }
        if settings.events.is_empty() {
            settings.events = Mask::ALL;
        }
        let unwatched = match settings.order.key {
            Key::Event(bits) => !settings.events.intersects(bits),
            Key::Total => false,
        };
        if unwatched {
            lines.push("Can't sort by an event which isn't being watched for!".into());
        } else if let Some(conflict) = settings.patterns.conflict() {
            lines.push(conflict.into());
        }
        if lines.is_empty() { Ok(settings) } else { Err(Ended::Refused(lines.join("\n"))) }
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
            "timeout" => {
                let seconds = timeout(&value).map_err(Ended::Refused)?;
                self.timeout = (seconds > 0).then_some(seconds);
            }
            "verbose" => self.verbose = true,
            "zero" => self.zero = true,
            "ascending" | "descending" => {
                if self.ascending_given {
                    return refuse("Please specify -a or -d once only!");
                }
                self.ascending_given = name == "ascending";
                // An empty key means ascending by total, whichever option carries it.
                let descending = name == "descending" && !value.is_empty();
                self.order = Order { key: sort_key(&value)?, descending };
            }
            "recursive" => self.recursive = true,
            "no-dereference" => self.watch_links = true,
            "fromfile" if self.fromfile.is_some() => {
                return refuse("Multiple --fromfile options given.");
            }
            "fromfile" => self.fromfile = Some(value),
            "exclude" => self.patterns.exclude = Some(value),
            "excludei" => self.patterns.excludei = Some(value),
            "include" => self.patterns.include = Some(value),
            "includei" => self.patterns.includei = Some(value),
            "json" => self.json = true,
            "backend" => self.backend = backend(&value).map_err(Ended::Refused)?,
            // The back end never changes what is printed; --backend chooses it.
            "inotify" | "fanotify" | "filesystem" => {}
            other => unreachable!("--{other} is in the table and nowhere else"),
        }
        Ok(())
    }
}

fn sort_key(value: &[u8]) -> Result<Key, Ended> {
    if value.is_empty() || value.eq_ignore_ascii_case(b"total") {
        return Ok(Key::Total);
    }
    let refuse = |text: String| Err(Ended::Refused(text));
    match events::bits(value) {
        Some(0xc0) => {
            refuse("Cannot sort by `move' event; please use `moved_from' or `moved_to'.".into())
        }
        Some(0x18) => refuse(
            "Cannot sort by `close' event; please use `close_write' or `close_nowrite'.".into(),
        ),
        Some(bits) if bits.is_power_of_two() => Ok(Key::Event(Mask::from_bits(bits))),
        _ => {
            refuse(format!("'{}' is not a valid key for sorting!", String::from_utf8_lossy(value)))
        }
    }
}

fn help() -> String {
    let events = help_events();
    format!(
        "inotifywatch {STOCK}\n\
Count events on files and directories.\n\
Usage: inotifywatch [ options ] file1 [ file2 ] [ ... ]\n\
Options:\n\
\t-h|--help    \tShow this text.\n\
\t-v|--verbose \tSay what is being done.\n\
\t@<file>      \tLeave this directory out of a recursive watch.\n\
\t--fromfile <file>\n\
\t             \tRead paths, one on a line, from a file or `-' for stdin.\n\
\t--exclude <pattern>\n\
\t             \tDrop events on paths that match this extended regular expression.\n\
\t--excludei <pattern>\n\
\t             \tThe same, ignoring case.\n\
\t--include <pattern>\n\
\t             \tDrop events on paths that do not match.\n\
\t--includei <pattern>\n\
\t             \tThe same, ignoring case.\n\
\t-z|--zero    \tShow rows and columns without events too.\n\
\t-r|--recursive\tWatch directories with everything below them.\n\
\t-P|--no-dereference\n\
\t             \tWatch symbolic links themselves.\n\
\t-t|--timeout <seconds>\n\
\t             \tCount for this long; without it, until a signal.\n\
\t-e|--event <event1> [ -e|--event <event2> ... ]\n\
\t             \tCount these events only.\n\
\t-a|--ascending <event>\n\
\t             \tSort by this event, or `total', smallest first.\n\
\t-d|--descending <event>\n\
\t             \tThe same, largest first.\n\
\n\
Exit status:\n\
\t0\tEverything went well.\n\
\t1\tAn error occurred.\n\
\n\
{events}\
\n\
Options of this program only (never abbreviated):\n\
\t--json       \tPrint the counts as JSON.\n\
\t--backend <name>\tauto, inotify (the default here) or fanotify.\n\
\t--version    \tPrint the version.\n"
    )
}
