//! What `--filter`, `--exclude` and `--include` leave out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_filter::{CvsSources, Filter as RuleFilter, Name, RuleFile, RuleFiles, Rules, Side};
use syncline_watch::{Exclude, RootId};

use super::options::Settings;
use crate::common::Filter;
use crate::syslog::Diagnostics::Stderr;

/// Hides what the patterns and rules leave out, whatever directory it is in.
pub(super) struct Hidden {
    patterns: Arc<Filter>,
    rules: Rules,
    /// The rules as they are in the directory that was asked about last, for each root.
    filters: Mutex<HashMap<RootId, RuleFilter>>,
    /// The roots without links: files of rules are read there.
    tops: Vec<Vec<u8>>,
    /// Some rule names a file that each directory may have.
    per_directory: bool,
}

impl Hidden {
    pub(super) fn new(settings: &Settings, patterns: Arc<Filter>) -> Result<Self, String> {
        let mut rules = Rules::new(syncline_filter::Settings::default());
        for rule in &settings.filter {
            rules.filter(rule, &mut Disk).map_err(|error| error.to_string())?;
        }
        let top = |path: &Vec<u8>| {
            let path = Path::new(OsStr::from_bytes(path));
            // What is not there makes the watcher say so.
            path.canonicalize()
                .map(|path| path.into_os_string().as_bytes().to_vec())
                .unwrap_or_default()
        };
        Ok(Self {
            per_directory: RuleFilter::new(&rules, Side::Sender).reads_directories(),
            patterns,
            rules,
            filters: Mutex::default(),
            tops: settings.paths.iter().map(top).collect(),
        })
    }

    fn rules_hide(&self, root: RootId, path: &[u8], directory: bool) -> bool {
        let name = if directory { Name::directory(path) } else { Name::file(path) };
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let filter = filters.entry(root).or_insert_with(|| {
            let mut filter = RuleFilter::new(&self.rules, Side::Sender);
            filter.set_root(self.tops.get(root.0 as usize).map(Vec::as_slice).unwrap_or_default());
            filter
        });
        if self.per_directory {
            let parent = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at);
            // Read again whenever a name in the directory is asked about: a file of rules may be what changed.
            while filter.depth() > 0 {
                filter.leave();
            }
            let parent = path.get(..parent).unwrap_or_default();
            if let Err(error) = filter.move_to(parent, &mut Disk) {
                Stderr.say(&format!("syncwatch: {error}"));
            }
        }
        filter.excludes(&name)
    }
}

impl Exclude for Hidden {
    fn hides(&self, root: RootId, path: &[u8], directory: bool) -> bool {
        // The root itself was asked for.
        if path.is_empty() {
            return false;
        }
        let whole = self.patterns.shown_path(root, path);
        // An include pattern decides about files; the way to them stays open.
        let dropped =
            if directory { self.patterns.excludes(&whole) } else { self.patterns.drops(&whole) };
        dropped || self.rules_hide(root, path, directory)
    }

    fn prunes(&self, root: RootId, directory: &[u8], fresh: bool) -> bool {
        self.hides(root, directory, true) || self.patterns.prunes(root, directory, fresh)
    }
}

/// Files of rules where they are.
struct Disk;

impl RuleFiles for Disk {
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        let path = match file {
            RuleFile::StandardInput => {
                let mut text = Vec::new();
                io::stdin().lock().read_to_end(&mut text)?;
                return Ok(text);
            }
            RuleFile::Named(name) | RuleFile::InTree(name) => OsStr::from_bytes(name).into(),
            RuleFile::PerDirectory { directory, name } => {
                Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name))
            }
        };
        let mut text = Vec::new();
        // What opens and cannot be read, such as a directory, is empty.
        std::fs::File::open::<std::path::PathBuf>(path)?
            .read_to_end(&mut text)
            .or(Ok::<_, io::Error>(0))?;
        Ok(text)
    }

    fn cvs_sources(&mut self) -> CvsSources {
        let home = std::env::home_dir().map(|home| home.join(".cvsignore"));
        CvsSources {
            home: home.and_then(|path| std::fs::read(path).ok()).unwrap_or_default(),
            environment: std::env::var_os("CVSIGNORE").unwrap_or_default().as_bytes().to_vec(),
        }
    }
}
