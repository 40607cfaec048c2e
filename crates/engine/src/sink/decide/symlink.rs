//! Symbolic links (docs/spec behaviour.md 6).

use syncline_fs::{Kind, NewObject, is_unsafe_target, munged};

use super::basis::ObjectMatch;
use crate::module::depth;
use crate::sink::generate::{Generator, Work};
use crate::{Notice, Result};

impl Generator<'_> {
    pub(in crate::sink) fn symlink(&mut self, work: Work<'_>) -> Result<()> {
        let context = self.context;
        let attributes = &context.options().attributes;
        let Some(target) = work.entry.target().filter(|_| attributes.links) else {
            context.monitor.notice(Notice::SkippingNonRegular(work.name()));
            return self.skip(work.entry);
        };
        let stored = match attributes.munge_links {
            Some(true) => munged(target),
            _ => match &context.job.module {
                Some(module) => {
                    module.sanitize_target(target, depth(work.path.parent().as_bytes()))
                }
                None => target.to_vec(),
            },
        };
        if attributes.safe_links && is_unsafe_target(&stored, work.path) {
            let notice = Notice::IgnoringUnsafeLink { path: work.name(), target: &stored };
            context.monitor.notice(notice);
            return self.skip(work.entry);
        }
        if self.joins_group(&work, true)? {
            return Ok(());
        }
        let existing = work.stat.filter(|stat| stat.kind() == Kind::Symlink);
        if let Some(stat) = existing
            && work.place()?.read_kept_link().is_ok_and(|now| now == stored)
        {
            self.fix_in_place(&work, &stat)?;
            return self.was_right(&work);
        }
        let object = NewObject::Symlink { target: &stored };
        let mut like = None;
        if work.stat.is_none() {
            match self.match_object(&work, Some(&stored))? {
                ObjectMatch::Done => return Ok(()),
                ObjectMatch::Differs(flags) => like = Some(flags),
                ObjectMatch::None => {}
            }
        }
        self.make(&work, &object, like)
    }
}
