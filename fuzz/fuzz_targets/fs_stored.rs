//! What --fake-super keeps in attributes, and the kernel's access lists: what can be read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_fs::{Acl, FakeStat, Kind};

/// A full list and what is left of it beside its mode say the same.
fn condenses(acl: &Acl, mode: u32) {
    let full = acl.completed_for_access(mode);
    // What the mode says of the group is the mask, where there is one.
    let mode = full.mode();
    assert_eq!(mode & !0o777, 0);
    if full.is_minimal() {
        assert_eq!(full.condensed(mode), Acl::default());
    }
    assert_eq!(full.condensed(mode).completed_for_access(mode), full);
}

fuzz_target!(|data: &[u8]| {
    if let Some(fake) = FakeStat::parse(data) {
        assert_eq!(FakeStat::parse(fake.to_string().as_bytes()), Some(fake));
        let wanted = if Kind::of_mode(fake.mode) == Kind::Directory { 0o700 } else { 0o600 };
        let real = fake.real_permissions();
        assert_eq!((real & wanted, real & !0o777), (wanted, 0));
    }
    for acl in [Acl::from_fake(data), Acl::from_xattr(data)].into_iter().flatten() {
        assert_eq!(Acl::from_fake(&acl.to_fake()).as_ref(), Some(&acl));
        assert_eq!(Acl::from_xattr(&acl.to_xattr()).as_ref(), Some(&acl));
        condenses(&acl, 0o640);
    }
});
