//! Method lz4: every piece is a block of its own (docs/spec delta.md 8.5).

use lz4_flex::block;

use super::PIECE_MAX;
use super::packed::put_piece;
use crate::{Error, Result};

/// The most that one piece may hold, as stock's receivers have it.
const OUTPUT_MAX: usize = 32912;

#[derive(Debug, Default)]
pub(super) struct Compressor {
    pending: Vec<u8>,
    packed: Vec<u8>,
}

impl Compressor {
    pub(super) fn data(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let mut rest = bytes;
        while self.pending.len() + rest.len() >= PIECE_MAX {
            let (now, later) = rest.split_at(PIECE_MAX - self.pending.len());
            self.pending.extend_from_slice(now);
            self.end_run(out);
            rest = later;
        }
        self.pending.extend_from_slice(rest);
    }

    pub(super) fn end_run(&mut self, out: &mut Vec<u8>) {
        let pending = std::mem::take(&mut self.pending);
        self.put(out, &pending);
        self.pending = pending;
        self.pending.clear();
    }

    fn put(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.packed.resize(block::get_maximum_output_size(bytes.len()), 0);
        match block::compress_into(bytes, &mut self.packed) {
            Ok(length) if length <= PIECE_MAX => {
                put_piece(out, self.packed.get(..length).unwrap_or_default());
            }
            // What does not shrink is halved until its overhead fits.
            _ => {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                self.put(out, first);
                self.put(out, second);
            }
        }
    }
}

/// Decompresses one piece into `data`.
pub(super) fn decompress(piece: &[u8], data: &mut Vec<u8>) -> Result<()> {
    data.resize(OUTPUT_MAX, 0);
    let length = block::decompress_into(piece, data).map_err(|error| failed(&error))?;
    if length == 0 {
        return Err(failed(&"empty piece"));
    }
    data.truncate(length);
    Ok(())
}

fn failed(detail: &dyn std::fmt::Display) -> Error {
    Error::Decompress { method: "lz4", detail: detail.to_string() }
}
