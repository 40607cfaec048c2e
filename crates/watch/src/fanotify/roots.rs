//! The roots, and what is mounted below them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use syncline_sys::fanotify::{FAN_ONDIR, FAN_RENAME, handle_of, open_handle};

use super::memory::Folder;
use super::mounts::{self, FileSystem, Mount};
use super::tell::Word;
use super::{
    Fanotify, Place, below, errno_of, is_within, join_absolute, kind_at, parent_of, real_path,
};
use crate::error::Error;
use crate::mask::Mask;
use crate::notice::{Lost, Notice};
use crate::options::{Backend, Root, RootId};
use crate::scan::{self, Kind};

/// How often a lost root is looked for.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct RootState {
    path: PathBuf,
    /// The path without links, as the kernel spells it; for a single file, the file's.
    pub(super) real: Vec<u8>,
    pub(super) recursive: bool,
    pub(super) directory: bool,
    /// The root, or for a file its directory: also the mount through which handles are opened.
    pub(super) held: OwnedFd,
    pub(super) file_system: FileSystem,
    /// The number of that mount.
    pub(super) mount: u64,
    pub(super) lost: bool,
    /// What is known of it, when names are to be remembered.
    pub(super) memory: Option<Folder>,
}

impl RootState {
    /// Whether what happens in a directory is told under this root.
    pub(super) fn looks_into(&self, directory: &[u8]) -> bool {
        is_within(directory, &self.real) || !self.directory && directory == parent_of(&self.real)
    }
}

impl Fanotify {
    /// The roots as they were asked for.
    pub(crate) fn asked(&self) -> Vec<Root> {
        let asked = |root: &RootState| Root { path: root.path.clone(), recursive: root.recursive };
        self.roots.iter().map(asked).collect()
    }

    pub(crate) fn roots(&self) -> Vec<(RootId, Vec<u8>)> {
        let attached = self.roots.iter().enumerate().filter(|(_, root)| !root.lost);
        attached.map(|(id, _)| (RootId(id as u32), Vec::new())).collect()
    }

    /// Every directory of the trees, with the number that its events carry.
    pub(crate) fn places(&mut self) -> Vec<(i64, RootId, Vec<u8>)> {
        let mut all = Vec::new();
        for id in 0..self.roots.len() {
            let mut directories = vec![Vec::new()];
            let recursive = self.roots[id].recursive;
            self.walk(id, |directory, name, is_directory| {
                if is_directory && recursive {
                    directories.push(crate::notice::join(directory, name));
                }
            });
            for directory in directories {
                let real = &self.roots[id].real;
                let path = if directory.is_empty() {
                    real.clone()
                } else {
                    join_absolute(real, &directory)
                };
                all.push((self.number(&path), RootId(id as u32), directory));
            }
        }
        all
    }

    /// Watches a root. The mark is made before anything else, so that nothing is missed from here on.
    pub(crate) fn add(&mut self, root: &Root) -> Result<RootId, Error> {
        let fail = |errno| Error::Watch { path: root.path.clone(), errno };
        let stat = |flags| rustix::fs::statat(CWD, &root.path, flags);
        let followed = stat(AtFlags::empty());
        let leads_to_directory =
            followed.as_ref().is_ok_and(|status| scan::kind(status) == Kind::Directory);
        // A link to a directory is entered when everything below is asked for.
        let itself = self.options.watch_links && !(root.recursive && leads_to_directory);
        let status = if itself { stat(AtFlags::SYMLINK_NOFOLLOW) } else { followed };
        let status = status.map_err(fail)?;
        let directory = scan::kind(&status) == Kind::Directory;
        let state = Self::open_root(root, directory).map_err(fail)?;
        self.mark(state.held.as_fd())
            .map_err(|errno| Error::Fanotify { path: root.path.clone(), errno })?;
        self.roots.push(state);
        for (path, errno) in self.follow_mounts().refused {
            if self.options.backend == Backend::Auto {
                self.roots.pop();
                return Err(Error::Fanotify { path: OsStr::from_bytes(&path).into(), errno });
            }
            self.tell_refused(&path, errno);
        }
        let id = self.roots.len() - 1;
        if self.options.remember_names {
            self.remember(id);
        }
        Ok(RootId(id as u32))
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
        let file_system = mounts::file_system(held.as_fd())?;
        let status = rustix::fs::statx(&held, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(RootState {
            path: root.path.clone(),
            real,
            recursive: root.recursive && directory,
            directory,
            held,
            file_system,
            mount: status.stx_mnt_id,
            lost: false,
            memory: None,
        })
    }

    /// Asks for the events of a file system.
    fn mark(&self, held: BorrowedFd<'_>) -> Result<(), Errno> {
        let wanted = self.options.mask | Mask::CREATE | Mask::DELETE;
        let named = (wanted & Mask::ALL).without(Mask::MOVE | Mask::DELETE_SELF | Mask::MOVE_SELF);
        let mask = u64::from(named.bits()) | FAN_RENAME | FAN_ONDIR;
        self.group.mark_file_system(mask, held).map_err(|error| errno_of(&error))?;
        // A mark is of no use when the handles it reports cannot be opened.
        let (kind, handle) = handle_of(held).map_err(|error| errno_of(&error))?;
        open_handle(held, kind, &handle).map_err(|error| errno_of(&error))?;
        Ok(())
    }

    /// Marks what is mounted below the roots and forgets what is not any more.
    fn follow_mounts(&mut self) -> Followed {
        let mut followed = Followed::default();
        let present = mounts::present();
        let is_same = |path: &Vec<u8>, mount: &Mount| present.get(path) == Some(&mount.number);
        self.mounts.marked.retain(|path, mount| {
            let same = is_same(path, mount);
            if !same {
                followed.changed.push(path.clone());
            }
            same
        });
        for (path, number) in present {
            let is_root = self.roots.iter().any(|root| root.real == path);
            if is_root || self.mounts.marked.contains_key(&path) || !self.is_in_a_tree(&path) {
                continue;
            }
            let made = mounts::open(&path).and_then(|opened| {
                let file_system = mounts::file_system(opened.as_fd())?;
                let refused = self.mark(opened.as_fd()).err();
                Ok((Mount { number, file_system }, refused))
            });
            // A file mounted over a file is no directory, and what cannot be opened is gone again.
            let Ok((mount, refused)) = made else { continue };
            followed.refused.extend(refused.map(|errno| (path.clone(), errno)));
            self.mounts.marked.insert(path.clone(), mount);
            followed.changed.push(path);
        }
        followed
    }

    fn tell_refused(&mut self, path: &[u8], errno: Errno) {
        for (id, root) in self.roots.iter().enumerate() {
            if let Some(below) = below(path, &root.real).filter(|_| root.recursive) {
                self.out.push_back(Notice::Unwatched {
                    root: RootId(id as u32),
                    path: below.to_vec(),
                    errno: errno.raw_os_error(),
                });
            }
        }
    }
    /// Something was mounted or unmounted: whatever is there now takes the place of what was.
    pub(super) fn mounts_changed(&mut self) {
        self.places.clear();
        for id in 0..self.roots.len() {
            self.check_root(id);
        }
        let followed = self.follow_mounts();
        for (path, errno) in &followed.refused {
            self.tell_refused(path, *errno);
        }
        for path in followed.changed {
            let above = parent_of(&path).to_vec();
            let parent = Place { number: self.number(&above), path: above };
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            self.tell(&parent, name, Word::found(Mask::DELETE | Mask::IS_DIR));
            self.tell_present(&parent, name, &path);
        }
        self.look_for_lost_roots();
    }

    /// Something left `path`: roots there or below may be lost.
    pub(super) fn roots_at(&mut self, path: &[u8]) {
        for root in 0..self.roots.len() {
            if below(&self.roots[root].real, path).is_some() {
                self.check_root(root);
            }
        }
    }

    pub(super) fn check_root(&mut self, id: usize) {
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
    pub(super) fn look_for_lost_roots(&mut self) {
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
            let remembers = self.roots[id].memory.is_some();
            self.roots[id] = state;
            self.roots[id].memory = remembers.then(Folder::default);
            self.out.push_back(Notice::RootBack { root: RootId(id as u32) });
            if directory {
                self.tell_contents(&real);
            } else {
                let parent = Place {
                    number: self.number(parent_of(&real)),
                    path: parent_of(&real).to_vec(),
                };
                let name = real.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
                self.tell(&parent, &name, Word::found(Mask::CREATE));
            }
        }
    }
}

/// What came of a look at the mounts.
#[derive(Default)]
struct Followed {
    /// Where something else is now.
    changed: Vec<Vec<u8>>,
    /// What could not be marked.
    refused: Vec<(Vec<u8>, Errno)>,
}
