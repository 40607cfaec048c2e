use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_wildcard::Wildcard;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn place(path: &str) -> Place {
    Place { root: RootId(0), path: path.as_bytes().to_vec() }
}

fn appeared(path: &str) -> Change {
    Change::Appeared { place: place(path), directory: false, complete: false }
}

fn directory(path: &str) -> Change {
    Change::Appeared { place: place(path), directory: true, complete: true }
}

fn written(path: &str) -> Change {
    Change::Written { place: place(path) }
}

fn modified(path: &str) -> Change {
    Change::Modified { place: place(path) }
}

fn vanished(path: &str, directory: bool) -> Change {
    Change::Vanished { place: place(path), directory }
}

fn renamed(from: &str, to: &str, directory: bool) -> Change {
    Change::Renamed { from: place(from), to: place(to), directory }
}

fn changed(path: &str) -> Settled {
    Settled::Changed { place: place(path), directory: false, whole: false }
}

fn rules() -> Rules {
    Rules { settle: 3 * MS, resend: Duration::ZERO, ..Rules::default() }
}

/// What comes out when the changes come at the given milliseconds.
fn settle(rules: Rules, changes: &[(u32, Change)]) -> Vec<(u32, Settled)> {
    let mut settler = Settler::new(rules);
    let mut out = Vec::new();
    let mut next = changes.iter().peekable();
    for ms in 0..60_000 {
        while let Some((_, change)) = next.next_if(|(at, _)| *at == ms) {
            settler.feed(ms * MS, change);
        }
        out.extend(settler.take(ms * MS).into_iter().map(|settled| (ms, settled)));
    }
    assert!(settler.is_empty());
    out
}

#[test]
fn a_file_that_is_written_and_closed_is_told_once() {
    let attributes = Change::Attributes { place: place("f"), directory: false };
    let out = settle(
        rules(),
        &[
            (0, appeared("f")),
            (0, attributes),
            (1, modified("f")),
            (2, modified("f")),
            (4, written("f")),
        ],
    );
    assert_eq!(out, [(7, changed("f"))]);
}

#[test]
fn r16_an_open_file_waits_for_its_writer_but_not_for_ever() {
    let out = settle(rules(), &[(0, modified("f")), (500, written("f"))]);
    assert_eq!(out, [(503, changed("f"))]);
    let out = settle(rules(), &[(0, modified("f"))]);
    assert_eq!(out, [(10_000, changed("f"))]);
}

#[test]
fn r30_a_path_that_never_rests_is_told_after_the_longest_delay() {
    let restless: Vec<_> = (0..2500).map(|ms| (ms, written("f"))).collect();
    let out = settle(rules(), &restless);
    assert_eq!(out, [(2000, changed("f")), (2502, changed("f"))]);
}

#[test]
fn r31_appends_within_the_resend_interval_are_told_at_its_end() {
    let appends: Vec<_> =
        (0..200).flat_map(|n| [(n * 20, modified("log")), (n * 20, written("log"))]).collect();
    let out = settle(Rules { resend: 500 * MS, ..rules() }, &appends);
    assert!(out.len() <= 9, "{} times", out.len());
    let (last, _) = out.last().unwrap();
    assert!((3980..4580).contains(last), "{last}");
}

#[test]
fn r33_what_came_and_went_within_the_window_is_not_told() {
    let mut changes = Vec::new();
    for n in 0..10_000 {
        let name = format!("tmp{n}");
        changes.extend([(1, appeared(&name)), (1, written(&name)), (2, vanished(&name, false))]);
    }
    assert_eq!(settle(rules(), &changes), []);
}

#[test]
fn r34_an_editor_that_writes_beside_and_renames_over_changes_one_path() {
    let out = settle(
        rules(),
        &[
            (0, appeared("4913")),
            (0, written("4913")),
            (0, vanished("4913", false)),
            (1, appeared("f.tmp")),
            (1, modified("f.tmp")),
            (1, written("f.tmp")),
            (2, renamed("f.tmp", "f", false)),
        ],
    );
    assert_eq!(out, [(5, changed("f"))]);
}

#[test]
fn r34_a_transient_name_has_a_second_in_which_to_go() {
    let rules = || Rules { transient: vec![Wildcard::new(b"*.part")], ..rules() };
    let changes = [(0, appeared("d/f.part")), (0, written("d/f.part")), (1, written("part"))];
    let out = settle(rules(), &changes);
    assert_eq!(out, [(4, changed("part")), (1000, changed("d/f.part"))]);
    let renames =
        [(0, appeared("f.part")), (5, written("f.part")), (900, renamed("f.part", "f", false))];
    assert_eq!(settle(rules(), &renames), [(903, changed("f"))]);
    let restless: Vec<_> = (0..25).map(|n| (n * 100, written("f.part"))).collect();
    assert_eq!(settle(rules(), &restless).first().unwrap().0, 2000);
}

#[test]
fn r36_a_receiving_rsync_as_the_writer_changes_the_final_name_once() {
    let temporary = ".f.Ab12Cd";
    let attributes = |path: &str| Change::Attributes { place: place(path), directory: false };
    // Created, its mode set, written, closed, its times set, renamed (inotifywait.md 14); slowly, over many windows.
    let out = settle(
        rules(),
        &[
            (0, appeared(temporary)),
            (0, attributes(temporary)),
            (1, modified(temporary)),
            (400, modified(temporary)),
            (900, written(temporary)),
            (900, attributes(temporary)),
            (901, renamed(temporary, "f", false)),
        ],
    );
    assert_eq!(out, [(904, changed("f"))]);
}

#[test]
fn a_directory_that_goes_takes_the_words_about_its_children_along() {
    let out = settle(
        rules(),
        &[(0, written("d/f")), (0, vanished("d/g", false)), (1, vanished("d", true))],
    );
    assert_eq!(out, [(4, Settled::Removed { place: place("d"), directory: true })]);
}

#[test]
fn parents_come_before_children_and_go_after_them() {
    let out = settle(
        rules(),
        &[
            (0, vanished("z/y", true)),
            (0, vanished("z", false)),
            (0, written("n/m/f")),
            (1, directory("n/m")),
            (2, directory("n")),
        ],
    );
    let order: Vec<_> = out.iter().map(|(_, settled)| settled.place().path.clone()).collect();
    assert_eq!(order, [b"z".to_vec(), b"n".to_vec(), b"n/m".to_vec(), b"n/m/f".to_vec()]);
}

#[test]
fn too_many_paths_become_a_rescan_of_their_directory() {
    let mut settler = Settler::new(Rules { max_paths: 100, ..rules() });
    for n in 0..10_000 {
        settler.feed(MS, &written(&format!("d/{}/f{n}", n % 7)));
        assert!(settler.len() <= 101);
    }
    let told = settler.take(20 * MS);
    assert!(told.len() <= 8, "{told:?}");
    assert!(told.iter().all(|settled| matches!(
        settled,
        Settled::Rescan { deep: true, .. } | Settled::Changed { .. }
    )));
}

#[test]
fn a_waiting_path_costs_less_than_200_bytes() {
    // The map's nodes are at least half full; path, counts and heap entry come on top.
    let entry = size_of::<(Arc<[u8]>, Waiting)>() * 2;
    let heap = size_of::<Reverse<(Duration, RootId, Arc<[u8]>)>>();
    let path = 16 + 40;
    assert!(entry + heap + path <= 330, "{}", entry + heap + path);
    assert!(size_of::<(Arc<[u8]>, Waiting)>() + heap + path <= 200);
}

/// A tree with contents, a mirror that does what it is told, and a clock.
#[derive(Default)]
struct World {
    source: BTreeMap<Vec<u8>, Option<u32>>,
    mirror: BTreeMap<Vec<u8>, Option<u32>>,
}

fn within(path: &[u8], top: &[u8]) -> bool {
    top.is_empty()
        || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

impl World {
    fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.source.get(path) == Some(&None)
    }

    /// What a person does, and what the watcher says about it.
    fn act(&mut self, what: u8, a: &[u8], b: &[u8], content: u32) -> Vec<Change> {
        let at = |path: &[u8]| Place { root: RootId(0), path: path.to_vec() };
        let exists = self.source.contains_key(a);
        match what {
            0 | 1 if !exists && self.is_directory(parent(a)) => {
                let directory = what == 0;
                self.source.insert(a.to_vec(), (!directory).then_some(content));
                vec![Change::Appeared { place: at(a), directory, complete: directory }]
            }
            2 if exists && !self.is_directory(a) => {
                self.source.insert(a.to_vec(), Some(content));
                vec![Change::Modified { place: at(a) }]
            }
            3 if exists && !self.is_directory(a) => vec![Change::Written { place: at(a) }],
            4 if exists => {
                let directory = self.is_directory(a);
                self.source.retain(|path, _| !within(path, a));
                vec![Change::Vanished { place: at(a), directory }]
            }
            5 if exists
                && self.is_directory(parent(b))
                && !within(b, a)
                && !self.source.contains_key(b) =>
            {
                let directory = self.is_directory(a);
                self.source = std::mem::take(&mut self.source)
                    .into_iter()
                    .map(|(path, content)| {
                        if within(&path, a) {
                            ([b, &path[a.len()..]].concat(), content)
                        } else {
                            (path, content)
                        }
                    })
                    .collect();
                vec![Change::Renamed { from: at(a), to: at(b), directory }]
            }
            _ => Vec::new(),
        }
    }

    fn copy(&mut self, settled: &Settled) {
        match settled {
            Settled::Removed { place, .. } => {
                self.mirror.retain(|path, _| !within(path, &place.path));
            }
            Settled::Changed { place, whole, .. } => {
                let now = self.source.get(&place.path).copied();
                let replaced = now != Some(None);
                if *whole || replaced {
                    self.mirror.retain(|path, _| !within(path, &place.path));
                }
                if *whole {
                    let all = self.source.iter().filter(|(path, _)| within(path, &place.path));
                    self.mirror.extend(all.map(|(path, content)| (path.clone(), *content)));
                } else if let Some(now) = now {
                    self.mirror.insert(place.path.clone(), now);
                }
            }
            Settled::Rescan { place, .. } => {
                self.mirror.retain(|path, _| !within(path, &place.path));
                let all = self.source.iter().filter(|(path, _)| within(path, &place.path));
                self.mirror.extend(all.map(|(path, content)| (path.clone(), *content)));
            }
        }
    }
}

proptest! {
    /// Whatever happens when, the mirror ends as the source is, no parent is missing when its child is copied, and nothing
    /// waits beyond its bound.
    #[test]
    fn a_mirror_that_follows_ends_equal(
        steps in prop::collection::vec((0u8..6, "[ab](/[ab]){0,2}", "[ab](/[ab]){0,2}", 0u32..8), 0..200),
        max_paths in 3usize..12,
        resend in 0u32..20,
    ) {
        let mut world = World::default();
        let mut settler = Settler::new(Rules { max_paths, resend: resend * MS, ..rules() });
        let mut now = Duration::ZERO;
        for (content, (what, a, b, pause)) in steps.iter().enumerate() {
            for change in world.act(*what, a.as_bytes(), b.as_bytes(), content as u32) {
                settler.feed(now, &change);
            }
            prop_assert!(settler.len() <= max_paths + 2);
            now += *pause * MS;
            for settled in settler.take(now) {
                world.copy(&settled);
            }
        }
        while let Some(due) = settler.next_due() {
            now = now.max(due);
            for settled in settler.take(now) {
                world.copy(&settled);
            }
        }
        prop_assert!(settler.is_empty());
        prop_assert_eq!(&world.mirror, &world.source);
    }
}
