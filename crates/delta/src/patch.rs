//! Making the new file from a basis and operations.

use crate::error::Error;
use crate::search::Operation;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// How much is copied at once.
const COPY_LENGTH: usize = 256 * 1024;

/// A basis that can be read at any place.
pub trait Basis {
    /// Reads some bytes from `offset` on; 0 means that the basis ends there.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Basis for &[u8] {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        rest.unwrap_or_default().read(buffer)
    }
}

#[cfg(unix)]
impl Basis for &std::fs::File {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(*self, buffer, offset)
    }
}

/// Any [`Read`] that can [`Seek`], as a basis.
#[derive(Debug)]
pub struct SeekBasis<R> {
    reader: R,
    /// Where the reader stands, if that is known.
    position: Option<u64>,
}

impl<R: Read + Seek> SeekBasis<R> {
    /// Wraps a reader, wherever it stands.
    pub const fn new(reader: R) -> Self {
        Self { reader, position: None }
    }
}

impl<R: Read + Seek> Basis for SeekBasis<R> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position.take() != Some(offset) {
            self.reader.seek(SeekFrom::Start(offset))?;
        }
        let read = self.reader.read(buffer)?;
        self.position = Some(offset + read as u64);
        Ok(read)
    }
}

/// Applies operations, one at a time, to a basis.
///
/// ```
/// use syncline_delta::{Operation, Patcher};
///
/// let mut new = Vec::new();
/// let mut patcher = Patcher::new(&b"abcdefghij"[..]);
/// patcher.apply(Operation::Copy { block: 1, offset: 4, length: 4 }, &mut new)?;
/// patcher.apply(Operation::Literal(b"!"), &mut new)?;
/// assert_eq!(new, b"efgh!");
/// # Ok::<(), syncline_delta::Error>(())
/// ```
#[derive(Debug)]
pub struct Patcher<B> {
    basis: B,
    buffer: Vec<u8>,
}

impl<B: Basis> Patcher<B> {
    /// Starts with a basis.
    pub const fn new(basis: B) -> Self {
        Self { basis, buffer: Vec::new() }
    }

    /// Writes what one operation makes. Memory stays bounded whatever its length.
    pub fn apply(&mut self, operation: Operation<'_>, mut new: impl Write) -> Result<(), Error> {
        match operation {
            Operation::Literal(data) => {
                new.write_all(data).map_err(Error::io("write the new file"))
            }
            Operation::Copy { offset, length, .. } => self.copy(offset, u64::from(length), new),
        }
    }

    /// Writes `length` bytes of the basis from `offset` on.
    pub fn copy(&mut self, offset: u64, length: u64, mut new: impl Write) -> Result<(), Error> {
        self.pieces(offset, length, |_, piece| {
            new.write_all(piece).map_err(Error::io("write the new file"))
        })
    }

    fn pieces(
        &mut self,
        offset: u64,
        length: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let beyond = Error::BeyondBasis { offset, length };
        let Some(end) = offset.checked_add(length) else { return Err(beyond) };
        let mut at = offset;
        while at < end {
            let wanted = (end - at).min(COPY_LENGTH as u64) as usize;
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            let piece = &mut self.buffer[..wanted];
            match self.basis.read_at(at, piece) {
                Ok(0) => return Err(beyond),
                Ok(read) => {
                    each(at, &piece[..read])?;
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read the basis")(error)),
            }
        }
        Ok(())
    }
}

/// Applies operations of a search that was limited by [`Search::in_place`](crate::Search::in_place) to the basis itself.
///
/// The caller cuts the file to [`InPlacePatcher::position`] when all is done.
#[derive(Debug)]
pub struct InPlacePatcher<F> {
    file: F,
    position: u64,
    buffer: Vec<u8>,
}

impl<F: Read + Write + Seek> InPlacePatcher<F> {
    /// Starts writing at `position`: 0, or where the appended part begins.
    pub const fn new(file: F, position: u64) -> Self {
        Self { file, position, buffer: Vec::new() }
    }

    /// Writes what one operation makes, unless it is there already.
    pub fn apply(&mut self, operation: Operation<'_>) -> Result<(), Error> {
        match operation {
            Operation::Literal(data) => {
                self.write_at(self.position, data)?;
                self.position += data.len() as u64;
            }
            Operation::Copy { offset, length, .. } if offset == self.position => {
                self.position += u64::from(length);
            }
            Operation::Copy { offset, length, .. } => {
                // The source lies behind the target, or apart from it: pieces in rising order never read what they wrote.
                let (target, mut buffer) = (self.position, std::mem::take(&mut self.buffer));
                let length = u64::from(length);
                buffer.resize(length.min(COPY_LENGTH as u64) as usize, 0);
                let mut done = 0;
                while done < length {
                    let piece = &mut buffer[..(length - done).min(COPY_LENGTH as u64) as usize];
                    self.seek(offset + done)?;
                    self.file.read_exact(piece).map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => Error::BeyondBasis { offset, length },
                        _ => Error::io("read the basis")(error),
                    })?;
                    self.write_at(target + done, piece)?;
                    done += piece.len() as u64;
                }
                self.buffer = buffer;
                self.position += length;
            }
        }
        Ok(())
    }

    /// Where the next operation writes; in the end, the new file's length.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Gives the file back.
    pub fn into_inner(self) -> F {
        self.file
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.seek(offset)?;
        self.file.write_all(data).map_err(Error::io("write the new file"))
    }

    fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(offset)).map_err(Error::io("seek in the file"))?;
        Ok(())
    }
}
