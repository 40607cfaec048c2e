//! The lists of `hosts allow` and `hosts deny`, and what they decide about a peer (daemon.md 7).
//!
//! ```
//! use syncline_conf::access::{AccessList, NoLookups, Peer, decide};
//!
//! let allow = AccessList::parse(b"192.0.2.0/24 *.example.net");
//! let peer = Peer { address: "192.0.2.7".parse()?, scope: 0, name: b"UNKNOWN" };
//! assert!(decide(&allow, &AccessList::default(), &peer, &NoLookups).allowed);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod finding;
mod token;

use std::net::IpAddr;

pub use finding::AccessFinding;

use crate::text::show;
use token::{How, Token};

/// A list of host patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessList {
    /// A list of nothing but separators is set, yet has no tokens.
    is_set: bool,
    tokens: Vec<Token>,
}

/// Who wants to enter.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The address. The peer of a socket that is mapped from IPv4 must be given as IPv4.
    pub address: IpAddr,
    /// The interface of a link-local IPv6 address, else 0.
    pub scope: u32,
    /// The name that was looked up, or `UNKNOWN` or `UNDETERMINED`, which patterns match like any other name. Empty:
    /// no token is tried as a name.
    pub name: &'a [u8],
}

/// Where a decision asks about names. Call it before any chroot.
pub trait Lookups {
    /// The addresses of a host name; none if it does not resolve. Not called when `forward lookup` is off, which is
    /// what [`forward`](Self::forward) tells.
    fn addresses(&self, name: &[u8]) -> Vec<IpAddr>;

    /// Whether `forward lookup` is on.
    fn forward(&self) -> bool {
        true
    }

    /// Whether the host is a member of the netgroup.
    fn in_netgroup(&self, group: &[u8], host: &[u8]) -> bool {
        let _ = (group, host);
        false
    }

    /// The number of a network interface.
    fn interface(&self, name: &[u8]) -> Option<u32> {
        let _ = name;
        None
    }
}

/// `forward lookup = no`, and no netgroups.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookups;

impl Lookups for NoLookups {
    fn addresses(&self, _: &[u8]) -> Vec<IpAddr> {
        Vec::new()
    }

    fn forward(&self) -> bool {
        false
    }
}

/// What the lists say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the peer may enter.
    pub allowed: bool,
    /// Why, for the log.
    pub reason: Reason,
    /// The token whose forward look-up gave the peer's address: the name to log if there is none yet.
    pub resolved_name: Option<Vec<u8>>,
    /// Tokens that could not be understood on the way.
    pub complaints: Vec<Complaint>,
}

/// Why a peer may or may not enter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Neither list matches, and there is no allow list that would have to.
    #[error("no list speaks about it")]
    NotListed,
    /// It is neither allowed nor denied, and as both lists are set, that lets it in.
    #[error("neither list matches, and with both set that means yes")]
    NeitherMatches,
    /// A token of `hosts allow` matches.
    #[error("`hosts allow` has `{0}`")]
    Allowed(String),
    /// `hosts allow` is set and does not match.
    #[error("`hosts allow` does not match")]
    NotAllowed,
    /// A token of `hosts deny` matches.
    #[error("`hosts deny` has `{0}`")]
    Denied(String),
    /// A name in `hosts deny` does not resolve, which counts as a match.
    #[error("`hosts deny` has `{0}`, which does not resolve")]
    DeniedUnresolved(String),
}

/// A token that never matches because it cannot be understood; the text is stock's log line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Complaint {
    /// Digits, dots or colons that are no address.
    #[error("error matching address {0}: Name or service not known")]
    Address(String),
    /// What follows the slash is neither a number of bits nor a mask.
    #[error("malformed mask in {0}")]
    Mask(String),
}

/// Decides in the order of daemon.md 7.1: allowed, not on the only list, denied, else allowed.
pub fn decide(
    allow: &AccessList,
    deny: &AccessList,
    peer: &Peer<'_>,
    lookups: &dyn Lookups,
) -> Decision {
    let mut complaints = Vec::new();
    let mut resolved_name = None;
    let (allowed, reason) =
        if let Some((token, how)) = allow.find(peer, lookups, false, &mut complaints) {
            resolved_name = (how == How::Resolved).then(|| token.text.clone());
            (true, Reason::Allowed(show(&token.text)))
        } else if allow.is_set && !deny.is_set {
            (false, Reason::NotAllowed)
        } else if let Some((token, how)) = deny.find(peer, lookups, true, &mut complaints) {
            resolved_name = (how == How::Resolved).then(|| token.text.clone());
            let shown = show(&token.text);
            (
                false,
                if how == How::Unresolved {
                    Reason::DeniedUnresolved(shown)
                } else {
                    Reason::Denied(shown)
                },
            )
        } else {
            (true, if allow.is_set { Reason::NeitherMatches } else { Reason::NotListed })
        };
    Decision { allowed, reason, resolved_name, complaints }
}

impl AccessList {
    /// Reads a list, variables already replaced. Every list can be read; see [`findings`](Self::findings).
    pub fn parse(list: &[u8]) -> Self {
        let lower = list.to_ascii_lowercase();
        let words = lower.split(|byte| matches!(byte, b' ' | b'\t' | b','));
        let tokens = words.filter(|word| !word.is_empty()).map(Token::parse).collect();
        Self { is_set: !list.is_empty(), tokens }
    }

    /// Whether the list is set at all.
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// Whether a token matches the peer: the rule of `proxy protocol hosts`.
    pub fn matches(&self, peer: &Peer<'_>, lookups: &dyn Lookups) -> bool {
        self.find(peer, lookups, false, &mut Vec::new()).is_some()
    }

    /// What an administrator should look at.
    pub fn findings(&self) -> Vec<AccessFinding> {
        self.tokens.iter().filter_map(Token::finding).collect()
    }

    /// Whether the list is set and yet matches no peer that exists.
    pub(crate) fn denies_nobody(&self) -> bool {
        self.is_set && self.tokens.iter().all(Token::matches_nobody)
    }

    fn find(
        &self,
        peer: &Peer<'_>,
        lookups: &dyn Lookups,
        deny: bool,
        complaints: &mut Vec<Complaint>,
    ) -> Option<(&Token, How)> {
        self.tokens.iter().find_map(|token| {
            let by_name =
                if peer.name.is_empty() { None } else { token.matches_name(peer, lookups, deny) };
            let how = by_name.or_else(|| {
                token.matches_address(peer, lookups, complaints).then_some(How::Directly)
            })?;
            Some((token, how))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// 127.0.0.1 is localhost, `elsewhere` is another host, nothing else resolves.
    struct Hosts;
    impl Lookups for Hosts {
        fn addresses(&self, name: &[u8]) -> Vec<IpAddr> {
            match name {
                b"localhost" => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
                b"elsewhere" => vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
                _ => Vec::new(),
            }
        }
        fn in_netgroup(&self, group: &[u8], host: &[u8]) -> bool {
            group == b"web" && host == b"localhost"
        }
        fn interface(&self, name: &[u8]) -> Option<u32> {
            (name == b"lo").then_some(1)
        }
    }

    fn ask(address: &str, name: &str, allow: &str, deny: &str, lookups: &dyn Lookups) -> Decision {
        let (address, scope) = match address.split_once('%') {
            Some((address, scope)) => (address, scope.parse().unwrap()),
            None => (address, 0),
        };
        let peer = Peer { address: address.parse().unwrap(), scope, name: name.as_bytes() };
        decide(
            &AccessList::parse(allow.as_bytes()),
            &AccessList::parse(deny.as_bytes()),
            &peer,
            lookups,
        )
    }

    fn allowed_by(address: &str, token: &str) -> bool {
        ask(address, "UNDETERMINED", token, "", &NoLookups).allowed
    }

    #[test]
    fn addresses_match_as_the_stock_daemon_was_seen_to() {
        let seen = [
            ("127.0.0.1", "/8", false),
            ("127.0.0.1", "127.0.0.1/+8", true),
            ("127.0.0.1", "127.0.0.1/008", true),
            ("127.0.0.1", "127.0.0.0/255", false),
            ("127.0.0.1", "127.0.0.0/255.0", false),
            ("127.0.0.1", "127.0.0.0/0.0.0.0", true),
            ("10.0.0.1", "127.0.0.0/0.0.0.1", false),
            ("127.0.0.1", "127.0.0.08", false),
            ("127.0.0.8", "127.0.0.010", true),
            ("127.0.0.1", "2130706433", true),
            ("127.0.0.1", "127.0.0.1/ 8", false),
            ("::1", "::1", true),
            ("::1", "::/0", true),
            ("::1", "::ffff:0:0/96", false),
            ("::ffff:127.0.0.1", "127.0.0.1", false),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("::1", "::1/ffff::", true),
            ("127.0.0.1", "a:b", false),
            ("127.0.0.1", "10.0.0.1;127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1/-1", false),
            ("127.0.0.1", "0x7f.1", false),
            ("127.0.0.1", "undeter*", true),
            ("127.0.0.1", "UnDetermined", true),
            ("127.0.0.1", "127.0.0.1/32/8", false),
            ("127.0.0.1", "127.0.0.1/0x8", false),
            ("127.0.0.1", "1.2.3.4.5", false),
            ("127.0.0.1", "4294967296", false),
            ("127.0.0.1", "127.256", false),
            ("127.0.0.1", "127.65536.1", false),
            ("127.0.1.1", "127.257", true),
            ("127.0.0.1", "::1/127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1/4294967296", false),
            ("127.0.0.1", " , ", false),
            ("10.1.1.1", "127.0.0.1/0.0.0.0", true),
        ];
        for (address, token, expected) in seen {
            assert_eq!(allowed_by(address, token), expected, "{token} for {address}");
        }
        assert!(allowed_by("127.0.0.1", ""), "an empty list is not set");
    }

    #[test]
    fn a_scope_in_the_token_must_be_the_peers() {
        let allowed = |address, token| ask(address, "UNKNOWN", token, "", &Hosts).allowed;
        assert!(allowed("fe80::1%1", "fe80::1"));
        assert!(allowed("fe80::1%1", "fe80::1%lo"));
        assert!(allowed("fe80::1%1", "fe80::1%1"));
        assert!(!allowed("fe80::1", "fe80::1%lo"));
    }

    #[test]
    fn complaints_are_stocks_log_lines() {
        let complaints = |token| {
            let decision = ask("127.0.0.1", "UNKNOWN", token, "", &NoLookups);
            decision.complaints.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(complaints("127.0.0.1/33"), ["malformed mask in 127.0.0.1/33"]);
        assert_eq!(
            complaints("127.0.0."),
            ["error matching address 127.0.0.: Name or service not known"]
        );
        assert_eq!(complaints("::1/129"), [""; 0]);
    }

    #[test]
    fn both_lists_together_follow_the_order_of_stock() {
        let allowed = |allow, deny| ask("127.0.0.1", "localhost", allow, deny, &Hosts).allowed;
        assert!(!allowed("10.0.0.0/8", ""));
        assert!(!allowed("10.0.0.0/8", "*"));
        assert!(!allowed("10.0.0.0/8", "0.0.0.0/0"));
        assert!(allowed("10.0.0.0/8", "0.0.0.0/32"));
        assert!(allowed("127.0.0.1", "*"));
        assert!(!allowed("", "10.0.0.0/8 # bad guys"));
        assert!(allowed("", "*.bad.invalid"));
        assert!(allowed("", "10.0.0.0/33 300.0.0.1"));
        assert!(allowed("@web", "*") && !allowed("@mail", "*"));
    }

    #[test]
    fn a_forward_look_up_lends_its_name_to_the_log() {
        let decision = ask("127.0.0.1", "UNDETERMINED", "LocalHost", "", &Hosts);
        assert!(decision.allowed);
        assert_eq!(decision.resolved_name.as_deref(), Some(&b"localhost"[..]));
        assert!(!ask("127.0.0.1", "UNDETERMINED", "localhost", "", &NoLookups).allowed);
    }

    #[test]
    fn a_denied_name_that_does_not_resolve_denies_unless_look_ups_are_off() {
        let decision = ask("127.0.0.1", "UNKNOWN", "", "no.such.invalid", &Hosts);
        assert_eq!(decision.reason, Reason::DeniedUnresolved("no.such.invalid".into()));
        assert!(ask("127.0.0.1", "UNKNOWN", "", "elsewhere", &Hosts).allowed);
        assert!(ask("127.0.0.1", "UNKNOWN", "", "no.such.invalid", &NoLookups).allowed);
    }

    #[test]
    fn nothing_is_tried_as_a_name_for_a_peer_without_one() {
        assert!(!ask("127.0.0.1", "", "*", "", &Hosts).allowed);
        assert!(ask("127.0.0.1", "", "127.0.0.1", "", &Hosts).allowed);
    }

    #[test]
    fn tokens_that_do_not_do_what_they_look_like_are_pointed_out() {
        let finding =
            |token: &str| AccessList::parse(token.as_bytes()).findings().into_iter().next();
        assert!(matches!(finding("0.0.0.0/32"), Some(AccessFinding::OnlyZeroAddress { .. })));
        assert!(matches!(finding("0.0.0.0"), Some(AccessFinding::OnlyZeroAddress { .. })));
        assert!(
            finding("0.0.0.0/0").is_none()
                && finding("*").is_none()
                && finding("10.0.0.0/8").is_none()
        );
        assert!(matches!(finding("127."), Some(AccessFinding::MalformedAddress { .. })));
        assert!(matches!(finding("10.0.0.0/33"), Some(AccessFinding::MalformedMask { .. })));
        assert!(matches!(finding("127.0.0.*"), Some(AccessFinding::WildcardAddress { .. })));
        assert!(matches!(finding("!10.0.0.1"), Some(AccessFinding::Negation { .. })));
        assert!(matches!(finding("ALL"), Some(AccessFinding::Keyword { .. })));
        assert!(matches!(finding("10.0.0.1;10.0.0.2"), Some(AccessFinding::Semicolon { .. })));
        assert!(matches!(finding("# office"), Some(AccessFinding::CommentWord { .. })));
        assert!(matches!(
            finding("10．0．0．1"),
            Some(AccessFinding::Lookalike { meant: '.', .. })
        ));
        assert_eq!(
            finding("0.0.0.0/32").unwrap().to_string(),
            "`0.0.0.0/32` matches only the address 0.0.0.0, which no peer has: write `*` for everybody"
        );
    }
}
