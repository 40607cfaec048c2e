//! Whether what is sent of a file is what it held at one moment (docs/spec live.md 5.5).

use std::os::unix::fs::MetadataExt;

use syncline_fs::SourceFile;
use syncline_wire::IoErrors;

use super::Serve;
use crate::{Event, Problem, Result, Severity};

/// What tells two versions of a file apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Version {
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Version {
    pub(super) fn of(file: &SourceFile) -> Option<Self> {
        let data = file.file().metadata().ok()?;
        Some(Self {
            size: data.size(),
            mtime: (data.mtime(), data.mtime_nsec()),
            ctime: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl Serve<'_> {
    /// The version of an opened file; none if it is not the one that was listed, where that matters.
    pub(super) fn version(&mut self, index: u32, file: &SourceFile) -> Result<Option<Version>> {
        if !self.job.exact {
            return Ok(Some(Version::default()));
        }
        let version = Version::of(file).unwrap_or_default();
        let protocol = self.terms.protocol;
        // Before protocol 30 there is no way to say that a file does not come.
        if protocol.has_varints() {
            let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
            let (seconds, nanoseconds) = entry.mtime();
            let same = version.size == entry.size()
                && version.mtime.0 == seconds
                && (version.mtime.1 == i64::from(nanoseconds) || !protocol.has_nanoseconds());
            if !same {
                self.no_send(index);
                self.withhold(index, None)?;
                return Ok(None);
            }
        }
        Ok(Some(version))
    }

    /// Tells that the sink keeps what it has.
    pub(super) fn withhold(&self, index: u32, why: Option<&str>) -> Result<()> {
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        // Of a file with two names neither is made; the one that is there is to be sent again.
        self.monitor.tell(&Event::Withheld { path: &self.tree.real(&entry.path()), why });
        Ok(())
    }

    /// Tells that a part of a file could not be read.
    pub(super) fn tell_unread(&mut self, shown: &[u8]) {
        let shown = self.job.quote(shown);
        let text =
            [b"rsync: [sender] read errors mapping ", &shown[..], b": Input/output error (5)"]
                .concat();
        self.monitor.problem(Problem::new(Severity::Transfer, text));
        self.fail(IoErrors::GENERAL);
    }
}

/// Makes the sink's verification fail: what was sent is not what the file holds (delta.md 9.2).
pub(super) fn spoil(digest: &mut [u8]) {
    let was_zero = digest.iter().all(|&byte| byte == 0);
    digest.fill(0);
    if let (true, Some(last)) = (was_zero, digest.last_mut()) {
        *last = 1;
    }
}
