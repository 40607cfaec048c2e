//! `%NAME%`: the environment, and what a session sets on the way (docs/spec daemon.md 2.3, 9.5).

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use syncline_conf::Variables;

/// The session's variables above those of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionVariables {
    own: Vec<(&'static str, Vec<u8>)>,
}

impl SessionVariables {
    /// Sets `RSYNC_…`.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Vec<u8>>) {
        self.own.retain(|(known, _)| *known != name);
        self.own.push((name, value.into()));
    }

    /// Gives them to a hook.
    pub(crate) fn give_to(&self, command: &mut Command) {
        for (name, value) in &self.own {
            command.env(name, OsStr::from_bytes(value));
        }
    }
}

impl Variables for SessionVariables {
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        let own = self.own.iter().find(|(known, _)| known.as_bytes() == name);
        own.map(|(_, value)| value.clone()).or_else(|| of_process(name))
    }
}

/// A variable of the daemon's environment.
pub(crate) fn of_process(name: &[u8]) -> Option<Vec<u8>> {
    std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
}
