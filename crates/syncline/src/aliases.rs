//! The files in which users give options other meanings (docs/spec cli.md 2).

use std::fs;
use std::path::{Path, PathBuf};

use syncline_options::Aliases;

/// The system's and the user's aliases. A file that cannot be read says nothing.
pub(crate) fn read() -> Aliases {
    let mut files = vec![PathBuf::from("/etc/popt")];
    if let Ok(directory) = fs::read_dir("/etc/popt.d") {
        let mut names: Vec<PathBuf> = directory.flatten().map(|entry| entry.path()).collect();
        names.sort();
        files.append(&mut names);
    }
    files.extend(std::env::var_os("HOME").map(|home| Path::new(&home).join(".popt")));
    let mut aliases = Aliases::default();
    for text in files.iter().filter(|file| file.is_file()).filter_map(|file| fs::read(file).ok()) {
        aliases.add(&text);
    }
    aliases
}
