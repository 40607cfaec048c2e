//! The bytes of a journal.
//!
//! A segment is a header (magic, format) and records. A record is its length and a checksum, four bytes each, and
//! its payload; numbers are little-endian. The checksum is seeded with the segment and the offset, so that a
//! record of another place is none here.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::key::Key;
use crate::queue::{Below, Look, Range, Todo};

pub(crate) const MAGIC: [u8; 8] = *b"synclive";
pub(crate) const FORMAT: u32 = 1;
pub(crate) const HEADER: usize = MAGIC.len() + 4;

/// A longer path is replaced by a directory above it.
pub(crate) const MAX_PATH: usize = 16 << 10;

/// Two paths and what goes with them.
const MAX_PAYLOAD: usize = 2 * MAX_PATH + 64;

const FRAME: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// Something is to be done.
    Change { sequence: u64, key: Key, todo: Todo },
    /// What was to be done about these paths, up to this number, is done.
    Done { up_to: u64, range: Range },
    /// The segment begins with everything that was not done before it, and this is the end of that.
    Complete,
    /// The program ended as it should.
    Closed,
}

pub(crate) fn header() -> Vec<u8> {
    [&MAGIC[..], &FORMAT.to_le_bytes()].concat()
}

/// Appends a record that will stand at `offset`.
pub(crate) fn write(record: &Record, segment: u64, offset: u64, to: &mut Vec<u8>) {
    let begin = to.len();
    to.extend_from_slice(&[0; FRAME]);
    match record {
        Record::Change { sequence, key, todo } => {
            to.push(b'c');
            to.extend_from_slice(&sequence.to_le_bytes());
            to.push(todo_byte(*todo));
            to.extend_from_slice(key.as_bytes());
        }
        Record::Done { up_to, range } => {
            to.push(b'd');
            to.extend_from_slice(&up_to.to_le_bytes());
            to.extend_from_slice(&(range.from.as_bytes().len() as u32).to_le_bytes());
            to.extend_from_slice(range.from.as_bytes());
            // Without an end it goes to the last path; the root is no end, for nothing is before it.
            to.extend_from_slice(range.to.as_ref().map_or(&[], Key::as_bytes));
        }
        Record::Complete => to.push(b'f'),
        Record::Closed => to.push(b'z'),
    }
    let payload = &to[begin + FRAME..];
    let sum = checksum(payload, segment, offset);
    let length = payload.len() as u32;
    to[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    to[begin + 4..begin + FRAME].copy_from_slice(&sum.to_le_bytes());
}

/// How long the record of a change is.
pub(crate) fn change_length(key: &Key) -> u64 {
    (FRAME + 10 + key.as_bytes().len()) as u64
}

/// The record at `offset`, and where the next one begins.
pub(crate) fn read(bytes: &[u8], segment: u64, offset: usize) -> Option<(Record, usize)> {
    let rest = bytes.get(offset..)?;
    let length = number(rest, 0)? as usize;
    if length == 0 || length > MAX_PAYLOAD {
        return None;
    }
    let payload = rest.get(FRAME..FRAME + length)?;
    if number(rest, 4)? != checksum(payload, segment, offset as u64) {
        return None;
    }
    Some((decode(payload)?, offset + FRAME + length))
}

fn decode(payload: &[u8]) -> Option<Record> {
    let (&kind, rest) = payload.split_first()?;
    match kind {
        b'c' => {
            let (sequence, rest) = rest.split_first_chunk()?;
            let (&todo, path) = rest.split_first()?;
            let (sequence, key, todo) =
                (u64::from_le_bytes(*sequence), Key::from_bytes(path)?, todo_of(todo)?);
            Some(Record::Change { sequence, key, todo })
        }
        b'd' => {
            let (up_to, rest) = rest.split_first_chunk()?;
            let (from, rest) = rest
                .split_at_checked(4)
                .and_then(|(length, rest)| rest.split_at_checked(number(length, 0)? as usize))?;
            let to = if rest.is_empty() { None } else { Some(Key::from_bytes(rest)?) };
            let range = Range { from: Key::from_bytes(from)?, to };
            Some(Record::Done { up_to: u64::from_le_bytes(*up_to), range })
        }
        b'f' if rest.is_empty() => Some(Record::Complete),
        b'z' if rest.is_empty() => Some(Record::Closed),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn checksum(payload: &[u8], segment: u64, offset: u64) -> u32 {
    xxh3_64_with_seed(payload, segment.rotate_left(40) ^ offset) as u32
}

fn todo_byte(todo: Todo) -> u8 {
    match todo {
        Todo::Remove => 0x80,
        Todo::Look(look) => {
            let below = match look.below {
                Below::Nothing => 0,
                Below::Names => 1,
                Below::Tree => 2,
            };
            below | u8::from(look.content) << 2 | u8::from(look.below_content) << 3
        }
    }
}

fn todo_of(byte: u8) -> Option<Todo> {
    if byte == 0x80 {
        return Some(Todo::Remove);
    }
    let below = match byte & 3 {
        0 => Below::Nothing,
        1 => Below::Names,
        2 => Below::Tree,
        _ => return None,
    };
    let look = Look { content: byte & 4 != 0, below, below_content: byte & 8 != 0 };
    (byte < 16).then_some(Todo::Look(look))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        prop::collection::vec("[^/\0]{1,9}", 0..4)
            .prop_filter_map("no path", |parts| Key::from_bytes(parts.join("/").as_bytes()))
    }

    fn record() -> impl Strategy<Value = Record> {
        let change = (any::<u64>(), key(), 0_u8..=16).prop_map(|(sequence, key, todo)| {
            let todo = todo_of(todo).unwrap_or(Todo::Remove);
            Record::Change { sequence, key, todo }
        });
        let done = (any::<u64>(), key(), prop::option::of(key())).prop_map(|(up_to, from, to)| {
            let to = to.filter(|to| *to != Key::root());
            Record::Done { up_to, range: Range { from, to } }
        });
        prop_oneof![change, done, Just(Record::Complete), Just(Record::Closed)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_there_and_nowhere_else(records in prop::collection::vec(record(), 1..6), segment: u64) {
            let mut bytes = header();
            for record in &records {
                let offset = bytes.len() as u64;
                write(record, segment, offset, &mut bytes);
            }
            let mut at = HEADER;
            for record in &records {
                let (found, next) = read(&bytes, segment, at).unwrap();
                prop_assert_eq!(&found, record);
                prop_assert!(read(&bytes, segment.wrapping_add(1), at).is_none());
                at = next;
            }
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, 0, 0);
            let _ = decode(&bytes);
        }
    }
}
