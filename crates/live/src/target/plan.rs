//! From a batch to the lists of its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use syncline_engine::source::Line;
use syncline_fs::RelPathBuf;

use super::moves::Move;
use crate::push::Load;
use crate::queue::{Batch, Below, Todo};

/// More files than this in a renamed directory are compared as a tree instead of linked.
const MOST_LINKS: usize = 200_000;

/// The lists of a batch.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Old names and new ones, as links; none if nothing was renamed.
    pub(crate) links: Vec<Line>,
    /// Renames that the links do.
    pub(crate) moves: Vec<Move>,
    /// Paths whose size and time tell whether they differ.
    plain: Vec<Line>,
    /// Paths whose content is known to have changed.
    forced: Vec<Line>,
    /// Directories with contents.
    trees: Vec<Line>,
    /// The same where size and time prove nothing.
    forced_trees: Vec<Line>,
    /// Names known to be gone.
    pub(crate) removed: Vec<RelPathBuf>,
    /// What does not fit into this batch.
    pub(crate) later: Vec<RelPathBuf>,
}

/// How much a batch may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Content.
    pub(crate) bytes: u64,
    /// Larger files whose attributes alone changed are not looked into.
    pub(crate) delta_min: u64,
}

impl Plan {
    /// The lists for `batch`. Of `moves` those are done by links that the source still shows.
    pub(crate) fn new(source: &Path, batch: &Batch, moves: Vec<Move>, bounds: Bounds) -> Self {
        let mut plan = Self::default();
        for hint in moves {
            plan.link(source, hint);
        }
        let moves = plan.moves.clone();
        let linked: BTreeMap<&[u8], &Move> =
            moves.iter().map(|hint| (hint.to.as_bytes(), hint)).collect();
        let mut left: BTreeSet<&RelPathBuf> = moves.iter().map(|hint| &hint.from).collect();
        let mut bytes = 0_u64;
        for entry in &batch.entries {
            let path = entry.path.clone();
            let look = match entry.todo {
                // Whatever has an old name: the links made it there again, as what has the new one.
                _ if left.remove(&path) => {
                    plan.replace(source, path);
                    continue;
                }
                Todo::Remove => {
                    plan.replace(source, path);
                    continue;
                }
                Todo::Look(look) => look,
            };
            if let Some(hint) = linked.get(path.as_bytes()) {
                let list =
                    if hint.written.contains(&path) { &mut plan.forced } else { &mut plan.plain };
                list.push(Line::Path(path));
                let below = hint.written.iter().filter(|written| **written != hint.to);
                plan.forced.extend(below.cloned().map(Line::Path));
                continue;
            }
            match look.below {
                Below::Tree | Below::Names => {
                    let line = if look.below == Below::Tree {
                        Line::Tree(path)
                    } else {
                        Line::Names(path)
                    };
                    let forced = look.below_content || look.content;
                    if forced { &mut plan.forced_trees } else { &mut plan.trees }.push(line);
                }
                Below::Nothing => {
                    let size = size_of(source, &path);
                    if look.content {
                        if bytes > 0 && bytes.saturating_add(size) > bounds.bytes {
                            plan.later.push(path);
                            continue;
                        }
                        bytes = bytes.saturating_add(size);
                        plan.forced.push(Line::Path(path));
                    } else if size >= bounds.delta_min {
                        plan.links.push(Line::Path(path));
                    } else {
                        plan.plain.push(Line::Path(path));
                    }
                }
            }
        }
        // No old name outlives its links, whoever was to remove it.
        for path in left {
            plan.replace(source, path.clone());
        }
        plan
    }

    /// What is gone is removed. Where the name is back, everything at it and below it is compared by content: what the
    /// target has there is of the one that went, and may look the same.
    fn replace(&mut self, source: &Path, path: RelPathBuf) {
        match fs::symlink_metadata(absolute(source, &path)) {
            Ok(data) if data.is_dir() => self.forced_trees.push(Line::Tree(path)),
            Ok(_) => self.forced.push(Line::Path(path)),
            Err(_) => {
                self.removed.push(path.clone());
                self.plain.push(Line::Gone(path));
            }
        }
    }

    /// Leaves what would be removed as it is.
    pub(crate) fn without_removals(&mut self) -> Vec<RelPathBuf> {
        self.plain.retain(|line| !matches!(line, Line::Gone(_)));
        std::mem::take(&mut self.removed)
    }

    /// One that sends content for what `self` would have linked.
    pub(crate) fn without_links(&mut self) {
        for hint in std::mem::take(&mut self.moves) {
            let line = if hint.directory { Line::Tree(hint.to) } else { Line::Path(hint.to) };
            if hint.directory { &mut self.trees } else { &mut self.forced }.push(line);
        }
        self.links.retain(|line| !matches!(line, Line::Moved { .. }));
    }

    /// The lists behind the links, in the order in which they are sent.
    pub(crate) fn loads(&self, removes: bool) -> Vec<Load> {
        let mut loads = Vec::new();
        let (plain, forced) = if self.forced.is_empty() {
            (self.plain.clone(), Vec::new())
        } else {
            (Vec::new(), [&self.plain[..], &self.forced[..]].concat())
        };
        let mut add = |lines: Vec<Line>, forced, contents| {
            if !lines.is_empty() {
                loads.push(Load::Lines { lines, forced, contents, removes, links: false });
            }
        };
        add(plain, false, false);
        add(forced, true, false);
        for (trees, forced) in [(&self.trees, false), (&self.forced_trees, true)] {
            for lines in rounds(trees) {
                add(lines, forced, true);
            }
        }
        loads
    }

    fn link(&mut self, source: &Path, hint: Move) {
        let before = self.links.len();
        let done = if hint.directory {
            self.link_directory(source, &hint)
        } else {
            self.links.push(Line::Moved { from: hint.from.clone(), to: hint.to.clone() });
            true
        };
        if done {
            self.moves.push(hint);
        } else {
            self.links.truncate(before);
        }
    }

    /// The files below a renamed directory, each under both names.
    fn link_directory(&mut self, source: &Path, hint: &Move) -> bool {
        let mut owed = vec![PathBuf::new()];
        while let Some(directory) = owed.pop() {
            let at = absolute(source, &hint.to).join(&directory);
            let Ok(entries) = fs::read_dir(at) else { return false };
            let Some(line) = below(&hint.to, &directory) else { return false };
            self.links.push(Line::Path(line));
            for entry in entries {
                let Ok(entry) = entry else { return false };
                let Ok(kind) = entry.file_type() else { return false };
                let path = directory.join(entry.file_name());
                let (Some(from), Some(to)) = (below(&hint.from, &path), below(&hint.to, &path))
                else {
                    return false;
                };
                if kind.is_dir() {
                    owed.push(path);
                } else if hint.written.contains(&to) {
                    // Nothing that the target has.
                } else if kind.is_file() {
                    self.links.push(Line::Moved { from, to });
                } else {
                    self.links.push(Line::Path(to));
                }
                if self.links.len() > MOST_LINKS {
                    return false;
                }
            }
        }
        true
    }
}

/// Directories with contents, none of a round below another of it: in one list every name stands once.
fn rounds(trees: &[Line]) -> Vec<Vec<Line>> {
    let mut rounds: Vec<(BTreeSet<Vec<u8>>, Vec<Line>)> = Vec::new();
    for line in trees {
        let (Line::Tree(path) | Line::Names(path)) = line else { continue };
        let bytes = path.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = |round: &BTreeSet<Vec<u8>>| {
            let mut above = ends.clone().map(|(end, _)| &bytes[..end]);
            round.contains(b".".as_slice())
                || round.contains(bytes)
                || above.any(|name| round.contains(name))
        };
        let below = |round: &BTreeSet<Vec<u8>>| {
            path.as_path().is_root() && !round.is_empty()
                || round.range([bytes, b"/"].concat()..[bytes, b"0"].concat()).next().is_some()
        };
        let free = rounds.iter_mut().find(|(round, _)| !above(round) && !below(round));
        match free {
            Some((round, lines)) => {
                round.insert(bytes.to_vec());
                lines.push(line.clone());
            }
            None => rounds.push((BTreeSet::from([bytes.to_vec()]), vec![line.clone()])),
        }
    }
    rounds.into_iter().map(|(_, lines)| lines).collect()
}

fn absolute(source: &Path, path: &RelPathBuf) -> PathBuf {
    source.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn below(top: &RelPathBuf, path: &Path) -> Option<RelPathBuf> {
    let joined = [top.as_bytes(), b"/", path.as_os_str().as_bytes()].concat();
    RelPathBuf::clean(&joined).ok()
}

fn size_of(source: &Path, path: &RelPathBuf) -> u64 {
    fs::symlink_metadata(absolute(source, path))
        .ok()
        .filter(fs::Metadata::is_file)
        .map_or(0, |data| data.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mirror::Renamed;
    use crate::queue::Pending;
    use crate::target::moves::Moves;

    fn plan(source: &Path, entries: &[(&str, Todo)]) -> Plan {
        let entries = entries.iter().map(|(path, todo)| Pending {
            path: RelPathBuf::clean(path.as_bytes()).unwrap(),
            todo: *todo,
            since: Duration::ZERO,
        });
        let batch = Batch { entries: entries.collect(), more: false };
        Plan::new(source, &batch, Vec::new(), Bounds { bytes: 10, delta_min: 5 })
    }

    fn path(text: &str) -> RelPathBuf {
        RelPathBuf::clean(text.as_bytes()).unwrap()
    }

    #[test]
    fn r42_what_is_back_is_compared_with_all_below_it() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("back")).unwrap();
        fs::write(top.path().join("file"), "x").unwrap();
        let removed = ["back", "file", "gone"].map(|name| (name, Todo::Remove));
        let plan = plan(top.path(), &removed);
        assert_eq!(plan.forced_trees, [Line::Tree(path("back"))]);
        assert_eq!(plan.forced, [Line::Path(path("file"))]);
        assert_eq!(plan.plain, [Line::Gone(path("gone"))]);
        assert_eq!(plan.removed, [path("gone")]);
    }

    #[test]
    fn r32_content_beyond_the_bound_waits_for_the_next_batch() {
        let top = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(top.path().join(name), "12345678").unwrap();
        }
        let plan = plan(top.path(), &["a", "b", "c"].map(|name| (name, Todo::changed())));
        assert_eq!(plan.forced, [Line::Path(path("a"))]);
        assert_eq!(plan.later, [path("b"), path("c")]);
    }

    #[test]
    fn r56_no_old_name_outlives_its_links_and_what_has_it_now_is_sent_after_them() {
        let top = tempfile::tempdir().unwrap();
        for name in ["now", "then"] {
            fs::write(top.path().join(name), "x").unwrap();
        }
        let mut moves = Moves::default();
        for (from, to) in [("gone", "now"), ("again", "then")] {
            let (from, to) = (path(from), path(to));
            moves.add(Duration::ZERO, Renamed { from, to, directory: false, written: Vec::new() });
        }
        fs::write(top.path().join("again"), "y").unwrap();
        moves.written(path("then").as_path());
        let moves = moves.take(|_| true, |_| false);
        let entries = ["now", "then"].map(|name| Pending {
            path: path(name),
            todo: Todo::changed(),
            since: Duration::ZERO,
        });
        let batch = Batch { entries: entries.to_vec(), more: false };
        let plan = Plan::new(top.path(), &batch, moves, Bounds { bytes: 10, delta_min: 5 });
        assert_eq!(plan.links.len(), 2);
        assert_eq!(plan.plain, [Line::Path(path("now")), Line::Gone(path("gone"))]);
        assert_eq!(plan.forced, [Line::Path(path("then")), Line::Path(path("again"))]);
    }

    #[test]
    fn r41_in_no_list_is_a_directory_with_contents_below_another() {
        let tree = |name: &str| Line::Tree(path(name));
        let all = [Line::Names(path("a")), tree("a/b"), tree("ab"), tree("a/b/c"), tree("b")];
        assert_eq!(
            rounds(&all),
            [
                vec![Line::Names(path("a")), tree("ab"), tree("b")],
                vec![tree("a/b")],
                vec![tree("a/b/c")]
            ]
        );
        assert_eq!(rounds(&[tree("a"), Line::Names(RelPathBuf::root())]).len(), 2);
    }

    #[test]
    fn r44_large_files_whose_attributes_alone_changed_have_a_list_of_their_own() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("large"), "12345678").unwrap();
        fs::write(top.path().join("small"), "1").unwrap();
        let all =
            [("large", Todo::attributes()), ("small", Todo::attributes()), ("x", Todo::changed())];
        let plan = plan(top.path(), &all);
        assert_eq!(plan.links, [Line::Path(path("large"))]);
        let loads = plan.loads(true);
        assert!(
            matches!(&loads[..], [Load::Lines { lines, forced: true, .. }] if lines.len() == 2)
        );
    }
}
