//! Options weighed against each other, in the stock program's order (cli.md 3.9).

use crate::draft::{DirsSetting, Draft, Recursion};
use crate::error::UsageError;
use crate::location::split_host;
use crate::options::{
    Append, ArgumentProtection, Connection, DeleteWhen, Dirs, FilesFrom, FilterArgument,
    MissingArguments, Outbuf, Partial, SuperUser,
};
use crate::parse::Command;
use crate::serve_only::ServeOnly;
use crate::table::OptionId;
use crate::unpack::Capabilities;
use crate::values::choice::{Checksum, ChecksumChoice, Compression, Compressor};
use crate::values::flags::{Info, imply_verbosity};
use crate::values::iconv::Iconv;
use crate::values::integer::leading_decimal;
use crate::values::size::{Range, Unit};
use crate::word::Word;

/// Longest batch file name.
const MAX_BATCH_NAME: usize = 256;
/// Shortest temporary directory that is too long.
const TEMP_DIR_LIMIT: usize = 4086;
/// Longest backup directory.
const MAX_BACKUP_DIR: usize = 3968;
/// Smallest `--max-alloc`.
const MIN_ALLOC: u64 = 1 << 20;
/// The partial directory of `--delay-updates`.
const DELAY_DIR: &[u8] = b".~tmp~";
/// Most sessions of `--parallel`.
const MAX_PARALLEL: i32 = 64;

/// What may stand beside `--serve-only`.
const SERVE_ONLY_OPTIONS: &[OptionId] = &[
    OptionId::ServeOnly,
    OptionId::ServeReadOnly,
    OptionId::ServeWriteOnly,
    OptionId::ServeMunge,
    OptionId::ServeNoDelete,
    OptionId::ServeNoOverwrite,
    OptionId::ServeAbsolute,
    OptionId::ServeNoLock,
];

type Check = Result<(), UsageError>;

/// Ends parsing. `bare`: there was not a single word.
pub(crate) fn finish(mut draft: Draft, bare: bool) -> Result<Command, UsageError> {
    if draft.version > 0 {
        return Ok(Command::Version { json: draft.version > 1 });
    }
    let serving = draft.serve_access.is_some()
        || draft.serve_munge
        || draft.serve_no_delete
        || draft.serve_no_overwrite
        || draft.serve_absolute
        || draft.serve_no_lock;
    if let Some(dir) = draft.serve_only.take() {
        let alone = draft.o.used.iter().all(|(id, _)| SERVE_ONLY_OPTIONS.contains(id));
        if !alone || !draft.o.arguments.is_empty() {
            return Err(UsageError::Ours(
                "--serve-only takes --ro, --wo, --munge, --no-del, --no-overwrite, --absolute and --no-lock beside it, nothing else",
            ));
        }
        return Ok(Command::ServeOnly(ServeOnly {
            dir,
            access: draft.serve_access.unwrap_or_default(),
            munge: draft.serve_munge,
            no_delete: draft.serve_no_delete,
            no_overwrite: draft.serve_no_overwrite,
            absolute: draft.serve_absolute,
            no_lock: draft.serve_no_lock,
        }));
    }
    if serving {
        return Err(UsageError::Ours(
            "--ro, --wo, --munge, --no-del, --no-overwrite, --absolute and --no-lock need --serve-only",
        ));
    }
    options(&mut draft)?;
    let options = draft.o;
    if options.server.is_some() {
        return Ok(Command::Server(Box::new(options)));
    }
    if options.arguments.is_empty() {
        return Err(if bare { UsageError::Usage } else { UsageError::NoArguments });
    }
    Ok(Command::Transfer(Box::new(options)))
}

/// Runs all checks and fills in what options imply.
pub(crate) fn options(draft: &mut Draft) -> Check {
    role(draft);
    limits(draft)?;
    protection(draft)?;
    choices(draft)?;
    output(draft)?;
    if draft.o.attributes.super_user == SuperUser::Fake && draft.o.attributes.xattrs > 1 {
        return Err(UsageError::FakeSuperXattrs);
    }
    batch(draft)?;
    if draft.o.data.temp_dir.as_ref().is_some_and(|dir| dir.len() >= TEMP_DIR_LIMIT) {
        return Err(UsageError::TempDirLength);
    }
    directories(draft);
    deletion(draft)?;
    confinement(draft)?;
    backup(draft)?;
    in_place(draft)?;
    files_from(draft)?;
    connection(draft)?;
    implied_filters(draft);
    Ok(())
}

/// On a server, `-e` carries what the client can do.
fn role(draft: &mut Draft) {
    draft.o.server = draft.server.clone().map(|mut server| {
        let letters = draft.o.connection.rsh.take().unwrap_or_default();
        server.capabilities = Capabilities::parse(&letters);
        server
    });
}

fn limits(draft: &mut Draft) -> Check {
    let from_environment =
        draft.context.environment.max_alloc.clone().filter(|text| !text.is_empty());
    let limit = match draft.max_alloc.take().or(from_environment) {
        None => Connection::DEFAULT_MAX_ALLOC,
        Some(text) => {
            let range = Range { min: MIN_ALLOC, max: None, zero_is_unlimited: true };
            let limit = draft.size_within("max-alloc", &text, Unit::Byte, range)?;
            draft.o.connection.max_alloc_text =
                Some(text).filter(|_| limit != Connection::DEFAULT_MAX_ALLOC);
            limit
        }
    };
    draft.o.connection.max_alloc = limit;
    Ok(())
}

fn protection(draft: &mut Draft) -> Check {
    let environment = draft.context.environment.clone();
    if draft.server.is_none() {
        let old_args = environment.old_args.as_deref().filter(|text| !text.is_empty());
        let protect_args = environment.protect_args.as_deref().filter(|text| !text.is_empty());
        if let Some(text) = old_args
            && draft.old_args.is_none()
            && draft.secluded != Some(true)
        {
            draft.old_args = Some(leading_decimal(text).clamp(0, 2) as u8);
            draft.secluded = Some(false);
        } else if let Some(text) = protect_args
            && draft.old_args.unwrap_or(0) == 0
            && draft.secluded.is_none()
        {
            draft.secluded = Some(leading_decimal(text) != 0);
        }
    }
    draft.o.connection.protection = match (draft.secluded, draft.old_args.unwrap_or(0)) {
        (Some(true), 0) => ArgumentProtection::Secluded,
        (Some(true), _) => return Err(UsageError::SecludedOldArgs),
        (_, 0) => ArgumentProtection::Escaped,
        (_, 1) => ArgumentProtection::OldArgs,
        (_, _) => ArgumentProtection::Nothing,
    };
    Ok(())
}

fn choices(draft: &mut Draft) -> Check {
    if let Some(text) = draft.checksum_choice.take() {
        let choice = ChecksumChoice::parse(&text).map_err(UsageError::UnknownChecksum)?;
        if choice.transfer == Some(Checksum::None) {
            draft.o.data.whole_file = Some(true);
        }
        if draft.o.data.checksum && choice.whole == Some(Checksum::None) {
            return Err(UsageError::NoWholeChecksum);
        }
        draft.o.data.checksum_choice = choice;
    }
    let chosen = match draft.compress_choice.as_deref() {
        None => None,
        Some(name) if name.eq_ignore_ascii_case(b"auto") => None,
        Some(name) => Some(
            Compressor::named(name).ok_or_else(|| UsageError::UnknownCompressor(name.to_vec()))?,
        ),
    };
    draft.o.data.compress_flag = draft.compress_count > 0;
    if chosen.is_some() {
        draft.o.data.compress_choice_text = draft.compress_choice.take().unwrap_or_default();
    }
    draft.o.data.compression = match (chosen, draft.compress_count) {
        (Some(compressor), _) => Compression::Chosen(compressor),
        (None, 0) if draft.o.data.compress_level.is_none() => Compression::Off,
        (None, 0 | 1) => Compression::Negotiated,
        (None, _) => Compression::Chosen(Compressor::Zlibx),
    };
    Ok(())
}

fn output(draft: &mut Draft) -> Check {
    if let Some(text) = &draft.outbuf {
        draft.o.output.outbuf = Some(match text.first().map(u8::to_ascii_uppercase) {
            Some(b'N' | b'U') => Outbuf::None,
            Some(b'L') => Outbuf::Line,
            Some(b'B' | b'F') => Outbuf::Block,
            _ => return Err(UsageError::Outbuf),
        });
    }
    let output = &mut draft.o.output;
    if draft.server.is_some()
        && let Some(format) = &output.out_format
    {
        // A server is told %i, and %I for the second -i (session.md 2.4 row 6).
        output.itemize =
            u8::from(format.has(b'i')) + u8::from(format.has(b'i') && format.has(b'I'));
    }
    imply_verbosity(&mut output.info, &mut output.debug, output.verbose);
    if output.stats {
        output.info.imply(Info::Stats, if output.verbose > 1 { 3 } else { 2 });
    }
    if output.progress {
        output.info.imply(Info::Flist, 2);
        output.info.imply(Info::Progress, 1);
        if output.out_format.is_none() && output.itemize == 0 {
            output.info.imply(Info::Name, 1);
        }
    }
    Ok(())
}

fn batch(draft: &mut Draft) -> Check {
    let o = &mut draft.o;
    o.batch.only_write = draft.only_write_batch.is_some();
    o.batch.write = draft.only_write_batch.take().or(draft.write_batch.take());
    if o.batch.read.is_some() {
        if o.batch.write.is_some() {
            return Err(UsageError::TwoBatches);
        }
        if draft.files_from.is_some() {
            return Err(UsageError::BatchFilesFrom);
        }
        if let Some(removal) = o.select.remove_source {
            return Err(UsageError::BatchRemove(removal.name()));
        }
    }
    let name = o.batch.write.as_ref().or(o.batch.read.as_ref());
    if name.is_some_and(|name| name.len() > MAX_BATCH_NAME) {
        return Err(UsageError::BatchName);
    }
    if o.connection.dry_run {
        o.batch.write = None;
    }
    Ok(())
}

/// Recursion and directory entries.
fn directories(draft: &mut Draft) {
    let select = &mut draft.o.select;
    if draft.dirs == Some(DirsSetting::Old) {
        select.old_dirs = true;
        draft.recursion = Recursion::Strong;
    }
    if draft.files_from.is_some() && draft.recursion == Recursion::Weak {
        draft.recursion = Recursion::Off;
    }
    select.recursive = draft.recursion != Recursion::Off;
    let lists =
        draft.o.output.list_only || (draft.server.is_none() && draft.o.arguments.len() <= 1);
    select.dirs = match draft.dirs {
        Some(DirsSetting::Yes | DirsSetting::Old) => Dirs::Yes,
        Some(DirsSetting::No) => Dirs::Refused,
        None if select.recursive || lists || draft.files_from.is_some() => Dirs::Implied,
        None => Dirs::No,
    };
}

fn deletion(draft: &mut Draft) -> Check {
    let kinds = [draft.delete_before, draft.delete_during.is_some(), draft.delete_after];
    if kinds.iter().filter(|&&kind| kind).count() > 1 {
        return Err(UsageError::DeleteWhen);
    }
    let delete = &mut draft.o.delete;
    delete.when = match draft.delete_during {
        Some(when) => when,
        None if draft.delete_before => DeleteWhen::Before,
        None if draft.delete_after => DeleteWhen::After,
        None if draft.delete || delete.excluded => DeleteWhen::ByProtocol,
        None => DeleteWhen::Never,
    };
    if delete.when != DeleteWhen::Never && !draft.o.select.takes_dirs() {
        return Err(UsageError::DeleteAlone);
    }
    draft.o.select.missing_arguments = match (draft.delete_missing, draft.ignore_missing) {
        (true, _) => MissingArguments::Delete,
        (false, true) => MissingArguments::Ignore,
        (false, false) => MissingArguments::Report,
    };
    Ok(())
}

fn confinement(draft: &Draft) -> Check {
    if let Some(root) = &draft.o.attributes.confine_root {
        if root.first() != Some(&b'/') {
            return Err(UsageError::ConfineRelative);
        }
        if draft.o.attributes.insecure_links {
            return Err(UsageError::ConfineInsecure);
        }
    }
    Ok(())
}

fn backup(draft: &mut Draft) -> Check {
    let data = &mut draft.o.data;
    let named = draft.backup_dir.take();
    let suffix = draft
        .suffix
        .take()
        .unwrap_or_else(|| if named.is_some() { Word::new() } else { b"~".to_vec() });
    if suffix.contains(&b'/') {
        return Err(UsageError::SuffixSlash(suffix));
    }
    if let Some(dir) = &named {
        data.backup = true;
        let mut dir = dir.as_slice();
        while let Some(rest) = dir.strip_prefix(b"./") {
            dir = rest;
        }
        if dir.len() > MAX_BACKUP_DIR {
            return Err(UsageError::BackupDirLength);
        }
        data.backup_dir = Some(dir.to_vec()).filter(|dir| !dir.is_empty() && dir != b".");
    }
    if suffix.is_empty() && data.backup_dir.is_none() {
        return Err(if named.is_some() {
            UsageError::SuffixEmptySameDir
        } else {
            UsageError::SuffixEmpty
        });
    }
    data.suffix = suffix;
    Ok(())
}

/// In-place updates and what becomes of cut transfers.
fn in_place(draft: &mut Draft) -> Check {
    let data = &mut draft.o.data;
    let appends = data.append != Append::No;
    if appends && data.whole_file == Some(true) {
        return Err(UsageError::AppendWhole);
    }
    data.inplace = draft.inplace || appends || draft.o.attributes.write_devices;
    let named = draft.partial_dir.take();
    if data.inplace {
        let option = if appends { "append" } else { "inplace" };
        if data.delay_updates {
            return Err(UsageError::InplaceConflict(option, "delay-updates"));
        }
        if named.is_some() {
            return Err(UsageError::InplaceConflict(option, "partial-dir"));
        }
        data.partial = Partial::Discard;
        return Ok(());
    }
    let wanted = draft.keep_partial && draft.server.is_none() && !data.delay_updates;
    let from_environment = draft.context.environment.partial_dir.clone().filter(|_| wanted);
    let keep = draft.keep_partial || named.is_some();
    let dir = named
        .or(from_environment)
        .map(|dir| clean_dir(&dir))
        .filter(|dir| !dir.is_empty() && dir != b".");
    data.partial_dir_for_server.clone_from(&dir);
    data.partial = match dir {
        Some(dir) => Partial::Dir(dir),
        None if data.delay_updates => Partial::Dir(DELAY_DIR.to_vec()),
        None if keep => Partial::Keep,
        None => Partial::Discard,
    };
    Ok(())
}

/// Removes `./`, repeated and trailing slashes, and `x/..`; a last `.` after a slash stays (cli.md 3.4).
fn clean_dir(dir: &[u8]) -> Word {
    let absolute = dir.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut pieces = dir.split(|&b| b == b'/').peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            b"" => {}
            b"." if pieces.peek().is_some() || parts.is_empty() => {}
            b".." if parts.last().is_some_and(|&last| last != b"..") => {
                parts.pop();
            }
            b".." if absolute && parts.is_empty() => {}
            piece => parts.push(piece),
        }
    }
    let mut clean = if absolute { b"/".to_vec() } else { Word::new() };
    clean.extend_from_slice(&parts.join(&b'/'));
    clean
}

fn files_from(draft: &mut Draft) -> Check {
    let Some(text) = draft.files_from.take() else { return Ok(()) };
    let server = draft.server.is_some();
    if !server && (draft.o.arguments.len() == 1 || draft.o.arguments.len() > 2) {
        return Err(UsageError::Usage);
    }
    draft.o.select.files_from = Some(match split_host(&text) {
        _ if text == b"-" => FilesFrom::Stdin,
        Some((host, path)) if !server => {
            // A daemon's may be written as a module's path is.
            let path = path.strip_prefix(b":").unwrap_or(path);
            if path == b"-" {
                return Err(UsageError::FilesFromRemoteStdin);
            }
            FilesFrom::Remote { host: host.to_vec(), path: path.to_vec() }
        }
        _ => FilesFrom::Local(text),
    });
    Ok(())
}

fn connection(draft: &mut Draft) -> Check {
    let environment = draft.context.environment.clone();
    let server = draft.server.is_some();
    let connection = &mut draft.o.connection;
    let iconv = draft.iconv.take();
    connection.iconv_refused = iconv.as_deref() == Some(b"-");
    let from_environment = environment.iconv.clone().filter(|text| !text.is_empty() && !server);
    connection.iconv = iconv.or(from_environment).and_then(|text| Iconv::parse(&text));
    connection.rsh_from_environment = environment.rsh.clone().filter(|text| !text.is_empty());
    connection.port = draft.port.filter(|&port| port != 0);
    if let Some(number) = draft.parallel {
        if !(1..=MAX_PARALLEL).contains(&number) {
            return Err(UsageError::Ours("--parallel takes a number from 1 to 64"));
        }
        if number > 1 && (draft.o.batch.write.is_some() || draft.o.batch.read.is_some()) {
            return Err(UsageError::Ours("--parallel cannot be used with batch files"));
        }
        draft.o.parallel = number as u16;
    }
    Ok(())
}

/// Rules that options stand for, after those of the user.
fn implied_filters(draft: &mut Draft) {
    let o = &mut draft.o;
    if o.select.old_dirs {
        o.select.filters.push(FilterArgument::Rule(b"- /*/*".to_vec()));
    }
    let deletes = o.delete.when != DeleteWhen::Never && !o.delete.excluded;
    if o.data.backup && o.data.backup_dir.is_none() && deletes {
        o.select.filters.push(FilterArgument::Rule([b"P *", o.data.suffix.as_slice()].concat()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::serve_only::Access;

    fn parse(line: &str) -> Result<Command, UsageError> {
        let words: Vec<Word> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        crate::parse(
            &words,
            &Context::at("2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date")),
        )
    }

    #[test]
    fn serve_only_stands_alone() {
        let Ok(Command::ServeOnly(serve)) = parse("--serve-only /srv --ro --no-del") else {
            panic!("a good line")
        };
        assert_eq!((serve.dir.as_slice(), serve.access), (&b"/srv"[..], Access::ReadOnly));
        assert!(serve.no_delete && !serve.munge && !serve.no_overwrite && !serve.absolute);
        assert!(!serve.no_lock);
        let Ok(Command::ServeOnly(serve)) =
            parse("--serve-only /srv --no-overwrite --absolute --no-lock")
        else {
            panic!("a good line")
        };
        assert!(serve.no_overwrite && serve.absolute && serve.no_lock && !serve.no_delete);
        assert!(matches!(parse("--serve-only /srv -a"), Err(UsageError::Ours(_))));
        assert!(matches!(parse("--serve-only /srv x"), Err(UsageError::Ours(_))));
        assert!(matches!(parse("--ro a b"), Err(UsageError::Ours(_))));
    }

    #[test]
    fn files_are_never_compared_by_no_checksum() {
        for words in ["-c --cc=none a b", "--cc=md5,none -c a b"] {
            assert!(matches!(parse(words), Err(UsageError::NoWholeChecksum)), "{words}");
        }
        for words in ["-c --cc=none,md5 a b", "--cc=none a b"] {
            assert!(parse(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn parallel_has_bounds_and_no_batches() {
        let Ok(Command::Transfer(options)) = parse("--parallel=4 a b") else {
            panic!("a good line")
        };
        assert_eq!(options.parallel, 4);
        assert!(matches!(parse("--parallel=0 a b"), Err(UsageError::Ours(_))));
        assert!(matches!(parse("--parallel=65 a b"), Err(UsageError::Ours(_))));
        assert!(matches!(parse("--parallel=2 --read-batch=f b"), Err(UsageError::Ours(_))));
    }

    #[test]
    fn a_server_knows_none_of_our_options() {
        let error = parse("--server --parallel=2 . d").expect_err("unknown there");
        assert_eq!(error.to_string(), "rsync: on remote machine: --parallel=2: unknown option");
    }

    #[test]
    fn the_first_option_that_is_not_performed_is_named() {
        let Ok(Command::Transfer(options)) = parse("-a --iconv=utf8 -X a b") else {
            panic!("a good line")
        };
        let missing = options.not_performed(|id| !matches!(id, OptionId::Iconv | OptionId::Xattrs));
        assert_eq!(
            missing.map(|error| error.to_string()).as_deref(),
            Some("rsync: this version of Syncline does not perform --iconv yet")
        );
        assert_eq!(options.not_performed(|_| true), None);
    }

    #[test]
    fn a_partial_dir_is_cleaned() {
        for (dir, clean) in [
            ("./p", "p"),
            ("p//q/", "p/q"),
            ("a/../b", "b"),
            ("p/.", "p/."),
            (".", ""),
            ("/x/./y", "/x/y"),
            ("../p", "../p"),
        ] {
            assert_eq!(clean_dir(dir.as_bytes()), clean.as_bytes(), "{dir}");
        }
    }
}
