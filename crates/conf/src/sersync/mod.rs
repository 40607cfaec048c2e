//! `confxml.xml` of sersync 2.5.4, read as that program reads it (live.md 1).
//!
//! Elements it needs and would crash without take the values of the file it came with; each gives a finding, as
//! does everything else it passes over in silence. What the values mean for a mirror of ours is decided elsewhere.
//!
//! ```
//! let text = br#"<head><sersync>
//!   <localpath watch="/data"><remote ip="192.0.2.7" name="backup"/></localpath>
//! </sersync></head>"#;
//! let parsed = syncline_conf::sersync::Confxml::parse(text)?;
//! assert_eq!(parsed.confxml.source.watch, b"/data");
//! assert_eq!(parsed.confxml.source.remotes[0].name, b"backup");
//! assert_eq!(parsed.findings[0].to_string(), "line 1: `host` is missing, without which sersync crashes: \
//!     the value of its default file is taken");
//! # Ok::<(), syncline_conf::Error>(())
//! ```

mod expression;
mod finding;
mod reader;
mod xml;

pub use finding::{ConfxmlProblem, Finding, FindingKind};
pub use xml::XmlProblem;

use crate::Error;

/// A configuration of sersync.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confxml {
    /// `debug`: show watches, events and commands.
    pub debug: bool,
    /// `fileSystem xfs`: find directories with stat.
    pub xfs: bool,
    /// `filter`: events to ignore.
    pub filter: Filter,
    /// `inotify`: which events count.
    pub events: Events,
    /// The first `localpath`: the one that counts.
    pub source: LocalPath,
    /// Further ones, which sersync does not read.
    pub ignored_sources: Vec<LocalPath>,
    /// `commonParams params`: what is typed after `rsync `.
    pub params: Vec<u8>,
    /// `auth`, if it is on.
    pub auth: Option<Auth>,
    /// `userDefinedPort`, if it is on.
    pub port: Option<u16>,
    /// `timeout` in seconds, if it is on.
    pub timeout: Option<u32>,
    /// `ssh`: a remote shell and not a daemon.
    pub ssh: bool,
    /// `failLog`.
    pub fail_log: FailLog,
    /// `crontab`, if it is on.
    pub crontab: Option<Crontab>,
    /// `sersync/plugin`, if it is on: the name of the plugin to run after each event.
    pub plugin: Option<Vec<u8>>,
    /// `head/plugin`: the definitions, those of unknown kind left out.
    pub plugins: Vec<Plugin>,
}

/// A directory and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath {
    /// The directory.
    pub watch: Vec<u8>,
    /// Its targets.
    pub remotes: Vec<Remote>,
    /// The line.
    pub line: u32,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The host, perhaps with `user@`.
    pub ip: Vec<u8>,
    /// The module, or with ssh the path.
    pub name: Vec<u8>,
}

/// Expressions matched against the whole of a string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether it is on.
    pub on: bool,
    /// The expressions.
    pub expressions: Vec<Expression>,
}

impl Filter {
    /// The expressions that have an effect: the valid ones of a filter that is on.
    pub fn in_force(&self) -> impl Iterator<Item = &[u8]> {
        let expressions = self.expressions.iter().filter(|expression| self.on && expression.valid);
        expressions.map(|expression| &expression.text[..])
    }
}

/// A regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// As written.
    pub text: Vec<u8>,
    /// Whether sersync can use it; what it cannot it skips.
    pub valid: bool,
}

/// The switches of `inotify` (live.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the switch of its name")]
pub struct Events {
    pub delete: bool,
    pub create_folder: bool,
    pub create_file: bool,
    pub close_write: bool,
    pub move_from: bool,
    pub move_to: bool,
    pub attrib: bool,
    pub modify: bool,
}

/// The user of daemons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The user.
    pub users: Vec<u8>,
    /// The file with the password alone.
    pub password_file: Vec<u8>,
}

/// The script of commands that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailLog {
    /// The script.
    pub path: Vec<u8>,
    /// Minutes between its runs.
    pub minutes: i32,
}

/// Full pushes from time to time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    /// Minutes between them.
    pub minutes: i32,
    /// The rsync patterns of `crontabfilter`, none if it is off.
    pub filter: Vec<Vec<u8>>,
    /// sersync never runs them, because `filter` is on and `crontabfilter` is not.
    pub switched_off: bool,
}

/// The definition of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plugin {
    /// `command`: a command line around the path.
    Command {
        /// Before the path.
        prefix: Vec<u8>,
        /// After it.
        suffix: Vec<u8>,
        /// Whether its output is thrown away.
        ignore_error: bool,
        /// Which paths; off: all.
        filter: Filter,
    },
    /// `socket`: the path is sent to an address.
    Socket {
        /// Its own source.
        watch: Vec<u8>,
        /// The address.
        ip: Vec<u8>,
        /// The port.
        port: u16,
    },
    /// `refreshCDN`: a request for each path.
    RefreshCdn {
        /// Its own source.
        watch: Vec<u8>,
        /// The server.
        domain_name: Vec<u8>,
        /// Its port.
        port: u16,
        /// Its user.
        user_name: Vec<u8>,
        /// And the password.
        password: Vec<u8>,
        /// What URLs begin with.
        base: Vec<u8>,
        /// Whether `pattern` is used.
        regex: bool,
        /// Which part of the path the URL takes.
        pattern: Vec<u8>,
    },
}

impl Plugin {
    /// Its name.
    pub fn name(&self) -> &'static [u8] {
        match self {
            Self::Command { .. } => b"command",
            Self::Socket { .. } => b"socket",
            Self::RefreshCdn { .. } => b"refreshCDN",
        }
    }

    /// The directory it has sersync watch in place of its own source.
    pub fn watch(&self) -> Option<&[u8]> {
        match self {
            Self::Command { .. } => None,
            Self::Socket { watch, .. } | Self::RefreshCdn { watch, .. } => Some(watch),
        }
    }
}

/// A configuration and what is odd about it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The configuration.
    pub confxml: Confxml,
    /// What sersync passes over in silence, or crashes on.
    pub findings: Vec<Finding>,
}

impl Confxml {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Result<Parsed, Error> {
        reader::read(text)
    }

    /// The definition of the plugin that is on, if there is one.
    pub fn active_plugin(&self) -> Option<&Plugin> {
        let name = self.plugin.as_deref()?;
        self.plugins.iter().find(|plugin| plugin.name() == name)
    }
}
