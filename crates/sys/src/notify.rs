//! Telling a service manager how things are (the protocol of `sd_notify`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a service manager may take to listen. One that never does must not hold up the service.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a service manager listens.
#[derive(Debug, Clone)]
pub struct Listener(SocketAddr);

impl Listener {
    /// The one that the environment names, if there is one.
    pub fn from_environment() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        Self::new(&name).ok()
    }

    /// The one of this name: a path, or an abstract name after `@`.
    pub fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
            _ => SocketAddr::from_pathname(name),
        };
        address.map(Self)
    }

    /// Says `READY=1` and the like.
    pub fn tell(&self, state: &str) {
        let send = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_addr(state.as_bytes(), &self.0)
        };
        // The service manager will notice by itself that it heard nothing.
        let _ = send();
    }
}

/// Whether a service manager listens.
pub fn is_wanted() -> bool {
    Listener::from_environment().is_some()
}

/// Says `READY=1` and the like; nothing happens where nobody listens.
pub fn tell(state: &str) {
    if let Some(listener) = Listener::from_environment() {
        listener.tell(state);
    }
}

/// The monotonic clock, which a reloading service has to tell.
pub fn monotonic_microseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_that_does_not_listen_holds_nobody_up() {
        let name = OsStr::from_bytes(b"syncline-notify-that-nobody-reads");
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let deaf = UnixDatagram::bind_addr(&address).unwrap();
        let filling = UnixDatagram::unbound().unwrap();
        filling.set_nonblocking(true).unwrap();
        while filling.send_to_addr(b"x", &address).is_ok() {}
        // Comes back, or the test never ends.
        Listener(address).tell("READY=1");
        let mut first = [0; 2];
        assert_eq!(deaf.recv(&mut first).unwrap(), 1);
    }
}
