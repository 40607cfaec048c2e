//! The listening sockets (docs/spec daemon.md 4.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use syncline_conf::rsyncd::GlobalSettings;
use syncline_conf::socket_options::{self, SocketOption, SocketOptionName};
use syncline_engine::reason;
use syncline_options::DaemonOptions;
use syncline_options::options::Family;

use crate::log::Log;
use crate::paths::shown;
use crate::variables::SessionVariables;

/// Where to listen.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) port: u16,
    address: Vec<u8>,
    family: Family,
    sockets: Vec<SocketOption>,
    backlog: i32,
}

/// Connections the kernel holds where the configuration does not say. Stock's 5 makes clients of a burst wait for seconds.
const BACKLOG: i32 = 128;

/// What service managers pass begins behind the standard streams.
const FIRST_PASSED: i32 = 3;

impl Place {
    /// What the command line and the configuration ask for; findings about socket options go to the log.
    pub(crate) fn new(options: &DaemonOptions, global: &GlobalSettings, log: &Log) -> Self {
        let port = |number: i32| u16::try_from(number).ok().filter(|&port| port > 0);
        let none = SessionVariables::default();
        let text = |text: &syncline_conf::Text| {
            text.expand(&none).map(std::borrow::Cow::into_owned).unwrap_or_default()
        };
        let list = options.sockopts.clone().unwrap_or_else(|| text(&global.socket_options));
        let (sockets, findings) = socket_options::parse(&list);
        for finding in &findings {
            log.warn(finding.to_string());
        }
        Self {
            port: options.port.and_then(port).or_else(|| port(*global.port)).unwrap_or(873),
            address: options.address.clone().unwrap_or_else(|| text(&global.address)),
            family: options.family,
            sockets,
            backlog: if global.listen_backlog.is_set() { *global.listen_backlog } else { BACKLOG },
        }
    }

    /// All sockets that could be had, at least one; otherwise the exit code, with everything in the log.
    pub(crate) fn listen(&self, verbose: bool, log: &Log) -> Result<Vec<OwnedFd>, u8> {
        let addresses = self.addresses().map_err(|reason| {
            let address = shown(&self.address);
            log.warn(format!("rsync: getaddrinfo: bind address {address}: {reason}"));
            10
        })?;
        let mut sockets = Vec::new();
        let mut complaints = Vec::new();
        for address in addresses {
            match self.bind(address, log) {
                Ok(socket) => sockets.push(socket),
                Err(complaint) => complaints.push(complaint),
            }
        }
        if sockets.is_empty() || verbose {
            for complaint in &complaints {
                log.warn(complaint);
            }
        }
        if sockets.is_empty() {
            log.warn(format!("unable to bind any inbound sockets on port {}", self.port));
            return Err(10);
        }
        for socket in &sockets {
            rustix::net::listen(socket, self.backlog).map_err(|errno| {
                log.warn(format!(
                    "rsync: [Receiver] listen() on socket failed: {}",
                    reason(&errno.into())
                ));
                10
            })?;
        }
        Ok(sockets)
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let wanted = |address: &SocketAddr| match self.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let all = if self.address.is_empty() {
            let wildcards: [IpAddr; 2] =
                [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            wildcards.map(|address| SocketAddr::new(address, self.port)).to_vec()
        } else {
            let name = String::from_utf8_lossy(&self.address);
            let found = (&*name, self.port).to_socket_addrs();
            found.map_err(|error| error.to_string())?.collect()
        };
        let mut distinct: Vec<SocketAddr> = Vec::new();
        for address in all.into_iter().filter(wanted) {
            if !distinct.contains(&address) {
                distinct.push(address);
            }
        }
        if distinct.is_empty() {
            return Err("Address family for hostname not supported".into());
        }
        Ok(distinct)
    }

    fn bind(&self, address: SocketAddr, log: &Log) -> Result<OwnedFd, String> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let words = |errno: Errno| {
            let text = reason(&errno.into());
            text.rsplit_once(" (").map_or(text.clone(), |(words, _)| words.to_owned())
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
                .map_err(|errno| {
                    let number = family.as_raw();
                    format!("socket({number},1,6) failed: {}", words(errno))
                })?;
        let bind = || -> rustix::io::Result<()> {
            sockopt::set_socket_reuseaddr(&socket, true)?;
            if address.is_ipv6() {
                sockopt::set_ipv6_v6only(&socket, true)?;
            }
            rustix::net::bind(&socket, &address)
        };
        for option in &self.sockets {
            if let Err(errno) = set_option(socket.as_fd(), *option) {
                log.warn(format!(
                    "rsync: [Receiver] failed to set socket option {}: {}",
                    option.name,
                    reason(&errno.into())
                ));
            }
        }
        bind().map_err(|errno| {
            format!("bind() failed: {} (address-family {})", words(errno), family.as_raw())
        })?;
        Ok(socket)
    }
}

fn set_option(socket: BorrowedFd<'_>, option: SocketOption) -> rustix::io::Result<()> {
    use SocketOptionName as Name;
    const TOS_LOW_DELAY: u8 = 0x10;
    const TOS_THROUGHPUT: u8 = 0x08;
    let on = option.value != 0;
    let size = usize::try_from(option.value).unwrap_or(0);
    let time = || Some(Duration::from_secs(size as u64)).filter(|time| !time.is_zero());
    match option.name {
        Name::KeepAlive => sockopt::set_socket_keepalive(socket, on),
        Name::ReuseAddress => sockopt::set_socket_reuseaddr(socket, on),
        Name::Broadcast => sockopt::set_socket_broadcast(socket, on),
        Name::NoDelay => sockopt::set_tcp_nodelay(socket, on),
        Name::SendBuffer => sockopt::set_socket_send_buffer_size(socket, size),
        Name::ReceiveBuffer => sockopt::set_socket_recv_buffer_size(socket, size),
        Name::SendTimeout => sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, time()),
        Name::ReceiveTimeout => sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, time()),
        Name::LowDelay => sockopt::set_ip_tos(socket, TOS_LOW_DELAY),
        Name::Throughput => sockopt::set_ip_tos(socket, TOS_THROUGHPUT),
        // Linux cannot change the first; the second is not offered by our system library.
        _ => Err(Errno::NOPROTOOPT),
    }
}

/// Listening sockets that a service manager passes (`LISTEN_FDS`), if it passes any.
pub(crate) fn passed() -> Option<Vec<OwnedFd>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<i64>().ok();
    if number("LISTEN_PID")? != i64::from(std::process::id()) {
        return None;
    }
    let count =
        i32::try_from(number("LISTEN_FDS")?).ok().filter(|count| (1..=64).contains(count))?;
    let take = |number| syncline_sys::descriptor::inherited(number).ok();
    let sockets: Vec<OwnedFd> = (FIRST_PASSED..FIRST_PASSED + count).filter_map(take).collect();
    for socket in &sockets {
        // One that waits in accept would stop all the others.
        let _ = rustix::io::ioctl_fionbio(socket, true);
    }
    (!sockets.is_empty()).then_some(sockets)
}
