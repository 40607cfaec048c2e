//! Names of users and groups (docs/spec filelist.md 11).

use std::collections::{HashMap, HashSet};

use super::ListOptions;
use crate::{Protocol, Result, WireRead, WireWrite};

/// Longest name that can be sent.
const NAME_MAX: usize = 255;

/// Where an encoder gets names from; asked once for each id.
pub trait NameLookup {
    /// Name of a user.
    fn user(&mut self, uid: u32) -> Option<Vec<u8>>;
    /// Name of a group.
    fn group(&mut self, gid: u32) -> Option<Vec<u8>>;
}

/// Knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl NameLookup for NoNames {
    fn user(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn group(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

/// The names a peer sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IdNames {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl IdNames {
    /// Name of a user at the sender.
    pub fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid).map(Vec::as_slice)
    }

    /// Name of a group at the sender.
    pub fn group(&self, gid: u32) -> Option<&[u8]> {
        self.groups.get(&gid).map(Vec::as_slice)
    }

    pub(super) fn read_user(&mut self, input: &mut impl WireRead, uid: u32) -> Result<()> {
        read_name(input, uid, &mut self.users)
    }

    pub(super) fn read_group(&mut self, input: &mut impl WireRead, gid: u32) -> Result<()> {
        read_name(input, gid, &mut self.groups)
    }

    /// Reads the lists behind a list.
    pub(super) fn read_lists(
        &mut self,
        input: &mut impl WireRead,
        options: &ListOptions,
    ) -> Result<()> {
        let (users, groups) = options.id_lists();
        if users {
            read_id_list(input, options, &mut self.users)?;
        }
        if groups {
            read_id_list(input, options, &mut self.groups)?;
        }
        Ok(())
    }
}

fn read_name(input: &mut impl WireRead, id: u32, names: &mut HashMap<u32, Vec<u8>>) -> Result<()> {
    let length = usize::from(input.read_u8()?);
    let name = input.read_vec(length)?;
    if !name.is_empty() {
        names.insert(id, name);
    }
    Ok(())
}

fn read_id_list(
    input: &mut impl WireRead,
    options: &ListOptions,
    names: &mut HashMap<u32, Vec<u8>>,
) -> Result<()> {
    loop {
        match input.read_varint30(options.protocol)? as u32 {
            0 => break,
            id => read_name(input, id, names)?,
        }
    }
    if options.flags.contains(crate::CompatFlags::ID0_NAMES) {
        read_name(input, 0, names)?;
    }
    Ok(())
}

/// The ids an encoder has used, in the order of their first use, with their names.
#[derive(Clone, Debug, Default)]
pub(super) struct UsedIds {
    known: HashSet<u32>,
    named: Vec<(u32, Vec<u8>)>,
}

impl UsedIds {
    /// Notes an id; its name if this was the first use and it has one that can be sent.
    pub(super) fn first_use(
        &mut self,
        id: u32,
        lookup: impl FnOnce(u32) -> Option<Vec<u8>>,
    ) -> Option<&[u8]> {
        if !self.known.insert(id) {
            return None;
        }
        let name = lookup(id).filter(|name| (1..=NAME_MAX).contains(&name.len()))?;
        self.named.push((id, name));
        self.named.last().map(|(_, name)| name.as_slice())
    }

    /// Appends the list, last used first as stock does.
    pub(super) fn put_list(&self, out: &mut Vec<u8>, protocol: Protocol, zero: Option<Vec<u8>>) {
        for (id, name) in self.named.iter().rev().filter(|(id, _)| *id != 0) {
            out.put_varint30(*id as i32, protocol);
            put_name(out, name);
        }
        out.put_varint30(0, protocol);
        if let Some(name) = zero {
            put_name(
                out,
                Some(name).filter(|name| name.len() <= NAME_MAX).as_deref().unwrap_or_default(),
            );
        }
    }
}

/// Appends a name behind its one length byte.
pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    out.put_u8(name.len() as u8);
    out.put(name);
}
