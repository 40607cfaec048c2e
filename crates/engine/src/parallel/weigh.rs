//! How much is below the directories of a survey, where the source is at hand.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::survey::{ENTRY, Survey};

/// Names that are looked at; what is left unseen then is taken to be like what was seen.
const MOST_LOOKS: usize = 50_000;

/// Looks below the last directories of a survey of these sources, level by level in all of them at once. Only what is
/// balanced depends on it: nothing that cannot be read matters.
pub fn weigh(survey: &mut Survey, sources: &[Vec<u8>], start: &Path) {
    let mut owed: VecDeque<(Vec<u8>, PathBuf)> = VecDeque::new();
    for (path, directory) in &survey.directories {
        if directory.is_last {
            let places = sources.iter().filter_map(|source| place(source, path, start));
            owed.extend(places.map(|place| (path.clone(), place)));
        }
    }
    for (path, _) in &owed {
        if let Some(directory) = survey.directories.get_mut(path) {
            directory.weight = ENTRY;
        }
    }
    let (mut looks, mut read, mut seen) = (0, 0, 0_u64);
    while let Some((path, place)) = owed.pop_front() {
        let mut found = 0;
        if looks < MOST_LOOKS {
            for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
                looks += 1;
                let Ok(stat) = entry.metadata() else { continue };
                found += ENTRY;
                if stat.is_dir() {
                    owed.push_back((path.clone(), entry.path()));
                } else if stat.is_file() {
                    found += stat.len();
                }
            }
            read += 1;
            seen += found;
        } else {
            found = seen / read.max(1);
        }
        if let Some(directory) = survey.directories.get_mut(&path) {
            directory.weight = directory.weight.saturating_add(found);
        }
    }
}

/// Where a source has an entry of the list.
fn place(source: &[u8], path: &[u8], start: &Path) -> Option<PathBuf> {
    let at = |bytes: &[u8]| start.join(OsStr::from_bytes(bytes));
    if source.is_empty()
        || source.ends_with(b"/")
        || matches!(source, b"." | b"..")
        || source.ends_with(b"/.")
        || source.ends_with(b"/..")
    {
        return Some(at(source).join(OsStr::from_bytes(path)));
    }
    let name = source.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let below = path.strip_prefix(name)?;
    let below = below.strip_prefix(b"/").or(below.is_empty().then_some(b""))?;
    Some(at(source).join(OsStr::from_bytes(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_below_their_sources() {
        let start = Path::new("/w");
        let found = |source: &str, path: &str| {
            place(source.as_bytes(), path.as_bytes(), start).map(|path| path.display().to_string())
        };
        assert_eq!(found("src/", "a/b").as_deref(), Some("/w/src/a/b"));
        assert_eq!(found("x/src", "src/a").as_deref(), Some("/w/x/src/a"));
        assert_eq!(found("/x/src", "src").as_deref(), Some("/x/src/"));
        assert_eq!(found("src", "srcs/a"), None);
    }

    #[test]
    fn what_is_below_the_survey_counts() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("a/b/c/d")).unwrap();
        std::fs::write(top.path().join("a/b/c/d/f"), vec![0; 70_000]).unwrap();
        let mut survey = Survey::default();
        for (path, levels) in [("a", 2), ("a/b", 2)] {
            survey.add(path.into(), Some(0o040_755), 4096, levels);
        }
        weigh(&mut survey, &[b"./".to_vec()], top.path());
        assert_eq!(survey.directories[&b"a/b"[..]].weight, 4 * ENTRY + 70_000);
        assert_eq!(survey.directories[&b"a"[..]].weight, ENTRY);
    }
}
