//! Signatures: the weak and strong sums of a basis, block by block.

use crate::error::Error;
use crate::header::SumHeader;
use crate::strong::{Algorithm, Digest, StrongSum};
use crate::weak::WeakSum;
use std::io::Read;

/// About how much of a basis is read at once.
const READ_LENGTH: usize = 512 * 1024;
/// Records for which room is made before any has arrived.
const TRUSTED_RECORDS: u32 = 1 << 16;

/// How a signature is made: block length, which sums, and how much of the strong one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureFormat {
    weak: WeakSum,
    strong: StrongSum,
    block_length: u32,
    strong_length: usize,
}

impl SignatureFormat {
    /// A format of one's own. `block_length` must be 1 to 2^31-1 and `strong_length` at most the digest's.
    pub fn new(
        weak: WeakSum,
        strong: StrongSum,
        block_length: u32,
        strong_length: usize,
    ) -> Result<Self, Error> {
        let corrupt = |what, value| Err(Error::Corrupt { file: "signature", what, value });
        if strong.algorithm() == Algorithm::None {
            return Err(Error::NoBlockSums);
        }
        if block_length == 0 || block_length > i32::MAX as u32 {
            return corrupt("block length", u64::from(block_length));
        }
        if strong_length > strong.digest_length() {
            return corrupt("strong sum length", strong_length as u64);
        }
        Ok(Self { weak, strong, block_length, strong_length })
    }

    /// The format of the rsync protocol for a basis cut as `header` says, which must have blocks.
    pub fn rsync(header: &SumHeader, strong: StrongSum) -> Result<Self, Error> {
        Self::new(WeakSum::Rsync, strong, header.block_length(), header.strong_length())
    }

    /// The weak sum.
    pub const fn weak(&self) -> WeakSum {
        self.weak
    }

    /// The strong sum.
    pub const fn strong(&self) -> &StrongSum {
        &self.strong
    }

    /// Bytes of every block but perhaps the last.
    pub const fn block_length(&self) -> u32 {
        self.block_length
    }

    /// Bytes kept of each strong sum.
    pub const fn strong_length(&self) -> usize {
        self.strong_length
    }

    /// Sums the blocks of `data` and hands out each block's weak sum and shortened strong sum. Only the last may be short.
    /// Many blocks at once are faster than the same one by one.
    pub fn sum_blocks(&self, data: &[u8], mut each: impl FnMut(u32, &[u8])) {
        let block_length = self.block_length as usize;
        let group = block_length.saturating_mul(self.strong.blocks_at_once());
        let mut weaks = Vec::with_capacity(self.strong.blocks_at_once());
        for group in data.chunks(group) {
            // The weak sums go first: they read straight through and leave the group in the cache.
            weaks.clear();
            weaks.extend(group.chunks(block_length).map(|block| self.weak.of(block)));
            let mut weaks = weaks.iter();
            let mut record = |digest: Digest| {
                if let Some(weak) = weaks.next() {
                    each(*weak, &digest[..self.strong_length]);
                }
            };
            self.strong.blocks(group, block_length, &mut record);
            let short = &group[group.len() - group.len() % block_length..];
            if !short.is_empty() {
                record(self.strong.block(short));
            }
        }
    }

    /// About how many bytes to hand to [`SignatureFormat::sum_blocks`] at once: whole blocks, at least one.
    pub fn read_length(&self) -> usize {
        let block_length = self.block_length as usize;
        block_length * (READ_LENGTH / block_length).max(1)
    }
}

/// What is known of the last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastBlock {
    /// As long as all others.
    Full,
    /// Shorter, of this length.
    Short(u32),
    /// Any length; librsync signatures do not record it.
    Unknown,
}

/// The sums of a basis, block by block: all that a search needs to know of it.
///
/// ```
/// use syncline_delta::{Algorithm, Signature, SignatureFormat, StrongSum, WeakSum};
///
/// let sums = StrongSum::unseeded(Algorithm::Xxh3);
/// let format = SignatureFormat::new(WeakSum::Rsync, sums, 4, 8)?;
/// let signature = Signature::of_reader(format, &b"abcdefghij"[..])?;
/// assert_eq!(signature, Signature::of_slice(format, b"abcdefghij")?);
/// assert_eq!(signature.len(), 3);
/// assert_eq!(signature.weak(0), Some(0x03d4_018a));
/// # Ok::<(), syncline_delta::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    format: SignatureFormat,
    last: LastBlock,
    weaks: Vec<u32>,
    strongs: Vec<u8>,
}

impl Signature {
    /// Signs a basis that lies in memory.
    pub fn of_slice(format: SignatureFormat, basis: &[u8]) -> Result<Self, Error> {
        let mut signature = Self::without_blocks(format, LastBlock::Full);
        signature.add_blocks(basis)?;
        Ok(signature)
    }

    /// Signs a basis up to the end of `reader`.
    pub fn of_reader(format: SignatureFormat, mut reader: impl Read) -> Result<Self, Error> {
        let mut signature = Self::without_blocks(format, LastBlock::Full);
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let limit = format.read_length();
            let read = (&mut reader)
                .take(limit as u64)
                .read_to_end(&mut buffer)
                .map_err(Error::io("read the basis"))?;
            signature.add_blocks(&buffer)?;
            if read < limit {
                return Ok(signature);
            }
        }
    }

    /// This signature and that of the bytes behind its basis as one, so that parts of a long basis can be signed at the
    /// same time. None if a short block would come to stand in the middle, if the two were not made the same way, or if
    /// there are too many blocks.
    ///
    /// ```
    /// use syncline_delta::{Algorithm, Signature, SignatureFormat, StrongSum, WeakSum};
    ///
    /// let sums = StrongSum::unseeded(Algorithm::Xxh3);
    /// let format = SignatureFormat::new(WeakSum::Rsync, sums, 4, 8)?;
    /// let (front, rear) = (Signature::of_slice(format, b"abcd")?, Signature::of_slice(format, b"efghij")?);
    /// assert_eq!(front.followed_by(rear), Some(Signature::of_slice(format, b"abcdefghij")?));
    /// # Ok::<(), syncline_delta::Error>(())
    /// ```
    pub fn followed_by(mut self, rest: Self) -> Option<Self> {
        let fits = self.format == rest.format
            && self.last == LastBlock::Full
            && i32::try_from(self.weaks.len() + rest.weaks.len()).is_ok();
        if !fits {
            return None;
        }
        self.last = rest.last;
        self.weaks.extend(rest.weaks);
        self.strongs.extend(rest.strongs);
        Some(self)
    }

    pub(crate) fn without_blocks(format: SignatureFormat, last: LastBlock) -> Self {
        Self { format, last, weaks: Vec::new(), strongs: Vec::new() }
    }

    fn add_blocks(&mut self, data: &[u8]) -> Result<(), Error> {
        let block_length = self.format.block_length;
        let more = data.len().div_ceil(block_length as usize);
        if self.weaks.len() + more > i32::MAX as usize {
            return Err(Error::TooManyBlocks { block_length });
        }
        let (weaks, strongs) = (&mut self.weaks, &mut self.strongs);
        weaks.reserve(more);
        strongs.reserve(more * self.format.strong_length);
        self.format.sum_blocks(data, |weak, strong| {
            weaks.push(weak);
            strongs.extend_from_slice(strong);
        });
        let remainder = data.len() % block_length as usize;
        if remainder != 0 {
            self.last = LastBlock::Short(remainder as u32);
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, weak: u32, strong: &[u8]) {
        self.weaks.push(weak);
        self.strongs.extend_from_slice(strong);
    }

    pub(crate) const fn last(&self) -> LastBlock {
        self.last
    }

    pub(crate) fn weaks(&self) -> &[u32] {
        &self.weaks
    }

    pub(crate) fn strong_at(&self, block: u32) -> &[u8] {
        let length = self.format.strong_length;
        &self.strongs[block as usize * length..][..length]
    }

    /// How it was made.
    pub const fn format(&self) -> &SignatureFormat {
        &self.format
    }

    /// The number of blocks.
    pub fn len(&self) -> u32 {
        self.weaks.len() as u32
    }

    /// Whether there is no block: the basis is empty.
    pub fn is_empty(&self) -> bool {
        self.weaks.is_empty()
    }

    /// The weak sum of a block.
    pub fn weak(&self, block: u32) -> Option<u32> {
        self.weaks.get(block as usize).copied()
    }

    /// The shortened strong sum of a block.
    pub fn strong(&self, block: u32) -> Option<&[u8]> {
        (block < self.len()).then(|| self.strong_at(block))
    }

    /// All blocks: weak sum and shortened strong sum.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.len()).map(|block| (self.weaks[block as usize], self.strong_at(block)))
    }
}

/// Puts a [`Signature`] together from block records that a peer sends after a checked header.
///
/// Memory grows with the records that arrive, never with the number the header announces.
///
/// ```
/// use syncline_delta::{Algorithm, MAX_BLOCK_LENGTH, SignatureBuilder, StrongSum, SumHeader};
///
/// let sums = StrongSum::rsync_named(Algorithm::Md5, 0x0102_0304);
/// let header = SumHeader::from_wire([1, 4, 2, 0], MAX_BLOCK_LENGTH, sums.digest_length())?;
/// let mut builder = SignatureBuilder::new(header, sums)?;
/// builder.push(0x03d4_018a, &[0x63, 0x79])?;
/// let signature = builder.finish()?;
/// # Ok::<(), syncline_delta::Error>(())
/// ```
#[derive(Debug)]
pub struct SignatureBuilder {
    header: SumHeader,
    signature: Signature,
}

impl SignatureBuilder {
    /// Starts without records.
    pub fn new(header: SumHeader, strong: StrongSum) -> Result<Self, Error> {
        let format = match header.count() {
            // Without blocks there is nothing to sum, not even where the algorithm is none; any block length will do.
            0 => SignatureFormat {
                weak: WeakSum::Rsync,
                strong,
                block_length: header.block_length().max(1),
                strong_length: header.strong_length(),
            },
            _ => SignatureFormat::rsync(&header, strong)?,
        };
        let last = match header.remainder() {
            0 => LastBlock::Full,
            length if length == header.block_length() => LastBlock::Full,
            length => LastBlock::Short(length),
        };
        let mut signature = Signature::without_blocks(format, last);
        let room = header.count().min(TRUSTED_RECORDS) as usize;
        signature.weaks.reserve(room);
        signature.strongs.reserve(room * header.strong_length());
        Ok(Self { header, signature })
    }

    /// Takes the next record: the weak sum and [`SumHeader::strong_length`] bytes of the strong one.
    pub fn push(&mut self, weak: u32, strong: &[u8]) -> Result<(), Error> {
        let expected = self.header.strong_length();
        if strong.len() != expected {
            return Err(Error::RecordLength { expected, found: strong.len() });
        }
        if self.signature.len() == self.header.count() {
            let expected = self.header.count();
            return Err(Error::RecordCount { expected, found: expected.saturating_add(1) });
        }
        self.signature.push(weak, strong);
        Ok(())
    }

    /// How many records are still to come.
    pub fn missing(&self) -> u32 {
        self.header.count() - self.signature.len()
    }

    /// The signature, once all records are there.
    pub fn finish(self) -> Result<Signature, Error> {
        match self.missing() {
            0 => Ok(self.signature),
            missing => {
                let expected = self.header.count();
                Err(Error::RecordCount { expected, found: expected - missing })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::MAX_BLOCK_LENGTH;

    #[test]
    fn records_beyond_or_below_the_count_are_refused() {
        let strong = StrongSum::unseeded(Algorithm::Md5);
        let header = SumHeader::from_wire([2, 700, 2, 9], MAX_BLOCK_LENGTH, 16).unwrap();
        let mut builder = SignatureBuilder::new(header, strong).unwrap();
        assert!(matches!(builder.push(1, &[1]), Err(Error::RecordLength { .. })));
        builder.push(1, &[1, 1]).unwrap();
        assert_eq!(builder.missing(), 1);
        builder.push(1, &[1, 1]).unwrap();
        assert!(matches!(builder.push(1, &[1, 1]), Err(Error::RecordCount { found: 3, .. })));
        assert_eq!(builder.finish().unwrap().len(), 2);
        let builder = SignatureBuilder::new(header, strong).unwrap();
        assert!(matches!(builder.finish(), Err(Error::RecordCount { found: 0, .. })));
    }

    #[test]
    fn parts_join_only_where_whole_blocks_meet() {
        let sums = StrongSum::unseeded(Algorithm::Md5);
        let format = SignatureFormat::new(WeakSum::Rsync, sums, 4, 8).unwrap();
        let of = |format, bytes: &[u8]| Signature::of_slice(format, bytes).unwrap();
        for middle in 0..=11 {
            let (front, rear) = b"abcdefghijk".split_at(middle);
            let joined = of(format, front).followed_by(of(format, rear));
            assert_eq!(joined, (middle % 4 == 0).then(|| of(format, b"abcdefghijk")), "{middle}");
        }
        let other = SignatureFormat::new(WeakSum::Rsync, sums, 4, 9).unwrap();
        assert_eq!(of(format, b"abcd").followed_by(of(other, b"efgh")), None);
    }

    #[test]
    fn an_announced_count_allocates_nothing_much() {
        let header = SumHeader::from_wire([i32::MAX, 1, 16, 0], MAX_BLOCK_LENGTH, 16).unwrap();
        let builder = SignatureBuilder::new(header, StrongSum::unseeded(Algorithm::Md5)).unwrap();
        assert!(builder.signature.strongs.capacity() <= 2 << 20);
    }

    #[test]
    fn a_file_without_a_digest_has_no_block_sums() {
        let strong = StrongSum::unseeded(Algorithm::None);
        let refused = SignatureFormat::new(WeakSum::Rsync, strong, 700, 0);
        assert!(matches!(refused, Err(Error::NoBlockSums)));
        let empty = SignatureBuilder::new(SumHeader::EMPTY, strong).unwrap();
        assert!(empty.finish().unwrap().is_empty());
    }
}
