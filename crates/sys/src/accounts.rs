//! The user and group data base: names to ids and back, and a user's groups.
//!
//! These go through the C library on purpose: it is the only way to see what NSS sees (LDAP, SSSD, systemd).
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: Vec<u8>,
    /// User id.
    pub id: u32,
    /// Id of the primary group.
    pub group: u32,
    /// Home directory.
    pub home: Vec<u8>,
}

/// A group of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Group name.
    pub name: Vec<u8>,
    /// Group id.
    pub id: u32,
}

/// Looks a user up by name; `Ok(None)` when there is none.
pub fn user_by_name(name: &[u8]) -> io::Result<Option<User>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    // SAFETY: `name` is NUL-terminated and outlives the call; the rest is passed on from `user`, which sizes it.
    user(|entry, buffer, length, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found)
    })
}

/// Looks a user up by id; `Ok(None)` when there is none.
pub fn user_by_id(id: u32) -> io::Result<Option<User>> {
    // SAFETY: all pointers are passed on from `user`, which sizes them.
    user(|entry, buffer, length, found| unsafe {
        libc::getpwuid_r(id, entry, buffer, length, found)
    })
}

/// Looks a group up by name; `Ok(None)` when there is none.
pub fn group_by_name(name: &[u8]) -> io::Result<Option<Group>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    // SAFETY: `name` is NUL-terminated and outlives the call; the rest is passed on from `group`, which sizes it.
    group(|entry, buffer, length, found| unsafe {
        libc::getgrnam_r(name.as_ptr(), entry, buffer, length, found)
    })
}

/// Looks a group up by id; `Ok(None)` when there is none.
pub fn group_by_id(id: u32) -> io::Result<Option<Group>> {
    // SAFETY: all pointers are passed on from `group`, which sizes them.
    group(|entry, buffer, length, found| unsafe {
        libc::getgrgid_r(id, entry, buffer, length, found)
    })
}

/// All groups of the user called `name` whose primary group is `primary`, the primary one included.
pub fn groups_of(name: &[u8], primary: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name)?;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `groups` holds `count` writable ids and `name` is NUL-terminated; both outlive the call.
        let result = unsafe {
            libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &raw mut count)
        };
        let needed = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        if groups.len() >= LIMIT {
            return Err(io::Error::from_raw_os_error(libc::ERANGE));
        }
        let larger = needed.max(groups.len() * 2).min(LIMIT);
        groups.resize(larger, 0);
    }
}

/// No account record or membership list is believed to need more than this.
const LIMIT: usize = 1 << 20;

fn user(
    call: impl Fn(
        *mut libc::passwd,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::passwd,
    ) -> libc::c_int,
) -> io::Result<Option<User>> {
    lookup(call, |entry| User {
        name: bytes(entry.pw_name),
        id: entry.pw_uid,
        group: entry.pw_gid,
        home: bytes(entry.pw_dir),
    })
}

fn group(
    call: impl Fn(
        *mut libc::group,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::group,
    ) -> libc::c_int,
) -> io::Result<Option<Group>> {
    lookup(call, |entry| Group { name: bytes(entry.gr_name), id: entry.gr_gid })
}

/// Runs one of the `get…_r` calls with a buffer that grows until the record fits.
fn lookup<Entry, Found>(
    call: impl Fn(*mut Entry, *mut libc::c_char, libc::size_t, *mut *mut Entry) -> libc::c_int,
    convert: impl Fn(&Entry) -> Found,
) -> io::Result<Option<Found>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<Entry>::uninit();
        let mut found: *mut Entry = ptr::null_mut();
        match call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found) {
            // SAFETY: a non-null result points at `entry`, filled by the call, whose strings lie in `buffer`;
            // both live to the end of this round and `convert` copies what it keeps.
            0 => return Ok(unsafe { found.as_ref() }.map(&convert)),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < LIMIT => buffer.resize(buffer.len() * 4, 0),
            // What the manual lists as "the name was not found", depending on the name service.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn bytes(text: *const libc::c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: the data base's strings are NUL-terminated, and live as long as the buffer the caller holds.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_id_and_by_name() {
        let by_id = user_by_id(0).unwrap().unwrap();
        assert_eq!(by_id.id, 0);
        assert_eq!(user_by_name(&by_id.name).unwrap().unwrap(), by_id);
        let group = group_by_id(0).unwrap().unwrap();
        assert_eq!(group_by_name(&group.name).unwrap().unwrap(), group);
    }

    #[test]
    fn an_unknown_name_or_id_is_none_not_an_error() {
        assert_eq!(user_by_name(b"no such user, surely").unwrap(), None);
        assert_eq!(group_by_name(b"no such group, surely").unwrap(), None);
        assert_eq!(user_by_name(b"nul\0inside").unwrap(), None);
        assert_eq!(user_by_id(4_000_000_123).unwrap(), None);
    }

    #[test]
    fn the_groups_of_root_contain_its_primary_group() {
        let root = user_by_id(0).unwrap().unwrap();
        assert!(groups_of(&root.name, root.group).unwrap().contains(&root.group));
    }
}
