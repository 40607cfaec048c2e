//! Opening a secrets file (docs/spec daemon.md 8.4): the opened descriptor is judged, not the name.

use std::io::Read;
use std::os::fd::AsFd;

use syncline_conf::secrets::{FileFacts, Secrets, SecretsRefusal};
use syncline_fs::{Trust, open_operator_file};

use crate::paths::path;

/// No secrets file is longer.
const LIMIT: u64 = 16 << 20;

/// Why a secrets file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Unset, not there, not readable, or behind a link that is not trusted.
    #[error("no secrets file: {0}")]
    Missing(String),
    /// `strict modes` refuses it.
    #[error(transparent)]
    Refused(#[from] SecretsRefusal),
}

/// Reads the file called `name`, if it may be trusted.
pub(crate) fn open(name: &[u8], strict: bool) -> Result<Secrets, Unusable> {
    if name.is_empty() {
        return Err(Unusable::Missing("unset".into()));
    }
    let file = open_operator_file(path(name), Trust::Owners)
        .map_err(|error| Unusable::Missing(error.reason()))?;
    let missing = |error: std::io::Error| Unusable::Missing(syncline_engine::reason(&error));
    let data = rustix::fs::fstat(file.as_fd()).map_err(|errno| missing(errno.into()))?;
    if strict {
        let facts = FileFacts {
            mode: data.st_mode & 0o7777,
            owner: data.st_uid,
            running_as_root: rustix::process::geteuid().is_root(),
        };
        facts.check()?;
    }
    // Room for all of it, so that no copy stays behind in memory.
    let length = u64::try_from(data.st_size).unwrap_or(0).min(LIMIT);
    let mut text = Vec::with_capacity(length as usize + 1);
    file.take(LIMIT).read_to_end(&mut text).map_err(missing)?;
    Ok(Secrets::new(text))
}
