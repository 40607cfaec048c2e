//! `--help` (cli.md 21).

use std::fmt::Write as _;

use crate::table::{Argument, Mode, Origin, Row, rows};

/// Where descriptions begin.
const DESCRIPTION_COLUMN: usize = 25;

/// The forms of the command line, after `Usage:` and the program's name.
pub(crate) const SYNOPSES: &[&str] = &[
    "[OPTION]... SRC [SRC]... DEST",
    "[OPTION]... SRC [SRC]... [USER@]HOST:DEST",
    "[OPTION]... SRC [SRC]... [USER@]HOST::DEST",
    "[OPTION]... SRC [SRC]... rsync://[USER@]HOST[:PORT]/DEST",
    "[OPTION]... [USER@]HOST:SRC [DEST]",
    "[OPTION]... [USER@]HOST::SRC [DEST]",
    "[OPTION]... rsync://[USER@]HOST[:PORT]/SRC [DEST]",
];

/// The release of rsync whose behaviour is kept; scripts compare it with what they need.
pub const STOCK_RELEASE: &str = "3.5.0";

/// Where the project lives.
pub const WEB_SITE: &str = "https://github.com/syncline/syncline";

/// What `--version` begins with, and a daemon's help.
pub fn version_head() -> String {
    format!(
        "rsync  version {STOCK_RELEASE}  protocol version 32\n\
         This is Syncline {}, which keeps to what rsync {STOCK_RELEASE} does and has none of its code.\n\
         Web site: {WEB_SITE}\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The help of transfers. `version` is what `--version` prints, `program` the name the program was called by.
pub fn help(version: &str, program: &str) -> String {
    let mut text = format!(
        "{}\n\nSyncline copies files and keeps trees identical, here and across machines, and speaks the rsync\n\
         protocol: it takes the options of rsync and works with rsync at the other end.\n\n",
        version.trim_end()
    );
    for (count, synopsis) in SYNOPSES.iter().enumerate() {
        let start = if count == 0 { "Usage:" } else { "  or  " };
        let _ = writeln!(text, "{start} {program} {synopsis}");
    }
    text.push_str(
        "One colon reaches HOST through a remote shell; two colons and rsync:// reach a daemon, where SRC or DEST\n\
         begins with the name of a module. rsyncs:// does the same inside TLS.\n\nOptions\n",
    );
    list(&mut text, Mode::Transfer);
    let _ = write!(
        text,
        "\nThe options of daemon mode: {program} --daemon --help. The manual syncline(1) says more.\n"
    );
    text
}

/// The help of daemon mode.
pub fn daemon_help(version: &str, program: &str) -> String {
    let mut text = format!(
        "{}\n\nThis is the daemon of Syncline. It reads the configuration of an rsync daemon and serves rsync clients.\n\n\
         Usage: {program} --daemon [OPTION]...\n\nOptions\n",
        version.trim_end()
    );
    list(&mut text, Mode::Daemon);
    let _ = write!(
        text,
        "\nThe options of transfers: {program} --help. The manual synclined(8) says more.\n"
    );
    text
}

/// The forms of a live mirror's command line.
pub(crate) const LIVE_SYNOPSES: &[&str] = &[
    "[OPTION]... SRC TARGET...",
    "[OPTION]... --config FILE",
    "[OPTION]... -o confxml.xml",
    "once [OPTION]... {SRC TARGET... | --config FILE}",
    "check [OPTION]... {SRC TARGET... | --config FILE}",
    "migrate [OPTION]... {confxml.xml | lsyncd.conf.lua}",
    "status [--status-addr ADDR:PORT | --config FILE]",
    "retry --config FILE",
    "allow MIRROR --config FILE",
];

/// The help of live mirrors.
pub fn live_help(version: &str) -> String {
    let mut text = format!(
        "{}\n\nKeeps a directory identical on one or many targets, within milliseconds of each change.\n\n",
        version.trim_end()
    );
    for (count, synopsis) in LIVE_SYNOPSES.iter().enumerate() {
        let start = if count == 0 { "Usage:" } else { "  or  " };
        let _ = writeln!(text, "{start} synclive {synopsis}");
    }
    text.push_str(
        "A TARGET is [USER@]HOST::MODULE, rsync://[USER@]HOST[:PORT]/MODULE, [USER@]HOST:DIR or a directory.\n\
         Everything is kept, as with -a, and what goes is removed.\n\nOptions\n",
    );
    for row in rows().filter(|row| row.mode == Mode::Live) {
        put(&mut text, row, Mode::Live);
    }
    text.push_str("\nOptions of rsync\n");
    for row in rows().filter(|row| row.mode != Mode::Live && row.is_in(Mode::Live)) {
        put(&mut text, row, Mode::Live);
    }
    text.push_str("\nThe manual synclive(1) says more.\n");
    text
}

fn put(text: &mut String, row: &Row, mode: Mode) {
    for (names, description) in lines(row, mode) {
        let _ = writeln!(text, "{names:<DESCRIPTION_COLUMN$}{description}");
    }
}

fn list(text: &mut String, mode: Mode) {
    for row in rows().filter(|row| row.mode == mode) {
        for (names, description) in lines(row, mode) {
            let _ = writeln!(text, "{names:<DESCRIPTION_COLUMN$}{description}");
        }
        if row.names.first() == Some(&"archive") {
            let _ = writeln!(
                text,
                "{:<DESCRIPTION_COLUMN$}switch OPTION off that another one implies",
                "--no-OPTION"
            );
        }
    }
}

/// The lines of one option: one for each name that is shown.
fn lines(row: &Row, mode: Mode) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mark =
        if row.origin == Origin::Ours && mode != Mode::Live { " (Syncline only)" } else { "" };
    let value = match row.argument {
        Argument::None => String::new(),
        Argument::Integer(name) | Argument::Text(name) => format!("={name}"),
    };
    let letter = row.letter_in(mode).map(|letter| format!("-{}", letter as char));
    let is_hidden = row.names.is_empty() && (!row.hidden.is_empty() || letter.is_none());
    match (row.names.first(), letter) {
        (Some(name), Some(letter)) => {
            lines.push((format!("--{name}{value}, {letter} "), format!("{}{mark}", row.help)));
        }
        (Some(name), None) => {
            lines.push((format!("--{name}{value} "), format!("{}{mark}", row.help)));
        }
        (None, Some(letter)) if !is_hidden => {
            lines.push((
                format!("{letter}{} ", value.replace('=', " ")),
                format!("{}{mark}", row.help),
            ));
        }
        _ => {}
    }
    for name in row.names.iter().skip(1) {
        lines.push((format!("--{name}{value} "), format!("same as --{}", row.names[0])));
    }
    for (count, name) in row.shown_negations.iter().enumerate() {
        let description = match (count, row.names.first()) {
            (0, None) => row.help.to_owned(),
            (0, Some(positive)) => format!("the opposite of --{positive}"),
            _ => format!("same as --{}", row.shown_negations[0]),
        };
        lines.push((format!("--{name} "), description));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shown_name_begins_a_line_and_no_hidden_one_does() {
        let text = help("Syncline", "rsync");
        let starts = |name: &str| {
            text.lines().any(|line| {
                line.strip_prefix("--")
                    .and_then(|line| line.strip_prefix(name))
                    .is_some_and(|rest| rest.starts_with([' ', '=', ',']))
            })
        };
        for row in rows().filter(|row| row.mode == Mode::Transfer) {
            for spelling in row.spellings() {
                assert_eq!(starts(spelling.text), spelling.shown, "--{}", spelling.text);
            }
        }
        assert!(text.contains("Syncline"));
        assert!(text.contains("\n  or   rsync [OPTION]... SRC [SRC]... [USER@]HOST:DEST\n"));
        assert!(
            text.lines().any(|line| line.starts_with("-P "))
                && text.lines().any(|line| line.starts_with("-D "))
        );
    }

    #[test]
    fn lines_fit_a_terminal() {
        for line in help("x", "syncline")
            .lines()
            .chain(daemon_help("x", "synclined").lines())
            .chain(live_help("x").lines())
        {
            assert!(line.len() <= 110, "{line}");
        }
    }
}
