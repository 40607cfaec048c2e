//! Whose rights a module's process has (docs/spec daemon.md 3.3, 9.2).

use rustix::process::{Gid, Uid};
use syncline_conf::identity::{Groups, Id};
use syncline_engine::reason;
use syncline_sys::accounts;

/// User and groups to become; none where nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) user: Option<u32>,
    /// The first is the group, all are supplementary groups.
    pub(crate) groups: Vec<u32>,
}

/// Why an identity cannot be had: for the log, and for the client if it is told.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// The line.
    pub(crate) log: String,
    /// Behind `@ERROR: `.
    pub(crate) client: Option<String>,
}

impl Trouble {
    fn told(log: impl Into<String>, client: impl Into<String>) -> Self {
        Self { log: log.into(), client: Some(client.into()) }
    }

    fn too_large(number: &[u8]) -> Self {
        let log = format!("Invalid ID number: {}", String::from_utf8_lossy(number));
        Self { log, client: None }
    }
}

impl Identity {
    /// The identity that `uid` and `gid` (variables replaced) ask for.
    pub(crate) fn of_module(uid: &[u8], gid: &[u8]) -> Result<Self, Trouble> {
        let root = rustix::process::geteuid().is_root();
        let user = match uid {
            b"" if root => Some(find_user(b"nobody")?),
            b"" => None,
            name => Some(find_user(name)?),
        };
        if gid.is_empty() {
            let groups = if root { vec![group_of_nobody()?] } else { Vec::new() };
            return Ok(Self { user, groups });
        }
        let list = Groups::parse(gid);
        let mut groups = Vec::new();
        if list.of_user {
            let id = user.unwrap_or_else(|| rustix::process::getuid().as_raw());
            let unknown = |reason: String| {
                Trouble::told(
                    format!("rsync: [Receiver] getpwuid failed: {reason}"),
                    "getpwuid failed",
                )
            };
            let account = accounts::user_by_id(id)
                .map_err(|error| unknown(reason(&error)))?
                .ok_or_else(|| unknown("Success (0)".into()))?;
            groups = accounts::groups_of(&account.name, account.group)
                .map_err(|error| unknown(reason(&error)))?;
        }
        for id in &list.ids {
            groups.push(find_group(id)?);
        }
        Ok(Self { user, groups })
    }

    /// Becomes it: groups first, as afterwards there is no right to. Anything short of that is an error.
    pub(crate) fn take(&self) -> Result<(), Trouble> {
        if let Some(&first) = self.groups.first() {
            let group = Gid::from_raw(first);
            rustix::thread::set_thread_res_gid(group, group, group).map_err(|errno| {
                let reason = reason(&errno.into());
                Trouble::told(
                    format!("rsync: [Receiver] setgid {first} failed: {reason}"),
                    "setgid failed",
                )
            })?;
            let all: Vec<Gid> = self.groups.iter().map(|&group| Gid::from_raw(group)).collect();
            rustix::thread::set_thread_groups(&all).map_err(|errno| {
                let reason = reason(&errno.into());
                Trouble::told(
                    format!("rsync: [Receiver] setgroups failed: {reason}"),
                    "setgroups failed",
                )
            })?;
        }
        if let Some(user) = self.user {
            let failed = |reason: String| {
                Trouble::told(
                    format!("rsync: [Receiver] setuid {user} failed: {reason}"),
                    "setuid failed",
                )
            };
            let id = Uid::from_raw(user);
            rustix::thread::set_thread_res_uid(id, id, id)
                .map_err(|errno| failed(reason(&errno.into())))?;
            // Whoever is not root must not be able to become it again.
            if user != 0 && rustix::thread::set_thread_uid(Uid::ROOT).is_ok() {
                return Err(failed("the rights of root could be had back".into()));
            }
        }
        Ok(())
    }
}

/// A user's number.
pub(crate) fn find_user(text: &[u8]) -> Result<u32, Trouble> {
    let shown = String::from_utf8_lossy(text);
    let unknown = || Trouble::told(format!("Invalid uid {shown}"), format!("invalid uid {shown}"));
    match Id::parse(text) {
        Id::Number(number) => Ok(number),
        Id::Name(name) => {
            let found = accounts::user_by_name(&name).ok().flatten();
            found.map(|user| user.id).ok_or_else(unknown)
        }
        _ => Err(Trouble::too_large(text)),
    }
}

/// A group's number.
pub(crate) fn find_group(id: &Id) -> Result<u32, Trouble> {
    match id {
        Id::Number(number) => Ok(*number),
        Id::Name(name) => {
            let shown = String::from_utf8_lossy(name);
            let found = accounts::group_by_name(name).ok().flatten();
            found.map(|group| group.id).ok_or_else(|| {
                Trouble::told(format!("Invalid gid {shown}"), format!("invalid gid {shown}"))
            })
        }
        Id::TooLarge(number) => Err(Trouble::too_large(number)),
        _ => Err(Trouble::too_large(b"?")),
    }
}

fn group_of_nobody() -> Result<u32, Trouble> {
    let nogroup = find_group(&Id::Name(b"nogroup".to_vec()));
    nogroup.or_else(|_| find_group(&Id::Name(b"nobody".to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_no_account_and_names_do() {
        let identity = Identity::of_module(b"12345", b"1 2").unwrap();
        assert_eq!(identity, Identity { user: Some(12345), groups: vec![1, 2] });
        let trouble = Identity::of_module(b"no-such-user", b"1").unwrap_err();
        assert_eq!(trouble.client.as_deref(), Some("invalid uid no-such-user"));
        let trouble = Identity::of_module(b"0", b"1 *").unwrap_err();
        assert_eq!(trouble.log, "Invalid gid *");
        let trouble = Identity::of_module(b"99999999999", b"1").unwrap_err();
        assert!(trouble.client.is_none());
    }
}
