//! Roots: what was asked to be watched. By inode, as the stock tools do; or by name, where a file is watched through its
//! directory and a directory's ancestors tell when the name no longer leads to it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Stat};
use rustix::io::Errno;

use super::Inotify;
use super::adopt::Entering;
use crate::error::Error;
use crate::mask::Mask;
use crate::notice::{Entry, Lost, Notice};
use crate::options::{Root, RootId};
use crate::queue::Taken;
use crate::scan::{self, Kind};
use crate::tree::{NodeId, UNWATCHED};

/// How often a lost root is looked for when no event announces it, as after a mount.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct RootState {
    pub(super) path: PathBuf,
    pub(super) recursive: bool,
    /// Its place in the tree; `None` while lost, and for a file watched by name.
    pub(super) node: Option<NodeId>,
    pub(super) directory: bool,
    /// The watch on the directory of a file watched by name.
    pub(super) through: Option<i32>,
    lost: bool,
    device: u64,
    retry_at: Option<Instant>,
}

/// Why a directory is watched beside the tree.
#[derive(Clone)]
pub(super) enum Guard {
    /// It holds a file that is watched by name.
    Holds { root: u32, name: Vec<u8> },
    /// It is above a root; `name` leads there.
    Above { root: u32, name: Vec<u8> },
}

impl Guard {
    fn root(&self) -> u32 {
        match self {
            Self::Holds { root, .. } | Self::Above { root, .. } => *root,
        }
    }
}

const GONE: Mask = Mask::DELETE_SELF.with(Mask::MOVE_SELF);

impl Inotify {
    pub(crate) fn add(&mut self, root: Root) -> Result<RootId, Error> {
        let id = self.roots.len() as u32;
        let fail = |errno| Error::Watch { path: root.path.clone(), errno };
        let followed = stat(&root.path, true);
        let leads_to_directory =
            followed.as_ref().is_ok_and(|stat| scan::kind(stat) == Kind::Directory);
        // A link to a directory is entered when everything below is asked for.
        let itself = self.options.watch_links && !(root.recursive && leads_to_directory);
        let status = if itself { stat(&root.path, false) } else { followed }.map_err(fail)?;
        let directory = scan::kind(&status) == Kind::Directory;
        self.roots.push(RootState {
            path: root.path,
            recursive: root.recursive && directory,
            node: None,
            directory,
            through: None,
            lost: false,
            device: status.st_dev,
            retry_at: None,
        });
        let done = self.attach(id, Entering::Start);
        if done.is_err() {
            self.roots.pop();
        }
        done.map(|()| RootId(id))
    }

    pub(super) fn system_path(&self, root: u32, path: &[u8]) -> Vec<u8> {
        let base = self.roots[root as usize].path.as_os_str().as_bytes();
        let mut whole = Vec::with_capacity(base.len() + path.len() + 1);
        whole.extend_from_slice(base);
        if !path.is_empty() {
            if !base.ends_with(b"/") {
                whole.push(b'/');
            }
            whole.extend_from_slice(path);
        }
        whole
    }

    /// The bits that a watch on `node` is made with, before it is listed.
    pub(super) fn mask_for(&self, node: NodeId) -> Mask {
        if !self.tree.is_root(node) {
            let mask = self.listing_mask() | Mask::ONLY_DIR | Mask::ADD;
            return if self.options.follow_links { mask } else { mask | Mask::DONT_FOLLOW };
        }
        let (root, _) = self.tree.path(node);
        let state = &self.roots[root as usize];
        let mut mask = Mask::ADD;
        mask |=
            if state.directory { self.listing_mask() | Mask::ONLY_DIR } else { self.options.mask };
        if self.options.by_name {
            mask |= GONE;
        }
        if self.options.watch_links && !state.directory { mask | Mask::DONT_FOLLOW } else { mask }
    }

    fn attach(&mut self, root: u32, entering: Entering) -> Result<(), Error> {
        let state = &self.roots[root as usize];
        if !state.directory && self.options.by_name {
            self.watch_through_directory(root)?;
        } else {
            let node = self.tree.insert_root(root, UNWATCHED);
            self.roots[root as usize].node = Some(node);
            self.enter(node, entering)?;
        }
        if self.options.by_name {
            self.watch_above(root);
        }
        Ok(())
    }

    fn watch_through_directory(&mut self, root: u32) -> Result<(), Error> {
        let path = self.roots[root as usize].path.clone();
        let fail = |errno| Error::Watch { path: path.clone(), errno };
        let name = path.file_name().ok_or(Errno::INVAL).map_err(fail)?.as_bytes().to_vec();
        let mask = self.options.mask
            | Mask::CREATE
            | Mask::MOVE
            | Mask::DELETE
            | GONE
            | Mask::ADD
            | Mask::ONLY_DIR;
        let watch = self.add_watch(parent_of(&path).as_os_str().as_bytes(), mask).map_err(fail)?;
        self.guards.entry(watch).or_default().push(Guard::Holds { root, name });
        self.roots[root as usize].through = Some(watch);
        Ok(())
    }

    /// Watches the directories above a root, so that the rename of any of them is seen.
    fn watch_above(&mut self, root: u32) {
        let state = &self.roots[root as usize];
        let lost = state.lost;
        let path = std::path::absolute(&state.path).unwrap_or_else(|_| state.path.clone());
        let mut below = path.as_path();
        let mut deepest = true;
        for above in path.ancestors().skip(1) {
            let name = below.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
            below = above;
            let mut mask = GONE | Mask::ADD | Mask::ONLY_DIR;
            if lost && deepest {
                mask |= Mask::CREATE | Mask::MOVED_TO;
            }
            // An ancestor that cannot be watched only makes the loss known later.
            let Ok(watch) = self.add_watch(above.as_os_str().as_bytes(), mask) else { continue };
            deepest = false;
            let guards = self.guards.entry(watch).or_default();
            if !guards
                .iter()
                .any(|guard| matches!(guard, Guard::Above { root: other, .. } if *other == root))
            {
                guards.push(Guard::Above { root, name });
            }
        }
    }

    /// Something happened in a directory that holds a root's file or is above a root.
    pub(super) fn guard_saw(&mut self, event: &Taken) {
        let itself = event.name.is_empty();
        let guards = self.guards.get(&event.watch).cloned().unwrap_or_default();
        if event.mask.intersects(Mask::IGNORED) {
            self.guards.remove(&event.watch);
        }
        for guard in guards {
            match guard {
                Guard::Holds { root, name } if name == event.name => {
                    self.tell_held(root, event.mask);
                }
                Guard::Holds { root, .. }
                    if itself && event.mask.intersects(GONE | Mask::UNMOUNT | Mask::IGNORED) =>
                {
                    let reason = reason(event.mask);
                    self.lose(root, reason);
                }
                Guard::Above { root, name } if itself || name == event.name => {
                    self.look_at_root(root);
                }
                Guard::Holds { .. } | Guard::Above { .. } => {}
            }
        }
    }

    /// Tells something about a file that is watched by name.
    pub(super) fn tell_held(&mut self, root: u32, mask: Mask) {
        if self.hides(root, b"", mask.intersects(Mask::IS_DIR)) {
            return;
        }
        self.out.push_back(Notice::Entry(Entry {
            root: RootId(root),
            watch: i64::from(self.roots[root as usize].through.unwrap_or(UNWATCHED)),
            directory: Vec::new(),
            name: Vec::new(),
            mask,
            cookie: 0,
            paired: false,
            complete: mask.intersects(Mask::IS_DIR),
            found: false,
        }));
    }

    /// Something happened to a watched object itself.
    pub(super) fn root_itself(&mut self, node: NodeId, mask: Mask) {
        if self.options.by_name && self.tree.is_root(node) && mask.intersects(GONE | Mask::UNMOUNT)
        {
            let (root, _) = self.tree.path(node);
            self.lose(root, reason(mask));
        }
    }

    pub(super) fn root_released(&mut self, node: NodeId) {
        let (root, _) = self.tree.path(node);
        if self.options.by_name {
            self.lose(root, Lost::Deleted);
            return;
        }
        if self.options.mask.intersects(Mask::ONESHOT) {
            self.tree.set_watch(node, UNWATCHED);
        } else {
            self.roots[root as usize].node = None;
            self.drop_subtree(node);
        }
    }

    pub(super) fn lose(&mut self, root: u32, reason: Lost) {
        let state = &mut self.roots[root as usize];
        if state.lost {
            return;
        }
        state.lost = true;
        let node = state.node.take();
        if let Some(watch) = state.through.take() {
            self.forget_guard(watch, root);
        }
        if let Some(node) = node {
            self.drop_subtree(node);
        }
        self.out.push_back(Notice::RootLost { root: RootId(root), reason });
        if self.options.reattach {
            self.roots[root as usize].retry_at = Some(Instant::now() + RETRY);
            self.watch_above(root);
            self.look_at_root(root);
        }
    }

    fn forget_guard(&mut self, watch: i32, root: u32) {
        if let Some(guards) = self.guards.get_mut(&watch) {
            guards.retain(|guard| !(guard.root() == root && matches!(guard, Guard::Holds { .. })));
            if guards.is_empty() {
                self.guards.remove(&watch);
                if self.tree.by_watch(watch).is_none() {
                    self.remove_watch(watch);
                }
            }
        }
    }

    /// Asks whether a root's name leads to what is watched.
    fn look_at_root(&mut self, root: u32) {
        let state = &self.roots[root as usize];
        if state.lost {
            if self.options.reattach {
                self.attach_again(root);
            }
            return;
        }
        let leads = match (state.node, state.through) {
            (Some(node), _) => self.is_where_we_think(node),
            (None, Some(watch)) => {
                let parent = parent_of(&state.path).as_os_str().as_bytes().to_vec();
                self.add_watch(&parent, GONE | Mask::ADD | Mask::ONLY_DIR) == Ok(watch)
            }
            (None, None) => true,
        };
        if !leads {
            self.lose(root, Lost::Moved);
        }
    }

    fn attach_again(&mut self, root: u32) {
        self.watch_above(root);
        let state = &mut self.roots[root as usize];
        state.retry_at = Some(Instant::now() + RETRY);
        let Ok(status) = stat(&state.path, true) else { return };
        let directory = scan::kind(&status) == Kind::Directory;
        if status.st_dev != state.device || directory != state.directory {
            return;
        }
        state.lost = false;
        let mark = self.out.len();
        self.out.push_back(Notice::RootBack { root: RootId(root) });
        let attached = self.attach(root, Entering::Later).is_ok();
        let state = &mut self.roots[root as usize];
        if !attached || state.node.is_some_and(|node| !self.tree.is_alive(node)) {
            // It went again before it could be watched.
            self.out.truncate(mark);
            state.node = None;
            state.lost = true;
            return;
        }
        state.retry_at = None;
        if !directory {
            self.tell_held(root, Mask::CREATE);
        }
    }

    pub(super) fn next_retry(&self) -> Option<Duration> {
        let next = self.roots.iter().filter_map(|root| root.retry_at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    pub(super) fn retry_lost_roots(&mut self) {
        for root in 0..self.roots.len() {
            if self.roots[root].retry_at.is_some_and(|at| at <= Instant::now()) {
                self.attach_again(root as u32);
            }
        }
    }
}

fn reason(mask: Mask) -> Lost {
    if mask.intersects(Mask::UNMOUNT) {
        Lost::Unmounted
    } else if mask.intersects(Mask::MOVE_SELF) {
        Lost::Moved
    } else {
        Lost::Deleted
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn stat(path: &Path, follow: bool) -> Result<Stat, Errno> {
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    rustix::fs::statat(CWD, path, flags)
}
