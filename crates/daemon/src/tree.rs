//! A directory that a client is kept in without a configuration: what a restricted login key opens.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use syncline_engine::{Module, reason};
use syncline_filter::{Filter, Rules, Side};
use syncline_fs::{Root, Trust};
use syncline_options::Options;
use syncline_options::options::Batch;

use crate::confine::{self, Confinement};
use crate::expand::Expander;
use crate::option_paths::OptionPaths;

/// The directory, which is the working directory from now on.
#[derive(Debug)]
pub struct Tree {
    module: Module,
}

impl Tree {
    /// Enters a directory of the operator.
    pub fn enter(directory: &[u8]) -> Result<Self, String> {
        let shown = String::from_utf8_lossy(directory);
        let failed = |reason: String| format!("cannot enter {shown}: {reason}");
        let root = Root::open(Path::new(OsStr::from_bytes(directory)), Trust::Owners)
            .map_err(|error| failed(error.reason()))?;
        rustix::process::fchdir(root.top()).map_err(|errno| failed(reason(&errno.into())))?;
        let path = std::env::current_dir().map_err(|error| failed(reason(&error)))?;
        // What clients see of where they are.
        let name = path.file_name().unwrap_or(OsStr::new("/")).to_owned().into_vec();
        Ok(Self {
            module: Module {
                name,
                filter: Filter::new(&Rules::default(), Side::Receiver),
                path,
                sanitizes: true,
                confined: true,
            },
        })
    }

    /// Keeps the directory for this process while it lives, if no other has it; rrsync takes the same lock.
    pub fn lock(&self) -> Result<(), String> {
        let here = rustix::fs::open(
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let taken = here.and_then(|here| {
            rustix::fs::flock(&here, FlockOperation::NonBlockingLockExclusive)?;
            // The lock ends with the process.
            std::mem::forget(here);
            Ok(())
        });
        taken.map_err(|errno| {
            let shown = self.module.path.display();
            if errno == Errno::WOULDBLOCK {
                format!(
                    "another session is at work in {shown}: try again when it has ended (--no-lock in the key's command allows several)"
                )
            } else {
                format!("cannot lock {shown}: {}", reason(&errno.into()))
            }
        })
    }

    /// Takes from this thread, and all it will start, every path outside of the tree, the making of devices, and the calls
    /// that no transfer makes; without `writes` every change too. Nothing gives them back.
    pub fn confine(&self, writes: bool) -> Result<(), String> {
        confine::warm_up();
        let here = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| errno.to_string())?;
        Confinement { writes, links: false }.enforce_without_devices(here.as_fd())
    }

    /// A client's path as one below the tree.
    pub fn path(&self, word: &[u8]) -> Vec<u8> {
        Expander::in_tree(&self.module.filter).clean(word)
    }

    /// The paths below the tree that a pattern matches, if it has wildcards and matches any. A backslash takes the meaning
    /// from the character behind it.
    pub fn expand(&self, pattern: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut expander = Expander::in_tree(&self.module.filter);
        let clean = expander.clean(pattern);
        expander.matches(&clean).filter(|found| !found.is_empty())
    }

    /// Brings the paths in a client's options inside, and takes back what a client has no say in. An error is the text for
    /// the client.
    pub fn impose(&self, options: &mut Options) -> Result<(), String> {
        let attributes = &mut options.attributes;
        attributes.insecure_links = false;
        attributes.confine_root = None;
        options.batch = Batch::default();
        options.output.log_file = None;
        let paths = OptionPaths {
            root: self.module.path.as_os_str().as_bytes(),
            sanitizes: true,
            filter: &self.module.filter,
        };
        paths.impose(options).map_err(|refusal| String::from_utf8_lossy(&refusal.text).into_owned())
    }

    /// The tree as the engine keeps a run in it.
    pub fn into_module(self) -> Module {
        self.module
    }
}
