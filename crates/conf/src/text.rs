//! Byte strings as configuration files hold them, where they stand, and how they are shown and expanded.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::Error;

/// How much longer than its template an expanded value may be, as in stock (daemon.md 2.3).
const MAX_GROWTH: usize = 2048;

/// A place in a configuration file, shown as `FILE:LINE`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    file: Arc<Path>,
    line: u32,
}

impl Location {
    /// Line `line` (the first is 1) of `file`.
    pub fn new(file: impl Into<Arc<Path>>, line: u32) -> Self {
        Self { file: file.into(), line }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line at which the logical line begins; the first is 1.
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", show(self.file.as_os_str().as_encoded_bytes()), self.line)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where the values of `%NAME%` come from: the environment, and what the session has set.
///
/// Any `Fn(&[u8]) -> Option<Vec<u8>>` will do.
pub trait Variables {
    /// The value of the variable, if it exists.
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>>;
}

impl<F: Fn(&[u8]) -> Option<Vec<u8>>> Variables for F {
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        self(name)
    }
}

/// A string value: bytes of no particular encoding, in which `%NAME%` stands for a variable.
///
/// Strings are expanded when a session uses them, not when the file is read: only then `%RSYNC_USER_NAME%`
/// exists (daemon.md 2.3).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The value as it stands in the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the value is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value with its variables replaced; a variable that does not exist stays as it is written.
    pub fn expand(&self, variables: &dyn Variables) -> Result<Cow<'_, [u8]>, Error> {
        expand(&self.0, |name, _| Ok(variables.variable(name)))
    }

    /// The value as a shell command (daemon.md 9.6): `%RSYNC_…%` is quoted, and refused if its value holds
    /// anything a shell could take for more than a word. Other variables are the administrator's own and are
    /// inserted as they are.
    pub fn expand_command(&self, variables: &dyn Variables) -> Result<Cow<'_, [u8]>, Error> {
        expand(&self.0, |name, before| {
            let Some(value) = variables.variable(name) else { return Ok(None) };
            if !name.starts_with(b"RSYNC_") {
                return Ok(Some(value));
            }
            if value
                .iter()
                .any(|&byte| byte < 0x20 || byte == 0x7f || SHELL_METACHARACTERS.contains(&byte))
            {
                return Err(Error::ShellMetacharacter { variable: show(name) });
            }
            Ok(Some(if ends_inside_single_quotes(before) {
                value
            } else {
                [b"'", &value[..], b"'"].concat()
            }))
        })
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Quotes, expansions, separators and everything else of daemon.md 9.6.
const SHELL_METACHARACTERS: &[u8] = b"\"'`\\$;&|<>()*?[]#!~{} ";

/// Replaces each `%NAME%` by what `value_of` makes of the name and of the template before it.
fn expand(
    template: &[u8],
    value_of: impl Fn(&[u8], &[u8]) -> Result<Option<Vec<u8>>, Error>,
) -> Result<Cow<'_, [u8]>, Error> {
    if !template.contains(&b'%') {
        return Ok(Cow::Borrowed(template));
    }
    let limit = template.len() + MAX_GROWTH;
    let mut expanded = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some((&byte, tail)) = rest.split_first() {
        let value = match variable_name(rest) {
            Some(name) => {
                value_of(name, &template[..template.len() - rest.len()])?.map(|value| (name, value))
            }
            None => None,
        };
        if let Some((name, value)) = value {
            expanded.extend_from_slice(&value);
            rest = &rest[name.len() + 2..];
        } else {
            expanded.push(byte);
            rest = tail;
        }
        if expanded.len() > limit {
            return Err(Error::ExpansionTooLong { template: show(template), limit });
        }
    }
    Ok(Cow::Owned(expanded))
}

/// The name in a leading `%NAME%`, which begins with an upper-case letter.
fn variable_name(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(b"%")?;
    if !rest.first()?.is_ascii_uppercase() {
        return None;
    }
    let end = rest.iter().position(|&byte| byte == b'%')?;
    Some(&rest[..end])
}

fn ends_inside_single_quotes(command: &[u8]) -> bool {
    let (mut single, mut double) = (false, false);
    let mut bytes = command.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if !single => _ = bytes.next(),
            b'\'' if !double => single = !single,
            b'"' if !single => double = !double,
            _ => {}
        }
    }
    single
}

/// Whitespace of rsyncd.conf other than the line feed (daemon.md 1.1).
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The items of `gid` and `auth users`: separated by blanks and commas, or, if the list begins with a comma, by
/// commas alone, so that items may hold blanks (daemon.md 3.3, 8.2).
pub(crate) fn items(list: &[u8]) -> Vec<&[u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let by_comma_only = list.iter().find(|byte| !blank(byte)) == Some(&b',');
    list.split(|byte| *byte == b',' || (!by_comma_only && blank(byte)))
        .map(trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// Bytes for a message: UTF-8 where it is, control characters escaped so that nothing reaches a terminal raw.
pub(crate) fn show(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\u{feff}' {
                shown.extend(character.escape_unicode());
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// A character that looks like an ASCII one but is another, as web pages and input methods give them, and the
/// ASCII one that was meant.
pub(crate) fn lookalike(bytes: &[u8]) -> Option<(char, char)> {
    let mut text = bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars());
    text.find_map(|character| Some((character, ascii_twin(character)?)))
}

fn ascii_twin(character: char) -> Option<char> {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0),
        '\u{3000}' | '\u{a0}' => Some(' '),
        '“' | '”' => Some('"'),
        '‘' | '’' => Some('\''),
        '–' | '—' => Some('-'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"FOO" => Some(b"bar".to_vec()),
            b"RSYNC_USER_NAME" => Some(b"joe".to_vec()),
            b"RSYNC_REQUEST" => Some(b"a;b".to_vec()),
            b"LONG" => Some(vec![b'x'; 3000]),
            _ => None,
        }
    }

    fn expanded(template: &[u8]) -> Vec<u8> {
        Text::from(template).expand(&environment).unwrap().into_owned()
    }

    #[test]
    fn only_existing_variables_with_an_upper_case_initial_are_replaced() {
        assert_eq!(
            expanded(b"%FOO% %%FOO%% %NOPE% %foo% 100% %A %FOO%%FOO% %%"),
            b"bar %bar% %NOPE% %foo% 100% %A barbar %%"
        );
    }

    #[test]
    fn an_expansion_that_grows_too_much_is_an_error() {
        let error = Text::from(&b"%LONG%"[..]).expand(&environment).unwrap_err();
        assert!(matches!(error, Error::ExpansionTooLong { .. }));
    }

    #[test]
    fn a_session_variable_is_quoted_in_a_command_and_refused_if_a_shell_could_see_more_than_a_word()
    {
        let command = |template: &[u8]| {
            Text::from(template).expand_command(&environment).map(Cow::into_owned)
        };
        assert_eq!(command(b"log %RSYNC_USER_NAME% %FOO%").unwrap(), b"log 'joe' bar");
        assert_eq!(command(b"log '%RSYNC_USER_NAME%'").unwrap(), b"log 'joe'");
        assert_eq!(command(b"log \"it's %RSYNC_USER_NAME%\"").unwrap(), b"log \"it's 'joe'\"");
        assert!(matches!(command(b"log %RSYNC_REQUEST%"), Err(Error::ShellMetacharacter { .. })));
    }

    #[test]
    fn lookalikes_are_found_with_what_was_meant() {
        assert_eq!(lookalike("＃ 密码文件".as_bytes()), Some(('＃', '#')));
        assert_eq!(lookalike("同步\u{3000}".as_bytes()), Some(('\u{3000}', ' ')));
        assert_eq!(lookalike("同步 plain".as_bytes()), None);
    }

    #[test]
    fn shown_bytes_hold_no_control_characters() {
        assert_eq!(show(b"a\x1b[31m\xff\tz\xe5\x90\x8c"), "a\\u{1b}[31m\\xff\\u{9}z同");
    }
}
