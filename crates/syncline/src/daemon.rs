//! Reaching a daemon as a client, and its greeting (docs/spec cli.md 19).

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Child;

use syncline_engine::report::{Class, Report};
use syncline_engine::session::Connection;
use syncline_engine::session::daemon::{Admission, DaemonRequest};
use syncline_engine::session::shell::{RemoteShell, shell_words};
use syncline_engine::session::socket::{DAEMON_PORT, Detour, connect};
use syncline_engine::{Error, ExitCode, Job, OperatorPaths, Role};
use syncline_options::values::flags::Debug;
use syncline_options::{Options, Remote};
use syncline_wire::Protocol;

use crate::password::Passwords;
use crate::tls;

/// A connection on which a daemon's greeting is to come.
pub(crate) struct Reached {
    pub(crate) connection: Connection,
    /// The program in between, if there is one.
    pub(crate) child: Option<Child>,
    /// What carries the connection inside TLS.
    pub(crate) tunnel: Option<tls::Carrier>,
}

/// Connects to a daemon's socket.
pub(crate) fn reach(
    job: &Job,
    remote: &Remote,
    (port, inside_tls): (Option<i32>, bool),
    role: Role,
    report: &Report,
) -> Result<Reached, Error> {
    let options = &job.options;
    let variable = |name: &str| std::env::var(name).ok();
    let detour = Detour {
        proxy: variable("RSYNC_PROXY"),
        program: variable("RSYNC_CONNECT_PROG"),
        shell: variable("RSYNC_SHELL"),
    };
    let host = String::from_utf8_lossy(&remote.host.name).into_owned();
    let port = match port.filter(|&port| port != 0).map(u16::try_from) {
        None if inside_tls => tls::port()?,
        None => DAEMON_PORT,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            let port = port.unwrap_or_default();
            let reason = "Servname not supported for ai_socktype";
            let text = format!("rsync: getaddrinfo: {host} {port}: {reason}");
            return Err(Error::fatal(ExitCode::SOCKET, text));
        }
    };
    let mut warn = |text: String| report.line(Class::Warning, text.as_bytes());
    if options.output.debug.level(Debug::Connect) > 0 {
        let text = format!("opening tcp connection to {host} port {port}");
        report.line(Class::Info, text.as_bytes());
    }
    let stream = connect(options, &host, port, &detour, role, &mut warn)?;
    if inside_tls {
        let (reader, writer, tunnel) = tls::wrap(stream.writer, &host, options)?;
        let connection = Connection::new(reader, writer, options, &job.interrupt)?;
        return Ok(Reached { connection, child: stream.child, tunnel: Some(tunnel) });
    }
    let connection = Connection::new(stream.reader, stream.writer, options, &job.interrupt)?;
    Ok(Reached { connection, child: stream.child, tunnel: None })
}

/// Starts a daemon for this one connection by a remote shell.
pub(crate) fn reach_by_shell(
    job: &Job,
    remote: &Remote,
    port: Option<i32>,
    role: Role,
) -> Result<Reached, Error> {
    let options = &job.options;
    let mut words = shell_words(options, remote.host.user.as_deref(), &remote.host.name)?;
    words.push(options.connection.rsync_path.clone().unwrap_or_else(|| b"rsync".to_vec()));
    words.extend([b"--server".to_vec(), b"--daemon".to_vec(), b".".to_vec()]);
    let environment = [("RSYNC_PORT", port.unwrap_or(0).to_string())];
    let shell = RemoteShell::spawn(&words, &environment, role)?;
    let (reader, writer, child) = shell.into_parts();
    let connection = Connection::new(reader, writer, options, &job.interrupt)?;
    Ok(Reached { connection, child: Some(child), tunnel: None })
}

/// Goes through the greeting.
pub(crate) fn enter(
    connection: &mut Connection,
    options: &Options,
    remote: &Remote,
    paths: &[Vec<u8>],
    pull: bool,
    report: &Report,
    passwords: &Passwords,
) -> Result<Admission, Error> {
    let role = if pull { Role::Destination } else { Role::Sender };
    let first = paths.first().map(Vec::as_slice).unwrap_or_default();
    let module = first.split(|&byte| byte == b'/').next().unwrap_or_default();
    let user = user(remote);
    let early = early_input(options, role)?;
    let early_input = early.as_deref();
    let request =
        DaemonRequest { options, module, user: &user, paths, pull, early_input, memory: None };
    let own = own_version(options)?;
    let mut text = |line: &[u8]| {
        if options.output.motd {
            report.line(Class::ClientInfo, line);
        }
    };
    request.enter(connection, own, &mut text, &mut || passwords.ask(options, role))
}

fn own_version(options: &Options) -> Result<Protocol, Error> {
    let number = options.connection.protocol.unwrap_or(32);
    u8::try_from(number).ok().and_then(|number| Protocol::new(number).ok()).ok_or_else(|| {
        let text = if number > 32 {
            "--protocol must be no more than 32 on the Client.".to_owned()
        } else if number < 20 {
            "--protocol must be at least 20 on the Client.".to_owned()
        } else {
            format!("--protocol={number} is not supported (27 to 32 are)")
        };
        Error::fatal(ExitCode::PROTOCOL, text)
    })
}

/// The user of the address, else of the environment.
fn user(remote: &Remote) -> Vec<u8> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match &remote.host.user {
        Some(user) => user.clone(),
        None => variable("USER")
            .or_else(|| variable("LOGNAME"))
            .unwrap_or_else(|| "nobody".to_owned())
            .into_bytes(),
    }
}

fn early_input(options: &Options, role: Role) -> Result<Option<Vec<u8>>, Error> {
    let Some(path) = &options.connection.early_input else { return Ok(None) };
    let shown = String::from_utf8_lossy(path).into_owned();
    let failed = |reason: String| {
        Error::fatal(ExitCode::START, format!("rsync: [{role}] failed to open {shown}: {reason}"))
    };
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let mut file =
        OperatorPaths::of(options).open_file(path).map_err(|error| failed(error.reason()))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| failed(syncline_engine::reason(&error)))?;
    Ok(Some(text))
}
