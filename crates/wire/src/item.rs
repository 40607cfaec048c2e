//! What follows an index: item flags, basis type, basis name (docs/spec filelist.md 10).

use std::ops::BitOr;

use crate::{Protocol, Result, WireRead, WireWrite};

/// Longest basis name a peer takes.
pub const BASIS_NAME_MAX: usize = 4095;

/// What differs about an item and what is to happen to it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ItemFlags(pub u16);

impl ItemFlags {
    /// Access time differs.
    pub const REPORT_ATIME: Self = Self(0x0001);
    /// Checksum, link target or device number differs.
    pub const REPORT_CHANGE: Self = Self(0x0002);
    /// Size of a regular file differs.
    pub const REPORT_SIZE: Self = Self(0x0004);
    /// Setting a symlink's time failed.
    pub const REPORT_TIME_FAILED: Self = Self(0x0004);
    /// Modification time differs, or will be set to now.
    pub const REPORT_TIME: Self = Self(0x0008);
    /// Permissions differ.
    pub const REPORT_PERMISSIONS: Self = Self(0x0010);
    /// Owner differs.
    pub const REPORT_OWNER: Self = Self(0x0020);
    /// Group differs.
    pub const REPORT_GROUP: Self = Self(0x0040);
    /// ACL differs.
    pub const REPORT_ACL: Self = Self(0x0080);
    /// Extended attributes differ; with them in use, an exchange of values follows.
    pub const REPORT_XATTR: Self = Self(0x0100);
    /// Creation time differs.
    pub const REPORT_CRTIME: Self = Self(0x0400);
    /// A basis type byte follows.
    pub const BASIS_TYPE_FOLLOWS: Self = Self(0x0800);
    /// A name follows.
    pub const NAME_FOLLOWS: Self = Self(0x1000);
    /// Nothing was there.
    pub const IS_NEW: Self = Self(0x2000);
    /// The generator made the change itself.
    pub const LOCAL_CHANGE: Self = Self(0x4000);
    /// Content is requested.
    pub const TRANSFER: Self = Self(0x8000);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `self` without the bits of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for ItemFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which file blocks are taken from.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum BasisType {
    /// The file of the same path in an alternate directory, by number.
    Alternate(u8),
    /// The destination file itself.
    #[default]
    Destination,
    /// The file in the partial directory.
    Partial,
    /// The backup just made of it.
    Backup,
    /// Another file of the destination directory, named by the basis name.
    Fuzzy,
    /// Another file of an alternate directory, by number, named by the basis name.
    FuzzyAlternate(u8),
}

impl From<u8> for BasisType {
    fn from(byte: u8) -> Self {
        match byte {
            ..0x80 => Self::Alternate(byte),
            0x80 => Self::Destination,
            0x81 => Self::Partial,
            0x82 => Self::Backup,
            0x83 => Self::Fuzzy,
            0x84.. => Self::FuzzyAlternate(byte - 0x84),
        }
    }
}

impl From<BasisType> for u8 {
    fn from(basis: BasisType) -> Self {
        match basis {
            BasisType::Alternate(number) => number & 0x7f,
            BasisType::Destination => 0x80,
            BasisType::Partial => 0x81,
            BasisType::Backup => 0x82,
            BasisType::Fuzzy => 0x83,
            BasisType::FuzzyAlternate(number) => 0x84_u8.saturating_add(number),
        }
    }
}

/// What follows an index from protocol 29 on. A sender repeats it unchanged.
///
/// The flags that announce basis and name are kept in step by [`Item::encode`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Item {
    /// What differs and what is to happen.
    pub flags: ItemFlags,
    /// The basis, if it is not the destination file.
    pub basis: Option<BasisType>,
    /// The basis's name, or the name a hard link was made to. Untrusted bytes.
    pub name: Option<Vec<u8>>,
}

impl Item {
    /// An item with flags alone.
    pub fn new(flags: ItemFlags) -> Self {
        Self { flags, basis: None, name: None }
    }

    /// Appends the item; nothing below protocol 29.
    pub fn encode(&self, out: &mut Vec<u8>, protocol: Protocol) {
        if !protocol.has_item_flags() {
            return;
        }
        let follow = ItemFlags::BASIS_TYPE_FOLLOWS | ItemFlags::NAME_FOLLOWS;
        let mut flags = self.flags.without(follow);
        if self.basis.is_some() {
            flags = flags | ItemFlags::BASIS_TYPE_FOLLOWS;
        }
        if self.name.is_some() {
            flags = flags | ItemFlags::NAME_FOLLOWS;
        }
        out.put_u16(flags.0);
        if let Some(basis) = self.basis {
            out.put_u8(basis.into());
        }
        if let Some(name) = &self.name {
            out.put_vstring(name);
        }
    }

    /// Reads an item; below protocol 29 every index asks for a transfer.
    pub fn decode(input: &mut impl WireRead, protocol: Protocol) -> Result<Self> {
        if !protocol.has_item_flags() {
            return Ok(Self::new(ItemFlags::TRANSFER));
        }
        let flags = ItemFlags(input.read_u16()?);
        let basis = if flags.contains(ItemFlags::BASIS_TYPE_FOLLOWS) {
            Some(input.read_u8()?.into())
        } else {
            None
        };
        let name = if flags.contains(ItemFlags::NAME_FOLLOWS) {
            Some(input.read_vstring(BASIS_NAME_MAX)?)
        } else {
            None
        };
        Ok(Self { flags, basis, name })
    }

    /// Whether content is requested.
    pub fn is_transfer(&self) -> bool {
        self.flags.contains(ItemFlags::TRANSFER)
    }

    /// Whether this is no item but the keep-alive of protocol 29: `index` is one past the last of
    /// `entries` (session.md 13.2). It is written as an item with [`ItemFlags::IS_NEW`] alone.
    pub fn is_keep_alive(&self, index: u32, entries: u32, protocol: Protocol) -> bool {
        protocol.has_item_flags()
            && !protocol.has_varints()
            && index == entries
            && self.flags == ItemFlags::IS_NEW
    }

    /// Where the blocks come from.
    pub fn basis(&self) -> BasisType {
        self.basis.unwrap_or_default()
    }

    /// Whether attribute values are exchanged behind this item, given that xattrs are in use and it
    /// is no dry run; `optimised` is the hard-link optimisation of filelist.md 14.3.
    pub fn exchanges_xattrs(&self, optimised: bool) -> bool {
        let linked = ItemFlags::LOCAL_CHANGE | ItemFlags::NAME_FOLLOWS;
        self.flags.contains(ItemFlags::REPORT_XATTR) && !(optimised && self.flags.contains(linked))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_item_is_as_captured() {
        let mut out = Vec::new();
        let flags = ItemFlags::IS_NEW | ItemFlags::LOCAL_CHANGE;
        let item = Item { name: Some(b"b".to_vec()), ..Item::new(flags) };
        item.encode(&mut out, Protocol::NEWEST);
        assert_eq!(out, [0x00, 0x70, 0x01, b'b']);
    }

    #[test]
    fn old_versions_transfer_without_saying_so() {
        let mut out = Vec::new();
        Item::default().encode(&mut out, Protocol::OLDEST);
        assert!(out.is_empty());
        assert!(Item::decode(&mut &out[..], Protocol::OLDEST).unwrap().is_transfer());
    }

    #[test]
    fn every_basis_byte_has_one_meaning() {
        for byte in 0..=255 {
            assert_eq!(u8::from(BasisType::from(byte)), byte);
        }
    }

    proptest! {
        #[test]
        fn every_item_survives_the_wire(
            bits in any::<u16>(), basis in any::<Option<u8>>(),
            name in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        ) {
            let item = Item { flags: ItemFlags(bits), basis: basis.map(Into::into), name };
            let mut out = Vec::new();
            item.encode(&mut out, Protocol::NEWEST);
            let mut input = &out[..];
            let read = Item::decode(&mut input, Protocol::NEWEST).unwrap();
            prop_assert_eq!((read.basis, &read.name), (item.basis, &item.name));
            prop_assert_eq!((read.flags.0 ^ bits) & !0x1800, 0);
            prop_assert!(input.is_empty());
        }
    }
}
