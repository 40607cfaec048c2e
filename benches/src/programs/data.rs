//! The trees that the jobs move. Made from fixed seeds, once for each run, in one scratch directory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use syncline_suite::torture::random::Random;

const MIB: usize = 1 << 20;

/// What a job's source holds at scale 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One file of 1 GiB.
    Big,
    /// 20,000 files of 4 KiB.
    Small,
    /// 100,000 files of 64 bytes.
    Tiny,
    /// 2,000 files of 256 KiB.
    Mid,
    /// One file of 512 MiB.
    Half,
    /// One text of 256 MiB.
    Text,
}

/// Makes trees below one directory and remembers them.
#[derive(Debug)]
pub struct Store {
    /// Where everything of this run lies.
    pub top: PathBuf,
    scale: f64,
}

impl Store {
    /// A store whose sizes are multiplied by `scale`.
    pub fn new(top: PathBuf, scale: f64) -> Self {
        Self { top, scale }
    }

    /// A count at this scale.
    pub fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(1)
    }

    /// The directory with this kind of tree, made at the first call.
    pub fn tree(&self, kind: Kind) -> io::Result<PathBuf> {
        let folder = self.top.join(format!("{kind:?}").to_lowercase());
        if folder.exists() {
            return Ok(folder);
        }
        fs::create_dir(&folder)?;
        let scaled = |count| self.scaled(count);
        match kind {
            Kind::Big => noise(&folder.join("big.bin"), scaled(1024), "big")?,
            Kind::Half => noise(&folder.join("half.bin"), scaled(512), "half")?,
            Kind::Small => files(&folder, scaled(20_000), 4096)?,
            Kind::Tiny => files(&folder, scaled(100_000), 64)?,
            Kind::Mid => files(&folder, scaled(2_000), 256 * 1024)?,
            Kind::Text => text(&folder.join("log.txt"), scaled(256))?,
        }
        Ok(folder)
    }
}

fn noise(path: &Path, mebibytes: usize, seed: &str) -> io::Result<()> {
    let mut random = Random::new(seed);
    let mut file = File::create(path)?;
    (0..mebibytes).try_for_each(|_| file.write_all(&random.bytes(MIB)))
}

/// `count` files, a hundred in each directory, a hundred directories in each above.
pub fn files(root: &Path, count: usize, size: usize) -> io::Result<()> {
    let mut random = Random::new("files");
    let pool = random.bytes(size + 4096);
    for number in 0..count {
        let folder = root.join(format!("d{:03}/e{:02}", number / 10_000, number / 100 % 100));
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        let at = random.below(4096);
        fs::write(folder.join(format!("file-{number:07}.dat")), &pool[at..at + size])?;
    }
    Ok(())
}

fn text(path: &Path, mebibytes: usize) -> io::Result<()> {
    let mut random = Random::new("text");
    let words: Vec<Vec<u8>> = (0..3000)
        .map(|_| (0..2 + random.below(8)).map(|_| *random.pick(b"etaoinshrdlucmfwyp")).collect())
        .collect();
    let mut file = File::create(path)?;
    for _ in 0..mebibytes {
        let mut piece = Vec::with_capacity(MIB + 16);
        while piece.len() < MIB {
            piece.extend_from_slice(&words[random.below(words.len())]);
            piece.push(b' ');
        }
        piece.truncate(MIB - 1);
        piece.push(b'\n');
        file.write_all(&piece)?;
    }
    Ok(())
}

/// A copy of `source` with 512 bytes changed in one of a hundred 64 KiB pages.
pub fn edited(source: &Path, copy: &Path) -> io::Result<()> {
    let pages = (fs::copy(source, copy)? / 65_536) as usize;
    let mut random = Random::new("edited");
    let mut file = File::options().write(true).open(copy)?;
    for _ in 0..(pages / 100).max(1) {
        let at = random.below(pages.max(1)) * 65_536 + random.below(60_000);
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(&random.bytes(512))?;
    }
    Ok(())
}

/// A copy of `source` without its first 100 bytes and without two pieces of its middle: no match lies on its block's place.
pub fn shifted(source: &Path, copy: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut to = File::create(copy)?;
    let length = from.metadata()?.len();
    from.seek(SeekFrom::Start(100))?;
    for cut in [length / 3, length / 2, length] {
        let piece = cut.saturating_sub(from.stream_position()?);
        io::copy(&mut Read::by_ref(&mut from).take(piece), &mut to)?;
        from.seek(SeekFrom::Current(777))?;
    }
    Ok(())
}
