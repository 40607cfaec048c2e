//! sersync's regular expressions, which hide names as its event filter does (docs/spec live.md 1.5, R102).

use std::collections::BTreeSet;

use regex::bytes::{RegexSet, RegexSetBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
use syncline_filter::{Hide, Name};

/// More ways to read an expression as patterns are not told apart.
const MOST_READINGS: usize = 64;

/// Expressions, each of which is to match the whole of a name.
///
/// Names are as sersync has them: `NAME` at the top, `/DIR/NAME` below it; and of a directory `DIR/` as well. Where
/// sersync asks about the latter at its start alone, and of a new directory's content nothing, here the answer is the
/// same at any time, and what is below a hidden directory is hidden.
#[derive(Debug)]
pub(crate) struct Expressions {
    set: RegexSet,
    /// Patterns of rsync that match all of it and perhaps more.
    guards: Vec<Vec<u8>>,
}

impl Expressions {
    /// None if there are none; fails with the expression that is wrong, and why.
    pub(crate) fn new(texts: &[String]) -> Result<Option<Self>, String> {
        if texts.is_empty() {
            return Ok(None);
        }
        let mut guards = BTreeSet::new();
        for text in texts {
            let hir = parsed(text).map_err(|why| format!("`filter-regex`: `{text}`: {why}"))?;
            guards.extend(readings(&hir).into_iter().flat_map(rules));
        }
        let whole = texts.iter().map(|text| format!("^(?:{text})$"));
        let set = RegexSetBuilder::new(whole)
            .unicode(texts.iter().any(|text| !is_of_bytes(text)))
            .dot_matches_new_line(true)
            .build()
            .map_err(|error| format!("`filter-regex`: {error}"))?;
        Ok(Some(Self { set, guards: guards.into_iter().collect() }))
    }

    /// Rules that keep a receiver, who knows no expressions, from removing what is hidden.
    pub(crate) fn guards(&self) -> impl Iterator<Item = Vec<u8>> {
        self.guards.iter().map(|pattern| [b"P ", &pattern[..]].concat())
    }
}

impl Hide for Expressions {
    fn hides(&self, name: &Name<'_>) -> bool {
        let event =
            if name.path.contains(&b'/') { [b"/", name.path].concat() } else { name.path.to_vec() };
        self.set.is_match(&event)
            || name.is_directory && self.set.is_match(&[name.path, b"/"].concat())
    }
}

/// Whether an expression can be read as one of bytes, so that names that are no UTF-8 are matched as well.
fn is_of_bytes(text: &str) -> bool {
    parser(false).parse(text).is_ok()
}

fn parsed(text: &str) -> Result<Hir, String> {
    if let Ok(hir) = parser(false).parse(text) {
        return Ok(hir);
    }
    // The picture of the place has lines of its own; the last one says what is wrong.
    parser(true).parse(text).map_err(|error| {
        error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").into()
    })
}

fn parser(unicode: bool) -> regex_syntax::Parser {
    regex_syntax::ParserBuilder::new()
        .unicode(unicode)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
}

/// Patterns of rsync that together match whatever the expression matches as a whole.
fn readings(hir: &Hir) -> Vec<Vec<u8>> {
    let all = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => {
            // Whether a backslash quotes depends on the rest of the pattern, so nothing is quoted.
            let plain =
                |byte: &u8| if b"*?[\\ ".contains(byte) || *byte < 32 { b'?' } else { *byte };
            vec![literal.0.iter().map(plain).collect()]
        }
        HirKind::Class(class) => vec![of_class(class)],
        HirKind::Repetition(again) => {
            vec![if may_be_slash(&again.sub) { b"**".to_vec() } else { b"*".to_vec() }]
        }
        HirKind::Capture(capture) => readings(&capture.sub),
        HirKind::Concat(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                let tails = readings(part);
                all = all
                    .iter()
                    .flat_map(|head: &Vec<u8>| {
                        tails.iter().map(move |tail| [&head[..], tail].concat())
                    })
                    .take(MOST_READINGS + 1)
                    .collect();
            }
            all
        }
        HirKind::Alternation(ways) => ways.iter().flat_map(readings).collect(),
    };
    if all.len() > MOST_READINGS { vec![b"**".to_vec()] } else { all }
}

fn of_class(class: &Class) -> Vec<u8> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Bytes(class) => {
            class.iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Unicode(class) => {
            class.iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
    };
    let plain = |bound: u32| u8::try_from(bound).ok().filter(u8::is_ascii_alphanumeric);
    let mut text = b"[".to_vec();
    for &(from, to) in &ranges {
        match (plain(from), plain(to)) {
            (Some(from), Some(to)) => text.extend([from, b'-', to]),
            // A character may be several bytes.
            _ if ranges.iter().any(|&(from, to)| (from..=to).contains(&u32::from(b'/'))) => {
                return b"**".to_vec();
            }
            _ => return b"*".to_vec(),
        }
    }
    text.push(b']');
    text
}

fn may_be_slash(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'/'),
        HirKind::Class(class) => of_class(class) == b"**",
        HirKind::Repetition(again) => may_be_slash(&again.sub),
        HirKind::Capture(capture) => may_be_slash(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_be_slash),
    }
}

/// The patterns for a reading of names in sersync's form.
fn rules(reading: Vec<u8>) -> Vec<Vec<u8>> {
    let mut pattern: Vec<u8> = Vec::new();
    for byte in reading {
        // Three stars in a row would mean something else.
        if !(byte == b'*' && pattern.ends_with(b"**")) {
            pattern.push(byte);
        }
    }
    // A directory's slash is in sersync's form of its name, and in no pattern.
    let stars = pattern.iter().rev().take_while(|byte| **byte == b'*').count();
    let directory = pattern.get(..pattern.len() - stars).and_then(|head| head.strip_suffix(b"/"));
    let directory = directory.map(<[u8]>::to_vec);
    let anchored = |pattern: Vec<u8>| {
        if pattern.starts_with(b"/") || pattern.starts_with(b"**") {
            pattern
        } else {
            [b"/", &pattern[..]].concat()
        }
    };
    let all = directory.into_iter().chain([pattern]).filter(|pattern| !pattern.is_empty());
    all.filter(|pattern| stars > 0 || !pattern.ends_with(b"/")).map(anchored).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use syncline_filter::{Filter, NoFiles, Rules, Settings, Side};

    use super::*;

    fn expressions(texts: &[&str]) -> Expressions {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Expressions::new(&texts).unwrap().unwrap()
    }

    fn guarding(expressions: &Expressions) -> Filter {
        let mut rules = Rules::new(Settings::default());
        for guard in expressions.guards() {
            rules.filter(&guard, &mut NoFiles).unwrap();
        }
        Filter::new(&rules, Side::Receiver)
    }

    #[test]
    fn r102_an_expression_matches_whole_names_as_sersync_has_them() {
        for (text, name, directory, hidden) in [
            // The table of live.md 1.5.
            ("^info/*", "info", false, true),
            ("^info/*", "info", true, true),
            ("^info/*", "d/info", true, false),
            ("^static/*", "static2", false, false),
            (r"(.*)\.svn", ".svn", false, true),
            (r"(.*)\.svn", "d/.svn", false, true),
            (r"(.*)\.gz", "a.gz", false, true),
            (r"(.*)\.gz", "d/e/b.gz", false, true),
            (r"(.*)\.gz", "x.gzz", false, false),
            (r"(.*)\.gz", "a\nb.gz", false, true),
            ("/logs/(.*)", "logs/x", false, true),
            ("/logs/(.*)", "logs", true, false),
            ("logs/(.*)", "logs", true, true),
            (r"site([/a-zA-Z0-9]*)/images", "site1/images", true, false),
            (r"/site([/a-zA-Z0-9]*)/images", "site1/a/images", true, true),
            ("(?i)(.*)TMP", "x.tmp", false, true),
            ("中(.*)", "中x", false, true),
            ("[中文](.*)", "文", false, true),
        ] {
            let hides = expressions(&[text]);
            let path = name.as_bytes();
            let name = if directory { Name::directory(path) } else { Name::file(path) };
            assert_eq!(hides.hides(&name), hidden, "{text} {name:?}");
        }
        assert!(Expressions::new(&[]).unwrap().is_none());
    }

    #[test]
    fn r102_what_cannot_be_read_is_named() {
        for (text, part) in
            [("(a)\\1", "backreferences"), ("a(?=b)", "look-around"), ("(a", "unclosed")]
        {
            let error = Expressions::new(&[text.to_owned()]).unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn r102_guards_are_as_narrow_as_patterns_can_say() {
        for (text, expected) in [
            (r"(.*)\.(jpg|png)", &["P **.jpg", "P **.png"][..]),
            (r"(.*)\d(.*)", &["P **[0-9]**"]),
            ("^cache[0-9]+", &["P /cache*"]),
            ("^info/*", &["P /info**"]),
            ("/tmp/(.*)", &["P /tmp", "P /tmp/**"]),
            ("logs/", &["P /logs"]),
            ("", &[]),
        ] {
            let expressions = expressions(&[text]);
            let guards = expressions.guards().map(|rule| String::from_utf8(rule).unwrap());
            assert_eq!(guards.collect::<Vec<_>>(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn r102_what_is_hidden_is_guarded(
            text in r"(\^)?(a|b|/|\.|\(\.\*\)|\[ab/\]|\[\^a\]|\(a\|b/\)|\\\.|\\d|a\+|/\*|b\?|\[\.\*\]){1,6}(\$)?",
            path in "[ab1]{1,3}(/[ab.*\\[]{1,2}){0,3}",
            is_directory: bool,
        ) {
            if let Ok(Some(expressions)) = Expressions::new(&[text]) {
                let name = Name { is_directory, ..Name::file(path.as_bytes()) };
                if expressions.hides(&name) {
                    prop_assert!(guarding(&expressions).excludes(&name), "{:?}", expressions.guards);
                }
            }
        }
    }
}
