//! The receiving thread: takes what the source says, writes what it sends (docs/spec delta.md 1, filelist.md 8.6).

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_channel::Sender;
use syncline_options::values::flags::Debug;
use syncline_wire::list::{FileKind, FileLists, Place, XattrSet};
use syncline_wire::{Item, ItemFlags};

use super::apply::{self, Incoming, Outcome};
use super::collect::Collector;
use super::context::Context;
use super::extras::Undressed;
use super::outlet::Report;
use crate::link::{Content, Offer, Offers};
use crate::{Error, ExitCode, Moved, Result, Role};

/// Reads offers until the end.
pub(crate) struct Receiving<'a> {
    context: &'a Context<'a>,
    reports: &'a Sender<Report>,
    collector: Collector<'a>,
    /// Entries whose first attempt failed verification.
    again: HashSet<u32>,
    phase: u8,
    /// The list of the last item, for who looks at the progress.
    current: usize,
    undressed: Vec<Undressed>,
}

impl<'a> Receiving<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        reports: &'a Sender<Report>,
        collector: Collector<'a>,
    ) -> Self {
        Self {
            context,
            reports,
            collector,
            again: HashSet::new(),
            phase: 0,
            current: 0,
            undressed: Vec::new(),
        }
    }

    pub(crate) fn run(mut self, offers: &mut dyn Offers) -> Result<()> {
        loop {
            match offers.next()? {
                Offer::List(received) => {
                    let batch = self.collector.add(received, offers)?;
                    self.report(Report::List(batch));
                }
                Offer::ListsEnd => {
                    self.context.monitor.tally().end_lists();
                    self.report(Report::ListsEnd);
                }
                Offer::Item { index, item, xattrs } => {
                    self.learn(offers, index, xattrs)?;
                    self.item(offers, index, &item)?;
                }
                Offer::NoSend(index) => self.report(Report::NoSend(index)),
                Offer::IoErrors(errors) => self.context.monitor.tally().add_io_errors(errors),
                Offer::Done => self.done(offers.lists())?,
                Offer::End => return Ok(()),
            }
        }
    }

    fn report(&self, report: Report) {
        // A generator that has failed says so when it is joined; the source must be heard out until then.
        let _ = self.reports.send(report);
    }

    /// Under incremental recursion a list's end, else a phase's.
    fn done(&mut self, lists: &mut FileLists) -> Result<()> {
        let terms = &self.context.terms;
        let working = if terms.incremental() { 1 } else { terms.protocol.working_rounds() };
        if self.phase < working {
            self.tell_done(lists);
        }
        if self.phase == 0 && self.context.terms.incremental() {
            lists.release_oldest();
            if lists.oldest() < lists.arrived() || !lists.is_ended() {
                return Ok(());
            }
        }
        self.context.finish(&mut self.undressed)?;
        self.phase += 1;
        let phase = self.phase;
        let text = || format!("[receiver] end of phase {phase}").into_bytes();
        self.context.monitor.trace(Debug::Recv, 1, text);
        self.report(Report::Phase);
        Ok(())
    }

    fn tell_done(&mut self, lists: &FileLists) {
        self.current = self.current.max(lists.oldest());
        let Some(list) = lists.list(self.current) else { return };
        let last = list.first() + list.len() as u32;
        let seen = self.context.entries_up_to(last.saturating_sub(1), self.current);
        self.context.monitor.list_done(seen, !self.context.monitor.tally().lists_ended());
    }

    /// Values of attributes belong to the set, and so to every entry that has it.
    fn learn(
        &self,
        offers: &mut dyn Offers,
        index: u32,
        xattrs: Option<Arc<XattrSet>>,
    ) -> Result<()> {
        let wire = |error| Error::wire(Role::Receiver, error);
        let Some(set) = xattrs else { return Ok(()) };
        if let Some(position) = offers.lists().entry(index).map_err(wire)?.xattrs() {
            self.context.dressing.extras.learn(position, set);
        }
        Ok(())
    }

    fn item(&mut self, offers: &mut dyn Offers, index: u32, item: &Item) -> Result<()> {
        let context = self.context;
        let wire = |error| Error::wire(Role::Receiver, error);
        let lists = offers.lists();
        let entry = lists.entry(index).map_err(wire)?;
        let tally = context.monitor.tally();
        if let (true, Ok(Place::Entry { list, .. })) =
            (context.monitor.wants_progress(), lists.locate(index))
        {
            self.current = list;
        }
        if item.flags.contains(ItemFlags::IS_NEW) && context.terms.protocol.has_item_flags() {
            tally.created.add(entry.kind());
        }
        if !item.is_transfer() {
            self.undressed.extend(Undressed::of(context, entry, item));
            if self.undressed.len() > Undressed::MOST {
                context.finish(&mut self.undressed)?;
            }
            context.tell_item(entry, item, None);
            context.tell_item(entry, item, Some(Moved::default()));
            return Ok(());
        }
        let place = lists.locate(index).map_err(wire)?;
        let (Place::Entry { list: list_number, position }, FileKind::Regular) =
            (place, entry.kind())
        else {
            let text = format!("received request to transfer non-regular file: {index} [receiver]");
            return Err(Error::fatal(ExitCode::PROTOCOL, text));
        };
        if self.phase >= 2 {
            return Err(wire(syncline_wire::Error::TransferInLastPhase));
        }
        tally.transferred.add(1);
        tally.transferred_size.add(entry.size());
        if context.is_dry() {
            context.tell_item(entry, item, None);
            context.tell_item(entry, item, Some(Moved::default()));
            if !context.job.is_dry() && !context.job.is_server() {
                // Recorded as it is read (--only-write-batch).
                offers.content()?.discard()?;
            }
            return Ok(());
        }
        let list = lists.shared(list_number).map(Arc::clone);
        let Some(entry) = list.as_ref().and_then(|list| list.get(position)) else {
            return Err(wire(syncline_wire::Error::ClearedIndex(index)));
        };
        context.tell_item(entry, item, None);
        let mut path = Vec::new();
        context.put_target(entry, &mut path);
        context.monitor.trace(Debug::Recv, 1, || [b"[receiver] receiving ", &path[..]].concat());
        let mut content = offers.content()?;
        let received = |content: &Content<'_>| match content {
            Content::Tokens(tokens) => tokens.received(),
            Content::File(..) => 0,
        };
        let before = received(&content);
        let redo = self.again.contains(&index);
        let counts = Some(context.entries_up_to(index, list_number));
        let incoming = Incoming { entry, item, path: &path, known: None, redo, counts };
        let applied = apply::receive(context, incoming, reborrow(&mut content))?;
        let moved =
            Moved { data: received(&content) - before, sums: 0, digest: applied.digest.as_deref() };
        context.tell_item(entry, item, Some(moved));
        if applied.outcome == Outcome::Redo {
            self.again.insert(index);
        }
        self.report(Report::Finished { index, outcome: applied.outcome });
        Ok(())
    }
}

fn reborrow<'c>(content: &'c mut Content<'_>) -> Content<'c> {
    match content {
        Content::Tokens(tokens) => Content::Tokens(&mut **tokens),
        Content::File(file, basis) => Content::File(file, *basis),
    }
}
