//! One word of an access list: a name, an address, or both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Complaint, Lookups, Peer};
use crate::text::show;
use syncline_wildcard::Wildcard;

/// How a token came to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Directly,
    /// Its forward look-up gave the peer's address.
    Resolved,
    /// It is a deny token that does not resolve.
    Unresolved,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// In lower case.
    pub(super) text: Vec<u8>,
    /// None: it is tried as a name only.
    pub(super) address: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Malformed,
    Parsed { address: IpAddr, scope: Option<Vec<u8>>, mask: Mask },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    /// The bits to compare, in the lower 32 for IPv4.
    Bits(u128),
    Malformed,
}

impl Token {
    pub(super) fn parse(text: &[u8]) -> Self {
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

    pub(super) fn matches_name(
        &self,
        peer: &Peer<'_>,
        lookups: &dyn Lookups,
        deny: bool,
    ) -> Option<How> {
        if let Some(group) = self.text.strip_prefix(b"@") {
            return lookups.in_netgroup(group, peer.name).then_some(How::Directly);
        }
        if Wildcard::new(&self.text).matches(&peer.name.to_ascii_lowercase()) {
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

    pub(super) fn matches_address(
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
}

pub(super) fn is_digit_or_dot(byte: u8) -> bool {
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

pub(super) fn all_bits(address: IpAddr) -> u128 {
    if address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX }
}

fn interface_number(name: &[u8], lookups: &dyn Lookups) -> Option<u32> {
    lookups.interface(name).or_else(|| str::from_utf8(name).ok()?.parse().ok())
}
