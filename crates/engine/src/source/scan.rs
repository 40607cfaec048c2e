//! Finding out what there is to send (docs/spec behaviour.md 3, filelist.md 6).

mod listed;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;
use syncline_delta::StrongSum;
use syncline_filter::{Filter, Name as FilterName, RuleFiles};
use syncline_fs::{
    Accounts, Dir, Errno, Kind, Links, Listing, OpenSource, Root, Stat, is_unsafe_target, unmunged,
};
use syncline_options::options::{MissingArguments, Options};
use syncline_options::values::flags::{Debug, Info};
use syncline_wire::IoErrors;
use syncline_wire::list::{Device, DirectoryRole, FileEntry, HardLink, PATH_MAX};

use super::arguments::{Argument, sanitize_line};
use super::emit::{Emitter, Scanned};
use super::tree::{Base, Tree, checked};
use crate::{Event, Job, Monitor, Notice, Problem, Result, Role, Severity, Terms};
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
    let accounts = Accounts::new();
    let options = plan.terms.list_options(&plan.job.options);
    let emitter = Emitter::new(sink, monitor.tally(), options, &accounts, plan.encodes);
    let settings = Settings::new(&plan);
    let mut scan = Scan {
        settings,
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
}

/// A directory whose list is still owed.
struct Owed {
    name: Vec<u8>,
    number: u32,
    depth: usize,
    places: Vec<Located>,
}

impl Scan<'_> {
    fn finish(mut self) -> Result<()> {
        if self.emitter.is_incremental() {
            self.finish_incremental()?;
        } else {
            self.emitter.finish_list(None)?;
        }
        self.emitter.finish()
    }

    /// Lists of directories, depth first (filelist.md 8.4).
    fn finish_incremental(&mut self) -> Result<()> {
        let mut next_number = 0;
        let first = self.close_list(None, &mut next_number, 0)?;
        let mut owed: Vec<Owed> = first;
        owed.reverse();
        while let Some(directory) = owed.pop() {
            while self.filter.depth() > directory.depth {
                self.filter.leave();
            }
            let mut entered = false;
            for (entry, place) in self.forced.remove(&directory.name).unwrap_or_default() {
                self.push(entry, &place)?;
            }
            for place in directory.places.iter().filter(|place| place.scanned) {
                if !entered {
                    self.enter(&directory.name)?;
                    entered = true;
                }
                self.children(&directory.name, place)?;
            }
            let depth = self.filter.depth();
            let mut below = self.close_list(Some(directory.number), &mut next_number, depth)?;
            below.reverse();
            owed.append(&mut below);
        }
        Ok(())
    }

    /// Delivers the list under way; the directories in it, numbered, that owe lists of their own.
    fn close_list(
        &mut self,
        directory: Option<u32>,
        next_number: &mut u32,
        depth: usize,
    ) -> Result<Vec<Owed>> {
        let directories = self.emitter.finish_list(directory)?;
        let mut places = std::mem::take(&mut self.places);
        let mut owed = Vec::new();
        for entry in directories {
            let number = *next_number;
            *next_number += 1;
            // A second mention of the same directory finds nothing left: its contents are in the first one's list.
            if entry.name == b"." {
                continue;
            }
            if let Some(places) = places.remove(&entry.name) {
                owed.push(Owed { name: entry.name, number, depth, places });
            }
        }
        Ok(owed)
    }

    /// `--files-from`: lines are resolved from the one source argument.
    fn enter_start(&mut self, below: &[u8]) {
        if !below.is_empty() && below != b"." {
            self.start = self.start.join(OsStr::from_bytes(below));
        }
    }

    fn argument(&mut self, text: &[u8]) -> Result<()> {
        let argument =
            if self.settings.relative { Argument::relative(text)? } else { Argument::plain(text) };
        if argument.name.len() > PATH_MAX {
            self.general(format!("skipping overly long name: {}", lossy(&argument.name)));
            return Ok(());
        }
        if argument.sends_root && !self.root_sent {
            self.root_sent = true;
            self.send_implied_root(&argument)?;
        }
        // The directory that holds the last component, so that the part the operator named may contain links.
        let name = &argument.name;
        let slash = name.iter().rposition(|&byte| byte == b'/');
        let (prefix, holds) = match slash {
            Some(slash) if self.settings.relative => {
                let prefix = name[..slash].strip_prefix(b"/").unwrap_or(&name[..slash]);
                (prefix.to_vec(), name[..slash.max(1)].to_vec())
            }
            _ => (Vec::new(), Vec::new()),
        };
        let is_absolute = name.starts_with(b"/");
        let directory =
            join(&argument.directory, if is_absolute && slash == Some(0) { b"/" } else { &holds });
        let (number, base) = match self.base(&directory, &prefix) {
            Ok(found) => found,
            Err(error) => {
                self.unreachable(&argument, &directory, &error)?;
                return Ok(());
            }
        };
        if self.settings.relative && !prefix.is_empty() {
            self.send_parents(&argument, &prefix, is_absolute)?;
        }
        self.filter.set_root(&Self::root_of(&base));
        self.top(&argument, number, &base)
    }

    /// The absolute path that names of the transfer are relative to.
    fn root_of(base: &Base) -> Vec<u8> {
        let mut root = base.shown.clone();
        if !base.prefix.is_empty()
            && let Some(above) = root.strip_suffix(&base.prefix[..])
        {
            root = above.to_vec();
        }
        root
    }

    /// The argument itself, and what is below it.
    fn top(&mut self, argument: &Argument, number: u32, base: &Arc<Base>) -> Result<()> {
        let name = &argument.name;
        let path = checked(base.below(name));
        let follow = argument.contents || self.settings.copy_links;
        let found = base.root.place(path).and_then(|place| {
            let stat = if path.is_root() { base.root.top().stat(path)? } else { place.stat()? };
            let is_link = stat.kind() == Kind::Symlink;
            if is_link && (follow || self.settings.copy_dirlinks) {
                match base.root.stat_following(path) {
                    Ok(target) if target.is_dir() || self.settings.copy_links => return Ok(target),
                    Err(error) if self.settings.copy_links => return Err(error),
                    _ => {}
                }
            }
            Ok(stat)
        });
        let found = found.and_then(|stat| match &self.job.module {
            Some(module) if module.hides(&base.show(name), stat.is_dir()) => {
                Err(syncline_fs::Error::new(syncline_fs::Op::Stat, name, Errno::NOENT))
            }
            _ => Ok(stat),
        });
        let stat = match found {
            Ok(stat) => stat,
            Err(error) => return self.missing(argument, number, base, &error),
        };
        if stat.is_dir() {
            if !self.settings.dirs {
                self.monitor.notice(Notice::SkippingDirectory(name));
                return Ok(());
            }
            if self.is_hidden(name, true) {
                return Ok(());
            }
            let one_level = !self.settings.recursive && argument.contents;
            let scanned = self.settings.recursive || one_level;
            let role = if scanned { DirectoryRole::Top } else { DirectoryRole::Empty };
            let place = Located { base: number, at: Arc::clone(base), scanned, device: stat.dev };
            let Some(entry) = self.entry(name, &stat, role, &place, None)? else { return Ok(()) };
            let is_root = matches!(name.as_slice(), b"." | b"/.");
            let parent = parent_of(name);
            if self.emitter.is_incremental() {
                self.place_incremental(parent, entry, place.clone())?;
                if is_root && scanned {
                    self.scan_inline(name, &place)?;
                }
                return Ok(());
            }
            self.push(entry, &place)?;
            if scanned {
                self.scan_whole(name, &place)?;
            }
            return Ok(());
        }
        if self.is_hidden(name, false) {
            return Ok(());
        }
        let place =
            Located { base: number, at: Arc::clone(base), scanned: false, device: stat.dev };
        if let Some(entry) = self.entry(name, &stat, DirectoryRole::default(), &place, None)? {
            if self.emitter.is_incremental() {
                self.place_incremental(parent_of(name), entry, place)?;
            } else {
                self.push(entry, &place)?;
            }
        }
        Ok(())
    }

    /// The contents of the transfer's root belong to the first list.
    fn scan_inline(&mut self, name: &[u8], place: &Located) -> Result<()> {
        while self.filter.depth() > 0 {
            self.filter.leave();
        }
        self.enter(name)?;
        self.children(name, place)
    }

    /// Under incremental recursion an entry goes into the list of its directory.
    fn place_incremental(&mut self, parent: &[u8], entry: FileEntry, place: Located) -> Result<()> {
        let parent = parent.strip_prefix(b"/").unwrap_or(parent);
        if parent.is_empty() {
            return self.push(entry, &place);
        }
        self.forced.entry(parent.to_vec()).or_default().push((entry, place));
        Ok(())
    }

    /// The directories of a `-R` name above its last component.
    fn send_parents(&mut self, argument: &Argument, prefix: &[u8], absolute: bool) -> Result<()> {
        let protocol = self.emitter.protocol();
        if !protocol.has_directory_marks() && !self.options.select.implied_dirs {
            return Ok(());
        }
        let mut end = 0;
        loop {
            let next = prefix[end..].iter().position(|&byte| byte == b'/');
            let stop = next.map_or(prefix.len(), |next| end + next);
            let part = &prefix[..stop];
            let name = if absolute { [b"/", part].concat() } else { part.to_vec() };
            if self.implied.insert(name.clone()) {
                let directory = join(&argument.directory, &name);
                let opened = self.open(&directory);
                let stat = opened.and_then(|root| root.top().stat(checked(b".")));
                match stat {
                    Ok(stat) => {
                        let above = parent_of(part).to_vec();
                        let holder = join(&argument.directory, parent_of(&name));
                        let Ok((number, base)) = self.base(&holder, &above) else {
                            return Ok(());
                        };
                        let place =
                            Located { base: number, at: base, scanned: false, device: stat.dev };
                        let entry =
                            self.entry(&name, &stat, DirectoryRole::Implied, &place, None)?;
                        if let Some(entry) = entry {
                            if self.emitter.is_incremental() {
                                self.place_incremental(&above, entry, place)?;
                            } else {
                                self.push(entry, &place)?;
                            }
                        }
                    }
                    Err(error) => {
                        let shown = self.show(&directory);
                        self.general_system("link_stat", &shown, &error);
                        return Ok(());
                    }
                }
            }
            if next.is_none() {
                return Ok(());
            }
            end = stop + 1;
        }
    }

    fn send_implied_root(&mut self, argument: &Argument) -> Result<()> {
        let Ok((number, base)) = self.base(&argument.directory, b"") else { return Ok(()) };
        let Ok(stat) = base.root.top().stat(checked(b".")) else { return Ok(()) };
        let place = Located { base: number, at: base, scanned: false, device: stat.dev };
        if let Some(entry) = self.entry(b".", &stat, DirectoryRole::Implied, &place, None)? {
            self.push(entry, &place)?;
        }
        Ok(())
    }

    /// Everything below a directory, in one list: its children first, then the contents of each child directory.
    fn scan_whole(&mut self, name: &[u8], place: &Located) -> Result<()> {
        while self.filter.depth() > 0 {
            self.filter.leave();
        }
        self.places.clear();
        let mut owed = vec![(name.to_vec(), 0, place.clone())];
        while let Some((name, depth, place)) = owed.pop() {
            while self.filter.depth() > depth {
                self.filter.leave();
            }
            self.enter(&name)?;
            self.children(&name, &place)?;
            let mut below: Vec<(Vec<u8>, Vec<Located>)> = self.places.drain().collect();
            below.sort_by(|a, b| b.0.cmp(&a.0));
            for (name, places) in below {
                owed.extend(
                    places
                        .into_iter()
                        .filter(|place| place.scanned)
                        .map(|place| (name.clone(), depth + 1, place)),
                );
            }
        }
        Ok(())
    }

    fn enter(&mut self, name: &[u8]) -> Result<()> {
        if self.filter.reads_directories() {
            let name = name.strip_prefix(b"/").unwrap_or(name);
            self.filter.enter(name, self.files).map_err(filter_failed)?;
            for warning in self.filter.take_warnings() {
                self.monitor.warn(warning.to_string());
            }
        }
        Ok(())
    }

    /// Adds what one directory holds to the list under way.
    fn children(&mut self, name: &[u8], place: &Located) -> Result<()> {
        let base = &place.at;
        let path = checked(base.below(name));
        let opened = if path.is_root() {
            Ok(base.root.top().clone())
        } else if self.settings.follows {
            base.root.open_directory_following(path)
        } else {
            base.root.place(path).and_then(|place| place.open_directory())
        };
        let listed = opened.and_then(|directory| {
            let listing = directory.list(path, |_, _| true)?;
            Ok((directory, listing))
        });
        let (directory, listing) = match listed {
            Ok(found) => found,
            Err(error) => {
                let shown = base.show(name);
                if error.is_missing() {
                    self.vanished("directory", &shown);
                } else {
                    self.general_system("opendir", &shown, &error);
                }
                return Ok(());
            }
        };
        if let Some(error) = &listing.error {
            let shown = base.show(name);
            let text = format!("readdir({})", self.quote(&shown));
            self.tell_system(text.into_bytes(), error);
            self.fail(IoErrors::GENERAL);
        }
        self.add_listing(name, place, &directory, &listing)
    }

    fn add_listing(
        &mut self,
        name: &[u8],
        place: &Located,
        directory: &Dir,
        listing: &Listing,
    ) -> Result<()> {
        let mut path = if matches!(name, b"." | b"/.") {
            name[..name.len() - 1].to_vec()
        } else {
            [name, b"/"].concat()
        };
        let length = path.len();
        for child in listing.iter() {
            path.truncate(length);
            path.extend_from_slice(child.name.as_bytes());
            if path.len() > PATH_MAX {
                self.general(format!("skipping overly long name: {}", lossy(&path)));
                continue;
            }
            let stat = match child.stat {
                Ok(stat) => stat,
                Err(Errno::NOENT) => {
                    let shown = place.at.show(&path);
                    self.vanished("file", &shown);
                    continue;
                }
                Err(errno) => {
                    let shown = place.at.show(&path);
                    self.monitor.failed(
                        Role::Sender,
                        format!("readlink_stat({}) failed", self.quote(&shown)),
                        &errno.into(),
                    );
                    self.fail(IoErrors::GENERAL);
                    continue;
                }
            };
            self.child(&path, &stat, place, directory)?;
        }
        if self.monitor.wants_progress() {
            self.monitor.tell(&Event::Listing(self.emitter.pending()));
        }
        Ok(())
    }

    /// One name found in a directory.
    fn child(&mut self, name: &[u8], found: &Stat, place: &Located, directory: &Dir) -> Result<()> {
        let mut stat = *found;
        if stat.kind() == Kind::Symlink && self.settings.follows {
            if self.is_hidden(name, false) && !self.settings.copy_links {
                return Ok(());
            }
            match self.referent(name, place, directory) {
                Ok(Some(target)) => stat = target,
                Ok(None) => {}
                Err(error) => {
                    if self.is_hidden(name, false) {
                        return Ok(());
                    }
                    let shown = place.at.show(name);
                    if self.leads_out(&error) {
                        let text = format!("send_files failed to open {}", self.quote(&shown));
                        self.tell_system(text.into_bytes(), &error);
                        return Ok(());
                    }
                    if error.is_missing() {
                        let text = format!("symlink has no referent: {}", self.quote(&shown));
                        self.monitor.problem(Problem::new(Severity::Transfer, text));
                    } else {
                        self.tell_system(
                            format!("readlink_stat({}) failed", self.quote(&shown)).into_bytes(),
                            &error,
                        );
                    }
                    self.fail(IoErrors::GENERAL);
                    return Ok(());
                }
            }
        }
        if self.is_hidden(name, stat.is_dir()) {
            return Ok(());
        }
        let mut scanned = self.settings.recursive && stat.is_dir();
        if stat.is_dir() && self.settings.one_file_system > 0 && stat.dev != place.device {
            if self.settings.one_file_system > 1 {
                if self.options.output.info.level(Info::Mount) > 0 {
                    self.monitor
                        .notice(Notice::SkippingMountPoint { role: Role::Sender, path: name });
                }
                return Ok(());
            }
            scanned = false;
        }
        let role =
            if scanned || !stat.is_dir() { DirectoryRole::Content } else { DirectoryRole::Empty };
        let place = Located { scanned, ..place.clone() };
        if let Some(entry) = self.entry(name, &stat, role, &place, Some(directory))? {
            self.push(entry, &place)?;
        }
        Ok(())
    }

    /// What a link leads to, if this run sends that instead of the link.
    fn referent(
        &self,
        name: &[u8],
        place: &Located,
        directory: &Dir,
    ) -> syncline_fs::Result<Option<Stat>> {
        let path = checked(place.at.below(name));
        if self.settings.copy_links {
            return place.at.root.stat_following(path).map(Some);
        }
        if self.settings.copy_unsafe_links {
            let target = directory.place(path).read_link()?;
            let own = name.strip_prefix(b"/").unwrap_or(name);
            if is_unsafe_target(&target, checked(own)) {
                if self.options.output.info.level(Info::Symsafe) > 0 {
                    self.monitor.notice(Notice::CopyingUnsafeLink { path: name, target: &target });
                }
                return place.at.root.stat_following(path).map(Some);
            }
        }
        if self.settings.copy_dirlinks {
            // A dangling link is sent as the link it is.
            let target = place.at.root.stat_following(path).ok();
            return Ok(target.filter(Stat::is_dir));
        }
        Ok(None)
    }

    fn is_hidden(&self, name: &[u8], is_directory: bool) -> bool {
        let absolute = name.starts_with(b"/");
        let path = name.strip_prefix(b"/").unwrap_or(name);
        let name = FilterName { path, is_directory, absolute, in_doomed_directory: false };
        let Some(decision) = self.filter.decide(&name) else { return false };
        if self.options.output.debug.level(Debug::Filter) > 0 {
            let kind = if is_directory { "directory" } else { "file" };
            let text = self.filter.explain(kind, path, &decision);
            self.monitor.notice(Notice::FilterDecision(&text));
        }
        decision.excludes()
    }

    /// An object as a list describes it; none if it is passed over.
    fn entry(
        &mut self,
        name: &[u8],
        stat: &Stat,
        role: DirectoryRole,
        place: &Located,
        directory: Option<&Dir>,
    ) -> Result<Option<FileEntry>> {
        let kind = stat.kind();
        let path = checked(place.at.below(name));
        let mut entry = FileEntry {
            name: name.to_vec(),
            mode: stat.mode,
            size: stat.size,
            mtime: stat.mtime.seconds,
            mtime_nsec: stat.mtime.nanos,
            atime: stat.atime.seconds,
            uid: stat.uid,
            gid: stat.gid,
            role,
            ..FileEntry::default()
        };
        match kind {
            Kind::Symlink => {
                let read = match directory {
                    Some(directory) => directory.place(path).read_link(),
                    None => place.at.root.place(path).and_then(|place| place.read_link()),
                };
                let target = match read {
                    Ok(target) => target,
                    Err(error) => {
                        let shown = place.at.show(name);
                        self.tell_system(
                            format!("readlink_stat({}) failed", self.quote(&shown)).into_bytes(),
                            &error,
                        );
                        self.fail(IoErrors::GENERAL);
                        return Ok(None);
                    }
                };
                if target.is_empty() {
                    let shown = self.quote(&place.at.show(name));
                    self.general(format!("skipping symlink with 0-length value: {shown}"));
                    return Ok(None);
                }
                let target = if self.settings.munges { unmunged(&target).to_vec() } else { target };
                entry.size = target.len() as u64;
                entry.target = Some(target);
            }
            Kind::CharDevice | Kind::BlockDevice => {
                entry.size = 0;
                entry.device = Some(Device { major: stat.rdev.major, minor: stat.rdev.minor });
            }
            Kind::Fifo | Kind::Socket => entry.size = 0,
            Kind::File => entry.checksum = self.checksum(name, stat, place),
            Kind::Directory | Kind::Unknown => {}
        }
        if kind != Kind::Directory && (stat.links > 1 || self.keys_every_file(kind)) {
            entry.hard_link = Some(HardLink::Inode { device: stat.dev, inode: stat.ino });
        }
        let chmod = &self.options.attributes.chmod;
        if kind != Kind::Symlink && !chmod.is_empty() {
            entry.mode = (entry.mode & !0o7777)
                | chmod.apply(entry.mode, kind == Kind::Directory, self.settings.umask) & 0o7777;
        }
        Ok(Some(entry))
    }

    /// Protocol 27 names the inode of every regular file (filelist.md 12.1).
    fn keys_every_file(&self, kind: Kind) -> bool {
        kind == Kind::File && !self.emitter.protocol().has_wide_entry_flags()
    }

    /// The sum of `--checksum`; zeros for what cannot be read.
    fn checksum(&mut self, name: &[u8], stat: &Stat, place: &Located) -> Option<Vec<u8>> {
        let sums = self.settings.sums?;
        let unread = Some(vec![0; sums.digest_length()]);
        let path = checked(place.at.below(name));
        let opened = if self.settings.follows {
            OpenSource::default().open_following(&place.at.root, path)
        } else {
            place.at.root.place(path).and_then(|place| OpenSource::default().open(&place))
        };
        let Ok(file) = opened else { return unread };
        let mut hasher = sums.file_hasher();
        let mut buffer = vec![0; (256 * 1024).min(stat.size.max(1) as usize)];
        let mut position = 0;
        loop {
            match file.read_at(&mut buffer, position) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    position += count as u64;
                }
                Err(_) => return unread,
            }
        }
        Some(hasher.finish().as_ref().to_vec())
    }

    fn push(&mut self, entry: FileEntry, place: &Located) -> Result<()> {
        if entry.is_directory() {
            let name = entry.name.strip_prefix(b"/").unwrap_or(&entry.name);
            self.places.entry(name.to_vec()).or_default().push(place.clone());
        }
        self.emitter.push(entry, place.base)
    }

    /// The base for a directory the operator named.
    fn base(&mut self, directory: &[u8], prefix: &[u8]) -> syncline_fs::Result<(u32, Arc<Base>)> {
        let key = (directory.to_vec(), prefix.to_vec());
        if let Some((number, base)) = self.base_cache.get(&key) {
            return Ok((*number, Arc::clone(base)));
        }
        let root = self.open(directory)?;
        let shown = self.show(directory);
        let given = cleaned(directory);
        let base = Arc::new(Base { root, prefix: prefix.to_vec(), shown, given });
        let number = self.tree.add(Arc::clone(&base));
        self.base_cache.insert(key, (number, Arc::clone(&base)));
        Ok((number, base))
    }

    fn open(&self, directory: &[u8]) -> syncline_fs::Result<Root> {
        let path = self.start.join(OsStr::from_bytes(directory));
        let root = self.job.open_source(&path)?;
        let free = self.job.module.as_ref().is_none_or(|module| !module.confined);
        Ok(if self.settings.follows && free { root.with_links(Links::Follow) } else { root })
    }

    /// A path for messages: absolute, without doubled slashes or a trailing one.
    fn show(&self, path: &[u8]) -> Vec<u8> {
        let full = self.start.join(OsStr::from_bytes(path));
        let clean = cleaned(full.as_os_str().as_bytes());
        if self.job.module.is_some() && !full.is_absolute() {
            // Relative to the module, whose top has no name.
            return clean;
        }
        [b"/", &clean[..]].concat()
    }

    /// The argument's directory cannot be entered.
    fn unreachable(
        &mut self,
        argument: &Argument,
        directory: &[u8],
        error: &syncline_fs::Error,
    ) -> Result<()> {
        let missing = error.is_missing() && self.settings.relative;
        if missing && self.settings.missing != MissingArguments::Report {
            if self.settings.missing == MissingArguments::Delete {
                let name = argument.name.clone();
                self.emitter.push(FileEntry { name, ..FileEntry::default() }, 0)?;
            }
            return Ok(());
        }
        let shown = if self.settings.relative {
            self.show(&join(&argument.directory, &argument.name))
        } else {
            self.show(directory)
        };
        let what = if self.settings.relative { "link_stat" } else { "change_dir" };
        if self.settings.relative && error.is_missing() {
            self.tell_system(format!("{what} {} failed", self.quote(&shown)).into_bytes(), error);
        } else {
            self.general_system(what, &shown, error);
        }
        Ok(())
    }

    /// The argument itself is not there.
    fn missing(
        &mut self,
        argument: &Argument,
        number: u32,
        base: &Arc<Base>,
        error: &syncline_fs::Error,
    ) -> Result<()> {
        if error.is_missing() {
            match self.settings.missing {
                MissingArguments::Ignore => return Ok(()),
                MissingArguments::Delete => {
                    let entry = FileEntry { name: argument.name.clone(), ..FileEntry::default() };
                    let place =
                        Located { base: number, at: Arc::clone(base), scanned: false, device: 0 };
                    if self.emitter.is_incremental() {
                        return self.place_incremental(parent_of(&argument.name), entry, place);
                    }
                    return self.push(entry, &place);
                }
                MissingArguments::Report => {}
            }
        }
        let shown = base.show(&argument.name);
        if self.leads_out(error) {
            self.tell_system(
                format!("send_files failed to open {}", self.quote(&shown)).into_bytes(),
                error,
            );
            return Ok(());
        }
        self.tell_system(format!("link_stat {} failed", self.quote(&shown)).into_bytes(), error);
        if !error.is_missing() {
            self.fail(IoErrors::GENERAL);
        }
        Ok(())
    }

    /// A link that must not be followed: stock looks at what it leads to and fails when the content is wanted.
    fn leads_out(&self, error: &syncline_fs::Error) -> bool {
        let confined = self.job.module.as_ref().is_some_and(|module| module.confined);
        confined && self.settings.copy_links && error.errno() == Some(Errno::LOOP)
    }

    fn quote(&self, shown: &[u8]) -> String {
        lossy(&self.job.quote(shown))
    }

    fn vanished(&mut self, what: &str, shown: &[u8]) {
        self.monitor.warn(format!("{what} has vanished: {}", self.quote(shown)));
        self.fail(IoErrors::VANISHED);
    }

    fn general(&mut self, text: String) {
        self.monitor.problem(Problem::new(Severity::Error, text));
        self.fail(IoErrors::GENERAL);
    }

    fn general_system(&mut self, what: &str, shown: &[u8], error: &syncline_fs::Error) {
        self.tell_system(format!("{what} {} failed", self.quote(shown)).into_bytes(), error);
        self.fail(IoErrors::GENERAL);
    }

    fn tell_system(&self, what: Vec<u8>, error: &syncline_fs::Error) {
        let mut text = format!("rsync: [{}] ", Role::Sender).into_bytes();
        text.extend_from_slice(&what);
        text.extend_from_slice(format!(": {}", error.reason()).as_bytes());
        self.monitor.problem(Problem::new(Severity::Transfer, text));
    }

    fn fail(&mut self, errors: IoErrors) {
        if self.settings.ignore_errors {
            self.monitor.tally().add_io_errors(errors);
        } else {
            self.emitter.fail(errors);
        }
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

/// Bytes of a name in a message. What is no text is shown as it is by the report; messages of ours keep it.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
