//! Command lines as glibc's `getopt_long` reads them (spec inotifywait.md 1.1): bundles, unambiguous prefixes, permutation.

use std::collections::VecDeque;

/// One option of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) long: &'static str,
    pub(crate) short: Option<u8>,
    /// What its value is called; `None` for a flag.
    pub(crate) value: Option<&'static str>,
    /// What may stand there.
    pub(crate) values: Values,
    /// What it does, in lines that fit the help.
    pub(crate) help: &'static str,
    /// An option that the stock tools do not have: only its full name counts, so that no abbreviation changes its meaning.
    pub(crate) ours: bool,
}

/// What a completion offers for a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    Any,
    Files,
    Words(&'static [&'static str]),
}

impl Row {
    /// The row with what may stand for its value.
    pub(crate) const fn takes(self, values: Values) -> Self {
        Self { values, ..self }
    }
}

/// What the command line holds at one point.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Option(&'static str, Option<Vec<u8>>),
    Path(Vec<u8>),
}

/// Reads a command line word by word.
pub(crate) struct Parser {
    program: String,
    table: &'static [Row],
    words: VecDeque<Vec<u8>>,
    /// The rest of a bundle of short options.
    bundle: Vec<u8>,
    /// Everything from here on is a path.
    only_paths: bool,
    posixly_correct: bool,
}

impl Parser {
    pub(crate) fn new(program: &str, table: &'static [Row], words: Vec<Vec<u8>>) -> Self {
        Self {
            program: program.to_owned(),
            table,
            words: words.into(),
            bundle: Vec::new(),
            only_paths: false,
            posixly_correct: std::env::var_os("POSIXLY_CORRECT").is_some(),
        }
    }

    /// The next word; an error is the whole line for stderr, without its newline.
    pub(crate) fn next(&mut self) -> Option<Result<Word, String>> {
        if !self.bundle.is_empty() {
            return Some(self.short());
        }
        let word = self.words.pop_front()?;
        if self.only_paths || word == b"-" || !word.starts_with(b"-") {
            self.only_paths |= self.posixly_correct;
            return Some(Ok(Word::Path(word)));
        }
        if word == b"--" {
            self.only_paths = true;
            return self.next();
        }
        if let Some(long) = word.strip_prefix(b"--") {
            return Some(self.long(&word, long));
        }
        self.bundle = word[1..].to_vec();
        Some(self.short())
    }

    fn short(&mut self) -> Result<Word, String> {
        let letter = self.bundle.remove(0);
        let Some(spec) = self.table.iter().find(|spec| spec.short == Some(letter)) else {
            return Err(self.error(&format!("invalid option -- '{}'", letter as char)));
        };
        if spec.value.is_none() {
            return Ok(Word::Option(spec.long, None));
        }
        let attached = std::mem::take(&mut self.bundle);
        if !attached.is_empty() {
            return Ok(Word::Option(spec.long, Some(attached)));
        }
        match self.words.pop_front() {
            Some(value) => Ok(Word::Option(spec.long, Some(value))),
            None => {
                Err(self.error(&format!("option requires an argument -- '{}'", letter as char)))
            }
        }
    }

    fn long(&mut self, word: &[u8], long: &[u8]) -> Result<Word, String> {
        let (name, value) = match long.iter().position(|&byte| byte == b'=') {
            Some(at) => (&long[..at], Some(long[at + 1..].to_vec())),
            None => (long, None),
        };
        let shown = String::from_utf8_lossy(word).into_owned();
        let exact = self.table.iter().find(|spec| spec.long.as_bytes() == name);
        let spec = if let Some(exact) = exact {
            exact
        } else {
            let candidates: Vec<&Row> = self
                .table
                .iter()
                .filter(|spec| !spec.ours && spec.long.as_bytes().starts_with(name))
                .collect();
            match candidates.as_slice() {
                [] => return Err(self.error(&format!("unrecognized option '{shown}'"))),
                [one] => *one,
                several => {
                    let names: Vec<_> =
                        several.iter().map(|spec| format!("'--{}'", spec.long)).collect();
                    let names = names.join(" ");
                    return Err(self
                        .error(&format!("option '{shown}' is ambiguous; possibilities: {names}")));
                }
            }
        };
        let name = spec.long;
        match (spec.value.is_some(), value) {
            (false, None) => Ok(Word::Option(name, None)),
            (false, Some(_)) => {
                Err(self.error(&format!("option '--{name}' doesn't allow an argument")))
            }
            (true, Some(value)) => Ok(Word::Option(name, Some(value))),
            (true, None) => match self.words.pop_front() {
                Some(value) => Ok(Word::Option(name, Some(value))),
                None => Err(self.error(&format!("option '--{name}' requires an argument"))),
            },
        }
    }

    fn error(&self, text: &str) -> String {
        format!("{}: {text}", self.program)
    }
}

/// A row without a value.
pub(crate) const fn flag(long: &'static str, short: Option<u8>, help: &'static str) -> Row {
    Row { long, short, value: None, values: Values::Any, help, ours: false }
}

/// A row with a value.
pub(crate) const fn value(
    long: &'static str,
    short: Option<u8>,
    name: &'static str,
    help: &'static str,
) -> Row {
    Row { long, short, value: Some(name), values: Values::Any, help, ours: false }
}

/// A row that the stock tools do not have.
pub(crate) const fn ours(row: Row) -> Row {
    Row { ours: true, ..row }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Row] = &[
        flag("monitor", Some(b'm'), ""),
        value("timeout", Some(b't'), "seconds", ""),
        value("timefmt", None, "fmt", ""),
        value("exclude", None, "pattern", ""),
        value("excludei", None, "pattern", ""),
        ours(flag("time-travel", None, "")),
    ];

    fn all(words: &[&str]) -> Vec<Result<Word, String>> {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut parser = Parser::new("prog", TABLE, words);
        std::iter::from_fn(|| parser.next()).collect()
    }

    fn option(name: &'static str, value: Option<&str>) -> Word {
        Word::Option(name, value.map(|value| value.as_bytes().to_vec()))
    }

    #[test]
    fn bundles_prefixes_and_paths_are_read_in_order() {
        assert_eq!(
            all(&["a", "-mt1", "--exclude=x", "--mon", "--", "-m"]),
            [
                Ok(Word::Path(b"a".to_vec())),
                Ok(option("monitor", None)),
                Ok(option("timeout", Some("1"))),
                Ok(option("exclude", Some("x"))),
                Ok(option("monitor", None)),
                Ok(Word::Path(b"-m".to_vec())),
            ]
        );
    }

    #[test]
    fn our_own_options_never_make_an_abbreviation_ambiguous() {
        assert_eq!(
            all(&["--time"]),
            [Err(
                "prog: option '--time' is ambiguous; possibilities: '--timeout' '--timefmt'".into()
            )]
        );
        assert_eq!(all(&["--time-travel"]), [Ok(option("time-travel", None))]);
        assert_eq!(all(&["--time-tr"]), [Err("prog: unrecognized option '--time-tr'".into())]);
    }
}
