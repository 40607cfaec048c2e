//! Rule files, as the filter crate wants them supplied.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use syncline_filter::{CvsSources, RuleFile, RuleFiles};

use crate::{Module, OperatorPaths};

/// Longest rule file that a client may have a daemon read.
const MODULE_FILE_MAX: u64 = 16 << 20;

/// Reads rule files from the file system of this process.
#[derive(Clone, Debug, Default)]
pub struct OperatorFiles {
    /// Which of them may be read.
    pub paths: OperatorPaths,
    /// The names come from a client of this module: all of them lie beneath it. A session's server sets it.
    pub module: Option<Module>,
    /// What CVS mode reads of the user's own.
    pub cvs: CvsPlaces,
}

/// Where the user's own CVS patterns are.
#[derive(Clone, Debug, Default)]
pub struct CvsPlaces {
    /// The home directory, if there is one.
    pub home: Option<PathBuf>,
    /// The value of `CVSIGNORE`.
    pub environment: Vec<u8>,
}

impl OperatorFiles {
    fn open(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(module) = &self.module {
            let trust = self.paths.trust_in_module();
            return match module.read_file(path.as_os_str().as_bytes(), trust, MODULE_FILE_MAX) {
                Err(_) if module.hides(path.as_os_str().as_bytes(), false) => Ok(Vec::new()),
                result => result,
            };
        }
        let mut file = self.paths.open_file(path).map_err(|error| match error.errno() {
            Some(errno) => errno.into(),
            None => io::Error::other(error.to_string()),
        })?;
        let mut text = Vec::new();
        // What cannot be read once it is open, such as a directory, counts as empty.
        if file.read_to_end(&mut text).is_err() {
            text.clear();
        }
        Ok(text)
    }
}

impl RuleFiles for OperatorFiles {
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        match file {
            // It is not the client's, and a session's is empty.
            RuleFile::StandardInput if self.module.is_some() => Ok(Vec::new()),
            RuleFile::StandardInput => {
                let mut text = Vec::new();
                io::stdin().read_to_end(&mut text)?;
                Ok(text)
            }
            RuleFile::Named(name) | RuleFile::InTree(name) => self.open(&path(name)),
            RuleFile::PerDirectory { directory, name } => {
                self.open(&path(directory).join(OsStr::from_bytes(name)))
            }
        }
    }

    fn cvs_sources(&mut self) -> CvsSources {
        let home = self.cvs.home.as_ref().map(|home| home.join(".cvsignore"));
        CvsSources {
            home: home.and_then(|path| self.open(&path).ok()).unwrap_or_default(),
            environment: self.cvs.environment.clone(),
        }
    }
}
