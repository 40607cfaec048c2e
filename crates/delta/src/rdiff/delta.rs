//! Delta files.

use crate::error::Error;
use crate::index::SearchIndex;
use crate::patch::{Basis, Patcher};
use crate::search::{Operation, Search, SearchWork};
use std::io::{BufReader, BufWriter, Read, Write};

const MAGIC: u32 = 0x7273_0236;
const END: u8 = 0x00;
/// Literals up to this length have opcodes of their own.
const SHORT_LITERAL: u64 = 0x40;
/// First of the opcodes for literals whose length follows, by its width.
const LITERAL: u8 = 0x41;
/// First of the opcodes for copies, by the widths of position and length.
const COPY: u8 = 0x45;
const LAST_COPY: u8 = 0x54;
/// rdiff cuts literals at this length.
const LONGEST_LITERAL: usize = 32_768;
const READ_LENGTH: usize = 64 * 1024;

/// Writes a delta file from operations. Copies that continue one another become one.
#[derive(Debug)]
pub struct DeltaWriter<W: Write> {
    file: BufWriter<W>,
    /// A copy that may still grow: offset and length.
    copy: Option<(u64, u64)>,
}

impl<W: Write> DeltaWriter<W> {
    /// Starts a delta file.
    pub fn new(file: W) -> Result<Self, Error> {
        let mut writer = Self { file: BufWriter::new(file), copy: None };
        writer.write(&MAGIC.to_be_bytes())?;
        Ok(writer)
    }

    /// Takes the next operation.
    pub fn push(&mut self, operation: Operation<'_>) -> Result<(), Error> {
        match operation {
            Operation::Copy { offset, length, .. } => self.copy(offset, u64::from(length)),
            Operation::Literal(data) => self.literal(data),
        }
    }

    /// Takes a copy of any length above 0.
    pub fn copy(&mut self, offset: u64, length: u64) -> Result<(), Error> {
        if length == 0 {
            return Ok(());
        }
        if let Some((start, before)) = &mut self.copy
            && start.checked_add(*before) == Some(offset)
        {
            *before += length;
            return Ok(());
        }
        self.flush_copy()?;
        self.copy = Some((offset, length));
        Ok(())
    }

    /// Takes a literal of any length.
    pub fn literal(&mut self, data: &[u8]) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        self.flush_copy()?;
        for piece in data.chunks(LONGEST_LITERAL) {
            let length = piece.len() as u64;
            if length <= SHORT_LITERAL {
                self.write(&[length as u8])?;
            } else {
                self.write(&[LITERAL + width(length)])?;
                self.integer(length)?;
            }
            self.write(piece)?;
        }
        Ok(())
    }

    /// Ends the file and hands it back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush_copy()?;
        self.write(&[END])?;
        self.file.into_inner().map_err(|error| Error::io("write the delta")(error.into_error()))
    }

    fn flush_copy(&mut self) -> Result<(), Error> {
        let Some((offset, length)) = self.copy.take() else { return Ok(()) };
        self.write(&[COPY + 4 * width(offset) + width(length)])?;
        self.integer(offset)?;
        self.integer(length)
    }

    fn integer(&mut self, value: u64) -> Result<(), Error> {
        let bytes = 1 << width(value);
        self.write(&value.to_be_bytes()[8 - bytes..])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io("write the delta"))
    }
}

/// The narrowest width: 0 to 3 for 1, 2, 4 or 8 bytes.
fn width(value: u64) -> u8 {
    match value {
        0..0x100 => 0,
        0x100..0x1_0000 => 1,
        0x1_0000..0x1_0000_0000 => 2,
        0x1_0000_0000.. => 3,
    }
}

/// A step of a delta file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaStep<'a> {
    /// The next bytes are those of the basis.
    Copy {
        /// Where they start.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// The next bytes are these. A long literal comes in several steps.
    Literal(&'a [u8]),
}

/// Reads a delta file step by step, in bounded memory.
#[derive(Debug)]
pub struct DeltaReader<R> {
    file: BufReader<R>,
    /// What is left of a literal.
    literal: u64,
    ended: bool,
    buffer: Vec<u8>,
}

impl<R: Read> DeltaReader<R> {
    /// Checks the file's start.
    pub fn new(file: R) -> Result<Self, Error> {
        let mut reader = Self {
            file: BufReader::new(file),
            literal: 0,
            ended: false,
            buffer: vec![0; READ_LENGTH],
        };
        let found = u32::from_be_bytes(reader.bytes()?);
        if found != MAGIC {
            return Err(Error::Magic { what: "delta", found });
        }
        Ok(reader)
    }

    /// The next step; none after the end command, whatever follows it.
    pub fn next_step(&mut self) -> Result<Option<DeltaStep<'_>>, Error> {
        if self.literal == 0 && !self.ended {
            let [opcode] = self.bytes()?;
            match opcode {
                END => self.ended = true,
                1..LITERAL => self.literal = u64::from(opcode),
                LITERAL..COPY => self.literal = self.length("literal length", opcode - LITERAL)?,
                COPY..=LAST_COPY => {
                    let widths = opcode - COPY;
                    let offset = self.integer(widths / 4)?;
                    if i64::try_from(offset).is_err() {
                        return corrupt("copy position", offset);
                    }
                    let length = self.length("copy length", widths % 4)?;
                    return Ok(Some(DeltaStep::Copy { offset, length }));
                }
                _ => return corrupt("opcode", u64::from(opcode)),
            }
        }
        if self.ended {
            return Ok(None);
        }
        let wanted = self.literal.min(READ_LENGTH as u64) as usize;
        let piece = &mut self.buffer[..wanted];
        self.file.read_exact(piece).map_err(truncated)?;
        self.literal -= wanted as u64;
        Ok(Some(DeltaStep::Literal(piece)))
    }

    fn length(&mut self, what: &'static str, width: u8) -> Result<u64, Error> {
        let length = self.integer(width)?;
        if length == 0 || i64::try_from(length).is_err() {
            return corrupt(what, length);
        }
        Ok(length)
    }

    fn integer(&mut self, width: u8) -> Result<u64, Error> {
        Ok(match width {
            0 => u64::from(u8::from_be_bytes(self.bytes()?)),
            1 => u64::from(u16::from_be_bytes(self.bytes()?)),
            2 => u64::from(u32::from_be_bytes(self.bytes()?)),
            _ => u64::from_be_bytes(self.bytes()?),
        })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(truncated)?;
        Ok(bytes)
    }
}

fn corrupt<T>(what: &'static str, value: u64) -> Result<T, Error> {
    Err(Error::Corrupt { file: "delta", what, value })
}

fn truncated(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::Truncated { what: "delta" },
        _ => Error::io("read the delta")(error),
    }
}

/// Writes the delta that makes `new` from the basis behind the index.
pub fn delta(index: &SearchIndex, new: impl Read, file: impl Write) -> Result<SearchWork, Error> {
    let mut writer = DeltaWriter::new(file)?;
    let work = Search::new(index).run(new, |operation| writer.push(operation))?;
    writer.finish()?.flush().map_err(Error::io("write the delta"))?;
    Ok(work)
}

/// Makes the new file from a basis and a delta file.
pub fn patch(basis: impl Basis, delta: impl Read, mut new: impl Write) -> Result<(), Error> {
    let mut reader = DeltaReader::new(delta)?;
    let mut patcher = Patcher::new(basis);
    while let Some(step) = reader.next_step()? {
        match step {
            DeltaStep::Copy { offset, length } => patcher.copy(offset, length, &mut new)?,
            DeltaStep::Literal(data) => patcher.apply(Operation::Literal(data), &mut new)?,
        }
    }
    new.flush().map_err(Error::io("write the new file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(delta: &[u8]) -> Result<Vec<String>, Error> {
        let mut reader = DeltaReader::new(delta)?;
        let mut steps = Vec::new();
        while let Some(step) = reader.next_step()? {
            steps.push(format!("{step:?}"));
        }
        Ok(steps)
    }

    #[test]
    fn what_no_writer_makes_is_refused() {
        let refused = |tail: &[u8]| steps(&[b"rs\x026", tail].concat()).unwrap_err();
        assert!(matches!(steps(b"rs\x016"), Err(Error::Magic { .. })));
        assert!(matches!(refused(b""), Error::Truncated { .. }));
        assert!(matches!(refused(b"\x02a"), Error::Truncated { .. }));
        assert!(matches!(refused(b"\x45\x00"), Error::Truncated { .. }));
        assert!(matches!(refused(b"\x55"), Error::Corrupt { what: "opcode", .. }));
        assert!(matches!(refused(b"\x41\x00"), Error::Corrupt { what: "literal length", .. }));
        assert!(matches!(refused(b"\x45\x00\x00"), Error::Corrupt { what: "copy length", .. }));
        let far = b"\x51\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert!(matches!(refused(far), Error::Corrupt { what: "copy position", .. }));
    }

    #[test]
    fn bytes_behind_the_end_are_ignored() {
        assert_eq!(steps(b"rs\x026\x01a\x00\x55").unwrap(), ["Literal([97])"]);
    }

    #[test]
    fn a_copy_beyond_the_basis_is_an_error() {
        let error = patch(&b"abc"[..], &b"rs\x026\x45\x01\x03\x00"[..], Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "copy of 3 bytes at offset 1 reaches beyond the end of the basis"
        );
    }
}
