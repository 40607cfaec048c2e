//! From words to options in order (cli.md 2), and from those to a command.

use std::borrow::Cow;

use crate::alias::{Alias, Aliases};
use crate::check;
use crate::context::Context;
use crate::daemon::{self, DaemonCommand, DaemonOptions};
use crate::draft::{Draft, Early};
use crate::error::{Speaker, UsageError, WordProblem};
use crate::options::Options;
use crate::serve_only::ServeOnly;
use crate::table::{Argument, Effect, Mode, Occurrence, Origin, Row, Value, find_long, find_short};
use crate::values::integer::{self, IntegerProblem};
use crate::word::Word;

/// What a command line asks the program to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Copy or list, as a client.
    Transfer(Box<Options>),
    /// Be the far end of a transfer.
    Server(Box<Options>),
    /// Be a daemon.
    Daemon(Box<DaemonOptions>),
    /// Serve one confined transfer.
    ServeOnly(ServeOnly),
    /// Print the help to standard output.
    Help,
    /// Print the help of daemon mode.
    DaemonHelp,
    /// Print the version.
    Version {
        /// As JSON.
        json: bool,
    },
    /// Print [`crate::values::flags::info_help`].
    InfoHelp,
    /// Print [`crate::values::flags::debug_help`].
    DebugHelp,
}

/// Parses the words after the program's name.
pub fn parse(words: &[Word], context: &Context) -> Result<Command, UsageError> {
    let mut draft = Draft::new(context);
    let mut parser =
        Parser::new(words, Mode::Transfer, Speaker::Client).with_aliases(&context.aliases);
    while let Some(item) = parser.next() {
        let item = match item {
            // `--daemon` with a value is an error of daemon mode.
            Err(_) if parser.word().starts_with(b"--daemon=") => return parse_daemon(words, false),
            item => item?,
        };
        match item {
            Item::Argument(word) => draft.o.arguments.push(word),
            Item::Option(occurrence) if matches!(occurrence.row.effect, Effect::SwitchToDaemon) => {
                return parse_daemon(words, false);
            }
            Item::Option(occurrence) => {
                if draft.server.is_some() && occurrence.row.origin == Origin::Ours {
                    return Err(parser.error(parser.word().to_vec(), WordProblem::Unknown));
                }
                draft.apply(&occurrence)?;
            }
        }
        match draft.early {
            Some(Early::Help) => return Ok(Command::Help),
            Some(Early::InfoHelp) => return Ok(Command::InfoHelp),
            Some(Early::DebugHelp) => return Ok(Command::DebugHelp),
            None => {}
        }
        if draft.server.is_some() {
            parser.speaker = Speaker::Server;
        }
    }
    // One word that asks for readable numbers and nothing to copy is a cry for help.
    if words.len() == 1 && draft.o.output.human_readable > 1 {
        return Ok(Command::Help);
    }
    check::finish(draft, words.is_empty())
}

/// Parses the command line of a program that is a daemon (`implied`), or may be one if `--daemon` is there.
pub fn parse_daemon(words: &[Word], implied: bool) -> Result<Command, UsageError> {
    Ok(match daemon::parse(words, implied)? {
        DaemonCommand::Help => Command::DaemonHelp,
        DaemonCommand::Run(options) => Command::Daemon(options),
    })
}

/// One thing found on a command line.
pub(crate) enum Item {
    Option(Occurrence),
    Argument(Word),
}

/// In a value it stands for the next argument (cli.md 2).
const NEXT_ARGUMENT: &[u8] = b"!#:+";

/// Splits words into options and arguments, in order.
pub(crate) struct Parser<'a> {
    words: &'a [Word],
    mode: Mode,
    pub(crate) speaker: Speaker,
    /// The next word.
    at: usize,
    /// The word that is being read.
    current: &'a [u8],
    /// Letters of a bundle that are still to be read: start in the current word.
    bundle: Option<usize>,
    only_arguments: bool,
    failed: bool,
    /// Go on after an error, so that a server learns what it can from the rest.
    lenient: bool,
    aliases: Option<&'a Aliases>,
    /// Aliases that are being read, each within the one before it.
    expansions: Vec<Expansion<'a>>,
    /// Words that were read out of their turn.
    taken: Vec<usize>,
}

/// What an alias stands for, on its way through the parser.
struct Expansion<'a> {
    alias: &'a Alias,
    /// Its next word.
    at: usize,
    /// What stood behind `--name=`; it comes last.
    attached: Option<&'a [u8]>,
    /// The word with the alias, and the letters of it that are still to be read.
    outer: &'a [u8],
    bundle: Option<usize>,
}

impl<'a> Expansion<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let Some(word) = self.alias.words.get(self.at) else { return self.attached.take() };
        self.at += 1;
        Some(word)
    }

    fn is_spent(&self) -> bool {
        self.at >= self.alias.words.len() && self.attached.is_none()
    }
}

impl<'a> Parser<'a> {
    pub(crate) fn new(words: &'a [Word], mode: Mode, speaker: Speaker) -> Self {
        Self {
            words,
            mode,
            speaker,
            at: 0,
            current: b"",
            bundle: None,
            only_arguments: false,
            failed: false,
            lenient: false,
            aliases: None,
            expansions: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Takes some options for what the user's files say.
    fn with_aliases(mut self, aliases: &'a Aliases) -> Self {
        self.aliases = (!aliases.is_empty()).then_some(aliases);
        self
    }

    /// Reads on after an error: at the next letter of a bundle, else at the next word.
    pub(crate) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The word on the command line that is being read.
    pub(crate) fn word(&self) -> &'a [u8] {
        self.expansions.first().map_or(self.current, |first| first.outer)
    }

    /// What is wrong with a word; within an alias it is the alias that is named.
    pub(crate) fn error(&self, word: Word, problem: WordProblem) -> UsageError {
        let word = self.expansions.first().map_or(word, |first| first.outer.to_vec());
        UsageError::Word { speaker: self.speaker, word, problem }
    }

    fn advance(&mut self) -> Option<&'a [u8]> {
        if let Some(word) = self.expansions.iter_mut().rev().find_map(Expansion::next) {
            return Some(word);
        }
        loop {
            let at = self.at;
            let word = self.words.get(at)?;
            self.at += 1;
            if !self.taken.contains(&at) {
                return Some(word);
            }
        }
    }

    /// Reads an alias in place of an option; whether it is one. Aliases are the client's alone, and mean within
    /// themselves what they mean without them.
    fn expand(
        &mut self,
        find: impl FnOnce(&'a Aliases, &dyn Fn(&Alias) -> bool) -> Option<&'a Alias>,
        attached: Option<&'a [u8]>,
        bundle: Option<usize>,
    ) -> bool {
        let Some(aliases) = self.aliases.filter(|_| self.speaker == Speaker::Client) else {
            return false;
        };
        let expansions = &self.expansions;
        let underway = |alias: &Alias| expansions.iter().any(|one| std::ptr::eq(one.alias, alias));
        let Some(alias) = find(aliases, &underway) else { return false };
        let outer = self.current;
        self.expansions.push(Expansion { alias, at: 0, attached, outer, bundle });
        true
    }

    fn expand_long(&mut self, body: &'a [u8]) -> bool {
        let (name, attached) = split_value(body);
        self.expand(|aliases, but| aliases.long(name, but), attached, None)
    }

    fn expand_letter(&mut self, at: usize) -> bool {
        let Some(&letter) = self.current.get(at) else { return false };
        let bundle = Some(at + 1).filter(|&next| next < self.current.len());
        self.expand(|aliases, but| aliases.short(letter, but), None, bundle)
    }

    /// A value with the next argument in it, if it asks for that.
    fn filled<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let asks =
            |text: &[u8]| text.windows(NEXT_ARGUMENT.len()).any(|part| part == NEXT_ARGUMENT);
        if self.speaker != Speaker::Client || !asks(text) {
            return Cow::Borrowed(text);
        }
        let is_next = |&at: &usize| !self.taken.contains(&at) && !self.words[at].starts_with(b"-");
        let Some(next) = (self.at..self.words.len()).find(is_next) else {
            return Cow::Borrowed(text);
        };
        self.taken.push(next);
        let mut filled = Vec::new();
        let mut rest = text;
        while let Some((first, others)) = rest.split_first() {
            if let Some(behind) = rest.strip_prefix(NEXT_ARGUMENT) {
                filled.extend_from_slice(&self.words[next]);
                rest = behind;
            } else {
                filled.push(*first);
                rest = others;
            }
        }
        Cow::Owned(filled)
    }

    fn long(&mut self, word: &'a [u8]) -> Result<Item, UsageError> {
        let (name, attached) = split_value(&word[2..]);
        let Some((row, spelling)) = find_long(self.mode, name) else {
            return Err(self.error(word.to_vec(), WordProblem::Unknown));
        };
        let value = if spelling.negative || row.argument == Argument::None {
            if attached.is_some() {
                return Err(self.error(word.to_vec(), WordProblem::UnwantedArgument));
            }
            Value::None
        } else {
            self.value(row, word, attached)?
        };
        Ok(Item::Option(Occurrence { row, name: Some(spelling), value }))
    }

    fn letter(&mut self, word: &'a [u8], at: usize) -> Result<Item, UsageError> {
        let Some(row) = word.get(at).and_then(|&letter| find_short(self.mode, letter)) else {
            self.bundle = Some(at + 1).filter(|&next| self.lenient && next < word.len());
            return Err(self.error(word.to_vec(), WordProblem::Unknown));
        };
        let rest = word.get(at + 1..).unwrap_or_default();
        let value = if row.argument == Argument::None {
            match rest.first() {
                Some(b'=') => return Err(self.error(word.to_vec(), WordProblem::UnwantedArgument)),
                Some(_) => self.bundle = Some(at + 1),
                None => {}
            }
            Value::None
        } else {
            let attached =
                Some(rest.strip_prefix(b"=").unwrap_or(rest)).filter(|_| !rest.is_empty());
            self.value(row, word, attached)?
        };
        Ok(Item::Option(Occurrence { row, name: None, value }))
    }

    /// Takes an option's value from its own word or the next one.
    fn value(
        &mut self,
        row: &Row,
        word: &[u8],
        attached: Option<&[u8]>,
    ) -> Result<Value, UsageError> {
        // A bad number in a word of its own is reported by that word alone (cli.md 2, traps).
        let (text, blamed) = match attached {
            Some(text) => (text, word),
            None => match self.advance() {
                Some(next) => (next, next),
                None => return Err(self.error(word.to_vec(), WordProblem::MissingArgument)),
            },
        };
        let text = &*self.filled(text);
        match row.argument {
            Argument::Integer(_) => integer::parse(text).map(Value::Integer).map_err(|problem| {
                self.error(
                    blamed.to_vec(),
                    match problem {
                        IntegerProblem::Invalid => WordProblem::InvalidNumber,
                        IntegerProblem::Range => WordProblem::NumberRange,
                    },
                )
            }),
            Argument::Text(_) | Argument::None => Ok(Value::Text(text.to_vec())),
        }
    }

    fn step(&mut self) -> Option<Result<Item, UsageError>> {
        loop {
            if let Some(at) = self.bundle.take() {
                if self.expand_letter(at) {
                    continue;
                }
                return Some(self.letter(self.current, at));
            }
            if let Some(over) = self.expansions.pop_if(|expansion| expansion.is_spent()) {
                (self.current, self.bundle) = (over.outer, over.bundle);
                continue;
            }
            let word = self.advance()?;
            if self.only_arguments {
                return Some(Ok(Item::Argument(word.to_vec())));
            }
            self.current = word;
            match word {
                b"--" => self.only_arguments = true,
                [b'-', b'-', body @ ..] => {
                    if !self.expand_long(body) {
                        return Some(self.long(word));
                    }
                }
                // One dash is enough for a long alias.
                [b'-', body @ ..] if body.len() > 1 && self.expand_long(body) => {}
                [b'-', _, ..] => self.bundle = Some(1),
                _ => return Some(Ok(Item::Argument(word.to_vec()))),
            }
        }
    }
}

/// `name=value` in two.
fn split_value(body: &[u8]) -> (&[u8], Option<&[u8]>) {
    match body.iter().position(|&byte| byte == b'=') {
        Some(equals) => (&body[..equals], Some(&body[equals + 1..])),
        None => (body, None),
    }
}

impl Iterator for Parser<'_> {
    type Item = Result<Item, UsageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step()?;
        self.failed = item.is_err() && !self.lenient;
        Some(item)
    }
}
