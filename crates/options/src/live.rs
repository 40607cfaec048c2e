//! The command line of a live mirror (live.md 6.1).

use crate::error::{Speaker, UsageError};
use crate::parse::{Item, Parser};
use crate::table::{Effect, Mode, Occurrence, Value};
use crate::word::Word;

/// What a live mirror's command line asks for, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the option of its name")]
#[non_exhaustive]
pub struct LiveOptions {
    pub config: Option<Word>,
    /// `-o`.
    pub sersync: Option<Word>,
    /// `-r`.
    pub first_push: bool,
    /// `-n`.
    pub workers: Option<i32>,
    /// `-m`.
    pub plugin: Option<Word>,
    pub detach: bool,
    pub startup: Option<Word>,
    pub no_delete: bool,
    pub max_delete: Option<Word>,
    pub allow_empty_source: bool,
    pub fail_fast: bool,
    pub settle: Option<Word>,
    pub max_delay: Option<Word>,
    pub state_dir: Option<Word>,
    pub status_addr: Option<Word>,
    pub status_file: Option<Word>,
    pub log_level: Option<Word>,
    pub check_config: bool,
    pub print_config: bool,
    pub to: Option<Word>,
    pub keep_delays: bool,
    pub version: bool,
    pub help: bool,
    /// Options of rsync, each in one word, in order.
    pub rsync: Vec<Word>,
    /// What is no option.
    pub arguments: Vec<Word>,
}

/// Parses the words after the name of a program that mirrors live.
pub fn parse_live(words: &[Word]) -> Result<LiveOptions, UsageError> {
    let mut options = LiveOptions::default();
    for item in Parser::new(words, Mode::Live, Speaker::Live) {
        match item? {
            Item::Argument(word) => options.arguments.push(word),
            Item::Option(occurrence) => match occurrence.row.effect {
                Effect::Live(effect) => effect(&mut options, &occurrence),
                _ => options.rsync.push(as_word(&occurrence)),
            },
        }
    }
    Ok(options)
}

/// An option in one word, by its first long name if it has one.
fn as_word(occurrence: &Occurrence) -> Word {
    let row = occurrence.row;
    let mut word = match (occurrence.name, row.names.first()) {
        (Some(name), _) if name.negative => format!("--{}", name.text),
        (_, Some(name)) => format!("--{name}"),
        (Some(name), None) => format!("--{}", name.text),
        (None, None) => format!("-{}", char::from(row.short.unwrap_or(b'-'))),
    }
    .into_bytes();
    match &occurrence.value {
        Value::None => {}
        Value::Integer(number) => word.extend_from_slice(format!("={number}").as_bytes()),
        Value::Text(text) => {
            word.push(b'=');
            word.extend_from_slice(text);
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<LiveOptions, UsageError> {
        let words: Vec<Word> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        parse_live(&words)
    }

    #[test]
    fn r1_options_of_rsync_keep_their_order_and_letters_of_sersync_win() {
        let options = parse(&[
            "-azAX",
            "--exclude",
            "*.o",
            "-f",
            "- x",
            "src",
            "-D",
            "--no-perms",
            "--bwlimit=2m",
            "host::m",
            "--password-file",
            "p",
        ])
        .unwrap();
        let rsync: Vec<_> =
            options.rsync.iter().map(|word| String::from_utf8_lossy(word)).collect();
        assert_eq!(
            rsync,
            [
                "--archive",
                "--compress",
                "--acls",
                "--xattrs",
                "--exclude=*.o",
                "--filter=- x",
                "-D",
                "--no-perms",
                "--bwlimit=2m",
                "--password-file=p",
            ]
        );
        assert_eq!(options.arguments, [b"src".to_vec(), b"host::m".to_vec()]);
        let options = parse(&["-rd", "-n", "8", "-o", "confxml.xml", "-mcommand"]).unwrap();
        assert!(options.first_push && options.detach && options.rsync.is_empty());
        assert_eq!((options.workers, options.plugin.as_deref()), (Some(8), Some(&b"command"[..])));
        assert_eq!(options.sersync.as_deref(), Some(&b"confxml.xml"[..]));
    }

    #[test]
    fn what_means_nothing_to_a_mirror_is_an_error_in_its_own_name() {
        for (word, text) in [
            ("--link-dest=x", "synclive: --link-dest=x: unknown option"),
            ("--daemon", "synclive: --daemon: unknown option"),
            ("-avn", "synclive: -avn: missing argument"),
        ] {
            assert_eq!(parse(&[word]).unwrap_err().to_string(), text);
        }
    }
}
