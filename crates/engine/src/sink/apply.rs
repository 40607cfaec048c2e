//! Writing one file's new content and verifying it (docs/spec behaviour.md 11, delta.md 5, 9 to 11).

use std::fs::File;

use syncline_delta::{FileHasher, Operation, SearchIndex};
use syncline_fs::{FileWriter, Object, OpenSource, Place, SourceFile, Space, Stat, TempFile};
use syncline_options::options::{Append, Partial};
use syncline_wire::list::EntryRef;
use syncline_wire::{BasisType, CompatFlags, Item};

use super::commit;
use super::context::Context;
use super::destination::checked;
use super::near::{self, Step};
use super::partial::{PartialPlace, sibling};
use crate::link::{Content, Token, Tokens};
use crate::{Error, Event, ExitCode, Problem, Progress, Result, Role, Severity};

/// A file that is coming in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) entry: EntryRef<'a>,
    pub(crate) item: &'a Item,
    /// Where it goes, below the root.
    pub(crate) path: &'a [u8],
    /// What was there when it was requested, if that is known.
    pub(crate) known: Option<Option<&'a Stat>>,
    /// The second attempt.
    pub(crate) redo: bool,
    /// Its data counts as transferred: how many entries the lists hold up to this one.
    pub(crate) counts: Option<usize>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// In place.
    Placed,
    /// Complete, and waiting in the partial directory.
    Delayed,
    /// To be asked for again.
    Redo,
    /// Lost; that was told.
    Failed,
}

/// What a file's transfer cost and gave.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) outcome: Outcome,
    pub(crate) digest: Option<Vec<u8>>,
    /// Bytes that were not taken from the basis.
    pub(crate) literal: u64,
}

/// What the new content is written to.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    /// A temporary file.
    Temporary(TempFile),
    /// The destination file itself.
    InPlace(File),
    /// The part kept of an earlier attempt.
    Partial(File, PartialPlace<'a>),
}

impl Target<'_> {
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Temporary(temporary) => temporary.file(),
            Self::InPlace(file) | Self::Partial(file, _) => file,
        }
    }

    fn is_occupied(&self) -> bool {
        !matches!(self, Self::Temporary(_))
    }
}

/// Writes, verifies and puts into place. An error ends the run; a file that only fails itself is an [`Outcome`].
pub(crate) fn receive(
    context: &Context<'_>,
    incoming: Incoming<'_>,
    content: Content<'_>,
) -> Result<Applied> {
    let path = checked(incoming.path)?;
    let found = match context.root()?.place(path) {
        Ok(place) => match incoming.known {
            Some(known) => Ok((place, known.copied())),
            None => place.stat_if_present().map(|stat| (place, stat)),
        },
        Err(error) => Err(error),
    };
    let (place, existing) = match found {
        Ok(found) => found,
        Err(error) => {
            context.failed(Role::Receiver, &error)?;
            return discard(content);
        }
    };
    if existing.as_ref().is_some_and(Stat::is_dir) {
        let shown = context.destination.show(incoming.path);
        context.fail(&[b"recv_files: \"", &shown, b"\" is a directory"]);
        return discard(content);
    }
    let mut apply = Apply { context, incoming, existing, basis: None };
    apply.basis = apply.open_basis(&place, &content)?;
    let Some(target) = apply.open_target(&place)? else { return discard(content) };
    let mut end = WriteEnd::default();
    match apply.write(&target, content, &mut end) {
        Ok(()) => apply.finish(&place, target, end),
        Err(error) => {
            commit::keep_part(context, &incoming, &place, target, end.literal > 0);
            Err(error)
        }
    }
}

/// Reads what nobody wants, so that what follows can be read.
fn discard(content: Content<'_>) -> Result<Applied> {
    if let Content::Tokens(tokens) = content {
        read_to_end(tokens)?;
    }
    Ok(Applied { outcome: Outcome::Failed, digest: None, literal: 0 })
}

pub(crate) fn read_to_end(tokens: &mut dyn Tokens) -> Result<Vec<u8>> {
    let head = tokens.head();
    let mut zeros = Vec::new();
    loop {
        match tokens.next()? {
            Token::Data(_) => {}
            Token::Block(block) => {
                if tokens.wants_blocks() {
                    zeros.clear();
                    zeros.resize(head.length_of(block) as usize, 0);
                    tokens.saw_block(&zeros);
                }
            }
            Token::End => return tokens.digest(),
        }
    }
}

/// How the writing went.
#[derive(Debug, Default)]
struct WriteEnd {
    literal: u64,
    /// Bytes and blocks taken from the basis by a copy within this machine.
    matched: u64,
    matches: u64,
    /// The content is what the source has.
    verified: bool,
    digest: Option<Vec<u8>>,
}

struct Apply<'a> {
    context: &'a Context<'a>,
    incoming: Incoming<'a>,
    existing: Option<Stat>,
    basis: Option<SourceFile>,
}

impl<'a> Apply<'a> {
    fn basis_type(&self) -> BasisType {
        self.incoming.item.basis()
    }

    /// Opens what blocks are taken from, and what lends its mode.
    fn open_basis(&self, place: &Place<'_>, content: &Content<'_>) -> Result<Option<SourceFile>> {
        let context = self.context;
        let has_blocks = match content {
            Content::Tokens(tokens) => !tokens.head().is_empty(),
            Content::File(..) => false,
        };
        let basis = self.basis_type();
        let is_copy = matches!(content, Content::File(..));
        let is_named = is_copy || context.terms.protocol.has_item_flags();
        let is_destination =
            basis == BasisType::Destination && (is_named || self.existing.is_some());
        if !has_blocks && (is_destination || context.keep.perms()) {
            return Ok(None);
        }
        if is_named {
            return self.open_basis_of(place, basis);
        }
        // Old sources do not say which it was: the first that is there (delta.md 5.2).
        let data = &context.options().data;
        let copied = (data.inplace && data.backup).then_some(BasisType::Backup);
        let partial = context.partial_dir.as_ref().map(|_| BasisType::Partial);
        let alternate = context.alternates().map(|_| BasisType::Alternate(0));
        let kinds = [copied, partial, Some(BasisType::Destination), alternate];
        for kind in kinds.into_iter().flatten() {
            if let Some(file) = self.open_basis_of(place, kind)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    fn open_basis_of(&self, place: &Place<'_>, basis: BasisType) -> Result<Option<SourceFile>> {
        let context = self.context;
        let how =
            OpenSource { devices: context.options().attributes.write_devices, ..context.reading() };
        let alternate = |number: u8| {
            let root = context.destination.alternates.get(usize::from(number));
            root.map(Option::as_ref).ok_or_else(|| {
                let raw = u8::from(basis);
                Error::fatal(ExitCode::PROTOCOL, format!("invalid basis_dir index: {raw}."))
            })
        };
        let name = || self.incoming.item.name.as_deref().unwrap_or_default();
        let path = checked(self.incoming.path)?;
        let opened = match basis {
            BasisType::Destination => how.open(place),
            BasisType::Partial => match PartialPlace::of(context, self.incoming.path)? {
                Some(partial) => partial.place().and_then(|place| how.open(&place)),
                None => return Ok(None),
            },
            BasisType::Backup => match &context.backups {
                Some(backups) => backups.open(context, self.incoming.path),
                None => return Ok(None),
            },
            BasisType::Alternate(number) => match alternate(number)? {
                Some(root) => root.place(path).and_then(|place| how.open(&place)),
                None => return Ok(None),
            },
            BasisType::Fuzzy if context.options().data.fuzzy == 0 => {
                let shown = String::from_utf8_lossy(self.incoming.path);
                let text = format!("rsync: refusing malicious fuzzy operation for {shown}");
                return Err(Error::fatal(ExitCode::PROTOCOL, text));
            }
            BasisType::Fuzzy => {
                let path = sibling(path, name())?;
                how.open(&place.sibling(path.as_path()))
            }
            BasisType::FuzzyAlternate(number) => match alternate(number)? {
                Some(root) => {
                    let path = sibling(path, name())?;
                    root.place(path.as_path()).and_then(|place| how.open(&place))
                }
                None => return Ok(None),
            },
        };
        Ok(opened.ok())
    }

    /// Creates or opens the file to write to; none if that failed, which was told.
    fn open_target(&self, place: &Place<'_>) -> Result<Option<Target<'a>>> {
        let context = self.context;
        let mode = self.incoming.entry.mode();
        let data = &context.options().data;
        if data.inplace {
            let devices = context.options().attributes.write_devices;
            return match place.open_in_place(0o600, devices) {
                Ok(file) => {
                    context.note_change();
                    Ok(Some(Target::InPlace(file)))
                }
                Err(error) => {
                    context.failed(Role::Receiver, &error)?;
                    Ok(None)
                }
            };
        }
        if self.basis_type() == BasisType::Partial
            && context.terms.compat.contains(CompatFlags::INPLACE_PARTIAL_DIR)
            && let Some(partial) = PartialPlace::of(context, self.incoming.path)?
        {
            let opened = partial.place().and_then(|place| place.open_in_place(0o600, false));
            if let Ok(file) = opened {
                return Ok(Some(Target::Partial(file, partial)));
            }
        }
        let created = match context.destination.temp_dir() {
            Some(Ok(directory)) => context.temporaries.create_in(directory, place, mode),
            Some(Err(error)) => Err(error),
            None => context.temporaries.create(place, mode),
        };
        match created {
            Ok(temporary) => {
                context.note_change();
                Ok(Some(Target::Temporary(temporary)))
            }
            Err(error) => {
                context.failed(Role::Receiver, &error)?;
                Ok(None)
            }
        }
    }

    fn space(&self, target: &Target<'_>) -> Space {
        let holes = self.context.options().data.sparse;
        let is_device = self.existing.as_ref().is_some_and(|stat| stat.kind().is_device());
        match target {
            Target::InPlace(_) if is_device => Space::Device,
            _ if target.is_occupied() => Space::Occupied { holes },
            _ => Space::Fresh { holes },
        }
    }

    fn write(&self, target: &Target<'_>, content: Content<'_>, end: &mut WriteEnd) -> Result<()> {
        match content {
            Content::File(source, basis) => self.copy(target, source, basis, end),
            Content::Tokens(tokens) => self.write_tokens(target, tokens, end),
        }
    }

    fn writer<'t>(&self, target: &'t Target<'_>) -> Result<FileWriter<'t>> {
        let path = checked(self.incoming.path)?;
        let mut writer = FileWriter::new(target.file(), path, self.space(target));
        let data = &self.context.options().data;
        if data.preallocate && !matches!(target, Target::InPlace(_)) {
            let length = self.incoming.entry.size();
            if let Err(error) = writer.preallocate(length, !data.sparse) {
                self.context.warn(Role::Receiver, &error);
            }
        }
        Ok(writer)
    }

    /// Whether new data goes behind what is there.
    fn appends(&self) -> bool {
        self.context.append != Append::No && !self.incoming.redo
    }

    // ---- from this machine ----

    fn copy(
        &self,
        target: &Target<'_>,
        source: &SourceFile,
        basis: Option<&SearchIndex>,
        end: &mut WriteEnd,
    ) -> Result<()> {
        let context = self.context;
        let data = &context.options().data;
        let length = source.length();
        // What may have to be kept half done is copied in pieces that can be stopped between.
        let may_be_kept = data.partial != Partial::Discard && length > STOPPABLE;
        let looks_closely = basis.is_some() || context.shows_digests;
        let result = if target.is_occupied() || data.preallocate || may_be_kept || looks_closely {
            self.copy_over(target, source, basis, end)?
        } else {
            let path = checked(self.incoming.path)?;
            let mut done = 0;
            end.verified = true;
            end.literal = length;
            context.copier.copy(source, target.file(), path, &mut |more| {
                done += more;
                self.progress(done, length);
            })
        };
        match result {
            Ok(()) => {
                if self.incoming.counts.is_some() {
                    let tally = context.monitor.tally();
                    tally.literal.add(end.literal);
                    tally.matched.add(end.matched);
                    tally.matches.add(end.matches);
                }
                self.last_progress(length);
                Ok(())
            }
            Err(error @ syncline_fs::Error::Shrank { .. }) => {
                let shown = context.destination.show(error.path());
                context.fail(&[
                    b"rsync: [sender] read errors mapping \"",
                    &shown,
                    b"\": Input/output error (5)",
                ]);
                Ok(())
            }
            Err(error) => self.write_failed(&error),
        }
    }

    /// A copy through our hands: into a file that has content already, of differences, or with a digest.
    fn copy_over(
        &self,
        target: &Target<'_>,
        source: &SourceFile,
        basis: Option<&SearchIndex>,
        end: &mut WriteEnd,
    ) -> Result<syncline_fs::Result<()>> {
        let mut writer = self.writer(target)?;
        let sum = self.context.terms.transfer_sum();
        let mut hasher = self.context.shows_digests.then(|| sum.file_hasher());
        let mut position = 0;
        let mut verified = true;
        if let (true, Some(existing)) = (self.appends(), &self.existing) {
            let prefix = existing.size.min(source.length());
            let checks = self.context.append == Append::Verify;
            verified = !checks || self.same_prefix(target, source, prefix, hasher.as_mut());
            if let Err(error) = writer.skip(prefix) {
                return Ok(Err(error));
            }
            position = prefix;
        }
        let in_place = self.basis_is_target(target);
        let old = if in_place { self.reopened(target) } else { None };
        let mut kept = Vec::new();
        let mut step = |operation: Operation<'_>, bytes: &[u8]| {
            if self.context.job.interrupt.is_raised() {
                return Err(Step::Stopped);
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            let stays = match operation {
                Operation::Literal(_) => {
                    end.literal += bytes.len() as u64;
                    false
                }
                Operation::Copy { offset, .. } => {
                    end.matched += bytes.len() as u64;
                    end.matches += 1;
                    offset == writer.position()
                        && old.as_ref().is_some_and(|old| {
                            kept.resize(bytes.len(), 0);
                            old.read_exact_at(&mut kept, offset).is_ok() && kept == bytes
                        })
                }
            };
            let written = if stays { writer.skip(bytes.len() as u64) } else { writer.write(bytes) };
            self.progress(writer.position(), source.length());
            written.map_err(Step::Failed)
        };
        let done = match basis.filter(|_| !self.appends()) {
            Some(basis) => near::differences(source, basis, in_place, &mut step),
            None => near::whole(source, position, &mut step),
        };
        match done {
            Ok(()) => {}
            Err(Step::Failed(error)) => return Ok(Err(error)),
            Err(Step::Stopped) => return Err(Error::Stopped),
        }
        end.verified = verified;
        end.digest = hasher.map(|hasher| hasher.finish().as_ref().to_vec());
        Ok(writer.finish().map(drop))
    }

    /// What is being written to, to be read.
    fn reopened(&self, target: &Target<'_>) -> Option<SourceFile> {
        let path = checked(self.incoming.path).ok()?;
        SourceFile::from_file(target.file().try_clone().ok()?, path).ok()
    }

    fn same_prefix(
        &self,
        target: &Target<'_>,
        source: &SourceFile,
        length: u64,
        mut hasher: Option<&mut FileHasher>,
    ) -> bool {
        let Some(old) = self.reopened(target) else { return false };
        let (mut ours, mut theirs) = (vec![0; COPY], vec![0; COPY]);
        let mut position = 0;
        let mut same = true;
        while position < length && (same || hasher.is_some()) {
            let wanted = (length - position).min(COPY as u64) as usize;
            let (ours, theirs) = (&mut ours[..wanted], &mut theirs[..wanted]);
            let read = old.read_exact_at(ours, position);
            let read = read.and_then(|()| source.read_exact_at(theirs, position));
            same &= read.is_ok() && ours == theirs;
            if let Some(hasher) = &mut hasher {
                hasher.update(theirs);
            }
            position += wanted as u64;
        }
        same
    }

    // ---- from the connection ----

    fn write_tokens(
        &self,
        target: &Target<'_>,
        tokens: &mut dyn Tokens,
        end: &mut WriteEnd,
    ) -> Result<()> {
        let head = tokens.head();
        let size = self.incoming.entry.size();
        let mut hasher = self.context.terms.transfer_sum().file_hasher();
        let mut writer = self.writer(target)?;
        let tally = self.context.monitor.tally();
        // From the first failure on, the rest is only read.
        let mut failure: Option<syncline_fs::Error> = None;
        if self.appends() && !head.is_empty() {
            let prefix = head.total_length();
            if self.context.append == Append::Verify {
                self.hash_prefix(target, prefix, &mut hasher);
            }
            failure = writer.skip(prefix).err();
        }
        let same_file = self.basis_is_target(target);
        let mut block_data = Vec::new();
        loop {
            match tokens.next()? {
                Token::Data(data) => {
                    hasher.update(data);
                    end.literal += data.len() as u64;
                    tally.literal.add(data.len() as u64);
                    if failure.is_none() {
                        failure = writer.write(data).err();
                    }
                }
                Token::Block(block) => {
                    let (offset, length) = (head.offset_of(block), head.length_of(block));
                    block_data.clear();
                    block_data.resize(length as usize, 0);
                    self.read_block(&mut writer, same_file, &mut block_data, offset)?;
                    hasher.update(&block_data);
                    if tokens.wants_blocks() {
                        tokens.saw_block(&block_data);
                    }
                    tally.matched.add(length.into());
                    if failure.is_none() {
                        let stays = same_file && writer.position() == offset;
                        failure = if stays {
                            writer.skip(length.into()).err()
                        } else {
                            writer.write(&block_data).err()
                        };
                    }
                }
                Token::End => break,
            }
            self.progress(writer.position(), size);
        }
        let digest = tokens.digest()?;
        let sum = hasher.finish();
        if failure.is_none() {
            failure = writer.finish().err();
        }
        if let Some(error) = failure {
            return self.write_failed(&error);
        }
        self.last_progress(size);
        end.verified = sum.as_ref() == digest.as_slice();
        end.digest = Some(digest);
        Ok(())
    }

    fn basis_is_target(&self, target: &Target<'_>) -> bool {
        match target {
            Target::Temporary(_) => false,
            Target::InPlace(_) => self.basis_type() == BasisType::Destination,
            Target::Partial(..) => true,
        }
    }

    /// Reads a block of the basis. What cannot be read stays zeros: the digest will tell.
    fn read_block(
        &self,
        writer: &mut FileWriter<'_>,
        same_file: bool,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<()> {
        let Some(basis) = &self.basis else {
            let shown = self.context.destination.show(self.incoming.path);
            let text = format!(
                "got a block match with no basis file for \"{}\" [receiver]",
                String::from_utf8_lossy(&shown)
            );
            return Err(Error::fatal(ExitCode::PROTOCOL, text));
        };
        if same_file {
            // What is gathered may be what is read; an error shows at the next write.
            let _ = writer.flush();
        }
        // A short or failed read leaves zeros.
        if basis.read_at(buffer, offset).is_err() {
            buffer.fill(0);
        }
        Ok(())
    }

    fn hash_prefix(&self, target: &Target<'_>, length: u64, hasher: &mut FileHasher) {
        let source = checked(self.incoming.path).ok().and_then(|path| {
            let file = target.file().try_clone().ok()?;
            SourceFile::from_file(file, path).ok()
        });
        let mut buffer = vec![0; COPY];
        let mut position = 0;
        while let Some(source) = source.as_ref().filter(|_| position < length) {
            let wanted = (length - position).min(COPY as u64) as usize;
            let chunk = &mut buffer[..wanted];
            chunk.fill(0);
            // What is missing counts as zeros, and the digests will differ.
            let _ = source.read_at(chunk, position);
            hasher.update(chunk);
            position += wanted as u64;
        }
    }

    // ---- ends ----

    /// What a failing write means: the end of the run.
    fn write_failed(&self, error: &syncline_fs::Error) -> Result<()> {
        let shown = self.context.destination.show(self.incoming.path);
        self.context.failed_as(
            Role::Receiver,
            error.op().map_or("write", |op| op.name()),
            &shown,
            error,
        )
    }

    fn finish(self, place: &Place<'_>, target: Target<'_>, end: WriteEnd) -> Result<Applied> {
        let WriteEnd { verified, digest, literal, .. } = end;
        let context = self.context;
        if verified {
            let basis_mode = self.basis.as_ref().map(|basis| basis.stat().mode);
            let outcome = commit::place(
                context,
                &self.incoming,
                place,
                self.existing.as_ref(),
                basis_mode,
                target,
            )?;
            return Ok(Applied { outcome, digest, literal });
        }
        let kept = match &target {
            Target::InPlace(_) => "retained",
            Target::Partial(..) if !context.options().data.delay_updates => "put into partial-dir",
            _ => "discarded",
        };
        let name = self.incoming.entry.path();
        let outcome = if self.incoming.redo { Outcome::Failed } else { Outcome::Redo };
        let (severity, word, again) = match outcome {
            Outcome::Redo => (Severity::Warning, "WARNING: ", " (will try again)."),
            _ => (Severity::Transfer, "ERROR: ", "."),
        };
        let told = outcome == Outcome::Failed || context.options().item_format().is_some();
        if told {
            let tail = format!(" failed verification -- update {kept}{again}");
            let text = [word.as_bytes(), &name, tail.as_bytes()].concat();
            context.monitor.problem(Problem::new(severity, text));
        }
        if let Target::InPlace(file) = &target {
            let object = Object::opened(file, place);
            commit::retain(context, &self.incoming, object, self.existing.as_ref())?;
        }
        commit::keep_part(context, &self.incoming, place, target, true);
        Ok(Applied { outcome, digest, literal })
    }

    fn progress(&self, done: u64, size: u64) {
        // The end is told when the content is known to be whole.
        if done < size {
            self.tell_progress(done, size, false);
        }
    }

    fn last_progress(&self, size: u64) {
        self.tell_progress(size, size, true);
    }

    fn tell_progress(&self, done: u64, size: u64, last: bool) {
        let monitor = self.context.monitor;
        let Some(seen) = self.incoming.counts.filter(|_| monitor.wants_progress()) else { return };
        let entry = self.incoming.entry;
        let total = monitor.tally().files.total() as usize;
        let left = total.saturating_sub(seen);
        let growing = !monitor.tally().lists_ended();
        let total_size = monitor.tally().total_size.get();
        let progress = Progress { entry, done, size, last, left, total, growing, total_size };
        monitor.tell(&Event::Progress(progress));
    }
}

/// Files up to this length are copied within the time a signal leaves.
const STOPPABLE: u64 = 32 << 20;

/// How much is copied at once.
const COPY: usize = 256 * 1024;
