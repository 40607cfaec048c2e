//! `vectors/behaviour`: make a small tree, run one command, compare exit code and the whole resulting tree.

use libtest_mimic::{Arguments, Trial};
use serde::Deserialize;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use syncline_suite::pending;
use syncline_suite::program::{Program, Side, vectors};
use syncline_suite::sandbox::{self, Sandbox, is_root};
use syncline_suite::skipped;
use syncline_suite::tree;

#[derive(Deserialize)]
struct Cases {
    prelude: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    needs_root: bool,
    #[serde(default)]
    needs_nonroot: bool,
    /// Stock does this; we deliberately do what the case's note says instead.
    #[serde(default)]
    stock_quirk: bool,
    setup: String,
    argv: Vec<String>,
    exit: i32,
    tree: Vec<tree::Expected>,
}

fn main() {
    let arguments = Arguments::from_args();
    let program = Program::under_test("rsync", "syncline").expect("a program to test");
    let program = Arc::new(program);
    let text = std::fs::read(vectors("behaviour").join("cases.json")).expect("the cases");
    let cases: Cases = serde_json::from_slice(&text).expect("the cases in their schema");
    let prelude = Arc::new(cases.prelude);
    let trials = cases.cases.into_iter().map(|case| {
        let (program, prelude) = (Arc::clone(&program), Arc::clone(&prelude));
        Trial::test(case.name.clone(), move || {
            let outcome = run(&case, &prelude, &program);
            Ok(pending::judge("behaviour", &case.name, &program, outcome)?)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(case: &Case, prelude: &str, program: &Program) -> Result<(), Box<dyn Error>> {
    if case.needs_root && !is_root() {
        skipped(&case.name, "needs root");
        return Ok(());
    }
    if case.stock_quirk && program.side == Side::Ours {
        skipped(&case.name, "a quirk of stock that is not copied");
        return Ok(());
    }
    let sandbox = Sandbox::new(case.needs_nonroot)?;
    sandbox.shell(&format!("umask 022\n{prelude}{}", case.setup))?;
    let path = program.text();
    let mut command = sandbox.command("/bin/sh");
    // The shell only sets the umask: the program under test takes its place.
    command.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(&path);
    command.args(case.argv.iter().map(|word| word.replace("{RSYNC}", &path)));
    let outcome = sandbox::finish(&mut command, b"", Duration::from_secs(30))?;
    let mut problems = Vec::new();
    if outcome.code != Some(case.exit) {
        problems.push(format!("exit {:?}, expected {}", outcome.code, case.exit));
    }
    problems.extend(differences(sandbox.path(), &case.tree)?);
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nargv: {:?}\nstderr: {}",
        problems.join("\n"),
        case.argv,
        String::from_utf8_lossy(&outcome.stderr)
    )
    .into())
}

fn differences(folder: &Path, expected: &[tree::Expected]) -> std::io::Result<Vec<String>> {
    use std::os::unix::fs::MetadataExt;
    let owner = folder.metadata()?;
    tree::differences(folder, expected, (owner.uid(), owner.gid()))
}
