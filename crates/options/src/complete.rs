//! Shell completions, from the table.

use std::fmt::Write as _;

use crate::table::{Argument, Hint, Mode, Row, rows};

/// Every documented long spelling with its dashes, and whether it takes a value.
fn words(mode: Mode) -> impl Iterator<Item = (&'static Row, String, bool)> {
    rows().filter(move |row| row.is_in(mode)).flat_map(|row| {
        let takes = row.argument != Argument::None;
        row.spellings()
            .filter(|spelling| spelling.shown)
            .map(move |spelling| (row, format!("--{}", spelling.text), takes && !spelling.negative))
            .collect::<Vec<_>>()
    })
}

/// The completion of bash for a program.
pub fn bash(program: &str, mode: Mode) -> String {
    let function = program.replace('-', "_");
    let options: Vec<String> =
        words(mode).map(|(_, word, takes)| if takes { format!("{word}=") } else { word }).collect();
    let mut text = format!(
        "_{function}() {{\n    local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n    \
         if [[ $word == = ]]; then\n        word=\n    elif [[ $before == = ]]; then\n        \
         before=\"${{COMP_WORDS[COMP_CWORD-2]}}\"\n    fi\n    case \"$before\" in\n"
    );
    for (row, word, takes) in words(mode) {
        if !takes {
            continue;
        }
        let offer = match row.hint {
            Hint::Any => continue,
            Hint::File => "compgen -f -- \"$word\"".to_owned(),
            Hint::Directory => "compgen -d -- \"$word\"".to_owned(),
            Hint::Words(list) => format!("compgen -W '{}' -- \"$word\"", list.join(" ")),
        };
        let _ = writeln!(text, "        {word}) mapfile -t COMPREPLY < <({offer}); return ;;");
    }
    let _ = write!(
        text,
        "    esac\n    if [[ $word == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n        \
         [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace\n    else\n        \
         mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}}\ncomplete -o filenames -F _{function} {program}\n",
        options.join(" ")
    );
    text
}

/// The completion of zsh.
pub fn zsh(program: &str, mode: Mode) -> String {
    let quote = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('\'', "'\\''")
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:")
    };
    let mut text = format!("#compdef {program}\n\n_arguments -s -S \\\n");
    for row in rows().filter(|row| row.is_in(mode)) {
        let action = match row.hint {
            Hint::Any => " ".to_owned(),
            Hint::File => "_files".to_owned(),
            Hint::Directory => "_files -/".to_owned(),
            Hint::Words(list) => format!("({})", list.join(" ")),
        };
        let value = match row.argument {
            Argument::None => String::new(),
            Argument::Integer(name) | Argument::Text(name) => format!(":{}:{action}", quote(name)),
        };
        let documented = !row.names.is_empty() || row.hidden.is_empty();
        if let Some(letter) = row.letter_in(mode).filter(|_| documented) {
            let sign = if value.is_empty() { "" } else { "+" };
            let _ =
                writeln!(text, "    '*-{}{sign}[{}]{value}' \\", letter as char, quote(row.help));
        }
        for spelling in row.spellings().filter(|spelling| spelling.shown) {
            let (sign, value) = if spelling.negative || value.is_empty() {
                ("", "")
            } else {
                ("=", value.as_str())
            };
            let _ =
                writeln!(text, "    '*--{}{sign}[{}]{value}' \\", spelling.text, quote(row.help));
        }
    }
    text.push_str("    '*:file:_files'\n");
    text
}

/// The completion of fish.
pub fn fish(program: &str, mode: Mode) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::new();
    for row in rows().filter(|row| row.is_in(mode)) {
        let value = match (row.argument, row.hint) {
            (Argument::None, _) => String::new(),
            (_, Hint::Any) => " -x".to_owned(),
            (_, Hint::File) => " -rF".to_owned(),
            (_, Hint::Directory) => " -xa '(__fish_complete_directories)'".to_owned(),
            (_, Hint::Words(list)) => format!(" -xa '{}'", quote(&list.join(" "))),
        };
        let documented = !row.names.is_empty() || row.hidden.is_empty();
        let letter = row
            .letter_in(mode)
            .filter(|_| documented)
            .map(|letter| format!(" -s {}", letter as char))
            .unwrap_or_default();
        let mut letter = Some(letter).filter(|letter| !letter.is_empty());
        for spelling in row.spellings().filter(|spelling| spelling.shown) {
            let (letter, value) = if spelling.negative {
                (String::new(), "")
            } else {
                (letter.take().unwrap_or_default(), value.as_str())
            };
            let _ = writeln!(
                text,
                "complete -c {program}{letter} -l {}{value} -d '{}'",
                spelling.text,
                quote(row.help)
            );
        }
        if let Some(letter) = letter {
            let _ = writeln!(text, "complete -c {program}{letter}{value} -d '{}'", quote(row.help));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a shell read a script; `None` when the shell is not there.
    fn accepts(shell: &str, arguments: &[&str], script: &str) -> Option<bool> {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(script.as_bytes()).expect("a written file");
        let status =
            std::process::Command::new(shell).args(arguments).arg(file.path()).status().ok()?;
        Some(status.success())
    }

    #[test]
    fn shells_accept_their_completions() {
        for mode in [Mode::Transfer, Mode::Daemon, Mode::Live] {
            for (shell, script) in [
                ("bash", bash("syncline", mode)),
                ("zsh", zsh("syncline", mode)),
                ("fish", fish("syncline", mode)),
            ] {
                match accepts(shell, &["-n"], &script) {
                    Some(accepted) => assert!(accepted, "{shell} refuses its completion"),
                    #[allow(clippy::print_stderr)]
                    None => eprintln!("SKIPPED shells_accept_their_completions: needs {shell}"),
                }
            }
        }
    }

    #[test]
    fn documented_options_are_offered_and_hidden_ones_are_not() {
        for text in [
            bash("syncline", Mode::Transfer),
            zsh("syncline", Mode::Transfer),
            fish("syncline", Mode::Transfer),
        ] {
            assert!(
                text.contains("link-dest") && text.contains("no-motd") && text.contains("parallel")
            );
            assert!(!text.contains("msgs2stderr") && !text.contains("qsort"));
        }
    }
}
