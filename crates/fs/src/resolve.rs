//! From a checked path to a descriptor, without ever leaving the anchor or walking through a planted link.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, openat,
    openat2, readlinkat,
};
use rustix::io::Errno;

use crate::Root;

/// What becomes of a symbolic link among the directories of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Links {
    /// It is refused (`ELOOP`).
    #[default]
    Refuse,
    /// It is followed if it is relative and stays beneath the root (-K, --no-implied-dirs, a daemon's -L), else refused.
    Beneath,
    /// It is followed, whoever made it and wherever it leads (--insecure-links; a source the operator named).
    Follow,
}

/// How confined paths are resolved. Both ways give the same results; the walk is for kernels and sandboxes without `openat2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Resolver {
    /// `openat2` while the kernel offers it, else the walk.
    #[default]
    Automatic,
    /// Component by component, on held descriptors.
    Walk,
}

/// Directories are held for searching only: they need not be readable.
pub(crate) const HOLD: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const PEEK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// As many expansions as the kernel itself allows.
const MAX_EXPANSIONS: u32 = 40;

/// Longer paths cannot be given to a system call in one piece.
const PATH_MAX: usize = 4096;

/// Opens the object at `path` beneath `anchor`. A link in the last place is treated like the others, unless `flags`
/// hold `NOFOLLOW`.
pub(crate) fn open_beneath(
    anchor: BorrowedFd<'_>,
    path: &[u8],
    links: Links,
    flags: OFlags,
    resolver: Resolver,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    if links == Links::Follow && path.len() < PATH_MAX {
        return openat(anchor, path, flags, Mode::empty());
    }
    if resolver == Resolver::Automatic
        && path.len() < PATH_MAX
        && !NO_OPENAT2.load(Ordering::Relaxed)
    {
        let mut how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if links == Links::Refuse {
            how |= ResolveFlags::NO_SYMLINKS;
        }
        match openat2(anchor, path, flags, Mode::empty(), how) {
            // The kernel's word for leaving the anchor.
            Err(Errno::XDEV) => return Err(Errno::LOOP),
            Err(Errno::NOSYS | Errno::PERM) => {
                if openat2_is_absent(anchor) {
                    NO_OPENAT2.store(true, Ordering::Relaxed);
                }
            }
            // A rename elsewhere made the kernel unsure about a `..`; the walk holds the parents itself.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    let rule = match links {
        Links::Refuse => LinkRule::Refuse,
        Links::Beneath => LinkRule::Follow,
        Links::Follow => return openat_long(anchor, path, flags),
    };
    let walk =
        Walk { boundary: Some(anchor), rule, expand_last: !flags.contains(OFlags::NOFOLLOW) };
    let spot = walk.run(anchor, path)?;
    spot.open(flags, Mode::empty())
}

/// Set once `openat2` has proved to be missing or forbidden.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// `EPERM` may also be about the file: ask about something that cannot fail otherwise.
fn openat2_is_absent(anchor: BorrowedFd<'_>) -> bool {
    let how = ResolveFlags::BENEATH;
    matches!(openat2(anchor, c".", HOLD, Mode::empty(), how), Err(Errno::NOSYS | Errno::PERM))
}

/// Plain following for a path that is too long for one call: its directories are entered one by one.
fn openat_long(anchor: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let (parents, leaf) = match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    let enter = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(anchor, c".", enter, Mode::empty())?;
    for part in parents.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        directory = openat(&directory, part, enter, Mode::empty())?;
    }
    openat(&directory, leaf, flags, Mode::empty())
}

/// Whose links an operator's path may pass.
#[derive(Clone, Copy, Debug, Default)]
pub enum Trust<'a> {
    /// Links of root and of ourselves; any other gives `ELOOP` (behaviour.md 21.2).
    #[default]
    Owners,
    /// The same, and what the path leads to must lie in this directory (--confine-root): `ELOOP` else.
    OwnersWithin(&'a Root),
    /// Everybody's: --insecure-links, and source arguments, which are read by the operator's wish.
    Everyone,
}

/// Finds the directory and last component that the operator's `path` means, links in the last place expanded. With
/// `below`, the path and every link on it stay beneath `start`.
pub(crate) fn find_operator_path(
    start: BorrowedFd<'_>,
    path: &[u8],
    trust: Trust<'_>,
    below: bool,
) -> Result<Spot, Errno> {
    let rule = match trust {
        Trust::Owners | Trust::OwnersWithin(_) => {
            LinkRule::Owners(rustix::process::geteuid().as_raw())
        }
        Trust::Everyone => LinkRule::Follow,
    };
    Walk { boundary: below.then_some(start), rule, expand_last: true }.run(start, path)
}

/// Opens the directory that the operator's `path` means, for searching.
pub(crate) fn open_operator_directory(
    start: BorrowedFd<'_>,
    path: &[u8],
    trust: Trust<'_>,
    below: bool,
) -> Result<OwnedFd, Errno> {
    let spot = find_operator_path(start, path, trust, below)?;
    let directory = spot.open(OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    trust.admits(&directory)?;
    Ok(directory)
}

impl Trust<'_> {
    /// Refuses work in a directory outside the one the operator is confined to.
    pub(crate) fn admits(self, directory: &OwnedFd) -> Result<(), Errno> {
        match self {
            Self::OwnersWithin(top) if !is_beneath(directory.as_fd(), top.top().as_fd())? => {
                Err(Errno::LOOP)
            }
            _ => Ok(()),
        }
    }
}

/// Does `directory` lie beneath `top`, or is it the same? Climbs with `..` on descriptors.
pub(crate) fn is_beneath(directory: BorrowedFd<'_>, top: BorrowedFd<'_>) -> Result<bool, Errno> {
    let identity = |fd: BorrowedFd<'_>| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let wanted = identity(top)?;
    let mut current = openat(directory, c".", HOLD, Mode::empty())?;
    let mut here = identity(current.as_fd())?;
    loop {
        if here == wanted {
            return Ok(true);
        }
        current = openat(&current, c"..", HOLD, Mode::empty())?;
        let above = identity(current.as_fd())?;
        // Only the root is its own parent.
        if above == here {
            return Ok(false);
        }
        here = above;
    }
}

/// Where a path ended: a held directory, and a last component in it that was no link when we looked, or is missing.
pub(crate) struct Spot {
    pub(crate) directory: OwnedFd,
    /// None when the path means the directory itself (`.`, `..`, `/`, a trailing slash).
    pub(crate) name: Option<Vec<u8>>,
    /// The last component is a link in `/proc`, which only the kernel can follow: `/dev/stdin`, `<(command)`.
    by_kernel: bool,
}

impl Spot {
    pub(crate) fn leaf(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(b".")
    }

    /// Opens what is there, or creates it; a link that was no link when we looked is refused.
    pub(crate) fn open(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let follow = if self.by_kernel { OFlags::empty() } else { OFlags::NOFOLLOW };
        openat(&self.directory, self.leaf(), flags | follow | OFlags::CLOEXEC, mode)
    }
}

enum LinkRule {
    Refuse,
    Follow,
    /// Only links of root and of this user.
    Owners(u32),
}

/// A walk, component by component, on held descriptors.
struct Walk<'a> {
    /// The directory that may not be left; none for an operator's path.
    boundary: Option<BorrowedFd<'a>>,
    rule: LinkRule,
    expand_last: bool,
}

impl Walk<'_> {
    fn run(&self, start: BorrowedFd<'_>, path: &[u8]) -> Result<Spot, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let mut pending = VecDeque::new();
        let mut here = Descent::at(openat(start, c".", HOLD, Mode::empty())?);
        here = self.splice(here, &mut pending, path)?;
        let mut expansions = 0;
        while let Some(part) = pending.pop_front() {
            match part.as_slice() {
                b"." => continue,
                b".." => {
                    self.climb(&mut here)?;
                    continue;
                }
                _ => {}
            }
            let last = pending.is_empty();
            let object = match openat(here.fd(), part.as_slice(), PEEK, Mode::empty()) {
                Ok(object) => object,
                Err(Errno::NOENT) if last => return Ok(here.spot(Some(part))),
                Err(errno) => return Err(errno),
            };
            let stat = fstat(&object)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if !last || self.expand_last => {
                    expansions += 1;
                    let allowed = match self.rule {
                        LinkRule::Refuse => false,
                        LinkRule::Follow => true,
                        LinkRule::Owners(me) => stat.st_uid == 0 || stat.st_uid == me,
                    };
                    if !allowed || expansions > MAX_EXPANSIONS {
                        return Err(Errno::LOOP);
                    }
                    // What such a link says is no path.
                    if self.boundary.is_none() && fstatfs(&object)?.f_type == PROC_SUPER_MAGIC {
                        if last {
                            return Ok(Spot { by_kernel: true, ..here.spot(Some(part)) });
                        }
                        let enter = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                        let target = openat(here.fd(), part.as_slice(), enter, Mode::empty())?;
                        here = Descent::at(target);
                        continue;
                    }
                    // Read from the inode just checked, not through its name again.
                    let target = readlinkat(&object, c"", Vec::new())?;
                    if target.to_bytes().is_empty() {
                        return Err(Errno::NOENT);
                    }
                    here = self.splice(here, &mut pending, target.to_bytes())?;
                }
                _ if last => return Ok(here.spot(Some(part))),
                FileType::Directory => here.enter(object, self.may_climb()),
                _ => return Err(Errno::NOTDIR),
            }
        }
        Ok(here.spot(None))
    }

    /// Puts the components of `text` before the pending ones; an absolute text starts again at the top.
    fn splice(
        &self,
        here: Descent,
        pending: &mut VecDeque<Vec<u8>>,
        text: &[u8],
    ) -> Result<Descent, Errno> {
        let parts: Vec<_> =
            text.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        // A trailing slash demands a directory, as `.` does.
        if text.ends_with(b"/") && !parts.is_empty() && pending.is_empty() {
            pending.push_front(b".".to_vec());
        }
        for part in parts.into_iter().rev() {
            pending.push_front(part.to_vec());
        }
        if !text.starts_with(b"/") {
            return Ok(here);
        }
        if self.boundary.is_some() {
            return Err(Errno::LOOP);
        }
        Ok(Descent::at(openat(CWD, c"/", HOLD, Mode::empty())?))
    }

    /// Only a link's target can hold a `..`, and only at a boundary may the parent not be looked up again.
    fn may_climb(&self) -> bool {
        self.boundary.is_some() && !matches!(self.rule, LinkRule::Refuse)
    }

    fn climb(&self, here: &mut Descent) -> Result<(), Errno> {
        match (self.boundary, here.parents.pop()) {
            (_, Some(parent)) => here.current = parent,
            (Some(_), None) => return Err(Errno::LOOP),
            (None, None) => here.current = openat(here.fd(), c"..", HOLD, Mode::empty())?,
        }
        Ok(())
    }
}

/// The directory a walk is in and, where it must not be left, the held directories above it.
struct Descent {
    current: OwnedFd,
    parents: Vec<OwnedFd>,
}

impl Descent {
    fn at(current: OwnedFd) -> Self {
        Self { current, parents: Vec::new() }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.current.as_fd()
    }

    fn enter(&mut self, directory: OwnedFd, remember: bool) {
        let parent = std::mem::replace(&mut self.current, directory);
        if remember {
            self.parents.push(parent);
        }
    }

    fn spot(self, name: Option<Vec<u8>>) -> Spot {
        Spot { directory: self.current, name, by_kernel: false }
    }
}

/// `fstatat` flags for an object's own record.
pub(crate) const SELF: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
