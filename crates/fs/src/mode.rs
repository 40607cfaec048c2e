//! Which permission bits an object gets (behaviour.md 14.3).

use crate::error::Result;
use crate::{AclKind, Dir, Object, Place, RelPath};

/// The umask of this process.
pub fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(mask) = line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()) {
        return mask;
    }
    // Without /proc there is no way to look without touching. Strict for the moment: another thread may create a file.
    let strict = rustix::fs::Mode::from_raw_mode(0o077);
    let mask = rustix::process::umask(strict);
    rustix::process::umask(mask);
    mask.as_raw_mode()
}

/// The permission bits of a new object when permissions are not preserved: the source's less `mask`, without setuid,
/// setgid and sticky.
pub fn for_new_object(source: u32, mask: u32) -> u32 {
    source & 0o777 & !mask
}

/// The permission bits of a file under -E without -p: whether it is executable is taken over, and nothing else.
pub fn with_executability_of(source: u32, existing: u32) -> u32 {
    let existing = existing & 0o7777;
    if source & 0o111 == 0 {
        existing & !0o111
    } else if existing & 0o111 == 0 {
        existing | (existing & 0o444) >> 2
    } else {
        existing
    }
}

impl Dir {
    /// What takes the place of the umask for new objects in this directory: the directory's default ACL, if it has one.
    /// `path` names the directory in errors.
    pub fn creation_mask(&self, path: RelPath<'_>) -> Result<Option<u32>> {
        let here: Place<'_> = self.place(RelPath::ROOT);
        // What new objects really inherit, whatever is stored beside it.
        let acl = Object::from(&here).real_acl(AclKind::Default).map_err(|error| error.on(path))?;
        Ok(acl.map(|acl| !acl.mode() & 0o777))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_object_loses_what_the_mask_forbids_and_the_special_bits() {
        assert_eq!(for_new_object(0o104_777, 0o022), 0o755);
        assert_eq!(for_new_object(0o100_600, 0o022), 0o600);
    }

    #[test]
    fn executability_is_taken_over_alone() {
        assert_eq!(with_executability_of(0o644, 0o100_755), 0o644);
        assert_eq!(with_executability_of(0o100, 0o640), 0o750);
        assert_eq!(with_executability_of(0o755, 0o744), 0o744);
        assert_eq!(with_executability_of(0o644, 0o4755), 0o4644);
    }

    #[test]
    fn looking_at_the_umask_leaves_it() {
        let mask = umask();
        assert_eq!(umask(), mask);
        assert!(mask <= 0o777);
    }
}
