//! What the user is told of objects that cannot be sent.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use syncline_wire::IoErrors;

use super::{Scan, cleaned};
use crate::{Problem, Role, Severity};

impl Scan<'_> {
    /// A path for messages: absolute, without doubled slashes or a trailing one.
    pub(super) fn show(&self, path: &[u8]) -> Vec<u8> {
        let full = self.start.join(OsStr::from_bytes(path));
        let clean = cleaned(full.as_os_str().as_bytes());
        if self.job.module.is_some() && !full.is_absolute() {
            // Relative to the module, whose top has no name.
            return clean;
        }
        [b"/", &clean[..]].concat()
    }

    pub(super) fn quote(&self, shown: &[u8]) -> Vec<u8> {
        self.job.quote(shown)
    }

    pub(super) fn vanished(&mut self, what: &str, shown: &[u8]) {
        let text = [what.as_bytes(), b" has vanished: ", &self.quote(shown)].concat();
        self.monitor.problem(Problem::new(Severity::Warning, text));
        self.fail(IoErrors::VANISHED);
    }

    pub(super) fn general(&mut self, parts: &[&[u8]]) {
        self.monitor.problem(Problem::new(Severity::Error, parts.concat()));
        self.fail(IoErrors::GENERAL);
    }

    pub(super) fn general_system(&mut self, what: &str, shown: &[u8], error: &syncline_fs::Error) {
        self.tell_system(&[what.as_bytes(), b" ", &self.quote(shown), b" failed"], error);
        self.fail(IoErrors::GENERAL);
    }

    pub(super) fn tell_system(&self, parts: &[&[u8]], error: &syncline_fs::Error) {
        let mut text = format!("rsync: [{}] ", Role::Sender).into_bytes();
        text.extend(parts.concat());
        text.extend_from_slice(format!(": {}", error.reason()).as_bytes());
        self.monitor.problem(Problem::new(Severity::Transfer, text));
    }

    pub(super) fn fail(&mut self, errors: IoErrors) {
        if self.settings.ignore_errors {
            self.monitor.tally().add_io_errors(errors);
        } else {
            self.emitter.fail(errors);
        }
    }
}
