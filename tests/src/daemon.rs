//! A daemon under test on a free loopback port.

use crate::sandbox::is_root;
use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon that serves one directory, writable, as module `m`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// The port it listens on, at 127.0.0.1.
    pub port: u16,
}

impl Daemon {
    /// Starts `program --daemon` for `module` and waits until it listens. Its configuration, log and pid file go to `files`.
    pub fn start(program: &Path, module: &Path, files: &Path) -> io::Result<Self> {
        Self::start_with(program, module, files, "")
    }

    /// The same with more of a configuration behind the module.
    pub fn start_with(program: &Path, module: &Path, files: &Path, more: &str) -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let file = |kind: &str| files.join(format!("daemon-{port}.{kind}"));
        let owner = if is_root() { "uid = 0\ngid = 0\n" } else { "" };
        write!(
            fs::File::create(file("conf"))?,
            "use chroot = no\n{owner}read only = no\nmunge symlinks = no\nlog file = {}\npid file = {}\n[m]\npath = {}\n{more}",
            file("log").display(),
            file("pid").display(),
            module.display()
        )?;
        let child = Command::new(program)
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--config={}", file("conf").display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Self { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end || daemon.child.try_wait()?.is_some() {
                return Err(io::Error::other(format!(
                    "{} did not start listening",
                    program.display()
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
