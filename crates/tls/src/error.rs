//! What can go wrong, and on what.

use std::io;
use std::path::PathBuf;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of certificates or keys could not be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system has no certificates to trust.
    #[error("the system has no certificate authorities to trust: {0}")]
    NoRoots(String),
    /// The certificate and the key do not belong together, or are not what can be used.
    #[error("cannot use the certificate {path}: {reason}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: rustls::Error,
    },
    /// The name of the host is none that a certificate could have.
    #[error("{0} is no name or address that a certificate could have")]
    HostName(String),
    /// The peer was not accepted, or did not accept us.
    #[error("TLS with {peer}: {reason}")]
    Handshake {
        /// Who.
        peer: String,
        /// Why.
        reason: rustls::Error,
    },
    /// The connection broke during the handshake.
    #[error("TLS with {peer}: {reason}")]
    Connection {
        /// Who.
        peer: String,
        /// Why.
        reason: io::Error,
    },
    /// The parts of a tunnel could not be made.
    #[error("cannot make a tunnel: {0}")]
    Tunnel(#[source] io::Error),
}
