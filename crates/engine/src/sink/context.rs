//! What all threads of a receiving side share.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_fs::{
    Copier, Errno, Holes, Op, OpenSource, RelPath, RelPathBuf, Root, Stat, TempFiles,
};
use syncline_options::Options;
use syncline_options::options::{AltDestKind, Append, DeleteWhen, Partial};
use syncline_options::values::flags::Debug;
use syncline_wire::list::EntryRef;

use super::attributes::Keep;
use super::backup::Backups;
use super::destination::Destination;
use super::extras::Dressing;
use crate::module::depth;
use crate::source::Base;
use crate::{
    Error, Event, ExitCode, ItemEvent, Job, Monitor, Moved, Problem, Result, Role, Severity, Terms,
};

/// The run, its destination, and how things are done there.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) job: &'a Job,
    pub(crate) terms: &'a Terms,
    pub(crate) monitor: &'a Monitor,
    pub(crate) destination: Destination,
    pub(crate) keep: Keep,
    pub(crate) dressing: Dressing,
    pub(crate) temporaries: TempFiles,
    pub(crate) copier: Copier,
    pub(crate) backups: Option<Backups>,
    pub(crate) partial_dir: Option<PartialDir>,
    /// Held while a partial directory is made and filled, or removed.
    pub(crate) partial_turns: Mutex<()>,
    pub(crate) append: Append,
    pub(crate) delete_when: DeleteWhen,
    /// Content comes whole, not as differences.
    pub(crate) whole: bool,
    /// Digests of transferred files are shown.
    pub(crate) shows_digests: bool,
    /// Something below the destination was changed: directories may have new times.
    changed: AtomicBool,
}

/// Where parts of files are kept.
#[derive(Debug)]
pub(crate) enum PartialDir {
    /// A directory of this name beside each file.
    Beside(RelPathBuf),
    /// One for all; none if it cannot be opened.
    One(Option<Root>),
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        job: &'a Job,
        terms: &'a Terms,
        monitor: &'a Monitor,
        destination: Destination,
        dressing: Dressing,
    ) -> Self {
        let options = &job.options;
        let holes = if options.data.sparse { Holes::Make } else { Holes::Keep };
        let whole = options.copies_whole_files(job.is_local());
        let formats = [options.item_format(), options.output.log_file_format.clone()];
        let shows_digests = formats.iter().flatten().any(|format| format.has(b'C'));
        Self {
            job,
            terms,
            monitor,
            keep: Keep::new(options),
            dressing,
            temporaries: job.temporaries.clone(),
            copier: Copier::new(holes),
            backups: Backups::new(job, &destination),
            partial_dir: partial_dir(job, &destination),
            partial_turns: Mutex::default(),
            append: terms.append(options),
            delete_when: terms.delete_when(options),
            whole,
            shows_digests,
            changed: AtomicBool::new(false),
            destination,
        }
    }

    pub(crate) fn options(&self) -> &'a Options {
        &self.job.options
    }

    /// How the files that are here already are read.
    pub(crate) fn reading(&self) -> OpenSource {
        OpenSource { no_atime: self.options().attributes.open_noatime, devices: false }
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.job.is_dry() || self.job.options.batch.only_write
    }

    /// The destination; there is none only in a dry run, in which nobody asks.
    pub(crate) fn root(&self) -> Result<&Root> {
        self.destination.root.as_ref().ok_or(Error::Stopped)
    }

    /// Where an entry's object is, below the root.
    pub(crate) fn put_target(&self, entry: EntryRef<'_>, path: &mut Vec<u8>) {
        path.clear();
        match &self.destination.single {
            Some(name) => path.extend_from_slice(name),
            None => entry.put_path(path),
        }
    }

    pub(crate) fn alternates(&self) -> Option<AltDestKind> {
        self.options().data.alt_dest.as_ref().map(|alternates| alternates.kind)
    }

    /// What stands for the umask in a directory: its default ACL, if it has one.
    pub(crate) fn creation_mask(&self, directory: RelPath<'_>) -> u32 {
        let umask = self.keep.umask();
        let mask = self.root().ok().and_then(|root| root.directory(directory).ok());
        let Some(mask) = mask.and_then(|held| held.creation_mask(directory).ok()).flatten() else {
            return umask;
        };
        let text = || {
            let permissions = format!("{:o}", !mask & 0o777);
            let name = if directory.is_root() { &b"."[..] } else { directory.as_bytes() };
            [b"got ACL-based default perms ", permissions.as_bytes(), b" for directory ", name]
                .concat()
        };
        self.monitor.trace(Debug::Acl, 1, text);
        mask
    }

    /// How many entries the lists hold up to the one of this index, which is in the list of this number.
    pub(crate) fn entries_up_to(&self, index: u32, list: usize) -> usize {
        // Under incremental recursion there is a gap before each list.
        let gaps = if self.terms.incremental() { list + 1 } else { 0 };
        (index as usize + 1).saturating_sub(gaps)
    }

    /// Notes a change below the destination.
    pub(crate) fn note_change(&self) {
        if !self.changed.load(Ordering::Relaxed) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Whether deletion may empty directories that are in the way.
    pub(crate) fn may_empty_directories(&self) -> bool {
        self.options().delete.force || self.delete_when != DeleteWhen::Never
    }

    /// Whether sources are to be removed once their copies are safe.
    pub(crate) fn removes_sources(&self) -> bool {
        self.options().select.remove_source.is_some() && !self.is_dry()
    }

    // ---- telling ----

    /// Tells an item; once when it begins, once with what moved.
    pub(crate) fn tell_item(
        &self,
        entry: EntryRef<'_>,
        item: &syncline_wire::Item,
        moved: Option<Moved<'_>>,
    ) {
        self.tell_item_of(entry, item, None, moved, false);
    }

    /// The same where the source is at hand too.
    pub(crate) fn tell_item_of(
        &self,
        entry: EntryRef<'_>,
        item: &syncline_wire::Item,
        base: Option<&Base>,
        moved: Option<Moved<'_>>,
        dressed: bool,
    ) {
        let leader = item.name.as_deref().filter(|name| !item.is_transfer() && !name.is_empty());
        let top = &self.destination.shown;
        let sanitized = self
            .job
            .module
            .as_ref()
            .zip(entry.target())
            .map(|(module, target)| module.sanitize_target(target, depth(entry.directory())));
        let target = sanitized.as_deref();
        let event =
            ItemEvent { entry, flags: item.flags, top, leader, target, base, moved, dressed };
        self.monitor.tell(&Event::Item(event));
    }

    /// A line without a system error that makes the run end with 23.
    pub(crate) fn fail(&self, parts: &[&[u8]]) {
        self.monitor.problem(Problem::new(Severity::Transfer, parts.concat()));
    }

    /// A failed call on one object: the run goes on and ends with 23. Content that cannot be written ends it.
    pub(crate) fn failed(&self, role: Role, error: &syncline_fs::Error) -> Result<()> {
        let shown = self.destination.show(error.path());
        self.failed_as(role, words(error.op()), &shown, error)
    }

    /// Like [`Context::failed`] in other words: `rsync: [role] WORDS "SHOWN" failed: REASON`.
    pub(crate) fn failed_as(
        &self,
        role: Role,
        words: &str,
        shown: &[u8],
        error: &syncline_fs::Error,
    ) -> Result<()> {
        let what = what(words, &self.quote(shown));
        if let Some(fatal) = self.fatal(role, &what, error) {
            return Err(fatal);
        }
        let text = line(role, &what, error);
        self.monitor.problem(Problem::new(Severity::Transfer, text));
        Ok(())
    }

    /// A file in a basis directory that was to serve and cannot be read.
    pub(crate) fn unopened_basis(&self, shown: &[u8], error: &syncline_fs::Error) {
        let what = [b"open ", &self.quote(shown)[..]].concat();
        self.monitor.problem(Problem::new(Severity::Transfer, line(Role::Generator, &what, error)));
    }

    /// A failed call that the run does without.
    pub(crate) fn warn(&self, role: Role, error: &syncline_fs::Error) {
        let what = what(words(error.op()), &self.quote(&self.destination.show(error.path())));
        self.monitor.warn(line(role, &what, error));
    }

    /// A path in quotes. In a module it begins with a slash, unless the transfer's root is the module's.
    fn quote(&self, shown: &[u8]) -> Vec<u8> {
        let below = self.job.module.is_some() && !self.destination.shown.is_empty();
        if below && !shown.starts_with(b"/") {
            return self.job.quote(&[b"/", shown].concat());
        }
        self.job.quote(shown)
    }

    fn fatal(&self, role: Role, what: &[u8], error: &syncline_fs::Error) -> Option<Error> {
        let writes = matches!(error.op(), Some(Op::Write | Op::Sync | Op::Close));
        if matches!(error, syncline_fs::Error::ShuttingDown { .. }) {
            return Some(Error::Stopped);
        }
        writes.then(|| {
            let what = String::from_utf8_lossy(what).into_owned();
            Error::system(ExitCode::FILE_IO, role, what, io_error(error))
        })
    }

    /// Sets attributes of an object; whether all could be set.
    pub(crate) fn set_attributes(
        &self,
        role: Role,
        wanted: &syncline_fs::Attributes<'_>,
        object: syncline_fs::Object<'_>,
        stat: &Stat,
    ) -> Result<bool> {
        if wanted.mtime.is_some() {
            let text = || [b"set times of ", object.path().as_bytes()].concat();
            self.monitor.trace(Debug::Time, 1, text);
        }
        let mut complaints = Vec::new();
        let result = wanted.apply(object, stat, &mut |error| complaints.push(error));
        for error in &complaints {
            self.failed(role, error)?;
        }
        match result {
            Ok(_) => Ok(complaints.is_empty()),
            // Some file systems cannot keep times of links.
            Err(error)
                if error.op() == Some(Op::SetTimes)
                    && error.errno() == Some(Errno::OPNOTSUPP)
                    && stat.kind() == syncline_fs::Kind::Symlink =>
            {
                Ok(true)
            }
            Err(error) => self.failed(role, &error).map(|()| false),
        }
    }
}

/// What stock says for a call where that is not the call's name.
fn words(op: Option<Op>) -> &'static str {
    match op {
        Some(Op::SetTimes) => "failed to set times on",
        Some(Op::SetMode) => "failed to set permissions on",
        Some(op) => op.name(),
        None => "failed on",
    }
}

fn line(role: Role, what: &[u8], error: &syncline_fs::Error) -> Vec<u8> {
    let reason = error.reason();
    [b"rsync: [", role.word().as_bytes(), b"] ", what, b": ", reason.as_bytes()].concat()
}

fn what(words: &str, quoted: &[u8]) -> Vec<u8> {
    let failed: &[u8] = match words {
        "do_fallocate"
        | "failed to set times on"
        | "failed to set permissions on"
        | "recv_generator: failed to stat" => b"",
        _ => b" failed",
    };
    let words = match words {
        "write" | "close" => format!("{words} failed on"),
        words => words.to_owned(),
    };
    let failed = if words.ends_with("failed on") { b"" } else { failed };
    [words.as_bytes(), b" ", quoted, failed].concat()
}

/// The system's error behind one of the file layer.
pub(crate) fn io_error(error: &syncline_fs::Error) -> io::Error {
    error.errno().map_or_else(|| io::Error::other(error.to_string()), Into::into)
}

fn partial_dir(job: &Job, destination: &Destination) -> Option<PartialDir> {
    let Partial::Dir(word) = &job.options.data.partial else { return None };
    if word.starts_with(b"/") {
        let path = super::destination::below(&destination.shown, word);
        return Some(PartialDir::One(job.create_root(&path).ok()));
    }
    RelPathBuf::clean(word).ok().map(PartialDir::Beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_worded_as_stocks_are() {
        assert_eq!(what("mkstemp", b"\"/d/.f.x\""), b"mkstemp \"/d/.f.x\" failed");
        assert_eq!(what("failed to set times on", b"\"/d\""), b"failed to set times on \"/d\"");
        assert_eq!(what("write", b"\"/d/f\""), b"write failed on \"/d/f\"");
    }
}
