//! A pulling client's `--files-from`, forwarded to the source (docs/spec session.md 9).

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use syncline_options::options::FilesFrom;

use super::Peer;
use super::client::forwards_names;
use crate::source::sanitize_line;
use crate::{Error, ExitCode, Job, Result, Role};

/// Reads the list and sends its names, as the server expects them before it scans. The names, if there is a list.
pub(super) fn forward(peer: &mut Peer, job: &Job, start: &Path) -> Result<Option<Vec<Vec<u8>>>> {
    let options = &job.options;
    if !forwards_names(options) {
        return Ok(None);
    }
    let text = read(job, start)?;
    let own = packed(&text, options.select.from0);
    let names = match job.names_charset() {
        Some(charset) => charset.text_to_wire(&own),
        None => own.clone(),
    };
    let protocol = peer.terms.protocol;
    let raw = protocol.multiplexes_client() && !protocol.frames_files_from();
    if raw {
        peer.output.set_framed(None).map_err(|error| peer.unwritten(error))?;
    }
    // The server takes the names while it sends nothing yet, or sends into our reader's queue: this may block without
    // harm, because that queue is read by nobody else meanwhile and the server reads all names before it scans.
    for part in names.chunks(32 * 1024) {
        peer.output.buffer().extend_from_slice(part);
        peer.output.flush().map_err(|error| peer.unwritten(error))?;
    }
    if raw {
        let framed = peer.output.set_framed(Some(protocol));
        framed.map_err(|error| peer.unwritten(error))?;
    }
    let words = own.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(Some(words.map(sanitize_line).collect()))
}

fn read(job: &Job, start: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let (shown, read) = if let Some(FilesFrom::Local(path)) = &job.options.select.files_from {
        let full = start.join(OsStr::from_bytes(path));
        let read =
            job.paths.open_file(&full).map_err(|error| error.reason()).and_then(|mut file| {
                file.read_to_end(&mut text).map_err(|error| crate::reason(&error))
            });
        (String::from_utf8_lossy(path).into_owned(), read)
    } else {
        let read = std::io::stdin().read_to_end(&mut text);
        ("-".to_owned(), read.map_err(|error| crate::reason(&error)))
    };
    match read {
        Ok(_) => Ok(text),
        Err(reason) => {
            let reason = reason.rsplit_once(" (").map_or(reason.as_str(), |(words, _)| words);
            let text = format!("rsync: failed to open files-from file {shown}: {reason}");
            Err(Error::fatal_by(Role::Client, ExitCode::USAGE, text))
        }
    }
}

/// Names ended by one NUL each, and one more for the end.
fn packed(text: &[u8], from0: bool) -> Vec<u8> {
    let ends = |byte: &u8| if from0 { *byte == 0 } else { matches!(byte, b'\n' | b'\r' | 0) };
    let mut packed = Vec::with_capacity(text.len() + 2);
    for name in text.split(ends).filter(|name| !name.is_empty()) {
        packed.extend_from_slice(name);
        packed.push(0);
    }
    packed.push(0);
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_packed_as_captured() {
        let text = b"f\r\n\n# cmt\n;x\n\r\nsp ace/nope";
        assert_eq!(packed(text, false), b"f\0# cmt\0;x\0sp ace/nope\0\0");
        assert_eq!(packed(b"", false), b"\0");
        assert_eq!(packed(b"a\nb\0\0c", true), b"a\nb\0c\0\0");
    }
}
