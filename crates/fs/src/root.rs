use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, mkdirat, openat, statat};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::fake::may_be_faked;
use crate::resolve::{self, Links, Resolver, SELF, Trust, open_beneath};
use crate::{Kind, Object, Place, RelPath, RelPathBuf, Stat};

/// A directory held open, under which all work is done: the top of a transfer, a module, a backup directory.
///
/// Names beneath it are [`RelPath`]s, resolved without leaving it. The descriptors of directories used lately are kept,
/// so that a run over a tree opens each directory once. What is held keeps meaning the same inode, whatever happens to
/// its name.
#[derive(Debug)]
pub struct Root {
    top: Dir,
    /// With [`Links::Beneath`] a link may also lead outside of `top`, as long as it stays beneath this directory; with
    /// the path from there to `top`.
    boundary: Option<(Dir, RelPathBuf)>,
    links: Links,
    resolver: Resolver,
    held: Mutex<Held>,
}

impl Root {
    /// Opens the operator's `path`, relative to the working directory or absolute.
    pub fn open(path: &Path, trust: Trust<'_>) -> Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let open = || match trust {
            Trust::Everyone => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                openat(CWD, path, flags, Mode::empty())
            }
            trust => resolve::open_operator_directory(CWD, bytes, trust, false),
        };
        open().map(Self::from_fd).context(Op::ChangeDirectory, bytes)
    }

    /// Opens the operator's `path`, and creates it with its missing parents (0777 less umask) where it is not there.
    pub fn create(path: &Path, trust: Trust<'_>) -> Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let length = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            done += length;
            // The part so far, without the slash behind it; an absolute path's first part is empty.
            let so_far = &bytes[..done];
            done += 1;
            if length == 0 {
                continue;
            }
            let make = || {
                let spot = resolve::find_operator_path(CWD, so_far, trust, false)?;
                match spot.name {
                    Some(name) if statat(&spot.directory, name.as_slice(), SELF).is_err() => {
                        trust.admits(&spot.directory)?;
                        mkdirat(&spot.directory, name.as_slice(), Mode::from_raw_mode(0o777))
                    }
                    _ => Ok(()),
                }
            };
            match make() {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::new(Op::MakeDirectory, so_far, errno)),
            }
        }
        Self::open(path, trust)
    }

    /// A root on a directory that is open already, such as a module pinned before privileges were dropped.
    pub fn from_fd(directory: OwnedFd) -> Self {
        Self {
            top: Dir::held(directory),
            boundary: None,
            links: Links::default(),
            resolver: Resolver::default(),
            held: Mutex::default(),
        }
    }

    /// A root at `path` beneath this one; links on the way, the last place included, are treated as `links` says.
    /// It inherits the resolver and what is stored for --fake-super, nothing else.
    pub fn descend(&self, path: RelPath<'_>, links: Links) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = open_beneath(self.top.as_fd(), path.as_bytes(), links, flags, self.resolver)
            .context(Op::ChangeDirectory, path.as_bytes())?;
        Ok(self.like(fd))
    }

    /// A root at `path` beneath this one, whose links may lead anywhere beneath this one: a source inside of a daemon's
    /// module.
    pub fn descend_within(&self, path: RelPath<'_>) -> Result<Self> {
        let root = self.descend(path, Links::Beneath)?.with_links(Links::Beneath);
        Ok(Self { boundary: Some((self.top.clone(), path.to_owned())), ..root })
    }

    /// A root at a directory that a *peer* named as an option (--backup-dir and its kin, behaviour.md 21.5), brought
    /// beneath this root by [`RelPathBuf::sanitize`](crate::RelPathBuf::sanitize): links on it must be trusted and stay
    /// inside.
    pub fn descend_peer_option(&self, path: RelPath<'_>, trust: Trust<'_>) -> Result<Self> {
        let fd = resolve::open_operator_directory(self.top.as_fd(), path.as_bytes(), trust, true)
            .context(Op::ChangeDirectory, path.as_bytes())?;
        Ok(self.like(fd))
    }

    fn like(&self, directory: OwnedFd) -> Self {
        Self::from_fd(directory).with_resolver(self.resolver).with_fake_super(self.top.fakes)
    }

    /// Says what becomes of links among the directories of a path; refused by default.
    pub fn with_links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Makes stored values take the place of real ones in everything beneath (--fake-super, behaviour.md 14.7): owners,
    /// modes, devices and links are read from and kept in extended attributes of plain files and directories.
    pub fn with_fake_super(mut self, fakes: bool) -> Self {
        self.top.fakes = fakes;
        self
    }

    /// Chooses how paths are resolved.
    pub fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// The root's own directory.
    pub fn top(&self) -> &Dir {
        &self.top
    }

    /// Is this root inside `other`, or the same? (--confine-root)
    pub fn is_beneath(&self, other: &Root) -> Result<bool> {
        resolve::is_beneath(self.top.as_fd(), other.top.as_fd())
            .context(Op::ChangeDirectory, RelPath::ROOT.as_bytes())
    }

    /// The directory at `path`, held for searching.
    pub fn directory(&self, path: RelPath<'_>) -> Result<Dir> {
        if path.is_root() {
            return Ok(self.top.clone());
        }
        if let Some(found) = self.held().find(path.as_bytes()) {
            return Ok(found);
        }
        let fd = self.open_directory(path).context(Op::ChangeDirectory, path.as_bytes())?;
        let directory = Dir::held(fd).faking(self.top.fakes);
        self.held().insert(path.as_bytes(), directory.clone());
        Ok(directory)
    }

    /// The place `path` stands for: its directory, held, and its name in there. The object need not exist.
    pub fn place<'a>(&self, path: RelPath<'a>) -> Result<Place<'a>> {
        Ok(Place::new(self.directory(path.parent())?, path))
    }

    /// Forgets held directories at and below `path`: call it after a directory, or a link that was followed, was
    /// renamed, replaced or removed by other means than [`Root::remove_directory`] and [`Root::remove_tree`].
    pub fn forget(&self, path: RelPath<'_>) {
        self.held().forget(path);
    }

    /// The record of what `path` leads to, following a link in the last place as the root's rule for links allows.
    pub fn stat_following(&self, path: RelPath<'_>) -> Result<Stat> {
        let real = self
            .open_following(path, OFlags::PATH)
            .and_then(|fd| fstat(&fd))
            .map(Stat::from)
            .context(Op::Stat, path.as_bytes())?;
        if !self.top.fakes || !may_be_faked(&real) {
            return Ok(real);
        }
        // What is stored needs a descriptor that can be read from.
        match self.open_following(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC) {
            Ok(fd) => Object::open(&File::from(fd), path).faking(true).stat(),
            Err(_) => Ok(real),
        }
    }

    /// The same where the directory above is open. Links may lead in circles: what leads there is not counted again if
    /// they may lead anywhere.
    pub fn stat_following_in(&self, directory: &Dir, path: RelPath<'_>) -> Result<Stat> {
        match self.stat_following(path) {
            Err(error) if error.errno() == Some(Errno::LOOP) && self.links == Links::Follow => {
                let found = statat(directory, path.leaf(), AtFlags::empty());
                found.map(Stat::from).context(Op::Stat, path.as_bytes())
            }
            found => found,
        }
    }

    /// Opens a directory for listing, following a link in the last place as the root's rule for links allows.
    pub fn open_directory_following(&self, path: RelPath<'_>) -> Result<Dir> {
        self.open_following(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map(|fd| Dir::readable(fd).faking(self.top.fakes))
            .context(Op::OpenDirectory, path.as_bytes())
    }

    pub(crate) fn open_following(
        &self,
        path: RelPath<'_>,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        self.open_by_links(path, flags)
    }

    fn open_by_links(&self, path: RelPath<'_>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let (top, links) = (self.top.as_fd(), self.links);
        let opened = open_beneath(top, path.as_bytes(), links, flags, self.resolver);
        match (&self.boundary, opened) {
            // A link has led out of the top: once more from the boundary.
            (Some((outer, above)), Err(Errno::LOOP)) if links == Links::Beneath => {
                let mut whole = above.as_bytes().to_vec();
                whole.push(b'/');
                whole.extend_from_slice(path.as_bytes());
                open_beneath(outer.as_fd(), &whole, links, flags, self.resolver)
            }
            (_, opened) => opened,
        }
    }

    /// From the nearest held directory if links cannot make a difference, else from the top.
    fn open_directory(&self, path: RelPath<'_>) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        if self.links == Links::Refuse {
            let parent = path.parent();
            let found = if parent.is_root() { None } else { self.held().find(parent.as_bytes()) };
            if let Some(parent) = found {
                let rule = Links::Refuse;
                return open_beneath(parent.as_fd(), path.leaf(), rule, flags, self.resolver);
            }
        }
        self.open_by_links(path, flags)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        // The table is consistent between any two statements: a panic elsewhere does not spoil it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open directory; cloning shares the descriptor.
#[derive(Clone, Debug)]
pub struct Dir {
    open: Arc<Open>,
    /// Stored values count (--fake-super).
    fakes: bool,
}

#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    /// The descriptor may list, and has not: whoever takes this may do so without opening another.
    unlisted: AtomicBool,
}

impl Dir {
    /// A directory held for searching.
    pub(crate) fn held(fd: OwnedFd) -> Self {
        Self { open: Arc::new(Open { fd, unlisted: AtomicBool::new(false) }), fakes: false }
    }

    /// A directory opened for listing.
    pub(crate) fn readable(fd: OwnedFd) -> Self {
        Self { open: Arc::new(Open { fd, unlisted: AtomicBool::new(true) }), fakes: false }
    }

    pub(crate) fn faking(self, fakes: bool) -> Self {
        Self { fakes, ..self }
    }

    /// Do stored values take the place of real ones in here? See [`Root::with_fake_super`].
    pub(crate) fn fakes(&self) -> bool {
        self.fakes
    }

    pub(crate) fn take_listing(&self) -> bool {
        self.open.unlisted.swap(false, Ordering::Relaxed)
    }

    /// The place of `path`'s last component in this directory; `path` is what errors will name.
    pub fn place<'a>(&self, path: RelPath<'a>) -> Place<'a> {
        Place::new(self.clone(), path)
    }

    /// The directory's own record.
    pub fn stat(&self, path: RelPath<'_>) -> Result<Stat> {
        if self.fakes {
            return self.place(RelPath::ROOT).stat().map_err(|error| error.on(path));
        }
        fstat(self).map(Stat::from).context(Op::Stat, path.as_bytes())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.fd.as_fd()
    }
}

/// Opens a file the operator named (list, rule, secret, batch file) for reading: a regular file, fifo or terminal as it
/// comes, reached by trusted links only.
pub fn open_operator_file(path: &Path, trust: Trust<'_>) -> Result<File> {
    open_trusted(CWD, path.as_os_str().as_bytes(), trust, false, OFlags::empty())
}

/// Opens a file the operator named (log, batch) for writing, appending if `append`, else emptied; created with `mode`
/// less umask where it is missing.
pub fn create_operator_file(
    path: &Path,
    trust: Trust<'_>,
    append: bool,
    mode: u32,
) -> Result<File> {
    let how = if append { OFlags::APPEND } else { OFlags::TRUNC };
    let bytes = path.as_os_str().as_bytes();
    let open = || {
        let spot = resolve::find_operator_path(CWD, bytes, trust, false)?;
        trust.admits(&spot.directory)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOCTTY | how;
        spot.open(flags, Mode::from_raw_mode(mode))
    };
    open().map(File::from).context(Op::Open, bytes)
}

impl Root {
    /// Opens a rule file found in the tree (a per-directory merge file): trusted links are followed, wherever they
    /// lead. It must be a regular file; opening never blocks.
    pub fn open_rule_file(&self, path: RelPath<'_>, trust: Trust<'_>) -> Result<File> {
        self.open_regular(path, trust, false)
    }

    /// Opens a file that a *peer* named as an option or in a rule: trusted links are followed as long as they stay
    /// beneath this root. It must be a regular file; opening never blocks.
    pub fn open_peer_file(&self, path: RelPath<'_>, trust: Trust<'_>) -> Result<File> {
        self.open_regular(path, trust, true)
    }

    fn open_regular(&self, path: RelPath<'_>, trust: Trust<'_>, below: bool) -> Result<File> {
        let (top, bytes) = (self.top.as_fd(), path.as_bytes());
        let file = open_trusted(top, bytes, trust, below, OFlags::NONBLOCK)?;
        match fstat(&file).map(Stat::from).context(Op::Stat, bytes)?.kind() {
            Kind::File => Ok(file),
            kind => Err(Error::NotRegular { path: bytes.into(), kind }),
        }
    }
}

fn open_trusted(
    start: BorrowedFd<'_>,
    path: &[u8],
    trust: Trust<'_>,
    below: bool,
    how: OFlags,
) -> Result<File> {
    let open = || {
        let spot = resolve::find_operator_path(start, path, trust, below)?;
        trust.admits(&spot.directory)?;
        spot.open(OFlags::RDONLY | OFlags::NOCTTY | how, Mode::empty())
    };
    open().map(File::from).context(Op::Open, path)
}

/// The directories used lately, by path.
#[derive(Debug, Default)]
struct Held {
    directories: HashMap<Box<[u8]>, (Dir, u64)>,
    clock: u64,
}

impl Held {
    /// Work goes down a tree in order, so few are needed at a time; and a job with twenty basis directories, each a
    /// root of its own, must fit into the usual limit of 1024 descriptors.
    const MOST: usize = 32;

    fn find(&mut self, path: &[u8]) -> Option<Dir> {
        self.clock += 1;
        let (directory, used) = self.directories.get_mut(path)?;
        *used = self.clock;
        Some(directory.clone())
    }

    fn insert(&mut self, path: &[u8], directory: Dir) {
        if self.directories.len() >= Self::MOST {
            let mut ages: Vec<u64> = self.directories.values().map(|(_, used)| *used).collect();
            let (_, median, _) = ages.select_nth_unstable(Self::MOST / 2);
            let oldest_kept = *median;
            self.directories.retain(|_, (_, used)| *used >= oldest_kept);
        }
        self.clock += 1;
        self.directories.insert(path.into(), (directory, self.clock));
    }

    fn forget(&mut self, path: RelPath<'_>) {
        self.directories
            .retain(|held, _| RelPath::new(held).is_ok_and(|held| !held.starts_with(path)));
    }
}
