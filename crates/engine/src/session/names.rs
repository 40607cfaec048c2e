//! Lists of `--files-from`, on either side of a connection (docs/spec session.md 9).
//!
//! Who scans reads the lines of a file here by itself; where the file is at the other end, that end forwards its names.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crossbeam_channel::{Receiver, unbounded};
use syncline_options::options::FilesFrom;
use syncline_wire::{Demultiplexer, FilesFromForwarder, Side, read_files_from_name};

use super::Peer;
use super::setup::Framing;
use crate::sink::context::io_error;
use crate::source::sanitize_line;
use crate::{Error, ExitCode, Job, Result, Role};

/// Memory for the names of one list that a peer sends, or that is in a daemon's module.
const NAMES_MAX: u64 = 1 << 30;

/// Data is ordered to be written in pieces of this size.
const PIECE: usize = 32 * 1024;

/// The text of the list, if it is at this end.
pub(super) fn text(job: &Job, start: &Path) -> Result<Option<Vec<u8>>> {
    match &job.options.select.files_from {
        Some(FilesFrom::Local(path)) => read_text(path, job, start).map(Some),
        Some(FilesFrom::Stdin) => read_text(b"-", job, start).map(Some),
        _ => Ok(None),
    }
}

/// Lines of a list that the source opens itself: comments and empty lines are skipped.
pub(crate) fn own_lines(job: &Job, start: &Path) -> Result<Receiver<Vec<u8>>> {
    let text = text(job, start)?.unwrap_or_default();
    Ok(lines_of(&text, job.options.select.from0))
}

pub(super) fn lines_of(text: &[u8], from0: bool) -> Receiver<Vec<u8>> {
    let ends_line = |byte: &u8| if from0 { *byte == 0 } else { matches!(byte, b'\n' | b'\r') };
    let (send, lines) = unbounded();
    for line in text.split(ends_line) {
        let skipped = line.is_empty() || matches!(line.first(), Some(b'#' | b';'));
        if !skipped {
            // The receiving end is in this function.
            let _ = send.send(line.to_vec());
        }
    }
    lines
}

/// As the sink: sends the source the names of a list. They come back as the source makes paths of them.
pub(super) fn forward(peer: &mut Peer, job: &Job, text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut own = Vec::with_capacity(text.len() + 2);
    let mut forwarder = FilesFromForwarder::new(job.options.select.from0);
    forwarder.forward(&mut own, text);
    forwarder.end(&mut own);
    let names = job.names_charset().map(|charset| charset.text_to_wire(&own));
    let names = names.as_ref().unwrap_or(&own);
    let framing = Framing::of(&peer.terms, &job.options, peer.terms.side == Side::Client);
    let protocol = peer.terms.protocol;
    let raw = framing.output && !protocol.frames_files_from();
    let sent = (|| {
        if raw {
            peer.output.set_framed(None)?;
        }
        for piece in names.chunks(PIECE) {
            peer.output.put_at_once(piece.to_vec())?;
        }
        if raw { peer.output.set_framed(Some(protocol)) } else { Ok(()) }
    })();
    sent.map_err(|error| peer.unwritten(error))?;
    let words = own.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(words.map(sanitize_line).collect())
}

/// As a sink that gives up: before names travelled in frames the source takes no message for one until the list is over.
pub(super) fn forward_nothing(peer: &mut Peer, job: &Job) {
    let expected = matches!(job.options.select.files_from, Some(FilesFrom::Local(_)));
    if expected && !peer.terms.protocol.frames_files_from() {
        // Why the run ends is said next, to whoever still listens.
        let _ = forward(peer, job, b"");
    }
}

/// As the source: reads the names of a list that is at the other end.
pub(super) fn hear(peer: &mut Peer, job: &Job) -> Result<Receiver<Vec<u8>>> {
    peer.confirm()?;
    let framing = Framing::of(&peer.terms, &job.options, peer.terms.side == Side::Server);
    let raw = framing.input && !peer.terms.protocol.frames_files_from();
    if raw {
        peer.read(Demultiplexer::stop)?;
    }
    let (send, names) = unbounded();
    let mut length = 0;
    while let Some(mut name) = peer.read(read_files_from_name)? {
        if let Some(charset) = job.names_charset() {
            name = charset.text_to_local(&name);
        }
        length += (name.len() + size_of_val(&name)) as u64;
        if length > NAMES_MAX {
            let text = "too many names in the list of files to send";
            return Err(Error::fatal_by(Role::Sender, ExitCode::PROTOCOL, text));
        }
        // The receiving end is in this function.
        let _ = send.send(name);
    }
    if raw {
        peer.input.start();
    }
    Ok(names)
}

fn read_text(path: &[u8], job: &Job, start: &Path) -> Result<Vec<u8>> {
    let read = || {
        if let Some(module) = job.module.as_ref().filter(|_| path != b"-") {
            return module.read_file(path, job.trust(), NAMES_MAX);
        }
        let mut text = Vec::new();
        if path == b"-" {
            std::io::stdin().read_to_end(&mut text)?;
        } else {
            let file = job.paths.open_file(&start.join(OsStr::from_bytes(path)));
            file.map_err(|error| io_error(&error))?.read_to_end(&mut text)?;
        }
        Ok(text)
    };
    read().map_err(|error| {
        let reason = crate::reason(&error);
        // Stock leaves the number out here.
        let reason = reason.rsplit_once(" (").map_or(reason.as_str(), |(words, _)| words);
        let path = String::from_utf8_lossy(path);
        let text = format!("rsync: failed to open files-from file {path}: {reason}");
        let code = if job.module.is_some() { ExitCode::UNSUPPORTED } else { ExitCode::USAGE };
        Error::fatal_by(Role::Client, code, text)
    })
}
