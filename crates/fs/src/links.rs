//! What symbolic links say: unsafe targets, munged targets (behaviour.md 3.3 and 3.4).

/// What a munged target begins with.
pub const MUNGE_PREFIX: &[u8] = b"/rsyncd-munged/";

/// Could the link called `name` (relative to the top of the transfer) lead out of the tree? Judged by the text alone:
/// what is really there does not matter.
///
/// ```
/// use syncline_fs::{RelPath, is_unsafe_target};
///
/// let name = RelPath::new(b"sub/link").unwrap();
/// assert!(!is_unsafe_target(b"../file", name));
/// assert!(is_unsafe_target(b"../../file", name));
/// assert!(is_unsafe_target(b"/etc/passwd", name));
/// ```
pub fn is_unsafe_target(target: &[u8], name: crate::RelPath<'_>) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let mut rest = target;
    while let Some(behind) = rest.strip_prefix(b"../") {
        rest = &behind[behind.iter().take_while(|byte| **byte == b'/').count()..];
    }
    let climbs_inside = memchr::memmem::find(rest, b"/../").is_some();
    let climbs_last = target.len() > 3 && target.ends_with(b"/..");
    if climbs_inside || climbs_last {
        return true;
    }
    let mut depth = name.components().count().saturating_sub(1);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// The target as a munging receiver stores it.
pub fn munged(target: &[u8]) -> Vec<u8> {
    [MUNGE_PREFIX, target].concat()
}

/// The target as a munging sender sends it.
pub fn unmunged(target: &[u8]) -> &[u8] {
    match target.strip_prefix(MUNGE_PREFIX) {
        Some(original) if !original.is_empty() => original,
        _ => target,
    }
}

/// The target as a daemon stores it whose module is part of a tree, without munging: it cannot lead out of the module.
/// `name` is the link's, relative to the module.
pub fn confined_target(target: &[u8], name: crate::RelPath<'_>) -> Vec<u8> {
    let mut depth = name.components().count().saturating_sub(1);
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                    depth -= 1;
                }
                // Above the module there is nothing to climb to.
                _ if depth == 0 => {}
                _ => {
                    parts.push(part);
                    depth -= 1;
                }
            },
            _ => {
                parts.push(part);
                depth += 1;
            }
        }
    }
    if parts.is_empty() {
        return b".".to_vec();
    }
    let mut confined = parts.join(&b'/');
    // Whoever wrote that a directory is meant is still right.
    if target.ends_with(b"/") || target.ends_with(b"/.") {
        confined.push(b'/');
    }
    confined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RelPath;
    use proptest::prelude::*;

    fn unsafe_at(name: &str, target: &str) -> bool {
        is_unsafe_target(target.as_bytes(), RelPath::new(name.as_bytes()).unwrap())
    }

    #[test]
    fn targets_that_may_leave_the_tree_are_unsafe() {
        for (name, target) in [
            ("l", ""),
            ("l", "/etc"),
            ("l", ".."),
            ("l", "../x"),
            ("l", "a/../b"),
            ("l", "sub/.."),
            ("l", "a/../../b"),
            ("sub/l", "../../x"),
            ("sub/l", "../.."),
            ("sub/l", "..//..//x"),
            ("a/b/l", "../../../x"),
            ("a/b/l", "./../x/../y"),
        ] {
            assert!(unsafe_at(name, target), "{name} -> {target}");
        }
    }

    #[test]
    fn targets_that_stay_are_safe_whether_they_exist_or_not() {
        for (name, target) in [
            ("l", "x"),
            ("l", "./x/y"),
            ("l", "..."),
            ("sub/l", ".."),
            ("sub/l", "../x"),
            ("a/b/l", "../../x"),
            ("a/b/l", "..//../x"),
        ] {
            assert!(!unsafe_at(name, target), "{name} -> {target}");
        }
    }

    #[test]
    fn a_confined_target_cannot_climb_out() {
        for (name, target, confined) in [
            ("l", "../out", "out"),
            ("l", "/etc/passwd", "etc/passwd"),
            ("d/l", "../x", "../x"),
            ("d/l", "../../x", "../x"),
            ("l", "plain", "plain"),
            // What the stock daemon makes of these, seen.
            ("l", "a/../b", "b"),
            ("l", "./x", "x"),
            ("l", "x/", "x/"),
            ("l", "a//b", "a/b"),
            ("l", "..", "."),
            ("l", "/", "."),
            ("l", "//x//y/", "x/y/"),
            ("l", "a/.", "a/"),
            ("l", "../a/../../c", "c"),
            ("d/l", "..", ".."),
            ("d/l", "/../x", "../x"),
            ("d/l", "../a/../../c", "../c"),
            ("d/e/l", "a/../../b", "../b"),
            ("d/e/l", "../a/../../c", "../../c"),
        ] {
            let name = RelPath::new(name.as_bytes()).unwrap();
            let found = confined_target(target.as_bytes(), name);
            assert_eq!(String::from_utf8_lossy(&found), confined, "{target}");
        }
    }

    proptest! {
        #[test]
        fn what_is_munged_is_unmunged(target in prop::collection::vec(1u8.., 1..40)) {
            let stored = munged(&target);
            prop_assert_eq!(unmunged(&stored), &target[..]);
        }

        #[test]
        fn no_confined_target_climbs_above_the_top(
            target in "(\\.\\./|a/|/|\\./){0,8}(b|\\.\\.)?",
            name in "(d/){0,3}l",
        ) {
            let found = confined_target(target.as_bytes(), RelPath::new(name.as_bytes()).unwrap());
            let mut depth = name.matches('/').count() as i32;
            for part in found.split(|byte| *byte == b'/') {
                depth += match part { b"." | b"" => 0, b".." => -1, _ => 1 };
                prop_assert!(depth >= 0, "{:?}", String::from_utf8_lossy(&found));
            }
            prop_assert!(!found.starts_with(b"/"));
        }
    }

    #[test]
    fn what_is_not_munged_stays() {
        assert_eq!(unmunged(b"/rsyncd-munged/"), b"/rsyncd-munged/");
        assert_eq!(unmunged(b"plain"), b"plain");
        assert_eq!(munged(b"/abs"), b"/rsyncd-munged//abs");
    }
}
