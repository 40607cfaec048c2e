//! `--parallel`: over several sessions our client does what stock does in one, and ends as one run ends.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use syncline_suite::daemon::Daemon;
use syncline_suite::program::Program;
use syncline_suite::torture::snapshot;

type Outcome = Result<(), Box<dyn Error>>;

/// The longest that something may take to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// A time for everything in a tree, long ago.
const OLD: &str = "2020-02-02 02:02:02";

struct Stage {
    top: tempfile::TempDir,
    ours: PathBuf,
    stock: PathBuf,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn Error>> {
        let top = tempfile::tempdir()?;
        let (ours, stock) = (Program::ours("syncline")?.path, Program::stock("rsync")?.path);
        let stage = Self { top, ours, stock };
        for part in ["a", "b", "c/d", "c/e", "e mpty", "f"] {
            for (name, size) in [("one", 10), ("two", 3000), ("deep/three", 70_000)] {
                let path = stage.path("src").join(part).join(name);
                fs::create_dir_all(path.parent().ok_or("a parent")?)?;
                fs::write(path, format!("{part} {name}").repeat(size / 10))?;
            }
        }
        fs::write(stage.path("src/loose"), "loose")?;
        fs::write(stage.path("src/c/own.o"), "own")?;
        stage.script("rsh", "shift\nexec sh -c \"$*\"\n")?;
        stage.shell("find src -exec touch -h -d \"$0\" {} +")?;
        stage.shell(
            "cp -a src there; cd there; rm -r a c/e; echo x >b/extra; mkdir -p f/more/of/it gone/g
             echo y >gone/y; echo z >c/own.o; touch f/one b; chmod 700 c/d; echo file >e; mv e c/e",
        )?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn script(&self, name: &str, text: &str) -> Outcome {
        fs::write(self.path(name), format!("#!/bin/sh\n{text}"))?;
        Ok(fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755))?)
    }

    fn shell(&self, text: &str) -> Outcome {
        let status =
            Command::new("sh").current_dir(self.top.path()).args(["-ec", text, OLD]).status()?;
        if status.success() { Ok(()) } else { Err(format!("{text}: {status}").into()) }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.top.path()).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// What a run leaves in a destination that was made ready before, what it says, and its code.
    fn play(&self, command: &mut Command, empty: bool) -> Result<Played, Box<dyn Error>> {
        self.shell(if empty { "rm -rf dst" } else { "rm -rf dst; cp -a there dst" })?;
        let began = SystemTime::now();
        let Output { status, stdout, stderr } = command.output()?;
        let mut lines: Vec<String> = String::from_utf8_lossy(&stdout)
            .lines()
            .filter(|line| {
                !["Total bytes", "File list", "sent "].iter().any(|w| line.starts_with(w))
            })
            .map(|line| line.split("  speedup").next().unwrap_or_default().to_owned())
            .collect();
        lines.sort();
        // A dry run makes nothing.
        let left = if self.path("dst").exists() {
            snapshot::take(&self.path("dst"), began)?
        } else {
            snapshot::Snapshot::new()
        };
        let said = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Played { lines, tree: left, code: status.code(), said })
    }

    /// The same options by stock in one session and by ours in several.
    fn compare(&self, options: &str, far: &[String], pull: bool, empty: bool) -> Outcome {
        let (remote, near) = far.split_last().ok_or("a far end")?;
        let run = |program: &Path, more: &[&str]| {
            let mut command = self.command(program);
            let (name, options) = options.split_once(' ').unwrap_or((options, ""));
            command.args(more).args(options.split_whitespace()).args(near);
            let at =
                |on: bool, path: &str| if on { format!("{remote}{path}") } else { path.into() };
            command.arg(at(pull, name)).arg(at(!pull, "dst"));
            self.play(&mut command, empty)
        };
        let expected = run(&self.stock, &[])?;
        let found = run(&self.ours, &["--parallel=3"])?;
        assert_eq!(found.code, expected.code, "{options} {far:?}: {}", found.said);
        assert_eq!(found.lines, expected.lines, "{options} {far:?}: {}", found.said);
        assert_eq!(found.tree, expected.tree, "{options} {far:?}");
        Ok(())
    }

    fn compare_all(&self, far: &[String]) -> Outcome {
        for pull in [false, true] {
            for (options, empty) in [
                ("src/ -aii --delete --stats", false),
                ("src -ai --stats", true),
                ("src/ -ain --delete --stats", true),
                ("src/ -ain --delete-excluded --exclude=deep --exclude=*.o", false),
                ("src/ -rvI --exclude=*.o", false),
                ("src/ -ai missing", true),
            ] {
                self.compare(options, far, pull, empty)?;
            }
        }
        Ok(())
    }

    fn by_shell(&self, server: &Path) -> Vec<String> {
        let shown = |path: &Path| path.display().to_string();
        vec![
            format!("--rsh={}", shown(&self.path("rsh"))),
            format!("--rsync-path={}", shown(server)),
            format!("h:{}/", shown(self.top.path())),
        ]
    }

    fn by_daemon(&self, program: &Path) -> Result<(Daemon, Vec<String>), Box<dyn Error>> {
        fs::create_dir_all(self.path("files"))?;
        let daemon = Daemon::start(program, self.top.path(), &self.path("files"))?;
        let far = vec![format!("rsync://127.0.0.1:{}/m/", daemon.port)];
        Ok((daemon, far))
    }

    /// A remote shell that counts its calls and does something else from the second on: the first session's is the first.
    fn counting_shell(&self, otherwise: &str) -> Result<String, Box<dyn Error>> {
        let text = "n=1; while ! mkdir \"$0.$n\" 2>/dev/null; do n=$((n+1)); done\n";
        let text = format!("{text}echo $$ >\"$0.$n/pid\"\n{otherwise}\nshift\nexec sh -c \"$*\"\n");
        self.script("counting", &text)?;
        Ok(format!("--rsh={}", self.path("counting").display()))
    }

    fn sessions(&self) -> Vec<i32> {
        let pid = |number: usize| {
            let text = fs::read_to_string(self.path(&format!("counting.{number}/pid"))).ok()?;
            text.trim().parse().ok()
        };
        (1..10).map_while(pid).collect()
    }

    fn push_over(&self, shell: &str) -> Command {
        let mut command = self.command(&self.ours);
        command.args(["-a", "--parallel=3", shell]);
        command.arg(format!("--rsync-path={}", self.ours.display()));
        command.arg("src/").arg(format!("h:{}/dst", self.top.path().display()));
        command
    }
}

struct Played {
    lines: Vec<String>,
    tree: snapshot::Snapshot,
    code: Option<i32>,
    said: String,
}

#[test]
fn a_stock_server_behind_a_shell_sees_one_job() -> Outcome {
    let stage = Stage::new()?;
    stage.compare_all(&stage.by_shell(&stage.stock))
}

#[test]
fn our_server_behind_a_shell_sees_one_job() -> Outcome {
    let stage = Stage::new()?;
    stage.compare_all(&stage.by_shell(&stage.ours))
}

#[test]
fn a_stock_daemon_sees_one_job() -> Outcome {
    let stage = Stage::new()?;
    let (_daemon, far) = stage.by_daemon(&stage.stock)?;
    stage.compare_all(&far)
}

#[test]
fn our_daemon_sees_one_job() -> Outcome {
    let stage = Stage::new()?;
    let (_daemon, far) = stage.by_daemon(&Program::ours("synclined")?.path)?;
    stage.compare_all(&far)
}

#[test]
fn a_local_copy_is_one_job() -> Outcome {
    let stage = Stage::new()?;
    stage.compare("src/ -aii --delete --stats", &[String::new()], false, false)?;
    stage.compare("src -ai --checksum", &[String::new()], false, true)
}

#[test]
fn what_cannot_be_shared_out_is_done_in_one_session_and_said_so() -> Outcome {
    let stage = Stage::new()?;
    let shell = stage.counting_shell("")?;
    let output = stage.push_over(&shell).args(["-vH", "--delete"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("--parallel: one session, because --hard-links"), "{said}");
    assert!(output.status.success() && stage.path("dst/c/d/deep/three").exists());
    assert_eq!(stage.sessions().len(), 1);
    Ok(())
}

#[test]
fn a_session_that_is_lost_ends_the_run() -> Outcome {
    let stage = Stage::new()?;
    let shell = stage.counting_shell("[ $n -ne 3 ] || exit 7")?;
    let output = stage.push_over(&shell).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(12), "{said}");
    assert_eq!(said.matches("[sender=").count(), 1, "{said}");
    // The servers of the sessions that are ended with it may say the same, as receivers.
    assert_eq!(said.matches("bytes received so far) [sender]").count(), 1, "{said}");
    Ok(())
}

#[test]
fn an_interrupt_ends_all_sessions() -> Outcome {
    let stage = Stage::new()?;
    let shell = stage.counting_shell("[ $n -eq 1 ] || { cat >/dev/null; exit; }")?;
    let mut child = stage.push_over(&shell).stderr(Stdio::null()).spawn()?;
    let until = Instant::now() + LIMIT;
    while stage.sessions().len() < 4 && Instant::now() < until {
        sleep(Duration::from_millis(10));
    }
    let sessions = stage.sessions();
    assert_eq!(sessions.len(), 4);
    kill_process(Pid::from_child(&child), Signal::INT)?;
    assert_eq!(child.wait()?.code(), Some(20));
    let alive = |pid: &i32| Pid::from_raw(*pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    while sessions.iter().any(alive) {
        assert!(Instant::now() < until, "a remote shell is left");
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn a_password_is_asked_for_once() -> Outcome {
    let stage = Stage::new()?;
    fs::create_dir(stage.path("files"))?;
    fs::write(stage.path("files/secrets"), "user:secret\n")?;
    fs::set_permissions(stage.path("files/secrets"), PermissionsExt::from_mode(0o600))?;
    let extra =
        format!("auth users = user\nsecrets file = {}\n", stage.path("files/secrets").display());
    let daemon = Daemon::start_with(&stage.stock, stage.top.path(), &stage.path("files"), &extra)?;
    let mut child = stage
        .command(&stage.ours)
        .args(["-a", "--parallel=3", "--password-file=-"])
        .arg(format!("rsync://user@127.0.0.1:{}/m/src/", daemon.port))
        .arg("dst")
        .stdin(Stdio::piped())
        .spawn()?;
    // One line, and then nothing more.
    child.stdin.take().ok_or("a pipe")?.write_all(b"secret\n")?;
    assert_eq!(child.wait()?.code(), Some(0));
    assert!(stage.path("dst/c/e/deep/three").exists());
    Ok(())
}
