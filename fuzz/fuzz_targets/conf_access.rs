//! Any bytes as access lists and auth rules: a list with the peer's own address in front lets it in, and putting it
//! into the other list, too, changes nothing.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use syncline_conf::access::{AccessList, Lookups, NoLookups, Peer, decide};
use syncline_conf::auth::{AuthRules, UserGroups};

struct Hosts;

impl Lookups for Hosts {
    fn addresses(&self, name: &[u8]) -> Vec<IpAddr> {
        if name.len().is_multiple_of(2) {
            Vec::new()
        } else {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
        }
    }
}

struct NoGroups;

impl UserGroups for NoGroups {
    fn groups_of(&self, user: &[u8]) -> Vec<Vec<u8>> {
        vec![user.to_vec()]
    }
}

fuzz_target!(|input: (u128, bool, &[u8], &[u8], &[u8])| {
    let (bits, v6, name, allow, deny) = input;
    let address = if v6 {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
    };
    let peer = Peer { address, scope: 0, name };
    let (allow_list, deny_list) = (AccessList::parse(allow), AccessList::parse(deny));
    let _ = (allow_list.findings(), deny_list.findings());
    for lookups in [&Hosts as &dyn Lookups, &NoLookups] {
        let decision = decide(&allow_list, &deny_list, &peer, lookups);
        // The decision is what daemon.md 7.1 says about single matches.
        if allow_list.matches(&peer, lookups) {
            assert!(decision.allowed);
        } else if allow_list.is_set() && !deny_list.is_set() {
            assert!(!decision.allowed);
        }
        let own = AccessList::parse(&[address.to_string().as_bytes(), b" ", allow].concat());
        assert!(decide(&own, &deny_list, &peer, lookups).allowed);
        let own = AccessList::parse(&[b"0.0.0.0/0 ::/0 ", deny].concat());
        assert!(decide(&AccessList::default(), &AccessList::default(), &peer, lookups).allowed);
        assert!(!decide(&AccessList::default(), &own, &peer, lookups).allowed);
    }
    let rules = AuthRules::parse(allow);
    let _ = (rules.findings(), rules.decide(name, &NoGroups));
});
