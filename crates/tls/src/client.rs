//! The end that connects.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::relay::{Relay, Tunnelled};
use crate::verify::Verifier;
use crate::{Error, pem};

/// How much of a server's identity is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Its certificate and its name.
    #[default]
    Full,
    /// Its certificate only, whatever name is in it.
    ChainOnly,
    /// Nothing: what is said is only kept from those who do no more than listen.
    None,
}

/// Whom a client trusts, and how it shows itself.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The authorities (and servers) to trust, in PEM; unset: the system's.
    pub authorities: Option<PathBuf>,
    /// What is verified.
    pub verification: Verification,
    /// A certificate of our own, with the file of its key; the key may be in the same file.
    pub identity: Option<(PathBuf, Option<PathBuf>)>,
}

/// Makes tunnels to servers.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

/// One tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// What goes in here comes out at the server, and the other way round.
    pub stream: UnixStream,
    /// What carries it.
    pub relay: Relay,
}

impl Client {
    /// Reads the files.
    pub fn new(trust: &Trust) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(trust, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(handshake("nobody"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &trust.identity {
            None => config.with_no_client_auth(),
            Some((path, key)) => {
                let chain = pem::certificates(path)?;
                let key = pem::key(key.as_ref().unwrap_or(path))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|reason| Error::Certificate { path: path.clone(), reason })?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// Makes the handshake on a socket that leads to `host`, and starts the relay.
    pub fn connect<S>(&self, mut socket: S, host: &str) -> Result<Tunnel, Error>
    where
        S: Read + Write + Into<OwnedFd>,
    {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|_| Error::HostName(host.to_owned()))?;
        let mut tls = ClientConnection::new(Arc::clone(&self.0), name).map_err(handshake(host))?;
        while tls.is_handshaking() {
            if let Err(reason) = tls.complete_io(&mut socket) {
                return Err(explain(host, reason));
            }
        }
        let (stream, relay) =
            Tunnelled::new(tls.into(), socket.into()).start().map_err(Error::Tunnel)?;
        Ok(Tunnel { stream, relay })
    }
}

fn verifier(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Verifier, Error> {
    let mut verifier = Verifier {
        chains: None,
        trusted: Vec::new(),
        verification: trust.verification,
        provider: Arc::clone(provider),
    };
    if trust.verification == Verification::None {
        return Ok(verifier);
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = &trust.authorities {
        verifier.trusted = pem::certificates(path)?;
        let (added, _) = roots.add_parsable_certificates(verifier.trusted.iter().cloned());
        if added == 0 {
            let reason = "no certificate of an authority in it".to_owned();
            return Err(Error::File { path: path.clone(), reason });
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(Error::NoRoots(if why.is_empty() { "none found".to_owned() } else { why }));
        }
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::NoRoots(error.to_string()))?;
    verifier.chains = Some(chains);
    Ok(verifier)
}

pub(crate) fn handshake(peer: &str) -> impl FnOnce(rustls::Error) -> Error {
    let peer = peer.to_owned();
    move |reason| Error::Handshake { peer, reason }
}

/// What `complete_io` says is in an `io::Error`, whatever it was.
pub(crate) fn explain(peer: &str, reason: std::io::Error) -> Error {
    let peer = peer.to_owned();
    match reason.downcast::<rustls::Error>() {
        Ok(reason) => Error::Handshake { peer, reason },
        Err(reason) => Error::Connection { peer, reason },
    }
}
