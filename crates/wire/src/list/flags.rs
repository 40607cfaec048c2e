//! Entry flag bits (docs/spec filelist.md 4.1). Several bits change their meaning with version and
//! file type.

pub(super) const TOP_DIR: u32 = 0x1;
pub(super) const SAME_MODE: u32 = 0x2;
/// Protocol 27 alone.
pub(super) const SAME_RDEV: u32 = 0x4;
/// Byte form from 28: a second byte follows. Varint form: filler.
pub(super) const EXTENDED: u32 = 0x4;
pub(super) const SAME_UID: u32 = 0x8;
pub(super) const SAME_GID: u32 = 0x10;
pub(super) const SAME_NAME: u32 = 0x20;
pub(super) const LONG_NAME: u32 = 0x40;
pub(super) const SAME_TIME: u32 = 0x80;
/// Devices and specials, from 28.
pub(super) const SAME_RDEV_MAJOR: u32 = 0x100;
/// Directories, from 30.
pub(super) const NO_CONTENT: u32 = 0x100;
pub(super) const HLINKED: u32 = 0x200;
/// 28 and 29.
pub(super) const SAME_DEV: u32 = 0x400;
/// From 30.
pub(super) const USER_NAME: u32 = 0x400;
/// 28 and 29.
pub(super) const RDEV_MINOR_8: u32 = 0x800;
/// From 30.
pub(super) const GROUP_NAME: u32 = 0x800;
pub(super) const HLINK_FIRST: u32 = 0x1000;
pub(super) const NANOSECONDS: u32 = 0x2000;
pub(super) const SAME_ATIME: u32 = 0x4000;
/// Varint form alone.
pub(super) const CRTIME_IS_MTIME: u32 = 0x2_0000;
/// End of a list with an I/O error, byte form.
pub(super) const ERROR_END: u32 = 0x1004;
