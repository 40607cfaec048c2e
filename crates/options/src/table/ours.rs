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
];
