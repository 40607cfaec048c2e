//! What decides which fields a list has.

use crate::{CompatFlags, Protocol};

/// Everything that both sides must have identical, because no field announces its own presence
/// (docs/spec filelist.md 2).
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// The negotiated version.
    pub protocol: Protocol,
    /// The settled flags; none below protocol 30.
    pub flags: CompatFlags,
    /// Names come with the directory part of `-R`: a leading slash is legal.
    pub relative: bool,
    /// `-l`: link targets are sent.
    pub links: bool,
    /// `-H`: hard links are told.
    pub hard_links: bool,
    /// `-o`: uids are sent.
    pub owner: bool,
    /// `-g`: gids are sent.
    pub group: bool,
    /// `--devices`: device numbers are sent.
    pub devices: bool,
    /// `--specials`: sockets and FIFOs are preserved.
    pub specials: bool,
    /// `-U`: access times are sent.
    pub access_times: bool,
    /// `-N`: creation times are sent.
    pub creation_times: bool,
    /// `-A`: ACLs are sent.
    pub acls: bool,
    /// `-X`: extended attributes are sent.
    pub xattrs: bool,
    /// `--numeric-ids`: no names of ids are sent.
    pub numeric_ids: bool,
    /// `-c`: length of the file sums.
    pub checksum_length: Option<usize>,
    /// `--delete-missing-args`: entries with mode 0 are legal.
    pub missing_args: bool,
    /// `-r`: below protocol 30 it tells content directories apart.
    pub recursive: bool,
}

impl ListOptions {
    /// Names, sizes, times and modes alone.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            flags: CompatFlags::default(),
            relative: false,
            links: false,
            hard_links: false,
            owner: false,
            group: false,
            devices: false,
            specials: false,
            access_times: false,
            creation_times: false,
            acls: false,
            xattrs: false,
            numeric_ids: false,
            checksum_length: None,
            missing_args: false,
            recursive: false,
        }
    }

    /// Lists come directory by directory.
    pub fn is_incremental(&self) -> bool {
        self.flags.contains(CompatFlags::INCREMENTAL)
    }

    /// The list may end with the I/O-error marker.
    pub fn is_safe(&self) -> bool {
        self.protocol.always_safe_list() || self.flags.contains(CompatFlags::SAFE_LIST)
    }

    /// Entry flags are varints.
    pub fn has_varint_flags(&self) -> bool {
        self.flags.contains(CompatFlags::VARINT_FLAGS)
    }

    /// Names of ids travel inside entries, at their first use.
    pub(crate) fn has_inline_names(&self) -> bool {
        self.is_incremental() && !self.numeric_ids
    }

    /// Lists of ids follow the list, for users and for groups.
    pub(crate) fn id_lists(&self) -> (bool, bool) {
        let present = !self.is_incremental() && !self.numeric_ids;
        (present && (self.owner || self.acls), present && (self.group || self.acls))
    }
}
