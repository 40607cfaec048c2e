//! Paths in a client's options, brought inside (docs/spec daemon.md 10.3).

use syncline_engine::ExitCode;
use syncline_engine::source::sanitize_line;
use syncline_filter::{Filter, Name as FilterName};
use syncline_fs::RelPathBuf;
use syncline_options::Options;
use syncline_options::options::{FilesFrom, FilterArgument, Partial};

use crate::paths::message;
use crate::request::Refusal;

/// Paths in options lie in the module, and not where it hides something.
pub(crate) struct OptionPaths<'a> {
    /// Where the module is for this process.
    pub(crate) root: &'a [u8],
    /// Paths are cut off at its root; it is not the process's.
    pub(crate) sanitizes: bool,
    /// What it hides.
    pub(crate) filter: &'a Filter,
}

impl OptionPaths<'_> {
    pub(crate) fn impose(&self, options: &mut Options) -> Result<(), Refusal> {
        let rejected = || Refusal {
            text: b"rsync: Your options have been rejected by the server.".to_vec(),
            code: ExitCode::UNSUPPORTED.number(),
        };
        for path in [&mut options.data.temp_dir, &mut options.data.backup_dir].into_iter().flatten()
        {
            *path = self.bring_inside(path, false);
            if self.hides(path) {
                return Err(rejected());
            }
        }
        // Files to be read by name: the engine brings them inside when it opens them.
        let lists = options.select.files_from.iter().filter_map(|list| match list {
            FilesFrom::Local(path) => Some(path),
            _ => None,
        });
        let rules = options.select.filters.iter().filter_map(|argument| match argument {
            FilterArgument::IncludeFrom(path) | FilterArgument::ExcludeFrom(path) => Some(path),
            _ => None,
        });
        if lists.chain(rules).any(|path| self.hides_name(path, false)) {
            return Err(rejected());
        }
        if let Partial::Dir(path) = &mut options.data.partial {
            let absolute = path.starts_with(b"/");
            *path = self.bring_inside(path, true);
            if absolute && self.hides(path) {
                let text = b"Your options have been rejected by the server.".to_vec();
                return Err(Refusal { text, code: ExitCode::USAGE.number() });
            }
        }
        for path in options.data.alt_dest.iter_mut().flat_map(|alternates| &mut alternates.dirs) {
            *path = self.bring_inside(path, true);
            if self.hides(path) {
                let text = b"Your options have been rejected by the server.".to_vec();
                return Err(Refusal { text, code: ExitCode::USAGE.number() });
            }
        }
        Ok(())
    }

    /// A leading slash means the module's root. What a relative path means is known only at the destination, which keeps
    /// it inside.
    fn bring_inside(&self, path: &[u8], keeps_parents: bool) -> Vec<u8> {
        if !self.sanitizes {
            return path.to_vec();
        }
        match path.strip_prefix(b"/") {
            Some(below) => message![self.root, b"/", sanitize_line(below)],
            None if keeps_parents => path.to_vec(),
            None => sanitize_line(path),
        }
    }

    fn hides(&self, path: &[u8]) -> bool {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        self.hides_name(below, true)
    }

    fn hides_name(&self, path: &[u8], is_directory: bool) -> bool {
        // What is no path is refused when it is opened.
        let Ok(clean) = RelPathBuf::sanitize(path) else { return false };
        let name = FilterName { is_directory, ..FilterName::file(clean.as_bytes()) };
        !clean.as_path().is_root() && self.filter.excludes_any_component(&name)
    }
}
