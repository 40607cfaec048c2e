//! Strong sums: what settles that two blocks, or two files, are equal.

use crate::md::{Digester, Kind, LANES, Messages};
use sha1::{Digest as _, Sha1};
use std::fmt;
use std::io;
use std::ops::Deref;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};
use xxhash_rust::xxh64::{Xxh64, xxh64};

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD4 with the padding mistakes of rsync peers before protocol 27 (`docs/spec/delta.md` 3.1).
    Md4Archaic,
    /// MD4.
    Md4,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// XXH64.
    Xxh64,
    /// XXH3 with 64 bits.
    Xxh3,
    /// XXH3 with 128 bits.
    Xxh128,
    /// BLAKE2b with a digest of 32 bytes, the default of librsync.
    Blake2b,
    /// No digest: a file's sum is one zero byte and verifies nothing, and there are no block sums.
    None,
}

impl Algorithm {
    /// Bytes of a full digest.
    pub const fn digest_length(self) -> usize {
        match self {
            Self::Md4Archaic | Self::Md4 | Self::Md5 | Self::Xxh128 => 16,
            Self::Sha1 => 20,
            Self::Xxh64 | Self::Xxh3 => 8,
            Self::Blake2b => 32,
            Self::None => 1,
        }
    }
}

/// A digest of up to 32 bytes; reads as a byte slice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    bytes: [u8; 32],
    length: u8,
}

impl Digest {
    fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes[..digest.len()].copy_from_slice(digest);
        Self { bytes, length: digest.len() as u8 }
    }
}

impl Deref for Digest {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the seed goes in a block's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum BlockSeed {
    None,
    Before([u8; 4]),
    Behind([u8; 4]),
    /// The seed parameter of the xxhash family.
    Parameter(u64),
}

/// A digest algorithm and where its seed goes: all that two ends must agree on to compare blocks and files.
///
/// ```
/// use syncline_delta::{Algorithm, StrongSum};
///
/// let sum = StrongSum::rsync_named(Algorithm::Md5, 0x1234_5678);
/// assert_eq!(format!("{:?}", sum.block(b"abcd")), "86d9c24132dce0be6839ddd37775281c");
///
/// // A file's sum is fed in pieces.
/// let mut file = sum.file_hasher();
/// file.update(b"ab");
/// file.update(b"cd");
/// assert_eq!(format!("{:?}", file.finish()), "e2fc714c4727ee9395f324cd2e7f331f");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StrongSum {
    algorithm: Algorithm,
    block_seed: BlockSeed,
    file_seed: Option<[u8; 4]>,
}

impl StrongSum {
    /// The plain algorithm: what librsync uses for blocks and rsync for its `--checksum` sums.
    pub const fn unseeded(algorithm: Algorithm) -> Self {
        Self { algorithm, block_seed: BlockSeed::None, file_seed: None }
    }

    /// What rsync peers of `protocol` use where nothing was negotiated or chosen. `seed_order_fixed` is compatibility flag
    /// 0x20, which matters to MD5 block sums alone (`docs/spec/delta.md` 3.1).
    pub const fn rsync_default(protocol: u32, seed: i32, seed_order_fixed: bool) -> Self {
        let bytes = seed.to_le_bytes();
        let unseeded = seed == 0;
        let block_seed = match (unseeded, protocol >= 30 && seed_order_fixed) {
            (true, _) => BlockSeed::None,
            (false, true) => BlockSeed::Before(bytes),
            (false, false) => BlockSeed::Behind(bytes),
        };
        match protocol {
            ..27 => Self { algorithm: Algorithm::Md4Archaic, block_seed, file_seed: Some(bytes) },
            27..30 => Self { algorithm: Algorithm::Md4, block_seed, file_seed: Some(bytes) },
            30.. => Self { algorithm: Algorithm::Md5, block_seed, file_seed: None },
        }
    }

    /// What rsync peers use for an algorithm that was negotiated or chosen by name.
    pub const fn rsync_named(algorithm: Algorithm, seed: i32) -> Self {
        let block_seed = match algorithm {
            // The seed is sign-extended. Nothing else matches stock when it is negative.
            Algorithm::Xxh64 | Algorithm::Xxh3 | Algorithm::Xxh128 => {
                BlockSeed::Parameter(seed as i64 as u64)
            }
            Algorithm::Blake2b | Algorithm::None => BlockSeed::None,
            _ if seed == 0 => BlockSeed::None,
            Algorithm::Md4 | Algorithm::Md4Archaic => BlockSeed::Behind(seed.to_le_bytes()),
            Algorithm::Md5 | Algorithm::Sha1 => BlockSeed::Before(seed.to_le_bytes()),
        };
        Self { algorithm, block_seed, file_seed: None }
    }

    /// The digest algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of a full digest.
    pub const fn digest_length(&self) -> usize {
        self.algorithm.digest_length()
    }

    /// The sum of one block, in full length.
    pub fn block(&self, data: &[u8]) -> Digest {
        match self.block_seed {
            BlockSeed::None => match self.algorithm {
                Algorithm::Xxh64 => Digest::new(&xxh64(data, 0).to_le_bytes()),
                Algorithm::Xxh3 => Digest::new(&xxh3_64_with_seed(data, 0).to_le_bytes()),
                Algorithm::Xxh128 => Digest::new(&xxh3_128_with_seed(data, 0).to_le_bytes()),
                Algorithm::Blake2b => Digest::new(blake2b().hash(data).as_bytes()),
                _ => self.digest_parts(&[data]),
            },
            BlockSeed::Before(seed) => self.digest_parts(&[&seed, data]),
            BlockSeed::Behind(seed) => self.digest_parts(&[data, &seed]),
            BlockSeed::Parameter(seed) => match self.algorithm {
                Algorithm::Xxh64 => Digest::new(&xxh64(data, seed).to_le_bytes()),
                Algorithm::Xxh3 => Digest::new(&xxh3_64_with_seed(data, seed).to_le_bytes()),
                _ => Digest::new(&xxh3_128_with_seed(data, seed).to_le_bytes()),
            },
        }
    }

    /// The sums of contiguous blocks of equal length, in order. Much faster than one by one where the algorithm is MD4 or
    /// MD5. Bytes of `data` behind the last full block are not looked at.
    pub fn blocks(&self, data: &[u8], block_length: usize, mut each: impl FnMut(Digest)) {
        if block_length == 0 {
            return;
        }
        let data = &data[..data.len() - data.len() % block_length];
        for group in data.chunks(block_length.saturating_mul(LANES)) {
            match self.algorithm {
                Algorithm::Md4 => self.together(Kind::Md4, group, block_length, &mut each),
                Algorithm::Md5 => self.together(Kind::Md5, group, block_length, &mut each),
                _ => group.chunks(block_length).for_each(|block| each(self.block(block))),
            }
        }
    }

    /// How many contiguous blocks [`StrongSum::blocks`] likes to have at once.
    pub const fn blocks_at_once(&self) -> usize {
        match self.algorithm {
            Algorithm::Md4 | Algorithm::Md5 => LANES,
            _ => 1,
        }
    }

    /// Starts the sum of a whole file.
    pub fn file_hasher(&self) -> FileHasher {
        let mut hasher = FileHasher::new(self.algorithm);
        if let Some(seed) = &self.file_seed {
            hasher.update(seed);
        }
        hasher
    }

    /// The sum of a whole file that lies in memory.
    pub fn file(&self, data: &[u8]) -> Digest {
        // In one go these need no state, which is larger than many a file.
        match (self.algorithm, self.file_seed) {
            (Algorithm::Xxh3, None) => return Digest::new(&xxh3_64(data).to_le_bytes()),
            (Algorithm::Xxh128, None) => return Digest::new(&xxh3_128(data).to_le_bytes()),
            _ => {}
        }
        let mut hasher = self.file_hasher();
        hasher.update(data);
        hasher.finish()
    }

    fn digest_parts(&self, parts: &[&[u8]]) -> Digest {
        let mut hasher = FileHasher::new(self.algorithm);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }

    fn together(&self, kind: Kind, data: &[u8], length: usize, each: &mut impl FnMut(Digest)) {
        let (before, behind): (&[u8], &[u8]) = match &self.block_seed {
            BlockSeed::Before(seed) => (seed, &[]),
            BlockSeed::Behind(seed) => (&[], seed),
            BlockSeed::None | BlockSeed::Parameter(_) => (&[], &[]),
        };
        let messages = Messages { kind, data, length, before, behind };
        for digest in &messages.digests()[..data.len() / length] {
            each(Digest::new(digest));
        }
    }
}

fn blake2b() -> blake2b_simd::Params {
    let mut parameters = blake2b_simd::Params::new();
    parameters.hash_length(32);
    parameters
}

/// The sum of a whole file, fed in pieces; made by [`StrongSum::file_hasher`]. It may run on another thread than the search.
#[derive(Clone)]
pub struct FileHasher(Hasher);

// The large states are boxed: a hasher moves between threads and structures, and lives as long as a file.
#[derive(Clone)]
enum Hasher {
    Md4Archaic(Digester),
    Md(Digester),
    Sha1(Sha1),
    Xxh64(Xxh64),
    Xxh3(Box<Xxh3>),
    Xxh128(Box<Xxh3>),
    Blake2b(Box<blake2b_simd::State>),
    None,
}

impl FileHasher {
    fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md4Archaic => Hasher::Md4Archaic(Digester::new(Kind::Md4)),
            Algorithm::Md4 => Hasher::Md(Digester::new(Kind::Md4)),
            Algorithm::Md5 => Hasher::Md(Digester::new(Kind::Md5)),
            Algorithm::Sha1 => Hasher::Sha1(Sha1::new()),
            Algorithm::Xxh64 => Hasher::Xxh64(Xxh64::new(0)),
            Algorithm::Xxh3 => Hasher::Xxh3(Box::new(Xxh3::new())),
            Algorithm::Xxh128 => Hasher::Xxh128(Box::new(Xxh3::new())),
            Algorithm::Blake2b => Hasher::Blake2b(Box::new(blake2b().to_state())),
            Algorithm::None => Hasher::None,
        })
    }

    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Hasher::Md4Archaic(hasher) | Hasher::Md(hasher) => hasher.update(data),
            Hasher::Sha1(hasher) => hasher.update(data),
            Hasher::Xxh64(hasher) => hasher.update(data),
            Hasher::Xxh3(hasher) | Hasher::Xxh128(hasher) => hasher.update(data),
            Hasher::Blake2b(hasher) => {
                hasher.update(data);
            }
            Hasher::None => {}
        }
    }

    /// The sum of all pieces, in full length.
    pub fn finish(self) -> Digest {
        match self.0 {
            Hasher::Md4Archaic(hasher) => Digest::new(&hasher.finish_archaic()),
            Hasher::Md(hasher) => Digest::new(&hasher.finish()),
            Hasher::Sha1(hasher) => Digest::new(&hasher.finalize()),
            Hasher::Xxh64(hasher) => Digest::new(&hasher.digest().to_le_bytes()),
            Hasher::Xxh3(hasher) => Digest::new(&hasher.digest().to_le_bytes()),
            Hasher::Xxh128(hasher) => Digest::new(&hasher.digest128().to_le_bytes()),
            Hasher::Blake2b(hasher) => Digest::new(hasher.finalize().as_bytes()),
            Hasher::None => Digest::new(&[0]),
        }
    }
}

impl fmt::Debug for FileHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileHasher").finish_non_exhaustive()
    }
}

impl io::Write for FileHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_equal_single_blocks_for_every_sum() {
        let data: Vec<u8> = (0..40_u32 * 70).map(|i| (i * 131 + (i >> 8) * 17) as u8).collect();
        let mut sums = vec![
            StrongSum::rsync_default(26, 5, false),
            StrongSum::rsync_default(29, 5, false),
            StrongSum::rsync_default(31, 5, false),
            StrongSum::rsync_default(31, 5, true),
        ];
        for algorithm in [
            Algorithm::Md4,
            Algorithm::Md5,
            Algorithm::Sha1,
            Algorithm::Xxh64,
            Algorithm::Xxh3,
            Algorithm::Xxh128,
            Algorithm::Blake2b,
        ] {
            sums.push(StrongSum::unseeded(algorithm));
            sums.push(StrongSum::rsync_named(algorithm, -2));
        }
        for sum in sums {
            for length in [1, 63, 64, 70, 1000] {
                let mut together = Vec::new();
                sum.blocks(&data, length, |digest| together.push(digest));
                let one_by_one: Vec<_> =
                    data.chunks_exact(length).map(|block| sum.block(block)).collect();
                assert_eq!(together, one_by_one, "{sum:?} {length}");
            }
        }
    }

    #[test]
    fn no_sum_is_one_zero_byte() {
        assert_eq!(&*StrongSum::unseeded(Algorithm::None).file(b"anything"), &[0]);
    }
}
