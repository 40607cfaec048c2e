//! Secrets files of a daemon (daemon.md 8.3, 8.4) and password files of a client (8.6).
//!
//! The file's bytes, and with them every password, are wiped from memory when the value is dropped. Nothing here
//! shows a password: neither `Debug` nor a finding.

use std::fmt;

use zeroize::Zeroizing;

use crate::Error;
use crate::text::{is_blank, show};

/// Stock reads at most this many bytes as one line and goes on with the rest as another.
const MAX_LINE: usize = 1023;

/// The longest password of a client's password file.
const MAX_CLIENT_PASSWORD: usize = 511;

/// A secrets file: lines of `USER:PASSWORD` and `@GROUP:PASSWORD`.
pub struct Secrets {
    bytes: Zeroizing<Vec<u8>>,
}

/// A password. It is borrowed from what is wiped when dropped, and never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(&'a [u8]);

impl<'a> Secret<'a> {
    /// The password itself. Compare what is computed from it in constant time.
    pub fn expose(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Takes the bytes of the file. Every file can be read; see [`findings`](Self::findings).
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: Zeroizing::new(bytes) }
    }

    /// The passwords that may let the user in, in the order of the file: at most one of the user's own line and, if
    /// the rule that matched is about a group, one of that group's line. The first line of each kind decides for
    /// its kind, so that there are no more than two. None: stock logs `secret not found`.
    ///
    /// A name that begins with `#` has none: its line would be a comment.
    pub fn passwords(&self, user: &[u8], group: Option<&[u8]>) -> Vec<Secret<'_>> {
        let (mut own, mut of_group) = (false, group.is_none());
        let mut found = Vec::new();
        for line in self.lines().filter(|line| !line.text.starts_with(b"#")) {
            let Some((name, password)) = line.entry() else { continue };
            if !own && name == user {
                own = true;
                found.push(Secret(password));
            } else if !of_group && name.strip_prefix(b"@") == group {
                of_group = true;
                found.push(Secret(password));
            }
        }
        found
    }

    /// What an administrator should look at; no finding holds a password.
    pub fn findings(&self) -> Vec<SecretsFinding> {
        let mut findings = Vec::new();
        let mut names: Vec<(&[u8], u32)> = Vec::new();
        for line in self.lines() {
            let number = line.number;
            if line.continued {
                findings.push(SecretsFinding::TooLong { line: number });
                continue;
            }
            if line.text.starts_with(b"#") || line.text.iter().all(|&byte| is_blank(byte)) {
                continue;
            }
            let Some((name, password)) = line.entry() else {
                let full_width = line.text.windows(3).any(|window| window == "：".as_bytes());
                findings.push(if full_width {
                    SecretsFinding::FullWidthColon { line: number }
                } else {
                    SecretsFinding::NoColon { line: number }
                });
                continue;
            };
            if name.first().is_some_and(|&byte| is_blank(byte))
                || name.last().is_some_and(|&byte| is_blank(byte))
            {
                findings.push(SecretsFinding::BlankInName { line: number, name: show(name) });
            }
            if password.first().is_some_and(|&byte| is_blank(byte))
                || password.last().is_some_and(|&byte| is_blank(byte))
            {
                findings
                    .push(SecretsFinding::BlankAroundPassword { line: number, name: show(name) });
            }
            if password.is_empty() {
                findings.push(SecretsFinding::EmptyPassword { line: number, name: show(name) });
            }
            match names.iter().find(|(earlier, _)| *earlier == name) {
                Some(&(_, first)) => {
                    findings.push(SecretsFinding::Repeated {
                        line: number,
                        name: show(name),
                        first,
                    });
                }
                None => names.push((name, number)),
            }
        }
        findings
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut rest: &[u8] = &self.bytes;
        let mut number = 1;
        let mut continued = false;
        std::iter::from_fn(move || {
            while let Some((end @ (b'\n' | b'\r'), tail)) = rest.split_first() {
                number += u32::from(*end == b'\n');
                continued = false;
                rest = tail;
            }
            if rest.is_empty() {
                return None;
            }
            let end = rest.iter().take(MAX_LINE).position(|byte| matches!(byte, b'\n' | b'\r'));
            let (text, tail) = rest.split_at(end.unwrap_or(rest.len().min(MAX_LINE)));
            rest = tail;
            // What follows a NUL on the line is not seen.
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            let line = Line { text, number, continued };
            continued = end.is_none();
            Some(line)
        })
    }
}

struct Line<'a> {
    text: &'a [u8],
    number: u32,
    /// It is the rest of a line that was too long.
    continued: bool,
}

impl<'a> Line<'a> {
    /// The name before the first colon and everything after it.
    fn entry(&self) -> Option<(&'a [u8], &'a [u8])> {
        let colon = self.text.iter().position(|&byte| byte == b':')?;
        Some((&self.text[..colon], &self.text[colon + 1..]))
    }
}

/// Something in a secrets file that does not do what its author probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsFinding {
    /// `joe：…`
    #[error("line {line}: it holds `：` (U+FF1A) where `:` is meant, so the line lets nobody in")]
    FullWidthColon {
        /// The line.
        line: u32,
    },
    /// Perhaps a client's password file.
    #[error("line {line}: there is no `:`, so the line lets nobody in: write `USER:PASSWORD`")]
    NoColon {
        /// The line.
        line: u32,
    },
    /// ` joe:…` or `joe :…`
    #[error(
        "line {line}: the blanks around the name `{name}` are part of it, so that no user has it: remove them"
    )]
    BlankInName {
        /// The line.
        line: u32,
        /// The name.
        name: String,
    },
    /// `joe: …`
    #[error(
        "line {line}: the password of `{name}` begins or ends with a blank, which is part of it"
    )]
    BlankAroundPassword {
        /// The line.
        line: u32,
        /// Whose.
        name: String,
    },
    /// `joe:`
    #[error("line {line}: the password of `{name}` is empty, and that is accepted as a password")]
    EmptyPassword {
        /// The line.
        line: u32,
        /// Whose.
        name: String,
    },
    /// A second line for one name.
    #[error("line {line}: `{name}` has a password on line {first} already; only that one counts")]
    Repeated {
        /// The line.
        line: u32,
        /// Whose.
        name: String,
        /// The line that counts.
        first: u32,
    },
    /// A line of 1024 bytes or more.
    #[error("line {line}: it is longer than 1023 bytes, and the rest counts as a line of its own")]
    TooLong {
        /// The line.
        line: u32,
    },
}

/// What is known about an opened secrets or password file: ask the descriptor, not the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its permission bits.
    pub mode: u32,
    /// Its owner's user id.
    pub owner: u32,
    /// Whether this process runs as root.
    pub running_as_root: bool,
}

/// Why a secrets file is ignored; the text is stock's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsRefusal {
    /// Others may read or write it.
    #[error("secrets file must not be other-accessible (see strict modes option)")]
    OtherAccessible,
    /// Root would trust a file that somebody else can change.
    #[error("secrets file must be owned by root when running as root (see strict modes)")]
    NotOwnedByRoot,
}

impl FileFacts {
    /// The check of `strict modes = yes`. Group bits and execute bits are fine, as in stock.
    pub fn check(self) -> Result<(), SecretsRefusal> {
        if self.mode & 0o006 != 0 {
            return Err(SecretsRefusal::OtherAccessible);
        }
        if self.running_as_root && self.owner != 0 {
            return Err(SecretsRefusal::NotOwnedByRoot);
        }
        Ok(())
    }
}

/// The password of a client's `--password-file`: its first line, no more than 511 bytes of it.
pub struct ClientPassword {
    bytes: Zeroizing<Vec<u8>>,
}

impl ClientPassword {
    /// Takes the bytes of the file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let bytes = Zeroizing::new(bytes);
        let end = bytes
            .iter()
            .take(MAX_CLIENT_PASSWORD)
            .position(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let line = &bytes[..end.unwrap_or(bytes.len().min(MAX_CLIENT_PASSWORD))];
        if line.is_empty() {
            return Err(Error::NoPassword);
        }
        Ok(Self { bytes: Zeroizing::new(line.to_vec()) })
    }

    /// The password.
    pub fn secret(&self) -> Secret<'_> {
        Secret(&self.bytes)
    }

    /// Whether the file looks like a daemon's line for this user: `USER:PASSWORD` is then sent as the password,
    /// and refused.
    pub fn looks_like_secrets_line_of(&self, user: &[u8]) -> bool {
        self.bytes.strip_prefix(user).is_some_and(|rest| rest.starts_with(b":"))
    }
}

impl fmt::Debug for ClientPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientPassword(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(file: &[u8], user: &[u8], group: Option<&[u8]>) -> Vec<Vec<u8>> {
        let secrets = Secrets::new(file.to_vec());
        secrets.passwords(user, group).into_iter().map(|secret| secret.expose().to_vec()).collect()
    }

    #[test]
    fn the_first_line_of_a_user_decides_and_a_password_may_hold_anything() {
        let file = b"# people\njoe:secret\njoe:other\nann:p:q \r\nbob:\n\n";
        assert_eq!(passwords(file, b"joe", None), [b"secret"]);
        assert_eq!(passwords(file, b"ann", None), [b"p:q "]);
        assert_eq!(passwords(file, b"bob", None), [b""]);
        assert!(passwords(file, b"# people", None).is_empty());
        assert!(passwords(file, b"nobody", None).is_empty());
    }

    #[test]
    fn a_group_line_counts_only_for_a_group_rule_and_beside_the_users_own() {
        let file = b"@root:first\nroot:own\n@root:second\n";
        assert_eq!(passwords(file, b"root", Some(b"root")), [&b"first"[..], b"own"]);
        assert_eq!(passwords(file, b"root", None), [b"own"]);
        assert_eq!(passwords(file, b"joe", Some(b"staff")), [b""; 0]);
    }

    #[test]
    fn a_line_ends_after_1023_bytes_and_at_a_nul() {
        let long = |count: usize| [&vec![b'x'; count][..], b"joe:s\n"].concat();
        assert_eq!(passwords(&long(1023), b"joe", None), [b"s"]);
        assert!(passwords(&long(1022), b"joe", None).is_empty());
        assert!(passwords(&long(1024), b"joe", None).is_empty());
        assert_eq!(passwords(b"joe:s\0x\n", b"joe", None), [b"s"]);
        assert_eq!(passwords(&[b"joe:", &[b'p'; 2000][..]].concat(), b"joe", None), [[b'p'; 1019]]);
    }

    #[test]
    fn mix_ups_are_pointed_out_without_the_password() {
        let secrets = Secrets::new(
            "hunter2\n joe:hunter2\nann: hunter2\nann:hunter2\nbob:\n# c\neve：hunter2".into(),
        );
        let findings = secrets.findings();
        assert_eq!(
            findings,
            [
                SecretsFinding::NoColon { line: 1 },
                SecretsFinding::BlankInName { line: 2, name: " joe".into() },
                SecretsFinding::BlankAroundPassword { line: 3, name: "ann".into() },
                SecretsFinding::Repeated { line: 4, name: "ann".into(), first: 3 },
                SecretsFinding::EmptyPassword { line: 5, name: "bob".into() },
                SecretsFinding::FullWidthColon { line: 7 },
            ]
        );
        assert!(findings.iter().all(|finding| !finding.to_string().contains("hunter2")));
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }

    #[test]
    fn strict_modes_look_at_others_and_at_the_owner() {
        let facts =
            |mode, owner, running_as_root| FileFacts { mode, owner, running_as_root }.check();
        assert_eq!(facts(0o100_644, 0, true), Err(SecretsRefusal::OtherAccessible));
        assert_eq!(facts(0o602, 0, false), Err(SecretsRefusal::OtherAccessible));
        assert_eq!(facts(0o641, 1000, false), Ok(()));
        assert_eq!(facts(0o600, 1000, true), Err(SecretsRefusal::NotOwnedByRoot));
    }

    #[test]
    fn a_client_password_is_the_first_line() {
        let password = ClientPassword::parse(b"111\nsecond\n".to_vec()).unwrap();
        assert_eq!(password.secret().expose(), b"111");
        assert!(!password.looks_like_secrets_line_of(b"ops"));
        let mixed_up = ClientPassword::parse(b"ops:111\n".to_vec()).unwrap();
        assert!(mixed_up.looks_like_secrets_line_of(b"ops"));
        assert!(matches!(ClientPassword::parse(b"\nx".to_vec()), Err(Error::NoPassword)));
    }
}
