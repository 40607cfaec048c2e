//! A source that changes, a target that fails, a process that is killed: in the end both trees are equal.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Memory;
use proptest::prelude::*;
use syncline_fs::{RelPath, RelPathBuf};
use syncline_live::{Below, JournalSync, Outbox, Pending, Todo};

const NOW: Duration = Duration::ZERO;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    directory: bool,
    content: u32,
    /// Size and time: what a comparison sees of the content.
    stamp: u32,
    mode: u32,
}

/// A tree by path; the root is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tree(BTreeMap<String, Node>);

impl Tree {
    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.0.get(path).is_some_and(|node| node.directory)
    }

    fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.0.keys().filter(|other| other.starts_with(&prefix)).cloned().collect()
    }

    fn children(&self, path: &str) -> Vec<String> {
        let all = self.below(path);
        all.into_iter().filter(|other| parent(other) == path).collect()
    }

    fn remove(&mut self, path: &str) {
        for other in self.below(path) {
            self.0.remove(&other);
        }
        self.0.remove(path);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What a session does with one path: the present state of the source decides.
fn send(source: &Tree, target: &mut Tree, path: &str, forced: bool) {
    if path.is_empty() {
        return;
    }
    let Some(node) = source.0.get(path) else {
        return target.remove(path);
    };
    // Every ancestor is an entry of the same list (R41).
    send(source, target, parent(path), false);
    match target.0.get_mut(path) {
        Some(there) if there.directory == node.directory => {
            if forced || there.stamp != node.stamp {
                *there = *node;
            }
            there.mode = node.mode;
        }
        _ => {
            target.remove(path);
            target.0.insert(path.to_owned(), *node);
        }
    }
}

fn compare(source: &Tree, target: &mut Tree, path: &str, below: Below, forced: bool) {
    if below == Below::Nothing || !source.is_directory(path) {
        return;
    }
    let mut names = source.children(path);
    names.extend(target.children(path));
    for name in names {
        send(source, target, &name, forced);
        if below == Below::Tree {
            compare(source, target, &name, below, forced);
        }
    }
}

fn carry(source: &Tree, target: &mut Tree, pending: &Pending) {
    let path = match pending.path.as_bytes() {
        b"." => "",
        bytes => str::from_utf8(bytes).unwrap(),
    };
    match pending.todo {
        // Looked up again (R42): where the name is back, nobody tells that what was below it is gone.
        Todo::Remove => {
            send(source, target, path, false);
            compare(source, target, path, Below::Tree, false);
        }
        Todo::Look(look) => {
            send(source, target, path, look.content);
            compare(source, target, path, look.below, look.below_content);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Writes a file; `quiet` with the size and time it had.
    Write {
        path: String,
        quiet: bool,
    },
    Mode {
        path: String,
    },
    Mkdir {
        path: String,
    },
    Remove {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// The kernel's queue overflows: a change that nobody tells, and a word that there was one below.
    Overflow {
        path: String,
        at: usize,
    },
    /// `early`: all is read at once, so that what changes until the end must be sent again.
    Take {
        limit: usize,
        early: bool,
    },
    /// Some paths failed; `aside`: they wait for a moment of their own, and not in the queue.
    Finish {
        failed: u8,
        aside: bool,
    },
    /// That moment.
    Due,
    /// The session ends in the middle.
    GiveBack {
        carried: usize,
    },
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::collection::vec("[ab!]", 1..4).prop_map(|parts| parts.join("/"));
    prop_oneof![
        4 => (path(), any::<bool>()).prop_map(|(path, quiet)| Step::Write { path, quiet }),
        1 => path().prop_map(|path| Step::Mode { path }),
        3 => path().prop_map(|path| Step::Mkdir { path }),
        2 => path().prop_map(|path| Step::Remove { path }),
        2 => (path(), path()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => (path(), 0_usize..3).prop_map(|(path, at)| Step::Overflow { path, at }),
        3 => (1_usize..6, any::<bool>()).prop_map(|(limit, early)| Step::Take { limit, early }),
        3 => (any::<u8>(), any::<bool>())
            .prop_map(|(failed, aside)| Step::Finish { failed, aside }),
        1 => Just(Step::Due),
        1 => (0_usize..4).prop_map(|carried| Step::GiveBack { carried }),
        1 => Just(Step::Kill),
    ]
}

struct World {
    source: Tree,
    target: Tree,
    memory: Memory,
    outbox: Option<Outbox<Memory>>,
    /// What is under way, and was not carried yet.
    session: Vec<Pending>,
    /// What waits outside of the queue.
    held: BTreeMap<RelPathBuf, Todo>,
    /// It was carried when it was taken.
    early: bool,
    limit: usize,
    clock: u32,
}

impl World {
    fn new(limit: usize) -> Self {
        let memory = Memory::default();
        let outbox = Some(Outbox::open(memory.clone(), JournalSync::Batch, limit, NOW).unwrap().0);
        let (source, target) = (Tree::default(), Tree::default());
        let (session, held) = (Vec::new(), BTreeMap::new());
        Self { source, target, memory, outbox, session, held, early: false, limit, clock: 0 }
    }

    fn outbox(&mut self) -> &mut Outbox<Memory> {
        self.outbox.as_mut().unwrap()
    }

    fn tell(&mut self, path: &str, todo: Todo) {
        let path = if path.is_empty() { "." } else { path };
        self.outbox().push(NOW, RelPath::new(path.as_bytes()).unwrap(), todo);
        assert!(self.outbox().queue().len() <= self.limit);
    }

    /// A directory for `path`, unless something else has its name.
    fn is_possible(&self, path: &str) -> bool {
        self.source.is_directory(parent(path))
    }

    fn write(&mut self, path: &str, quiet: bool) -> bool {
        if !self.is_possible(path) || self.source.is_directory(path) {
            return false;
        }
        self.clock += 1;
        let before = self.source.0.get(path).copied();
        let stamp = before.filter(|_| quiet).map_or(self.clock, |node| node.stamp);
        let mode = before.map_or(0, |node| node.mode);
        let node = Node { directory: false, content: self.clock, stamp, mode };
        self.source.0.insert(path.to_owned(), node);
        true
    }

    fn carry_all(&mut self) {
        for pending in std::mem::take(&mut self.session) {
            carry(&self.source, &mut self.target, &pending);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write { path, quiet } => {
                if self.write(path, *quiet) {
                    self.tell(path, Todo::changed());
                }
            }
            Step::Mode { path } => {
                self.clock += 1;
                let clock = self.clock;
                if let Some(node) = self.source.0.get_mut(path) {
                    node.mode = clock;
                    self.tell(path, Todo::attributes());
                }
            }
            Step::Mkdir { path } => {
                if self.is_possible(path) && !self.source.0.contains_key(path) {
                    self.clock += 1;
                    let node = Node { directory: true, content: 0, stamp: 0, mode: self.clock };
                    self.source.0.insert(path.clone(), node);
                    self.tell(path, Todo::attributes());
                }
            }
            Step::Remove { path } => {
                if self.source.0.contains_key(path) {
                    self.source.remove(path);
                    self.tell(path, Todo::Remove);
                }
            }
            Step::Rename { from, to } => self.rename(from, to),
            Step::Overflow { path, at } => {
                if self.write(path, false) {
                    let above = path.split('/').take(*at).collect::<Vec<_>>().join("/");
                    self.tell(if above == *path { "" } else { &above }, Todo::tree());
                }
            }
            Step::Take { limit, early } => {
                if let Some(batch) = self.outbox().take(NOW, *limit) {
                    assert!(batch.entries.len() <= *limit);
                    self.session = batch.entries;
                    self.early = *early;
                    if *early {
                        let session = self.session.clone();
                        self.carry_all();
                        self.session = session;
                    }
                }
            }
            Step::Finish { failed, aside } => {
                if self.outbox().queue().under_way() > 0 {
                    let is_failed = |index: usize| failed >> (index % 8) & 3 == 3;
                    let all = std::mem::take(&mut self.session);
                    let mut back: Vec<RelPathBuf> = Vec::new();
                    for (index, pending) in all.into_iter().enumerate() {
                        if is_failed(index) && *aside {
                            self.held.insert(pending.path.clone(), pending.todo);
                        } else if is_failed(index) {
                            back.push(pending.path.clone());
                        } else if !self.early {
                            carry(&self.source, &mut self.target, &pending);
                        }
                        if let Some(todo) = self.held.get(&pending.path).copied() {
                            self.outbox().set_aside(NOW, pending.path.as_path(), todo);
                        }
                    }
                    self.outbox().finish(NOW, &back);
                }
            }
            Step::Due => {
                for (path, todo) in std::mem::take(&mut self.held) {
                    self.outbox().push_older(NOW, path.as_path(), todo);
                    self.outbox().not_aside(path.as_path());
                }
            }
            Step::GiveBack { carried } => {
                self.session.truncate(*carried);
                self.carry_all();
                self.outbox().give_back(NOW);
            }
            Step::Kill => {
                self.carry_all();
                self.held.clear();
                self.outbox = None;
                let (outbox, recovery) =
                    Outbox::open(self.memory.clone(), JournalSync::Batch, self.limit, NOW).unwrap();
                assert!(!recovery.damaged);
                self.outbox = Some(outbox);
            }
        }
    }

    /// As the watcher tells it: the old name is gone, the new one and everything in it appears.
    fn rename(&mut self, from: &str, to: &str) {
        let inside = to == from || to.starts_with(&format!("{from}/"));
        let Some(node) =
            self.source.0.get(from).copied().filter(|_| !inside && self.is_possible(to))
        else {
            return;
        };
        let there = self.source.0.get(to).copied();
        if there.is_some_and(|there| {
            there.directory != node.directory || !self.source.below(to).is_empty()
        }) {
            return;
        }
        let moved: Vec<(String, Node)> = std::iter::once(from.to_owned())
            .chain(self.source.below(from))
            .map(|path| (format!("{to}{}", &path[from.len()..]), self.source.0[&path]))
            .collect();
        self.source.remove(from);
        self.source.remove(to);
        self.tell(from, Todo::Remove);
        if there.is_some() {
            self.tell(to, Todo::Remove);
        }
        for (path, node) in moved {
            self.source.0.insert(path.clone(), node);
            self.tell(&path, if node.directory { Todo::attributes() } else { Todo::changed() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn r35_r48_r72_and_r86_whatever_happens_the_trees_are_equal_in_the_end(
        limit in 1_usize..12, steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new(limit);
        for step in &steps {
            world.step(step);
        }
        world.step(&Step::GiveBack { carried: 0 });
        world.step(&Step::Due);
        while let Some(batch) = world.outbox().take(NOW, 3) {
            world.session = batch.entries;
            world.carry_all();
            world.outbox().finish(NOW, &[]);
        }
        prop_assert_eq!(&world.target, &world.source);
        // And nothing is left behind: the next start has nothing to do.
        world.step(&Step::Kill);
        let left: Vec<Pending> = world.outbox().queue().iter().collect();
        for pending in &left {
            carry(&world.source, &mut world.target, pending);
        }
        prop_assert_eq!(&world.target, &world.source);
    }
}
