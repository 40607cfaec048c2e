//! The text part of a daemon connection: greeting, request, replies (docs/spec session.md 4.3 to
//! 4.5).

mod arguments;
mod auth;
mod proxy;

pub use arguments::{
    Arguments, DAEMON_ARGUMENTS_MAX, DAEMON_WORD_MAX, SECLUDED_WORD_MAX, put_daemon_arguments,
    put_secluded_arguments, read_daemon_arguments, read_secluded_arguments,
};
pub use auth::{AuthDigest, challenge, choose_digest, matches_response, respond};
pub use proxy::{ProxyAddress, read_proxy_header};

use crate::error::lossy;
use crate::{Error, Protocol, Result, WireRead, negotiate_version};

/// Longest greeting or request line a daemon takes, without its LF.
pub const REQUEST_LINE_MAX: usize = 1022;

/// Longest line otherwise: authentication, and whatever a client reads.
pub const LINE_MAX: usize = 5118;

/// Longest early input.
pub const EARLY_INPUT_MAX: usize = 5120;

const PREFIX: &str = "@RSYNCD: ";

/// Reads one line of the handshake: LF ends it, CRs are dropped, a NUL in it is an error. Any
/// failure here means that the peer did not greet or answer; which of the two, the caller knows.
pub fn read_line(input: &mut impl WireRead, limit: usize) -> Result<Vec<u8>> {
    let mut line = input.read_delimited(b'\n', limit, "handshake line")?;
    line.retain(|&byte| byte != b'\r');
    if line.contains(&0) {
        return Err(Error::NoGreeting);
    }
    Ok(line)
}

/// The first line of either side of a daemon connection. Neither waits for the other's.
///
/// ```
/// use syncline_wire::{Protocol, daemon::Greeting};
///
/// let own = Greeting::own(Protocol::NEWEST);
/// assert_eq!(own.to_line(), "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n");
/// let peer = Greeting::parse(b"@RSYNCD: 31.0 md5 md4")?;
/// assert_eq!(own.negotiate(&peer)?.number(), 31);
/// # Ok::<(), syncline_wire::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greeting {
    /// The highest version spoken.
    pub version: i32,
    /// Sub-version, not 0 in pre-releases.
    pub sub: Option<u32>,
    /// Known digest names, in the peer's order, unknown ones dropped; `None` without a list.
    pub digests: Option<Vec<AuthDigest>>,
}

impl Greeting {
    /// What this implementation says, speaking up to `protocol`.
    pub fn own(protocol: Protocol) -> Self {
        let digests = Some(AuthDigest::OFFERED.to_vec());
        Self { version: protocol.number().into(), sub: Some(0), digests }
    }

    /// The line, LF included.
    pub fn to_line(&self) -> String {
        let sub = self.sub.map(|sub| format!(".{sub}")).unwrap_or_default();
        let mut line = format!("{PREFIX}{}{sub}", self.version);
        if let Some(digests) = &self.digests {
            let names: Vec<&str> = digests.iter().map(|digest| digest.name()).collect();
            line.push(' ');
            line.push_str(&names.join(" "));
        }
        line.push('\n');
        line
    }

    /// Reads a line without its LF.
    pub fn parse(line: &[u8]) -> Result<Self> {
        let not_greeting = || Error::NotGreeting(lossy(line));
        let text = String::from_utf8_lossy(line);
        let rest = text.strip_prefix(PREFIX).ok_or_else(not_greeting)?;
        let (number, rest) = split_number(rest);
        let version: i32 = number.parse().map_err(|_| not_greeting())?;
        let (sub, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (sub, rest) = split_number(rest);
                (sub.parse().ok(), rest)
            }
            None => (None, rest),
        };
        let digests = rest.split_once(' ').map(|(_, names)| {
            names.split(' ').filter_map(AuthDigest::from_name).collect::<Vec<_>>()
        });
        if version >= 30 && sub.is_none() {
            return Err(Error::NoSubprotocol(lossy(line)));
        }
        if version >= 32 && digests.is_none() {
            return Err(Error::NoDigests(lossy(line)));
        }
        Ok(Self { version, sub, digests })
    }

    /// The version both sides use; `self` is our own greeting.
    pub fn negotiate(&self, peer: &Self) -> Result<Protocol> {
        let (own_sub, peer_sub) = (self.sub.unwrap_or(0), peer.sub.unwrap_or(0));
        let lowered = match peer.version.cmp(&self.version) {
            std::cmp::Ordering::Less => peer_sub != 0,
            std::cmp::Ordering::Equal => own_sub != peer_sub,
            std::cmp::Ordering::Greater => own_sub != 0,
        };
        let own = Protocol::new(self.version.clamp(0, 255) as u8)?;
        negotiate_version(own, peer.version)?;
        negotiate_version(own, peer.version.min(self.version) - i32::from(lowered))
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// What a client asks a daemon for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// The list of modules.
    List,
    /// This many bytes of early input come first, then another request.
    EarlyInput(usize),
    /// A command nobody defined; the answer is `@ERROR: Unknown command 'LINE'`.
    UnknownCommand(Vec<u8>),
    /// A module.
    Module(Vec<u8>),
}

impl Request {
    /// Reads a request line without its LF.
    pub fn parse(line: &[u8]) -> Result<Self> {
        if line.is_empty() || line == b"#list" {
            return Ok(Self::List);
        }
        if let Some(number) = line.strip_prefix(b"#early_input=") {
            let length = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
            return match length {
                Some(length @ 1..=EARLY_INPUT_MAX) => Ok(Self::EarlyInput(length)),
                _ => Err(Error::EarlyInput),
            };
        }
        if line.starts_with(b"#") {
            return Ok(Self::UnknownCommand(line.to_vec()));
        }
        Ok(Self::Module(line.to_vec()))
    }

    /// The line, LF included. A list is asked for by an empty line, as stock does.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = match self {
            Self::List => Vec::new(),
            Self::EarlyInput(length) => format!("#early_input={length}").into_bytes(),
            Self::UnknownCommand(line) | Self::Module(line) => line.clone(),
        };
        line.push(b'\n');
        line
    }
}

/// A daemon's line between greeting and arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Prove who you are: the challenge. A second one is an error.
    AuthRequired(Vec<u8>),
    /// Go on with the arguments.
    Ok,
    /// The listing is complete.
    Exit,
    /// Refused; the whole line is shown to the user.
    Error(Vec<u8>),
    /// A line of the message of the day, or of the listing.
    Text(Vec<u8>),
}

impl Reply {
    /// Reads a line without its LF.
    pub fn parse(line: &[u8]) -> Self {
        if let Some(challenge) = line.strip_prefix(b"@RSYNCD: AUTHREQD ") {
            return Self::AuthRequired(challenge.to_vec());
        }
        match line {
            b"@RSYNCD: OK" => Self::Ok,
            b"@RSYNCD: EXIT" => Self::Exit,
            line if line.starts_with(b"@ERROR") => Self::Error(line.to_vec()),
            line => Self::Text(line.to_vec()),
        }
    }

    /// The line, LF included. An error's text is sent as it is and starts with `@ERROR: `.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = match self {
            Self::AuthRequired(challenge) => [b"@RSYNCD: AUTHREQD ", &challenge[..]].concat(),
            Self::Ok => b"@RSYNCD: OK".to_vec(),
            Self::Exit => b"@RSYNCD: EXIT".to_vec(),
            Self::Error(line) | Self::Text(line) => line.clone(),
        };
        line.push(b'\n');
        line
    }
}

/// One line of a module listing.
pub fn listing_line(module: &[u8], comment: &[u8]) -> Vec<u8> {
    let mut line = module.to_vec();
    line.resize(module.len().max(15), b' ');
    line.push(b'\t');
    line.extend_from_slice(comment);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(own: &str, peer: &str) -> u8 {
        let own = Greeting::parse(own.as_bytes()).unwrap();
        own.negotiate(&Greeting::parse(peer.as_bytes()).unwrap()).unwrap().number()
    }

    #[test]
    fn greetings_seen_in_the_wild_are_understood() {
        let old = Greeting::parse(b"@RSYNCD: 27").unwrap();
        assert_eq!(old, Greeting { version: 27, sub: None, digests: None });
        let newer = Greeting::parse(b"@RSYNCD: 31.0 md5 md4").unwrap();
        assert_eq!(newer.digests, Some(vec![AuthDigest::Md5, AuthDigest::Md4]));
        assert_eq!(Greeting::parse(b"@RSYNCD: 31.0 ").unwrap().digests, Some(vec![]));
    }

    #[test]
    fn bad_greetings_are_refused_with_stocks_words() {
        for (line, text) in [
            ("SSH-2.0-x", "server sent \"SSH-2.0-x\" rather than greeting"),
            ("@RSYNCD: x", "server sent \"@RSYNCD: x\" rather than greeting"),
            ("@RSYNCD: 31", "the server omitted the subprotocol value: @RSYNCD: 31"),
            ("@RSYNCD: 32.0", "the server omitted the digest name list: @RSYNCD: 32.0"),
        ] {
            assert_eq!(Greeting::parse(line.as_bytes()).unwrap_err().to_string(), text);
        }
        assert!(
            Greeting::own(Protocol::NEWEST)
                .negotiate(&Greeting::parse(b"@RSYNCD: 19").unwrap())
                .is_err()
        );
    }

    #[test]
    fn prereleases_lower_the_version() {
        assert_eq!(negotiate("@RSYNCD: 32.0 md5", "@RSYNCD: 31.5"), 30);
        assert_eq!(negotiate("@RSYNCD: 32.0 md5", "@RSYNCD: 32.5 md5"), 31);
        assert_eq!(negotiate("@RSYNCD: 31.0 md5", "@RSYNCD: 33.5 md5"), 31);
        assert_eq!(negotiate("@RSYNCD: 32.0 md5", "@RSYNCD: 29"), 29);
    }

    #[test]
    fn lines_lose_carriage_returns_and_refuse_nul() {
        assert_eq!(read_line(&mut &b"pub\r\nrest"[..], 10).unwrap(), b"pub");
        assert!(read_line(&mut &b"p\0b\n"[..], 10).is_err());
        assert!(read_line(&mut &b"12345678901\n"[..], 10).is_err());
    }

    #[test]
    fn requests_and_replies_survive_the_wire() {
        for request in [
            Request::List,
            Request::EarlyInput(5120),
            Request::UnknownCommand(b"#who".to_vec()),
            Request::Module(b"pub".to_vec()),
        ] {
            let line = request.to_line();
            assert_eq!(Request::parse(line.strip_suffix(b"\n").unwrap()).unwrap(), request);
        }
        assert!(Request::parse(b"#early_input=5121").is_err());
        for reply in [
            Reply::AuthRequired(b"abc".to_vec()),
            Reply::Ok,
            Reply::Exit,
            Reply::Error(b"@ERROR: chdir failed".to_vec()),
            Reply::Text(b"@RSYNCD: FOO".to_vec()),
        ] {
            assert_eq!(Reply::parse(reply.to_line().strip_suffix(b"\n").unwrap()), reply);
        }
        assert_eq!(listing_line(b"pub", b"Public"), b"pub            \tPublic\n");
    }
}
