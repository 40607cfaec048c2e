//! A client's file words as paths of the module (docs/spec daemon.md 10.2).

use syncline_engine::source::sanitize_line;
use syncline_filter::{Filter, Name as FilterName};
use syncline_fs::{Kind, Links, RelPath, Root};

use syncline_wildcard::Wildcard;

use crate::entry::Entry;

/// The wildcards of one request stand for no more names.
const MOST: usize = 1 << 18;

/// Expands the words of one request in the module, which is the working directory.
#[derive(Debug)]
pub(crate) struct Expander<'a> {
    module: &'a [u8],
    sanitizes: bool,
    filter: &'a Filter,
    root: Option<Root>,
    links: Links,
    /// How many names wildcards may still stand for.
    left: usize,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(entry: &'a Entry) -> Self {
        let beneath = entry.sanitizes() && !*entry.settings.insecure_links;
        Self {
            module: &entry.name,
            sanitizes: entry.sanitizes(),
            filter: &entry.filter,
            root: None,
            left: MOST,
            links: if beneath { Links::Beneath } else { Links::Follow },
        }
    }

    /// For words that name no module, in a tree that is not the process's root.
    pub(crate) fn in_tree(filter: &'a Filter) -> Self {
        Self { module: b"", sanitizes: true, filter, root: None, links: Links::Beneath, left: MOST }
    }

    /// What the word stands for; a word that is just the module's name stands for nothing.
    pub(crate) fn expand(&mut self, word: &[u8], secluded: bool) -> Vec<Vec<u8>> {
        let word = word.strip_prefix(self.module).unwrap_or(word);
        let separator = [b" ", self.module, b"/"].concat();
        let mut pieces = vec![word];
        if !secluded {
            pieces = split_at(word, &separator);
        }
        let mut all = Vec::new();
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let clean = self.clean(piece);
            match self.matches(&clean) {
                Some(found) if !found.is_empty() => all.extend(found),
                _ => all.push(clean),
            }
        }
        all
    }

    pub(crate) fn clean(&self, piece: &[u8]) -> Vec<u8> {
        let mut clean = sanitize_line(piece);
        if clean == b"./" {
            clean.pop();
        }
        if self.sanitizes || !piece.starts_with(b"/") {
            return clean;
        }
        // The module's root is the process's.
        if clean == b"." { b"/".to_vec() } else { [b"/", &clean[..]].concat() }
    }

    /// None: there are no wildcards in it.
    pub(crate) fn matches(&mut self, word: &[u8]) -> Option<Vec<Vec<u8>>> {
        let is_wild = |text: &[u8]| text.iter().any(|byte| b"*?[".contains(byte));
        if !is_wild(word) {
            return None;
        }
        if self.root.is_none() {
            let root = Root::open(std::path::Path::new("."), syncline_fs::Trust::Everyone).ok()?;
            self.root = Some(root.with_links(self.links));
        }
        let root = self.root.as_ref()?;
        let absolute = word.starts_with(b"/");
        let directories_only = word.ends_with(b"/");
        let mut found = vec![Found::default()];
        for part in word.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            if !is_wild(part) {
                for found in &mut found {
                    found.push(part);
                }
                continue;
            }
            let pattern = Wildcard::new(part);
            let mut next = Vec::new();
            for directory in &found {
                let Ok(path) = directory.path() else { continue };
                let Ok(opened) = root.open_directory_following(path) else { continue };
                // A directory that cannot be listed has no names.
                let _ = opened.read_names(path, |name, _| {
                    if next.len() < self.left && pattern.matches(name.as_bytes()) {
                        let mut found = directory.clone();
                        found.push(name.as_bytes());
                        next.push(found);
                    }
                });
            }
            found = next;
        }
        found.retain(|found| self.is_there(root, found, directories_only));
        self.left -= found.len().min(self.left);
        let dress = |found: Found| {
            let mut shown = found.shown;
            if absolute {
                shown.insert(0, b'/');
            }
            if directories_only {
                shown.push(b'/');
            }
            shown
        };
        Some(found.into_iter().map(dress).collect())
    }

    fn is_there(&self, root: &Root, found: &Found, directories_only: bool) -> bool {
        let Ok(path) = found.path() else { return false };
        let Ok(stat) = root.place(path).and_then(|place| place.stat()) else { return false };
        let is_directory = match stat.kind() {
            Kind::Symlink => root.stat_following(path).is_ok_and(|stat| stat.is_dir()),
            kind => kind == Kind::Directory,
        };
        let name = FilterName { is_directory, ..FilterName::file(path.as_bytes()) };
        (is_directory || !directories_only) && !self.filter.excludes_any_component(&name)
    }
}

/// A path under way: as it is sent on, with the `.` parts that `-R` minds, and as it is looked up.
#[derive(Clone, Debug, Default)]
struct Found {
    shown: Vec<u8>,
    clean: Vec<u8>,
}

impl Found {
    fn push(&mut self, part: &[u8]) {
        let append = |path: &mut Vec<u8>| {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        };
        append(&mut self.shown);
        if part != b"." {
            append(&mut self.clean);
        }
    }

    fn path(&self) -> Result<RelPath<'_>, syncline_fs::PathError> {
        RelPath::new(if self.clean.is_empty() { b"." } else { &self.clean })
    }
}

fn split_at<'w>(word: &'w [u8], separator: &[u8]) -> Vec<&'w [u8]> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.windows(separator.len()).position(|window| window == separator) {
        pieces.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_split_where_the_module_is_named_again() {
        assert_eq!(split_at(b"/f m/d m/e", b" m/"), [&b"/f"[..], b"d", b"e"]);
        assert_eq!(split_at(b"/f", b" m/"), [b"/f"]);
    }
}
