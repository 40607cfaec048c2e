//! The rsync daemon of Syncline: the same configuration files as stock's `rsync --daemon`, the same answers on the wire,
//! the same lines in the log, and a session that can reach nothing but its module.
//!
//! ```no_run
//! use std::os::unix::ffi::OsStringExt;
//!
//! let words: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
//! std::process::exit(syncline_daemon::run(&words).into());
//! ```
//!
//! # Processes
//!
//! The *listener* accepts connections and splits off one *session* process for each. A session closes what is the
//! listener's and reads the configuration as it is now; no secret is ever in the listener's memory.
//!
//! A session has one thread until its transfer begins. Until then it greets, finds the module, checks host and user,
//! claims a slot, starts hooks, and then takes the module's chroot, rights and sandbox (`confine`) before it reads what
//! the client wants. All names are looked up, and all files of the administrator are read, before that door.

mod calls;
mod check;
mod confine;
mod entry;
mod expand;
mod hooks;
mod identity;
mod link;
mod listen;
mod load;
mod log;
mod login;
mod name_converter;
mod option_paths;
mod paths;
mod peer;
mod pid_file;
mod request;
mod secrets_file;
mod serve;
mod session;
mod signals;
mod slots;
mod tls;
mod transfer;
mod tree;
mod unperformed;
mod variables;

pub use tree::Tree;

use std::io::Write;

use rustix::fs::{Mode, OFlags};
use syncline_options::{Command, parse_daemon};

use load::Source;

/// Obeys a daemon's command line, the program's name left out. Returns when the daemon has ended: the exit code.
pub fn run(words: &[Vec<u8>]) -> u8 {
    // The program's name says what it is: `--daemon` is allowed, and not needed.
    let options = match parse_daemon(words, true) {
        Ok(Command::Daemon(options)) => *options,
        Ok(_) => {
            print(help().as_bytes());
            return 0;
        }
        Err(error) => {
            complain(&error.to_string());
            return error.exit_code();
        }
    };
    let source = match Source::new(&options) {
        Ok(source) => source,
        Err(complaint) => {
            complain(&complaint);
            let version = env!("CARGO_PKG_VERSION");
            complain(&format!(
                "rsync error: syntax or usage error (code 1) at main.rs(0) [client={version}]"
            ));
            return 1;
        }
    };
    if options.check_config {
        check::check(&source)
    } else if options.print_config {
        check::print(&source)
    } else if options.server || peer::is_socket(rustix::stdio::stdin()) {
        session::serve(&options, &source)
    } else {
        serve::run(&options, &source)
    }
}

fn help() -> String {
    syncline_options::daemon_help(&syncline_options::version_head(), "synclined")
}

/// A line on standard error.
fn complain(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Text on standard output.
fn print(text: &[u8]) {
    // A reader that went away has read enough.
    let _ = std::io::stdout().write_all(text);
}

/// The standard streams of a detached daemon.
fn silence_stdio() -> rustix::io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}
