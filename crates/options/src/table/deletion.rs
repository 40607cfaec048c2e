//! Deletion (cli.md 3.6).

use super::Effect::{Custom, Switch};
use super::{Category, OptionId, Row, Sent};
use crate::options::DeleteWhen;

const fn under(row: Row) -> Row {
    row.under(Category::Deletion)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(OptionId::Delete, &["delete"], "delete what the source does not have"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.delete)),
    under(Row::flag(OptionId::DeleteBefore, &["delete-before"], "delete before the transfer"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.delete_before)),
    under(Row::flag(
        OptionId::DeleteDuring,
        &["delete-during", "del"],
        "delete during the transfer",
    ))
    .sent(Sent::Push)
    .does(Custom(|d, _| {
        d.delete_during = Some(DeleteWhen::During);
        Ok(())
    })),
    under(Row::flag(
        OptionId::DeleteDelay,
        &["delete-delay"],
        "find deletions during the transfer, do them after it",
    ))
    .sent(Sent::Push)
    .does(Custom(|d, _| {
        d.delete_during = Some(DeleteWhen::Delay);
        Ok(())
    })),
    under(Row::flag(OptionId::DeleteAfter, &["delete-after"], "delete after the transfer"))
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.delete_after)),
    under(Row::flag(
        OptionId::DeleteExcluded,
        &["delete-excluded"],
        "delete what is excluded, too",
    ))
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.delete.excluded)),
    under(Row::flag(
        OptionId::Force,
        &["force"],
        "delete directories that are in the way even if not empty",
    ))
    .off(&["no-force"])
    .sent(Sent::Push)
    .does(Switch(|d| &mut d.o.delete.force)),
    under(Row::flag(OptionId::IgnoreErrors, &["ignore-errors"], "delete even after read errors"))
        .off(&["no-ignore-errors"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.delete.ignore_errors)),
    under(Row::integer(OptionId::MaxDelete, &["max-delete"], "NUM", "delete at most this many"))
        .sent(Sent::Push)
        .does(Custom(|d, o| {
            d.o.delete.max = Some(o.integer().max(0) as u32);
            Ok(())
        })),
];
