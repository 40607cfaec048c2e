//! What the bench of live mirrors needs: comparisons of trees, processor time of families.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::programs::measure::family_time;

/// Everything below a directory: mode, size and time of each name, the size of directories left out.
pub type Tree = BTreeMap<Vec<u8>, (u32, u64, i64)>;

/// Looks at a tree that may change meanwhile.
pub fn tree(top: &Path) -> io::Result<Tree> {
    let mut found = Tree::new();
    let mut owed = vec![top.to_owned()];
    while let Some(directory) = owed.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let data = path.symlink_metadata()?;
            let size = if data.is_dir() { 0 } else { data.size() };
            let name = path.strip_prefix(top).map_err(io::Error::other)?;
            found.insert(name.as_os_str().as_bytes().to_vec(), (data.mode(), size, data.mtime()));
            if data.is_dir() {
                owed.push(path);
            }
        }
    }
    Ok(found)
}

/// Processor seconds of a process, its children, and those that it has waited for.
pub fn cpu_of(process: u32) -> f64 {
    let path = format!("/proc/{process}/task");
    let mut seconds = family_time(process);
    for task in fs::read_dir(path).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            seconds += cpu_of(child);
        }
    }
    seconds
}

/// The value below which this part of all values is.
pub fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_list() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(51.0));
        assert_eq!(percentile(&values, 1.0), Some(100.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
