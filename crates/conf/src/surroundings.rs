//! What the configurations of other tools need to know about the machine they stand on.

use std::io;
use std::path::Path;

/// The machine, as far as a configuration asks about it.
pub trait Surroundings {
    /// The content of a file that a configuration names.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is a directory at `path`.
    fn is_directory(&self, path: &Path) -> bool;

    /// An environment variable.
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>>;
}
