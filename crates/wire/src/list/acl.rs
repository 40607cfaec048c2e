//! Access control lists as they travel (docs/spec filelist.md 13).

use super::ids::{IdNames, NameLookup, UsedIds, put_name};
use crate::{Error, Result, WireRead, WireWrite};

/// Most entries with names in one ACL.
const NAMES_MAX: i32 = 65536;

const HAS_USER: u8 = 0x01;
const HAS_GROUP: u8 = 0x02;
const HAS_MASK: u8 = 0x04;
const HAS_OTHER: u8 = 0x08;
const HAS_NAMES: u8 = 0x10;

const NAME_FOLLOWS: u32 = 1;
const IS_USER: u32 = 2;

/// An ACL in the condensed form of the wire: what the mode tells is left out.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Acl {
    /// Permissions of the owner, 0 to 7.
    pub user: Option<u8>,
    /// Permissions of the group.
    pub group: Option<u8>,
    /// The most that groups and named entries get.
    pub mask: Option<u8>,
    /// Permissions of everybody else.
    pub other: Option<u8>,
    /// Named entries: users by id, then groups by id.
    pub names: Vec<AclName>,
}

/// A named entry of an ACL.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AclName {
    /// The user or group.
    pub id: u32,
    /// Whether `id` is a user.
    pub is_user: bool,
    /// Permissions, 0 to 7.
    pub permissions: u8,
}

impl Acl {
    /// Leaves out of a complete access ACL what a mode's permission bits tell.
    pub fn condense_access(mut self, mode: u32) -> Self {
        let group_bits = (mode >> 3 & 7) as u8;
        self.user = None;
        self.other = None;
        if self.mask.is_none() || self.group == Some(group_bits) {
            self.group = None;
        }
        if !self.names.is_empty() && self.mask == Some(group_bits) {
            self.mask = None;
        }
        self.names.sort_by_key(|name| (!name.is_user, name.id));
        self
    }

    /// The complete access ACL, with what the mode tells.
    pub fn expand_access(mut self, mode: u32) -> Self {
        let bits = |shift: u32| Some((mode >> shift & 7) as u8);
        self.user = self.user.or(bits(6));
        self.group = self.group.or(bits(3));
        self.other = self.other.or(bits(0));
        if !self.names.is_empty() {
            self.mask = self.mask.or(bits(3));
        }
        self
    }

    /// The complete default ACL; `None` if the directory has none.
    pub fn expand_default(mut self) -> Option<Self> {
        self.user?;
        if !self.names.is_empty() && self.mask.is_none() {
            let group = self.group.unwrap_or(0);
            let all = self.names.iter().fold(group, |mask, name| mask | name.permissions);
            self.mask = Some(all);
        }
        Some(self)
    }

    /// Reads the contents of a new ACL.
    pub(super) fn decode(input: &mut impl WireRead, names: &mut IdNames) -> Result<Self> {
        let present = input.read_u8()?;
        let mut field = |bit: u8| match present & bit {
            0 => Ok(None),
            _ => permissions(input.read_varint()? as u32).map(Some),
        };
        let (user, group) = (field(HAS_USER)?, field(HAS_GROUP)?);
        let (mask, other) = (field(HAS_MASK)?, field(HAS_OTHER)?);
        let mut acl = Self { user, group, mask, other, names: Vec::new() };
        if present & HAS_NAMES != 0 {
            let count = input.read_varint_in("ACL count", 0, NAMES_MAX)?;
            for _ in 0..count {
                let id = input.read_varint()? as u32;
                let access = input.read_varint()? as u32;
                let is_user = access & IS_USER != 0;
                if access & NAME_FOLLOWS != 0 {
                    if is_user {
                        names.read_user(input, id)?;
                    } else {
                        names.read_group(input, id)?;
                    }
                }
                let permissions = permissions(access >> 2)?;
                acl.names.push(AclName { id, is_user, permissions });
            }
        }
        Ok(acl)
    }

    /// Appends the contents of a new ACL; names of ids travel with it when `inline`.
    pub(super) fn encode(
        &self,
        out: &mut Vec<u8>,
        inline: bool,
        (users, groups): (&mut UsedIds, &mut UsedIds),
        lookup: &mut dyn NameLookup,
    ) {
        let fields = [
            (self.user, HAS_USER),
            (self.group, HAS_GROUP),
            (self.mask, HAS_MASK),
            (self.other, HAS_OTHER),
        ];
        let present = fields.iter().filter(|(field, _)| field.is_some());
        let names = if self.names.is_empty() { 0 } else { HAS_NAMES };
        out.put_u8(present.fold(names, |bits, (_, bit)| bits | bit));
        for value in fields.iter().filter_map(|(field, _)| *field) {
            out.put_varint((value & 7).into());
        }
        if self.names.is_empty() {
            return;
        }
        out.put_varint(self.names.len() as i32);
        for name in &self.names {
            let first = if name.is_user {
                users.first_use(name.id, |id| lookup.user(id))
            } else {
                groups.first_use(name.id, |id| lookup.group(id))
            };
            let text = first.filter(|_| inline);
            out.put_varint(name.id as i32);
            let user = if name.is_user { IS_USER } else { 0 };
            let follows = if text.is_some() { NAME_FOLLOWS } else { 0 };
            out.put_varint((u32::from(name.permissions & 7) << 2 | user | follows) as i32);
            if let Some(text) = text {
                put_name(out, text);
            }
        }
    }
}

fn permissions(value: u32) -> Result<u8> {
    match value {
        0..=7 => Ok(value as u8),
        _ => Err(Error::AclPermission(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condensing_and_expanding_are_inverse() {
        let names = vec![
            AclName { id: 1, is_user: true, permissions: 7 },
            AclName { id: 60, is_user: false, permissions: 4 },
        ];
        let full = Acl { user: Some(6), group: Some(4), mask: Some(7), other: Some(4), names };
        let condensed = full.clone().condense_access(0o674);
        assert_eq!((condensed.user, condensed.mask, condensed.group), (None, None, Some(4)));
        assert_eq!(condensed.expand_access(0o674), full);
        assert_eq!(Acl::default().expand_default(), None);
    }
}
