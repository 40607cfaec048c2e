//! The rules of one process in their order, as options name them (docs/spec/filters.md 2).

use std::sync::Arc;

use crate::error::{FilterError, Warning};
use crate::hide::{Hidden, Hide};
use crate::load::{Context, Entry, Loader, MergeSlot, RuleFiles, Settings, Target};
use crate::parse::Template;
use crate::pattern::Pattern;
use crate::rule::{Action, DirMerge, Modifiers, Rule, Side, Sides};

/// An ordered list of rules.
///
/// Call the methods in the order in which the options stand on the command line: the order decides.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) settings: Settings,
    pub(crate) target: Target,
    pub(crate) merges: Vec<MergeSlot>,
    pub(crate) cvs: Option<Arc<[Rule]>>,
    pub(crate) names_xattrs: bool,
    pub(crate) hidden: Option<Hidden>,
    warnings: Vec<Warning>,
    default_files_asked: u8,
}

impl Rules {
    /// An empty list for a process of which this is known.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// `--from0`: files named from here on end their rules in NUL, and so do all per-directory files.
    pub fn set_from0(&mut self) {
        self.settings.from0 = true;
    }

    /// `--delete-excluded`: a rule without a side does not protect.
    pub fn set_delete_excluded(&mut self) {
        self.settings.delete_excluded = true;
    }

    /// Hides what this test says, in front of all rules: on the receiving side that protects, unless what is hidden is
    /// to be deleted.
    pub fn hide(&mut self, test: Arc<dyn Hide>) {
        self.hidden = Some(Hidden::new(test));
    }

    /// The protocol number, as far as it is known when the next rules are parsed.
    pub fn set_protocol(&mut self, protocol: u8) {
        self.settings.protocol = protocol;
    }

    /// `--filter=RULE`. An empty rule is ignored.
    pub fn filter(&mut self, rule: &[u8], files: &mut dyn RuleFiles) -> Result<(), FilterError> {
        self.add(rule, &Template::NEW, Context::OPTIONS, files)
    }

    /// The same for several rules, which come before all that are there.
    pub fn filter_first<'r>(
        &mut self,
        rules: impl IntoIterator<Item = &'r [u8]>,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let later = std::mem::take(&mut self.target.entries);
        let added = rules.into_iter().try_for_each(|rule| self.filter(rule, files));
        self.target.entries.extend(later);
        added
    }

    /// `--exclude=PATTERN`.
    pub fn exclude(&mut self, pattern: &[u8]) -> Result<(), FilterError> {
        let template = Template::old(Action::Exclude);
        self.add(pattern, &template, Context::OPTIONS, &mut crate::NoFiles)
    }

    /// `--include=PATTERN`.
    pub fn include(&mut self, pattern: &[u8]) -> Result<(), FilterError> {
        let template = Template::old(Action::Include);
        self.add(pattern, &template, Context::OPTIONS, &mut crate::NoFiles)
    }

    /// `--exclude-from=FILE`; `-` is standard input. An empty name is ignored.
    pub fn exclude_from(
        &mut self,
        file: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        self.add_from(file, Action::Exclude, files)
    }

    /// `--include-from=FILE`.
    pub fn include_from(
        &mut self,
        file: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        self.add_from(file, Action::Include, files)
    }

    /// One `-F`: the first looks for `.rsync-filter` everywhere, the second leaves these files behind.
    pub fn default_files(&mut self) -> Result<(), FilterError> {
        self.default_files_asked = self.default_files_asked.saturating_add(1);
        let rule: &[u8] = match self.default_files_asked {
            1 => b": /.rsync-filter",
            2 => b"- .rsync-filter",
            _ => return Ok(()),
        };
        self.filter(rule, &mut crate::NoFiles)
    }

    /// Whether any rule names extended attributes, which turns off the built-in selection of them (11).
    pub fn names_xattrs(&self) -> bool {
        self.names_xattrs
    }

    /// Whether the list holds no rule at all.
    pub fn is_empty(&self) -> bool {
        self.target.entries.is_empty()
    }

    /// The include and exclude rules and per-directory rules of the list, in order.
    pub fn iter(&self) -> impl Iterator<Item = ListedRule<'_>> {
        self.target.entries.iter().filter_map(|entry| match entry {
            Entry::Rule(rule) => Some(ListedRule::Rule(rule)),
            Entry::DirMerge(slot) => {
                self.merges.get(*slot).map(|slot| ListedRule::DirMerge(&slot.merge))
            }
            Entry::Cvs(rule) => Some(ListedRule::Cvs(rule.action, rule.modifiers)),
        })
    }

    /// What was dropped so far, each told once.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// `- PATTERN` and the like, made by the program and not parsed; a trailing slash has been taken off.
    pub(crate) fn push_implied(
        &mut self,
        pattern: &[u8],
        directories_only: bool,
        modifiers: Modifiers,
    ) {
        let rule = Rule {
            action: Action::Exclude,
            modifiers,
            directories_only,
            pattern: Pattern::new(pattern, modifiers.absolute),
            place: None,
            acts_always: false,
        };
        self.target.entries.push(Entry::Rule(rule));
    }

    pub(crate) fn add(
        &mut self,
        text: &[u8],
        template: &Template,
        context: Context<'_>,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        self.load(files, |loader, target| loader.add_rule(target, text, template, context))
    }

    /// Runs `work` on the list with everything that adding rules needs.
    pub(crate) fn load<R>(
        &mut self,
        files: &mut dyn RuleFiles,
        work: impl FnOnce(&mut Loader<'_>, &mut Target) -> R,
    ) -> R {
        let mut loader = Loader {
            settings: self.settings,
            files,
            warnings: &mut self.warnings,
            merges: &mut self.merges,
            cvs: &mut self.cvs,
            names_xattrs: &mut self.names_xattrs,
            depth: 0,
        };
        work(&mut loader, &mut self.target)
    }

    /// Whether a rule acts on `side` of this transfer (10.1).
    pub(crate) fn acts(&self, modifiers: Modifiers, always: bool, side: Side) -> bool {
        always || self.effective_sides(modifiers.sides).acts_on(side)
    }

    pub(crate) fn merge_acts(&self, merge: &DirMerge, side: Side) -> bool {
        let sides = merge.modifiers.sides;
        let plain = merge.prefixes == crate::rule::Prefixes::Each;
        merge.acts_always || if plain { sides } else { self.effective_sides(sides) }.acts_on(side)
    }

    fn effective_sides(&self, sides: Sides) -> Sides {
        if sides.is_empty() && self.settings.delete_excluded { Sides::SENDER } else { sides }
    }

    fn add_from(
        &mut self,
        file: &[u8],
        action: Action,
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        if file.is_empty() {
            return Ok(());
        }
        self.load(files, |loader, target| {
            loader.add_named_file(target, file, &Template::old(action), Context::OPTIONS)
        })
    }
}

/// A rule of a list.
#[derive(Clone, Copy, Debug)]
pub enum ListedRule<'a> {
    /// An include or exclude rule.
    Rule(&'a Rule),
    /// A per-directory rule.
    DirMerge(&'a DirMerge),
    /// The CVS patterns.
    Cvs(Action, Modifiers),
}
