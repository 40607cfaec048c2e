//! The help texts of `wait` and `stats`, from their tables, in the shape that scripts know from the stock tools.

use std::fmt::Write as _;

use crate::getopt::Row;
use crate::options::STOCK;

/// A line of the help, in its order, which is not the table's.
#[derive(Clone, Copy)]
pub(crate) enum Line {
    /// The option of this name.
    Option(&'static str),
    /// Something that is no option: its form and its meaning.
    Other(&'static str, &'static str),
}

/// What a program's help says beside its options.
pub(crate) struct Text {
    pub(crate) program: &'static str,
    pub(crate) about: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) table: &'static [Row],
    pub(crate) lines: &'static [Line],
    pub(crate) statuses: &'static [(u8, &'static str)],
}

/// The indentation of a meaning that has a line of its own.
const INDENT: &str = "\t              \t";

impl Text {
    /// The rows in the order of the help, with those that are no options; what the stock tools lack comes last.
    pub(crate) fn rows(
        &self,
    ) -> impl Iterator<Item = (Option<&'static Row>, String, &'static str)> {
        let stock = self.lines.iter().filter_map(|line| match line {
            Line::Option(name) => {
                let row = self.table.iter().find(|row| row.long == *name)?;
                Some((Some(row), form(row), row.help))
            }
            Line::Other(form, help) => Some((None, (*form).to_owned(), *help)),
        });
        let named = |row: &Row| {
            self.lines.iter().any(|line| matches!(line, Line::Option(name) if *name == row.long))
        };
        let ours = self.table.iter().filter(move |row| !row.help.is_empty() && !named(row));
        stock.chain(ours.map(|row| (Some(row), form(row), row.help)))
    }

    pub(crate) fn help(&self) -> String {
        let Self { program, about, arguments, .. } = self;
        let mut text = format!(
            "{program} {STOCK}\n{about}\nUsage: {program} [ options ] {arguments}\nOptions:\n"
        );
        let mut ours = String::new();
        for (row, form, help) in self.rows() {
            let help = help.replace('\n', &format!("\n{INDENT}"));
            let out = if row.is_some_and(|row| row.ours) { &mut ours } else { &mut text };
            let between = if form.len() > 14 { format!("\n{INDENT}") } else { "\t".to_owned() };
            let _ = writeln!(out, "\t{form:<14}{between}{help}");
        }
        text.push_str("\nExit status:\n");
        for (status, meaning) in self.statuses {
            let _ = writeln!(text, "\t{status}\t{meaning}");
        }
        text.push_str("\nEvents:\n");
        for (name, _, meaning) in crate::events::NAMES {
            let _ = writeln!(text, "\t{name:<15} {meaning}");
        }
        let _ = write!(text, "\nOptions of this program only (never abbreviated):\n{ours}");
        text
    }
}

/// `-r|--recursive`, `-t|--timeout <seconds>`.
fn form(row: &Row) -> String {
    let short = row.short.map(|letter| format!("-{}|", letter as char)).unwrap_or_default();
    let value = row.value.map(|name| format!(" <{name}>")).unwrap_or_default();
    format!("{short}--{}{value}", row.long)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_option_is_in_the_help_once() {
        for text in [&crate::wait::TEXT, &crate::stats::TEXT] {
            let names: Vec<&str> = text.rows().filter_map(|(row, _, _)| Some(row?.long)).collect();
            for row in text.table.iter().filter(|row| !row.help.is_empty()) {
                let times = names.iter().filter(|name| **name == row.long).count();
                assert_eq!(times, 1, "{} in the help of {}", row.long, text.program);
            }
        }
    }
}
