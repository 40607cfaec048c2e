//! `tls cert` and `tls key`: a relay between the client and its session.
//!
//! The relay is a process of its own, split off before the session has heard anything. It alone reads the key, and gives up
//! every right but to carry bytes before it hears the client. The session sees a local socket and knows nothing of TLS.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use syncline_conf::rsyncd::{GlobalSettings, Origin};
use syncline_sys::process::{Half, split};
use syncline_tls::Server;

use crate::confine;
use crate::identity::Identity;
use crate::log::Log;
use crate::paths::path;
use crate::peer::Peer;
use crate::session::{Over, Step};

/// How long a client may take for each piece of its handshake.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit code of a session that got no connection to speak on.
const NO_CONNECTION: u8 = 10;

/// The session's ends of the connection: the connection itself where there is no TLS.
pub(crate) fn guard(
    settings: &GlobalSettings,
    connection: (OwnedFd, OwnedFd),
    peer: &Peer,
    log: &Log,
) -> Step<(OwnedFd, OwnedFd)> {
    if !is_wanted(settings) {
        return Ok(connection);
    }
    let failed = |reason: String| {
        log.warn(format!("cannot begin TLS: {reason}"));
        Over(NO_CONNECTION)
    };
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
    match split().map_err(|error| failed(error.to_string()))? {
        Half::Parent(_) => {
            let ours = OwnedFd::from(ours);
            let other = ours.try_clone().map_err(|error| failed(error.to_string()))?;
            Ok((ours, other))
        }
        Half::Child => {
            drop(ours);
            let code = match relay(settings, connection.0, theirs, peer) {
                Ok(()) => 0,
                Err(text) => {
                    log.warn(text);
                    NO_CONNECTION
                }
            };
            std::process::exit(code.into());
        }
    }
}

fn relay(
    settings: &GlobalSettings,
    socket: OwnedFd,
    plain: UnixStream,
    peer: &Peer,
) -> Result<(), String> {
    let server = server(settings)?;
    // Both are only a help: a peer that is gone is noticed, and one that says nothing does not stay for ever.
    let _ = sockopt::set_socket_keepalive(&socket, true);
    let _ = sockopt::set_socket_timeout(socket.as_fd(), Timeout::Recv, Some(PATIENCE));
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    Identity::of_module(b"", b"")
        .and_then(|nobody| nobody.take())
        .map_err(|trouble| trouble.log)?;
    confine::seal().map_err(|reason| format!("cannot confine the relay of TLS: {reason}"))?;
    let address = peer.address.to_string();
    server.serve(File::from(socket), plain, &address).map_err(|error| error.to_string())
}

fn is_wanted(settings: &GlobalSettings) -> bool {
    !settings.tls_cert.is_empty() || !settings.tls_key.is_empty()
}

fn server(settings: &GlobalSettings) -> Result<Server, String> {
    let certificate = &settings.tls_cert;
    if certificate.is_empty() {
        return Err("`tls key` needs `tls cert`".to_owned());
    }
    // The key may stand in the same file.
    let key = if settings.tls_key.is_empty() { certificate } else { &settings.tls_key };
    Server::new(path(certificate.as_bytes()), path(key.as_bytes()))
        .map_err(|error| error.to_string())
}

/// What is wrong with the settings, and where: no client is served until it is put right.
pub(crate) fn problem(settings: &GlobalSettings) -> Option<(&Origin, String)> {
    if !is_wanted(settings) {
        return None;
    }
    let set = if settings.tls_cert.is_empty() { &settings.tls_key } else { &settings.tls_cert };
    if *settings.proxy_protocol {
        let text = "`proxy protocol` expects its line inside TLS: a proxy must not put it in front";
        return Some((set.origin(), text.to_owned()));
    }
    server(settings).err().map(|text| (set.origin(), format!("{text}: no client is served")))
}
