//! `--remove-source-files` (docs/spec behaviour.md 18).

use syncline_wire::list::EntryRef;

use super::tree::{Base, checked};
use crate::{Job, Monitor, Notice, Problem, Severity};

/// Removes a source that is safely in place at the sink, unless it has changed since it was listed.
pub(crate) fn remove_source(
    job: &Job,
    base: &Base,
    name: &[u8],
    entry: EntryRef<'_>,
    nanoseconds: bool,
    monitor: &Monitor,
) {
    let path = checked(base.below(name));
    let fail = |what: &[u8], reason: &str| {
        let mut text = what.to_vec();
        text.extend_from_slice(name);
        text.extend_from_slice(reason.as_bytes());
        monitor.problem(Problem::new(Severity::Transfer, text));
    };
    let failed = |error: &syncline_fs::Error| {
        fail(b"rsync: [sender] sender failed to remove ", &format!(": {}", error.reason()));
    };
    let place = match base.root.place(path) {
        Ok(place) => place,
        Err(error) => return failed(&error),
    };
    let found = if job.options.attributes.copy_links {
        base.root.stat_following(path).map(Some)
    } else {
        place.stat_if_present()
    };
    let stat = match found {
        Ok(Some(stat)) => stat,
        Ok(None) => return monitor.notice(Notice::SourceAlreadyRemoved(name)),
        Err(error) if error.is_missing() => {
            return monitor.notice(Notice::SourceAlreadyRemoved(name));
        }
        Err(error) => return failed(&error),
    };
    let (seconds, nanos) = entry.mtime();
    let is_link = entry.target().is_some();
    let changed = (!is_link
        && !entry.kind().is_device()
        && !entry.kind().is_special()
        && stat.size != entry.size())
        || stat.mtime.seconds != seconds
        || (nanoseconds && nanos != 0 && stat.mtime.nanos != nanos);
    if changed {
        return fail(b"ERROR: Skipping sender remove for changed file: ", "");
    }
    match place.unlink() {
        Ok(()) => monitor.notice(Notice::SourceRemoved(name)),
        Err(error) => failed(&error),
    }
}
