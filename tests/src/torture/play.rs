//! Plays one job twice and compares.

use super::grow::{self, Grower, Profile, mutate};
use super::job::{self, Mode, Transport};
use super::random::Random;
use super::snapshot::{self, Snapshot};
use crate::daemon::Daemon;
use crate::sandbox::{self, Outcome};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// How long one run may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(30);

/// What a job leaves in the stage's directory.
const PARTS: [&str; 5] = ["origin", "stock", "ours", "stock.out", "ours.out"];

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

/// Where jobs are played, one after another: every run finds the same path, and one daemon of each kind serves them all.
///
/// The working directory has a tree of its own, whose directories stay as they are: `-R` tells their sizes.
#[derive(Debug)]
pub struct Stage {
    programs: Programs,
    /// The working directory.
    work: PathBuf,
    /// Everything else.
    store: PathBuf,
    stock_daemon: Option<Daemon>,
    our_daemon: Option<Daemon>,
    /// Sessions our client shares a job out over.
    sessions: Option<u16>,
}

impl Stage {
    /// A stage in an empty directory.
    pub fn new(programs: Programs, sessions: Option<u16>, top: &Path) -> io::Result<Self> {
        let (work, store) = (top.join("stage/work"), top.join("store"));
        fs::create_dir(top.join("stage"))?;
        fs::create_dir(&store)?;
        Ok(Self { programs, work, store, stock_daemon: None, our_daemon: None, sessions })
    }

    /// Plays the job of `seed`. What it worked on is left in [`Stage::keep`] or [`Stage::clear`]'s hands.
    pub fn play(&mut self, seed: u64, mode: Mode, profile: Profile) -> io::Result<Verdict> {
        let mut random = Random::new(&format!("{seed}:{profile:?}:{}", mode.name));
        let origin = self.store.join("origin");
        prepare(&mut random, profile, &origin)?;
        let options = job::options(&mut random, mode, profile);
        let source = format!("src{}", random.pick(&["/", "/", "/", ""]));
        let job = format!("{} {source} dst/", options.join(" "));
        let tried = self.run(mode, false, &options, &source)?;
        let mut differences = Vec::new();
        // Stock's processes race: what it does in any of a few runs is right.
        for _ in 0..4 {
            let reference = self.run(mode, true, &options, &source)?;
            differences = self.compare(&options, reference, tried.clone());
            if differences.is_empty() {
                break;
            }
        }
        Ok(Verdict { job, differences })
    }

    fn compare(
        &self,
        options: &[String],
        (reference, mut before): (Outcome, Snapshot),
        (tried, mut after): (Outcome, Snapshot),
    ) -> Vec<String> {
        let mut differences = Vec::new();
        // Stock loses count of the members of a group of hard links when one cannot be placed: it hangs or dies.
        if reference.timed_out || contains(&reference.stderr, b"File-list index") {
            return differences;
        }
        // It asks a file that becomes a link for a directory's list, and gives up.
        if contains(&reference.stderr, b"] get_acl: sys_acl_get_file(") {
            return differences;
        }
        // A run that dies leaves what it had time for.
        let dies =
            |outcome: &Outcome| outcome.code.is_none_or(|code| ![0, 23, 24, 25].contains(&code));
        if dies(&reference) && reference.code == tried.code {
            return differences;
        }
        let ignores = options.iter().any(|option| option == "--ignore-existing");
        if ignores && contains(&reference.stderr, b"opendir") {
            // It looks for contents in files that have the name of a directory, and then deletes nothing any more.
            return differences;
        }
        if ignores {
            // Stock sets the time of a directory it has skipped on whatever has its name, a file too.
            let in_the_way = |name: &[u8]| self.is_file_for_directory(name);
            before.retain(|name, _| !in_the_way(name));
            after.retain(|name, _| !in_the_way(name));
        }
        if options.iter().any(|option| option.starts_with("--backup-dir=")) {
            // Stock sets the root's time before the first backup may make the directory in it.
            before.remove(&b"dst"[..]);
            after.remove(&b"dst"[..]);
        }
        if lends_modes(options) {
            // Stock may choose a file that is being rewritten; which mode a new file gets is up to that race.
            for snapshot in [&mut before, &mut after] {
                for (_, line) in snapshot.iter_mut().filter(|(name, _)| self.is_new(name)) {
                    *line = line.split_once(' ').map_or(String::new(), |(_, rest)| rest.to_owned());
                    line.truncate(line.find(" system.posix_acl_access").unwrap_or(line.len()));
                }
            }
        }
        // Stock takes all rights from the group of new sticky directories that have a list (docs/spec behaviour.md 14.6).
        for (name, line) in &mut before {
            if let Some(ours) = after.get(name).filter(|ours| loses_group(line, ours)) {
                line.clone_from(ours);
            }
        }
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
        let lines = line_differences(&reference.stdout, &tried.stdout);
        differences.extend(lines.into_iter().take(4));
        differences
    }

    /// Moves what the last job worked on to a directory of its own.
    pub fn keep(&self, name: &str) -> io::Result<()> {
        let folder = self.store.join("kept").join(name);
        fs::create_dir_all(&folder)?;
        PARTS.iter().try_for_each(|part| fs::rename(self.store.join(part), folder.join(part)))
    }

    /// Removes what the last job worked on.
    pub fn clear(&self) -> io::Result<()> {
        PARTS.iter().try_for_each(|part| {
            let path = self.store.join(part);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        })
    }

    fn run(
        &mut self,
        mode: Mode,
        stock_only: bool,
        options: &[String],
        source: &str,
    ) -> io::Result<(Outcome, Snapshot)> {
        let work = self.work.clone();
        must(Command::new("cp").arg("-a").arg(self.store.join("origin")).arg(&work))?;
        grow::settle(&work)?;
        let began = SystemTime::now();
        let choose = |ours: bool, our_program: &Path| {
            let program = if ours && !stock_only { our_program } else { &self.programs.stock };
            program.to_path_buf()
        };
        let mut command = Command::new(choose(mode.our_client, &self.programs.ours));
        let options = options.iter().map(|word| place_of_temporaries(word, mode, &work));
        command.current_dir(&work).env("LC_ALL", "C").env("TZ", "UTC").args(options);
        if mode.our_client && !stock_only {
            command.args(self.sessions.map(|number| format!("--parallel={number}")));
        }
        let shown = work.to_string_lossy().into_owned();
        let far = match mode.transport {
            Transport::Local => String::new(),
            Transport::Shell => {
                let server = choose(mode.our_server, &self.programs.ours);
                command.arg(format!("--rsh={}", self.remote_shell()?.display()));
                command.arg(format!("--rsync-path={}", server.display()));
                format!("h:{shown}/")
            }
            Transport::Daemon => {
                let port = self.daemon(mode.our_server && !stock_only)?;
                format!("rsync://127.0.0.1:{port}/m/")
            }
        };
        let (from, to) = if mode.pull { (far.as_str(), "") } else { ("", far.as_str()) };
        command.arg(format!("{from}{source}")).arg(format!("{to}dst/"));
        let mut outcome = sandbox::finish(&mut command, b"", LIMIT)?;
        outcome.stdout = replace(&outcome.stdout, shown.as_bytes(), b"WORK");
        let snapshot = snapshot::take(&work, began)?;
        let name = if stock_only { "stock" } else { "ours" };
        let said = [format!("{command:?}\n").as_bytes(), &outcome.stdout, &outcome.stderr].concat();
        fs::write(self.store.join(format!("{name}.out")), said)?;
        let kept = self.store.join(name);
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        fs::rename(&work, kept)?;
        Ok((outcome, snapshot))
    }

    /// Whether the destination's object of this name had to make way for a directory of the source.
    fn is_file_for_directory(&self, name: &[u8]) -> bool {
        let Some(below) = name.strip_prefix(b"dst/") else { return false };
        let below = OsStr::from_bytes(below);
        let origin = self.store.join("origin");
        let is_directory = |path: PathBuf| path.symlink_metadata().is_ok_and(|data| data.is_dir());
        let sent = is_directory(origin.join("src").join(below))
            || (below.as_bytes().starts_with(b"src/") && is_directory(origin.join(below)));
        let there = origin.join("dst").join(below);
        sent && there.symlink_metadata().is_ok_and(|data| !data.is_dir())
    }

    /// Whether the destination has no file of this name before the run.
    fn is_new(&self, name: &[u8]) -> bool {
        let there = self.store.join("origin").join(OsStr::from_bytes(name));
        name.starts_with(b"dst/") && !there.symlink_metadata().is_ok_and(|data| data.is_file())
    }

    /// The port of a daemon whose module is the working directory.
    fn daemon(&mut self, ours: bool) -> io::Result<u16> {
        let (program, slot) = if ours {
            (&self.programs.our_daemon, &mut self.our_daemon)
        } else {
            (&self.programs.stock, &mut self.stock_daemon)
        };
        let daemon = match slot.take() {
            Some(daemon) => daemon,
            None => Daemon::start(program, &self.work, &self.store)?,
        };
        Ok(slot.insert(daemon).port)
    }

    /// A shell that runs its command here, whatever host it is given. Beside the working directory: it is no part of the job.
    fn remote_shell(&self) -> io::Result<PathBuf> {
        let path = self.store.join("rsh");
        if !path.exists() {
            fs::write(&path, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n")?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        }
        Ok(path)
    }
}

/// Stock 3.5.0 refuses a relative `--temp-dir` that has a `..` in it (EINVAL for every file): jobs name an absolute one.
fn place_of_temporaries(word: &str, mode: Mode, work: &Path) -> OsString {
    let at_daemon = mode.transport == Transport::Daemon && !mode.pull;
    let top = if at_daemon { Path::new("/") } else { work };
    match word.strip_prefix("--temp-dir=") {
        Some(name) => [OsStr::new("--temp-dir="), top.join(name).as_os_str()].into_iter().collect(),
        None => word.into(),
    }
}

/// Whether a new file takes over the mode of another that it resembles.
fn lends_modes(options: &[String]) -> bool {
    let has = |wanted: &str| options.iter().any(|option| option == wanted);
    let short = |option: &&String| option.starts_with('-') && !option.starts_with("--");
    let perms = |option: &String| option.contains(['a', 'p']);
    let kept = options.iter().filter(short).any(perms) && !has("--no-perms");
    (has("-y") || has("--fuzzy")) && !kept
}

/// Whether two descriptions of a sticky directory differ in nothing but that the first has no right left in the group's
/// entry of its access list.
fn loses_group(stock: &str, ours: &str) -> bool {
    const LIST: &str = " system.posix_acl_access=[";
    // What stands before the rights of the group's entry, the rights, and what comes after.
    let parted = |line: &str| {
        let start = line.find(LIST)? + LIST.len();
        let bytes: Vec<&str> = line.get(start..)?.split(']').next()?.split(", ").collect();
        let entries = bytes.get(4..)?.chunks_exact(8);
        let at = start + 4 * (4 + 8 * entries.clone().position(|entry| entry[0] == "04")? + 2);
        let [before, rights, after] = [line.get(..at)?, line.get(at..at + 2)?, line.get(at + 2..)?];
        Some((format!("{before}{after}"), rights.to_owned()))
    };
    stock.starts_with("041")
        && matches!((parted(stock), parted(ours)), (Some(a), Some(b)) if a.0 == b.0 && a.1 == "00")
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
    if random.chance(20) {
        fs::write(source.join(".rsync-filter"), "- *.bin\n+ /sub\n")?;
    }
    Grower::new(random, profile).grow(&source)?;
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

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
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
    const VARYING: [&[u8]; 11] = [
        b"--parallel: ",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sticky_directory_s_group_may_have_lost_its_rights() {
        let line = |kind: &str, group: &str, other: &str| {
            format!(
                "{kind} 0:0 1.000000000 system.posix_acl_access=[02, 00, 00, 00, \
                 01, 00, 07, 00, ff, ff, ff, ff, 02, 00, 04, 00, 04, 00, 00, 00, \
                 04, 00, {group}, 00, ff, ff, ff, ff, 20, 00, {other}, 00, ff, ff, ff, ff] user.k=[04]"
            )
        };
        assert!(loses_group(&line("041773", "00", "05"), &line("041773", "07", "05")));
        assert!(!loses_group(&line("041773", "01", "05"), &line("041773", "07", "05")));
        assert!(!loses_group(&line("041773", "00", "05"), &line("041773", "07", "04")));
        assert!(!loses_group(&line("040773", "00", "05"), &line("040773", "07", "05")));
    }
}
