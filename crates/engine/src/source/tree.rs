//! Where the entries of the lists are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_fs::{OpenSource, RelPath, Root, SourceFile};

use crate::Extras;

/// A directory that names of entries are resolved below, for one argument or several.
#[derive(Debug)]
pub struct Base {
    /// Holds it open; what was found below it cannot lead out of it, unless links are followed.
    pub root: Root,
    /// Its own name in the transfer: every entry's name begins with this and a slash. Empty where it is the transfer's root.
    pub prefix: Vec<u8>,
    /// Its path for messages.
    pub shown: Vec<u8>,
    /// Its path as the operator wrote it, cleaned, without a leading slash.
    pub given: Vec<u8>,
}

impl Base {
    /// The part of an entry's name below the base, `.` for the base itself.
    pub fn below<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        let name = name.strip_prefix(b"/").unwrap_or(name);
        let rest = match name.strip_prefix(&self.prefix[..]) {
            Some(rest) if !self.prefix.is_empty() => rest.strip_prefix(b"/").unwrap_or(rest),
            _ => name,
        };
        if rest.is_empty() { b"." } else { rest }
    }

    /// An entry's path as the operator would write it; the base itself ends in a dot.
    pub fn give(&self, name: &[u8]) -> Vec<u8> {
        let below = self.below(name);
        if self.given.is_empty() { below.to_vec() } else { [&self.given[..], b"/", below].concat() }
    }

    /// The directory that the transfer's names are below, for messages.
    pub fn top(&self) -> &[u8] {
        let above = self.shown.strip_suffix(&self.prefix[..]).unwrap_or(&self.shown);
        above.strip_suffix(b"/").unwrap_or(above)
    }

    /// An entry's path for messages.
    pub fn show(&self, name: &[u8]) -> Vec<u8> {
        let below = self.below(name);
        let mut shown = self.shown.clone();
        if below != b"." {
            // Empty at the top of a daemon's module.
            if !shown.is_empty() && !shown.ends_with(b"/") {
                shown.push(b'/');
            }
            shown.extend_from_slice(below);
        }
        shown
    }
}

/// All bases of a run. They come to be known as the scan goes on; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    bases: Arc<Mutex<Vec<Arc<Base>>>>,
    /// Names of entries whose content lies under another name.
    aliases: Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>,
    /// What the lists' entries refer to.
    pub(crate) extras: Extras,
}

impl Tree {
    /// Adds a base; its number.
    pub fn add(&self, base: Arc<Base>) -> u32 {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        bases.push(base);
        bases.len() as u32 - 1
    }

    /// A base by its number.
    pub fn base(&self, number: u32) -> Option<Arc<Base>> {
        let bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        bases.get(number as usize).cloned()
    }

    /// The content of the entry called `name` is that of `other`.
    pub(super) fn alias(&self, name: &[u8], other: &[u8]) {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        aliases.insert(name.to_vec(), other.to_vec());
    }

    /// The name under which the content of the entry called `name` lies.
    pub(super) fn real(&self, name: &[u8]) -> Vec<u8> {
        let aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        aliases.get(name).cloned().unwrap_or_else(|| name.to_vec())
    }

    /// Opens the content of the entry called `name` below a base. `follow` is for options that send what links lead to.
    pub fn open(
        &self,
        base: &Base,
        name: &[u8],
        how: OpenSource,
        follow: bool,
    ) -> syncline_fs::Result<SourceFile> {
        let aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let alias = aliases.get(name).cloned();
        drop(aliases);
        let path = checked(base.below(alias.as_deref().unwrap_or(name)));
        if follow {
            how.open_following(&base.root, path)
        } else {
            how.open(&base.root.place(path)?)
        }
    }
}

/// Names in our own lists were made from checked parts.
pub(super) fn checked(path: &[u8]) -> RelPath<'_> {
    RelPath::new(path).unwrap_or(RelPath::ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_below_their_base() {
        let root = Root::open(std::path::Path::new("/"), syncline_fs::Trust::Everyone).unwrap();
        let base =
            Base { root, prefix: b"a/b".to_vec(), shown: b"/x/a/b".to_vec(), given: Vec::new() };
        assert_eq!(base.below(b"a/b/c/d"), b"c/d");
        assert_eq!(base.below(b"/a/b/c"), b"c");
        assert_eq!(base.below(b"a/b"), b".");
        assert_eq!(base.show(b"a/b/c"), b"/x/a/b/c");
        assert_eq!(base.show(b"a/b"), b"/x/a/b");
    }
}
