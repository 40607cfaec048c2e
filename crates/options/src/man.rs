//! Manual pages in roff, from the table. The parts are public, for programs with tables of their own.

use std::fmt::Write as _;

use crate::help::{LIVE_SYNOPSES, SYNOPSES};
use crate::table::{Argument, Category, Mode, Origin, Row, rows};

/// `syncline(1)`.
pub fn man_page(version: &str, date: &str) -> String {
    let mut page = head(
        "SYNCLINE",
        1,
        version,
        date,
        "syncline \\- copy files and keep trees identical, here and across machines",
    );
    page.push_str(".SH SYNOPSIS\n");
    for synopsis in SYNOPSES {
        let _ = writeln!(page, ".B syncline\n{}\n.br", escape(synopsis));
    }
    page.push_str(
        ".SH DESCRIPTION\nSyncline speaks the rsync protocol, takes the options of rsync and works with rsync at the other end. \
         One colon after a host reaches it through a remote shell; two colons and rsync:// reach a daemon; rsyncs:// reaches \
         one inside TLS. A single source without a destination is listed.\n.SH OPTIONS\n",
    );
    for category in Category::ALL {
        options(&mut page, Mode::Transfer, *category);
    }
    page.push_str(".SH SEE ALSO\n.BR synclined (8)\n");
    page
}

/// `synclined(8)`.
pub fn daemon_man_page(version: &str, date: &str) -> String {
    let mut page =
        head("SYNCLINED", 8, version, date, "synclined \\- serve files to rsync clients");
    page.push_str(
        ".SH SYNOPSIS\n.B synclined\n[OPTION]...\n.br\n.B syncline \\-\\-daemon\n[OPTION]...\n.SH DESCRIPTION\nThe daemon of \
         Syncline reads the configuration of an rsync daemon and serves rsync clients.\n.SH OPTIONS\n",
    );
    for category in Category::ALL {
        options(&mut page, Mode::Daemon, *category);
    }
    page.push_str(".SH SEE ALSO\n.BR syncline (1)\n");
    page
}

/// `synclive(1)`.
pub fn live_man_page(version: &str, date: &str) -> String {
    let mut page = head(
        "SYNCLIVE",
        1,
        version,
        date,
        "synclive \\- keep directories identical on other machines, live",
    );
    page.push_str(".SH SYNOPSIS\n");
    for synopsis in LIVE_SYNOPSES {
        let _ = writeln!(page, ".B synclive\n{}\n.br", escape(synopsis));
    }
    page.push_str(LIVE_DESCRIPTION);
    options(&mut page, Mode::Live, Category::Live);
    for category in Category::ALL.iter().filter(|category| **category != Category::Live) {
        options(&mut page, Mode::Live, *category);
    }
    page.push_str(LIVE_REST);
    page
}

const LIVE_DESCRIPTION: &str = ".SH DESCRIPTION\n\
    Synclive keeps a directory identical on one or many targets: rsync daemons, machines reached by a remote shell, \
    directories of this machine. It watches, compares everything once, and then sends what changes, within milliseconds. \
    The far end is any rsync. Everything is kept as with \\-a, and what goes is removed.\n.PP\n\
    Each target has a durable queue and a worker of its own: one that is slow, full or gone delays no other, and gets all \
    that it missed when it is back. A source that is empty, unmounted or another directory than before removes nothing \
    anywhere until a person allows it.\n\
    .SS Commands\n\
    .TP\n.B once\nCompare everything with each target, push what differs, and end.\n\
    .TP\n.B check\nRead everything, open a session with each target, and say what would be refused.\n\
    .TP\n.B migrate\nPrint a configuration of sersync or lsyncd as synclive.toml, and on standard error a note for all that \
    changes its meaning. Status 3: something has no translation and is named.\n\
    .TP\n.B status\nPrint the state of the mirrors that run. Status 0: live, 1: behind, 2: in trouble, 3: not running.\n\
    .TP\n.B retry\nTry all targets at once, whatever their pauses.\n\
    .TP\n.B allow\nRelease what a mirror holds back for a person's word: many removals, an empty source, another source.\n\
    .PP\nA directory of such a name is written ./once.\n\
    .SH OPTIONS\n";

const LIVE_REST: &str = ".SH SIGNALS\n\
    .TP\n.B SIGTERM, SIGINT\nSend what can be sent within stop\\-within, keep the rest in the journals, end with status 0. \
    A second one ends at once.\n\
    .TP\n.B SIGHUP\nRead the configuration again; mirrors that are the same as before go on undisturbed, and a bad file changes \
    nothing.\n\
    .TP\n.B SIGUSR1\nLog the state.\n\
    .TP\n.B SIGUSR2\nTry all targets at once.\n\
    .SH EXIT STATUS\n0: ended as asked. 1: cannot do its work. 2: the command line or the configuration is wrong. 4: another \
    instance uses the state directory. once: that of rsync, of the worst target.\n\
    .SH FILES\n.TP\n.I /etc/synclive.toml\nThe configuration of the service.\n.TP\n.I /var/lib/synclive\nQueues and identities.\n\
    .SH SEE ALSO\n.BR syncline (1),\n.BR synclined (8)\n";

/// The head of a page, up to its one-line summary.
pub fn head(name: &str, section: u8, version: &str, date: &str, summary: &str) -> String {
    format!(
        ".TH {name} {section} \"{date}\" \"Syncline {version}\" \"Syncline\"\n.SH NAME\n{summary}\n"
    )
}

fn options(page: &mut String, mode: Mode, category: Category) {
    let mut headed = false;
    for row in rows().filter(|row| row.is_in(mode) && row.category == category) {
        let tag = tag(row, mode);
        if tag.is_empty() {
            continue;
        }
        if !headed {
            let _ = writeln!(page, ".SS {}", escape(category.title()));
            headed = true;
        }
        let _ = writeln!(page, ".TP\n{tag}\n{}.", escape(&capitalized(row.help)));
        if !row.more.is_empty() {
            let _ = writeln!(page, "{}", escape(row.more));
        }
        if !row.negations.is_empty() {
            let names: Vec<String> =
                row.negations.iter().map(|name| format!("\\-\\-{}", escape(name))).collect();
            let _ = writeln!(page, "Switched off by {}.", names.join(", "));
        }
        if row.origin == Origin::Ours && mode != Mode::Live {
            page.push_str("Only Syncline has this option.\n");
        }
    }
}

/// The names of an option in bold; empty for one that is not documented.
fn tag(row: &Row, mode: Mode) -> String {
    let value = match row.argument {
        Argument::None => String::new(),
        Argument::Integer(name) | Argument::Text(name) => format!("=\\fI{}\\fR", escape(name)),
    };
    let mut tags: Vec<String> =
        row.names.iter().map(|name| format!("\\fB\\-\\-{}\\fR{value}", escape(name))).collect();
    tags.extend(row.shown_negations.iter().map(|name| format!("\\fB\\-\\-{}\\fR", escape(name))));
    if let Some(letter) = row.letter_in(mode)
        && (!row.names.is_empty() || row.hidden.is_empty())
    {
        tags.push(format!("\\fB\\-{}\\fR", escape(&(letter as char).to_string())));
    }
    tags.join(", ")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Text that roff prints as it is.
pub fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_option_has_a_paragraph() {
        let page = man_page("1", "2026-01-01");
        for row in rows().filter(|row| row.mode == Mode::Transfer) {
            for name in row.names {
                assert!(page.contains(&format!("\\fB\\-\\-{}\\fR", escape(name))), "{name}");
            }
        }
        assert!(daemon_man_page("1", "2026-01-01").contains("\\-\\-dparam"));
    }

    #[test]
    fn no_line_is_taken_for_a_request() {
        assert_eq!(escape(".x -y"), "\\&.x \\-y");
    }
}
