//! The jobs: what is prepared before each run, and the command lines of one run.

use super::data::{self, Kind, Store};
use super::measure::{self, Cost};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use syncline_suite::daemon::Daemon;
use syncline_suite::program::Program;

/// The programs of one side of the comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// What the user starts.
    pub client: PathBuf,
    /// What a remote shell starts.
    pub server: PathBuf,
    /// The daemon.
    pub daemon: PathBuf,
    /// The client is ours.
    pub ours: bool,
}

/// What the destination holds before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Empty,
    /// All that the source holds.
    Same,
    /// An edited copy of the one file.
    Edited,
    /// A shifted copy of the one file.
    Shifted,
}

/// How the ends meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Both on one machine.
    Local,
    /// Pushed through a remote shell.
    Shell,
    /// Pulled from a daemon.
    Pull,
    /// Pushed to a daemon.
    Push,
    /// Thirty sessions that each pull one new small file.
    PullOne,
    /// Thirty sessions that each push one new small file.
    PushOne,
    /// Two hundred of stock's clients at a time that each pull everything.
    Crowd,
    /// A thousand of stock's clients, one after another, that each pull one small file.
    Row,
}

/// How many clients a crowd has, and a row.
const CROWD: usize = 200;
const ROW: usize = 1000;

/// One job.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Its name in the table.
    pub name: &'static str,
    kind: Kind,
    before: Before,
    way: Way,
    options: &'static [&'static str],
    /// What only our client knows.
    more: &'static [&'static str],
}

const fn job(
    name: &'static str,
    kind: Kind,
    before: Before,
    way: Way,
    options: &'static [&'static str],
) -> Job {
    Job { name, kind, before, way, options, more: &[] }
}

/// A job that our client shares out over four sessions.
const fn shared_out(name: &'static str, before: Before, way: Way) -> Job {
    Job { more: &["--parallel=4"], ..job(name, Kind::Small, before, way, &["-a"]) }
}

/// Every job.
pub const JOBS: [Job; 21] = [
    job("local-big", Kind::Big, Before::Empty, Way::Local, &["-a"]),
    job("local-small", Kind::Small, Before::Empty, Way::Local, &["-a"]),
    job("local-mid", Kind::Mid, Before::Empty, Way::Local, &["-a"]),
    job("local-nochange", Kind::Tiny, Before::Same, Way::Local, &["-a"]),
    job("local-checksum", Kind::Big, Before::Same, Way::Local, &["-ac"]),
    job("delta-edit-local", Kind::Half, Before::Edited, Way::Local, &["-a", "--no-whole-file"]),
    job("delta-edit-rsh", Kind::Half, Before::Edited, Way::Shell, &["-a"]),
    job("delta-shift-rsh", Kind::Half, Before::Shifted, Way::Shell, &["-a"]),
    job("daemon-pull-big", Kind::Big, Before::Empty, Way::Pull, &["-a"]),
    job("daemon-push-big", Kind::Big, Before::Empty, Way::Push, &["-a"]),
    job("daemon-pull-small", Kind::Small, Before::Empty, Way::Pull, &["-a"]),
    job("daemon-push-small", Kind::Small, Before::Empty, Way::Push, &["-a"]),
    job("daemon-pull-nochange", Kind::Tiny, Before::Same, Way::Pull, &["-a"]),
    job("daemon-push-z", Kind::Text, Before::Empty, Way::Push, &["-az"]),
    job("daemon-pull-one", Kind::Small, Before::Same, Way::PullOne, &["-a"]),
    job("daemon-push-one", Kind::Small, Before::Same, Way::PushOne, &["-a"]),
    job("daemon-crowd", Kind::Small, Before::Empty, Way::Crowd, &["-a"]),
    shared_out("parallel-pull-small", Before::Empty, Way::Pull),
    shared_out("parallel-push-small", Before::Empty, Way::Push),
    shared_out("parallel-pull-nochange", Before::Same, Way::Pull),
    job("daemon-row", Kind::Small, Before::Empty, Way::Row, &["-a"]),
];

/// A job with its data made and, where it needs one, its daemon running.
#[derive(Debug)]
pub struct Stage<'a> {
    job: Job,
    side: &'a Side,
    source: PathBuf,
    top: PathBuf,
    daemon: Option<Daemon>,
    /// How many clients there are, where there are many.
    clients: usize,
}

impl Job {
    /// Makes the data and starts the daemon of one side.
    pub fn stage<'a>(self, store: &Store, side: &'a Side) -> io::Result<Stage<'a>> {
        let source = match self.way {
            Way::PullOne | Way::PushOne => {
                let folder = store.top.join("one");
                if !folder.exists() {
                    data::files(&folder, 200, 4096)?;
                }
                folder
            }
            Way::Crowd | Way::Row => {
                let folder = store.top.join("thousand");
                if !folder.exists() {
                    data::files(&folder, 1000, 4096)?;
                }
                folder
            }
            _ => store.tree(self.kind)?,
        };
        let top = store.top.clone();
        let daemon = match self.way {
            Way::Local | Way::Shell => None,
            _ => Some(Daemon::start(&side.daemon, &top, &top)?),
        };
        let clients = match self.way {
            Way::Crowd => store.scaled(CROWD),
            Way::Row => store.scaled(ROW),
            _ => 1,
        };
        Ok(Stage { job: self, side, source, top, daemon, clients })
    }

    /// Whether one run is already many sessions, so that it needs no second one.
    pub fn is_load(&self) -> bool {
        matches!(self.way, Way::Crowd | Way::Row)
    }
}

impl Stage<'_> {
    /// Brings the destination to what the job finds.
    pub fn prepare(&self, stock: &Path) -> io::Result<()> {
        let target = self.target();
        let marker = self.top.join(format!("dst-same-{}", self.job.name));
        if self.job.before == Before::Same && marker.exists() && !self.is_many() {
            return Ok(());
        }
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        for stale in fs::read_dir(&self.top)? {
            let path = stale?.path();
            if path.to_string_lossy().contains("dst-same-") {
                fs::remove_file(path)?;
            }
        }
        fs::create_dir(&target)?;
        let make = match self.job.before {
            Before::Empty => return Ok(()),
            Before::Same => {
                measure::run(Command::new(stock).arg("-a").arg(slash(&self.source)).arg(&target))?;
                return fs::write(marker, "");
            }
            Before::Edited => data::edited,
            Before::Shifted => data::shifted,
        };
        let basis = self.top.join(format!("basis-{:?}", self.job.before));
        if !basis.exists() {
            make(&self.source.join("half.bin"), &basis)?;
        }
        let file = target.join("half.bin");
        fs::copy(basis, &file)?;
        fs::File::open(file)?.set_modified(UNIX_EPOCH)
    }

    /// One run.
    pub fn run(&self) -> io::Result<Cost> {
        match self.job.way {
            Way::Crowd => return self.load(self.clients, self.clients),
            Way::Row => return self.load(self.clients, 1),
            _ if !self.is_many() => return measure::run(&mut self.command()?),
            _ => {}
        }
        let mut total = Cost::default();
        let new = self.source.join("new");
        for number in 0..30 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            fs::write(&new, format!("{number} {now:?}"))?;
            total += measure::run(&mut self.command()?)?;
        }
        fs::remove_file(new)?;
        Ok(total)
    }

    /// Stock's clients, so many at a time, with the processor time of the daemon and its sessions alone.
    fn load(&self, clients: usize, at_a_time: usize) -> io::Result<Cost> {
        let stock = Program::stock("rsync").map_err(io::Error::other)?.path;
        let (pid, port) = self.daemon.as_ref().map_or((0, 0), |daemon| (daemon.pid(), daemon.port));
        let name = self.source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = if self.job.way == Way::Row { "d000/e00/file-0000000.dat" } else { "" };
        let before = measure::family_time(pid);
        let began = std::time::Instant::now();
        for first in (0..clients).step_by(at_a_time) {
            let mut commands: Vec<Command> = (first..first + at_a_time)
                .map(|number| {
                    let mut command = Command::new(&stock);
                    command.args(self.job.options);
                    command.arg(format!("rsync://127.0.0.1:{port}/m/{name}/{file}"));
                    command.arg(format!("{}/{number}/", self.target().display()));
                    command
                })
                .collect();
            measure::run_all(&mut commands)?;
        }
        let seconds = began.elapsed().as_secs_f64();
        // The last sessions may still be on their way out.
        std::thread::sleep(std::time::Duration::from_millis(200));
        Ok(Cost { seconds, processor: measure::family_time(pid) - before })
    }

    /// One run, for its memory only.
    pub fn memory(&self) -> io::Result<f64> {
        let daemon: Vec<u32> = self.daemon.iter().map(Daemon::pid).collect();
        measure::peak_memory(&mut self.command()?, &daemon)
    }

    fn is_many(&self) -> bool {
        matches!(self.job.way, Way::PullOne | Way::PushOne)
    }

    fn target(&self) -> PathBuf {
        self.top.join("dst")
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(&self.side.client);
        command.args(self.job.options);
        if self.side.ours {
            command.args(self.job.more);
        }
        let module = |name: &Path| {
            let port = self.daemon.as_ref().map_or(0, |daemon| daemon.port);
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("rsync://127.0.0.1:{port}/m/{name}/")
        };
        let (source, target) = (self.source.as_path(), self.target());
        match self.job.way {
            Way::Local => command.arg(slash(source)).arg(slash(&target)),
            Way::Pull | Way::PullOne | Way::Crowd | Way::Row => {
                command.arg(module(source)).arg(slash(&target))
            }
            Way::Push | Way::PushOne => command.arg(slash(source)).arg(module(&target)),
            Way::Shell => command
                .arg(format!("--rsh={}", remote_shell(&self.top)?.display()))
                .arg(format!("--rsync-path={}", self.side.server.display()))
                .arg(slash(source))
                .arg(format!("h:{}", slash(&target))),
        };
        Ok(command)
    }
}

fn slash(path: &Path) -> String {
    format!("{}/", path.display())
}

/// A shell that runs its command here, whatever host it is given.
fn remote_shell(top: &Path) -> io::Result<PathBuf> {
    let path = top.join("rsh");
    if !path.exists() {
        fs::write(&path, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n")?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(path)
}
