//! The joint between a sink and its source: what crosses the connection, as values.
//!
//! A sink has two threads that matter here. The *receiving* thread owns the reading half, [`Offers`]; the
//! *generator* owns the writing half, [`Requests`]. Neither half knows the other:
//!
//! * [`Offers::next`] blocks until the source says something. The receiving thread must always come back to it and
//!   must never wait for the generator, nor for anything that the peer has to read first: while it reads, the peer
//!   can write, and so the peer goes on reading what the generator writes. What it tells the generator goes through
//!   a channel without bound (what is under way is bounded by the requests made).
//! * Every method of [`Requests`] may block, because the peer may be slow. Only the generator calls them.
//!
//! Over a connection both halves are codecs on either end of two channels (see [`crate::session`]). In a local run
//! nothing is encoded: lists come from the scanning thread as they are, and an item's content is the open source file.

use std::sync::Arc;

use syncline_delta::{SearchIndex, Signature, SumHeader};
pub use syncline_wire::Token;
use syncline_wire::list::{FileEntry, FileList, FileLists, IdNames, XattrSet};
use syncline_wire::{IoErrors, Item, SumHead};

use crate::{Extras, Result};

/// The reading half: what the source says, in order.
pub trait Offers: Send {
    /// The next thing the source says. After [`Offer::Item`] with a transfer, [`Offers::content`] comes first.
    fn next(&mut self) -> Result<Offer>;

    /// Every list received so far and not released. The receiving thread adds what [`Offer::List`] brings, once it is
    /// sorted and cleaned, and releases the oldest on [`Offer::Done`] (docs/spec filelist.md 8.6): the numbers of
    /// lists to come depend on it.
    fn lists(&mut self) -> &mut FileLists;

    /// What makes [`Offers::next`] fail, now and from then on, when the generator cannot go on by itself: the source may
    /// be waiting for it. None where [`Offers::next`] notices that by itself.
    fn waker(&self) -> Option<Box<dyn Fn() + Send>>;

    /// What entries of the lists refer to, as it travelled.
    fn extras(&self) -> &Extras;

    /// The content that follows the item just returned. Whatever becomes of the file, tokens must be read to
    /// their end and the digest behind them taken: the next offer stands behind it.
    fn content(&mut self) -> Result<Content<'_>>;
}

/// Something the source says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offer {
    /// A list is complete, in wire order. Sort it, drop duplicates, add it to [`Offers::lists`], share it.
    List(Received),
    /// No further list will come. Without incremental recursion it follows the one list at once.
    ListsEnd,
    /// A request's answer: an item that was asked for, repeated by the source.
    Item {
        /// Which entry.
        index: u32,
        /// What the request said.
        item: Item,
        /// The entry's attributes, if values of them came with it.
        xattrs: Option<Arc<XattrSet>>,
    },
    /// The source cannot send what was requested.
    NoSend(u32),
    /// The source had I/O errors, to be counted and minded before deletions.
    IoErrors(IoErrors),
    /// The end of a list's answers, or of a phase.
    Done,
    /// The run is over: nothing follows the last [`Offer::Done`].
    End,
}

/// A list, and what came to be known with it.
#[derive(Debug)]
pub struct Received {
    /// The list.
    pub list: FileList,
    /// Under incremental recursion the number of the directory it belongs to, and that directory's entry, which answers
    /// to the index before the list's first. None for the first list.
    pub directory: Option<(u32, FileEntry)>,
    /// Names of all users and groups heard of so far. Entries hold the source's numbers; map them when they are used.
    pub names: Arc<IdNames>,
}

/// Where one file's new content comes from.
#[derive(Debug)]
pub enum Content<'a> {
    /// From the connection.
    Tokens(&'a mut dyn Tokens),
    /// From a file of this machine, opened by the local short cut; with the basis' blocks where only differences count.
    File(&'a syncline_fs::SourceFile, Option<&'a SearchIndex>),
}

impl Content<'_> {
    /// Reads to the end; nothing is kept.
    pub fn discard(&mut self) -> Result<()> {
        let Content::Tokens(tokens) = self else { return Ok(()) };
        let head = tokens.head();
        loop {
            let length = match tokens.next()? {
                Token::Data(_) => continue,
                Token::Block(block) => head.length_of(block),
                Token::End => break,
            };
            if tokens.wants_blocks() {
                tokens.saw_block(&vec![0; length as usize]);
            }
        }
        tokens.digest().map(drop)
    }
}

/// One file's content as literal data and blocks of the basis (docs/spec delta.md 7 to 9).
pub trait Tokens: std::fmt::Debug {
    /// The signature's shape, repeated by the source: how long each block is.
    fn head(&self) -> SumHead;

    /// The next token.
    fn next(&mut self) -> Result<Token<'_>>;

    /// Whether the data of each block must be told through [`Tokens::saw_block`] before the next token is asked for.
    fn wants_blocks(&self) -> bool;

    /// The data of the block just named, for the compressor's history. Where the basis cannot be read any more,
    /// zeros of the block's length keep the stream in step.
    fn saw_block(&mut self, data: &[u8]);

    /// Bytes that came from the peer so far, compressed as they were; differences tell what a file took.
    fn received(&self) -> u64;

    /// The digest of the whole new content; to be taken once, after [`Token::End`].
    fn digest(&mut self) -> Result<Vec<u8>>;
}

/// The writing half: what the generator says to the source.
pub trait Requests: Send {
    /// Asks for, or reports, one item.
    fn item(&mut self, request: &Request<'_>) -> Result<()>;

    /// What is to happen with an entry is decided: it has been asked for by now, or is not wanted.
    fn decided(&mut self, _index: u32) {}

    /// Ends a list's requests, a phase, or the run (docs/spec session.md 11.1).
    fn done(&mut self) -> Result<()>;

    /// What was deleted: regular files, directories, symlinks, devices, specials. Not sent to versions without it.
    fn delete_stats(&mut self, counts: [u32; 5]) -> Result<()>;

    /// The entry is in place: a source that is to be removed may be (`--remove-source-files`).
    fn success(&mut self, index: u32) -> Result<()>;

    /// Makes sure that what was said is on its way. To be called before waiting for anything.
    fn flush(&mut self) -> Result<()>;
}

/// What the generator asks for or reports about one entry.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which entry.
    pub index: u32,
    /// What differs, and what is to happen.
    pub item: &'a Item,
    /// Numbers of the attributes whose values are wanted.
    pub values: &'a [u32],
    /// What the source may leave out; minded only where the item is a transfer and the run is not dry.
    pub basis: Sums<'a>,
}

/// What the sink has of a file already.
#[derive(Clone, Copy, Debug)]
pub enum Sums<'a> {
    /// Nothing: everything is sent.
    Nothing,
    /// The file's beginning, of the length this header describes (`--append`).
    Prefix(SumHeader),
    /// Blocks to refer to.
    Blocks(SumHeader, &'a Signature),
}
