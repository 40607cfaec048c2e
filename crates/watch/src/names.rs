//! The names of one directory, in little memory: what a rescan after an overflow compares with.
//!
//! A directory's names are a log: each name that came or went is appended, and the log is rewritten without what is dead
//! when it has doubled. So a change costs constant time on average however large the directory is, and a directory at rest
//! costs two bytes and the name for each file.

use std::collections::HashMap;

const GONE: u8 = 1;
const DIRECTORY: u8 = 2;
/// A log shorter than this is never rewritten.
const SMALLEST_REWRITE: usize = 512;

/// The log of one directory.
#[derive(Default, Debug)]
pub(crate) struct Names {
    log: Vec<u8>,
    /// Rewritten when the log grows beyond this.
    limit: u32,
}

impl Names {
    /// The names of a directory that was just listed.
    pub(crate) fn listed<'a>(names: impl Iterator<Item = (&'a [u8], bool)>) -> Self {
        let mut all = Self::default();
        for (name, directory) in names {
            all.append(name, if directory { DIRECTORY } else { 0 });
        }
        all.log.shrink_to_fit();
        all.limit = limit(all.log.len());
        all
    }

    pub(crate) fn insert(&mut self, name: &[u8], directory: bool) {
        self.append(name, if directory { DIRECTORY } else { 0 });
        self.rewrite_if_long();
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.append(name, GONE);
        self.rewrite_if_long();
    }

    /// The names that are there now, with whether each is a directory.
    pub(crate) fn current(&self) -> HashMap<&[u8], bool> {
        let mut current = HashMap::new();
        let mut rest = self.log.as_slice();
        while let Some(([length, flags], tail)) = rest.split_first_chunk::<2>() {
            let Some((name, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
            if flags & GONE == 0 {
                current.insert(name, flags & DIRECTORY != 0);
            } else {
                current.remove(name);
            }
            rest = tail;
        }
        current
    }

    fn append(&mut self, name: &[u8], flags: u8) {
        // The kernel's names have at most 255 bytes; a longer one cannot come back from a listing.
        if let Ok(length) = u8::try_from(name.len()) {
            self.log.extend_from_slice(&[length, flags]);
            self.log.extend_from_slice(name);
        }
    }

    fn rewrite_if_long(&mut self) {
        if self.log.len() > (self.limit as usize).max(SMALLEST_REWRITE) {
            let fresh = Self::listed(self.current().into_iter());
            *self = fresh;
        }
    }
}

fn limit(length: usize) -> u32 {
    u32::try_from(length * 2).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_log_says_what_a_map_says(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0u8..40), 0..2000)
        ) {
            let mut names = Names::default();
            let mut map = HashMap::new();
            for (add, directory, key) in steps {
                let name = format!("name-{key}").into_bytes();
                if add {
                    names.insert(&name, directory);
                    map.insert(name, directory);
                } else {
                    names.remove(&name);
                    map.remove(&name);
                }
            }
            let current: HashMap<Vec<u8>, bool> =
                names.current().into_iter().map(|(name, dir)| (name.to_vec(), dir)).collect();
            prop_assert_eq!(current, map);
            prop_assert!(names.log.len() <= 2 * SMALLEST_REWRITE + 100);
        }
    }
}
