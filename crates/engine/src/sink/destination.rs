//! What the destination argument means (docs/spec behaviour.md 2, cli.md 5.4).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use syncline_fs::{Dir, Links, RelPath, Root};
use syncline_options::options::AltDestKind;
use syncline_options::values::flags::Debug;

use crate::{Error, ExitCode, Job, Monitor, Notice, Problem, Result, Role, Severity};

/// The transfer's root on the receiving side, and the directories beside it.
#[derive(Debug)]
pub(crate) struct Destination {
    /// None where a dry run would have created it.
    pub(crate) root: Option<Root>,
    /// The one entry's name here, if it is not its own.
    pub(crate) single: Option<Vec<u8>>,
    /// The root's path for messages.
    pub(crate) shown: Vec<u8>,
    /// The root was made by this run.
    pub(crate) created: bool,
    /// Basis directories in the order of their options; none for one that is not there.
    pub(crate) alternates: Vec<Option<Root>>,
    /// Their paths for messages.
    shown_alternates: Vec<PathBuf>,
    /// `--temp-dir`.
    pub(crate) temp_dir: Option<Result<Root, syncline_fs::Error>>,
    /// `--backup-dir`, absolute.
    pub(crate) backup_dir: Option<PathBuf>,
}

/// What of the first lists decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// Entries so far.
    pub(crate) count: usize,
    /// The only one is a directory.
    pub(crate) is_directory: bool,
}

impl Destination {
    /// Finds, makes and opens it. `start` is where relative paths begin.
    pub(crate) fn enter(
        job: &Job,
        argument: &[u8],
        start: &Path,
        arrived: Arrived,
        monitor: &Monitor,
    ) -> Result<Self> {
        let entering = Entering { job, start, monitor };
        let mut destination = entering.enter(argument, arrived)?;
        entering.open_alternates(&mut destination);
        entering.check_backup_dir(&mut destination)?;
        entering.open_temp_dir(&mut destination)?;
        Ok(destination)
    }

    /// An entry's or any other path below the root, for messages.
    pub(crate) fn show(&self, path: &[u8]) -> Vec<u8> {
        let mut shown = self.shown.clone();
        if path != b"." && !path.is_empty() {
            // Empty at the top of a daemon's module.
            if !shown.is_empty() && !shown.ends_with(b"/") {
                shown.push(b'/');
            }
            shown.extend_from_slice(path);
        }
        shown
    }

    /// A path below one of the basis directories, for messages.
    pub(crate) fn show_alternate(&self, number: usize, path: &[u8]) -> Vec<u8> {
        let top = self.shown_alternates.get(number).map(PathBuf::as_path);
        below(top.unwrap_or(Path::new("")).as_os_str().as_bytes(), path).into_os_string().into_vec()
    }
}

struct Entering<'a> {
    job: &'a Job,
    start: &'a Path,
    monitor: &'a Monitor,
}

impl Entering<'_> {
    fn enter(&self, argument: &[u8], arrived: Arrived) -> Result<Destination> {
        let typed = if argument.is_empty() { b"." } else { argument };
        let slash = typed.ends_with(b"/");
        let path = self.absolute(typed);
        let bare = without_slashes(typed);
        if let Some(module) = &self.job.module
            && (module.hides(bare, false) || module.hides(bare, true))
        {
            let typed = String::from_utf8_lossy(typed);
            let text = format!("ERROR: daemon has excluded destination \"{typed}\"");
            return Err(Error::fatal(ExitCode::SELECTION, text));
        }
        if self.job.options.select.mkpath {
            self.make_path(bare, &path, slash, arrived)?;
        }
        match self.job.is_directory(&path) {
            Ok(true) => self.open(&path, 1, false),
            Ok(_) if arrived.count > 1 => Err(Error::fatal(
                ExitCode::SELECTION,
                "ERROR: destination must be a directory when copying more than 1 file",
            )),
            Ok(_) if arrived.is_directory => Err(Error::fatal(
                ExitCode::SELECTION,
                "ERROR: cannot overwrite non-directory with a directory",
            )),
            Ok(_) => self.single(bare),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("ERROR: cannot stat destination {}", self.quoted(&path));
                Err(Error::system(ExitCode::SELECTION, Role::Destination, what, error))
            }
            Err(_) if arrived.count > 1 || slash => self.create(&path, bare),
            Err(_) => self.single(bare),
        }
    }

    /// The destination is a name, for the only entry.
    fn single(&self, bare: &[u8]) -> Result<Destination> {
        let split = bare.iter().rposition(|&byte| byte == b'/');
        let (parent, name) = match split {
            Some(0) => (&b"/"[..], &bare[1..]),
            Some(at) => (&bare[..at], &bare[at + 1..]),
            None => (&b"."[..], bare),
        };
        let path = self.absolute(parent);
        let dry_mkpath =
            self.job.is_dry() && self.job.options.select.mkpath && !self.job.exists(&path);
        let mut destination =
            if dry_mkpath { self.absent(&path) } else { self.open(&path, 3, false)? };
        destination.single = Some(name.to_vec());
        Ok(destination)
    }

    fn create(&self, path: &Path, bare: &[u8]) -> Result<Destination> {
        if self.job.is_dry() {
            self.monitor.notice(Notice::CreatedDirectory(bare));
            return Ok(self.absent(path));
        }
        self.job.make_directory(path).map_err(|error| {
            let what = format!("mkdir {} failed", self.quoted(path));
            Error::system(ExitCode::FILE_IO, Role::Destination, what, error)
        })?;
        self.monitor.notice(Notice::CreatedDirectory(bare));
        self.open(path, 2, true)
    }

    /// `--mkpath`.
    fn make_path(&self, bare: &[u8], path: &Path, slash: bool, arrived: Arrived) -> Result<()> {
        let whole = arrived.count > 1 || slash;
        let target = if whole { Some(path) } else { path.parent() };
        let Some(target) = target.filter(|_| whole || bare.contains(&b'/')) else { return Ok(()) };
        if self.job.exists(path) {
            return Ok(());
        }
        let missing = target.ancestors().take_while(|path| !self.job.exists(path)).count();
        if missing == 0 {
            return Ok(());
        }
        if !self.job.is_dry() {
            let made = self.job.create_root(target);
            made.map_err(|error| self.cannot("mkdir", ExitCode::FILE_IO, target, &error))?;
        }
        let shown = if whole { bare } else { parent_of(bare) };
        self.monitor.notice(Notice::CreatedPath { count: missing, path: shown });
        Ok(())
    }

    fn open(&self, path: &Path, number: u8, created: bool) -> Result<Destination> {
        let root = self.job.open_destination(path).map_err(|error| {
            let word = format!("change_dir#{number}");
            self.cannot(&word, ExitCode::SELECTION, path, &error)
        })?;
        let chdir = || [b"[Receiver] change_dir(", path.as_os_str().as_bytes(), b")"].concat();
        self.monitor.trace(Debug::Chdir, 1, chdir);
        let options = &self.job.options;
        let links = if options.attributes.insecure_links {
            Links::Follow
        } else if options.attributes.keep_dirlinks
            || (options.select.is_relative() && !options.select.implied_dirs)
        {
            Links::Beneath
        } else {
            Links::Refuse
        };
        Ok(Destination { root: Some(root.with_links(links)), created, ..self.absent(path) })
    }

    fn absent(&self, path: &Path) -> Destination {
        let mut shown = tidy(path);
        // The top of a module has no name: the module's anchored rules begin there.
        if self.job.module.is_some() && shown == b"." {
            shown.clear();
        }
        Destination {
            root: None,
            single: None,
            shown,
            created: true,
            alternates: Vec::new(),
            shown_alternates: Vec::new(),
            temp_dir: None,
            backup_dir: None,
        }
    }

    fn open_alternates(&self, destination: &mut Destination) {
        let Some(alternates) = &self.job.options.data.alt_dest else { return };
        for word in &alternates.dirs {
            let path = below(&destination.shown, word);
            destination.shown_alternates.push(path.clone());
            let kind: AltDestKind = alternates.kind;
            let what = match self.job.is_directory(&path) {
                Ok(true) => {
                    destination.alternates.push(self.job.open_root(&path).ok());
                    continue;
                }
                Ok(_) => "arg is not a dir",
                Err(_) => "arg does not exist",
            };
            let mut text = format!("--{} {what}: ", kind.name()).into_bytes();
            text.extend_from_slice(path.as_os_str().as_bytes());
            self.monitor.problem(Problem::new(Severity::Warning, text));
            destination.alternates.push(None);
        }
    }

    fn check_backup_dir(&self, destination: &mut Destination) -> Result<()> {
        let Some(word) = &self.job.options.data.backup_dir else { return Ok(()) };
        let path = below(&destination.shown, word);
        let found = self.job.is_directory(&path);
        if matches!(found, Ok(false)) {
            let text =
                format!("The backup-dir is not a directory: {}", String::from_utf8_lossy(word));
            return Err(Error::fatal(ExitCode::USAGE, text));
        }
        self.monitor.notice(Notice::BackupDirectory { path: word, new: found.is_err() });
        destination.backup_dir = Some(path);
        Ok(())
    }

    fn open_temp_dir(&self, destination: &mut Destination) -> Result<()> {
        let Some(word) = &self.job.options.data.temp_dir else { return Ok(()) };
        let path = below(&destination.shown, word);
        let what = match self.job.is_directory(&path) {
            Ok(true) => {
                destination.temp_dir = Some(self.job.open_root(&path));
                return Ok(());
            }
            Ok(_) => "is not a directory",
            Err(_) => "does not exist",
        };
        let text = format!("The temp-dir {what}: {}", String::from_utf8_lossy(word));
        Err(Error::fatal(ExitCode::USAGE, text))
    }

    fn quoted(&self, path: &Path) -> String {
        if self.job.module.is_none() {
            // As it was typed, a trailing slash included.
            return format!("\"{}\"", path.display());
        }
        String::from_utf8_lossy(&self.job.quote(&tidy(path))).into_owned()
    }

    fn absolute(&self, path: &[u8]) -> PathBuf {
        self.start.join(OsStr::from_bytes(path))
    }

    fn cannot(&self, word: &str, code: ExitCode, path: &Path, error: &syncline_fs::Error) -> Error {
        let source = error.errno().map_or_else(|| io::Error::other(error.to_string()), Into::into);
        let what = format!("{word} {} failed", self.quoted(path));
        Error::system(code, Role::Destination, what, source)
    }
}

impl Destination {
    /// The directory temporary files are made in, if it is not the file's own.
    pub(crate) fn temp_dir(&self) -> Option<Result<&Dir, syncline_fs::Error>> {
        let root = self.temp_dir.as_ref()?;
        Some(root.as_ref().map(Root::top).map_err(Clone::clone))
    }
}

/// A path of an option, relative to the transfer's root.
pub(crate) fn below(root: &[u8], word: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(root)).join(OsStr::from_bytes(word))
}

/// A path as it is shown: without `.` components and trailing slashes.
fn tidy(path: &Path) -> Vec<u8> {
    let tidied: PathBuf = path.components().collect();
    tidied.into_os_string().into_encoded_bytes()
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let length = path.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    &path[..length.min(path.len())]
}

fn parent_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/",
        Some(at) => &path[..at],
        None => b".",
    }
}

/// A path from a list; the list's reader has refused all others.
pub(crate) fn checked(path: &[u8]) -> Result<RelPath<'_>> {
    if path.is_empty() {
        return Ok(RelPath::ROOT);
    }
    RelPath::new(path).map_err(|error| {
        let text = format!("invalid path \"{}\": {error}", String::from_utf8_lossy(path));
        Error::fatal(ExitCode::PROTOCOL, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_slashes_are_not_part_of_a_name() {
        assert_eq!(without_slashes(b"a/b//"), b"a/b");
        assert_eq!(without_slashes(b"/"), b"/");
        assert_eq!(without_slashes(b"."), b".");
        assert_eq!(parent_of(b"a/b"), b"a");
        assert_eq!(parent_of(b"/a"), b"/");
        assert_eq!(parent_of(b"a"), b".");
    }
}
