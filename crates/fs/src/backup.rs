use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::{
    AclKind, Attributes, Copier, Kind, NewObject, Object, OpenSource, Place, RelPath, Root, Stat,
    TempFiles,
};

/// Why an object is kept, which decides how (behaviour.md 13.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupFor {
    /// Something takes its place in a moment: its name must not go missing, so it is linked.
    Replacing,
    /// It is to go: it is renamed.
    Deleting,
}

/// Which attributes a copy of an object takes over besides its mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preserve {
    /// Owner, where this process may give files away.
    pub owner: bool,
    /// Group, likewise.
    pub group: bool,
    /// Times of change and access.
    pub times: bool,
    /// Extended attributes, those that this process may set.
    pub xattrs: bool,
    /// Access list.
    pub acls: bool,
}

/// How a backup came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackedUp {
    /// The old object has both names until its place is taken.
    Linked,
    /// The old object has the backup's name only.
    Renamed,
    /// The backup is a copy; the old object is where it was.
    Copied,
}

impl Root {
    /// Keeps `object`, which is no directory, under `path` beneath this root, in the place of what is there already.
    /// The directory of `path` must exist. `preserve` matters only if it has to be copied.
    pub fn back_up(
        &self,
        object: &Place<'_>,
        path: RelPath<'_>,
        reason: BackupFor,
        preserve: Preserve,
        files: &TempFiles,
    ) -> Result<BackedUp> {
        let backup = self.place(path)?;
        let stat = object.stat()?;
        if backup.stat_if_present()?.is_some_and(|old| old.is_dir()) {
            self.remove_tree(path)?;
        }
        match reason {
            BackupFor::Deleting => match object.rename_to(&backup) {
                Ok(()) => return Ok(BackedUp::Renamed),
                Err(error) if error.is_cross_device() => {}
                Err(error) => return Err(error),
            },
            BackupFor::Replacing => match link(object, &backup) {
                Ok(()) => return Ok(BackedUp::Linked),
                Err(error) if error.is_missing() => return Err(error),
                Err(error) if !error.is_cross_device() && stat.kind() == Kind::File => {
                    return object.rename_to(&backup).map(|()| BackedUp::Renamed);
                }
                Err(_) => {}
            },
        }
        copy_object(object, &stat, &backup, preserve, files)?;
        Ok(BackedUp::Copied)
    }
}

/// Links `object` under the backup's name, which is freed if it is taken.
fn link(object: &Place<'_>, backup: &Place<'_>) -> Result<()> {
    match backup.create(&NewObject::HardLink { to: object }) {
        Err(error) if error.errno() == Some(Errno::EXIST) => {
            backup.unlink_if_present()?;
            backup.create(&NewObject::HardLink { to: object })
        }
        result => result,
    }
}

/// Makes `target` a copy of the non-directory `object`, whose record is `stat`, with its mode and what `preserve` asks
/// for (a backup before writing in place, behaviour.md 13.4). What is at `target` is replaced in one step.
pub fn copy_object(
    object: &Place<'_>,
    stat: &Stat,
    target: &Place<'_>,
    preserve: Preserve,
    files: &TempFiles,
) -> Result<()> {
    match stat.kind() {
        Kind::File => {
            let source = OpenSource::default().open(object)?;
            let mut copy = files.create(target, stat.mode)?;
            Copier::default().copy(&source, copy.file(), copy.path(), &mut |_| {})?;
            let open = Object::open(source.file(), object.path());
            copy_attributes(open, stat, Object::from(&copy), preserve)?;
            return copy.rename_to(target);
        }
        Kind::Symlink => {
            files.replace(target, &NewObject::Symlink { target: &object.read_link()? })?;
        }
        kind if kind.is_device() || kind.is_special() => {
            let mode = stat.mode;
            files.replace(target, &NewObject::Node { kind, mode, device: stat.rdev })?;
        }
        kind => return Err(Error::NotRegular { path: object.bytes().into(), kind }),
    }
    copy_attributes(Object::from(object), stat, Object::from(target), preserve)
}

fn copy_attributes(
    from: Object<'_>,
    stat: &Stat,
    to: Object<'_>,
    preserve: Preserve,
) -> Result<()> {
    let new = to.stat()?;
    let set = |uid, gid| {
        Attributes { uid, gid, ..Attributes::default() }.apply(to, &new, &mut |_| {}).map(drop)
    };
    let uid = preserve.owner.then_some(stat.uid);
    let gid = preserve.group.then_some(stat.gid);
    // Not everybody may give files away; the rest is worth having all the same.
    if set(uid, gid).is_err() {
        let _ = set(None, gid);
    }
    if preserve.xattrs {
        // ACLs follow, as such. Some name spaces are for root only, some file systems have none.
        for (name, value) in from.xattrs(|name| !name.starts_with(b"system."))? {
            let _ = to.set_xattr(&name, &value);
        }
    }
    let is_link = stat.kind() == Kind::Symlink;
    let acl = if preserve.acls && !is_link { from.acl(AclKind::Access)? } else { None };
    let rest = Attributes {
        mtime: preserve.times.then_some(stat.mtime),
        atime: preserve.times.then_some(stat.atime),
        access_acl: acl.as_ref(),
        mode: (!is_link).then_some(stat.mode),
        ..Attributes::default()
    };
    rest.apply(to, &to.stat()?, &mut |_| {}).map(drop)
}
