//! Paths in the order of a walk: a directory, then everything in it, then what follows.

use std::cmp::Ordering;

use syncline_fs::{RelPath, RelPathBuf};

/// A path; the root is empty, so that it is above every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Box<[u8]>);

impl Key {
    pub(crate) fn of(path: RelPath<'_>) -> Self {
        Self(if path.is_root() { Box::default() } else { path.as_bytes().into() })
    }

    /// From bytes that [`as_bytes`](Self::as_bytes) gave; `None` if they are no path.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let valid = bytes.is_empty() || RelPath::new(bytes).is_ok_and(|path| !path.is_root());
        valid.then(|| Self(bytes.into()))
    }

    pub(crate) fn root() -> Self {
        Self(Box::default())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_path(&self) -> RelPathBuf {
        match RelPath::new(&self.0) {
            Ok(path) => path.to_owned(),
            // Only the empty one is none.
            Err(_) => RelPathBuf::root(),
        }
    }

    /// The paths above, the nearest first, the root last.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let slashes = self.0.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        let root = (!self.0.is_empty()).then(Self::root);
        slashes.map(|(index, _)| Self(self.0[..index].into())).chain(root)
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        self.ancestors().next()
    }

    pub(crate) fn is_below(&self, ancestor: &Self) -> bool {
        if ancestor.0.is_empty() {
            return !self.0.is_empty();
        }
        self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// How many directories are above: 0 for the root.
    pub(crate) fn depth(&self) -> usize {
        self.ancestors().count()
    }

    /// The path above that has this depth, or the path itself if it is not deeper.
    pub(crate) fn cut_to(&self, depth: usize) -> Self {
        let deeper = self.depth().saturating_sub(depth);
        if deeper == 0 {
            self.clone()
        } else {
            self.ancestors().nth(deeper - 1).unwrap_or_else(Self::root)
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // A slash sorts before everything, so that `a/b` comes before `a!`.
        let weight = |byte: &u8| if *byte == b'/' { 0_u16 } else { u16::from(*byte) + 1 };
        self.0.iter().map(weight).cmp(other.0.iter().map(weight))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        Key::from_bytes(path.as_bytes()).unwrap()
    }

    #[test]
    fn a_directory_is_followed_by_all_that_is_in_it() {
        let mut keys = ["a!", "a", "", "a/b!", "a/b/c", "a/b", "b", "a\u{1}"].map(key);
        keys.sort();
        let sorted: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
        assert_eq!(sorted, [&b""[..], b"a", b"a/b", b"a/b/c", b"a/b!", b"a\x01", b"a!", b"b"]);
    }

    #[test]
    fn ancestors_reach_up_to_the_root() {
        let above: Vec<Key> = key("a/b/c").ancestors().collect();
        assert_eq!(above, [key("a/b"), key("a"), key("")]);
        assert_eq!(key("").ancestors().count(), 0);
        assert_eq!(
            (key("a/b/c").cut_to(1), key("a").cut_to(3), key("a/b").cut_to(0)),
            (key("a"), key("a"), key(""))
        );
        assert!(
            key("a/b").is_below(&key("a"))
                && !key("ab").is_below(&key("a"))
                && key("a").is_below(&key(""))
        );
        assert!(!key("").is_below(&key("")));
    }

    #[test]
    fn what_is_no_path_is_no_key() {
        for wrong in ["/a", "a/", "a//b", "..", "a/../b", "."] {
            assert_eq!(Key::from_bytes(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
