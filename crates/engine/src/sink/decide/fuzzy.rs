//! `--fuzzy`: another file that may resemble a missing one (docs/spec behaviour.md 10).

use syncline_fs::{Kind, RelPath, Stat};
use syncline_options::values::flags::Debug;
use syncline_wire::BasisType;

use super::file::Basis;
use crate::Result;
use crate::sink::attributes::time_of;
use crate::sink::generate::{Generator, Work};
use crate::sink::partial::sibling;

/// A directory's files, as they were when they were first looked at.
#[derive(Debug)]
pub(in crate::sink) struct Resembling {
    directory: Vec<u8>,
    files: Vec<(BasisType, Vec<u8>, Stat)>,
}

/// Files of one directory that this run writes anew: their content is about to go.
#[derive(Debug, Default)]
pub(in crate::sink) struct Rewritten {
    directory: Vec<u8>,
    names: Vec<Vec<u8>>,
}

/// The farthest name that is still worth a try.
const FARTHEST: u32 = 25 << 16;

impl Generator<'_> {
    /// A file was asked for: it is no candidate any more.
    pub(in crate::sink) fn note_rewritten(&mut self, work: &Work<'_>) {
        if self.context.options().data.fuzzy == 0 || work.stat.is_none() {
            return;
        }
        let parent = work.path.parent().as_bytes();
        if self.rewritten.directory != parent {
            self.rewritten = Rewritten { directory: parent.to_vec(), names: Vec::new() };
        }
        self.rewritten.names.push(work.entry.base().to_vec());
    }

    pub(super) fn fuzzy_basis(&mut self, work: &Work<'_>) -> Result<Option<Basis>> {
        let level = self.context.options().data.fuzzy;
        let (true, Some(directory)) = (level > 0 && !work.redo, work.directory) else {
            return Ok(None);
        };
        let parent = work.path.parent();
        if self.resembling.as_ref().is_none_or(|known| known.directory != parent.as_bytes()) {
            let mut files = Vec::new();
            collect(directory, parent, BasisType::Fuzzy, &mut files);
            let alternates = self.context.destination.alternates.iter().enumerate();
            for (number, root) in alternates.filter(|_| level > 1) {
                let held = root.as_ref().and_then(|root| root.directory(parent).ok());
                if let Some(held) = held {
                    let kind = BasisType::FuzzyAlternate(number as u8);
                    collect(&held, parent, kind, &mut files);
                }
            }
            self.resembling = Some(Resembling { directory: parent.as_bytes().to_vec(), files });
        }
        let Some(known) = &self.resembling else { return Ok(None) };
        let rewritten = &self.rewritten;
        let here = rewritten.directory == parent.as_bytes();
        let stays = |(kind, name, _): &&(BasisType, Vec<u8>, Stat)| {
            !here || *kind != BasisType::Fuzzy || !rewritten.names.contains(name)
        };
        let keep = &self.context.keep;
        let same = |stat: &Stat| {
            stat.size == work.entry.size() && keep.same_time(time_of(work.entry), stat.mtime)
        };
        let name = work.entry.base();
        let nearest = || {
            let distances =
                known.files.iter().filter(stays).map(|file| (distance(name, &file.1), file));
            let near = distances.filter(|(distance, _)| *distance <= FARTHEST);
            // Of several the last: `min_by_key` would take the first.
            near.rev().min_by_key(|(distance, _)| *distance).map(|(_, file)| file)
        };
        let chosen =
            known.files.iter().filter(stays).find(|(_, _, stat)| same(stat)).or_else(nearest);
        let Some((kind, name, stat)) = chosen else { return Ok(None) };
        let path = sibling(work.path, name)?;
        let reading = self.context.reading();
        let file = match kind {
            BasisType::FuzzyAlternate(number) => {
                let root = self.context.destination.alternates.get(usize::from(*number));
                let root = root.and_then(Option::as_ref);
                root.and_then(|root| reading.open(&root.place(path.as_path()).ok()?).ok())
            }
            _ => reading.open(&directory.place(path.as_path())).ok(),
        };
        if file.is_none() {
            return Ok(None);
        }
        let text = || {
            let path = work.path.as_bytes();
            [b"[generator] fuzzy basis for ", path, b": ", &name[..]].concat()
        };
        self.context.monitor.trace(Debug::Fuzzy, 1, text);
        Ok(Some(Basis { kind: *kind, name: Some(name.clone()), stat: *stat, file }))
    }
}

fn collect(
    directory: &syncline_fs::Dir,
    path: RelPath<'_>,
    kind: BasisType,
    files: &mut Vec<(BasisType, Vec<u8>, Stat)>,
) {
    // A directory that cannot be read has nothing to offer.
    let Ok(listing) = directory.list(path, |_, kind| matches!(kind, Kind::File | Kind::Unknown))
    else {
        return;
    };
    let first = files.len();
    for entry in listing.iter() {
        if let Ok(stat) = entry.stat
            && stat.kind() == Kind::File
            && stat.size > 0
        {
            files.push((kind, entry.name.as_bytes().to_vec(), stat));
        }
    }
    // In the order of their names, so that the choice between equals is the same every time.
    files[first..].sort_by(|a, b| a.1.cmp(&b.1));
}

/// How far apart two names are, their suffixes counted ten times.
fn distance(a: &[u8], b: &[u8]) -> u32 {
    let suffixes = edit_distance(suffix(a), suffix(b)).saturating_mul(10);
    edit_distance(a, b).saturating_add(suffixes)
}

/// From the last dot that means something.
fn suffix(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b"~").unwrap_or(name);
    let start = name.iter().position(|&byte| byte != b'.').unwrap_or(name.len());
    let mut rest = name;
    let mut fallback: Option<&[u8]> = None;
    while let Some(dot) = rest.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > start) {
        let found = &rest[dot..];
        let numbered = found.strip_prefix(b".~");
        let is_backup = matches!(found, b".bak" | b".old" | b".orig")
            || numbered.is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
        if is_backup {
            rest = &rest[..dot];
            continue;
        }
        if found.len() > 1 && found[1..].iter().all(u8::is_ascii_digit) {
            fallback = fallback.or(Some(found));
            rest = &rest[..dot];
            continue;
        }
        return found;
    }
    fallback.unwrap_or_default()
}

/// An inserted or deleted byte costs a unit and its value, a replaced one a unit and the difference.
fn edit_distance(a: &[u8], b: &[u8]) -> u32 {
    const UNIT: u32 = 1 << 16;
    let cost = |byte: u8| UNIT + u32::from(byte);
    let mut row: Vec<u32> = std::iter::once(0)
        .chain(b.iter().scan(0, |sum, &byte| {
            *sum += cost(byte);
            Some(*sum)
        }))
        .collect();
    for &left in a {
        let mut diagonal = row[0];
        row[0] += cost(left);
        for (column, &right) in b.iter().enumerate() {
            let replaced = match left.abs_diff(right) {
                0 => 0,
                difference => UNIT + u32::from(difference),
            };
            let best = (diagonal + replaced)
                .min(row[column] + cost(right))
                .min(row[column + 1] + cost(left));
            diagonal = std::mem::replace(&mut row[column + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_what_tells_the_sort_of_file() {
        assert_eq!(suffix(b"a.tar.gz"), b".gz");
        assert_eq!(suffix(b"a.c.bak"), b".c");
        assert_eq!(suffix(b"a.c~"), b".c");
        assert_eq!(suffix(b"a.c.~2~"), b".c");
        assert_eq!(suffix(b"lib.so.3"), b".so");
        assert_eq!(suffix(b"log.1"), b".1");
        assert_eq!(suffix(b".profile"), b"");
    }

    #[test]
    fn names_that_look_alike_are_near() {
        let near = distance(b"report-1.txt", b"report-2.txt");
        assert!(near < distance(b"report-1.txt", b"notes.txt"));
        assert!(near < distance(b"report-1.txt", b"report-1.pdf"));
        assert_eq!(edit_distance(b"abc", b"abc"), 0);
    }
}
