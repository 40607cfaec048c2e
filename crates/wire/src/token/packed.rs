//! The flag bytes that all compressed forms share (docs/spec delta.md 8.1, 8.2).

use super::{Found, LITERAL_MAX, PIECE_MAX, deflate, lz4, zstandard};
use crate::{Error, Result, WireRead, WireWrite};

const END: u8 = 0x00;
const TOKEN_LONG: u8 = 0x20;
const RUN_LONG: u8 = 0x21;
const DATA: u8 = 0x40;
const TOKEN_REL: u8 = 0x80;
const RUN_REL: u8 = 0xc0;

/// Largest difference of a relative token.
const REL_MAX: u32 = 0x3f;

/// Largest block number a token can carry.
const BLOCK_MAX: u32 = 0x7fff_fffe;

#[derive(Debug)]
pub(super) enum Compressor {
    Deflate(deflate::Deflater),
    Zstd(zstandard::Compressor),
    Lz4(lz4::Compressor),
}

#[derive(Debug)]
pub(super) struct PackedEncoder {
    literals: Compressor,
    /// Last block of the token before.
    current: u32,
    /// First block of the run not yet written, and how many follow it.
    run: Option<(u32, u16)>,
}

impl PackedEncoder {
    pub(super) fn new(literals: Compressor) -> Self {
        Self { literals, current: 0, run: None }
    }

    pub(super) fn set_threads(&mut self, threads: u32) -> Result<()> {
        match &mut self.literals {
            Compressor::Zstd(compressor) => compressor.set_threads(threads),
            Compressor::Deflate(_) | Compressor::Lz4(_) => Ok(()),
        }
    }

    pub(super) fn needs_blocks(&self) -> bool {
        matches!(&self.literals, Compressor::Deflate(deflater) if deflater.needs_blocks())
    }

    pub(super) fn data(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.put_run(out);
        match &mut self.literals {
            Compressor::Deflate(deflater) => deflater.data(out, bytes),
            Compressor::Zstd(compressor) => compressor.data(out, bytes),
            Compressor::Lz4(compressor) => {
                compressor.data(out, bytes);
                Ok(())
            }
        }
    }

    pub(super) fn block(&mut self, out: &mut Vec<u8>, block: u32, bytes: &[u8]) -> Result<()> {
        self.end_literals(out)?;
        if let Compressor::Deflate(deflater) = &mut self.literals {
            deflater.insert(bytes);
        }
        self.run = match self.run {
            Some((first, more)) if more < u16::MAX && first + u32::from(more) + 1 == block => {
                Some((first, more + 1))
            }
            _ => {
                self.put_run(out);
                Some((block, 0))
            }
        };
        Ok(())
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.end_literals(out)?;
        self.put_run(out);
        out.put_u8(END);
        self.current = 0;
        if let Compressor::Deflate(deflater) = &mut self.literals {
            deflater.restart();
        }
        Ok(())
    }

    fn end_literals(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match &mut self.literals {
            Compressor::Deflate(deflater) => deflater.end_run(out),
            Compressor::Zstd(compressor) => compressor.end_run(out),
            Compressor::Lz4(compressor) => {
                compressor.end_run(out);
                Ok(())
            }
        }
    }

    fn put_run(&mut self, out: &mut Vec<u8>) {
        let Some((first, more)) = self.run.take() else { return };
        if let Some(near) =
            first.checked_sub(self.current).filter(|difference| *difference <= REL_MAX)
        {
            out.put_u8(if more > 0 { RUN_REL } else { TOKEN_REL } | near as u8);
        } else {
            out.put_u8(if more > 0 { RUN_LONG } else { TOKEN_LONG });
            out.put_u32(first);
        }
        if more > 0 {
            out.put_u16(more);
        }
        self.current = first + u32::from(more);
    }
}

/// Appends one piece of compressed data, 1 to [`PIECE_MAX`] bytes.
pub(super) fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    out.put_u8(DATA | (piece.len() >> 8) as u8);
    out.put_u8(piece.len() as u8);
    out.put(piece);
}

/// Moves compressed data out in pieces; what does not fill one stays, unless `all` is wanted.
pub(super) fn put_pieces(out: &mut Vec<u8>, pending: &mut Vec<u8>, all: bool) {
    let whole = if all { pending.len() } else { pending.len() - pending.len() % PIECE_MAX };
    pending
        .get(..whole)
        .unwrap_or_default()
        .chunks(PIECE_MAX)
        .for_each(|piece| put_piece(out, piece));
    pending.drain(..whole);
}

#[derive(Debug)]
pub(super) enum Decompressor {
    Inflate(deflate::Inflater),
    Zstd(zstandard::Decompressor),
    Lz4,
}

#[derive(Debug)]
pub(super) struct PackedDecoder {
    literals: Decompressor,
    current: u32,
    /// Next block of the run being handed out, and how many are left.
    run: Option<(u32, u32)>,
    /// The piece being decompressed, and how far it was.
    piece: Vec<u8>,
    taken: usize,
    /// More output may come without more input.
    more: bool,
    /// A flag met while literal output was still to be released.
    flag: Option<u8>,
}

impl PackedDecoder {
    pub(super) fn new(literals: Decompressor) -> Self {
        Self {
            literals,
            current: 0,
            run: None,
            piece: Vec::new(),
            taken: 0,
            more: false,
            flag: None,
        }
    }

    pub(super) fn start(&mut self) {
        self.current = 0;
        self.run = None;
        self.piece.clear();
        self.taken = 0;
        self.more = false;
        self.flag = None;
        if let Decompressor::Inflate(inflater) = &mut self.literals {
            inflater.restart();
        }
    }

    pub(super) fn needs_blocks(&self) -> bool {
        matches!(&self.literals, Decompressor::Inflate(inflater) if inflater.needs_blocks())
    }

    pub(super) fn insert(&mut self, block: &[u8]) {
        if let Decompressor::Inflate(inflater) = &mut self.literals {
            inflater.insert(block);
        }
    }

    pub(super) fn next(&mut self, input: &mut impl WireRead, data: &mut Vec<u8>) -> Result<Found> {
        loop {
            if self.taken < self.piece.len() || self.more {
                self.decompress(data)?;
                if !data.is_empty() {
                    return Ok(Found::Data);
                }
                continue;
            }
            if let Some((block, left)) = self.run {
                self.run = left.checked_sub(1).map(|left| (block + 1, left));
                return Ok(Found::Block(block));
            }
            let flag = match self.flag.take() {
                Some(flag) => flag,
                None => input.read_u8()?,
            };
            match flag {
                DATA..TOKEN_REL => self.read_piece(input, flag)?,
                _ if self.end_literals() => self.flag = Some(flag),
                END => return Ok(Found::End),
                TOKEN_LONG | RUN_LONG => {
                    let first = input.read_u32()?;
                    self.read_run(input, first, flag == RUN_LONG)?;
                }
                TOKEN_REL.. => {
                    let near = u32::from(flag) & REL_MAX;
                    let first = self.current.checked_add(near).ok_or(Error::InvalidToken)?;
                    self.read_run(input, first, flag >= RUN_REL)?;
                }
                _ => return Err(Error::InvalidToken),
            }
        }
    }

    fn read_piece(&mut self, input: &mut impl WireRead, flag: u8) -> Result<()> {
        let length = usize::from(flag & 0x3f) << 8 | usize::from(input.read_u8()?);
        if length == 0 && !matches!(self.literals, Decompressor::Zstd(_)) {
            let method = if matches!(self.literals, Decompressor::Lz4) { "lz4" } else { "deflate" };
            return Err(Error::Decompress { method, detail: "empty piece".to_owned() });
        }
        self.piece.resize(length, 0);
        input.read_exact(&mut self.piece)?;
        self.taken = 0;
        if let Decompressor::Inflate(inflater) = &mut self.literals {
            inflater.begin_piece()?;
        }
        Ok(())
    }

    fn read_run(&mut self, input: &mut impl WireRead, first: u32, run: bool) -> Result<()> {
        let more = if run { u32::from(input.read_u16()?) } else { 0 };
        let last = first.checked_add(more).filter(|last| *last <= BLOCK_MAX);
        self.current = last.filter(|_| !run || more > 0).ok_or(Error::InvalidToken)?;
        self.run = Some((first, more));
        Ok(())
    }

    /// Whether a literal run ends here, so that what it still holds must be released before the
    /// flag counts.
    fn end_literals(&mut self) -> bool {
        let Decompressor::Inflate(inflater) = &mut self.literals else { return false };
        let Some(end) = inflater.end_run() else { return false };
        self.piece.clear();
        self.piece.extend_from_slice(end);
        self.taken = 0;
        true
    }

    fn decompress(&mut self, data: &mut Vec<u8>) -> Result<()> {
        data.reserve(LITERAL_MAX);
        let mut rest = self.piece.get(self.taken..).unwrap_or_default();
        self.more = match &mut self.literals {
            Decompressor::Inflate(inflater) => inflater.run(&mut rest, data)?,
            Decompressor::Zstd(decompressor) => decompressor.run(&mut rest, data)?,
            Decompressor::Lz4 => {
                lz4::decompress(rest, data)?;
                rest = &[];
                false
            }
        };
        self.taken = self.piece.len() - rest.len();
        Ok(())
    }
}
