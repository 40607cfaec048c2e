//! First match wins (docs/spec/filters.md 7.2). Nothing here allocates.

use crate::load::{Entry, Level, MergeSlot};
use crate::pattern::Subject;
use crate::rule::{Action, Rule, base_name};

/// A name to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Relative to the transfer's root, components joined by single slashes, without a leading one.
    pub path: &'a [u8],
    /// As the transfer sees it: a followed symlink to a directory is one.
    pub is_directory: bool,
    /// The path was given with a leading slash, as relative sources may be; `path` is without it all the same.
    pub absolute: bool,
    /// A directory that is itself being deleted is emptied: perishable rules are ignored.
    pub in_doomed_directory: bool,
}

impl<'a> Name<'a> {
    /// A name that is not a directory's.
    pub fn file(path: &'a [u8]) -> Self {
        Self { path, is_directory: false, absolute: false, in_doomed_directory: false }
    }

    /// A directory's name.
    pub fn directory(path: &'a [u8]) -> Self {
        Self { is_directory: true, ..Self::file(path) }
    }
}

/// The rule that decided, and the list it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The first rule that matched.
    pub rule: &'a Rule,
    /// Where it was found.
    pub list: ListKind<'a>,
}

impl Decision<'_> {
    /// Whether the name is excluded.
    pub fn excludes(&self) -> bool {
        self.rule.action == Action::Exclude
    }
}

/// The list that a deciding rule was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind<'a> {
    /// The main list.
    Main,
    /// The list of the per-directory file of this name.
    PerDirectory(&'a [u8]),
    /// The CVS patterns.
    Cvs,
    /// A daemon module's list.
    Daemon,
}

/// What is asked of a list.
pub(crate) struct Query<'a> {
    subject: Subject<'a>,
    xattr: bool,
    ignore_perishable: bool,
}

impl<'a> Query<'a> {
    pub(crate) fn new(name: &Name<'a>, root: &'a [u8]) -> Self {
        Self {
            subject: Subject {
                path: name.path,
                base: base_name(name.path),
                is_directory: name.is_directory,
                absolute: name.absolute,
                root,
            },
            xattr: false,
            ignore_perishable: name.in_doomed_directory,
        }
    }

    pub(crate) fn file(path: &'a [u8]) -> Self {
        Self::new(&Name::file(path), b"")
    }

    /// The name of an extended attribute, which is no path.
    pub(crate) fn xattr(name: &'a [u8]) -> Self {
        let subject =
            Subject { path: name, base: name, is_directory: false, absolute: true, root: b"" };
        Self { subject, xattr: true, ignore_perishable: false }
    }
}

/// The parts of a list that entries refer to.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) merges: &'a [MergeSlot],
    pub(crate) cvs: Option<&'a [Rule]>,
}

impl<'a> View<'a> {
    pub(crate) fn decide(self, entries: &'a [Entry], query: &Query<'_>) -> Option<Decision<'a>> {
        self.first_match(entries, query, ListKind::Main)
    }

    fn first_match(
        self,
        entries: &'a [Entry],
        query: &Query<'_>,
        list: ListKind<'a>,
    ) -> Option<Decision<'a>> {
        for entry in entries {
            let found = match entry {
                Entry::Rule(rule) => rule_decides(rule, query).then_some(Decision { rule, list }),
                Entry::DirMerge(slot) => self.merged(*slot, query),
                Entry::Cvs(_) => self
                    .cvs
                    .and_then(|rules| rules.iter().find(|rule| rule_decides(rule, query)))
                    .map(|rule| Decision { rule, list: ListKind::Cvs }),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn merged(self, slot: usize, query: &Query<'_>) -> Option<Decision<'a>> {
        let slot = self.merges.get(slot)?;
        let list = ListKind::PerDirectory(slot.merge.base_name());
        let mut level: Option<&'a Level> = slot.level.as_deref();
        while let Some(here) = level {
            if let Some(found) = self.first_match(&here.entries, query, list) {
                return Some(found);
            }
            level = here.inherited.as_deref();
        }
        None
    }
}

#[inline]
fn rule_decides(rule: &Rule, query: &Query<'_>) -> bool {
    let modifiers = &rule.modifiers;
    if modifiers.xattr != query.xattr || modifiers.perishable && query.ignore_perishable {
        return false;
    }
    let possible = query.subject.is_directory || !rule.directories_only;
    (possible && rule.pattern.matches(&query.subject)) != modifiers.negated
}
