//! Finding out what there is to send (docs/spec behaviour.md 3, filelist.md 6).

mod complain;
mod entry;
mod listed;
mod named;
mod walk;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;
use syncline_delta::StrongSum;
use syncline_filter::{Filter, RuleFiles};
use syncline_options::options::{MissingArguments, Options};
use syncline_wire::list::FileEntry;

use super::arguments::sanitize_line;
use super::emit::{Converted, Emitter, Scanned};
use super::extras::Reading;
use super::tree::{Base, Tree};
use crate::extras::XattrNames;
use crate::{Charset, Job, Monitor, Result, Terms};

pub use listed::Line;

/// What a scan works from.
#[derive(Debug)]
pub struct ScanPlan<'a> {
    /// The run.
    pub job: &'a Job,
    /// Its terms.
    pub terms: &'a Terms,
    /// The sending side's rules.
    pub filter: Filter,
    /// Where relative names start.
    pub start: PathBuf,
    /// Names to send.
    pub names: Names,
    /// Nothing is copied, only listed.
    pub listing: bool,
    /// Whether lists are delivered encoded.
    pub encodes: bool,
}

/// What names the things to send.
#[derive(Debug)]
pub enum Names {
    /// The arguments of the command line.
    Arguments(Vec<Vec<u8>>),
    /// Lines of `--files-from`, below one source argument.
    Lines {
        /// The source argument.
        below: Vec<u8>,
        /// The lines, ended by the sender's going.
        lines: crossbeam_channel::Receiver<Vec<u8>>,
    },
    /// An explicit list, below one directory.
    Exactly {
        /// The directory.
        below: Vec<u8>,
        /// What is in the list.
        lines: Vec<Line>,
    },
}

/// Scans, and delivers lists until everything is delivered or nobody takes them any more.
pub fn scan(
    plan: ScanPlan<'_>,
    files: &mut dyn RuleFiles,
    tree: &Tree,
    sink: &Sender<Scanned>,
    monitor: &Monitor,
) -> Result<()> {
    let options = plan.terms.list_options(&plan.job.options);
    let emitter =
        Emitter::new(sink, monitor.tally(), options, plan.job, &tree.extras, plan.encodes);
    let names = XattrNames::new(&plan.job.options, Some(&plan.filter));
    let reading = Reading::new(&plan.job.options, names, plan.encodes);
    let settings = Settings::new(&plan);
    let mut scan = Scan {
        settings,
        reading,
        job: plan.job,
        options: &plan.job.options,
        filter: plan.filter,
        files,
        tree,
        monitor,
        emitter,
        start: plan.start,
        places: HashMap::new(),
        forced: HashMap::new(),
        implied: HashSet::new(),
        unread: Vec::new(),
        root_sent: false,
        base_cache: HashMap::new(),
    };
    match plan.names {
        Names::Arguments(arguments) => {
            for argument in arguments {
                scan.argument(&argument)?;
            }
        }
        Names::Exactly { below, lines } => scan.listed(&below, lines)?,
        Names::Lines { below, lines } => {
            scan.enter_start(&below);
            for line in lines {
                scan.argument(&sanitize_line(&line))?;
            }
        }
    }
    scan.finish()
}

/// What decides how objects are looked at.
#[derive(Clone, Copy, Debug)]
struct Settings {
    recursive: bool,
    /// Directory entries are sent.
    dirs: bool,
    relative: bool,
    copy_links: bool,
    copy_dirlinks: bool,
    copy_unsafe_links: bool,
    one_file_system: u8,
    munges: bool,
    ignore_errors: bool,
    umask: u32,
    missing: MissingArguments,
    sums: Option<StrongSum>,
    /// Links to directories may have to be followed below the arguments.
    follows: bool,
    /// Targets of symlinks are converted with the names.
    converts_targets: bool,
}

impl Settings {
    fn new(plan: &ScanPlan<'_>) -> Self {
        let options = &plan.job.options;
        let (select, attributes) = (&options.select, &options.attributes);
        let follows = attributes.copy_links
            || attributes.copy_dirlinks
            || attributes.copy_unsafe_links
            || attributes.insecure_links;
        Self {
            recursive: select.recursive,
            dirs: crate::job::takes_dirs(options, plan.listing),
            relative: select.is_relative(),
            copy_links: attributes.copy_links,
            copy_dirlinks: attributes.copy_dirlinks,
            copy_unsafe_links: attributes.copy_unsafe_links,
            one_file_system: select.one_file_system,
            munges: attributes.munge_links == Some(true),
            ignore_errors: options.delete.ignore_errors,
            umask: current_umask(),
            missing: select.missing_arguments,
            sums: options.data.checksum.then(|| plan.terms.list_sum()),
            follows,
            converts_targets: attributes.links && plan.terms.converts_targets(options),
        }
    }
}

/// The process's mask, which can only be read by setting it; before there are threads that create files.
fn current_umask() -> u32 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line =
                status.lines().find_map(|line| line.strip_prefix("Umask:"))?.trim().to_owned();
            u32::from_str_radix(&line, 8).ok()
        })
        .unwrap_or(0o022)
}

struct Scan<'a> {
    settings: Settings,
    reading: Reading,
    job: &'a Job,
    options: &'a Options,
    filter: Filter,
    files: &'a mut dyn RuleFiles,
    tree: &'a Tree,
    monitor: &'a Monitor,
    emitter: Emitter<'a>,
    start: PathBuf,
    /// Where the directories of the list under way are, by name.
    places: HashMap<Vec<u8>, Vec<Located>>,
    /// Entries that `-R` puts into lists to come, by the directory they belong to.
    forced: HashMap<Vec<u8>, Vec<(FileEntry, Located)>>,
    /// Implied parents already sent.
    implied: HashSet<Vec<u8>>,
    /// Implied parents whose rule files are still to be read.
    unread: Vec<Vec<u8>>,
    root_sent: bool,
    base_cache: HashMap<BaseKey, (u32, Arc<Base>)>,
}

/// A directory as named, and the prefix its entries have.
type BaseKey = (Vec<u8>, Vec<u8>);

/// A directory that may have to be listed.
#[derive(Clone, Debug)]
struct Located {
    base: u32,
    at: Arc<Base>,
    /// Whether its contents belong to the transfer.
    scanned: bool,
    /// The device `-x` stays on.
    device: u64,
    /// Its name begins with a slash, and so do those of what is in it.
    absolute: bool,
}

/// A directory whose list is still owed.
struct Owed {
    name: Vec<u8>,
    number: u32,
    places: Vec<Located>,
}

impl Scan<'_> {
    fn finish(mut self) -> Result<()> {
        if self.emitter.is_incremental() {
            self.finish_incremental()?;
        } else {
            self.emitter.finish_list(None, |_| true)?;
        }
        self.emitter.finish()
    }

    /// Lists of directories, depth first (filelist.md 8.4). Rules of a directory above hold until its place in the
    /// tree is left (filters.md 8.7).
    fn finish_incremental(&mut self) -> Result<()> {
        let mut next_number = 0;
        let first = self.close_list(None, true, &mut next_number)?;
        let mut owed: Vec<Owed> = first;
        owed.reverse();
        while let Some(directory) = owed.pop() {
            let name = &directory.name;
            let forced = self.forced.remove(name).unwrap_or_default();
            if let Some((_, place)) = forced.first() {
                self.enter_at(name, &place.at)?;
            }
            for (entry, place) in forced {
                if !self.is_hidden(&entry.name, entry.is_directory()) {
                    self.push(entry, &place)?;
                }
            }
            for place in directory.places.iter().filter(|place| place.scanned) {
                self.enter_at(name, &place.at)?;
                self.children(name, place)?;
            }
            let mut below =
                self.close_list(Some(directory.number), owed.is_empty(), &mut next_number)?;
            below.reverse();
            owed.append(&mut below);
        }
        Ok(())
    }

    /// Delivers the list under way; the directories in it, numbered, that owe lists of their own. No other does if this
    /// is the `last` one owed so far.
    fn close_list(
        &mut self,
        directory: Option<u32>,
        last: bool,
        next_number: &mut u32,
    ) -> Result<Vec<Owed>> {
        let mut places = std::mem::take(&mut self.places);
        let owes = |entry: &FileEntry| entry.name != b"." && places.contains_key(&entry.name);
        let directories = self.emitter.finish_list(directory, |directories| {
            last && !directories.iter().any(|(_, entry)| owes(entry))
        })?;
        let mut owed = Vec::new();
        let before = *next_number;
        *next_number += directories.len() as u32;
        for (number, entry) in directories {
            let number = before + number;
            // A second mention of the same directory finds nothing left: its contents are in the first one's list.
            if entry.name == b"." {
                continue;
            }
            if let Some(places) = places.remove(&entry.name) {
                owed.push(Owed { name: entry.name, number, places });
            }
        }
        Ok(owed)
    }

    fn push(&mut self, entry: FileEntry, place: &Located) -> Result<()> {
        let job = self.job;
        let converted = match &job.charset {
            None => None,
            Some(charset) => match self.converted(&entry, charset, place) {
                // It was told that it is not sent; so nothing below it is.
                None => return Ok(()),
                converted => converted,
            },
        };
        if entry.is_directory() {
            let stripped = entry.name.strip_prefix(b"/");
            let name = stripped.unwrap_or(&entry.name);
            let place = Located { absolute: stripped.is_some(), ..place.clone() };
            self.places.entry(name.to_vec()).or_default().push(place);
        }
        let limit = self.options.connection.max_alloc;
        crate::job::check_list_length(limit, self.emitter.pending() + 1, crate::Role::Sender)?;
        self.emitter.push(entry, converted, place.base)
    }

    /// An entry for what is not there, so that it is deleted.
    fn push_missing(&mut self, name: Vec<u8>) -> Result<()> {
        let job = self.job;
        let converted = match &job.charset {
            None => None,
            Some(charset) => match self.converted_name(&name, charset) {
                None => return Ok(()),
                Some(name) => Some(Converted { name, target: None }),
            },
        };
        self.emitter.push(FileEntry { name, ..FileEntry::default() }, converted, 0)
    }

    /// An entry's name and target as they travel; none, and told, if they cannot.
    fn converted(
        &mut self,
        entry: &FileEntry,
        charset: &Charset,
        place: &Located,
    ) -> Option<Converted> {
        let name = self.converted_name(&entry.name, charset)?;
        let target = match entry.target.as_deref().filter(|_| self.settings.converts_targets) {
            None => entry.target.clone(),
            Some(target) => match charset.to_wire(target) {
                Ok(target) => Some(target),
                Err(error) => {
                    let shown = self.job.quote(&place.at.show(&entry.name));
                    self.unconvertible(b"symlink data for", &shown, &error);
                    return None;
                }
            },
        };
        Some(Converted { name, target })
    }

    fn converted_name(&mut self, name: &[u8], charset: &Charset) -> Option<Vec<u8>> {
        let converted = charset.to_wire(name);
        converted.map_err(|error| self.unconvertible(b"filename", name, &error)).ok()
    }
}

fn filter_failed(error: syncline_filter::FilterError) -> crate::Error {
    let code = crate::ExitCode::new(error.exit_code());
    crate::Error::fatal(code, error.to_string())
}

/// A directory and a name below it, as the operator would write it.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() || name.starts_with(b"/") {
        return if name.is_empty() { b".".to_vec() } else { name.to_vec() };
    }
    if name.is_empty() {
        return directory.to_vec();
    }
    Path::new(OsStr::from_bytes(directory))
        .join(OsStr::from_bytes(name))
        .into_os_string()
        .as_bytes()
        .to_vec()
}

/// A path without empty and dot components.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.collect::<Vec<_>>().join(&b'/')
}

fn parent_of(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => &name[..slash],
        None => b"",
    }
}
