//! Judging names while walking a tree (docs/spec/filters.md 7, 8, 10, 11).

use std::sync::Arc;

use crate::error::{FilterError, MAX_PATTERN, Warning, shown};
use crate::eval::{Decision, ListKind, Name, Query, View};
use crate::hide::{Hidden, Hide};
use crate::load::{
    Base, Context, Entry, FileText, Level, Loader, MergeSlot, RuleFile, RuleFiles, Settings,
    Target, join,
};
use crate::parse::template_of;
use crate::rule::{Rule, Side};
use crate::rules::Rules;

/// The rules that act on one side of a transfer, and the state of the walk through its tree.
///
/// A clone has its own state, so several walks may start from one filter.
#[derive(Clone, Debug)]
pub struct Filter {
    settings: Settings,
    side: Side,
    /// Absolute, without a trailing slash; `/` is empty.
    root: Vec<u8>,
    entries: Vec<Entry>,
    merges: Vec<MergeSlot>,
    cvs: Option<Arc<[Rule]>>,
    names_xattrs: bool,
    hidden: Option<Hidden>,
    frames: Vec<Frame>,
    daemon: Option<Box<Filter>>,
    warnings: Vec<Warning>,
}

/// What entering a directory changed.
#[derive(Clone, Debug, Default)]
struct Frame {
    directory: Box<[u8]>,
    replaced: Vec<(usize, Option<Arc<Level>>)>,
    merges_before: usize,
}

impl Filter {
    /// The rules of `rules` that act on `side`.
    pub fn new(rules: &Rules, side: Side) -> Self {
        let entries = rules.target.entries.iter().filter(|entry| match entry {
            Entry::Rule(rule) => rules.acts(rule.modifiers, rule.acts_always, side),
            Entry::Cvs(rule) => rules.acts(rule.modifiers, rule.acts_always, side),
            Entry::DirMerge(_) => true,
        });
        let mut merges = rules.merges.clone();
        for slot in &mut merges {
            slot.acts = rules.merge_acts(&slot.merge, side);
        }
        let cvs = rules.cvs.as_ref().map(|patterns| {
            let acting =
                patterns.iter().filter(|rule| rules.acts(rule.modifiers, rule.acts_always, side));
            acting.cloned().collect()
        });
        Self {
            settings: rules.settings,
            side,
            root: Vec::new(),
            entries: entries.cloned().collect(),
            merges,
            cvs,
            names_xattrs: rules.names_xattrs,
            hidden: rules
                .hidden
                .clone()
                .filter(|_| side == Side::Sender || !rules.settings.delete_excluded),
            frames: Vec::new(),
            daemon: None,
            warnings: Vec::new(),
        }
    }

    /// Puts a daemon module's list in front: what it excludes, no rule of the main list brings back.
    pub fn with_daemon(mut self, daemon: Filter) -> Self {
        self.daemon = Some(Box::new(Filter { root: self.root.clone(), side: self.side, ..daemon }));
        self
    }

    /// As [`Rules::hide`], for a filter that is made already.
    pub fn hide(&mut self, test: Arc<dyn Hide>) {
        self.hidden = Some(Hidden::new(test));
    }

    /// How the process calls itself from now on, for messages of rule files read on the way.
    pub fn set_role(&mut self, role: &'static str) {
        self.settings.role = role;
    }

    /// Sets the directory that names are relative to: absolute, and in a daemon's module absolute within it.
    ///
    /// Each source argument has its own. Rules already read from per-directory files stay.
    pub fn set_root(&mut self, directory: &[u8]) {
        self.root = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
        if let Some(daemon) = &mut self.daemon {
            daemon.root.clone_from(&self.root);
        }
    }

    /// Whether `name` is excluded: hidden on the sending side, protected on the receiving one.
    ///
    /// The transfer's root, an empty path or `.`, never is.
    #[inline]
    pub fn excludes(&self, name: &Name<'_>) -> bool {
        self.decide(name).is_some_and(|decision| decision.excludes())
    }

    /// The rule that decides about `name`, if any does.
    pub fn decide(&self, name: &Name<'_>) -> Option<Decision<'_>> {
        if name.path.is_empty() || name.path == b"." {
            return None;
        }
        let query = Query::new(name, self.root.strip_prefix(b"/").unwrap_or(&self.root));
        self.daemon_excludes(&query)
            .or_else(|| self.hidden.as_ref().and_then(|hidden| hidden.decide(name)))
            .or_else(|| self.view().decide(&self.entries, &query))
    }

    /// Whether the daemon's list alone excludes `name`, as it must not for implied directories (7.3) and basis files.
    pub fn daemon_excludes_name(&self, name: &Name<'_>) -> bool {
        let query = Query::new(name, self.root.strip_prefix(b"/").unwrap_or(&self.root));
        self.daemon_excludes(&query).is_some()
    }

    /// Whether the list excludes the path or, as a directory, any of its parents: the test of a request to a daemon.
    pub fn excludes_any_component(&self, name: &Name<'_>) -> bool {
        let parents = memchr::memchr_iter(b'/', name.path).map(|slash| &name.path[..slash]);
        parents
            .filter(|parent| !parent.is_empty())
            .any(|parent| self.excludes(&Name { path: parent, is_directory: true, ..*name }))
            || self.excludes(name)
    }

    /// What the rules say about an extended attribute: `None` if nothing, so that the built-in selection decides
    /// unless [`Filter::names_xattrs`].
    pub fn decide_xattr(&self, name: &[u8]) -> Option<Decision<'_>> {
        let query = Query::xattr(name);
        self.daemon_excludes(&query).or_else(|| self.view().decide(&self.entries, &query))
    }

    /// Whether any rule named extended attributes, which turns off the built-in selection of them.
    pub fn names_xattrs(&self) -> bool {
        self.names_xattrs
    }

    /// Whether entering a directory reads anything: if not, a walk need not call [`Filter::enter`].
    pub fn reads_directories(&self) -> bool {
        self.merges.iter().any(|slot| slot.alive && slot.acts)
            || self.daemon.as_ref().is_some_and(|daemon| daemon.reads_directories())
    }

    /// Takes the per-directory files of `directory`, a path relative to the root, into account until
    /// [`Filter::leave`]. Enter a directory before judging what it holds, parents before children.
    ///
    /// After an error the directory counts as entered.
    pub fn enter(
        &mut self,
        directory: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let directory = if directory == b"." { b"" } else { directory };
        self.frames.push(Frame {
            directory: directory.into(),
            replaced: Vec::new(),
            merges_before: self.merges.len(),
        });
        if let Some(daemon) = &mut self.daemon {
            daemon.enter(directory, files)?;
        }
        if !self.merges.iter().any(|slot| slot.alive && slot.acts) {
            return Ok(());
        }
        let absolute = match directory {
            b"" => self.root_path().to_vec(),
            below => join(&self.root, below),
        };
        // Rules read on the way may add slots, which are then looked at too.
        let mut slot = 0;
        while slot < self.merges.len() {
            self.enter_slot(slot, &absolute, files)?;
            slot += 1;
        }
        Ok(())
    }

    /// Leaves and enters what it takes to be in `directory`, for a walk that visits directories in the order of a
    /// file list. A root that was not entered stays so.
    ///
    /// ```
    /// # use syncline_filter::{Filter, NoFiles, Rules, Side};
    /// # fn main() -> Result<(), syncline_filter::FilterError> {
    /// let mut filter = Filter::new(&Rules::default(), Side::Receiver);
    /// filter.enter(b"", &mut NoFiles)?;
    /// filter.move_to(b"usr/share/doc", &mut NoFiles)?;
    /// assert_eq!(filter.depth(), 4);
    /// filter.move_to(b"usr/lib", &mut NoFiles)?;
    /// assert_eq!(filter.depth(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn move_to(
        &mut self,
        directory: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let directory = if directory == b"." { b"" } else { directory };
        while self.frames.last().is_some_and(|frame| !is_within(directory, &frame.directory)) {
            self.leave();
        }
        let entered = self.frames.last().map(|frame| frame.directory.len());
        if directory.is_empty() && entered.is_none() {
            return self.enter(b"", files);
        }
        let ends = memchr::memchr_iter(b'/', directory).chain([directory.len()]);
        for end in ends.filter(|&end| end > entered.unwrap_or(0)) {
            self.enter(&directory[..end], files)?;
        }
        Ok(())
    }

    /// Undoes the last [`Filter::enter`]. Without one it does nothing.
    pub fn leave(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.leave();
        }
        let Some(frame) = self.frames.pop() else { return };
        for (slot, level) in frame.replaced.into_iter().rev() {
            if let Some(slot) = self.merges.get_mut(slot) {
                slot.level = level;
            }
        }
        self.merges.truncate(frame.merges_before);
    }

    /// Leaves every directory as deep as `directory` or deeper, before entering it: what a walk does that comes back
    /// to directories it has only listed so far (8.7).
    pub fn leave_for(&mut self, directory: &[u8]) {
        let directory = if directory == b"." { b"" } else { directory };
        let depth = depth_of(directory);
        while self.frames.last().is_some_and(|frame| depth_of(&frame.directory) >= depth) {
            self.leave();
        }
    }

    /// How many directories are entered and not left.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// What was dropped on the way, each told once.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// The line that `--debug=FILTER` shows for a decision (7.5).
    pub fn explain(&self, kind: &str, name: &[u8], decision: &Decision<'_>) -> String {
        let verb = match (self.side, decision.excludes()) {
            (Side::Sender, true) => "hiding",
            (Side::Sender, false) => "showing",
            (Side::Receiver, true) => "protecting",
            (Side::Receiver, false) => "risking",
        };
        let list = match decision.list {
            ListKind::Main => String::new(),
            ListKind::PerDirectory(file) => format!(" [per-dir {}]", shown(file)),
            ListKind::Cvs => " [global CVS]".to_owned(),
            ListKind::Daemon => " [daemon]".to_owned(),
        };
        let (role, name) = (self.settings.role, shown(name));
        let pattern = decision.rule.described();
        format!("[{role}] {verb} {kind} {name} because of pattern {pattern}{list}")
    }

    fn view(&self) -> View<'_> {
        View { merges: &self.merges, cvs: self.cvs.as_deref() }
    }

    fn root_path(&self) -> &[u8] {
        if self.root.is_empty() { b"/" } else { &self.root }
    }

    fn daemon_excludes(&self, query: &Query<'_>) -> Option<Decision<'_>> {
        let daemon = self.daemon.as_ref()?;
        let found = daemon.view().decide(&daemon.entries, query)?;
        found.excludes().then_some(Decision { rule: found.rule, list: ListKind::Daemon })
    }

    fn enter_slot(
        &mut self,
        index: usize,
        directory: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let Some(slot) = self.merges.get_mut(index) else { return Ok(()) };
        if !slot.alive || !slot.acts {
            return Ok(());
        }
        let before = slot.level.clone();
        let scan_parents = std::mem::take(&mut slot.scan_parents);
        let result = self.fill_slot(index, scan_parents, directory, files);
        let now = self.merges.get(index).and_then(|slot| slot.level.as_ref());
        let same = match (&before, now) {
            (None, None) => true,
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            _ => false,
        };
        if !same && let Some(frame) = self.frames.last_mut() {
            frame.replaced.push((index, before));
        }
        result
    }

    fn fill_slot(
        &mut self,
        index: usize,
        scan_parents: bool,
        directory: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let Some(merge) = self.merges.get(index).map(|slot| Arc::clone(&slot.merge)) else {
            return Ok(());
        };
        if scan_parents {
            self.scan_parents(index, merge.name(), directory, files)?;
        }
        if merge.no_inherit
            && let Some(slot) = self.merges.get_mut(index)
        {
            slot.level = None;
        }
        self.read_level(index, directory, files)
    }

    /// Reads the files of the directories from the one that the rule names down to the parent of the first one
    /// entered (8.6).
    fn scan_parents(
        &mut self,
        index: usize,
        name: &[u8],
        first: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let path = memchr::memrchr(b'/', name).map_or(&b""[..], |slash| &name[..slash]);
        let top =
            if name.starts_with(b"/") { collapse(path) } else { collapse(&join(first, path)) };
        let first = collapse(first);
        let below_top = match first.strip_prefix(&top[..]) {
            Some(below) if !below.is_empty() && (top.is_empty() || below.starts_with(b"/")) => {
                below
            }
            _ => return Ok(()),
        };
        let ends = memchr::memchr_iter(b'/', below_top).map(|slash| top.len() + slash);
        for end in ends {
            let directory = if end == 0 { &b"/"[..] } else { &first[..end] };
            self.read_level(index, directory, files)?;
        }
        Ok(())
    }

    /// Puts the rules of the file in `directory` in front of those of the slot.
    fn read_level(
        &mut self,
        index: usize,
        directory: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(), FilterError> {
        let Some(slot) = self.merges.get(index) else { return Ok(()) };
        let (merge, nesting) = (Arc::clone(&slot.merge), slot.nesting + 1);
        let name = merge.base_name();
        if matches!(name, b"" | b"." | b"..") {
            return Ok(());
        }
        let path = join(directory, name);
        if path.len() > MAX_PATTERN {
            self.warnings.push(Warning::LongDirectory(directory.into()));
            return Ok(());
        }
        if self.daemon_hides(&path) {
            return Ok(());
        }
        let Ok(text) = files.read(RuleFile::PerDirectory { directory, name }) else {
            return Ok(());
        };
        let (label, numbered) = match &merge.place {
            None => (path.into(), true),
            Some(_) => (b"a file read earlier"[..].into(), false),
        };
        let mut target = Target {
            entries: Vec::new(),
            inherited: self.merges.get(index).and_then(|slot| slot.level.clone()),
        };
        let context = Context {
            base: Base::Directory { root: &self.root, directory },
            anchor: Some(directory),
            only_for: Some(self.side),
            acts_always: true,
            nesting,
            ..Context::OPTIONS
        };
        let template = template_of(merge.modifiers, merge.prefixes, merge.directories_only);
        let file = FileText { text: &text, label, numbered, word_split: merge.word_split };
        let mut loader = Loader {
            settings: self.settings,
            files,
            warnings: &mut self.warnings,
            merges: &mut self.merges,
            cvs: &mut self.cvs,
            names_xattrs: &mut self.names_xattrs,
            depth: 0,
        };
        let result = loader.add_file(&mut target, &file, &template, context);
        if let Some(slot) = self.merges.get_mut(index) {
            let Target { entries, inherited } = target;
            slot.level = if entries.is_empty() {
                inherited
            } else {
                Some(Arc::new(Level { entries, inherited }))
            };
        }
        result
    }

    /// Whether the daemon's list excludes the per-directory file at `path`, which then counts as absent.
    fn daemon_hides(&self, path: &[u8]) -> bool {
        let Some(daemon) = &self.daemon else { return false };
        let Some(inside) =
            path.strip_prefix(&self.root[..]).and_then(|path| path.strip_prefix(b"/"))
        else {
            return false;
        };
        daemon.excludes(&Name::file(inside))
    }
}

fn is_within(directory: &[u8], ancestor: &[u8]) -> bool {
    ancestor.is_empty()
        || directory
            .strip_prefix(ancestor)
            .is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
}

/// How many components a path has that [`Filter::enter`] was given.
fn depth_of(directory: &[u8]) -> usize {
    if directory.is_empty() { 0 } else { 1 + memchr::memchr_iter(b'/', directory).count() }
}

/// `path` without empty and dot components, with `..` taken literally and never above the root, without a trailing
/// slash: the root is empty.
fn collapse(path: &[u8]) -> Vec<u8> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            _ => components.push(component),
        }
    }
    components.iter().flat_map(|component| [&b"/"[..], component]).flatten().copied().collect()
}
