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

    /// A name in the middle of a text, in its own bytes.
    pub(super) fn about(&self, before: &str, shown: &[u8], after: &str) -> Vec<u8> {
        [before.as_bytes(), &self.job.quote(shown), after.as_bytes()].concat()
    }

    pub(super) fn vanished(&mut self, what: &str, shown: &[u8]) {
        self.monitor.warn(self.about(&format!("{what} has vanished: "), shown, ""));
        self.fail(IoErrors::VANISHED);
    }

    pub(super) fn general(&mut self, text: Vec<u8>) {
        self.monitor.problem(Problem::new(Severity::Error, text));
        self.fail(IoErrors::GENERAL);
    }

    /// A name or a link's target that the wire has no words for.
    pub(super) fn unconvertible(&mut self, what: &[u8], shown: &[u8], error: &std::io::Error) {
        let problem = Problem::unconvertible(Severity::Error, Role::Sender, what, shown, error);
        self.monitor.problem(problem);
        self.fail(IoErrors::GENERAL);
    }

    pub(super) fn general_system(&mut self, what: &str, shown: &[u8], error: &syncline_fs::Error) {
        self.tell_system(self.about(&format!("{what} "), shown, " failed"), error);
        self.fail(IoErrors::GENERAL);
    }

    pub(super) fn tell_system(&self, what: Vec<u8>, error: &syncline_fs::Error) {
        let mut text = format!("rsync: [{}] ", Role::Sender).into_bytes();
        text.extend_from_slice(&what);
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
