//! `vectors/cli`: what the program prints and returns.

use libtest_mimic::{Arguments, Trial};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use syncline_suite::pending;
use syncline_suite::program::{Program, Side, vectors};
use syncline_suite::sandbox::{self, Outcome, Sandbox};
use syncline_suite::text::{Encoding, Expected, contains_lines, same_lines, settle_progress};

#[derive(Deserialize)]
struct Case {
    name: String,
    section: String,
    setup: String,
    cleanup: Option<String>,
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    stdin: String,
    user: String,
    exit: i32,
    #[serde(default)]
    exit_alt: Vec<i32>,
    #[serde(default)]
    stdout: String,
    stderr: Option<String>,
    #[serde(default)]
    stderr_contains: Vec<String>,
    order: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    encoding: Option<String>,
    #[serde(default)]
    advisory: bool,
}

fn main() {
    let arguments = Arguments::from_args();
    let program = Program::under_test("rsync", "syncline").expect("a program to test");
    let program = Arc::new(program);
    let text = std::fs::read(vectors("cli").join("cases.json")).expect("the cases");
    let cases: Vec<Case> = serde_json::from_slice(&text).expect("the cases in their schema");
    let trials = cases.into_iter().map(|case| {
        let program = Arc::clone(&program);
        Trial::test(case.name.clone(), move || {
            let outcome = case.run(&program);
            Ok(pending::judge("cli", &case.name, &program, outcome)?)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

impl Case {
    fn run(&self, program: &Program) -> Result<(), Box<dyn Error>> {
        let sandbox = Sandbox::new(self.user == "nonroot")?;
        sandbox.shell(&format!("umask 022\n{}", self.setup))?;
        let outcome = self.execute(program, &sandbox)?;
        let problems = self.problems(program, &sandbox, &outcome);
        if let Some(cleanup) = &self.cleanup {
            sandbox.shell(cleanup)?;
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}\nargv: {:?}\nexit {:?}\n--- stdout\n{}\n--- stderr\n{}",
            problems.join("\n"),
            self.argv,
            outcome.code,
            String::from_utf8_lossy(&outcome.stdout),
            String::from_utf8_lossy(&outcome.stderr)
        )
        .into())
    }

    fn execute(&self, program: &Program, sandbox: &Sandbox) -> std::io::Result<Outcome> {
        let fill = |text: &str| fill(text, program, sandbox);
        let mut command = sandbox.command("/bin/sh");
        command.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(&program.path);
        command.args(self.argv.iter().map(|word| fill(word)));
        command.envs(self.env.iter().map(|(name, value)| (name, fill(value))));
        sandbox::finish(&mut command, self.stdin.as_bytes(), Duration::from_secs(60))
    }

    fn problems(&self, program: &Program, sandbox: &Sandbox, outcome: &Outcome) -> Vec<String> {
        let encoding = match self.encoding.as_deref() {
            Some("latin-1") => Encoding::Latin1,
            _ => Encoding::Utf8,
        };
        let fill = |text: &str| fill(text, program, sandbox);
        let same = |expected: &str, actual: &[u8]| match self.order.as_str() {
            "any" => same_lines(&fill(expected), actual, encoding),
            _ => Expected::new(&fill(expected), encoding).matches(actual),
        };
        let mut problems = Vec::new();
        let mut codes = std::iter::once(&self.exit).chain(&self.exit_alt);
        if !codes.any(|&code| outcome.code == Some(code)) {
            problems.push(format!("exit {:?}, expected {}", outcome.code, self.exit));
        }
        let stdout = if self.section.starts_with("13 ") {
            settle_progress(&outcome.stdout)
        } else {
            outcome.stdout.clone()
        };
        // Help and version texts are ours to word; that the right stream got text is checked all the same.
        if self.advisory && program.side == Side::Ours {
            if stdout.is_empty() != self.stdout.is_empty() {
                problems.push("standard output should have text, or should not".into());
            }
            return problems;
        }
        if !same(&self.stdout, &stdout) {
            problems.push(format!("stdout is not as expected:\n{}", self.stdout));
        }
        let wanted: Vec<String> = self.stderr_contains.iter().map(|line| fill(line)).collect();
        let stderr_is_right = match &self.stderr {
            Some(expected) => same(expected, &outcome.stderr),
            None => contains_lines(&wanted, &outcome.stderr, encoding),
        };
        if !stderr_is_right {
            let expected = self.stderr.clone().unwrap_or_else(|| wanted.join("\n"));
            problems.push(format!("stderr is not as expected:\n{expected}"));
        }
        for (name, expected) in &self.files {
            let content = std::fs::read(sandbox.path().join(name)).unwrap_or_default();
            if !Expected::new(&fill(expected), encoding).matches(&content) {
                let actual = String::from_utf8_lossy(&content).into_owned();
                problems.push(format!("{name} holds {actual:?}, expected {expected:?}"));
            }
        }
        problems
    }
}

fn fill(text: &str, program: &Program, sandbox: &Sandbox) -> String {
    text.replace("{CWD}", &sandbox.path().to_string_lossy()).replace("{RSYNC}", &program.text())
}
