//! Carrying the argument list to the server: as a shell command, over the protocol, or to a daemon (session.md 3.2 to
//! 3.4 and 4.6).

use crate::error::{ArgumentProblem, Role, UsageError};
use crate::job::{Remote, Transport};
use crate::options::{ArgumentProtection, Family, FilesFrom, Options};
use crate::pack::{Direction, Packing};
use crate::word::Word;

/// Bytes that a shell gives a meaning, in file arguments.
const SHELL_SPECIAL: &[u8] = b" \t\n\r\\`\"'|!#$&;<>(){}";
/// Wildcards: live in file arguments, escaped in option values.
const WILDCARDS: &[u8] = b"*?[]";

/// How a server is started or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The words: of the command to run, or of the list that a daemon reads.
    pub words: Vec<Word>,
    /// With secluded arguments, the words to send first over the connection. The caller converts them to UTF-8 when
    /// `--iconv` is active.
    pub secluded: Option<Vec<Word>>,
}

/// Splits a remote-shell command into words: at spaces; quotes group, a doubled quote inside its own kind stands for
/// one; there are no backslash escapes. The error is the quote that is not closed.
pub fn split_shell(command: &[u8]) -> Result<Vec<Word>, char> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<u8> = None;
    let mut at = 0;
    while let Some(&byte) = command.get(at) {
        at += 1;
        match quote {
            Some(open) if byte == open => {
                if command.get(at) == Some(&open) {
                    word.get_or_insert_default().push(open);
                    at += 1;
                } else {
                    quote = None;
                }
            }
            Some(_) => word.get_or_insert_default().push(byte),
            None => match byte {
                b' ' => words.extend(word.take()),
                b'\'' | b'"' => {
                    quote = Some(byte);
                    word.get_or_insert_default();
                }
                byte => word.get_or_insert_default().push(byte),
            },
        }
    }
    if let Some(open) = quote {
        return Err(open as char);
    }
    words.extend(word);
    Ok(words)
}

/// Puts a backslash before what a shell would act on in an option.
pub fn escape_option(word: &[u8]) -> Word {
    let mut escaped = Word::with_capacity(word.len());
    for &byte in word {
        if SHELL_SPECIAL.contains(&byte) || WILDCARDS.contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// The same for a file argument, where wildcards stay live.
pub fn escape_file(word: &[u8]) -> Word {
    let mut escaped = Word::with_capacity(word.len());
    for (at, &byte) in word.iter().enumerate() {
        let guards_wildcard =
            byte == b'\\' && word.get(at + 1).is_some_and(|next| WILDCARDS.contains(next));
        if SHELL_SPECIAL.contains(&byte) && !guards_wildcard {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

impl Options {
    /// The words of the remote shell's command, before user and host.
    pub fn shell_words(&self, role: Role) -> Result<Vec<Word>, UsageError> {
        split_shell(self.connection.shell()).map_err(|quote| UsageError::Argument {
            problem: ArgumentProblem::OpenQuote(quote),
            role,
        })
    }

    /// The command that starts a server behind a remote shell, or a daemon there (then without `files`).
    pub fn shell_invocation(
        &self,
        packing: Packing,
        remote: &Remote,
        files: &[Word],
    ) -> Result<Invocation, UsageError> {
        let role = match packing.direction {
            Direction::Push => Role::Sender,
            Direction::Pull => Role::Receiver,
        };
        let mut words = self.shell_words(role)?;
        let is_ssh =
            words.first().is_some_and(|word| word.rsplit(|&b| b == b'/').next() == Some(b"ssh"));
        let over_shell = matches!(remote.transport, Transport::DaemonOverShell { .. });
        let names_user = words
            .windows(2)
            .any(|pair| pair[0] == b"-l" && !pair[1].starts_with(b"-") && over_shell);
        if let Some(user) = remote.host.user.as_ref().filter(|_| !names_user) {
            words.push(b"-l".to_vec());
            words.push(user.clone());
        }
        match self.connection.family {
            Family::V4 if is_ssh => words.push(b"-4".to_vec()),
            Family::V6 if is_ssh => words.push(b"-6".to_vec()),
            _ => {}
        }
        words.push(remote.host.name.clone());
        words.push(self.connection.rsync_path.clone().unwrap_or_else(|| b"rsync".to_vec()));
        if over_shell {
            words.extend([b"--server".to_vec(), b"--daemon".to_vec(), b".".to_vec()]);
            return Ok(Invocation { words, secluded: None });
        }

        let server = self.pack(packing)?;
        let protection = self.connection.protection;
        let options_escaped =
            matches!(protection, ArgumentProtection::Escaped | ArgumentProtection::OldArgs);
        let option = |word: &Word| if options_escaped { escape_option(word) } else { word.clone() };
        words.extend(server.head.iter().map(option));
        if self.connection.is_secluded() {
            let mut rest = vec![b"rsync".to_vec()];
            rest.extend(server.options);
            rest.extend(server.remote_options);
            rest.push(b".".to_vec());
            rest.extend(files.iter().map(|file| dashless(file)));
            for word in &mut rest {
                if word.is_empty() {
                    word.push(b'.');
                }
            }
            return Ok(Invocation { words, secluded: Some(rest) });
        }
        words.extend(server.options.iter().map(option));
        let escaped = protection == ArgumentProtection::Escaped;
        words.extend(
            server
                .remote_options
                .iter()
                .map(|word| if escaped { escape_option(word) } else { word.clone() }),
        );
        words.push(b".".to_vec());
        words.extend(files.iter().map(|file| {
            let file = dashless(file);
            match (escaped, packing.direction == Direction::Pull && self.guards_tilde(&file)) {
                (true, true) => [b"\\", escape_file(&file).as_slice()].concat(),
                (true, false) => escape_file(&file),
                (false, _) => file,
            }
        }));
        Ok(Invocation { words, secluded: None })
    }

    /// The words for a daemon, each `files` entry with its module, which is called `module`.
    pub fn daemon_invocation(
        &self,
        packing: Packing,
        module: &[u8],
        files: &[Word],
    ) -> Result<Invocation, UsageError> {
        let server = self.pack(packing)?;
        let protection = self.connection.protection;
        let escaped = protection == ArgumentProtection::Escaped;
        let options_escaped = escaped || protection == ArgumentProtection::OldArgs;
        let option = |word: &Word| if options_escaped { escape_option(word) } else { word.clone() };
        let mut words: Vec<Word> = server.head.iter().map(option).collect();
        let files = files.iter().map(|file| {
            let mut file = dashless(file);
            if file == module {
                file.push(b'/');
            }
            file
        });
        if self.connection.is_secluded() {
            let mut rest = vec![b"rsync".to_vec()];
            rest.extend(server.options);
            rest.extend(server.remote_options);
            rest.push(b".".to_vec());
            rest.extend(files);
            for word in &mut rest {
                if word.is_empty() {
                    word.push(b'.');
                }
            }
            return Ok(Invocation { words, secluded: Some(rest) });
        }
        words.extend(server.options.iter().map(option));
        words.extend(
            server
                .remote_options
                .iter()
                .map(|word| if escaped { escape_option(word) } else { word.clone() }),
        );
        words.push(b".".to_vec());
        words.extend(files.map(|file| if escaped { guard_module(&file, module) } else { file }));
        Ok(Invocation { words, secluded: None })
    }

    /// Whether a leading tilde would name a home directory although no slash follows it (session.md 3.3).
    fn guards_tilde(&self, file: &[u8]) -> bool {
        let plain = if self.select.is_relative() {
            !file.windows(3).any(|part| part == b"/./")
        } else {
            !file.contains(&b'/')
        };
        let remote_list = matches!(self.select.files_from, Some(FilesFrom::Remote { .. }));
        file.first() == Some(&b'~') && plain && !self.connection.trust_sender && !remote_list
    }
}

/// A file argument that no parser takes for an option.
fn dashless(file: &[u8]) -> Word {
    if file.first() == Some(&b'-') { [b"./", file].concat() } else { file.to_vec() }
}

/// Writes ` MODULE/` as `[ ]MODULE/`, because a daemon splits there (session.md 4.6).
fn guard_module(file: &[u8], module: &[u8]) -> Word {
    let split = [b" ", module, b"/"].concat();
    let mut guarded = Word::with_capacity(file.len());
    let mut at = 0;
    while at < file.len() {
        if file[at..].starts_with(&split) {
            guarded.extend_from_slice(b"[ ]");
        } else {
            guarded.push(file[at]);
        }
        at += 1;
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_arguments_keep_their_wildcards() {
        for (file, word) in [
            ("/a b/*.c", "/a\\ b/*.c"),
            ("{a,b}", "\\{a,b\\}"),
            ("a\\*b", "a\\*b"),
            ("a\\b", "a\\\\b"),
        ] {
            assert_eq!(escape_file(file.as_bytes()), word.as_bytes(), "{file}");
        }
        assert_eq!(escape_option(b"--usermap=*:b"), b"--usermap=\\*:b");
    }

    #[test]
    fn shell_commands_are_split_at_spaces_outside_quotes() {
        let split = |text: &str| split_shell(text.as_bytes()).map(|words| words.join(&b'|'));
        assert_eq!(split("ssh  -p 22").as_deref(), Ok(&b"ssh|-p|22"[..]));
        assert_eq!(split("a 'b \"c'd \"e\"\"f\" ''").as_deref(), Ok(&b"a|b \"cd|e\"f|"[..]));
        assert_eq!(split("a 'b"), Err('\''));
    }

    #[test]
    fn a_module_name_inside_a_file_argument_is_guarded() {
        assert_eq!(guard_module(b"pub/a pub/b pubx", b"pub"), b"pub/a[ ]pub/b pubx");
    }
}
