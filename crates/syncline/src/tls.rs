//! `rsyncs://`: a daemon inside TLS. What is trusted comes from `--tls-ca` and from the variables of the rsync-ssl helper.

use std::fs::File;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use syncline_engine::session::socket::Stream;
use syncline_engine::{Error, ExitCode};
use syncline_options::Options;
use syncline_tls::{Client, Relay, Trouble, Trust, Tunnel, Verification};

/// The port of daemons inside TLS.
const PORT: u16 = 874;

/// The port where none is given.
pub(crate) fn port() -> Result<u16, Error> {
    let Some(text) = variable("RSYNC_SSL_PORT") else { return Ok(PORT) };
    text.parse().map_err(|_| failed(format!("RSYNC_SSL_PORT={text} is no port")))
}

/// Carries what a connection inside TLS says, until it is told that there is nothing more.
pub(crate) struct Carrier {
    stream: UnixStream,
    relay: Relay,
}

impl Carrier {
    /// Waits until everything has gone out.
    pub(crate) fn finish(self) {
        // Closed already where the daemon was faster.
        let _ = self.stream.shutdown(Shutdown::Write);
        drop(self.stream);
        self.relay.finish();
    }
}

/// Makes the handshake on a connection that leads to `host`; the ends to read and write in the clear.
pub(crate) fn wrap(
    stream: Stream,
    host: &str,
    options: &Options,
) -> Result<(UnixStream, UnixStream, Carrier), Error> {
    let socket: OwnedFd = match stream {
        Stream::Tcp(stream) => stream.into(),
        Stream::Unix(stream) => stream.into(),
    };
    let connection = &options.connection;
    let limit = connection.contimeout.filter(|&seconds| seconds > 0);
    let limit = limit.or(connection.timeout.filter(|&seconds| seconds > 0));
    // Only a handshake that hangs needs it; the relay waits by other means.
    let _ = set_socket_timeout(
        socket.as_fd(),
        Timeout::Recv,
        limit.map(|seconds| Duration::from_secs(u64::from(seconds))),
    );
    let told = |error: syncline_tls::Error| match error.trouble().and_then(advice) {
        Some(advice) => failed(format!("{error}\nrsync: {advice}")),
        None => failed(error),
    };
    let client = Client::new(&trust(options)).map_err(told)?;
    let Tunnel { stream, relay } = client.connect(File::from(socket), host).map_err(told)?;
    let another = || stream.try_clone().map_err(|error| failed(error.to_string()));
    Ok((another()?, another()?, Carrier { stream, relay }))
}

/// What an operator can do.
fn advice(trouble: Trouble) -> Option<&'static str> {
    Some(match trouble {
        Trouble::UnknownAuthority => {
            "nobody you trust vouches for the server's certificate: name its authority, or the certificate itself, with \
             --tls-ca=FILE or RSYNC_SSL_CA_CERT"
        }
        Trouble::Expired => {
            "the server's certificate has expired: its operator has to renew it (is the clock right here?)"
        }
        Trouble::NotYetValid => {
            "the server's certificate is not valid yet: is the clock right here, and there?"
        }
        Trouble::OtherName => {
            "the server's certificate is for another name: use that name in the address, or set \
             RSYNC_SSL_SKIP_HOSTNAME_CHECK=1 if you know the server"
        }
        Trouble::WantsCertificate => {
            "the server wants a certificate that it trusts from you: name it with RSYNC_SSL_CERT (and RSYNC_SSL_KEY)"
        }
        Trouble::NoTls => {
            "nobody speaks TLS at this port: is it the right one (default 874), or does the daemon want rsync:// without TLS?"
        }
        _ => return None,
    })
}

fn trust(options: &Options) -> Trust {
    let file =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let given = options.connection.tls_ca.as_ref();
    let mut trust = Trust {
        authorities: given
            .map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
            .or_else(|| file("RSYNC_SSL_CA_CERT")),
        verification: Verification::Full,
        identity: file("RSYNC_SSL_CERT").map(|certificate| (certificate, file("RSYNC_SSL_KEY"))),
    };
    if given.is_none() && variable("RSYNC_SSL_CA_CERT").is_some_and(|value| value.is_empty()) {
        trust.verification = Verification::None;
    } else if variable("RSYNC_SSL_SKIP_HOSTNAME_CHECK").is_some_and(|value| value == "1") {
        trust.verification = Verification::ChainOnly;
    }
    trust
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn failed(text: impl std::fmt::Display) -> Error {
    Error::fatal(ExitCode::SOCKET, format!("rsync: {text}"))
}
