//! Method zstd: one frame for the session, flushed after every literal run (docs/spec delta.md
//! 8.4).

use std::fmt;

use zstd::stream::raw::{CParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use super::LITERAL_MAX;
use super::packed::put_pieces;
use crate::{Error, Result};

pub(super) struct Compressor {
    state: Encoder<'static>,
    open: bool,
    pending: Vec<u8>,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Compressor {
    pub(super) fn new(level: i32) -> Result<Self> {
        let state = Encoder::new(level).map_err(|error| failed(&error))?;
        Ok(Self { state, open: false, pending: Vec::new() })
    }

    /// Compresses on this many threads beside the caller's.
    pub(super) fn set_threads(&mut self, threads: u32) -> Result<()> {
        let workers = CParameter::NbWorkers(threads);
        self.state.set_parameter(workers).map_err(|error| failed(&error))
    }

    pub(super) fn data(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
        self.open = true;
        let mut input = InBuffer::around(bytes);
        while input.pos < bytes.len() {
            self.pending.reserve(LITERAL_MAX);
            let end = self.pending.len();
            let mut output = OutBuffer::around_pos(&mut self.pending, end);
            self.state.run(&mut input, &mut output).map_err(|error| failed(&error))?;
        }
        put_pieces(out, &mut self.pending, false);
        Ok(())
    }

    pub(super) fn end_run(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if !std::mem::replace(&mut self.open, false) {
            return Ok(());
        }
        loop {
            self.pending.reserve(LITERAL_MAX);
            let end = self.pending.len();
            let mut output = OutBuffer::around_pos(&mut self.pending, end);
            if self.state.flush(&mut output).map_err(|error| failed(&error))? == 0 {
                break;
            }
        }
        put_pieces(out, &mut self.pending, true);
        Ok(())
    }
}

pub(super) struct Decompressor {
    state: Decoder<'static>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { state: Decoder::new().map_err(|error| failed(&error))? })
    }

    /// Decompresses into the free capacity of `data`, advancing `input`; whether there may be more
    /// output without more input.
    pub(super) fn run(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<bool> {
        let mut from = InBuffer::around(input);
        let end = data.len();
        let mut to = OutBuffer::around_pos(data, end);
        self.state.run(&mut from, &mut to).map_err(|error| failed(&error))?;
        let taken = from.pos;
        *input = input.get(taken..).unwrap_or_default();
        if taken == 0 && data.len() == end && !input.is_empty() {
            return Err(failed(&"no progress"));
        }
        Ok(data.len() == data.capacity())
    }
}

fn failed(detail: &dyn fmt::Display) -> Error {
    Error::Decompress { method: "zstd", detail: detail.to_string() }
}
