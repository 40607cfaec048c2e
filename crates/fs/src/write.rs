use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, fsync, ftruncate};

use crate::error::{Context, Op, Result};
use crate::{RelPath, RelPathBuf};

/// Writes the new content of a file from front to back, in large pieces.
///
/// ```
/// use syncline_fs::{FileWriter, RelPath, Space};
///
/// let file = tempfile::tempfile()?;
/// let mut writer = FileWriter::new(&file, RelPath::ROOT, Space::Fresh { holes: true });
/// writer.write(b"head")?;
/// writer.write(&[0; 100_000])?;
/// assert_eq!(writer.finish()?, 100_004);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileWriter<'a> {
    file: &'a File,
    path: RelPathBuf,
    space: Space,
    buffer: Vec<u8>,
    /// Where the buffer's first byte goes.
    position: u64,
}

/// What lies where a [`FileWriter`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Nothing: a new file. What is not written reads as zeros.
    Fresh {
        /// Leave holes for long runs of zeros (-S).
        holes: bool,
    },
    /// Old content or reserved blocks: --inplace, --preallocate, a resumed partial file.
    Occupied {
        /// Punch holes for long runs of zeros (-S).
        holes: bool,
    },
    /// A device (--write-devices), whose length is not ours to set.
    Device,
}

/// Small writes are gathered to this size.
const BUFFER: usize = 256 << 10;

/// Holes are made in units of this size, at multiples of it: no common file system has larger blocks.
const BLOCK: usize = 4096;

impl<'a> FileWriter<'a> {
    /// Starts at the beginning of `file`; `path` is what errors will name.
    pub fn new(file: &'a File, path: RelPath<'_>, space: Space) -> Self {
        Self { file, path: path.to_owned(), space, buffer: Vec::new(), position: 0 }
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    /// Adds `data`.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        // Each flush ends at a multiple of the block size, so that holes are found wherever they begin.
        while self.buffer.len() + data.len() >= self.room() {
            if self.buffer.is_empty() && self.room() == BUFFER {
                let whole = data.len() / BUFFER * BUFFER;
                self.put(&data[..whole])?;
                data = &data[whole..];
                break;
            }
            let (now, later) = data.split_at(self.room() - self.buffer.len());
            self.buffer.extend_from_slice(now);
            self.flush()?;
            data = later;
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Leaves `length` bytes as they are: what is there is right already (--inplace).
    pub fn skip(&mut self, length: u64) -> Result<()> {
        self.flush()?;
        self.position += length;
        Ok(())
    }

    /// Reserves `length` bytes from the beginning on (--preallocate). `keep_size`: without changing the length.
    pub fn preallocate(&mut self, length: u64, keep_size: bool) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        let flags = if keep_size { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() };
        fallocate(self.file, flags, 0, length).context(Op::Allocate, self.path.as_bytes())?;
        if let Space::Fresh { holes } = self.space {
            self.space = Space::Occupied { holes };
        }
        Ok(())
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.put(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    /// Writes what is left and cuts the file where the writing ended; returns its length.
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        if !matches!(self.space, Space::Fresh { holes: false } | Space::Device) {
            ftruncate(self.file, self.position).context(Op::Truncate, self.path.as_bytes())?;
        }
        confirm_written(self.file, self.path.as_path())?;
        Ok(self.position)
    }

    /// How much may be gathered; always more than is.
    fn room(&self) -> usize {
        BUFFER - (self.position % BLOCK as u64) as usize
    }

    fn put(&mut self, data: &[u8]) -> Result<()> {
        let holes = match self.space {
            Space::Fresh { holes } | Space::Occupied { holes } => holes,
            Space::Device => false,
        };
        if !holes {
            return self.put_data(data);
        }
        // The first piece ends at a multiple of the block size.
        let odd = (self.position % BLOCK as u64) as usize;
        let first = data.len().min((BLOCK - odd) % BLOCK);
        let (head, rest) = data.split_at(first);
        self.put_piece(head)?;
        let mut done = 0;
        while done < rest.len() {
            let zero = is_zero(&rest[done..rest.len().min(done + BLOCK)]);
            let same = |block: &&[u8]| is_zero(block) == zero;
            let run: usize = rest[done..].chunks(BLOCK).take_while(same).map(<[u8]>::len).sum();
            self.put_piece(&rest[done..done + run])?;
            done += run;
        }
        Ok(())
    }

    /// Writes `data`, which is either all zeros or not worth a hole.
    fn put_piece(&mut self, data: &[u8]) -> Result<()> {
        if data.is_empty() || !is_zero(data) {
            return self.put_data(data);
        }
        let length = data.len() as u64;
        let punched = match self.space {
            Space::Fresh { .. } => true,
            Space::Device => false,
            Space::Occupied { .. } => {
                let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let zero = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
                fallocate(self.file, punch, self.position, length).is_ok()
                    || fallocate(self.file, zero, self.position, length).is_ok()
            }
        };
        if !punched {
            return self.put_data(data);
        }
        self.position += length;
        Ok(())
    }

    fn put_data(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_all_at(data, self.position).context(Op::Write, self.path.as_bytes())?;
        self.position += data.len() as u64;
        Ok(())
    }
}

/// Makes network file systems tell whether what was written has arrived: they do when a descriptor is closed.
pub(crate) fn confirm_written(file: &File, path: RelPath<'_>) -> Result<()> {
    let again = file.try_clone().context(Op::Close, path.as_bytes())?;
    syncline_sys::descriptor::close(again.into()).context(Op::Close, path.as_bytes())
}

/// Flushes a finished file to disk (--fsync).
pub fn sync(file: &File, path: RelPath<'_>) -> Result<()> {
    fsync(file).context(Op::Sync, path.as_bytes())
}

/// Is every byte zero?
pub(crate) fn is_zero(data: &[u8]) -> bool {
    // Compares the data with itself, one byte on: a vectorised memcmp does the work.
    match data {
        [] => true,
        [first, ..] => *first == 0 && data[1..] == data[..data.len() - 1],
    }
}
