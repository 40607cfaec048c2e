//! The window of what went by, for method zlib (docs/spec delta.md 8.3).

use crate::Protocol;

/// How far back deflate can refer.
const WINDOW: usize = 32768;

/// Longest piece a block is taken in.
const PIECE: usize = 65535;

/// The end of the matched blocks since the last literal: nothing before it can be referred to, so
/// it is given to the (de)compressor only when the next literal comes.
#[derive(Debug)]
pub(super) struct History {
    straight: bool,
    tail: Vec<u8>,
}

impl History {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self { straight: protocol.inserts_blocks_straight(), tail: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.tail.clear();
    }

    pub(super) fn insert(&mut self, block: &[u8]) {
        if self.straight {
            return self.push(block);
        }
        // Below protocol 31 both ends take every piece from the start of the block.
        for piece in block.chunks(PIECE) {
            self.push(block.get(..piece.len()).unwrap_or(block));
        }
    }

    /// What must be inserted now.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.tail.is_empty() {
            return None;
        }
        self.trim();
        Some(std::mem::take(&mut self.tail))
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = bytes.get(bytes.len().saturating_sub(WINDOW)..).unwrap_or(bytes);
        if end.len() == WINDOW {
            self.tail.clear();
        }
        self.tail.extend_from_slice(end);
        if self.tail.len() > 2 * WINDOW {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.tail.drain(..self.tail.len().saturating_sub(WINDOW));
    }
}
