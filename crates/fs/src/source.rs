use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    Mode, OFlags, SeekFrom, copy_file_range, fstat, ftruncate, ioctl_ficlone, openat, seek,
};
use rustix::io::Errno;

use crate::error::{Context, Error, Op, Result};
use crate::write::{confirm_written, is_zero};
use crate::{Place, RelPath, RelPathBuf, Root, Stat};

/// A regular file open for reading at any position: a source to send, or a basis to build from.
///
/// Its length is fixed when it is opened. Data that disappears afterwards is [`Error::Shrank`]; data that is added is
/// not looked at.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    path: RelPathBuf,
    stat: Stat,
}

/// How to open a [`SourceFile`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenSource {
    /// Do not touch the access time (--open-noatime); quietly ignored where it is not ours to say.
    pub no_atime: bool,
    /// Accept devices, whose length is found by seeking (--copy-devices).
    pub devices: bool,
}

impl OpenSource {
    /// Opens `place`. A link is refused (`ELOOP`), anything else that is no regular file is [`Error::NotRegular`];
    /// opening never blocks.
    pub fn open(self, place: &Place<'_>) -> Result<SourceFile> {
        let open = |flags| openat(place.directory(), place.leaf(), flags, Mode::empty());
        self.finish(place.path(), |flags| open(flags | OFlags::NOFOLLOW))
    }

    /// Opens `path` beneath `root`, following links, the last place included, as the root's rule allows (-L, -k,
    /// --copy-unsafe-links).
    pub fn open_following(self, root: &Root, path: RelPath<'_>) -> Result<SourceFile> {
        self.finish(path, |flags| root.open_following(path, flags))
    }

    fn finish(
        self,
        path: RelPath<'_>,
        open: impl Fn(OFlags) -> rustix::io::Result<std::os::fd::OwnedFd>,
    ) -> Result<SourceFile> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match self.no_atime.then(|| open(flags | OFlags::NOATIME)) {
            Some(Err(Errno::PERM)) | None => open(flags),
            Some(result) => result,
        };
        let file = File::from(opened.context(Op::Open, path.as_bytes())?);
        let mut stat = fstat(&file).map(Stat::from).context(Op::Stat, path.as_bytes())?;
        let kind = stat.kind();
        if self.devices && kind.is_device() {
            if stat.size == 0 {
                stat.size = seek(&file, SeekFrom::End(0)).unwrap_or(0);
            }
        } else if kind != crate::Kind::File {
            return Err(Error::NotRegular { path: path.as_bytes().into(), kind });
        }
        Ok(SourceFile { file, path: path.to_owned(), stat })
    }
}

impl SourceFile {
    /// Takes a file that is open for reading; `path` is what errors will name.
    pub fn from_file(file: File, path: RelPath<'_>) -> Result<Self> {
        let stat = fstat(&file).map(Stat::from).context(Op::Stat, path.as_bytes())?;
        Ok(Self { file, path: path.to_owned(), stat })
    }

    /// The record as it was when the file was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The length as it was when the file was opened.
    pub fn length(&self) -> u64 {
        self.stat.size
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Fills `buffer` from `position` on. Less than that, although it was there when the file was opened, is
    /// [`Error::Shrank`].
    pub fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        let read = self.read_at(buffer, position)?;
        if read == buffer.len() { Ok(()) } else { Err(self.shrank(position + read as u64)) }
    }

    /// Reads from `position` on until `buffer` is full or the file ends; returns how much it was.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_io(Op::Read, self.path.as_bytes(), &error)),
            }
        }
        Ok(done)
    }

    /// Copies the whole file into the empty file `target` the cheapest way; `path` names the target in errors.
    pub fn copy_to(&self, target: &File, path: RelPath<'_>, holes: Holes) -> Result<()> {
        Copier::new(holes).copy(self, target, path, &mut |_| {})
    }

    fn shrank(&self, found: u64) -> Error {
        Error::Shrank { path: self.path.as_bytes().into(), expected: self.length(), found }
    }
}

/// What a copy does about holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Holes {
    /// Holes of the source stay holes, zeros stay zeros.
    #[default]
    Keep,
    /// Long runs of zeros become holes too (-S).
    Make,
}

/// Copies whole files within this machine: clones them where the file system can, else lets the kernel copy, else
/// reads and writes. It remembers what does not work; share one for a whole job, between threads too.
#[derive(Debug, Default)]
pub struct Copier {
    holes: Holes,
    /// File systems whose files could not be cloned.
    unclonable: Mutex<Vec<u64>>,
}

impl Copier {
    /// A copier that treats holes as `holes` says.
    pub fn new(holes: Holes) -> Self {
        Self { holes, unclonable: Mutex::default() }
    }

    /// Copies `source` into the empty file `target`. `path` names the target in errors; `progress` hears how many more
    /// bytes have arrived, now and then.
    pub fn copy(
        &self,
        source: &SourceFile,
        target: &File,
        path: RelPath<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let length = source.length();
        if length == 0 {
            return Ok(());
        }
        let copy = Copy { source, target, path, progress };
        if self.holes == Holes::Make {
            copy.making_holes()?;
        } else if self.may_clone(source.stat.dev) && copy.clone()? {
            (copy.progress)(length);
        } else {
            self.note_unclonable(source.stat.dev);
            copy.keeping_holes()?;
        }
        confirm_written(target, path)
    }

    fn may_clone(&self, device: u64) -> bool {
        !self.unclonable.lock().unwrap_or_else(PoisonError::into_inner).contains(&device)
    }

    fn note_unclonable(&self, device: u64) {
        let mut unclonable = self.unclonable.lock().unwrap_or_else(PoisonError::into_inner);
        if !unclonable.contains(&device) {
            unclonable.push(device);
        }
    }
}

/// One copy under way.
struct Copy<'a> {
    source: &'a SourceFile,
    target: &'a File,
    path: RelPath<'a>,
    progress: &'a mut dyn FnMut(u64),
}

/// So much is asked of the kernel at once, so that progress can be told.
const RANGE: u64 = 64 << 20;

/// Size of reads and writes.
const CHUNK: usize = 256 << 10;

/// Below this, one read and one write are cheaper than asking the kernel to copy.
const SMALL: u64 = 64 << 10;

impl Copy<'_> {
    /// False: not possible between these two.
    fn clone(&self) -> Result<bool> {
        if ioctl_ficlone(self.target, &self.source.file).is_err() {
            return Ok(false);
        }
        let found =
            fstat(self.target).map(Stat::from).context(Op::Stat, self.path.as_bytes())?.size;
        let wanted = self.source.length();
        if found < wanted {
            return Err(self.source.shrank(found));
        }
        if found > wanted {
            ftruncate(self.target, wanted).context(Op::Truncate, self.path.as_bytes())?;
        }
        Ok(true)
    }

    fn keeping_holes(mut self) -> Result<()> {
        let length = self.source.length();
        let sparse = self.source.stat.blocks.saturating_mul(512) < length;
        if !sparse {
            return self.range(0, length);
        }
        let mut position = 0;
        while position < length {
            let start = match seek(&self.source.file, SeekFrom::Data(position)) {
                Ok(start) => start.min(length),
                // No data from here on.
                Err(Errno::NXIO) => length,
                // The file system does not know about holes.
                Err(_) => return self.range(position, length),
            };
            let end = if start < length {
                seek(&self.source.file, SeekFrom::Hole(start)).map_or(length, |end| end.min(length))
            } else {
                length
            };
            (self.progress)(start - position);
            self.range(start, end)?;
            position = end;
        }
        let found = fstat(&self.source.file).map(Stat::from);
        let found = found.context(Op::Stat, self.source.path.as_bytes())?.size;
        if found < length {
            return Err(self.source.shrank(found));
        }
        ftruncate(self.target, length).context(Op::Truncate, self.path.as_bytes())
    }

    fn range(&mut self, start: u64, end: u64) -> Result<()> {
        let (mut from, mut to) = (start, start);
        if end - start > SMALL {
            while from < end {
                let length = usize::try_from((end - from).min(RANGE)).unwrap_or(usize::MAX);
                let (source, target) = (&self.source.file, self.target);
                match copy_file_range(source, Some(&mut from), target, Some(&mut to), length) {
                    Ok(count) if count > 0 => (self.progress)(count as u64),
                    Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                        return Err(Error::new(Op::Write, self.path.as_bytes(), errno));
                    }
                    Err(Errno::INTR) => {}
                    // Not between these file systems, or trouble that reading and writing will put a name to.
                    Ok(_) | Err(_) => break,
                }
            }
        }
        self.by_hand(from, end, |copy, data, position| {
            copy.target.write_all_at(data, position).context(Op::Write, copy.path.as_bytes())
        })
    }

    fn making_holes(mut self) -> Result<()> {
        const BLOCK: usize = 4096;
        let length = self.source.length();
        self.by_hand(0, length, |copy, data, position| {
            let mut done = 0;
            while done < data.len() {
                let zero = is_zero(&data[done..data.len().min(done + BLOCK)]);
                let same = |block: &&[u8]| is_zero(block) == zero;
                let run: usize = data[done..].chunks(BLOCK).take_while(same).map(<[u8]>::len).sum();
                if !zero {
                    copy.target
                        .write_all_at(&data[done..done + run], position + done as u64)
                        .context(Op::Write, copy.path.as_bytes())?;
                }
                done += run;
            }
            Ok(())
        })?;
        ftruncate(self.target, length).context(Op::Truncate, self.path.as_bytes())
    }

    fn by_hand(
        &mut self,
        start: u64,
        end: u64,
        write: impl Fn(&Self, &[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; CHUNK.min(usize::try_from(end - start).unwrap_or(CHUNK))];
        let mut position = start;
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(CHUNK).min(buffer.len());
            let data = &mut buffer[..wanted];
            self.source.read_exact_at(data, position)?;
            write(self, data, position)?;
            position += wanted as u64;
            (self.progress)(wanted as u64);
        }
        Ok(())
    }
}
