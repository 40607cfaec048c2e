//! The table: one [`Row`] for each option, from which parsing, help, man page, completions, packing for a server and a
//! daemon's refusals all come. The rows stand in one file for each [`Category`].

mod attributes;
mod connection;
mod daemon;
mod data;
mod deletion;
mod id;
mod live;
mod ours;
mod output;
mod select;

pub use id::OptionId;

use crate::daemon::DaemonDraft;
use crate::draft::Draft;
use crate::error::UsageError;
use crate::live::LiveOptions;
use crate::word::Word;

/// Which command line an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Transfers and servers.
    Transfer,
    /// After `--daemon`.
    Daemon,
    /// Live mirrors.
    Live,
}

/// The heading an option stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Information and output.
    Output,
    /// Selecting what is copied.
    Select,
    /// Comparison and data transfer.
    Data,
    /// Attributes.
    Attributes,
    /// Deletion.
    Deletion,
    /// Connection, limits, batch.
    Connection,
    /// Options that only Syncline has.
    Ours,
    /// Daemon mode.
    Daemon,
    /// Live mirrors.
    Live,
}

impl Category {
    /// All of them in the order of the manual.
    pub const ALL: &'static [Self] = &[
        Self::Output,
        Self::Select,
        Self::Data,
        Self::Attributes,
        Self::Deletion,
        Self::Connection,
        Self::Live,
        Self::Ours,
        Self::Daemon,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Output => "Information and output",
            Self::Select => "Selecting what is copied",
            Self::Data => "Comparison and data transfer",
            Self::Attributes => "Attributes",
            Self::Deletion => "Deletion",
            Self::Connection => "Connection, limits, batch",
            Self::Ours => "Syncline's own",
            Self::Daemon => "Daemon mode",
            Self::Live => "Live mirrors",
        }
    }
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A 32-bit integer; the text is its name in the help.
    Integer(&'static str),
    /// Any text.
    Text(&'static str),
}

/// What the shell completion offers for an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing in particular.
    Any,
    /// Files.
    File,
    /// Directories.
    Directory,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// How a server is told (cli.md 3, column "Srv").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not at all.
    Never,
    /// Whatever the direction.
    Both,
    /// When the client sends the files.
    Push,
    /// When the client receives them.
    Pull,
}

/// Whether a wildcard in `refuse options` reaches the option (daemon.md 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusable {
    /// By name, letter and wildcard.
    ByWildcard,
    /// By its exact name or letter only.
    ByName,
}

/// Where an option comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The stock program has it.
    Stock,
    /// Only Syncline has it.
    Ours,
}

/// What an option does to the result.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// Sets a switch, or clears it in a negative form.
    Switch(fn(&mut Draft) -> &mut bool),
    /// Adds one, or resets to 0 in a negative form.
    Count(fn(&mut Draft) -> &mut u8),
    /// Keeps the integer.
    Integer(fn(&mut Draft) -> &mut Option<i32>),
    /// Keeps the text; a negative form forgets it.
    Text(fn(&mut Draft) -> &mut Option<Word>),
    /// Anything else.
    Custom(fn(&mut Draft, &Occurrence) -> Result<(), UsageError>),
    /// An option of a daemon's command line.
    Daemon(fn(&mut DaemonDraft, &Occurrence) -> Result<(), UsageError>),
    /// Restarts parsing with the rows of daemon mode.
    SwitchToDaemon,
    /// An option of a live mirror's command line.
    Live(fn(&mut LiveOptions, &Occurrence)),
}

/// One option.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its identity.
    pub id: OptionId,
    /// Which command line it belongs to.
    pub mode: Mode,
    /// Where it stands in the manual.
    pub category: Category,
    /// Long names without dashes that the help shows; the first one is the option's name in messages.
    pub names: &'static [&'static str],
    /// Other long names that are accepted.
    pub hidden: &'static [&'static str],
    /// Negative long names that are accepted.
    pub negations: &'static [&'static str],
    /// Negative long names that the help shows.
    pub shown_negations: &'static [&'static str],
    /// The letter.
    pub short: Option<u8>,
    /// What follows it.
    pub argument: Argument,
    /// What a shell may offer for that.
    pub hint: Hint,
    /// One line of help.
    pub help: &'static str,
    /// More for the manual; may be empty.
    pub more: &'static str,
    /// When a server is told.
    pub sent: Sent,
    /// How a daemon may refuse it.
    pub refusable: Refusable,
    /// Where it comes from.
    pub origin: Origin,
    pub(crate) effect: Effect,
}

/// One way of writing an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// The long name without dashes, or the letter's one character.
    pub text: &'static str,
    /// Whether it switches off.
    pub negative: bool,
    /// Whether the help shows it.
    pub shown: bool,
}

/// One option as it was met on a command line.
#[derive(Clone)]
pub struct Occurrence {
    /// The option.
    pub row: &'static Row,
    /// The long name that was used, or `None` for the letter.
    pub name: Option<Spelling>,
    /// What followed it.
    pub value: Value,
}

/// The value of an [`Occurrence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// None.
    None,
    /// An integer.
    Integer(i32),
    /// Any text.
    Text(Word),
}

impl Occurrence {
    /// Whether it is a negative form.
    pub fn negative(&self) -> bool {
        self.name.is_some_and(|name| name.negative)
    }

    pub(crate) fn text(&self) -> &[u8] {
        match &self.value {
            Value::Text(text) => text,
            Value::Integer(_) | Value::None => b"",
        }
    }

    pub(crate) fn integer(&self) -> i32 {
        match self.value {
            Value::Integer(value) => value,
            Value::Text(_) | Value::None => 0,
        }
    }

    /// The option as messages show it: `--name (-x)`, `--name` or `-x`.
    pub fn shown(&self) -> String {
        match self.name {
            Some(name) if self.row.names.first() != Some(&name.text) => format!("--{}", name.text),
            _ => self.row.shown(),
        }
    }
}

impl Row {
    const fn new(
        id: OptionId,
        name: &'static [&'static str],
        argument: Argument,
        help: &'static str,
    ) -> Self {
        Self {
            id,
            mode: Mode::Transfer,
            category: Category::Output,
            names: name,
            hidden: &[],
            negations: &[],
            shown_negations: &[],
            short: None,
            argument,
            hint: Hint::Any,
            help,
            more: "",
            sent: Sent::Never,
            refusable: Refusable::ByWildcard,
            origin: Origin::Stock,
            effect: Effect::SwitchToDaemon,
        }
    }

    const fn flag(id: OptionId, names: &'static [&'static str], help: &'static str) -> Self {
        Self::new(id, names, Argument::None, help)
    }

    const fn integer(
        id: OptionId,
        names: &'static [&'static str],
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self::new(id, names, Argument::Integer(value), help)
    }

    const fn text(
        id: OptionId,
        names: &'static [&'static str],
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self::new(id, names, Argument::Text(value), help)
    }

    const fn short(mut self, letter: u8) -> Self {
        self.short = Some(letter);
        self
    }

    const fn hidden(mut self, names: &'static [&'static str]) -> Self {
        self.hidden = names;
        self
    }

    const fn off(mut self, names: &'static [&'static str]) -> Self {
        self.negations = names;
        self
    }

    const fn shown_off(mut self, names: &'static [&'static str]) -> Self {
        self.shown_negations = names;
        self
    }

    const fn sent(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    const fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    const fn refused_by_name(mut self) -> Self {
        self.refusable = Refusable::ByName;
        self
    }

    const fn ours(mut self) -> Self {
        self.origin = Origin::Ours;
        self.category = Category::Ours;
        self
    }

    const fn under(mut self, category: Category) -> Self {
        self.category = category;
        self
    }

    const fn daemon(
        mut self,
        effect: fn(&mut DaemonDraft, &Occurrence) -> Result<(), UsageError>,
    ) -> Self {
        self.mode = Mode::Daemon;
        self.category = Category::Daemon;
        self.effect = Effect::Daemon(effect);
        self
    }

    const fn live(mut self, effect: fn(&mut LiveOptions, &Occurrence)) -> Self {
        self.mode = Mode::Live;
        self.category = Category::Live;
        self.origin = Origin::Ours;
        self.effect = Effect::Live(effect);
        self
    }

    const fn does(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Whether a command line of this mode takes it.
    pub fn is_in(&self, mode: Mode) -> bool {
        let of_rsync = self.mode == Mode::Transfer && live::OF_RSYNC.contains(&self.id);
        self.mode == mode || (mode == Mode::Live && of_rsync)
    }

    /// The letter, if it stands for this option in this mode.
    pub fn letter_in(&self, mode: Mode) -> Option<u8> {
        self.short.filter(|letter| find_short(mode, *letter).is_some_and(|row| row.id == self.id))
    }

    /// The option as messages show it: `--name (-x)`, `--name` or `-x`.
    pub fn shown(&self) -> String {
        let name = self.names.first().or(self.hidden.first()).or(self.shown_negations.first());
        match (name, self.short) {
            (Some(name), Some(letter)) => format!("--{name} (-{})", letter as char),
            (Some(name), None) => format!("--{name}"),
            (None, Some(letter)) => format!("-{}", letter as char),
            (None, None) => String::new(),
        }
    }

    /// Every long spelling.
    pub fn spellings(&self) -> impl Iterator<Item = Spelling> + '_ {
        let group = |names: &'static [&'static str], negative, shown| {
            names.iter().map(move |&text| Spelling { text, negative, shown })
        };
        group(self.names, false, true)
            .chain(group(self.hidden, false, false))
            .chain(group(self.shown_negations, true, true))
            .chain(group(self.negations, true, false))
    }
}

/// All rows in the order of the manual.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        output::ROWS,
        select::ROWS,
        data::ROWS,
        attributes::ROWS,
        deletion::ROWS,
        connection::ROWS,
        ours::ROWS,
        daemon::ROWS,
        live::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The rows of a mode; its own come before those of another that it takes too.
fn rows_of(mode: Mode) -> impl Iterator<Item = &'static Row> {
    let others = rows().filter(move |row| row.mode != mode && row.is_in(mode));
    rows().filter(move |row| row.mode == mode).chain(others)
}

/// Finds the option with a long name.
pub fn find_long(mode: Mode, name: &[u8]) -> Option<(&'static Row, Spelling)> {
    rows_of(mode).find_map(|row| {
        let spelling = row.spellings().find(|spelling| spelling.text.as_bytes() == name)?;
        Some((row, spelling))
    })
}

/// Finds the option with a letter.
pub fn find_short(mode: Mode, letter: u8) -> Option<&'static Row> {
    rows_of(mode).find(|row| row.short == Some(letter))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_and_no_letter_stands_for_two_options() {
        for mode in [Mode::Transfer, Mode::Daemon, Mode::Live] {
            let (mut names, mut letters, mut ids) =
                (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            for row in rows().filter(|row| row.mode == mode) {
                assert!(ids.insert(format!("{:?}", row.id)), "{:?} has two rows", row.id);
                for spelling in row.spellings() {
                    assert!(names.insert(spelling.text), "--{} twice", spelling.text);
                }
                if let Some(letter) = row.short {
                    assert!(letters.insert(letter), "-{} twice", letter as char);
                }
            }
        }
    }

    #[test]
    fn every_option_has_a_way_to_be_written_and_a_line_of_help() {
        for row in rows() {
            assert!(row.short.is_some() || row.spellings().next().is_some(), "{:?}", row.id);
            assert!(!row.help.is_empty() && !row.help.ends_with('.'), "{:?}", row.id);
        }
    }
}
