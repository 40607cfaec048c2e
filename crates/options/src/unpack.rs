//! Reading a server's argument list: the inverse of packing (session.md 2.6).

use crate::check;
use crate::context::Context;
use crate::draft::Draft;
use crate::error::{Speaker, UsageError, WordProblem};
use crate::options::Options;
use crate::parse::{Item, Parser};
use crate::refuse::Refusals;
use crate::table::{Effect, Mode, Origin};
use crate::word::Word;

/// What a client asked of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The options. When there is an error they hold what could be understood: a daemon needs that to finish the
    /// set-up of the protocol before it can say what was wrong (session.md 4.7).
    pub options: Options,
    /// The first thing that was wrong or refused.
    pub error: Option<UsageError>,
}

/// Parses the words that a client sent to a daemon: the options, `.`, and the paths. The result is a server's even if
/// `--server` is missing. With secluded arguments both lists are given one after the other, the first without paths.
pub fn parse_server(words: &[Word], context: &Context, refusals: &Refusals) -> Request {
    let mut draft = Draft::new(context);
    draft.server = Some(crate::options::Server::default());
    let mut error = None;
    let mut parser = Parser::new(words, Mode::Transfer, Speaker::Server).lenient();
    while let Some(item) = parser.next() {
        let outcome = match item {
            Err(problem) => Err(problem),
            Ok(Item::Argument(word)) => {
                draft.o.arguments.push(word);
                Ok(())
            }
            Ok(Item::Option(occurrence)) => match occurrence.row.effect {
                Effect::SwitchToDaemon | Effect::Daemon(_) => Err(UsageError::HackAttempt),
                _ if occurrence.row.origin == Origin::Ours => {
                    Err(parser.error(parser.word().to_vec(), WordProblem::Unknown))
                }
                _ => {
                    let refused = refusals.check(&occurrence, &draft);
                    let applied = draft.apply(&occurrence);
                    refused.and(applied)
                }
            },
        };
        error = error.or(outcome.err());
    }
    // Help and version are for people; a client that asks for them gets nothing (daemon.md 10, traps).
    if draft.early.take().is_some() || draft.version > 0 {
        error = error.or(Some(UsageError::Usage));
    }
    let checked = check::options(&mut draft);
    error = error.or(checked.err()).or_else(|| refusals.check_result(&draft.o).err());
    Request { options: draft.o, error }
}

/// Removes one level of backslashes, which clients put into option words (session.md 4.6).
pub fn unescape(word: &[u8]) -> Word {
    let mut plain = Word::with_capacity(word.len());
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            byte => plain.push(byte),
        }
    }
    plain
}

/// What a client says it can do in the value of `-e` (session.md 2.3).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The version and sub-version of a pre-release; `None` for a release (`.`) or nothing.
    pub pre_release: Option<(u32, u32)>,
    letters: Word,
}

impl Capabilities {
    /// Parses the value of `-e`, e.g. `.iLsfxCIvu`. Unknown letters are kept and ignored.
    pub fn parse(text: &[u8]) -> Self {
        let start =
            text.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(text.len());
        let (version, letters) = text.split_at(start);
        let pre_release = std::str::from_utf8(version)
            .ok()
            .and_then(|version| version.split_once('.'))
            .and_then(|(version, sub)| Some((version.parse().ok()?, sub.parse().ok()?)));
        Self { pre_release, letters: letters.to_vec() }
    }

    /// Whether the client sent this letter.
    pub fn has(&self, letter: u8) -> bool {
        self.letters.contains(&letter)
    }

    /// Whether the client is willing to recurse incrementally (`i`).
    pub fn incremental_recursion(&self) -> bool {
        self.has(b'i')
    }

    /// Whether strings are negotiated and file-list flags are variable integers (`v`).
    pub fn negotiates(&self) -> bool {
        self.has(b'v')
    }

    /// All letters as sent.
    pub fn letters(&self) -> &[u8] {
        &self.letters
    }
}
