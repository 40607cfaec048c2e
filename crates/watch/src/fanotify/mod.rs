//! The fanotify back end: one mark for a whole file system, whatever its number of directories.
//!
//! An event names a directory by a handle, which leads to the directory's present path. So what is told may be ahead of the
//! queue: a directory renamed since has its new name already. Events about files are told as they are, at the present path of
//! their directory. Events about directories are checked against what is there now; while nothing in the backlog was ahead, a
//! rename is told as one, and otherwise as a going and a coming with everything that came. Either way a copy that
//! follows ends as the tree is.

mod record;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CStr, OsStr};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use syncline_sys::fanotify::{
    FAN_ONDIR, FAN_Q_OVERFLOW, FAN_RENAME, Group, handle_of, open_handle,
};

pub use record::{Event as FanotifyEvent, Named, events as fanotify_events};

use crate::error::Error;
use crate::mask::Mask;
use crate::notice::{Entry, Lost, Notice, join};
use crate::options::{Options, Root, RootId};
use crate::scan::{self, Kind, Lister};

const BATCH: usize = 1024;
const BLOCK: usize = 256 << 10;
/// How often a lost root is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// What is told, in the order in which one record's bits most likely happened.
const IN_ORDER: [Mask; 7] = [
    Mask::CREATE,
    Mask::OPEN,
    Mask::ACCESS,
    Mask::MODIFY,
    Mask::ATTRIB,
    Mask::CLOSE_WRITE,
    Mask::CLOSE_NOWRITE,
];

struct RootState {
    path: PathBuf,
    /// The path without links, as the kernel spells it; for a single file, the file's.
    real: Vec<u8>,
    recursive: bool,
    directory: bool,
    /// The root, or for a file its directory: also the mount through which handles are opened.
    held: OwnedFd,
    file_system: u64,
    lost: bool,
}

/// A directory of an event, resolved.
#[derive(Clone)]
struct Place {
    path: Vec<u8>,
    number: i64,
}

pub(crate) struct Fanotify {
    group: Group,
    options: Options,
    roots: Vec<RootState>,
    marked: HashSet<u64>,
    out: VecDeque<Notice>,
    buffer: Vec<u8>,
    lister: Lister,
    /// Directories resolved since the queue was last empty, or since one of them moved.
    places: HashMap<Vec<u8>, Option<Place>>,
    /// All paths at which directories were found since the queue was last empty.
    seen: HashSet<Vec<u8>>,
    /// Nothing that was told since the queue was last empty can have been ahead of it.
    in_step: bool,
    overflowed: bool,
    next_cookie: u32,
    pid: i32,
    hasher: RandomState,
    retry_at: Option<Instant>,
}

impl Fanotify {
    pub(crate) fn new(options: Options) -> Result<Self, Errno> {
        let group = Group::new().map_err(|error| errno_of(&error))?;
        Ok(Self {
            group,
            options,
            roots: Vec::new(),
            marked: HashSet::new(),
            out: VecDeque::new(),
            buffer: vec![0; BLOCK],
            lister: Lister::new(),
            places: HashMap::new(),
            seen: HashSet::new(),
            in_step: true,
            overflowed: false,
            next_cookie: 1,
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            hasher: RandomState::new(),
            retry_at: None,
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    pub(crate) fn out(&mut self) -> &mut VecDeque<Notice> {
        &mut self.out
    }

    /// The roots as they were asked for.
    pub(crate) fn asked(&self) -> Vec<Root> {
        let asked = |root: &RootState| Root { path: root.path.clone(), recursive: root.recursive };
        self.roots.iter().map(asked).collect()
    }

    pub(crate) fn roots(&self) -> Vec<(RootId, Vec<u8>)> {
        let attached = self.roots.iter().enumerate().filter(|(_, root)| !root.lost);
        attached.map(|(id, _)| (RootId(id as u32), Vec::new())).collect()
    }

    /// Watches a root. The mark is made before anything else, so that nothing is missed from here on.
    pub(crate) fn add(&mut self, root: &Root) -> Result<RootId, Error> {
        let fail = |errno| Error::Watch { path: root.path.clone(), errno };
        let status = rustix::fs::statat(CWD, &root.path, AtFlags::empty()).map_err(fail)?;
        let directory = scan::kind(&status) == Kind::Directory;
        let state = Self::open_root(root, directory).map_err(fail)?;
        self.mark(&state).map_err(|errno| Error::Fanotify { path: root.path.clone(), errno })?;
        self.roots.push(state);
        Ok(RootId((self.roots.len() - 1) as u32))
    }

    fn open_root(root: &Root, directory: bool) -> Result<RootState, Errno> {
        let parent = match root.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let held_path = if directory { &root.path } else { &parent };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = rustix::fs::openat(CWD, held_path, flags, Mode::empty())?;
        let mut real = real_path(&held)?;
        if !directory {
            real = join_absolute(&real, root.path.file_name().unwrap_or_default().as_bytes());
        }
        let file_system = rustix::fs::fstat(&held)?.st_dev;
        Ok(RootState {
            path: root.path.clone(),
            real,
            recursive: root.recursive && directory,
            directory,
            held,
            file_system,
            lost: false,
        })
    }

    fn mark(&mut self, root: &RootState) -> Result<(), Errno> {
        if self.marked.contains(&root.file_system) {
            return Ok(());
        }
        let wanted = self.options.mask | Mask::CREATE | Mask::DELETE;
        let named = (wanted & Mask::ALL).without(Mask::MOVE | Mask::DELETE_SELF | Mask::MOVE_SELF);
        let mask = u64::from(named.bits()) | FAN_RENAME | FAN_ONDIR;
        self.group.mark_file_system(mask, root.held.as_fd()).map_err(|error| errno_of(&error))?;
        // A mark is of no use when the handles it reports cannot be opened.
        let (kind, handle) = handle_of(root.held.as_fd()).map_err(|error| errno_of(&error))?;
        open_handle(root.held.as_fd(), kind, &handle).map_err(|error| errno_of(&error))?;
        self.marked.insert(root.file_system);
        Ok(())
    }

    /// Handles what the kernel has. Returns how long to wait at most before the next call.
    pub(crate) fn pump(&mut self) -> Result<Option<Duration>, Error> {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.look_for_lost_roots();
        }
        while self.out.len() < BATCH {
            let count = match rustix::io::read(&self.group, &mut self.buffer) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.drained();
                    break;
                }
                Err(errno) => return Err(Error::Read(errno)),
            };
            let bytes = self.buffer.get(..count).unwrap_or_default().to_vec();
            for event in fanotify_events(&bytes) {
                self.handle(&event);
            }
        }
        if !self.out.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        Ok(self.retry_at.map(|at| at.saturating_duration_since(Instant::now())))
    }

    fn drained(&mut self) {
        self.places.clear();
        self.seen.clear();
        self.in_step = true;
        if std::mem::take(&mut self.overflowed) {
            for root in 0..self.roots.len() {
                self.check_root(root);
                if !self.roots[root].lost {
                    self.out.push_back(Notice::Rescan {
                        root: RootId(root as u32),
                        path: Vec::new(),
                        deep: true,
                    });
                }
            }
        }
    }

    fn handle(&mut self, event: &FanotifyEvent<'_>) {
        if event.mask & FAN_Q_OVERFLOW != 0 {
            self.overflowed = true;
            self.out.push_back(Notice::Overflow);
            return;
        }
        let directory = event.mask & FAN_ONDIR != 0;
        let mask = Mask::from_bits((event.mask & u64::from(Mask::ALL.bits())) as u32);
        let Some(place) = event.place else { return };
        if event.mask & FAN_RENAME != 0 {
            if let Some(target) = event.target {
                self.renamed(&place, &target, directory);
            }
            return;
        }
        // What we read ourselves is nobody's news.
        if event.pid == self.pid
            && !mask.intersects(Mask::CREATE | Mask::DELETE | Mask::MODIFY | Mask::ATTRIB)
        {
            return;
        }
        let Some(parent) = self.resolve(&place) else { return };
        let went = mask.intersects(Mask::DELETE);
        let came = mask.intersects(Mask::CREATE);
        let path = join_absolute(&parent.path, place.name);
        let bit = if directory { Mask::IS_DIR } else { Mask::default() };
        let now = if came || went { kind_at(&path) } else { None };
        let is_that = now.is_some_and(|kind| (kind == Kind::Directory) == directory);
        if went && now.is_some() || now.is_some() && !is_that {
            // One record may stand for several comings and goings, and be older than what has the name now.
            self.tell(&parent, place.name, Mask::DELETE | bit, 0, false, false);
            self.tell_present(&parent, place.name, &path);
        } else if directory && came && is_that {
            self.tell(&parent, place.name, Mask::CREATE | bit, 0, false, false);
            self.tell_contents(&path);
        } else {
            for told in IN_ORDER.into_iter().filter(|told| mask.intersects(*told)) {
                self.tell(&parent, place.name, told | bit, 0, false, false);
            }
            if went {
                self.tell(&parent, place.name, Mask::DELETE | bit, 0, false, false);
            }
        }
        if directory && went {
            self.forget_places();
            self.roots_at(&path);
        }
        if directory && came {
            self.look_for_lost_roots();
        }
    }

    fn renamed(&mut self, from: &Named<'_>, to: &Named<'_>, directory: bool) {
        let source = self.resolve(from);
        let target = self.resolve(to);
        let path_of = |place: &Option<Place>, name: &[u8]| {
            place.as_ref().map(|place| join_absolute(&place.path, name))
        };
        let old = path_of(&source, from.name);
        let new = path_of(&target, to.name);
        let bit = if directory { Mask::IS_DIR } else { Mask::default() };
        let new_kind = new.as_ref().and_then(|new| kind_at(new));
        let arrived = new_kind.is_some_and(|kind| (kind == Kind::Directory) == directory);
        let left = old.as_ref().is_none_or(|old| kind_at(old).is_none());
        let one_root = matches!((&old, &new), (Some(old), Some(new)) if self.root_of(old).is_some() && self.root_of(old) == self.root_of(new));
        let ahead = !self.in_step
            || directory
                && new
                    .as_ref()
                    .is_some_and(|new| self.seen.iter().any(|seen| is_within(seen, new)));
        if directory {
            self.forget_places();
        }
        if let (Some(source), Some(target)) = (&source, &target)
            && one_root
            && arrived
            && left
            && !ahead
        {
            let cookie = self.cookie();
            self.tell(source, from.name, Mask::MOVED_FROM | bit, cookie, true, false);
            self.tell(target, to.name, Mask::MOVED_TO | bit, cookie, true, false);
        } else {
            if directory || !left || !arrived {
                self.in_step = false;
            }
            if let Some(source) = &source {
                self.tell(source, from.name, Mask::MOVED_FROM | bit, 0, false, false);
            }
            if let (Some(target), Some(new)) = (&target, &new) {
                if directory || !arrived {
                    self.tell(target, to.name, Mask::DELETE | bit, 0, false, true);
                }
                if arrived {
                    self.tell(target, to.name, Mask::MOVED_TO | bit, 0, false, false);
                    if directory {
                        self.tell_contents(new);
                    }
                } else {
                    self.tell_present(target, to.name, new);
                }
            }
            if let (Some(source), Some(old), false) = (&source, &old, left) {
                // Something else has the old name already.
                self.tell_present(source, from.name, old);
            }
        }
        if let Some(old) = &old {
            self.roots_at(old);
        }
        self.look_for_lost_roots();
    }

    /// Tells what has a name now.
    fn tell_present(&mut self, parent: &Place, name: &[u8], path: &[u8]) {
        match kind_at(path) {
            Some(Kind::Directory) => {
                self.tell(parent, name, Mask::CREATE | Mask::IS_DIR, 0, false, true);
                self.tell_contents(path);
            }
            Some(_) => {
                self.tell(parent, name, Mask::CREATE, 0, false, true);
                self.tell(parent, name, Mask::CLOSE_WRITE, 0, false, true);
            }
            None => {}
        }
    }

    /// Tells everything below a directory, parents before children.
    fn tell_contents(&mut self, top: &[u8]) {
        if !self.options.report_found || !self.concerns(top) {
            return;
        }
        let mut waiting = vec![top.to_vec()];
        while let Some(path) = waiting.pop() {
            let Ok(descriptor) = scan::open(&path, false) else { continue };
            let parent = Place { number: self.number(&path), path };
            let mut found: Vec<(Box<CStr>, Kind)> = Vec::new();
            // What cannot be read now is told by its own events.
            let _ =
                self.lister.list(descriptor.as_fd(), |name, kind| found.push((name.into(), kind)));
            if !found.is_empty() {
                // A rename in here may be in the queue still, older than what was just seen.
                self.in_step = false;
            }
            for (name, kind) in found {
                let name = name.to_bytes();
                let path = join_absolute(&parent.path, name);
                if kind == Kind::Directory {
                    if self.options.exclude.is_none() || self.concerns(&path) {
                        self.tell(&parent, name, Mask::CREATE | Mask::IS_DIR, 0, false, true);
                        waiting.push(path);
                    }
                } else {
                    self.tell(&parent, name, Mask::CREATE, 0, false, true);
                    if kind == Kind::Regular {
                        self.tell(&parent, name, Mask::CLOSE_WRITE, 0, false, true);
                    }
                }
            }
        }
    }

    fn tell(
        &mut self,
        parent: &Place,
        name: &[u8],
        mask: Mask,
        cookie: u32,
        paired: bool,
        found: bool,
    ) {
        let path = join_absolute(&parent.path, name);
        for id in 0..self.roots.len() {
            let root = &self.roots[id];
            let Some(below) = below(&path, &root.real).filter(|_| !root.lost) else { continue };
            let below = below.to_vec();
            if !root.directory && !below.is_empty() || !root.recursive && below.contains(&b'/') {
                continue;
            }
            if self.is_excluded(id as u32, &below, mask.intersects(Mask::IS_DIR)) {
                continue;
            }
            // The root itself has no directory within itself.
            let cut = below.len() - if below.is_empty() { 0 } else { name.len() };
            let (directory, name) = below.split_at(cut);
            let directory = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
            let complete = found || mask.intersects(Mask::IS_DIR) || self.is_complete(&path, mask);
            self.out.push_back(Notice::Entry(Entry {
                root: RootId(id as u32),
                watch: parent.number,
                directory,
                name: name.to_vec(),
                mask,
                cookie,
                paired,
                complete,
                found,
            }));
        }
    }

    fn is_complete(&self, path: &[u8], mask: Mask) -> bool {
        self.options.inspect_created
            && mask.intersects(Mask::CREATE)
            && lstat(path)
                .is_some_and(|status| scan::kind(&status) != Kind::Regular || status.st_nlink > 1)
    }

    fn is_excluded(&self, root: u32, path: &[u8], directory: bool) -> bool {
        let Some(exclude) = &self.options.exclude else { return false };
        let ends = (0..path.len()).filter(|&at| path.get(at) == Some(&b'/'));
        let pruned = ends
            .filter_map(|end| path.get(..end))
            .any(|above| exclude.prunes(RootId(root), above, true));
        pruned || exclude.hides(RootId(root), path, directory)
    }

    /// Whether anything at or below a path can be told.
    fn concerns(&self, path: &[u8]) -> bool {
        self.roots.iter().enumerate().any(|(id, root)| {
            !root.lost
                && (below(&root.real, path).is_some()
                    || below(path, &root.real).is_some_and(|below| {
                        root.recursive
                            && !self.is_excluded(id as u32, below, true)
                            && !self.options.exclude.as_ref().is_some_and(|exclude| {
                                exclude.prunes(RootId(id as u32), below, true)
                            })
                    }))
        })
    }

    fn root_of(&self, path: &[u8]) -> Option<usize> {
        self.roots.iter().position(|root| {
            !root.lost
                && root.recursive
                && below(path, &root.real).is_some_and(|path| !path.is_empty())
        })
    }

    /// The present path of a directory, unless it is gone.
    fn resolve(&mut self, named: &Named<'_>) -> Option<Place> {
        let mut key = named.file_system.to_vec();
        key.extend_from_slice(&named.kind.to_ne_bytes());
        key.extend_from_slice(named.handle);
        if let Some(place) = self.places.get(&key) {
            return place.clone();
        }
        let mut path = None;
        let mut tried = HashSet::new();
        for root in &self.roots {
            // Handles of one file system mean nothing on another.
            if tried.insert(root.file_system)
                && let Ok(opened) = open_handle(root.held.as_fd(), named.kind, named.handle)
            {
                path = real_path(&opened).ok();
                // Asked afterwards: a directory that still has its name now had it when its path was read.
                if !rustix::fs::fstat(&opened).is_ok_and(|status| status.st_nlink > 0) {
                    path = None;
                }
                break;
            }
        }
        let place = path.map(|path| Place { number: self.number(&path), path });
        if let Some(place) = &place {
            self.seen.insert(place.path.clone());
        }
        self.places.insert(key, place.clone());
        place
    }

    /// After a directory moved or went, the paths of those below it are no longer what they were.
    fn forget_places(&mut self) {
        self.places.clear();
    }

    /// A number for a directory; the same path has the same one.
    fn number(&self, path: &[u8]) -> i64 {
        (self.hasher.hash_one(path) >> 1) as i64
    }

    fn cookie(&mut self) -> u32 {
        let cookie = self.next_cookie;
        self.next_cookie = self.next_cookie.checked_add(1).unwrap_or(1);
        cookie
    }

    /// Something left `path`: roots there or below may be lost.
    fn roots_at(&mut self, path: &[u8]) {
        for root in 0..self.roots.len() {
            if below(&self.roots[root].real, path).is_some() {
                self.check_root(root);
            }
        }
    }

    fn check_root(&mut self, id: usize) {
        let root = &mut self.roots[id];
        if root.lost {
            return;
        }
        let expected = if root.directory { root.real.as_slice() } else { parent_of(&root.real) };
        let reason = match rustix::fs::fstat(&root.held) {
            Ok(status) if status.st_nlink == 0 => Lost::Deleted,
            Ok(_) if real_path(&root.held).is_ok_and(|path| path == expected) => return,
            _ => Lost::Moved,
        };
        root.lost = true;
        self.out.push_back(Notice::RootLost { root: RootId(id as u32), reason });
        if self.options.reattach {
            self.retry_at = Some(Instant::now());
        }
    }

    /// Watches lost roots again that are back on their file system.
    fn look_for_lost_roots(&mut self) {
        if !self.options.reattach || !self.roots.iter().any(|root| root.lost) {
            self.retry_at = None;
            return;
        }
        self.retry_at = Some(Instant::now() + RETRY);
        for id in 0..self.roots.len() {
            let root = &self.roots[id];
            if !root.lost {
                continue;
            }
            let asked = Root { path: root.path.clone(), recursive: root.recursive };
            let (directory, file_system) = (root.directory, root.file_system);
            let Ok(state) = Self::open_root(&asked, directory) else { continue };
            if state.file_system != file_system || kind_at(&state.real).is_none() {
                continue;
            }
            let real = state.real.clone();
            self.roots[id] = state;
            self.out.push_back(Notice::RootBack { root: RootId(id as u32) });
            if directory {
                self.tell_contents(&real);
            } else {
                let parent = Place {
                    number: self.number(parent_of(&real)),
                    path: parent_of(&real).to_vec(),
                };
                let name = real.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
                self.tell(&parent, &name, Mask::CREATE, 0, false, true);
            }
        }
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn real_path(fd: &impl AsFd) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(CWD, scan::descriptor_path(fd), Vec::new())
        .map(std::ffi::CString::into_bytes)
}

fn lstat(path: &[u8]) -> Option<Stat> {
    rustix::fs::statat(CWD, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW).ok()
}

fn kind_at(path: &[u8]) -> Option<Kind> {
    let status = lstat(path)?;
    debug_assert_ne!(FileType::from_raw_mode(status.st_mode), FileType::Unknown);
    Some(scan::kind(&status))
}

fn join_absolute(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory == b"/" { [b"/", name].concat() } else { join(directory, name) }
}

fn parent_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) | None => b"/",
        Some(at) => &path[..at],
    }
}

fn is_within(path: &[u8], directory: &[u8]) -> bool {
    below(path, directory).is_some()
}

/// What of `path` lies below `directory`; empty for the directory itself.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    if directory == b"/" {
        return path.strip_prefix(b"/");
    }
    match path.strip_prefix(directory)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}
