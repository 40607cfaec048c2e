//! `cargo xtask torture`: random jobs given to stock and to ours, everything compared.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a person")]

use lexopt::prelude::*;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use syncline_suite::program::Program;
use syncline_suite::torture::grow::Profile;
use syncline_suite::torture::job::{MODES, Mode};
use syncline_suite::torture::play::{Programs, Stage};

const HELP: &str = "\
torture [--seeds A:B] [--modes NAME,...] [--profile plain|meta] [--seconds N] [--keep]
        [--parallel N] [--ours PROGRAM] [--our-daemon PROGRAM]

Modes: local, rsh-pull-client, rsh-pull-server, rsh-pull-both, rsh-push-*, daemon-pull-*, daemon-push-*;
the last word tells which end is ours. With --parallel our clients share each job out
over N sessions, stock still uses one. Exit 1 if anything differed.
";

struct Plan {
    seeds: std::ops::Range<u64>,
    modes: Vec<Mode>,
    profile: Profile,
    limit: Duration,
    keep: bool,
    sessions: Option<u16>,
    programs: Programs,
}

fn main() -> ExitCode {
    let outcome = plan().and_then(|plan| match plan {
        Some(plan) => run(&plan).map_err(|error| error.to_string()),
        None => Ok(0),
    });
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("torture: {text}");
            ExitCode::from(2)
        }
    }
}

fn plan() -> Result<Option<Plan>, String> {
    let words = |error: lexopt::Error| error.to_string();
    let (mut seeds, mut modes, mut profile) = (1..60, vec![MODES[0]], Profile::Plain);
    let (mut limit, mut keep, mut ours, mut daemon) = (Duration::MAX, false, None, None);
    let mut sessions = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next().map_err(words)? {
        match argument {
            Long("seeds") => seeds = range(&value(&mut arguments)?)?,
            Long("modes") => {
                modes = value(&mut arguments)?.split(',').map(mode).collect::<Result<_, _>>()?;
            }
            Long("profile") => {
                profile = match value(&mut arguments)?.as_str() {
                    "plain" => Profile::Plain,
                    "meta" => Profile::Meta,
                    other => return Err(format!("--profile={other}: say plain or meta")),
                }
            }
            Long("seconds") => {
                let text = value(&mut arguments)?;
                let seconds =
                    text.parse().map_err(|_| format!("--seconds={text}: not a number"))?;
                limit = Duration::from_secs(seconds);
            }
            Long("parallel") => {
                let text = value(&mut arguments)?;
                sessions =
                    Some(text.parse().map_err(|_| format!("--parallel={text}: not a number"))?);
            }
            Long("keep") => keep = true,
            Long("ours") => ours = Some(absolute(&value(&mut arguments)?)?),
            Long("our-daemon") => daemon = Some(absolute(&value(&mut arguments)?)?),
            Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let beside = |name: &str| {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let path = own.with_file_name(name);
        if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display())) }
    };
    let ours = ours.map_or_else(|| beside("syncline"), Ok)?;
    let our_daemon = daemon.unwrap_or_else(|| beside("synclined").unwrap_or_else(|_| ours.clone()));
    let stock = Program::stock("rsync")?.path;
    let programs = Programs { stock, ours, our_daemon };
    Ok(Some(Plan { seeds, modes, profile, limit, keep, sessions, programs }))
}

/// Programs are started from another directory.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

fn value(arguments: &mut lexopt::Parser) -> Result<String, String> {
    arguments.value().and_then(ValueExt::string).map_err(|error| error.to_string())
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || format!("--seeds={text}: say FIRST:END");
    let (first, end) = text.split_once(':').ok_or_else(wrong)?;
    Ok(first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?)
}

fn mode(name: &str) -> Result<Mode, String> {
    MODES.into_iter().find(|mode| mode.name == name).ok_or_else(|| {
        format!("no mode {name}; there are: {}", MODES.map(|mode| mode.name).join(", "))
    })
}

/// Plays every job of the plan; returns how many differed.
fn run(plan: &Plan) -> std::io::Result<usize> {
    let top = tempfile::Builder::new().prefix("torture").tempdir()?;
    let started = Instant::now();
    let mut stage = Stage::new(plan.programs.clone(), plan.sessions, top.path())?;
    let (mut jobs, mut differing) = (0, 0);
    'jobs: for seed in plan.seeds.clone() {
        for &mode in &plan.modes {
            if started.elapsed() > plan.limit {
                break 'jobs;
            }
            let verdict = stage.play(seed, mode, plan.profile)?;
            jobs += 1;
            if verdict.differences.is_empty() {
                stage.clear()?;
                continue;
            }
            differing += 1;
            println!("DIFF seed {seed} {} {}", mode.name, verdict.job);
            for difference in &verdict.differences {
                println!("    {}", difference.chars().take(600).collect::<String>());
            }
            if plan.keep {
                stage.keep(&format!("{seed}-{}", mode.name))?;
            } else {
                stage.clear()?;
            }
        }
    }
    drop(stage);
    if plan.keep {
        println!("kept: {}", top.keep().display());
    }
    println!("{jobs} jobs, {differing} differ");
    Ok(differing)
}
