//! What the caller knows of a tree: the names that were there at the start and all that was told since. A rescan compares
//! with it, and what is known already is not told again.

use std::collections::BTreeMap;

/// What is known of a name.
#[derive(Debug)]
pub(super) enum Known {
    File,
    Directory(Box<Folder>),
}

impl Known {
    pub(super) fn of(directory: bool) -> Self {
        if directory { Self::Directory(Box::default()) } else { Self::File }
    }

    /// Whether it is a directory; `None` for one that was not told itself, only something below it.
    pub(super) fn is_directory(&self) -> Option<bool> {
        match self {
            Self::File => Some(false),
            Self::Directory(folder) => (!folder.implied).then_some(true),
        }
    }
}

/// The names in one directory.
#[derive(Debug, Default)]
pub(super) struct Folder {
    names: BTreeMap<Box<[u8]>, Known>,
    /// Something below it was told before itself.
    implied: bool,
}

impl Folder {
    /// The names that are known in a directory below this one, with [`Known::is_directory`].
    pub(super) fn names(&mut self, directory: &[u8]) -> BTreeMap<Box<[u8]>, Option<bool>> {
        let entries = self.below(directory).into_iter().flat_map(|folder| &folder.names);
        entries.map(|(name, known)| (name.clone(), known.is_directory())).collect()
    }

    pub(super) fn get(&mut self, directory: &[u8], name: &[u8]) -> Option<&Known> {
        self.below(directory)?.names.get(name)
    }

    /// Makes a name known.
    pub(super) fn insert(&mut self, directory: &[u8], name: &[u8], known: Known) {
        let mut folder = self;
        for piece in pieces(directory) {
            let entry = folder.names.entry(piece.into()).or_insert(Known::File);
            if matches!(entry, Known::File) {
                let implied = Self { implied: true, ..Self::default() };
                *entry = Known::Directory(Box::new(implied));
            }
            let Known::Directory(inner) = entry else { return };
            folder = inner;
        }
        folder.names.insert(name.into(), known);
    }

    /// Forgets a name with everything below it, and returns what was known.
    pub(super) fn remove(&mut self, directory: &[u8], name: &[u8]) -> Option<Known> {
        self.below(directory)?.names.remove(name)
    }

    fn below(&mut self, directory: &[u8]) -> Option<&mut Self> {
        pieces(directory).try_fold(self, |folder, piece| match folder.names.get_mut(piece)? {
            Known::Directory(inner) => Some(&mut **inner),
            Known::File => None,
        })
    }
}

fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_directory_goes_and_comes_with_it() {
        let mut top = Folder::default();
        top.insert(b"", b"a", Known::of(true));
        top.insert(b"a/b", b"f", Known::File);
        assert_eq!(top.names(b"a"), [((*b"b").into(), None)].into());
        let moved = top.remove(b"a", b"b").unwrap();
        assert!(top.get(b"a/b", b"f").is_none());
        top.insert(b"", b"c", moved);
        assert_eq!(top.get(b"c", b"f").unwrap().is_directory(), Some(false));
        assert_eq!(top.names(b""), [((*b"a").into(), Some(true)), ((*b"c").into(), None)].into());
        assert_eq!(size_of::<Known>(), 8);
    }
}
