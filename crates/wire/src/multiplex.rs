//! Frames: file data and messages on one stream (docs/spec session.md 7).

use std::io::{self, BufRead, IoSlice, Read, Write};

use crate::message::{MESSAGE_MAX, Message, tag};
use crate::{Error, Protocol, Result, WireRead};

/// Longest data frame that is written. Peers accept 24 bits; stock writes at most this.
const DATA_MAX: usize = 65532;

/// Output is handed down once this much has gathered.
const WRITE_SIZE: usize = 64 * 1024;

/// The four bytes before every frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    tag: u8,
    length: usize,
}

impl FrameHeader {
    /// Size of a header on the wire.
    pub const SIZE: usize = 4;

    pub(crate) fn new(tag: u8, length: usize) -> Self {
        Self { tag, length }
    }

    /// Checks tag and length as far as the tag alone decides it.
    pub fn decode([low, middle, high, top]: [u8; Self::SIZE]) -> Result<Self> {
        let tag = i32::from(top as i8) - 7;
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let own = u8::try_from(tag).map_err(|_| Error::UnexpectedTag(tag))?;
        let fixed: &[usize] = match own {
            tag::DATA => return Ok(Self::new(own, length)),
            tag::ERROR_XFER..=tag::WARNING | tag::DELETED if length <= MESSAGE_MAX => {
                return Ok(Self::new(own, length));
            }
            tag::ERROR_XFER..=tag::WARNING | tag::DELETED => {
                return Err(Error::MessageOverflow { tag, length });
            }
            tag::IO_ERROR | tag::IO_TIMEOUT | tag::SUCCESS | tag::NO_SEND => &[4],
            tag::NOOP => &[0],
            tag::ERROR_EXIT => &[0, 4],
            tag::ERROR_SOCKET..=tag::STATS => &[],
            _ => return Err(Error::UnexpectedTag(tag)),
        };
        if fixed.contains(&length) {
            Ok(Self::new(own, length))
        } else {
            Err(Error::InvalidMessage { tag, length })
        }
    }

    /// The header's bytes.
    pub fn encode(self) -> [u8; Self::SIZE] {
        let [low, middle, high, _] = (self.length as u32).to_le_bytes();
        [low, middle, high, self.tag + 7]
    }

    /// Which kind of frame follows; 0 is data.
    pub fn tag(self) -> u8 {
        self.tag
    }

    /// Length of the payload that follows.
    pub fn length(self) -> usize {
        self.length
    }

    /// Whether the frame holds file data.
    pub fn is_data(self) -> bool {
        self.tag == tag::DATA
    }
}

/// Takes the messages a [`Demultiplexer`] meets. It must not read from the same stream (session.md
/// 7, traps).
pub trait MessageSink {
    /// One message; an error ends the read in progress with it.
    fn message(&mut self, message: Message) -> Result<()>;
}

impl<F: FnMut(Message) -> Result<()>> MessageSink for F {
    fn message(&mut self, message: Message) -> Result<()> {
        self(message)
    }
}

/// The data of a multiplexed stream as a plain byte source; messages go to the sink as they are
/// met.
///
/// It starts raw, passing bytes through; [`Demultiplexer::start`] begins frames.
///
/// ```
/// use syncline_wire::{Demultiplexer, Message, WireRead};
///
/// let wire: &[u8] = b"\x02\0\0\x07ab\x03\0\0\x09hi\n\x01\0\0\x07c";
/// let mut messages = Vec::new();
/// let mut data = Demultiplexer::new(wire, |message| {
///     messages.push(message);
///     Ok(())
/// });
/// data.start();
/// assert_eq!(data.read_vec(3)?, b"abc");
/// drop(data);
/// assert!(matches!(&messages[..], [Message::Text { text, .. }] if text == b"hi\n"));
/// # Ok::<(), syncline_wire::Error>(())
/// ```
#[derive(Debug)]
pub struct Demultiplexer<R, S> {
    inner: R,
    sink: S,
    framed: bool,
    /// Bytes of the current data frame that were not consumed yet.
    remaining: usize,
    received: u64,
    /// Where a copy of the data goes, and why it no longer does.
    tap: Option<Tap>,
    failed: Option<io::Error>,
}

/// Takes a copy of what is read.
struct Tap(Box<dyn Write + Send>);

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap")
    }
}

impl<R: BufRead, S: MessageSink> Demultiplexer<R, S> {
    /// A stream that is still raw.
    pub fn new(inner: R, sink: S) -> Self {
        Self { inner, sink, framed: false, remaining: 0, received: 0, tap: None, failed: None }
    }

    /// From the next byte on all data read is written to `tap` too, without frames and messages.
    pub fn set_tap(&mut self, tap: Box<dyn Write + Send>) {
        self.tap = Some(Tap(tap));
    }

    /// From the next byte on the stream consists of frames.
    pub fn start(&mut self) {
        self.framed = true;
    }

    /// From the next byte on the stream is raw (files-from at protocol 30; session.md 9).
    pub fn stop(&mut self) -> Result<()> {
        if self.remaining > 0 {
            return Err(Error::FrameInterrupted);
        }
        self.framed = false;
        Ok(())
    }

    /// Bytes taken from the inner stream, headers included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The inner stream.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Gives the inner stream and the sink back.
    pub fn into_parts(self) -> (R, S) {
        (self.inner, self.sink)
    }

    /// Reads one frame header and, if it is a message's, the message. `false` at the end of the
    /// stream.
    fn next_frame(&mut self) -> Result<bool> {
        loop {
            match self.inner.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let header = FrameHeader::decode(self.inner.read_bytes()?)?;
        self.received += FrameHeader::SIZE as u64;
        if header.is_data() && header.length() > 0 {
            self.remaining = header.length();
            return Ok(true);
        }
        let payload = self.inner.read_vec(header.length())?;
        self.received += payload.len() as u64;
        self.sink.message(Message::decode(header, &payload)?)?;
        Ok(true)
    }
}

impl<R: BufRead, S: MessageSink> BufRead for Demultiplexer<R, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if !self.framed {
            return self.inner.fill_buf();
        }
        while self.remaining == 0 {
            if !self.next_frame()? {
                return Ok(&[]);
            }
        }
        let available = self.inner.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(available.get(..self.remaining).unwrap_or(available))
    }

    fn consume(&mut self, amount: usize) {
        if let Some(Tap(tap)) = &mut self.tap
            && let Ok(data) = self.inner.fill_buf()
            && let Err(error) = tap.write_all(data.get(..amount).unwrap_or(data))
        {
            self.failed = Some(error);
        }
        self.inner.consume(amount);
        self.received += amount as u64;
        if self.framed {
            self.remaining = self.remaining.saturating_sub(amount);
        }
    }
}

impl<R: BufRead, S: MessageSink> Read for Demultiplexer<R, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..amount), available.get(..amount)) {
            to.copy_from_slice(from);
        }
        self.consume(amount);
        Ok(amount)
    }
}

/// Wraps written data in frames and puts messages between them, in the order of the calls.
///
/// Output is gathered; [`Write::flush`] passes everything down in one write. It starts raw, without
/// frames; [`Multiplexer::start`] begins them. Messages and keep-alives on a raw stream are
/// dropped: they have no form there.
#[derive(Debug)]
pub struct Multiplexer<W> {
    inner: W,
    protocol: Protocol,
    framed: bool,
    /// Finished frames, then the open one.
    buffer: Vec<u8>,
    /// Where the open data frame's header stands in `buffer`.
    open: Option<usize>,
    sent: u64,
}

impl<W: Write> Multiplexer<W> {
    /// A stream that is still raw.
    pub fn new(inner: W, protocol: Protocol) -> Self {
        let buffer = Vec::with_capacity(WRITE_SIZE + FrameHeader::SIZE);
        Self { inner, protocol, framed: false, buffer, open: None, sent: 0 }
    }

    /// Flushes, then writes frames.
    pub fn start(&mut self) -> io::Result<()> {
        self.flush()?;
        self.framed = true;
        Ok(())
    }

    /// Encodes messages as this version has them from here on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Flushes, then writes raw bytes (files-from at protocol 30; session.md 9).
    pub fn stop(&mut self) -> io::Result<()> {
        self.flush()?;
        self.framed = false;
        Ok(())
    }

    /// Whether messages can be sent.
    pub fn is_framed(&self) -> bool {
        self.framed
    }

    /// Appends a message behind the data written so far. `false` if this stream has no form for it.
    pub fn message(&mut self, message: &Message) -> io::Result<bool> {
        if !self.framed {
            return Ok(false);
        }
        self.close_frame();
        let encoded = message.encode(&mut self.buffer, self.protocol);
        if self.buffer.len() >= WRITE_SIZE {
            self.write_buffer()?;
        }
        Ok(encoded)
    }

    /// Bytes passed down or gathered, headers included.
    pub fn sent(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    /// Whether nothing is waiting for a flush.
    pub fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The inner stream.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Gives the inner stream back; what was not flushed is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Writes `bytes` behind everything that was written so far and passes all of it down, without a copy of what fits
    /// into one frame.
    pub fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.framed || bytes.len() > DATA_MAX || self.buffer.len() >= WRITE_SIZE {
            self.write_all(bytes)?;
            return self.flush();
        }
        if bytes.is_empty() {
            return self.flush();
        }
        self.close_frame();
        self.buffer.extend_from_slice(&FrameHeader::new(tag::DATA, bytes.len()).encode());
        let all = self.buffer.len() + bytes.len();
        let mut written = 0;
        while written < all {
            let head = self.buffer.get(written..).unwrap_or(&[]);
            let rest = bytes.get(written.saturating_sub(self.buffer.len())..).unwrap_or(&[]);
            match self.inner.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent += all as u64;
        self.buffer.clear();
        self.inner.flush()
    }

    fn close_frame(&mut self) {
        let Some(start) = self.open.take() else { return };
        let body = start + FrameHeader::SIZE;
        let header = FrameHeader::new(tag::DATA, self.buffer.len() - body).encode();
        if let Some(place) = self.buffer.get_mut(start..body) {
            place.copy_from_slice(&header);
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.close_frame();
        self.inner.write_all(&self.buffer)?;
        self.sent += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for Multiplexer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.buffer.len() >= WRITE_SIZE {
            self.write_buffer()?;
        }
        let room = if self.framed {
            let start = *self.open.get_or_insert_with(|| {
                let start = self.buffer.len();
                self.buffer.extend_from_slice(&[0; FrameHeader::SIZE]);
                start
            });
            let used = self.buffer.len() - start - FrameHeader::SIZE;
            (WRITE_SIZE.saturating_sub(self.buffer.len())).min(DATA_MAX - used).max(1)
        } else {
            WRITE_SIZE - self.buffer.len()
        };
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{IoErrors, TextKind};

    fn collect(wire: &[u8]) -> Result<(Vec<u8>, Vec<Message>)> {
        let mut messages = Vec::new();
        let mut data = Vec::new();
        let mut input = Demultiplexer::new(wire, |message| {
            messages.push(message);
            Ok(())
        });
        input.start();
        input.read_to_end(&mut data)?;
        Ok((data, messages))
    }

    /// Takes a few bytes at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.get(..5).unwrap_or(bytes);
            self.0.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_through_stands_behind_what_was_gathered_in_a_frame_of_its_own() {
        let mut output = Multiplexer::new(Slow(Vec::new()), Protocol::NEWEST);
        output.write_through(b"raw").unwrap();
        output.start().unwrap();
        output.write_all(b"gathered").unwrap();
        output.write_through(b"through").unwrap();
        output.write_through(b"").unwrap();
        assert!(output.is_flushed());
        assert_eq!(output.sent(), 3 + 4 + 8 + 4 + 7);
        let long = vec![7; DATA_MAX + 1];
        output.write_through(&long).unwrap();
        let wire = output.into_inner().0;
        assert_eq!(&wire[..26], b"raw\x08\0\0\x07gathered\x07\0\0\x07through");
        let (data, _) = collect(&wire[3..]).unwrap();
        assert_eq!(data, [b"gatheredthrough", &long[..]].concat());
    }

    #[test]
    fn documented_frames_are_read() {
        let wire = b"\x04\0\0\x07\0\0\0\0\x06\0\0\x09hello\n\0\0\0\x07\x04\0\0\x28\x07\0\0\0\x04\0\0\x5d\x14\0\0\0\0\0\0\x5d\x08\0\0\x6cold/sub\0";
        let (data, messages) = collect(wire).unwrap();
        assert_eq!(data, [0; 4]);
        assert_eq!(
            messages,
            [
                Message::Text { kind: TextKind::Info, text: b"hello\n".to_vec() },
                Message::KeepAlive { answer: false },
                Message::IoTimeout(7),
                Message::ErrorExit(Some(20)),
                Message::ErrorExit(None),
                Message::Deleted { name: b"old/sub".to_vec(), directory: true },
            ]
        );
    }

    #[test]
    fn malformed_frames_are_refused_with_stocks_words() {
        for (wire, text) in [
            (&b"\x03\0\0\x1d..."[..], "invalid multi-message 22:3"),
            (b"\x04\0\0\x10....", "invalid multi-message 9:4"),
            (b"\0\0\0\0", "unexpected tag -7"),
            (b"\0\0\0\xff", "unexpected tag -8"),
            (b"\0\x14\0\x09", "multiplexing overflow 2:5120"),
            (b"\x05\0\0\x07ab", "connection unexpectedly closed"),
            (b"\x05\0", "connection unexpectedly closed"),
        ] {
            assert_eq!(collect(wire).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn old_peers_get_old_tags_and_short_texts() {
        let error = Message::Text { kind: TextKind::Error, text: vec![b'x'; 2000] };
        let mut out = Vec::new();
        assert!(error.encode(&mut out, Protocol::new(29).unwrap()));
        assert_eq!(out.get(..4).unwrap(), [0xff, 0x03, 0x00, 0x08]);
        assert_eq!(out.len(), 2000 + 2 * FrameHeader::SIZE);
        assert!(!Message::ErrorExit(None).encode(&mut out, Protocol::new(30).unwrap()));
    }

    #[test]
    fn a_stream_can_leave_and_reenter_framing_between_frames_only() {
        let mut input = Demultiplexer::new(&b"\x02\0\0\x07abraw\x01\0\0\x07c"[..], |_| Ok(()));
        input.start();
        assert_eq!(input.read_u8().unwrap(), b'a');
        assert!(input.stop().is_err());
        assert_eq!(input.read_u8().unwrap(), b'b');
        input.stop().unwrap();
        assert_eq!(input.read_vec(3).unwrap(), b"raw");
        input.start();
        assert_eq!(input.read_u8().unwrap(), b'c');
        assert_eq!(input.received(), 14);
    }

    fn message() -> impl Strategy<Value = Message> {
        let bytes = || proptest::collection::vec(1..=255_u8, 0..40);
        prop_oneof![
            any::<bool>().prop_map(|answer| Message::KeepAlive { answer }),
            (bytes(), 0..4_usize).prop_map(|(text, kind)| {
                let kinds =
                    [TextKind::TransferError, TextKind::Info, TextKind::Error, TextKind::Warning];
                Message::Text { kind: kinds[kind], text: [&text[..], b"\n"].concat() }
            }),
            (0..8).prop_map(|bits| Message::IoError(IoErrors::from_bits(bits))),
            any::<i32>().prop_map(Message::IoTimeout),
            any::<Option<i32>>().prop_map(Message::ErrorExit),
            (0..=0x7fff_ffff_u32).prop_map(Message::Success),
            (bytes(), any::<bool>())
                .prop_map(|(name, directory)| Message::Deleted { name, directory }),
            (0..=0x7fff_ffff_u32).prop_map(Message::NoSend),
        ]
    }

    proptest! {
        #[test]
        fn data_and_messages_survive_the_stream(
            parts in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..90_000).prop_map(Ok),
                    message().prop_map(Err),
                ],
                0..6,
            ),
        ) {
            let mut output = Multiplexer::new(Vec::new(), Protocol::NEWEST);
            output.start().unwrap();
            let mut data = Vec::new();
            let mut messages = Vec::new();
            for part in &parts {
                match part {
                    Ok(bytes) => {
                        output.write_all(bytes).unwrap();
                        data.extend_from_slice(bytes);
                    }
                    Err(message) => {
                        prop_assert!(output.message(message).unwrap());
                        messages.push(message.clone());
                    }
                }
            }
            output.flush().unwrap();
            prop_assert_eq!(output.sent(), output.get_ref().len() as u64);
            prop_assert_eq!(collect(&output.into_inner()).unwrap(), (data, messages));
        }
    }
}
