//! A daemon's `refuse options` (daemon.md 11).

use std::collections::HashMap;

use syncline_wildcard::Wildcard;

use crate::draft::Draft;
use crate::error::UsageError;
use crate::options::{Append, DeleteWhen, MissingArguments, Options};
use crate::table::{Mode, Occurrence, OptionId, Origin, Refusable, Row, rows};
use crate::values::choice::{Compression, Compressor};
use crate::word::Word;

/// What `a` and `archive` stand for.
const ARCHIVE: &[u8] = b"rlptgoDd";

/// What `--archive` is refused with, in the order in which one of several is named.
const ARCHIVE_OPTIONS: [OptionId; 8] = [
    OptionId::Links,
    OptionId::DevicesAndSpecials,
    OptionId::Group,
    OptionId::Owner,
    OptionId::Times,
    OptionId::Perms,
    OptionId::Dirs,
    OptionId::Recursive,
];

/// The options that a daemon does not take.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Positive and negative forms apart.
    refused: HashMap<(OptionId, bool), bool>,
    unmatched: Vec<Word>,
}

impl Refusals {
    /// Nothing is refused, as on a server behind a remote shell.
    pub fn none() -> Self {
        Self::default()
    }

    /// The refusals of a module: its `refuse options` value between the built-in ones. `charset`: the module has one.
    pub fn for_module(tokens: &[u8], charset: bool) -> Self {
        let mut refusals = Self::default();
        refusals.add(b"copy-devices", true);
        refusals.add(b"write-devices", true);
        for token in tokens.split(|&b| b == b' ').filter(|token| !token.is_empty()) {
            let known = match token.strip_prefix(b"!") {
                Some(token) => refusals.add(token, false),
                None => refusals.add(token, true),
            };
            if !known {
                refusals.unmatched.push(token.strip_prefix(b"!").unwrap_or(token).to_vec());
            }
        }
        if !charset {
            refusals.add(b"iconv", true);
        }
        refusals.add(b"log-file*", true);
        refusals.add(b"insecure-links", true);
        refusals
    }

    /// Tokens that match no option, for the log.
    pub fn unmatched(&self) -> &[Word] {
        &self.unmatched
    }

    /// Refuses or accepts what a token matches; tells whether it matched anything.
    fn add(&mut self, token: &[u8], refuse: bool) -> bool {
        if token == b"a" || token == b"archive" {
            for letter in ARCHIVE {
                self.add(&[*letter], refuse);
            }
            self.refused.insert((OptionId::Archive, false), refuse);
            return true;
        }
        let wild = token.iter().any(|b| b"*?[".contains(b));
        let pattern = wild.then(|| Wildcard::new(token));
        let matches = |name: &[u8]| match &pattern {
            Some(pattern) => pattern.matches(name),
            None => token == name,
        };
        let mut known = false;
        for row in client_rows() {
            for negative in [false, true] {
                let letter = row.short.filter(|_| !negative);
                let matched = letter.is_some_and(|letter| matches(&[letter]))
                    || row
                        .spellings()
                        .any(|name| name.negative == negative && matches(name.text.as_bytes()));
                if matched {
                    known = true;
                    if !wild || row.refusable == Refusable::ByWildcard {
                        self.refused.insert((row.id, negative), refuse);
                    }
                    // Two names of one setting, of which a wildcard reaches only the first.
                    if !wild && matches!(row.id, OptionId::OutFormat | OptionId::LogFormat) {
                        self.refused.insert((OptionId::OutFormat, false), refuse);
                        self.refused.insert((OptionId::LogFormat, false), refuse);
                    }
                }
            }
        }
        known
    }

    fn refuses(&self, id: OptionId) -> bool {
        self.refused.get(&(id, false)).copied().unwrap_or(false)
    }

    /// Judges one option as it is met.
    pub(crate) fn check(&self, occurrence: &Occurrence, draft: &Draft) -> Result<(), UsageError> {
        use OptionId as Id;
        let id = occurrence.row.id;
        if self.refused.get(&(id, occurrence.negative())).copied().unwrap_or(false) {
            return Err(UsageError::Refused(occurrence.shown()));
        }
        if occurrence.negative() {
            return Ok(());
        }
        let sender = draft.server.as_ref().is_some_and(|server| server.sender);
        let implied: &[OptionId] = match id {
            Id::Archive => &ARCHIVE_OPTIONS,
            Id::PartialProgress => &[Id::Partial, Id::Progress],
            Id::DeleteBefore
            | Id::DeleteDuring
            | Id::DeleteDelay
            | Id::DeleteAfter
            | Id::DeleteExcluded
            | Id::DeleteMissingArgs => &[Id::Delete],
            Id::RemoveSourceFiles | Id::RemoveSentFiles if sender => &[Id::Delete],
            _ => &[],
        };
        match implied.iter().find(|&&part| self.refuses(part)) {
            Some(part) => Err(refusal(*part)),
            None => Ok(()),
        }
    }

    /// Judges the whole.
    pub(crate) fn check_result(&self, options: &Options) -> Result<(), UsageError> {
        use OptionId as Id;
        let refuse = |id| Err(refusal(id));
        let compresses = !matches!(
            options.data.compression,
            Compression::Off | Compression::Chosen(Compressor::None)
        );
        if self.refuses(Id::Compress) && compresses {
            return refuse(Id::Compress);
        }
        let deletes = options.delete.when != DeleteWhen::Never
            || options.select.missing_arguments == MissingArguments::Delete;
        if self.refuses(Id::Delete) && deletes {
            return refuse(Id::Delete);
        }
        if options.delete.when == DeleteWhen::ByProtocol
            && self.refuses(Id::DeleteBefore)
            && self.refuses(Id::DeleteDuring)
        {
            return refuse(Id::DeleteBefore);
        }
        let appends = options.data.append != Append::No;
        if self.refuses(Id::Inplace) && (appends || options.attributes.write_devices) {
            return refuse(Id::Inplace);
        }
        if self.refuses(Id::Partial)
            && (options.data.inplace || options.data.partial == crate::options::Partial::Keep)
        {
            return refuse(Id::Partial);
        }
        if self.refused.get(&(Id::NoIconv, true)).copied().unwrap_or(false)
            && options.connection.iconv.is_none()
        {
            return Err(UsageError::Refused("--no-iconv".to_owned()));
        }
        Ok(())
    }
}

/// The refusal of an option by its own name.
fn refusal(id: OptionId) -> UsageError {
    let row = client_rows().find(|row| row.id == id);
    UsageError::Refused(row.map(Row::shown).unwrap_or_default())
}

/// The options that a client can send.
fn client_rows() -> impl Iterator<Item = &'static Row> {
    rows().filter(|row| row.mode == Mode::Transfer && row.origin == Origin::Stock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_patterns_match_whole_names() {
        for (pattern, name, matched) in [
            ("delete*", "delete-before", true),
            ("delete*", "del", false),
            ("*-from", "files-from", true),
            ("[vz]", "v", true),
            ("[!vz]", "v", false),
            ("[a-c]*", "backup", true),
            ("*a*b*c", "xaxbxcx", false),
            ("?", "ab", false),
            ("[", "[", false),
        ] {
            assert_eq!(
                Wildcard::new(pattern.as_bytes()).matches(name.as_bytes()),
                matched,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn later_tokens_override_and_unknown_ones_are_kept() {
        let refusals = Refusals::for_module(b"* !a !v nonsense !delete", false);
        assert!(!refusals.refuses(OptionId::Verbose) && !refusals.refuses(OptionId::Links));
        assert!(refusals.refuses(OptionId::Compress) && !refusals.refuses(OptionId::Delete));
        assert!(refusals.refuses(OptionId::Iconv) && refusals.refuses(OptionId::LogFile));
        assert!(!refusals.refuses(OptionId::DryRun));
        assert_eq!(refusals.unmatched(), [b"nonsense".to_vec()]);
    }
}
