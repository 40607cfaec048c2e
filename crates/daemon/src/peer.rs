//! Who is calling: address, name, and what a proxy says about it (docs/spec daemon.md 7.4, 7.5, 15.7).

use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::AsFd;

use rustix::net::{SocketAddrAny, getpeername};
use syncline_conf::access::{self, Lookups};
use syncline_sys::hosts;

use crate::log::Log;
use crate::paths::message;
use crate::variables::of_process;

/// The name of a peer that was not looked up.
pub(crate) const UNDETERMINED: &[u8] = b"UNDETERMINED";

/// The name of a peer that has none, or lies about it.
const UNKNOWN: &[u8] = b"UNKNOWN";

/// A client's end of the connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address, or what a proxy says it is.
    pub(crate) address: IpAddr,
    /// The interface of a link-local address, else 0.
    pub(crate) scope: u32,
    /// The name to be shown.
    pub(crate) host: Vec<u8>,
    /// What the reverse look-up found, if there was one.
    looked_up: Option<Vec<u8>>,
}

impl Peer {
    /// The other end of a socket; none if it is no socket of the internet.
    pub(crate) fn of_socket(socket: impl AsFd) -> Option<Self> {
        let (address, scope) = match getpeername(socket).ok()??.try_into().ok()? {
            std::net::SocketAddr::V4(address) => (IpAddr::V4(*address.ip()), 0),
            std::net::SocketAddr::V6(address) => (address.ip().to_canonical(), address.scope_id()),
        };
        Some(Self::new(address, scope))
    }

    /// Whom the remote shell says it serves; `0.0.0.0` where it says nothing. None if what it says is no address.
    pub(crate) fn of_shell() -> Option<Self> {
        let names: [&[u8]; 4] = [b"REMOTE_HOST", b"SSH_CONNECTION", b"SSH_CLIENT", b"SSH2_CLIENT"];
        let Some(text) = names.into_iter().find_map(of_process) else {
            return Some(Self::new(IpAddr::from([0, 0, 0, 0]), 0));
        };
        let word = text.split(|&byte| byte == b' ').next()?;
        let address: IpAddr = std::str::from_utf8(word).ok()?.parse().ok()?;
        Some(Self::new(address.to_canonical(), 0))
    }

    fn new(address: IpAddr, scope: u32) -> Self {
        Self { address, scope, host: UNDETERMINED.to_vec(), looked_up: None }
    }

    /// Takes the address that a trusted proxy forwards.
    pub(crate) fn forward(&mut self, address: IpAddr) {
        *self = Self::new(address.to_canonical(), 0);
    }

    /// Looks the name up, once and before any chroot; what it finds is shown from now on only if `show`.
    pub(crate) fn look_up(&mut self, show: bool, log: &Log) {
        let name = self.find_name(log).unwrap_or_else(|| UNKNOWN.to_vec());
        if show {
            self.host.clone_from(&name);
        }
        self.looked_up = Some(name);
    }

    /// Goes by the module's own wish.
    pub(crate) fn show_name(&mut self, wanted: bool) {
        self.host = match &self.looked_up {
            Some(name) if wanted => name.clone(),
            _ => UNDETERMINED.to_vec(),
        };
    }

    fn find_name(&self, log: &Log) -> Option<Vec<u8>> {
        if self.address.is_unspecified() {
            return None;
        }
        let name = match hosts::name_of(self.address) {
            Ok(name) => name,
            Err(reason) => {
                log.warn(format!("name lookup failed for {}: {reason}", self.address));
                return None;
            }
        };
        let text = String::from_utf8_lossy(&name).into_owned();
        match (text.as_str(), 0).to_socket_addrs() {
            Err(error) => {
                log.warn(format!("forward name lookup for {text} failed: {error}"));
                None
            }
            Ok(mut found) => {
                if found.any(|found| found.ip().to_canonical() == self.address) {
                    return Some(name);
                }
                let address = self.address;
                log.warn(format!(
                    "{address} is not a known address for \"{text}\": spoofed address?"
                ));
                None
            }
        }
    }

    /// `HOST (ADDR)`.
    pub(crate) fn shown(&self) -> Vec<u8> {
        message![self.host, b" (", self.address.to_string(), b")"]
    }

    /// As the access lists want it.
    pub(crate) fn to_access(&self) -> access::Peer<'_> {
        access::Peer { address: self.address, scope: self.scope, name: &self.host }
    }
}

/// The resolver of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolver {
    /// `forward lookup`.
    pub(crate) forward: bool,
}

impl Lookups for Resolver {
    fn addresses(&self, name: &[u8]) -> Vec<IpAddr> {
        let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
        let found = (name, 0).to_socket_addrs();
        found.map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
    }

    fn forward(&self) -> bool {
        self.forward
    }

    fn in_netgroup(&self, group: &[u8], host: &[u8]) -> bool {
        hosts::in_netgroup(group, host)
    }

    fn interface(&self, name: &[u8]) -> Option<u32> {
        hosts::interface(name)
    }
}

/// Whether the descriptor is a socket.
pub(crate) fn is_socket(descriptor: impl AsFd) -> bool {
    rustix::net::getsockname(descriptor).is_ok_and(|_: SocketAddrAny| true)
}
