//! Watching a directory that was not watched, with everything below it: watch first, then list, then compare with what the
//! new watch already queued. Nothing that is made meanwhile is missed, and nothing is told twice.

use std::collections::HashMap;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::{Inotify, READING};
use crate::error::Error;
use crate::mask::Mask;
use crate::names::Names;
use crate::notice::{Notice, join};
use crate::options::RootId;
use crate::scan::{self, Kind};
use crate::tree::{NodeId, Tree, UNWATCHED};

/// An entry that a listing found, to be told unless the kernel tells it.
pub(super) struct Found {
    pub(super) directory: NodeId,
    pub(super) name: Box<[u8]>,
    pub(super) kind: Kind,
}

/// How a subtree is entered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entering {
    /// A root is set up: what is there is no news, and a tree that does not fit is an error.
    Start,
    /// A directory appeared while watching.
    Later,
}

/// File systems on which a directory has two links and one more for each subdirectory: ext2 to 4, XFS, tmpfs.
const COUNTING: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];
/// Directories listed in one go when there is nothing else to do.
const LISTED_AT_ONCE: usize = 64;
/// Descriptors kept open on the way down; deeper directories are opened by their path.
const DEEPEST_OPEN: usize = 64;

/// What became of one directory that was to be watched.
enum Placed {
    Watched,
    /// Over the limit, and polled.
    Polled,
    /// Watched under another name, or not to be watched.
    Nothing,
}

impl Inotify {
    /// Watches the directory that now has this name, if there is one and it is not watched there already.
    pub(super) fn adopt(&mut self, parent: NodeId, name: &[u8]) -> Result<(), Error> {
        let (root, parent_path) = self.tree.path(parent);
        let path = join(&parent_path, name);
        let known = self.tree.child(parent, name);
        if self.prunes(root, &path, true) {
            if let Some(known) = known {
                self.drop_subtree(known);
            }
            return Ok(());
        }
        if let Some(known) = known {
            if self.is_where_we_think(known) {
                return Ok(());
            }
            // What left the name did so untold.
            self.drop_subtree(known);
            self.push(parent, name, Mask::DELETE | Mask::IS_DIR, 0, false, true);
            self.push(parent, name, Mask::CREATE | Mask::IS_DIR, 0, false, true);
        }
        let node = self.tree.insert(parent, name, UNWATCHED);
        self.enter(node, Entering::Later)
    }

    /// What the model has for the directory at `path`: the same inode has the same watch number.
    pub(super) fn known_at(&self, path: &[u8], mask: Mask) -> Result<Option<NodeId>, Errno> {
        let watch = self.add_watch(path, mask)?;
        let known = self.tree.by_watch(watch);
        if known.is_none() {
            self.remove_watch(watch);
        }
        Ok(known)
    }

    /// Whether the model's path of a directory leads to that directory now.
    pub(super) fn is_where_we_think(&self, node: NodeId) -> bool {
        if self.is_detached(node) {
            return false;
        }
        let (root, path) = self.tree.path(node);
        let path = self.system_path(root, &path);
        self.known_at(&path, self.mask_for(node)) == Ok(Some(node))
    }

    /// Watches and lists `top`, which is in the model, and everything below it.
    pub(super) fn enter(&mut self, top: NodeId, entering: Entering) -> Result<(), Error> {
        let mark = self.queue.position();
        let fresh = entering == Entering::Later;
        let report = fresh && self.options.report_found;
        let mut found = Vec::new();
        let mut entered = Vec::new();
        let mut unwatched = 0u64;
        let mut waiting = vec![(top, 0)];
        // The directories above the next one, from `top` on: a child is opened through its parent's descriptor, whatever
        // the parent is called by now.
        let mut above: Vec<OwnedFd> = Vec::new();
        while let Some((node, depth)) = waiting.pop() {
            above.truncate(depth);
            let parent = (depth > 0).then(|| above.get(depth - 1)).flatten().map(AsFd::as_fd);
            let (placed, descriptor) = match parent {
                Some(parent) if !fresh => self.watch_then_open(node, parent)?,
                parent => self.open_then_watch(node, parent, entering)?,
            };
            match placed {
                Placed::Nothing => continue,
                Placed::Watched => {}
                Placed::Polled => {
                    unwatched += 1;
                    if self
                        .tree
                        .parent(node)
                        .is_none_or(|parent| self.tree.watch(parent) != UNWATCHED)
                    {
                        self.polled.push(node);
                    }
                }
            }
            entered.push(node);
            let Some(descriptor) = descriptor else { continue };
            if fresh && self.full_mask().intersects(READING) {
                self.expect_own_reading(node);
            }
            self.list(
                node,
                descriptor.as_fd(),
                fresh,
                report.then_some(&mut found),
                &mut |child| {
                    waiting.push((child, depth + 1));
                },
            );
            if depth < DEEPEST_OPEN {
                above.push(descriptor);
            }
        }
        // Closing what was listed is our own doing too.
        drop(above);
        self.watch_fully(&entered);
        if unwatched > 0 {
            self.report_polled(top, unwatched);
        }
        if report {
            self.tell_found(mark, &found)?;
        }
        let end = self.end_expectations()?;
        if fresh {
            self.listed.extend(entered.into_iter().map(|node| (node, end)));
        } else {
            self.all_listed = end;
        }
        Ok(())
    }

    /// Sets up a directory found by a listing. One without subdirectories needs no listing of its own, and where the file
    /// system counts them that costs one call instead of four.
    ///
    /// The name may come to mean another directory between the calls. The event of that is younger than the parent's watch,
    /// and renames that happen during a set-up are not believed but looked at.
    fn watch_then_open(
        &mut self,
        node: NodeId,
        parent: BorrowedFd<'_>,
    ) -> Result<(Placed, Option<OwnedFd>), Error> {
        let (root, path) = self.tree.path(node);
        let path = self.system_path(root, &path);
        let placed = self.watch_at(node, &path, self.mask_for(node), Entering::Start)?;
        if matches!(placed, Placed::Nothing) {
            return Ok((placed, None));
        }
        let name = self.tree.name(node);
        if let Ok(status) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            && status.st_nlink == 2
            && self.counts_subdirectories(parent, status.st_dev)
            && matches!(placed, Placed::Watched)
        {
            if self.options.remember_names {
                self.unlisted.push(node);
            }
            return Ok((placed, None));
        }
        let opened = scan::open_at(parent, self.tree.name(node), self.options.follow_links);
        // What cannot be opened any more is told by its own event, or by its parent's.
        Ok((placed, opened.ok()))
    }

    /// Whether the link count of a directory tells how many subdirectories it has.
    fn counts_subdirectories(&mut self, directory: BorrowedFd<'_>, device: u64) -> bool {
        *self.counting.entry(device).or_insert_with(|| {
            rustix::fs::fstatfs(directory)
                .is_ok_and(|status| COUNTING.contains(&(status.f_type as u64)))
        })
    }

    fn open_then_watch(
        &mut self,
        node: NodeId,
        parent: Option<BorrowedFd<'_>>,
        entering: Entering,
    ) -> Result<(Placed, Option<OwnedFd>), Error> {
        match self.open_node(node, parent) {
            Ok(descriptor) => {
                let placed = self.watch_open(node, descriptor.as_fd(), entering)?;
                Ok((placed, Some(descriptor)))
            }
            Err(errno) => {
                self.not_entered(node, errno, entering)?;
                Ok((Placed::Nothing, None))
            }
        }
    }

    /// Lists a few of the directories that were set up without a listing, so that a rescan can tell what vanished from them.
    /// False when there are none.
    pub(super) fn list_some(&mut self) -> Result<bool, Error> {
        let start = self.unlisted.len().saturating_sub(LISTED_AT_ONCE);
        let some = self.unlisted.split_off(start);
        for &node in &some {
            if !self.tree.is_alive(node) {
                continue;
            }
            if let Ok(descriptor) = self.open_node(node, None) {
                if self.full_mask().intersects(READING) {
                    self.expect_own_reading(node);
                    self.own.insert((self.tree.watch(node), Vec::new()), (READING, u64::MAX));
                }
                self.list(node, descriptor.as_fd(), false, None, &mut |_| {});
            }
        }
        if self.unlisted.is_empty() {
            self.unlisted = Vec::new();
        }
        self.end_expectations()?;
        Ok(!some.is_empty())
    }

    /// Opens a directory of the model; a watched file is only referred to.
    fn open_node(&self, node: NodeId, parent: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Errno> {
        if let Some(parent) = parent {
            return scan::open_at(parent, self.tree.name(node), self.options.follow_links);
        }
        let (root, path) = self.tree.path(node);
        let path = self.system_path(root, &path);
        if self.tree.is_root(node) && !self.roots[root as usize].directory {
            scan::refer(&path, !self.options.watch_links)
        } else {
            scan::open(&path, self.tree.is_root(node) || self.options.follow_links)
        }
    }

    /// Watches what was opened as `node`.
    fn watch_open(
        &mut self,
        node: NodeId,
        descriptor: BorrowedFd<'_>,
        entering: Entering,
    ) -> Result<Placed, Error> {
        let mask = self.mask_for(node);
        if mask.intersects(Mask::DONT_FOLLOW) && self.tree.is_root(node) {
            // A link that is watched itself: through its descriptor it would be followed.
            let (root, path) = self.tree.path(node);
            return self.watch_at(node, &self.system_path(root, &path), mask, entering);
        }
        let path = scan::descriptor_path(&descriptor);
        self.watch_at(node, path.as_bytes(), mask.without(Mask::DONT_FOLLOW), entering)
    }

    fn watch_at(
        &mut self,
        node: NodeId,
        path: &[u8],
        mask: Mask,
        entering: Entering,
    ) -> Result<Placed, Error> {
        let watch = match self.add_watch(path, mask) {
            Ok(watch) => watch,
            Err(Errno::NOSPC) if self.polls().is_some() => return Ok(Placed::Polled),
            Err(errno) => {
                self.not_entered(node, errno, entering)?;
                return Ok(Placed::Nothing);
            }
        };
        let Some(known) = self.tree.by_watch(watch).filter(|&known| known != node) else {
            self.tree.set_watch(node, watch);
            return Ok(Placed::Watched);
        };
        if entering == Entering::Start
            || self.is_where_we_think(known)
            || self.tree.is_within(node, known)
        {
            // Another root's, a bind mount or a followed link: the first name stays.
            if let Some(parent) = self.tree.parent(node) {
                let name = self.tree.name(node).to_vec();
                self.tree.remove(node);
                if entering == Entering::Later {
                    self.doubt(parent, &name);
                }
            }
            return Ok(Placed::Nothing);
        }
        // The model lags behind: that directory left its old name, and the event that says so is still queued.
        if !self.is_detached(known)
            && let Some(parent) = self.tree.parent(known)
        {
            let name = self.tree.name(known).to_vec();
            self.push(parent, &name, Mask::DELETE | Mask::IS_DIR, 0, false, true);
            self.doubt(parent, &name);
        }
        self.drop_subtree(known);
        match self.add_watch(path, mask) {
            Ok(watch) => {
                self.tree.set_watch(node, watch);
                Ok(Placed::Watched)
            }
            Err(errno) => {
                self.not_entered(node, errno, entering)?;
                Ok(Placed::Nothing)
            }
        }
    }

    /// A directory of the model could not be opened or watched.
    fn not_entered(&mut self, node: NodeId, errno: Errno, entering: Entering) -> Result<(), Error> {
        if !skipped(errno) || self.tree.is_root(node) {
            self.refused(node, errno, entering)?;
        }
        self.tree.remove(node);
        Ok(())
    }

    /// Puts a directory's entries where they belong: subdirectories into the model, other names into the log.
    fn list(
        &mut self,
        node: NodeId,
        descriptor: BorrowedFd<'_>,
        fresh: bool,
        mut found: Option<&mut Vec<Found>>,
        enter: &mut dyn FnMut(NodeId),
    ) {
        let recursive = self.is_recursive(node);
        if !recursive && !self.options.remember_names && found.is_none() {
            return;
        }
        let (root, directory) = self.tree.path(node);
        if !self.roots[root as usize].directory {
            return;
        }
        let mut children = Vec::new();
        let remember = self.options.remember_names || self.tree.watch(node) == UNWATCHED;
        let mut names: Vec<(Box<[u8]>, bool)> = Vec::new();
        let mut lister = std::mem::replace(&mut self.lister, scan::Lister::none());
        // An error in the middle leaves what was listed; the directory is looked at again when something happens to it.
        let _ = lister.list(descriptor, |name, kind| {
            let mut kind = kind;
            if kind == Kind::Link
                && self.options.follow_links
                && scan::leads_to_directory(descriptor, name)
            {
                kind = Kind::Directory;
            }
            let name = name.to_bytes();
            if self.options.exclude.is_some()
                && self.hides(root, &join(&directory, name), kind == Kind::Directory)
            {
                return;
            }
            if let Some(found) = &mut found {
                found.push(Found { directory: node, name: name.into(), kind });
            }
            if kind == Kind::Directory && recursive {
                let pruned = self.options.exclude.is_some()
                    && self.prunes(root, &join(&directory, name), fresh);
                if !pruned && self.tree.child(node, name).is_none() {
                    children.push(self.tree.insert(node, name, UNWATCHED));
                }
            } else if remember {
                names.push((name.into(), kind == Kind::Directory));
            }
        });
        self.lister = lister;
        // The stack gives back the last first; siblings are entered in the order of the listing.
        children.into_iter().rev().for_each(enter);
        if remember {
            self.tree.set_listed(node);
            if !names.is_empty() {
                *self.names_of(node) =
                    Names::listed(names.iter().map(|(name, dir)| (&**name, *dir)));
            }
        }
    }

    pub(super) fn names_of(&mut self, node: NodeId) -> &mut Names {
        let index = Tree::index(node);
        if self.names.len() <= index {
            self.names.resize_with(index.max(self.tree.places()) + 1, || None);
        }
        self.names[index].get_or_insert_default()
    }

    /// Gives the listed directories the bits that were held back while our own reading would have caused events.
    fn watch_fully(&mut self, entered: &[NodeId]) {
        if !self.full_mask().intersects(READING) {
            return;
        }
        for &node in entered {
            if self.tree.is_alive(node) && self.tree.watch(node) != UNWATCHED {
                let (root, path) = self.tree.path(node);
                // A directory that just left is looked at again because of its own event.
                let _ = self.add_watch(
                    &self.system_path(root, &path),
                    self.full_mask() | self.mask_for(node),
                );
            }
        }
    }

    /// The parent's watch will say that its subdirectory was read, by us.
    fn expect_own_reading(&mut self, node: NodeId) {
        if let Some(parent) = self.tree.parent(node) {
            let key = (self.tree.watch(parent), self.tree.name(node).to_vec());
            self.own.insert(key, (READING, u64::MAX));
        }
    }

    /// From here on, reading and creations are somebody else's.
    pub(super) fn end_expectations(&mut self) -> Result<u64, Error> {
        let end = self.queue.position() + self.pending()?;
        for (_, until) in self.own.values_mut() {
            *until = (*until).min(end);
        }
        Ok(end)
    }

    /// Tells what a listing found and the kernel does not tell.
    pub(super) fn tell_found(&mut self, mark: u64, found: &[Found]) -> Result<(), Error> {
        self.queue.catch_up(self.fd.as_fd()).map_err(Error::Read)?;
        self.end_expectations()?;
        let until = self.queue.position();
        let mut queued: HashMap<(i32, &[u8]), Mask> = HashMap::new();
        for record in self.queue.since(mark) {
            if self.tree.by_watch(record.watch).is_some() {
                *queued.entry((record.watch, record.name)).or_default() |= record.mask;
            }
        }
        let mut news = Vec::new();
        for entry in found.iter().filter(|entry| self.tree.is_alive(entry.directory)) {
            let watch = self.tree.watch(entry.directory);
            let coming = queued.get(&(watch, &*entry.name)).copied().unwrap_or_default();
            let created = coming.intersects(Mask::CREATE);
            match entry.kind {
                // A directory is told before what is in it; its own creation is then old news.
                Kind::Directory => {
                    if created {
                        self.told.insert((watch, entry.name.to_vec()), until);
                    }
                    news.push((entry, Mask::CREATE | Mask::IS_DIR));
                }
                _ if created || coming.intersects(Mask::MOVED_TO) => {}
                Kind::Regular => {
                    news.push((entry, Mask::CREATE));
                    if !coming.intersects(Mask::CLOSE_WRITE) {
                        news.push((entry, Mask::CLOSE_WRITE));
                    }
                }
                Kind::Link | Kind::Other => news.push((entry, Mask::CREATE)),
            }
        }
        for (entry, mask) in news {
            self.push(entry.directory, &entry.name, mask, 0, false, true);
        }
        Ok(())
    }

    /// A watch was refused for another reason than that there is nothing to watch.
    fn refused(&mut self, node: NodeId, errno: Errno, entering: Entering) -> Result<(), Error> {
        let (root, path) = self.tree.path(node);
        if entering == Entering::Later {
            self.out.push_back(Notice::Unwatched {
                root: RootId(root),
                path,
                errno: errno.raw_os_error(),
            });
            return Ok(());
        }
        let root_path = self.roots[root as usize].path.clone();
        if errno == Errno::NOSPC {
            let needed = self.tree.len() as u64 + self.count_below(node);
            return Err(Error::WatchLimit { path: root_path, needed, limit: watch_limit() });
        }
        Err(Error::Watch { path: root_path, errno })
    }

    /// How many directories there are below one that could not be watched.
    fn count_below(&mut self, node: NodeId) -> u64 {
        let mut count = 0;
        let (root, path) = self.tree.path(node);
        let mut waiting = vec![path];
        while let Some(directory) = waiting.pop() {
            let Ok(descriptor) = scan::open(&self.system_path(root, &directory), true) else {
                continue;
            };
            // What cannot be listed is not counted.
            let _ = self.lister.list(descriptor.as_fd(), |name, kind| {
                if kind == Kind::Directory {
                    count += 1;
                    waiting.push(join(&directory, name.to_bytes()));
                }
            });
        }
        count
    }

    fn report_polled(&mut self, top: NodeId, unwatched: u64) {
        let (root, _) = self.tree.path(top);
        self.out.push_back(Notice::Polled {
            root: RootId(root),
            unwatched,
            needed: self.tree.len() as u64,
            limit: watch_limit(),
        });
        self.schedule_poll();
    }

    /// The bits for a name that is not in the model yet.
    pub(super) fn entry_mask(&self) -> Mask {
        let mask = self.listing_mask() | Mask::ONLY_DIR | Mask::ADD;
        if self.options.follow_links { mask } else { mask | Mask::DONT_FOLLOW }
    }

    pub(super) fn is_recursive(&self, node: NodeId) -> bool {
        let (root, _) = self.tree.path(node);
        self.roots.get(root as usize).is_some_and(|root| root.recursive)
    }
}

/// Errors that mean "nothing to watch here": it is gone, no directory, or not for us.
pub(super) fn skipped(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS)
}

/// The smaller of the two limits on watches that apply to this process.
pub(crate) fn watch_limit() -> u64 {
    ["/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
        .min()
        .unwrap_or(u64::MAX)
}
