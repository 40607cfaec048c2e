//! The inotify back end: one watch for each directory, and a model of the tree that names them.
//!
//! Events say where to look; the kernel's watch numbers say what is there. Adding a watch to an inode that is watched
//! already gives the same number, so that `add_watch(path)` answers "which directory has this name now?". The model follows
//! the events, in their order, so that what is told carries the paths of its time; and every name at which a directory came,
//! went or moved is looked at again once the queue is empty, until a look finds nothing to correct. So the model may be
//! behind, but is never wrong for long, whatever was renamed over whatever while the events lay in the queue.

mod adopt;
mod check;
mod roots;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::mask::Mask;
use crate::moment::Moment;
use crate::names::Names;
use crate::notice::{Entry, Notice, join};
use crate::options::{OnLimit, Options, RootId};
use crate::queue::{Queue, Taken, pending};
use crate::scan::Lister;
use crate::tree::{NodeId, Tree};
use roots::RootState;

/// After this many names waiting for a second look, the whole tree is looked at instead.
const MOST_TO_CHECK: usize = 1 << 16;
/// A call returns to its caller when it has this much to tell.
const BATCH: usize = 1024;

pub(crate) struct Inotify {
    fd: OwnedFd,
    options: Options,
    roots: Vec<RootState>,
    tree: Tree,
    /// Beside the tree's arena, when names are remembered; nothing for a directory without any.
    names: Vec<Option<Box<Names>>>,
    queue: Queue,
    taken: Taken,
    lister: Lister,
    out: VecDeque<Notice>,
    /// Directories between the two halves of their rename.
    moving: HashMap<u32, NodeId>,
    /// Names at which a directory came, went or moved since the last look that found all in order.
    to_check: HashSet<(NodeId, Vec<u8>)>,
    /// Whether the model was changed by an event since `to_check` was last gone through.
    changed_since_check: bool,
    /// Creations that were told already because the entry was found by listing, with the queue position that ends them.
    told: HashMap<(i32, Vec<u8>), u64>,
    /// Directories that were listed while events lay in the queue, with the position up to which their events are history:
    /// older than what the listing told.
    listed: HashMap<NodeId, u64>,
    /// The same for everything, after a look at everything.
    all_listed: u64,
    /// What our own listings make the kernel say, with the queue position that ends it.
    own: HashMap<(i32, Vec<u8>), (Mask, u64)>,
    /// Names watched on behalf of roots: single files, and the directories above roots.
    guards: HashMap<i32, Vec<roots::Guard>>,
    overflowed: bool,
    /// Whatever changed before this moment was told, or will be by what is queued.
    good: Moment,
    /// Topmost directories that did not fit under the limit on watches.
    polled: Vec<NodeId>,
    next_poll: Option<Instant>,
    /// Directories without subdirectories that were watched but not listed, although names are to be remembered.
    unlisted: Vec<NodeId>,
    /// Whether the file systems seen count a directory's subdirectories in its links.
    counting: HashMap<u64, bool>,
    last_directory: Option<(NodeId, u32, Vec<u8>)>,
}

impl Inotify {
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let fd =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(Error::Inotify)?;
        Ok(Self {
            fd,
            options,
            roots: Vec::new(),
            tree: Tree::new(),
            names: Vec::new(),
            queue: Queue::default(),
            taken: Taken::default(),
            lister: Lister::new(),
            out: VecDeque::new(),
            moving: HashMap::new(),
            to_check: HashSet::new(),
            changed_since_check: false,
            told: HashMap::new(),
            listed: HashMap::new(),
            all_listed: 0,
            own: HashMap::new(),
            guards: HashMap::new(),
            overflowed: false,
            good: Moment::now(),
            polled: Vec::new(),
            next_poll: None,
            unlisted: Vec::new(),
            counting: HashMap::new(),
            last_directory: None,
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn out(&mut self) -> &mut VecDeque<Notice> {
        &mut self.out
    }

    /// The directories (and single files) that are watched, as root and path.
    pub(crate) fn watched(&self) -> Vec<(RootId, Vec<u8>)> {
        let roots = self.roots.iter().filter_map(|root| root.node);
        roots
            .flat_map(|root| self.tree.subtree(root))
            .filter(|&id| !self.tree.is_ghost(id))
            .map(|id| {
                let (root, path) = self.tree.path(id);
                (RootId(root), path)
            })
            .collect()
    }

    pub(crate) fn places(&self) -> Vec<(i64, RootId, Vec<u8>)> {
        let roots = self.roots.iter().filter_map(|root| root.node);
        let mut all: Vec<_> = roots
            .flat_map(|root| self.tree.subtree(root))
            .filter(|&id| self.tree.watch(id) != crate::tree::UNWATCHED)
            .map(|id| {
                let (root, path) = self.tree.path(id);
                (i64::from(self.tree.watch(id)), RootId(root), path)
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// How many watches are held.
    pub(crate) fn watches(&self) -> usize {
        self.tree.len() + self.guards.len()
    }

    /// Whether part of a tree is without watches.
    pub(crate) fn is_polling(&self) -> bool {
        !self.polled.is_empty()
    }

    /// Where the directory with this watch number is now.
    pub(crate) fn place(&self, watch: i64) -> Option<(RootId, Vec<u8>)> {
        let id = self.tree.by_watch(i32::try_from(watch).ok()?)?;
        let (root, path) = self.tree.path(id);
        Some((RootId(root), path))
    }

    /// Handles what the kernel has. Returns how long to wait at most before the next call.
    pub(crate) fn pump(&mut self) -> Result<Option<Duration>, Error> {
        self.poll_if_due()?;
        self.retry_lost_roots();
        while self.out.len() < BATCH {
            let Some((record, read_at)) = self.queue.front() else {
                if self.fill()? {
                    continue;
                }
                if self.drained()? {
                    continue;
                }
                break;
            };
            if record.mask.intersects(Mask::MOVED_FROM)
                && self.queue.arrival(record.cookie).is_none()
            {
                let waited = read_at.elapsed();
                if waited < self.options.pairing && self.tree.by_watch(record.watch).is_some() {
                    if self.fill()? {
                        continue;
                    }
                    return Ok(Some(self.options.pairing.saturating_sub(waited)));
                }
            }
            let mut taken = std::mem::take(&mut self.taken);
            self.queue.take(&mut taken);
            let handled = self.handle(&taken);
            self.taken = taken;
            handled?;
        }
        if !self.out.is_empty() || self.list_some()? {
            return Ok(Some(Duration::ZERO));
        }
        Ok(self.next_wake())
    }

    fn next_wake(&self) -> Option<Duration> {
        let poll = self.next_poll.map(|at| at.saturating_duration_since(Instant::now()));
        let lost = self.next_retry();
        [poll, lost].into_iter().flatten().min()
    }

    fn fill(&mut self) -> Result<bool, Error> {
        self.queue.fill(self.fd.as_fd()).map_err(Error::Read)
    }

    fn pending(&self) -> Result<u64, Error> {
        pending(self.fd.as_fd()).map_err(Error::Read)
    }

    /// The queue was read empty. True when there is new work.
    fn drained(&mut self) -> Result<bool, Error> {
        self.told.clear();
        self.own.clear();
        self.listed.clear();
        self.moving.clear();
        let before = self.out.len();
        let drained_at = Moment::now();
        if self.overflowed {
            self.overflowed = false;
            self.to_check.clear();
            self.good = self.good.as_set_at(drained_at);
            self.check_everything(self.options.rescan)?;
        } else if !self.to_check.is_empty() {
            self.check_again()?;
        }
        if self.pending()? == 0 {
            self.good = drained_at;
        }
        Ok(self.out.len() > before && self.out.len() < BATCH)
    }

    fn handle(&mut self, event: &Taken) -> Result<(), Error> {
        if event.mask.intersects(Mask::OVERFLOW) {
            self.overflowed = true;
            self.out.push_back(Notice::Overflow);
            return Ok(());
        }
        if self.guards.contains_key(&event.watch) {
            self.guard_saw(event);
        }
        let Some(node) = self.tree.by_watch(event.watch) else { return Ok(()) };
        if event.mask.intersects(Mask::IGNORED) {
            self.tell(node, event);
            self.released(node);
            return Ok(());
        }
        if self.is_own(event) {
            return Ok(());
        }
        if event.name.is_empty() {
            self.tell(node, event);
            self.root_itself(node, event.mask);
            return Ok(());
        }
        // What is in a directory that lost its name is in the tree no more.
        if self.is_detached(node) || self.is_told(event) {
            return Ok(());
        }
        if event.mask.intersects(Mask::IS_DIR) && self.grows(node) {
            self.directory_event(node, event)
        } else {
            self.file_event(node, event)
        }
    }

    /// A directory below a tree that is followed came, went, or was touched.
    fn directory_event(&mut self, node: NodeId, event: &Taken) -> Result<(), Error> {
        let structural = Mask::CREATE | Mask::MOVE | Mask::DELETE;
        if !event.mask.intersects(structural) {
            self.tell(node, event);
            return Ok(());
        }
        self.doubt(node, &event.name);
        let known = self.tree.child(node, &event.name);
        if event.mask.intersects(Mask::MOVED_FROM) {
            let paired = known.is_some_and(|known| self.moves_within(node, known, event.cookie));
            self.tell_paired(node, event, paired);
            match known {
                Some(known) if paired => {
                    self.moving.insert(event.cookie, known);
                }
                Some(known) => self.drop_subtree(known),
                None => {}
            }
        } else if event.mask.intersects(Mask::MOVED_TO) {
            let moved = self.moving.remove(&event.cookie);
            // What was paired may have been corrected away since.
            let moved = moved.filter(|&moved| {
                self.tree.is_alive(moved)
                    && !self.tree.is_within(node, moved)
                    && !self.tree.is_root(moved)
            });
            let replaced = known.filter(|&known| moved.is_some_and(|moved| moved != known));
            if replaced.is_some_and(|replaced| self.is_where_we_think(replaced)) {
                // The model is ahead there: what was told about that directory is taken back, and told again later.
                self.push(node, &event.name, Mask::DELETE | Mask::IS_DIR, 0, false, true);
            }
            self.tell_paired(node, event, moved.is_some());
            if let Some(moved) = moved {
                if let Some(replaced) = replaced {
                    self.tree.make_ghost(replaced);
                }
                self.tree.rename(moved, node, &event.name);
                self.last_directory = None;
            } else {
                self.adopt(node, &event.name)?;
            }
        } else if event.mask.intersects(Mask::CREATE) {
            self.tell(node, event);
            self.adopt(node, &event.name)?;
        } else {
            self.tell(node, event);
            if let Some(known) = known {
                self.tree.make_ghost(known);
            }
        }
        Ok(())
    }

    /// Anything about a name that needs no watch of its own.
    fn file_event(&mut self, node: NodeId, event: &Taken) -> Result<(), Error> {
        let came = event.mask.intersects(Mask::CREATE | Mask::MOVED_TO);
        let went = event.mask.intersects(Mask::DELETE | Mask::MOVED_FROM);
        if self.options.remember_names {
            let directory = event.mask.intersects(Mask::IS_DIR);
            let names = self.names_of(node);
            if came {
                names.insert(&event.name, directory);
            } else if went {
                names.remove(&event.name);
            }
        }
        if (came || went)
            && !self.options.follow_links
            && let Some(ahead) = self.tree.child(node, &event.name)
        {
            // The model is ahead of this event: what was told about that directory is taken back, and told again later.
            self.drop_subtree(ahead);
            self.push(node, &event.name, Mask::DELETE | Mask::IS_DIR, 0, false, true);
            self.doubt(node, &event.name);
        }
        let paired =
            event.mask.intersects(Mask::MOVED_FROM) && self.arrives_within(node, event.cookie);
        let arrived =
            event.mask.intersects(Mask::MOVED_TO) && self.moving_files_remove(event.cookie);
        if paired {
            // Only the cookie matters: a file has no place in the tree.
            self.moving.insert(event.cookie, node);
        }
        self.tell_paired(node, event, paired || arrived);
        if self.options.follow_links && self.grows(node) && (came || went) {
            self.doubt(node, &event.name);
            if came {
                self.adopt(node, &event.name)?;
            } else if let Some(link) = self.tree.child(node, &event.name) {
                self.drop_subtree(link);
            }
        }
        Ok(())
    }

    fn moving_files_remove(&mut self, cookie: u32) -> bool {
        self.moving.remove(&cookie).is_some()
    }

    /// Whether the events of a directory that are handled now are older than its listing.
    fn is_history(&self, node: NodeId) -> bool {
        let handled = self.queue.handled();
        handled <= self.all_listed || self.listed.get(&node).is_some_and(|until| handled <= *until)
    }

    /// Whether the rename from `node` with this cookie ends in the same root, at a name that is told.
    ///
    /// A rename out of or into a directory that was listed since is none: what has the old name by now is something else.
    fn arrives_within(&self, node: NodeId, cookie: u32) -> bool {
        let Some(arrival) = self.queue.arrival(cookie) else { return false };
        let Some(target) = self.tree.by_watch(arrival.watch) else { return false };
        if self.is_history(node) || self.is_history(target) {
            return false;
        }
        let (root, _) = self.tree.path(node);
        let (target_root, directory) = self.tree.path(target);
        let directory_too = arrival.mask.intersects(Mask::IS_DIR);
        root == target_root
            && !self.hides(target_root, &join(&directory, arrival.name), directory_too)
    }

    /// Whether a directory's rename keeps it in the part of the tree that is watched.
    fn moves_within(&self, node: NodeId, known: NodeId, cookie: u32) -> bool {
        let Some(arrival) = self.queue.arrival(cookie) else { return false };
        let Some(target) = self.tree.by_watch(arrival.watch) else { return false };
        let (root, directory) = self.tree.path(target);
        self.grows(target)
            && !self.tree.is_within(target, known)
            && !self.prunes(root, &join(&directory, arrival.name), true)
            && self.arrives_within(node, cookie)
    }

    /// The kernel let go of a watch.
    fn released(&mut self, node: NodeId) {
        if self.tree.is_root(node) {
            self.root_released(node);
            return;
        }
        let once = self.options.mask.intersects(Mask::ONESHOT);
        if once && self.tree.children(node).next().is_some() {
            self.tree.set_watch(node, crate::tree::UNWATCHED);
            return;
        }
        if !once
            && !self.tree.is_ghost(node)
            && let Some(parent) = self.tree.parent(node)
        {
            let name = self.tree.name(node).to_vec();
            self.doubt(parent, &name);
        }
        self.drop_subtree(node);
    }

    /// Forgets a directory and everything below it, and takes the watches away at once.
    fn drop_subtree(&mut self, node: NodeId) {
        self.last_directory = None;
        for (id, watch) in self.tree.remove(node) {
            if let Some(names) = self.names.get_mut(Tree::index(id)) {
                *names = None;
            }
            self.remove_watch(watch);
        }
    }

    fn remove_watch(&self, watch: i32) {
        if watch != crate::tree::UNWATCHED && !self.guards.contains_key(&watch) {
            // It may be gone already: deleted, unmounted, or removed by the kernel after one event.
            let _ = inotify::remove_watch(&self.fd, watch);
        }
    }

    /// Whether a directory, or one above it, has no name in the tree any more.
    pub(super) fn is_detached(&self, node: NodeId) -> bool {
        let mut at = Some(node);
        while let Some(here) = at {
            if self.tree.is_ghost(here) {
                return true;
            }
            at = self.tree.parent(here);
        }
        false
    }

    fn doubt(&mut self, node: NodeId, name: &[u8]) {
        self.changed_since_check = true;
        if self.to_check.len() >= MOST_TO_CHECK {
            self.to_check.clear();
            self.overflowed = true;
        }
        self.to_check.insert((node, name.to_vec()));
    }

    /// Whether directories that appear below `node` are watched.
    fn grows(&self, node: NodeId) -> bool {
        let mut at = node;
        while let Some(parent) = self.tree.parent(at) {
            at = parent;
        }
        let (root, _) = self.tree.path(at);
        self.options.grow && self.roots.get(root as usize).is_some_and(|root| root.recursive)
    }

    fn hides(&self, root: u32, path: &[u8], directory: bool) -> bool {
        self.options
            .exclude
            .as_ref()
            .is_some_and(|exclude| exclude.hides(RootId(root), path, directory))
    }

    fn prunes(&self, root: u32, directory: &[u8], fresh: bool) -> bool {
        self.options
            .exclude
            .as_ref()
            .is_some_and(|exclude| exclude.prunes(RootId(root), directory, fresh))
    }

    /// Whether our own listing caused this event.
    fn is_own(&mut self, event: &Taken) -> bool {
        if self.own.is_empty()
            || !event.mask.intersects(READING)
            || !event.mask.intersects(Mask::IS_DIR)
        {
            return false;
        }
        let handled = self.queue.handled();
        let key = (event.watch, event.name.clone());
        let Some((left, until)) = self.own.get_mut(&key) else { return false };
        if handled > *until {
            self.own.remove(&key);
            return false;
        }
        let own = left.intersects(event.mask & READING);
        // A long listing is read in several pieces.
        *left = left.without(event.mask.without(Mask::ACCESS));
        own
    }

    /// Whether this creation was told when the entry was found. Once the name went, a creation is another one.
    fn is_told(&mut self, event: &Taken) -> bool {
        let turns = Mask::CREATE | Mask::DELETE | Mask::MOVE;
        if self.told.is_empty() || !event.mask.intersects(turns) {
            return false;
        }
        let handled = self.queue.handled();
        let told = self.told.remove(&(event.watch, event.name.clone()));
        event.mask.intersects(Mask::CREATE) && told.is_some_and(|until| handled <= until)
    }

    fn tell(&mut self, node: NodeId, event: &Taken) {
        self.tell_paired(node, event, false);
    }

    fn tell_paired(&mut self, node: NodeId, event: &Taken, paired: bool) {
        self.push(node, &event.name, event.mask, event.cookie, paired, false);
    }

    fn push(
        &mut self,
        node: NodeId,
        name: &[u8],
        mask: Mask,
        cookie: u32,
        paired: bool,
        found: bool,
    ) {
        if self.last_directory.as_ref().is_none_or(|(last, ..)| *last != node) {
            let (root, path) = self.tree.path(node);
            self.last_directory = Some((node, root, path));
        }
        let Some((_, root, directory)) = &self.last_directory else { return };
        let (root, directory) = (*root, directory.clone());
        let complete = found
            || mask.intersects(Mask::IS_DIR)
            || self.is_complete(root, &directory, name, mask);
        if self.options.exclude.is_some()
            && self.hides(root, &join(&directory, name), mask.intersects(Mask::IS_DIR))
        {
            return;
        }
        self.out.push_back(Notice::Entry(Entry {
            root: RootId(root),
            watch: i64::from(self.tree.watch(node)),
            directory,
            name: name.to_vec(),
            mask,
            cookie,
            paired,
            complete,
            found,
        }));
    }

    /// Whether a file that was just created is one that nobody closes.
    fn is_complete(&self, root: u32, directory: &[u8], name: &[u8], mask: Mask) -> bool {
        self.options.inspect_created
            && mask.intersects(Mask::CREATE)
            && rustix::fs::lstat(self.system_path(root, &join(directory, name))).is_ok_and(
                |status| {
                    crate::scan::kind(&status) != crate::scan::Kind::Regular || status.st_nlink > 1
                },
            )
    }

    /// Adds or extends a watch and says its number.
    fn add_watch(&self, path: &[u8], mask: Mask) -> Result<i32, Errno> {
        let flags = WatchFlags::from_bits_retain(mask.bits());
        match inotify::add_watch(&self.fd, path, flags) {
            Err(Errno::NAMETOOLONG) => {
                let directory = crate::scan::open(path, !mask.intersects(Mask::DONT_FOLLOW))?;
                let short = crate::scan::descriptor_path(&directory);
                inotify::add_watch(&self.fd, short, flags.difference(WatchFlags::DONT_FOLLOW))
            }
            other => other,
        }
    }

    /// The bits for a directory while it is listed: our own reading is not to fill the queue.
    fn listing_mask(&self) -> Mask {
        self.full_mask().without(READING)
    }

    fn full_mask(&self) -> Mask {
        let mut mask = self.options.mask;
        if self.options.grow && self.roots.iter().any(|root| root.recursive) {
            mask |= Mask::CREATE | Mask::MOVE;
        }
        if self.options.remember_names {
            mask |= Mask::CREATE | Mask::MOVE | Mask::DELETE;
        }
        mask
    }

    fn polls(&self) -> Option<Duration> {
        match self.options.on_limit {
            OnLimit::Poll(interval) => Some(interval),
            OnLimit::Fail => None,
        }
    }
}

/// What reading a directory makes the kernel say.
const READING: Mask = Mask::ACCESS.with(Mask::OPEN).with(Mask::CLOSE_NOWRITE);
