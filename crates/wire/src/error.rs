//! What can be wrong with a peer's bytes.

use std::io;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A violation of the protocol, or a failure of the byte source below it.
///
/// The text is stock's text for the same fault, without its role tag (docs/spec session.md 15,
/// filelist.md 16), so that operators find what they know; [`Error::class`] tells the exit code's
/// family.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The byte source failed.
    #[error("read error: {0}")]
    Io(#[source] io::Error),
    /// The stream ended where more was required.
    #[error("connection unexpectedly closed")]
    Closed,
    /// First byte of a varint announced more than four further bytes.
    #[error("Overflow in read_varint()")]
    VarintOverflow,
    /// A varlong announced more than nine bytes.
    #[error("Overflow in read_varlong()")]
    VarlongOverflow,
    /// A version number outside of what any peer sends.
    #[error("protocol version mismatch -- is your shell clean?")]
    VersionMismatch {
        /// The number received.
        remote: i32,
    },
    /// The negotiated version is one this crate does not speak.
    #[error("protocol version {0} is not supported (27 to 32 are)")]
    VersionUnsupported(u8),
    /// A number outside its documented interval.
    #[error("wire value {what} out of range: {value} not in [{low},{high}]")]
    OutOfRange {
        /// Stock's name of the field.
        what: &'static str,
        /// What was received.
        value: i64,
        /// Smallest legal value.
        low: i64,
        /// Largest legal value.
        high: i64,
    },
    /// A length beyond its limit.
    #[error("wire size {what} out of range: {value} > {limit}")]
    SizeOutOfRange {
        /// Stock's name of the field.
        what: &'static str,
        /// What was received.
        value: i64,
        /// Largest legal value.
        limit: i64,
    },
    /// A length-prefixed string longer than its reader allows.
    #[error("over-long vstring received ({length} > {limit})")]
    VstringTooLong {
        /// Announced length.
        length: usize,
        /// Longest legal length.
        limit: usize,
    },
    /// A text line, word or name that exceeds its limit.
    #[error("{what} exceeds {limit} bytes")]
    LineTooLong {
        /// What was being read.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// A list of words with more words than the protocol allows.
    #[error("too many {what} (limit {limit})")]
    TooMany {
        /// What was being read.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// A message whose length does not fit its tag, or whose tag may not cross the network.
    #[error("invalid multi-message {tag}:{length}")]
    InvalidMessage {
        /// The message's tag.
        tag: i32,
        /// Its payload length.
        length: usize,
    },
    /// A tag nobody defined.
    #[error("unexpected tag {0}")]
    UnexpectedTag(i32),
    /// A text message longer than the protocol allows.
    #[error("multiplexing overflow {tag}:{length}")]
    MessageOverflow {
        /// The message's tag.
        tag: i32,
        /// Its payload length.
        length: usize,
    },
    /// The multiplexed stream was to be left while a frame was half read.
    #[error("multiplexing ended inside a data frame")]
    FrameInterrupted,
    /// An index above 2^31-1 after decoding.
    #[error("Invalid file index: {0}")]
    IndexOverflow(u64),
    /// An index or control number that is not allowed here.
    #[error("Invalid file index: {index} (-1 - {last})")]
    InvalidIndex {
        /// The number received.
        index: i32,
        /// Last index in use.
        last: i64,
    },
    /// An index in none of the live lists.
    #[error("File-list index {index} not in {first} - {last}")]
    IndexOutOfRange {
        /// The number received.
        index: i32,
        /// Start of the oldest list minus one.
        first: i64,
        /// Last index of the newest list.
        last: i64,
    },
    /// A list announced for an unknown directory.
    #[error("Invalid dir index: {index} (-101 - {last})")]
    InvalidDirectory {
        /// The number received.
        index: i32,
        /// The last legal number.
        last: i64,
    },
    /// A second list for one directory.
    #[error("rsync: refusing malicious duplicate flist for dir {0}")]
    DuplicateList(u32),
    /// A list for a directory that was dropped as a duplicate.
    #[error("rsync: refusing flist for cleared dir_ndx {0}")]
    ClearedDirectory(u32),
    /// A list announced after the last one was released or after the end of lists.
    #[error("rsync: refusing sub-flist after final flist was freed")]
    ListAfterEnd,
    /// An index that names a dropped entry.
    #[error("rsync: refusing transfer of cleared file index {0}")]
    ClearedIndex(u32),
    /// Prefix and suffix of a name exceed the longest path.
    #[error("overflow: xflags=0x{flags:x} l1={prefix} l2={suffix} lastname={last}")]
    NameOverflow {
        /// Entry flags.
        flags: u32,
        /// Shared prefix length.
        prefix: usize,
        /// Suffix length.
        suffix: i64,
        /// The name before this one.
        last: String,
    },
    /// A prefix longer than the name it is taken from.
    #[error("name prefix of {prefix} bytes exceeds the previous name of {length}")]
    PrefixOverflow {
        /// Announced prefix length.
        prefix: usize,
        /// Length of the previous name.
        length: usize,
    },
    /// A link target that is too long.
    #[error("overflow: linkname_len={0}")]
    LinkOverflow(i64),
    /// A name that would leave the tree.
    #[error("ABORTING due to unsafe pathname from sender: {0}")]
    UnsafePath(String),
    /// A name with a NUL in it.
    #[error("file name from sender contains a NUL: {0}")]
    NulInName(String),
    /// An entry outside the directory its list was announced for, or without a parent in the list.
    #[error("ABORTING due to invalid path from sender: {path}")]
    InvalidParent {
        /// The entry's path.
        path: String,
        /// Whether the list is one of an incremental series.
        incremental: bool,
    },
    /// A hard-link reference that points at nothing before it.
    #[error("hard-link reference out of range: {reference} ({limit})")]
    HardLinkOutOfRange {
        /// What was received.
        reference: i64,
        /// The index of the entry itself.
        limit: i64,
    },
    /// A hard-link group from an earlier list that nobody opened.
    #[error("hard-link gnum {group} precedes flist start {start}")]
    HardLinkUnknown {
        /// The group number.
        group: u32,
        /// First index of the current list.
        start: u32,
    },
    /// Type bits that name no file type.
    #[error("invalid file mode 0{mode:o} for {name}")]
    InvalidMode {
        /// What was received.
        mode: u32,
        /// The entry's name.
        name: String,
    },
    /// A negative file size.
    #[error("Offset underflow: file-length is negative")]
    NegativeSize,
    /// The transfer root is not a directory.
    #[error("ERROR: rejecting non-directory transfer-root entry: {0}")]
    RootNotDirectory(String),
    /// The error end-of-list marker on a connection that never agreed on it.
    #[error("Invalid flist flag: {0:x}")]
    InvalidListFlag(u32),
    /// More entries or name bytes than a list can hold.
    #[error("file list has grown too large to expand")]
    ListTooLarge,
    /// A reference to an ACL that was never sent.
    #[error("recv_acl_index: {kind} ACL index {index} > {count}")]
    AclIndex {
        /// `ACL_TYPE_ACCESS` or `ACL_TYPE_DEFAULT`.
        kind: &'static str,
        /// What was received.
        index: i64,
        /// How many are known.
        count: usize,
    },
    /// An ACL permission above 7.
    #[error("recv_acl_access: value out of range: {0:x}")]
    AclPermission(u32),
    /// A reference to an attribute set that was never sent.
    #[error("receive_xattr: xa index {0} out of range")]
    XattrIndex(i64),
    /// One attribute value is too long.
    #[error("xattr datum_len exceeds per-value limit")]
    XattrValueTooLong,
    /// One set of attributes is too long.
    #[error("xattr list exceeds per-file limit")]
    XattrSetTooLong,
    /// An attribute name without its terminating NUL.
    #[error("Invalid xattr name received (missing trailing \\0).")]
    XattrName,
    /// A request or reply for an attribute the set does not have.
    #[error("could not find xattr #{0}")]
    XattrNumber(i64),
    /// A request or reply for a value that is not outstanding.
    #[error("internal abbrev error on {0}")]
    XattrNotAbbreviated(String),
    /// The sum of attribute number differences leaves 32 bits.
    #[error("xattr rel_pos accumulation overflow")]
    XattrOverflow,
    /// `count` of a sum head is negative.
    #[error("Invalid checksum count {0}")]
    SumCount(i32),
    /// Block length of a sum head is outside the version's bounds.
    #[error("Invalid block length {0}")]
    BlockLength(i32),
    /// Blocks of length zero.
    #[error("Invalid zero block length")]
    ZeroBlockLength,
    /// Strong-sum length beyond the digest.
    #[error("Invalid checksum length {0}")]
    SumLength(i32),
    /// Last block longer than a block.
    #[error("Invalid remainder length {0}")]
    Remainder(i32),
    /// A block token beyond the signature.
    #[error("Invalid block index {index} (count={count})")]
    BlockIndex {
        /// What was received.
        index: u32,
        /// Number of blocks.
        count: u32,
    },
    /// A malformed token in a compressed stream.
    #[error("invalid token number in compressed stream")]
    InvalidToken,
    /// A compressor or decompressor refused its input.
    #[error("{method} failed: {detail}")]
    Decompress {
        /// `deflate`, `zstd` or `lz4`.
        method: &'static str,
        /// What it said.
        detail: String,
    },
    /// The peer closed or overran the line instead of greeting.
    #[error("did not see server greeting")]
    NoGreeting,
    /// The first line is no greeting.
    #[error("server sent \"{0}\" rather than greeting")]
    NotGreeting(String),
    /// Version 30 or later without a sub-version.
    #[error("the server omitted the subprotocol value: {0}")]
    NoSubprotocol(String),
    /// Version 32 or later without a digest list.
    #[error("the server omitted the digest name list: {0}")]
    NoDigests(String),
    /// No algorithm in common.
    #[error("Failed to negotiate a {what} choice.")]
    Negotiation {
        /// `checksum` or `compress`.
        what: &'static str,
    },
    /// An algorithm name nobody knows.
    #[error("unknown {what} name: {name}")]
    UnknownAlgorithm {
        /// `checksum` or `compress`.
        what: &'static str,
        /// The name given.
        name: String,
    },
    /// A filter rule beyond the frame's limit.
    #[error("buffer overflow: recv_rules ({0} bytes)")]
    FilterRuleTooLong(u32),
    /// `#early_input=` with a bad length.
    #[error("invalid early_input length")]
    EarlyInput,
    /// A batch file from a newer program.
    #[error("The protocol version in the batch file is too new ({found} > {own}).")]
    BatchTooNew {
        /// Version in the file.
        found: i32,
        /// Newest version known here.
        own: u8,
    },
    /// A transfer request after the redo phase.
    #[error("got transfer request in phase 2")]
    TransferInLastPhase,
    /// A PROXY protocol header that must be refused.
    #[error("invalid PROXY protocol header")]
    ProxyHeader,
}

/// Which family of exit codes an [`Error`] belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The peer broke the protocol (2).
    Protocol,
    /// The peer asked for what we refuse or do not have (4).
    Unsupported,
    /// The daemon handshake failed (5).
    Handshake,
    /// The transport failed (10).
    Transport,
    /// Stored data cannot be used (11).
    File,
    /// The data stream cannot be decoded, or ended early (12).
    Stream,
    /// A bound on memory was exceeded (22).
    Memory,
}

impl Error {
    /// The family of exit codes stock uses for this fault.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io(_) => ErrorClass::Transport,
            Self::Closed
            | Self::VarintOverflow
            | Self::VarlongOverflow
            | Self::InvalidMessage { .. }
            | Self::UnexpectedTag(_)
            | Self::MessageOverflow { .. }
            | Self::FrameInterrupted
            | Self::AclIndex { .. }
            | Self::AclPermission(_)
            | Self::XattrIndex(_)
            | Self::Decompress { .. } => ErrorClass::Stream,
            Self::InvalidParent { incremental: true, .. }
            | Self::UnsafePath(_)
            | Self::NegativeSize
            | Self::Negotiation { .. }
            | Self::UnknownAlgorithm { .. } => ErrorClass::Unsupported,
            Self::NoGreeting
            | Self::NotGreeting(_)
            | Self::NoSubprotocol(_)
            | Self::NoDigests(_)
            | Self::EarlyInput
            | Self::ProxyHeader => ErrorClass::Handshake,
            Self::XattrName => ErrorClass::File,
            Self::NameOverflow { .. }
            | Self::LinkOverflow(_)
            | Self::ListTooLarge
            | Self::FilterRuleTooLong(_) => ErrorClass::Memory,
            _ => ErrorClass::Protocol,
        }
    }
}

impl From<io::Error> for Error {
    /// Unwraps an [`Error`] that travelled through [`std::io::Read`], as the demultiplexer's do.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(inner) => inner,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Err(error) => Self::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(inner) => inner,
            Error::Closed => io::ErrorKind::UnexpectedEof.into(),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// A peer's bytes as text for an error message.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
