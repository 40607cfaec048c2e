//! What can be wrong with filter rules, in stock's words (docs/spec/filters.md 3.4, 5.3, 5.6, 18).

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why rules could not be taken, sent or received. `Display` is stock's message, without a line end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The rule begins with no known name.
    #[error("Unknown filter rule: {0}")]
    UnknownRule(RuleText),
    /// A modifier is unknown, or not allowed on this rule.
    #[error("invalid modifier{} in filter rule: {rule}", modifier_place(*.letter, *.position, .rule))]
    InvalidModifier {
        /// The offending byte.
        letter: u8,
        /// Its offset in the rule.
        position: usize,
        /// The rule.
        rule: RuleText,
    },
    /// The rule lacks its pattern.
    #[error("unexpected end of filter rule: {0}")]
    UnexpectedEnd(RuleText),
    /// A clear rule is followed by more text.
    #[error("'!' rule has trailing characters: {0}")]
    TrailingCharacters(RuleText),
    /// A rule in a merge file names a side although the merge rule named one already.
    #[error("specified-side merge file contains specified-side filter: {0}")]
    SidedTwice(RuleText),
    /// A rule file could not be opened.
    #[error("{}", open_message(.role, *.include, .file, .error))]
    Open {
        /// Who tried: `client`, `sender`, ...
        role: &'static str,
        /// The file was to hold include patterns.
        include: bool,
        /// The file's name, or the place where it was named.
        file: RuleText,
        /// What the system said.
        error: io::Error,
    },
    /// Rule files name each other too deeply.
    #[error("[{role}] merge-file include depth limit ({MAX_DEPTH}) exceeded at {rule}")]
    TooDeep {
        /// Who tried.
        role: &'static str,
        /// The rule that named one file too many.
        rule: RuleText,
    },
    /// A rule has no form in the peer's protocol.
    #[error("filter rules are too modern for remote rsync.")]
    TooModern,
    /// The peer announced a rule longer than any may be.
    #[error("filter rule of {length} bytes received, over the limit of {MAX_WIRE_RULE}")]
    OverlongReceived {
        /// The announced length.
        length: i64,
    },
    /// The filter section ended in the middle of a rule.
    #[error("the filter section ends in the middle of a rule")]
    TruncatedSection,
    /// The peer asked for a rule file to be merged, which no client does.
    #[error("refusing to merge a rule file named by the peer: {0}")]
    PeerNamedFile(RuleText),
}

impl FilterError {
    /// The exit code with which stock ends (docs/spec/filters.md 18).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open { .. } | Self::TooDeep { .. } => 11,
            Self::TooModern => 2,
            Self::OverlongReceived { .. } => 22,
            Self::TruncatedSection => 12,
            _ => 1,
        }
    }
}

/// The most rule files that may be open in nesting.
pub const MAX_DEPTH: usize = 32;
/// The longest pattern in bytes; longer ones are dropped with a [`Warning`].
pub const MAX_PATTERN: usize = 4095;
/// The longest line or word of a rule file in bytes; longer ones are dropped with a [`Warning`].
pub const MAX_LINE: usize = 5119;
/// The longest rule on the wire in bytes, prefix and trailing slash included.
pub const MAX_WIRE_RULE: usize = 5119;

/// A rule in a message: its text, or where it stands if the text came out of a file, which messages never show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleText {
    /// The text as given by the user or the peer.
    Given(Box<[u8]>),
    /// The place of a rule that was read from a file.
    From(Place),
}

impl RuleText {
    pub(crate) fn new(text: &[u8], place: Option<&Place>) -> Self {
        place.map_or_else(|| Self::Given(text.into()), |place| Self::From(place.clone()))
    }
}

impl fmt::Display for RuleText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(text) => shown(text).fmt(formatter),
            Self::From(place) => place.fmt(formatter),
        }
    }
}

/// Where a rule that came out of a file stands (docs/spec/filters.md 5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: Arc<[u8]>,
    line: Option<u32>,
}

impl Place {
    pub(crate) fn new(file: &Arc<[u8]>, line: Option<u32>) -> Self {
        Self { file: Arc::clone(file), line }
    }

    /// How rules are placed that stand in a file named here.
    pub(crate) fn of_file_named_here(&self) -> Arc<[u8]> {
        format!("a file named at {}", self.text()).into_bytes().into()
    }

    fn text(&self) -> String {
        let file = shown(&self.file);
        match self.line {
            Some(line) => format!("{file} line {line}"),
            None => file,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<rule from {}>", self.text())
    }
}

/// Something dropped that the user should hear of; the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A pattern, line or word is too long.
    #[error("discarding over-long filter: {0}")]
    Overlong(RuleText),
    /// The path of a per-directory file is too long; the run ends with exit code 23.
    #[error("cannot add local filter rules in long-named directory: \"{}\"", shown(.0))]
    LongDirectory(Box<[u8]>),
}

/// `bytes` as messages show them: what is no UTF-8 in stock's octal escapes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let escaped = chunk.invalid().iter().map(|byte| format!("\\#{byte:03o}"));
        chunk.valid().to_owned() + &escaped.collect::<String>()
    };
    bytes.utf8_chunks().map(chunk).collect()
}

/// Which modifier it was, unless that would show text from a file.
fn modifier_place(letter: u8, position: usize, rule: &RuleText) -> String {
    match rule {
        RuleText::Given(_) => format!(" '{}' at position {position}", shown(&[letter])),
        RuleText::From(_) => String::new(),
    }
}

fn open_message(role: &str, include: bool, file: &RuleText, error: &io::Error) -> String {
    let kind = if include { "include" } else { "exclude" };
    if let RuleText::From(_) = file {
        return format!("failed to open {kind} file {file}");
    }
    let mut system = error.to_string();
    if let Some(code) = error.raw_os_error() {
        system = system.replace(&format!("(os error {code})"), &format!("({code})"));
    }
    format!("rsync: [{role}] failed to open {kind} file {file}: {system}")
}
