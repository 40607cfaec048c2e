//! `--serve-only`: one transfer, confined to a directory (ours).

use crate::word::Word;

/// Which direction is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Access {
    /// Both.
    #[default]
    ReadWrite,
    /// `--ro`.
    ReadOnly,
    /// `--wo`.
    WriteOnly,
}

/// What `--serve-only` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOnly {
    /// The directory.
    pub dir: Word,
    /// Directions.
    pub access: Access,
    /// Make symlinks harmless.
    pub munge: bool,
    /// Delete nothing.
    pub no_delete: bool,
    /// Leave every file that is there as it is.
    pub no_overwrite: bool,
    /// Clients may name the directory by its path here.
    pub absolute: bool,
    /// Let several sessions that may write work at once.
    pub no_lock: bool,
}
