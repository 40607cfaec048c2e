//! The client's side of a daemon's greeting (docs/spec session.md 4.3 to 4.6).

use syncline_options::options::{ArgumentProtection, Options};
use syncline_options::{Direction, Packing};
use syncline_wire::Protocol;
use syncline_wire::daemon::{
    EARLY_INPUT_MAX, Greeting, LINE_MAX, choose_digest, put_daemon_arguments, read_line, respond,
};

use super::Connection;
use super::shell::{dashless, escape_option};
use crate::{Error, ExitCode, Result, Role};

/// What a client wants of a daemon.
#[derive(Clone, Debug)]
pub struct DaemonRequest<'a> {
    /// The options, some of which the daemon is told.
    pub options: &'a Options,
    /// The module; empty for a list of modules.
    pub module: &'a [u8],
    /// Who asks.
    pub user: &'a [u8],
    /// The paths, module names included.
    pub paths: &'a [Vec<u8>],
    /// Files come to us.
    pub pull: bool,
    /// What the daemon's early hooks are given (`--early-input`).
    pub early_input: Option<&'a [u8]>,
}

/// What came of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// The module is open; the version is settled and the arguments are on their way.
    Admitted(Protocol),
    /// The daemon has listed its modules and is done.
    Listed,
}

impl DaemonRequest<'_> {
    /// Goes through the greeting. `text` takes lines for the user (message of the day, module list); `password` is asked
    /// for one if the daemon wants it.
    pub fn enter(
        &self,
        connection: &mut Connection,
        own: Protocol,
        text: &mut dyn FnMut(&[u8]),
        password: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Admission> {
        let role = if self.pull { Role::Destination } else { Role::Sender };
        let greeting = Greeting::own(own);
        put(connection, greeting.to_line().as_bytes())?;
        let line = read_line(&mut connection.input, LINE_MAX)
            .map_err(|error| self.lost(error, role, "rsync: did not see server greeting"))?;
        let peer = Greeting::parse(&line).map_err(started)?;
        let protocol = greeting.negotiate(&peer).map_err(|error| Error::wire(role, error))?;
        let mut request = Vec::new();
        if let Some(early) = self.early_input.filter(|early| !early.is_empty()) {
            if early.len() > EARLY_INPUT_MAX {
                let file = self.options.connection.early_input.as_deref().unwrap_or_default();
                let file = String::from_utf8_lossy(file);
                let text = format!("{file} is > {EARLY_INPUT_MAX} bytes.");
                return Err(Error::fatal(ExitCode::START, text));
            }
            request.extend_from_slice(format!("#early_input={}\n", early.len()).as_bytes());
            request.extend_from_slice(early);
        }
        request.extend_from_slice(self.module);
        request.push(b'\n');
        put(connection, &request)?;
        let mut answered = false;
        loop {
            let line = read_line(&mut connection.input, LINE_MAX)
                .map_err(|error| self.lost(error, role, "rsync: didn't get server startup line"))?;
            if let Some(challenge) = line.strip_prefix(b"@RSYNCD: AUTHREQD ") {
                if answered {
                    let text = "rsync: the server asked for a password twice";
                    return Err(Error::fatal(ExitCode::START, text));
                }
                answered = true;
                let digest =
                    choose_digest(greeting.digests.as_deref(), peer.digests.as_deref(), protocol)
                        .map_err(started)?;
                let response = respond(digest, &password()?, challenge);
                let answer = [self.user, b" ", response.as_bytes(), b"\n"].concat();
                put(connection, &answer)?;
            } else if line == b"@RSYNCD: OK" {
                break;
            } else if line == b"@RSYNCD: EXIT" {
                return Ok(Admission::Listed);
            } else if line.starts_with(b"@ERROR") {
                let text = String::from_utf8_lossy(&line).into_owned();
                return Err(Error::fatal(ExitCode::START, text));
            } else {
                text(&line);
            }
        }
        self.put_arguments(connection, protocol)?;
        Ok(Admission::Admitted(protocol))
    }

    fn put_arguments(&self, connection: &Connection, protocol: Protocol) -> Result<()> {
        let direction = if self.pull { Direction::Pull } else { Direction::Push };
        let packing = Packing { direction, version: protocol.number() };
        let packed = self
            .options
            .pack(packing)
            .map_err(|error| Error::fatal(ExitCode::USAGE, error.to_string()))?;
        let protection = self.options.connection.protection;
        let paths = self.paths.iter().map(|path| self.path_word(path));
        let mut rest = packed.options.clone();
        let secluded = protection == ArgumentProtection::Secluded;
        if !secluded && protection != ArgumentProtection::Nothing {
            rest = rest.iter().map(|word| escape_option(word)).collect();
        }
        rest.extend(packed.remote_options.iter().cloned());
        rest.push(b".".to_vec());
        rest.extend(paths);
        let mut words = packed.head.clone();
        let mut out = Vec::new();
        if secluded {
            put_daemon_arguments(&mut out, &words, protocol);
            put(connection, &out)?;
            connection.send_secluded(&rest);
            return Ok(());
        }
        words.extend(rest);
        put_daemon_arguments(&mut out, &words, protocol);
        put(connection, &out)
    }

    /// A path as daemons take it: they split at the module's name in the middle of an argument.
    fn path_word(&self, path: &[u8]) -> Vec<u8> {
        let mut path = dashless(path);
        if path == self.module {
            path.push(b'/');
        }
        let splits = !matches!(
            self.options.connection.protection,
            ArgumentProtection::OldArgs
                | ArgumentProtection::Nothing
                | ArgumentProtection::Secluded
        );
        if !splits {
            return path;
        }
        let wanted = [b" ", self.module, b"/"].concat();
        let replaced = [b"[ ]", self.module, b"/"].concat();
        let mut word = Vec::with_capacity(path.len());
        let mut rest = &path[..];
        while let Some(at) = rest.windows(wanted.len()).position(|window| window == wanted) {
            word.extend_from_slice(&rest[..at]);
            word.extend_from_slice(&replaced);
            rest = &rest[at + wanted.len()..];
        }
        word.extend_from_slice(rest);
        word
    }

    fn lost(&self, error: syncline_wire::Error, role: Role, text: &'static str) -> Error {
        match error {
            syncline_wire::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                let seconds = self.options.connection.timeout.unwrap_or_default().into();
                Error::Timeout { seconds, role }
            }
            syncline_wire::Error::Io(error) => {
                Error::system(ExitCode::SOCKET, role, "read error", error)
            }
            _ => Error::fatal(ExitCode::START, text),
        }
    }
}

fn put(connection: &Connection, bytes: &[u8]) -> Result<()> {
    connection.output.buffer().extend_from_slice(bytes);
    connection
        .output
        .flush()
        .map_err(|error| Error::system(ExitCode::SOCKET, Role::Client, "write error", error))
}

fn started(error: syncline_wire::Error) -> Error {
    Error::fatal(ExitCode::START, format!("rsync: {error}"))
}
