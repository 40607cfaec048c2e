//! `cargo xtask bench live`: the jobs of docs/spec live.md 4.4 by synclive, lsyncd and the inotifywait loop in turns, each
//! with its own source and its own stock daemon on loopback.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a person")]

mod faults;
mod relay;

use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use rustix::process::{Pid, Signal, kill_process_group};
use syncline_benches::live::{Tree, cpu_of, percentile, tree};

const HELP: &str = "\
live [--tools ours,lsyncd,loop] [--jobs NAME,…] [--small N] [--seed N]

Runs each job with each tool: time until the target is equal, processor seconds of the tool, sessions
that the daemon counted, bytes that it received, and what else there is to say of the job. `-` is: not
equal in two minutes, or not counted. --seed is that of the job `stress`; full-disk needs root.
";

/// How long a job may take.
const LIMIT: Duration = Duration::from_secs(120);

type Job = (&'static str, fn(&mut Bench) -> io::Result<Figures>);

const JOBS: &[Job] = &[
    // R150
    ("latency", latency),
    ("latency-edit", latency_edit),
    // R151
    ("burst-new", burst_new),
    ("burst-new-10000", burst_new_10000),
    ("burst-old", burst_old),
    ("unlink-old", unlink_old),
    ("edit-big", edit_big),
    ("append", append),
    ("big", big),
    ("rename-dir", rename_dir),
    ("rename-file", rename_file),
    ("rm-rf", rm_rf),
    ("swap", swap),
    ("slow-writer", faults::slow_writer),
    ("rename-busy", faults::rename_busy),
    ("types", faults::types),
    ("overflow", faults::overflow),
    ("stress", faults::stress),
    ("down-30", faults::down_30),
    ("kill9", faults::kill_9),
    ("slow-target", faults::slow_target),
    ("full-disk", faults::full_disk),
    ("cut", faults::cut),
    ("empty-root", faults::empty_root),
    ("start", faults::start),
    // R152, R153
    ("idle", idle),
];

/// What a job came to.
#[derive(Default)]
struct Figures {
    /// Milliseconds, where there is a distribution.
    spread: Vec<f64>,
    /// Seconds until equal; none if that never was.
    seconds: Option<f64>,
    /// What else there is to say.
    note: String,
}

/// How jobs are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    small: usize,
    seed: u64,
}

/// One tool at work.
struct Bench {
    top: tempfile::TempDir,
    port: u16,
    daemon: Option<Child>,
    name: String,
    tool: Option<Child>,
    /// Further targets, by their addresses.
    others: Vec<String>,
    /// Between the tool and its first target, if there is one.
    relay: Option<relay::Relay>,
    /// The target is a file system of its own.
    is_mounted: bool,
    wanted: Wanted,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("live: {text}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let (mut tools, mut jobs) = ("ours,lsyncd,loop".to_owned(), String::new());
    let mut asked = Wanted { small: 60, seed: 1 };
    let mut arguments = lexopt::Parser::from_env();
    let text = |error: lexopt::Error| error.to_string();
    while let Some(argument) = arguments.next().map_err(text)? {
        match argument {
            Long("tools") => {
                tools = arguments.value().and_then(ValueExt::string).map_err(text)?;
            }
            Long("jobs") => {
                jobs = arguments.value().and_then(ValueExt::string).map_err(text)?;
            }
            Long("small") => {
                asked.small = arguments.value().and_then(|value| value.parse()).map_err(text)?;
            }
            Long("seed") => {
                asked.seed = arguments.value().and_then(|value| value.parse()).map_err(text)?;
            }
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let wanted = |name: &str| jobs.is_empty() || jobs.split(',').any(|job| job == name);
    println!(
        "| job | tool | p50 ms | p95 ms | max ms | equal s | cpu s | sessions | received | note |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, job) in JOBS.iter().filter(|(name, _)| wanted(name)) {
        for tool in tools.split(',') {
            run(name, *job, tool, asked).map_err(|error| format!("{name} by {tool}: {error}"))?;
        }
    }
    if wanted("burst-new-10000") {
        println!(
            "| one plain stock push of burst-new-10000 | rsync | | | | {:.2} | | | | |",
            plain_push().map_err(|error| error.to_string())?
        );
    }
    Ok(())
}

fn run(
    name: &str,
    job: fn(&mut Bench) -> io::Result<Figures>,
    tool: &str,
    wanted: Wanted,
) -> io::Result<()> {
    let mut bench = Bench::new(tool, wanted)?;
    bench.prepare(name)?;
    bench.start()?;
    if bench.equal(Duration::from_secs(60)).is_none() {
        println!("| {name} | {tool} | never equal at the start | | | | | | | |");
        return Ok(());
    }
    bench.rest();
    let (cpu, sessions, received) = bench.counted();
    let figures = job(&mut bench)?;
    bench.until_told();
    let after = bench.counted();
    let spread = |part: f64| {
        let value = percentile(&figures.spread, part);
        value.map_or(String::new(), |value| format!("{value:.1}"))
    };
    let seconds = match figures.seconds {
        Some(seconds) => format!("{seconds:.2}"),
        None => "-".to_owned(),
    };
    println!(
        "| {name} | {tool} | {} | {} | {} | {seconds} | {:.2} | {} | {} | {} |",
        spread(0.5),
        spread(0.95),
        spread(1.0),
        // One that was started anew has its own account.
        if after.0 < cpu { after.0 } else { after.0 - cpu },
        after.1 - sessions,
        after.2 - received,
        figures.note
    );
    io::stdout().flush()
}

impl Bench {
    /// The place and the daemon, without the tool.
    fn new(tool: &str, wanted: Wanted) -> io::Result<Self> {
        let top = tempfile::tempdir()?;
        for name in ["src/w", "dst"] {
            fs::create_dir_all(top.path().join(name))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (name, daemon) = (tool.to_owned(), None);
        let (tool, others, relay) = (None, Vec::new(), None);
        let is_mounted = false;
        let mut bench = Self { top, port, daemon, name, tool, others, relay, is_mounted, wanted };
        bench.daemon_up()?;
        Ok(bench)
    }

    /// Starts the tool.
    fn start(&mut self) -> io::Result<()> {
        let port = self.relay.as_ref().map_or(self.port, relay::Relay::port);
        let mut urls = vec![format!("rsync://127.0.0.1:{port}/m/")];
        urls.extend_from_slice(&self.others);
        let mut command = command_of(&self.name, self.top.path(), &urls)?;
        let path = self.top.path().join("tool.log");
        let log = fs::OpenOptions::new().create(true).append(true).open(path)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.tool = Some(command.spawn()?);
        Ok(())
    }

    fn daemon_up(&mut self) -> io::Result<()> {
        self.daemon = Some(serve(self.top.path(), self.port)?);
        Ok(())
    }

    fn daemon_down(&mut self) -> io::Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.kill()?;
        daemon.wait().map(drop)
    }

    /// A signal for the tool and all that it started.
    fn signal(&self, signal: Signal) {
        let process = self.tool.as_ref().and_then(|tool| Pid::from_raw(tool.id().cast_signed()));
        if let Some(group) = process {
            // It may have ended.
            let _ = kill_process_group(group, signal);
        }
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut tool) = self.tool.take() {
            let _ = tool.wait();
        }
    }

    /// Resident memory of the tool in megabytes.
    fn memory(&self) -> f64 {
        let process = self.tool.as_ref().map_or(0, Child::id);
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        number.unwrap_or_default() / 1024.0
    }

    fn source(&self, name: &str) -> PathBuf {
        self.top.path().join("src").join(name)
    }

    fn target(&self, name: &str) -> PathBuf {
        self.top.path().join("dst").join(name)
    }

    /// What must be there before the job.
    fn prepare(&mut self, name: &str) -> io::Result<()> {
        match name {
            "burst-old" | "unlink-old" => {
                for directory in 0..20 {
                    let path = self.source(&format!("old/d{directory}"));
                    fs::create_dir_all(&path)?;
                    for file in 0..50 {
                        fs::write(path.join(format!("before{file}")), "x")?;
                    }
                }
                if name == "unlink-old" { self.fill_old() } else { Ok(()) }
            }
            "edit-big" => fs::write(self.source("big"), noise(64 << 20, 1)),
            "rename-file" => fs::write(self.source("big"), noise(20 << 20, 2)),
            "rename-dir" | "rm-rf" => self.fill("tree", 2000, 3000),
            "latency-edit" => {
                for number in 0..self.wanted.small {
                    fs::write(self.source(&format!("w/f{number}")), noise(200, 3))?;
                }
                Ok(())
            }
            "swap" => {
                fs::write(self.source("a"), "one")?;
                fs::write(self.source("b"), "two")
            }
            "rename-busy" => self.fill("busy0", 200, 300),
            "down-30" | "empty-root" => self.fill("tree", 200, 300),
            "slow-target" => self.make_slow_targets(),
            "full-disk" => self.mount_target(),
            "cut" => {
                self.relay = Some(relay::Relay::start(self.port, None)?);
                Ok(())
            }
            "start" => self.fill_for_start(),
            "idle" => (0..10_000).try_for_each(|number| {
                fs::create_dir_all(self.source(&format!("i{}/d{number}", number % 100)))
            }),
            _ => Ok(()),
        }
    }

    fn fill(&self, name: &str, files: usize, length: usize) -> io::Result<()> {
        fill(&self.source(name), files, length)
    }

    fn fill_old(&self) -> io::Result<()> {
        for directory in 0..20 {
            for file in 0..100 {
                let path = self.source(&format!("old/d{directory}/new{file}"));
                fs::write(path, noise(500, file))?;
            }
        }
        Ok(())
    }

    /// Seconds until the target is what the source is.
    fn equal(&self, limit: Duration) -> Option<f64> {
        let begun = Instant::now();
        let wanted: Tree = tree(&self.source("")).ok()?;
        while begun.elapsed() < limit {
            // A full look costs the daemon time: its parts one after the other.
            if tree(&self.target("")).is_ok_and(|found| found == wanted) {
                return Some(begun.elapsed().as_secs_f64());
            }
            sleep(Duration::from_millis(15));
        }
        None
    }

    /// Nothing happens for two seconds.
    fn rest(&self) {
        let mut before = self.counted();
        loop {
            sleep(Duration::from_secs(2));
            let now = self.counted();
            if now.1 == before.1 {
                return;
            }
            before = now;
        }
    }

    /// The daemon has told the end of each session that it told the beginning of, but for one that goes on.
    fn until_told(&self) {
        let path = self.top.path().join("daemon.log");
        let told = || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
            (count("receiving file list"), count(" received "))
        };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let (begun, ended) = told();
            if begun <= ended {
                return;
            }
            sleep(Duration::from_millis(15));
        }
    }

    /// Processor seconds of the tool, sessions and bytes of the daemon.
    fn counted(&self) -> (f64, u64, u64) {
        let log = fs::read_to_string(self.top.path().join("daemon.log")).unwrap_or_default();
        let sessions = log.lines().filter(|line| line.contains("receiving file list")).count();
        let bytes = |line: &str| -> Option<u64> {
            line.split_once("received ")?.1.split(' ').next()?.replace(',', "").parse().ok()
        };
        let received = log.lines().filter_map(bytes).sum();
        (cpu_of(self.tool.as_ref().map_or(0, Child::id)), sessions as u64, received)
    }

    /// Milliseconds until something is so.
    fn until(mut is_so: impl FnMut() -> bool) -> f64 {
        let begun = Instant::now();
        while !is_so() && begun.elapsed() < LIMIT {
            sleep(Duration::from_micros(300));
        }
        begun.elapsed().as_secs_f64() * 1000.0
    }

    fn job(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<Figures> {
        act()?;
        Ok(Figures { seconds: self.equal(LIMIT), ..Figures::default() })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
        let _ = self.daemon_down();
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(self.target("")).status();
        }
    }
}

fn command_of(tool: &str, top: &Path, urls: &[String]) -> io::Result<Command> {
    let source = top.join("src");
    let source = source.display();
    let each = |line: &dyn Fn(&String) -> String| urls.iter().map(line).collect::<String>();
    match tool {
        "ours" => {
            let program = std::env::current_exe()?.with_file_name("synclive");
            let conf = top.join("synclive.toml");
            let state = top.join("state");
            let targets = each(&|url| format!("[[mirror.target]]\nurl = \"{url}\"\n"));
            let text = format!(
                "state-dir = \"{}\"\n[[mirror]]\nsource = \"{source}\"\n{targets}",
                state.display()
            );
            fs::write(&conf, text)?;
            let mut command = Command::new(program);
            command.arg("--config").arg(conf);
            Ok(command)
        }
        "lsyncd" => {
            let conf = top.join("lsyncd.lua");
            let place = top.display();
            let targets = each(&|url| {
                format!(
                    "sync{{default.rsync, source=\"{source}\", target=\"{url}\", delay=1, rsync={{archive=true}}}}\n"
                )
            });
            let text = format!(
                "settings{{nodaemon=true, insist=true, logfile=\"{place}/l.log\", statusFile=\"{place}/l.st\"}}\n{targets}"
            );
            fs::write(&conf, text)?;
            let mut command = Command::new("lsyncd");
            command.arg(conf);
            Ok(command)
        }
        "loop" => {
            let events = "close_write,modify,delete,create,attrib,move";
            let push = each(&|url| format!("rsync -a --delete {source}/ {url}; "));
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!(
                "{push} inotifywait -mrq -e {events} {source}/ | while read f; do {push} done"
            ));
            Ok(command)
        }
        other => Err(io::Error::other(format!("{other:?} is no tool: say ours, lsyncd or loop"))),
    }
}

fn latency(bench: &mut Bench) -> io::Result<Figures> {
    let mut figures = Figures::default();
    for number in 0..bench.wanted.small {
        let (body, name) = (noise(200, number as u64), format!("w/f{number}"));
        fs::write(bench.source(&name), &body)?;
        let path = bench.target(&name);
        figures.spread.push(Bench::until(|| fs::read(&path).is_ok_and(|found| found == body)));
        sleep(Duration::from_millis(300 + (number as u64 * 7919) % 300));
    }
    figures.seconds = bench.equal(LIMIT);
    Ok(figures)
}

fn latency_edit(bench: &mut Bench) -> io::Result<Figures> {
    let mut figures = Figures::default();
    for number in 0..bench.wanted.small {
        let name = format!("w/f{number}");
        let (source, target) = (bench.source(&name), bench.target(&name));
        let taken = match number % 5 {
            0 => {
                let body = noise(200, 77);
                fs::write(&source, &body)?;
                Bench::until(|| fs::read(&target).is_ok_and(|found| found == body))
            }
            1 => {
                let body = noise(200, 78);
                fs::write(bench.source("w/beside"), &body)?;
                fs::rename(bench.source("w/beside"), &source)?;
                Bench::until(|| fs::read(&target).is_ok_and(|found| found == body))
            }
            2 => {
                fs::remove_file(&source)?;
                Bench::until(|| !target.exists())
            }
            3 => {
                fs::set_permissions(&source, fs::Permissions::from_mode(0o600))?;
                let is_so = || {
                    target.metadata().is_ok_and(|data| data.permissions().mode() & 0o777 == 0o600)
                };
                Bench::until(is_so)
            }
            _ => {
                fs::create_dir(bench.source(&format!("w/d{number}")))?;
                let target = bench.target(&format!("w/d{number}"));
                Bench::until(|| target.is_dir())
            }
        };
        figures.spread.push(taken);
        sleep(Duration::from_millis(300));
    }
    figures.seconds = bench.equal(LIMIT);
    Ok(figures)
}

fn burst_new(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| bench.fill("burst", 2000, 400))
}

fn burst_new_10000(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| bench.fill("burst", 10_000, 400))
}

fn burst_old(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| bench.fill_old())
}

fn unlink_old(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| {
        for directory in 0..20 {
            for file in 0..100 {
                fs::remove_file(bench.source(&format!("old/d{directory}/new{file}")))?;
            }
        }
        Ok(())
    })
}

fn edit_big(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| {
        use std::os::unix::fs::FileExt as _;
        let file = fs::OpenOptions::new().write(true).open(bench.source("big"))?;
        file.write_all_at(b"edited", 32 << 20)
    })
}

fn append(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| {
        for _ in 0..200 {
            let mut file =
                fs::OpenOptions::new().append(true).create(true).open(bench.source("log"))?;
            file.write_all(&[b'x'; 100])?;
            drop(file);
            sleep(Duration::from_millis(20));
        }
        Ok(())
    })
}

fn big(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| fs::write(bench.source("big"), noise(200 << 20, 5)))
}

fn rename_dir(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| fs::rename(bench.source("tree"), bench.source("moved")))
}

fn rename_file(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| fs::rename(bench.source("big"), bench.source("w/large")))
}

fn rm_rf(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| fs::remove_dir_all(bench.source("tree")))
}

fn swap(bench: &mut Bench) -> io::Result<Figures> {
    bench.job(|| {
        for _ in 0..100 {
            fs::rename(bench.source("a"), bench.source("t"))?;
            fs::rename(bench.source("b"), bench.source("a"))?;
            fs::rename(bench.source("t"), bench.source("b"))?;
        }
        Ok(())
    })
}

fn idle(bench: &mut Bench) -> io::Result<Figures> {
    let mut figures = bench.job(|| {
        sleep(Duration::from_secs(60));
        Ok(())
    })?;
    figures.note = format!("{:.1} MB", bench.memory());
    Ok(figures)
}

/// Seconds that the stock program takes for the largest burst.
fn plain_push() -> io::Result<f64> {
    let top = tempfile::tempdir()?;
    fs::create_dir(top.path().join("dst"))?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut daemon = serve(top.path(), port)?;
    fill(&top.path().join("src"), 10_000, 400)?;
    let begun = Instant::now();
    let mut command = Command::new("rsync");
    command.arg("-a").arg(format!("{}/", top.path().join("src").display()));
    let pushed = command.arg(format!("rsync://127.0.0.1:{port}/m/")).status();
    let seconds = begun.elapsed().as_secs_f64();
    daemon.kill()?;
    daemon.wait()?;
    pushed.map(|_| seconds)
}

/// A stock daemon whose module is `dst`.
fn serve(top: &Path, port: u16) -> io::Result<Child> {
    let owner = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let conf = format!(
        "use chroot = no\nmunge symlinks = no\n{owner}read only = no\nlog file = {}\n[m]\npath = {}\n",
        top.join("daemon.log").display(),
        top.join("dst").display()
    );
    fs::write(top.join("daemon.conf"), conf)?;
    let mut daemon = Command::new("rsync");
    daemon.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
    daemon.arg(format!("--config={}", top.join("daemon.conf").display()));
    let daemon = daemon.arg(format!("--port={port}")).stdin(Stdio::null()).spawn()?;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        sleep(Duration::from_millis(5));
    }
    Ok(daemon)
}

/// Files in twenty nested directories.
fn fill(top: &Path, files: usize, length: usize) -> io::Result<()> {
    for directory in 0..20 {
        let path = top.join(format!("d{}/e{directory}", directory % 5));
        fs::create_dir_all(&path)?;
        for file in 0..files / 20 {
            fs::write(path.join(format!("x{file}")), noise(length, file as u64))?;
        }
    }
    Ok(())
}

/// Bytes that no tool can compress or guess.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
