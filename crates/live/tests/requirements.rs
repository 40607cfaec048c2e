//! Every requirement of docs/spec live.md 6 has a test or a bench job that names it, or the page says why not.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that make, read or watch for mirrors, and what measures them.
const ROOMS: &[&str] = &[
    "benches/src",
    "crates/conf",
    "crates/live",
    "crates/options",
    "crates/synclive",
    "crates/watch",
    "xtask",
];

/// The part of the page that says why something is not proven.
const EXCUSES: &str = "### 6.16 ";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The number behind an `R` at the beginning of this text, and what follows.
fn number(text: &str, letter: char) -> Option<(u32, &str)> {
    let rest = text.strip_prefix(letter)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((rest[..digits].parse().ok()?, &rest[digits..]))
}

fn required(page: &str) -> BTreeSet<u32> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| number(row, 'R'))
        .filter(|(_, rest)| rest.starts_with(" |"))
        .map(|(r, _)| r)
        .collect()
}

/// All numbers that a line names, `R1, R2 to R4` included.
fn mentioned(line: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut words =
        line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = |word: &str| number(word, 'R').filter(|(_, rest)| rest.is_empty()).map(|(r, _)| r);
    let mut last = None;
    while let Some(word) = words.next() {
        match (last.take(), name(word)) {
            (_, Some(r)) => {
                found.insert(r);
                last = Some(r);
            }
            (Some(from), None) if word == "to" => {
                if let Some(to) = words.next().and_then(name) {
                    found.extend(from..=to);
                }
            }
            _ => {}
        }
    }
    found
}

fn excused(page: &str) -> BTreeSet<u32> {
    let Some((_, section)) = page.split_once(EXCUSES) else { return BTreeSet::new() };
    let section = section.split("\n---").next().unwrap();
    let points = section.lines().filter_map(|line| line.strip_prefix("* "));
    points
        .filter_map(|point| point.split_once(": "))
        .flat_map(|(names, _)| mentioned(names))
        .collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What the names of test functions say, `r7_…` or `r7_r8_…` or `r7_and_r8_…`, and what jobs of benches say in words.
fn named() -> BTreeSet<u32> {
    let mut files = Vec::new();
    for room in ROOMS {
        sources(&top().join(room), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let line = line.trim_start();
            if let Some(name) = line.strip_prefix("fn ") {
                let words = name.split('_').take_while(|word| {
                    ["and", "to"].contains(word) || matches!(number(word, 'r'), Some((_, "")))
                });
                found.extend(words.filter_map(|word| number(word, 'r')).map(|(number, _)| number));
            }
            // What a job or a step of a test proves beside what its name says.
            let of_job = file.starts_with(top().join("benches"))
                || file.to_string_lossy().contains("/tests/");
            if let (true, Some((_, comment))) = (of_job, line.split_once("// ")) {
                found.extend(mentioned(comment));
            }
        }
    }
    found
}

#[test]
fn every_requirement_is_proven_or_it_is_said_why_not() {
    let page = fs::read_to_string(top().join("docs/spec/live.md")).unwrap();
    let (required, named, excused) = (required(&page), named(), excused(&page));
    assert!(required.len() > 100 && required.contains(&155), "{required:?}");
    let open: Vec<_> =
        required.iter().filter(|r| !named.contains(r) && !excused.contains(r)).collect();
    assert!(open.is_empty(), "neither proven nor excused: {open:?}");
    let unknown: Vec<_> = excused.difference(&required).collect();
    assert!(unknown.is_empty(), "excused, but nobody asks for them: {unknown:?}");
}

#[test]
fn numbers_are_found_in_words() {
    assert_eq!(mentioned("R1, R4 and R70 to R72: so"), BTreeSet::from([1, 4, 70, 71, 72]));
    assert_eq!(mentioned("R150 ≤ 10 ms, Rx, 7"), BTreeSet::from([150]));
    assert_eq!(required("| R7 | x | y |\n| R | no |\n|R8 | no\n"), BTreeSet::from([7]));
    assert_eq!(
        excused("### 6.16 What\n\n* R3, R9: why\n* none R4\n---\n* R5: no"),
        BTreeSet::from([3, 9])
    );
}
