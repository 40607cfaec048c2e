//! What the tests of this crate share: the vectors, and files that exist only in memory.
#![allow(dead_code)] // Each test program uses a part.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use syncline_conf::rsyncd::{Includes, Target};

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Files by absolute path, and environment variables.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) variables: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Includes for Files {
    fn read(&self, path: &Path) -> io::Result<Target> {
        if let Some(text) = self.files.get(path) {
            return Ok(Target::File(text.clone()));
        }
        let children = self.files.keys().filter_map(|file| file.strip_prefix(path).ok());
        let names: Vec<Vec<u8>> = children
            .filter_map(|rest| rest.to_str())
            .map(|name| name.as_bytes().to_vec())
            .collect();
        if names.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(Target::Directory(names))
        }
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.variables.get(name).cloned()
    }
}
