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
    if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') }
}
