//! Exit codes, the one place that knows them (docs/spec cli.md 16).

/// How a run ended, as the number a script sees.
///
/// ```
/// use syncline_engine::ExitCode;
///
/// assert_eq!(ExitCode::PARTIAL.number(), 23);
/// assert!(ExitCode::VANISHED.is_warning());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// Success.
    pub const OK: Self = Self(0);
    /// Syntax or usage error.
    pub const USAGE: Self = Self(1);
    /// Protocol incompatibility.
    pub const PROTOCOL: Self = Self(2);
    /// Errors selecting input or output files.
    pub const SELECTION: Self = Self(3);
    /// Requested action not supported or refused.
    pub const UNSUPPORTED: Self = Self(4);
    /// Error starting the client-server protocol.
    pub const START: Self = Self(5);
    /// Error in socket I/O.
    pub const SOCKET: Self = Self(10);
    /// Error in file I/O that ends the run.
    pub const FILE_IO: Self = Self(11);
    /// The peer went away or its stream made no sense.
    pub const STREAM: Self = Self(12);
    /// Program diagnostics failed.
    pub const MESSAGE: Self = Self(13);
    /// A child or pipe could not be made.
    pub const IPC: Self = Self(14);
    /// A child crashed.
    pub const CRASHED: Self = Self(15);
    /// A child was terminated by a signal.
    pub const TERMINATED: Self = Self(16);
    /// SIGUSR1.
    pub const SIGUSR1: Self = Self(19);
    /// SIGINT, SIGTERM or SIGHUP.
    pub const SIGNAL: Self = Self(20);
    /// Waiting for a child failed.
    pub const WAIT: Self = Self(21);
    /// A limit on memory or buffers was reached.
    pub const MEMORY: Self = Self(22);
    /// Some files or attributes were not transferred.
    pub const PARTIAL: Self = Self(23);
    /// Some files vanished before they could be transferred.
    pub const VANISHED: Self = Self(24);
    /// `--max-delete` stopped deletions.
    pub const DELETE_LIMIT: Self = Self(25);
    /// No byte moved for too long, or a stop time was reached.
    pub const TIMEOUT: Self = Self(30);
    /// The daemon did not accept the connection in time.
    pub const CONNECT_TIMEOUT: Self = Self(35);

    /// A code received from a peer or a child.
    pub fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether the final line says `warning` rather than `error`.
    pub fn is_warning(self) -> bool {
        self == Self::VANISHED
    }

    /// Stock's words for the code.
    pub fn text(self) -> &'static str {
        match self.0 {
            1 => "syntax or usage error",
            2 => "protocol incompatibility",
            3 => "errors selecting input/output files, dirs",
            4 => "requested action not supported",
            5 => "error starting client-server protocol",
            10 => "error in socket IO",
            11 => "error in file IO",
            12 => "error in rsync protocol data stream",
            13 => "errors with program diagnostics",
            14 => "error in IPC code",
            15 => "sibling process crashed",
            16 => "sibling process terminated abnormally",
            19 => "received SIGUSR1",
            20 => "received SIGINT, SIGTERM, or SIGHUP",
            21 => "waitpid() failed",
            22 => "error allocating core memory buffers",
            23 => "some files/attrs were not transferred (see previous errors)",
            24 => "some files vanished before they could be transferred",
            25 => "the --max-delete limit stopped deletions",
            30 => "timeout in data send/receive",
            35 => "timeout waiting for daemon connection",
            124 => "remote shell failed",
            125 => "remote shell killed",
            126 => "remote command could not be run",
            127 => "remote command not found",
            _ => "unexplained error",
        }
    }
}

impl std::fmt::Display for ExitCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (code {})", self.text(), self.0)
    }
}
