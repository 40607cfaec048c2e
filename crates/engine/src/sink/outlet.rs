//! What the generator says, wherever the source is.

use std::sync::Arc;

use syncline_fs::Stat;
use syncline_wire::Item;
use syncline_wire::list::EntryRef;

use super::apply::Outcome;
use super::collect::Batch;
use super::context::Context;
use crate::Result;
use crate::link::{Request, Requests, Sums};

/// What the generator hears.
#[derive(Debug)]
pub(crate) enum Report {
    /// A list to work through.
    List(Arc<Batch>),
    /// There will be no more.
    ListsEnd,
    /// The source has ended a phase too.
    Phase,
    /// A requested file has come.
    Finished {
        /// Which.
        index: u32,
        /// What became of it.
        outcome: Outcome,
    },
    /// A requested file will not come.
    NoSend(u32),
    /// Another thread has failed.
    Broken,
}

/// One item, with all that is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) batch: &'a Arc<Batch>,
    pub(crate) entry: EntryRef<'a>,
    pub(crate) index: u32,
    pub(crate) item: &'a Item,
    pub(crate) sums: Sums<'a>,
    /// Numbers of the attributes whose values are wanted.
    pub(crate) values: &'a [u32],
    /// What is at the destination.
    pub(crate) existing: Option<&'a Stat>,
    /// The second attempt.
    pub(crate) redo: bool,
    /// Attributes of what was made have to be set.
    pub(crate) dressed: bool,
}

/// Takes what the generator says.
pub(crate) trait Outlet: Send {
    /// An item is reported or asked for.
    fn item(&mut self, order: &Order<'_>) -> Result<()>;
    /// What is to happen with an entry is decided.
    fn decided(&mut self, _index: u32) {}
    /// A list, a phase or the run is over.
    fn done(&mut self) -> Result<()>;
    /// What was deleted.
    fn delete_stats(&mut self, counts: [u32; 5]) -> Result<()>;
    /// The entry is in place.
    fn success(&mut self, entry: EntryRef<'_>, path: &[u8]) -> Result<()>;
    /// Makes sure that what was said is on its way.
    fn flush(&mut self) -> Result<()>;
}

/// A source at the other end of a connection.
pub(crate) struct Far<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) requests: Box<dyn Requests + 'a>,
}

impl Outlet for Far<'_> {
    fn item(&mut self, order: &Order<'_>) -> Result<()> {
        if !order.item.is_transfer() && !self.context.terms.protocol.has_item_flags() {
            // Old sources hear of transfers only.
            for moved in [None, Some(crate::Moved::default())] {
                self.context.tell_item_of(order.entry, order.item, None, moved, order.dressed);
            }
            return Ok(());
        }
        let basis = if order.item.is_transfer() { order.sums } else { Sums::Nothing };
        self.requests.item(&Request {
            index: order.index,
            item: order.item,
            values: order.values,
            basis,
        })
    }

    fn decided(&mut self, index: u32) {
        self.requests.decided(index);
    }

    fn done(&mut self) -> Result<()> {
        self.requests.done()
    }

    fn delete_stats(&mut self, counts: [u32; 5]) -> Result<()> {
        self.requests.delete_stats(counts)
    }

    fn success(&mut self, entry: EntryRef<'_>, _path: &[u8]) -> Result<()> {
        self.requests.success(entry.index())
    }

    fn flush(&mut self) -> Result<()> {
        self.requests.flush()
    }
}
