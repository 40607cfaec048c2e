//! From the command line to a configuration.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use syncline_conf::Surroundings;
use syncline_conf::live::{
    Action, Config, Deletion, Interval, LogLevel, Mirror, PassPaths, Startup,
};
use syncline_conf::migrate::{Choices, Translation, command_line, migrate, plugin_alone};
use syncline_live::Log;
use syncline_options::LiveOptions;
use xxhash_rust::xxh3::Xxh3;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    /// What a person should know before it is done.
    notes: Vec<String>,
    /// Whether there is a file to read again.
    pub(crate) has_file: bool,
}

impl Plan {
    /// Reads whatever the command line names.
    pub(crate) fn of(options: &LiveOptions) -> Result<Self, String> {
        let mut plan = match (&options.config, &options.sersync) {
            (Some(_), Some(_)) => {
                return Err("--config and -o are two configurations: give one".into());
            }
            (Some(file), None) => Self::from_file(path(file), options)?,
            (None, Some(file)) => Self::from_sersync(path(file), options)?,
            (None, None) => Self::from_words(options)?,
        };
        if options.sersync.is_none()
            && (options.first_push || options.plugin.is_some() || options.workers.is_some())
        {
            return Err("-r, -n and -m belong to -o, a configuration of sersync".into());
        }
        plan.override_by(options)?;
        plan.config.check().map_err(|error| error.to_string())?;
        Ok(plan)
    }

    /// Logs what a person should know.
    pub(crate) fn tell(&self, log: &Log) {
        for note in &self.notes {
            log.warn(note);
        }
    }

    fn from_file(file: &Path, options: &LiveOptions) -> Result<Self, String> {
        if !options.arguments.is_empty() {
            return Err(
                "a source and targets stand in the configuration: give one or the other".into()
            );
        }
        if let Some(word) = options.rsync.first() {
            let word = String::from_utf8_lossy(word);
            return Err(format!("{word}: options of rsync stand in the configuration"));
        }
        let text = read(file)?;
        let config = Config::parse(file, &text).map_err(|error| error.to_string())?;
        Ok(Self { config, notes: Vec::new(), has_file: true })
    }

    fn from_sersync(file: &Path, options: &LiveOptions) -> Result<Self, String> {
        if !options.arguments.is_empty() || !options.rsync.is_empty() {
            return Err("with -o everything stands in the configuration of sersync".into());
        }
        let text = read(file)?;
        let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let translation = match &options.plugin {
            Some(name) => {
                let plugin = plugin_alone(&text, name, &Machine).map_err(|error| fail(&error))?;
                plugin.ok_or_else(|| {
                    let name = String::from_utf8_lossy(name);
                    fail(&format_args!(
                        "-m {name}: there is no such plugin; command, socket and refreshCDN are known"
                    ))
                })?
            }
            None => migrate(Path::new("confxml.xml"), &text, &Machine, Choices::default())
                .map_err(|error| fail(&error))?,
        };
        let mut plan = Self::from_translation(translation, &file.display().to_string());
        for mirror in &mut plan.config.mirrors {
            // Without -r sersync sends only what changes from now on.
            mirror.startup = if options.first_push { Startup::Compare } else { Startup::None };
            for hook in &mut mirror.hooks {
                if let Action::Run(run) = &mut hook.action {
                    // A plugin runs for each path.
                    run.pass = PassPaths::Each;
                }
            }
        }
        if let Some(workers) = options.workers {
            plan.notes.push(format!("-n {workers}: each target has one worker of its own"));
        }
        plan.config.state_dir = state_dir_for(&plan.config);
        plan.has_file = true;
        Ok(plan)
    }

    fn from_words(options: &LiveOptions) -> Result<Self, String> {
        let [source, targets @ ..] = options.arguments.as_slice() else {
            return Err(
                "give a source and targets, --config FILE, or -o confxml.xml; --help says more"
                    .into(),
            );
        };
        if targets.is_empty() {
            return Err("there is no target: write it after the source".into());
        }
        let text = |word: &Vec<u8>| {
            String::from_utf8(word.clone())
                .map_err(|_| format!("{}: this is not UTF-8", String::from_utf8_lossy(word)))
        };
        let source = absolute(path(source))?;
        let targets: Vec<String> = targets
            .iter()
            .map(|target| {
                let target = text(target)?;
                let is_local =
                    target.find([':', '/']).is_none_or(|at| target[at..].starts_with('/'));
                if !is_local {
                    return Ok(target);
                }
                let local = absolute(Path::new(&target))?;
                local
                    .into_os_string()
                    .into_string()
                    .map_err(|_| format!("{target}: this is not UTF-8"))
            })
            .collect::<Result<_, String>>()?;
        let words = options.rsync.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let translation = command_line(&source, &targets, &words);
        if let Some(loss) = translation.losses.first() {
            return Err(format!("{}: {}", loss.key, loss.what));
        }
        let mut plan = Self::from_translation(translation, "command line");
        plan.config.state_dir = state_dir_for(&plan.config);
        Ok(plan)
    }

    fn from_translation(translation: Translation, from: &str) -> Self {
        let Translation { config, notes, losses, .. } = translation;
        let place = |line: u32| if line == 0 { String::new() } else { format!(":{line}") };
        let notes = notes.iter().map(|note| format!("{from}{}: {}", place(note.line), note.kind));
        let losses = losses.iter().map(|loss| {
            format!("{from}{}: cannot be translated: {}: {}", place(loss.line), loss.key, loss.what)
        });
        Self { config, notes: losses.chain(notes).collect(), has_file: false }
    }

    /// What the command line says beats what the configuration says.
    fn override_by(&mut self, options: &LiveOptions) -> Result<(), String> {
        let config = &mut self.config;
        if let Some(directory) = &options.state_dir {
            config.state_dir = absolute(path(directory))?;
        }
        if let Some(file) = &options.status_file {
            config.status_file = Some(absolute(path(file))?);
        }
        if let Some(address) = &options.status_addr {
            config.status_addr = Some(value("--status-addr", address, "ADDRESS:PORT")?);
        }
        if let Some(level) = &options.log_level {
            config.log_level = match level.as_slice() {
                b"error" => LogLevel::Error,
                b"warn" => LogLevel::Warn,
                b"info" => LogLevel::Info,
                b"debug" => LogLevel::Debug,
                _ => return Err("--log-level takes error, warn, info or debug".into()),
            };
        }
        let startup = match options.startup.as_deref() {
            None => None,
            Some(b"compare") => Some(Startup::Compare),
            Some(b"trust") => Some(Startup::Trust),
            Some(b"none") => Some(Startup::None),
            Some(_) => return Err("--startup takes compare, trust or none".into()),
        };
        let time = |name, text: &Option<Vec<u8>>| {
            let parse = |text: &Vec<u8>| value::<TimeText>(name, text, "a time such as 5ms or 2s");
            text.as_ref().map(parse).transpose()
        };
        let (settle, max_delay) =
            (time("--settle", &options.settle)?, time("--max-delay", &options.max_delay)?);
        let max_delete = options.max_delete.as_ref();
        let max_delete =
            max_delete.map(|text| value("--max-delete", text, "a number")).transpose()?;
        for mirror in &mut config.mirrors {
            let Mirror { startup: at_start, delete, allow_empty_source, .. } = mirror;
            *at_start = startup.unwrap_or(*at_start);
            *allow_empty_source |= options.allow_empty_source;
            if options.no_delete {
                *delete = Deletion::Never;
            }
            if let Some(TimeText(settle)) = settle {
                mirror.settle = settle;
                mirror.max_delay = mirror.max_delay.max(settle);
            }
            if let Some(TimeText(max_delay)) = max_delay {
                mirror.max_delay = max_delay;
            }
            mirror.max_delete = max_delete.or(mirror.max_delete);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct TimeText(Interval);

impl FromStr for TimeText {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self)
    }
}

fn value<T: FromStr>(name: &str, text: &[u8], expected: &str) -> Result<T, String> {
    let parsed = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed
        .ok_or_else(|| format!("{name} takes {expected}, not '{}'", String::from_utf8_lossy(text)))
}

pub(crate) fn path(word: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(word))
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Without `..` and links where it is there already.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let absolute = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    absolute.map_err(|error| format!("{}: {error}", path.display()))
}

/// Where queues are kept that no configuration has a place for: the same job has the same place.
fn state_dir_for(config: &Config) -> PathBuf {
    let mut hash = Xxh3::new();
    for mirror in &config.mirrors {
        hash.update(mirror.source.as_os_str().as_bytes());
        for target in &mirror.targets {
            hash.update(b"\0");
            hash.update(target.url.to_string().as_bytes());
        }
        hash.update(b"\0\0");
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let top = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib/synclive")
    } else {
        let top = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let top =
            top.filter(|top| top.is_absolute()).or_else(home).unwrap_or_else(std::env::temp_dir);
        top.join("synclive")
    };
    top.join(format!("{:016x}", hash.digest()))
}

/// The machine that configurations of other tools ask about.
pub(crate) struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        std::env::var_os(OsStr::from_bytes(name)).map(|value| value.as_bytes().to_vec())
    }
}
