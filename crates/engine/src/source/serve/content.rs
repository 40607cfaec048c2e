//! A file's content: whole, what was appended, or what differs (docs/spec delta.md).

use std::io::Read;

use syncline_delta::{
    FileHasher, MAX_BLOCK_LENGTH, MAX_BLOCK_LENGTH_BEFORE_30, Operation, Search, SearchIndex,
    Signature, SignatureBuilder, SumHeader,
};
use syncline_options::options::Append;
use syncline_wire::{BasisType, CompatFlags, Item, WireRead};

use super::{READ, Sending, Serve};
use crate::{Error, ExitCode, Result, Role};

impl Serve<'_> {
    /// Whether blocks are taken from the file that is being written (delta.md 11).
    pub(super) fn updates_basis(&self, item: &Item, redo: bool) -> bool {
        let partial = self.terms.compat.contains(CompatFlags::INPLACE_PARTIAL_DIR)
            && item.basis() == BasisType::Partial;
        let data = &self.job.options.data;
        let in_place = data.inplace
            && if self.terms.protocol.has_item_flags() {
                item.basis() == BasisType::Destination
            } else {
                !data.backup || redo
            };
        partial || in_place
    }

    pub(super) fn read_header(&mut self) -> Result<SumHeader> {
        let longest = if self.terms.protocol.has_varints() {
            MAX_BLOCK_LENGTH
        } else {
            MAX_BLOCK_LENGTH_BEFORE_30
        };
        let fields = self.peer.read(|input| {
            Ok([input.read_i32()?, input.read_i32()?, input.read_i32()?, input.read_i32()?])
        })?;
        let digest_length = self.terms.transfer_sum().digest_length();
        SumHeader::from_wire(fields, longest, digest_length)
            .map_err(|error| Error::fatal(ExitCode::PROTOCOL, format!("{error} [sender]")))
    }

    pub(super) fn read_signature(&mut self, header: SumHeader) -> Result<Signature> {
        let strong = self.terms.transfer_sum();
        let bad = |error: syncline_delta::Error| {
            Error::fatal(ExitCode::PROTOCOL, format!("{error} [sender]"))
        };
        let mut builder = SignatureBuilder::new(header, strong).map_err(bad)?;
        let length = header.strong_length();
        let surplus = header.surplus();
        let limit = self.job.options.connection.max_alloc;
        let cost = 4 + length as u64;
        if limit > 0 && u64::from(header.count()) * cost.max(24) > limit {
            let text =
                format!("[sender] exceeded --max-alloc={limit} setting (file=serve.rs, line=0)");
            return Err(Error::fatal(ExitCode::MEMORY, text));
        }
        self.peer.read(|input| {
            let mut record = [0; 64];
            for _ in 0..header.count() {
                let weak = input.read_u32()?;
                let sum = &mut record[..length + surplus];
                input.read_exact(sum)?;
                // Cannot fail: as many records as announced, each of the announced length.
                let _ = builder.push(weak, &sum[..length]);
            }
            Ok(())
        })?;
        builder.finish().map_err(bad)
    }

    pub(super) fn send_whole(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let length = sending.file.length();
        while sending.position < length {
            let mut buffer = std::mem::take(&mut self.buffer);
            let wanted = (length - sending.position).min(READ as u64) as usize;
            buffer.resize(wanted, 0);
            sending.fill(&mut buffer);
            self.send_data(&buffer, hasher)?;
            self.buffer = buffer;
            self.tell_progress(index, sending.position, length, false);
            self.monitor.tally().literal.add(wanted as u64);
        }
        Ok(())
    }

    /// Sends a whole file that is read at once; it is in the buffer afterwards.
    pub(super) fn send_small(&mut self, index: u32, sending: &mut Sending<'_>) -> Result<()> {
        let length = sending.file.length();
        self.buffer.resize(length as usize, 0);
        if length == 0 {
            return Ok(());
        }
        sending.fill(&mut self.buffer);
        {
            let mut out = self.peer.output.buffer();
            self.tokens
                .data(&mut out, &self.buffer)
                .map_err(|error| Error::wire(Role::Sender, error))?;
        }
        self.commit()?;
        self.tell_progress(index, length, length, false);
        self.monitor.tally().literal.add(length);
        Ok(())
    }

    fn send_data(&mut self, data: &[u8], hasher: &mut FileHasher) -> Result<()> {
        hasher.update(data);
        {
            let mut out = self.peer.output.buffer();
            self.tokens.data(&mut out, data).map_err(|error| Error::wire(Role::Sender, error))?;
        }
        self.commit()
    }

    pub(super) fn append(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        header: &SumHeader,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let prefix = header.covered().min(sending.file.length());
        if self.append == Append::Verify {
            let mut buffer = std::mem::take(&mut self.buffer);
            while sending.position < prefix {
                buffer.resize((prefix - sending.position).min(READ as u64) as usize, 0);
                sending.fill(&mut buffer);
                hasher.update(&buffer);
            }
            self.buffer = buffer;
        }
        sending.position = prefix;
        self.send_whole(index, sending, hasher)
    }

    pub(super) fn send_delta(
        &mut self,
        index: u32,
        sending: &mut Sending<'_>,
        signature: Signature,
        in_place: bool,
        hasher: &mut FileHasher,
    ) -> Result<()> {
        let length = sending.file.length();
        let search_index = SearchIndex::new(signature);
        let mut search = Search::new(&search_index);
        if in_place {
            search = search.in_place();
        }
        let room = READ.max(4 * search.window());
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut start = 0;
        loop {
            // What is left of the last round moves to the front, and more is read behind it.
            buffer.drain(..start);
            let kept = buffer.len();
            let more = (length - sending.position).min((room - kept) as u64) as usize;
            buffer.resize(kept + more, 0);
            sending.fill(&mut buffer[kept..]);
            let at_end = sending.position >= length;
            let mut done = 0;
            start = search.scan(&buffer, at_end, |operation| {
                let bytes = &buffer[done..done + operation.length() as usize];
                done += bytes.len();
                self.send_operation(operation, bytes, hasher)
            })?;
            self.tell_progress(
                index,
                sending.position - (buffer.len() - start) as u64,
                length,
                false,
            );
            if at_end {
                break;
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn send_operation(
        &mut self,
        operation: Operation<'_>,
        bytes: &[u8],
        hasher: &mut FileHasher,
    ) -> Result<()> {
        match operation {
            Operation::Literal(data) => {
                self.monitor.tally().literal.add(data.len() as u64);
                self.send_data(data, hasher)
            }
            Operation::Copy { block, length, .. } => {
                self.monitor.tally().matched.add(length.into());
                self.monitor.tally().matches.add(1);
                hasher.update(bytes);
                {
                    let mut out = self.peer.output.buffer();
                    self.tokens
                        .block(&mut out, block, bytes)
                        .map_err(|error| Error::wire(Role::Sender, error))?;
                }
                self.commit()
            }
        }
    }
}
