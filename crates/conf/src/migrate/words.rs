//! Words of rsync's command line as keys of ours.

use super::{NoteKind, Translation, split_words};
use crate::live::{Bandwidth, Interval, OptionValue, Options, Rule, Word};
use std::time::Duration;

/// What words of a command line ask for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) options: Options,
    pub(super) filter: Vec<Rule>,
    pub(super) rsync_options: Vec<Word>,
    pub(super) bwlimit: Option<Bandwidth>,
    pub(super) io_timeout: Option<Interval>,
    pub(super) port: Option<u16>,
    pub(super) password_file: Option<String>,
    pub(super) ssh: Vec<Word>,
    pub(super) delete: bool,
}

/// Single letters, and the switches they stand for.
const LETTERS: &[(char, &[&str])] = &[
    ('4', &["ipv4"]),
    ('6', &["ipv6"]),
    ('A', &["acls"]),
    ('C', &["cvs-exclude"]),
    ('D', &["devices", "specials"]),
    ('E', &["executability"]),
    ('H', &["hard-links"]),
    ('I', &["ignore-times"]),
    ('J', &["omit-link-times"]),
    ('K', &["keep-dirlinks"]),
    ('L', &["copy-links"]),
    ('O', &["omit-dir-times"]),
    ('P', &["partial"]),
    ('S', &["sparse"]),
    ('U', &["atimes"]),
    ('W', &["whole-file"]),
    ('X', &["xattrs"]),
    ('a', &["archive"]),
    ('b', &["backup"]),
    ('c', &["checksum"]),
    ('g', &["group"]),
    ('k', &["copy-dirlinks"]),
    ('l', &["links"]),
    ('m', &["prune-empty-dirs"]),
    ('n', &["dry-run"]),
    ('o', &["owner"]),
    ('p', &["perms"]),
    ('t', &["times"]),
    ('u', &["update"]),
    ('x', &["one-file-system"]),
    ('z', &["compress"]),
    // Recursion and relative names are how a mirror works; the rest is output.
    ('R', &[]),
    ('h', &[]),
    ('i', &[]),
    ('q', &[]),
    ('r', &[]),
    ('s', &[]),
    ('v', &[]),
];

/// Long words that say nothing to a mirror.
const SILENT: [&str; 11] = [
    "recursive",
    "relative",
    "verbose",
    "quiet",
    "progress",
    "stats",
    "human-readable",
    "itemize-changes",
    "protect-args",
    "secluded-args",
    "no-motd",
];

/// Long words that take a value and are dropped with a note.
const DROPPED: [&str; 6] =
    ["log-file", "log-file-format", "out-format", "info", "debug", "sockopts"];

impl Asked {
    /// Reads words as they stand in `key` on `line`.
    pub(super) fn read(&mut self, words: &[String], line: u32, key: &str, to: &mut Translation) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let mut value =
                    || value.clone().or_else(|| words.next().cloned()).unwrap_or_default();
                self.long(word, name, &mut value, line, key, to);
            } else if let Some(letters) =
                word.strip_prefix('-').filter(|letters| !letters.is_empty())
            {
                self.letters(
                    letters,
                    &mut || words.next().cloned().unwrap_or_default(),
                    line,
                    key,
                    to,
                );
            } else {
                to.lose(line, key, "a word that is no option");
            }
        }
    }

    fn letters(
        &mut self,
        letters: &str,
        next: &mut dyn FnMut() -> String,
        line: u32,
        key: &str,
        to: &mut Translation,
    ) {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            if let Some((_, names)) = LETTERS.iter().find(|(known, _)| *known == letter) {
                for name in *names {
                    self.switch(name, true);
                }
                continue;
            }
            let name = match letter {
                'e' => "rsh",
                'f' => "filter",
                'B' => "block-size",
                'T' => "temp-dir",
                _ => {
                    self.keep(&format!("-{letter}"), line, key, to);
                    continue;
                }
            };
            let attached = rest.as_str().to_owned();
            let mut value = || if attached.is_empty() { next() } else { attached.clone() };
            self.long(&format!("-{letter}"), name, &mut value, line, key, to);
            return;
        }
    }

    fn long(
        &mut self,
        word: &str,
        name: &str,
        value: &mut dyn FnMut() -> String,
        line: u32,
        key: &str,
        to: &mut Translation,
    ) {
        let switched_off =
            name.strip_prefix("no-").filter(|name| Options::takes_value(name) == Some(false));
        match name {
            _ if SILENT.contains(&name) => {}
            _ if DROPPED.contains(&name) => {
                value();
                to.note(line, NoteKind::OptionDropped(format!("--{name}")));
            }
            "ignore-errors" => to.note(line, NoteKind::OptionDropped(word.to_owned())),
            "del" | "delete" | "delete-before" | "delete-during" | "delete-delay"
            | "delete-after" => {
                self.delete = true;
            }
            "exclude" | "include" => {
                let sign = if name == "exclude" { '-' } else { '+' };
                let pattern = value();
                let ready = pattern.starts_with("- ") || pattern.starts_with("+ ");
                let rule = if ready { pattern } else { format!("{sign} {pattern}") };
                self.filter.extend(to.rule(line, key, &rule));
            }
            "exclude-from" => self.filter.extend(to.rule(line, key, &format!(".- {}", value()))),
            "include-from" => self.filter.extend(to.rule(line, key, &format!(".+ {}", value()))),
            "filter" => self.filter.extend(to.rule(line, key, &value())),
            "password-file" => self.password_file = Some(value()),
            "rsh" => {
                self.ssh =
                    split_words(&value()).iter().filter_map(|word| word.parse().ok()).collect();
            }
            "port" => match value().parse() {
                Ok(port) => self.port = Some(port),
                Err(_) => to.lose(line, key, "the port of `--port` is no number"),
            },
            "timeout" => match value().parse() {
                Ok(seconds) => self.timeout(seconds),
                Err(_) => to.lose(line, key, "the time of `--timeout` is no number"),
            },
            "bwlimit" => self.bandwidth(&value(), line, key, to),
            _ if switched_off.is_some() => self.switch(switched_off.unwrap_or_default(), false),
            _ => match Options::takes_value(name) {
                Some(true) => {
                    let value = value();
                    if !self.options.set_from_text(name, Some(&value)) {
                        self.keep(&format!("--{name}={value}"), line, key, to);
                    }
                }
                Some(false) if !word.contains('=') => self.switch(name, true),
                _ => self.keep(word, line, key, to),
            },
        }
    }

    /// Sets a switch of the table.
    pub(super) fn switch(&mut self, name: &str, on: bool) {
        // The names come from this file's tables or were looked up.
        let _ = self.options.set(name, OptionValue::Switch(on));
    }

    /// `--timeout`; 0 means none, and then ours stays as it is.
    pub(super) fn timeout(&mut self, seconds: u32) {
        if seconds != 0 {
            self.io_timeout = Some(Interval(Duration::from_secs(u64::from(seconds))));
        }
    }

    pub(super) fn bandwidth(&mut self, text: &str, line: u32, key: &str, to: &mut Translation) {
        match text.parse() {
            Ok(rate) => self.bwlimit = Some(Bandwidth::Always(rate)),
            Err(()) => to.lose(line, key, "the value of `--bwlimit` is no rate"),
        }
    }

    fn keep(&mut self, word: &str, line: u32, key: &str, to: &mut Translation) {
        match word.parse() {
            Ok(kept) => {
                self.rsync_options.push(kept);
                to.note(line, NoteKind::OptionKeptAsWord(word.to_owned()));
            }
            Err(()) => to.lose(line, key, "a word that is empty or longer than a line"),
        }
    }

    /// The notes that options ask for, whichever way they were given.
    pub(super) fn note_options(&self, line: u32, to: &mut Translation) {
        if self.options.is_on("update") {
            to.note(line, NoteKind::UpdateKeepsNewer);
        }
        for name in ["inplace", "append", "append-verify"] {
            if self.options.is_on(name) {
                to.note(line, NoteKind::TornReads(name.to_owned()));
            }
        }
        if !self.options.is_on("archive") {
            let names = ["owner", "group", "perms", "links"];
            let missing: Vec<&str> =
                names.into_iter().filter(|name| !self.options.is_on(name)).collect();
            if !missing.is_empty() {
                to.note(line, NoteKind::NoArchive(missing));
            }
        }
    }
}
