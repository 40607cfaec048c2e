//! What a daemon imposes on a run: everything a client names lies beneath the module (docs/spec daemon.md 10.3, 13.4).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use syncline_filter::{Filter, Name};
use syncline_fs::{Errno, Error, Kind, Links, Op, RelPath, RelPathBuf, Result, Root, Trust};
use syncline_options::options::SuperUser;

use crate::Job;

/// A module. The working directory of the process is its root.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name.
    pub name: Vec<u8>,
    /// What it hides, in either direction.
    pub filter: Filter,
    /// Where it is for this process; `/` in a chroot.
    pub path: PathBuf,
    /// Paths are cut off at its root; it is not the process's.
    pub sanitizes: bool,
    /// Links may not lead out of it.
    pub confined: bool,
}

impl Module {
    /// Where names begin: paths in messages are relative to the module, unless it is the process's root.
    pub fn start(&self) -> PathBuf {
        if self.sanitizes { PathBuf::new() } else { self.path.clone() }
    }

    /// Whether the module's filter hides a path below it, or a directory on the way.
    pub fn hides(&self, path: &[u8], is_directory: bool) -> bool {
        let path = self.below(Path::new(OsStr::from_bytes(path)));
        let name = Name { is_directory, ..Name::file(path.as_bytes()) };
        !path.as_path().is_root() && self.filter.excludes_any_component(&name)
    }

    /// Opens a file whose name came from a client, in an option or in a rule. A leading slash means the module's root,
    /// `..` stops there, and no link leads out of it; opening never blocks (docs/spec daemon.md 10.3). `ENOENT` for what
    /// the module hides.
    fn open_file(&self, name: &[u8], trust: Trust<'_>) -> io::Result<File> {
        let path = RelPathBuf::sanitize(name).map_err(io::Error::other)?;
        if self.filter.excludes_any_component(&Name::file(path.as_bytes())) {
            return Err(Errno::NOENT.into());
        }
        let opened = top().and_then(|top| {
            if self.confined {
                top.open_peer_file(path.as_path(), trust)
            } else {
                // The process's root is the boundary, or the operator wants none.
                top.open_rule_file(path.as_path(), trust)
            }
        });
        opened.map_err(|error| match (error.errno(), error) {
            (Some(errno), _) => errno.into(),
            (None, Error::NotRegular { kind: Kind::Directory, .. }) => Errno::ISDIR.into(),
            (None, error) => io::Error::other(error),
        })
    }

    /// The text of such a file, if it is not longer than that.
    pub(crate) fn read_file(
        &self,
        name: &[u8],
        trust: Trust<'_>,
        most: u64,
    ) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let length = self.open_file(name, trust)?.take(most + 1).read_to_end(&mut text)? as u64;
        if length > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
    }

    /// A path as one below the module's root, which no `..` leaves.
    fn below(&self, path: &Path) -> RelPathBuf {
        let inside = path.strip_prefix(&self.path).unwrap_or(path);
        RelPathBuf::sanitize(inside.as_os_str().as_bytes()).unwrap_or_else(|_| RelPathBuf::root())
    }

    /// The target that a link in a directory `depth` levels below the module gets: it does not leave the module by name.
    pub fn sanitize_target(&self, target: &[u8], depth: usize) -> Vec<u8> {
        if !self.sanitizes {
            return target.to_vec();
        }
        let depth = if target.starts_with(b"/") { 0 } else { depth };
        let mut ups = 0;
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in target.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if parts.pop().is_some() => {}
                b".." if ups < depth => ups += 1,
                b".." => {}
                part => parts.push(part),
            }
        }
        let mut all = vec![&b".."[..]; ups];
        all.append(&mut parts);
        if all.is_empty() { b".".to_vec() } else { all.join(&b'/') }
    }
}

impl Job {
    fn confining(&self) -> Option<&Module> {
        self.module.as_ref().filter(|module| module.confined)
    }

    /// Owners, modes and nodes are kept in attributes, if that is asked for.
    fn faking(&self, root: Root) -> Root {
        root.with_fake_super(self.options.attributes.super_user == SuperUser::Fake)
    }

    /// An error where the module hides what a path names: nobody's option reaches it.
    fn check_visible(&self, path: &Path, is_directory: bool, op: Op) -> Result<()> {
        let bytes = path.as_os_str().as_bytes();
        match &self.module {
            Some(module) if module.hides(bytes, is_directory) => {
                Err(Error::new(op, bytes, Errno::NOENT))
            }
            _ => Ok(()),
        }
    }

    /// Whose links lead to files that a client named by an option.
    pub(crate) fn trust(&self) -> Trust<'static> {
        if self.options.attributes.insecure_links { Trust::Everyone } else { Trust::Owners }
    }

    /// Opens a directory that an option names, or a client, then beneath its module.
    pub(crate) fn open_root(&self, path: &Path) -> Result<Root> {
        self.check_visible(path, true, Op::ChangeDirectory)?;
        let Some(module) = self.confining() else {
            return Ok(self.faking(self.paths.open_directory(path)?));
        };
        self.faking(top()?).descend(module.below(path).as_path(), Links::Beneath)
    }

    /// Opens the destination, which `--confine-root` leaves to the operator.
    pub(crate) fn open_destination(&self, path: &Path) -> Result<Root> {
        if self.confining().is_some() || !self.paths.is_confined() {
            return self.open_root(path);
        }
        Ok(self.faking(Root::open(path, self.trust())?))
    }

    /// A directory of a source, whose links may lead anywhere in the module.
    pub(crate) fn open_source(&self, path: &Path) -> Result<Root> {
        let Some(module) = self.confining() else {
            let root = match self.options.select.files_from {
                Some(_) => self.paths.open_listed(path)?,
                None => Root::open(path, Trust::Everyone)?,
            };
            return Ok(self.faking(root));
        };
        let below = module.below(path);
        if module.hides(below.as_bytes(), true) {
            return Err(Error::new(Op::ChangeDirectory, below.as_bytes(), Errno::NOENT));
        }
        self.faking(top()?).descend_within(below.as_path())
    }

    /// As [`Job::open_root`], creating what is missing.
    pub(crate) fn create_root(&self, path: &Path) -> Result<Root> {
        self.check_visible(path, true, Op::MakeDirectory)?;
        let Some(module) = self.confining() else {
            return Ok(self.faking(self.paths.create_directory(path)?));
        };
        let below = module.below(path);
        let mut root = self.faking(top()?);
        for name in below.as_path().components() {
            root.place(name.as_path())?.ensure_directory(0o777)?;
            root = root.descend(name.as_path(), Links::Refuse)?;
        }
        Ok(root)
    }

    /// Whether a path is a directory.
    pub(crate) fn is_directory(&self, path: &Path) -> io::Result<bool> {
        if self.check_visible(path, true, Op::Stat).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let Some(module) = self.confining() else {
            return std::fs::metadata(path).map(|data| data.is_dir());
        };
        let look = || {
            let root = top()?.with_links(Links::Beneath);
            root.stat_following(module.below(path).as_path())
        };
        look().map(|stat| stat.is_dir()).map_err(|error| match error.errno() {
            // What leads out of the module is not there; opening it will say so.
            Some(Errno::LOOP) | None => io::ErrorKind::NotFound.into(),
            Some(errno) => errno.into(),
        })
    }

    /// Whether there is anything at a path, be it a link that leads nowhere.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        let Some(module) = self.confining() else { return path.symlink_metadata().is_ok() };
        let below = module.below(path);
        let look = || top()?.with_links(Links::Beneath).place(below.as_path())?.stat();
        below.as_path().is_root() || look().is_ok()
    }

    /// Makes one directory.
    pub(crate) fn make_directory(&self, path: &Path) -> io::Result<()> {
        let Some(module) = self.confining() else { return std::fs::create_dir(path) };
        let make = || {
            let root = top()?.with_links(Links::Beneath);
            root.place(module.below(path).as_path())?.make_directory(0o777)
        };
        make().map_err(|error| {
            error.errno().map_or_else(|| io::Error::other(error.to_string()), Into::into)
        })
    }

    /// A path as messages show it: in quotes, and with the module that it is in.
    pub(crate) fn quote(&self, path: &[u8]) -> Vec<u8> {
        let shown: &[u8] = if path.is_empty() { b"." } else { path };
        match &self.module {
            None => [b"\"", shown, b"\""].concat(),
            Some(module) => [b"\"", shown, b"\" (in ", &module.name, b")"].concat(),
        }
    }
}

fn top() -> Result<Root> {
    Root::open(Path::new("."), Trust::Everyone)
}

/// How deep a directory is.
pub(crate) fn depth(path: &[u8]) -> usize {
    RelPath::new(path).map_or(0, |path| path.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline_filter::{ModuleFilters, NoFiles};

    fn module() -> Module {
        let parameters = ModuleFilters { exclude: b"/secret", ..ModuleFilters::default() };
        let (filter, _) = parameters.compile(b"/srv/m", &mut NoFiles).unwrap();
        let path = "/srv/m".into();
        Module { name: b"m".to_vec(), filter, path, sanitizes: true, confined: true }
    }

    #[test]
    fn targets_stay_in_the_module() {
        for (target, depth, stored) in [
            ("/etc/passwd", 0, "etc/passwd"),
            ("../../x", 0, "x"),
            ("a/../../b", 0, "b"),
            ("../..", 0, "."),
            ("../ok", 1, "../ok"),
            ("../../../q", 1, "../q"),
            ("/../q", 3, "q"),
        ] {
            let found = module().sanitize_target(target.as_bytes(), depth);
            assert_eq!(String::from_utf8_lossy(&found), stored, "{target}");
        }
    }

    #[test]
    fn what_is_below_something_hidden_is_hidden() {
        let module = module();
        assert!(module.hides(b"secret/x", false));
        assert!(module.hides(b"a/../secret", true));
        assert!(module.hides(b"/srv/m/secret", true));
        assert!(!module.hides(b".", true));
        assert!(!module.hides(b"a/secret", true));
    }
}
