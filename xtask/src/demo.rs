//! `cargo xtask demo`: what there is, on this machine, with real figures. It leaves nothing behind.

mod live;

use crate::run::{self, Chore, Failure};
use lexopt::prelude::*;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Where the programs are.
static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// How long anything may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(mut arguments: lexopt::Parser) -> Chore {
    let mut built = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("built") => built = Some(arguments.value()?.into()),
            extra => return Err(extra.unexpected().into()),
        }
    }
    if built.is_none() {
        println!("Building the programs (release)…");
        run::must(&mut run::cargo(["build", "--release", "--workspace", "--bins", "--locked"]))?;
    }
    let release = || run::workspace().join("target/release");
    PROGRAMS.get_or_init(|| built.unwrap_or_else(release));
    let scratch = Scratch::new()?;
    show(&scratch.0).map_err(|error| Failure::new(error.to_string()))
}

fn show(top: &Path) -> io::Result<()> {
    let (source, target) = (top.join("source"), top.join("target"));
    fs::create_dir(&target)?;
    grow(&source)?;

    println!("\n1. A daemon with a configuration of its own, on a free loopback port");
    let daemon = Daemon::start(top, "synclined", &target)?;
    let url = format!("rsync://127.0.0.1:{}/demo/", daemon.port);
    println!("   synclined serves {} as {url}", target.display());

    println!("\n2. A tree of 2,000 files and one of 32 MiB, pushed, then pushed again");
    let push = || {
        let mut command = program("syncline");
        command.args(["-a", "--delete"]).arg(slash(&source)).arg(&url);
        command
    };
    println!("   first push   {}", milliseconds(timed(&mut push())?));
    println!("   nothing new  {}", milliseconds(timed(&mut push())?));
    same(&source, &target)?;

    println!("\n3. 512 bytes inserted in the middle of the 32 MiB: only the difference travels");
    let mut big = fs::read(source.join("big.bin"))?;
    big.splice(16 << 20..16 << 20, [b'!'; 512]);
    fs::write(source.join("big.bin"), big)?;
    let stats = output(push().arg("--stats"))?;
    for line in stats.lines().filter(|line| line.contains("data:") || line.starts_with("sent")) {
        println!("   {line}");
    }
    same(&source, &target)?;

    if let Some(stock) = run::program("rsync") {
        println!("\n4. Stock rsync is at home with our daemon");
        let copy = top.join("pulled-by-stock");
        let took = timed(Command::new(stock).arg("-a").arg(&url).arg(slash(&copy)))?;
        println!("   rsync -a {url} pulls everything in {}", milliseconds(took));
        same(&source, &copy)?;
    } else {
        println!("\n4. Stock rsync is not installed here; it would pull from this daemon too");
    }

    live::show(top)?;

    daemon.stop()?;
    println!("\nSources and targets were compared after each step. Everything is cleaned up.");
    Ok(())
}

/// A directory that goes when the demo ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Chore<Self> {
        let path = std::env::temp_dir().join(format!("syncline-demo-{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {}: {error}", self.0.display());
        }
    }
}

fn grow(source: &Path) -> io::Result<()> {
    for number in 0..2000 {
        let folder = source.join(format!("folder-{:02}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::write(folder.join(format!("file-{number:04}.txt")), format!("{number}\n").repeat(400))?;
    }
    // Bytes without a pattern, from a small generator: what is shown must not depend on luck.
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    };
    fs::write(source.join("big.bin"), (0..32 << 20).map(|_| byte()).collect::<Vec<u8>>())
}

struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// A daemon with the module `demo`, whose own files lie in `top` under `name`.
    fn start(top: &Path, name: &str, module: &Path) -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Self::start_at(port, top, name, module)
    }

    fn start_at(port: u16, top: &Path, name: &str, module: &Path) -> io::Result<Self> {
        let conf = top.join(format!("{name}.conf"));
        let owner =
            if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
        let text = format!(
            "use chroot = no\n{owner}log file = {0}/{name}.log\npid file = {0}/{name}.pid\n[demo]\npath = {1}\nread only = no\n",
            top.display(),
            module.display()
        );
        fs::write(&conf, text)?;
        let mut command = program("synclined");
        command
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--port={port}"));
        command.arg(format!("--config={}", conf.display())).stdin(Stdio::null());
        let daemon = Self { child: command.spawn()?, port };
        wait(|| Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        Ok(daemon)
    }

    fn stop(mut self) -> io::Result<()> {
        terminate(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failed step: a daemon that has been stopped already is no concern.
        let _ = terminate(&mut self.child);
    }
}

fn terminate(child: &mut Child) -> io::Result<()> {
    if child.try_wait()?.is_none() {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        child.wait()?;
    }
    Ok(())
}

fn path(name: &str) -> PathBuf {
    PROGRAMS.get().map_or_else(|| PathBuf::from(name), |directory| directory.join(name))
}

fn program(name: &str) -> Command {
    Command::new(path(name))
}

fn slash(path: &Path) -> String {
    format!("{}/", path.display())
}

fn timed(command: &mut Command) -> io::Result<Duration> {
    let began = Instant::now();
    output(command)?;
    Ok(began.elapsed())
}

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}: {text}", output.status)))
}

fn same(source: &Path, target: &Path) -> io::Result<()> {
    output(Command::new("diff").arg("-r").arg(source).arg(target)).map(drop)
}

fn wait(mut condition: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > end {
            return Err(io::Error::other("waited too long"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
