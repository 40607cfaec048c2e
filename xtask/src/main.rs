//! The chores of the workspace. `cargo xtask help` lists them; each is one module.

mod bench;
mod demo;
mod fuzz;
mod man;
mod run;
mod test;

use lexopt::prelude::*;
use run::{Chore, Failure};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask CHORE

  demo [--built DIR]              build everything (or take what is in DIR), then show it with real figures; leaves nothing behind
  test [--no-install] [-- ARGS]   install what the tests need (Debian, as root), run every test,
                                  name each skipped one with its reason; ARGS go to the test runner
  bench                           all of these:
  bench parts [--quick] [FILTER]  the criterion benches: ours, the best rival, ratio
  bench programs [OPTIONS]        whole programs, stock and ours in turns (--help)
  bench watch [OPTIONS]           syncwatch and inotifywait in turns (--help)
  bench live [OPTIONS]            synclive, lsyncd and a loop in turns (--help)
  torture [OPTIONS]               random jobs by stock and by us, everything compared (--help)
  fuzz [TARGET] [--seconds N]     fuzz one target, or each in turn, N seconds each (60)
  man [--out DIR]                 man pages and completions, from the option tables (target/man)
  help                            this text
";

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Chore {
    let mut arguments = lexopt::Parser::from_env();
    let name = match arguments.next()? {
        None | Some(Short('h') | Long("help")) => "help".into(),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match name.as_str() {
        "test" => test::run(arguments),
        "bench" => bench::run(arguments),
        "demo" => demo::run(arguments),
        "man" => man::run(arguments),
        "torture" => torture(arguments),
        "fuzz" => fuzz::run(arguments),
        "help" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(Failure::new(format!("no chore named {unknown:?}; see cargo xtask help"))),
    }
}

/// The torture runner measures nothing, but waits for the programs: they are built for speed.
fn torture(mut arguments: lexopt::Parser) -> Chore {
    let words = arguments.raw_args()?;
    run::must(&mut run::cargo(["build", "--release", "--workspace", "--bins", "--locked"]))?;
    run::must(
        run::cargo(["run", "--release", "--locked", "--package", "syncline-suite"])
            .args(["--bin", "torture", "--"])
            .args(words),
    )
}
