//! The command line after `--daemon` (cli.md 3.11, daemon.md 4.2).

use super::{Argument, Hint, OptionId, Row};
use crate::error::UsageError;
use crate::options::Family;
use crate::values::format::Format;

pub(super) const ROWS: &[Row] = &[
    Row::flag(OptionId::Daemon, &["daemon"], "run as a daemon").daemon(|d, _| {
        d.daemon = true;
        Ok(())
    }),
    Row::text(OptionId::Address, &["address"], "ADDRESS", "listen on this address").daemon(
        |d, o| {
            d.o.address = Some(o.text().to_vec());
            Ok(())
        },
    ),
    Row::integer(
        OptionId::Bwlimit,
        &["bwlimit"],
        "KBPS",
        "send at most this many KiB a second to each client",
    )
    .daemon(|d, o| {
        d.o.bwlimit = u32::try_from(o.integer()).ok().filter(|&rate| rate > 0);
        Ok(())
    }),
    Row::text(
        OptionId::Config,
        &["config"],
        "FILE",
        "read this configuration instead of the usual one",
    )
    .hint(Hint::File)
    .daemon(|d, o| {
        d.o.config = Some(o.text().to_vec());
        Ok(())
    }),
    Row::text(OptionId::Dparam, &["dparam"], "NAME=VALUE", "set a parameter of the configuration")
        .short(b'M')
        .daemon(|d, o| {
            let text = o.text();
            let equals = text.iter().position(|&b| b == b'=');
            let equals = equals.ok_or_else(|| UsageError::DparamWithoutEquals(text.to_vec()))?;
            d.o.parameters.push((text[..equals].to_vec(), text[equals + 1..].to_vec()));
            Ok(())
        }),
    Row::flag(OptionId::Ipv4, &["ipv4"], "listen on IPv4 only").short(b'4').daemon(|d, _| {
        d.o.family = Family::V4;
        Ok(())
    }),
    Row::flag(OptionId::Ipv6, &["ipv6"], "listen on IPv6 only").short(b'6').daemon(|d, _| {
        d.o.family = Family::V6;
        Ok(())
    }),
    Row::flag(OptionId::Detach, &[], "stay in the foreground")
        .hidden(&["detach"])
        .shown_off(&["no-detach"])
        .daemon(|d, o| {
            d.o.detach = !o.negative();
            Ok(())
        }),
    Row::text(OptionId::LogFile, &["log-file"], "FILE", "log there until a module says otherwise")
        .hint(Hint::File)
        .daemon(|d, o| {
            d.o.log_file = Some(o.text().to_vec());
            Ok(())
        }),
    Row::text(
        OptionId::LogFileFormat,
        &["log-file-format"],
        "FORMAT",
        "log a line like this for each file",
    )
    .daemon(|d, o| {
        d.o.log_file_format = Some(Format::parse(o.text()));
        Ok(())
    }),
    Row::integer(OptionId::Port, &["port"], "PORT", "listen on this port").daemon(|d, o| {
        d.port = Some(o.integer());
        Ok(())
    }),
    Row::text(OptionId::Sockopts, &["sockopts"], "OPTIONS", "socket options of each connection")
        .daemon(|d, o| {
            d.o.sockopts = Some(o.text().to_vec());
            Ok(())
        }),
    Row::new(
        OptionId::Protocol,
        &[],
        Argument::Integer("NUM"),
        "offer at most this version of the protocol",
    )
    .hidden(&["protocol"])
    .daemon(|d, o| {
        d.o.protocol = Some(o.integer());
        Ok(())
    }),
    Row::flag(OptionId::Server, &[], "serve one session on standard input and output")
        .hidden(&["server"])
        .daemon(|d, _| {
            d.o.server = true;
            Ok(())
        }),
    Row::new(OptionId::TempDir, &[], Argument::Text("DIR"), "temp dir of modules that set none")
        .hidden(&["temp-dir"])
        .short(b'T')
        .daemon(|d, o| {
            d.o.temp_dir = Some(o.text().to_vec());
            Ok(())
        }),
    Row::flag(OptionId::Verbose, &["verbose"], "say more")
        .short(b'v')
        .off(&["no-verbose", "no-v"])
        .daemon(|d, o| {
            d.o.verbose = if o.negative() { 0 } else { d.o.verbose.saturating_add(1) };
            Ok(())
        }),
    Row::flag(
        OptionId::CheckConfig,
        &["check-config"],
        "report every problem of the configuration and end",
    )
    .short(b't')
    .ours()
    .daemon(|d, _| {
        d.o.check_config = true;
        Ok(())
    }),
    Row::flag(
        OptionId::PrintConfig,
        &["print-config"],
        "print the effective configuration and end",
    )
    .ours()
    .daemon(|d, _| {
        d.o.print_config = true;
        Ok(())
    }),
    Row::flag(OptionId::Help, &["help"], "show this text and end").short(b'h').daemon(|d, _| {
        d.help = true;
        Ok(())
    }),
];
