//! What ends a run, and the exit code it ends with.

use std::borrow::Cow;
use std::io;

use crate::ExitCode;
use crate::event::Role;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run cannot go on. What only fails one file is no [`Error`] but an [`crate::Event::Problem`].
///
/// The text of an error is the first line stock prints for it, without the final `rsync error:` line, which follows
/// from [`Error::exit_code`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line for the user and the code to exit with.
    #[error("{text}")]
    Fatal {
        /// The line or lines, without the final newline.
        text: Cow<'static, str>,
        /// What the run ends with.
        code: ExitCode,
        /// Who found it, where that is not whoever ends the run.
        role: Option<Role>,
    },
    /// A system call without which the run cannot go on: `rsync: [role] what: reason (errno)`.
    #[error("rsync: [{role}] {what}: {}", crate::event::reason(.source))]
    System {
        /// Who tried.
        role: Role,
        /// What was tried, on what.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
        /// What the run ends with.
        code: ExitCode,
    },
    /// The peer broke the protocol.
    #[error("{source}")]
    Wire {
        /// How.
        #[source]
        source: syncline_wire::Error,
        /// Who found out.
        role: Role,
    },
    /// The connection ended where more was required.
    #[error("rsync: connection unexpectedly closed ({received} bytes received so far) [{role}]")]
    Closed {
        /// Bytes that had come by then.
        received: u64,
        /// Who was reading.
        role: Role,
    },
    /// No byte moved for too long.
    #[error("[{role}] io timeout after {seconds} seconds -- exiting")]
    Timeout {
        /// For how long.
        seconds: u64,
        /// Who was waiting.
        role: Role,
    },
    /// The daemon is not what was remembered of it. Nothing has changed: the run is to be repeated without the memory.
    #[error("rsync: the daemon is not what it was")]
    Outdated,
    /// The peer said it ends, and why is its business: nothing is printed.
    #[error("the peer ended with code {}", .0.number())]
    PeerExit(ExitCode),
    /// Another thread of the run failed first; its error is the one to report.
    #[error("stopped because another part of the run failed")]
    Stopped,
}

impl Error {
    /// A line for the user and the code to exit with.
    pub fn fatal(code: ExitCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Fatal { text: text.into(), code, role: None }
    }

    /// The same, found by somebody else than who ends the run.
    pub fn fatal_by(role: Role, code: ExitCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Fatal { text: text.into(), code, role: Some(role) }
    }

    /// Who found it, if that is known better here than by who ends the run.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Fatal { role, .. } => *role,
            _ => None,
        }
    }

    /// A failed system call that ends the run.
    pub fn system(code: ExitCode, role: Role, what: impl Into<String>, source: io::Error) -> Self {
        Self::System { role, what: what.into(), source, code }
    }

    /// What a protocol error found by `role` means for the run.
    pub fn wire(role: Role, source: syncline_wire::Error) -> Self {
        Self::Wire { source, role }
    }

    /// The code the run ends with.
    pub fn exit_code(&self) -> ExitCode {
        use syncline_wire::ErrorClass;
        match self {
            Self::Fatal { code, .. } | Self::System { code, .. } | Self::PeerExit(code) => *code,
            Self::Closed { .. } | Self::Stopped => ExitCode::STREAM,
            Self::Outdated => ExitCode::START,
            Self::Timeout { .. } => ExitCode::TIMEOUT,
            Self::Wire { source, .. } => match source.class() {
                ErrorClass::Unsupported => ExitCode::UNSUPPORTED,
                ErrorClass::Handshake => ExitCode::START,
                ErrorClass::Transport => ExitCode::SOCKET,
                ErrorClass::File => ExitCode::FILE_IO,
                ErrorClass::Stream => ExitCode::STREAM,
                ErrorClass::Memory => ExitCode::MEMORY,
                _ => ExitCode::PROTOCOL,
            },
        }
    }
}
