//! What is told: by the words of an event, or by what is there.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD};

use super::memory::{Folder, Known};
use super::{Fanotify, Place, below, join_absolute, kind_at, lstat, parent_of};
use crate::mask::Mask;
use crate::notice::{Entry, Notice, join};
use crate::options::RootId;
use crate::scan::{self, Kind};

/// One word about a name.
#[derive(Clone, Copy, Default)]
pub(super) struct Word {
    pub(super) mask: Mask,
    pub(super) cookie: u32,
    pub(super) paired: bool,
    pub(super) found: bool,
}

impl Word {
    /// What the kernel said.
    pub(super) fn said(mask: Mask) -> Self {
        Self { mask, ..Self::default() }
    }

    /// What was seen by looking.
    pub(super) fn found(mask: Mask) -> Self {
        Self { mask, found: true, ..Self::default() }
    }

    /// Half of a rename whose other half is told too.
    pub(super) fn half(mask: Mask, cookie: u32) -> Self {
        Self { mask, cookie, paired: true, found: false }
    }
}

impl Fanotify {
    /// Tells what has a name now.
    pub(super) fn tell_present(&mut self, parent: &Place, name: &[u8], path: &[u8]) {
        match kind_at(path) {
            Some(Kind::Directory) => {
                self.tell(parent, name, Word::found(Mask::CREATE | Mask::IS_DIR));
                self.tell_contents(path);
            }
            Some(kind) => self.tell_found(parent, name, kind),
            None => {}
        }
    }

    fn tell_found(&mut self, parent: &Place, name: &[u8], kind: Kind) {
        if self.tell(parent, name, Word::found(Mask::CREATE)) && kind == Kind::Regular {
            self.tell(parent, name, Word::found(Mask::CLOSE_WRITE));
        }
    }

    /// Tells everything below a directory, parents before children.
    pub(super) fn tell_contents(&mut self, top: &[u8]) {
        if !self.options.report_found || !self.concerns(top) {
            return;
        }
        let mut waiting = vec![top.to_vec()];
        while let Some(path) = waiting.pop() {
            let parent = Place { number: self.number(&path), path };
            let found = self.list(&parent.path);
            if !found.is_empty() {
                // A rename in here may be in the queue still, older than what was just seen.
                self.in_step = false;
            }
            for (name, kind) in found {
                let name = name.to_bytes();
                if kind != Kind::Directory {
                    self.tell_found(&parent, name, kind);
                    continue;
                }
                let path = join_absolute(&parent.path, name);
                if self.options.exclude.is_none() || self.concerns(&path) {
                    self.tell(&parent, name, Word::found(Mask::CREATE | Mask::IS_DIR));
                    waiting.push(path);
                }
            }
        }
    }

    /// What is in a directory. What cannot be read now is told by its own events.
    fn list(&mut self, path: &[u8]) -> Vec<(Box<CStr>, Kind)> {
        let mut found: Vec<(Box<CStr>, Kind)> = Vec::new();
        if let Ok(descriptor) = scan::open(path, false) {
            let each = |name: &CStr, kind| found.push((name.into(), kind));
            let _ = self.lister.list(descriptor.as_fd(), each);
        }
        found
    }

    /// Tells something about a name, or about a directory itself when the name is empty; whether it concerned anybody.
    pub(super) fn tell(&mut self, parent: &Place, name: &[u8], word: Word) -> bool {
        let path = join_absolute(&parent.path, name);
        let mut told = false;
        for id in 0..self.roots.len() {
            let root = &self.roots[id];
            let Some(below) = below(&path, &root.real).filter(|_| !root.lost) else { continue };
            let below = below.to_vec();
            if !root.directory && !below.is_empty() || !root.recursive && below.contains(&b'/') {
                continue;
            }
            let is_itself = name.is_empty() && !below.is_empty();
            let directory = word.mask.intersects(Mask::IS_DIR);
            if self.is_excluded(id as u32, &below, directory) {
                continue;
            }
            if below.is_empty() {
                // The root itself has no directory within itself.
                if let Some(mask) = self.of_root(id, word.mask) {
                    self.push(id, parent.number, b"", b"", Word { mask, ..word }, &path);
                    told = true;
                }
                continue;
            }
            let cut = below.iter().rposition(|&byte| byte == b'/');
            let above = cut.and_then(|cut| below.get(..cut)).unwrap_or_default();
            let last = below.get(cut.map_or(0, |cut| cut + 1)..).unwrap_or_default();
            if !self.is_news(id, above, last, word) {
                continue;
            }
            let number = if is_itself { self.number(parent_of(&path)) } else { parent.number };
            self.push(id, number, above, last, word, &path);
            if is_itself && self.roots[id].recursive {
                // As with a watch on it and one on its parent: both have their say.
                self.push(id, parent.number, &below, b"", word, &path);
            }
            told = true;
        }
        told
    }

    /// Tells that a directory itself went or moved, to those who asked for that.
    pub(super) fn tell_itself(&mut self, path: &[u8], mask: Mask) {
        if !self.options.mask.intersects(mask) {
            return;
        }
        let number = self.number(path);
        for id in 0..self.roots.len() {
            let root = &self.roots[id];
            let Some(below) = below(path, &root.real) else { continue };
            let below = below.to_vec();
            let inside = root.recursive && !root.lost && !below.is_empty();
            if inside && !self.is_excluded(id as u32, &below, true) {
                self.push(id, number, &below, b"", Word::said(mask), path);
            }
        }
    }

    /// What happens to a root's own name, in the words of who watches the name, or the object.
    fn of_root(&self, id: usize, mask: Mask) -> Option<Mask> {
        if self.options.by_name || !self.roots[id].directory {
            return Some(mask);
        }
        if mask.intersects(Mask::DELETE) {
            return Some(Mask::DELETE_SELF);
        }
        if mask.intersects(Mask::MOVED_FROM) {
            return Some(Mask::MOVE_SELF);
        }
        (!mask.intersects(Mask::CREATE | Mask::MOVED_TO)).then_some(mask)
    }

    fn push(
        &mut self,
        id: usize,
        watch: i64,
        directory: &[u8],
        name: &[u8],
        word: Word,
        path: &[u8],
    ) {
        let Word { mask, cookie, paired, found } = word;
        let complete = found || mask.intersects(Mask::IS_DIR) || self.is_complete(path, mask);
        self.out.push_back(Notice::Entry(Entry {
            root: RootId(id as u32),
            watch,
            directory: directory.to_vec(),
            name: name.to_vec(),
            mask,
            cookie,
            paired,
            complete,
            found,
        }));
    }

    /// Whether the caller knows of a name, as far as that is remembered. It cannot rename what it does not know.
    pub(super) fn is_known(&mut self, parent: &Place, name: &[u8]) -> bool {
        let path = join_absolute(&parent.path, name);
        self.roots.iter_mut().filter(|root| !root.lost).all(|root| {
            let (Some(memory), Some(below)) = (&mut root.memory, below(&path, &root.real)) else {
                return true;
            };
            let cut = below.len() - name.len();
            let directory = below.get(..cut).unwrap_or_default();
            let known = memory.get(directory, name);
            below.is_empty() || known.is_some_and(|known| known.is_directory().is_some())
        })
    }

    /// Whether the caller does not know this already; from now on it does.
    fn is_news(&mut self, id: usize, directory: &[u8], name: &[u8], word: Word) -> bool {
        let Some(memory) = self.roots.get_mut(id).and_then(|root| root.memory.as_mut()) else {
            return true;
        };
        let is_directory = word.mask.intersects(Mask::IS_DIR);
        let is = |bits| word.mask.intersects(bits);
        if is(Mask::DELETE | Mask::MOVED_FROM) {
            let known = memory.remove(directory, name);
            let news = known.is_some() || word.paired;
            if word.paired {
                self.leaving = Some(known.unwrap_or_else(|| Known::of(is_directory)));
            }
            return news;
        }
        if !is(Mask::CREATE | Mask::MOVED_TO) {
            return true;
        }
        let known = memory.get(directory, name).map(Known::is_directory);
        let same = known == Some(Some(is_directory));
        if same && is(Mask::CREATE) {
            return false;
        }
        let left = if word.paired { self.leaving.take() } else { None };
        let known = left.unwrap_or_else(|| Known::of(is_directory));
        memory.insert(directory, name, known);
        true
    }

    fn is_complete(&self, path: &[u8], mask: Mask) -> bool {
        self.options.inspect_created
            && mask.intersects(Mask::CREATE)
            && lstat(path)
                .is_some_and(|status| scan::kind(&status) != Kind::Regular || status.st_nlink > 1)
    }

    pub(super) fn is_excluded(&self, root: u32, path: &[u8], directory: bool) -> bool {
        let Some(exclude) = &self.options.exclude else { return false };
        let ends = (0..path.len()).filter(|&at| path.get(at) == Some(&b'/'));
        let pruned = ends
            .filter_map(|end| path.get(..end))
            .any(|above| exclude.prunes(RootId(root), above, true));
        pruned || exclude.hides(RootId(root), path, directory)
    }

    /// Whether anything at or below a path can be told.
    fn concerns(&self, path: &[u8]) -> bool {
        self.is_in_a_tree(path)
            || self.roots.iter().any(|root| !root.lost && below(&root.real, path).is_some())
    }

    /// Whether a directory is in a tree that is followed.
    pub(super) fn is_in_a_tree(&self, path: &[u8]) -> bool {
        (0..self.roots.len()).any(|id| self.is_in_tree(id, path))
    }

    fn is_in_tree(&self, id: usize, path: &[u8]) -> bool {
        let root = &self.roots[id];
        let Some(below) = below(path, &root.real).filter(|_| root.recursive && !root.lost) else {
            return false;
        };
        let id = id as u32;
        let prunes =
            || self.options.exclude.as_ref().is_some_and(|all| all.prunes(RootId(id), below, true));
        below.is_empty() || !self.is_excluded(id, below, true) && !prunes()
    }

    /// Every name that is in a root now.
    pub(super) fn remember(&mut self, id: usize) {
        let mut memory = Folder::default();
        self.walk(id, |directory, name, is_directory| {
            memory.insert(directory, name, Known::of(is_directory));
        });
        self.roots[id].memory = Some(memory);
    }

    /// Calls `each` with every directory below the root and name in it that is not left out.
    pub(super) fn walk(&mut self, id: usize, mut each: impl FnMut(&[u8], &[u8], bool)) {
        let root = &self.roots[id];
        if !root.directory || root.lost {
            return;
        }
        let (real, recursive) = (root.real.clone(), root.recursive);
        let mut waiting = vec![Vec::new()];
        while let Some(directory) = waiting.pop() {
            let path = below_real(&real, &directory);
            for (name, kind) in self.list(&path) {
                let is_directory = kind == Kind::Directory;
                let within = join(&directory, name.to_bytes());
                if self.is_excluded(id as u32, &within, is_directory) {
                    continue;
                }
                each(&directory, name.to_bytes(), is_directory);
                if is_directory && recursive && self.is_in_tree(id, &below_real(&real, &within)) {
                    waiting.push(within);
                }
            }
        }
    }

    /// After an overflow: tells how a root differs from what is known of it, or that nothing is known.
    pub(super) fn rescan(&mut self, id: usize) {
        let root = RootId(id as u32);
        if self.roots[id].memory.is_none() {
            self.out.push_back(Notice::Rescan { root, path: Vec::new(), deep: true });
            return;
        }
        let mut present: BTreeMap<Vec<u8>, Vec<(Vec<u8>, bool)>> = BTreeMap::new();
        self.walk(id, |directory, name, is_directory| {
            present.entry(directory.to_vec()).or_default().push((name.to_vec(), is_directory));
        });
        // Parents come before their children: what is told of them is what children are compared with.
        let mut waiting = vec![Vec::new()];
        while let Some(directory) = waiting.pop() {
            let names = present.remove(&directory).unwrap_or_default();
            self.tell_differences(id, &directory, &names);
            let inner = names.into_iter().filter(|(_, is_directory)| *is_directory);
            waiting.extend(inner.map(|(name, _)| join(&directory, &name)));
        }
    }

    fn tell_differences(&mut self, id: usize, directory: &[u8], present: &[(Vec<u8>, bool)]) {
        let path = below_real(&self.roots[id].real, directory);
        let parent = Place { number: self.number(&path), path };
        let memory = self.roots.get_mut(id).and_then(|root| root.memory.as_mut());
        let mut known = memory.map(|memory| memory.names(directory)).unwrap_or_default();
        let bit = |is_directory| if is_directory { Mask::IS_DIR } else { Mask::default() };
        let same: Vec<bool> = present
            .iter()
            .map(|(name, is_directory)| {
                let same = known.get(name.as_slice()) == Some(&Some(*is_directory));
                if same {
                    known.remove(name.as_slice());
                }
                same
            })
            .collect();
        for (name, is_directory) in known {
            self.tell(
                &parent,
                &name,
                Word::found(Mask::DELETE | bit(is_directory.unwrap_or(true))),
            );
        }
        for ((name, is_directory), same) in present.iter().zip(same) {
            let path = join_absolute(&parent.path, name);
            if same {
                let status =
                    rustix::fs::statat(CWD, OsStr::from_bytes(&path), AtFlags::SYMLINK_NOFOLLOW);
                let good = self.good.stamp();
                for &mask in status.iter().flat_map(|status| scan::changed_since(status, good)) {
                    self.tell(&parent, name, Word::found(mask));
                }
            } else if *is_directory {
                self.tell(&parent, name, Word::found(Mask::CREATE | Mask::IS_DIR));
            } else if let Some(kind) = kind_at(&path) {
                self.tell_found(&parent, name, kind);
            }
        }
    }
}

fn below_real(real: &[u8], directory: &[u8]) -> Vec<u8> {
    if directory.is_empty() { real.to_vec() } else { join_absolute(real, directory) }
}
