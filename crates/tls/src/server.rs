//! The end that is connected to.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection};

use crate::client::{explain, handshake};
use crate::relay::Tunnelled;
use crate::{Error, pem};

/// Makes tunnels for clients.
#[derive(Clone, Debug)]
pub struct Server(Arc<ServerConfig>);

impl Server {
    /// Reads the chain of certificates and its private key.
    pub fn new(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let failed = |reason| Error::Certificate { path: certificate.to_path_buf(), reason };
        let chain = pem::certificates(certificate)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(chain, pem::key(key)?)
            .map_err(failed)?;
        Ok(Self(Arc::new(config)))
    }

    /// Makes the handshake with `peer`, then carries everything between the socket and `plain` until one of them ends.
    /// Meant for a process of its own.
    pub fn serve<S>(&self, mut socket: S, plain: UnixStream, peer: &str) -> Result<(), Error>
    where
        S: Read + Write + Into<OwnedFd>,
    {
        let mut tls = ServerConnection::new(Arc::clone(&self.0)).map_err(handshake(peer))?;
        while tls.is_handshaking() {
            if let Err(reason) = tls.complete_io(&mut socket) {
                return Err(explain(peer, reason));
            }
        }
        let carried = Tunnelled::new(tls.into(), socket.into()).carry(plain);
        carried.map_err(|reason| Error::Connection { peer: peer.to_owned(), reason })
    }
}
