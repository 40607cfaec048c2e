//! One file as a list describes it.

/// File types of the mode's upper bits (docs/spec filelist.md 4.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Mode 0: the argument does not exist at the source (`--delete-missing-args`).
    Missing,
}

impl FileKind {
    /// The kind a mode tells; `None` if its type bits mean nothing.
    pub fn of(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::Regular),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            0o060_000 => Some(Self::BlockDevice),
            0o020_000 => Some(Self::CharacterDevice),
            0o010_000 => Some(Self::Fifo),
            0o140_000 => Some(Self::Socket),
            _ if mode == 0 => Some(Self::Missing),
            _ => None,
        }
    }

    /// A block or character device.
    pub fn is_device(self) -> bool {
        matches!(self, Self::BlockDevice | Self::CharacterDevice)
    }

    /// A FIFO or socket.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Fifo | Self::Socket)
    }
}

/// What a list says about a directory's contents (docs/spec filelist.md 4.4).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum DirectoryRole {
    /// Its contents are in the transfer.
    #[default]
    Content,
    /// Named by the request, contents in the transfer: deletion may start here.
    Top,
    /// Its contents are not in the transfer: never delete inside.
    Empty,
    /// A parent that only `-R` implies: never delete inside.
    Implied,
}

impl DirectoryRole {
    /// What two mentions of one directory amount to (filelist.md 7.2).
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Top, _) | (_, Self::Top) => Self::Top,
            (Self::Content, _) | (_, Self::Content) => Self::Content,
            (Self::Implied, Self::Implied) => Self::Implied,
            _ => Self::Empty,
        }
    }
}

/// A device number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Device {
    /// Driver.
    pub major: u32,
    /// Unit.
    pub minor: u32,
}

impl Device {
    /// The 32 bits that protocol 27 sends: Linux's packing (filelist.md 4.6).
    pub(crate) fn to_packed(self) -> u32 {
        self.minor & 0xff | (self.major & 0xfff) << 8 | (self.minor & !0xff) << 12
    }

    pub(crate) fn from_packed(packed: u32) -> Self {
        Self { major: packed >> 8 & 0xfff, minor: packed & 0xff | packed >> 12 & 0xf_ff00 }
    }
}

/// How an entry is known to share its inode.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HardLink {
    /// The sender's own knowledge, given to the encoder for every non-directory with more than one
    /// link.
    Inode {
        /// The device the inode lives on.
        device: u64,
        /// The inode number.
        inode: u64,
    },
    /// What the list tells: all entries with this number are one file. It is the wire-order index
    /// of the first one. At protocol 27 every regular file has a number, most of them alone.
    Group(u32),
}

/// One file as a list describes it; [`super::FileList`] stores it compactly.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileEntry {
    /// The whole path inside the transfer; `.` is the root.
    pub name: Vec<u8>,
    /// Type and permissions, traditional Unix values.
    pub mode: u32,
    /// Length in bytes; of a link, of its target.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Its nanoseconds; sent from protocol 31.
    pub mtime_nsec: u32,
    /// Access time; sent with `-U`, not for directories.
    pub atime: i64,
    /// Creation time; sent with `-N`.
    pub crtime: i64,
    /// Owner; sent with `-o`.
    pub uid: u32,
    /// Group; sent with `-g`.
    pub gid: u32,
    /// Number of a device.
    pub device: Option<Device>,
    /// Target of a symlink.
    pub target: Option<Vec<u8>>,
    /// Hard-link group.
    pub hard_link: Option<HardLink>,
    /// Sum of the content; sent with `-c`.
    pub checksum: Option<Vec<u8>>,
    /// What the list says about a directory.
    pub role: DirectoryRole,
    /// Position of the ACL in [`super::Attributes::access`].
    pub access_acl: Option<u32>,
    /// Position of a directory's default ACL in [`super::Attributes::default`].
    pub default_acl: Option<u32>,
    /// Position of the attribute set in [`super::Attributes::xattrs`].
    pub xattrs: Option<u32>,
}

impl FileEntry {
    /// The type of file; a mode with meaningless type bits counts as missing.
    pub fn kind(&self) -> FileKind {
        FileKind::of(self.mode).unwrap_or(FileKind::Missing)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == FileKind::Directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_packed_as_linux_packs_them() {
        for (major, minor, bytes) in
            [(7, 300, [0x2c, 0x07, 0x10, 0x00]), (1, 3, [0x03, 0x01, 0x00, 0x00])]
        {
            let device = Device { major, minor };
            assert_eq!(device.to_packed().to_le_bytes(), bytes);
            assert_eq!(Device::from_packed(device.to_packed()), device);
        }
    }

    #[test]
    fn implied_survives_only_where_both_mentions_have_it() {
        use DirectoryRole::{Content, Empty, Implied, Top};
        assert_eq!(Implied.merge(Implied), Implied);
        assert_eq!(Implied.merge(Empty), Empty);
        assert_eq!(Implied.merge(Content), Content);
        assert_eq!(Content.merge(Top), Top);
    }
}
