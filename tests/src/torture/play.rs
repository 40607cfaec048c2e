//! Plays one job twice and compares.

use super::grow::{self, Grower, Profile, mutate};
use super::job::{self, Mode, Transport};
use super::random::Random;
use super::snapshot::{self, Snapshot};
use crate::daemon::Daemon;
use crate::sandbox::{self, Outcome};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// How long one run may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(60);

/// The programs of a torture run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Stock rsync.
    pub stock: PathBuf,
    /// Our client, which is also the far end of a remote shell.
    pub ours: PathBuf,
    /// Our daemon.
    pub our_daemon: PathBuf,
}

/// What one job came to.
#[derive(Debug)]
pub struct Verdict {
    /// The command line, for a person.
    pub job: String,
    /// What differed; empty when all was equal.
    pub differences: Vec<String>,
}

/// Plays the job of `seed` in an empty `folder`.
pub fn play(
    programs: &Programs,
    seed: u64,
    mode: Mode,
    profile: Profile,
    folder: &Path,
) -> io::Result<Verdict> {
    let mut random = Random::new(&format!("{seed}:{profile:?}:{}", mode.name));
    let origin = folder.join("origin");
    prepare(&mut random, profile, &origin)?;
    let options = job::options(&mut random, mode, profile);
    let source = format!("src{}", random.pick(&["/", "/", "/", ""]));
    let run = |stock_only: bool| {
        let work = folder.join("work");
        let result =
            Run { programs, mode, stock_only, work: &work }.run(&origin, &options, &source);
        fs::rename(&work, folder.join(if stock_only { "stock" } else { "ours" }))?;
        result
    };
    let (reference, before) = run(true)?;
    let (tried, after) = run(false)?;
    let mut differences = Vec::new();
    if reference.code != tried.code {
        let stderr = String::from_utf8_lossy(&tried.stderr);
        let last: Vec<&str> = stderr.lines().rev().take(4).collect();
        differences.push(format!(
            "exit: stock {}, ours {}; our stderr ends: {}",
            ending(&reference),
            ending(&tried),
            last.join(" | ")
        ));
    }
    differences.extend(snapshot::differences(&before, &after).into_iter().take(4));
    if !reference.timed_out {
        differences.extend(line_differences(&reference.stdout, &tried.stdout).into_iter().take(4));
    }
    Ok(Verdict { job: format!("{} {source} dst/", options.join(" ")), differences })
}

fn ending(outcome: &Outcome) -> String {
    match outcome.code {
        _ if outcome.timed_out => "hung".into(),
        Some(code) => code.to_string(),
        None => "killed".into(),
    }
}

fn prepare(random: &mut Random, profile: Profile, origin: &Path) -> io::Result<()> {
    let source = origin.join("src");
    fs::create_dir_all(&source)?;
    Grower::new(random, profile).grow(&source)?;
    if random.chance(20) {
        fs::write(source.join(".rsync-filter"), "- *.bin\n+ /sub\n")?;
    }
    fs::create_dir(origin.join("tmpd"))?;
    let copy = |to: &str| must(Command::new("cp").arg("-a").arg(&source).arg(origin.join(to)));
    match random.below(100) {
        0..25 => fs::create_dir(origin.join("dst"))?,
        25..30 => {}
        30..38 => copy("dst")?,
        _ => {
            copy("dst")?;
            mutate(random, &origin.join("dst"))?;
            if profile == Profile::Meta {
                grow::redress(random, &origin.join("dst"))?;
            }
        }
    }
    copy("basis")?;
    mutate(random, &origin.join("basis"))
}

fn must(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

struct Run<'a> {
    programs: &'a Programs,
    mode: Mode,
    stock_only: bool,
    work: &'a Path,
}

impl Run<'_> {
    fn run(
        &self,
        origin: &Path,
        options: &[String],
        source: &str,
    ) -> io::Result<(Outcome, Snapshot)> {
        must(Command::new("cp").arg("-a").arg(origin).arg(self.work))?;
        grow::settle(self.work)?;
        let began = SystemTime::now();
        let client = self.choose(self.mode.our_client, &self.programs.ours);
        let mut command = Command::new(client);
        command.current_dir(self.work).env("LC_ALL", "C").env("TZ", "UTC").args(options);
        let work = self.work.to_string_lossy();
        let mut daemon = None;
        let far = match self.mode.transport {
            Transport::Local => String::new(),
            Transport::Shell => {
                let shell = self.remote_shell()?;
                let server = self.choose(self.mode.our_server, &self.programs.ours);
                command.arg(format!("--rsh={}", shell.display()));
                command.arg(format!("--rsync-path={}", server.display()));
                format!("h:{work}/")
            }
            Transport::Daemon => {
                let server = self.choose(self.mode.our_server, &self.programs.our_daemon);
                let beside = self.work.parent().unwrap_or(self.work);
                let started = Daemon::start(server, self.work, beside)?;
                let far = format!("rsync://127.0.0.1:{}/m/", started.port);
                daemon = Some(started);
                far
            }
        };
        let (from, to) = if self.mode.pull { (far.as_str(), "") } else { ("", far.as_str()) };
        command.arg(format!("{from}{source}")).arg(format!("{to}dst/"));
        let mut outcome = sandbox::finish(&mut command, b"", LIMIT)?;
        if let Some(daemon) = daemon {
            daemon.stop()?;
        }
        outcome.stdout = replace(&outcome.stdout, work.as_bytes(), b"WORK");
        let snapshot = snapshot::take(self.work, began)?;
        Ok((outcome, snapshot))
    }

    fn choose<'a>(&'a self, ours: bool, our_program: &'a Path) -> &'a Path {
        if ours && !self.stock_only { our_program } else { &self.programs.stock }
    }

    /// A shell that runs its command here, whatever host it is given. Beside the working directory: it is no part of the job.
    fn remote_shell(&self) -> io::Result<PathBuf> {
        let path = self.work.with_file_name("rsh");
        if !path.exists() {
            fs::write(&path, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n")?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        }
        Ok(path)
    }
}

fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(by);
        rest = &rest[at + what.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// Lines that only one side printed. Byte counts and speeds are not comparable.
fn line_differences(reference: &[u8], tried: &[u8]) -> Vec<String> {
    const VARYING: [&[u8]; 10] = [
        b"sent ",
        b"total size is",
        b"rsync: ",
        b"rsync error",
        b"File list ",
        b"Total bytes ",
        b"Literal data",
        b"Matched data",
        b"Total transferred",
        b"(",
    ];
    let lines = |text: &[u8]| {
        let mut lines: Vec<Vec<u8>> = text
            .split(|&byte| byte == b'\n')
            .filter(|line| !VARYING.iter().any(|start| line.starts_with(start)))
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort();
        lines
    };
    let (reference, mut tried) = (lines(reference), lines(tried));
    let mut found = Vec::new();
    for line in reference {
        match tried.binary_search(&line) {
            Ok(at) => drop(tried.remove(at)),
            Err(_) => found.push(format!("only stock printed: {}", line.escape_ascii())),
        }
    }
    found.extend(tried.iter().map(|line| format!("only ours printed: {}", line.escape_ascii())));
    found
}
