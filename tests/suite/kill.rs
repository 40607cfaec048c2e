//! Runs that are killed at any moment: every file is old or new afterwards, never torn, and the next run finishes.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use syncline_suite::daemon::Daemon;
use syncline_suite::program::Program;
use syncline_suite::skipped;
use syncline_suite::torture::random::Random;

type Outcome = Result<(), Box<dyn Error>>;

/// Kills of each test; together 200.
const KILLS: usize = 40;

/// Where parts of files are kept.
const PARTS: &str = ".parts";

/// The longest that the far end may outlive the near one.
const LINGER: Duration = Duration::from_secs(20);

#[test]
fn a_killed_local_copy_tears_nothing() -> Outcome {
    Stage::new("local")?.kill_often(&[Case { transport: Transport::Local, ..Case::ours() }])
}

#[test]
fn a_killed_pull_through_a_shell_tears_nothing() -> Outcome {
    let case = Case { transport: Transport::Shell, ..Case::ours() };
    Stage::new("shell pull")?.kill_often(&case.with_each_end())
}

#[test]
fn a_killed_push_through_a_shell_tears_nothing() -> Outcome {
    let case = Case { transport: Transport::Shell, push: true, ..Case::ours() };
    Stage::new("shell push")?.kill_often(&case.with_each_end())
}

#[test]
fn a_killed_pull_from_a_daemon_tears_nothing() -> Outcome {
    let case = Case { transport: Transport::Daemon, ..Case::ours() };
    Stage::new("daemon pull")?.kill_often(&case.with_each_end())
}

#[test]
fn a_killed_push_to_a_daemon_tears_nothing() -> Outcome {
    let case = Case { transport: Transport::Daemon, push: true, ..Case::ours() };
    Stage::new("daemon push")?.kill_often(&case.with_each_end())
}

#[test]
fn a_part_that_was_kept_is_used_by_the_next_run() -> Outcome {
    let mut stage = Stage::new("part")?;
    let name = "large";
    let content = Random::new(name).bytes(4_000_000);
    for (push, partial) in [(false, true), (true, true), (false, false), (true, false)] {
        let case = Case { transport: Transport::Shell, push, ..Case::ours() };
        stage.clean()?;
        fs::write(stage.top.path().join("src").join(name), &content)?;
        let keep = if partial { "--partial".into() } else { format!("--partial-dir={PARTS}") };
        let mut command = stage.command(case, &[&keep, "--bwlimit=4m"])?;
        let mut child = command.spawn()?;
        let destination = stage.top.path().join("dst");
        let end = Instant::now() + LINGER;
        // Once some of the file is on disk.
        while largest(&destination)? < 100_000 && Instant::now() < end {
            sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        child.wait()?;
        stage.wait_for_far_end()?;
        let part = destination.join(if partial { "" } else { PARTS }).join(name);
        let kept = fs::read(&part)?;
        assert!(!kept.is_empty() && kept.len() < content.len(), "{} bytes kept", kept.len());
        assert!(content.starts_with(&kept), "the part is the file's beginning");
        let output = stage.command(case, &["--stats", "--no-whole-file"])?.args([keep]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let matched = text.lines().find_map(|line| line.strip_prefix("Matched data: "));
        assert!(matched.is_some_and(|rest| !rest.starts_with("0 ")), "not used again: {text}");
        assert_eq!(fs::read(destination.join(name))?, content);
        assert_eq!(fs::read_dir(&destination)?.count(), 1, "nothing else is left");
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Local,
    Shell,
    Daemon,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    transport: Transport,
    push: bool,
    our_client: bool,
    our_server: bool,
}

impl Case {
    fn ours() -> Self {
        Self { transport: Transport::Local, push: false, our_client: true, our_server: true }
    }

    /// Ours on both ends, and against stock.
    fn with_each_end(self) -> [Self; 3] {
        [self, Self { our_server: false, ..self }, Self { our_client: false, ..self }]
    }

    /// Whether the end that writes files is ours.
    fn receives(self) -> bool {
        if self.push { self.our_server } else { self.our_client }
    }
}

/// The end that is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Near,
    Far,
}

struct Stage {
    name: &'static str,
    top: tempfile::TempDir,
    stock: Option<PathBuf>,
    ours: PathBuf,
    daemons: BTreeMap<bool, Daemon>,
}

impl Stage {
    fn new(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let top = tempfile::tempdir()?;
        let shell = top.path().join("shell");
        let far = top.path().join("far");
        fs::write(&shell, format!("#!/bin/sh\nshift\necho $$ >{}\nexec \"$@\"\n", far.display()))?;
        fs::set_permissions(&shell, PermissionsExt::from_mode(0o755))?;
        let stock = Program::stock("rsync").map(|program| program.path).ok();
        let ours = Program::ours("syncline")?.path;
        Ok(Self { name, top, stock, ours, daemons: BTreeMap::new() })
    }

    fn kill_often(&mut self, cases: &[Case]) -> Outcome {
        let stock = self.stock.is_some();
        let playable = |case: &&Case| stock || (case.our_client && case.our_server);
        let cases: Vec<&Case> = cases.iter().filter(playable).collect();
        if !stock {
            skipped(self.name, "only between two of ours: rsync is not on PATH");
        }
        let mut random = Random::new(self.name);
        for round in 0..KILLS {
            let case = *cases[round % cases.len()];
            let end = if case.transport == Transport::Shell && random.chance(50) {
                End::Far
            } else {
                End::Near
            };
            let signal = *random.pick(&[Signal::KILL, Signal::TERM, Signal::INT]);
            let keeps = random.chance(50);
            let after = Duration::from_micros(random.below(60_000) as u64);
            let what = format!("round {round}: {case:?} {end:?} {signal:?} after {after:?}");
            self.kill_once(case, (end, signal), keeps, after)
                .map_err(|error| format!("{what}: {error}"))?;
        }
        Ok(())
    }

    fn kill_once(
        &mut self,
        case: Case,
        (end, signal): (End, Signal),
        keeps: bool,
        after: Duration,
    ) -> Outcome {
        self.clean()?;
        let (source, destination) = (self.top.path().join("src"), self.top.path().join("dst"));
        let (old, new) = grow(&source, &destination)?;
        let keep = format!("--partial-dir={PARTS}");
        let mut options = vec!["--bwlimit=3m", "--no-whole-file"];
        options.extend(keeps.then_some(keep.as_str()));
        let mut child = self.command(case, &options)?.spawn()?;
        sleep(after);
        match end {
            End::Near => kill(&mut child, signal)?,
            End::Far => {
                if let Some(pid) = self.far_end() {
                    // It may have ended by itself.
                    let _ = kill_process(pid, signal);
                }
            }
        }
        wait(&mut child)?;
        self.wait_for_far_end()?;
        // What the killed end itself wrote cannot be cleaned by it.
        let writer = if case.push { End::Far } else { End::Near };
        let may_leave = !case.receives()
            || (signal == Signal::KILL && (end == writer || case.transport == Transport::Local));
        let found = settled(case, &destination, may_leave)?;
        for (name, content) in &found {
            let known = new.get(name).is_some_and(|new| new == content)
                || old.get(name).is_some_and(|old| old == content);
            if known {
                continue;
            }
            let part = name.strip_prefix(".parts/").and_then(|name| new.get(name));
            if part.is_some_and(|_| keeps) || (may_leave && name.starts_with('.')) {
                continue;
            }
            return Err(format!("{name} is torn or left over: {} bytes", content.len()).into());
        }
        if let Some(lost) = old.keys().find(|name| !found.contains_key(*name)) {
            return Err(format!("{lost} is gone").into());
        }
        let output = self.command(case, &options)?.arg("--delete").output()?;
        if !output.status.success() || read(&destination)? != new {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the next run does not finish: {} {text}", output.status).into());
        }
        Ok(())
    }

    fn command(&mut self, case: Case, options: &[&str]) -> Result<Command, Box<dyn Error>> {
        let top = self.top.path().to_path_buf();
        let _ = fs::remove_file(top.join("far"));
        let program = |ours: bool| match &self.stock {
            Some(stock) if !ours => stock.clone(),
            _ => self.ours.clone(),
        };
        let mut command = Command::new(program(case.our_client));
        command.current_dir(&top).env("LC_ALL", "C").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["-a", "-I"]).args(options);
        let far = match case.transport {
            Transport::Local => String::new(),
            Transport::Shell => {
                command.arg(format!("--rsh={}", top.join("shell").display()));
                command.arg(format!("--rsync-path={}", program(case.our_server).display()));
                format!("h:{}/", top.display())
            }
            Transport::Daemon => {
                let server = case.our_server;
                let program =
                    if server { Program::ours("synclined")?.path } else { program(false) };
                let daemon = match self.daemons.entry(server) {
                    Entry::Occupied(slot) => slot.into_mut(),
                    Entry::Vacant(slot) => slot.insert(Daemon::start(&program, &top, &top)?),
                };
                format!("rsync://127.0.0.1:{}/m/", daemon.port)
            }
        };
        let (from, to) = if case.push { ("", far.as_str()) } else { (far.as_str(), "") };
        command.arg(format!("{from}src/")).arg(format!("{to}dst/"));
        Ok(command)
    }

    fn clean(&self) -> Outcome {
        for name in ["src", "dst"] {
            let path = self.top.path().join(name);
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir(&path)?;
        }
        Ok(())
    }

    fn far_end(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.top.path().join("far")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    fn wait_for_far_end(&self) -> Outcome {
        let Some(pid) = self.far_end() else { return Ok(()) };
        let end = Instant::now() + LINGER;
        while test_kill_process(pid).is_ok() && !is_zombie(pid) {
            if Instant::now() > end {
                return Err("the far end outlives the near one".into());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn kill(child: &mut Child, signal: Signal) -> Outcome {
    if child.try_wait()?.is_none() {
        kill_process(Pid::from_child(child), signal)?;
    }
    Ok(())
}

/// What is there once whoever writes has noticed: a daemon's session has no process that we know.
fn settled(case: Case, destination: &Path, may_leave: bool) -> Result<Files, Box<dyn Error>> {
    let end = Instant::now() + LINGER;
    loop {
        let found = read(destination)?;
        let busy = found.keys().any(|name| name.starts_with('.') && !name.starts_with(PARTS));
        let waits = case.transport == Transport::Daemon && busy && !(may_leave && case.receives());
        if !waits || Instant::now() > end {
            return Ok(found);
        }
        sleep(Duration::from_millis(5));
    }
}

/// An orphan whose new parent has not looked yet has ended all the same.
fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|text| text.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

fn wait(child: &mut Child) -> Outcome {
    let end = Instant::now() + LINGER;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Err("the near end does not end".into());
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

type Files = BTreeMap<String, Vec<u8>>;

/// A source, and a destination with older versions of some of its files; what each holds.
fn grow(source: &Path, destination: &Path) -> Result<(Files, Files), Box<dyn Error>> {
    for number in 0..6 {
        let name = format!("file{number}");
        let content = Random::new(&name).bytes(10_000 + 12_000 * number);
        fs::write(source.join(&name), &content)?;
        if number % 2 == 0 {
            let mut older = content;
            older.truncate(5_000 + 6_000 * number);
            older.splice(100..200, *b"an older version");
            fs::write(destination.join(&name), older)?;
        }
    }
    Ok((read(destination)?, read(source)?))
}

/// Every file below a directory, by its path.
fn read(top: &Path) -> Result<Files, Box<dyn Error>> {
    let mut files = Files::new();
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A temporary file may be gone by now.
            if let Ok(content) = fs::read(&path) {
                files.insert(path.strip_prefix(top)?.to_string_lossy().into_owned(), content);
            }
        }
    }
    Ok(files)
}

fn largest(folder: &Path) -> std::io::Result<u64> {
    let sizes = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.metadata().ok());
    Ok(sizes.map(|data| data.len()).max().unwrap_or(0))
}
