//! The kernel's fanotify records as bytes (spec inotifywait.md 13.2).

/// Length of a record without its information parts.
const HEADER: usize = 24;
const DIRECTORY_AND_NAME: u8 = 2;
const DIRECTORY: u8 = 3;
const OLD_DIRECTORY_AND_NAME: u8 = 10;
const NEW_DIRECTORY_AND_NAME: u8 = 12;

/// A directory, by its handle, and a name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The file system.
    pub file_system: [u8; 8],
    /// The kind of handle.
    pub kind: i32,
    /// The directory's handle.
    pub handle: &'a [u8],
    /// The name; empty when the directory itself is meant.
    pub name: &'a [u8],
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened, several things at once perhaps.
    pub mask: u64,
    /// Who did it.
    pub pid: i32,
    /// Where; for a rename, where it was.
    pub place: Option<Named<'a>>,
    /// For a rename, where it is now.
    pub target: Option<Named<'a>>,
}

impl<'a> Event<'a> {
    /// The first event of `bytes` and what follows it; `None` when no whole event is there.
    pub fn split_first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = u32::from_ne_bytes(array(bytes, 0)?) as usize;
        let header = usize::from(u16::from_ne_bytes(array(bytes, 6)?));
        if header < HEADER || length < header {
            return None;
        }
        let (whole, rest) = bytes.split_at_checked(length)?;
        let mut event = Self {
            mask: u64::from_ne_bytes(array(whole, 8)?),
            pid: i32::from_ne_bytes(array(whole, 20)?),
            place: None,
            target: None,
        };
        let mut parts = whole.get(header..)?;
        while let Some((kind, part, left)) = split_part(parts) {
            match kind {
                DIRECTORY_AND_NAME | DIRECTORY | OLD_DIRECTORY_AND_NAME => {
                    event.place = named(part);
                }
                NEW_DIRECTORY_AND_NAME => event.target = named(part),
                _ => {}
            }
            parts = left;
        }
        Some((event, rest))
    }
}

/// The events in `bytes`, in order; a torn tail ends the walk.
pub fn events(mut bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    std::iter::from_fn(move || {
        let (event, rest) = Event::split_first(bytes)?;
        bytes = rest;
        Some(event)
    })
}

/// The first information part: its type, its contents after the four bytes of its header, and the rest.
fn split_part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let kind = *bytes.first()?;
    let length = usize::from(u16::from_ne_bytes(array(bytes, 2)?));
    let (part, rest) = bytes.split_at_checked(length)?;
    Some((kind, part.get(4..)?, rest))
}

/// File system, handle length, handle type, handle, name with its NUL.
fn named(part: &[u8]) -> Option<Named<'_>> {
    let file_system = array(part, 0)?;
    let length = u32::from_ne_bytes(array(part, 8)?) as usize;
    let kind = i32::from_ne_bytes(array(part, 12)?);
    let (handle, name) = part.get(16..)?.split_at_checked(length)?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(Named { file_system, kind, handle, name: if name == b"." { b"" } else { name } })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(kind: u8, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let mut part = vec![kind, 0, 0, 0];
        part.extend_from_slice(b"filesyst");
        part.extend_from_slice(&(handle.len() as u32).to_ne_bytes());
        part.extend_from_slice(&1i32.to_ne_bytes());
        part.extend_from_slice(handle);
        part.extend_from_slice(name);
        part.push(0);
        part.resize(part.len().next_multiple_of(4), 0);
        let length = part.len() as u16;
        part[2..4].copy_from_slice(&length.to_ne_bytes());
        part
    }

    fn event(mask: u64, parts: &[Vec<u8>]) -> Vec<u8> {
        let parts = parts.concat();
        let mut event = Vec::new();
        event.extend_from_slice(&((HEADER + parts.len()) as u32).to_ne_bytes());
        event.extend_from_slice(&[3, 0]);
        event.extend_from_slice(&(HEADER as u16).to_ne_bytes());
        event.extend_from_slice(&mask.to_ne_bytes());
        event.extend_from_slice(&(-1i32).to_ne_bytes());
        event.extend_from_slice(&42i32.to_ne_bytes());
        event.extend_from_slice(&parts);
        event
    }

    #[test]
    fn a_rename_carries_both_places() {
        let bytes =
            event(0x1000_0000, &[part(10, b"handle-a", b"old"), part(12, b"handle-b", b"new")]);
        let (event, rest) = Event::split_first(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(event.pid, 42);
        assert_eq!(event.place.unwrap().name, b"old");
        assert_eq!(event.target.unwrap().handle, b"handle-b");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(events(&bytes).count() <= bytes.len());
        }

        #[test]
        fn what_is_written_is_read_back(handle in prop::collection::vec(any::<u8>(), 0..40), name in "[a-z]{1,20}") {
            let bytes = event(0x100, &[part(2, &handle, name.as_bytes())]);
            let all: Vec<_> = events(&bytes).collect();
            prop_assert_eq!(all.len(), 1);
            let place = all[0].place.unwrap();
            prop_assert_eq!(place.handle, handle.as_slice());
            prop_assert_eq!(place.name, name.as_bytes());
        }
    }
}
