//! Notices, and the flags that let them through (docs/spec cli.md 15).

use syncline_options::Options;
use syncline_options::values::flags::{Debug, Info};

use super::Class;
use crate::Notice;

/// The line of a notice, if it is to be shown.
pub(super) fn line(notice: &Notice<'_>, options: &Options) -> Option<(Class, Vec<u8>)> {
    let info = |flag: Info, level: u8| options.output.info.level(flag) >= level;
    let shown = match notice {
        Notice::SkippingDirectory(_)
        | Notice::SourceAlreadyRemoved(_)
        | Notice::CannotDeleteNonEmpty(_)
        | Notice::BatchedUpdateSkipped { .. }
        | Notice::DeletionSkipped => true,
        Notice::SkippingNonRegular(_) => info(Info::Nonreg, 1),
        Notice::NotCreating { .. }
        | Notice::Exists { .. }
        | Notice::IsNewer(_)
        | Notice::OverMaxSize(_)
        | Notice::UnderMinSize(_) => info(Info::Skip, 1),
        Notice::IgnoringUnsafeLink { .. } => info(Info::Name, 1),
        Notice::CopyingUnsafeLink { .. } | Notice::NotBackingUpUnsafeLink { .. } => {
            info(Info::Symsafe, 1)
        }
        Notice::BackedUp { .. } | Notice::BackupDirectory { .. } => info(Info::Backup, 1),
        Notice::SourceRemoved(_) => info(Info::Remove, 1),
        Notice::SkippingMountPoint { .. } | Notice::CannotDeleteMountPoint(_) => {
            info(Info::Mount, 1)
        }
        Notice::CreatedDirectory(_) | Notice::CreatedPath { .. } => {
            info(Info::Name, 1) || options.output.itemize > 0 || has_items(options)
        }
        Notice::TimeoutOfServer(_) => info(Info::Misc, 2),
        Notice::FilterDecision(_) => options.output.debug.level(Debug::Filter) >= 1,
        Notice::DeltaTransmission(_) => options.output.debug.level(Debug::Flist) >= 1,
    };
    shown.then(|| (Class::Info, text(notice, options)))
}

/// A server learns from the format it is given that its client shows items.
fn has_items(options: &Options) -> bool {
    options.output.out_format.as_ref().is_some_and(|format| format.has(b'i'))
}

fn text(notice: &Notice<'_>, options: &Options) -> Vec<u8> {
    let pair = |before: &str, path: &[u8], target: &[u8]| {
        [before.as_bytes(), b" \"", path, b"\" -> \"", target, b"\""].concat()
    };
    match notice {
        Notice::SkippingDirectory(path) => [b"skipping directory ", *path].concat(),
        Notice::SkippingNonRegular(path) => {
            [b"skipping non-regular file \"", *path, b"\""].concat()
        }
        Notice::NotCreating { path, directory } => {
            let what = if *directory { "directory" } else { "file" };
            [format!("not creating new {what} \"").as_bytes(), path, b"\""].concat()
        }
        Notice::Exists { path, reason } => {
            let more = options.output.info.level(Info::Skip) >= 2 && !reason.is_empty();
            let reason = if more { format!(" ({reason})") } else { String::new() };
            [*path, b" exists", reason.as_bytes()].concat()
        }
        Notice::IsNewer(path) => [*path, b" is newer"].concat(),
        Notice::OverMaxSize(path) => [*path, b" is over max-size"].concat(),
        Notice::UnderMinSize(path) => [*path, b" is under min-size"].concat(),
        Notice::IgnoringUnsafeLink { path, target } => {
            pair("ignoring unsafe symlink", path, target)
        }
        Notice::CopyingUnsafeLink { path, target } => pair("copying unsafe symlink", path, target),
        Notice::NotBackingUpUnsafeLink { path, target } => {
            pair("not backing up unsafe symlink", path, target)
        }
        Notice::BackedUp { path, backup } => [b"backed up ", *path, b" to ", backup].concat(),
        Notice::BackupDirectory { path, new } => {
            let new: &[u8] = if *new { b"(new) " } else { b"" };
            [new, b"backup_dir is ", path].concat()
        }
        Notice::SourceRemoved(path) => [b"sender removed ", *path].concat(),
        Notice::SourceAlreadyRemoved(path) => [b"sender file already removed: ", *path].concat(),
        Notice::SkippingMountPoint { role, path } => {
            [format!("[{role}] skipping mount-point dir ").as_bytes(), path].concat()
        }
        Notice::CannotDeleteMountPoint(path) => [b"cannot delete mount point: ", *path].concat(),
        Notice::CannotDeleteNonEmpty(path) => {
            [b"cannot delete non-empty directory: ", *path].concat()
        }
        Notice::DeletionSkipped => b"IO error encountered -- skipping file deletion".to_vec(),
        Notice::CreatedDirectory(path) => [b"created directory ", *path].concat(),
        Notice::CreatedPath { count, path } => {
            let word = if *count == 1 { "directory" } else { "directories" };
            [format!("created {count} {word} for ").as_bytes(), path].concat()
        }
        Notice::BatchedUpdateSkipped { path, again } => {
            let what = if *again { "resend of " } else { "" };
            let head = format!("(Skipping batched update for {what}\"");
            [head.as_bytes(), path, b"\")"].concat()
        }
        Notice::TimeoutOfServer(seconds) => {
            format!("Setting --timeout={seconds} to match server").into_bytes()
        }
        Notice::FilterDecision(text) => text.as_bytes().to_vec(),
        Notice::DeltaTransmission(enabled) => if *enabled {
            "delta-transmission enabled"
        } else {
            "delta-transmission disabled for local transfer or --whole-file"
        }
        .into(),
    }
}
