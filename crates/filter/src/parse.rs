//! The grammar of one rule (docs/spec/filters.md 3 and 4). Pure: text in, one rule and the rest of the text out.

use crate::error::{FilterError, MAX_PATTERN, Place, RuleText};
use crate::rule::{Action, Modifiers, Prefixes, Sides};

/// How rules are written in the text being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// Names, modifiers, patterns.
    New,
    /// A pattern, perhaps behind `- ` or `+ `.
    Old,
    /// Patterns and nothing else; with `bang_clears` the word `!` clears.
    Bare { bang_clears: bool },
}

/// What a rule starts with before its own text is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    pub(crate) syntax: Syntax,
    pub(crate) action: Action,
    pub(crate) modifiers: Modifiers,
    pub(crate) directories_only: bool,
    /// The text is a string of several rules: a pattern ends at white space.
    pub(crate) words: bool,
}

impl Template {
    pub(crate) const NEW: Self = Self {
        syntax: Syntax::New,
        action: Action::Exclude,
        modifiers: Modifiers {
            absolute: false,
            negated: false,
            perishable: false,
            xattr: false,
            sides: Sides { sender: false, receiver: false },
        },
        directories_only: false,
        words: false,
    };

    pub(crate) fn old(action: Action) -> Self {
        Self { syntax: Syntax::Old, action, ..Self::NEW }
    }
}

/// One parsed rule, borrowing from its text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parsed<'a> {
    Clear,
    Match {
        action: Action,
        modifiers: Modifiers,
        pattern: &'a [u8],
        directories_only: bool,
    },
    Cvs {
        action: Action,
        modifiers: Modifiers,
    },
    Merge(ParsedMerge<'a>),
    DirMerge(ParsedMerge<'a>),
    /// A pattern or name that is too long to be kept.
    Overlong(&'a [u8]),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ParsedMerge<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) modifiers: Modifiers,
    pub(crate) directories_only: bool,
    pub(crate) exclude_self: bool,
    pub(crate) no_inherit: bool,
    pub(crate) word_split: bool,
    pub(crate) prefixes: Prefixes,
}

impl ParsedMerge<'_> {
    /// How the rules in the file are read.
    pub(crate) fn template(&self, directories_only: bool) -> Template {
        template_of(self.modifiers, self.prefixes, directories_only)
    }
}

/// What rules in a merge file inherit from the merge rule (8.2).
pub(crate) fn template_of(
    modifiers: Modifiers,
    prefixes: Prefixes,
    directories_only: bool,
) -> Template {
    let (syntax, action) = match prefixes {
        Prefixes::Each => (Syntax::New, Action::Exclude),
        Prefixes::Exclude => (Syntax::Bare { bang_clears: false }, Action::Exclude),
        Prefixes::Include => (Syntax::Bare { bang_clears: false }, Action::Include),
        Prefixes::Cvs => (Syntax::Bare { bang_clears: true }, Action::Exclude),
    };
    let modifiers = Modifiers { negated: false, xattr: false, ..modifiers };
    Template { syntax, action, modifiers, directories_only, words: false }
}

/// Parses the rule at the beginning of `text`, which is not empty and, if `template.words`, begins with no white
/// space. Returns what is left of the text, nothing unless `template.words`.
pub(crate) fn parse<'a>(
    text: &'a [u8],
    template: &Template,
    place: Option<&Place>,
) -> Result<(Parsed<'a>, &'a [u8]), FilterError> {
    Parser { text, template, place }.parse()
}

/// White space as C's `isspace` has it in every locale that matters here.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

struct Parser<'a, 't> {
    text: &'a [u8],
    template: &'t Template,
    place: Option<&'t Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Match(Action),
    /// `H S P R`: an action with its side.
    Sided(Action, Sides),
    Merge,
    DirMerge,
    Clear,
}

impl<'a> Parser<'a, '_> {
    fn parse(&self) -> Result<(Parsed<'a>, &'a [u8]), FilterError> {
        match self.template.syntax {
            Syntax::New => self.parse_new(),
            Syntax::Old => self.parse_old(),
            Syntax::Bare { bang_clears } => {
                let (pattern, rest) = self.pattern(self.text);
                if bang_clears && pattern == b"!" {
                    return Ok((Parsed::Clear, rest));
                }
                Ok((self.matching(self.template.action, self.template.modifiers, pattern)?, rest))
            }
        }
    }

    fn parse_old(&self) -> Result<(Parsed<'a>, &'a [u8]), FilterError> {
        let (action, body) = match self.text {
            [b'-', b' ', body @ ..] => (Action::Exclude, body),
            [b'+', b' ', body @ ..] => (Action::Include, body),
            _ => {
                let (pattern, rest) = self.pattern(self.text);
                if pattern == b"!" {
                    return Ok((Parsed::Clear, rest));
                }
                (self.template.action, self.text)
            }
        };
        let (pattern, rest) = self.pattern(body);
        Ok((self.matching(action, self.template.modifiers, pattern)?, rest))
    }

    fn parse_new(&self) -> Result<(Parsed<'a>, &'a [u8]), FilterError> {
        let (verb, mut at, long) = self.verb()?;
        let comma = self.text.get(at) == Some(&b',');
        at += usize::from(comma);
        if verb == Verb::Clear {
            let ends = match self.text.get(at) {
                None => true,
                Some(&byte) => self.template.words && is_space(byte),
            };
            if !ends {
                return Err(FilterError::TrailingCharacters(self.rule()));
            }
            return Ok((Parsed::Clear, &self.text[at..]));
        }
        let mut found = FoundModifiers::default();
        while let Some(&letter) = self.text.get(at) {
            if matches!(letter, b' ' | b'_') || self.template.words && is_space(letter) {
                break;
            }
            if (long && !comma) || found.add(letter, verb).is_none() {
                return Err(FilterError::InvalidModifier {
                    letter,
                    position: at,
                    rule: self.rule(),
                });
            }
            at += 1;
        }
        if matches!(self.text.get(at), Some(b' ' | b'_')) {
            at += 1;
        }
        let (pattern, rest) = self.pattern(&self.text[at..]);
        Ok((self.finish(verb, &found, pattern)?, rest))
    }

    fn finish(
        &self,
        verb: Verb,
        found: &FoundModifiers,
        pattern: &'a [u8],
    ) -> Result<Parsed<'a>, FilterError> {
        let inherited = self.template.modifiers;
        let own_sides = match verb {
            Verb::Sided(_, sides) => sides,
            _ => found.modifiers.sides,
        };
        if !own_sides.is_empty() && !inherited.sides.is_empty() {
            return Err(FilterError::SidedTwice(self.rule()));
        }
        let modifiers = Modifiers {
            absolute: found.modifiers.absolute || inherited.absolute,
            negated: found.modifiers.negated,
            perishable: found.modifiers.perishable || inherited.perishable,
            xattr: found.modifiers.xattr,
            sides: if own_sides.is_empty() { inherited.sides } else { own_sides },
        };
        let cvs = found.prefixes == Prefixes::Cvs;
        match verb {
            Verb::Match(action) if cvs => Ok(Parsed::Cvs { action, modifiers }),
            Verb::Match(action) | Verb::Sided(action, _) => {
                self.matching(action, modifiers, pattern)
            }
            Verb::Merge | Verb::DirMerge => {
                let pattern = if cvs && pattern.is_empty() { b".cvsignore" } else { pattern };
                if pattern.len() > MAX_PATTERN {
                    return Ok(Parsed::Overlong(pattern));
                }
                let (name, slash) = self.strip_slash(pattern)?;
                let merge = ParsedMerge {
                    name,
                    modifiers,
                    directories_only: slash || self.template.directories_only,
                    exclude_self: found.exclude_self,
                    no_inherit: found.no_inherit || cvs,
                    word_split: found.word_split || cvs,
                    prefixes: found.prefixes,
                };
                Ok(if verb == Verb::Merge { Parsed::Merge(merge) } else { Parsed::DirMerge(merge) })
            }
            Verb::Clear => Ok(Parsed::Clear),
        }
    }

    fn matching(
        &self,
        action: Action,
        modifiers: Modifiers,
        pattern: &'a [u8],
    ) -> Result<Parsed<'a>, FilterError> {
        if pattern.len() > MAX_PATTERN {
            return Ok(Parsed::Overlong(pattern));
        }
        let (pattern, slash) = self.strip_slash(pattern)?;
        let directories_only = slash || self.template.directories_only;
        Ok(Parsed::Match { action, modifiers, pattern, directories_only })
    }

    fn strip_slash(&self, pattern: &'a [u8]) -> Result<(&'a [u8], bool), FilterError> {
        match pattern {
            [] => Err(FilterError::UnexpectedEnd(self.rule())),
            [shorter @ .., b'/'] if !shorter.is_empty() => Ok((shorter, true)),
            _ => Ok((pattern, false)),
        }
    }

    /// The pattern at the beginning of `body`, and what follows it.
    fn pattern(&self, body: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let end =
            if self.template.words { body.iter().position(|&byte| is_space(byte)) } else { None };
        body.split_at(end.unwrap_or(body.len()))
    }

    /// The rule's name, where it ends, and whether it is a long one.
    fn verb(&self) -> Result<(Verb, usize, bool), FilterError> {
        let long = self
            .text
            .iter()
            .position(|&byte| matches!(byte, b',' | b'_') || is_space(byte))
            .unwrap_or(self.text.len());
        let (verb, length) = match &self.text[..long] {
            b"exclude" => (Verb::Match(Action::Exclude), long),
            b"include" => (Verb::Match(Action::Include), long),
            b"merge" => (Verb::Merge, long),
            b"dir-merge" => (Verb::DirMerge, long),
            b"hide" => (Verb::Sided(Action::Exclude, Sides::SENDER), long),
            b"show" => (Verb::Sided(Action::Include, Sides::SENDER), long),
            b"protect" => (Verb::Sided(Action::Exclude, Sides::RECEIVER), long),
            b"risk" => (Verb::Sided(Action::Include, Sides::RECEIVER), long),
            b"clear" => (Verb::Clear, long),
            _ => match self.text.first() {
                Some(b'-') => (Verb::Match(Action::Exclude), 1),
                Some(b'+') => (Verb::Match(Action::Include), 1),
                Some(b'.') => (Verb::Merge, 1),
                Some(b':') => (Verb::DirMerge, 1),
                Some(b'H') => (Verb::Sided(Action::Exclude, Sides::SENDER), 1),
                Some(b'S') => (Verb::Sided(Action::Include, Sides::SENDER), 1),
                Some(b'P') => (Verb::Sided(Action::Exclude, Sides::RECEIVER), 1),
                Some(b'R') => (Verb::Sided(Action::Include, Sides::RECEIVER), 1),
                Some(b'!') => (Verb::Clear, 1),
                _ => return Err(FilterError::UnknownRule(self.rule())),
            },
        };
        Ok((verb, length, length > 1))
    }

    fn rule(&self) -> RuleText {
        RuleText::new(self.text, self.place)
    }
}

#[derive(Default)]
struct FoundModifiers {
    modifiers: Modifiers,
    exclude_self: bool,
    no_inherit: bool,
    word_split: bool,
    prefixes: Prefixes,
}

impl FoundModifiers {
    /// Takes one modifier; `None` if the rule does not allow it (3.2).
    fn add(&mut self, letter: u8, verb: Verb) -> Option<()> {
        let merges = matches!(verb, Verb::Merge | Verb::DirMerge);
        let sided = matches!(verb, Verb::Sided(..));
        match letter {
            b'/' => self.modifiers.absolute = true,
            b'!' if !merges => self.modifiers.negated = true,
            b'p' => self.modifiers.perishable = true,
            b'x' => self.modifiers.xattr = true,
            b's' if !sided => self.modifiers.sides.sender = true,
            b'r' if !sided => self.modifiers.sides.receiver = true,
            b'e' if merges => self.exclude_self = true,
            b'n' if merges => self.no_inherit = true,
            b'w' if merges => self.word_split = true,
            b'C' if !sided && self.prefixes == Prefixes::Each => self.prefixes = Prefixes::Cvs,
            b'-' if merges && self.prefixes == Prefixes::Each => self.prefixes = Prefixes::Exclude,
            b'+' if merges && self.prefixes == Prefixes::Each => self.prefixes = Prefixes::Include,
            _ => return None,
        }
        Some(())
    }
}
