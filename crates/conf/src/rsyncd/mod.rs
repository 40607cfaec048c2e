//! `rsyncd.conf` (daemon.md 1 to 3): grammar, includes, contexts, and every parameter typed.
//!
//! ```
//! use std::path::Path;
//! use syncline_conf::rsyncd::{Config, NoIncludes};
//!
//! let text = b"hosts deny = 0.0.0.0/32\n[data]\npath = /srv/data\nhosts allow = 10.0.0.0/8\n";
//! let parsed = Config::parse(Path::new("rsyncd.conf"), text, &NoIncludes)?;
//! for warning in &parsed.warnings {
//!     eprintln!("{warning}"); // rsyncd.conf:1: `hosts deny`: `0.0.0.0/32` matches only the address 0.0.0.0, …
//! }
//! for module in parsed.config.modules() {
//!     assert_eq!(module.name(), b"data");
//!     assert!(*module.settings.list);
//! }
//! # Ok::<(), syncline_conf::rsyncd::Errors>(())
//! ```

mod lines;
mod parameters;
mod print;
mod reader;
mod review;
mod value;
mod warning;

use std::fmt;
use std::io;
use std::path::Path;

pub use parameters::{
    Effective, GlobalSettings, ModuleSettings, Parameter, Scope, parameter, parameters,
};
pub use value::{Facility, Kind, Origin, PathText, Setting};
pub use warning::{Hint, Lookalike, Warning, WarningKind};

pub(crate) use value::leading_integer;

use crate::text::{is_blank, show};
use crate::{Error, Location, Variables};

/// A configuration: the global parameters, the defaults of modules, and the modules.
#[derive(Debug, Clone, Default)]
pub struct Config {
    global: GlobalSettings,
    defaults: ModuleSettings,
    modules: Vec<Module>,
}

/// A module.
#[derive(Debug, Clone)]
pub struct Module {
    name: Vec<u8>,
    location: Location,
    /// Its parameters, with the defaults in force where it was first named.
    pub settings: ModuleSettings,
}

/// A configuration and what is odd about it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// One for each leniency it depends on, by file and line.
    pub warnings: Vec<Warning>,
}

/// Why a configuration cannot be used: every error, where stock stops at the first.
#[derive(Debug)]
pub struct Errors {
    /// At least one, in the order of the files.
    pub errors: Vec<Error>,
    /// The warnings up to there, in the order of the files.
    pub warnings: Vec<Warning>,
    /// The first error stands before the first `[`. Then a daemon does not start; else it starts, and closes every
    /// connection (daemon.md 1.7).
    pub before_first_section: bool,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Supplies what `&include` and `&merge` name, and the environment.
pub trait Includes {
    /// Reads a file, or lists the names in a directory. A relative path is relative to the directory in which the
    /// program was started. Anything that is neither is an error.
    fn read(&self, path: &Path) -> io::Result<Target>;

    /// The value of an environment variable, for `%NAME%` in booleans, numbers and module names.
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        let _ = name;
        None
    }
}

/// What a directive names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file's text.
    File(Vec<u8>),
    /// The names in a directory, in any order.
    Directory(Vec<Vec<u8>>),
}

/// No file can be included and no variable exists.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn read(&self, _: &Path) -> io::Result<Target> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

struct Environment<'a>(&'a dyn Includes);

impl Variables for Environment<'_> {
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.0.variable(name)
    }
}

/// Parameters given to the program (`--dparam`). They act like lines at the end of the first default context, so
/// that modules can still override them (daemon.md 2.1).
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    items: Vec<(&'static Parameter, Vec<u8>)>,
}

impl Overrides {
    /// Adds one `NAME=VALUE`. Blanks before the value are dropped, those after it are not.
    ///
    /// ```
    /// # use syncline_conf::rsyncd::Overrides;
    /// let mut overrides = Overrides::default();
    /// overrides.add(b"motdfile=/etc/motd")?;
    /// assert_eq!(overrides.add(b"porty=3").unwrap_err().to_string(), "unknown parameter \"porty\": did you mean \"port\"?");
    /// # Ok::<(), syncline_conf::Error>(())
    /// ```
    pub fn add(&mut self, text: &[u8]) -> Result<(), Error> {
        let Some(equals) = text.iter().position(|&byte| byte == b'=') else {
            return Err(Error::ParameterWithoutValue { text: show(text) });
        };
        let (name, value) = (&text[..equals], &text[equals + 1..]);
        let Some(parameter) = parameter(name) else {
            return Err(Error::UnknownParameter {
                name: show(name),
                suggestion: parameters::nearest(name),
            });
        };
        let start = value.iter().position(|&byte| !is_blank(byte)).unwrap_or(value.len());
        self.items.push((parameter, value[start..].to_vec()));
        Ok(())
    }
}

impl Config {
    /// Reads a file as every session does: all of it. `path` is what errors name.
    pub fn parse(path: &Path, text: &[u8], includes: &dyn Includes) -> Result<Parsed, Errors> {
        Self::parse_with(path, text, includes, &Overrides::default())
    }

    /// As [`parse`](Self::parse), with parameters given to the program.
    pub fn parse_with(
        path: &Path,
        text: &[u8],
        includes: &dyn Includes,
        overrides: &Overrides,
    ) -> Result<Parsed, Errors> {
        reader::read(path, text, includes, overrides, reader::Extent::Whole)
    }

    /// Reads a file as a daemon does at start: only up to the first `[`, in an included file as well. The result has
    /// no modules; its global parameters are the listener's (daemon.md 2.4).
    pub fn parse_start(
        path: &Path,
        text: &[u8],
        includes: &dyn Includes,
        overrides: &Overrides,
    ) -> Result<Parsed, Errors> {
        reader::read(path, text, includes, overrides, reader::Extent::FirstSection)
    }

    /// The global parameters.
    pub fn global(&self) -> &GlobalSettings {
        &self.global
    }

    /// The defaults at the end of the file: what a session goes by before it knows its module.
    pub fn defaults(&self) -> &ModuleSettings {
        &self.defaults
    }

    /// The modules in the order in which they were first named.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The module a client asks for, byte for byte. Of several with one name, which only renaming can make, the last.
    pub fn module(&self, name: &[u8]) -> Option<&Module> {
        self.modules.iter().rfind(|module| module.name == name)
    }

    /// The effective configuration as a file that reads back to the same values, with a comment where each came
    /// from.
    pub fn print(&self) -> Vec<u8> {
        print::print(self)
    }
}

impl Module {
    /// The name as clients ask for it and as the list shows it, its variables replaced.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Where its first header stands.
    pub fn location(&self) -> &Location {
        &self.location
    }
}
