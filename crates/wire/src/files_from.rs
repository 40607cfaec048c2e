//! Names of `--files-from` on their way to the sender (docs/spec session.md 9).

use crate::list::PATH_MAX;
use crate::{Result, WireRead};

/// Reads one name; `None` at the end of the list. Stock cuts names that are too long; here they are
/// refused.
pub fn read_files_from_name(input: &mut impl WireRead) -> Result<Option<Vec<u8>>> {
    let name = input.read_delimited(0, PATH_MAX, "files-from name")?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// Turns the user's file, read in any portions, into the names on the wire: each ends in NUL, empty
/// ones vanish, nothing is a comment.
///
/// ```
/// use syncline_wire::FilesFromForwarder;
///
/// let mut out = Vec::new();
/// let mut names = FilesFromForwarder::new(false);
/// names.forward(&mut out, b"\na\r\n\n# ");
/// names.forward(&mut out, b"b");
/// names.end(&mut out);
/// assert_eq!(out, b"a\0# b\0\0");
/// ```
#[derive(Clone, Debug)]
pub struct FilesFromForwarder {
    nul_separated: bool,
    inside_name: bool,
}

impl FilesFromForwarder {
    /// A file with lines, or with NULs between its names (`-0`).
    pub fn new(nul_separated: bool) -> Self {
        Self { nul_separated, inside_name: false }
    }

    /// Appends what a portion of the file becomes.
    pub fn forward(&mut self, out: &mut Vec<u8>, portion: &[u8]) {
        for &byte in portion {
            let ends = byte == 0 || !self.nul_separated && matches!(byte, b'\r' | b'\n');
            if !ends {
                out.push(byte);
            } else if self.inside_name {
                out.push(0);
            }
            self.inside_name = !ends;
        }
    }

    /// Ends the list.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.inside_name {
            out.push(0);
        }
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forward(portions: &[&[u8]], nul_separated: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut forwarder = FilesFromForwarder::new(nul_separated);
        for portion in portions {
            forwarder.forward(&mut out, portion);
        }
        forwarder.end(&mut out);
        out
    }

    #[test]
    fn the_documented_file_is_forwarded_as_captured() {
        let file = b"f\r\n\n# cmt\n;x\n\r\nsp ace/nope";
        assert_eq!(forward(&[file], false), b"f\0# cmt\0;x\0sp ace/nope\0\0");
        assert_eq!(forward(&[b""], false), b"\0");
        assert_eq!(forward(&[b"\0a\nb\0\0c"], true), b"a\nb\0c\0\0");
    }

    #[test]
    fn a_name_beyond_the_limit_is_refused() {
        let mut name = vec![b'x'; PATH_MAX];
        name.push(0);
        assert_eq!(read_files_from_name(&mut &name[..]).unwrap().unwrap().len(), PATH_MAX);
        name.insert(0, b'x');
        assert!(read_files_from_name(&mut &name[..]).is_err());
    }

    proptest! {
        #[test]
        fn every_name_arrives_however_the_file_is_cut(
            names in proptest::collection::vec("[a-z #;/]{1,12}", 0..8), cut in 0..60_usize,
        ) {
            let file = names.join("\n");
            let (first, second) = file.as_bytes().split_at(cut.min(file.len()));
            let wire = forward(&[first, second], false);
            let mut input = &wire[..];
            for name in &names {
                prop_assert_eq!(read_files_from_name(&mut input).unwrap().unwrap(), name.as_bytes());
            }
            prop_assert_eq!(read_files_from_name(&mut input).unwrap(), None);
            prop_assert!(input.is_empty());
        }
    }
}
