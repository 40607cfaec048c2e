//! A rule's pattern: which part of a name it is compared with, and how (docs/spec/filters.md 6.2 to 6.4).

use crate::text::{Joined, matches_from, tail_start};
use syncline_wildcard::{Start, Text, Wildcard};

/// A name as the pattern sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) path: &'a [u8],
    /// The last component of `path`.
    pub(crate) base: &'a [u8],
    pub(crate) is_directory: bool,
    /// The name was given with a leading slash, which `path` lacks.
    pub(crate) absolute: bool,
    /// The directory that names are relative to, without its leading slash; empty for the root.
    pub(crate) root: &'a [u8],
}

/// A compiled pattern. Equal texts with equal flags compile to equal behaviour.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: Box<[u8]>,
    part: Part,
    slash_behind_directories: bool,
    test: Test,
}

/// The part of the name that is compared (6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Base,
    Path,
    /// The path from the root of the file system, or of the module.
    FromRoot,
    /// The path with a slash in front.
    SlashAndPath,
}

/// The comparison, cut to what the pattern needs (6.4).
#[derive(Clone, Debug)]
enum Test {
    /// `*` against a single component.
    Anything,
    Equals(Box<[u8]>),
    /// `*.o` against a single component.
    EndsWith(Box<[u8]>),
    /// `.#*` against a single component.
    StartsWith(Box<[u8]>),
    Matches(Wildcard),
    /// The last `slashes + 1` components.
    TailEquals {
        slashes: usize,
        literal: Box<[u8]>,
    },
    TailMatches {
        slashes: usize,
        wildcard: Wildcard,
    },
    /// The text from its start or behind any slash.
    MatchesAnywhere(Wildcard),
}

impl Pattern {
    pub(crate) fn new(text: &[u8], absolute: bool) -> Self {
        let slashes = memchr::memchr_iter(b'/', text).count();
        let wild = memchr::memchr3(b'*', b'?', b'[', text).is_some();
        let double_star = wild && text.windows(2).any(|pair| pair == b"**");
        let double_star_first = double_star && text.starts_with(b"**");
        let part = if slashes == 0 && !double_star {
            Part::Base
        } else if absolute {
            Part::FromRoot
        } else if double_star_first {
            Part::SlashAndPath
        } else {
            Part::Path
        };
        let test = match text.strip_prefix(b"/") {
            Some(anchored) if wild => Test::Matches(Wildcard::new(anchored)),
            Some(anchored) => Test::Equals(anchored.into()),
            None if slashes > 0 && !double_star && wild => {
                Test::TailMatches { slashes, wildcard: Wildcard::new(text) }
            }
            None if slashes > 0 && !double_star => {
                Test::TailEquals { slashes, literal: text.into() }
            }
            None if double_star && !double_star_first => Test::MatchesAnywhere(Wildcard::new(text)),
            None if part == Part::Base => component_test(text),
            None => Test::Matches(Wildcard::new(text)),
        };
        Self {
            text: text.into(),
            part,
            slash_behind_directories: double_star && text.ends_with(b"***"),
            test,
        }
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    #[inline]
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        let slash_behind = self.slash_behind_directories && subject.is_directory;
        if self.part == Part::Base && !slash_behind {
            return self.test.holds(subject.base);
        }
        let (head, name) = match self.part {
            Part::Base => (None, subject.base),
            Part::FromRoot if !subject.absolute && !subject.root.is_empty() => {
                (Some(subject.root), subject.path)
            }
            // An absolute pattern that gets no directory in front falls to the later rows of 6.3.
            Part::FromRoot if !subject.absolute && self.text.starts_with(b"**") => {
                (Some(&b""[..]), subject.path)
            }
            Part::SlashAndPath if !subject.absolute => (Some(&b""[..]), subject.path),
            _ => (None, subject.path),
        };
        if head.is_none() && !slash_behind {
            self.test.holds(name)
        } else {
            self.test.holds(Joined { head, name, slash_behind })
        }
    }
}

impl Test {
    #[inline]
    fn holds<T: Text>(&self, text: T) -> bool {
        match self {
            Self::Anything => true,
            Self::Equals(literal) => text.tail_equals(0, literal),
            Self::EndsWith(suffix) => text
                .length()
                .checked_sub(suffix.len())
                .is_some_and(|start| text.tail_equals(start, suffix)),
            Self::StartsWith(prefix) => {
                text.length() >= prefix.len()
                    && prefix.iter().enumerate().all(|(index, &byte)| text.at(index) == byte)
            }
            Self::Matches(wildcard) => wildcard.matches_text(text, Start::Here),
            Self::TailEquals { slashes, literal } => {
                tail_start(text, *slashes).is_some_and(|start| text.tail_equals(start, literal))
            }
            Self::TailMatches { slashes, wildcard } => {
                tail_start(text, *slashes).is_some_and(|start| matches_from(wildcard, text, start))
            }
            Self::MatchesAnywhere(wildcard) => wildcard.matches_text(text, Start::AfterAnySlash),
        }
    }
}

/// The test of a pattern without a slash and without a double star, whose text is a single component.
fn component_test(text: &[u8]) -> Test {
    let plain = |part: &[u8]| !part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    match text {
        b"*" => Test::Anything,
        [b'*', suffix @ ..] if plain(suffix) => Test::EndsWith(suffix.into()),
        [prefix @ .., b'*'] if plain(prefix) => Test::StartsWith(prefix.into()),
        _ if memchr::memchr3(b'*', b'?', b'[', text).is_none() => Test::Equals(text.into()),
        _ => Test::Matches(Wildcard::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str, is_directory: bool) -> bool {
        let base = path.rsplit('/').next().unwrap_or(path);
        Pattern::new(pattern.as_bytes(), false).matches(&Subject {
            path: path.as_bytes(),
            base: base.as_bytes(),
            is_directory,
            absolute: false,
            root: b"srv/tree",
        })
    }

    #[test]
    fn the_worked_results_of_the_specification_hold() {
        let tree = ["a", "d/a", "d/e/a", "f/d/a", "x/d/y/a", "dd/a"];
        let cases: [(&str, &[&str]); 13] = [
            ("a", &tree),
            ("/a", &["a"]),
            ("d/a", &["d/a", "f/d/a"]),
            ("/d/a", &["d/a"]),
            ("d/*/a", &["d/e/a", "x/d/y/a"]),
            ("*/a", &["d/a", "d/e/a", "f/d/a", "x/d/y/a", "dd/a"]),
            ("**/a", &tree),
            ("/**/a", &["d/a", "d/e/a", "f/d/a", "x/d/y/a", "dd/a"]),
            ("/d/**/a", &["d/e/a"]),
            ("d/**/a", &["d/e/a", "x/d/y/a"]),
            ("d**a", &["d/a", "d/e/a", "f/d/a", "x/d/y/a", "dd/a"]),
            ("./a", &[]),
            ("d//a", &[]),
        ];
        for (pattern, wanted) in cases {
            let found: Vec<_> =
                tree.iter().copied().filter(|path| matches(pattern, path, false)).collect();
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    #[test]
    fn three_stars_behind_a_slash_take_the_directory_itself() {
        assert!(matches("d/***", "d", true));
        assert!(!matches("d/***", "d", false));
        assert!(matches("d/***", "x/d/y", false));
        assert!(!matches("d/**", "d", true));
    }

    #[test]
    fn an_absolute_pattern_sees_the_path_from_the_root() {
        let subject =
            |root| Subject { path: b"x/a", base: b"a", is_directory: false, absolute: false, root };
        assert!(Pattern::new(b"/srv/tree/x/a", true).matches(&subject(b"srv/tree")));
        assert!(Pattern::new(b"tree/x/a", true).matches(&subject(b"srv/tree")));
        assert!(Pattern::new(b"/srv/*/x/?", true).matches(&subject(b"srv/tree")));
        assert!(Pattern::new(b"/x/a", true).matches(&subject(b"")), "the root of a module");
        assert!(!Pattern::new(b"/x/a", true).matches(&subject(b"srv/tree")));
    }
}
