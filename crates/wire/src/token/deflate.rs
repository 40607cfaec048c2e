//! Methods zlib and zlibx (docs/spec delta.md 8.3).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::LITERAL_MAX;
use super::history::History;
use super::packed::put_pieces;
use crate::{Error, Protocol, Result};

/// The end of every flush, which is not sent.
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

#[derive(Debug)]
pub(super) struct Deflater {
    state: Compress,
    /// Method zlib: matched blocks enter the window too.
    history: Option<History>,
    /// Whether a literal run was begun.
    open: bool,
    pending: Vec<u8>,
}

impl Deflater {
    /// `history` is the version whose rule matched blocks follow, for method zlib.
    pub(super) fn new(level: i32, history: Option<Protocol>) -> Self {
        Self {
            state: Compress::new(Compression::new(level as u32), false),
            history: history.map(History::new),
            open: false,
            pending: Vec::new(),
        }
    }

    pub(super) fn needs_blocks(&self) -> bool {
        self.history.is_some()
    }

    pub(super) fn restart(&mut self) {
        self.state.reset();
        if let Some(history) = &mut self.history {
            history.clear();
        }
    }

    pub(super) fn data(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
        if let Some(window) = self.history.as_mut().and_then(History::take) {
            self.state.set_dictionary(&window).map_err(|error| failed(&error))?;
        }
        self.open = true;
        let start = self.state.total_in();
        loop {
            let done = (self.state.total_in() - start) as usize;
            let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) else { break };
            self.run(rest, FlushCompress::None)?;
        }
        put_pieces(out, &mut self.pending, false);
        Ok(())
    }

    pub(super) fn end_run(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if !std::mem::replace(&mut self.open, false) {
            return Ok(());
        }
        // The flush is complete once it leaves room in the buffer.
        while self.run(&[], FlushCompress::Sync)? {}
        if !self.pending.ends_with(&FLUSH_END) {
            return Err(failed(&"flush without its end mark"));
        }
        self.pending.truncate(self.pending.len() - FLUSH_END.len());
        put_pieces(out, &mut self.pending, true);
        Ok(())
    }

    pub(super) fn insert(&mut self, block: &[u8]) {
        if let Some(history) = &mut self.history {
            history.insert(block);
        }
    }

    /// Compresses into `pending`; whether the buffer became full.
    fn run(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<bool> {
        self.pending.reserve(LITERAL_MAX);
        let status = self.state.compress_vec(bytes, &mut self.pending, flush);
        match status.map_err(|error| failed(&error))? {
            Status::Ok | Status::BufError => Ok(self.pending.len() == self.pending.capacity()),
            Status::StreamEnd => Err(failed(&"stream ended")),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inflater {
    state: Decompress,
    history: Option<History>,
    /// Whether a literal run was begun.
    open: bool,
}

impl Inflater {
    pub(super) fn new(history: Option<Protocol>) -> Self {
        Self { state: Decompress::new(false), history: history.map(History::new), open: false }
    }

    pub(super) fn needs_blocks(&self) -> bool {
        self.history.is_some()
    }

    pub(super) fn restart(&mut self) {
        self.state.reset(false);
        self.open = false;
        if let Some(history) = &mut self.history {
            history.clear();
        }
    }

    pub(super) fn insert(&mut self, block: &[u8]) {
        if let Some(history) = &mut self.history {
            history.insert(block);
        }
    }

    /// Begins a piece: what was matched since the last literal becomes a stored block whose output
    /// is dropped.
    pub(super) fn begin_piece(&mut self) -> Result<()> {
        self.open = true;
        let Some(window) = self.history.as_mut().and_then(History::take) else { return Ok(()) };
        let length = window.len() as u16;
        let [low, high] = length.to_le_bytes();
        let [inverse_low, inverse_high] = (!length).to_le_bytes();
        let mut stored = vec![0, low, high, inverse_low, inverse_high];
        stored.extend_from_slice(&window);
        let mut dropped = Vec::with_capacity(LITERAL_MAX + 1);
        let mut input = &stored[..];
        while !input.is_empty() {
            dropped.clear();
            self.run(&mut input, &mut dropped)?;
        }
        Ok(())
    }

    /// At the first flag that is not data: the bytes that end the run.
    pub(super) fn end_run(&mut self) -> Option<&'static [u8]> {
        std::mem::replace(&mut self.open, false).then_some(&FLUSH_END)
    }

    /// Decompresses into the free capacity of `data`, advancing `input`; whether there may be more
    /// output without more input.
    pub(super) fn run(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<bool> {
        let before = self.state.total_in();
        let status = self.state.decompress_vec(input, data, FlushDecompress::None);
        let status = status.map_err(|error| failed(&error))?;
        let taken = (self.state.total_in() - before) as usize;
        *input = input.get(taken..).unwrap_or_default();
        let full = data.len() == data.capacity();
        match status {
            Status::StreamEnd => Err(failed(&"stream ended")),
            Status::BufError if !full && !input.is_empty() => Err(failed(&"no progress")),
            _ => Ok(full),
        }
    }
}

fn failed(detail: &dyn std::fmt::Display) -> Error {
    Error::Decompress { method: "deflate", detail: detail.to_string() }
}
