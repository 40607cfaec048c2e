//! What `wait` and `stats` share: values of options, lists of paths, filters, errors in the stock tools' words.

use std::ffi::{CString, OsStr};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use syncline_sys::posix::Regex;
use syncline_watch::{Backend, Error, Exclude, RootId};

/// Regular expressions as given.
#[derive(Default)]
pub(crate) struct Patterns {
    pub(crate) exclude: Option<Vec<u8>>,
    pub(crate) excludei: Option<Vec<u8>>,
    pub(crate) include: Option<Vec<u8>>,
    pub(crate) includei: Option<Vec<u8>>,
}

impl Patterns {
    /// The first combination that is refused (1.4).
    pub(crate) fn conflict(&self) -> Option<&'static str> {
        if self.exclude.is_some() && self.excludei.is_some() {
            return Some("--exclude and --excludei cannot both be specified.");
        }
        if self.include.is_some() && self.includei.is_some() {
            return Some("--include and --includei cannot both be specified.");
        }
        let excludes = self.exclude.is_some() || self.excludei.is_some();
        let includes = self.include.is_some() || self.includei.is_some();
        (excludes && includes).then_some("include and exclude regexp cannot both be specified.")
    }

    pub(crate) fn compile(&self) -> Result<Filter, String> {
        let compile = |sensitive: &Option<Vec<u8>>, insensitive: &Option<Vec<u8>>, family: &str| {
            let Some(pattern) = sensitive.as_ref().or(insensitive.as_ref()) else {
                return Ok(None);
            };
            let pattern = CString::new(pattern.as_slice()).unwrap_or_default();
            Regex::new(&pattern, insensitive.is_some())
                .map(Some)
                .ok_or_else(|| format!("Error in `{family}' regular expression."))
        };
        Ok(Filter {
            exclude: compile(&self.exclude, &self.excludei, "exclude")?,
            include: compile(&self.include, &self.includei, "include")?,
            at: Vec::new(),
            shown: Mutex::new(Vec::new()),
        })
    }
}

/// Decides which events are dropped and which directories are not entered.
pub(crate) struct Filter {
    exclude: Option<Regex>,
    include: Option<Regex>,
    /// The paths of `@PATH` arguments, without a slash at the end.
    at: Vec<Vec<u8>>,
    /// What is printed for each root.
    shown: Mutex<Vec<Vec<u8>>>,
}

impl Filter {
    /// Whether the event on this path is dropped (7.2).
    pub(crate) fn drops(&self, path: &[u8]) -> bool {
        self.exclude.as_ref().is_some_and(|regex| regex.is_match(path))
            || self.include.as_ref().is_some_and(|regex| !regex.is_match(path))
    }

    /// Whether the exclude pattern matches.
    pub(crate) fn excludes(&self, path: &[u8]) -> bool {
        self.exclude.as_ref().is_some_and(|regex| regex.is_match(path))
    }

    /// A path below a root as printed.
    pub(crate) fn shown_path(&self, root: RootId, path: &[u8]) -> Vec<u8> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whole = shown.get(root.0 as usize).cloned().unwrap_or_default();
        whole.extend_from_slice(path);
        whole
    }

    pub(crate) fn set_at(&mut self, at: &[Vec<u8>]) {
        self.at = at.iter().map(|path| path.strip_suffix(b"/").unwrap_or(path).to_vec()).collect();
    }

    /// Adds what is printed for the next root.
    pub(crate) fn push_shown(&self, shown: Vec<u8>) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
    }

    /// Whether the exclude pattern matches every path that begins with `directory/`: it matches that text wherever more may
    /// follow, be it a word character or not.
    fn covers(&self, directory: &[u8]) -> bool {
        let Some(regex) = &self.exclude else { return false };
        let with = |tail: &[u8]| regex.is_match_within(&[directory, tail].concat());
        with(b"/") && with(b"/a") && with(b"/-")
    }
}

impl Exclude for Filter {
    fn hides(&self, _: RootId, _: &[u8], _: bool) -> bool {
        false
    }

    fn prunes(&self, root: RootId, directory: &[u8], fresh: bool) -> bool {
        if directory.is_empty() || (self.at.is_empty() && self.exclude.is_none()) {
            return false;
        }
        let path = self.shown_path(root, directory);
        self.at.contains(&path)
            || fresh && self.exclude.as_ref().is_some_and(|regex| regex.is_match(&path))
            || self.covers(&path)
    }
}

/// A shared filter as the library takes it.
pub(crate) struct Shared(pub(crate) Arc<Filter>);

impl Exclude for Shared {
    fn hides(&self, root: RootId, path: &[u8], directory: bool) -> bool {
        self.0.hides(root, path, directory)
    }

    fn prunes(&self, root: RootId, directory: &[u8], fresh: bool) -> bool {
        self.0.prunes(root, directory, fresh)
    }
}

/// Paths to watch and paths to leave out, in order.
#[derive(Default)]
pub(crate) struct Paths {
    pub(crate) watch: Vec<Vec<u8>>,
    pub(crate) at: Vec<Vec<u8>>,
}

impl Paths {
    /// One argument or line (3.1).
    pub(crate) fn push(&mut self, word: &[u8]) {
        match word {
            b"" | b"@" => {}
            [b'@', path @ ..] => self.at.push(path.to_vec()),
            path => self.watch.push(path.to_vec()),
        }
    }

    /// The lines of a file (3.3). A file that cannot be read is reported, and counts as empty.
    pub(crate) fn from_file(file: &[u8], report: impl FnOnce(&str)) -> Self {
        let mut paths = Self::default();
        let mut text = Vec::new();
        let read = if file == b"-" {
            std::io::stdin().lock().read_to_end(&mut text)
        } else {
            std::fs::File::open(OsStr::from_bytes(file)).and_then(|mut file| {
                // A directory reads as empty.
                file.read_to_end(&mut text).or(Ok(0))
            })
        };
        if let Err(error) = read {
            report(&format!("Couldn't open {}: {}", String::from_utf8_lossy(file), reason(&error)));
        }
        text.split(|&byte| byte == b'\n').for_each(|line| paths.push(line));
        paths
    }
}

/// The seconds of `-t`; an error is one or two lines (1.3).
pub(crate) fn timeout(text: &[u8]) -> Result<u32, String> {
    const HINT: &str = "Please specify a long int value.";
    if text.is_empty() {
        return Err(format!("The provided value is not a valid timeout value.\n{HINT}"));
    }
    let trimmed = text.trim_ascii_start();
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(format!(
            "'{}' is not a valid timeout value.\n{HINT}",
            String::from_utf8_lossy(text)
        ));
    }
    let digits = String::from_utf8_lossy(digits);
    let signed = if negative { format!("-{digits}") } else { digits.into_owned() };
    let value: i64 = signed.parse().map_err(|_| {
        "Something went wrong with the timeout value you provided.\nNumerical result out of range".to_owned()
    })?;
    // The stock tool keeps 32 bits.
    Ok(value as u32)
}

/// What is printed for an argument: a directory ends in a slash.
pub(crate) fn shown(path: &[u8], watch_links: bool, recursive: bool) -> Vec<u8> {
    let as_path = Path::new(OsStr::from_bytes(path));
    let directory = if watch_links && !recursive {
        as_path.symlink_metadata().is_ok_and(|status| status.is_dir())
    } else {
        as_path.is_dir()
    };
    let mut shown = path.to_vec();
    if directory && !shown.ends_with(b"/") {
        shown.push(b'/');
    }
    shown
}

/// The path of a watched directory as printed.
pub(crate) fn watched(shown: &[u8], directory: &[u8]) -> Vec<u8> {
    let mut path = shown.to_vec();
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    path
}

pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The C library's words for an error, without Rust's number behind them.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

pub(crate) fn errno_reason(errno: i32) -> String {
    reason(&std::io::Error::from_raw_os_error(errno))
}

/// Why no watcher could be made (9.3).
pub(crate) fn cannot_start(error: &Error) -> String {
    let errno = error.errno();
    let mut text = format!("Couldn't initialize inotify: {}", errno_reason(errno.raw_os_error()));
    if errno == rustix::io::Errno::MFILE {
        text += "\nTry increasing the value of /proc/sys/fs/inotify/max_user_instances";
    }
    text
}

/// Why an argument could not be watched (3.2, 9.3); the verb differs between the tools.
pub(crate) fn cannot_watch(verb: &str, path: &[u8], error: &Error) -> String {
    let path = String::from_utf8_lossy(path);
    if error.errno() == rustix::io::Errno::NOSPC {
        return format!(
            "Failed to watch {path}; upper limit on inotify watches reached!\n\
             Please increase the amount of inotify watches allowed per user via `/proc/sys/fs/inotify/max_user_watches'."
        );
    }
    format!("{verb} {path}: {}", errno_reason(error.errno().raw_os_error()))
}

/// The back end of `--backend`.
pub(crate) fn backend(name: &[u8]) -> Result<Backend, String> {
    match name {
        b"auto" => Ok(Backend::Auto),
        b"inotify" => Ok(Backend::Inotify),
        b"fanotify" => Ok(Backend::Fanotify),
        other => Err(format!(
            "'{}' is not a back end; use auto, inotify or fanotify.",
            String::from_utf8_lossy(other)
        )),
    }
}

/// The top of what is mounted where a path leads.
pub(crate) fn mount_point(path: &Path) -> Result<PathBuf, rustix::io::Errno> {
    let of = |path: &Path| {
        let flags = rustix::fs::StatxFlags::MNT_ID;
        rustix::fs::statx(rustix::fs::CWD, path, rustix::fs::AtFlags::empty(), flags)
            .map(|status| status.stx_mnt_id)
    };
    let real = path.canonicalize().map_err(|error| {
        rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
    })?;
    let mount = of(&real)?;
    let inside = real.ancestors().take_while(|above| of(above) == Ok(mount)).last();
    Ok(inside.unwrap_or(&real).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(exclude: &str) -> Filter {
        let patterns = Patterns { exclude: Some(exclude.into()), ..Patterns::default() };
        let filter = patterns.compile().unwrap();
        filter.push_shown(b"d/".to_vec());
        filter
    }

    #[test]
    fn r9_only_patterns_that_cover_all_names_below_prune() {
        let prunes = |pattern: &str, fresh| filter(pattern).prunes(RootId(0), b"skip", fresh);
        assert!(prunes("/skip/", false));
        assert!(prunes("skip", false));
        assert!(!prunes("skip$", false), "names below would not match");
        assert!(prunes("skip$", true), "a new directory that is dropped itself is not entered");
        assert!(!prunes("skip/$", false));
        assert!(!prunes("skip/\\B", false), "only some names below match");
        assert!(!prunes("^skip/", false));
    }

    #[test]
    fn r9_at_paths_prune_new_directories_too() {
        let mut filter = Patterns::default().compile().unwrap();
        filter.set_at(&[b"d/skip/".to_vec()]);
        filter.push_shown(b"d/".to_vec());
        assert!(filter.prunes(RootId(0), b"skip", true));
        assert!(filter.prunes(RootId(0), b"skip", false));
        assert!(!filter.prunes(RootId(0), b"other", false));
    }

    #[test]
    fn timeouts_are_read_as_strtol_does() {
        assert_eq!(timeout(b" +1"), Ok(1));
        assert_eq!(timeout(b"4294967297"), Ok(1));
        assert_eq!(timeout(b"-1"), Ok(u32::MAX));
        assert!(timeout(b"1 ").is_err());
        assert!(timeout(b"99999999999999999999").unwrap_err().contains("out of range"));
    }
}
