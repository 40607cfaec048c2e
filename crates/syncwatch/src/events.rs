//! The names of events (spec inotifywait.md 2).

use syncline_watch::Mask;

/// Names as `-e` takes them, with their bits and one line of help.
pub(crate) const NAMES: &[(&str, u32, &str)] = &[
    ("access", 0x1, "file or directory contents were read"),
    ("modify", 0x2, "file or directory contents were written"),
    ("attrib", 0x4, "file or directory attributes changed"),
    ("close_write", 0x8, "file closed after being open for writing"),
    ("close_nowrite", 0x10, "file or directory closed after being open read-only"),
    ("close", 0x18, "file or directory closed, whichever way it was open"),
    ("open", 0x20, "file or directory opened"),
    ("moved_to", 0x80, "file or directory moved into a watched directory"),
    ("moved_from", 0x40, "file or directory moved out of a watched directory"),
    ("move", 0xc0, "file or directory moved into or out of a watched directory"),
    ("move_self", 0x800, "a watched file or directory was moved"),
    ("create", 0x100, "file or directory created in a watched directory"),
    ("delete", 0x200, "file or directory deleted in a watched directory"),
    ("delete_self", 0x400, "a watched file or directory was deleted"),
    ("unmount", 0x2000, "the file system of a watched file or directory was unmounted"),
];

/// The names alone.
pub(crate) const ALL_NAMES: &[&str] = {
    let mut names = [""; NAMES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = NAMES[at].0;
        at += 1;
    }
    &{ names }
};

/// Names that `-e` takes and the help does not list.
const HIDDEN: &[(&str, u32)] = &[
    ("q_overflow", 0x4000),
    ("ignored", 0x8000),
    ("isdir", 0x4000_0000),
    ("oneshot", 0x8000_0000),
    ("all_events", 0xfff),
];

/// The order of names in a printed set (2.3).
const PRINTED: &[(&str, u32)] = &[
    ("ACCESS", 0x1),
    ("MODIFY", 0x2),
    ("ATTRIB", 0x4),
    ("CLOSE_WRITE", 0x8),
    ("CLOSE_NOWRITE", 0x10),
    ("OPEN", 0x20),
    ("MOVED_FROM", 0x40),
    ("MOVED_TO", 0x80),
    ("CREATE", 0x100),
    ("DELETE", 0x200),
    ("DELETE_SELF", 0x400),
    ("UNMOUNT", 0x2000),
    ("Q_OVERFLOW", 0x4000),
    ("IGNORED", 0x8000),
    ("CLOSE", 0x18),
    ("MOVE_SELF", 0x800),
    ("ISDIR", 0x4000_0000),
    ("ONESHOT", 0x8000_0000),
];

/// The bits of one name, case ignored.
pub(crate) fn bits(name: &[u8]) -> Option<u32> {
    let shown = NAMES.iter().map(|(name, bits, _)| (*name, *bits));
    shown
        .chain(HIDDEN.iter().copied())
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
        .map(|(_, bits)| bits)
}

/// The bits of a comma list; an empty element means nothing.
pub(crate) fn parse(list: &[u8]) -> Option<Mask> {
    let mut mask = Mask::default();
    for name in list.split(|&byte| byte == b',').filter(|name| !name.is_empty()) {
        mask |= Mask::from_bits(bits(name)?);
    }
    Some(mask)
}

/// The text for a list that is not one.
pub(crate) fn unknown(list: &[u8]) -> String {
    let list = String::from_utf8_lossy(list);
    format!("'{list}' is not a valid event!  Run with the '--help' option to see a list of events.")
}

/// Writes the names of a set.
pub(crate) fn print(mask: Mask, separator: u8, out: &mut Vec<u8>) {
    let start = out.len();
    for (name, bits) in PRINTED {
        if mask.intersects(Mask::from_bits(*bits)) {
            if out.len() > start {
                out.push(separator);
            }
            out.extend_from_slice(name.as_bytes());
        }
    }
    if out.len() == start {
        out.extend_from_slice(format!("0x{:08x}", mask.bits()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(bits: u32) -> String {
        let mut out = Vec::new();
        print(Mask::from_bits(bits), b',', &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_come_in_the_order_of_the_stock_tool() {
        assert_eq!(printed(0x8), "CLOSE_WRITE,CLOSE");
        assert_eq!(printed(0x4000_0010), "CLOSE_NOWRITE,CLOSE,ISDIR");
        assert_eq!(printed(0x4000_2000), "UNMOUNT,ISDIR");
        assert_eq!(printed(0x1000_0000), "0x10000000");
    }

    #[test]
    fn empty_elements_mean_nothing_and_unknown_names_spoil_the_list() {
        assert_eq!(parse(b"access,").map(Mask::bits), Some(1));
        assert_eq!(parse(b"").map(Mask::bits), Some(0));
        assert_eq!(parse(b"OPEN,Close").map(Mask::bits), Some(0x38));
        assert_eq!(parse(b" access"), None);
        assert_eq!(parse(b"IN_ACCESS"), None);
    }
}
