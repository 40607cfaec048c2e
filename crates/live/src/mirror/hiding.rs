//! What the filter rules hide, for the watcher: the same rules as for what is sent (R11, R100).

use std::sync::{Mutex, PoisonError};

use syncline_engine::source::OperatorFiles;
use syncline_filter::{Filter, Name};
use syncline_watch::{Exclude, RootId};

/// The rules of a mirror, shared by its watcher and its planner.
#[derive(Debug)]
pub(crate) struct Hiding {
    /// Does not read rule files of directories, so that it can be asked at any place at once.
    filter: Option<Filter>,
    /// Reads them.
    deep: Mutex<(Filter, OperatorFiles)>,
}

impl Hiding {
    pub(crate) fn new(mut filter: Filter, files: OperatorFiles, root: &[u8]) -> Self {
        filter.set_root(root);
        let plain = (!filter.reads_directories()).then(|| filter.clone());
        Self { filter: plain, deep: Mutex::new((filter, files)) }
    }

    /// Whether a rule hides this path itself.
    pub(crate) fn hides_path(&self, path: &[u8], directory: bool) -> bool {
        if path.is_empty() {
            return false;
        }
        let name = if directory { Name::directory(path) } else { Name::file(path) };
        if let Some(filter) = &self.filter {
            return filter.excludes(&name);
        }
        let mut deep = self.deep.lock().unwrap_or_else(PoisonError::into_inner);
        let (filter, files) = &mut *deep;
        let parent =
            path.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |end| &path[..end]);
        // A rule file that cannot be read is told by the session that sends.
        let _ = filter.move_to(parent, files);
        filter.excludes(&name)
    }

    /// Rule files of directories are read anew.
    pub(crate) fn forget(&self) {
        let mut deep = self.deep.lock().unwrap_or_else(PoisonError::into_inner);
        while deep.0.depth() > 0 {
            deep.0.leave();
        }
    }

    /// Whether rule files of directories count.
    pub(crate) fn reads_directories(&self) -> bool {
        self.filter.is_none()
    }
}

impl Exclude for Hiding {
    fn hides(&self, _: RootId, path: &[u8], directory: bool) -> bool {
        self.hides_path(path, directory)
    }
}
