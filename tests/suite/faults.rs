//! Runs that cannot go on: a full disk, rules that cannot be read at the far end. Each says why as stock does, with
//! stock's exit code, leaves no temporary file, and ends: within a bound, whoever waits for whom.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use syncline_suite::daemon::Daemon;
use syncline_suite::program::Program;
use syncline_suite::sandbox::{Outcome, Sandbox, finish, is_root};
use syncline_suite::skipped;

type Tested = Result<(), Box<dyn Error>>;

/// How long a run may take that should end by itself.
const LIMIT: Duration = Duration::from_secs(60);

/// How the files travel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Local,
    ShellPush,
    ShellPull,
    DaemonPush,
}

const WAYS: [Way; 4] = [Way::Local, Way::ShellPush, Way::ShellPull, Way::DaemonPush];

/// A source `src`, a destination `dst`, and both programs at both ends.
struct Stage {
    sandbox: Sandbox,
    programs: Vec<(PathBuf, PathBuf)>,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn Error>> {
        let sandbox = Sandbox::new(false)?;
        let at = |name: &str| sandbox.path().join(name);
        fs::create_dir_all(at("src/d"))?;
        fs::create_dir(at("dst"))?;
        fs::write(at("rsh"), "#!/bin/sh\nshift\nexec sh -c \"$*\"\n")?;
        sandbox.shell("chmod 755 rsh")?;
        // Against itself and with stock at either end.
        let both = |stock: &str, ours: &str| -> Result<_, String> {
            Ok((Program::under_test(stock, ours)?.path, Program::stock("rsync")?.path))
        };
        let (client, stock) = both("rsync", "syncline")?;
        let (daemon, _) = both("rsync", "synclined")?;
        let programs =
            vec![(client.clone(), daemon.clone()), (client, stock.clone()), (stock, daemon)];
        Ok(Self { sandbox, programs })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    /// One run; the client is the first of the programs, and `far` the other end.
    fn run(
        &self,
        way: Way,
        client: &Path,
        far: &Path,
        words: &[&str],
    ) -> Result<Outcome, Box<dyn Error>> {
        let mut command = self.sandbox.command(client);
        command.args(words);
        let server =
            far.with_file_name(if far.ends_with("synclined") { "syncline" } else { "rsync" });
        let shell = |command: &mut Command| {
            command.arg("-e").arg(self.at("rsh")).arg(format!("--rsync-path={}", server.display()));
        };
        let (source, destination) = (self.at("src"), self.at("dst"));
        let (source, destination) =
            (format!("{}/", source.display()), format!("{}/", destination.display()));
        let mut daemon = None;
        match way {
            Way::Local => command.args([source, destination]),
            Way::ShellPush => {
                shell(&mut command);
                command.args([source, format!("h:{destination}")])
            }
            Way::ShellPull => {
                shell(&mut command);
                command.args([format!("h:{source}"), destination])
            }
            Way::DaemonPush => {
                let far = daemon.insert(Daemon::start(far, &self.at("dst"), self.sandbox.path())?);
                command.args([source, format!("rsync://127.0.0.1:{}/m/", far.port)])
            }
        };
        Ok(finish(&mut command, b"", LIMIT)?)
    }

    /// The same with each pair of programs; `check` sees what came of it.
    fn run_all(&self, words: &[&str], check: impl Fn(Way, &str, &Outcome)) -> Tested {
        for way in WAYS {
            for (client, far) in &self.programs {
                let outcome = self.run(way, client, far, words)?;
                let what = format!("{way:?} by {} with {}", client.display(), far.display());
                assert!(!outcome.timed_out, "{what} hangs");
                check(way, &what, &outcome);
            }
        }
        Ok(())
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let mut names = Vec::new();
        let mut left = vec![self.at(folder)];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                names.push(entry.file_name().to_string_lossy().into_owned());
                if entry.file_type()?.is_dir() {
                    left.push(entry.path());
                }
            }
        }
        Ok(names)
    }
}

fn said(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stderr).into_owned()
}

/// A small file system, gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, options: &str) -> Result<Self, Box<dyn Error>> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .status()?;
        if !status.success() {
            return Err("mount failed".into());
        }
        Ok(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A session that is just ending may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whether file systems can be mounted here; otherwise that is said.
fn mounts(test: &str) -> bool {
    if !is_root() {
        skipped(test, "only root mounts file systems");
        return false;
    }
    let folder = tempfile::tempdir().ok();
    let works = folder.is_some_and(|at| SmallDisk::mount(at.path().into(), "size=1m").is_ok());
    if !works {
        skipped(test, "mounting is forbidden here");
    }
    works
}

#[test]
fn rules_of_the_destination_that_cannot_be_parsed_end_the_run() -> Tested {
    let stage = Stage::new()?;
    for number in 0..50 {
        fs::write(stage.at(&format!("src/d/f{number}")), number.to_string())?;
    }
    fs::create_dir(stage.at("dst/d"))?;
    fs::write(stage.at("dst/d/.rsync-filter"), "bogus rule\n")?;
    stage.run_all(&["-aF", "--delete"], |_, what, outcome| {
        assert_eq!(outcome.code, Some(1), "{what}: {outcome:?}");
        assert!(said(outcome).contains("Unknown filter rule: <rule from "), "{what}: {outcome:?}");
    })
}

#[test]
fn rules_of_the_source_that_cannot_be_parsed_end_the_run() -> Tested {
    let stage = Stage::new()?;
    fs::create_dir(stage.at("src/d/e"))?;
    for number in 0..300 {
        fs::write(stage.at(&format!("src/d/f{number}")), number.to_string())?;
    }
    fs::write(stage.at("src/d/e/.rsync-filter"), "bogus rule\n")?;
    stage.run_all(&["-aF"], |way, what, outcome| {
        // A stock server that fails this early keeps its code to itself.
        let kept = way == Way::ShellPull && what.contains("with /usr");
        let codes: &[Option<i32>] = if kept { &[Some(1), Some(12)] } else { &[Some(1)] };
        let codes = if is_stock() { &[Some(1), Some(10), Some(12)] } else { codes };
        assert!(codes.contains(&outcome.code), "{what}: {outcome:?}");
        assert!(said(outcome).contains("Unknown filter rule: <rule from "), "{what}: {outcome:?}");
    })
}

fn is_stock() -> bool {
    std::env::var("SYNCLINE_UNDER_TEST").as_deref() == Ok("stock")
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_no_part() -> Tested {
    let test = "a_full_disk_ends_the_run_and_leaves_no_part";
    if !mounts(test) {
        return Ok(());
    }
    let stage = Stage::new()?;
    fs::write(stage.at("src/a"), "small")?;
    fs::write(stage.at("src/big"), vec![7; 3 << 20])?;
    for (options, keeps) in [
        (&["-a"][..], false),
        (&["-a", "--preallocate"], false),
        (&["-a", "--partial"], true),
        (&["-a", "--inplace"], true),
    ] {
        for way in WAYS {
            for (client, far) in &stage.programs {
                let _disk = SmallDisk::mount(stage.at("dst"), "size=1m")?;
                let outcome = stage.run(way, client, far, options)?;
                let what =
                    format!("{options:?} {way:?} by {} with {}", client.display(), far.display());
                assert!(!outcome.timed_out, "{what} hangs");
                assert_eq!(outcome.code, Some(11), "{what}: {outcome:?}");
                let text = said(&outcome);
                let shown = if way == Way::DaemonPush {
                    "\"big\" (in m)".to_owned()
                } else {
                    format!("\"{}/big\"", stage.at("dst").display())
                };
                let line = format!(
                    "rsync: [receiver] write failed on {shown}: No space left on device (28)\n"
                );
                assert!(text.contains(&line), "{what}: {text}");
                let mut names = stage.names("dst")?;
                names.sort();
                let all = if keeps { &["a", "big", "d"][..] } else { &["a", "d"] };
                assert_eq!(names, all, "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_disk_without_room_for_another_file_fails_some_and_not_the_run() -> Tested {
    let test = "a_disk_without_room_for_another_file_fails_some_and_not_the_run";
    if !mounts(test) {
        return Ok(());
    }
    let stage = Stage::new()?;
    for name in ["a", "b", "d/c"] {
        fs::write(stage.at("src").join(name), name)?;
    }
    for way in WAYS {
        for (client, far) in &stage.programs {
            // Of its root and two more.
            let _disk = SmallDisk::mount(stage.at("dst"), "nr_inodes=3")?;
            let outcome = stage.run(way, client, far, &["-a"])?;
            let what = format!("{way:?} by {} with {}", client.display(), far.display());
            assert!(!outcome.timed_out, "{what} hangs");
            assert_eq!(outcome.code, Some(23), "{what}: {outcome:?}");
            let text = said(&outcome);
            // Which of them there is no room for is a matter of who comes first.
            assert!(text.contains("failed: No space left on device (28)\n"), "{what}: {text}");
            let names = stage.names("dst")?;
            assert!(names.iter().all(|name| !name.starts_with('.')), "{what}: {names:?}");
        }
    }
    Ok(())
}
