use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fstat, linkat, makedev, mkdirat, mknodat, openat,
    readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::resolve::SELF;
use crate::{Device, Dir, Kind, Object, RelPath, Stat};

/// A name in a directory that is held open: where an object is, or could be.
///
/// No operation follows a link in the name. The directory stays the inode it was when the place was made, so a parent
/// that is swapped meanwhile leads nowhere else.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    directory: Dir,
    path: RelPath<'a>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(directory: Dir, path: RelPath<'a>) -> Self {
        Self { directory, path }
    }

    /// The path it was made from.
    pub fn path(&self) -> RelPath<'a> {
        self.path
    }

    /// The held directory.
    pub fn directory(&self) -> &Dir {
        &self.directory
    }

    /// The place of another name in the same directory; `path` is what errors will name.
    pub fn sibling<'b>(&self, path: RelPath<'b>) -> Place<'b> {
        Place::new(self.directory.clone(), path)
    }

    /// The object's record; a link's own for a link.
    pub fn stat(&self) -> Result<Stat> {
        let real = self.real_stat()?;
        if self.directory.fakes() { Object::from(self).faked(real) } else { Ok(real) }
    }

    /// What the system says, whatever is stored.
    pub(crate) fn real_stat(&self) -> Result<Stat> {
        statat(&self.directory, self.leaf(), SELF).map(Stat::from).context(Op::Stat, self.bytes())
    }

    /// The object's record, or none if nothing is there.
    pub fn stat_if_present(&self) -> Result<Option<Stat>> {
        match self.stat() {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A symbolic link's target.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        match readlinkat(&self.directory, self.leaf(), Vec::new()) {
            Err(Errno::INVAL) if self.directory.fakes() => self.read_faked_link(),
            result => result.map(std::ffi::CString::into_bytes).context(Op::ReadLink, self.bytes()),
        }
    }

    /// The target of a link as links are kept here: with --fake-super a real link is none.
    pub fn read_kept_link(&self) -> Result<Vec<u8>> {
        if self.directory.fakes() { self.read_faked_link() } else { self.read_link() }
    }

    /// Creates a directory with `mode` less umask.
    pub fn make_directory(&self, mode: u32) -> Result<()> {
        mkdirat(&self.directory, self.leaf(), Mode::from_raw_mode(mode & 0o7777))
            .context(Op::MakeDirectory, self.bytes())
    }

    /// Makes sure that a directory is there: anything else of that name, a link to a directory too, is removed first
    /// (a partial directory, behaviour.md 12.1).
    pub fn ensure_directory(&self, mode: u32) -> Result<()> {
        match self.stat_if_present()? {
            Some(stat) if stat.is_dir() => return Ok(()),
            Some(_) => self.unlink_if_present()?,
            None => {}
        }
        match self.make_directory(mode) {
            Err(error) if error.errno() == Some(Errno::EXIST) && self.stat()?.is_dir() => Ok(()),
            result => result,
        }
    }

    /// Creates what `object` describes; nothing may be there yet.
    pub fn create(&self, object: &NewObject<'_>) -> Result<()> {
        if self.directory.fakes() && !matches!(object, NewObject::HardLink { .. }) {
            return self.create_faked(object);
        }
        match *object {
            NewObject::Symlink { target } => {
                symlinkat(target, &self.directory, self.leaf()).context(Op::Symlink, self.bytes())
            }
            NewObject::Node { kind, mode, device } => mknodat(
                &self.directory,
                self.leaf(),
                kind.file_type(),
                Mode::from_raw_mode(mode & 0o7777),
                makedev(device.major, device.minor),
            )
            .context(Op::MakeNode, self.bytes()),
            NewObject::HardLink { to } => {
                linkat(&to.directory, to.leaf(), &self.directory, self.leaf(), AtFlags::empty())
                    .context(Op::Link, self.bytes())
            }
        }
    }

    /// Renames the object to `target`, replacing what is there in one step.
    pub fn rename_to(&self, target: &Place<'_>) -> Result<()> {
        renameat(&self.directory, self.leaf(), &target.directory, target.leaf())
            .context(Op::Rename, self.bytes())
    }

    /// Renames the object to `target` unless something is there (`EEXIST`).
    pub fn rename_to_vacant(&self, target: &Place<'_>) -> Result<()> {
        let flags = RenameFlags::NOREPLACE;
        renameat_with(&self.directory, self.leaf(), &target.directory, target.leaf(), flags)
            .context(Op::Rename, self.bytes())
    }

    /// Exchanges the two objects in one step.
    pub fn exchange_with(&self, other: &Place<'_>) -> Result<()> {
        let flags = RenameFlags::EXCHANGE;
        renameat_with(&self.directory, self.leaf(), &other.directory, other.leaf(), flags)
            .context(Op::Rename, self.bytes())
    }

    /// Removes the object, which must not be a directory; a link itself, never what it leads to.
    pub fn unlink(&self) -> Result<()> {
        unlinkat(&self.directory, self.leaf(), AtFlags::empty()).context(Op::Unlink, self.bytes())
    }

    /// Like [`Place::unlink`], content with nothing being there.
    pub fn unlink_if_present(&self) -> Result<()> {
        match self.unlink() {
            Err(error) if error.is_missing() => Ok(()),
            result => result,
        }
    }

    /// Opens the directory for listing and for work on what is in it. A link is refused.
    pub fn open_directory(&self) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.directory, self.leaf(), flags, Mode::empty())
            .map(|fd| Dir::readable(fd).faking(self.directory.fakes()))
            .context(Op::OpenDirectory, self.bytes())
    }

    /// Creates a file for writing and reading, with `mode` less umask; nothing may be there yet.
    pub fn create_file(&self, mode: u32) -> Result<File> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        openat(&self.directory, self.leaf(), flags, mode)
            .map(File::from)
            .context(Op::Open, self.bytes())
    }

    /// Opens a file to be written in place (--inplace, --append, a resumed partial file), creating it with `mode` if
    /// it is missing; never truncated. A link or a fifo is refused, a device unless `devices` (--write-devices). Our
    /// own read-only file is made writable for the moment of opening.
    pub fn open_in_place(&self, mode: u32, devices: bool) -> Result<File> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let before = match self.real_stat() {
            Ok(stat) => Some(stat),
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        // A device or fifo must not even be opened for writing unless wanted.
        if let Some(stat) = &before {
            self.require_regular(stat, devices)?;
        }
        let mode = Mode::from_raw_mode(mode & 0o777);
        let open = || openat(&self.directory, self.leaf(), flags, mode);
        let fd = match (open(), &before) {
            (Err(Errno::ACCESS), Some(stat)) if stat.mode & 0o200 == 0 => {
                let object = Object::from(self);
                object.set_mode(stat.permissions() | 0o200)?;
                let opened = open();
                object.set_mode(stat.permissions())?;
                opened
            }
            (result, _) => result,
        };
        let fd = fd.context(Op::Open, self.bytes())?;
        let stat = fstat(&fd).map(Stat::from).context(Op::Stat, self.bytes())?;
        self.require_regular(&stat, devices)?;
        Ok(File::from(fd))
    }

    /// A descriptor of the object itself, whatever it is, for metadata only.
    pub(crate) fn peek(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.directory, self.leaf(), flags, Mode::empty())
    }

    pub(crate) fn require_regular(&self, stat: &Stat, devices: bool) -> Result<()> {
        match stat.kind() {
            Kind::File => Ok(()),
            kind if devices && kind.is_device() => Ok(()),
            kind => Err(Error::NotRegular { path: self.bytes().into(), kind }),
        }
    }

    pub(crate) fn leaf(&self) -> &'a [u8] {
        self.path.leaf()
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.path.as_bytes()
    }
}

/// What is made in one call, without data: see [`Place::create`] and
/// [`TempFiles::replace`](crate::TempFiles::replace).
#[derive(Clone, Copy, Debug)]
pub enum NewObject<'a> {
    /// A symbolic link.
    Symlink {
        /// Where it leads; any bytes without NUL.
        target: &'a [u8],
    },
    /// A device, fifo or socket.
    Node {
        /// Which of them.
        kind: Kind,
        /// Permission bits, less umask.
        mode: u32,
        /// Which device.
        device: Device,
    },
    /// Another name for an existing object; a link itself for a symbolic link.
    HardLink {
        /// The object.
        to: &'a Place<'a>,
    },
}
