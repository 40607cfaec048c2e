//! What `wait` and `stats` understand in the same way: the rows of their tables, their values, and how a watcher is made of them.

use std::path::PathBuf;
use std::sync::Arc;

use syncline_watch::{Backend, Error, Mask, Options, Root, Watcher};

use crate::common::{
    Filter, Paths, Patterns, Shared, cannot_start, cannot_watch, errno_reason, mount_point, shown,
};
use crate::events;
use crate::getopt::{Row, Values, flag, ours, value};

pub(crate) const HELP: Row = flag("help", Some(b'h'), "Show this text.");
pub(crate) const RECURSIVE: Row =
    flag("recursive", Some(b'r'), "Watch directories with everything below them.");
pub(crate) const INOTIFY: Row = flag(
    "inotify",
    Some(b'I'),
    "Use inotify, whatever else is said: one watch for each directory.",
);
pub(crate) const FANOTIFY: Row = flag(
    "fanotify",
    Some(b'F'),
    "Use fanotify where that is allowed (root): one mark\nfor the whole file system, however many directories.",
);
pub(crate) const FILE_SYSTEM: Row = flag(
    "filesystem",
    Some(b'S'),
    "Watch everything on the file systems that hold the\npaths, with fanotify; printed paths are absolute.",
);
pub(crate) const NO_DEREFERENCE: Row =
    flag("no-dereference", Some(b'P'), "Watch symbolic links themselves.");
pub(crate) const FROM_FILE: Row =
    value("fromfile", None, "file", "Read paths, one on a line, from a file or `-' for stdin.")
        .takes(Values::Files);
pub(crate) const EXCLUDE: Row = value(
    "exclude",
    None,
    "pattern",
    "Drop events on paths that match this extended regular expression.",
);
pub(crate) const EXCLUDE_CASELESS: Row =
    value("excludei", None, "pattern", "The same, ignoring case.");
pub(crate) const INCLUDE: Row =
    value("include", None, "pattern", "Drop events on paths that do not match.");
pub(crate) const INCLUDE_CASELESS: Row =
    value("includei", None, "pattern", "The same, ignoring case.");
pub(crate) const VERSION: Row = ours(flag("version", None, "Print the version."));
pub(crate) const BACKEND: Row = ours(
    value("backend", None, "name", "auto, inotify (the default here) or fanotify.")
        .takes(Values::Words(&["auto", "inotify", "fanotify"])),
);

/// The name of the argument that is no option.
pub(crate) const LEAVE_OUT: (&str, &str) =
    ("@<file>", "Leave this directory out of a recursive watch.");

/// The release whose behaviour is kept; scripts read it from the first word of the help.
pub(crate) const STOCK: &str = "3.22.6.0";

/// How a program ends before it has begun.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Lines for standard error; the status is 1.
    Refused(String),
    /// A text for standard output, and the status.
    Told(String, u8),
}

impl Ended {
    pub(crate) fn refused<T>(text: &str) -> Result<T, Self> {
        Err(Self::Refused(text.to_owned()))
    }
}

/// What is watched, and how.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) events: Mask,
    pub(crate) recursive: bool,
    pub(crate) watch_links: bool,
    pub(crate) patterns: Patterns,
    inotify: bool,
    fanotify: bool,
    pub(crate) file_systems: bool,
    backend: Option<Backend>,
    fromfile: Option<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
}

impl Watching {
    /// Takes an option's value when it is one of these; false when it is not.
    pub(crate) fn set(&mut self, name: &'static str, value: &mut Vec<u8>) -> Result<bool, Ended> {
        let mut value = || std::mem::take(value);
        match name {
            "version" => {
                let text = format!("syncwatch {}\n", env!("CARGO_PKG_VERSION"));
                return Err(Ended::Told(text, 0));
            }
            "event" => {
                let list = value();
                match events::parse(&list) {
                    Some(mask) => self.events |= mask,
                    None => return Err(Ended::Refused(events::unknown(&list))),
                }
            }
            "recursive" => self.recursive = true,
            "no-dereference" => self.watch_links = true,
            "fromfile" if self.fromfile.is_some() => {
                return Ended::refused("Multiple --fromfile options given.");
            }
            "fromfile" => self.fromfile = Some(value()),
            "exclude" => self.patterns.exclude = Some(value()),
            "excludei" => self.patterns.excludei = Some(value()),
            "include" => self.patterns.include = Some(value()),
            "includei" => self.patterns.includei = Some(value()),
            "inotify" => self.inotify = true,
            "fanotify" => self.fanotify = true,
            "filesystem" => self.file_systems = true,
            "backend" => {
                self.backend = Some(crate::common::backend(&value()).map_err(Ended::Refused)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What holds when everything was read.
    pub(crate) fn finish(&mut self) {
        if self.events.is_empty() {
            self.events = Mask::ALL;
        }
        // A command line that names both means the one that works everywhere.
        self.file_systems &= !self.inotify;
    }

    /// The paths to watch, from file and arguments.
    pub(crate) fn paths(&self, report: impl FnOnce(&str)) -> Paths {
        let mut paths = match &self.fromfile {
            Some(file) => Paths::from_file(file, report),
            None => Paths::default(),
        };
        self.arguments.iter().for_each(|word| paths.push(word));
        paths
    }

    /// The back end, and whether inotify takes its place where it is not to be had.
    fn backend(&self) -> (Backend, bool) {
        match self.backend {
            _ if self.inotify => (Backend::Inotify, false),
            _ if self.file_systems => (Backend::Fanotify, false),
            Some(backend) => (backend, false),
            None if self.fanotify => (Backend::Fanotify, true),
            None => (Backend::Inotify, false),
        }
    }

    /// Whether a watcher is to be had, before anything is said.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        let (backend, falls_back) = self.backend();
        let open = |backend| Watcher::new(Options { backend, ..Options::default() });
        match open(backend) {
            Err(Error::Fanotify { .. }) if falls_back => open(Backend::Inotify),
            made => made,
        }
        .map(drop)
    }

    /// Watches every path; an error is the text to print. `announce` hears of each path before and after.
    pub(crate) fn establish(
        &self,
        options: &Options,
        filter: &Arc<Filter>,
        paths: &Paths,
        words: &Wording,
        mut announce: impl FnMut(&[u8], bool),
    ) -> Result<Established, String> {
        let (backend, falls_back) = self.backend();
        let mut options = Options {
            backend,
            watch_links: self.watch_links,
            remember_names: options.remember_names && !self.file_systems,
            exclude: Some(Arc::new(Shared(filter.clone()))),
            ..options.clone()
        };
        let mut watched = match Watcher::new(options.clone()) {
            Err(Error::Fanotify { .. }) if falls_back => {
                options.backend = Backend::Inotify;
                Watcher::new(options.clone())
            }
            made => made,
        }
        .map_err(|error| cannot_start(&error))?;
        let mut roots: Vec<Vec<u8>> = Vec::new();
        for (number, argument) in paths.watch.iter().enumerate() {
            if paths.watch.iter().take(number).any(|earlier| earlier == argument) {
                continue;
            }
            announce(argument, false);
            let (root, text) = self
                .root(argument, words)
                .map_err(|error| cannot_watch(words.verb, argument, &error))?;
            if self.file_systems && roots.contains(&text) {
                continue;
            }
            filter.push_shown(text.clone());
            roots.push(text);
            match watched.add(root.clone()) {
                Err(Error::Fanotify { .. })
                    if falls_back && options.backend == Backend::Fanotify =>
                {
                    // Only inotify may watch here: it takes over what was added so far.
                    options.backend = Backend::Inotify;
                    watched =
                        Watcher::new(options.clone()).map_err(|error| cannot_start(&error))?;
                    for argument in paths.watch.iter().take(number) {
                        let (root, _) = self
                            .root(argument, words)
                            .map_err(|error| cannot_watch(words.verb, argument, &error))?;
                        watched
                            .add(root)
                            .map_err(|error| cannot_watch(words.verb, argument, &error))?;
                    }
                    watched.add(root)
                }
                Err(error @ Error::Fanotify { .. }) if self.file_systems => {
                    let reason = errno_reason(error.errno().raw_os_error());
                    let name = String::from_utf8_lossy(argument);
                    return Err(format!("Couldn't add filesystem watch {name}: {reason}"));
                }
                added => added,
            }
            .map_err(|error| cannot_watch(words.verb, argument, &error))?;
            announce(argument, true);
        }
        Ok(Established { watcher: watched, roots })
    }

    /// What is watched for an argument, and how it is printed.
    fn root(&self, argument: &[u8], words: &Wording) -> Result<(Root, Vec<u8>), Error> {
        let place = (words.place)(argument);
        if self.file_systems {
            let top =
                mount_point(&place).map_err(|errno| Error::Watch { path: place.clone(), errno })?;
            let text = shown(top.as_os_str().as_encoded_bytes(), false, true);
            return Ok((Root::tree(top), text));
        }
        let text = shown(argument, self.watch_links, self.recursive);
        Ok((if self.recursive { Root::tree(place) } else { Root::single(place) }, text))
    }
}

/// What the two programs say and do differently when they set up.
pub(crate) struct Wording {
    /// The beginning of the text for a path that cannot be watched.
    pub(crate) verb: &'static str,
    /// The path behind an argument.
    pub(crate) place: fn(&[u8]) -> PathBuf,
}

/// All watches, and what is printed for each root.
pub(crate) struct Established {
    pub(crate) watcher: Watcher,
    pub(crate) roots: Vec<Vec<u8>>,
}
