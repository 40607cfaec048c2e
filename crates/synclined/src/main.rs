//! `synclined`: the rsync daemon of Syncline. Everything is in `syncline-daemon`.

use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    ExitCode::from(syncline_daemon::run(&words))
}
