//! `--copy-as`: who touches the files of this side (docs/spec cli.md 3.5).

use std::io;

use rustix::process::{Gid, Uid};
use syncline_sys::accounts;

use crate::{Error, ExitCode, Result, Role};

/// Becomes the user, and the group, of `USER[:GROUP]`; without a group, with all groups of the user. To be called by the
/// thread that starts the threads of a run: they are who it is. There is no way back.
pub(crate) fn become_user(wanted: &[u8], role: Role) -> Result<()> {
    let (user, group) = match wanted.iter().position(|&byte| byte == b':') {
        Some(at) => (&wanted[..at], Some(&wanted[at + 1..])),
        None => (wanted, None),
    };
    let account = accounts::user_by_name(user)
        .ok()
        .flatten()
        .or_else(|| accounts::user_by_id(number(user)?).ok().flatten());
    let id = account.as_ref().map(|account| account.id).or_else(|| number(user));
    let id = id.ok_or_else(|| invalid("user", user))?;
    let groups = match (group, &account) {
        (Some(name), _) => vec![find_group(name).ok_or_else(|| invalid("group", name))?],
        (None, Some(account)) => accounts::groups_of(&account.name, account.group)
            .map_err(|error| failed(role, "getgrouplist", error))?,
        (None, None) => return Err(invalid("user", user)),
    };
    let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
    let first = groups.first().copied().ok_or_else(|| invalid("group", b""))?;
    let id = Uid::from_raw(id);
    let step =
        |name, done: rustix::io::Result<()>| done.map_err(|errno| failed(role, name, errno.into()));
    step("setgid", rustix::thread::set_thread_res_gid(first, first, first))?;
    step("setgroups", rustix::thread::set_thread_groups(&groups))?;
    step("setuid", rustix::thread::set_thread_res_uid(id, id, id))
}

fn find_group(name: &[u8]) -> Option<u32> {
    let found = accounts::group_by_name(name).ok().flatten();
    found.map(|group| group.id).or_else(|| number(name))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn invalid(what: &str, name: &[u8]) -> Error {
    let text = format!("Invalid copy-as {what}: {}", String::from_utf8_lossy(name));
    Error::fatal(ExitCode::USAGE, text)
}

fn failed(role: Role, call: &str, error: io::Error) -> Error {
    Error::system(ExitCode::USAGE, role, format!("{call} failed"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_becomes_somebody_who_does_not_exist() {
        for (wanted, text) in [
            ("no-such-user", "Invalid copy-as user: no-such-user"),
            ("root:no-such-group", "Invalid copy-as group: no-such-group"),
            ("root:", "Invalid copy-as group: "),
        ] {
            let error = become_user(wanted.as_bytes(), Role::Sender).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (text, ExitCode::USAGE));
        }
    }
}
