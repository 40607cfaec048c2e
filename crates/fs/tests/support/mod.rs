//! What the tests of this crate share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and a test that cannot set its scene has failed"
)]

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use syncline_fs::{Identity, RelPath, Resolver, Root, Trust};
use tempfile::TempDir;

/// Both ways to resolve a path; every test of confinement runs with each.
pub const RESOLVERS: [Resolver; 2] = [Resolver::Automatic, Resolver::Walk];

/// A tree to work in, and beside it a place that must not be reached.
pub struct Scene {
    directory: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["root", "outside"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let scene = Self { directory };
        std::fs::write(scene.outside("secret"), "secret").unwrap();
        scene
    }

    pub fn inside(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    pub fn outside(&self, path: &str) -> PathBuf {
        self.directory.path().join("outside").join(path)
    }

    pub fn top(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> Root {
        Root::open(&self.inside(""), Trust::Owners).unwrap()
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.inside(path).parent().unwrap()).unwrap();
        std::fs::write(self.inside(path), content).unwrap();
    }

    pub fn directory(&self, path: &str) {
        std::fs::create_dir_all(self.inside(path)).unwrap();
    }

    pub fn link(&self, target: impl AsRef<Path>, path: &str) {
        symlink(target, self.inside(path)).unwrap();
    }

    /// The names in a directory, sorted, without anything left over being overlooked.
    pub fn names(&self, path: &str) -> Vec<String> {
        names(&self.inside(path))
    }
}

pub fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub fn path(text: &str) -> RelPath<'_> {
    RelPath::new(text.as_bytes()).unwrap()
}

pub fn raw(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub fn is_root() -> bool {
    Identity::current().is_root()
}

/// Says loudly that a test did not run.
pub fn skipped(test: &str, reason: &str) {
    // Not with the macro: what that prints is shown for failed tests only.
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A file system of its own, unmounted when dropped.
pub struct Mount {
    point: PathBuf,
    made: Option<TempDir>,
    image: Option<tempfile::NamedTempFile>,
}

impl Mount {
    /// A memory file system with mount `options`; none if this process may not mount.
    pub fn tmpfs(options: &str) -> Result<Self, String> {
        let made = tempfile::tempdir().unwrap();
        let mut mount = Self::tmpfs_at(options, made.path())?;
        mount.made = Some(made);
        Ok(mount)
    }

    /// The same on an existing directory.
    pub fn tmpfs_at(options: &str, point: &Path) -> Result<Self, String> {
        let options = format!("{options},mode=0777");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(point))?;
        Ok(Self { point: point.to_owned(), made: None, image: None })
    }

    /// A loop-mounted file system of 300 MiB made by `mkfs.KIND`.
    pub fn image(kind: &str, options: &[&str]) -> Result<Self, String> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(320 << 20).unwrap();
        run(Command::new(format!("mkfs.{kind}")).args(options).arg("-q").arg(image.path()))?;
        let made = tempfile::tempdir().unwrap();
        let point = made.path().to_owned();
        run(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(&point))?;
        Ok(Self { point, made: Some(made), image: Some(image) })
    }

    pub fn path(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.point));
        drop((self.made.take(), self.image.take()));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
