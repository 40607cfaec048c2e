//! Rules on their way to a peer and back (docs/spec/filters.md 13).

use crate::error::{FilterError, MAX_WIRE_RULE};
use crate::load::{Context, Entry, NoFiles, RuleFiles};
use crate::parse::Template;
use crate::rule::{Action, DirMerge, Modifiers, Prefixes, Rule, Side, Sides};
use crate::rules::Rules;

/// The first protocol with rules in the new style.
const NEW_STYLE: u8 = 29;
/// The first protocol that knows the `p` modifier.
const PERISHABLE: u8 = 30;

/// Which way a client's files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client sends files, or there is no peer.
    Push,
    /// The client receives files.
    Pull,
}

impl Direction {
    /// The client's own side.
    pub fn client_side(self) -> Side {
        match self {
            Self::Push => Side::Sender,
            Self::Pull => Side::Receiver,
        }
    }

    fn peer_side(self) -> Side {
        match self {
            Self::Push => Side::Receiver,
            Self::Pull => Side::Sender,
        }
    }
}

/// What decides whether a filter section is in the stream; both ends know it from the options alone (13.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionOptions {
    /// `--prune-empty-dirs`.
    pub prune_empty_dirs: bool,
    /// Any option that deletes.
    pub delete: bool,
    /// `--delete-excluded`.
    pub delete_excluded: bool,
}

impl SectionOptions {
    /// Whether the client sends a filter section.
    pub fn section_is_sent(self, direction: Direction, protocol: u8) -> bool {
        match direction {
            Direction::Pull => true,
            Direction::Push => {
                self.prune_empty_dirs
                    || self.delete && (!self.delete_excluded || protocol >= NEW_STYLE)
            }
        }
    }
}

impl Rules {
    /// The texts of the rules that the peer is told, in order.
    ///
    /// Call this even if no section is sent: rules that the peer's protocol cannot express are an error all the same.
    pub fn encode(&self, direction: Direction, protocol: u8) -> Result<Vec<Vec<u8>>, FilterError> {
        let encoder = Encoder {
            direction,
            protocol,
            drops_unsided: direction == Direction::Push && self.settings.delete_excluded,
        };
        let mut texts = Vec::new();
        for entry in &self.target.entries {
            match entry {
                Entry::Rule(rule) => encoder.rule(rule, &mut texts)?,
                Entry::DirMerge(slot) => {
                    if let Some(slot) = self.merges.get(*slot) {
                        encoder.dir_merge(&slot.merge, &mut texts)?;
                    }
                }
                Entry::Cvs(rule) if direction == Direction::Pull && protocol >= NEW_STYLE => {
                    if encoder.is_told(rule.modifiers.sides, true) {
                        let start = if rule.action == Action::Include { b'+' } else { b'-' };
                        texts.push(encoder.new_style(start, rule.modifiers, CVS, b"", false)?);
                    }
                }
                Entry::Cvs(_) => {
                    for rule in self.cvs.iter().flat_map(|rules| rules.iter()) {
                        encoder.rule(rule, &mut texts)?;
                    }
                }
            }
        }
        Ok(texts)
    }

    /// Takes one rule of a filter section that a client sent. Such rules act whatever side they name.
    ///
    /// `files` supplies what CVS mode needs. A rule that merges a file is refused: no client sends one.
    pub fn receive(
        &mut self,
        text: &[u8],
        protocol: u8,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        if text.len() > MAX_WIRE_RULE {
            return Err(FilterError::OverlongReceived { length: text.len() as i64 });
        }
        let template =
            if protocol >= NEW_STYLE { Template::NEW } else { Template::old(Action::Exclude) };
        let context = Context { acts_always: true, from_peer: true, ..Context::OPTIONS };
        self.add(text, &template, context, files)
    }

    /// Takes a whole filter section, framing included, from the beginning of `bytes`, and says how long it was.
    ///
    /// For a section without CVS rules; a stream is better read rule by rule with [`wire_length`] and
    /// [`Rules::receive`].
    pub fn receive_section(&mut self, bytes: &[u8], protocol: u8) -> Result<usize, FilterError> {
        let mut at = 0;
        loop {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            let word: [u8; 4] = word.ok_or(FilterError::TruncatedSection)?;
            at += 4;
            let Some(length) = wire_length(i32::from_le_bytes(word))? else { return Ok(at) };
            let text = bytes.get(at..at + length).ok_or(FilterError::TruncatedSection)?;
            at += length;
            self.receive(text, protocol, &mut NoFiles)?;
        }
    }
}

/// Checks the length word in front of a received rule: `None` is the end of the section.
pub fn wire_length(word: i32) -> Result<Option<usize>, FilterError> {
    match usize::try_from(word) {
        Ok(0) => Ok(None),
        Ok(length) if length <= MAX_WIRE_RULE => Ok(Some(length)),
        _ => Err(FilterError::OverlongReceived { length: word.into() }),
    }
}

/// Appends a filter section: each text behind its length, and the end (13.1).
pub fn write_section(texts: &[Vec<u8>], out: &mut Vec<u8>) {
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
    out.extend_from_slice(&0u32.to_le_bytes());
}

/// The modifiers of a merge file, as letters are needed for them.
#[derive(Clone, Copy, Default)]
struct FileModifiers {
    no_inherit: bool,
    word_split: bool,
    prefixes: Prefixes,
}

const CVS: FileModifiers =
    FileModifiers { no_inherit: true, word_split: true, prefixes: Prefixes::Cvs };

struct Encoder {
    direction: Direction,
    protocol: u8,
    /// With `--delete-excluded` a rule without a side does not act on the peer that receives the files.
    drops_unsided: bool,
}

impl Encoder {
    /// Whether a rule is told at all (13.3).
    fn is_told(&self, sides: Sides, unsided_may_go: bool) -> bool {
        if sides.is_empty() {
            return !(self.drops_unsided && unsided_may_go);
        }
        sides.acts_on(self.direction.peer_side())
    }

    fn rule(&self, rule: &Rule, texts: &mut Vec<Vec<u8>>) -> Result<(), FilterError> {
        if !self.is_told(rule.modifiers.sides, true) {
            return Ok(());
        }
        let text = if self.protocol >= NEW_STYLE {
            let start = if rule.action == Action::Include { b'+' } else { b'-' };
            self.new_style(
                start,
                rule.modifiers,
                FileModifiers::default(),
                rule.pattern(),
                rule.directories_only,
            )?
        } else {
            self.old_style(rule)?
        };
        if !text.is_empty() {
            texts.push(text);
        }
        Ok(())
    }

    fn dir_merge(&self, merge: &DirMerge, texts: &mut Vec<Vec<u8>>) -> Result<(), FilterError> {
        if !self.is_told(merge.modifiers.sides, merge.prefixes != Prefixes::Each) {
            return Ok(());
        }
        if self.protocol < NEW_STYLE {
            return Err(FilterError::TooModern);
        }
        let file = FileModifiers {
            no_inherit: merge.no_inherit,
            word_split: merge.word_split,
            prefixes: merge.prefixes,
        };
        texts.push(self.new_style(
            b':',
            merge.modifiers,
            file,
            &merge.name,
            merge.directories_only,
        )?);
        Ok(())
    }

    fn new_style(
        &self,
        start: u8,
        modifiers: Modifiers,
        file: FileModifiers,
        pattern: &[u8],
        slash: bool,
    ) -> Result<Vec<u8>, FilterError> {
        let perishable = modifiers.perishable && self.perishable_is_told()?;
        let cvs = file.prefixes == Prefixes::Cvs;
        let mut text = Vec::with_capacity(pattern.len() + 12);
        text.push(start);
        let letters = [
            (modifiers.absolute, b'/'),
            (modifiers.negated, b'!'),
            (cvs, b'C'),
            (file.no_inherit && !cvs, b'n'),
            (file.word_split && !cvs, b'w'),
            (file.prefixes == Prefixes::Include, b'+'),
            (file.prefixes == Prefixes::Exclude, b'-'),
            (modifiers.xattr, b'x'),
            (modifiers.sides.sender, b's'),
            (modifiers.sides.receiver, b'r'),
            (perishable, b'p'),
        ];
        text.extend(letters.iter().filter(|(present, _)| *present).map(|(_, letter)| letter));
        text.push(b' ');
        text.extend_from_slice(pattern);
        if slash {
            text.push(b'/');
        }
        Ok(text)
    }

    fn old_style(&self, rule: &Rule) -> Result<Vec<u8>, FilterError> {
        let modifiers = rule.modifiers;
        if modifiers.absolute || modifiers.negated || modifiers.xattr {
            return Err(FilterError::TooModern);
        }
        if modifiers.sides.receiver && self.drops_unsided {
            return Err(FilterError::TooModern);
        }
        if modifiers.perishable {
            self.perishable_is_told()?;
        }
        let pattern = rule.pattern();
        let prefix: &[u8] = match rule.action {
            Action::Include => b"+ ",
            Action::Exclude if pattern.starts_with(b"- ") || pattern.starts_with(b"+ ") => b"- ",
            Action::Exclude => b"",
        };
        let slash: &[u8] = if rule.directories_only { b"/" } else { b"" };
        Ok([prefix, pattern, slash].concat())
    }

    /// Older peers do not know the letter: a pulling client leaves it out, a pushing one cannot.
    fn perishable_is_told(&self) -> Result<bool, FilterError> {
        match self.direction {
            _ if self.protocol >= PERISHABLE => Ok(true),
            Direction::Pull => Ok(false),
            Direction::Push => Err(FilterError::TooModern),
        }
    }
}
