//! Connection, limits, batch, and the options that switch modes (cli.md 3.7 and 3.8).

use super::Effect::{Custom, Integer, Switch, SwitchToDaemon, Text as Keep};
use super::{Category, Hint, OptionId, Row, Sent};
use crate::draft::Draft;
use crate::error::UsageError;
use crate::options::Family;

const fn under(row: Row) -> Row {
    row.under(Category::Connection)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(OptionId::DryRun, &["dry-run"], "show what would be done and change nothing"))
        .short(b'n')
        .refused_by_name()
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.connection.dry_run)),
    under(Row::text(OptionId::Rsh, &["rsh"], "COMMAND", "reach the other host with this command"))
        .short(b'e')
        .refused_by_name()
        .does(Keep(|d| &mut d.o.connection.rsh)),
    under(Row::text(
        OptionId::RsyncPath,
        &["rsync-path"],
        "PROGRAM",
        "the program to run on the other host",
    ))
    .does(Keep(|d| &mut d.o.connection.rsync_path)),
    under(Row::text(
        OptionId::RemoteOption,
        &["remote-option"],
        "OPT",
        "give OPT to the other side only",
    ))
    .short(b'M')
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        let option = o.text().to_vec();
        if option.first() != Some(&b'-') {
            return Err(UsageError::RemoteOptionWithoutDash(option));
        }
        d.o.connection.remote_options.push(option);
        Ok(())
    })),
    under(Row::flag(
        OptionId::BlockingIo,
        &["blocking-io"],
        "let the remote shell use blocking I/O",
    ))
    .off(&["no-blocking-io"])
    .does(Custom(|d, o| {
        d.o.connection.blocking_io = Some(!o.negative());
        Ok(())
    })),
    under(Row::integer(
        OptionId::Timeout,
        &["timeout"],
        "SECONDS",
        "give up after this long without data",
    ))
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.o.connection.timeout = seconds(o.integer());
        Ok(())
    })),
    under(Row::flag(OptionId::NoTimeout, &[], "switch --timeout off")).off(&["no-timeout"]).does(
        Custom(|d, _| {
            d.o.connection.timeout = None;
            Ok(())
        }),
    ),
    under(Row::integer(
        OptionId::Contimeout,
        &["contimeout"],
        "SECONDS",
        "give up connecting to a daemon after this long",
    ))
    .does(Custom(|d, o| {
        d.o.connection.contimeout = Some(o.integer()).filter(|&s| s != 0).map(|s| s.max(0) as u32);
        Ok(())
    })),
    under(Row::flag(OptionId::NoContimeout, &[], "switch --contimeout off"))
        .off(&["no-contimeout"])
        .does(Custom(|d, _| {
            d.o.connection.contimeout = None;
            Ok(())
        })),
    under(Row::text(
        OptionId::StopAfter,
        &["stop-after"],
        "MINUTES",
        "stop after this many minutes",
    ))
    .hidden(&["time-limit"])
    .does(Custom(|d, o| d.stop_after(o.text()))),
    under(Row::text(OptionId::StopAt, &["stop-at"], "y-m-dTh:m", "stop at this time"))
        .does(Custom(|d, o| d.stop_at(o.text()))),
    under(Row::text(
        OptionId::Bwlimit,
        &["bwlimit"],
        "RATE",
        "use at most this many KiB (or units given) a second",
    ))
    .sent(Sent::Both)
    .does(Custom(|d, o| d.bwlimit(o.text()))),
    under(Row::flag(OptionId::NoBwlimit, &[], "switch --bwlimit off")).off(&["no-bwlimit"]).does(
        Custom(|d, _| {
            d.o.connection.bwlimit = None;
            Ok(())
        }),
    ),
    under(Row::integer(OptionId::Port, &["port"], "PORT", "port of the daemon"))
        .does(Integer(|d: &mut Draft| &mut d.port)),
    under(Row::text(
        OptionId::Address,
        &["address"],
        "ADDRESS",
        "connect to a daemon from this address",
    ))
    .does(Keep(|d| &mut d.o.connection.address)),
    under(Row::text(
        OptionId::Sockopts,
        &["sockopts"],
        "OPTIONS",
        "socket options for a daemon's connection",
    ))
    .does(Keep(|d| &mut d.o.connection.sockopts)),
    under(Row::flag(OptionId::Ipv4, &["ipv4"], "prefer IPv4")).short(b'4').does(Custom(|d, _| {
        d.o.connection.family = Family::V4;
        Ok(())
    })),
    under(Row::flag(OptionId::Ipv6, &["ipv6"], "prefer IPv6")).short(b'6').does(Custom(|d, _| {
        d.o.connection.family = Family::V6;
        Ok(())
    })),
    under(Row::text(
        OptionId::PasswordFile,
        &["password-file"],
        "FILE",
        "read the password for a daemon from FILE",
    ))
    .hint(Hint::File)
    .does(Keep(|d| &mut d.o.connection.password_file)),
    under(Row::text(
        OptionId::EarlyInput,
        &["early-input"],
        "FILE",
        "give FILE to a daemon's early exec command",
    ))
    .hint(Hint::File)
    .does(Keep(|d| &mut d.o.connection.early_input)),
    under(Row::integer(
        OptionId::Protocol,
        &["protocol"],
        "NUM",
        "speak at most this version of the protocol",
    ))
    .does(Integer(|d| &mut d.o.connection.protocol)),
    under(Row::text(
        OptionId::Iconv,
        &["iconv"],
        "LOCAL[,REMOTE]",
        "convert file names between character sets",
    ))
    .refused_by_name()
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.iconv = Some(o.text().to_vec());
        Ok(())
    })),
    under(Row::flag(OptionId::NoIconv, &[], "do not convert file names"))
        .off(&["no-iconv"])
        .refused_by_name()
        .does(Custom(|d, _| {
            d.iconv = Some(b"-".to_vec());
            Ok(())
        })),
    under(Row::flag(
        OptionId::SecludedArgs,
        &["secluded-args"],
        "send arguments over the protocol, unseen by the remote shell",
    ))
    .short(b's')
    .hidden(&["protect-args"])
    .off(&["no-secluded-args", "no-protect-args", "no-s"])
    .refused_by_name()
    .sent(Sent::Both)
    .does(Custom(|d, o| {
        d.secluded = Some(!o.negative());
        Ok(())
    })),
    under(Row::flag(
        OptionId::OldArgs,
        &["old-args"],
        "let the remote shell split and expand file arguments",
    ))
    .off(&["no-old-args"])
    .does(Custom(|d, o| {
        d.old_args = Some(if o.negative() { 0 } else { d.old_args.unwrap_or(0).saturating_add(1) });
        Ok(())
    })),
    under(Row::flag(
        OptionId::TrustSender,
        &["trust-sender"],
        "believe the remote sender's file list unchecked",
    ))
    .does(Switch(|d| &mut d.o.connection.trust_sender)),
    under(Row::text(OptionId::MaxAlloc, &["max-alloc"], "SIZE", "limit of one memory allocation"))
        .sent(Sent::Both)
        .does(Keep(|d| &mut d.max_alloc)),
    under(Row::text(
        OptionId::WriteBatch,
        &["write-batch"],
        "FILE",
        "record the transfer in FILE, too",
    ))
    .hint(Hint::File)
    .does(Keep(|d| &mut d.write_batch)),
    under(Row::text(
        OptionId::OnlyWriteBatch,
        &["only-write-batch"],
        "FILE",
        "record the transfer in FILE and change nothing",
    ))
    .hint(Hint::File)
    .sent(Sent::Push)
    .does(Keep(|d| &mut d.only_write_batch)),
    under(Row::text(OptionId::ReadBatch, &["read-batch"], "FILE", "do what FILE has recorded"))
        .hint(Hint::File)
        .does(Keep(|d| &mut d.o.batch.read)),
    under(Row::flag(OptionId::Server, &[], "be the far end of a transfer"))
        .hidden(&["server"])
        .refused_by_name()
        .sent(Sent::Both)
        .does(Custom(|d, _| {
            d.server.get_or_insert_default();
            Ok(())
        })),
    under(Row::flag(OptionId::Sender, &[], "be the far end that sends"))
        .hidden(&["sender"])
        .refused_by_name()
        .sent(Sent::Pull)
        .does(Custom(|d, _| match &mut d.server {
            Some(server) => {
                server.sender = true;
                Ok(())
            }
            None => Err(UsageError::Usage),
        })),
    under(Row::flag(OptionId::Daemon, &[], "be a daemon")).hidden(&["daemon"]).does(SwitchToDaemon),
    under(Row::text(OptionId::Config, &[], "FILE", "a daemon's configuration"))
        .hidden(&["config"])
        .does(SwitchToDaemon),
    under(Row::text(OptionId::Dparam, &[], "NAME=VALUE", "a daemon's parameter"))
        .hidden(&["dparam"])
        .does(SwitchToDaemon),
    under(Row::flag(OptionId::Detach, &[], "send a daemon into the background"))
        .hidden(&["detach"])
        .off(&["no-detach"])
        .does(SwitchToDaemon),
];

fn seconds(value: i32) -> Option<u32> {
    u32::try_from(value).ok().filter(|&seconds| seconds > 0)
}
