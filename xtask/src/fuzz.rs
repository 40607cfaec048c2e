//! `cargo xtask fuzz`: the fuzz targets, one after another, on the stable toolchain.

use crate::run::{self, Chore, Failure};
use lexopt::prelude::*;
use std::path::Path;

pub(crate) fn run(mut arguments: lexopt::Parser) -> Chore {
    let mut wanted = None;
    let mut seconds = 60_u32;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Value(name) if wanted.is_none() => wanted = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let folder = run::workspace().join("fuzz");
    let targets = targets(&folder.join("fuzz_targets"))?;
    let chosen: Vec<&String> = match &wanted {
        Some(name) if !targets.contains(name) => {
            return Err(Failure::new(format!(
                "no fuzz target named {name:?}; there are: {}",
                targets.join(", ")
            )));
        }
        Some(name) => vec![name],
        None => targets.iter().collect(),
    };
    if !run::works(&mut run::cargo(["fuzz", "--version"])) {
        run::must(&mut run::cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    for target in chosen {
        println!("xtask: fuzzing {target} for {seconds} s");
        let corpus = folder.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)
            .map_err(|error| Failure::new(format!("{}: {error}", corpus.display())))?;
        // libFuzzer writes what it finds to the first folder and only reads the second.
        run::must(
            run::cargo(["fuzz", "run", target])
                .arg(corpus)
                .arg(folder.join("seeds").join(target))
                .arg("--")
                .arg(format!("-max_total_time={seconds}"))
                .arg("-timeout=10")
                // cargo-fuzz asks for flags that stable hides; the code under test is the same.
                .env("RUSTC_BOOTSTRAP", "1"),
        )?;
    }
    Ok(())
}

fn targets(folder: &Path) -> Chore<Vec<String>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}
