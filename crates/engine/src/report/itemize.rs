//! The eleven characters of `%i` (docs/spec cli.md 10).

use syncline_options::Options;
use syncline_wire::ItemFlags;
use syncline_wire::list::FileKind;

use super::Direction;
use crate::ItemEvent;

/// The field for an item.
pub(super) fn field(
    item: &ItemEvent<'_>,
    options: &Options,
    direction: Direction,
    protocol: u8,
    link_times: bool,
) -> [u8; 11] {
    let flags = item.flags;
    let kind = item.entry.kind();
    let mut field = *b"...........";
    field[0] = if flags.contains(ItemFlags::LOCAL_CHANGE) {
        if flags.contains(ItemFlags::NAME_FOLLOWS) || item.leader.is_some() { b'h' } else { b'c' }
    } else if !flags.contains(ItemFlags::TRANSFER) {
        b'.'
    } else if direction == Direction::Push {
        b'<'
    } else {
        b'>'
    };
    field[1] = match kind {
        FileKind::Symlink => b'L',
        FileKind::Directory => b'd',
        FileKind::BlockDevice | FileKind::CharacterDevice => b'D',
        FileKind::Fifo | FileKind::Socket => b'S',
        _ => b'f',
    };
    // No flags came with the answer to a request; what was done here has its own.
    if protocol < 29 && flags.contains(ItemFlags::TRANSFER) {
        field[2..].fill(b'?');
        return field;
    }
    if flags.contains(ItemFlags::IS_NEW) {
        field[2..].fill(b'+');
        return field;
    }
    let mut set = |place: usize, flag: ItemFlags, letter: u8| {
        if flags.contains(flag) {
            field[place] = letter;
        }
    };
    set(2, ItemFlags::REPORT_CHANGE, b'c');
    if kind == FileKind::Symlink {
        let failed = flags.contains(ItemFlags::REPORT_TIME_FAILED);
        let settable = options.attributes.times && link_times && !failed;
        set(4, ItemFlags::REPORT_TIME, if settable { b't' } else { b'T' });
    } else {
        set(3, ItemFlags::REPORT_SIZE, b's');
        set(4, ItemFlags::REPORT_TIME, if options.attributes.times { b't' } else { b'T' });
        set(5, ItemFlags::REPORT_PERMISSIONS, b'p');
    }
    set(6, ItemFlags::REPORT_OWNER, b'o');
    set(7, ItemFlags::REPORT_GROUP, b'g');
    let atime = flags.contains(ItemFlags::REPORT_ATIME);
    let crtime = flags.contains(ItemFlags::REPORT_CRTIME);
    set(9, ItemFlags::REPORT_ACL, b'a');
    set(10, ItemFlags::REPORT_XATTR, b'x');
    field[8] = match (atime, crtime) {
        (true, true) => b'b',
        (true, false) => b'u',
        (false, true) => b'n',
        (false, false) => b'.',
    };
    if matches!(field[0], b'.' | b'h' | b'c') && field[2..].iter().all(|&byte| byte == b'.') {
        field[2..].fill(b' ');
    }
    field
}
