//! What the command line or a list names, and the directories above it (docs/spec behaviour.md 3).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use syncline_fs::{Errno, Kind, Links, Root, is_unsafe_target};
use syncline_options::options::MissingArguments;
use syncline_options::values::flags::Debug;
use syncline_wire::IoErrors;
use syncline_wire::list::{DirectoryRole, FileEntry, PATH_MAX};

use super::super::arguments::Argument;
use super::super::tree::{Base, checked};
use super::{Located, Scan, cleaned, join, parent_of};
use crate::{Notice, Result};

impl Scan<'_> {
    /// `--files-from`: lines are resolved from the one source argument.
    pub(super) fn enter_start(&mut self, below: &[u8]) {
        if !below.is_empty() && below != b"." {
            self.start = self.start.join(OsStr::from_bytes(below));
        }
    }

    pub(super) fn argument(&mut self, text: &[u8]) -> Result<()> {
        let argument =
            if self.settings.relative { Argument::relative(text)? } else { Argument::plain(text) };
        if argument.name.len() > PATH_MAX {
            self.general(&[b"skipping overly long name: ", &argument.name]);
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
    pub(super) fn root_of(base: &Base) -> Vec<u8> {
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
            if is_link
                && self.settings.copy_unsafe_links
                && is_unsafe_target(&place.read_link()?, path)
            {
                return base.root.stat_following(path);
            }
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
            let place = Located {
                base: number,
                at: Arc::clone(base),
                scanned,
                device: stat.dev,
                absolute: false,
            };
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
        let place = Located {
            base: number,
            at: Arc::clone(base),
            scanned: false,
            device: stat.dev,
            absolute: false,
        };
        if let Some(entry) = self.entry(name, &stat, DirectoryRole::default(), &place, None)? {
            if self.emitter.is_incremental() {
                self.place_incremental(parent_of(name), entry, place)?;
            } else {
                self.push(entry, &place)?;
            }
        }
        Ok(())
    }

    /// The contents of the transfer's root belong to the first list. Of several roots the first one's rules hold
    /// (filters.md 8.7).
    fn scan_inline(&mut self, name: &[u8], place: &Located) -> Result<()> {
        if self.filter.depth() == 0 {
            self.enter_at(name, &place.at)?;
        }
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
                        let holder = match parent_of(&name) {
                            b"" if absolute => join(&argument.directory, b"/"),
                            parent => join(&argument.directory, parent),
                        };
                        let Ok((number, base)) = self.base(&holder, &above) else {
                            return Ok(());
                        };
                        let place = Located {
                            base: number,
                            at: base,
                            scanned: false,
                            device: stat.dev,
                            absolute: false,
                        };
                        let entry =
                            self.entry(&name, &stat, DirectoryRole::Implied, &place, None)?;
                        if let Some(entry) = entry {
                            if self.emitter.is_incremental() {
                                self.place_incremental(&above, entry, place)?;
                            } else {
                                self.push(entry, &place)?;
                                self.unread.push(name);
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
        let place =
            Located { base: number, at: base, scanned: false, device: stat.dev, absolute: false };
        if let Some(entry) = self.entry(b".", &stat, DirectoryRole::Implied, &place, None)? {
            self.push(entry, &place)?;
        }
        Ok(())
    }

    /// The base for a directory the operator named.
    pub(super) fn base(
        &mut self,
        directory: &[u8],
        prefix: &[u8],
    ) -> syncline_fs::Result<(u32, Arc<Base>)> {
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
        let chdir = || [b"[sender] change_dir(", path.as_os_str().as_bytes(), b")"].concat();
        self.monitor.trace(Debug::Chdir, 1, chdir);
        let root = self.job.open_source(&path)?;
        let free = self.job.module.as_ref().is_none_or(|module| !module.confined)
            && !(self.job.paths.is_confined() && self.options.select.files_from.is_some());
        Ok(if self.settings.follows && free { root.with_links(Links::Follow) } else { root })
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
                self.push_missing(name)?;
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
            let parts = [what.as_bytes(), b" ", &self.quote(&shown), b" failed"];
            self.tell_system(&parts, error);
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
                    let place = Located {
                        base: number,
                        at: Arc::clone(base),
                        scanned: false,
                        device: 0,
                        absolute: false,
                    };
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
            self.tell_system(&[b"send_files failed to open ", &self.quote(&shown)], error);
            return Ok(());
        }
        self.tell_system(&[b"link_stat ", &self.quote(&shown), b" failed"], error);
        if !error.is_missing() {
            self.fail(IoErrors::GENERAL);
        }
        Ok(())
    }

    /// A link that must not be followed: stock looks at what it leads to and fails when the content is wanted.
    pub(super) fn leads_out(&self, error: &syncline_fs::Error) -> bool {
        let confined = self.job.module.as_ref().is_some_and(|module| module.confined);
        let copies = self.settings.copy_links || self.settings.copy_unsafe_links;
        confined && copies && error.errno() == Some(Errno::LOOP)
    }
}
