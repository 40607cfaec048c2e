//! Tables of ACLs and attribute sets: each travels once, later entries refer to it by number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::{Acl, XattrSet};

/// Values that entries share. Positions count from 0; numbers on the wire from 1.
#[derive(Clone, Debug)]
pub struct Table<T> {
    items: Vec<Arc<T>>,
    positions: HashMap<Arc<T>, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), positions: HashMap::new() }
    }
}

impl<T: Eq + Hash> Table<T> {
    /// The position of a value equal to this one; it is added if there is none.
    pub fn intern(&mut self, value: T) -> u32 {
        let value = Arc::new(value);
        let next = self.items.len() as u32;
        let position = *self.positions.entry(Arc::clone(&value)).or_insert(next);
        if position == next {
            self.items.push(value);
        }
        position
    }

    /// The value at a position.
    pub fn get(&self, position: u32) -> Option<&T> {
        self.items.get(position as usize).map(Arc::as_ref)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The values from a position on, to be shared with others who need them: what is changed here
    /// later is not changed there.
    pub fn shared_from(&self, position: usize) -> &[Arc<T>] {
        self.items.get(position..).unwrap_or_default()
    }

    /// The value at a position, to be shared.
    pub fn shared(&self, position: u32) -> Option<Arc<T>> {
        self.items.get(position as usize).cloned()
    }

    /// Adds a value at the next position, equal to another or not: numbers of a peer count every
    /// one it sent.
    pub(super) fn append(&mut self, value: T) -> u32 {
        self.items.push(Arc::new(value));
        self.items.len() as u32 - 1
    }
}

impl<T: Clone> Table<T> {
    /// The value at a position, to be changed: a fetched attribute value belongs to the set, not to
    /// one file.
    pub fn get_mut(&mut self, position: u32) -> Option<&mut T> {
        self.items.get_mut(position as usize).map(Arc::make_mut)
    }
}

/// The shared attributes of one connection, in either direction.
///
/// A sender adds what it read from a file and stores the positions in its [`super::FileEntry`]; a
/// receiver finds the positions there after decoding.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Access ACLs, condensed.
    pub access: Table<Acl>,
    /// Default ACLs of directories.
    pub default: Table<Acl>,
    /// Sets of extended attributes.
    pub xattrs: Table<XattrSet>,
}
