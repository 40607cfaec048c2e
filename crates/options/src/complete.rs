//! Shell completions, from the table. The parts are public, so that another program completes its own options the same way.

use std::fmt::Write as _;

use crate::table::{Argument, Hint, Mode, rows};

/// An option as completions offer it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its letter.
    pub letter: Option<u8>,
    /// Its names without dashes.
    pub names: Vec<&'static str>,
    /// More names, which take no value.
    pub plain: Vec<&'static str>,
    /// What its value is called; `None` for a flag.
    pub value: Option<&'static str>,
    /// What may stand there.
    pub hint: Hint,
    /// What it does, in a line.
    pub help: &'static str,
}

impl Offer {
    /// Every name, and whether it takes a value.
    fn words(&self) -> impl Iterator<Item = (&'static str, bool)> + '_ {
        let names = self.names.iter().map(|&name| (name, self.value.is_some()));
        names.chain(self.plain.iter().map(|&name| (name, false)))
    }
}

/// What a mode of the table has to offer.
fn offers(mode: Mode) -> Vec<Offer> {
    let documented = rows().filter(|row| row.is_in(mode));
    documented
        .map(|row| Offer {
            letter: row.letter_in(mode).filter(|_| !row.names.is_empty() || row.hidden.is_empty()),
            names: row.names.to_vec(),
            plain: row.shown_negations.to_vec(),
            value: match row.argument {
                Argument::None => None,
                Argument::Integer(name) | Argument::Text(name) => Some(name),
            },
            hint: row.hint,
            help: row.help,
        })
        .collect()
}

/// The completion of bash for a program.
pub fn bash(program: &str, mode: Mode) -> String {
    let function = program.replace('-', "_");
    let body = bash_function(&function, &offers(mode));
    format!("{body}complete -o filenames -F _{function} {program}\n")
}

/// The function that completes these options in bash; its name gets an underscore in front.
pub fn bash_function(function: &str, offers: &[Offer]) -> String {
    let words = offers.iter().flat_map(Offer::words);
    let options: Vec<String> =
        words.map(|(word, takes)| format!("--{word}{}", if takes { "=" } else { "" })).collect();
    let mut text = format!(
        "_{function}() {{\n    local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n    \
         if [[ $word == = ]]; then\n        word=\n    elif [[ $before == = ]]; then\n        \
         before=\"${{COMP_WORDS[COMP_CWORD-2]}}\"\n    fi\n    case \"$before\" in\n"
    );
    for offer in offers.iter().filter(|offer| offer.value.is_some()) {
        let complete = match offer.hint {
            Hint::Any => continue,
            Hint::File => "compgen -f -- \"$word\"".to_owned(),
            Hint::Directory => "compgen -d -- \"$word\"".to_owned(),
            Hint::Words(list) => format!("compgen -W '{}' -- \"$word\"", list.join(" ")),
        };
        for name in &offer.names {
            let _ =
                writeln!(text, "        --{name}) mapfile -t COMPREPLY < <({complete}); return ;;");
        }
    }
    let _ = write!(
        text,
        "    esac\n    if [[ $word == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n        \
         [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace\n    else\n        \
         mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}}\n",
        options.join(" ")
    );
    text
}

/// The completion of zsh.
pub fn zsh(program: &str, mode: Mode) -> String {
    format!("#compdef {program}\n\n{}", zsh_arguments(&offers(mode)))
}

/// The command of zsh that completes these options.
pub fn zsh_arguments(offers: &[Offer]) -> String {
    let quote = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('\'', "'\\''")
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:")
    };
    let mut text = "_arguments -s -S \\\n".to_owned();
    for offer in offers {
        let action = match offer.hint {
            Hint::Any => " ".to_owned(),
            Hint::File => "_files".to_owned(),
            Hint::Directory => "_files -/".to_owned(),
            Hint::Words(list) => format!("({})", list.join(" ")),
        };
        let value =
            offer.value.map(|name| format!(":{}:{action}", quote(name))).unwrap_or_default();
        let help = quote(offer.help);
        if let Some(letter) = offer.letter {
            let sign = if value.is_empty() { "" } else { "+" };
            let _ = writeln!(text, "    '*-{}{sign}[{help}]{value}' \\", letter as char);
        }
        for (word, takes) in offer.words() {
            let (sign, value) = if takes { ("=", value.as_str()) } else { ("", "") };
            let _ = writeln!(text, "    '*--{word}{sign}[{help}]{value}' \\");
        }
    }
    text.push_str("    '*:file:_files'\n");
    text
}

/// The completion of fish.
pub fn fish(program: &str, mode: Mode) -> String {
    fish_options(program, &offers(mode))
}

/// The commands of fish that complete these options of a command: a program's name, perhaps with a condition.
pub fn fish_options(command: &str, offers: &[Offer]) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::new();
    for offer in offers {
        let value = match (offer.value, offer.hint) {
            (None, _) => String::new(),
            (_, Hint::Any) => " -x".to_owned(),
            (_, Hint::File) => " -rF".to_owned(),
            (_, Hint::Directory) => " -xa '(__fish_complete_directories)'".to_owned(),
            (_, Hint::Words(list)) => format!(" -xa '{}'", quote(&list.join(" "))),
        };
        let help = quote(offer.help);
        let mut letter = offer.letter.map(|letter| format!(" -s {}", letter as char));
        for (word, takes) in offer.words() {
            let negative = offer.plain.contains(&word);
            let letter = if negative { None } else { letter.take() }.unwrap_or_default();
            let value = if takes { value.as_str() } else { "" };
            let _ = writeln!(text, "complete -c {command}{letter} -l {word}{value} -d '{help}'");
        }
        if let Some(letter) = letter {
            let _ = writeln!(text, "complete -c {command}{letter}{value} -d '{help}'");
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
