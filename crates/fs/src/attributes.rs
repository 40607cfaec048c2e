use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::fake::may_be_faked;
use crate::{Acl, AclKind, FakeStat, Kind, Object, Stat, Time};

/// Extended attributes by name, `user.` and the like included.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The attributes an object shall have. What is `None` is left as it is.
///
/// ```
/// use syncline_fs::{Attributes, Object, RelPath, Root, Trust, Time};
///
/// # let directory = tempfile::tempdir()?;
/// # std::fs::write(directory.path().join("file"), "")?;
/// let root = Root::open(directory.path(), Trust::Owners)?;
/// let place = root.place(RelPath::new(b"file")?)?;
/// let wanted = Attributes {
///     mode: Some(0o640),
///     mtime: Some(Time { seconds: 1_000_000_000, nanos: 5 }),
///     ..Attributes::default()
/// };
/// wanted.apply(Object::from(&place), &place.stat()?, &mut |error| eprintln!("{error}"))?;
/// assert_eq!(place.stat()?.permissions(), 0o640);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Extended attributes to set.
    pub xattrs: Option<WantedXattrs<'a>>,
    /// Time of the last change.
    pub mtime: Option<Time>,
    /// Time of the last access.
    pub atime: Option<Time>,
    /// Access list in full; the special bits come from `mode`.
    pub access_acl: Option<&'a Acl>,
    /// Default list of a directory; `Some(None)` removes what is there.
    pub default_acl: Option<Option<&'a Acl>>,
    /// The twelve permission bits. Not for symbolic links.
    pub mode: Option<u32>,
}

/// Extended attributes an object shall have.
#[derive(Clone, Copy)]
pub struct WantedXattrs<'a> {
    /// All of them.
    pub values: &'a Xattrs,
    /// Which names are ours to remove if they are not wanted.
    pub ours: &'a dyn Fn(&[u8]) -> bool,
}

impl std::fmt::Debug for WantedXattrs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WantedXattrs").field("values", self.values).finish_non_exhaustive()
    }
}

impl Attributes<'_> {
    /// Gives `object`, whose record is `now`, the attributes it lacks, in the order that keeps each (behaviour.md 14.1).
    /// Returns whether anything was changed.
    ///
    /// A failure with owner, times or mode ends the work on this object; trouble with extended attributes or ACLs is
    /// told to `complain`, and the work goes on.
    pub fn apply(
        &self,
        object: Object<'_>,
        now: &Stat,
        complain: &mut dyn FnMut(Error),
    ) -> Result<bool> {
        if object.fakes() {
            return self.apply_faked(object, now, complain);
        }
        let mut changed = false;
        let mut mode_now = now.permissions();
        let uid = self.uid.filter(|uid| *uid != now.uid);
        let gid = self.gid.filter(|gid| *gid != now.gid);
        if uid.is_some() || gid.is_some() {
            object.set_owner(uid, gid)?;
            changed = true;
            if mode_now & 0o6000 != 0 {
                mode_now = object.stat()?.permissions();
            }
        }
        changed |= self.apply_xattrs_and_times(object, now, complain)?;
        if self.apply_acls(object, complain) {
            mode_now = object.stat()?.permissions();
            changed = true;
        }
        if let Some(mode) = self.mode.filter(|mode| mode & 0o7777 != mode_now) {
            object.set_mode(mode)?;
            changed = true;
        }
        Ok(changed)
    }

    /// The same where owner, mode and kind are stored (behaviour.md 14.7).
    fn apply_faked(
        &self,
        object: Object<'_>,
        now: &Stat,
        complain: &mut dyn FnMut(Error),
    ) -> Result<bool> {
        let real = object.real_stat()?;
        let fake = FakeStat {
            mode: now.mode & !0o7777 | self.mode.unwrap_or(now.mode) & 0o7777,
            device: now.rdev,
            uid: self.uid.unwrap_or(now.uid),
            gid: self.gid.unwrap_or(now.gid),
        };
        let mut changed = false;
        let permissions = fake.real_permissions();
        let real_mode = Some(permissions)
            .filter(|mode| *mode != real.permissions() && real.kind() != Kind::Symlink);
        let then = Stat { mode: real.mode & !0o7777 | permissions, ..real };
        let wanted = Some(&fake).filter(|fake| !fake.is_said_by(&then));
        if !object.fake_stat().is_ok_and(|stored| stored.as_ref() == wanted) {
            match object.set_fake_stat(wanted) {
                Ok(()) => changed = true,
                // Real links and nodes cannot have any.
                Err(error) if !may_be_faked(&real) => complain(error),
                Err(error) => return Err(error),
            }
        }
        changed |= self.apply_xattrs_and_times(object, now, complain)?;
        changed |= self.apply_acls(object, complain);
        if let Some(mode) = real_mode {
            object.set_mode(mode)?;
            changed = true;
        }
        Ok(changed)
    }

    fn apply_xattrs_and_times(
        &self,
        object: Object<'_>,
        now: &Stat,
        complain: &mut dyn FnMut(Error),
    ) -> Result<bool> {
        let mut changed = self.xattrs.is_some_and(|xattrs| xattrs.apply(object, complain));
        let mtime = self.mtime.filter(|time| *time != now.mtime);
        let atime = self.atime.filter(|time| *time != now.atime);
        if mtime.is_some() || atime.is_some() {
            object.set_times(atime, mtime)?;
            changed = true;
        }
        Ok(changed)
    }

    fn apply_acls(&self, object: Object<'_>, complain: &mut dyn FnMut(Error)) -> bool {
        let mut set = |kind, acl: Option<&Acl>| {
            let changed = object.acl(kind).and_then(|current| {
                let differs = current.as_ref() != acl;
                if differs { object.set_acl(kind, acl).map(|()| true) } else { Ok(false) }
            });
            changed.unwrap_or_else(|error| {
                complain(error);
                false
            })
        };
        // A list that says what the mode says is stored as the mode alone.
        let access = self
            .access_acl
            .is_some_and(|acl| set(AclKind::Access, Some(acl).filter(|acl| !acl.is_minimal())));
        let default = self.default_acl.is_some_and(|acl| set(AclKind::Default, acl));
        access || default
    }
}

impl WantedXattrs<'_> {
    /// Sets what differs, removes what is ours and not wanted.
    fn apply(&self, object: Object<'_>, complain: &mut dyn FnMut(Error)) -> bool {
        let mut changed = false;
        for (name, value) in self.values {
            if object.xattr(name).is_ok_and(|current| current.as_ref() == Some(value)) {
                continue;
            }
            match object.set_xattr(name, value) {
                Ok(()) => changed = true,
                Err(error) => complain(error),
            }
        }
        let names = object.xattr_names().unwrap_or_else(|error| {
            complain(error);
            Vec::new()
        });
        for name in names {
            if self.values.contains_key(&name) || !(self.ours)(&name) {
                continue;
            }
            match object.remove_xattr(&name) {
                Ok(()) => changed = true,
                Err(error) => complain(error),
            }
        }
        changed
    }
}
