//! Where a target is, in the spellings of rsync.

use std::fmt;
use std::str::FromStr;

use super::value::as_text;

/// The address of a target.
///
/// Directories end in a slash, added where it is missing, since it is always the content that is mirrored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// `rsync://[USER@]HOST[:PORT]/MODULE/PATH/`, or `[USER@]HOST::MODULE/PATH`.
    Daemon {
        /// The user.
        user: Option<String>,
        /// The host, without brackets.
        host: String,
        /// The port, if it is not the usual one.
        port: Option<u16>,
        /// The module.
        module: String,
        /// The path in it: empty, or with a slash at its end.
        path: String,
    },
    /// `[USER@]HOST:PATH`, reached by a remote shell.
    Shell {
        /// The user.
        user: Option<String>,
        /// The host, without brackets.
        host: String,
        /// The path: empty for the home directory, or with a slash at its end.
        path: String,
    },
    /// A directory of this machine.
    Local(String),
}

as_text!(
    Address,
    "a target such as `rsync://host/module/`, `user@host::module/dir`, `host:/dir` or `/dir`"
);

impl Default for Address {
    /// No address at all, which no text gives.
    fn default() -> Self {
        Self::Local(String::new())
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() || text.contains(['\0', '\n', '\r']) {
            return Err(());
        }
        if let Some(rest) = text.strip_prefix("rsync://") {
            let (authority, path) = rest.split_once('/').ok_or(())?;
            let (user, host) = user_and_host(authority)?;
            let (host, after) = bracketed(host)?;
            let (host, port) = match (after, host.split_once(':')) {
                (Some(""), _) | (None, None) => (host, None),
                (Some(after), _) => (host, Some(after.strip_prefix(':').ok_or(())?)),
                (None, Some((host, port))) => (host, Some(port)),
            };
            let port = port.map(|port| port.parse().ok().filter(|&port| port != 0).ok_or(()));
            return daemon(user, host, port.transpose()?, path);
        }
        let Some((authority, path, by_daemon)) = split_remote(text)? else {
            return Ok(Self::Local(directory(text)));
        };
        let (user, host) = user_and_host(authority)?;
        let (host, after) = bracketed(host)?;
        if after.is_some_and(|after| !after.is_empty()) {
            return Err(());
        }
        if by_daemon {
            return daemon(user, host, None, path);
        }
        let host = checked_host(host)?;
        Ok(Self::Shell { user, host, path: directory(path) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = |f: &mut fmt::Formatter<'_>, user: &Option<String>, host: &str| {
            if let Some(user) = user {
                write!(f, "{user}@")?;
            }
            if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }
        };
        match self {
            Self::Daemon { user, host, port, module, path } => {
                f.write_str("rsync://")?;
                authority(f, user, host)?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                write!(f, "/{module}/{path}")
            }
            Self::Shell { user, host, path } => {
                authority(f, user, host)?;
                write!(f, ":{path}")
            }
            Self::Local(path) => f.write_str(path),
        }
    }
}

fn daemon(user: Option<String>, host: &str, port: Option<u16>, path: &str) -> Result<Address, ()> {
    let (module, path) = path.split_once('/').unwrap_or((path, ""));
    if module.is_empty() {
        return Err(());
    }
    let path = directory(path.trim_start_matches('/'));
    Ok(Address::Daemon { user, host: checked_host(host)?, port, module: module.to_owned(), path })
}

/// Authority, path and whether a daemon is meant, if a colon stands before the first slash.
fn split_remote(text: &str) -> Result<Option<(&str, &str, bool)>, ()> {
    let begin = text.find('/').map_or(text, |slash| &text[..slash]);
    // The colons of a bracketed address are no separators.
    let host = match (begin.find('['), begin.find(':')) {
        (Some(open), Some(colon)) if open < colon => open + begin[open..].find(']').ok_or(())?,
        _ => 0,
    };
    let Some(colon) = begin[host..].find(':').map(|colon| colon + host) else { return Ok(None) };
    let (authority, path) = (&text[..colon], &text[colon + 1..]);
    Ok(Some(match path.strip_prefix(':') {
        Some(path) => (authority, path, true),
        None => (authority, path, false),
    }))
}

fn user_and_host(authority: &str) -> Result<(Option<String>, &str), ()> {
    match authority.rsplit_once('@') {
        Some(("", _)) => Err(()),
        // The remote shell would take it for an option.
        Some((user, _)) if user.starts_with('-') => Err(()),
        Some((user, host)) => Ok((Some(user.to_owned()), host)),
        None => Ok((None, authority)),
    }
}

/// The host without its brackets, and what stands behind them.
fn bracketed(host: &str) -> Result<(&str, Option<&str>), ()> {
    match host.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(())?;
            Ok((host, Some(after)))
        }
        None => Ok((host, None)),
    }
}

fn checked_host(host: &str) -> Result<String, ()> {
    let strange = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character, '[' | ']' | '/' | '@')
    };
    if host.is_empty() || host.starts_with('-') || host.contains(strange) {
        return Err(());
    }
    Ok(host.to_owned())
}

fn directory(path: &str) -> String {
    if path.is_empty() || path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        text.parse::<Address>().ok().map(|address| address.to_string())
    }

    #[test]
    fn all_spellings_of_rsync_are_understood() {
        for (text, expected) in [
            ("web1::files", "rsync://web1/files/"),
            ("backup@web1::files/a/b", "rsync://backup@web1/files/a/b/"),
            ("rsync://u@h:874/m", "rsync://u@h:874/m/"),
            ("rsync://[2001:db8::1]:874/m/d", "rsync://[2001:db8::1]:874/m/d/"),
            ("[2001:db8::1]::m", "rsync://[2001:db8::1]/m/"),
            ("u@[::1]:/srv", "u@[::1]:/srv/"),
            ("h:", "h:"),
            ("h:data", "h:data/"),
            ("/srv/copy", "/srv/copy/"),
            ("./a:b", "./a:b/"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for wrong in [
            "",
            "h::",
            "::m",
            ":x",
            "rsync://h",
            "rsync://h/",
            "rsync:///m",
            "rsync://h:0/m",
            "rsync://h:x/m",
            "-oProxyCommand=x:/d",
            "-x@h:/d",
            "@h:/d",
            "[::1:/d",
            "[::1]x:/d",
            "a b:/d",
            "a\nb",
        ] {
            assert_eq!(canonical(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same(text in "(rsync://)?([a-z-]{0,3}@)?(\\[[0-9:]{1,4}\\]|[a-z.]{0,3})(:|::|:[0-9]{0,3}/|/)[a-z/:@]{0,6}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
