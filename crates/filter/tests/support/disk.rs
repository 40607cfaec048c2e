//! A tree in memory, and rule files read from it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use syncline_filter::{CvsSources, RuleFile, RuleFiles};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    File(Vec<u8>),
    Link(String),
}

/// Nodes by absolute path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    nodes: BTreeMap<String, Node>,
    pub(crate) xattrs: BTreeMap<String, BTreeSet<String>>,
}

impl Disk {
    pub(crate) fn add(&mut self, path: &str, node: Node) {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !parent.is_empty()
            && self.get(parent).is_none()
        {
            self.add(parent, Node::Directory);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// As `get`, behind a symlink in the last component.
    pub(crate) fn follow(&self, path: &str) -> Option<&Node> {
        match self.get(path) {
            Some(Node::Link(target)) => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                self.get(&format!("{parent}/{target}"))
            }
            other => other,
        }
    }

    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.get(path) == Some(&Node::Directory)
    }

    /// Names directly below a directory; a symlink to one is followed.
    pub(crate) fn children(&self, directory: &str) -> Vec<String> {
        let directory = match self.get(directory) {
            Some(Node::Link(target)) => {
                let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
                format!("{parent}/{target}")
            }
            _ => directory.to_owned(),
        };
        let prefix = format!("{directory}/");
        let below = self.nodes.keys().filter_map(|path| path.strip_prefix(&prefix));
        below.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.xattrs.remove(path);
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(node) = self.get(from).cloned() {
            self.remove(from);
            self.add(to, node);
        }
    }

    /// Everything below, directories with a trailing slash.
    pub(crate) fn listing(&self, directory: &str) -> Vec<String> {
        let prefix = format!("{directory}/");
        let mut paths: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|(path, node)| {
                let slash = if *node == Node::Directory { "/" } else { "" };
                path.strip_prefix(&prefix).map(|below| format!("{below}{slash}"))
            })
            .collect();
        paths.sort();
        paths
    }
}

/// Rule files of one process.
pub(crate) struct Reader<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) working_directory: &'a str,
    /// In front of paths within a module.
    pub(crate) module: &'a str,
    pub(crate) stdin: &'a RefCell<Option<Vec<u8>>>,
    pub(crate) cvsignore: &'a str,
}

impl RuleFiles for Reader<'_> {
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let path = match file {
            RuleFile::StandardInput => {
                return Ok(self.stdin.borrow_mut().take().unwrap_or_default());
            }
            RuleFile::Named(name) if name.starts_with(b"/") => text(name),
            RuleFile::Named(name) => format!("{}/{}", self.working_directory, text(name)),
            RuleFile::PerDirectory { directory, name } => {
                format!("{}{}/{}", self.module, text(directory).trim_end_matches('/'), text(name))
            }
            RuleFile::InTree(path) => format!("{}{}", self.module, text(path)),
        };
        match self.disk.follow(&path.replace("/./", "/")) {
            Some(Node::File(contents)) => Ok(contents.clone()),
            Some(_) => Ok(Vec::new()),
            // ENOENT, whose text the messages show.
            None => Err(io::Error::from_raw_os_error(2)),
        }
    }

    fn cvs_sources(&mut self) -> CvsSources {
        let home = match self.disk.get("/w/home/.cvsignore") {
            Some(Node::File(contents)) => contents.clone(),
            _ => Vec::new(),
        };
        CvsSources { home, environment: self.cvsignore.as_bytes().to_vec() }
    }
}
