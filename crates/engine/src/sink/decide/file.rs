//! Regular files (docs/spec behaviour.md 8).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use syncline_delta::{Signature, SignatureFormat, SumHeader};
use syncline_fs::{Kind, OpenSource, Place, SourceFile, Stat};
use syncline_options::options::{AltDestKind, Append};
use syncline_wire::{BasisType, ItemFlags};

use super::basis::FileMatch;
use crate::link::Sums;
use crate::sink::attributes::{Times, time_of};
use crate::sink::context::io_error;
use crate::sink::generate::{Generator, Work};
use crate::sink::partial::PartialPlace;
use crate::{Error, ExitCode, Notice, Problem, Result, Role, Severity};

/// What a file's content may be built from.
pub(super) struct Basis {
    pub(super) kind: BasisType,
    /// For fuzzy matches: its name.
    pub(super) name: Option<Vec<u8>>,
    pub(super) stat: Stat,
    pub(super) file: Option<SourceFile>,
}

impl Generator<'_> {
    pub(in crate::sink) fn file(&mut self, mut work: Work<'_>) -> Result<()> {
        let context = self.context;
        let options = context.options();
        let writes_devices = options.attributes.write_devices;
        if !work.redo && self.is_out_of_bounds(&work) {
            return self.skip(work.entry);
        }
        if let Some(stat) = work.stat {
            let is_device = writes_devices && stat.kind().is_device();
            if stat.kind() != Kind::File && !is_device {
                if !work.redo && self.joins_group(&work, true)? {
                    return Ok(());
                }
                if !self.clear_way(&work, &stat, "regular file")? {
                    return self.link_member_blocked(&work);
                }
                work.stat = None;
            }
        }
        // One whose group has its leader already is made from that, whatever the basis directories have.
        if !work.redo && self.joins_group(&work, true)? {
            return Ok(());
        }
        let mut alternate = None;
        if let Some(kind) = context.alternates().filter(|_| !work.redo)
            && (work.stat.is_none() || kind != AltDestKind::Copy)
        {
            match self.match_file(&work, kind)? {
                FileMatch::Done => return Ok(()),
                FileMatch::Basis(basis) => alternate = Some(basis),
                FileMatch::None => {}
            }
        }
        let partial = self.partial_basis(&work)?;
        let up_to_date = match &work.stat {
            Some(stat) if !work.redo => self.is_unchanged(&work, stat, &work.place()?),
            _ => false,
        };
        let has_basis = work.stat.is_some() || alternate.is_some() || partial.is_some();
        if self.joins_group(&work, has_basis)? {
            return Ok(());
        }
        if let (true, Some(stat)) = (up_to_date, work.stat) {
            return self.up_to_date(&work, &stat);
        }
        let append = if work.redo { Append::No } else { context.append };
        if append != Append::No && work.stat.is_some_and(|stat| stat.size >= work.entry.size()) {
            return self.skip(work.entry);
        }
        let own = work.stat.map(|stat| Basis {
            kind: BasisType::Destination,
            name: None,
            stat,
            file: None,
        });
        let basis = match partial.or(own).or(alternate) {
            Some(basis) => Some(basis),
            None => self.fuzzy_basis(&work)?,
        };
        self.request_content(&work, basis, append)
    }

    /// Size limits and `--update`.
    fn is_out_of_bounds(&self, work: &Work<'_>) -> bool {
        let select = &self.context.options().select;
        let entry = work.entry;
        let size = entry.size();
        let path;
        let notice = if select.max_size.is_some_and(|most| size > most) {
            path = entry.path();
            Notice::OverMaxSize(&path)
        } else if select.min_size.is_some_and(|least| size < least) {
            path = entry.path();
            Notice::UnderMinSize(&path)
        } else if select.update && work.stat.is_some_and(|stat| self.is_newer(&stat, work)) {
            Notice::IsNewer(work.name())
        } else {
            return false;
        };
        self.context.monitor.notice(notice);
        true
    }

    fn is_newer(&self, stat: &Stat, work: &Work<'_>) -> bool {
        let ahead = work.entry.mtime().0.saturating_sub(stat.mtime.seconds);
        stat.kind() == Kind::File && ahead < self.context.keep.window()
    }

    /// The quick check (8.1).
    pub(super) fn is_unchanged(&self, work: &Work<'_>, stat: &Stat, place: &Place<'_>) -> bool {
        let data = &self.context.options().data;
        let device = self.context.options().attributes.write_devices && stat.kind().is_device();
        if (stat.kind() != Kind::File && !device) || stat.size != work.entry.size() {
            return false;
        }
        if data.checksum {
            return self.has_listed_sum(work, place);
        }
        if data.size_only {
            return true;
        }
        !data.ignore_times && self.context.keep.same_time(time_of(work.entry), stat.mtime)
    }

    /// Whether the file's sum is the one in the list; one that cannot be read has not.
    fn has_listed_sum(&self, work: &Work<'_>, place: &Place<'_>) -> bool {
        let Some(listed) = work.entry.checksum() else { return false };
        let Ok(file) = self.context.reading().open(place) else { return false };
        let mut hasher = self.context.terms.list_sum().file_hasher();
        let mut buffer = vec![0; READ.min(file.length() as usize + 1)];
        let mut position = 0;
        loop {
            match file.read_at(&mut buffer, position) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    position += count as u64;
                }
                Err(_) => return false,
            }
        }
        hasher.finish().as_ref() == listed
    }

    /// Why an entry that exists is passed over, for `--info=skip2`.
    pub(in crate::sink) fn why_exists(&self, work: &Work<'_>, stat: &Stat) -> &'static str {
        let kind = work.entry.kind();
        if !super::is_alike(stat, kind) {
            return "type change";
        }
        let Ok(place) = work.place() else { return "uptodate" };
        if kind == syncline_wire::list::FileKind::Regular && !self.is_unchanged(work, stat, &place)
        {
            let same_size = stat.size == work.entry.size();
            let by_sum = self.context.keep.checksum() && same_size;
            return if by_sum { "sum change" } else { "file change" };
        }
        let mode = self.context.keep.mode(work.entry, Some(stat.mode), || 0);
        match work.differences(self.context, stat, mode, false).0 {
            0 => "uptodate",
            _ => "attr change",
        }
    }

    /// The content is right: attributes are seen to (8.3).
    fn up_to_date(&mut self, work: &Work<'_>, stat: &Stat) -> Result<()> {
        let context = self.context;
        let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
        let mut flags = work.differences(context, stat, mode, false);
        if !context.is_dry() {
            flags = context.keep.told(work.entry, flags, stat, mode);
        }
        self.report(work, flags)?;
        if !context.is_dry() {
            let exact = context.keep.checksum();
            let times = if exact { Times::Exact } else { Times::Differing };
            self.fix_attributes(work, stat, mode, times)?;
            self.remove_partial(work)?;
        }
        self.was_right(work)
    }

    fn remove_partial(&self, work: &Work<'_>) -> Result<()> {
        if let Some(partial) = PartialPlace::of(self.context, work.path.as_bytes())? {
            // Mostly there is none.
            if partial.place().is_ok_and(|place| place.unlink().is_ok()) {
                self.context.note_change();
                partial.tidy();
            }
        }
        Ok(())
    }

    /// What an earlier run left in the partial directory.
    fn partial_basis(&self, work: &Work<'_>) -> Result<Option<Basis>> {
        if work.directory.is_none() {
            return Ok(None);
        }
        let Some(partial) = PartialPlace::of(self.context, work.path.as_bytes())? else {
            return Ok(None);
        };
        let Ok(place) = partial.place() else { return Ok(None) };
        let stat = place.stat().ok().filter(|stat| stat.kind() == Kind::File);
        let Some(stat) = stat else { return Ok(None) };
        let file = self.context.reading().open(&place).ok();
        Ok(Some(Basis { kind: BasisType::Partial, name: None, stat, file }))
    }

    /// Asks for content, with what is needed to leave out what is here already.
    pub(super) fn request_content(
        &mut self,
        work: &Work<'_>,
        basis: Option<Basis>,
        append: Append,
    ) -> Result<()> {
        let context = self.context;
        let compared = work.stat.or_else(|| {
            let alternate = |basis: &&Basis| matches!(basis.kind, BasisType::Alternate(_));
            basis.as_ref().filter(alternate).map(|basis| basis.stat)
        });
        let flags = match &compared {
            Some(stat) => {
                let mode = context.keep.mode(work.entry, Some(stat.mode), || 0);
                match work.stat {
                    Some(_) => work.differences(context, stat, mode, true),
                    None => self.differs_from_alternate(work, basis.as_ref(), stat, mode),
                }
            }
            None => context.new_flags(work.entry),
        };
        self.leader_requested(work);
        let mut kind = basis.as_ref().map_or(BasisType::Destination, |basis| basis.kind);
        let name = basis.as_ref().and_then(|basis| basis.name.clone());
        if context.is_dry() && (context.job.is_dry() || context.job.is_local()) {
            let kind = (kind != BasisType::Destination).then_some(kind);
            self.request(work, flags, kind, name, Sums::Nothing)?;
            return self.leader_would_be_placed(work);
        }
        if context.is_dry() {
            // The differences are recorded (--only-write-batch).
            self.request_differences(work, basis, append, (flags, kind, name))?;
            return self.leader_would_be_placed(work);
        }
        let data = &context.options().data;
        if let (true, Some(stat), BasisType::Destination) = (data.inplace, work.stat, kind)
            && self.copies_backup_first(work, &stat)?
        {
            kind = BasisType::Backup;
        }
        self.request_differences(work, basis, append, (flags, kind, name))
    }

    fn request_differences(
        &mut self,
        work: &Work<'_>,
        basis: Option<Basis>,
        append: Append,
        (flags, kind, name): (ItemFlags, BasisType, Option<Vec<u8>>),
    ) -> Result<()> {
        let context = self.context;
        let data = &context.options().data;
        let sends_kind = (kind != BasisType::Destination).then_some(kind);
        let Some(mut basis) = basis.filter(|_| !context.whole || append != Append::No) else {
            return self.request(work, flags, sends_kind, name, Sums::Nothing);
        };
        if basis.file.is_none() {
            basis.file = self.open_own(work)?;
        }
        let Some(file) = &basis.file else {
            return self.request(work, flags, None, None, Sums::Nothing);
        };
        let longest = context.terms.protocol.block_length_max();
        let strong = context.terms.transfer_sum();
        let digest = strong.digest_length();
        let header =
            SumHeader::for_file(file.length(), data.block_size, longest, digest, work.redo);
        let header = match header {
            Ok(header) if header.count() > 0 && digest > 1 => header,
            Ok(_) => return self.request(work, flags, sends_kind, name, Sums::Nothing),
            Err(_) => {
                let text = b"WARNING: file is too large for checksum sending: ";
                let text = [&text[..], work.name()].concat();
                context.monitor.problem(Problem::new(Severity::Warning, text));
                return self.request(work, flags, sends_kind, name, Sums::Nothing);
            }
        };
        if append != Append::No {
            let sums = match kind {
                BasisType::Destination => prefix(&header),
                _ => Sums::Nothing,
            };
            return self.request(work, flags, sends_kind, name, sums);
        }
        let signature = SignatureFormat::rsync(&header, strong)
            .and_then(|format| Signature::of_reader(format, whole(file)));
        match signature {
            // A file that changes under our eyes is no basis.
            Ok(signature) if signature.len() == header.count() => {
                self.request(work, flags, sends_kind, name, blocks(&header, &signature))
            }
            _ => self.request(work, flags, sends_kind, name, Sums::Nothing),
        }
    }

    /// What differs from the file of a basis directory that the new one is made from.
    fn differs_from_alternate(
        &self,
        work: &Work<'_>,
        basis: Option<&Basis>,
        stat: &Stat,
        mode: Option<u32>,
    ) -> ItemFlags {
        let number = basis.and_then(|basis| match basis.kind {
            BasisType::Alternate(number) => Some(usize::from(number)),
            _ => None,
        });
        let root =
            number.and_then(|number| self.context.destination.alternates.get(number)?.as_ref());
        let place = root.and_then(|root| root.place(work.path).ok());
        self.context.differences(work.entry, place.as_ref(), stat, mode, true)
    }

    /// `--inplace --backup`: the old content is copied away before it is changed.
    fn copies_backup_first(&self, work: &Work<'_>, stat: &Stat) -> Result<bool> {
        let context = self.context;
        let Some(backups) = context.backups.as_ref().filter(|_| !work.redo) else {
            return Ok(false);
        };
        backups.copy(context, &work.place()?, stat).map_err(|error| {
            let shown = String::from_utf8_lossy(work.name()).into_owned();
            let what = format!("backup of \"{shown}\" failed");
            Error::system(ExitCode::FILE_IO, Role::Generator, what, io_error(&error))
        })?;
        Ok(true)
    }

    fn open_own(&self, work: &Work<'_>) -> Result<Option<SourceFile>> {
        let devices = self.context.options().attributes.write_devices;
        let how = OpenSource { devices, ..self.context.reading() };
        match how.open(&work.place()?) {
            Ok(file) => Ok(Some(file)),
            Err(error) => {
                let shown = self.context.destination.show(work.name());
                let reason = error.reason();
                let text = [
                    b"rsync: [generator] failed to open \"",
                    &shown[..],
                    b"\", continuing: ",
                    reason.as_bytes(),
                ];
                self.context.monitor.problem(Problem::new(Severity::Error, text.concat()));
                Ok(None)
            }
        }
    }
}

/// How much of a file is read at once.
const READ: usize = 256 * 1024;

fn prefix(header: &SumHeader) -> Sums<'static> {
    Sums::Prefix(*header)
}

fn blocks<'s>(header: &SumHeader, signature: &'s Signature) -> Sums<'s> {
    Sums::Blocks(*header, signature)
}

/// A basis from its beginning to the length it had when it was opened.
fn whole(file: &SourceFile) -> impl Read + '_ {
    FromStart { file: file.file(), position: 0 }.take(file.length())
}

struct FromStart<'a> {
    file: &'a File,
    position: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
