//! What can go wrong, and on what.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError};

/// What is wrong with the other end, as far as somebody can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Its certificate is signed by nobody who is trusted.
    UnknownAuthority,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is for later.
    NotYetValid,
    /// Its certificate is for other names.
    OtherName,
    /// It wants a certificate of ours, or another one.
    WantsCertificate,
    /// It does not speak TLS.
    NoTls,
}

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

impl Error {
    /// What there is to do about, if that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        use rustls::Error as Tls;
        match self {
            Self::Handshake { reason: Tls::InvalidCertificate(reason), .. } => {
                of_certificate(reason)
            }
            Self::Handshake { reason: Tls::AlertReceived(alert), .. } => of_alert(*alert),
            Self::Handshake { reason: Tls::InvalidMessage(_), .. } => Some(Trouble::NoTls),
            Self::Connection { reason, .. } if reason.kind() == io::ErrorKind::UnexpectedEof => {
                Some(Trouble::NoTls)
            }
            _ => None,
        }
    }
}

/// What we have against the peer's certificate.
fn of_certificate(reason: &CertificateError) -> Option<Trouble> {
    use CertificateError as Bad;
    match reason {
        // The second is an authority's own certificate that is not trusted itself.
        Bad::UnknownIssuer | Bad::Other(_) => Some(Trouble::UnknownAuthority),
        Bad::Expired | Bad::ExpiredContext { .. } => Some(Trouble::Expired),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Some(Trouble::NotYetValid),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Some(Trouble::OtherName),
        _ => None,
    }
}

/// What the peer has against us.
fn of_alert(alert: AlertDescription) -> Option<Trouble> {
    use AlertDescription as Alert;
    let certificate = [
        Alert::CertificateRequired,
        Alert::BadCertificate,
        Alert::UnknownCA,
        Alert::CertificateUnknown,
        Alert::CertificateExpired,
    ];
    certificate.contains(&alert).then_some(Trouble::WantsCertificate)
}
