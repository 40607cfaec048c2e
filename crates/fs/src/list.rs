use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::fake::may_be_faked;
use crate::resolve::SELF;
use crate::{Dir, Kind, Name, Object, RelPath, Stat};

/// What is in a directory, in the order the system told; names share one buffer.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<Slot>,
    /// Listing stopped early because of this; what was read so far is there.
    pub error: Option<Error>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    length: u16,
    stat: std::result::Result<Stat, Errno>,
}

/// One name of a [`Listing`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// Its own record, or why there is none: `ENOENT` means that it vanished meanwhile.
    pub stat: std::result::Result<Stat, Errno>,
}

impl Listing {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is in the directory.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().filter_map(|slot| {
            let name = Name::new(self.name(*slot)).ok()?;
            Some(Entry { name, stat: slot.stat })
        })
    }

    fn name(&self, slot: Slot) -> &[u8] {
        &self.names[slot.start as usize..][..slot.length as usize]
    }
}

impl Dir {
    /// Reads the directory: each name that `want` accepts, with one `stat`. `want` hears the name and, where the file
    /// system tells, its kind ([`Kind::Unknown`] if not), so that a filter can spare the `stat`. `path` names the
    /// directory in errors.
    pub fn list(
        &self,
        path: RelPath<'_>,
        mut want: impl FnMut(Name<'_>, Kind) -> bool,
    ) -> Result<Listing> {
        let mut listing = Listing::default();
        self.read_names(path, |name, kind| {
            if !want(name, kind) {
                return;
            }
            let bytes = name.as_bytes();
            let (Ok(start), Ok(length)) =
                (u32::try_from(listing.names.len()), u16::try_from(bytes.len()))
            else {
                return;
            };
            listing.names.extend_from_slice(bytes);
            // Taken below, when the buffer of names is not read from any more.
            listing.entries.push(Slot { start, length, stat: Err(Errno::NOENT) });
        })
        .or_else(|error| {
            // What was found before the failure still counts.
            if listing.is_empty() {
                return Err(error);
            }
            listing.error = Some(error);
            Ok(())
        })?;
        for index in 0..listing.entries.len() {
            let slot = listing.entries[index];
            let stat = statat(self, listing.name(slot), SELF).map(Stat::from);
            let stat = match stat {
                Ok(real) if self.fakes() && may_be_faked(&real) => self.faked(&listing, slot, real),
                stat => stat,
            };
            listing.entries[index].stat = stat;
        }
        Ok(listing)
    }

    fn faked(&self, listing: &Listing, slot: Slot, real: Stat) -> rustix::io::Result<Stat> {
        let path = RelPath::new(listing.name(slot)).map_err(|_| Errno::INVAL)?;
        let place = self.place(path);
        Object::from(&place).faked(real).map_err(|error| error.errno().unwrap_or(Errno::IO))
    }

    /// Reads the directory's names only.
    pub fn read_names(
        &self,
        path: RelPath<'_>,
        mut each: impl FnMut(Name<'_>, Kind),
    ) -> Result<()> {
        if self.take_listing() {
            return read_names(self, &mut each).context(Op::ReadDirectory, path.as_bytes());
        }
        // A descriptor of its own: this one is for searching only, or its position is at the end by now.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            openat(self, c".", flags, Mode::empty()).context(Op::OpenDirectory, path.as_bytes())?;
        read_names(&fd, &mut each).context(Op::ReadDirectory, path.as_bytes())
    }
}

/// Room for some 500 names a call; more is no faster.
const BUFFER: usize = 32 << 10;

fn read_names(fd: &impl AsFd, each: &mut dyn FnMut(Name<'_>, Kind)) -> rustix::io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut names = RawDir::new(fd, buffer.spare_capacity_mut());
    while let Some(entry) = names.next() {
        let entry = entry?;
        // `.`, `..`, and whatever a broken file system may call a name.
        if let Ok(name) = Name::new(entry.file_name().to_bytes()) {
            each(name, entry.file_type().into());
        }
    }
    Ok(())
}
