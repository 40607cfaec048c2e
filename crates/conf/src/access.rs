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

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::pattern;
use crate::text::{lookalike, show};

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

/// How a token came to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Directly,
    /// Its forward look-up gave the peer's address.
    Resolved,
    /// It is a deny token that does not resolve.
    Unresolved,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// In lower case.
    text: Vec<u8>,
    /// None: it is tried as a name only.
    address: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Malformed,
    Parsed { address: IpAddr, scope: Option<Vec<u8>>, mask: Mask },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mask {
    /// The bits to compare, in the lower 32 for IPv4.
    Bits(u128),
    Malformed,
}

impl Token {
    fn parse(text: &[u8]) -> Self {
        let (base, mask) = match text.iter().position(|&byte| byte == b'/') {
            Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
            None => (text, None),
        };
        let looks_like_address =
            base.contains(&b':') || base.iter().all(|byte| is_digit_or_dot(*byte));
        let address = looks_like_address.then(|| match host_address(base) {
            Some((address, scope)) => {
                Address::Parsed { address, scope, mask: mask_of(mask, address) }
            }
            None => Address::Malformed,
        });
        Self { text: text.to_vec(), address }
    }

    fn matches_name(&self, peer: &Peer<'_>, lookups: &dyn Lookups, deny: bool) -> Option<How> {
        if let Some(group) = self.text.strip_prefix(b"@") {
            return lookups.in_netgroup(group, peer.name).then_some(How::Directly);
        }
        if pattern::matches(&self.text, &peer.name.to_ascii_lowercase()) {
            return Some(How::Directly);
        }
        if !self.is_plain_name() || !lookups.forward() {
            return None;
        }
        let addresses = lookups.addresses(&self.text);
        if addresses.contains(&peer.address) {
            return Some(How::Resolved);
        }
        (deny && addresses.is_empty()).then_some(How::Unresolved)
    }

    fn is_plain_name(&self) -> bool {
        !self.text.iter().all(|&byte| is_digit_or_dot(byte))
            && !self.text.iter().any(|byte| matches!(byte, b':' | b'/' | b'*' | b'?' | b'['))
    }

    fn matches_address(
        &self,
        peer: &Peer<'_>,
        lookups: &dyn Lookups,
        complaints: &mut Vec<Complaint>,
    ) -> bool {
        match &self.address {
            None => false,
            Some(Address::Malformed) => {
                complaints.push(Complaint::Address(show(&self.text)));
                false
            }
            Some(Address::Parsed { address, scope, mask }) => {
                if address.is_ipv4() != peer.address.is_ipv4() {
                    return false;
                }
                let Mask::Bits(mask) = mask else {
                    complaints.push(Complaint::Mask(show(&self.text)));
                    return false;
                };
                let scope_fits = match scope {
                    None => true,
                    Some(name) => interface_number(name, lookups) == Some(peer.scope),
                };
                scope_fits && (bits(*address) ^ bits(peer.address)) & mask == 0
            }
        }
    }

    fn matches_nobody(&self) -> bool {
        match self.finding() {
            Some(
                AccessFinding::OnlyZeroAddress { .. }
                | AccessFinding::MalformedAddress { .. }
                | AccessFinding::MalformedMask { .. }
                | AccessFinding::WildcardAddress { .. },
            ) => true,
            // A plain name that does not resolve matches everybody in a deny list.
            _ => false,
        }
    }

    fn finding(&self) -> Option<AccessFinding> {
        let token = show(&self.text);
        if self.text.starts_with(b"#") || self.text.starts_with("＃".as_bytes()) {
            return Some(AccessFinding::CommentWord { token });
        }
        if let Some((found, meant)) = lookalike(&self.text) {
            return Some(AccessFinding::Lookalike { token, found, meant });
        }
        match &self.address {
            Some(Address::Malformed) => return Some(AccessFinding::MalformedAddress { token }),
            Some(Address::Parsed { mask: Mask::Malformed, .. }) => {
                return Some(AccessFinding::MalformedMask { token });
            }
            Some(Address::Parsed { address, mask: Mask::Bits(mask), .. })
                if address.is_unspecified() && *mask == all_bits(*address) =>
            {
                return Some(AccessFinding::OnlyZeroAddress { token });
            }
            _ => {}
        }
        let digits = self.text.iter().any(u8::is_ascii_digit);
        if self.text.starts_with(b"!") {
            Some(AccessFinding::Negation { token })
        } else if matches!(&self.text[..], b"all" | b"except" | b"local") {
            Some(AccessFinding::Keyword { token: token.to_ascii_uppercase() })
        } else if digits
            && self.text.contains(&b'*')
            && self.text.iter().all(|&byte| is_digit_or_dot(byte) || byte == b'*')
        {
            Some(AccessFinding::WildcardAddress { token })
        } else if self.text.contains(&b';') {
            Some(AccessFinding::Semicolon { token })
        } else {
            None
        }
    }
}

/// A token that does not do what its author probably meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AccessFinding {
    /// `0.0.0.0/32`, `0.0.0.0`
    #[error(
        "`{token}` matches only the address {}, which no peer has: write `*` for everybody",
        token.split('/').next().unwrap_or_default()
    )]
    OnlyZeroAddress {
        /// The token.
        token: String,
    },
    /// `300.0.0.1`, `127.`
    #[error(
        "`{token}` is no address, so it never matches: write ADDRESS, ADDRESS/BITS or ADDRESS/MASK"
    )]
    MalformedAddress {
        /// The token.
        token: String,
    },
    /// `10.0.0.0/33`
    #[error(
        "`{token}` has no valid mask, so it never matches: write ADDRESS/BITS (0 to 32, IPv6 0 to 128) or ADDRESS/MASK"
    )]
    MalformedMask {
        /// The token.
        token: String,
    },
    /// `127.0.0.*`
    #[error(
        "`{token}` is compared with host names only, so no address matches it: write ADDRESS/BITS"
    )]
    WildcardAddress {
        /// The token.
        token: String,
    },
    /// `!10.0.0.1`
    #[error("`{token}` does not negate, it is taken as a host name: use the other list")]
    Negation {
        /// The token.
        token: String,
    },
    /// `ALL`
    #[error("`{token}` is no keyword here, it is taken as a host name: write `*` for everybody")]
    Keyword {
        /// The token.
        token: String,
    },
    /// `10.0.0.1;10.0.0.2`
    #[error("`{token}` is one host name: separate hosts with blanks or commas")]
    Semicolon {
        /// The token.
        token: String,
    },
    /// Words after a `#` are host names.
    #[error(
        "there is no comment after a value: `{token}` and every word after it are taken as host names; remove them \
         or give the comment a line of its own"
    )]
    CommentWord {
        /// The word.
        token: String,
    },
    /// A full-width character or the like.
    #[error("`{token}` holds `{found}`, which is not `{meant}`: type `{meant}`")]
    Lookalike {
        /// The token.
        token: String,
        /// What stands there.
        found: char,
        /// What was meant.
        meant: char,
    },
}

fn is_digit_or_dot(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// An address and its scope, if it has one.
fn host_address(text: &[u8]) -> Option<(IpAddr, Option<Vec<u8>>)> {
    if !text.contains(&b':') {
        return Some((IpAddr::V4(lenient_ipv4(text)?), None));
    }
    let percent = text.iter().position(|&byte| byte == b'%');
    let (address, scope) =
        percent.map_or((text, None), |at| (&text[..at], Some(text[at + 1..].to_vec())));
    let address: Ipv6Addr = str::from_utf8(address).ok()?.parse().ok()?;
    Some((IpAddr::V6(address), scope))
}

/// An IPv4 address as old as the sockets: one to four numbers, octal with a leading zero, the last one filling the
/// rest.
fn lenient_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let text = str::from_utf8(text).ok()?;
    let numbers: Vec<u32> = text
        .split('.')
        .map(|part| match part.strip_prefix('0') {
            Some("") => Some(0),
            Some(octal) => u32::from_str_radix(octal, 8).ok(),
            None => part.parse().ok(),
        })
        .collect::<Option<_>>()?;
    let (&last, leading) = numbers.split_last()?;
    if leading.len() > 3 || leading.iter().any(|&number| number > 255) {
        return None;
    }
    let free_bits = 32 - 8 * leading.len() as u32;
    if free_bits < 32 && last >> free_bits != 0 {
        return None;
    }
    let high = leading.iter().zip([24, 16, 8]).map(|(&number, shift)| number << shift).sum::<u32>();
    Some(Ipv4Addr::from_bits(high | last))
}

fn mask_of(mask: Option<&[u8]>, address: IpAddr) -> Mask {
    let Some(text) = mask else { return Mask::Bits(all_bits(address)) };
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let text = str::from_utf8(text).unwrap_or("");
    if let Ok(count) = text.parse::<u32>() {
        return match width.checked_sub(count) {
            Some(host_bits) => {
                Mask::Bits(all_bits(address) & u128::MAX.checked_shl(host_bits).unwrap_or_default())
            }
            None => Mask::Malformed,
        };
    }
    match text.parse::<IpAddr>() {
        Ok(mask) if mask.is_ipv4() == address.is_ipv4() => Mask::Bits(bits(mask)),
        _ => Mask::Malformed,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn all_bits(address: IpAddr) -> u128 {
    if address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX }
}

fn interface_number(name: &[u8], lookups: &dyn Lookups) -> Option<u32> {
    lookups.interface(name).or_else(|| str::from_utf8(name).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
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
