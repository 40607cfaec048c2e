//! An explicit list: what its lines name and the directories above, and nothing else (docs/spec live.md 5.1, 5.2).

use std::collections::HashMap;
use std::sync::Arc;

use syncline_fs::{Kind, RelPath, RelPathBuf, Stat};
use syncline_options::options::MissingArguments;
use syncline_wire::list::{DirectoryRole, FileEntry, HardLink};

use super::{Located, Scan, filter_failed};
use crate::source::tree::{Base, checked};
use crate::{Event, Result};

/// A line of an explicit list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line {
    /// The path as it is when the list is made, or that it is gone.
    Path(RelPathBuf),
    /// The path is gone. If it is back it is withheld: what the sink has below it may be another's.
    Gone(RelPathBuf),
    /// A directory with everything in it, of which a sink that deletes removes what is not there. What else is listed
    /// must not be below it.
    Tree(RelPathBuf),
    /// The same with the names in the directory alone, nothing below them.
    Names(RelPathBuf),
    /// The file at `to` under both names, as one group of hard links: a sink that still has it as `from` links it.
    Moved {
        /// Its old name, which may be gone together with the directories above it.
        from: RelPathBuf,
        /// Its name.
        to: RelPathBuf,
    },
}

/// No file is on it: groups of hard links that are made up.
const NO_DEVICE: u64 = u32::MAX as u64;

/// What one look at a path found.
enum Found {
    Present(Stat),
    Gone,
    /// It cannot be looked at, which has been told.
    Unknown,
}

struct Listed {
    number: u32,
    base: Arc<Base>,
    /// Names in the list, each of which stands in it once, and whether they are directories.
    names: HashMap<Vec<u8>, bool>,
    /// Files that are listed under two names.
    moved: u64,
}

impl Scan<'_> {
    /// Lists the lines. Every entry has all its directories in the list, a gone name has a directory above it that is
    /// there, and only the topmost of gone names is listed: a sink ends the session otherwise.
    pub(super) fn listed(&mut self, below: &[u8], lines: Vec<Line>) -> Result<()> {
        let (number, base) = match self.base(below, b"") {
            Ok(found) => found,
            Err(error) => {
                let shown = self.show(below);
                self.general_system("change_dir", &shown, &error);
                return Ok(());
            }
        };
        self.filter.set_root(&Self::root_of(&base));
        let mut listed = Listed { number, base, names: HashMap::new(), moved: 0 };
        for line in lines {
            match line {
                Line::Path(path) => self.list_path(&mut listed, path.as_path())?,
                Line::Gone(path) => self.list_gone(&mut listed, path.as_path())?,
                Line::Tree(path) => self.list_contents(&mut listed, path.as_path(), true)?,
                Line::Names(path) => self.list_contents(&mut listed, path.as_path(), false)?,
                Line::Moved { from, to } => {
                    self.list_moved(&mut listed, from.as_path(), to.as_path())?;
                }
            }
        }
        Ok(())
    }

    fn list_path(&mut self, listed: &mut Listed, path: RelPath<'_>) -> Result<()> {
        if self.list_ancestors(listed, path)? && !listed.names.contains_key(path.as_bytes()) {
            self.list_one(listed, path)?;
        }
        Ok(())
    }

    fn list_gone(&mut self, listed: &mut Listed, path: RelPath<'_>) -> Result<()> {
        let gone =
            !self.list_ancestors(listed, path)? || matches!(self.look(listed, path), Found::Gone);
        if gone {
            return self.list_path(listed, path);
        }
        self.monitor.tell(&Event::Withheld { path: path.as_bytes(), why: None });
        Ok(())
    }

    /// Lists the directories above a path; `false` if one of them is no directory, or hidden: nothing is below it then.
    fn list_ancestors(&mut self, listed: &mut Listed, path: RelPath<'_>) -> Result<bool> {
        for ancestor in ancestors(path) {
            let is_directory = match listed.names.get(ancestor.as_bytes()) {
                Some(&known) => known,
                None => self.list_one(listed, ancestor)?,
            };
            if !is_directory {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lists one path; whether it is a directory now.
    fn list_one(&mut self, listed: &mut Listed, path: RelPath<'_>) -> Result<bool> {
        let name = path.as_bytes();
        self.move_filter(path)?;
        match self.look(listed, path) {
            Found::Present(stat) => {
                if !path.is_root() && self.is_hidden(name, stat.is_dir()) {
                    return Ok(false);
                }
                if let Some(entry) = self.entry_of(listed, path, &stat)? {
                    self.add_listed(listed, entry, stat.dev)?;
                }
                Ok(stat.is_dir())
            }
            Found::Gone => {
                // What it was is not known: it stays if every rule could have meant it.
                let removes = self.settings.missing == MissingArguments::Delete;
                if removes && !(self.is_hidden(name, false) && self.is_hidden(name, true)) {
                    let entry = FileEntry { name: name.to_vec(), ..FileEntry::default() };
                    self.add_listed(listed, entry, 0)?;
                }
                Ok(false)
            }
            Found::Unknown => Ok(false),
        }
    }

    /// Lists a directory and what is in it.
    fn list_contents(&mut self, listed: &mut Listed, path: RelPath<'_>, deep: bool) -> Result<()> {
        if listed.names.contains_key(path.as_bytes()) || !self.list_ancestors(listed, path)? {
            return Ok(());
        }
        self.move_filter(path)?;
        let stat = match self.look(listed, path) {
            Found::Present(stat) if stat.is_dir() => stat,
            _ => return self.list_one(listed, path).map(drop),
        };
        let name = path.as_bytes();
        if !path.is_root() && self.is_hidden(name, true) {
            return Ok(());
        }
        let place = Located { scanned: true, ..listed.located(stat.dev) };
        let Some(entry) = self.entry(name, &stat, DirectoryRole::Top, &place, None)? else {
            return Ok(());
        };
        listed.names.insert(name.to_vec(), true);
        self.push(entry, &place)?;
        let recursive = std::mem::replace(&mut self.settings.recursive, deep);
        self.places.clear();
        let mut owed = vec![(name.to_vec(), place)];
        while let Some((name, place)) = owed.pop() {
            if self.filter.reads_directories() {
                self.filter.move_to(&name, self.files).map_err(filter_failed)?;
            }
            self.children(&name, &place)?;
            let below = self.places.drain().flat_map(|(name, places)| {
                places.into_iter().map(move |place| (name.clone(), place))
            });
            owed.extend(below.filter(|(_, place)| place.scanned));
        }
        self.settings.recursive = recursive;
        Ok(())
    }

    fn list_moved(
        &mut self,
        listed: &mut Listed,
        from: RelPath<'_>,
        to: RelPath<'_>,
    ) -> Result<()> {
        let taken =
            |path: RelPath<'_>| path.is_root() || listed.names.contains_key(path.as_bytes());
        if taken(to) || !self.list_ancestors(listed, to)? {
            return Ok(());
        }
        self.move_filter(to)?;
        let found = self.look(listed, to);
        let Found::Present(stat) = found else { return self.list_path(listed, to) };
        if stat.kind() == Kind::File && self.is_hidden(to.as_bytes(), false) {
            return Ok(());
        }
        let old = from.is_root() || listed.names.contains_key(from.as_bytes());
        if stat.kind() != Kind::File || old || !self.list_old_ancestors(listed, from)? {
            return self.list_path(listed, to);
        }
        let Some(mut entry) = self.entry_of(listed, to, &stat)? else { return Ok(()) };
        // A group of its own for each: while a list is made the number of a removed file goes to a new one.
        listed.moved += 1;
        entry.hard_link = Some(HardLink::Inode { device: NO_DEVICE, inode: listed.moved });
        let old = FileEntry { name: from.as_bytes().to_vec(), ..entry.clone() };
        self.tree.alias(from.as_bytes(), to.as_bytes());
        self.add_listed(listed, entry, stat.dev)?;
        self.add_listed(listed, old, stat.dev)
    }

    /// Lists the directories above an old name; those that are gone look like the top.
    fn list_old_ancestors(&mut self, listed: &mut Listed, path: RelPath<'_>) -> Result<bool> {
        for ancestor in ancestors(path) {
            match listed.names.get(ancestor.as_bytes()) {
                Some(true) => continue,
                Some(false) => return Ok(false),
                None => {}
            }
            match self.look(listed, ancestor) {
                Found::Present(stat) if stat.is_dir() => {
                    if !self.list_one(listed, ancestor)? {
                        return Ok(false);
                    }
                }
                Found::Present(_) | Found::Unknown => return Ok(false),
                Found::Gone => {
                    let Found::Present(stat) = self.look(listed, RelPath::ROOT) else {
                        return Ok(false);
                    };
                    let Some(entry) = self.entry_of(listed, ancestor, &stat)? else {
                        return Ok(false);
                    };
                    self.add_listed(listed, entry, stat.dev)?;
                }
            }
        }
        Ok(true)
    }

    fn look(&mut self, listed: &Listed, path: RelPath<'_>) -> Found {
        let base = &listed.base;
        let found = if path.is_root() {
            base.root.top().stat(path)
        } else {
            base.root.place(path).and_then(|place| place.stat())
        };
        match found {
            Ok(stat) => Found::Present(stat),
            Err(error) if error.is_missing() => Found::Gone,
            // Something above it is a link or a file now.
            Err(error)
                if matches!(
                    error.errno(),
                    Some(syncline_fs::Errno::NOTDIR | syncline_fs::Errno::LOOP)
                ) =>
            {
                Found::Gone
            }
            Err(error) => {
                let shown = base.show(path.as_bytes());
                let reason = error.reason();
                self.general_system("link_stat", &shown, &error);
                self.monitor.tell(&Event::Withheld { path: path.as_bytes(), why: Some(&reason) });
                Found::Unknown
            }
        }
    }

    fn entry_of(
        &mut self,
        listed: &Listed,
        path: RelPath<'_>,
        stat: &Stat,
    ) -> Result<Option<FileEntry>> {
        // With recursion the contents of a directory belong to the transfer unless it is a mere parent.
        let role =
            if self.settings.recursive { DirectoryRole::Implied } else { DirectoryRole::Empty };
        self.entry(path.as_bytes(), stat, role, &listed.located(stat.dev), None)
    }

    fn add_listed(&mut self, listed: &mut Listed, entry: FileEntry, device: u64) -> Result<()> {
        listed.names.insert(entry.name.clone(), entry.is_directory());
        self.push(entry, &listed.located(device))
    }

    /// The rules that hold for a path are those of the directories above it.
    fn move_filter(&mut self, path: RelPath<'_>) -> Result<()> {
        if self.filter.reads_directories() {
            self.filter.move_to(path.parent().as_bytes(), self.files).map_err(filter_failed)?;
            for warning in self.filter.take_warnings() {
                self.monitor.warn(warning.to_string());
            }
        }
        Ok(())
    }
}

/// The directories above a path, the topmost first; the root only where it is the parent.
fn ancestors(path: RelPath<'_>) -> impl Iterator<Item = RelPath<'_>> {
    let bytes = path.as_bytes();
    let root = (!path.is_root() && path.parent().is_root()).then_some(RelPath::ROOT);
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    root.into_iter().chain(slashes.map(move |(end, _)| checked(&bytes[..end])))
}

impl Listed {
    fn located(&self, device: u64) -> Located {
        Located {
            base: self.number,
            at: Arc::clone(&self.base),
            scanned: false,
            device,
            absolute: false,
        }
    }
}
