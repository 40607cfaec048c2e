//! Which ends a transfer has: arguments taken together (cli.md 5.2 and 5.3).

use crate::error::{ArgumentProblem, Role, UsageError};
use crate::location::{Host, Location, split_host};
use crate::options::{ArgumentProtection, FilesFrom, Options};
use crate::word::Word;

/// A transfer's ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where the files are and go.
    pub form: Form,
    /// There is no destination, or `--list-only` ignores it: list the source.
    pub listing: bool,
}

/// The direction of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Both ends are here.
    Local {
        /// The sources as typed.
        sources: Vec<Word>,
        /// The destination, unless listing.
        destination: Option<Word>,
    },
    /// From here to another machine.
    Push {
        /// The sources as typed.
        sources: Vec<Word>,
        /// The machine.
        remote: Remote,
        /// The path on it; for a daemon with its module.
        destination: Word,
    },
    /// From another machine to here.
    Pull {
        /// The machine.
        remote: Remote,
        /// The paths on it; for a daemon with their modules.
        sources: Vec<Word>,
        /// The destination, unless listing.
        destination: Option<Word>,
    },
    /// Ask a daemon for its modules.
    ModuleList {
        /// The machine.
        remote: Remote,
    },
    /// `--read-batch`: the recorded transfer is done here.
    Batch {
        /// The destination.
        destination: Word,
    },
}

/// Another machine and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// User and name.
    pub host: Host,
    /// The way.
    pub transport: Transport,
}

/// The way to another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// A remote shell.
    Shell,
    /// A daemon's socket.
    Daemon {
        /// The address's port, else `--port`, else `None`.
        port: Option<i32>,
        /// Inside TLS (ours).
        tls: bool,
    },
    /// A daemon started by a remote shell, which gets the port in `RSYNC_PORT`.
    DaemonOverShell {
        /// The address's port, else `--port`, else `None`.
        port: Option<i32>,
    },
}

impl Transport {
    /// Whether the daemon's handshake is spoken.
    pub const fn is_daemon(self) -> bool {
        !matches!(self, Self::Shell)
    }
}

fn problem(role: Role, problem: ArgumentProblem) -> UsageError {
    UsageError::Argument { problem, role }
}

impl Options {
    /// Works out where the files are and go.
    pub fn job(&self) -> Result<Job, UsageError> {
        let Some(first) = self.arguments.first() else { return Err(UsageError::NoArguments) };
        if self.batch.read.is_some() {
            return self.batch_job();
        }
        let location = Location::parse(first);
        if location.is_remote() { self.pull(location) } else { self.push() }
    }

    fn batch_job(&self) -> Result<Job, UsageError> {
        let [destination] = self.arguments.as_slice() else { return Err(UsageError::NoArguments) };
        if Location::parse(destination).is_remote() {
            return Err(problem(Role::Receiver, ArgumentProblem::BatchRemote));
        }
        self.check_destination(destination, Role::Receiver)?;
        Ok(Job { form: Form::Batch { destination: destination.clone() }, listing: false })
    }

    fn check_destination(&self, destination: &[u8], role: Role) -> Result<(), UsageError> {
        let old_args = matches!(
            self.connection.protection,
            ArgumentProtection::OldArgs | ArgumentProtection::Nothing
        );
        if destination.is_empty() && !old_args {
            return Err(problem(role, ArgumentProblem::EmptyDestination));
        }
        Ok(())
    }

    fn pull(&self, first: Location) -> Result<Job, UsageError> {
        let role = Role::Receiver;
        let (sources, destination) = match self.arguments.split_last() {
            Some((last, sources)) if !sources.is_empty() && !last.starts_with(b":") => {
                (sources, Some(last))
            }
            _ => (self.arguments.as_slice(), None),
        };
        if let Some(destination) = destination {
            if Location::parse(destination).is_remote() {
                return Err(problem(role, ArgumentProblem::BothRemote));
            }
            self.check_destination(destination, role)?;
        }
        let (remote, path) = self.remote(first, role)?;
        let mut paths = vec![path];
        for source in sources.iter().skip(1) {
            paths.push(self.another_source(&remote, source)?);
        }
        self.check_remote(&remote, paths.iter(), role)?;
        if remote.transport.is_daemon()
            && let [path] = paths.as_slice()
            && path.is_empty()
            && destination.is_none()
        {
            return Ok(Job { form: Form::ModuleList { remote }, listing: true });
        }
        let listing = destination.is_none() || self.output.list_only;
        Ok(Job {
            form: Form::Pull { remote, sources: paths, destination: destination.cloned() },
            listing,
        })
    }

    fn push(&self) -> Result<Job, UsageError> {
        let role = Role::Sender;
        let (sources, destination) = match self.arguments.split_last() {
            Some((last, sources)) if !sources.is_empty() => (sources, Some(last)),
            _ => (self.arguments.as_slice(), None),
        };
        if let Some(destination) = destination {
            self.check_destination(destination, role)?;
        }
        for source in sources {
            if Location::parse(source).is_remote() {
                return Err(problem(role, ArgumentProblem::UnexpectedRemote(source.clone())));
            }
            if source.is_empty() {
                return Err(problem(role, ArgumentProblem::EmptySource));
            }
        }
        let sources = sources.to_vec();
        let far_end =
            destination.map(|destination| Location::parse(destination)).filter(Location::is_remote);
        if let Some(location) = far_end {
            let (remote, destination) = self.remote(location, role)?;
            self.check_remote(&remote, std::iter::once(&destination), role)?;
            return Ok(Job {
                form: Form::Push { sources, remote, destination },
                listing: self.output.list_only,
            });
        }
        if matches!(self.select.files_from, Some(FilesFrom::Remote { .. })) {
            return Err(problem(role, ArgumentProblem::FilesFromRemote));
        }
        self.check_daemon_options(None, role)?;
        let listing = destination.is_none() || self.output.list_only;
        Ok(Job { form: Form::Local { sources, destination: destination.cloned() }, listing })
    }

    /// The machine and path of a location that is remote.
    fn remote(&self, location: Location, role: Role) -> Result<(Remote, Word), UsageError> {
        Ok(match location {
            Location::Local(path) => {
                return Err(problem(role, ArgumentProblem::UnexpectedLocal(path)));
            }
            Location::Shell { host, path } => {
                let path = if path.is_empty() { b".".to_vec() } else { path };
                (Remote { host, transport: Transport::Shell }, path)
            }
            Location::Daemon { host, port, path, tls } => {
                let port = port.or(self.connection.port);
                let transport = match (&self.connection.rsh, tls) {
                    (Some(_), true) => return Err(problem(role, ArgumentProblem::TlsOverShell)),
                    (Some(_), false) => Transport::DaemonOverShell { port },
                    (None, tls) => Transport::Daemon { port, tls },
                };
                (Remote { host, transport }, path)
            }
        })
    }

    /// The path of a later source, which must be on the same machine.
    fn another_source(&self, remote: &Remote, source: &[u8]) -> Result<Word, UsageError> {
        let role = Role::Receiver;
        let location = Location::parse(source);
        if !location.is_remote() {
            return Err(problem(role, ArgumentProblem::UnexpectedLocal(source.to_vec())));
        }
        let own_port = !matches!(location, Location::Daemon { port: None, .. });
        let (other, path) = self.remote(location, role)?;
        if !other.host.name.is_empty() && other.host != remote.host {
            return Err(problem(role, ArgumentProblem::TwoMachines));
        }
        if other.transport != remote.transport {
            let same_form = std::mem::discriminant(&other.transport)
                == std::mem::discriminant(&remote.transport);
            if !same_form {
                return Err(problem(role, ArgumentProblem::TwoFormats));
            }
            if own_port {
                return Err(problem(role, ArgumentProblem::TwoPorts));
            }
        }
        Ok(path)
    }

    fn check_remote<'a>(
        &self,
        remote: &Remote,
        mut paths: impl Iterator<Item = &'a Word>,
        role: Role,
    ) -> Result<(), UsageError> {
        if let Some(FilesFrom::Remote { host, .. }) = &self.select.files_from {
            let named = split_host(host).map_or(host.as_slice(), |(host, _)| host);
            if !named.is_empty() && Host::parse(named) != remote.host {
                return Err(problem(role, ArgumentProblem::FilesFromHost));
            }
        }
        self.check_daemon_options(Some(remote.transport), role)?;
        if !matches!(remote.transport, Transport::Daemon { .. })
            && remote.host.name.starts_with(b"-")
        {
            return Err(problem(role, ArgumentProblem::HostDash));
        }
        if paths.any(|path| path.starts_with(b"/")) {
            match remote.transport {
                Transport::Shell => {}
                Transport::Daemon { .. } => return Err(problem(role, ArgumentProblem::NoModule)),
                Transport::DaemonOverShell { .. } => {
                    return Err(problem(role, ArgumentProblem::NoModuleOverShell));
                }
            }
        }
        Ok(())
    }

    fn check_daemon_options(
        &self,
        transport: Option<Transport>,
        role: Role,
    ) -> Result<(), UsageError> {
        if self.connection.password_file.is_some() && !transport.is_some_and(Transport::is_daemon) {
            return Err(problem(role, ArgumentProblem::PasswordFile));
        }
        if self.connection.contimeout.is_some()
            && !matches!(transport, Some(Transport::Daemon { .. }))
        {
            return Err(problem(role, ArgumentProblem::Contimeout));
        }
        Ok(())
    }
}
