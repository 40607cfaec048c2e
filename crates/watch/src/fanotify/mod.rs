//! The fanotify back end: one mark for a whole file system, whatever its number of directories.
//!
//! An event names a directory by a handle, which leads to the directory's present path. So what is told may be ahead of the
//! queue: a directory renamed since has its new name already. Events about files are told as they are, at the present path of
//! their directory. Events about directories are checked against what is there now; while nothing in the backlog was ahead, a
//! rename is told as one, and otherwise as a going and a coming with everything that came. Either way a copy that
//! follows ends as the tree is.

mod memory;
mod mounts;
mod record;
mod roots;
mod tell;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Stat};
use rustix::io::Errno;
use syncline_sys::fanotify::{FAN_ONDIR, FAN_Q_OVERFLOW, FAN_RENAME, Group, open_handle};

pub use record::{Event as FanotifyEvent, Named, events as fanotify_events};

use crate::error::Error;
use crate::mask::Mask;
use crate::moment::Moment;
use crate::notice::{Notice, join};
use crate::options::Options;
use crate::scan::{self, Kind, Lister};
use mounts::Mounts;
use roots::RootState;
use tell::Word;

const BATCH: usize = 1024;
const BLOCK: usize = 256 << 10;

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
    mounts: Mounts,
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
    /// Whatever changed before this moment was told, or will be by what is queued.
    good: Moment,
    /// What is known below the old name of a rename that is being told.
    leaving: Option<memory::Known>,
    next_cookie: u32,
    pid: i32,
    hasher: RandomState,
    retry_at: Option<Instant>,
}

impl Fanotify {
    pub(crate) fn new(options: Options) -> Result<Self, Errno> {
        let group = Group::new().map_err(|error| errno_of(&error))?;
        let mounts = Mounts::new(group.as_fd())?;
        Ok(Self {
            group,
            mounts,
            options,
            roots: Vec::new(),
            out: VecDeque::new(),
            buffer: vec![0; BLOCK],
            lister: Lister::new(),
            places: HashMap::new(),
            seen: HashSet::new(),
            in_step: true,
            overflowed: false,
            good: Moment::now(),
            leaving: None,
            next_cookie: 1,
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            hasher: RandomState::new(),
            retry_at: None,
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.mounts.as_fd()
    }

    pub(crate) fn out(&mut self) -> &mut VecDeque<Notice> {
        &mut self.out
    }

    /// Handles what the kernel has. Returns how long to wait at most before the next call.
    pub(crate) fn pump(&mut self) -> Result<Option<Duration>, Error> {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.look_for_lost_roots();
        }
        if self.mounts.have_changed() {
            self.mounts_changed();
        }
        while self.out.len() < BATCH {
            let before = Moment::now();
            let count = match rustix::io::read(&self.group, &mut self.buffer) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.drained(before);
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

    /// The queue was read empty at this moment.
    fn drained(&mut self, at: Moment) {
        self.places.clear();
        self.seen.clear();
        self.in_step = true;
        if std::mem::take(&mut self.overflowed) {
            self.good = self.good.as_set_at(at);
            for root in 0..self.roots.len() {
                self.check_root(root);
                if !self.roots[root].lost && self.options.rescan {
                    self.rescan(root);
                }
            }
        }
        self.good = at;
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
        if directory && went {
            self.tell_itself(&path, Mask::DELETE_SELF);
        }
        if went && now.is_some() || now.is_some() && !is_that {
            // One record may stand for several comings and goings, and be older than what has the name now.
            self.tell(&parent, place.name, Word::said(Mask::DELETE | bit));
            self.tell_present(&parent, place.name, &path);
        } else if directory && came && is_that {
            self.tell(&parent, place.name, Word::said(Mask::CREATE | bit));
            self.tell_contents(&path);
        } else {
            for told in IN_ORDER.into_iter().filter(|told| mask.intersects(*told)) {
                self.tell(&parent, place.name, Word::said(told | bit));
            }
            if went {
                self.tell(&parent, place.name, Word::said(Mask::DELETE | bit));
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
            && self.is_known(source, from.name)
        {
            let cookie = self.cookie();
            self.tell(source, from.name, Word::half(Mask::MOVED_FROM | bit, cookie));
            self.tell(target, to.name, Word::half(Mask::MOVED_TO | bit, cookie));
        } else {
            if directory || !left || !arrived {
                self.in_step = false;
            }
            if let Some(source) = &source {
                self.tell(source, from.name, Word::said(Mask::MOVED_FROM | bit));
            }
            if let (Some(target), Some(new)) = (&target, &new) {
                if directory || !arrived {
                    self.tell(target, to.name, Word::found(Mask::DELETE | bit));
                }
                if arrived {
                    self.tell(target, to.name, Word::said(Mask::MOVED_TO | bit));
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
        if let (Some(new), true) = (&new, directory && arrived) {
            self.tell_itself(new, Mask::MOVE_SELF);
        }
        if let Some(old) = &old {
            self.roots_at(old);
        }
        self.look_for_lost_roots();
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
        let path = self.open_place(named);
        let place = path.map(|path| Place { number: self.number(&path), path });
        if let Some(place) = &place {
            self.seen.insert(place.path.clone());
        }
        self.places.insert(key, place.clone());
        place
    }

    /// The path of a directory on the mount through which it is in a tree that is watched.
    fn open_place(&self, named: &Named<'_>) -> Option<Vec<u8>> {
        let path_on = |mount: BorrowedFd<'_>| {
            let opened = open_handle(mount, named.kind, named.handle).ok()?;
            let path = real_path(&opened).ok()?;
            // Asked afterwards: a directory that still has its name now had it when its path was read.
            rustix::fs::fstat(&opened).is_ok_and(|status| status.st_nlink > 0).then_some(path)
        };
        let mut tried = HashSet::new();
        let mut elsewhere = None;
        for root in self.roots.iter().filter(|root| root.file_system == named.file_system) {
            if tried.insert(root.mount)
                && let Some(path) = path_on(root.held.as_fd())
            {
                if self.roots.iter().any(|root| root.looks_into(&path)) {
                    return Some(path);
                }
                elsewhere.get_or_insert(path);
            }
        }
        let here =
            self.mounts.marked.iter().filter(|(_, mount)| mount.file_system == named.file_system);
        for (at, _) in here {
            // What was unmounted this moment is told when the table is read.
            if let Ok(opened) = mounts::open(at)
                && let Some(path) = path_on(opened.as_fd()).filter(|path| is_within(path, at))
            {
                return Some(path);
            }
        }
        elsewhere
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
