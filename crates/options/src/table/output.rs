//! Information and output (cli.md 3.2).

use super::Argument::Text;
use super::Effect::{Count, Custom, Switch, Text as Keep};
use super::{Category, Hint, OptionId, Row, Sent};
use crate::draft::Early;
use crate::error::UsageError;
use crate::options::StderrMode;
use crate::values::format::Format;

const fn under(row: Row) -> Row {
    row.under(Category::Output)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(OptionId::Verbose, &["verbose"], "say more; repeat it to hear still more"))
        .short(b'v')
        .off(&["no-verbose", "no-v"])
        .sent(Sent::Both)
        .does(Count(|d| &mut d.o.output.verbose)),
    under(Row::text(OptionId::Info, &["info"], "WORDS", "choose what is reported, word by word"))
        .more("Comma-separated words, each with a level as its last digit. 'help' lists them.")
        .sent(Sent::Both)
        .does(Custom(|d, o| d.info_flags(o.text()))),
    under(Row::text(OptionId::Debug, &["debug"], "WORDS", "choose what is traced, word by word"))
        .more("As --info, for people who look for a fault. 'help' lists the words.")
        .does(Custom(|d, o| d.debug_flags(o.text()))),
    under(Row::text(
        OptionId::Stderr,
        &["stderr"],
        "e|a|c",
        "where messages go: errors, all, or client",
    ))
    .hint(Hint::Words(&["errors", "all", "client"]))
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        let text = o.text();
        let modes = [
            ("errors", StderrMode::Errors),
            ("all", StderrMode::All),
            ("client", StderrMode::Client),
        ];
        let found =
            modes.iter().find(|(name, _)| !text.is_empty() && name.as_bytes().starts_with(text));
        d.o.output.stderr =
            found.map(|&(_, mode)| mode).ok_or_else(|| UsageError::StderrMode(text.to_vec()))?;
        Ok(())
    })),
    under(Row::flag(OptionId::Msgs2stderr, &[], "older names of --stderr=all and --stderr=client"))
        .hidden(&["msgs2stderr"])
        .off(&["no-msgs2stderr"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            d.o.output.stderr = if o.negative() { StderrMode::Client } else { StderrMode::All };
            Ok(())
        })),
    under(Row::flag(OptionId::Quiet, &["quiet"], "say nothing but errors"))
        .short(b'q')
        .sent(Sent::Both)
        .does(Count(|d| &mut d.o.output.quiet)),
    under(Row::flag(OptionId::Motd, &[], "leave out a daemon's message of the day"))
        .hidden(&["motd"])
        .shown_off(&["no-motd"])
        .does(Switch(|d| &mut d.o.output.motd)),
    under(Row::flag(OptionId::Stats, &["stats"], "end with a summary of the transfer"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.output.stats)),
    under(Row::flag(
        OptionId::HumanReadable,
        &["human-readable"],
        "write numbers with units (-hh: units of 1024)",
    ))
    .short(b'h')
    .off(&["no-human-readable", "no-h"])
    .does(Count(|d| &mut d.o.output.human_readable)),
    under(Row::flag(
        OptionId::EightBitOutput,
        &["8-bit-output"],
        "print names with high bytes as they are",
    ))
    .short(b'8')
    .off(&["no-8-bit-output", "no-8"])
    .does(Switch(|d| &mut d.o.output.eight_bit)),
    under(Row::flag(OptionId::Progress, &["progress"], "show how far each file has come"))
        .off(&["no-progress"])
        .does(Switch(|d| &mut d.o.output.progress)),
    under(Row::flag(OptionId::PartialProgress, &[], "both --partial and --progress"))
        .short(b'P')
        .sent(Sent::Push)
        .does(Custom(|d, _| {
            d.o.output.progress = true;
            d.keep_partial = true;
            Ok(())
        })),
    under(Row::flag(
        OptionId::ItemizeChanges,
        &["itemize-changes"],
        "print one line of what changed for each item",
    ))
    .short(b'i')
    .off(&["no-itemize-changes", "no-i"])
    .does(Count(|d| &mut d.o.output.itemize)),
    under(Row::text(
        OptionId::OutFormat,
        &["out-format"],
        "FORMAT",
        "print this line for each item",
    ))
    .does(Custom(|d, o| {
        d.o.output.out_format = Some(Format::parse(o.text()));
        Ok(())
    })),
    under(Row::new(OptionId::LogFormat, &[], Text("FORMAT"), "older name of --out-format"))
        .hidden(&["log-format"])
        .refused_by_name()
        .sent(Sent::Push)
        .does(Custom(|d, o| {
            d.o.output.out_format = Some(Format::parse(o.text()));
            Ok(())
        })),
    under(Row::text(
        OptionId::LogFile,
        &["log-file"],
        "FILE",
        "append a record of what is done to FILE",
    ))
    .hint(Hint::File)
    .does(Keep(|d| &mut d.o.output.log_file)),
    under(Row::text(
        OptionId::LogFileFormat,
        &["log-file-format"],
        "FORMAT",
        "line of the log file for each item",
    ))
    .does(Custom(|d, o| {
        d.o.output.log_file_format = Some(Format::parse(o.text()));
        Ok(())
    })),
    under(Row::flag(OptionId::ListOnly, &["list-only"], "list the files instead of copying them"))
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.output.list_only)),
    under(Row::text(
        OptionId::Outbuf,
        &["outbuf"],
        "N|L|B",
        "buffer output not at all, by line, or by block",
    ))
    .hint(Hint::Words(&["N", "L", "B"]))
    .does(Keep(|d| &mut d.outbuf)),
    under(Row::flag(
        OptionId::Version,
        &["version"],
        "show version and abilities (twice: as JSON) and end",
    ))
    .short(b'V')
    .does(Count(|d| &mut d.version)),
    under(Row::flag(OptionId::Help, &["help"], "show this text and end (so does a lone -h)")).does(
        Custom(|d, _| {
            d.early = Some(Early::Help);
            Ok(())
        }),
    ),
];
