//! Files and directories that the operator names in options, and whose links may lead to them (docs/spec behaviour.md 21.2).

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use syncline_fs::{
    Errno, Error, Op, Result, Root, Trust, create_operator_file, open_operator_file,
};
use syncline_options::Options;

/// Opens what options name: by links of root and ourselves only, unless `--insecure-links`, and nothing outside the
/// directory of `--confine-root`.
#[derive(Clone, Debug, Default)]
pub struct OperatorPaths {
    insecure: bool,
    confined: Confined,
}

#[derive(Clone, Debug, Default)]
enum Confined {
    #[default]
    Free,
    Within(Arc<Root>),
    /// The directory cannot be opened: nothing is inside it.
    Nowhere,
}

impl OperatorPaths {
    /// What these options allow.
    pub fn of(options: &Options) -> Self {
        let attributes = &options.attributes;
        let confined = match &attributes.confine_root {
            None => Confined::Free,
            Some(top) => Root::open(Path::new(OsStr::from_bytes(top)), Trust::Everyone)
                .map_or(Confined::Nowhere, |root| Confined::Within(Arc::new(root))),
        };
        Self { insecure: attributes.insecure_links, confined }
    }

    /// What a daemon's own paths may: anybody's links or only those of owners.
    pub fn following(anybody: bool) -> Self {
        Self { insecure: anybody, confined: Confined::Free }
    }

    /// Opens a file for reading.
    pub fn open_file(&self, path: &Path) -> Result<File> {
        open_operator_file(path, self.trust(Op::Open, path)?)
    }

    /// Opens a file for writing, at its end or emptied; where it is missing it is made.
    pub fn create_file(&self, path: &Path, append: bool, mode: u32) -> Result<File> {
        create_operator_file(path, self.trust(Op::Open, path)?, append, mode)
    }

    /// Opens a directory.
    pub(crate) fn open_directory(&self, path: &Path) -> Result<Root> {
        Root::open(path, self.trust(Op::ChangeDirectory, path)?)
    }

    /// Opens a directory and makes what is missing of it.
    pub(crate) fn create_directory(&self, path: &Path) -> Result<Root> {
        Root::create(path, self.trust(Op::ChangeDirectory, path)?)
    }

    /// Whose links lead to files of a module, which is the boundary by itself.
    pub(crate) fn trust_in_module(&self) -> Trust<'static> {
        if self.insecure { Trust::Everyone } else { Trust::Owners }
    }

    /// Opens a directory below which names of a list (`--files-from`) are. Whoever names them there may name anything,
    /// unless confined.
    pub(crate) fn open_listed(&self, path: &Path) -> Result<Root> {
        match self.confined {
            Confined::Free => Root::open(path, Trust::Everyone),
            _ => self.open_directory(path),
        }
    }

    /// Whether there is a `--confine-root`.
    pub(crate) fn is_confined(&self) -> bool {
        !matches!(self.confined, Confined::Free)
    }

    fn trust(&self, op: Op, path: &Path) -> Result<Trust<'_>> {
        match &self.confined {
            Confined::Free if self.insecure => Ok(Trust::Everyone),
            Confined::Free => Ok(Trust::Owners),
            Confined::Within(top) => Ok(Trust::OwnersWithin(top)),
            Confined::Nowhere => Err(Error::new(op, path.as_os_str().as_bytes(), Errno::LOOP)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_of_confine_root_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        for place in [&inside, &outside] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("rules"), "x").unwrap();
        }
        std::os::unix::fs::symlink("../out/rules", inside.join("link")).unwrap();
        let mut options = Options::default();
        options.attributes.confine_root = Some(inside.as_os_str().as_bytes().to_vec());
        let paths = OperatorPaths::of(&options);
        assert!(paths.open_file(&inside.join("rules")).is_ok());
        assert!(paths.open_directory(&inside).is_ok());
        for refused in [inside.join("link"), inside.join("../out/rules"), outside.join("rules")] {
            let error = paths.open_file(&refused).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::LOOP), "{}", refused.display());
        }
        assert!(paths.create_file(&outside.join("log"), true, 0o644).is_err());
        assert!(paths.open_directory(&outside).is_err());
        options.attributes.confine_root = Some(b"/nosuch".to_vec());
        assert!(OperatorPaths::of(&options).open_file(&inside.join("rules")).is_err());
    }
}
