//! Turning rule text and rule files into list entries (docs/spec/filters.md 5, 8.1 to 8.5, 9).

use std::io;
use std::sync::Arc;

use crate::cvs;
use crate::error::{FilterError, MAX_DEPTH, Place, RuleText, Warning};
use crate::eval::{Query, View};
use crate::lines::Lines;
use crate::parse::{self, Parsed, ParsedMerge, Syntax, Template, is_space};
use crate::pattern::Pattern;
use crate::rule::{Action, CvsRule, DirMerge, Modifiers, Rule, Side, Sides, base_name};

/// What supplies the text of rule files. The crate itself opens nothing.
///
/// Only a failure to *open* is an error; a file that cannot be read after that, such as a directory, is empty.
pub trait RuleFiles {
    /// The complete text of `file`.
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>>;

    /// What CVS mode needs from the user's surroundings; asked for once, when the first rule needs it.
    fn cvs_sources(&mut self) -> CvsSources {
        CvsSources::default()
    }
}

/// A supplier without files: every name is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl RuleFiles for NoFiles {
    fn read(&mut self, _file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A rule file to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFile<'a> {
    /// Standard input; a second reading finds nothing.
    StandardInput,
    /// A file named by an option, a merge rule or a daemon's parameter: absolute, or relative to the working
    /// directory.
    Named(&'a [u8]),
    /// The per-directory file `name` of `directory`.
    PerDirectory {
        /// Absolute; in a daemon's module, absolute within the module.
        directory: &'a [u8],
        /// A single component.
        name: &'a [u8],
    },
    /// A file named by a merge rule in a per-directory file: absolute; in a daemon's module, absolute within it.
    InTree(&'a [u8]),
}

/// The user's own CVS patterns, empty where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CvsSources {
    /// The text of `$HOME/.cvsignore`.
    pub home: Vec<u8>,
    /// The value of `$CVSIGNORE`.
    pub environment: Vec<u8>,
}

/// What a process knows when it parses rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the process calls itself in messages: `client`, `sender`, `Receiver`, ...
    pub role: &'static str,
    /// The protocol number as known now.
    pub protocol: u8,
    /// `--from0` was given before: rules in files end in NUL.
    pub from0: bool,
    /// `--delete-excluded` was given before: rules without a side become the sender's.
    pub delete_excluded: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { role: "client", protocol: 32, from0: false, delete_excluded: false }
    }
}

/// An element of a list.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Rule(Rule),
    /// An index into the merge slots.
    DirMerge(usize),
    Cvs(CvsRule),
}

/// A per-directory rule and what it has read so far.
#[derive(Clone, Debug)]
pub(crate) struct MergeSlot {
    pub(crate) merge: Arc<DirMerge>,
    /// Not cleared away; while it is, no other rule may have its base name.
    pub(crate) alive: bool,
    pub(crate) acts: bool,
    /// The directories above the first one are still to be looked at.
    pub(crate) scan_parents: bool,
    /// How many per-directory files stand around the rule.
    pub(crate) nesting: usize,
    pub(crate) level: Option<Arc<Level>>,
}

/// The rules of one per-directory file, in front of those of the directories above.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) entries: Vec<Entry>,
    pub(crate) inherited: Option<Arc<Level>>,
}

/// A list under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) entries: Vec<Entry>,
    pub(crate) inherited: Option<Arc<Level>>,
}

/// Where rule text comes from and what that means for its rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) base: Base<'a>,
    /// A pattern that begins with a slash is tied to this directory.
    pub(crate) anchor: Option<&'a [u8]>,
    /// Rules for the other side only are dropped.
    pub(crate) only_for: Option<Side>,
    pub(crate) acts_always: bool,
    /// The rules are a daemon's parameter: anchored at the module, excluded directories with all below (15.2).
    pub(crate) module: bool,
    pub(crate) from_peer: bool,
    /// How many per-directory files stand around the text.
    pub(crate) nesting: usize,
}

impl Context<'_> {
    /// Rules of a client's options.
    pub(crate) const OPTIONS: Self = Self {
        base: Base::Working,
        anchor: None,
        only_for: None,
        acts_always: false,
        module: false,
        from_peer: false,
        nesting: 0,
    };
}

/// What merge rules' names are relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Base<'a> {
    Working,
    Directory {
        root: &'a [u8],
        directory: &'a [u8],
    },
    /// A module's directory, for names with a slash (15.1).
    Module(&'a [u8]),
}

/// The shared state of everything that adds rules.
pub(crate) struct Loader<'a> {
    pub(crate) settings: Settings,
    pub(crate) files: &'a mut dyn RuleFiles,
    pub(crate) warnings: &'a mut Vec<Warning>,
    pub(crate) merges: &'a mut Vec<MergeSlot>,
    pub(crate) cvs: &'a mut Option<Arc<[Rule]>>,
    pub(crate) names_xattrs: &'a mut bool,
    pub(crate) depth: usize,
}

/// A rule file that has been read.
pub(crate) struct FileText<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) label: Arc<[u8]>,
    /// Its rules are placed by line.
    pub(crate) numbered: bool,
    pub(crate) word_split: bool,
}

impl Loader<'_> {
    /// Adds the one rule that `text` is.
    pub(crate) fn add_rule(
        &mut self,
        target: &mut Target,
        text: &[u8],
        template: &Template,
        context: Context<'_>,
    ) -> Result<(), FilterError> {
        let text = memchr::memchr(0, text).map_or(text, |nul| &text[..nul]);
        if text.is_empty() {
            return Ok(());
        }
        let (parsed, _) = parse::parse(text, template, None)?;
        self.add_parsed(target, parsed, context, text, None)
    }

    /// Adds the rules of a string, split at white space (15.1).
    pub(crate) fn add_words(
        &mut self,
        target: &mut Target,
        text: &[u8],
        template: &Template,
        context: Context<'_>,
    ) -> Result<(), FilterError> {
        let mut template = Template { words: true, ..*template };
        let mut rest = memchr::memchr(0, text).map_or(text, |nul| &text[..nul]);
        loop {
            let Some(start) = rest.iter().position(|&byte| !is_space(byte)) else { return Ok(()) };
            rest = &rest[start..];
            let (parsed, after) = parse::parse(rest, &template, None)?;
            if let Parsed::Cvs { action, modifiers } = parsed {
                template.syntax = Syntax::Bare { bang_clears: true };
                template.action = action;
                template.modifiers = modifiers;
            }
            self.add_parsed(target, parsed, context, rest, None)?;
            rest = after;
        }
    }

    /// Adds the rules of a file.
    pub(crate) fn add_file(
        &mut self,
        target: &mut Target,
        file: &FileText<'_>,
        template: &Template,
        context: Context<'_>,
    ) -> Result<(), FilterError> {
        self.depth += 1;
        for line in Lines::new(file.text, file.word_split, self.settings.from0) {
            let number = (file.numbered && !file.word_split).then_some(line.number);
            let place = Place::new(&file.label, number);
            if line.overlong {
                self.warnings.push(Warning::Overlong(RuleText::From(place)));
                continue;
            }
            let (parsed, _) = parse::parse(line.text, template, Some(&place))?;
            self.add_parsed(target, parsed, context, line.text, Some(&place))?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads the file that an option or parameter names and adds its rules.
    pub(crate) fn add_named_file(
        &mut self,
        target: &mut Target,
        name: &[u8],
        template: &Template,
        context: Context<'_>,
    ) -> Result<(), FilterError> {
        let file = if name == b"-" { RuleFile::StandardInput } else { RuleFile::Named(name) };
        let include = template.action == Action::Include;
        let text = self.read(file, include, || RuleText::Given(name.into()))?;
        let file = FileText { text: &text, label: name.into(), numbered: true, word_split: false };
        self.add_file(target, &file, template, context)
    }

    fn read(
        &mut self,
        file: RuleFile<'_>,
        include: bool,
        named: impl FnOnce() -> RuleText,
    ) -> Result<Vec<u8>, FilterError> {
        match self.files.read(file) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(Vec::new()),
            Err(error) => {
                Err(FilterError::Open { role: self.settings.role, include, file: named(), error })
            }
            Ok(text) => Ok(text),
        }
    }

    fn add_parsed(
        &mut self,
        target: &mut Target,
        parsed: Parsed<'_>,
        context: Context<'_>,
        text: &[u8],
        place: Option<&Place>,
    ) -> Result<(), FilterError> {
        match parsed {
            Parsed::Clear => {
                self.clear(target);
                Ok(())
            }
            Parsed::Match { action, modifiers, pattern, directories_only } => {
                *self.names_xattrs |= modifiers.xattr;
                let modifiers = self.with_default_side(modifiers);
                if !is_dropped(modifiers.sides, context) {
                    let rule =
                        matching_rule(action, modifiers, pattern, directories_only, context, place);
                    target.entries.push(Entry::Rule(rule));
                }
                Ok(())
            }
            Parsed::Cvs { action, modifiers } => {
                *self.names_xattrs |= modifiers.xattr;
                let modifiers = self.with_default_side(modifiers);
                if !is_dropped(modifiers.sides, context) {
                    self.add_cvs(target, action, modifiers, context.acts_always);
                }
                Ok(())
            }
            Parsed::Merge(merge) => {
                *self.names_xattrs |= merge.modifiers.xattr;
                self.add_merge(target, &merge, context, text, place)
            }
            Parsed::DirMerge(merge) => {
                *self.names_xattrs |= merge.modifiers.xattr;
                self.add_dir_merge(target, &merge, context, place)
            }
            Parsed::Overlong(pattern) => {
                self.warnings.push(Warning::Overlong(RuleText::new(pattern, place)));
                Ok(())
            }
        }
    }

    /// Puts the CVS patterns here, gathering them first if that has not been done (9.1).
    pub(crate) fn add_cvs(
        &mut self,
        target: &mut Target,
        action: Action,
        modifiers: Modifiers,
        acts_always: bool,
    ) {
        if self.cvs.is_none() {
            let sources = self.files.cvs_sources();
            let rules =
                cvs::patterns(&sources, action, modifiers, self.settings.protocol, acts_always);
            *self.cvs = Some(rules);
        }
        target.entries.push(Entry::Cvs(CvsRule { action, modifiers, acts_always }));
    }

    fn add_merge(
        &mut self,
        target: &mut Target,
        merge: &ParsedMerge<'_>,
        context: Context<'_>,
        text: &[u8],
        place: Option<&Place>,
    ) -> Result<(), FilterError> {
        if context.from_peer {
            return Err(FilterError::PeerNamedFile(RuleText::new(text, place)));
        }
        if merge.exclude_self {
            exclude_file(target, base_name(merge.name), context.acts_always, place);
        }
        if self.depth >= MAX_DEPTH {
            let rule = RuleText::new(merge.name, place);
            return Err(FilterError::TooDeep { role: self.settings.role, rule });
        }
        if context.module && self.is_hidden_by(target, context.base, merge.name) {
            return Ok(());
        }
        let path = resolve(context.base, merge.name);
        let file = match context.base {
            Base::Working if merge.name == b"-" => RuleFile::StandardInput,
            Base::Working | Base::Module(_) => RuleFile::Named(&path),
            Base::Directory { .. } => RuleFile::InTree(&path),
        };
        let template = merge.template(false);
        let include = template.action == Action::Include;
        let contents = self.read(file, include, || RuleText::new(merge.name, place))?;
        let (label, numbered) = match place {
            None => (merge.name.into(), true),
            Some(place) => (place.of_file_named_here(), false),
        };
        let file = FileText { text: &contents, label, numbered, word_split: merge.word_split };
        let context = Context { anchor: None, only_for: None, module: false, ..context };
        self.add_file(target, &file, &template, context)
    }

    fn add_dir_merge(
        &mut self,
        target: &mut Target,
        merge: &ParsedMerge<'_>,
        context: Context<'_>,
        place: Option<&Place>,
    ) -> Result<(), FilterError> {
        let name = base_name(merge.name);
        if merge.exclude_self {
            exclude_file(target, name, context.acts_always, place);
        }
        let taken = |slot: &MergeSlot| slot.alive && slot.merge.base_name() == name;
        if is_dropped(merge.modifiers.sides, context) || self.merges.iter().any(taken) {
            return Ok(());
        }
        // Lists are evaluated recursively, so what a tree's files can nest has a bound.
        if context.nesting > MAX_DEPTH {
            let rule = RuleText::new(merge.name, place);
            return Err(FilterError::TooDeep { role: self.settings.role, rule });
        }
        target.entries.push(Entry::DirMerge(self.merges.len()));
        self.merges.push(MergeSlot {
            merge: Arc::new(DirMerge {
                name: merge.name.into(),
                modifiers: merge.modifiers,
                directories_only: merge.directories_only,
                no_inherit: merge.no_inherit,
                word_split: merge.word_split,
                prefixes: merge.prefixes,
                place: place.cloned(),
                acts_always: context.acts_always,
            }),
            alive: true,
            acts: true,
            scan_parents: merge.name.contains(&b'/'),
            nesting: context.nesting,
            level: None,
        });
        Ok(())
    }

    fn clear(&mut self, target: &mut Target) {
        for entry in target.entries.drain(..) {
            if let Entry::DirMerge(slot) = entry
                && let Some(slot) = self.merges.get_mut(slot)
            {
                slot.alive = false;
            }
        }
        target.inherited = None;
    }

    /// Whether the daemon's list as built so far excludes the file (15.1).
    pub(crate) fn is_hidden_by(&self, target: &Target, base: Base<'_>, name: &[u8]) -> bool {
        let inside = match (name.strip_prefix(b"/"), base) {
            (None, _) => Some(name),
            (Some(_), Base::Module(module)) => {
                name.strip_prefix(module).and_then(|inside| inside.strip_prefix(b"/"))
            }
            (Some(_), _) => None,
        };
        let view = View { merges: self.merges, cvs: self.cvs.as_deref() };
        inside.is_some_and(|path| {
            view.decide(&target.entries, &Query::file(path)).is_some_and(|found| found.excludes())
        })
    }

    fn with_default_side(&self, modifiers: Modifiers) -> Modifiers {
        if self.settings.delete_excluded && modifiers.sides.is_empty() {
            return Modifiers { sides: Sides::SENDER, ..modifiers };
        }
        modifiers
    }
}

/// Adds the plain exclude of a merge file's base name that the `e` modifier asks for.
fn exclude_file(target: &mut Target, name: &[u8], acts_always: bool, place: Option<&Place>) {
    if name.is_empty() {
        return;
    }
    target.entries.push(Entry::Rule(Rule {
        action: Action::Exclude,
        modifiers: Modifiers::default(),
        directories_only: false,
        pattern: Pattern::new(name, false),
        place: place.cloned(),
        acts_always,
    }));
}

fn is_dropped(sides: Sides, context: Context<'_>) -> bool {
    context.only_for.is_some_and(|side| !sides.acts_on(side))
}

fn matching_rule(
    action: Action,
    mut modifiers: Modifiers,
    pattern: &[u8],
    mut directories_only: bool,
    context: Context<'_>,
    place: Option<&Place>,
) -> Rule {
    let mut longer = Vec::new();
    let mut pattern = pattern;
    if let Some(directory) = context.anchor
        && pattern.starts_with(b"/")
        && !modifiers.absolute
    {
        modifiers.absolute = true;
        longer.extend_from_slice(directory.strip_suffix(b"/").unwrap_or(directory));
        longer.extend_from_slice(pattern);
        pattern = &longer;
    }
    if context.module {
        modifiers.absolute |= pattern.contains(&b'/');
        if directories_only && action == Action::Exclude {
            directories_only = false;
            longer = [pattern, b"/***"].concat();
            pattern = &longer;
        }
    }
    Rule {
        action,
        modifiers,
        directories_only,
        pattern: Pattern::new(pattern, modifiers.absolute),
        place: place.cloned(),
        acts_always: context.acts_always,
    }
}

/// Where a merge rule's file is (8.1, 8.5, 15.1).
fn resolve(base: Base<'_>, name: &[u8]) -> Vec<u8> {
    let slash = name.contains(&b'/');
    let directory = match base {
        _ if name.starts_with(b"/") => return name.to_vec(),
        Base::Working => return name.to_vec(),
        Base::Module(_) if !slash => return name.to_vec(),
        Base::Module(module) => module,
        Base::Directory { directory, .. } if slash => directory,
        Base::Directory { root, .. } => root,
    };
    join(directory, name)
}

pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, b"/", name].concat()
}
