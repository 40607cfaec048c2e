//! The order both sides number entries in (docs/spec filelist.md 7.1).

use std::cmp::Ordering;

use crate::Protocol;

/// A name in the parts it is compared by.
#[derive(Clone, Copy, Debug)]
pub struct NameParts<'a> {
    /// Everything before the last slash; `/` where that slash comes first; empty without a slash.
    pub directory: &'a [u8],
    /// The last component.
    pub base: &'a [u8],
    /// Whether the entry is a directory.
    pub is_directory: bool,
}

impl<'a> NameParts<'a> {
    /// Splits a path.
    pub fn new(path: &'a [u8], is_directory: bool) -> Self {
        let (directory, base) = split_path(path);
        Self { directory, base, is_directory }
    }

    /// The last component and whether it sorts as a directory: `.` is an empty non-directory.
    fn last(self) -> (&'a [u8], bool) {
        match self.base {
            b"." if self.is_directory => (b"", false),
            base => (base, self.is_directory),
        }
    }

    fn components(self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let directory = match self.directory {
            b"/" => b"",
            other => other,
        };
        let parts = directory.split(|&byte| byte == b'/').map(|part| (part, true));
        let parts = parts.take(if self.directory.is_empty() { 0 } else { usize::MAX });
        parts.chain([self.last()])
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        let slash: &[u8] = match self.directory {
            b"" | b"/" => b"",
            _ => b"/",
        };
        self.directory.iter().chain(slash).chain(self.base).copied()
    }
}

/// Which of two names comes first.
pub fn compare_names(a: NameParts<'_>, b: NameParts<'_>, protocol: Protocol) -> Ordering {
    if !protocol.sorts_by_component() {
        if a.directory == b.directory {
            return a.base.cmp(b.base);
        }
        return a.bytes().cmp(b.bytes());
    }
    if a.directory == b.directory {
        return compare_components(a.last(), b.last());
    }
    let mut rest = b.components();
    for mine in a.components() {
        match rest.next() {
            None => return Ordering::Greater,
            Some(other) => match compare_components(mine, other) {
                Ordering::Equal => {}
                decided => return decided,
            },
        }
    }
    match rest.next() {
        None => Ordering::Equal,
        Some(_) => Ordering::Less,
    }
}

/// Splits at the last slash; see [`NameParts::directory`].
pub(super) fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        None => (b"", path),
        Some(0) => path.split_at_checked(1).unwrap_or((b"", path)),
        Some(slash) => {
            (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default())
        }
    }
}

/// Files before directories; then by bytes, directories with a slash behind them.
fn compare_components(
    (a, a_directory): (&[u8], bool),
    (b, b_directory): (&[u8], bool),
) -> Ordering {
    if a_directory != b_directory {
        return a_directory.cmp(&b_directory);
    }
    if !a_directory {
        return a.cmp(b);
    }
    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let next = |name: &[u8]| name.get(common).copied().unwrap_or(b'/');
    // A slash can only be the one appended, so equal bytes here mean that both names ended.
    next(a).cmp(&next(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[(&str, bool)], version: u8) -> Vec<String> {
        let protocol = Protocol::new(version).unwrap();
        let mut names = names.to_vec();
        names.sort_by(|(a, a_dir), (b, b_dir)| {
            let a = NameParts::new(a.as_bytes(), *a_dir);
            compare_names(a, NameParts::new(b.as_bytes(), *b_dir), protocol)
        });
        names.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn the_documented_order_is_kept() {
        let names = [
            ("a/s/3", false),
            ("a", true),
            ("z", false),
            (".", true),
            ("a/s", true),
            ("a-x", true),
            ("b", false),
            ("a/2", false),
            ("a-x/1", false),
        ];
        let new = [".", "b", "z", "a-x", "a-x/1", "a", "a/2", "a/s", "a/s/3"];
        assert_eq!(sorted(&names, 29), new);
        let old = [".", "a", "a-x", "a-x/1", "a/2", "a/s", "a/s/3", "b", "z"];
        assert_eq!(sorted(&names, 28), old);
    }

    #[test]
    fn bytes_below_the_slash_sort_before_it() {
        let names = [("a", true), ("a!", true), ("a.", true), ("a b", true), ("a-", true)];
        assert_eq!(sorted(&names, 32), ["a b", "a!", "a-", "a.", "a"]);
    }

    #[test]
    fn a_second_mention_of_a_directory_sorts_behind_it_and_before_its_contents() {
        let names = [("d/f", false), ("d/.", true), ("d", true)];
        assert_eq!(sorted(&names, 29), ["d", "d/.", "d/f"]);
        let names = [("/a", true), ("a", true), ("/a/b", false)];
        assert_eq!(sorted(&names, 32), ["/a", "/a/b", "a"]);
    }
}
