//! Selecting what is copied (cli.md 3.3).

use super::Effect::{Count, Custom, Switch};
use super::{Category, Hint, OptionId, Row, Sent};
use crate::draft::{DirsSetting, Recursion};
use crate::options::{FilterArgument, RemoveSource};

const fn under(row: Row) -> Row {
    row.under(Category::Select)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(
        OptionId::Archive,
        &["archive"],
        "the usual copy: same as -rlptgoD (without -A -X -U -N -H)",
    ))
    .short(b'a')
    .does(Custom(|d, _| {
        if d.recursion == Recursion::Off {
            d.recursion = Recursion::Weak;
        }
        let a = &mut d.o.attributes;
        for kept in [
            &mut a.links,
            &mut a.perms,
            &mut a.times,
            &mut a.group,
            &mut a.owner,
            &mut a.devices,
            &mut a.specials,
        ] {
            *kept = true;
        }
        Ok(())
    })),
    under(Row::flag(OptionId::Recursive, &["recursive"], "descend into directories"))
        .short(b'r')
        .off(&["no-recursive", "no-r"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            d.recursion = if o.negative() { Recursion::Off } else { Recursion::Strong };
            Ok(())
        })),
    under(Row::flag(
        OptionId::IncRecursive,
        &["inc-recursive", "i-r"],
        "let the file list grow during the transfer",
    ))
    .shown_off(&["no-inc-recursive", "no-i-r"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.select.incremental)),
    under(Row::flag(OptionId::Dirs, &["dirs"], "copy directory entries without descending"))
        .short(b'd')
        .off(&["no-dirs", "no-d"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            d.dirs = Some(if o.negative() { DirsSetting::No } else { DirsSetting::Yes });
            Ok(())
        })),
    under(Row::flag(
        OptionId::OldDirs,
        &["old-dirs", "old-d"],
        "--dirs in a way that very old servers understand",
    ))
    .sent(Sent::Both)
    .does(Custom(|d, _| {
        d.dirs = Some(DirsSetting::Old);
        Ok(())
    })),
    under(Row::flag(
        OptionId::Relative,
        &["relative"],
        "recreate the whole source path below the destination",
    ))
    .short(b'R')
    .off(&["no-relative", "no-R"])
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.o.select.relative = Some(!o.negative());
        Ok(())
    })),
    under(Row::flag(
        OptionId::ImpliedDirs,
        &[],
        "with --relative, do not touch the parents of what is named",
    ))
    .hidden(&["implied-dirs", "i-d"])
    .shown_off(&["no-implied-dirs"])
    .off(&["no-i-d"])
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.select.implied_dirs)),
    under(Row::flag(OptionId::Mkpath, &["mkpath"], "create missing parents of the destination"))
        .off(&["no-mkpath"])
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.select.mkpath)),
    under(Row::flag(
        OptionId::OneFileSystem,
        &["one-file-system"],
        "stay on the source's file system",
    ))
    .short(b'x')
    .off(&["no-one-file-system", "no-x"])
    .sent(Sent::Both)
    .does(Count(|d| &mut d.o.select.one_file_system)),
    under(Row::flag(
        OptionId::PruneEmptyDirs,
        &["prune-empty-dirs"],
        "leave out directories that would stay empty",
    ))
    .short(b'm')
    .off(&["no-prune-empty-dirs", "no-m"])
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.select.prune_empty_dirs)),
    under(Row::text(
        OptionId::FilesFrom,
        &["files-from"],
        "FILE",
        "copy the names that FILE lists (- is standard input)",
    ))
    .hint(Hint::File)
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.files_from = Some(o.text().to_vec());
        Ok(())
    })),
    under(Row::flag(
        OptionId::From0,
        &["from0"],
        "names and rules in files end in NUL instead of newline",
    ))
    .short(b'0')
    .off(&["no-from0"])
    .refused_by_name()
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.select.from0)),
    under(Row::text(
        OptionId::Filter,
        &["filter"],
        "RULE",
        "add a rule about what is copied and deleted",
    ))
    .short(b'f')
    .does(Custom(|d, o| d.filter(FilterArgument::Rule(o.text().to_vec())))),
    under(Row::flag(
        OptionId::PerDirFilters,
        &[],
        "obey .rsync-filter files (twice: and do not copy them)",
    ))
    .short(b'F')
    .does(Custom(|d, _| {
        d.per_dir_filters = d.per_dir_filters.saturating_add(1);
        match d.per_dir_filters {
            1 => d.filter(FilterArgument::Rule(b": /.rsync-filter".to_vec())),
            2 => d.filter(FilterArgument::Rule(b"- .rsync-filter".to_vec())),
            _ => Ok(()),
        }
    })),
    under(Row::text(OptionId::Exclude, &["exclude"], "PATTERN", "leave out what matches PATTERN"))
        .does(Custom(|d, o| d.filter(FilterArgument::Exclude(o.text().to_vec())))),
    under(Row::text(
        OptionId::ExcludeFrom,
        &["exclude-from"],
        "FILE",
        "leave out what matches a pattern in FILE",
    ))
    .hint(Hint::File)
    .does(Custom(|d, o| d.filter(FilterArgument::ExcludeFrom(o.text().to_vec())))),
    under(Row::text(
        OptionId::Include,
        &["include"],
        "PATTERN",
        "do not leave out what matches PATTERN",
    ))
    .does(Custom(|d, o| d.filter(FilterArgument::Include(o.text().to_vec())))),
    under(Row::text(
        OptionId::IncludeFrom,
        &["include-from"],
        "FILE",
        "do not leave out what matches a pattern in FILE",
    ))
    .hint(Hint::File)
    .does(Custom(|d, o| d.filter(FilterArgument::IncludeFrom(o.text().to_vec())))),
    under(Row::flag(OptionId::CvsExclude, &["cvs-exclude"], "leave out what CVS would"))
        .short(b'C')
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.select.cvs_exclude)),
    under(Row::text(OptionId::MaxSize, &["max-size"], "SIZE", "leave out files larger than SIZE"))
        .sent(Sent::Push)
        .does(Custom(|d, o| {
            d.o.select.max_size = Some(d.size("max-size", o.text())?);
            Ok(())
        })),
    under(Row::text(OptionId::MinSize, &["min-size"], "SIZE", "leave out files smaller than SIZE"))
        .sent(Sent::Push)
        .does(Custom(|d, o| {
            d.o.select.min_size = Some(d.size("min-size", o.text())?);
            Ok(())
        })),
    under(Row::flag(
        OptionId::Existing,
        &["existing", "ignore-non-existing"],
        "create no new files",
    ))
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.select.existing_only)),
    under(Row::flag(
        OptionId::IgnoreExisting,
        &["ignore-existing"],
        "leave files alone that exist already",
    ))
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.select.ignore_existing)),
    under(Row::flag(
        OptionId::Update,
        &["update"],
        "leave files alone that are newer at the destination",
    ))
    .short(b'u')
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.o.select.update)),
    under(Row::flag(
        OptionId::IgnoreMissingArgs,
        &["ignore-missing-args"],
        "pass over sources that do not exist",
    ))
    .sent(Sent::Pull)
    .does(Switch(|d| &mut d.ignore_missing)),
    under(Row::flag(
        OptionId::DeleteMissingArgs,
        &["delete-missing-args"],
        "delete what a missing source stands for",
    ))
    .sent(Sent::Both)
    .does(Switch(|d| &mut d.delete_missing)),
    under(Row::flag(
        OptionId::RemoveSourceFiles,
        &["remove-source-files"],
        "remove source files once they are safe at the destination",
    ))
    .sent(Sent::Both)
    .does(Custom(|d, _| {
        d.o.select.remove_source = Some(RemoveSource::Synchronized);
        Ok(())
    })),
    under(Row::new(
        OptionId::RemoveSentFiles,
        &[],
        super::Argument::None,
        "older form: only files that were sent",
    ))
    .hidden(&["remove-sent-files"])
    .sent(Sent::Both)
    .does(Custom(|d, _| {
        d.o.select.remove_source = Some(RemoveSource::Sent);
        Ok(())
    })),
];
