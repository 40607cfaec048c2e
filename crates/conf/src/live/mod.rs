//! `synclive.toml`: which directories are mirrored, where to, and how.
//!
//! Reading checks everything that can be checked without a disk or a network: unknown keys, wrong types, values
//! out of their range, targets that lie in their own source or in each other. An error names the file, the line,
//! the key and what is accepted. Printing writes what differs from the defaults; reading that again gives the
//! same configuration.
//!
//! ```
//! use std::path::Path;
//! use syncline_conf::live::Config;
//!
//! let text = br#"
//! [[mirror]]
//! source = "/data/www/"
//! filter = ["- *.tmp"]
//! options = { compress = true }
//!
//! [[mirror.target]]
//! url = "backup@web1::files"
//! password-file = "/etc/synclive/web1.secret"
//! "#;
//! let config = Config::parse(Path::new("synclive.toml"), text)?;
//! assert_eq!(config.mirrors[0].targets[0].url.to_string(), "rsync://backup@web1/files/");
//!
//! let mistyped = b"[[mirror]]\nsource = \"/data\"\nsettle = 5\n";
//! assert_eq!(
//!     Config::parse(Path::new("synclive.toml"), mistyped).unwrap_err().to_string(),
//!     "synclive.toml:3: `mirror[0].settle`: invalid type: integer `5`, expected a time such as `500ms`, `30s`, \
//!      `10m`, `2h` or `1d`"
//! );
//! # Ok::<(), syncline_conf::Error>(())
//! ```

mod address;
mod check;
mod hook;
mod options;
mod print;
mod reader;
mod schedule;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
pub use address::Address;
pub use hook::{
    Action, After, Body, ChangeKind, Hook, HostPort, HttpHook, Output, PassPaths, RunHook, Stream,
    StreamAddress, StreamFormat,
};
pub use options::{OptionValue, Options};
pub use schedule::{Cron, Schedule};
pub use value::{Bandwidth, BandwidthWindow, DayPart, Deletion, Interval, Rate, Rule, Size, Word};

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// How much is logged.
    pub log_level: LogLevel,
    /// Where queues and identities are kept.
    pub state_dir: PathBuf,
    /// Where metrics, health and the status page are served.
    pub status_addr: Option<SocketAddr>,
    /// A file with the status, replaced at each change.
    pub status_file: Option<PathBuf>,
    /// How far a target may lag and still count as healthy.
    pub healthy_lag: Interval,
    /// How long stopping may take to send what waits.
    pub stop_within: Interval,
    /// When journals reach the disk.
    pub journal_sync: JournalSync,
    /// The mirrors.
    #[serde(rename = "mirror")]
    pub mirrors: Vec<Mirror>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_level: LogLevel::Info,
            state_dir: PathBuf::from("/var/lib/synclive"),
            status_addr: None,
            status_file: None,
            healthy_lag: Interval(Duration::from_secs(60)),
            stop_within: Interval(Duration::from_secs(10)),
            journal_sync: JournalSync::Batch,
            mirrors: Vec::new(),
        }
    }
}

impl Config {
    /// Reads and checks the text of `file`.
    pub fn parse(file: &Path, text: &[u8]) -> Result<Self, Error> {
        reader::read(file, text)
    }

    /// What [`parse`](Self::parse) checks, for a configuration that does not come from a file.
    pub fn check(&self) -> Result<(), Error> {
        check::check(self).map_err(|fault| Error::LiveCheck {
            key: reader::name_of(&fault.place),
            problem: fault.problem,
        })
    }

    /// The text that [`parse`](Self::parse) reads as this. Fails for a path that is not UTF-8.
    pub fn print(&self) -> Result<String, Error> {
        print::print(self)
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// And what may.
    Warn,
    /// One line for a batch and for each change of state.
    #[default]
    Info,
    /// Each path.
    Debug,
}

/// When journals reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalSync {
    /// Before a session starts, and every second.
    #[default]
    Batch,
    /// After each record.
    Always,
    /// When the kernel likes.
    Never,
}

/// What is done when a mirror starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Startup {
    /// Everything is compared with each target.
    #[default]
    Compare,
    /// The journal is trusted if it was closed cleanly.
    Trust,
    /// Only changes made from now on are sent.
    None,
}

/// Which connections are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warm {
    /// None.
    None,
    /// One that has been greeted, which takes no slot of a module.
    #[default]
    Greeting,
    /// One that has named its module.
    Module,
}

/// A directory and its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Mirror {
    /// What to call it; its source if it has no name.
    pub name: Option<Word>,
    /// The directory whose content is mirrored, or a single file.
    pub source: PathBuf,
    /// What is done at the start.
    pub startup: Startup,
    /// What is removed.
    pub delete: Deletion,
    /// rsync filter rules, first match wins.
    pub filter: Vec<Rule>,
    /// Expressions of sersync that no rsync rule can say: what matches one as a whole is hidden.
    pub filter_regex: Vec<String>,
    /// When everything is compared and pushed.
    pub schedule: Option<Schedule>,
    /// What those runs hide, in place of `filter`.
    pub schedule_filter: Vec<Rule>,
    /// When everything is compared in the background, as a check.
    pub verify: Option<Schedule>,
    /// Whether that check reads contents.
    pub verify_content: bool,
    /// How long a path is left in peace before it is sent.
    pub settle: Interval,
    /// How long a path that never comes to rest waits.
    pub max_delay: Interval,
    /// How long a file that stays open waits.
    pub max_open_wait: Interval,
    /// How long a path waits that was just sent.
    pub resend_interval: Interval,
    /// How long a target waits between the ends of two batches.
    pub min_interval: Option<Interval>,
    /// Paths in a session, at most.
    pub batch_paths: u32,
    /// Content in a session, at most.
    pub batch_bytes: Size,
    /// Waiting paths, at most: more collapse to directories to be compared.
    pub max_paths: u32,
    /// How often the part of the source is looked at that has more directories than this user may watch; zero: such a
    /// mirror does not start.
    pub poll_interval: Interval,
    /// Removals in a batch before a person is asked; absent: 10,000 or half of what is known, whichever is more.
    pub max_delete: Option<u64>,
    /// Whether an empty source may empty its targets.
    pub allow_empty_source: bool,
    /// Names, as patterns, that editors and programs use for a moment.
    pub transient: Vec<Word>,
    /// From which size changed files are sent as differences.
    pub delta_min: Size,
    /// rsync's options.
    pub options: Options,
    /// Further options of rsync, as words of its command line.
    pub rsync_options: Vec<Word>,
    /// The bandwidth of each target.
    pub bwlimit: Option<Bandwidth>,
    /// Where it goes.
    #[serde(rename = "target")]
    pub targets: Vec<Target>,
    /// What is told afterwards.
    #[serde(rename = "hook")]
    pub hooks: Vec<Hook>,
    /// Who is told each change.
    #[serde(rename = "stream")]
    pub streams: Vec<Stream>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            name: None,
            source: PathBuf::new(),
            startup: Startup::Compare,
            delete: Deletion::Always,
            filter: Vec::new(),
            filter_regex: Vec::new(),
            schedule: None,
            schedule_filter: Vec::new(),
            verify: None,
            verify_content: false,
            settle: Interval(Duration::from_millis(3)),
            max_delay: Interval(Duration::from_secs(2)),
            max_open_wait: Interval(Duration::from_secs(10)),
            resend_interval: Interval(Duration::from_millis(500)),
            min_interval: None,
            batch_paths: 10_000,
            batch_bytes: Size(256 << 20),
            max_paths: 200_000,
            poll_interval: Interval(Duration::from_secs(60)),
            max_delete: None,
            allow_empty_source: false,
            transient: Vec::new(),
            delta_min: Size(64 << 10),
            options: Options::default(),
            rsync_options: Vec::new(),
            bwlimit: None,
            targets: Vec::new(),
            hooks: Vec::new(),
            streams: Vec::new(),
        }
    }
}

/// Where a mirror goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Target {
    /// What to call it; its address if it has no name.
    pub name: Option<Word>,
    /// The address.
    pub url: Address,
    /// The file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// The remote shell and its arguments; absent: `ssh`.
    pub ssh: Vec<Word>,
    /// Options of rsync that differ from the mirror's.
    pub options: Options,
    /// Further options, after the mirror's.
    pub rsync_options: Vec<Word>,
    /// The bandwidth, in place of the mirror's.
    pub bwlimit: Option<Bandwidth>,
    /// How long connecting may take.
    pub connect_timeout: Interval,
    /// How long the handshake may take.
    pub handshake_timeout: Interval,
    /// How long nothing may move.
    pub io_timeout: Interval,
    /// The longest pause between two attempts.
    pub backoff_max: Interval,
    /// Whether the handshake is sent ahead of the answers.
    pub pipeline: bool,
    /// Which connections are kept ready.
    pub warm: Warm,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            name: None,
            url: Address::default(),
            password_file: None,
            ssh: Vec::new(),
            options: Options::default(),
            rsync_options: Vec::new(),
            bwlimit: None,
            connect_timeout: Interval(Duration::from_secs(10)),
            handshake_timeout: Interval(Duration::from_secs(15)),
            io_timeout: Interval(Duration::from_secs(60)),
            backoff_max: Interval(Duration::from_secs(30)),
            pipeline: true,
            warm: Warm::Greeting,
        }
    }
}
