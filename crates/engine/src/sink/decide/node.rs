//! Devices, fifos and sockets (docs/spec behaviour.md 7).

use syncline_fs::{Device, NewObject, Stat};

use super::basis::ObjectMatch;
use super::is_alike;
use crate::sink::generate::{Generator, Work};
use crate::sink::groups::kind_on_disk;
use crate::{Notice, Result};

impl Generator<'_> {
    pub(in crate::sink) fn node(&mut self, work: Work<'_>) -> Result<()> {
        let context = self.context;
        let kind = work.entry.kind();
        let attributes = &context.options().attributes;
        let wanted = if kind.is_device() {
            attributes.devices && context.keep.makes_devices()
        } else {
            attributes.specials
        };
        if !wanted || attributes.drop_devices {
            context.monitor.notice(Notice::SkippingNonRegular(work.name()));
            return self.skip(work.entry);
        }
        if self.joins_group(&work, true)? {
            return Ok(());
        }
        let device = work.entry.device().unwrap_or_default();
        let device = Device { major: device.major, minor: device.minor };
        let same = |stat: &Stat| is_alike(stat, kind) && (!kind.is_device() || stat.rdev == device);
        if let Some(stat) = work.stat.filter(same) {
            self.fix_in_place(&work, &stat)?;
            return self.was_right(&work);
        }
        let mode = work.entry.mode() & 0o7777;
        let object = NewObject::Node { kind: kind_on_disk(kind), mode, device };
        let mut like = None;
        if work.stat.is_none() {
            match self.match_object(&work, None)? {
                ObjectMatch::Done => return Ok(()),
                ObjectMatch::Differs(flags) => like = Some(flags),
                ObjectMatch::None => {}
            }
        }
        self.make(&work, &object, like)
    }
}
