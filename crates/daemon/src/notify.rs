//! Telling a service manager how things are (the protocol of `sd_notify`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whether a service manager listens.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty())
}

/// Says `READY=1` and the like; nothing happens where nobody listens.
pub(crate) fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(&name),
    };
    let send = || UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address?);
    // The service manager will notice by itself that it heard nothing.
    let _ = send();
}

/// The monotonic clock, which a reloading service has to tell.
pub(crate) fn monotonic_microseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
