//! Words to a running instance: a signal, and what it means in the state directory (R81, R93).

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use syncline_options::LiveOptions;

use crate::plan::Plan;
use crate::{complain, wrong};

/// Nobody is at work.
const NOT_RUNNING: u8 = 3;

/// Names of mirrors that a person allowed, a line each.
const ALLOWED: &str = "allowed";

/// `synclive retry`
pub(crate) fn retry(options: &LiveOptions) -> u8 {
    match state_dir(options, 0) {
        Ok(state) => holder(&state).map_or_else(|code| code, wake),
        Err(problem) => wrong(problem),
    }
}

/// `synclive allow MIRROR`
pub(crate) fn allow(options: &LiveOptions) -> u8 {
    let Some(mirror) = options.arguments.first() else {
        return wrong("allow takes the name of a mirror");
    };
    let state = match state_dir(options, 1) {
        Ok(state) => state,
        Err(problem) => return wrong(problem),
    };
    let holder = match holder(&state) {
        Ok(holder) => holder,
        Err(code) => return code,
    };
    let path = state.join(ALLOWED);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(&[mirror, &b"\n"[..]].concat())) {
        complain(format_args!("{}: {error}", path.display()));
        return crate::FAILED;
    }
    wake(holder)
}

/// The mirrors that were allowed since the last time.
pub(crate) fn allowed(state: &Path) -> Vec<String> {
    let (file, taken) = (state.join(ALLOWED), state.join("allowed.taken"));
    // There is none most of the time.
    if fs::rename(file, &taken).is_err() {
        return Vec::new();
    }
    let text = fs::read_to_string(&taken).unwrap_or_default();
    // What is left of it is replaced the next time.
    let _ = fs::remove_file(taken);
    text.lines().map(str::to_owned).collect()
}

/// The state directory of the instance that the command line is about, after `skip` arguments of its own.
fn state_dir(options: &LiveOptions, skip: usize) -> Result<std::path::PathBuf, String> {
    let mut options = options.clone();
    options.arguments.drain(..skip.min(options.arguments.len()));
    if options.arguments.is_empty() && options.config.is_none() && options.sersync.is_none() {
        let state = options.state_dir.as_ref();
        let state = state.ok_or("say which instance: --config FILE or --state-dir DIR")?;
        return Ok(crate::plan::path(state).to_owned());
    }
    Plan::of(&options).map(|plan| plan.config.state_dir)
}

/// The process that uses a state directory.
fn holder(state: &Path) -> Result<Pid, u8> {
    let path = state.join("lock");
    let holder = File::open(&path).ok().and_then(|file| {
        // Whoever gets the lock is alone.
        let is_free = flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
        let text = fs::read_to_string(&path).ok().filter(|_| !is_free)?;
        Pid::from_raw(text.trim().parse().ok()?)
    });
    holder.ok_or_else(|| {
        complain(format_args!("no instance uses {}", state.display()));
        NOT_RUNNING
    })
}

/// Has an instance look.
fn wake(holder: Pid) -> u8 {
    match kill_process(holder, Signal::USR2) {
        Ok(()) => 0,
        Err(error) => {
            complain(format_args!("process {}: {error}", holder.as_raw_nonzero()));
            crate::FAILED
        }
    }
}
