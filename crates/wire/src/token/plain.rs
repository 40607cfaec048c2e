//! Tokens without compression (docs/spec delta.md 7).

use super::{Found, LITERAL_MAX};
use crate::{Result, WireRead, WireWrite};

pub(super) fn put_data(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(LITERAL_MAX) {
        out.put_u32(piece.len() as u32);
        out.put(piece);
    }
}

pub(super) fn put_block(out: &mut Vec<u8>, block: u32) {
    out.put_i32(!(block as i32));
}

pub(super) fn put_end(out: &mut Vec<u8>) {
    out.put_i32(0);
}

#[derive(Debug, Default)]
pub(super) struct PlainDecoder {
    /// Bytes of the current literal that were not read yet.
    remaining: usize,
}

impl PlainDecoder {
    pub(super) fn next(&mut self, input: &mut impl WireRead, data: &mut Vec<u8>) -> Result<Found> {
        if self.remaining == 0 {
            match input.read_i32()? {
                0 => return Ok(Found::End),
                length @ 1.. => self.remaining = length as usize,
                block => return Ok(Found::Block(!block as u32)),
            }
        }
        let length = self.remaining.min(LITERAL_MAX);
        data.resize(length, 0);
        input.read_exact(data)?;
        self.remaining -= length;
        Ok(Found::Data)
    }
}
