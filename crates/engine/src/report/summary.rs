//! `--stats` and the closing block (docs/spec cli.md 9.4, 14).

use std::fmt::Write as _;

use syncline_options::values::choice::Compression;
use syncline_options::values::flags::Info;
use syncline_wire::{Algorithm as _, CompatFlags};

use super::{Numbers, Setting, Units};
use crate::stats::KindCounts;
use crate::{Count, Tally, Terms};

/// The lines after the blank one, if the level asks for any.
pub(super) fn lines(
    setting: &Setting,
    numbers: Numbers,
    protocol: u8,
    tally: &Tally,
    seconds: u64,
) -> Option<String> {
    let level = setting.options.output.info.level(Info::Stats);
    if level == 0 {
        return None;
    }
    let mut text = String::new();
    if level >= 2 {
        statistics(&mut text, numbers, protocol, tally);
        text.push('\n');
    }
    closing(&mut text, setting, numbers, tally, seconds);
    Some(text)
}

/// What the log gets where nothing is shown.
pub(super) fn log_line(tally: &Tally) -> String {
    let (sent, received, size) = (tally.sent.get(), tally.received.get(), tally.total_size.get());
    format!("sent {sent} bytes  received {received} bytes  total size {size}\n")
}

/// The lines of `--debug=NSTR`.
pub(super) fn negotiated(setting: &Setting, terms: &Terms) -> Vec<String> {
    let exchanged = terms.compat.contains(CompatFlags::VARINT_FLAGS);
    let word = |given: bool| if exchanged && !given { "Client negotiated" } else { "Client" };
    let data = &setting.options.data;
    let given = !data.checksum_choice.text.is_empty();
    let mut lines = vec![format!("{} checksum: {}", word(given), terms.transfer_checksum.name())];
    let (method, level) = terms.compression;
    if data.compression != Compression::Off {
        let given = data.compression != Compression::Negotiated;
        lines.push(format!("{} compress: {} (level {level})", word(given), method.name()));
    }
    lines
}

fn statistics(text: &mut String, numbers: Numbers, protocol: u8, tally: &Tally) {
    let mut line = |words: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{words}: {value}");
    };
    line("Number of files", breakdown(&tally.files, numbers));
    if protocol >= 29 {
        line("Number of created files", breakdown(&tally.created, numbers));
    }
    if protocol >= 31 {
        line("Number of deleted files", breakdown(&tally.deleted, numbers));
    }
    let bytes = |count: &Count| format!("{} bytes", numbers.bytes(count.get()));
    line("Number of regular files transferred", numbers.grouped(tally.transferred.get()));
    line("Total file size", bytes(&tally.total_size));
    line("Total transferred file size", bytes(&tally.transferred_size));
    line("Literal data", bytes(&tally.literal));
    line("Matched data", bytes(&tally.matched));
    line("File list size", numbers.bytes(tally.list_size.get()));
    if tally.list_build.get() > 0 {
        let seconds = |count: &Count| {
            format!("{} seconds", numbers.decimal(count.get() as f64 / 1000.0, 3, Units::Never))
        };
        line("File list generation time", seconds(&tally.list_build));
        line("File list transfer time", seconds(&tally.list_transfer));
    }
    line("Total bytes sent", numbers.bytes(tally.sent.get()));
    line("Total bytes received", numbers.bytes(tally.received.get()));
}

fn breakdown(counts: &KindCounts, numbers: Numbers) -> String {
    let mut text = numbers.grouped(counts.total());
    if counts.total() == 0 {
        return text;
    }
    let parts: Vec<String> = ["reg", "dir", "link", "dev", "special"]
        .iter()
        .zip(counts.get())
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {}", numbers.grouped(count)))
        .collect();
    let _ = write!(text, " ({})", parts.join(", "));
    text
}

fn closing(text: &mut String, setting: &Setting, numbers: Numbers, tally: &Tally, seconds: u64) {
    let (sent, received) = (tally.sent.get(), tally.received.get());
    let moved = (sent + received) as f64;
    let rate = numbers.decimal(moved / (0.5 + seconds as f64), 2, Units::Allowed);
    let total = tally.total_size.get();
    let speedup = if moved > 0.0 { total as f64 / moved } else { 0.0 };
    let note = if setting.options.batch.only_write {
        " (BATCH ONLY)"
    } else if setting.options.connection.dry_run {
        " (DRY RUN)"
    } else {
        ""
    };
    let _ = write!(
        text,
        "sent {} bytes  received {} bytes  {rate} bytes/sec\ntotal size is {}  speedup is {}{note}\n",
        numbers.bytes(sent),
        numbers.bytes(received),
        numbers.bytes(total),
        numbers.decimal(speedup, 2, Units::Never),
    );
}
