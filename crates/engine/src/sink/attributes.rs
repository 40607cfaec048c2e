//! Which attributes an object shall have, and what differs (docs/spec behaviour.md 14, cli.md 10).

use syncline_fs::{Attributes, Identity, Stat, Time, mode};
use syncline_options::Options;
use syncline_options::options::SuperUser;
use syncline_wire::ItemFlags;
use syncline_wire::list::{EntryRef, FileKind};

/// Which attributes this run keeps, and what this process may set.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    perms: bool,
    executability: bool,
    owner: bool,
    group: bool,
    times: bool,
    dir_times: bool,
    link_times: bool,
    atimes: bool,
    checksum: bool,
    window: i32,
    /// May set owners and make devices.
    pub(crate) privileged: bool,
    identity: Identity,
    /// What may not be set is stored (--fake-super).
    fakes: bool,
    umask: u32,
}

/// What is done about modification times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Times {
    /// Set where they differ under the window.
    Differing,
    /// Set to the nanosecond: the content is known to be the source's.
    Exact,
    /// Left alone: the content is known not to be the source's.
    Kept,
}

impl Keep {
    pub(crate) fn new(options: &Options) -> Self {
        let attributes = &options.attributes;
        let identity = Identity::current();
        let privileged = match attributes.super_user {
            SuperUser::Yes | SuperUser::Fake => true,
            SuperUser::No => false,
            SuperUser::Auto => identity.is_root(),
        };
        let data = &options.data;
        let marks_backups = data.backup && data.backup_dir.is_none();
        Self {
            perms: attributes.perms,
            executability: attributes.executability && !attributes.perms,
            owner: attributes.owner && privileged,
            group: attributes.group,
            times: attributes.times,
            dir_times: attributes.times && !attributes.omit_dir_times && !marks_backups,
            link_times: attributes.times && !attributes.omit_link_times,
            atimes: attributes.atimes > 0,
            checksum: data.checksum,
            window: data.modify_window.unwrap_or(0),
            privileged,
            fakes: attributes.super_user == SuperUser::Fake,
            identity,
            umask: mode::umask(),
        }
    }

    /// The process's own mask.
    pub(crate) fn umask(&self) -> u32 {
        self.umask
    }

    /// Whether permissions are taken over.
    pub(crate) fn perms(&self) -> bool {
        self.perms
    }

    /// Whether directories get their times.
    pub(crate) fn dir_times(&self) -> bool {
        self.dir_times
    }

    /// Whether two times count as one.
    pub(crate) fn same_time(&self, a: Time, b: Time) -> bool {
        match self.window {
            0 => a.seconds == b.seconds,
            ..0 => a == b,
            window => a.seconds.abs_diff(b.seconds) <= u64::from(window.unsigned_abs()),
        }
    }

    /// `--modify-window`.
    pub(crate) fn window(&self) -> i64 {
        self.window.into()
    }

    /// Whether objects of a kind get their times.
    pub(crate) fn keeps_time(&self, kind: FileKind) -> bool {
        match kind {
            FileKind::Directory => self.dir_times,
            FileKind::Symlink => self.link_times,
            _ => self.times,
        }
    }

    fn sets_group(&self, gid: u32) -> bool {
        self.group && (self.privileged || self.identity.is_member_of(gid))
    }

    /// The permission bits the entry's object shall have; `existing` are those it, or its basis, has already.
    /// `mask` stands for the umask in its directory. None for symlinks.
    pub(crate) fn mode(
        &self,
        entry: EntryRef<'_>,
        existing: Option<u32>,
        mask: impl FnOnce() -> u32,
    ) -> Option<u32> {
        let source = entry.mode();
        match (entry.kind(), existing) {
            (FileKind::Symlink, _) if !self.fakes => None,
            _ if self.perms => Some(source & 0o7777),
            (FileKind::Regular, Some(existing)) if self.executability => {
                Some(mode::with_executability_of(source, existing))
            }
            (_, Some(existing)) => Some(existing & 0o7777),
            (_, None) => Some(mode::for_new_object(source, mask())),
        }
    }

    /// What differs between the entry and the object that is there. `written`: the object is made anew.
    pub(crate) fn differences(
        &self,
        entry: EntryRef<'_>,
        stat: &Stat,
        mode: Option<u32>,
        written: bool,
    ) -> ItemFlags {
        let kind = entry.kind();
        let mut flags = ItemFlags::default();
        let mut set = |condition: bool, flag: ItemFlags| {
            if condition {
                flags = flags | flag;
            }
        };
        set(kind == FileKind::Regular && entry.size() != stat.size, ItemFlags::REPORT_SIZE);
        let time_differs = if self.keeps_time(kind) {
            !self.same_time(time_of(entry), stat.mtime)
        } else {
            written && kind != FileKind::Directory
        };
        set(time_differs, ItemFlags::REPORT_TIME);
        let aged = !matches!(kind, FileKind::Directory | FileKind::Symlink);
        let atime = Time { seconds: entry.atime(), nanos: 0 };
        set(self.atimes && aged && !self.same_time(atime, stat.atime), ItemFlags::REPORT_ATIME);
        let tells_mode = self.perms || (self.executability && kind == FileKind::Regular);
        let mode_differs = mode.is_some_and(|mode| mode & 0o7777 != stat.permissions());
        set(tells_mode && mode_differs, ItemFlags::REPORT_PERMISSIONS);
        set(self.owner && entry.uid() != stat.uid, ItemFlags::REPORT_OWNER);
        let gid = entry.gid();
        set(self.sets_group(gid) && gid != stat.gid, ItemFlags::REPORT_GROUP);
        flags
    }

    /// What is told of a non-directory that stays. Stock looks at the mode after the owner was set, which takes special
    /// bits away, and after the access list was, which brings all other bits with it.
    pub(crate) fn told(
        &self,
        entry: EntryRef<'_>,
        flags: ItemFlags,
        stat: &Stat,
        mode: Option<u32>,
    ) -> ItemFlags {
        let owners = ItemFlags::REPORT_OWNER | ItemFlags::REPORT_GROUP;
        let mut left = stat.permissions();
        let mut told = flags;
        // Whoever only says to be a super-user (--super) cannot give away, and all stays as it is.
        let given = self.identity.is_root()
            || (!flags.contains(ItemFlags::REPORT_OWNER)
                && self.identity.is_member_of(entry.gid()));
        let loses_bits = flags.intersects(owners) && given && left & 0o6000 != 0 && !self.fakes;
        if loses_bits {
            left &= if left & 0o010 == 0 { !0o4000 } else { !0o6000 };
            told = told.without(owners);
        }
        let has_list = flags.contains(ItemFlags::REPORT_ACL);
        if !loses_bits && !has_list {
            return flags;
        }
        let looked_at = if has_list { 0o7000 } else { 0o7777 };
        let differs = self.perms && mode.is_some_and(|mode| (mode ^ left) & looked_at != 0);
        told = told.without(ItemFlags::REPORT_PERMISSIONS);
        if differs { told | ItemFlags::REPORT_PERMISSIONS } else { told }
    }

    /// What shall be set on the object whose record is `stat`.
    pub(crate) fn attributes(
        &self,
        entry: EntryRef<'_>,
        stat: &Stat,
        mode: Option<u32>,
        times: Times,
    ) -> Attributes<'static> {
        let kind = entry.kind();
        let mtime = time_of(entry);
        let is_due = match times {
            Times::Differing => !self.same_time(mtime, stat.mtime),
            Times::Exact => true,
            Times::Kept => false,
        };
        let wants_time = self.keeps_time(kind) && is_due;
        let aged = self.atimes && !matches!(kind, FileKind::Directory | FileKind::Symlink);
        let atime = Time { seconds: entry.atime(), nanos: 0 };
        Attributes {
            uid: self.owner.then(|| entry.uid()),
            gid: self.sets_group(entry.gid()).then(|| entry.gid()),
            mtime: wants_time.then_some(mtime),
            atime: (aged && !self.same_time(atime, stat.atime)).then_some(atime),
            mode,
            ..Attributes::default()
        }
    }

    /// Whether any attribute of an object that was made now has to be set.
    pub(crate) fn changes(&self, entry: EntryRef<'_>, stat: &Stat, mode: Option<u32>) -> bool {
        let wanted = self.attributes(entry, stat, mode, Times::Differing);
        wanted.mtime.is_some()
            || wanted.mode.is_some_and(|mode| mode & 0o7777 != stat.permissions())
            || wanted.uid.is_some_and(|uid| uid != stat.uid)
            || wanted.gid.is_some_and(|gid| gid != stat.gid)
    }

    /// What a part of a file that is kept after an interruption gets: everything but its time.
    pub(crate) fn partial_attributes(
        &self,
        entry: EntryRef<'_>,
        mode: Option<u32>,
        mtime: Option<Time>,
    ) -> Attributes<'static> {
        Attributes {
            uid: self.owner.then(|| entry.uid()),
            gid: self.sets_group(entry.gid()).then(|| entry.gid()),
            mtime: mtime.filter(|_| self.times),
            mode,
            ..Attributes::default()
        }
    }

    /// Whether whole-file sums are compared; such items show it.
    pub(crate) fn checksum(&self) -> bool {
        self.checksum
    }

    /// Whether objects are really given to other users.
    pub(crate) fn gives_away(&self) -> bool {
        self.owner && !self.fakes
    }

    /// Whether devices may be made here.
    pub(crate) fn makes_devices(&self) -> bool {
        self.privileged
    }

    /// Whether the process is an ordinary user, who may have to lend itself permissions.
    pub(crate) fn is_plain(&self) -> bool {
        !self.identity.is_root() && !self.fakes
    }
}

/// An entry's modification time.
pub(crate) fn time_of(entry: EntryRef<'_>) -> Time {
    let (seconds, nanos) = entry.mtime();
    Time { seconds, nanos }
}
