//! Source and destination arguments (cli.md 5).

use crate::word::Word;

/// How the other machine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A path on this machine.
    Local(Word),
    /// `[user@]host:path`: a remote shell.
    Shell {
        /// The host, which may be empty in later sources.
        host: Host,
        /// The path; empty means the home directory.
        path: Word,
    },
    /// `[user@]host::module/path` or `rsync://…`: a daemon.
    Daemon {
        /// The host, which may be empty in later sources.
        host: Host,
        /// The port of the address, `None` for none or 0.
        port: Option<i32>,
        /// Module and path.
        path: Word,
        /// `rsyncs://`: inside TLS (ours).
        tls: bool,
    },
}

/// User and name of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Host {
    /// The part before the last `@`.
    pub user: Option<Word>,
    /// The name or address, without brackets.
    pub name: Word,
}

impl Location {
    /// Parses one argument. Every text is some location.
    pub fn parse(text: &[u8]) -> Self {
        for (scheme, tls) in [(&b"rsync://"[..], false), (b"rsyncs://", true)] {
            if let Some(start) = text.get(..scheme.len())
                && start.eq_ignore_ascii_case(scheme)
                && let Some(location) = parse_address(&text[scheme.len()..], tls)
            {
                return location;
            }
        }
        match split_host(text) {
            None => Self::Local(text.to_vec()),
            Some((host, path)) => {
                let host = Host::parse(host);
                match path.strip_prefix(b":") {
                    Some(path) => {
                        Self::Daemon { host, port: None, path: path.to_vec(), tls: false }
                    }
                    None => Self::Shell { host, path: path.to_vec() },
                }
            }
        }
    }

    /// Whether it is on another machine.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Local(_))
    }
}

impl Host {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let (user, name) = match text.iter().rposition(|&b| b == b'@') {
            Some(at) => (Some(text[..at].to_vec()), &text[at + 1..]),
            None => (None, text),
        };
        let name = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name);
        Self { user, name: name.to_vec() }
    }
}

/// Splits `host:rest` before the first colon, unless a slash comes first. Brackets count only at the start of the name.
pub(crate) fn split_host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = host_end(text)?;
    (text.get(end) == Some(&b':')).then(|| (&text[..end], &text[end + 1..]))
}

/// Where the host part ends: at a colon, a slash, or the end of the text. `None`: its brackets are broken.
fn host_end(text: &[u8]) -> Option<usize> {
    let mut start_of_name = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b':' | b'/' => return Some(at),
            b'@' => start_of_name = at + 1,
            b'[' if at == start_of_name => {
                let close = text[at..].iter().position(|&b| b == b']' || b == b'/')? + at;
                if text[close] != b']'
                    || close == at + 1
                    || !matches!(text.get(close + 1), None | Some(b':' | b'/'))
                {
                    return None;
                }
                at = close;
            }
            b'[' => return None,
            _ => {}
        }
        at += 1;
    }
    Some(at)
}

/// Parses what follows `rsync://`: `[user@]host[:port][/path]`.
fn parse_address(text: &[u8], tls: bool) -> Option<Location> {
    let end = host_end(text)?;
    let host = Host::parse(&text[..end]);
    let (port, path) = match &text[end..] {
        [b':', rest @ ..] => {
            let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (digits, path) = rest.split_at(length);
            if !matches!(path.first(), None | Some(b'/')) {
                return None;
            }
            let port = digits
                .iter()
                .fold(0i32, |sum, &b| sum.saturating_mul(10).saturating_add(i32::from(b - b'0')));
            (port, path)
        }
        path => (0, path),
    };
    let path = path.strip_prefix(b"/").unwrap_or(path);
    Some(Location::Daemon {
        host,
        port: Some(port).filter(|&port| port > 0),
        path: path.to_vec(),
        tls,
    })
}
