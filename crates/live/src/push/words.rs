//! The options of a session, as words of rsync's command line.

use syncline_conf::live::{Mirror, OptionValue, Target, Word};
use syncline_engine::{Error, ExitCode};
use syncline_options::{Command, Context, Options, parse};

use super::Load;

/// The words that every session with a target begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(Vec<Vec<u8>>);

impl Words {
    /// What mirror and target ask for.
    pub(crate) fn of(mirror: &Mirror, target: &Target) -> Self {
        let options = mirror.options.overridden_by(&target.options);
        let mut words = Vec::new();
        if options.is_on("archive") {
            words.push("--archive".to_owned());
        }
        for (name, value) in options.iter().filter(|(name, _)| *name != "archive") {
            words.push(match value {
                OptionValue::Switch(true) => format!("--{name}"),
                OptionValue::Switch(false) => format!("--no-{name}"),
                OptionValue::Number(number) => format!("--{name}={number}"),
                OptionValue::Text(text) => format!("--{name}={text}"),
                _ => continue,
            });
        }
        if !target.ssh.is_empty() {
            let shell: Vec<&str> = target.ssh.iter().map(Word::as_str).collect();
            words.push(format!("--rsh={}", shell.join(" ")));
        }
        let seconds = |interval: std::time::Duration| interval.as_secs().max(1);
        words.push(format!("--timeout={}", seconds(target.io_timeout.0)));
        if matches!(target.url, syncline_conf::live::Address::Daemon { .. }) {
            words.push(format!("--contimeout={}", seconds(target.connect_timeout.0)));
        }
        let further = mirror.rsync_options.iter().chain(&target.rsync_options);
        words.extend(further.map(|word| word.as_str().to_owned()));
        words.extend(mirror.filter.iter().map(|rule| format!("--filter={}", rule.as_str())));
        Self(words.into_iter().map(String::into_bytes).collect())
    }

    /// The words of a session that carries `load`.
    pub(crate) fn of_session(&self, load: &Load, max_delete: Option<u64>) -> Vec<Vec<u8>> {
        let mut words = self.0.clone();
        let mut add = |word: &str| words.push(word.as_bytes().to_vec());
        match load {
            Load::Everything { removes } => {
                add("--recursive");
                if *removes {
                    add("--delete");
                }
            }
            Load::Lines { forced, contents, removes, links, .. } => {
                add("--files-from=-");
                add("--from0");
                if *contents {
                    add("--recursive");
                    add("--no-inc-recursive");
                    if *removes {
                        add("--delete");
                    }
                } else {
                    add("--no-recursive");
                }
                if *removes {
                    add("--delete-missing-args");
                }
                add("--force");
                if *forced {
                    add("--ignore-times");
                }
                if *links {
                    add("--hard-links");
                }
            }
        }
        // Times are compared to the nanosecond (live.md 5.6).
        add("--modify-window=-1");
        if let Some(limit) = max_delete {
            add(&format!("--max-delete={limit}"));
        }
        words
    }
}

/// What words ask for.
pub(crate) fn options(words: &[Vec<u8>]) -> Result<Options, Error> {
    // The ends are known otherwise; the parser wants some.
    let words = [words, &[b".".to_vec(), b".".to_vec()]].concat();
    let usage = |error: String| Error::fatal(ExitCode::USAGE, error);
    match parse(&words, &Context::at(jiff::Zoned::now())) {
        Ok(Command::Transfer(options)) => Ok(*options),
        Ok(_) => Err(usage("`rsync-options` ask for something else than a transfer".into())),
        Err(error) => Err(usage(error.to_string())),
    }
}
