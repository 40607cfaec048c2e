//! Messages to the system log, as `-s` asks.

use std::os::unix::net::UnixDatagram;

/// Facility daemon, priority info.
const PRIORITY: u8 = 3 << 3 | 6;

/// Where a run's diagnostics go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Diagnostics {
    Stderr,
    Syslog,
}

impl Diagnostics {
    /// Says something, one line or several.
    #[expect(clippy::print_stderr, reason = "this is the program's standard error")]
    pub(crate) fn say(self, text: &str) {
        match self {
            Self::Stderr => eprintln!("{text}"),
            Self::Syslog => text.lines().for_each(log),
        }
    }
}

fn log(line: &str) {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64);
    let time = syncline_sys::posix::local_time(now, c"%b %e %H:%M:%S");
    let time = String::from_utf8_lossy(&time);
    let message = format!("<{PRIORITY}>{time} inotifywait[{}]: {line}", std::process::id());
    // Without a system log there is nobody to tell.
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(message.as_bytes(), "/dev/log");
    }
}
