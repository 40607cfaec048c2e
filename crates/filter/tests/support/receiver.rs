//! What a receiver makes of a file list: refuse, prune, delete, create (docs/spec/filters.md 7.4, 10, 15.4).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use syncline_filter::{Filter, FilterError, Name};

use super::disk::{Disk, Node, Reader};
use super::options::Options;
use super::sender::{Sent, name_of};

pub(crate) struct Receiver<'a> {
    pub(crate) disk: Disk,
    pub(crate) options: &'a Options,
    pub(crate) filter: Filter,
    /// Absolute.
    pub(crate) destination: String,
    pub(crate) module: &'a str,
    pub(crate) cvsignore: &'a str,
    pub(crate) messages: Vec<String>,
    pub(crate) exit: i32,
}

impl Receiver<'_> {
    pub(crate) fn receive(
        &mut self,
        mut list: BTreeMap<String, Sent>,
        hidden_xattrs: &Filter,
    ) -> Result<(), FilterError> {
        let root = self.destination.strip_prefix(self.module).unwrap_or(&self.destination);
        let root = if root.is_empty() { "/" } else { root }.to_owned();
        self.filter.set_root(root.as_bytes());
        if self.options.prune {
            self.prune(&mut list);
        }
        if self.options.delete && !self.options.delete_after {
            self.delete(&list)?;
        }
        self.create(&list, hidden_xattrs)?;
        if self.options.delete_after {
            self.delete(&list)?;
        }
        Ok(())
    }

    fn prune(&self, list: &mut BTreeMap<String, Sent>) {
        let directories: Vec<String> =
            list.iter().filter(|(_, sent)| sent.directory).map(|(name, _)| name.clone()).collect();
        for name in directories.into_iter().rev().filter(|name| name != ".") {
            let prefix = format!("{name}/");
            let empty = !list.keys().any(|other| other.starts_with(&prefix));
            if empty && !self.filter.excludes(&Name::directory(name.as_bytes())) {
                list.remove(&name);
            }
        }
    }

    fn delete(&mut self, list: &BTreeMap<String, Sent>) -> Result<(), FilterError> {
        let scanned: Vec<&String> =
            list.iter().filter(|(_, sent)| sent.scanned).map(|(name, _)| name).collect();
        let is_top = |name: &str| {
            !scanned.iter().any(|other| {
                other.as_str() == "." && name != "."
                    || name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        for name in scanned.iter().filter(|name| is_top(name)) {
            self.delete_in(if name.as_str() == "." { "" } else { name }, list)?;
        }
        Ok(())
    }

    fn delete_in(
        &mut self,
        directory: &str,
        list: &BTreeMap<String, Sent>,
    ) -> Result<(), FilterError> {
        self.enter(directory)?;
        for name in self.children(directory).into_iter().rev() {
            if !list.contains_key(&name) && !self.excludes(&name, false) {
                self.remove(&name)?;
            }
        }
        for name in self.children(directory) {
            if list.get(&name).is_some_and(|sent| sent.scanned) && self.is_directory(&name) {
                self.delete_in(&name, list)?;
            }
        }
        self.filter.leave();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), FilterError> {
        if self.is_directory(name) {
            return self.empty(name).map(|()| self.remove_if_empty(name));
        }
        let path = self.path(name);
        if self.options.backup {
            match &self.options.backup_dir {
                Some(directory) => {
                    let kept = format!("{}/{directory}/{name}", self.destination);
                    self.disk.rename(&path, &kept);
                    return Ok(());
                }
                None if !name.ends_with(&self.options.suffix) => {
                    self.disk.rename(&path, &format!("{path}{}", self.options.suffix));
                    return Ok(());
                }
                None => {}
            }
        }
        self.disk.remove(&path);
        Ok(())
    }

    /// Deletes what a doomed directory holds, as far as nothing protects it.
    fn empty(&mut self, directory: &str) -> Result<(), FilterError> {
        self.enter(directory)?;
        for name in self.children(directory).into_iter().rev() {
            if !self.excludes(&name, true) {
                self.remove(&name)?;
            }
        }
        self.filter.leave();
        Ok(())
    }

    fn remove_if_empty(&mut self, name: &str) {
        let path = self.path(name);
        if self.disk.children(&path).is_empty() {
            self.disk.remove(&path);
        }
    }

    fn create(
        &mut self,
        list: &BTreeMap<String, Sent>,
        hidden_xattrs: &Filter,
    ) -> Result<(), FilterError> {
        let mut skipped: Vec<String> = Vec::new();
        for (name, sent) in list.iter().filter(|(name, _)| name.as_str() != ".") {
            if skipped.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let path = self.path(name);
            if sent.missing {
                let directory = self.is_directory(name);
                let protected = self.filter.excludes(&name_of(name, directory));
                if self.disk.get(&path).is_some() && !protected {
                    self.remove(name)?;
                }
                continue;
            }
            if self.filter.daemon_excludes_name(&name_of(name, sent.directory)) {
                let kind = if sent.directory { "directory" } else { "file" };
                self.messages.push(format!("ERROR: daemon refused to receive {kind} \"{name}\""));
                if sent.directory {
                    let text = "*** Skipping any contents from this failed directory ***";
                    self.messages.push(text.to_owned());
                    skipped.push(format!("{name}/"));
                }
                self.exit = 23;
                continue;
            }
            if sent.directory {
                if !self.is_directory(name) {
                    self.disk.add(&path, Node::Directory);
                }
                continue;
            }
            if self.is_directory(name) {
                if self.options.delete || self.options.force {
                    self.empty(name)?;
                }
                self.remove_if_empty(name);
                if self.is_directory(name) {
                    self.messages.push(format!("could not make way for new regular file: {name}"));
                    self.exit = 23;
                    continue;
                }
            }
            let node = match self.disk.get(&sent.source) {
                Some(Node::Link(_)) if self.options.copy_links => self.disk.follow(&sent.source),
                node => node,
            };
            let node = node.cloned().unwrap_or(Node::File(Vec::new()));
            self.disk.add(&path, node);
            if self.options.xattrs {
                self.set_xattrs(&path, &sent.source, hidden_xattrs);
            }
        }
        Ok(())
    }

    fn set_xattrs(&mut self, path: &str, source: &str, hidden: &Filter) {
        let excluded = |filter: &Filter, name: &str| {
            filter.decide_xattr(name.as_bytes()).is_some_and(|decision| decision.excludes())
        };
        let old = self.disk.xattrs.get(path).cloned().unwrap_or_default();
        let kept = old.into_iter().filter(|name| excluded(&self.filter, name));
        let sent = self.disk.xattrs.get(source).cloned().unwrap_or_default();
        let new = sent
            .into_iter()
            .filter(|name| !excluded(hidden, name) && !excluded(&self.filter, name));
        let names: BTreeSet<String> = kept.chain(new).collect();
        self.disk.xattrs.insert(path.to_owned(), names);
    }

    fn enter(&mut self, directory: &str) -> Result<(), FilterError> {
        let stdin = RefCell::new(None);
        let mut reader = Reader {
            disk: &self.disk,
            working_directory: "/w",
            module: self.module,
            stdin: &stdin,
            cvsignore: self.cvsignore,
        };
        self.filter.enter(directory.as_bytes(), &mut reader)
    }

    fn excludes(&self, name: &str, doomed: bool) -> bool {
        let name = name_of(name, self.is_directory(name));
        self.filter.excludes(&Name { in_doomed_directory: doomed, ..name })
    }

    fn is_directory(&self, name: &str) -> bool {
        self.disk.is_directory(&self.path(name))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.destination).trim_end_matches('/').to_owned()
    }

    /// Names of the transfer below a directory: files first, then directories.
    fn children(&self, directory: &str) -> Vec<String> {
        let mut names = self.disk.children(&self.path(directory));
        if !directory.is_empty() {
            names = names.iter().map(|name| format!("{directory}/{name}")).collect();
        }
        names.sort_by_key(|name| (self.is_directory(name), name.clone()));
        names
    }
}
