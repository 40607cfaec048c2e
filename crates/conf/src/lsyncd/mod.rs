//! Configurations of lsyncd 2.2.3, as far as they are data (live.md 2).
//!
//! Such a file is a program in Lua. What real ones are made of is read here: `settings` and `sync` with tables,
//! names that stand for values, strings that are joined, loops over tables. Nothing is executed; what goes
//! further is named with its line as a loss, and the rest is read. What lsyncd would refuse is refused.
//!
//! ```
//! use std::path::Path;
//! # struct Machine;
//! # impl syncline_conf::Surroundings for Machine {
//! #     fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> { Err(std::io::ErrorKind::NotFound.into()) }
//! #     fn is_directory(&self, _: &Path) -> bool { true }
//! #     fn variable(&self, _: &[u8]) -> Option<Vec<u8>> { None }
//! # }
//! let text = b"local host = 'web1'\nsync{ default.rsync, source = '/data', target = host .. '::www', delay = f() }";
//! let parsed = syncline_conf::lsyncd::parse(Path::new("l.lua"), text, &Machine)?;
//! assert_eq!(parsed.syncs[0].target, b"web1::www");
//! assert_eq!((parsed.losses[0].line, &parsed.losses[0].key[..]), (2, "delay"));
//! # Ok::<(), syncline_conf::Error>(())
//! ```

mod evaluate;
mod lexer;
mod reader;
mod syntax;

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Error, Surroundings};

/// What a configuration says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// `settings`.
    pub settings: Settings,
    /// The calls of `sync` that have a default to act by.
    pub syncs: Vec<Sync>,
    /// What cannot be translated.
    pub losses: Vec<Loss>,
    /// Environment variables whose present values were taken, with their lines.
    pub variables: Vec<(u32, String)>,
}

/// Reads the text of `file`.
pub fn parse(file: &Path, text: &[u8], surroundings: &dyn Surroundings) -> Result<Parsed, Error> {
    reader::read(file, text, surroundings)
}

/// Something that is more than data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Its line.
    pub line: u32,
    /// What it would set or do.
    pub key: String,
    /// Why it is not translated.
    pub what: &'static str,
}

/// `settings{…}`, each part if it is given.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each is the setting of its name")]
#[non_exhaustive]
pub struct Settings {
    pub logfile: Option<Vec<u8>>,
    pub pidfile: Option<Vec<u8>>,
    pub nodaemon: Option<bool>,
    pub status_file: Option<Vec<u8>>,
    pub status_interval: Option<f64>,
    pub logfacility: Option<Vec<u8>>,
    pub logident: Option<Vec<u8>>,
    pub insist: Option<bool>,
    pub inotify_mode: Option<InotifyMode>,
    pub max_processes: Option<f64>,
    pub max_delays: Option<f64>,
}

/// When a written file counts as changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InotifyMode {
    /// When it is closed.
    CloseWrite,
    /// At each write.
    Modify,
    /// Both.
    Both,
}

/// What a sync acts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `default.rsync`
    Rsync,
    /// `default.rsyncssh`
    RsyncSsh,
    /// `default.direct`
    Direct,
}

impl Base {
    /// The delay of its syncs in seconds.
    pub fn delay(self) -> f64 {
        match self {
            Self::Rsync | Self::RsyncSsh => 15.0,
            Self::Direct => 1.0,
        }
    }
}

/// One `sync{…}`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sync {
    /// The line of its table.
    pub line: u32,
    /// What it acts by.
    pub base: Base,
    /// `source`, with a slash at its end.
    pub source: Vec<u8>,
    /// `target`, or `host:targetdir`.
    pub target: Vec<u8>,
    /// `delay` in seconds.
    pub delay: f64,
    /// `delete`
    pub delete: Delete,
    /// `init`
    pub init: Init,
    /// `filter` and `filterFrom`: rules of the form `+ PATTERN` and `- PATTERN`.
    pub filter: Vec<Vec<u8>>,
    /// `exclude` and `excludeFrom`: patterns.
    pub exclude: Vec<Vec<u8>>,
    /// `maxProcesses` or `maxDelays` is given.
    pub has_limits: bool,
    /// `exitcodes` is given.
    pub has_exitcodes: bool,
    /// `rsync = {…}`
    pub rsync: BTreeMap<String, RsyncValue>,
    /// `ssh = {…}`
    pub ssh: Ssh,
}

/// `delete`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// `true`
    Always,
    /// `false`
    Never,
    /// `"startup"`
    Startup,
    /// `"running"`
    Running,
    /// Anything else, which acts as `false`.
    Odd,
}

/// `init`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Not given: everything is compared at the start.
    Default,
    /// `false`
    Off,
    /// `true`, which ends lsyncd.
    True,
}

/// A value in `rsync = {…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RsyncValue {
    /// `true` or `false`
    Switch(bool),
    /// A string or a number.
    Text(Vec<u8>),
    /// Words, for `_extra`.
    Words(Vec<Vec<u8>>),
}

/// `ssh = {…}`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the key of its name")]
#[non_exhaustive]
pub struct Ssh {
    pub binary: Option<Vec<u8>>,
    pub port: Option<Vec<u8>>,
    pub identity_file: Option<Vec<u8>>,
    pub options: Vec<(Vec<u8>, Vec<u8>)>,
    pub extra: Vec<Vec<u8>>,
}
