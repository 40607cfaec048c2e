//! Who does what: subtrees shared out by weight, as filter rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use syncline_options::values::chmod::Chmod;

use super::survey::Survey;

/// More subtrees than this are not told apart: each is a rule that every name is compared with.
const MOST_CUTS: usize = 1024;

/// A subtree is looked into while it weighs more than this part of a session's fair share.
const GRAIN: u64 = 4;

/// What the sessions of a job do.
#[derive(Clone, Debug)]
pub struct Division {
    /// The rules of the session that makes the directories.
    pub first: Vec<Vec<u8>>,
    /// The parts. The first of them has no subtree of its own: it does what no other does.
    pub parts: Vec<Part>,
    /// The directories that the first session makes.
    pub directories: HashSet<Vec<u8>>,
}

/// What one session does.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Rules that come before all others.
    pub rules: Vec<Vec<u8>>,
    /// How many directories of the first session are in its list.
    pub shared: u64,
}

/// A directory with everything below it, as far as the survey saw it.
#[derive(Debug, Default)]
struct Subtree<'s> {
    weight: u64,
    children: Vec<&'s [u8]>,
}

impl Division {
    /// Shares a source out among at most so many sessions; none if there is nothing to share out.
    pub fn new(survey: &Survey, sessions: usize, chmod: &Chmod) -> Option<Self> {
        let root = survey.directories.get(&b"."[..]);
        if root.is_some_and(|root| !is_open(root.mode, chmod)) {
            return None;
        }
        let rooted = u64::from(root.is_some());
        let top: Vec<&[u8]> = survey.top().collect();
        let chosen = choose(survey, &top, sessions, chmod);
        let shares = share_out(survey, &chosen, sessions);
        let cuts: BTreeSet<&[u8]> = shares.iter().flatten().copied().collect();
        let above: BTreeSet<&[u8]> = cuts.iter().flat_map(|cut| ancestors(cut)).collect();
        let mut made: BTreeSet<&[u8]> = cuts.union(&above).copied().collect();
        if made.len() == 1 && root.is_none() {
            // A list of one directory may be meant for another name (docs/spec behaviour.md 2).
            let other = top.iter().find(|path| is_nameable(path) && !made.contains(*path))?;
            made.insert(other);
        }
        if cuts.is_empty() {
            return None;
        }
        let mut first = shown(&made);
        first.push(b"H *".to_vec());
        let others = (made.len() - cuts.len()) as u64 + rooted;
        let hides = cuts.iter().map(|cut| rule(b"-sr /", cut, b"")).collect();
        let mut parts = vec![Part { rules: hides, shared: others }];
        for share in shares {
            let above: BTreeSet<&[u8]> = share.iter().flat_map(|cut| ancestors(cut)).collect();
            let seen: BTreeSet<&[u8]> = above.iter().chain(&share).copied().collect();
            let mut rules = shown(&seen);
            rules.extend(above.iter().map(|path| rule(b"-sr /", path, b"/*")));
            rules.push(b"-sr /*".to_vec());
            parts.push(Part { rules, shared: seen.len() as u64 + rooted });
        }
        let mut directories: HashSet<Vec<u8>> = made.into_iter().map(<[u8]>::to_vec).collect();
        directories.extend(root.map(|_| b".".to_vec()));
        Some(Self { first, parts, directories })
    }
}

/// The directories that weights are known of, with what is below each.
fn subtrees(survey: &Survey) -> BTreeMap<&[u8], Subtree<'_>> {
    let mut subtrees: BTreeMap<&[u8], Subtree<'_>> = BTreeMap::new();
    for (path, directory) in &survey.directories {
        subtrees.entry(path).or_default().weight += directory.weight;
        if survey.is_top(path) {
            continue;
        }
        for (distance, above) in ancestors(path).enumerate() {
            let subtree = subtrees.entry(above).or_default();
            subtree.weight += directory.weight;
            if distance == 0 {
                subtree.children.push(path);
            }
        }
    }
    subtrees
}

/// The subtrees to share out, each with its weight: none too heavy if it can be helped.
fn choose<'s>(
    survey: &'s Survey,
    top: &[&'s [u8]],
    sessions: usize,
    chmod: &Chmod,
) -> Vec<(u64, &'s [u8])> {
    let subtrees = subtrees(survey);
    let grain = survey.weight() / (sessions as u64 * GRAIN);
    let mut cuts: Vec<(u64, &[u8])> = Vec::new();
    let lone = top.len() == 1 && !survey.directories.contains_key(&b"."[..]);
    let mut open: Vec<(&[u8], bool)> = top.iter().map(|path| (*path, lone)).collect();
    while let Some((path, must)) = open.pop() {
        let Some(subtree) = subtrees.get(path) else { continue };
        let below: u64 = subtree
            .children
            .iter()
            .filter_map(|child| subtrees.get(child))
            .map(|child| child.weight)
            .sum();
        let enterable = is_nameable(path)
            && survey.directories.get(path).is_some_and(|found| is_open(found.mode, chmod));
        let worth = subtree.weight > grain && below >= subtree.weight / 2;
        let fits = cuts.len() + open.len() + subtree.children.len() <= MOST_CUTS;
        if enterable && !subtree.children.is_empty() && (must || (worth && fits)) {
            open.extend(subtree.children.iter().map(|child| (*child, false)));
        } else if is_nameable(path) && !must {
            cuts.push((subtree.weight, path));
        }
    }
    // By name where weights are equal, so that the same source is shared out in the same way.
    cuts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    cuts.truncate(MOST_CUTS);
    cuts
}

/// Gives each subtree, the heaviest first, to the session that has least to do. The first session does what nobody else
/// does; so what is given to it needs no words: these are the shares of the others.
fn share_out<'s>(
    survey: &Survey,
    chosen: &[(u64, &'s [u8])],
    sessions: usize,
) -> Vec<Vec<&'s [u8]>> {
    let taken: u64 = chosen.iter().map(|(weight, _)| weight).sum();
    let mut loads = vec![0; sessions.max(1)];
    let mut shares: Vec<Vec<&[u8]>> = vec![Vec::new(); loads.len()];
    loads[0] = survey.weight().saturating_sub(taken);
    for (weight, cut) in chosen {
        let lightest = (0..loads.len()).min_by_key(|&at| loads[at]).unwrap_or(0);
        loads[lightest] += weight;
        shares[lightest].push(cut);
    }
    shares.remove(0);
    shares.retain(|share| !share.is_empty());
    shares
}

/// The rules that let directories through.
fn shown(paths: &BTreeSet<&[u8]>) -> Vec<Vec<u8>> {
    paths.iter().map(|path| rule(b"S /", path, b"")).collect()
}

/// Whether what is in a directory can be written by several sessions: nobody changes its mode meanwhile
/// (docs/spec behaviour.md 5).
fn is_open(mode: u32, chmod: &Chmod) -> bool {
    chmod.apply(mode, true, 0) & 0o700 == 0o700 && mode & 0o700 == 0o700
}

/// Whether a name can be said in a rule, which is a line of limited length.
fn is_nameable(path: &[u8]) -> bool {
    path.len() < 1500 && !path.iter().any(|byte| b"\n\r\0".contains(byte))
}

/// A rule for a path, with what else belongs to its pattern. Backslashes take the meaning from what has one, but only in
/// a pattern with a wildcard; elsewhere they stand for themselves (docs/spec filters.md 6.2, 6.6).
fn rule(before: &[u8], path: &[u8], after: &[u8]) -> Vec<u8> {
    const WILD: &[u8] = b"*?[";
    let mut rule = before.to_vec();
    if path.iter().chain(after).any(|byte| WILD.contains(byte)) {
        for byte in path {
            rule.extend((*byte == b'\\' || WILD.contains(byte)).then_some(b'\\'));
            rule.push(*byte);
        }
    } else {
        rule.extend_from_slice(path);
    }
    rule.extend_from_slice(after);
    rule
}

pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b".", |slash| &path[..slash])
}

/// The directories above a path, the nearest first, without the root.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::survey::depth;

    fn survey(sources: &[&str], entries: &[(&str, u64)]) -> Survey {
        let sources: Vec<Vec<u8>> = sources.iter().map(|word| word.as_bytes().to_vec()).collect();
        let (levels, _) = depth(&sources);
        let mut survey = Survey::default();
        for (path, size) in entries {
            let directory = path.ends_with('/').then_some(0o040_755);
            let path = path.trim_end_matches('/').as_bytes().to_vec();
            survey.add(path, directory, *size, levels);
        }
        survey
    }

    fn divide(survey: &Survey, sessions: usize) -> Option<Vec<Vec<String>>> {
        let text = |rules: &Vec<Vec<u8>>| -> Vec<String> {
            rules.iter().map(|rule| String::from_utf8_lossy(rule).into_owned()).collect()
        };
        let division = Division::new(survey, sessions, &Chmod::default())?;
        let first = std::iter::once(text(&division.first));
        Some(first.chain(division.parts.iter().map(|part| text(&part.rules))).collect())
    }

    #[test]
    fn subtrees_of_the_contents_form_are_shared_out_by_weight() {
        let found = survey(
            &["src/"],
            &[("./", 0), ("f", 10), ("a/", 0), ("a/x", 9_000_000), ("b/", 0), ("b/x", 8_000_000)],
        );
        let rules = divide(&found, 2).unwrap();
        assert_eq!(rules[0], ["S /a", "H *"]);
        assert_eq!(rules[1], ["-sr /a"]);
        assert_eq!(rules[2], ["S /a", "-sr /*"]);
        assert_eq!(rules.len(), 3);
    }

    #[test]
    fn a_heavy_subtree_is_looked_into() {
        let found = survey(
            &["src"],
            &[
                ("src/", 0),
                ("src/a/", 0),
                ("src/a/b/", 64_000),
                ("src/a/c/", 64_000),
                ("src/d/", 0),
            ],
        );
        let rules = divide(&found, 2).unwrap();
        assert_eq!(rules[1], ["-sr /src/a/b", "-sr /src/d"]);
        let shown = ["S /src", "S /src/a", "S /src/a/b", "S /src/d"];
        assert_eq!(rules[2][..4], shown);
        assert_eq!(rules[2][4..], ["-sr /src/*", "-sr /src/a/*", "-sr /*"]);
    }

    #[test]
    fn the_first_session_never_makes_one_directory_alone() {
        let found = survey(&["a", "b"], &[("a/", 0), ("a/f", 9), ("b/", 0), ("b/f", 9)]);
        let rules = divide(&found, 2).unwrap();
        assert_eq!(rules[0], ["S /a", "S /b", "H *"]);
        let lone = survey(&["a", "f"], &[("a/", 0), ("a/f", 9), ("f", 9)]);
        assert_eq!(divide(&lone, 2), None);
    }

    #[test]
    fn nothing_is_cut_below_a_directory_that_others_cannot_write() {
        let mut found =
            survey(&["src/"], &[("./", 0), ("a/", 0), ("a/b/", 640_000), ("a/c/", 640_000)]);
        assert!(divide(&found, 2).unwrap()[1][0].starts_with("-sr /a/"));
        found.directories.get_mut(&b"a"[..]).unwrap().mode = 0o040_555;
        assert_eq!(divide(&found, 2).unwrap()[1], ["-sr /a"]);
        found.directories.get_mut(&b"."[..]).unwrap().mode = 0o040_555;
        assert_eq!(divide(&found, 2), None);
    }

    #[test]
    fn names_that_are_patterns_are_said_as_names() {
        let entries = [
            ("./", 0),
            ("a*/", 0),
            ("a*/f", 90_000_000),
            ("b\\c/", 0),
            ("b\\c/[/", 64_000),
            ("b\\c/e/", 64_000),
            ("d\n/", 0),
            ("d\n/f", 9_000_000),
        ];
        let found = survey(&["src/"], &entries);
        let rules = divide(&found, 4).unwrap();
        assert_eq!(rules[0], ["S /a\\*", "S /b\\c", "S /b\\\\c/\\[", "S /b\\c/e", "H *"]);
        assert_eq!(rules[1], ["-sr /a\\*", "-sr /b\\\\c/\\[", "-sr /b\\c/e"]);
        assert_eq!(rules[2], ["S /a\\*", "-sr /*"]);
        let bracket = ["S /b\\c", "S /b\\\\c/\\[", "-sr /b\\\\c/*", "-sr /*"];
        assert_eq!(rules[3], bracket);
        assert_eq!(rules[4], ["S /b\\c", "S /b\\c/e", "-sr /b\\\\c/*", "-sr /*"]);
    }

    #[test]
    fn there_are_never_more_parts_than_asked_for() {
        let names: Vec<String> = (0..40).map(|number| format!("d{number:02}/")).collect();
        let mut entries = vec![("./", 0)];
        entries.extend(names.iter().map(|name| (name.as_str(), 4096)));
        for sessions in 2..9 {
            let rules = divide(&survey(&["src/"], &entries), sessions).unwrap();
            assert_eq!(rules.len(), sessions + 1);
        }
    }
}
