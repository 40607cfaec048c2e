//! Reading the configuration from the disk, and stock's lines about what is odd in it (docs/spec daemon.md 1.7, 2.4).

use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use syncline_conf::rsyncd::{
    Config, Errors, Includes, Overrides, Parsed, Target, Warning, WarningKind,
};
use syncline_conf::{Error as ConfError, rsyncd::Kind};
use syncline_engine::reason;
use syncline_fs::{Trust, open_operator_file};
use syncline_options::DaemonOptions;

use crate::variables::of_process;

/// What every reading of the configuration starts from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file.
    pub(crate) path: PathBuf,
    /// `--dparam`.
    pub(crate) overrides: Overrides,
}

/// Why there is no configuration.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The file itself cannot be read.
    Unreadable(PathBuf, io::Error),
    /// What it says cannot be used.
    Unusable(Errors),
}

impl Source {
    /// The source the command line names, or the text that says what is wrong with `--dparam`.
    pub(crate) fn new(options: &DaemonOptions) -> Result<Self, String> {
        let usual = if options.server && !rustix::process::geteuid().is_root() {
            "rsyncd.conf"
        } else {
            "/etc/rsyncd.conf"
        };
        let path = options.config.as_deref().unwrap_or(usual.as_bytes());
        let mut overrides = Overrides::default();
        for (name, value) in &options.parameters {
            if overrides.add(&[name, &b"="[..], value].concat()).is_err() {
                return Err(format!("Unknown parameter \"{}\"", String::from_utf8_lossy(name)));
            }
        }
        Ok(Self { path: crate::paths::path(path).to_owned(), overrides })
    }

    /// All of it, as each session reads it.
    pub(crate) fn whole(&self) -> Result<Parsed, Failure> {
        let text = self.text()?;
        Config::parse_with(&self.path, &text, &Disk, &self.overrides).map_err(Failure::Unusable)
    }

    /// The part above the first section, as a listener reads it.
    pub(crate) fn start(&self) -> Result<Parsed, Failure> {
        let text = self.text()?;
        Config::parse_start(&self.path, &text, &Disk, &self.overrides).map_err(Failure::Unusable)
    }

    fn text(&self) -> Result<Vec<u8>, Failure> {
        read(&self.path).map_err(|error| Failure::Unreadable(self.path.clone(), error))
    }
}

/// No configuration is longer.
const LIMIT: u64 = 64 << 20;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_operator_file(path, Trust::Owners).map_err(|error| match error.errno() {
        Some(errno) => io::Error::from(errno),
        None => io::Error::other(error.to_string()),
    })?;
    let mut text = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::FBIG.raw_os_error()));
    }
    Ok(text)
}

/// Included files come from the disk, variables from the environment.
#[derive(Clone, Copy, Debug)]
struct Disk;

impl Includes for Disk {
    fn read(&self, path: &Path) -> io::Result<Target> {
        let data = std::fs::metadata(path)?;
        if data.is_file() {
            return read(path).map(Target::File);
        }
        if !data.is_dir() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error()));
        }
        // A directory with a fitting name is passed over.
        let names = std::fs::read_dir(path)?.filter_map(|entry| {
            let entry = entry.ok()?;
            let usable = std::fs::metadata(entry.path()).is_ok_and(|data| !data.is_dir());
            usable.then(|| entry.file_name().into_vec())
        });
        Ok(Target::Directory(names.collect()))
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        of_process(name)
    }
}

impl Failure {
    /// Stock's lines for the log.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        match self {
            Self::Unreadable(path, error) => vec![format!(
                "rsync: [Receiver] unable to open config file \"{}\": {}",
                path.display(),
                reason(error)
            )],
            Self::Unusable(errors) => {
                let warnings = errors.warnings.iter().flat_map(stock_lines);
                warnings.chain(errors.errors.first().map(error_line)).collect()
            }
        }
    }

    /// Whether a daemon does not start with it.
    pub(crate) fn prevents_start(&self) -> bool {
        match self {
            Self::Unreadable(..) => true,
            Self::Unusable(errors) => errors.before_first_section,
        }
    }
}

fn error_line(error: &ConfError) -> String {
    match error {
        ConfError::UnclosedSection { name, .. } => {
            format!("Badly formed line in config file: {name}")
        }
        ConfError::EmptySectionName { .. } => "Empty section name in config file.".into(),
        ConfError::SlashInSectionName { name, .. } => {
            format!("Warning: invalid section name in configuration file: {name}")
        }
        ConfError::NoParameterName { .. } => "Invalid parameter name in config file.".into(),
        ConfError::UnknownDirective { name, .. } => format!("Unknown directive: &{name}."),
        ConfError::Include { path, source, .. } => {
            format!("rsync: [Receiver] unable to stat config file \"{path}\": {}", reason(source))
        }
        error => error.to_string(),
    }
}

/// What stock logs about it; nothing for what it does not notice.
pub(crate) fn stock_lines(warning: &Warning) -> Vec<String> {
    match &warning.kind {
        WarningKind::NotAParameter { text, .. } => {
            // Stock leaves a byte order mark as it is.
            let text = text.replace("\\u{feff}", "\u{feff}");
            vec![format!("Ignoring badly formed line in config file: {text}")]
        }
        WarningKind::UnknownParameter { name, .. } => {
            let ignoring = format!("IGNORING unknown parameter \"{name}\"");
            if name.starts_with('-') {
                return vec![ignoring];
            }
            vec![format!("Unknown Parameter encountered: \"{name}\""), ignoring]
        }
        WarningKind::GlobalInModule { name, .. } => {
            vec![format!("Global parameter {} found in module section!", name)]
        }
        WarningKind::BadValue { value, kind: Kind::Boolean | Kind::Tristate, .. } => {
            vec![format!("Badly formed boolean in configuration file: \"{value}\".")]
        }
        _ => Vec::new(),
    }
}
