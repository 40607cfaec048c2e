//! ACLs and extended attributes: what lists carry beside their entries, and under which names attributes travel
//! (docs/spec filelist.md 13, 14).

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use syncline_filter::Filter;
use syncline_fs::Identity;
use syncline_options::Options;
use syncline_options::options::SuperUser;
use syncline_wire::list::{Acl, AclName, Attributes, XattrSet};

/// What entries of lists refer to by position. It grows with each list; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Extras(Arc<RwLock<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    access: Vec<Arc<Acl>>,
    default: Vec<Arc<Acl>>,
    xattrs: Vec<Arc<XattrSet>>,
}

impl Extras {
    /// Adds what has come to the tables of an encoder or decoder since the last time.
    pub(crate) fn take_over(&self, attributes: &Attributes) {
        let mut own = self.write();
        let Tables { access, default, xattrs } = &mut *own;
        access.extend_from_slice(attributes.access.shared_from(access.len()));
        default.extend_from_slice(attributes.default.shared_from(default.len()));
        xattrs.extend_from_slice(attributes.xattrs.shared_from(xattrs.len()));
    }

    /// Adds what has come to `others` since the last time; `adapt` says who an ACL's names are here.
    pub(crate) fn adapt(&self, others: &Self, mut adapt: impl FnMut(&Acl) -> Acl) {
        let (mut own, others) = (self.write(), others.read());
        let mut adapted = |acls: &[Arc<Acl>], own: &mut Vec<Arc<Acl>>| {
            let new = acls.get(own.len()..).unwrap_or_default();
            own.extend(new.iter().map(|acl| Arc::new(adapt(acl))));
        };
        adapted(&others.access, &mut own.access);
        adapted(&others.default, &mut own.default);
        let known = own.xattrs.len();
        own.xattrs.extend_from_slice(others.xattrs.get(known..).unwrap_or_default());
    }

    /// An access list as it travelled.
    pub(crate) fn own(&self, position: Option<u32>) -> Option<Arc<Acl>> {
        self.read().access.get(position? as usize).cloned()
    }

    /// A default list as it travelled.
    pub(crate) fn inherited(&self, position: Option<u32>) -> Option<Arc<Acl>> {
        self.read().default.get(position? as usize).cloned()
    }

    /// A set of attributes.
    pub(crate) fn xattrs(&self, position: Option<u32>) -> Option<Arc<XattrSet>> {
        self.read().xattrs.get(position? as usize).cloned()
    }

    /// Puts in a set whose values have come to be known.
    pub(crate) fn learn(&self, position: u32, set: Arc<XattrSet>) {
        if let Some(slot) = self.write().xattrs.get_mut(position as usize) {
            *slot = set;
        }
    }

    // No holder of the lock can panic between two changes that belong together.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An ACL of the file layer in the wire's form.
pub(crate) fn to_wire(acl: &syncline_fs::Acl) -> Acl {
    let names = |list: &[(u32, u8)], is_user| -> Vec<AclName> {
        list.iter().map(|&(id, permissions)| AclName { id, is_user, permissions }).collect()
    };
    let mut all = names(&acl.users, true);
    all.append(&mut names(&acl.groups, false));
    Acl { user: acl.user, group: acl.group, mask: acl.mask, other: acl.other, names: all }
}

/// An ACL of the wire in the file layer's form.
pub(crate) fn from_wire(acl: &Acl) -> syncline_fs::Acl {
    let names = |is_user| -> Vec<(u32, u8)> {
        let named = acl.names.iter().filter(|name| name.is_user == is_user);
        let mut list: Vec<(u32, u8)> = named.map(|name| (name.id, name.permissions)).collect();
        // Two names may have become one here: the first counts.
        list.sort_by_key(|(id, _)| *id);
        list.dedup_by_key(|(id, _)| *id);
        list
    };
    syncline_fs::Acl {
        user: acl.user,
        group: acl.group,
        mask: acl.mask,
        other: acl.other,
        users: names(true),
        groups: names(false),
    }
}

/// Which attributes travel, and what they are called here (docs/spec filelist.md 14.2).
#[derive(Clone, Debug)]
pub(crate) struct XattrNames {
    /// Rules that name attributes; they take the place of the built-in selection.
    rules: Option<Filter>,
    root: bool,
    fakes: bool,
    /// `-XX`.
    all: bool,
}

/// What the attributes of `--fake-super` begin with.
const OWN: &[u8] = b"user.rsync.%";
/// What it keeps in them.
const STORED: [&[u8]; 3] = [b"user.rsync.%stat", b"user.rsync.%aacl", b"user.rsync.%dacl"];
/// What attributes that cannot have their own name are kept under.
const KEPT: &[u8] = b"user.rsync.";

impl XattrNames {
    pub(crate) fn new(options: &Options, filter: Option<&Filter>) -> Self {
        let attributes = &options.attributes;
        Self {
            rules: filter.filter(|filter| filter.names_xattrs()).cloned(),
            root: Identity::current().is_root(),
            fakes: attributes.super_user == SuperUser::Fake,
            all: attributes.xattrs > 1,
        }
    }

    /// The name with which a source sends one of its own attributes; none if it does not.
    pub(crate) fn sent<'n>(&self, local: &'n [u8]) -> Option<&'n [u8]> {
        let chosen = match &self.rules {
            Some(rules) => !excludes(rules, local),
            None => !local.starts_with(b"system."),
        };
        if !chosen || (local.starts_with(OWN) && !self.all) {
            return None;
        }
        Some(match local.strip_prefix(KEPT) {
            Some(name) if self.fakes => name,
            _ => local,
        })
    }

    /// The name under which a source finds an attribute that it sent: the likelier one first.
    pub(crate) fn origins(&self, sent: &[u8]) -> [Vec<u8>; 2] {
        let kept = [KEPT, sent].concat();
        let own = sent.to_vec();
        if self.fakes && !sent.starts_with(b"user.") { [kept, own] } else { [own, kept] }
    }

    /// The name under which a sink keeps a received attribute; none if it does not.
    pub(crate) fn kept(&self, received: &[u8]) -> Option<Vec<u8>> {
        let unwanted = received.starts_with(OWN) && !self.all;
        if unwanted || self.rules.as_ref().is_some_and(|rules| excludes(rules, received)) {
            return None;
        }
        let users = received.starts_with(b"user.");
        if self.fakes || (!self.root && self.rules.is_some()) {
            return Some(if users { received.to_vec() } else { [KEPT, received].concat() });
        }
        (self.root || users).then(|| received.to_vec())
    }

    /// Whether a sink would remove such an attribute where the source does not have it.
    pub(crate) fn removes(&self, local: &[u8]) -> bool {
        if self.fakes && STORED.contains(&local) {
            return false;
        }
        let name = local.strip_prefix(KEPT).filter(|_| self.fakes).unwrap_or(local);
        if self.rules.as_ref().is_some_and(|rules| excludes(rules, name)) {
            return false;
        }
        let users = local.starts_with(b"user.");
        if self.fakes {
            return users;
        }
        self.rules.is_some() || users || (self.root && !local.starts_with(b"system."))
    }
}

fn excludes(rules: &Filter, name: &[u8]) -> bool {
    rules.decide_xattr(name).is_some_and(|decision| decision.excludes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: bool, fakes: bool, all: bool) -> XattrNames {
        XattrNames { rules: None, root, fakes, all }
    }

    fn kept(names: &XattrNames, name: &str) -> Option<String> {
        names.kept(name.as_bytes()).map(|name| String::from_utf8(name).unwrap())
    }

    #[test]
    fn everything_but_the_system_s_and_our_own_is_sent() {
        let plain = names(true, false, false);
        assert_eq!(plain.sent(b"user.a"), Some(&b"user.a"[..]));
        assert_eq!(plain.sent(b"security.a"), Some(&b"security.a"[..]));
        assert_eq!(plain.sent(b"system.posix_acl_access"), None);
        assert_eq!(plain.sent(b"user.rsync.%stat"), None);
        assert_eq!(plain.sent(b"user.rsync.x"), Some(&b"user.rsync.x"[..]));
        assert!(names(true, false, true).sent(b"user.rsync.%stat").is_some());
        let fake = names(false, true, false);
        assert_eq!(fake.sent(b"user.rsync.security.a"), Some(&b"security.a"[..]));
        assert_eq!(fake.origins(b"security.a")[0], b"user.rsync.security.a");
        assert_eq!(fake.origins(b"user.a")[0], b"user.a");
    }

    #[test]
    fn a_sink_keeps_what_it_may_and_renames_what_it_must() {
        let (root, user, fake) =
            (names(true, false, false), names(false, false, false), names(false, true, false));
        assert_eq!(kept(&root, "security.a").as_deref(), Some("security.a"));
        assert_eq!(kept(&user, "security.a"), None);
        assert_eq!(kept(&user, "user.a").as_deref(), Some("user.a"));
        assert_eq!(kept(&fake, "security.a").as_deref(), Some("user.rsync.security.a"));
        assert_eq!(kept(&root, "user.rsync.%stat"), None);
        assert!(root.removes(b"trusted.a") && !user.removes(b"trusted.a"));
        assert!(!fake.removes(b"user.rsync.%stat") && !root.removes(b"system.x"));
    }

    #[test]
    fn an_acl_survives_the_way_there_and_back() {
        let acl = syncline_fs::Acl {
            users: vec![(1, 7)],
            groups: vec![(60, 4)],
            mask: Some(7),
            ..syncline_fs::Acl::from_mode(0o674)
        };
        assert_eq!(from_wire(&to_wire(&acl)), acl);
    }
}
