//! The token stream: literal data and references to blocks (docs/spec delta.md 7, 8).

mod deflate;
mod history;
mod lz4;
mod packed;
mod plain;
mod zstandard;

use crate::{Compression, Error, Protocol, Result, WireRead};

/// Longest payload of one compressed piece.
const PIECE_MAX: usize = 16383;

/// Longest piece of literal data handed out or written at once.
const LITERAL_MAX: usize = 32768;

/// One token of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Token<'a> {
    /// Literal bytes, never empty; a literal may come in any number of pieces.
    Data(&'a [u8]),
    /// A block of the basis, its number checked against the sum head.
    Block(u32),
    /// The end of the file; its sum follows on the stream.
    End,
}

/// Writes the tokens of the files of one session.
///
/// ```
/// use syncline_wire::{Compression, Protocol, Token, TokenDecoder, TokenEncoder};
///
/// let mut encoder = TokenEncoder::new(Compression::None, None, Protocol::NEWEST)?;
/// let mut out = Vec::new();
/// encoder.data(&mut out, b"X")?;
/// encoder.block(&mut out, 1, b"efgh")?;
/// encoder.end(&mut out)?;
/// assert_eq!(out, b"\x01\0\0\0X\xfe\xff\xff\xff\0\0\0\0");
///
/// let mut decoder = TokenDecoder::new(Compression::None, Protocol::NEWEST)?;
/// let mut input = &out[..];
/// decoder.start(3);
/// assert_eq!(decoder.next(&mut input)?, Token::Data(b"X"));
/// assert_eq!(decoder.next(&mut input)?, Token::Block(1));
/// assert_eq!(decoder.next(&mut input)?, Token::End);
/// # Ok::<(), syncline_wire::Error>(())
/// ```
#[derive(Debug)]
pub struct TokenEncoder {
    form: EncoderForm,
}

#[derive(Debug)]
enum EncoderForm {
    Plain,
    Packed(Box<packed::PackedEncoder>),
}

impl TokenEncoder {
    /// A session's encoder; `level` as the user gave it. zlib at level 0 is the plain form, on both
    /// ends.
    pub fn new(method: Compression, level: Option<i32>, protocol: Protocol) -> Result<Self> {
        let (method, level) = method.with_level(level);
        let literals = match method {
            Compression::None => return Ok(Self { form: EncoderForm::Plain }),
            Compression::Zlib => {
                packed::Compressor::Deflate(deflate::Deflater::new(level, Some(protocol)))
            }
            Compression::Zlibx => packed::Compressor::Deflate(deflate::Deflater::new(level, None)),
            Compression::Zstd => packed::Compressor::Zstd(zstandard::Compressor::new(level)?),
            Compression::Lz4 => packed::Compressor::Lz4(lz4::Compressor::default()),
        };
        Ok(Self { form: EncoderForm::Packed(Box::new(packed::PackedEncoder::new(literals))) })
    }

    /// A session's encoder that keeps the stream's form but spends no time on compressing: what a daemon
    /// whose `dont compress` is `*` sends with zlib and zlibx (docs/spec delta.md 8.8). Other methods
    /// compress as ever.
    pub fn stored(method: Compression, protocol: Protocol) -> Result<Self> {
        match method {
            Compression::Zlib | Compression::Zlibx => {
                // Stored blocks refer to nothing, so no history is kept.
                let literals = packed::Compressor::Deflate(deflate::Deflater::new(0, None));
                let packed = packed::PackedEncoder::new(literals);
                Ok(Self { form: EncoderForm::Packed(Box::new(packed)) })
            }
            _ => Self::new(method, None, protocol),
        }
    }

    /// Compresses on this many threads of its own, where the method can; to be said before the first data.
    pub fn with_threads(mut self, threads: u32) -> Result<Self> {
        if let EncoderForm::Packed(packed) = &mut self.form
            && threads > 0
        {
            packed.set_threads(threads.min(Self::MOST_THREADS))?;
        }
        Ok(self)
    }

    /// Threads beyond which the library refuses.
    const MOST_THREADS: u32 = 200;

    /// Whether [`TokenEncoder::block`] must be given the blocks' bytes.
    pub fn needs_blocks(&self) -> bool {
        match &self.form {
            EncoderForm::Plain => false,
            EncoderForm::Packed(packed) => packed.needs_blocks(),
        }
    }

    /// Appends literal data.
    pub fn data(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
        match &mut self.form {
            EncoderForm::Plain => plain::put_data(out, bytes),
            EncoderForm::Packed(packed) => packed.data(out, bytes)?,
        }
        Ok(())
    }

    /// Appends a reference to a block; `bytes` are the whole block's, unless they are not needed.
    pub fn block(&mut self, out: &mut Vec<u8>, block: u32, bytes: &[u8]) -> Result<()> {
        match &mut self.form {
            EncoderForm::Plain => plain::put_block(out, block),
            EncoderForm::Packed(packed) => packed.block(out, block, bytes)?,
        }
        Ok(())
    }

    /// Ends the file; the next token is another file's.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match &mut self.form {
            EncoderForm::Plain => plain::put_end(out),
            EncoderForm::Packed(packed) => packed.end(out)?,
        }
        Ok(())
    }
}

/// Reads the tokens of the files of one session. Files that are not wanted must be decoded all the
/// same.
#[derive(Debug)]
pub struct TokenDecoder {
    form: DecoderForm,
    /// Blocks of the current file's basis.
    count: u32,
    data: Vec<u8>,
}

#[derive(Debug)]
enum DecoderForm {
    Plain(plain::PlainDecoder),
    Packed(Box<packed::PackedDecoder>),
}

/// What a form found; the bytes of a literal are in the buffer it was given.
enum Found {
    Data,
    Block(u32),
    End,
}

impl TokenDecoder {
    /// A session's decoder. Give it the method that is in force: [`Compression::with_level`].
    pub fn new(method: Compression, protocol: Protocol) -> Result<Self> {
        let packed = |literals| DecoderForm::Packed(Box::new(packed::PackedDecoder::new(literals)));
        let form = match method {
            Compression::None => DecoderForm::Plain(plain::PlainDecoder::default()),
            Compression::Zlib => {
                packed(packed::Decompressor::Inflate(deflate::Inflater::new(Some(protocol))))
            }
            Compression::Zlibx => {
                packed(packed::Decompressor::Inflate(deflate::Inflater::new(None)))
            }
            Compression::Zstd => {
                packed(packed::Decompressor::Zstd(zstandard::Decompressor::new()?))
            }
            Compression::Lz4 => packed(packed::Decompressor::Lz4),
        };
        Ok(Self { form, count: 0, data: Vec::with_capacity(LITERAL_MAX) })
    }

    /// Starts a file whose basis has `count` blocks.
    pub fn start(&mut self, count: u32) {
        self.count = count;
        if let DecoderForm::Packed(packed) = &mut self.form {
            packed.start();
        }
    }

    /// Whether every block's bytes must be given to [`TokenDecoder::insert`] after its token.
    pub fn needs_blocks(&self) -> bool {
        match &self.form {
            DecoderForm::Plain(_) => false,
            DecoderForm::Packed(packed) => packed.needs_blocks(),
        }
    }

    /// Takes the bytes of the block whose token came last; where they are not known, as many zeros.
    pub fn insert(&mut self, block: &[u8]) {
        if let DecoderForm::Packed(packed) = &mut self.form {
            packed.insert(block);
        }
    }

    /// The next token.
    pub fn next(&mut self, input: &mut impl WireRead) -> Result<Token<'_>> {
        self.data.clear();
        let found = match &mut self.form {
            DecoderForm::Plain(plain) => plain.next(input, &mut self.data)?,
            DecoderForm::Packed(packed) => packed.next(input, &mut self.data)?,
        };
        match found {
            Found::Data => Ok(Token::Data(&self.data)),
            Found::Block(index) if index < self.count => Ok(Token::Block(index)),
            Found::Block(index) => Err(Error::BlockIndex { index, count: self.count }),
            Found::End => Ok(Token::End),
        }
    }
}
