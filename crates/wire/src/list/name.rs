//! Names a receiver must refuse or repair (docs/spec filelist.md 5).

use crate::error::lossy;
use crate::{Error, Result};

/// Longest path of an entry, and longest link target.
pub const PATH_MAX: usize = 4095;

/// The name as it may be used: no `..`, no NUL, no empty and no `.` component, and no leading slash
/// unless `relative`. What stock repairs is repaired: repeated slashes, `.` components, a trailing
/// slash. A directory keeps a trailing `/.`; the root is `.`; an empty name stays empty and must
/// not be used.
///
/// ```
/// use syncline_wire::list::clean_name;
///
/// assert_eq!(clean_name(b"./d//x", false, false)?, b"d/x");
/// assert!(clean_name(b"a/../x", false, false).is_err());
/// assert!(clean_name(b"/etc", false, false).is_err());
/// # Ok::<(), syncline_wire::Error>(())
/// ```
pub fn clean_name(name: &[u8], directory: bool, relative: bool) -> Result<Vec<u8>> {
    if name.contains(&0) {
        return Err(Error::NulInName(lossy(name)));
    }
    let absolute = name.starts_with(b"/");
    if absolute && !relative {
        return Err(Error::UnsafePath(lossy(name)));
    }
    let mut clean = Vec::with_capacity(name.len());
    if absolute {
        clean.push(b'/');
    }
    let root = clean.len();
    let mut last: &[u8] = b"";
    for component in name.split(|&byte| byte == b'/') {
        last = component;
        match component {
            b".." => return Err(Error::UnsafePath(lossy(name))),
            b"" | b"." => {}
            _ => {
                if clean.len() > root {
                    clean.push(b'/');
                }
                clean.extend_from_slice(component);
            }
        }
    }
    if name.is_empty() {
        return Ok(clean);
    }
    if clean.len() == root {
        clean.push(b'.');
    } else if last == b"." && directory {
        clean.extend_from_slice(b"/.");
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_repaired_as_stock_does() {
        for (name, clean) in [
            ("d//x", "d/x"),
            ("./d/./y", "d/y"),
            ("d/", "d"),
            ("d/./", "d"),
            ("d/.", "d/."),
            (".", "."),
            ("./", "."),
            ("a\n\\b", "a\n\\b"),
            ("...", "..."),
            ("", ""),
        ] {
            assert_eq!(clean_name(name.as_bytes(), true, false).unwrap(), clean.as_bytes());
        }
        assert_eq!(clean_name(b"x/.", false, false).unwrap(), b"x");
        assert_eq!(clean_name(b"//abs//p", false, true).unwrap(), b"/abs/p");
        assert_eq!(clean_name(b"/", true, true).unwrap(), b"/.");
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        for name in ["..", "a/..", "a/../x", "../x", "/", "/etc/passwd", "a\0b"] {
            assert!(clean_name(name.as_bytes(), true, false).is_err(), "{name:?}");
        }
        assert!(clean_name(b"/a/..", true, true).is_err());
    }

    proptest! {
        #[test]
        fn a_clean_name_is_safe_and_stays_as_it_is(name in "[a./]{0,12}", directory in any::<bool>()) {
            if let Ok(clean) = clean_name(name.as_bytes(), directory, false) {
                prop_assert!(!clean.starts_with(b"/"));
                if !clean.is_empty() {
                    let components: Vec<_> = clean.split(|&byte| byte == b'/').collect();
                    prop_assert!(components.iter().all(|part| !part.is_empty() && *part != b".."));
                    let dots = components.iter().filter(|part| **part == b".").count();
                    let last = components.last() == Some(&&b"."[..]);
                    prop_assert!(dots == usize::from(last));
                }
                prop_assert_eq!(clean_name(&clean, directory, false).unwrap(), clean);
            }
        }
    }
}
