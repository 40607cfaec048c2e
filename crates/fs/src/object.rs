use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat,
    chownat, fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat, futimens,
    getxattr, listxattr, openat, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;
use syncline_sys::nofollow;

use crate::error::{Context, Error, Op, Result};
use crate::{Place, RelPath, Stat, TempFile, Time, Xattrs};

/// An existing object whose attributes are read or set: an open file, or a place. Links are never followed: what is set
/// is set on the link itself, or refused.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    at: At<'a>,
    path: RelPath<'a>,
    /// Stored values take the place of real ones (--fake-super).
    fakes: bool,
}

#[derive(Clone, Copy, Debug)]
enum At<'a> {
    Open(&'a File),
    Named(&'a Place<'a>),
}

impl<'a> From<&'a Place<'a>> for Object<'a> {
    fn from(place: &'a Place<'a>) -> Self {
        Self { at: At::Named(place), path: place.path(), fakes: place.directory().fakes() }
    }
}

impl<'a> From<&'a TempFile> for Object<'a> {
    fn from(file: &'a TempFile) -> Self {
        Self::open(file.file(), file.path()).faking(file.fakes())
    }
}

impl<'a> Object<'a> {
    /// An open file; `path` is what errors will name.
    pub fn open(file: &'a File, path: RelPath<'a>) -> Self {
        Self { at: At::Open(file), path, fakes: false }
    }

    /// The file that is open at `place`.
    pub fn opened(file: &'a File, place: &Place<'a>) -> Self {
        Self::open(file, place.path()).faking(place.directory().fakes())
    }

    pub(crate) fn faking(self, fakes: bool) -> Self {
        Self { fakes, ..self }
    }

    pub(crate) fn fakes(&self) -> bool {
        self.fakes
    }

    /// The name errors give it.
    pub fn path(&self) -> RelPath<'a> {
        self.path
    }

    /// Its record.
    pub fn stat(&self) -> Result<Stat> {
        let real = self.real_stat()?;
        if self.fakes { self.faked(real) } else { Ok(real) }
    }

    /// What the system says, whatever is stored.
    pub(crate) fn real_stat(&self) -> Result<Stat> {
        match self.at {
            At::Open(file) => fstat(file).map(Stat::from).context(Op::Stat, self.bytes()),
            At::Named(place) => place.real_stat(),
        }
    }

    /// Sets owner and group in one call; `None` leaves one as it is. The system takes setuid and setgid bits away.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match self.at {
            At::Open(file) => fchown(file, uid, gid),
            At::Named(place) => {
                chownat(place.directory(), place.leaf(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
        .context(Op::SetOwner, self.bytes())
    }

    /// Sets times in one call, with nanoseconds; `None` leaves one as it is.
    pub fn set_times(&self, atime: Option<Time>, mtime: Option<Time>) -> Result<()> {
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps {
            last_access: atime.map_or(omit, Timespec::from),
            last_modification: mtime.map_or(omit, Timespec::from),
        };
        match self.at {
            At::Open(file) => futimens(file, &times),
            At::Named(place) => {
                utimensat(place.directory(), place.leaf(), &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
        .context(Op::SetTimes, self.bytes())
    }

    /// Sets the twelve permission bits. A symbolic link is refused (`EOPNOTSUPP` or `ELOOP`).
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        let mode = mode & 0o7777;
        match self.at {
            At::Open(file) => fchmod(file, Mode::from_raw_mode(mode)),
            At::Named(place) => {
                match from_io(nofollow::set_mode(place.directory().as_fd(), place.leaf(), mode)) {
                    Err(Errno::NOSYS) => set_mode_by_descriptor(place, mode),
                    result => result,
                }
            }
        }
        .context(Op::SetMode, self.bytes())
    }

    /// The names of its extended attributes; none where the file system has none.
    pub fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        let list = grow(1024, |buffer| match self.at {
            At::Open(file) => flistxattr(file, buffer),
            At::Named(place) => match from_io(nofollow::xattr_names(
                place.directory().as_fd(),
                place.leaf(),
                buffer,
            )) {
                Err(Errno::NOSYS) => by_proc(place, |path| listxattr(path, buffer)),
                result => result,
            },
        });
        match list {
            Ok(list) => Ok(list
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
                .map(<[u8]>::to_vec)
                .collect()),
            Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
            Err(errno) => Err(Error::new(Op::ListXattrs, self.bytes(), errno)),
        }
    }

    /// The value of the extended attribute `name`; none where it has none of that name.
    pub fn xattr(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let name = self.attribute(Op::GetXattr, name)?;
        let value = grow(256, |buffer| match self.at {
            At::Open(file) => fgetxattr(file, &*name, buffer),
            At::Named(place) => match from_io(nofollow::xattr(
                place.directory().as_fd(),
                place.leaf(),
                &name,
                buffer,
            )) {
                Err(Errno::NOSYS) => by_proc(place, |path| getxattr(path, &*name, buffer)),
                result => result,
            },
        });
        match value {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(Error::new(Op::GetXattr, self.bytes(), errno)),
        }
    }

    /// The extended attributes whose names `want` accepts. One that disappears meanwhile is left out.
    pub fn xattrs(&self, want: impl Fn(&[u8]) -> bool) -> Result<Xattrs> {
        let mut found = Xattrs::new();
        for name in self.xattr_names()?.into_iter().filter(|name| want(name)) {
            if let Some(value) = self.xattr(&name)? {
                found.insert(name, value);
            }
        }
        Ok(found)
    }

    /// Sets the extended attribute `name`. On its owner's read-only file, which the system would refuse, the write
    /// permission is lent for the moment.
    pub fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<()> {
        let name = self.attribute(Op::SetXattr, name)?;
        self.lending_write_permission(|| match self.at {
            At::Open(file) => fsetxattr(file, &*name, value, XattrFlags::empty()),
            At::Named(place) => match from_io(nofollow::set_xattr(
                place.directory().as_fd(),
                place.leaf(),
                &name,
                value,
            )) {
                Err(Errno::NOSYS) => {
                    by_proc(place, |path| setxattr(path, &*name, value, XattrFlags::empty()))
                }
                result => result,
            },
        })
        .context(Op::SetXattr, self.bytes())
    }

    /// Removes the extended attribute `name`; content if there is none.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let name = self.attribute(Op::RemoveXattr, name)?;
        let removed = self.lending_write_permission(|| match self.at {
            At::Open(file) => fremovexattr(file, &*name),
            At::Named(place) => match from_io(nofollow::remove_xattr(
                place.directory().as_fd(),
                place.leaf(),
                &name,
            )) {
                Err(Errno::NOSYS) => by_proc(place, |path| removexattr(path, &*name)),
                result => result,
            },
        });
        match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            result => result.context(Op::RemoveXattr, self.bytes()),
        }
    }

    fn lending_write_permission(
        &self,
        change: impl Fn() -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let first = change();
        if first != Err(Errno::ACCESS) {
            return first;
        }
        let Ok(stat) = self.real_stat() else { return first };
        if stat.mode & 0o200 != 0 || self.set_mode(stat.permissions() | 0o200).is_err() {
            return first;
        }
        let second = change();
        // Refused just now means refused for good: the mode set last is the one that counts then.
        let _ = self.set_mode(stat.permissions());
        second
    }

    fn attribute(&self, op: Op, name: &[u8]) -> Result<CString> {
        CString::new(name).map_err(|_| Error::new(op, self.bytes(), Errno::INVAL))
    }

    fn bytes(&self) -> &'a [u8] {
        self.path.as_bytes()
    }
}

fn from_io<T>(result: std::io::Result<T>) -> rustix::io::Result<T> {
    result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// For kernels without `fchmodat2`.
fn set_mode_by_descriptor(place: &Place<'_>, mode: u32) -> rustix::io::Result<()> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    match openat(place.directory(), place.leaf(), flags, Mode::empty()) {
        Ok(fd) => fchmod(&fd, mode),
        // Not readable, or a socket.
        Err(Errno::ACCESS | Errno::NXIO) => {
            by_proc(place, |path| chmodat(CWD, path, mode, AtFlags::empty()))
        }
        Err(errno) => Err(errno),
    }
}

/// For kernels without the `*xattrat` calls: `/proc` turns a descriptor into a name that means that very inode.
fn by_proc<T>(
    place: &Place<'_>,
    call: impl FnOnce(&CStr) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    use std::os::fd::AsRawFd;
    let object = place.peek()?;
    let path = CString::new(format!("/proc/self/fd/{}", object.as_raw_fd()));
    // The inode is there, so what is missing is `/proc`.
    let no_proc = |errno| if errno == Errno::NOENT { Errno::OPNOTSUPP } else { errno };
    call(&path.unwrap_or_default()).map_err(no_proc)
}

/// Calls with a larger buffer until the answer fits.
fn grow(
    start: usize,
    mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    /// Sixteen times what Linux allows a value to have.
    const MOST: usize = 1 << 20;
    let mut buffer = vec![0; start];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < MOST => buffer.resize(buffer.len() * 8, 0),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Kind, NewObject, Root, Trust};

    /// The long ways round, which young kernels do not take.
    #[test]
    fn old_kernels_set_modes_and_attributes_on_the_very_object_too() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path(), Trust::Owners).unwrap();
        let place =
            |name: &'static str| root.place(RelPath::new(name.as_bytes()).unwrap()).unwrap();
        place("file").create_file(0o600).unwrap();
        place("dir").make_directory(0o700).unwrap();
        place("link").create(&NewObject::Symlink { target: b"file" }).unwrap();
        let fifo = NewObject::Node { kind: Kind::Fifo, mode: 0o600, device: Device::default() };
        place("fifo").create(&fifo).unwrap();
        let socket = NewObject::Node { kind: Kind::Socket, mode: 0o600, device: Device::default() };
        place("socket").create(&socket).unwrap();
        for name in ["file", "dir", "fifo", "socket"] {
            // From a mode that cannot be opened for reading, too.
            for mode in [0o4000, 0o1751] {
                set_mode_by_descriptor(&place(name), mode).unwrap();
                assert_eq!(place(name).stat().unwrap().permissions(), mode, "{name}");
            }
        }
        let through_link = set_mode_by_descriptor(&place("link"), 0o777);
        assert!(matches!(through_link, Err(Errno::LOOP | Errno::OPNOTSUPP)), "{through_link:?}");

        let key = c"user.syncline";
        let set = |name| {
            let flags = XattrFlags::empty();
            by_proc(&place(name), |path| setxattr(path, key, b"x", flags))
        };
        if set("file").is_ok() {
            assert!(
                set("link").is_err(),
                "a link has no such attribute, and its target is not meant"
            );
            let mut value = [0; 4];
            let length = by_proc(&place("file"), |path| getxattr(path, key, &mut value)).unwrap();
            assert_eq!(&value[..length], b"x");
            assert_eq!(
                Object::from(&place("file")).xattr(b"user.syncline").unwrap().unwrap(),
                b"x"
            );
            by_proc(&place("file"), |path| removexattr(path, key)).unwrap();
        }
        assert_eq!(by_proc(&place("none"), |_| Ok(())), Err(Errno::NOENT));
    }
}
