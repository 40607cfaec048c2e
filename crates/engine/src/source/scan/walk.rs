//! What is below a directory.

use syncline_fs::{Dir, Errno, Kind, Listing, Stat};
use syncline_options::values::flags::Info;
use syncline_wire::IoErrors;
use syncline_wire::list::{DirectoryRole, PATH_MAX};

use super::super::tree::{Base, checked};
use super::{Located, Scan, filter_failed};
use crate::{Event, Notice, Problem, Result, Role, Severity};

impl Scan<'_> {
    /// Everything below a directory, in one list: its children first, then the contents of each child directory.
    pub(super) fn scan_whole(&mut self, name: &[u8], place: &Located) -> Result<()> {
        // Rules of implied parents hold for whatever comes after them (filters.md 8.7).
        self.enter_parents(&place.at)?;
        let above = self.filter.depth();
        self.places.clear();
        let mut owed = vec![(name.to_vec(), above, place.clone())];
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
        while self.filter.depth() > above {
            self.filter.leave();
        }
        Ok(())
    }

    /// Reads the rule files of parents that were implied since the last time.
    pub(super) fn enter_parents(&mut self, base: &Base) -> Result<()> {
        for name in std::mem::take(&mut self.unread) {
            self.enter_at(&name, base)?;
        }
        Ok(())
    }

    /// Enters a directory of a walk that does not go straight down.
    pub(super) fn enter_at(&mut self, name: &[u8], base: &Base) -> Result<()> {
        if !self.filter.reads_directories() {
            return Ok(());
        }
        self.filter.leave_for(name.strip_prefix(b"/").unwrap_or(name));
        self.filter.set_root(&Self::root_of(base));
        self.enter(name)
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
    pub(super) fn children(&mut self, name: &[u8], place: &Located) -> Result<()> {
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
            self.tell_system(&[b"readdir(", &self.quote(&shown), b")"], error);
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
        let slash: &[u8] = if place.absolute && !name.starts_with(b"/") { b"/" } else { b"" };
        let mut path = if matches!(name, b"." | b"/.") {
            name[..name.len() - 1].to_vec()
        } else {
            [slash, name, b"/"].concat()
        };
        let length = path.len();
        for child in listing.iter() {
            path.truncate(length);
            path.extend_from_slice(child.name.as_bytes());
            if path.len() > PATH_MAX {
                self.general(&[b"skipping overly long name: ", &path]);
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
                    let error = syncline_fs::Error::new(syncline_fs::Op::Stat, &path, errno);
                    let parts = [&b"readlink_stat("[..], &self.quote(&shown), b") failed"];
                    self.tell_system(&parts, &error);
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
                        let parts = [&b"send_files failed to open "[..], &self.quote(&shown)];
                        self.tell_system(&parts, &error);
                        return Ok(());
                    }
                    if error.is_missing() {
                        let text = [b"symlink has no referent: ", &self.quote(&shown)[..]].concat();
                        self.monitor.problem(Problem::new(Severity::Transfer, text));
                    } else {
                        self.tell_system(
                            &[b"readlink_stat(", &self.quote(&shown), b") failed"],
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
}
