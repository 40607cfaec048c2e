//! Comparison and data transfer (cli.md 3.4).

use super::Effect::{Count, Custom, Integer, Switch, Text as Keep};
use super::{Category, Hint, OptionId, Row, Sent};
use crate::options::{AltDestKind, Append};

const fn under(row: Row) -> Row {
    row.under(Category::Data)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(
        OptionId::Checksum,
        &["checksum"],
        "compare by checksum instead of size and time",
    ))
    .short(b'c')
    .off(&["no-checksum", "no-c"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.data.checksum)),
    under(Row::text(
        OptionId::ChecksumChoice,
        &["checksum-choice"],
        "NAME",
        "use this checksum (also --cc)",
    ))
    .hidden(&["cc"])
    .hint(Hint::Words(&["auto", "xxh128", "xxh3", "xxh64", "md5", "md4", "sha1", "none"]))
    .sent(Sent::Both)
    .does(Keep(|d| &mut d.checksum_choice)),
    under(Row::integer(
        OptionId::ChecksumSeed,
        &["checksum-seed"],
        "NUM",
        "seed of block and file checksums",
    ))
    .refused_by_name()
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.o.data.checksum_seed = o.integer();
        Ok(())
    })),
    under(Row::flag(
        OptionId::IgnoreTimes,
        &["ignore-times"],
        "transfer files even if size and time match",
    ))
    .short(b'I')
    .off(&["no-ignore-times", "no-I"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.data.ignore_times)),
    under(Row::flag(OptionId::SizeOnly, &["size-only"], "pass over files whose size matches"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.data.size_only)),
    under(Row::integer(
        OptionId::ModifyWindow,
        &["modify-window"],
        "NUM",
        "times this many seconds apart are equal",
    ))
    .short(b'@')
    .more("A negative number compares nanoseconds too.")
    .sent(Sent::Push)
    .does(Integer(|d| &mut d.o.data.modify_window)),
    under(Row::flag(
        OptionId::WholeFile,
        &["whole-file"],
        "copy whole files, without looking for matching parts",
    ))
    .short(b'W')
    .shown_off(&["no-whole-file", "no-W"])
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.o.data.whole_file = Some(!o.negative());
        Ok(())
    })),
    under(Row::text(
        OptionId::BlockSize,
        &["block-size"],
        "SIZE",
        "look for matches in blocks of this size",
    ))
    .short(b'B')
    .sent(Sent::Both)
    .does(Custom(|d, o| d.block_size(o.text()))),
    under(Row::flag(
        OptionId::Fuzzy,
        &["fuzzy"],
        "start from a similar file where there is none of that name",
    ))
    .short(b'y')
    .off(&["no-fuzzy", "no-y"])
    .sent(Sent::Push)
    .does(Count(|d| &mut d.o.data.fuzzy)),
    under(Row::text(
        OptionId::CompareDest,
        &["compare-dest"],
        "DIR",
        "leave out files that DIR has unchanged",
    ))
    .hint(Hint::Directory)
    .sent(Sent::Push)
    .does(Custom(|d, o| d.alt_dest(AltDestKind::Compare, o.text()))),
    under(Row::text(
        OptionId::CopyDest,
        &["copy-dest"],
        "DIR",
        "copy files that DIR has unchanged from there",
    ))
    .hint(Hint::Directory)
    .sent(Sent::Push)
    .does(Custom(|d, o| d.alt_dest(AltDestKind::Copy, o.text()))),
    under(Row::text(
        OptionId::LinkDest,
        &["link-dest"],
        "DIR",
        "hard-link files that DIR has unchanged",
    ))
    .hint(Hint::Directory)
    .sent(Sent::Push)
    .does(Custom(|d, o| d.alt_dest(AltDestKind::Link, o.text()))),
    under(Row::flag(OptionId::Compress, &["compress"], "compress file data on the way"))
        .short(b'z')
        .off(&["no-compress", "no-z"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            if o.negative() {
                d.compress_count = 0;
                d.compress_choice = None;
            } else {
                d.compress_count = d.compress_count.saturating_add(1);
            }
            Ok(())
        })),
    under(Row::text(
        OptionId::CompressChoice,
        &["compress-choice"],
        "NAME",
        "compress with this method (also --zc)",
    ))
    .hidden(&["zc"])
    .hint(Hint::Words(&["auto", "zstd", "lz4", "zlibx", "zlib", "none"]))
    .sent(Sent::Both)
    .does(Keep(|d| &mut d.compress_choice)),
    under(Row::flag(OptionId::OldCompress, &[], "same as --compress-choice=zlib"))
        .hidden(&["old-compress"])
        .sent(Sent::Both)
        .does(Custom(|d, _| {
            d.compress_choice = Some(b"zlib".to_vec());
            Ok(())
        })),
    under(Row::flag(OptionId::NewCompress, &[], "same as --compress-choice=zlibx"))
        .hidden(&["new-compress"])
        .sent(Sent::Both)
        .does(Custom(|d, _| {
            d.compress_choice = Some(b"zlibx".to_vec());
            Ok(())
        })),
    under(Row::integer(
        OptionId::CompressLevel,
        &["compress-level"],
        "NUM",
        "compress this hard (also --zl)",
    ))
    .hidden(&["zl"])
    .more("Switches compression on by itself.")
    .sent(Sent::Both)
    .does(Integer(|d| &mut d.o.data.compress_level)),
    under(Row::integer(
        OptionId::CompressThreads,
        &["compress-threads"],
        "NUM",
        "zstd workers (also --zt)",
    ))
    .hidden(&["zt"])
    .does(Custom(|d, o| {
        d.o.data.compress_threads = o.integer().max(0) as u32;
        Ok(())
    })),
    under(Row::text(
        OptionId::SkipCompress,
        &["skip-compress"],
        "LIST",
        "do not compress files with these suffixes",
    ))
    .sent(Sent::Pull)
    .does(Keep(|d| &mut d.o.data.skip_compress)),
    under(Row::flag(OptionId::Sparse, &["sparse"], "write runs of zeros as holes"))
        .short(b'S')
        .off(&["no-sparse", "no-S"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.data.sparse)),
    under(Row::flag(
        OptionId::Preallocate,
        &["preallocate"],
        "reserve the space of a file before writing it",
    ))
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.data.preallocate)),
    under(Row::flag(
        OptionId::Inplace,
        &["inplace"],
        "write into the existing file instead of a new one",
    ))
    .off(&["no-inplace"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.inplace)),
    under(Row::flag(
        OptionId::Append,
        &["append"],
        "add what is missing at the end of shorter files",
    ))
    .off(&["no-append"])
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.o.data.append = match (o.negative(), d.server.is_some(), d.o.data.append) {
            (true, ..) => Append::No,
            // A server is told --append twice for --append-verify.
            (false, true, Append::Blind | Append::Verify) => Append::Verify,
            _ => Append::Blind,
        };
        Ok(())
    })),
    under(Row::flag(
        OptionId::AppendVerify,
        &["append-verify"],
        "--append with a checksum over the old part too",
    ))
    .sent(Sent::Both)
    .does(Custom(|d, _| {
        d.o.data.append = Append::Verify;
        Ok(())
    })),
    under(Row::flag(
        OptionId::Partial,
        &["partial"],
        "keep what has arrived of a file when a transfer is cut",
    ))
    .off(&["no-partial"])
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.keep_partial)),
    under(Row::text(OptionId::PartialDir, &["partial-dir"], "DIR", "keep it in DIR"))
        .hint(Hint::Directory)
        .sent(Sent::Push)
        .does(Keep(|d| &mut d.partial_dir)),
    under(Row::flag(
        OptionId::DelayUpdates,
        &["delay-updates"],
        "put all updated files into place at the end",
    ))
    .off(&["no-delay-updates"])
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.data.delay_updates)),
    under(Row::text(OptionId::TempDir, &["temp-dir"], "DIR", "create temporary files in DIR"))
        .short(b'T')
        .hint(Hint::Directory)
        .sent(Sent::Push)
        .does(Keep(|d| &mut d.o.data.temp_dir)),
    under(Row::flag(
        OptionId::Backup,
        &["backup"],
        "keep the old version of what is replaced or deleted",
    ))
    .short(b'b')
    .off(&["no-backup"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.data.backup)),
    under(Row::text(OptionId::BackupDir, &["backup-dir"], "DIR", "keep old versions below DIR"))
        .hint(Hint::Directory)
        .sent(Sent::Both)
        .does(Keep(|d| &mut d.backup_dir)),
    under(Row::text(
        OptionId::Suffix,
        &["suffix"],
        "TEXT",
        "end of old versions' names (~ without --backup-dir)",
    ))
    .sent(Sent::Both)
    .does(Keep(|d| &mut d.suffix)),
    under(Row::flag(OptionId::Fsync, &["fsync"], "wait until each file has reached the disk"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.data.fsync)),
    under(Row::flag(OptionId::Qsort, &[], "build the whole file list first and sort it quickly"))
        .hidden(&["qsort", "use-qsort"])
        .does(Custom(|d, _| {
            d.o.select.incremental = false;
            Ok(())
        })),
];
