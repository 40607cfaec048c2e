use rustix::io::Errno;

use crate::error::{Error, Op, Result};
use crate::{Object, Stat};

/// A POSIX access control list. In full it has all of user, group and other; condensed, what the mode bits say as well
/// is left out (filelist.md 13).
///
/// Permissions are the three bits `rwx`, 0 to 7.
///
/// ```
/// use syncline_fs::Acl;
///
/// let acl = Acl { users: vec![(1000, 0o7)], mask: Some(0o7), ..Acl::from_mode(0o674) };
/// assert_eq!(Acl::from_xattr(&acl.to_xattr()), Some(acl.clone()));
/// let condensed = acl.condensed(0o674);
/// assert_eq!((condensed.user, condensed.mask), (None, None));
/// assert_eq!(condensed.completed_for_access(0o674).mask, Some(0o7));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acl {
    /// The owner's permissions.
    pub user: Option<u8>,
    /// The owning group's permissions.
    pub group: Option<u8>,
    /// The most that the group and all named entries may do.
    pub mask: Option<u8>,
    /// Everybody else's permissions.
    pub other: Option<u8>,
    /// Named users, by ascending id.
    pub users: Vec<(u32, u8)>,
    /// Named groups, by ascending id.
    pub groups: Vec<(u32, u8)>,
}

/// Which of a directory's two lists; other objects have the first only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AclKind {
    /// Who may use the object.
    Access,
    /// What new objects in the directory get.
    Default,
}

impl AclKind {
    fn attribute(self) -> &'static [u8] {
        match self {
            Self::Access => b"system.posix_acl_access",
            Self::Default => b"system.posix_acl_default",
        }
    }

    /// The attribute in which --fake-super keeps it (behaviour.md 14.7).
    pub fn fake_attribute(self) -> &'static str {
        match self {
            Self::Access => "user.rsync.%aacl",
            Self::Default => "user.rsync.%dacl",
        }
    }
}

/// Number of the format the kernel uses.
const VERSION: u32 = 2;
/// The id of an entry that has none.
const NO_ID: u32 = u32::MAX;
/// "Not there", in the form --fake-super stores.
const ABSENT: u32 = 0x80;
/// Marks a user among the names, in the form --fake-super stores.
const IS_USER: u32 = 1 << 31;

mod tag {
    pub(super) const USER_OBJ: u16 = 0x01;
    pub(super) const USER: u16 = 0x02;
    pub(super) const GROUP_OBJ: u16 = 0x04;
    pub(super) const GROUP: u16 = 0x08;
    pub(super) const MASK: u16 = 0x10;
    pub(super) const OTHER: u16 = 0x20;
}

impl Acl {
    /// The list that says just what `mode` says.
    pub fn from_mode(mode: u32) -> Self {
        let [user, group, other] = triads(mode);
        Self { user: Some(user), group: Some(group), other: Some(other), ..Self::default() }
    }

    /// Has it nothing that mode bits could not say?
    pub fn is_minimal(&self) -> bool {
        self.mask.is_none() && self.users.is_empty() && self.groups.is_empty()
    }

    /// The nine permission bits the object shows under this full list.
    pub fn mode(&self) -> u32 {
        let [user, group, other] =
            [self.user, self.mask.or(self.group), self.other].map(|bits| bits.unwrap_or(0));
        u32::from(user) << 6 | u32::from(group) << 3 | u32::from(other)
    }

    /// Leaves out of a full access list what `mode` says as well.
    pub fn condensed(&self, mode: u32) -> Self {
        let [_, shown, _] = triads(mode);
        let mut acl = self.clone();
        acl.user = None;
        acl.other = None;
        if self.mask.is_none() || self.group == Some(shown) {
            acl.group = None;
        }
        if self.has_names() && self.mask == Some(shown) {
            acl.mask = None;
        }
        acl
    }

    /// Completes a condensed access list from the object's `mode`.
    pub fn completed_for_access(&self, mode: u32) -> Self {
        let mut acl = self.completed(mode);
        if acl.has_names() && acl.mask.is_none() {
            acl.mask = Some(triads(mode)[1]);
        }
        acl
    }

    /// Completes a default list that lacks entries.
    pub fn completed_for_default(&self, mode: u32) -> Self {
        let mut acl = self.completed(mode);
        if acl.has_names() && acl.mask.is_none() {
            let names = acl.users.iter().chain(&acl.groups).map(|(_, bits)| *bits);
            acl.mask = Some(names.fold(acl.group.unwrap_or(0), |all, bits| all | bits));
        }
        acl
    }

    /// Reads the kernel's form; none if it is malformed.
    pub fn from_xattr(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk::<4>()?;
        let (entries, []) = entries.as_chunks::<8>() else { return None };
        if u32::from_le_bytes(*version) != VERSION {
            return None;
        }
        let mut acl = Self::default();
        for &[tag0, tag1, bits0, bits1, id0, id1, id2, id3] in entries {
            let id = u32::from_le_bytes([id0, id1, id2, id3]);
            let bits = u8::try_from(u16::from_le_bytes([bits0, bits1])).ok().filter(|b| *b <= 7)?;
            let single = match u16::from_le_bytes([tag0, tag1]) {
                tag::USER_OBJ => &mut acl.user,
                tag::GROUP_OBJ => &mut acl.group,
                tag::MASK => &mut acl.mask,
                tag::OTHER => &mut acl.other,
                tag::USER => {
                    acl.users.push((id, bits));
                    continue;
                }
                tag::GROUP => {
                    acl.groups.push((id, bits));
                    continue;
                }
                _ => return None,
            };
            if single.replace(bits).is_some() {
                return None;
            }
        }
        acl.users.sort_unstable();
        acl.groups.sort_unstable();
        Some(acl)
    }

    /// The kernel's form; entries that are not there are left out, so complete a condensed list first.
    pub fn to_xattr(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, bits: u8, id: u32| {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&u16::from(bits).to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        };
        // The kernel wants this order.
        self.user.inspect(|bits| put(tag::USER_OBJ, *bits, NO_ID));
        self.users.iter().for_each(|(id, bits)| put(tag::USER, *bits, *id));
        self.group.inspect(|bits| put(tag::GROUP_OBJ, *bits, NO_ID));
        self.groups.iter().for_each(|(id, bits)| put(tag::GROUP, *bits, *id));
        self.mask.inspect(|bits| put(tag::MASK, *bits, NO_ID));
        self.other.inspect(|bits| put(tag::OTHER, *bits, NO_ID));
        bytes
    }

    /// Reads the form --fake-super stores (filelist.md 14.5); none if it is malformed.
    pub fn from_fake(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<4>() else { return None };
        let (singles, names) = words.split_first_chunk::<4>()?;
        let (names, []) = names.as_chunks::<2>() else { return None };
        let single = |word: [u8; 4]| match u32::from_le_bytes(word) {
            ABSENT => Some(None),
            bits @ 0..=7 => Some(Some(bits as u8)),
            _ => None,
        };
        let [user, group, mask, other] = singles.map(single);
        let mut acl =
            Self { user: user?, group: group?, mask: mask?, other: other?, ..Self::default() };
        for &[id, access] in names {
            let access = u32::from_le_bytes(access);
            let bits = u8::try_from(access & !IS_USER).ok().filter(|bits| *bits <= 7)?;
            let list = if access & IS_USER == 0 { &mut acl.groups } else { &mut acl.users };
            list.push((u32::from_le_bytes(id), bits));
        }
        acl.users.sort_unstable();
        acl.groups.sort_unstable();
        Some(acl)
    }

    /// The form --fake-super stores.
    pub fn to_fake(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 8 * (self.users.len() + self.groups.len()));
        let mut put = |word: u32| bytes.extend_from_slice(&word.to_le_bytes());
        for single in [self.user, self.group, self.mask, self.other] {
            put(single.map_or(ABSENT, u32::from));
        }
        for (id, bits) in &self.users {
            put(*id);
            put(u32::from(*bits) | IS_USER);
        }
        for (id, bits) in &self.groups {
            put(*id);
            put(u32::from(*bits));
        }
        bytes
    }

    fn completed(&self, mode: u32) -> Self {
        let [user, group, other] = triads(mode);
        let mut acl = self.clone();
        acl.user.get_or_insert(user);
        acl.group.get_or_insert(group);
        acl.other.get_or_insert(other);
        acl
    }

    fn has_names(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }
}

fn triads(mode: u32) -> [u8; 3] {
    [mode >> 6, mode >> 3, mode].map(|bits| (bits & 7) as u8)
}

impl Object<'_> {
    /// Its list; none where it has none beyond its mode, or the file system knows no lists.
    pub fn acl(&self, kind: AclKind) -> Result<Option<Acl>> {
        if self.fakes() { self.faked_acl(kind) } else { self.real_acl(kind) }
    }

    /// The list that the kernel goes by.
    pub(crate) fn real_acl(&self, kind: AclKind) -> Result<Option<Acl>> {
        let corrupt = || Error::Corrupt {
            path: self.path().as_bytes().into(),
            attribute: match kind {
                AclKind::Access => "system.posix_acl_access",
                AclKind::Default => "system.posix_acl_default",
            },
        };
        match self.xattr(kind.attribute())? {
            Some(bytes) => Acl::from_xattr(&bytes).ok_or_else(corrupt).map(Some),
            None => Ok(None),
        }
    }

    fn faked_acl(&self, kind: AclKind) -> Result<Option<Acl>> {
        let attribute = kind.fake_attribute();
        let Some(bytes) = self.xattr(attribute.as_bytes())? else { return Ok(None) };
        let corrupt = || Error::Corrupt { path: self.path().as_bytes().into(), attribute };
        let stored = Acl::from_fake(&bytes).ok_or_else(corrupt)?;
        Ok(Some(match kind {
            AclKind::Access => stored.completed_for_access(self.stat()?.mode),
            AclKind::Default => stored,
        }))
    }

    /// Its access list in full, made of the mode where there is no other.
    pub fn full_access_acl(&self, stat: &Stat) -> Result<Acl> {
        Ok(self.acl(AclKind::Access)?.unwrap_or_else(|| Acl::from_mode(stat.mode)))
    }

    /// Sets a full list; none removes what there is. Setting the access list sets the mode bits with it.
    pub fn set_acl(&self, kind: AclKind, acl: Option<&Acl>) -> Result<()> {
        if self.fakes() {
            let attribute = kind.fake_attribute().as_bytes();
            return match (acl, kind) {
                (None, _) => self.remove_xattr(attribute),
                (Some(acl), AclKind::Default) => self.set_xattr(attribute, &acl.to_fake()),
                (Some(acl), AclKind::Access) => {
                    // What the mode says is left out, all but the mask.
                    let stored = Acl { mask: acl.mask, ..acl.condensed(acl.mode()) };
                    self.set_xattr(attribute, &stored.to_fake())
                }
            };
        }
        let Some(acl) = acl else { return self.remove_xattr(kind.attribute()) };
        match self.set_xattr(kind.attribute(), &acl.to_xattr()) {
            // A file system without lists loses nothing by a list that says no more than the mode.
            Err(Error::Io { op: Op::SetXattr, errno: Errno::OPNOTSUPP, .. })
                if kind == AclKind::Access && acl.is_minimal() =>
            {
                let special = self.stat()?.mode & 0o7000;
                self.set_mode(acl.mode() | special)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Vec<(u32, u8)>> {
        prop::collection::btree_map(any::<u32>(), 0..8u8, 0..5)
            .prop_map(|map| map.into_iter().collect())
    }

    prop_compose! {
        fn any_acl()(
            singles in prop::array::uniform4(prop::option::of(0..8u8)),
            users in names(),
            groups in names(),
        ) -> Acl {
            let [user, group, mask, other] = singles;
            Acl { user, group, mask, other, users, groups }
        }
    }

    proptest! {
        #[test]
        fn the_kernel_s_form_comes_back(acl in any_acl()) {
            prop_assert_eq!(Acl::from_xattr(&acl.to_xattr()), Some(acl));
        }

        #[test]
        fn the_stored_form_comes_back(acl in any_acl()) {
            prop_assert_eq!(Acl::from_fake(&acl.to_fake()), Some(acl));
        }

        #[test]
        fn what_is_condensed_is_completed_again(acl in any_acl(), mode in 0..0o1000u32) {
            let mut acl = acl.completed_for_access(mode);
            if acl.has_names() {
                acl.mask.get_or_insert(5);
            }
            let mode = acl.mode();
            prop_assert_eq!(acl.condensed(mode).completed_for_access(mode), acl);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Acl::from_xattr(&bytes);
            let _ = Acl::from_fake(&bytes);
        }
    }

    #[test]
    fn the_stored_form_is_the_captured_one() {
        let stored = [
            0x80, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 0x80, 0, 0, 0, // user, group, mask, other
            1, 0, 0, 0, 7, 0, 0, 0x80, // user 1: rwx
            60, 0, 0, 0, 4, 0, 0, 0, // group 60: r--
        ];
        let acl = Acl {
            group: Some(4),
            mask: Some(7),
            users: vec![(1, 7)],
            groups: vec![(60, 4)],
            ..Acl::default()
        };
        assert_eq!(Acl::from_fake(&stored), Some(acl.clone()));
        assert_eq!(acl.to_fake(), stored);
    }

    #[test]
    fn a_list_without_names_but_with_a_mask_keeps_its_mask() {
        let acl = Acl { mask: Some(5), ..Acl::from_mode(0o750) };
        assert_eq!(acl.condensed(0o750).mask, Some(5));
    }
}
