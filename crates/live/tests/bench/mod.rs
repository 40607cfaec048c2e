//! Mirrors, stock daemons and comparisons of trees for tests.

// Each test file uses its own part of this; it is test code, where a panic is the answer.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)]

mod daemon;
pub(crate) mod load;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use syncline_conf::live::Config;
use syncline_live::state::{Registry, State};
use syncline_live::{Log, Service, StartOptions};
use tempfile::TempDir;

pub(crate) use daemon::{Daemon, PATIENCE, stock_is_missing, until};

/// A mirror under test.
pub(crate) struct Bench {
    pub(crate) top: TempDir,
    pub(crate) registry: Registry,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    pub(crate) service: Option<Service>,
}

impl Bench {
    /// Directories `source` and `state`, nothing running.
    pub(crate) fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("source")).unwrap();
        Self { top, registry: Registry::new(), lines: Arc::default(), service: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub(crate) fn source(&self, name: &str) -> PathBuf {
        self.top.path().join("source").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.source(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A configuration: `settings` for the mirror `m`, then the addresses of targets `t0`, `t1` and so on.
    pub(crate) fn config(&self, settings: &str, urls: &[&str]) -> Config {
        let mut text = format!(
            "state-dir = \"{}\"\n[[mirror]]\nname = \"m\"\nsource = \"{}\"\n{settings}\n",
            self.path("state").display(),
            self.path("source").display()
        );
        for (number, url) in urls.iter().enumerate() {
            write!(text, "[[mirror.target]]\nname = \"t{number}\"\nurl = \"{url}\"\n").unwrap();
        }
        Config::parse(Path::new("test.toml"), text.as_bytes()).unwrap()
    }

    /// The same with one target `t0`, which has settings of its own.
    pub(crate) fn config_to(&self, settings: &str, url: &str, target: &str) -> Config {
        let text = format!(
            "state-dir = \"{}\"\n[[mirror]]\nname = \"m\"\nsource = \"{}\"\n{settings}\n\
             [[mirror.target]]\nname = \"t0\"\nurl = \"{url}\"\n{target}\n",
            self.path("state").display(),
            self.path("source").display()
        );
        Config::parse(Path::new("test.toml"), text.as_bytes()).unwrap()
    }

    pub(crate) fn start(&mut self, settings: &str, urls: &[&str]) {
        let config = self.config(settings, urls);
        self.start_with(&config, StartOptions::default());
    }

    pub(crate) fn start_with(&mut self, config: &Config, options: StartOptions) {
        let lines = Arc::clone(&self.lines);
        let log = Log::to(move |_, line| lines.lock().unwrap().push(line.to_owned()));
        self.registry = Registry::new();
        let service = Service::start(config, options, self.registry.clone(), log).unwrap();
        self.service = Some(service);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop(Duration::from_secs(10));
        }
    }

    pub(crate) fn state(&self, target: &str) -> State {
        self.registry.mirror("m", &self.path("source")).target(target, "").state()
    }

    /// Waits until a target is in this state.
    pub(crate) fn until_state(&self, target: &str, state: State) {
        until(&format!("{target} is {state:?}\n{}", self.log()), || self.state(target) == state);
    }

    /// Waits until the tree below `name` is what the source is.
    pub(crate) fn until_equal(&self, name: &str) {
        self.until_equal_told(name, &[name]);
    }

    /// The same; what is told if it does not happen is how each of `others` differs.
    pub(crate) fn until_equal_told(&self, name: &str, others: &[&str]) {
        let begun = Instant::now();
        loop {
            let (ours, theirs) = (tree(&self.path("source")), tree(&self.path(name)));
            if ours == theirs {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{name} is not equal: {:?}\n{}",
                others
                    .iter()
                    .map(|other| (other, difference(&ours, &tree(&self.path(other)))))
                    .collect::<Vec<_>>(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop(Duration::ZERO);
        }
    }
}

/// A mirror to one stock daemon, live, with what `fill` made: lines for the mirror, for its target and for the daemon's
/// module.
pub(crate) fn mirrored(
    test: &str,
    settings: &str,
    target: &str,
    module: &str,
    fill: impl Fn(&Bench),
) -> Option<(Bench, Daemon)> {
    if stock_is_missing(test) {
        return None;
    }
    let mut bench = Bench::new();
    fill(&bench);
    let daemon = Daemon::start(&bench.path("daemon"), &bench.path("t"), module);
    let config = bench.config_to(settings, &daemon.url(), target);
    bench.start_with(&config, StartOptions::default());
    bench.until_state("t0", State::Live);
    Some((bench, daemon))
}

/// A file system of its own for a target, with little room.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "none"]).arg(path);
        mount.output().ok()?.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still uses it keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What there is of one object to compare.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    content: Vec<u8>,
}

/// Everything below a directory. Times of directories count in whole seconds.
pub(crate) fn tree(top: &Path) -> BTreeMap<Vec<u8>, Fact> {
    let mut facts = BTreeMap::new();
    let mut owed = vec![top.to_owned()];
    while let Some(path) = owed.pop() {
        let Ok(data) = path.symlink_metadata() else { continue };
        let kind = data.file_type();
        let content = if kind.is_file() {
            fs::read(&path).unwrap_or_default()
        } else if kind.is_symlink() {
            fs::read_link(&path).unwrap_or_default().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        if kind.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            owed.extend(entries.flatten().map(|entry| entry.path()));
        }
        let nanoseconds = if kind.is_dir() { 0 } else { data.mtime_nsec() };
        let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
        let fact = Fact {
            mode: data.mode(),
            owner: (data.uid(), data.gid()),
            modified: if kind.is_fifo() { (0, 0) } else { (data.mtime(), nanoseconds) },
            content,
        };
        facts.insert(name, fact);
    }
    facts
}

/// Some words about how two trees differ.
pub(crate) fn difference(one: &BTreeMap<Vec<u8>, Fact>, other: &BTreeMap<Vec<u8>, Fact>) -> String {
    let show = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut text = String::new();
    for (name, fact) in one {
        match other.get(name) {
            None => write!(text, "missing {}; ", show(name)).unwrap(),
            Some(found) if found != fact => {
                write!(
                    text,
                    "{}: mode {:o} {:o} owner {:?} {:?} time {:?} {:?} length {} {}{}; ",
                    show(name),
                    fact.mode,
                    found.mode,
                    fact.owner,
                    found.owner,
                    fact.modified,
                    found.modified,
                    fact.content.len(),
                    found.content.len(),
                    if fact.content == found.content { "" } else { " content" }
                )
                .unwrap();
            }
            Some(_) => {}
        }
    }
    for name in other.keys().filter(|name| !one.contains_key(*name)) {
        write!(text, "surplus {}; ", show(name)).unwrap();
    }
    text.truncate(2000);
    text
}
