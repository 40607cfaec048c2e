//! Which names a sender sends: a walk in memory, in stock's order (docs/spec/filters.md 7.3, 8.7, 16).

use std::collections::BTreeMap;

use syncline_filter::{Filter, FilterError, Name};

use super::disk::{Disk, Node, Reader};
use super::options::Options;

/// An entry of the file list.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) directory: bool,
    /// A directory whose contents were sent: deletion looks into it.
    pub(crate) scanned: bool,
    pub(crate) missing: bool,
    pub(crate) source: String,
}

pub(crate) struct Sender<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) options: &'a Options,
    pub(crate) filter: Filter,
    pub(crate) reader: Reader<'a>,
    pub(crate) list: BTreeMap<String, Sent>,
    pub(crate) messages: Vec<String>,
    pub(crate) exit: i32,
}

/// A source argument or a listed file, cut into its parts.
struct Source {
    /// Absolute directory that names are relative to.
    root: String,
    /// Empty for the contents of the root.
    name: String,
    contents: bool,
    /// An implied directory may hold rules that hide this.
    parents: Vec<String>,
}

impl Sender<'_> {
    /// Sends what the arguments name, absolute paths outside a module.
    pub(crate) fn send(&mut self, arguments: &[String]) -> Result<(), FilterError> {
        let incremental = self.options.recursive && !self.options.no_incremental;
        let mut queue = Vec::new();
        for path in arguments {
            let source = self.source(path);
            self.set_root(&source.root);
            let absolute = format!("{}/{}", source.root, source.name);
            let absolute = absolute.trim_end_matches('/');
            let Some(directory) = self.directory(absolute) else { continue };
            if !source.name.is_empty() {
                let name = name_of(&source.name, directory);
                if self.filter.excludes(&name) {
                    continue;
                }
                self.add_parents(&source.parents, &source.root);
                if directory && !self.options.recursive && !self.options.dirs {
                    continue;
                }
                self.add(&source.name, directory, absolute);
            }
            if directory && (self.options.recursive || self.options.dirs && source.contents) {
                if incremental {
                    queue.push(source);
                } else {
                    self.scan_source(&source, false)?;
                }
            }
        }
        queue.sort_by(|one, other| one.name.cmp(&other.name));
        let mut in_root = false;
        for source in queue {
            if source.name.is_empty() && std::mem::replace(&mut in_root, true) {
                // The first argument's rules stay active for the other roots (8.7).
                self.set_root(&source.root);
                self.scan_entered(&source.root, "")?;
                continue;
            }
            self.scan_source(&source, true)?;
        }
        Ok(())
    }

    /// Sends the names of a `--files-from` list below `base`.
    pub(crate) fn send_listed(&mut self, base: &str, names: &[String]) -> Result<(), FilterError> {
        for line in names {
            let (root, name) = match line.trim_end_matches('/').rsplit_once('/') {
                Some((parent, last)) if !self.options.relative => {
                    (format!("{base}/{parent}"), last.to_owned())
                }
                _ => (base.to_owned(), line.trim_end_matches('/').to_owned()),
            };
            self.set_root(&root);
            if name == "." {
                self.add(".", true, base);
                self.scan(&root, "")?;
                continue;
            }
            let absolute = format!("{root}/{name}");
            let Some(directory) = self.directory(&absolute) else {
                if self.options.delete_missing_args {
                    let missing =
                        Sent { directory: false, scanned: false, missing: true, source: absolute };
                    self.list.insert(name, missing);
                } else {
                    self.messages.push(format!(
                        "rsync: [sender] link_stat \"{absolute}\" failed: No such file or directory (2)"
                    ));
                    self.exit = 23;
                }
                continue;
            };
            if self.filter.excludes(&name_of(&name, directory)) {
                continue;
            }
            let parents = ancestors(&name);
            self.add_parents(&parents, &root);
            // Each entry is judged with the state that the parents of the one before left behind (8.7).
            while self.filter.depth() > 0 {
                self.filter.leave();
            }
            for parent in &parents {
                self.filter.enter(parent.as_bytes(), &mut self.reader)?;
            }
            self.add(&name, directory, &absolute);
            if directory && (self.options.recursive || line.ends_with('/')) {
                self.scan(&root, &name)?;
            }
        }
        Ok(())
    }

    fn source(&self, path: &str) -> Source {
        if self.options.relative {
            let (root, name) = match path.split_once("/./") {
                Some((root, name)) => (root.to_owned(), name),
                None => ("/w".to_owned(), path.strip_prefix("/w/").unwrap_or(path)),
            };
            let name = name.trim_end_matches('/').to_owned();
            let parents = ancestors(&name);
            return Source { root, name, contents: path.ends_with('/'), parents };
        }
        let path = path.strip_suffix("/.").map_or(path, |directory| &path[..=directory.len()]);
        let (root, name) = path.rsplit_once('/').unwrap_or(("", path));
        Source {
            root: root.to_owned(),
            name: name.to_owned(),
            contents: name.is_empty(),
            parents: Vec::new(),
        }
    }

    fn scan_source(&mut self, source: &Source, incremental: bool) -> Result<(), FilterError> {
        self.set_root(&source.root);
        for parent in &source.parents {
            self.filter.enter(parent.as_bytes(), &mut self.reader)?;
        }
        let name = name_of(&source.name, true);
        let hidden = incremental && self.filter.depth() > 0 && self.filter.excludes(&name);
        if hidden {
            self.list.remove(&source.name);
        } else if source.name.is_empty() && incremental {
            self.filter.enter(b"", &mut self.reader)?;
            return self.scan_entered(&source.root, "");
        } else {
            self.scan(&source.root, &source.name)?;
        }
        for _ in &source.parents {
            self.filter.leave();
        }
        Ok(())
    }

    fn scan(&mut self, root: &str, name: &str) -> Result<(), FilterError> {
        self.filter.enter(name.as_bytes(), &mut self.reader)?;
        self.scan_entered(root, name)?;
        self.filter.leave();
        Ok(())
    }

    fn scan_entered(&mut self, root: &str, name: &str) -> Result<(), FilterError> {
        let listed = if name.is_empty() { "." } else { name };
        if name.is_empty() && !self.list.contains_key(".") {
            self.add(".", true, root);
        }
        if let Some(sent) = self.list.get_mut(listed) {
            sent.scanned = true;
        }
        let directory = format!("{root}/{name}");
        let directory = directory.trim_end_matches('/');
        for child in self.disk.children(directory) {
            let absolute = format!("{directory}/{child}");
            let name = if name.is_empty() { child } else { format!("{name}/{child}") };
            let Some(is_directory) = self.directory(&absolute) else { continue };
            if self.filter.excludes(&name_of(&name, is_directory)) {
                continue;
            }
            self.add(&name, is_directory, &absolute);
            if is_directory && self.options.recursive {
                self.scan(root, &name)?;
            }
        }
        Ok(())
    }

    /// Whether the transfer sees a directory; `None` if it sees nothing.
    fn directory(&self, absolute: &str) -> Option<bool> {
        match self.disk.get(absolute)? {
            Node::Link(_) => {
                let target = self.disk.follow(absolute);
                match target {
                    Some(Node::Directory)
                        if self.options.copy_links || self.options.copy_dirlinks =>
                    {
                        Some(true)
                    }
                    _ => (self.options.links || self.options.copy_links).then_some(false),
                }
            }
            node => Some(*node == Node::Directory),
        }
    }

    fn add_parents(&mut self, parents: &[String], root: &str) {
        for parent in parents {
            self.list.entry(parent.clone()).or_insert(Sent {
                directory: true,
                scanned: false,
                missing: false,
                source: format!("{root}/{parent}"),
            });
        }
    }

    fn add(&mut self, name: &str, directory: bool, source: &str) {
        let sent = Sent { directory, scanned: false, missing: false, source: source.to_owned() };
        self.list.insert(name.to_owned(), sent);
    }

    fn set_root(&mut self, absolute: &str) {
        let root = absolute.strip_prefix(self.reader.module).unwrap_or(absolute);
        self.filter.set_root(if root.is_empty() { b"/" } else { root.as_bytes() });
    }
}

pub(crate) fn name_of(path: &str, directory: bool) -> Name<'_> {
    if directory { Name::directory(path.as_bytes()) } else { Name::file(path.as_bytes()) }
}

fn ancestors(name: &str) -> Vec<String> {
    name.match_indices('/').map(|(slash, _)| name[..slash].to_owned()).collect()
}
