//! From words to options in order (cli.md 2), and from those to a command.

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
    let mut parser = Parser::new(words, Mode::Transfer, Speaker::Client);
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

/// Splits words into options and arguments, in order.
pub(crate) struct Parser<'a> {
    words: &'a [Word],
    mode: Mode,
    pub(crate) speaker: Speaker,
    /// The next word.
    at: usize,
    /// Letters of the current bundle that are still to be read: start in the word.
    bundle: Option<usize>,
    only_arguments: bool,
    failed: bool,
    /// Go on after an error, so that a server learns what it can from the rest.
    lenient: bool,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(words: &'a [Word], mode: Mode, speaker: Speaker) -> Self {
        Self {
            words,
            mode,
            speaker,
            at: 0,
            bundle: None,
            only_arguments: false,
            failed: false,
            lenient: false,
        }
    }

    /// Reads on after an error: at the next letter of a bundle, else at the next word.
    pub(crate) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The word that is being read.
    pub(crate) fn word(&self) -> &'a [u8] {
        self.at.checked_sub(1).and_then(|at| self.words.get(at)).map_or(b"", Vec::as_slice)
    }

    pub(crate) fn error(&self, word: Word, problem: WordProblem) -> UsageError {
        UsageError::Word { speaker: self.speaker, word, problem }
    }

    fn advance(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn long(&mut self, word: &'a [u8]) -> Result<Item, UsageError> {
        let body = &word[2..];
        let (name, attached) = match body.iter().position(|&b| b == b'=') {
            Some(equals) => (&body[..equals], Some(&body[equals + 1..])),
            None => (body, None),
        };
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
                Some(next) => (next.as_slice(), next.as_slice()),
                None => return Err(self.error(word.to_vec(), WordProblem::MissingArgument)),
            },
        };
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
        if let Some(at) = self.bundle.take() {
            let word = self.word();
            return Some(self.letter(word, at));
        }
        let word = self.advance()?;
        if self.only_arguments {
            return Some(Ok(Item::Argument(word.clone())));
        }
        Some(match word.as_slice() {
            b"--" => {
                self.only_arguments = true;
                return self.step();
            }
            [b'-', b'-', ..] => self.long(word),
            [b'-', _, ..] => self.letter(word, 1),
            _ => Ok(Item::Argument(word.clone())),
        })
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
