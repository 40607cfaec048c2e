//! Users and groups: names, ids, and what this process may do.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_sys::accounts;

/// What knows the names and ids of users and groups.
pub trait AccountSource: Debug + Send + Sync {
    /// The name of user `id`.
    fn user_name(&self, id: u32) -> Option<Vec<u8>>;

    /// The id of the user called `name`.
    fn user_id(&self, name: &[u8]) -> Option<u32>;

    /// The name of group `id`.
    fn group_name(&self, id: u32) -> Option<Vec<u8>>;

    /// The id of the group called `name`.
    fn group_id(&self, name: &[u8]) -> Option<u32>;
}

/// The machine's own accounts, from whatever services its C library asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameServices;

impl AccountSource for NameServices {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        Some(accounts::user_by_id(id).ok()??.name)
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        Some(accounts::user_by_name(name).ok()??.id)
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        Some(accounts::group_by_id(id).ok()??.name)
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        Some(accounts::group_by_name(name).ok()??.id)
    }
}

/// User and group names, each looked up once; clones share what they know.
///
/// A name or id that cannot be looked up, for whatever reason, is unknown: it never becomes id 0.
#[derive(Clone, Debug)]
pub struct Accounts(Arc<Known>);

#[derive(Debug)]
struct Known {
    source: Box<dyn AccountSource>,
    user_names: Cache<u32, Vec<u8>>,
    user_ids: Cache<Vec<u8>, u32>,
    group_names: Cache<u32, Vec<u8>>,
    group_ids: Cache<Vec<u8>, u32>,
}

impl Accounts {
    /// The machine's own, nothing looked up yet.
    pub fn new() -> Self {
        Self::of(NameServices)
    }

    /// Those of this source, nothing looked up yet.
    pub fn of(source: impl AccountSource + 'static) -> Self {
        Self(Arc::new(Known {
            source: Box::new(source),
            user_names: Cache::default(),
            user_ids: Cache::default(),
            group_names: Cache::default(),
            group_ids: Cache::default(),
        }))
    }

    /// The name of user `id`.
    pub fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        self.0.user_names.find(id, || self.0.source.user_name(id))
    }

    /// The id of the user called `name`.
    pub fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.0.user_ids.find(name.to_vec(), || self.0.source.user_id(name))
    }

    /// The name of group `id`.
    pub fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        self.0.group_names.find(id, || self.0.source.group_name(id))
    }

    /// The id of the group called `name`.
    pub fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.0.group_ids.find(name.to_vec(), || self.0.source.group_id(name))
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Cache<Key, Value>(Mutex<HashMap<Key, Option<Value>>>);

impl<Key, Value> Default for Cache<Key, Value> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Eq + std::hash::Hash, Value: Clone> Cache<Key, Value> {
    fn find(&self, key: Key, look_up: impl FnOnce() -> Option<Value>) -> Option<Value> {
        self.lock().entry(key).or_insert_with(look_up).clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Option<Value>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    groups: Vec<u32>,
}

impl Identity {
    /// Asks the system; ask again after changing user.
    pub fn current() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(rustix::process::Gid::as_raw).collect(),
        }
    }

    /// May it set owners and make devices?
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Is it a member of group `id`, so that it may give its files to it?
    pub fn is_member_of(&self, id: u32) -> bool {
        id == self.gid || self.groups.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_its_name_has_an_id() {
        let accounts = Accounts::new();
        let name = accounts.user_name(0).unwrap();
        assert_eq!(accounts.user_id(&name), Some(0));
        let group = accounts.group_name(0).unwrap();
        assert_eq!(accounts.group_id(&group), Some(0));
        assert_eq!(accounts.group_id(&group), Some(0), "the second time from the cache");
    }

    #[test]
    fn an_unknown_name_is_unknown_and_not_root() {
        let accounts = Accounts::new();
        for name in [&b""[..], b"no such name, surely", b"a\0b", b"root\n"] {
            assert_eq!(accounts.user_id(name), None);
            assert_eq!(accounts.group_id(name), None);
        }
    }

    #[test]
    fn the_process_is_a_member_of_its_own_group() {
        let identity = Identity::current();
        assert!(identity.is_member_of(identity.gid));
        assert_eq!(identity.is_root(), identity.uid == 0);
    }
}
