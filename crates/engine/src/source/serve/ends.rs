//! The ends of rounds and of the run (docs/spec session.md 11).

use syncline_options::values::flags::Debug;
use syncline_wire::list::FileKind;
use syncline_wire::{Index, WireRead, WireWrite};

use super::Serve;
use crate::Result;

impl Serve<'_> {
    /// A round of the sink is over (session.md 11.1); whether it was the last.
    pub(super) fn done(&mut self) -> Result<bool> {
        let protocol = self.terms.protocol;
        let working = if self.terms.incremental() { 1 } else { protocol.working_rounds() };
        if self.round < working && !self.job.is_server() {
            self.tell_done();
        }
        if self.round == 0 && self.terms.incremental() {
            self.lists.release_oldest();
            self.origins.pop_front();
            if self.lists.oldest() < self.lists.arrived() || !self.all_listed {
                let oldest = self.lists.oldest();
                self.advance_to(oldest.max(self.current));
                self.put_done();
                return self.commit().map(|()| false);
            }
        }
        self.round += 1;
        if self.round > self.terms.protocol.sender_rounds() {
            return Ok(true);
        }
        let round = self.round;
        self.monitor
            .trace(Debug::Send, 1, || format!("[sender] end of phase {round}").into_bytes());
        if self.round == protocol.sender_rounds() && self.job.is_server() {
            // A client says it at the end of the run; now messages still travel.
            let tally = self.monitor.tally();
            self.monitor.trace(Debug::Deltasum, 1, || tally.search_line().into_bytes());
        }
        self.put_done();
        let last_phase = protocol.working_rounds();
        if self.round == last_phase && self.job.is_server() {
            self.put_statistics()?;
        } else if self.round == last_phase && self.peer.output.recorder().is_some() {
            // Who reads the batch expects them where a server sends them (session.md 14.1).
            self.peer.output.divert(true).map_err(|error| self.peer.unwritten(error))?;
            self.put_statistics()?;
            self.peer.output.divert(false).map_err(|error| self.peer.unwritten(error))?;
        }
        self.commit()?;
        Ok(false)
    }

    fn tell_done(&self) {
        let Some(list) = self.lists.list(self.current) else { return };
        let gaps = if self.terms.incremental() { self.current + 1 } else { 0 };
        let end = list.first() as usize + list.len();
        self.monitor.list_done(end.saturating_sub(gaps), !self.all_listed);
    }

    fn put_done(&mut self) {
        self.out_index.encode(&mut self.peer.output.buffer(), Index::Done);
    }

    fn put_statistics(&mut self) -> Result<()> {
        self.flush()?;
        self.peer.output.queue().drain();
        let protocol = self.terms.protocol;
        let tally = self.monitor.tally();
        let sent = self.peer.bytes_sent();
        let received = self.peer.input.received();
        let mut out = self.peer.output.buffer();
        let mut put = |value: u64| out.put_varlong30(value as i64, 3, protocol);
        put(received);
        put(sent);
        put(tally.total_size.get());
        if protocol.has_list_times() {
            put(tally.list_build.get());
            put(tally.list_transfer.get());
        }
        Ok(())
    }

    pub(super) fn delete_stats(&mut self) -> Result<()> {
        const NAMES: [&str; 5] = [
            "deleted_files",
            "deleted_dirs",
            "deleted_symlinks",
            "deleted_devices",
            "deleted_specials",
        ];
        let counts = self.peer.read(|input| {
            let mut counts = [0_u32; 5];
            for (count, name) in counts.iter_mut().zip(NAMES) {
                *count = input.read_varint_in(name, 0, 1 << 28)?;
            }
            Ok(counts)
        })?;
        if self.job.is_server() {
            let mut out = self.peer.output.buffer();
            self.out_index.encode(&mut out, Index::DeleteStats);
            for count in counts {
                out.put_varint(count as i32);
            }
            return Ok(());
        }
        let kinds = [
            FileKind::Regular,
            FileKind::Directory,
            FileKind::Symlink,
            FileKind::BlockDevice,
            FileKind::Fifo,
        ];
        for (kind, count) in kinds.into_iter().zip(counts) {
            self.monitor.tally().deleted.add_many(kind, count.into());
        }
        Ok(())
    }
}
