//! The directories a watcher knows: 28 bytes, a name and two hash slots each.
//!
//! Paths are not stored. A directory knows its parent and its own name, so that the rename of a directory with a million
//! others below it is one change of one parent.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A directory's place in the arena. It may be used again after the directory is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

const NONE: u32 = u32::MAX;
/// The watch number of a directory that could not be watched.
pub(crate) const UNWATCHED: i32 = -1;

const ROOT: u8 = 1;
/// No longer at its name: replaced or removed, and waiting for the kernel to let go of it.
const GHOST: u8 = 2;
const FREE: u8 = 4;
/// Its other names were listed, and are remembered beside the tree.
const LISTED: u8 = 8;

#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    first_child: u32,
    next: u32,
    previous: u32,
    watch: i32,
    /// Where the name begins in the arena of names; the root's number for a root.
    name: u32,
    name_length: u8,
    flags: u8,
}

/// The arena with its two indexes: by watch number, and by parent and name.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    free: Vec<u32>,
    names: Vec<u8>,
    /// Bytes of `names` that no node uses any more.
    garbage: usize,
    by_watch: HashTable<u32>,
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            names: Vec::new(),
            garbage: 0,
            by_watch: HashTable::new(),
            by_name: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// How many directories (and watched files) there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// One past the highest arena place in use: what a table beside the arena must hold.
    pub(crate) fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn insert_root(&mut self, root: u32, watch: i32) -> NodeId {
        let node = Node {
            parent: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            watch: UNWATCHED,
            name: root,
            name_length: 0,
            flags: ROOT,
        };
        let id = self.place(node);
        self.set_watch(id, watch);
        id
    }

    /// Adds a directory. The name must be free; names longer than the kernel allows are cut by nobody before.
    pub(crate) fn insert(&mut self, parent: NodeId, name: &[u8], watch: i32) -> NodeId {
        let name_at = self.store_name(name);
        let node = Node {
            parent: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            watch: UNWATCHED,
            name: name_at,
            name_length: name.len() as u8,
            flags: 0,
        };
        let id = self.place(node);
        self.link(id, parent);
        self.set_watch(id, watch);
        id
    }

    pub(crate) fn set_watch(&mut self, id: NodeId, watch: i32) {
        let old = self.node(id).watch;
        if old != UNWATCHED {
            let hash = self.hash_watch(old);
            if let Ok(entry) = self.by_watch.find_entry(hash, |&other| other == id.0) {
                entry.remove();
            }
        }
        self.node_mut(id).watch = watch;
        if watch != UNWATCHED {
            let hash = self.hash_watch(watch);
            let (nodes, hasher) = (&self.nodes, &self.hasher);
            self.by_watch
                .insert_unique(hash, id.0, |&other| hasher.hash_one(nodes[other as usize].watch));
        }
    }

    pub(crate) fn by_watch(&self, watch: i32) -> Option<NodeId> {
        let hash = self.hash_watch(watch);
        self.by_watch.find(hash, |&id| self.nodes[id as usize].watch == watch).map(|&id| NodeId(id))
    }

    pub(crate) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let hash = self.hasher.hash_one((parent.0, name));
        self.by_name
            .find(hash, |&id| {
                let node = &self.nodes[id as usize];
                node.parent == parent.0 && self.name_of(node) == name
            })
            .map(|&id| NodeId(id))
    }

    pub(crate) fn watch(&self, id: NodeId) -> i32 {
        self.node(id).watch
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        let parent = self.node(id).parent;
        (parent != NONE).then_some(NodeId(parent))
    }

    pub(crate) fn name(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        if node.flags & ROOT != 0 { b"" } else { self.name_of(node) }
    }

    pub(crate) fn is_root(&self, id: NodeId) -> bool {
        self.node(id).flags & ROOT != 0
    }

    pub(crate) fn is_ghost(&self, id: NodeId) -> bool {
        self.node(id).flags & GHOST != 0
    }

    pub(crate) fn set_listed(&mut self, id: NodeId) {
        self.node_mut(id).flags |= LISTED;
    }

    /// Whether the names remembered for a directory are all it has; before, they are only what came and went.
    pub(crate) fn is_listed(&self, id: NodeId) -> bool {
        self.node(id).flags & LISTED != 0
    }

    /// Whether the place is in use. A list of places that outlives a removal must ask.
    pub(crate) fn is_alive(&self, id: NodeId) -> bool {
        self.nodes.get(id.0 as usize).is_some_and(|node| node.flags & FREE == 0)
    }

    pub(crate) fn index(id: NodeId) -> usize {
        id.0 as usize
    }

    /// The number of the root above `id`, and the path from there, without a slash at either end.
    pub(crate) fn path(&self, id: NodeId) -> (u32, Vec<u8>) {
        let mut length = 0;
        let mut at = id;
        while let Some(parent) = self.parent(at) {
            length += usize::from(self.node(at).name_length) + 1;
            at = parent;
        }
        let root = self.node(at).name;
        let mut path = vec![b'/'; length.saturating_sub(1)];
        let mut end = path.len();
        at = id;
        while let Some(parent) = self.parent(at) {
            let name = self.name_of(self.node(at));
            path[end - name.len()..end].copy_from_slice(name);
            end = end.saturating_sub(name.len() + 1);
            at = parent;
        }
        (root, path)
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut at = self.node(id).first_child;
        std::iter::from_fn(move || {
            let id = (at != NONE).then_some(NodeId(at))?;
            at = self.node(id).next;
            Some(id)
        })
    }

    /// `id` and everything below it, parents first.
    pub(crate) fn subtree(&self, id: NodeId) -> Vec<NodeId> {
        let mut all = vec![id];
        let mut next = 0;
        while let Some(&at) = all.get(next) {
            all.extend(self.children(at));
            next += 1;
        }
        all
    }

    /// Whether `id` is `ancestor` or below it.
    pub(crate) fn is_within(&self, id: NodeId, ancestor: NodeId) -> bool {
        let mut at = Some(id);
        while let Some(here) = at {
            if here == ancestor {
                return true;
            }
            at = self.parent(here);
        }
        false
    }

    /// Gives a directory another parent and name; the new name must be free, and the new parent not below it.
    pub(crate) fn rename(&mut self, id: NodeId, parent: NodeId, name: &[u8]) {
        self.unindex_name(id);
        self.unlink(id);
        let name_at = self.store_name(name);
        let node = self.node_mut(id);
        let old_length = usize::from(node.name_length);
        node.name = name_at;
        node.name_length = name.len() as u8;
        node.flags &= !GHOST;
        self.garbage += old_length;
        self.link(id, parent);
    }

    /// Takes a directory off its name while its watch lives on.
    pub(crate) fn make_ghost(&mut self, id: NodeId) {
        if !self.is_root(id) && !self.is_ghost(id) {
            self.unindex_name(id);
            self.node_mut(id).flags |= GHOST;
        }
    }

    /// Forgets `id` and everything below it; what was forgotten, parents first, with the watch numbers.
    pub(crate) fn remove(&mut self, id: NodeId) -> Vec<(NodeId, i32)> {
        let all = self.subtree(id);
        self.unlink(id);
        let mut removed = Vec::with_capacity(all.len());
        for at in all {
            removed.push((at, self.node(at).watch));
            self.set_watch(at, UNWATCHED);
            if !self.is_root(at) {
                if !self.is_ghost(at) {
                    self.unindex_name(at);
                }
                self.garbage += usize::from(self.node(at).name_length);
            }
            let node = self.node_mut(at);
            node.flags = FREE;
            node.name_length = 0;
            node.first_child = NONE;
            node.parent = NONE;
            self.free.push(at.0);
        }
        self.collect_names();
        removed
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    fn name_of(&self, node: &Node) -> &[u8] {
        &self.names[node.name as usize..][..usize::from(node.name_length)]
    }

    fn hash_watch(&self, watch: i32) -> u64 {
        self.hasher.hash_one(watch)
    }

    fn place(&mut self, node: Node) -> NodeId {
        if let Some(free) = self.free.pop() {
            self.nodes[free as usize] = node;
            return NodeId(free);
        }
        self.nodes.push(node);
        NodeId((self.nodes.len() - 1) as u32)
    }

    fn store_name(&mut self, name: &[u8]) -> u32 {
        let at = self.names.len();
        self.names.extend_from_slice(name);
        at as u32
    }

    fn link(&mut self, id: NodeId, parent: NodeId) {
        let first = self.node(parent).first_child;
        if first != NONE {
            self.nodes[first as usize].previous = id.0;
        }
        let node = self.node_mut(id);
        node.parent = parent.0;
        node.next = first;
        node.previous = NONE;
        self.node_mut(parent).first_child = id.0;
        let hash = self.hash_name(id.0);
        let (nodes, names, hasher) = (&self.nodes, &self.names, &self.hasher);
        self.by_name.insert_unique(hash, id.0, |&other| {
            let node = &nodes[other as usize];
            let name = &names[node.name as usize..][..usize::from(node.name_length)];
            hasher.hash_one((node.parent, name))
        });
    }

    fn hash_name(&self, id: u32) -> u64 {
        let node = &self.nodes[id as usize];
        self.hasher.hash_one((node.parent, self.name_of(node)))
    }

    fn unlink(&mut self, id: NodeId) {
        let Node { parent, next, previous, .. } = *self.node(id);
        if parent == NONE {
            return;
        }
        if previous == NONE {
            self.nodes[parent as usize].first_child = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
    }

    fn unindex_name(&mut self, id: NodeId) {
        let hash = self.hash_name(id.0);
        if let Ok(entry) = self.by_name.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
    }

    /// Rewrites the arena of names when more than half of it is unused.
    fn collect_names(&mut self) {
        if self.garbage < 4096 || self.garbage * 2 < self.names.len() {
            return;
        }
        let mut fresh = Vec::with_capacity(self.names.len() - self.garbage);
        for node in &mut self.nodes {
            if node.flags & (FREE | ROOT) == 0 {
                let name = &self.names[node.name as usize..][..usize::from(node.name_length)];
                node.name = fresh.len() as u32;
                fresh.extend_from_slice(name);
            }
        }
        self.names = fresh;
        self.garbage = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_renamed_directory_takes_everything_below_it_along() {
        let mut tree = Tree::new();
        let root = tree.insert_root(3, 1);
        let a = tree.insert(root, b"a", 2);
        let b = tree.insert(a, b"b", 3);
        let c = tree.insert(root, b"c", 4);
        assert_eq!(tree.path(b), (3, b"a/b".to_vec()));
        tree.rename(a, c, b"z");
        assert_eq!(tree.path(b), (3, b"c/z/b".to_vec()));
        assert_eq!(tree.child(root, b"a"), None);
        assert_eq!(tree.child(c, b"z"), Some(a));
        assert_eq!(tree.path(root), (3, Vec::new()));
    }

    #[test]
    fn a_ghost_keeps_its_path_but_frees_its_name() {
        let mut tree = Tree::new();
        let root = tree.insert_root(0, 1);
        let old = tree.insert(root, b"a", 2);
        tree.make_ghost(old);
        let new = tree.insert(root, b"a", 3);
        assert_eq!(tree.child(root, b"a"), Some(new));
        assert_eq!(tree.path(old).1, b"a");
        tree.remove(old);
        assert_eq!(tree.child(root, b"a"), Some(new));
        assert_eq!(tree.by_watch(2), None);
    }

    proptest! {
        /// The arena against a plain map from paths to watch numbers.
        #[test]
        fn the_arena_says_what_a_map_of_paths_says(
            steps in prop::collection::vec((0u8..3, 0usize..64, 0usize..64, 0u8..5), 0..300)
        ) {
            let mut tree = Tree::new();
            let root = tree.insert_root(0, 1);
            let mut map: BTreeMap<Vec<u8>, i32> = BTreeMap::from([(Vec::new(), 1)]);
            let mut next = 2;
            for (what, first, second, name) in steps {
                let all = tree.subtree(root);
                let (a, b) = (all[first % all.len()], all[second % all.len()]);
                let name = [b'a' + name];
                let path_of = |tree: &Tree, id| tree.path(id).1;
                let joined = |mut path: Vec<u8>| {
                    if !path.is_empty() { path.push(b'/'); }
                    path.extend_from_slice(&name);
                    path
                };
                match what {
                    0 if tree.child(a, &name).is_none() => {
                        map.insert(joined(path_of(&tree, a)), next);
                        tree.insert(a, &name, next);
                        next += 1;
                    }
                    1 if a != root && !tree.is_within(b, a) && tree.child(b, &name).is_none() => {
                        let (from, to) = (path_of(&tree, a), joined(path_of(&tree, b)));
                        map = map.into_iter().map(|(path, watch)| {
                            let below = path.strip_prefix(from.as_slice())
                                .filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
                            match below {
                                Some(rest) => ([to.as_slice(), rest].concat(), watch),
                                None => (path, watch),
                            }
                        }).collect();
                        tree.rename(a, b, &name);
                    }
                    2 if a != root => {
                        let gone = path_of(&tree, a);
                        map.retain(|path, _| !path.strip_prefix(gone.as_slice())
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")));
                        tree.remove(a);
                    }
                    _ => {}
                }
            }
            let ours: BTreeMap<Vec<u8>, i32> = tree.subtree(root).into_iter()
                .map(|id| (tree.path(id).1, tree.watch(id))).collect();
            prop_assert_eq!(&ours, &map);
            for (path, watch) in map {
                prop_assert_eq!(tree.by_watch(watch).map(|id| tree.path(id).1), Some(path));
            }
        }
    }
}
