//! ACLs and extended attributes at the destination (docs/spec behaviour.md 14.6, filelist.md 13, 14).

use std::sync::Arc;

use syncline_fs::{
    Acl, AclKind, Attributes, Kind, Object, Place, RelPath, Stat, Time, WantedXattrs, Xattrs,
};
use syncline_wire::list::{EntryRef, FileKind, Xattr, XattrSet, XattrValue};
use syncline_wire::{Item, ItemFlags};

use super::attributes::{Times, time_of};
use super::context::Context;
use super::destination::checked;
use crate::extras::{XattrNames, from_wire};
use crate::{Extras, Job, Result, Role};

/// What is done about them.
#[derive(Debug)]
pub(crate) struct Dressing {
    acls: bool,
    xattrs: Option<XattrNames>,
    /// What entries refer to, in this machine's terms.
    pub(super) extras: Extras,
}

/// What one entry's object shall have.
#[derive(Debug, Default)]
pub(crate) struct Dress {
    access: Option<Acl>,
    default: Option<Option<Acl>>,
    xattrs: Option<Xattrs>,
    /// Attributes whose values are not known: what is there stays.
    unknown: Vec<Vec<u8>>,
}

impl Dressing {
    pub(crate) fn new(job: &Job, names: XattrNames, extras: Extras) -> Self {
        let attributes = &job.options.attributes;
        Self { acls: attributes.acls, xattrs: (attributes.xattrs > 0).then_some(names), extras }
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.acls || self.xattrs.is_some()
    }

    fn set_of(&self, entry: EntryRef<'_>) -> Option<(&XattrNames, Arc<XattrSet>)> {
        let names = self.xattrs.as_ref()?;
        Some((names, self.extras.xattrs(entry.xattrs())?))
    }

    fn access(&self, entry: EntryRef<'_>, mode: u32) -> Option<Acl> {
        let acl = self.extras.own(entry.access_acl()).filter(|_| self.acls)?;
        let mut acl = from_wire(&acl).completed_for_access(mode);
        // Setting the mode will say so anyway.
        acl.mask = acl.mask.map(|_| (mode >> 3 & 7) as u8);
        Some(acl)
    }

    fn default(&self, entry: EntryRef<'_>, mode: u32) -> Option<Option<Acl>> {
        let acl = self.extras.inherited(entry.default_acl()).filter(|_| self.acls)?;
        let acl = acl.user.map(|_| from_wire(&acl).completed_for_default(mode));
        Some(acl)
    }

    /// What differs from the object that is there.
    fn differences(
        &self,
        entry: EntryRef<'_>,
        object: Object<'_>,
        stat: &Stat,
        mode: Option<u32>,
    ) -> ItemFlags {
        let mut flags = ItemFlags::default();
        let mode = mode.unwrap_or(stat.mode);
        let has = |kind| object.acl(kind).ok().flatten();
        let access_differs = self.access(entry, mode).is_some_and(|wanted| {
            let own = has(AclKind::Access).unwrap_or_else(|| Acl::from_mode(stat.mode));
            differ_beyond_mode(&own, &wanted)
        });
        let default_differs =
            || self.default(entry, mode).is_some_and(|wanted| has(AclKind::Default) != wanted);
        if access_differs || default_differs() {
            flags = flags | ItemFlags::REPORT_ACL;
        }
        if self.xattrs_differ(entry, object) {
            flags = flags | ItemFlags::REPORT_XATTR;
        }
        flags
    }

    fn xattrs_differ(&self, entry: EntryRef<'_>, object: Object<'_>) -> bool {
        let Some((names, set)) = self.set_of(entry) else { return false };
        let Ok(own) = object.xattrs(|name| names.removes(name)) else { return true };
        let mut kept = 0;
        for xattr in set.as_slice() {
            let Some(name) = names.kept(&xattr.name) else { continue };
            kept += 1;
            if !own.get(&name).is_some_and(|value| xattr.is_value(value)) {
                return true;
            }
        }
        kept != own.len()
    }

    /// Whether a new object would have any.
    fn has_xattrs(&self, entry: EntryRef<'_>) -> bool {
        self.set_of(entry).is_some_and(|(names, set)| {
            set.as_slice().iter().any(|xattr| names.kept(&xattr.name).is_some())
        })
    }
}

impl Dress {
    pub(crate) fn put_on<'d>(
        &'d self,
        wanted: Attributes<'d>,
        ours: &'d dyn Fn(&[u8]) -> bool,
    ) -> Attributes<'d> {
        Attributes {
            access_acl: self.access.as_ref(),
            default_acl: self.default.as_ref().map(Option::as_ref),
            xattrs: self.xattrs.as_ref().map(|values| WantedXattrs { values, ours }),
            ..wanted
        }
    }
}

impl Context<'_> {
    /// What differs between the entry and an object that is there. `written`: it is made anew.
    pub(crate) fn differences(
        &self,
        entry: EntryRef<'_>,
        place: Option<&Place<'_>>,
        stat: &Stat,
        mode: Option<u32>,
        written: bool,
    ) -> ItemFlags {
        let flags = self.keep.differences(entry, stat, mode, written);
        let Some(place) = place.filter(|_| self.dressing.is_needed()) else { return flags };
        let more = self.dressing.differences(entry, Object::from(place), stat, mode);
        flags | more
    }

    /// What is told of an object that is new.
    pub(crate) fn new_flags(&self, entry: EntryRef<'_>) -> ItemFlags {
        ItemFlags::IS_NEW | self.undressed_flags(entry)
    }

    /// What an object lacks that was made just now.
    pub(crate) fn undressed_flags(&self, entry: EntryRef<'_>) -> ItemFlags {
        if self.dressing.has_xattrs(entry) { ItemFlags::REPORT_XATTR } else { ItemFlags::default() }
    }

    /// The numbers of the values that have to be asked for: those that neither the destination nor a basis directory
    /// has.
    pub(crate) fn values_to_ask_for(&self, entry: EntryRef<'_>, path: &[u8]) -> Vec<u32> {
        let Some((names, set)) = self.dressing.set_of(entry) else { return Vec::new() };
        let wanted = set.abbreviated().filter(|number| {
            set.get(*number).is_some_and(|xattr| {
                let kept = names.kept(&xattr.name);
                kept.is_some_and(|name| self.find_value(path, &name, xattr).is_none())
            })
        });
        wanted.collect()
    }

    /// The value whose digest came, where we have it.
    fn find_value(&self, path: &[u8], name: &[u8], xattr: &Xattr) -> Option<Vec<u8>> {
        let path = RelPath::new(path).ok()?;
        let destination = self.destination.root.iter();
        let alternates = self.destination.alternates.iter().flatten();
        destination.chain(alternates).find_map(|root| {
            let place = root.place(path).ok()?;
            let value = Object::from(&place).xattr(name).ok().flatten()?;
            xattr.is_value(&value).then_some(value)
        })
    }

    /// What the object of an entry shall have. Call it while what is at `path` is still there.
    pub(crate) fn dress(&self, entry: EntryRef<'_>, mode: u32, path: &[u8]) -> Dress {
        let dressing = &self.dressing;
        if !dressing.is_needed() {
            return Dress::default();
        }
        let dress = Dress {
            access: dressing.access(entry, mode),
            default: dressing.default(entry, mode),
            ..Dress::default()
        };
        let xattrs = self.dress_of(entry.xattrs(), path);
        Dress { xattrs: xattrs.xattrs, unknown: xattrs.unknown, ..dress }
    }

    /// The same, extended attributes alone.
    fn dress_of(&self, set: Option<u32>, path: &[u8]) -> Dress {
        let mut dress = Dress::default();
        let Some(names) = &self.dressing.xattrs else { return dress };
        let Some(set) = self.dressing.extras.xattrs(set) else { return dress };
        let mut values = Xattrs::new();
        for xattr in set.as_slice() {
            let Some(name) = names.kept(&xattr.name) else { continue };
            let value = match &xattr.value {
                XattrValue::Full(value) => Some(value.clone()),
                XattrValue::Digest { .. } => self.find_value(path, &name, xattr),
            };
            match value {
                Some(value) => drop(values.insert(name, value)),
                None => dress.unknown.push(name),
            }
        }
        dress.xattrs = Some(values);
        dress
    }

    /// Sets what differs on an object that is up to date. Extended attributes are left to
    /// [`Context::finish`], when the source has answered the item: values may come with that.
    pub(crate) fn fix_entry(
        &self,
        role: Role,
        entry: EntryRef<'_>,
        (object, stat): (Object<'_>, &Stat),
        (mode, times): (Option<u32>, Times),
    ) -> Result<bool> {
        let dress = Dress {
            access: self.dressing.access(entry, mode.unwrap_or(stat.mode)),
            default: self.dressing.default(entry, mode.unwrap_or(stat.mode)),
            ..Dress::default()
        };
        self.set_dressed(role, entry, (object, stat), (mode, times), &dress)
    }

    /// Sets the attributes of an entry's object, which is or will be at `path`; whether all could be set.
    pub(crate) fn set_entry(
        &self,
        role: Role,
        entry: EntryRef<'_>,
        (object, stat): (Object<'_>, &Stat),
        (mode, times): (Option<u32>, Times),
        path: &[u8],
    ) -> Result<bool> {
        let dress = self.dress(entry, mode.unwrap_or(stat.mode), path);
        self.set_dressed(role, entry, (object, stat), (mode, times), &dress)
    }

    /// The same where what it shall have was found out before.
    pub(crate) fn set_dressed(
        &self,
        role: Role,
        entry: EntryRef<'_>,
        (object, stat): (Object<'_>, &Stat),
        (mode, times): (Option<u32>, Times),
        dress: &Dress,
    ) -> Result<bool> {
        let wanted = self.keep.attributes(entry, stat, mode, times);
        let names = self.dressing.xattrs.as_ref();
        let ours = |name: &[u8]| {
            names.is_some_and(|names| names.removes(name))
                && !dress.unknown.iter().any(|unknown| unknown == name)
        };
        // What the generator does not know yet comes with the source's answer.
        if role != Role::Generator && !dress.unknown.is_empty() {
            for name in &dress.unknown {
                let shown = self.destination.show(object.path().as_bytes());
                self.fail(&[b"Missing abbreviated xattr value, ", name, b", for ", &shown]);
            }
        }
        self.set_attributes(role, &dress.put_on(wanted, &ours), object, stat)
    }

    /// Gives objects that were there already their extended attributes.
    pub(crate) fn finish(&self, undressed: &mut Vec<Undressed>) -> Result<()> {
        for object in std::mem::take(undressed) {
            self.finish_one(&object)?;
        }
        Ok(())
    }

    fn finish_one(&self, undressed: &Undressed) -> Result<()> {
        let place = match self.root()?.place(checked(&undressed.path)?) {
            Ok(place) => place,
            Err(error) => return self.failed(Role::Receiver, &error),
        };
        // What is not there has been complained about.
        let Ok(stat) = place.stat() else { return Ok(()) };
        let dress = self.dress_of(Some(undressed.set), &undressed.path);
        let Some(names) = self.dressing.xattrs.as_ref() else { return Ok(()) };
        let ours = |name: &[u8]| names.removes(name);
        if !dress.unknown.is_empty() || !same_kind(&stat, undressed.kind) {
            return Ok(());
        }
        let own = Attributes { mtime: undressed.mtime, ..Attributes::default() };
        let wanted = dress.put_on(own, &ours);
        self.set_attributes(Role::Receiver, &wanted, Object::from(&place), &stat).map(drop)
    }
}

/// An object that lacks extended attributes: they are set when the phase is over, so that all its names are told alike.
#[derive(Debug)]
pub(crate) struct Undressed {
    set: u32,
    kind: FileKind,
    path: Vec<u8>,
    /// Set again, since old versions know whole seconds only and what is there may have more.
    mtime: Option<Time>,
}

impl Undressed {
    /// More than this are not kept waiting.
    pub(crate) const MOST: usize = 10_000;

    /// The object that an item without content is about, if it lacks any.
    pub(crate) fn of(context: &Context<'_>, entry: EntryRef<'_>, item: &Item) -> Option<Self> {
        let lacks = item.flags.contains(ItemFlags::REPORT_XATTR) && !item.is_transfer();
        let set = entry.xattrs().filter(|_| lacks && !context.is_dry())?;
        let mut path = Vec::new();
        context.put_target(entry, &mut path);
        let mtime = context.keep.keeps_time(entry.kind()).then(|| time_of(entry));
        Some(Self { set, kind: entry.kind(), path, mtime })
    }
}

/// Whether two full access lists differ in more than what the modes of their objects tell.
fn differ_beyond_mode(own: &Acl, wanted: &Acl) -> bool {
    (own.mask.is_some(), &own.users, &own.groups)
        != (wanted.mask.is_some(), &wanted.users, &wanted.groups)
        || (own.mask.is_some() && own.group != wanted.group)
}

fn same_kind(stat: &Stat, kind: FileKind) -> bool {
    match kind {
        FileKind::Directory => stat.is_dir(),
        FileKind::Symlink => stat.kind() == Kind::Symlink,
        _ => !stat.is_dir() && stat.kind() != Kind::Symlink,
    }
}
