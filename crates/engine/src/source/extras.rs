//! ACLs and extended attributes of what is sent (docs/spec filelist.md 13, 14).

use syncline_fs::{Acl, AclKind, Kind, Object, OpenSource, RelPath, Stat};
use syncline_options::Options;
use syncline_wire::list::{Attributes, FileEntry, Xattr, XattrSet, XattrValue};

use super::tree::{Base, checked};
use crate::extras::{XattrNames, to_wire};

/// What is read of each object.
#[derive(Debug)]
pub(super) struct Reading {
    acls: bool,
    xattrs: Option<XattrNames>,
    links: bool,
    devices: bool,
    specials: bool,
    /// Long values become digests: they are fetched when they are wanted.
    abbreviates: bool,
}

impl Reading {
    pub(super) fn new(options: &Options, names: XattrNames, abbreviates: bool) -> Self {
        let attributes = &options.attributes;
        Self {
            acls: attributes.acls,
            xattrs: (attributes.xattrs > 0).then_some(names),
            links: attributes.links,
            devices: attributes.devices,
            specials: attributes.specials,
            abbreviates,
        }
    }

    /// Whether there is anything to be read.
    pub(super) fn is_needed(&self) -> bool {
        self.acls || self.xattrs.is_some()
    }

    /// Reads what the entry shall carry. Objects that are not kept as what they are have nothing.
    pub(super) fn read(
        &self,
        object: Object<'_>,
        stat: &Stat,
        entry: &mut FileEntry,
        tables: &mut Attributes,
    ) -> syncline_fs::Result<()> {
        let kind = stat.kind();
        let wanted = match kind {
            Kind::Symlink => self.links,
            kind if kind.is_device() => self.devices,
            kind if kind.is_special() => self.specials,
            _ => true,
        };
        if self.acls && kind != Kind::Symlink {
            let access = if wanted { object.acl(AclKind::Access)? } else { None };
            let access = access.map(|acl| acl.condensed(entry.mode)).unwrap_or_default();
            entry.access_acl = Some(tables.access.intern(to_wire(&access)));
        }
        if self.acls && kind == Kind::Directory {
            let default: Acl = object.acl(AclKind::Default)?.unwrap_or_default();
            entry.default_acl = Some(tables.default.intern(to_wire(&default)));
        }
        if let Some(names) = &self.xattrs {
            let mut attributes = Vec::new();
            if wanted {
                for (local, value) in object.xattrs(|name| names.sent(name).is_some())? {
                    let Some(name) = names.sent(&local) else { continue };
                    attributes.push(self.attribute(name.to_vec(), value));
                }
            }
            entry.xattrs = Some(tables.xattrs.intern(XattrSet::new(attributes)));
        }
        Ok(())
    }

    fn attribute(&self, name: Vec<u8>, value: Vec<u8>) -> Xattr {
        if self.abbreviates {
            Xattr::new(name, value)
        } else {
            Xattr { name, value: XattrValue::Full(value) }
        }
    }
}

/// The value of an attribute as it was sent; none if it is not there any more.
pub(super) fn value_of(names: &XattrNames, object: Object<'_>, sent: &[u8]) -> Option<Vec<u8>> {
    let mut found = names.origins(sent).into_iter();
    found.find_map(|name| object.xattr(&name).ok().flatten())
}

/// Has the object that an entry stands for looked at. `follow`: what links lead to is sent in their place.
pub(super) fn with_object<T>(
    base: &Base,
    name: &[u8],
    kind: Kind,
    follow: bool,
    look: impl FnOnce(Object<'_>) -> syncline_fs::Result<T>,
) -> syncline_fs::Result<T> {
    let path = checked(base.below(name));
    if path.is_root() {
        return look(Object::from(&base.root.top().place(RelPath::ROOT)));
    }
    match kind {
        Kind::Directory if follow => {
            let directory = base.root.open_directory_following(path)?;
            look(Object::from(&directory.place(RelPath::ROOT)))
        }
        Kind::File if follow => {
            let place = base.root.place(path)?;
            // With --copy-devices what is listed as a file may be a device.
            let how = OpenSource { devices: true, ..OpenSource::default() };
            let file = how.open_following(&base.root, path)?;
            look(Object::opened(file.file(), &place))
        }
        _ => look(Object::from(&base.root.place(path)?)),
    }
}
