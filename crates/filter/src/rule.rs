//! Rules as they stand in a list (docs/spec/filters.md 1, 3).

use crate::error::{Place, RuleText};
use crate::pattern::Pattern;

/// One end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The process that reads the source: an exclude hides.
    Sender,
    /// The process that writes the destination: an exclude protects from deletion.
    Receiver,
}

/// The sides that a rule names; naming none means both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sides {
    /// `s`.
    pub sender: bool,
    /// `r`.
    pub receiver: bool,
}

impl Sides {
    pub(crate) const SENDER: Self = Self { sender: true, receiver: false };
    pub(crate) const RECEIVER: Self = Self { sender: false, receiver: true };

    /// Whether no side is named.
    pub fn is_empty(self) -> bool {
        !self.sender && !self.receiver
    }

    /// Whether a rule with these sides acts on `side`.
    pub fn acts_on(self, side: Side) -> bool {
        self.is_empty()
            || match side {
                Side::Sender => self.sender,
                Side::Receiver => self.receiver,
            }
    }
}

/// What a matching rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Hide from the transfer, or protect from deletion.
    Exclude,
    /// Show to the transfer, or leave to deletion.
    Include,
}

/// The modifiers that a name is tested under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// `/`: compared with the path from the root of the file system or module.
    pub absolute: bool,
    /// `!`: acts where the pattern does not match.
    pub negated: bool,
    /// `p`: ignored in directories that are being deleted.
    pub perishable: bool,
    /// `x`: tested against names of extended attributes only.
    pub xattr: bool,
    /// `s` and `r`.
    pub sides: Sides,
}

/// An include or exclude rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) action: Action,
    pub(crate) modifiers: Modifiers,
    pub(crate) directories_only: bool,
    pub(crate) pattern: Pattern,
    pub(crate) place: Option<Place>,
    /// Acts whatever its sides say: rules from a peer, and some read from files (13.6, 8.5).
    pub(crate) acts_always: bool,
}

impl Rule {
    /// What the rule decides.
    pub fn action(&self) -> Action {
        self.action
    }

    /// How it is tested.
    pub fn modifiers(&self) -> Modifiers {
        self.modifiers
    }

    /// The pattern, without the trailing slash of a rule for directories.
    pub fn pattern(&self) -> &[u8] {
        self.pattern.text()
    }

    /// Whether the pattern ended in a slash, to match directories alone.
    pub fn directories_only(&self) -> bool {
        self.directories_only
    }

    /// The pattern as `--debug=FILTER` shows it: with its slash, or its place if it came from a file.
    pub fn described(&self) -> RuleText {
        let mut text = self.pattern().to_vec();
        if self.directories_only {
            text.push(b'/');
        }
        RuleText::new(&text, self.place.as_ref())
    }
}

/// How the rules in a merge file are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Prefixes {
    /// Each rule has its own.
    #[default]
    Each,
    /// `-`: every rule is an exclude pattern.
    Exclude,
    /// `+`: every rule is an include pattern.
    Include,
    /// `C`: as CVS does: exclude patterns, and `!` alone clears.
    Cvs,
}

/// A rule that looks for a file of rules in every directory.
#[derive(Clone, Debug)]
pub struct DirMerge {
    /// The name as written, which may hold a path.
    pub(crate) name: Box<[u8]>,
    pub(crate) modifiers: Modifiers,
    pub(crate) directories_only: bool,
    pub(crate) no_inherit: bool,
    pub(crate) word_split: bool,
    pub(crate) prefixes: Prefixes,
    pub(crate) place: Option<Place>,
    pub(crate) acts_always: bool,
}

impl DirMerge {
    /// The name as written, which may hold a path.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name looked up in each directory.
    pub fn base_name(&self) -> &[u8] {
        base_name(&self.name)
    }

    /// What the contained rules start with.
    pub fn modifiers(&self) -> Modifiers {
        self.modifiers
    }
}

/// `-C` or `+C`: the CVS patterns stand here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CvsRule {
    pub(crate) action: Action,
    pub(crate) modifiers: Modifiers,
    pub(crate) acts_always: bool,
}

pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}
