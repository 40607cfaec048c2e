//! The password of a target (R8).

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use syncline_engine::{Error, ExitCode};
use syncline_fs::{Trust, open_operator_file};

/// Longest password that is read.
const LONGEST: u64 = 511;

/// The first line of a file that nobody else can read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |what: &str| {
        Error::fatal(ExitCode::USAGE, format!("password file {}: {what}", path.display()))
    };
    let file = open_operator_file(path, Trust::Owners).map_err(|error| fail(&error.reason()))?;
    let found = file.metadata().map_err(|error| fail(&error.to_string()))?;
    if found.mode() & 0o006 != 0 {
        return Err(fail("must not be accessible to others"));
    }
    if rustix::process::geteuid().is_root() && found.uid() != 0 {
        return Err(fail("must be owned by root when running as root"));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(|error| fail(&error.to_string()))?;
    let end = text.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(text.len());
    text.truncate(end);
    if text.is_empty() { Err(fail("holds no password")) } else { Ok(text) }
}
