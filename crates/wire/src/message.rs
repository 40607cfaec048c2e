//! Messages between data frames (docs/spec session.md 7.3).

use std::ops::BitOr;

use crate::multiplex::FrameHeader;
use crate::{Error, Protocol, Result, WireWrite};

/// Longest payload of any frame that is not data.
pub const MESSAGE_MAX: usize = 5119;

/// Longest text that peers of protocol 27 to 29 take.
const OLD_TEXT_MAX: usize = 1023;

/// Where a text message belongs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TextKind {
    /// An error that makes the run partial (exit 23).
    TransferError,
    /// Ordinary output.
    Info,
    /// An error.
    Error,
    /// A warning.
    Warning,
}

/// What went wrong while a list was built or files were sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct IoErrors(u8);

impl IoErrors {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A general I/O error.
    pub const GENERAL: Self = Self(1);
    /// A file vanished.
    pub const VANISHED: Self = Self(2);
    /// Deletions were stopped by their limit.
    pub const DELETE_LIMIT: Self = Self(4);

    /// From the wire; bits nobody defined are dropped.
    pub fn from_bits(bits: i32) -> Self {
        Self((bits & 7) as u8)
    }

    /// For the wire.
    pub fn bits(self) -> i32 {
        self.0.into()
    }

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for IoErrors {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A frame that is not file data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// An empty data frame, or the no-op of 3.0 peers when `answer` is set: a sender answers that
    /// one with an empty data frame (session.md 13.2).
    KeepAlive {
        /// Whether a sender owes an answer.
        answer: bool,
    },
    /// Output of the server for the client's user. Untrusted bytes, newline included.
    Text {
        /// Its channel.
        kind: TextKind,
        /// The bytes.
        text: Vec<u8>,
    },
    /// The sender's I/O-error state grew.
    IoError(IoErrors),
    /// The daemon's timeout in seconds; a client alone may act on it, and on 1 to 86400 only.
    IoTimeout(i32),
    /// The peer is about to exit with this code; `None` acknowledges ours.
    ErrorExit(Option<i32>),
    /// The file is in place: the source may be removed.
    Success(u32),
    /// The server deleted this name.
    Deleted {
        /// Path below the destination.
        name: Vec<u8>,
        /// Whether it was a directory.
        directory: bool,
    },
    /// The sender cannot send this file.
    NoSend(u32),
}

impl Message {
    /// The message in a frame's payload. Data frames are not messages, save the empty one.
    pub fn decode(header: FrameHeader, payload: &[u8]) -> Result<Self> {
        let tag = header.tag();
        let invalid = || Error::InvalidMessage { tag: i32::from(tag), length: payload.len() };
        let number = || <[u8; 4]>::try_from(payload).map(i32::from_le_bytes).map_err(|_| invalid());
        let index = || match number()? {
            index @ 0.. => Ok(index as u32),
            negative => Err(Error::InvalidIndex { index: negative, last: -1 }),
        };
        let text = |kind| Ok(Self::Text { kind, text: payload.to_vec() });
        match tag {
            tag::DATA if payload.is_empty() => Ok(Self::KeepAlive { answer: false }),
            tag::ERROR_XFER => text(TextKind::TransferError),
            tag::INFO => text(TextKind::Info),
            tag::ERROR => text(TextKind::Error),
            tag::WARNING => text(TextKind::Warning),
            tag::IO_ERROR => Ok(Self::IoError(IoErrors::from_bits(number()?))),
            tag::IO_TIMEOUT => Ok(Self::IoTimeout(number()?)),
            tag::NOOP if payload.is_empty() => Ok(Self::KeepAlive { answer: true }),
            tag::ERROR_EXIT if payload.is_empty() => Ok(Self::ErrorExit(None)),
            tag::ERROR_EXIT => Ok(Self::ErrorExit(Some(number()?))),
            tag::SUCCESS => Ok(Self::Success(index()?)),
            tag::DELETED => Ok(match payload.split_last() {
                Some((0, name)) => Self::Deleted { name: name.to_vec(), directory: true },
                _ => Self::Deleted { name: payload.to_vec(), directory: false },
            }),
            tag::NO_SEND => Ok(Self::NoSend(index()?)),
            _ => Err(invalid()),
        }
    }

    /// Appends the message as frames a peer of this version understands. Long text is cut into
    /// several, errors and warnings take the old tags below protocol 30; `false` if that version
    /// has no form for it.
    pub fn encode(&self, out: &mut Vec<u8>, protocol: Protocol) -> bool {
        let tag = match (self, protocol.has_message(tag::ERROR)) {
            (Self::Text { kind: TextKind::Error, .. }, false) => tag::ERROR_XFER,
            (Self::Text { kind: TextKind::Warning, .. }, false) => tag::INFO,
            _ => self.tag(),
        };
        if !protocol.has_message(tag) {
            return false;
        }
        match self {
            Self::KeepAlive { .. } | Self::ErrorExit(None) => put_frame(out, tag, &[]),
            Self::Text { text, .. } => {
                let limit = if protocol.has_varints() { MESSAGE_MAX } else { OLD_TEXT_MAX };
                let (first, rest) = text.split_at(text.len().min(limit));
                put_frame(out, tag, first);
                rest.chunks(limit).for_each(|chunk| put_frame(out, tag, chunk));
            }
            Self::IoError(errors) => put_frame(out, tag, &errors.bits().to_le_bytes()),
            Self::IoTimeout(number) | Self::ErrorExit(Some(number)) => {
                put_frame(out, tag, &number.to_le_bytes());
            }
            Self::Success(index) | Self::NoSend(index) => {
                put_frame(out, tag, &index.to_le_bytes());
            }
            Self::Deleted { name, directory } => {
                let mut payload = name.clone();
                payload.extend(directory.then_some(0));
                if payload.len() > MESSAGE_MAX {
                    return false;
                }
                put_frame(out, tag, &payload);
            }
        }
        true
    }

    fn tag(&self) -> u8 {
        match self {
            Self::KeepAlive { answer: false } => tag::DATA,
            Self::KeepAlive { answer: true } => tag::NOOP,
            Self::Text { kind, .. } => match kind {
                TextKind::TransferError => tag::ERROR_XFER,
                TextKind::Info => tag::INFO,
                TextKind::Error => tag::ERROR,
                TextKind::Warning => tag::WARNING,
            },
            Self::IoError(_) => tag::IO_ERROR,
            Self::IoTimeout(_) => tag::IO_TIMEOUT,
            Self::ErrorExit(_) => tag::ERROR_EXIT,
            Self::Success(_) => tag::SUCCESS,
            Self::Deleted { .. } => tag::DELETED,
            Self::NoSend(_) => tag::NO_SEND,
        }
    }
}

/// Message tags; session.md 7.3.
pub(crate) mod tag {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const ERROR_XFER: u8 = 1;
    pub(crate) const INFO: u8 = 2;
    pub(crate) const ERROR: u8 = 3;
    pub(crate) const WARNING: u8 = 4;
    pub(crate) const ERROR_SOCKET: u8 = 5;
    pub(crate) const STATS: u8 = 10;
    pub(crate) const IO_ERROR: u8 = 22;
    pub(crate) const IO_TIMEOUT: u8 = 33;
    pub(crate) const NOOP: u8 = 42;
    pub(crate) const ERROR_EXIT: u8 = 86;
    pub(crate) const SUCCESS: u8 = 100;
    pub(crate) const DELETED: u8 = 101;
    pub(crate) const NO_SEND: u8 = 102;
}

fn put_frame(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    out.put(&FrameHeader::new(tag, payload.len()).encode());
    out.put(payload);
}
