//! The result in the making: what each option does as it is read, before options are weighed against each other.

use crate::context::Context;
use crate::error::UsageError;
use crate::options::{AltDest, AltDestKind, DeleteWhen, FilterArgument, Options, Server};
use crate::serve_only::Access;
use crate::table::{Effect, Occurrence};
use crate::values::flags::LevelsProblem;
use crate::values::size::{self, Range, SizeProblem, Unit};
use crate::values::stop::{self, StopProblem};
use crate::word::Word;

/// How far recursion was asked for; `-a` asks weakly, which `--files-from` overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recursion {
    Off,
    Weak,
    Strong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirsSetting {
    No,
    Yes,
    Old,
}

/// Something to do instead of a transfer, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    Help,
    InfoHelp,
    DebugHelp,
}

/// Largest `--block-size` from protocol 30 on.
const MAX_BLOCK: u64 = 1 << 17;
/// Largest before.
const MAX_OLD_BLOCK: u64 = 1 << 29;

pub(crate) struct Draft {
    pub(crate) context: Context,
    /// Fields that later options cannot change the meaning of are set here at once.
    pub(crate) o: Options,
    pub(crate) server: Option<Server>,
    pub(crate) early: Option<Early>,
    pub(crate) version: u8,
    pub(crate) recursion: Recursion,
    pub(crate) dirs: Option<DirsSetting>,
    pub(crate) files_from: Option<Word>,
    pub(crate) per_dir_filters: u8,
    pub(crate) ignore_missing: bool,
    pub(crate) delete_missing: bool,
    pub(crate) outbuf: Option<Word>,
    pub(crate) checksum_choice: Option<Word>,
    pub(crate) compress_count: u8,
    pub(crate) compress_choice: Option<Word>,
    pub(crate) inplace: bool,
    pub(crate) keep_partial: bool,
    pub(crate) partial_dir: Option<Word>,
    pub(crate) backup_dir: Option<Word>,
    pub(crate) suffix: Option<Word>,
    pub(crate) delete: bool,
    pub(crate) delete_before: bool,
    pub(crate) delete_during: Option<DeleteWhen>,
    pub(crate) delete_after: bool,
    pub(crate) usermap_by_chown: bool,
    pub(crate) groupmap_by_chown: bool,
    pub(crate) port: Option<i32>,
    pub(crate) iconv: Option<Word>,
    pub(crate) secluded: Option<bool>,
    pub(crate) old_args: Option<u8>,
    pub(crate) max_alloc: Option<Word>,
    pub(crate) write_batch: Option<Word>,
    pub(crate) only_write_batch: Option<Word>,
    pub(crate) parallel: Option<i32>,
    pub(crate) serve_only: Option<Word>,
    pub(crate) serve_access: Option<Access>,
    pub(crate) serve_munge: bool,
    pub(crate) serve_no_delete: bool,
    pub(crate) serve_no_overwrite: bool,
    pub(crate) serve_absolute: bool,
    pub(crate) serve_no_lock: bool,
}

impl Draft {
    pub(crate) fn new(context: &Context) -> Self {
        let mut o = Options { parallel: 1, ..Options::default() };
        o.output.motd = true;
        o.output.human_readable = 1;
        o.select.incremental = true;
        o.select.implied_dirs = true;
        Self {
            context: context.clone(),
            o,
            server: None,
            early: None,
            version: 0,
            recursion: Recursion::Off,
            dirs: None,
            files_from: None,
            per_dir_filters: 0,
            ignore_missing: false,
            delete_missing: false,
            outbuf: None,
            checksum_choice: None,
            compress_count: 0,
            compress_choice: None,
            inplace: false,
            keep_partial: false,
            partial_dir: None,
            backup_dir: None,
            suffix: None,
            delete: false,
            delete_before: false,
            delete_during: None,
            delete_after: false,
            usermap_by_chown: false,
            groupmap_by_chown: false,
            port: None,
            iconv: None,
            secluded: None,
            old_args: None,
            max_alloc: None,
            write_batch: None,
            only_write_batch: None,
            parallel: None,
            serve_only: None,
            serve_access: None,
            serve_munge: false,
            serve_no_delete: false,
            serve_no_overwrite: false,
            serve_absolute: false,
            serve_no_lock: false,
        }
    }

    /// Does what the option's row says.
    pub(crate) fn apply(&mut self, occurrence: &Occurrence) -> Result<(), UsageError> {
        self.o.used.push((occurrence.row.id, occurrence.shown()));
        let negative = occurrence.negative();
        match occurrence.row.effect {
            Effect::Switch(field) => *field(self) = !negative,
            Effect::Count(field) => {
                let count = field(self);
                *count = if negative { 0 } else { count.saturating_add(1) };
            }
            Effect::Integer(field) => *field(self) = Some(occurrence.integer()),
            Effect::Text(field) => *field(self) = Some(occurrence.text().to_vec()),
            Effect::Custom(effect) => effect(self, occurrence)?,
            Effect::Daemon(_) | Effect::Live(_) | Effect::SwitchToDaemon => {
                return Err(UsageError::HackAttempt);
            }
        }
        Ok(())
    }

    pub(crate) fn info_flags(&mut self, text: &[u8]) -> Result<(), UsageError> {
        match self.o.output.info.apply(text) {
            Ok(()) => {}
            Err(LevelsProblem::Help) => self.early = Some(Early::InfoHelp),
            Err(LevelsProblem::Unknown(word)) => {
                return Err(UsageError::UnknownFlag { option: "info", word });
            }
        }
        Ok(())
    }

    pub(crate) fn debug_flags(&mut self, text: &[u8]) -> Result<(), UsageError> {
        match self.o.output.debug.apply(text) {
            Ok(()) => {}
            Err(LevelsProblem::Help) => self.early = Some(Early::DebugHelp),
            Err(LevelsProblem::Unknown(word)) => {
                return Err(UsageError::UnknownFlag { option: "debug", word });
            }
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // The shape of a row's effect.
    pub(crate) fn filter(&mut self, argument: FilterArgument) -> Result<(), UsageError> {
        self.o.select.filters.push(argument);
        Ok(())
    }

    pub(crate) fn size(&self, option: &'static str, text: &[u8]) -> Result<u64, UsageError> {
        self.size_within(option, text, Unit::Byte, Range::ANY)
    }

    pub(crate) fn size_within(
        &self,
        option: &'static str,
        text: &[u8],
        unit: Unit,
        range: Range,
    ) -> Result<u64, UsageError> {
        size::parse(text, unit, range, self.context.decimal_point).map_err(|problem| {
            let value = text.to_vec();
            match problem {
                SizeProblem::Invalid => UsageError::SizeInvalid { option, value },
                SizeProblem::TooLarge => UsageError::SizeTooLarge { option, value, max: range.max },
                SizeProblem::TooSmall => UsageError::SizeTooSmall {
                    option,
                    value,
                    min: range.min,
                    or_zero: range.zero_is_unlimited,
                },
            }
        })
    }

    pub(crate) fn block_size(&mut self, text: &[u8]) -> Result<(), UsageError> {
        // The limit is that of the --protocol seen so far (cli.md 3.4).
        let old = self.o.connection.protocol.is_some_and(|version| version < 30);
        let range = Range { max: Some(if old { MAX_OLD_BLOCK } else { MAX_BLOCK }), ..Range::ANY };
        let size = self.size_within("block-size", text, Unit::Byte, range)?;
        self.o.data.block_size = if size == 0 { None } else { Some(size as u32) };
        Ok(())
    }

    pub(crate) fn bwlimit(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let range = Range { min: 512, max: None, zero_is_unlimited: true };
        let bytes = self.size_within("bwlimit", text, Unit::Kibi, range)?;
        let kib = bytes.saturating_add(512) / 1024;
        // Stock keeps 32 signed bits; a limit above them is the largest that every peer understands.
        self.o.connection.bwlimit =
            if kib == 0 { None } else { Some(kib.min(i32::MAX as u64) as u32) };
        Ok(())
    }

    pub(crate) fn stop_after(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let moment = stop::after(text, &self.context.now)
            .map_err(|_| UsageError::StopAfter(text.to_vec()))?;
        self.o.connection.stop_at = Some(moment);
        Ok(())
    }

    pub(crate) fn stop_at(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let moment = stop::at(text, &self.context.now).map_err(|problem| match problem {
            StopProblem::Invalid => UsageError::StopAt(text.to_vec()),
            StopProblem::NotInTheFuture => UsageError::StopAtPast(text.to_vec()),
        })?;
        self.o.connection.stop_at = Some(moment);
        Ok(())
    }

    pub(crate) fn alt_dest(&mut self, kind: AltDestKind, dir: &[u8]) -> Result<(), UsageError> {
        let alt = self.o.data.alt_dest.get_or_insert_with(|| AltDest { kind, dirs: Vec::new() });
        if alt.kind != kind {
            return Err(UsageError::AltDestConflict {
                later: kind.name(),
                earlier: alt.kind.name(),
            });
        }
        if alt.dirs.len() >= AltDest::MAX {
            return Err(UsageError::AltDestCount(kind.name()));
        }
        alt.dirs.push(dir.to_vec());
        Ok(())
    }

    pub(crate) fn usermap(&mut self, text: &[u8]) -> Result<(), UsageError> {
        self.map(Half::User, text.to_vec(), false)
    }

    pub(crate) fn groupmap(&mut self, text: &[u8]) -> Result<(), UsageError> {
        self.map(Half::Group, text.to_vec(), false)
    }

    pub(crate) fn chown(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let (user, group) = match text.iter().position(|&b| b == b':') {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, &b""[..]),
        };
        for (half, name) in [(Half::User, user), (Half::Group, group)] {
            if !name.is_empty() {
                self.map(half, [b"*:", name].concat(), true)?;
            }
        }
        Ok(())
    }

    /// Sets the map of one half, which may be done once.
    fn map(&mut self, half: Half, text: Word, by_chown: bool) -> Result<(), UsageError> {
        let attributes = &mut self.o.attributes;
        let (option, noun, map, earlier_by_chown, kept) = match half {
            Half::User => (
                "usermap",
                "user",
                &mut attributes.usermap,
                &mut self.usermap_by_chown,
                &mut attributes.owner,
            ),
            Half::Group => (
                "groupmap",
                "group",
                &mut attributes.groupmap,
                &mut self.groupmap_by_chown,
                &mut attributes.group,
            ),
        };
        if map.is_some() {
            return Err(match (*earlier_by_chown, by_chown) {
                (false, false) => UsageError::MapTwice(option),
                (true, true) => UsageError::ChownTwice(noun),
                (true, false) => UsageError::MapConflict { later: option, earlier: "chown" },
                (false, true) => UsageError::MapConflict { later: "chown", earlier: option },
            });
        }
        *map = Some(text);
        *earlier_by_chown = by_chown;
        *kept = true;
        Ok(())
    }
}

/// One half of an ownership.
#[derive(Clone, Copy)]
enum Half {
    User,
    Group,
}
