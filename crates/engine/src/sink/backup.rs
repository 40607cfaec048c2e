//! Keeping what is replaced or deleted (docs/spec behaviour.md 13).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use syncline_fs::{
    AclKind, Attributes, BackupFor, Kind, Object, Obstruction, Place, Preserve, RelPath,
    RelPathBuf, Root, Stat, copy_object, is_unsafe_target,
};

use super::context::Context;
use super::destination::Destination;
use syncline_options::values::flags::Debug;

use crate::{Job, Notice, Result};

/// Where old objects go.
#[derive(Debug)]
pub(crate) struct Backups {
    suffix: Vec<u8>,
    directory: Option<Directory>,
}

#[derive(Debug)]
struct Directory {
    /// As the user gave it.
    word: Vec<u8>,
    path: PathBuf,
    /// Opened, and made where it is missing, on first use.
    root: Mutex<Option<Arc<Root>>>,
}

impl Backups {
    pub(crate) fn new(job: &Job, destination: &Destination) -> Option<Self> {
        let data = &job.options.data;
        if !data.backup {
            return None;
        }
        let directory = data.backup_dir.as_ref().zip(destination.backup_dir.as_ref());
        let directory = directory.map(|(word, path)| Directory {
            word: word.clone(),
            path: path.clone(),
            root: Mutex::new(None),
        });
        Some(Self { suffix: data.suffix.clone(), directory })
    }

    /// Whether a name looks like a backup in the file's own directory.
    pub(crate) fn is_backup(&self, path: &[u8]) -> bool {
        self.directory.is_none() && path.ends_with(&self.suffix)
    }

    /// Keeps the non-directory `object`, which is at `path`. False: it was not worth keeping.
    pub(crate) fn keep(
        &self,
        context: &Context<'_>,
        object: &Place<'_>,
        stat: &Stat,
        reason: BackupFor,
    ) -> Result<bool, syncline_fs::Error> {
        let path = object.path().as_bytes();
        if context.options().attributes.safe_links && stat.kind() == Kind::Symlink {
            let target = object.read_link()?;
            if is_unsafe_target(&target, object.path()) {
                let notice = Notice::NotBackingUpUnsafeLink { path, target: &target };
                context.monitor.notice(notice);
                return Ok(false);
            }
        }
        if !context.is_dry() {
            let mut kept = self.put(context, object, reason);
            if let (true, Some(directory)) =
                (kept.as_ref().is_err_and(syncline_fs::Error::is_missing), &self.directory)
            {
                // It may lie below the destination, and what is held open of it have been deleted.
                directory.close();
                kept = self.put(context, object, reason);
            }
            kept?;
            context.note_change();
        }
        context.monitor.notice(Notice::BackedUp { path, backup: &self.shown(path) });
        Ok(true)
    }

    fn put(
        &self,
        context: &Context<'_>,
        object: &Place<'_>,
        reason: BackupFor,
    ) -> Result<(), syncline_fs::Error> {
        let path = object.path().as_bytes();
        let files = &context.temporaries;
        self.prepare(context, path, |root, name| {
            root.back_up(object, name, reason, preserved(context), files).map(drop)
        })
    }

    /// Copies a file that is about to be changed in place.
    pub(crate) fn copy(
        &self,
        context: &Context<'_>,
        object: &Place<'_>,
        stat: &Stat,
    ) -> Result<(), syncline_fs::Error> {
        let path = object.path().as_bytes();
        let mut stat = *stat;
        if !context.terms.protocol.has_nanoseconds() {
            stat.mtime.nanos = 0;
        }
        self.prepare(context, path, |root, name| {
            let place = root.place(name)?;
            copy_object(object, &stat, &place, preserved(context), &context.temporaries)
        })?;
        context.monitor.notice(Notice::BackedUp { path, backup: &self.shown(path) });
        Ok(())
    }

    /// Opens the backup of a file that is being changed in place.
    pub(crate) fn open(
        &self,
        context: &Context<'_>,
        path: &[u8],
    ) -> Result<syncline_fs::SourceFile, syncline_fs::Error> {
        self.prepare(context, path, |root, name| {
            syncline_fs::OpenSource::default().open(&root.place(name)?)
        })
    }

    /// Makes the directories of a backup and hands over where it belongs.
    fn prepare<T>(
        &self,
        context: &Context<'_>,
        path: &[u8],
        work: impl FnOnce(&Root, RelPath<'_>) -> Result<T, syncline_fs::Error>,
    ) -> Result<T, syncline_fs::Error> {
        let name = [path, &self.suffix].concat();
        context.monitor.trace(Debug::Backup, 1, || [b"backing up ", path].concat());
        let name = RelPathBuf::clean(&name).map_err(|_| missing(path))?;
        let Some(directory) = &self.directory else {
            return work(context.root().map_err(|_| missing(path))?, name.as_path());
        };
        let root = directory.open(context)?;
        let parent = name.as_path().parent();
        root.make_directories(parent, 0o777, Obstruction::Remove, |made| {
            copy_directory_attributes(context, made);
            Ok(())
        })?;
        work(&root, name.as_path())
    }

    fn shown(&self, path: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        if let Some(directory) = &self.directory {
            shown.extend_from_slice(&directory.word);
            if !shown.ends_with(b"/") {
                shown.push(b'/');
            }
        }
        shown.extend_from_slice(path);
        shown.extend_from_slice(&self.suffix);
        shown
    }
}

impl Directory {
    fn close(&self) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn open(&self, context: &Context<'_>) -> Result<Arc<Root>, syncline_fs::Error> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*root {
            return Ok(root.clone());
        }
        let opened = Arc::new(context.job.create_root(&self.path)?);
        *root = Some(opened.clone());
        context.note_change();
        Ok(opened)
    }
}

/// A directory of backups looks like the one it stands for, as far as that can be had.
fn copy_directory_attributes(context: &Context<'_>, made: &Place<'_>) {
    let Ok(root) = context.root() else { return };
    let original = root.place(made.path()).and_then(|place| place.stat());
    let (Ok(original), Ok(new)) = (original, made.stat()) else { return };
    if !original.is_dir() {
        return;
    }
    // As with any new directory: what was inherited stays where permissions are not kept.
    let inherited = if context.keep.perms() { 0 } else { new.mode & 0o2000 };
    let attributes = &context.options().attributes;
    let from = root.place(made.path());
    let from = from.as_ref().ok().map(Object::from);
    let list = |kind| from.as_ref().and_then(|object| object.acl(kind).ok()).flatten();
    let access = if attributes.acls { list(AclKind::Access) } else { None };
    let default = if attributes.acls { list(AclKind::Default) } else { None };
    let wanted = Attributes {
        access_acl: access.as_ref(),
        default_acl: default.as_ref().map(Some),
        uid: context.keep.privileged.then_some(original.uid),
        gid: Some(original.gid),
        mode: Some(original.permissions() | inherited),
        mtime: context.keep.dir_times().then_some(original.mtime),
        ..Attributes::default()
    };
    // A backup with other attributes is better than none.
    let _ = wanted.apply(Object::from(made), &new, &mut |_| {});
}

fn missing(path: &[u8]) -> syncline_fs::Error {
    syncline_fs::Error::NotRegular { path: path.into(), kind: Kind::Unknown }
}

/// What a backup that is a copy takes over (docs/spec behaviour.md 13.4).
fn preserved(context: &Context<'_>) -> Preserve {
    let attributes = &context.options().attributes;
    Preserve {
        owner: attributes.owner,
        group: attributes.group,
        times: attributes.times,
        xattrs: attributes.xattrs > 0,
        acls: attributes.acls,
    }
}
