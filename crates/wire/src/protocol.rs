//! The negotiated version and flags: what differs between them.

use crate::{Error, Result};

/// A negotiated protocol version, 27 to 32. Ask its methods what differs; compare versions only
/// here.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Protocol(u8);

impl Protocol {
    /// Oldest version spoken: releases 2.6.0 on.
    pub const OLDEST: Self = Self(27);
    /// Newest version spoken: releases 3.4.0 on.
    pub const NEWEST: Self = Self(32);
    /// Every version spoken, oldest first.
    pub const ALL: [Self; 6] = [Self(27), Self(28), Self(29), Self(30), Self(31), Self(32)];

    /// A version by number.
    pub fn new(version: u8) -> Result<Self> {
        if (Self::OLDEST.0..=Self::NEWEST.0).contains(&version) {
            Ok(Self(version))
        } else {
            Err(Error::VersionUnsupported(version))
        }
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Integers shrink with their value: varint, varlong and coded indexes (30 on).
    pub fn has_varints(self) -> bool {
        self.0 >= 30
    }

    /// Compat flags, capability letters, ACLs and xattrs exist (30 on).
    pub fn has_compat_flags(self) -> bool {
        self.0 >= 30
    }

    /// Entry flags may take two bytes (28 on).
    pub fn has_wide_entry_flags(self) -> bool {
        self.0 >= 28
    }

    /// Item flags follow an index (29 on); below, an index always means a transfer.
    pub fn has_item_flags(self) -> bool {
        self.0 >= 29
    }

    /// Lists sort directories behind files (29 on); below, by plain bytes.
    pub fn sorts_by_component(self) -> bool {
        self.0 >= 29
    }

    /// Directory marks tell implied and content-less directories apart (30 on).
    pub fn has_directory_marks(self) -> bool {
        self.0 >= 30
    }

    /// Hard links refer to list positions (30 on); below, to device and inode.
    pub fn has_link_references(self) -> bool {
        self.0 >= 30
    }

    /// mtime carries nanoseconds (31 on).
    pub fn has_nanoseconds(self) -> bool {
        self.0 >= 31
    }

    /// FIFOs and sockets carry a dummy device number (below 31).
    pub fn specials_have_device(self) -> bool {
        self.0 < 31
    }

    /// The list ends with an `int` of I/O errors (below 30).
    pub fn has_io_error_int(self) -> bool {
        self.0 < 30
    }

    /// A list may end with the I/O-error marker even when nobody asked for it (31 on).
    pub fn always_safe_list(self) -> bool {
        self.0 >= 31
    }

    /// Deletion statistics are exchanged (31 on).
    pub fn has_delete_stats(self) -> bool {
        self.0 >= 31
    }

    /// A failing side says so with `MSG_ERROR_EXIT` (31 on).
    pub fn has_error_exit(self) -> bool {
        self.0 >= 31
    }

    /// Which message tags beyond data, error and info a peer of this version understands.
    pub fn has_message(self, tag: u8) -> bool {
        match tag {
            // Success is sent only on runs that asked for it, whatever the version.
            0..=2 | 100 => true,
            101 => self.0 >= 29,
            3 | 4 | 22 | 42 | 102 => self.0 >= 30,
            33 | 86 => self.0 >= 31,
            _ => false,
        }
    }

    /// The client-to-server direction is multiplexed in every run (30 on; session.md 7.2). Below it
    /// is raw, except on a pull that removes source files.
    pub fn multiplexes_client(self) -> bool {
        self.0 >= 30
    }

    /// files-from names travel inside data frames (31 on; session.md 9).
    pub fn frames_files_from(self) -> bool {
        self.0 >= 31
    }

    /// Daemon arguments end in NUL (30 on) rather than LF.
    pub fn ends_arguments_with_nul(self) -> bool {
        self.0 >= 30
    }

    /// List build and transfer times are part of the statistics (29 on).
    pub fn has_list_times(self) -> bool {
        self.0 >= 29
    }

    /// `NDX_DONE`s the generator sends, the goodbye included (session.md 11.1).
    pub fn generator_rounds(self) -> u8 {
        match self.0 {
            ..29 => 3,
            29 | 30 => 4,
            _ => 5,
        }
    }

    /// `NDX_DONE`s the sender answers with (session.md 11.1).
    pub fn sender_rounds(self) -> u8 {
        self.generator_rounds() - 1
    }

    /// Rounds in which files may be asked for, and the one that ends them (session.md 11.1).
    pub fn working_rounds(self) -> u8 {
        if self.has_item_flags() { 3 } else { 2 }
    }

    /// Largest legal block length (delta.md 4.2).
    pub fn block_length_max(self) -> u32 {
        if self.0 >= 30 { 1 << 17 } else { 1 << 29 }
    }

    /// zlib history takes consecutive parts of a long block (31 on) rather than its start again and
    /// again (delta.md 8.3).
    pub fn inserts_blocks_straight(self) -> bool {
        self.0 >= 31
    }

    /// Plain `--append` leaves the old part unverified (30 on).
    pub fn appends_unverified(self) -> bool {
        self.0 >= 30
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the server settles after the version (docs/spec session.md 6.2). Unknown bits are kept and
/// mean nothing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CompatFlags(pub u32);

impl CompatFlags {
    /// Lists come directory by directory.
    pub const INCREMENTAL: Self = Self(0x01);
    /// Times of symlinks can be set.
    pub const SYMLINK_TIMES: Self = Self(0x02);
    /// Symlink targets are converted when a charset is in use.
    pub const SYMLINK_ICONV: Self = Self(0x04);
    /// A list may end with the I/O-error marker.
    pub const SAFE_LIST: Self = Self(0x08);
    /// Do not leave out the xattr exchange of hard links.
    pub const AVOID_XATTR_OPTIMISATION: Self = Self(0x10);
    /// The checksum seed goes in front of MD5 block sums.
    pub const SEED_ORDER: Self = Self(0x20);
    /// A partial-dir file may be updated in place.
    pub const INPLACE_PARTIAL_DIR: Self = Self(0x40);
    /// Entry flags are varints, and algorithm names are exchanged.
    pub const VARINT_FLAGS: Self = Self(0x80);
    /// Id lists carry names for id 0.
    pub const ID0_NAMES: Self = Self(0x100);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `self` with the bits of `other`.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `self` with the bits of `other` if `wanted`.
    pub fn with_if(self, wanted: bool, other: Self) -> Self {
        if wanted { self.with(other) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_27_to_32_exist() {
        assert!(Protocol::new(26).is_err());
        assert!(Protocol::new(33).is_err());
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::new(protocol.number()).unwrap(), protocol);
        }
    }

    #[test]
    fn rounds_follow_the_matrix() {
        let rounds: Vec<_> =
            Protocol::ALL.iter().map(|p| (p.generator_rounds(), p.sender_rounds())).collect();
        assert_eq!(rounds, [(3, 2), (3, 2), (4, 3), (4, 3), (5, 4), (5, 4)]);
    }
}
