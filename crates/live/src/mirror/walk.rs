//! Looking at every file of a source.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Hiding;

/// Calls `each` with everything but directories that is not hidden, until it is `over` or `each` has had enough; whether
/// that was all. What comes and goes meanwhile is told of itself.
pub(super) fn files(
    top: &Path,
    hiding: &Hiding,
    over: &AtomicBool,
    each: &mut dyn FnMut(Vec<u8>, &Metadata) -> bool,
) -> bool {
    let mut owed = vec![Vec::new()];
    while let Some(directory) = owed.pop() {
        let entries = fs::read_dir(top.join(OsStr::from_bytes(&directory)));
        for entry in entries.into_iter().flatten().flatten() {
            if over.load(Ordering::Relaxed) {
                return false;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let mut path = directory.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(entry.file_name().as_bytes());
            if hiding.hides_path(&path, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                owed.push(path);
            } else if let Ok(data) = entry.metadata()
                && !each(path, &data)
            {
                return false;
            }
        }
    }
    true
}
