use std::io::Read;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use crate::error::{Error, Op, Result};
use crate::{Device, Kind, NewObject, Object, Place, Stat};

/// What --fake-super keeps in an extended attribute because the real inode cannot have it (behaviour.md 14.7).
///
/// ```
/// use syncline_fs::FakeStat;
///
/// let stored = FakeStat::parse(b"20644 1,3 0:0").unwrap();
/// assert_eq!((stored.mode, stored.device.major, stored.device.minor), (0o20644, 1, 3));
/// assert_eq!(stored.to_string(), "20644 1,3 0:0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FakeStat {
    /// File type and all permission bits.
    pub mode: u32,
    /// Which device it stands for.
    pub device: Device,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

const ATTRIBUTE: &str = "user.rsync.%stat";

impl FakeStat {
    /// Reads the stored text; all five numbers must be there.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_end_matches('\0');
        let mut words = text.split_ascii_whitespace();
        let mode = words.next()?;
        let (major, minor) = words.next()?.split_once(',')?;
        let (uid, gid) = words.next()?.split_once(':')?;
        let number = |text: &str| text.parse().ok();
        Some(Self {
            mode: u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o177_777)?,
            device: Device { major: number(major)?, minor: number(minor)? },
            uid: number(uid)?,
            gid: number(gid)?,
        })
        .filter(|_| words.next().is_none())
    }

    /// The permission bits of the real inode that stands for it.
    pub fn real_permissions(&self) -> u32 {
        match Kind::of_mode(self.mode) {
            Kind::Directory => self.mode & 0o777 | 0o700,
            _ => self.mode & 0o777 | 0o600,
        }
    }

    /// Does the real inode say all of this itself, so that nothing need be stored?
    pub fn is_said_by(&self, real: &Stat) -> bool {
        (self.mode, self.uid, self.gid) == (real.mode, real.uid, real.gid)
            && (!Kind::of_mode(self.mode).is_device() || self.device == real.rdev)
    }
}

impl std::fmt::Display for FakeStat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, device, uid, gid } = self;
        write!(f, "{mode:o} {},{} {uid}:{gid}", device.major, device.minor)
    }
}

impl Stat {
    /// The record as --fake-super tells it: stored values in the place of real ones.
    pub fn with_fake(self, fake: &FakeStat) -> Self {
        Self { mode: fake.mode, uid: fake.uid, gid: fake.gid, rdev: fake.device, ..self }
    }
}

/// Can anything be stored for such an object? Only plain files and directories have attributes of users.
pub(crate) fn may_be_faked(real: &Stat) -> bool {
    matches!(real.kind(), Kind::File | Kind::Directory)
}

impl Object<'_> {
    /// What --fake-super stored for the object, if anything.
    pub fn fake_stat(&self) -> Result<Option<FakeStat>> {
        let corrupt =
            || Error::Corrupt { path: self.path().as_bytes().into(), attribute: ATTRIBUTE };
        match self.xattr(ATTRIBUTE.as_bytes())? {
            Some(text) => FakeStat::parse(&text).ok_or_else(corrupt).map(Some),
            None => Ok(None),
        }
    }

    /// The record with what is stored; one that may not be looked at has nothing.
    pub(crate) fn faked(&self, real: Stat) -> Result<Stat> {
        if !may_be_faked(&real) {
            return Ok(real);
        }
        match self.fake_stat() {
            Ok(stored) => Ok(stored.map_or(real, |fake| real.with_fake(&fake))),
            Err(error) if matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM)) => Ok(real),
            Err(error) => Err(error),
        }
    }

    /// Stores it, or removes what is stored.
    pub fn set_fake_stat(&self, fake: Option<&FakeStat>) -> Result<()> {
        match fake {
            Some(fake) => self.set_xattr(ATTRIBUTE.as_bytes(), fake.to_string().as_bytes()),
            None => self.remove_xattr(ATTRIBUTE.as_bytes()),
        }
    }
}

impl Place<'_> {
    /// Makes the plain file that stands for a link or node; the process owns it, as it would the real thing.
    pub(crate) fn create_faked(&self, object: &NewObject<'_>) -> Result<()> {
        let (mode, device, content): (u32, Device, &[u8]) = match *object {
            NewObject::Symlink { target } => (0o120_777, Device::default(), target),
            NewObject::Node { kind, mode, device } => {
                let device = if kind.is_device() { device } else { Device::default() };
                (kind.type_bits() | mode & 0o7777, device, b"")
            }
            NewObject::HardLink { .. } => {
                return Err(Error::new(Op::Link, self.bytes(), Errno::INVAL));
            }
        };
        let file = self.create_file(0o600)?;
        let object = Object::opened(&file, self);
        let fill = || {
            file.write_all_at(content, 0)
                .map_err(|error| Error::from_io(Op::Write, self.bytes(), &error))?;
            let real = object.real_stat()?;
            let fake = FakeStat { mode, device, uid: real.uid, gid: real.gid };
            object.set_fake_stat(Some(&fake))?;
            object.set_mode(fake.real_permissions())
        };
        fill().inspect_err(|_| {
            // What does not stand for anything must not stay.
            let _ = self.unlink();
        })
    }

    /// The content of the plain file that stands for a link.
    pub(crate) fn read_faked_link(&self) -> Result<Vec<u8>> {
        /// Longer than any path.
        const MOST: u64 = 4097;
        let source = crate::OpenSource::default().open(self)?;
        let mut target = Vec::new();
        let read = source.file().take(MOST).read_to_end(&mut target);
        read.map_err(|error| Error::from_io(Op::ReadLink, self.bytes(), &error))?;
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(
            mode in 0..=0o177_777u32,
            [major, minor, uid, gid]: [u32; 4],
        ) {
            let fake = FakeStat { mode, device: Device { major, minor }, uid, gid };
            prop_assert_eq!(FakeStat::parse(fake.to_string().as_bytes()), Some(fake));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = FakeStat::parse(&text);
        }
    }

    #[test]
    fn text_that_lacks_a_number_is_corrupt() {
        for text in ["", "100644", "100644 0,0", "100644 0,0 1", "9 0,0 1:1", "100644 0,0 1:1 2"] {
            assert_eq!(FakeStat::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_real_inode_stays_usable_and_harmless() {
        let fake = |mode| FakeStat { mode, device: Device::default(), uid: 0, gid: 0 };
        assert_eq!(fake(0o104_755).real_permissions(), 0o755);
        assert_eq!(fake(0o100_044).real_permissions(), 0o644);
        assert_eq!(fake(0o041_055).real_permissions(), 0o755);
        assert_eq!(fake(0o020_000).real_permissions(), 0o600);
    }
}
