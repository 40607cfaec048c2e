//! Options that only Syncline has.

use super::Effect::{Custom, Integer, Switch, Text as Keep};
use super::{Hint, OptionId, Row};
use crate::serve_only::Access;

pub(super) const ROWS: &[Row] = &[
    Row::integer(OptionId::Parallel, &["parallel"], "NUM", "split the job over NUM sessions")
        .ours()
        .more("Same result, messages and exit status as one session.")
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
];
