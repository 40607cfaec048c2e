//! What the generator tells and asks for.

use syncline_wire::{BasisType, Item, ItemFlags};

use super::extras::Undressed;
use super::generate::Generator;
use super::outlet::Order;
use super::work::Work;
use crate::Result;
use crate::link::Sums;

impl Generator<'_> {
    /// Reports an item that needs no content, if it is worth it.
    pub(super) fn report(&mut self, work: &Work<'_>, flags: ItemFlags) -> Result<()> {
        self.report_item(work, &Item::new(flags))
    }

    pub(super) fn report_item(&mut self, work: &Work<'_>, item: &Item) -> Result<()> {
        let silent =
            ItemFlags::BASIS_TYPE_FOLLOWS | ItemFlags::NAME_FOLLOWS | ItemFlags::LOCAL_CHANGE;
        let named = item.name.as_ref().is_some_and(|name| !name.is_empty());
        if item.flags.contains(ItemFlags::IS_NEW) && self.counts_created() {
            self.context.monitor.tally().created.add(work.entry.kind());
        }
        if item.flags.without(silent) == ItemFlags::default() && !named && !self.tells_all {
            return Ok(());
        }
        self.send(work, item, Sums::Nothing)
    }

    /// Objects made are counted where the item is told; near and with old sources that is here.
    fn counts_created(&self) -> bool {
        self.context.job.is_local() || !self.context.terms.protocol.has_item_flags()
    }

    /// Asks for an entry's content.
    pub(super) fn request(
        &mut self,
        work: &Work<'_>,
        flags: ItemFlags,
        basis: Option<BasisType>,
        name: Option<Vec<u8>>,
        sums: Sums<'_>,
    ) -> Result<()> {
        self.note_rewritten(work);
        let mut flags = flags | ItemFlags::TRANSFER;
        if self.context.keep.checksum() && !work.redo {
            flags = flags | ItemFlags::REPORT_CHANGE;
        }
        if flags.contains(ItemFlags::IS_NEW) && self.counts_created() {
            self.context.monitor.tally().created.add(work.entry.kind());
        }
        if basis.is_some() {
            flags = flags | ItemFlags::BASIS_TYPE_FOLLOWS;
        }
        if name.is_some() {
            flags = flags | ItemFlags::NAME_FOLLOWS;
        }
        if !self.context.is_dry() {
            self.add_pending(work.index);
        }
        self.send(work, &Item { flags, basis, name }, sums)
    }

    fn send(&mut self, work: &Work<'_>, item: &Item, sums: Sums<'_>) -> Result<()> {
        let values = self.values_to_ask_for(work, item);
        if self.context.job.is_local() {
            self.undressed.extend(Undressed::of(self.context, work.entry, item));
            if self.undressed.len() > Undressed::MOST {
                self.context.finish(&mut self.undressed)?;
            }
        }
        self.outlet.item(&Order {
            batch: work.batch,
            entry: work.entry,
            index: work.index,
            item,
            sums,
            values: &values,
            existing: work.stat.as_ref(),
            redo: work.redo,
            dressed: work.dressed,
        })
    }

    /// What is asked for once is not asked for again: it belongs to all entries with the same set.
    fn values_to_ask_for(&mut self, work: &Work<'_>, item: &Item) -> Vec<u32> {
        let (true, Some(set)) = (item.flags.contains(ItemFlags::REPORT_XATTR), work.entry.xattrs())
        else {
            return Vec::new();
        };
        let mut values = self.context.values_to_ask_for(work.entry, work.name());
        values.retain(|number| self.asked.insert((set, *number)));
        values
    }
}
