//! Configurations of sersync and lsyncd as mirrors of ours (live.md 7).
//!
//! Everything that changes its meaning on the way gives a note with the old meaning and the new one; what has no
//! translation is named with its line. Passwords are never copied: they stay where they are, by reference.
//!
//! ```
//! use std::path::Path;
//! use syncline_conf::migrate::{Choices, migrate};
//! # struct Machine;
//! # impl syncline_conf::Surroundings for Machine {
//! #     fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> { Err(std::io::ErrorKind::NotFound.into()) }
//! #     fn is_directory(&self, _: &Path) -> bool { true }
//! #     fn variable(&self, _: &[u8]) -> Option<Vec<u8>> { None }
//! # }
//! let text = b"sync{ default.rsync, source = '/data', target = 'web1::www', rsync = { archive = true } }";
//! let translation = migrate(Path::new("l.lua"), text, &Machine, Choices::default())?;
//! assert_eq!(translation.config.print()?, r#"[[mirror]]
//! source = "/data/"
//!
//! [mirror.options]
//! archive = true
//!
//! [[mirror.target]]
//! url = "rsync://web1/www/"
//! "#);
//! assert_eq!(translation.notes[0].kind.code(), "delay-dropped:15");
//! # Ok::<(), syncline_conf::Error>(())
//! ```

mod expression;
mod lsyncd;
mod note;
mod sersync;
mod words;

use std::path::{Path, PathBuf};

use crate::live::{Address, Config, Mirror, Rule, Target};
pub use crate::lsyncd::Loss;
use crate::sersync::Confxml;
use crate::{Error, Surroundings};
pub use note::{Note, NoteKind};

/// What an old configuration means.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Translation {
    /// The same with our means.
    pub config: Config,
    /// What changed its meaning.
    pub notes: Vec<Note>,
    /// What has no translation.
    pub losses: Vec<Loss>,
}

impl Translation {
    fn new() -> Self {
        Self { config: Config::default(), notes: Vec::new(), losses: Vec::new() }
    }

    /// Adds a note unless the same was said already.
    fn note(&mut self, line: u32, kind: NoteKind) {
        if !self.notes.iter().any(|note| note.kind == kind) {
            self.notes.push(Note { line, kind });
        }
    }

    fn lose(&mut self, line: u32, key: impl Into<String>, what: &'static str) {
        self.losses.push(Loss { line, key: key.into(), what });
    }

    /// Text for TOML, or a loss.
    fn utf8(&mut self, line: u32, key: &str, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8(bytes.to_vec()).ok();
        if text.is_none() {
            self.lose(line, key, "it is not UTF-8, as TOML must be");
        }
        text
    }

    /// A filter rule, or a loss.
    fn rule(&mut self, line: u32, key: &str, text: &str) -> Option<Rule> {
        let rule = text.parse().ok();
        if rule.is_none() {
            self.lose(line, key, "it is empty or longer than a line");
        }
        rule
    }

    /// Looks at the result as a whole.
    fn finish(mut self) -> Self {
        if let Err(error) = self.config.check() {
            self.note(0, NoteKind::NeedsCorrection(error.to_string()));
        }
        self
    }
}

/// What the one who asks wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choices {
    /// Keep the delays of lsyncd as the least time between two batches.
    pub keep_delays: bool,
}

/// Translates a configuration of whichever tool `text` is for.
pub fn migrate(
    file: &Path,
    text: &[u8],
    surroundings: &dyn Surroundings,
    choices: Choices,
) -> Result<Translation, Error> {
    let begin = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii_start();
    let is_xml =
        begin.starts_with(b"<") || file.extension().is_some_and(|extension| extension == "xml");
    if is_xml {
        Ok(sersync::translate(&Confxml::parse(text)?, surroundings))
    } else {
        Ok(lsyncd::translate(
            &crate::lsyncd::parse(file, text, surroundings)?,
            surroundings,
            choices,
        ))
    }
}

/// A mirror as words of rsync's command line have it: everything is archived unless they say otherwise.
///
/// What they say of connections holds for all targets that can use it. What cannot be said is among the losses.
pub fn command_line(source: &Path, targets: &[String], words: &[String]) -> Translation {
    let mut to = Translation::new();
    let mut asked = words::Asked::default();
    asked.read(words, 0, "the command line", &mut to);
    asked.note_options(0, &mut to);
    let mut mirror = Mirror {
        source: source.to_owned(),
        options: asked.options,
        rsync_options: asked.rsync_options,
        bwlimit: asked.bwlimit,
        filter: asked.filter,
        ..Mirror::default()
    };
    for text in targets {
        let Ok(mut url) = text.parse::<Address>() else {
            to.lose(0, text.as_str(), "it is no target: write `HOST::MODULE`, `rsync://HOST/MODULE`, `HOST:DIR` or a directory");
            continue;
        };
        let mut target = Target::default();
        match &mut url {
            Address::Daemon { port, .. } => {
                *port = port.or(asked.port);
                target.password_file = asked.password_file.as_ref().map(PathBuf::from);
            }
            Address::Shell { .. } => target.ssh.clone_from(&asked.ssh),
            Address::Local(_) => {}
        }
        target.url = url;
        target.io_timeout = asked.io_timeout.unwrap_or(target.io_timeout);
        mirror.targets.push(target);
    }
    to.config.mirrors.push(mirror);
    to
}

/// A plugin of sersync alone, as with `-m`: its mirror has no targets. None if the file defines no such plugin.
pub fn plugin_alone(
    text: &[u8],
    name: &[u8],
    surroundings: &dyn Surroundings,
) -> Result<Option<Translation>, Error> {
    let mut parsed = Confxml::parse(text)?;
    parsed.confxml.plugin = Some(name.to_vec());
    if parsed.confxml.active_plugin().is_none() {
        return Ok(None);
    }
    let mut translation = sersync::translate(&parsed, surroundings);
    let mirrors = &mut translation.config.mirrors;
    mirrors.retain(|mirror| !mirror.hooks.is_empty() || !mirror.streams.is_empty());
    for mirror in mirrors {
        mirror.targets.clear();
    }
    Ok(Some(translation))
}

/// Whether a client's password file holds more than the password: then all of the line is sent as one.
fn holds_user(surroundings: &dyn Surroundings, path: &str) -> bool {
    let content = surroundings.read(Path::new(path)).unwrap_or_default();
    let line = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let user = line.split(|&byte| byte == b':').next().unwrap_or_default();
    user.len() < line.len()
        && !user.is_empty()
        && user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
}

/// The words of a command line: split at blanks, quotes taken off.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{command_line, split_words};

    #[test]
    fn r1_a_command_line_is_a_mirror_with_all_its_targets() {
        let targets = ["u@web1::www", "rsync://web2:874/www/sub", "web3:/srv", "/backup"];
        let words = [
            "--compress",
            "--exclude=*.o",
            "--password-file=/p",
            "--rsh=ssh -p 22",
            "--port=875",
            "--no-perms",
        ];
        let [targets, words] = [&targets[..], &words]
            .map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let translation = command_line(Path::new("/data"), &targets, &words);
        assert!(translation.losses.is_empty() && translation.notes.is_empty());
        translation.config.check().unwrap();
        let mirror = &translation.config.mirrors[0];
        let shown: Vec<String> =
            mirror.targets.iter().map(|target| target.url.to_string()).collect();
        assert_eq!(
            shown,
            ["rsync://u@web1:875/www/", "rsync://web2:874/www/sub/", "web3:/srv/", "/backup/"]
        );
        assert!(
            mirror.options.is_on("compress")
                && mirror.options.is_on("owner")
                && !mirror.options.is_on("perms")
        );
        assert_eq!(mirror.filter[0].as_str(), "- *.o");
        let with_password = mirror.targets.iter().map(|target| target.password_file.is_some());
        assert_eq!(with_password.collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(mirror.targets[2].ssh.len(), 3);
        let wrong =
            command_line(Path::new("/data"), &["host::".to_owned()], &["--port=x".to_owned()]);
        assert_eq!(wrong.losses.len(), 2);
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        assert_eq!(
            split_words("ssh  -p 22 -o 'a b'\\ c \"d'\\\"\" ''"),
            ["ssh", "-p", "22", "-o", "a b c", "d'\"", ""]
        );
        assert!(split_words("  ").is_empty());
    }
}
