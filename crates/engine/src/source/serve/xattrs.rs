//! Long values of attributes, sent when they are asked for (docs/spec filelist.md 14.3).

use std::sync::Arc;

use syncline_fs::Kind;
use syncline_wire::Item;
use syncline_wire::list::{XattrSet, put_xattr_value, put_xattr_values_end, read_xattr_request};

use super::super::extras::{value_of, with_object};
use super::Serve;
use crate::Result;
use crate::extras::XattrNames;
use crate::job::{XattrExchange, follows_links};

impl Serve<'_> {
    /// The numbers of the values that the sink wants; none where nothing is exchanged behind the item.
    pub(super) fn read_xattr_request(
        &mut self,
        index: u32,
        item: &Item,
    ) -> Result<Option<Vec<u32>>> {
        if !XattrExchange::new(self.job, &self.terms).follows(item) {
            return Ok(None);
        }
        let set = self.xattr_set(index)?;
        let mut numbers = self.peer.read(|input| read_xattr_request(input, &set))?;
        if let Some(owed) = self.xattr_number(index)?.and_then(|set| self.owed.remove(&set)) {
            numbers.extend(owed);
            numbers.sort_unstable();
            numbers.dedup();
        }
        Ok(Some(numbers))
    }

    /// The item is not answered: what was asked for with it goes out with the next of the same set, since a value is
    /// asked for once.
    pub(super) fn owe_xattr_values(&mut self, index: u32, numbers: Option<Vec<u32>>) -> Result<()> {
        if let (Some(numbers), Some(set)) = (numbers, self.xattr_number(index)?) {
            self.owed.entry(set).or_default().extend(numbers);
        }
        Ok(())
    }

    /// Answers a request. A value that is gone goes empty.
    pub(super) fn put_xattr_values(&mut self, index: u32, numbers: Option<Vec<u32>>) -> Result<()> {
        let Some(numbers) = numbers else { return Ok(()) };
        let mut out = Vec::new();
        if !numbers.is_empty() {
            let set = self.xattr_set(index)?;
            let (base, name) = self.origin(index)?;
            let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
            let names = XattrNames::new(&self.job.options, None);
            let follow = follows_links(&self.job.options);
            let mut last = 0;
            // Where the object cannot be looked at any more, nothing of it can.
            let read = with_object(&base, &name, Kind::of_mode(entry.mode()), follow, |object| {
                for &number in &numbers {
                    let Some(xattr) = set.get(number) else { continue };
                    let value = value_of(&names, object, &xattr.name).unwrap_or_default();
                    put_xattr_value(&mut out, last, number, &value);
                    last = number;
                }
                Ok(())
            });
            if read.is_err() {
                for number in numbers {
                    put_xattr_value(&mut out, last, number, b"");
                    last = number;
                }
            }
        }
        put_xattr_values_end(&mut out);
        self.peer.output.buffer().extend_from_slice(&out);
        Ok(())
    }

    fn xattr_number(&self, index: u32) -> Result<Option<u32>> {
        Ok(self.lists.entry(index).map_err(|error| self.own(error))?.xattrs())
    }

    fn xattr_set(&self, index: u32) -> Result<Arc<XattrSet>> {
        let entry = self.lists.entry(index).map_err(|error| self.own(error))?;
        Ok(self.tree.extras.xattrs(entry.xattrs()).unwrap_or_default())
    }
}
