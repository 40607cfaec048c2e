//! `vectors/options`: for each option of the table, a case that comes out differently without it.
//!
//! A case is a shell text in which `$OPT` stands for the option. It runs twice: with the option its output must be what
//! stock printed, without it something else. So an option that is accepted and does nothing fails its case.

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use syncline_options::OptionId;
use syncline_options::table::{Mode, Origin, Row, find_long, find_short, rows};
use syncline_suite::pending;
use syncline_suite::program::{Program, Side, vectors};
use syncline_suite::sandbox::{self, Sandbox};
use syncline_suite::skipped;
use syncline_suite::text::{Encoding, Expected};

/// What a case that needs other surroundings exits with.
const SKIP: i32 = 77;

/// Options that no output or file can tell of, or whose cases stand elsewhere.
const ELSEWHERE: &[(OptionId, &str)] = &[
    (OptionId::BlockingIo, "our transports wait in threads of their own: they always block"),
    (OptionId::CompressThreads, "changes only how long compression takes"),
    (OptionId::Server, "every case with a far end"),
    (OptionId::Sender, "every case with a far end"),
    (OptionId::Daemon, "suite daemon"),
    (OptionId::Config, "suite daemon"),
    (OptionId::Dparam, "suite daemon"),
    (OptionId::Detach, "suite daemon"),
    (OptionId::Crtimes, "suite cli: refused on Linux"),
];

/// What a script printed: on standard output, and on standard error.
type Printed = (Vec<u8>, String);

struct Case {
    name: String,
    option: String,
    script: String,
    expected: String,
}

fn main() {
    let arguments = Arguments::from_args();
    let program = Program::under_test("rsync", "syncline").expect("a program to test");
    let daemon = Program::under_test("rsync", "synclined").expect("a daemon to test");
    let programs = Arc::new((program, daemon));
    let folder = vectors("options");
    let prelude = std::fs::read_to_string(folder.join("prelude.sh")).expect("the prelude");
    let prelude = Arc::new(prelude);
    let text = std::fs::read_to_string(folder.join("cases.txt")).expect("the cases");
    let cases = parse(&text);
    let covered: HashSet<OptionId> = cases.iter().map(|case| case.row().id).collect();
    let mut trials = vec![Trial::test("every_option_has_a_case", move || complete(&covered))];
    trials.extend(cases.into_iter().map(|case| {
        let (programs, prelude) = (Arc::clone(&programs), Arc::clone(&prelude));
        Trial::test(case.name.clone(), move || {
            let outcome = case.check(&programs, &prelude);
            Ok(pending::judge("options", &case.name, &programs.0, outcome)?)
        })
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

fn complete(covered: &HashSet<OptionId>) -> Result<(), Failed> {
    let elsewhere = |id| ELSEWHERE.iter().any(|(known, _)| *known == id);
    let missing: Vec<String> = rows()
        .filter(|row| row.mode == Mode::Transfer && row.origin == Origin::Stock)
        .filter(|row| !covered.contains(&row.id) && !elsewhere(row.id))
        .map(Row::shown)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no case for {missing:?}").into()) }
}

/// Cases stand one after the other: `## NAME: OPTION`, the script, `=>`, what it prints.
fn parse(text: &str) -> Vec<Case> {
    let blocks = text.split("\n## ").map(|block| block.trim_start_matches("## "));
    let case = |block: &str| {
        let (head, body) = block.split_once('\n')?;
        let (name, option) = head.split_once(": ")?;
        let (script, expected) = body.split_once("\n=>\n")?;
        let [name, option, script] = [name, option, script].map(str::to_owned);
        Some(Case { name, option, script, expected: expected.trim_end().to_owned() })
    };
    blocks.map(|block| case(block).expect("a case in its form")).collect()
}

impl Case {
    fn row(&self) -> &'static Row {
        let known = match self.option.strip_prefix("--") {
            Some(long) => {
                let name = long.split_once('=').map_or(long, |(name, _)| name);
                find_long(Mode::Transfer, name.as_bytes()).map(|(row, _)| row)
            }
            None => {
                self.option.as_bytes().get(1).and_then(|&letter| find_short(Mode::Transfer, letter))
            }
        };
        known.unwrap_or_else(|| panic!("{}: no option {}", self.name, self.option))
    }

    fn check(&self, programs: &(Program, Program), prelude: &str) -> Result<(), Box<dyn Error>> {
        if programs.0.side == Side::Stock && self.row().origin == Origin::Ours {
            skipped(&self.name, "an option of ours");
            return Ok(());
        }
        let Some((with, stderr)) = self.run(programs, prelude, &self.option)? else {
            skipped(&self.name, "needs other surroundings");
            return Ok(());
        };
        if !Expected::new(&self.expected, Encoding::Latin1).matches(with.trim_ascii_end()) {
            return Err(format!(
                "printed\n{}\nand not\n{}\nstandard error: {stderr}",
                String::from_utf8_lossy(&with),
                self.expected
            )
            .into());
        }
        let without = self.run(programs, prelude, "")?;
        if without.is_some_and(|(without, _)| without == with) {
            return Err(format!("the same without {}", self.option).into());
        }
        Ok(())
    }

    /// What the script prints, and its standard error; none where it cannot run.
    fn run(
        &self,
        (program, daemon): &(Program, Program),
        prelude: &str,
        option: &str,
    ) -> Result<Option<Printed>, Box<dyn Error>> {
        let sandbox = Sandbox::new(self.script.contains("need_plain"))?;
        let mut command = sandbox.command("/bin/sh");
        // Without the shell's own patterns: options have asterisks.
        command.args(["-efc", &format!("umask 022\n{prelude}{}", self.script)]);
        command.env("OPT", option).env("RSYNC", program.text()).env("RSYNCD", daemon.text());
        let outcome = sandbox::finish(&mut command, b"", Duration::from_secs(60))?;
        let mut printed = outcome.stdout;
        match outcome.code {
            Some(0) => {}
            Some(SKIP) => return Ok(None),
            Some(code) => printed.extend_from_slice(format!("exit {code}\n").as_bytes()),
            None => return Err("the script did not end".into()),
        }
        Ok(Some((printed, String::from_utf8_lossy(&outcome.stderr).into_owned())))
    }
}
