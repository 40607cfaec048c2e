//! What waits for one target.
//!
//! An entry says where to look, never what is there: the source as it is when a batch is made decides (R42, R43).
//! Memory is bounded: more entries than fit become directories whose names are compared, then whole trees (R35).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use syncline_fs::{RelPath, RelPathBuf};

use crate::key::Key;

/// What is to be done about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// It is there, or was when this was written: send it as it is.
    Look(Look),
    /// It is gone with everything below it.
    ///
    /// A session either removes it without looking, or, if it finds the name back, compares everything below it: the
    /// notice of the new one says nothing of what the old one held.
    Remove,
}

/// What of a path is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its content is known to have changed: equal size and time prove nothing (R44).
    pub content: bool,
    /// What below it is to be compared.
    pub below: Below,
    /// And whether size and time prove nothing there either.
    pub below_content: bool,
}

/// How much below a directory is to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Below {
    /// Nothing.
    Nothing,
    /// The entries of the directory itself.
    Names,
    /// Everything.
    Tree,
}

impl Todo {
    /// Its content changed.
    pub fn changed() -> Self {
        Self::Look(Look { content: true, below: Below::Nothing, below_content: false })
    }

    /// Only its attributes did.
    pub fn attributes() -> Self {
        Self::Look(Look { content: false, below: Below::Nothing, below_content: false })
    }

    /// Names in this directory may have come or gone.
    pub fn names() -> Self {
        Self::Look(Look { content: false, below: Below::Names, below_content: false })
    }

    /// Anything below may differ.
    pub fn tree() -> Self {
        Self::Look(Look { content: false, below: Below::Tree, below_content: false })
    }

    /// Anything below may differ, and equal size and time prove nothing.
    pub(crate) fn anything() -> Self {
        Self::Look(Look { content: false, below: Below::Tree, below_content: true })
    }

    /// It and anything below it may differ, and equal size and time prove nothing.
    pub(crate) fn all() -> Self {
        Self::Look(Look { content: true, below: Below::Tree, below_content: true })
    }

    /// This, and later that, of the same path.
    pub(crate) fn then(self, later: Self) -> Self {
        match (self, later) {
            (_, Self::Remove) => Self::Remove,
            // Something else has the name now: what the target has below the old one must go, or become another.
            (Self::Remove, Self::Look(_)) => Self::all(),
            (Self::Look(one), Self::Look(other)) => Self::Look(Look {
                content: one.content || other.content,
                below: one.below.max(other.below),
                below_content: one.below_content || other.below_content,
            }),
        }
    }

    fn below(self) -> Below {
        match self {
            Self::Look(look) => look.below,
            Self::Remove => Below::Nothing,
        }
    }

    /// Whether it changes what is below its path: the names in it, or everything.
    pub(crate) fn reaches_down(self, only_names: bool) -> bool {
        match self {
            Self::Remove => true,
            Self::Look(look) => look.below >= if only_names { Below::Names } else { Below::Tree },
        }
    }

    /// Whether a comparison by size and time is not enough for it.
    fn is_forced(self) -> bool {
        matches!(self, Self::Look(look) if look.content || (look.below_content && look.below > Below::Nothing))
    }

    /// Whether this, for a directory, does all that `other` asks for below it.
    fn does(self, other: Self, is_child: bool) -> bool {
        match self {
            Self::Remove => other == Self::Remove,
            Self::Look(look) => {
                let reached = match look.below {
                    Below::Nothing => false,
                    // A gone name may come back, and then what was below it must still go.
                    Below::Names => {
                        is_child && other != Self::Remove && other.below() == Below::Nothing
                    }
                    Below::Tree => true,
                };
                reached && (look.below_content || !other.is_forced())
            }
        }
    }
}

/// A path that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Where.
    pub path: RelPathBuf,
    /// What.
    pub todo: Todo,
    /// Since when, the first of several changes.
    pub since: Duration,
}

/// What one session is to carry, parents before children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The paths.
    pub entries: Vec<Pending>,
    /// Whether more waits.
    pub more: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    todo: Todo,
    since: Duration,
}

/// The part of all paths that a batch was taken from: the first, and the one behind the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Key,
    pub(crate) to: Option<Key>,
}

impl Range {
    pub(crate) fn holds(&self, key: &Key) -> bool {
        *key >= self.from && self.to.as_ref().is_none_or(|to| key < to)
    }
}

/// Paths that wait, and those under way.
///
/// Invariants: nothing waits below what is to be removed, nor below what does the same already; never more than
/// the limit wait.
#[derive(Debug)]
pub struct Queue {
    waiting: BTreeMap<Key, Entry>,
    under_way: Option<(Range, BTreeMap<Key, Entry>)>,
    /// Where the next batch begins, so that every path has its turn.
    next: Key,
    limit: usize,
}

/// Something that was not pushed but follows from it, for the journal.
pub(crate) type Made = Vec<(Key, Todo)>;

impl Queue {
    /// An empty queue for at most `limit` waiting paths (at least one).
    pub fn new(limit: usize) -> Self {
        Self { waiting: BTreeMap::new(), under_way: None, next: Key::root(), limit: limit.max(1) }
    }

    /// Adds what is to be done about a path.
    pub fn push(&mut self, now: Duration, path: RelPath<'_>, todo: Todo) {
        self.add(&Key::of(path), Entry { todo, since: now });
    }

    pub(crate) fn push_key(&mut self, now: Duration, key: &Key, todo: Todo) -> Made {
        self.add(key, Entry { todo, since: now })
    }

    /// Takes up to `limit` paths, not parting siblings unless one directory alone is more than that (R32).
    ///
    /// `None` if nothing waits, or a batch is still under way: a later one never starts before the earlier one is
    /// [finished](Self::finish) or [given back](Self::give_back) (R48).
    pub fn take(&mut self, limit: usize) -> Option<Batch> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return None;
        }
        let mut later = self.waiting.split_off(&self.next);
        // The last time around ended at the end.
        let from_start = later.is_empty();
        if from_start {
            std::mem::swap(&mut later, &mut self.waiting);
        }
        let from = if from_start { Key::root() } else { self.next.clone() };
        let border = border(&later, limit.max(1));
        let rest = border.as_ref().map(|border| later.split_off(border)).unwrap_or_default();
        self.waiting.extend(rest);
        self.next = border.clone().unwrap_or_else(Key::root);
        let entries = later
            .iter()
            .map(|(key, entry)| Pending {
                path: key.to_path(),
                todo: entry.todo,
                since: entry.since,
            })
            .collect();
        self.under_way = Some((Range { from, to: border }, later));
        Some(Batch { entries, more: !self.waiting.is_empty() })
    }

    /// The batch arrived, except for these paths, which wait again (R73, R86).
    pub fn finish(&mut self, failed: &[RelPathBuf]) {
        self.finish_keys(failed);
    }

    pub(crate) fn finish_keys(&mut self, failed: &[RelPathBuf]) -> Made {
        let Some((_, entries)) = self.under_way.take() else { return Made::new() };
        let failed = failed.iter().map(|path| Key::of(path.as_path()));
        let back = failed.filter_map(|key| entries.get(&key).map(|entry| (key, *entry))).collect();
        self.put_back(back)
    }

    /// The batch did not arrive, or nobody knows: all of it waits again.
    pub fn give_back(&mut self) {
        self.give_back_keys();
    }

    pub(crate) fn give_back_keys(&mut self) -> Made {
        self.under_way.take().map(|(_, entries)| self.put_back(entries)).unwrap_or_default()
    }

    /// What waits for this very path.
    pub(crate) fn todo(&self, path: RelPath<'_>) -> Option<Todo> {
        self.waiting.get(&Key::of(path)).map(|entry| entry.todo)
    }

    /// How many paths wait, those under way not counted.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// How many paths are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.as_ref().map_or(0, |(_, entries)| entries.len())
    }

    /// Since when the longest waiting path waits: the lag of the target.
    pub fn oldest(&self) -> Option<Duration> {
        let under_way = self.under_way.iter().flat_map(|(_, entries)| entries.values());
        self.waiting.values().chain(under_way).map(|entry| entry.since).min()
    }

    /// Whether anything waits at or below this path, or above it with what is below.
    pub fn concerns(&self, path: RelPath<'_>) -> bool {
        let key = Key::of(path);
        let below = self.waiting.range((Bound::Included(&key), Bound::Unbounded)).next();
        below.is_some_and(|(other, _)| *other == key || other.is_below(&key))
            || key.ancestors().any(|above| {
                self.waiting.get(&above).is_some_and(|entry| {
                    entry.todo == Todo::Remove || entry.todo.below() > Below::Nothing
                })
            })
    }

    /// What waits, in the order of a walk.
    pub fn iter(&self) -> impl Iterator<Item = Pending> {
        self.waiting.iter().map(|(key, entry)| Pending {
            path: key.to_path(),
            todo: entry.todo,
            since: entry.since,
        })
    }

    /// The part of all paths that is under way.
    pub(crate) fn range_under_way(&self) -> Option<&Range> {
        self.under_way.as_ref().map(|(range, _)| range)
    }

    pub(crate) fn entries_under_way(&self) -> impl Iterator<Item = (&Key, Todo)> {
        let entries = self.under_way.iter().flat_map(|(_, entries)| entries);
        entries.map(|(key, entry)| (key, entry.todo))
    }

    /// Everything not yet acknowledged, what is under way first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, Todo)> {
        self.entries_under_way().chain(self.waiting.iter().map(|(key, entry)| (key, entry.todo)))
    }

    /// Puts older entries under the newer ones that came meanwhile.
    fn put_back(&mut self, older: BTreeMap<Key, Entry>) -> Made {
        if older.is_empty() {
            return Made::new();
        }
        let newer = std::mem::replace(&mut self.waiting, older);
        let mut made = Made::new();
        for (key, entry) in newer {
            made.extend(self.add(&key, entry));
        }
        made.extend(self.collapse());
        made
    }

    fn add(&mut self, key: &Key, entry: Entry) -> Made {
        let mut made = Made::new();
        let mut above: Vec<Key> = key.ancestors().collect();
        // From the root down: the first that stands for the path decides.
        while let Some(ancestor) = above.pop() {
            let Some(found) = self.waiting.get_mut(&ancestor) else { continue };
            let is_parent = above.is_empty();
            if found.todo == Todo::Remove && entry.todo != Todo::Remove {
                // It is there again, or this path would not be.
                found.todo = Todo::Remove.then(Todo::attributes());
                made.push((ancestor.clone(), found.todo));
            }
            if found.todo.does(entry.todo, is_parent) {
                found.since = found.since.min(entry.since);
                // What is below a gone name goes with it.
                if entry.todo == Todo::Remove {
                    self.drop_below(key, Todo::Remove);
                    self.waiting.remove(key);
                }
                return made;
            }
        }
        let before = self.waiting.get(key).copied();
        let joined = match before {
            Some(before) => {
                Entry { todo: before.todo.then(entry.todo), since: before.since.min(entry.since) }
            }
            None => entry,
        };
        self.waiting.insert(key.clone(), joined);
        let reaches_down = joined.todo == Todo::Remove || joined.todo.below() > Below::Nothing;
        if reaches_down && before.is_none_or(|before| before.todo != joined.todo) {
            self.drop_below(key, joined.todo);
        }
        made.extend(self.collapse());
        made
    }

    /// Drops what `todo`, which now stands at `key`, does as well.
    fn drop_below(&mut self, key: &Key, todo: Todo) {
        let below = self.waiting.range((Bound::Excluded(key), Bound::Unbounded));
        let below = below.take_while(|(other, _)| other.is_below(key));
        let done = below.filter(|(other, entry)| {
            let is_child = other.parent().as_ref() == Some(key);
            todo == Todo::Remove || todo.does(entry.todo, is_child)
        });
        let done: Vec<Key> = done.map(|(other, _)| other.clone()).collect();
        for other in done {
            self.waiting.remove(&other);
        }
    }

    /// If there are too many: directories in place of their entries, then trees, the deepest first.
    fn collapse(&mut self) -> Made {
        if self.waiting.len() <= self.limit {
            return Made::new();
        }
        // Leave room, or the next path would collapse again.
        let aim = self.limit / 4 * 3;
        let mut made: BTreeMap<Key, Todo> = BTreeMap::new();
        self.regroup(&mut made, 2, |key, todo| {
            let below = if todo == Todo::Remove { Below::Tree } else { Below::Names };
            let parent = (todo.below() == Below::Nothing).then(|| key.parent()).flatten();
            parent.map(|parent| (parent, below))
        });
        let deepest = self.waiting.keys().map(Key::depth).max().unwrap_or(0);
        for depth in (0..deepest).rev() {
            if self.waiting.len() <= aim.max(1) {
                break;
            }
            self.regroup(&mut made, 1, |key, _| {
                (key.depth() > depth).then(|| (key.cut_to(depth), Below::Tree))
            });
        }
        // What was made first may be in what was made later.
        made.retain(|key, _| self.waiting.contains_key(key));
        made.into_iter().collect()
    }

    /// Moves each entry into the one that `group` names for it, if `fewest` or more have the same.
    fn regroup(
        &mut self,
        made: &mut BTreeMap<Key, Todo>,
        fewest: usize,
        group: impl Fn(&Key, Todo) -> Option<(Key, Below)>,
    ) {
        let mut sizes: BTreeMap<Key, usize> = BTreeMap::new();
        for (key, entry) in &self.waiting {
            if let Some((goal, _)) = group(key, entry.todo) {
                *sizes.entry(goal).or_default() += 1;
            }
        }
        for (key, entry) in std::mem::take(&mut self.waiting) {
            let goal = group(&key, entry.todo)
                .filter(|(goal, _)| sizes.get(goal).is_some_and(|&size| size >= fewest));
            let Some((goal, below)) = goal else {
                self.merge(key, entry);
                continue;
            };
            let below_content = entry.todo.is_forced();
            let todo = Todo::Look(Look { content: false, below, below_content });
            self.merge(goal.clone(), Entry { todo, since: entry.since });
            if let Some(entry) = self.waiting.get(&goal) {
                made.insert(goal, entry.todo);
            }
        }
    }

    /// Joins an entry that is no later and no earlier than the one that may be there.
    fn merge(&mut self, key: Key, entry: Entry) {
        let joined = match self.waiting.get(&key) {
            // A gone directory with entries below it does not occur.
            Some(there) => Entry {
                todo: if entry.todo == Todo::Remove {
                    entry.todo.then(there.todo)
                } else {
                    there.todo.then(entry.todo)
                },
                since: there.since.min(entry.since),
            },
            None => entry,
        };
        self.waiting.insert(key, joined);
    }
}

/// The first path that a batch of `limit` does not take: between two directories if possible.
fn border(entries: &BTreeMap<Key, Entry>, limit: usize) -> Option<Key> {
    let mut keys = entries.keys().skip(limit);
    let cut = keys.next()?;
    let parent = cut.parent();
    let first = entries.keys().next();
    // Back to the first of the siblings, or of their directory.
    let mut border = cut;
    for key in entries.keys().take(limit).collect::<Vec<_>>().into_iter().rev() {
        if key.parent() != parent {
            break;
        }
        border = key;
    }
    Some(if Some(border) == first { cut.clone() } else { border.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn queue(limit: usize, changes: &[(&str, Todo)]) -> Queue {
        let mut queue = Queue::new(limit);
        for (path, todo) in changes {
            queue.push(NOW, RelPath::new(path.as_bytes()).unwrap(), *todo);
        }
        queue
    }

    fn shown(queue: &Queue) -> Vec<(String, Todo)> {
        queue
            .iter()
            .map(|pending| {
                (String::from_utf8_lossy(pending.path.as_bytes()).into_owned(), pending.todo)
            })
            .collect()
    }

    fn expect(changes: &[(&str, Todo)], expected: &[(&str, Todo)]) {
        let expected: Vec<_> =
            expected.iter().map(|(path, todo)| ((*path).to_owned(), *todo)).collect();
        assert_eq!(shown(&queue(100, changes)), expected, "{changes:?}");
    }

    fn paths(batch: &Batch) -> Vec<&[u8]> {
        batch.entries.iter().map(|pending| pending.path.as_bytes()).collect()
    }

    #[test]
    fn r42_only_the_topmost_gone_name_waits() {
        let (changed, remove) = (Todo::changed(), Todo::Remove);
        expect(
            &[("a/b/c", changed), ("a/b/c", remove), ("a/b", remove), ("a!", changed)],
            &[("a/b", remove), ("a!", changed)],
        );
        expect(&[("a", remove), ("a/b", remove)], &[("a", remove)]);
    }

    #[test]
    fn a_name_that_is_back_is_compared_with_all_that_the_target_has_below_it() {
        for (path, todo) in
            [("a", Todo::changed()), ("a/b", Todo::changed()), ("a/b", Todo::attributes())]
        {
            expect(&[("a", Todo::Remove), (path, todo)], &[("a", Todo::all())]);
        }
    }

    #[test]
    fn a_comparison_of_names_does_not_forget_that_one_was_gone_in_between() {
        let names = Todo::names();
        expect(&[("d", names), ("d/a", Todo::Remove)], &[("d", names), ("d/a", Todo::Remove)]);
        expect(&[("d/a", Todo::Remove), ("d", names)], &[("d", names), ("d/a", Todo::Remove)]);
    }

    #[test]
    fn what_a_comparison_finds_anyway_does_not_wait_but_known_changes_of_content_do() {
        let (tree, names, changed) = (Todo::tree(), Todo::names(), Todo::changed());
        expect(
            &[("a", tree), ("a/b/c", Todo::attributes()), ("a/d", Todo::Remove), ("a/e", names)],
            &[("a", tree)],
        );
        expect(
            &[("a/b/c", Todo::attributes()), ("a/d", Todo::Remove), ("a", tree)],
            &[("a", tree)],
        );
        expect(
            &[("a/b", changed), ("a", tree), ("a/c", changed)],
            &[("a", tree), ("a/b", changed), ("a/c", changed)],
        );
        expect(
            &[("a", names), ("a/b", Todo::attributes()), ("a/b/c", Todo::attributes())],
            &[("a", names), ("a/b/c", Todo::attributes())],
        );
        expect(&[("a/b", changed), ("a", tree), ("a/b", Todo::Remove)], &[("a", tree)]);
        expect(&[(".", tree), ("x", Todo::Remove)], &[(".", tree)]);
    }

    #[test]
    fn r35_more_than_fit_become_directories_and_then_trees() {
        let todo = |below, below_content| Todo::Look(Look { content: false, below, below_content });
        let changes: Vec<(String, Todo)> =
            (0..9).map(|number| (format!("d/{number}"), Todo::attributes())).collect();
        let changes: Vec<(&str, Todo)> =
            changes.iter().map(|(path, todo)| (&path[..], *todo)).collect();
        assert_eq!(shown(&queue(8, &changes)), [("d".to_owned(), Todo::names())]);
        let mut deep: Vec<(String, Todo)> =
            (0..9).map(|number| (format!("d/{number}/x"), Todo::attributes())).collect();
        deep[3].1 = Todo::changed();
        let deep: Vec<(&str, Todo)> = deep.iter().map(|(path, todo)| (&path[..], *todo)).collect();
        assert_eq!(shown(&queue(8, &deep)), [("d".to_owned(), todo(Below::Tree, true))]);
        // Even one is enough for everything.
        assert_eq!(
            shown(&queue(1, &[("a", Todo::Remove), ("b", Todo::attributes())])),
            [(".".to_owned(), Todo::tree())]
        );
        assert_eq!(
            shown(&queue(1, &[("a", Todo::attributes()), ("b", Todo::attributes())])),
            [(".".to_owned(), Todo::names())]
        );
    }

    #[test]
    fn r32_batches_part_at_directories_and_each_path_has_its_turn() {
        let changed = Todo::changed();
        let mut queue = queue(
            100,
            &[
                ("a", changed),
                ("a/1", changed),
                ("a/2", changed),
                ("b/1", changed),
                ("b/2", changed),
                ("c", changed),
            ],
        );
        let batch = queue.take(4).unwrap();
        assert_eq!((paths(&batch), batch.more), (vec![&b"a"[..], b"a/1", b"a/2"], true));
        queue.finish(&[]);
        // What is sooner in order waits until the others had their turn.
        queue.push(NOW, RelPath::new(b"a").unwrap(), changed);
        assert_eq!(paths(&queue.take(2).unwrap()), [&b"b/1"[..], b"b/2"]);
        queue.finish(&[]);
        assert_eq!(paths(&queue.take(1).unwrap()), [b"c"]);
        queue.finish(&[]);
        assert_eq!(paths(&queue.take(1).unwrap()), [b"a"]);
        queue.finish(&[]);
        assert!(queue.is_empty() && queue.take(1).is_none());
    }

    #[test]
    fn r32_a_directory_larger_than_a_batch_is_parted() {
        let changed = Todo::changed();
        let mut queue = queue(100, &[("d/1", changed), ("d/2", changed), ("d/3", changed)]);
        assert_eq!(paths(&queue.take(2).unwrap()), [b"d/1", b"d/2"]);
        queue.finish(&[]);
        assert_eq!(paths(&queue.take(2).unwrap()), [b"d/3"]);
    }

    #[test]
    fn r48_a_later_batch_waits_for_the_earlier_one() {
        let mut queue = queue(100, &[("a", Todo::changed()), ("b", Todo::changed())]);
        assert!(queue.take(1).is_some());
        assert!(queue.take(1).is_none());
        queue.give_back();
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn r73_and_r86_only_what_arrived_is_done() {
        let mut queue = queue(100, &[("a", Todo::changed()), ("b", Todo::changed())]);
        queue.take(10).unwrap();
        // A change of what is under way waits behind it.
        queue.push(NOW, RelPath::new(b"a").unwrap(), Todo::attributes());
        queue.finish(&[RelPath::new(b"b").unwrap().to_owned()]);
        assert_eq!(
            shown(&queue),
            [("a".to_owned(), Todo::attributes()), ("b".to_owned(), Todo::changed())]
        );
    }

    #[test]
    fn what_is_given_back_lies_under_what_came_meanwhile() {
        let mut queue = queue(100, &[("a", Todo::Remove), ("b/c", Todo::changed())]);
        queue.take(10).unwrap();
        queue.push(NOW, RelPath::new(b"a").unwrap(), Todo::attributes());
        queue.push(NOW, RelPath::new(b"b").unwrap(), Todo::Remove);
        queue.give_back();
        assert_eq!(shown(&queue), [("a".to_owned(), Todo::all()), ("b".to_owned(), Todo::Remove)]);
    }

    #[test]
    fn the_lag_is_that_of_the_first_change() {
        let mut queue = Queue::new(10);
        queue.push(Duration::from_secs(5), RelPath::new(b"a").unwrap(), Todo::changed());
        queue.push(Duration::from_secs(9), RelPath::new(b"a").unwrap(), Todo::changed());
        assert_eq!(queue.oldest(), Some(Duration::from_secs(5)));
        queue.take(1);
        assert_eq!(queue.oldest(), Some(Duration::from_secs(5)));
        queue.finish(&[]);
        assert_eq!(queue.oldest(), None);
    }
}
