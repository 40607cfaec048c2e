//! The command line of `syncwatch stats` and `inotifywatch` (spec inotifywait.md 11.1, 11.4).

use syncline_watch::Mask;

use crate::common::timeout;
use crate::events;
use crate::getopt::{Parser, Row, Values, Word, flag, ours, value};
use crate::help::{Line, Text};
use crate::options::{self, Ended, LEAVE_OUT, Watching};

use super::table::{Key, Order};

/// In the order in which the stock tool names them when an abbreviation is ambiguous.
const TABLE: &[Row] = &[
    options::HELP,
    value(
        "event",
        Some(b'e'),
        "event1",
        "Count these events only: a comma list, or the option again.",
    )
    .takes(Values::Words(events::ALL_NAMES)),
    value("timeout", Some(b't'), "seconds", "Count for this long; without it, until a signal."),
    flag("verbose", Some(b'v'), "Say what is being done."),
    flag("zero", Some(b'z'), "Show rows and columns without events too."),
    value("ascending", Some(b'a'), "event", "Sort by this event, or `total', smallest first.")
        .takes(Values::Words(SORT_KEYS)),
    value("descending", Some(b'd'), "event", "The same, largest first.")
        .takes(Values::Words(SORT_KEYS)),
    options::RECURSIVE,
    options::INOTIFY,
    options::FANOTIFY,
    options::FILE_SYSTEM,
    options::NO_DEREFERENCE,
    options::FROM_FILE,
    options::EXCLUDE,
    options::EXCLUDE_CASELESS,
    options::INCLUDE,
    options::INCLUDE_CASELESS,
    options::VERSION,
    ours(flag("json", None, "Print the counts as JSON.")),
    options::BACKEND,
];

const SORT_KEYS: &[&str] = &[
    "total",
    "access",
    "modify",
    "attrib",
    "close_write",
    "close_nowrite",
    "open",
    "moved_from",
    "moved_to",
    "move_self",
    "create",
    "delete",
    "delete_self",
    "unmount",
];

/// The help.
pub(crate) const TEXT: Text = Text {
    program: "inotifywatch",
    about: "Count events on files and directories.",
    arguments: "file1 [ file2 ] [ ... ]",
    table: TABLE,
    lines: &[
        Line::Option("help"),
        Line::Option("verbose"),
        Line::Other(LEAVE_OUT.0, LEAVE_OUT.1),
        Line::Option("fromfile"),
        Line::Option("exclude"),
        Line::Option("excludei"),
        Line::Option("include"),
        Line::Option("includei"),
        Line::Option("zero"),
        Line::Option("recursive"),
        Line::Option("inotify"),
        Line::Option("fanotify"),
        Line::Option("filesystem"),
        Line::Option("no-dereference"),
        Line::Option("timeout"),
        Line::Option("event"),
        Line::Option("ascending"),
        Line::Option("descending"),
    ],
    statuses: &[(0, "Everything went well."), (1, "An error occurred.")],
};

/// A command line that was understood.
pub(super) struct Settings {
    pub(super) watching: Watching,
    pub(super) timeout: Option<u32>,
    pub(super) verbose: bool,
    pub(super) zero: bool,
    pub(super) order: Order,
    pub(super) json: bool,
    ascending_given: bool,
}

impl Settings {
    pub(super) fn parse(program: &str, words: Vec<Vec<u8>>) -> Result<Self, Ended> {
        let mut settings = Self {
            watching: Watching::default(),
            timeout: None,
            verbose: false,
            zero: false,
            order: Order { key: Key::Total, descending: true },
            json: false,
            ascending_given: false,
        };
        let mut parser = Parser::new(program, TABLE, words);
        let mut lines: Vec<String> = Vec::new();
        while let Some(word) = parser.next() {
            match word {
                Ok(Word::Path(path)) => settings.watching.arguments.push(path),
                Ok(Word::Option(name, value)) => settings.set(name, value.unwrap_or_default())?,
                Err(line) => {
                    lines.push(line);
                    break;
                }
            }
        }
        settings.watching.finish();
        let unwatched = match settings.order.key {
            Key::Event(bits) => !settings.watching.events.intersects(bits),
            Key::Total => false,
        };
        if unwatched {
            lines.push("Can't sort by an event which isn't being watched for!".into());
        } else if let Some(conflict) = settings.watching.patterns.conflict() {
            lines.push(conflict.into());
        }
        if lines.is_empty() { Ok(settings) } else { Err(Ended::Refused(lines.join("\n"))) }
    }

    fn set(&mut self, name: &'static str, mut value: Vec<u8>) -> Result<(), Ended> {
        if self.watching.set(name, &mut value)? {
            return Ok(());
        }
        match name {
            "help" => return Err(Ended::Told(TEXT.help(), 1)),
            "timeout" => {
                let seconds = timeout(&value).map_err(Ended::Refused)?;
                self.timeout = (seconds > 0).then_some(seconds);
            }
            "verbose" => self.verbose = true,
            "zero" => self.zero = true,
            "ascending" | "descending" => {
                if self.ascending_given {
                    return Ended::refused("Please specify -a or -d once only!");
                }
                self.ascending_given = name == "ascending";
                // An empty key means ascending by total, whichever option carries it.
                let descending = name == "descending" && !value.is_empty();
                self.order = Order { key: sort_key(&value)?, descending };
            }
            "json" => self.json = true,
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
