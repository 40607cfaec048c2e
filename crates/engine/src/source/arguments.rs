//! What a source argument or a line of `--files-from` means (docs/spec filelist.md 6.1 to 6.3).

use crate::{Error, ExitCode, Role};

/// One argument, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Argument {
    /// Where names are resolved from, relative to the starting directory; empty for that itself.
    pub(super) directory: Vec<u8>,
    /// The name in the transfer. `.` in contents form. With `-R` it may begin with a slash.
    pub(super) name: Vec<u8>,
    /// It ended in a slash or a dot: a link there is followed, and with `--dirs` one level is listed.
    pub(super) contents: bool,
    /// `-R` with `./` in front: the entry `.` is sent as an implied directory.
    pub(super) sends_root: bool,
}

impl Argument {
    /// Without `-R`: the last component is the name.
    pub(super) fn plain(text: &[u8]) -> Self {
        let contents = text.is_empty() || text.ends_with(b"/") || ends_in(text, b".");
        let parent = ends_in(text, b"..");
        if contents || parent {
            let directory = if text.is_empty() { b".".to_vec() } else { text.to_vec() };
            let (name, contents, sends_root) = (b".".to_vec(), true, false);
            return Self { directory, name, contents, sends_root };
        }
        let (directory, name) = match text.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (text[..=slash].to_vec(), text[slash + 1..].to_vec()),
            None => (Vec::new(), text.to_vec()),
        };
        Self { directory, name, contents: false, sends_root: false }
    }

    /// With `-R`: everything behind the first `/./`, else all of it, is the name.
    pub(super) fn relative(text: &[u8]) -> Result<Self, Error> {
        let (directory, rest, cut) = match find(text, b"/./") {
            Some(at) => {
                let rest = &text[at + 3..];
                let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
                let directory = if at == 0 { &text[..1] } else { &text[..at] };
                (directory.to_vec(), &rest[slashes..], true)
            }
            None => (Vec::new(), text, false),
        };
        let absolute = !cut && rest.starts_with(b"/");
        let sends_root = rest.starts_with(b"./") && rest.iter().any(|byte| !b"./".contains(byte));
        let contents = rest.is_empty() || rest.ends_with(b"/") || ends_in(rest, b".");
        let parts: Vec<&[u8]> = rest
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .collect();
        if parts.contains(&&b".."[..]) {
            let shown = String::from_utf8_lossy(text).into_owned();
            let text = format!("found \"..\" dir in relative path: {shown}");
            return Err(Error::fatal_by(Role::Sender, ExitCode::USAGE, text));
        }
        let mut name = parts.join(&b'/');
        if absolute {
            name.insert(0, b'/');
            if parts.is_empty() {
                name = b"/.".to_vec();
            }
        } else if name.is_empty() {
            name = b".".to_vec();
        }
        Ok(Self { directory, name, contents, sends_root })
    }
}

/// A line of `--files-from`, or a path that a daemon is asked for: no leading slash, `..` collapsed without leaving the
/// top, `.` kept for `/./`.
pub fn sanitize_line(line: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in line.split(|&byte| byte == b'/') {
        match part {
            b"" => {}
            b".." => {
                while parts.last() == Some(&&b"."[..]) {
                    parts.pop();
                }
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut clean = parts.join(&b'/');
    if clean.is_empty() {
        clean.push(b'.');
    }
    if line.ends_with(b"/") {
        clean.push(b'/');
    }
    clean
}

fn ends_in(text: &[u8], component: &[u8]) -> bool {
    text == component || text.strip_suffix(component).is_some_and(|before| before.ends_with(b"/"))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(argument: &Argument) -> (String, String, bool) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&argument.directory), text(&argument.name), argument.contents)
    }

    #[test]
    fn plain_arguments_are_split_at_their_last_slash() {
        for (text, directory, name, contents) in [
            ("x/dir", "x/", "dir", false),
            ("f", "", "f", false),
            ("/f", "/", "f", false),
            ("x/dir/", "x/dir/", ".", true),
            ("x/.", "x/.", ".", true),
            (".", ".", ".", true),
            ("", ".", ".", true),
            ("x/..", "x/..", ".", true),
            ("/", "/", ".", true),
            ("x..", "", "x..", false),
        ] {
            let argument = Argument::plain(text.as_bytes());
            assert_eq!(shown(&argument), (directory.into(), name.into(), contents), "{text}");
        }
    }

    #[test]
    fn relative_arguments_keep_their_path() {
        for (text, directory, name, contents) in [
            ("a/b/c", "", "a/b/c", false),
            ("/abs//p/./q/", "/abs//p", "q", true),
            ("/abs/p", "", "/abs/p", false),
            ("x/./foo/./bar", "x", "foo/bar", false),
            ("x/./", "x", ".", true),
            ("./a/", "", "a", true),
            ("/", "", "/.", true),
            ("/./a", "/", "a", false),
        ] {
            let argument = Argument::relative(text.as_bytes()).unwrap();
            assert_eq!(shown(&argument), (directory.into(), name.into(), contents), "{text}");
        }
        assert!(Argument::relative(b"./a").unwrap().sends_root);
        assert!(!Argument::relative(b"./.").unwrap().sends_root);
        assert!(Argument::relative(b"a/../b").is_err());
        assert!(Argument::relative(b"../x/./b").is_ok());
    }

    #[test]
    fn lines_stay_below_the_top() {
        for (line, clean) in [
            ("/a//b", "a/b"),
            ("../../a", "a"),
            ("a/../../b/", "b/"),
            ("foo/./y", "foo/./y"),
            ("./x", "./x"),
            ("..", "."),
            ("a/..", "."),
        ] {
            let found = sanitize_line(line.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), clean, "{line}");
        }
    }
}
