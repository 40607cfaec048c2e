//! Sending lists, ahead of what the sink has asked for (docs/spec filelist.md 8).

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError};
use syncline_wire::{CompatFlags, Index, Message};

use super::super::emit::Scanned;
use super::{AHEAD, FAR_AHEAD, Serve};
use crate::{Error, Event, Result};

/// How long the scan may be behind before what there is goes to the sink: lists of small directories go together.
const PAUSE: Duration = Duration::from_millis(1);

impl Serve<'_> {
    pub(super) fn send_first_list(&mut self) -> Result<()> {
        while !matches!(self.next_scanned()?, Some(true)) {}
        if self.job.is_server() || self.terms.incremental() {
            return Ok(());
        }
        let count = self.lists.list(0).map_or(0, syncline_wire::list::FileList::len);
        self.monitor.tell(&Event::Listed(count));
        Ok(())
    }

    /// Sends what the sink must, or might as well, know already; whether anything was sent.
    pub(super) fn send_lists_ahead(&mut self) -> Result<bool> {
        if self.all_listed {
            return Ok(false);
        }
        if self.ahead < AHEAD {
            self.next_scanned()?;
            return Ok(true);
        }
        if self.ahead < FAR_AHEAD && !self.peer.input.get_ref().has_data() {
            return match self.scanned.try_recv() {
                Ok(scanned) => {
                    self.pass_on(scanned)?;
                    Ok(true)
                }
                Err(TryRecvError::Empty) => Ok(false),
                Err(TryRecvError::Disconnected) => Err(Error::Stopped),
            };
        }
        Ok(false)
    }

    /// Takes the next delivery of the scan; `Some(true)` if it completed a list.
    fn next_scanned(&mut self) -> Result<Option<bool>> {
        let scanned = match self.scanned.try_recv() {
            Ok(scanned) => scanned,
            Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            Err(TryRecvError::Empty) => match self.scanned.recv_timeout(PAUSE) {
                Ok(scanned) => scanned,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Stopped),
                Err(RecvTimeoutError::Timeout) => {
                    self.flush()?;
                    self.scanned.recv().map_err(|_| Error::Stopped)?
                }
            },
        };
        self.pass_on(scanned)
    }

    fn pass_on(&mut self, scanned: Scanned) -> Result<Option<bool>> {
        match scanned {
            Scanned::Part(bytes) => {
                self.peer.output.buffer().extend_from_slice(&bytes);
                self.commit()?;
                Ok(Some(false))
            }
            Scanned::List { directory, bytes, list, origins, last } => {
                {
                    let mut out = self.peer.output.buffer();
                    if let Some(directory) = directory {
                        self.out_index.encode(&mut out, Index::List(directory));
                    }
                    out.extend_from_slice(&bytes);
                }
                if let Some(directory) = directory {
                    self.lists.announce(directory).map_err(|error| self.own(error))?;
                    self.ahead += list.len();
                    self.sent_lists.push_back(list.len());
                }
                if self.terms.incremental() {
                    let directories = list.iter().filter(|entry| entry.is_directory());
                    let first = list.first();
                    let bases = directories.map(|entry| origins.of(entry.wire_index() - first));
                    self.directories.extend(bases);
                }
                self.lists.add(list, directory).map_err(|error| self.own(error))?;
                self.origins.push_back(origins);
                self.tell_errors();
                self.commit()?;
                if last {
                    self.end_lists()?;
                }
                Ok(Some(true))
            }
            Scanned::End => {
                self.end_lists()?;
                Ok(None)
            }
        }
    }

    /// Says, once, that no list follows.
    fn end_lists(&mut self) -> Result<()> {
        if self.terms.incremental() && !self.all_listed {
            self.out_index.encode(&mut self.peer.output.buffer(), Index::ListEnd);
            self.lists.end().map_err(|error| self.own(error))?;
        }
        self.all_listed = true;
        Ok(())
    }

    /// Where lists cannot carry I/O errors, or protocol 30 has new ones, a message does (filelist.md 3.3).
    fn tell_errors(&mut self) {
        let errors = self.monitor.tally().io_errors();
        let in_lists = self.terms.protocol.always_safe_list()
            || self.terms.compat.contains(CompatFlags::VARINT_FLAGS)
            || self.terms.protocol.has_io_error_int();
        if !in_lists && errors != self.told_errors && !self.job.options.delete.ignore_errors {
            self.peer.output.queue().message(Message::IoError(errors));
        }
        self.told_errors = errors;
    }

    /// The list an index belongs to is the one in work now.
    pub(super) fn advance_to(&mut self, list: usize) {
        while self.current < list {
            self.current += 1;
            self.ahead -= self.sent_lists.pop_front().unwrap_or(0);
        }
    }
}
