//! Options that only Syncline has.

use super::Effect::{Custom, Integer, Switch, Text as Keep};
use super::{Hint, OptionId, Row};
use crate::serve_only::Access;

pub(super) const ROWS: &[Row] = &[
    Row::integer(OptionId::Parallel, &["parallel"], "NUM", "split the job over NUM sessions")
        .ours()
        .more(
            "Same result, messages and exit status as one session; only the order of the lines differs. The top of the \
             source is listed, the subtrees found there are shared out by size, a first session makes the directories \
             above them, then up to NUM sessions run at once: as many connections to the same server, which needs to know \
             nothing of it. A password is asked for once; a remote shell's own questions come for each session. The \
             sessions share --bwlimit. What one of them cannot read stops deletions in its part alone. The first session \
             that cannot go on stops all. One session does it all, and -v says why, without --recursive, where there are \
             no subtrees, and where the result might be another: with --hard-links, --relative, --files-from, \
             --keep-dirlinks, --prune-empty-dirs, --delay-updates, --backup-dir, --delete-before, --delete-delay, \
             --delete-after, --max-delete, --delete-missing-args, --remove-source-files, --copy-as, --iconv, an absolute \
             --partial-dir, per-directory filter files beside deletion or several sources, and a protocol below 30.",
        )
        .does(Integer(|d| &mut d.parallel)),
    Row::text(
        OptionId::TlsCa,
        &["tls-ca"],
        "FILE",
        "with rsyncs://: trust these certificates, not the system's",
    )
    .ours()
    .more(
        "In PEM: authorities, or a daemon's own certificate. Without it, RSYNC_SSL_CA_CERT names the file; an empty value \
         of that variable verifies nothing. RSYNC_SSL_SKIP_HOSTNAME_CHECK=1 takes a certificate for another name, \
         RSYNC_SSL_CERT and RSYNC_SSL_KEY name a certificate of one's own and its key, RSYNC_SSL_PORT the port where \
         none is given (874).",
    )
    .hint(Hint::File)
    .does(Keep(|d| &mut d.o.connection.tls_ca)),
    Row::text(
        OptionId::ServeOnly,
        &["serve-only"],
        "DIR",
        "serve the transfer that ssh was asked for, inside DIR only",
    )
    .ours()
    .more("For command= in authorized_keys: the words come from SSH_ORIGINAL_COMMAND.")
    .hint(Hint::Directory)
    .does(Keep(|d| &mut d.serve_only)),
    Row::flag(OptionId::ServeReadOnly, &["ro"], "with --serve-only: allow reading only")
        .ours()
        .does(Custom(|d, _| {
            d.serve_access = Some(Access::ReadOnly);
            Ok(())
        })),
    Row::flag(OptionId::ServeWriteOnly, &["wo"], "with --serve-only: allow writing only")
        .ours()
        .does(Custom(|d, _| {
            d.serve_access = Some(Access::WriteOnly);
            Ok(())
        })),
    Row::flag(OptionId::ServeMunge, &["munge"], "with --serve-only: make symlinks harmless")
        .ours()
        .does(Switch(|d| &mut d.serve_munge)),
    Row::flag(OptionId::ServeNoDelete, &["no-del"], "with --serve-only: delete nothing")
        .ours()
        .does(Switch(|d| &mut d.serve_no_delete)),
    Row::flag(
        OptionId::ServeNoOverwrite,
        &["no-overwrite"],
        "with --serve-only: leave what is there as it is",
    )
    .ours()
    .does(Switch(|d| &mut d.serve_no_overwrite)),
    Row::flag(
        OptionId::ServeAbsolute,
        &["absolute"],
        "with --serve-only: DIR's own path may be named too",
    )
    .ours()
    .does(Switch(|d| &mut d.serve_absolute)),
    Row::flag(
        OptionId::ServeNoLock,
        &["no-lock"],
        "with --serve-only: let several sessions write at once",
    )
    .ours()
    .more("Without it (and without --ro) a second session in the same directory is refused, as rrsync refuses it.")
    .does(Switch(|d| &mut d.serve_no_lock)),
];
