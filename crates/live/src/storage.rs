//! Where a journal lies: numbered segments that are made, appended to, read and removed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A place for segments.
pub trait Storage {
    /// The numbers of the segments that are there, in any order.
    fn segments(&self) -> io::Result<Vec<u64>>;

    /// The content of a segment, at most `limit` bytes of it.
    fn read(&self, segment: u64, limit: u64) -> io::Result<Vec<u8>>;

    /// Makes an empty segment, to which everything is appended from now on.
    fn create(&mut self, segment: u64) -> io::Result<()>;

    /// Appends to the segment made last. After an error any part of it may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until the segment made last is on the disk, its name included.
    fn sync(&mut self) -> io::Result<()>;

    /// Removes a segment.
    fn remove(&mut self, segment: u64) -> io::Result<()>;
}

/// Segments as files of a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    current: Option<File>,
    /// The name of the current file is on the disk.
    named: bool,
}

const PREFIX: &str = "journal-";

impl Directory {
    /// The directory, made if it is not there, for this user alone: it tells the names of files.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), current: None, named: false })
    }

    /// When anything was last written here.
    pub(crate) fn written(&self) -> Option<SystemTime> {
        let segments = self.segments().ok()?;
        let times = segments.iter().filter_map(|segment| fs::metadata(self.file(*segment)).ok());
        times.filter_map(|data| data.modified().ok()).max()
    }

    fn file(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{PREFIX}{segment:016x}"))
    }

    fn current(&mut self) -> io::Result<&mut File> {
        self.current.as_mut().ok_or_else(|| io::Error::other("no segment is open for writing"))
    }
}

impl Storage for Directory {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            segments.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        Ok(segments)
    }

    fn read(&self, segment: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file(segment))?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        (self.current, self.named) = (None, false);
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        self.current = Some(options.open(self.file(segment))?);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()?;
        if !self.named {
            File::open(&self.path)?.sync_all()?;
            self.named = true;
        }
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        fs::remove_file(self.file(segment))
    }
}
