//! Looking again: at the names that events made doubtful, and after an overflow at everything.

use std::collections::HashSet;
use std::ffi::CStr;
use std::time::Instant;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::Stat;
use rustix::io::Errno;

use super::Inotify;
use super::adopt::{Found, skipped};
use crate::error::Error;
use crate::mask::Mask;
use crate::moment::Moment;
use crate::notice::{Lost, Notice, join};
use crate::options::RootId;
use crate::scan::{self, Kind, Lister};
use crate::tree::{NodeId, UNWATCHED};

const GONE: Mask = Mask::DELETE.with(Mask::IS_DIR);
/// Looks in a row before events are asked for again.
const MOST_LOOKS: u32 = 64;
const MADE: Mask = Mask::CREATE.with(Mask::IS_DIR);

impl Inotify {
    /// Looks again at the names where directories came, went or moved, until a look finds all in order.
    pub(super) fn check_again(&mut self) -> Result<(), Error> {
        // A correction may make another name doubtful. That ends, but for trees that change faster than they are looked at.
        for _ in 0..MOST_LOOKS {
            if !std::mem::take(&mut self.changed_since_check) {
                self.to_check.clear();
                break;
            }
            if !self.look()? {
                self.changed_since_check = true;
                break;
            }
        }
        Ok(())
    }

    /// One look at all doubtful names. False when it was broken off because events came.
    fn look(&mut self) -> Result<bool, Error> {
        let mut names: Vec<(usize, NodeId, Vec<u8>)> = self
            .to_check
            .iter()
            .filter(|(node, _)| self.tree.is_alive(*node) && !self.tree.is_ghost(*node))
            .map(|(node, name)| (self.depth(*node), *node, name.clone()))
            .collect();
        names.sort_unstable();
        for (_, node, name) in names {
            if self.pending()? > 0 {
                // What is out of order may be explained by the events still to come.
                return Ok(false);
            }
            if self.tree.is_alive(node) && !self.is_in_order(node, &name) {
                self.correct(node, &name)?;
            }
        }
        // With nothing queued, no event can have made what was just seen wrong.
        Ok(self.pending()? == 0)
    }

    fn depth(&self, node: NodeId) -> usize {
        let mut depth = 0;
        let mut at = node;
        while let Some(parent) = self.tree.parent(at) {
            depth += 1;
            at = parent;
        }
        depth
    }

    /// Whether the model has at this name what is there.
    fn is_in_order(&self, node: NodeId, name: &[u8]) -> bool {
        let known = self.tree.child(node, name);
        let (root, directory) = self.tree.path(node);
        let path = join(&directory, name);
        if self.prunes(root, &path, true) {
            return known.is_none();
        }
        match self.known_at(&self.system_path(root, &path), self.entry_mask()) {
            Ok(found) if found == known => found.is_some(),
            // Watched under another name, and rightly so.
            Ok(Some(other)) => known.is_none() && self.is_where_we_think(other),
            Ok(None) => false,
            Err(Errno::NOSPC) => known.is_some() || self.polls().is_none(),
            Err(_) => known.is_none(),
        }
    }

    fn correct(&mut self, node: NodeId, name: &[u8]) -> Result<(), Error> {
        if let Some(wrong) = self.tree.child(node, name) {
            self.push(node, name, GONE, 0, false, true);
            self.drop_subtree(wrong);
        }
        let at = self.out.len();
        self.adopt(node, name)?;
        if self.tree.is_alive(node) && self.tree.child(node, name).is_some() {
            // The directory before what is in it.
            self.push(node, name, MADE, 0, false, true);
            if let Some(made) = self.out.pop_back() {
                self.out.insert(at, made);
            }
        }
        Ok(())
    }

    /// Compares the whole model with the file system and tells the differences.
    pub(super) fn check_everything(&mut self, report: bool) -> Result<(), Error> {
        let roots: Vec<NodeId> = self.roots.iter().filter_map(|root| root.node).collect();
        for root in roots {
            self.drop_ghosts(root);
            self.check_subtree(root, report)?;
        }
        self.check_held(report);
        self.changed_since_check = false;
        Ok(())
    }

    fn drop_ghosts(&mut self, root: NodeId) {
        for node in self.tree.subtree(root) {
            if self.tree.is_alive(node) && self.tree.is_ghost(node) {
                self.drop_subtree(node);
            }
        }
    }

    /// Compares `top` and everything below it. Changes since the last moment at which nothing was missing are told.
    pub(super) fn check_subtree(&mut self, top: NodeId, report: bool) -> Result<(), Error> {
        let mark = self.queue.position();
        let mut found = Vec::new();
        let mut waiting = vec![top];
        while let Some(node) = waiting.pop() {
            if !self.tree.is_alive(node) || !self.check_watch(node)? {
                continue;
            }
            self.compare(node, report, &mut found, &mut waiting)?;
        }
        self.tell_found(mark, &found)?;
        self.all_listed = self.end_expectations()?;
        Ok(())
    }

    /// Sees to it that `node` is watched where the model has it; false when it is not there.
    fn check_watch(&mut self, node: NodeId) -> Result<bool, Error> {
        let (root, path) = self.tree.path(node);
        let watch = self.tree.watch(node);
        match self.add_watch(&self.system_path(root, &path), self.mask_for(node)) {
            Ok(found) if found == watch => return Ok(true),
            Ok(found) if watch == UNWATCHED && self.tree.by_watch(found).is_none() => {
                self.tree.set_watch(node, found);
                return Ok(true);
            }
            Err(Errno::NOSPC) if watch == UNWATCHED => return Ok(true),
            _ => {}
        }
        match self.tree.parent(node) {
            Some(parent) => {
                let name = self.tree.name(node).to_vec();
                self.correct(parent, &name)?;
            }
            None if self.options.by_name => self.lose(root, Lost::Moved),
            // A root watched by inode is wherever it is: only its contents can be looked at, by its old path.
            None => {}
        }
        Ok(false)
    }

    fn compare(
        &mut self,
        node: NodeId,
        report: bool,
        found: &mut Vec<Found>,
        waiting: &mut Vec<NodeId>,
    ) -> Result<(), Error> {
        let (root, directory) = self.tree.path(node);
        let path = self.system_path(root, &directory);
        if self.is_file_root(root) {
            if report && let Ok(status) = rustix::fs::stat(path.as_slice()) {
                self.tell_change(node, b"", &status);
            }
            return Ok(());
        }
        let follow = self.tree.is_root(node) || self.options.follow_links;
        let Ok(descriptor) = scan::open(&path, follow) else { return Ok(()) };
        let mut listed: Vec<(Box<CStr>, Kind)> = Vec::new();
        let mut lister = std::mem::replace(&mut self.lister, Lister::none());
        // What could not be listed counts as it was; its next event brings it up again.
        let complete =
            lister.list(descriptor.as_fd(), |name, kind| listed.push((name.into(), kind))).is_ok();
        self.lister = lister;
        let recursive = self.is_recursive(node);
        let remembers = self.options.remember_names || self.tree.watch(node) == UNWATCHED;
        let remembers = remembers && self.tree.is_listed(node);
        let known: HashSet<Vec<u8>> = if remembers {
            self.names_of(node).current().into_keys().map(<[u8]>::to_vec).collect()
        } else {
            HashSet::new()
        };
        let mut seen: HashSet<&[u8]> = HashSet::with_capacity(listed.len());
        for (name, kind) in &listed {
            let bytes = name.to_bytes();
            if self.hides(root, &join(&directory, bytes), *kind == Kind::Directory) {
                continue;
            }
            seen.insert(bytes);
            let enters = recursive
                && (*kind == Kind::Directory
                    || *kind == Kind::Link
                        && self.options.follow_links
                        && scan::leads_to_directory(descriptor.as_fd(), name));
            if enters {
                match self.tree.child(node, bytes) {
                    Some(child) => waiting.push(child),
                    None if self.options.grow => self.correct(node, bytes)?,
                    None => {}
                }
            } else if remembers && !known.contains(bytes) {
                self.names_of(node).insert(bytes, *kind == Kind::Directory);
                if report {
                    found.push(Found { directory: node, name: bytes.into(), kind: *kind });
                }
            } else if report {
                self.tell_if_changed(node, descriptor.as_fd(), name);
            }
        }
        if !complete {
            return Ok(());
        }
        let gone: Vec<NodeId> = self
            .tree
            .children(node)
            .filter(|&child| !self.tree.is_ghost(child) && !seen.contains(self.tree.name(child)))
            .collect();
        for child in gone {
            let name = self.tree.name(child).to_vec();
            self.push(node, &name, GONE, 0, false, true);
            self.drop_subtree(child);
        }
        for name in known.iter().filter(|name| !seen.contains(name.as_slice())) {
            self.names_of(node).remove(name);
            if report {
                self.push(node, name, Mask::DELETE, 0, false, true);
            }
        }
        if report && !remembers && self.is_recent(&descriptor) {
            self.out.push_back(Notice::Rescan { root: RootId(root), path: directory, deep: false });
        }
        Ok(())
    }

    /// Whether names may have come or gone in a directory since the last moment at which nothing was missing.
    fn is_recent(&self, directory: &impl AsFd) -> bool {
        rustix::fs::fstat(directory)
            .is_ok_and(|status| (status.st_mtime, status.st_mtime_nsec as i64) >= self.good())
    }

    fn good(&self) -> (i64, i64) {
        self.good.stamp()
    }

    fn tell_if_changed(&mut self, node: NodeId, directory: BorrowedFd<'_>, name: &CStr) {
        if let Ok(status) = scan::stat_at(directory, name) {
            self.tell_change(node, name.to_bytes(), &status);
        }
    }

    fn tell_change(&mut self, node: NodeId, name: &[u8], status: &Stat) {
        for &mask in scan::changed_since(status, self.good()) {
            self.push(node, name, mask, 0, false, true);
        }
    }

    pub(super) fn schedule_poll(&mut self) {
        if let Some(interval) = self.polls()
            && !self.polled.is_empty()
        {
            self.next_poll = Some(Instant::now() + interval);
        }
    }

    /// Looks at what is polled, and tries to watch it.
    pub(super) fn poll_if_due(&mut self) -> Result<(), Error> {
        if self.next_poll.is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        self.next_poll = None;
        let good = Moment::now();
        let before = self.good;
        self.good = before.as_set_at(good);
        if let Some(interval) = self.polls() {
            // What changed in a polled part was looked for an interval ago, not when the queue was last empty.
            self.good = self.good.earlier(interval);
        }
        for node in std::mem::take(&mut self.polled) {
            if self.tree.is_alive(node) {
                self.check_subtree(node, true)?;
                if self.tree.is_alive(node) && self.has_unwatched(node) {
                    self.polled.push(node);
                }
            }
        }
        self.good = before;
        if self.queue.is_empty() && self.pending()? == 0 {
            self.good = good;
        }
        self.schedule_poll();
        Ok(())
    }

    fn has_unwatched(&self, top: NodeId) -> bool {
        self.tree.subtree(top).into_iter().any(|node| self.tree.watch(node) == UNWATCHED)
    }

    fn is_file_root(&self, root: u32) -> bool {
        !self.roots[root as usize].directory
    }

    /// Files that are watched by name: whether they are there, and changed, can only be asked.
    fn check_held(&mut self, report: bool) {
        if !report {
            return;
        }
        for root in 0..self.roots.len() {
            let state = &self.roots[root];
            if state.through.is_none() {
                continue;
            }
            let mask = match rustix::fs::lstat(&state.path) {
                Ok(status) if (status.st_ctime, status.st_ctime_nsec as i64) >= self.good() => {
                    Mask::CLOSE_WRITE
                }
                Err(errno) if skipped(errno) => Mask::DELETE,
                _ => continue,
            };
            self.tell_held(root as u32, mask);
        }
    }
}
