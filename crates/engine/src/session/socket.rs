//! Reaching a daemon: addresses, proxies, programs in place of a connection (docs/spec session.md 4.1).

use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use syncline_options::Options;
use syncline_options::options::Family;

use crate::{Error, ExitCode, Result, Role, reason};

/// The port daemons listen on.
pub const DAEMON_PORT: u16 = 873;

/// Longest line of a proxy's dialogue.
const PROXY_LINE_MAX: u64 = 1023;

/// A way to a daemon: what it says, what it hears, and the program in between if there is one.
#[derive(Debug)]
pub struct DaemonStream {
    /// What the daemon says.
    pub reader: Stream,
    /// What the daemon hears.
    pub writer: Stream,
    /// A program started in place of a connection.
    pub child: Option<Child>,
}

/// One end of a socket.
#[derive(Debug)]
pub enum Stream {
    /// Of a network connection.
    Tcp(TcpStream),
    /// Of a program on this machine.
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                let read = stream.read(buffer);
                // What was read is acknowledged at once: a stock daemon's next small piece waits for that. Where
                // more is waiting to be read it comes in large pieces.
                if !matches!(read, Ok(length) if length == buffer.len()) {
                    let _ = sockopt::set_tcp_quickack(&*stream, true);
                }
                read
            }
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands between us and the daemon.
#[derive(Clone, Debug, Default)]
pub struct Detour {
    /// `RSYNC_PROXY`.
    pub proxy: Option<String>,
    /// `RSYNC_CONNECT_PROG`.
    pub program: Option<String>,
    /// `RSYNC_SHELL`.
    pub shell: Option<String>,
}

/// Connects to a daemon. Problems that do not end the run are told to `warn`.
pub fn connect(
    options: &Options,
    host: &str,
    port: u16,
    detour: &Detour,
    role: Role,
    warn: &mut dyn FnMut(String),
) -> Result<DaemonStream> {
    if let Some(program) = detour.program.as_ref().filter(|program| !program.is_empty()) {
        return run_program(program, host, detour, role);
    }
    let stream = match detour.proxy.as_ref().filter(|proxy| !proxy.is_empty()) {
        Some(proxy) => through_proxy(options, host, port, proxy, role, warn)?,
        None => dial(options, host, port, role, warn)?,
    };
    let failed = |error| Error::system(ExitCode::SOCKET, role, "socket", error);
    limit_writes(&stream, options.connection.timeout);
    let reader = stream.try_clone().map_err(failed)?;
    Ok(DaemonStream { reader: Stream::Tcp(reader), writer: Stream::Tcp(stream), child: None })
}

/// Gives up a peer that takes nothing for so many seconds (docs/spec session.md 13.1). Other things than sockets do not mind.
pub fn limit_writes(socket: impl AsFd, seconds: Option<u32>) {
    let limit =
        seconds.filter(|&seconds| seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
    // Without it the wait lasts longer, nothing else.
    let _ = sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, limit);
}

fn dial(
    options: &Options,
    host: &str,
    port: u16,
    role: Role,
    warn: &mut dyn FnMut(String),
) -> Result<TcpStream> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(": ").map_or(text.as_str(), |(_, text)| text).to_owned();
        Error::fatal(ExitCode::SOCKET, format!("rsync: getaddrinfo: {host} {port}: {text}"))
    })?;
    let wanted = |address: &SocketAddr| match options.connection.family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let mut failures = Vec::new();
    for address in addresses.filter(wanted) {
        match dial_address(options, address, warn) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Error::fatal(
                    ExitCode::CONNECT_TIMEOUT,
                    "timeout waiting for daemon connection",
                ));
            }
            Err(error) => failures.push(format!(
                "rsync: [{role}] failed to connect to {host} ({}): {}",
                address.ip(),
                reason(&error)
            )),
        }
    }
    if failures.is_empty() {
        let text = "Name or service not known";
        failures.push(format!("rsync: getaddrinfo: {host} {port}: {text}"));
    }
    Err(Error::fatal(ExitCode::SOCKET, failures.join("\n")))
}

fn dial_address(
    options: &Options,
    address: SocketAddr,
    warn: &mut dyn FnMut(String),
) -> io::Result<TcpStream> {
    let connection = &options.connection;
    let limit = connection.contimeout.filter(|&seconds| seconds > 0);
    let limit = limit.map(|seconds| Duration::from_secs(seconds.into()));
    let plain = connection.address.is_none() && connection.sockopts.is_none();
    let stream = match limit {
        Some(limit) if plain => TcpStream::connect_timeout(&address, limit)?,
        None if plain => TcpStream::connect(address)?,
        _ => {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
            if let Some(options) = &connection.sockopts {
                set_options(&socket, &String::from_utf8_lossy(options), warn);
            }
            if let Some(own) = &connection.address {
                let own = String::from_utf8_lossy(own).into_owned();
                let mut candidates = (own.as_str(), 0).to_socket_addrs()?;
                let own = candidates.find(|own| own.is_ipv4() == address.is_ipv4());
                rustix::net::bind(&socket, &own.ok_or(io::ErrorKind::AddrNotAvailable)?)?;
            }
            match limit {
                Some(limit) => connect_within(&socket, &address, limit)?,
                None => rustix::net::connect(&socket, &address)?,
            }
            TcpStream::from(socket)
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects a socket that was prepared, or gives up.
fn connect_within(socket: &OwnedFd, address: &SocketAddr, limit: Duration) -> io::Result<()> {
    rustix::io::ioctl_fionbio(socket, true)?;
    match rustix::net::connect(socket, address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let end = Instant::now() + limit;
            let mut waiting = [PollFd::new(socket, PollFlags::OUT)];
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut waiting, Some(&left)) {
                    Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                    Ok(_) => break,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            sockopt::socket_error(socket)??;
        }
        Err(errno) => return Err(errno.into()),
    }
    rustix::io::ioctl_fionbio(socket, false)?;
    Ok(())
}

/// `--sockopts`: names with values, separated by commas or blanks. Unknown ones are told and left.
pub fn set_options(socket: &OwnedFd, options: &str, warn: &mut dyn FnMut(String)) {
    for option in options.split([',', ' ', '\t']).filter(|option| !option.is_empty()) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value.trim().parse::<usize>().ok()),
            None => (option, None),
        };
        let number = value.unwrap_or(1);
        let duration = (number > 0).then(|| Duration::from_secs(number as u64));
        let set = match name {
            "SO_KEEPALIVE" => sockopt::set_socket_keepalive(socket, number != 0),
            "SO_REUSEADDR" => sockopt::set_socket_reuseaddr(socket, number != 0),
            "SO_BROADCAST" => sockopt::set_socket_broadcast(socket, number != 0),
            "TCP_NODELAY" => sockopt::set_tcp_nodelay(socket, number != 0),
            "SO_SNDBUF" => sockopt::set_socket_send_buffer_size(socket, number),
            "SO_RCVBUF" => sockopt::set_socket_recv_buffer_size(socket, number),
            "SO_SNDTIMEO" => sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, duration),
            "SO_RCVTIMEO" => sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, duration),
            // Linux takes no other value for these two than the one it has.
            "SO_SNDLOWAT" | "SO_RCVLOWAT" => Ok(()),
            "IPTOS_LOWDELAY" => sockopt::set_ip_tos(socket, 0x10),
            "IPTOS_THROUGHPUT" => sockopt::set_ip_tos(socket, 0x08),
            _ => {
                warn(format!("Unknown socket option {name}"));
                continue;
            }
        };
        if let Err(error) = set {
            warn(format!("failed to set socket option {name}: {}", reason(&error.into())));
        }
    }
}

fn through_proxy(
    options: &Options,
    host: &str,
    port: u16,
    proxy: &str,
    role: Role,
    warn: &mut dyn FnMut(String),
) -> Result<TcpStream> {
    let bad = |text: String| Error::fatal(ExitCode::SOCKET, text);
    let (credentials, address) = match proxy.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, proxy),
    };
    let form = if credentials.is_some() { "USER:PASS@HOST:PORT" } else { "HOST:PORT" };
    let invalid = || bad(format!("invalid proxy specification: should be {form}"));
    let (proxy_host, proxy_port) = address.split_once(':').ok_or_else(invalid)?;
    let proxy_port = proxy_port.parse().map_err(|_| invalid())?;
    if host.chars().any(char::is_control) {
        return Err(bad("invalid control character in proxy CONNECT host".into()));
    }
    let mut request = format!("CONNECT {host}:{port} HTTP/1.0\r\n");
    if let Some(credentials) = credentials {
        if !credentials.contains(':') {
            return Err(invalid());
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
        request.extend(["Proxy-Authorization: Basic ", &encoded, "\r\n"]);
    }
    request.push_str("\r\n");
    if request.len() as u64 > PROXY_LINE_MAX {
        return Err(bad("proxy CONNECT request too long".into()));
    }
    let stream = dial(options, proxy_host, proxy_port, role, warn)?;
    let failed = |error: io::Error| Error::system(ExitCode::SOCKET, role, "proxy", error);
    (&stream).write_all(request.as_bytes()).map_err(failed)?;
    // Byte by byte in effect: what follows the headers belongs to the daemon.
    let mut reader = BufReader::with_capacity(1, &stream);
    let mut line = |what: &str| -> Result<String> {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(PROXY_LINE_MAX + 1);
        limited.read_until(b'\n', &mut line).map_err(failed)?;
        if line.len() as u64 > PROXY_LINE_MAX {
            return Err(bad(format!("proxy response {what}line too long")));
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    };
    let first = line("")?;
    let status = first
        .strip_prefix("HTTP/")
        .map(|rest| rest.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.'))
        .map(str::trim_start);
    if !status.is_some_and(|status| status.starts_with('2')) {
        return Err(bad(format!("bad response from proxy -- {first}")));
    }
    while !line("header ")?.is_empty() {}
    Ok(stream)
}

fn run_program(program: &str, host: &str, detour: &Detour, role: Role) -> Result<DaemonStream> {
    if program.contains('%') {
        let odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"._:-%+~".contains(&byte);
        let first = host.bytes().next();
        if first.is_none_or(|byte| b"-+~%".contains(&byte)) || host.bytes().any(odd) {
            let text = "unsafe host characters for RSYNC_CONNECT_PROG";
            return Err(Error::fatal(ExitCode::SOCKET, text));
        }
    }
    let command = expand(program, host);
    let shell = detour.shell.as_deref().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
    let start = || -> io::Result<DaemonStream> {
        let (ours, theirs) = loopback_pair()?;
        let child = Command::new(shell)
            .arg("-c")
            .arg(&command)
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        let reader = Stream::Tcp(ours.try_clone()?);
        Ok(DaemonStream { reader, writer: Stream::Tcp(ours), child: Some(child) })
    };
    start().map_err(|error| {
        Error::system(ExitCode::IPC, role, format!("Failed to exec {shell}"), error)
    })
}

/// Two ends of a connection through loopback: a daemon started by the program must see a peer with an address.
fn loopback_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    loop {
        // Somebody else on this machine may connect first; that one is dropped.
        let (theirs, from) = listener.accept()?;
        if from == ours.local_addr()? {
            return Ok((ours, theirs));
        }
    }
}

/// `%H` is the host, quoted; `%%` a percent sign; anything else stays.
fn expand(program: &str, host: &str) -> String {
    let mut command = String::new();
    let mut rest = program;
    while let Some(at) = rest.find('%') {
        command.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match after.chars().next() {
            Some('H') => command.extend(["'", host, "'"]),
            Some('%') => command.push('%'),
            Some(other) => command.extend(['%', other]),
            None => command.push('%'),
        }
        rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or("");
    }
    command.push_str(rest);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_programs_get_the_host() {
        assert_eq!(expand("nc %H 873", "h.x"), "nc 'h.x' 873");
        assert_eq!(expand("x %% %q %", "h"), "x % %q %");
    }

    #[test]
    fn a_host_that_does_not_answer_is_given_up_in_time_however_the_socket_is_prepared() {
        // Nobody accepts, and the queue of those who wait is full: the kernel answers nothing.
        let deaf = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&deaf, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        rustix::net::listen(&deaf, 0).unwrap();
        let listener = TcpListener::from(deaf);
        let address = listener.local_addr().unwrap();
        let _waiting = TcpStream::connect(address).unwrap();
        let dial = |address, prepare: fn(&mut Options)| {
            let mut options = Options::default();
            options.connection.contimeout = Some(1);
            prepare(&mut options);
            dial_address(&options, address, &mut |_| {})
        };
        let ways: [fn(&mut Options); 3] = [
            |_| {},
            |options| options.connection.address = Some(b"127.0.0.1".into()),
            |options| options.connection.sockopts = Some(b"SO_KEEPALIVE".into()),
        ];
        for way in ways {
            assert_eq!(dial(address, way).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for way in ways {
            let mut stream = dial(open.local_addr().unwrap(), way).unwrap();
            open.accept().unwrap().0.write_all(b"@").unwrap();
            // What is read is waited for again.
            stream.read_exact(&mut [0]).unwrap();
        }
    }
}
