//! Making a list that arrived fit for work: sorted, without duplicates, checked, in this machine's terms
//! (docs/spec behaviour.md 4.1, filelist.md 5, 7).

use std::collections::HashSet;
use std::sync::Arc;

use syncline_filter::{Filter, Name};
use syncline_options::values::flags::Debug;
use syncline_wire::list::{DirectoryRole, FileEntry, FileKind, FileList, ListOptions};

use super::owners::Owners;
use crate::link::{Offers, Received};
use crate::{Error, Extras, Job, Monitor, Result, Role, Terms};

/// A list ready to be worked through.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) list: Arc<FileList>,
    /// How many lists came before it.
    pub(crate) number: usize,
    /// Under incremental recursion: the directory whose contents it holds, as the one entry of a list, numbered as
    /// the gap before the list.
    pub(crate) directory: Option<FileList>,
}

/// Prepares lists; the receiving thread's.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    job: &'a Job,
    terms: &'a Terms,
    options: ListOptions,
    owners: Owners,
    monitor: Monitor,
    /// What entries refer to, in this machine's terms.
    extras: Extras,
    /// Tells which directories `--prune-empty-dirs` has to leave.
    protecting: Option<Filter>,
    umask: u32,
    seen: bool,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        job: &'a Job,
        terms: &'a Terms,
        owners: Owners,
        filter: &Filter,
        monitor: &Monitor,
        extras: Extras,
    ) -> Self {
        let prunes = job.options.select.prune_empty_dirs;
        Self {
            job,
            terms,
            options: terms.list_options(&job.options),
            owners,
            monitor: monitor.clone(),
            extras,
            protecting: prunes.then(|| filter.clone()),
            umask: syncline_fs::mode::umask(),
            seen: false,
        }
    }

    /// Prepares a list and gives it its numbers.
    pub(crate) fn add(
        &mut self,
        received: Received,
        offers: &mut dyn Offers,
    ) -> Result<Arc<Batch>> {
        let Received { mut list, directory, names } = received;
        let protocol = self.terms.protocol;
        if !self.job.is_local() {
            match self.job.options.connection.iconv {
                Some(_) => list.sort_aside(protocol),
                None => list.sort(protocol),
            }
        }
        self.drop_duplicates(&mut list);
        let wire = |error| Error::wire(Role::Destination, error);
        if !self.terms.incremental() {
            list.check_parents(protocol).map_err(wire)?;
        }
        self.adapt(&mut list, &names);
        let owners = &mut self.owners;
        self.extras.adapt(offers.extras(), |acl| owners.adapt(acl, &names));
        let lists = offers.lists();
        self.prune(&mut list);
        let number = directory.as_ref().map(|(number, _)| *number);
        let gap = self.gap(&list, directory.map(|(_, entry)| entry))?;
        self.seen = true;
        let list = Arc::new(list);
        let arrived = lists.arrived();
        lists.add(list.clone(), number).map_err(wire)?;
        Ok(Arc::new(Batch { list, number: arrived, directory: gap }))
    }

    /// The directory a list belongs to. The first list belongs to `.`, if that is its first entry.
    fn gap(&self, list: &FileList, directory: Option<FileEntry>) -> Result<Option<FileList>> {
        if !self.terms.incremental() {
            return Ok(None);
        }
        let first = || list.iter_sorted().find(|entry| entry.is_active());
        let entry = match directory {
            Some(entry) => Some(entry),
            None if self.seen => None,
            None => {
                first().filter(|entry| entry.is_root()).map(syncline_wire::list::EntryRef::to_entry)
            }
        };
        let Some(entry) = entry else { return Ok(None) };
        let mut gap = FileList::new(list.first().saturating_sub(1), &self.options);
        gap.push(&entry).map_err(|error| Error::wire(Role::Destination, error))?;
        Ok(Some(gap))
    }

    fn drop_duplicates(&self, list: &mut FileList) {
        let active = |list: &FileList| -> Vec<bool> {
            list.iter_sorted().map(syncline_wire::list::EntryRef::is_active).collect()
        };
        let before = self.monitor.traces(Debug::Dup, 1).then(|| active(list));
        list.drop_duplicates(self.terms.protocol);
        for (rank, was) in before.into_iter().flatten().enumerate() {
            let dropped = list.iter_sorted().nth(rank).filter(|entry| was && !entry.is_active());
            if let Some(entry) = dropped {
                let index = list.first() as usize + rank;
                let line = [b"removing duplicate name ", &entry.path()[..], b" from file list ("];
                let text = || [line.concat(), format!("{index})").into_bytes()].concat();
                self.monitor.trace(Debug::Dup, 1, text);
            }
        }
    }

    /// Owners and modes as they shall be here.
    fn adapt(&mut self, list: &mut FileList, names: &syncline_wire::list::IdNames) {
        let chmod = &self.job.options.attributes.chmod;
        let changes_modes = !chmod.is_empty();
        if self.owners.is_identity() && !changes_modes {
            return;
        }
        for position in 0..list.len() {
            let Some(entry) = list.get(position) else { continue };
            let (uid, gid) = (entry.uid(), entry.gid());
            let (mode, kind) = (entry.mode(), entry.kind());
            let (uid, gid) = (self.owners.user(uid, names), self.owners.group(gid, names));
            if (uid, gid) != (entry.uid(), entry.gid()) {
                let text = || {
                    let (from, path) = ((entry.uid(), entry.gid()), entry.path());
                    let text = format!(" {}:{} becomes {uid}:{gid}", from.0, from.1);
                    [&path[..], text.as_bytes()].concat()
                };
                self.monitor.trace(Debug::Own, 1, text);
            }
            list.set_owner(position, uid, gid);
            if changes_modes && !matches!(kind, FileKind::Symlink | FileKind::Missing) {
                let mode = chmod.apply(mode, kind == FileKind::Directory, self.umask);
                list.set_mode(position, mode);
            }
        }
    }

    /// `--prune-empty-dirs`: directories without any non-directory below are dropped (filelist.md 7.3).
    fn prune(&self, list: &mut FileList) {
        let Some(filter) = &self.protecting else { return };
        let mut filled: HashSet<Vec<u8>> = HashSet::new();
        let mut empty = Vec::new();
        let ordered: Vec<usize> =
            list.iter_sorted().map(syncline_wire::list::EntryRef::position).collect();
        for position in ordered.into_iter().rev() {
            let Some(entry) = list.get(position).filter(|entry| entry.is_active()) else {
                continue;
            };
            let path = entry.path();
            let keeps = !entry.is_directory()
                || entry.is_root()
                || filled.contains(&path)
                || filter.excludes(&Name::directory(&path));
            if keeps {
                filled.insert(entry.directory().to_vec());
            } else {
                empty.push(position);
            }
        }
        for position in empty {
            list.deactivate(position);
        }
    }
}

/// Whether deletion may sweep the directory (docs/spec behaviour.md 17.8).
pub(crate) fn is_content(role: DirectoryRole) -> bool {
    matches!(role, DirectoryRole::Content | DirectoryRole::Top)
}
