//! The manual page and the shell completions, from the tables of the three faces.

use std::fmt::Write as _;

use syncline_options::complete::{self, Offer};
use syncline_options::man::{escape, head};
use syncline_options::table::Hint;

use crate::getopt::{Row, Values};
use crate::help::Text;
use crate::{events, run, stats, wait};

const FACES: [(&str, &str); 3] = [
    ("wait", "print events; also when called as inotifywait"),
    ("stats", "count events; also when called as inotifywatch"),
    ("run", "run a command when changes have settled"),
];

/// The options of a face.
fn offers(face: &str) -> Vec<Offer> {
    let rows: Vec<(&Row, &'static str)> = match face {
        "wait" => text_rows(&wait::TEXT),
        "stats" => text_rows(&stats::TEXT),
        _ => run::TABLE.iter().map(|row| (row, row.help)).collect(),
    };
    rows.into_iter()
        .map(|(row, help)| Offer {
            letter: row.short,
            names: vec![row.long],
            plain: Vec::new(),
            value: row.value,
            hint: match row.values {
                Values::Any => Hint::Any,
                Values::Files => Hint::File,
                Values::Words(words) => Hint::Words(words),
            },
            help: help.split('\n').next().unwrap_or_default(),
        })
        .collect()
}

fn text_rows(text: &Text) -> Vec<(&'static Row, &'static str)> {
    text.rows().filter_map(|(row, _, help)| Some((row?, help))).collect()
}

/// The completion of bash for `syncwatch`, `inotifywait` and `inotifywatch`.
pub fn bash() -> String {
    let mut text = String::new();
    for (face, _) in FACES {
        text += &complete::bash_function(&format!("syncwatch_{face}"), &offers(face));
    }
    text += "_syncwatch() {\n    case \"${COMP_WORDS[1]}\" in\n";
    for (face, _) in FACES {
        let _ = writeln!(
            text,
            "        {face}) if [[ $COMP_CWORD -gt 1 ]]; then _syncwatch_{face}; return; fi ;;"
        );
    }
    text += "    esac\n    mapfile -t COMPREPLY < <(compgen -W 'wait stats run --help --version' -- \
             \"${COMP_WORDS[COMP_CWORD]}\")\n}\n\
             complete -o filenames -F _syncwatch syncwatch\n\
             complete -o filenames -F _syncwatch_wait inotifywait\n\
             complete -o filenames -F _syncwatch_stats inotifywatch\n";
    text
}

/// The completion of zsh for the same names.
pub fn zsh() -> String {
    let mut text = "#compdef syncwatch inotifywait inotifywatch\n\n".to_owned();
    for (face, _) in FACES {
        let _ = writeln!(
            text,
            "_syncwatch_{face}() {{\n{}}}\n",
            complete::zsh_arguments(&offers(face))
        );
    }
    text += "case $service in\n    inotifywait) _syncwatch_wait; return ;;\n    \
             inotifywatch) _syncwatch_stats; return ;;\nesac\n\
             if (( CURRENT == 2 )); then\n    local -a faces=(";
    for (face, about) in FACES {
        let _ = write!(text, "\n        '{face}:{about}'");
    }
    text += "\n    )\n    _describe face faces\nelse\n    local face=$words[2]\n    shift words\n    (( CURRENT-- ))\n    \
             case $face in\n";
    for (face, _) in FACES {
        let _ = writeln!(text, "        {face}) _syncwatch_{face} ;;");
    }
    text += "    esac\nfi\n";
    text
}

/// The completion of fish for the same names.
pub fn fish() -> String {
    let mut text = String::new();
    for (face, about) in FACES {
        let _ = writeln!(
            text,
            "complete -c syncwatch -n __fish_use_subcommand -xa {face} -d '{about}'"
        );
        let command = format!("syncwatch -n '__fish_seen_subcommand_from {face}'");
        text += &complete::fish_options(&command, &offers(face));
    }
    text += &complete::fish_options("inotifywait", &offers("wait"));
    text += &complete::fish_options("inotifywatch", &offers("stats"));
    text
}

/// `syncwatch(1)`.
pub fn man_page(version: &str, date: &str) -> String {
    let mut page = head(
        "SYNCWATCH",
        1,
        version,
        date,
        "syncwatch \\- wait for changes of files, count them, run commands on them",
    );
    page += ".SH SYNOPSIS\n.B syncwatch wait\n[options] PATH...\n.br\n.B syncwatch stats\n[options] PATH...\n.br\n\
             .B syncwatch run\n";
    let _ = writeln!(page, "{}", escape(run::USAGE));
    page += ".SH DESCRIPTION\nUnder the names\n.B inotifywait\nand\n.B inotifywatch\nthe program is\n.B syncwatch wait\nand\n\
             .BR \"syncwatch stats\" :\nthe options, lines and statuses are those of inotify\\-tools. Files made at once in new \
             directories are reported, renamed trees keep right paths, and lost events are announced and looked for.\n\
             .PP\nWith fanotify, several events on one name that nobody has read yet arrive as one and are printed in the order in \
             which they most likely happened, and a watched directory is known by its name. What is mounted in a directory is \
             watched too.\n";
    text_section(&mut page, "WAIT", &wait::TEXT);
    text_section(&mut page, "STATS", &stats::TEXT);
    let _ = writeln!(page, ".SH RUN\n{}", escape(run::ABOUT).trim_end());
    for row in run::TABLE {
        option(&mut page, row, row.help);
    }
    let _ = writeln!(page, ".PP\n{}", escape(run::STATUS).trim_end());
    page += ".SH EVENTS\n";
    for (name, _, meaning) in events::NAMES {
        let _ = writeln!(page, ".TP\n.B {name}\n{}", escape(meaning));
    }
    page += ".SH SEE ALSO\n.BR inotify (7),\n.BR fanotify (7),\n.BR syncline (1)\n";
    page
}

fn text_section(page: &mut String, title: &str, text: &Text) {
    let _ = writeln!(page, ".SH {title}\n{}", escape(text.about));
    for (row, form, help) in text.rows() {
        match row {
            Some(row) => option(page, row, help),
            None => {
                let _ = writeln!(page, ".TP\n.B {}\n{}", escape(&form), lines(help));
            }
        }
    }
    page.push_str(".PP\nExit status:\n");
    for (status, meaning) in text.statuses {
        let _ = writeln!(page, ".TP\n.B {status}\n{}", escape(meaning));
    }
}

fn option(page: &mut String, row: &Row, help: &str) {
    let short =
        row.short.map(|letter| format!("\\fB\\-{}\\fR, ", letter as char)).unwrap_or_default();
    let value = row.value.map(|name| format!(" \\fI{}\\fR", escape(name))).unwrap_or_default();
    let _ =
        writeln!(page, ".TP\n{short}\\fB\\-\\-{}\\fR{value}\n{}", escape(row.long), lines(help));
    if row.ours {
        page.push_str("Never abbreviated.\n");
    }
}

/// A help of several lines, none of them a request.
fn lines(help: &str) -> String {
    help.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_paragraph_and_is_offered() {
        let page = man_page("1", "2026-01-01");
        for (face, _) in FACES {
            for offer in offers(face) {
                let name = offer.names[0];
                assert!(page.contains(&format!("\\fB\\-\\-{}\\fR", escape(name))), "{name}");
                for script in [bash(), zsh()] {
                    assert!(script.contains(&format!("--{name}")), "{name}");
                }
                assert!(fish().contains(&format!("-l {name}")), "{name}");
            }
        }
        assert!(!page.contains("filename\\fR\n"), "an option that only exists to be refused");
    }

    #[test]
    fn shells_accept_their_completions() {
        for (shell, script) in [("bash", bash()), ("zsh", zsh()), ("fish", fish())] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), script).unwrap();
            match std::process::Command::new(shell).arg("-n").arg(file.path()).status() {
                Ok(status) => assert!(status.success(), "{shell} refuses its completion"),
                #[allow(clippy::print_stderr, reason = "a test says why it was skipped")]
                Err(_) => eprintln!("SKIPPED shells_accept_their_completions: needs {shell}"),
            }
        }
    }

    #[test]
    fn bash_completes_the_faces_and_their_options() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bash()).unwrap();
        let complete = |words: &str, at: u32| {
            let script = format!(
                "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; _syncwatch 2>/dev/null; echo ${{COMPREPLY[@]}}",
                file.path().display()
            );
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(complete("syncwatch st", 1), "stats");
        assert_eq!(complete("syncwatch run --on-b", 2), "--on-busy=");
        assert_eq!(complete("syncwatch run --on-busy = re", 4), "restart");
        assert_eq!(complete("syncwatch stats --js", 2), "--json");
    }
}
