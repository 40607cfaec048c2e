//! The source's users and groups in this machine's numbers (docs/spec filelist.md 11.2).

use std::collections::HashMap;

use syncline_fs::{Accounts, Identity};
use syncline_options::options::SuperUser;
use syncline_options::values::idmap::{self, Entry, From, To};
use syncline_wildcard::Wildcard;
use syncline_wire::list::{Acl, IdNames};

use crate::{Error, ExitCode, Job, Monitor, Problem, Result, Severity};

/// Maps users and groups; what was found once is remembered.
#[derive(Debug)]
pub(crate) struct Owners {
    accounts: Accounts,
    users: Option<Half>,
    groups: Option<Half>,
    /// The source is this machine: names are looked up, not received.
    local: bool,
}

#[derive(Debug)]
struct Half {
    rules: Vec<Rule>,
    names: bool,
    known: HashMap<u32, u32>,
}

#[derive(Debug)]
struct Rule {
    from: From,
    to: u32,
}

impl Owners {
    pub(crate) fn new(job: &Job, monitor: &Monitor) -> Result<Self> {
        let attributes = &job.options.attributes;
        let local = job.is_local();
        let accounts = job.accounts.clone();
        let identity = Identity::current();
        let privileged = match attributes.super_user {
            SuperUser::Yes | SuperUser::Fake => true,
            SuperUser::No => false,
            SuperUser::Auto => identity.is_root(),
        };
        let rules = |option, text: Option<&[u8]>, find: &dyn Fn(&[u8]) -> Option<u32>| {
            let Some(text) = text else { return Ok(Vec::new()) };
            let entries = idmap::parse(option, text)
                .map_err(|error| Error::fatal(ExitCode::USAGE, error.to_string()))?;
            Ok(entries.into_iter().filter_map(|entry| rule(option, entry, find, monitor)).collect())
        };
        let user = |name: &[u8]| accounts.user_id(name);
        let group = |name: &[u8]| accounts.group_id(name);
        let user_rules: Vec<Rule> = rules("usermap", attributes.usermap.as_deref(), &user)?;
        let group_rules: Vec<Rule> = rules("groupmap", attributes.groupmap.as_deref(), &group)?;
        let names = !attributes.numeric_ids;
        let half = |rules: Vec<Rule>, wanted: bool| {
            // Between two ends of one process a name stands for its own number.
            let useful = !rules.is_empty() || !local;
            (wanted && useful).then(|| Half { rules, names, known: HashMap::new() })
        };
        let group = attributes.group || attributes.acls;
        let gives_away = (attributes.owner || attributes.acls)
            && privileged
            && (names || !user_rules.is_empty());
        // Nobody but root gives files away, but everybody may name users in an access list.
        let maps_users = gives_away || (attributes.acls && names);
        let maps_groups = group && (names || !group_rules.is_empty() || !privileged);
        let users = half(user_rules, maps_users);
        let groups = half(group_rules, maps_groups);
        Ok(Self { accounts, users, groups, local })
    }

    /// Whether every number stays what it is.
    pub(crate) fn is_identity(&self) -> bool {
        self.users.is_none() && self.groups.is_none()
    }

    /// The user of this machine for one of the source's.
    pub(crate) fn user(&mut self, id: u32, names: &IdNames) -> u32 {
        let (accounts, local) = (&self.accounts, self.local);
        let Some(half) = &mut self.users else { return id };
        half.map(
            id,
            || if local { accounts.user_name(id) } else { names.user(id).map(<[u8]>::to_vec) },
            |name| accounts.user_id(name),
        )
    }

    /// The group of this machine for one of the source's.
    pub(crate) fn group(&mut self, id: u32, names: &IdNames) -> u32 {
        let (accounts, local) = (&self.accounts, self.local);
        let Some(half) = &mut self.groups else { return id };
        half.map(
            id,
            || if local { accounts.group_name(id) } else { names.group(id).map(<[u8]>::to_vec) },
            |name| accounts.group_id(name),
        )
    }
}

impl Owners {
    /// An ACL whose names are users and groups of this machine.
    pub(crate) fn adapt(&mut self, acl: &Acl, names: &IdNames) -> Acl {
        let mut acl = acl.clone();
        for name in &mut acl.names {
            let map = if name.is_user { Self::user } else { Self::group };
            name.id = map(self, name.id, names);
        }
        acl
    }
}

impl Half {
    fn map(
        &mut self,
        id: u32,
        name: impl FnOnce() -> Option<Vec<u8>>,
        find: impl FnOnce(&[u8]) -> Option<u32>,
    ) -> u32 {
        if let Some(&known) = self.known.get(&id) {
            return known;
        }
        let name = if self.names { name() } else { None };
        // A peer that sends no name for 0 means root all the same.
        let name = name.or_else(|| (id == 0 && self.names).then(|| b"root".to_vec()));
        let rule = self.rules.iter().find(|rule| matches(&rule.from, id, name.as_deref()));
        let mapped = match (rule, name) {
            (Some(rule), _) => rule.to,
            (None, Some(name)) if id != 0 => find(&name).unwrap_or(id),
            _ => id,
        };
        self.known.insert(id, mapped);
        mapped
    }
}

fn matches(from: &From, id: u32, name: Option<&[u8]>) -> bool {
    match (from, name) {
        (From::Ids(first, last), _) => (*first..=*last).contains(&id),
        (From::Nameless, name) => name.is_none(),
        (From::Name(pattern), None) => pattern.as_slice() == b"*",
        (From::Name(pattern), Some(name)) => {
            let is_pattern = pattern.iter().any(|byte| b"*?[".contains(byte));
            if is_pattern { Wildcard::new(pattern).matches(name) } else { pattern == name }
        }
    }
}

/// A rule whose target exists here; one whose does not is dropped with an error that lets the run go on.
fn rule(
    option: &str,
    entry: Entry,
    find: &dyn Fn(&[u8]) -> Option<u32>,
    monitor: &Monitor,
) -> Option<Rule> {
    let to = match entry.to {
        To::Id(id) => id,
        To::Name(name) => {
            let Some(id) = find(&name) else {
                let text = [b"Unknown --", option.as_bytes(), b" name on receiver: ", &name];
                monitor.problem(Problem::new(Severity::Error, text.concat()));
                return None;
            };
            id
        }
    };
    Some(Rule { from: entry.from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(usermap: &str) -> Half {
        let entries = idmap::parse("usermap", usermap.as_bytes()).unwrap();
        let rules = entries.into_iter().filter_map(|entry| match entry.to {
            To::Id(to) => Some(Rule { from: entry.from, to }),
            To::Name(_) => None,
        });
        Half { rules: rules.collect(), names: true, known: HashMap::new() }
    }

    #[test]
    fn the_first_rule_that_matches_wins_and_names_come_after() {
        let mut half = owners("5-9:50,bob:7,b*:8,:9");
        let name = |name: &str| Some(name.as_bytes().to_vec());
        assert_eq!(half.map(6, || name("bob"), |_| None), 50);
        assert_eq!(half.map(100, || name("bob"), |_| None), 7);
        assert_eq!(half.map(101, || name("bill"), |_| None), 8);
        assert_eq!(half.map(102, || None, |_| None), 9);
        assert_eq!(half.map(103, || name("carol"), |_| Some(33)), 33);
        assert_eq!(half.map(104, || name("dave"), |_| None), 104);
    }

    #[test]
    fn nobody_becomes_root_by_an_unknown_name_and_root_stays() {
        let mut half = Half { rules: Vec::new(), names: true, known: HashMap::new() };
        assert_eq!(half.map(0, || Some(b"wheel".to_vec()), |_| Some(10)), 0);
    }
}
