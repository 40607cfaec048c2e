//! Finding a basis' blocks in a new file.

use crate::error::Error;
use crate::index::SearchIndex;
use crate::signature::LastBlock;
use crate::weak::{RabinKarpWindow, RollsumWindow, RsyncWindow, WeakSum, Window};
use std::io::Read;

/// Bytes of strong summing that may come to nothing, for each byte of source: what makes every search linear, whatever
/// basis and source a hostile peer crafts. Honest files waste about the basis' length / 2^32 where nothing is found, and
/// nothing where the blocks come in order.
const WASTE_PER_BYTE: u64 = 8;
/// Bytes that may be summed in vain before anything was earned, besides two windows.
const WASTE_AT_START: u64 = 1 << 20;
/// Equal blocks looked at to find one that an in-place update left intact.
const KEPT_BLOCKS_TRIED: usize = 64;
/// About how much a streaming search reads at once.
const READ_LENGTH: usize = 512 * 1024;

/// A step towards the new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The next bytes are those of the basis from `offset` on: block `block`.
    Copy {
        /// The block's number.
        block: u32,
        /// Where it starts in the basis.
        offset: u64,
        /// How long it is.
        length: u32,
    },
    /// The next bytes are these; never empty.
    Literal(&'a [u8]),
}

impl Operation<'_> {
    /// How many bytes of the new file it makes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Copy { length, .. } => u64::from(*length),
            Self::Literal(data) => data.len() as u64,
        }
    }
}

/// What a search has done so far, counted rather than timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchWork {
    /// Bytes put through the strong sum.
    pub strong_bytes: u64,
    /// Windows whose weak sum some block has.
    pub weak_hits: u64,
    /// Bytes slid over blindly, because too much strong summing before had come to nothing.
    pub blind_bytes: u64,
}

/// One pass over a new file, in pieces as large as the caller likes.
///
/// The caller owns the buffer. Each [`Search::scan`] looks at all of it, hands out copies and borrowed literals, and says
/// how many bytes it is done with; the rest (less than [`Search::window`] bytes) is to be shown again with more behind it.
/// Those consumed bytes, in order, are the new file: feed them to a [`FileHasher`](crate::FileHasher), here or elsewhere.
///
/// ```
/// use syncline_delta::{Algorithm, Operation, Search, SearchIndex, Signature, SignatureFormat, StrongSum, WeakSum};
///
/// let sums = StrongSum::unseeded(Algorithm::Xxh128);
/// let format = SignatureFormat::new(WeakSum::Rsync, sums, 4, 16)?;
/// let index = SearchIndex::new(Signature::of_slice(format, b"abcdefghij")?);
///
/// let mut operations = Vec::new();
/// let mut search = Search::new(&index);
/// let consumed = search.scan(b"abcdXefghij", true, |operation| {
///     operations.push(operation);
///     Ok::<_, syncline_delta::Error>(())
/// })?;
/// assert_eq!(consumed, 11);
/// assert_eq!(
///     operations,
///     [
///         Operation::Copy { block: 0, offset: 0, length: 4 },
///         Operation::Literal(b"X"),
///         Operation::Copy { block: 1, offset: 4, length: 4 },
///         Operation::Copy { block: 2, offset: 8, length: 2 },
///     ]
/// );
/// # Ok::<(), syncline_delta::Error>(())
/// ```
#[derive(Debug)]
pub struct Search<'i> {
    index: &'i SearchIndex,
    in_place: Option<KeptBlocks>,
    /// Offset in the new file of the next buffer's first byte.
    offset: u64,
    /// The block that follows the one last found.
    next_block: u32,
    /// Whether the window stands right behind a found block, or at the very start: where `next_block` is likely.
    in_order: bool,
    /// Bytes that may still be summed in vain.
    allowance: u64,
    /// Up to where in the new file the allowance has been earned.
    earned_to: u64,
    /// Where in the new file the allowance will pay for another window.
    blind_up_to: u64,
    work: SearchWork,
}

impl<'i> Search<'i> {
    /// Starts at the new file's first byte.
    pub fn new(index: &'i SearchIndex) -> Self {
        let block_length = u64::from(index.signature().format().block_length());
        Self {
            index,
            in_place: None,
            offset: 0,
            next_block: 0,
            in_order: true,
            allowance: WASTE_AT_START + 2 * block_length,
            earned_to: 0,
            blind_up_to: 0,
            work: SearchWork::default(),
        }
    }

    /// Finds only copies that hold while the new file is written over the basis: from at or behind the place written to, or
    /// from a block that was found at its own place (`docs/spec/delta.md` 11).
    pub fn in_place(mut self) -> Self {
        self.in_place = Some(KeptBlocks::default());
        self
    }

    /// The length of the window. A buffer of less makes no progress before the file's end.
    pub fn window(&self) -> usize {
        self.index.signature().format().block_length() as usize
    }

    /// A good length for the buffer. Each scan starts by summing one window, so buffers little longer than that, with few
    /// new bytes each, make slow progress.
    pub fn buffer_length(&self) -> usize {
        self.window().saturating_mul(2).saturating_add(READ_LENGTH)
    }

    /// What it has done so far.
    pub fn work(&self) -> SearchWork {
        self.work
    }

    /// Looks through `buffer`, which starts where the last scan stopped consuming, and returns how many bytes it is done
    /// with. `at_end` says that the new file ends with the buffer; all of it is consumed then.
    ///
    /// An error of `each` ends the search: nothing is defined about a further scan.
    pub fn scan<'b, E>(
        &mut self,
        buffer: &'b [u8],
        at_end: bool,
        each: impl FnMut(Operation<'b>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let output = Output { buffer, done: 0, each };
        match self.index.signature().format().weak() {
            WeakSum::Rsync => self.scan_by::<RsyncWindow, _, _>(at_end, output),
            WeakSum::Rollsum => self.scan_by::<RollsumWindow, _, _>(at_end, output),
            WeakSum::RabinKarp => self.scan_by::<RabinKarpWindow, _, _>(at_end, output),
        }
    }

    /// Searches all of `source`, holding [`Search::buffer_length`] bytes of it at most.
    pub fn run<E: From<Error>>(
        mut self,
        mut source: impl Read,
        mut each: impl FnMut(Operation<'_>) -> Result<(), E>,
    ) -> Result<SearchWork, E> {
        let room = self.buffer_length();
        let mut buffer = Vec::new();
        loop {
            let wanted = room - buffer.len();
            let read = (&mut source)
                .take(wanted as u64)
                .read_to_end(&mut buffer)
                .map_err(Error::io("read the new file"))?;
            let at_end = read < wanted;
            let consumed = self.scan(&buffer, at_end, &mut each)?;
            if at_end {
                return Ok(self.work);
            }
            buffer.drain(..consumed);
        }
    }

    fn scan_by<'b, W, F, E>(&mut self, at_end: bool, mut output: Output<'b, F>) -> Result<usize, E>
    where
        W: Window,
        F: FnMut(Operation<'b>) -> Result<(), E>,
    {
        let buffer = output.buffer;
        let length = self.window();
        let mut at = 0;
        if self.index.full_blocks() == 0 {
            let held_back = match self.index.signature().last() {
                LastBlock::Short(short) => short as usize,
                LastBlock::Full | LastBlock::Unknown => 0,
            };
            at = buffer.len().saturating_sub(held_back);
        } else {
            while buffer.len() - at >= length {
                if self.in_order {
                    at = self.follow::<W, _, _>(at, &mut output)?;
                    if buffer.len() - at < length {
                        break;
                    }
                }
                let window = W::over(&buffer[at..at + length]);
                if let Some(block) = self.confirm(window.value(), at, buffer) {
                    self.found(block, at, &mut output)?;
                    at += length;
                } else if self.in_order && self.skips_one::<W>(at, buffer) {
                    self.next_block += 1;
                    at += length;
                } else {
                    self.in_order = false;
                    at = self.roll(window, at, &mut output)?;
                }
            }
        }
        if at_end {
            self.find_tail::<W, _, _>(at, &mut output)?;
            at = buffer.len();
        }
        output.literal_to(at)?;
        self.offset += at as u64;
        Ok(at)
    }

    /// Takes the blocks that follow the one last found for as long as they come in order.
    fn follow<'b, W, F, E>(&mut self, start: usize, output: &mut Output<'b, F>) -> Result<usize, E>
    where
        W: Window,
        F: FnMut(Operation<'b>) -> Result<(), E>,
    {
        let length = self.window();
        let index = self.index;
        let buffer = output.buffer;
        let strong = index.signature().format().strong();
        let mut at = start;
        loop {
            // As many as look right by their weak sums go through the strong sum together.
            let expected = &index.signature().weaks()[self.next_block as usize..];
            let full = (index.full_blocks() - self.next_block.min(index.full_blocks())) as usize;
            let likely = buffer[at..]
                .chunks_exact(length)
                .zip(&expected[..full])
                .take(strong.blocks_at_once())
                .take_while(|(window, weak)| W::over(window).value() == **weak)
                .count();
            if likely == 0 {
                return Ok(at);
            }
            let first = self.next_block;
            let mut equal = 0;
            let mut tried = 0;
            strong.blocks(&buffer[at..at + likely * length], length, |digest| {
                if equal == tried && index.is_strong(first + tried, &digest) {
                    equal += 1;
                }
                tried += 1;
            });
            self.work.weak_hits += likely as u64;
            self.work.strong_bytes += (likely * length) as u64;
            for block in first..first + equal {
                if !self.may_copy(block, at) {
                    return Ok(at);
                }
                self.found(block, at, output)?;
                at += length;
            }
            if equal < tried {
                return Ok(at);
            }
        }
    }

    /// Whether the block after next stands one block on: then one block was edited in place, and nothing is gained from
    /// sliding through it.
    fn skips_one<W: Window>(&mut self, at: usize, buffer: &[u8]) -> bool {
        let length = self.window();
        let (next, block) = (at + length, self.next_block.saturating_add(1));
        let Some(window) = buffer.get(next..next + length) else { return false };
        if block >= self.index.full_blocks() || !self.may_copy(block, next) {
            return false;
        }
        if self.index.signature().weak(block) != Some(W::over(window).value())
            || self.affordable(next, length as u64).is_none()
        {
            return false;
        }
        let equal =
            self.index.is_strong(block, &self.index.signature().format().strong().block(window));
        if !equal {
            self.allowance -= length as u64;
        }
        equal
    }

    /// Slides on from a window at `at` that is no block, to one that is: takes it and returns where it ends. Or to the
    /// first start whose window the buffer does not hold.
    fn roll<'b, W, F, E>(
        &mut self,
        mut window: W,
        mut at: usize,
        output: &mut Output<'b, F>,
    ) -> Result<usize, E>
    where
        W: Window,
        F: FnMut(Operation<'b>) -> Result<(), E>,
    {
        let buffer = output.buffer;
        let length = self.window();
        let filter = self.index.filter();
        loop {
            let leaving = &buffer[at..];
            let entering = &buffer[at + length..];
            let Some(steps) = window.slide_to_candidate(leaving, entering, filter) else {
                return Ok(at + entering.len() + 1);
            };
            at += steps;
            if let Some(block) = self.confirm(window.value(), at, buffer) {
                self.found(block, at, output)?;
                return Ok(at + length);
            }
            // Up to the last place before the next affordable one nothing can be found.
            let blind = self.blind_up_to.saturating_sub(self.offset + at as u64 + 1);
            if blind > 0 {
                let blind = blind.min((buffer.len() - length - at) as u64) as usize;
                self.work.blind_bytes += blind as u64;
                at += blind;
                window = W::over(&buffer[at..at + length]);
            }
        }
    }

    /// The block that the window at `at` equals and that may be copied there.
    fn confirm(&mut self, weak: u32, at: usize, buffer: &[u8]) -> Option<u32> {
        if !self.index.filter().may_hold(weak) {
            return None;
        }
        let entries = self.index.with_weak(weak);
        if entries.is_empty() {
            return None;
        }
        let window = &buffer[at..at + self.window()];
        self.affordable(at, window.len() as u64)?;
        let digest = self.index.signature().format().strong().block(window);
        let chosen = self.choose(weak, &digest, at, |index| index.with_strong(entries, &digest));
        if chosen.is_none() {
            self.allowance -= window.len() as u64;
        }
        chosen
    }

    /// Counts a weak hit, and says whether it may be looked at closely although it may come to nothing.
    fn affordable(&mut self, at: usize, cost: u64) -> Option<()> {
        self.work.weak_hits += 1;
        let position = self.offset + at as u64;
        let earned = position.saturating_sub(self.earned_to).saturating_mul(WASTE_PER_BYTE);
        self.allowance = self.allowance.saturating_add(earned);
        self.earned_to = self.earned_to.max(position);
        if self.allowance < cost {
            self.blind_up_to = position + (cost - self.allowance).div_ceil(WASTE_PER_BYTE);
            return None;
        }
        self.work.strong_bytes += cost;
        Some(())
    }

    /// Of equal blocks, the best that may be copied: the next in order makes long runs, and while updating in place a block
    /// at its own place needs no writing.
    fn choose(
        &self,
        weak: u32,
        digest: &[u8],
        at: usize,
        equal: impl FnOnce(&'i SearchIndex) -> &'i [u32],
    ) -> Option<u32> {
        let next = self.next_block;
        let next_fits = next < self.index.full_blocks()
            && self.index.is(next, weak, digest)
            && self.may_copy(next, at);
        let Some(kept) = &self.in_place else {
            return if next_fits { Some(next) } else { equal(self.index).last().copied() };
        };
        let equal = equal(self.index);
        let position = self.offset + at as u64;
        let length = self.window() as u64;
        if position.is_multiple_of(length)
            && let Ok(own) = u32::try_from(position / length)
            && equal.binary_search(&own).is_ok()
        {
            return Some(own);
        }
        if next_fits {
            return Some(next);
        }
        let ahead = |block: &u32| u64::from(*block) * length >= position;
        equal.last().copied().filter(ahead).or_else(|| {
            equal.iter().rev().take(KEPT_BLOCKS_TRIED).copied().find(|block| kept.holds(*block))
        })
    }

    /// Whether copying `block` to the place at `at` reads what the basis held.
    fn may_copy(&self, block: u32, at: usize) -> bool {
        self.in_place.as_ref().is_none_or(|kept| {
            u64::from(block) * self.window() as u64 >= self.offset + at as u64 || kept.holds(block)
        })
    }

    /// Hands out the match of a block of full length.
    fn found<'b, F, E>(
        &mut self,
        block: u32,
        at: usize,
        output: &mut Output<'b, F>,
    ) -> Result<(), E>
    where
        F: FnMut(Operation<'b>) -> Result<(), E>,
    {
        let length = self.window();
        let offset = u64::from(block) * length as u64;
        if let Some(kept) = &mut self.in_place
            && offset == self.offset + at as u64
        {
            kept.keep(block);
        }
        self.next_block = block + 1;
        self.in_order = true;
        output.copy(at, Operation::Copy { block, offset, length: length as u32 })
    }

    /// The last block is short. It is looked for where stock looks: ending exactly where the file ends.
    fn find_tail<'b, W, F, E>(&mut self, at: usize, output: &mut Output<'b, F>) -> Result<(), E>
    where
        W: Window,
        F: FnMut(Operation<'b>) -> Result<(), E>,
    {
        let buffer = output.buffer;
        let rest = buffer.len() - at;
        let Some(last) = self.index.signature().len().checked_sub(1) else { return Ok(()) };
        // A librsync signature does not tell the last block's length, so any shorter one is tried.
        let (longest, shortest) = match self.index.signature().last() {
            LastBlock::Full => return Ok(()),
            LastBlock::Short(short) if short as usize > rest => return Ok(()),
            LastBlock::Short(short) => (short as usize, short as usize),
            LastBlock::Unknown => (rest.min(self.window() - 1), 1),
        };
        let mut window = W::over(&buffer[buffer.len() - longest..]);
        for length in (shortest..=longest).rev() {
            let start = buffer.len() - length;
            if self.index.signature().weak(last) == Some(window.value())
                && self.may_copy(last, start)
                && self.affordable(start, length as u64).is_some()
            {
                let digest = self.index.signature().format().strong().block(&buffer[start..]);
                if self.index.is_strong(last, &digest) {
                    let offset = u64::from(last) * self.window() as u64;
                    let length = length as u32;
                    return output.copy(start, Operation::Copy { block: last, offset, length });
                }
                self.allowance -= length as u64;
            }
            window.drop_first(buffer[start]);
        }
        Ok(())
    }
}

/// Hands out operations in order; what lies between copies is literal.
struct Output<'b, F> {
    buffer: &'b [u8],
    /// Up to where in the buffer everything was handed out.
    done: usize,
    each: F,
}

impl<'b, F, E> Output<'b, F>
where
    F: FnMut(Operation<'b>) -> Result<(), E>,
{
    fn literal_to(&mut self, end: usize) -> Result<(), E> {
        if self.done < end {
            (self.each)(Operation::Literal(&self.buffer[self.done..end]))?;
            self.done = end;
        }
        Ok(())
    }

    fn copy(&mut self, at: usize, copy: Operation<'b>) -> Result<(), E> {
        self.literal_to(at)?;
        self.done = at + copy.length() as usize;
        (self.each)(copy)
    }
}

/// The blocks that an in-place update found at their own place and so leaves intact.
#[derive(Debug, Default)]
struct KeptBlocks(Vec<u64>);

impl KeptBlocks {
    fn keep(&mut self, block: u32) {
        let word = block as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (block % 64);
    }

    fn holds(&self, block: u32) -> bool {
        self.0.get(block as usize / 64).is_some_and(|word| word >> (block % 64) & 1 != 0)
    }
}
