//! `cargo xtask bench --programs`: whole programs side by side.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a person")]

use lexopt::prelude::*;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use syncline_benches::programs::data::Store;
use syncline_benches::programs::job::{JOBS, Job, Side};
use syncline_benches::programs::measure::{Cost, median};
use syncline_suite::program::Program;

const HELP: &str = "\
programs [--only JOB,...] [--runs N] [--scale F] [--ends ours|client|server] [--dir DIR]
         [--ours PROGRAM] [--our-daemon PROGRAM]

Runs each job by stock and by ours in turns and prints the medians. --ends tells which end of a job
with two ends is ours (both). The data lies in memory where there is room, else in the temporary
directory; --dir names another place.
";

struct Plan {
    jobs: Vec<Job>,
    runs: usize,
    scale: f64,
    folder: PathBuf,
    stock: Side,
    ours: Side,
}

fn main() -> ExitCode {
    let outcome = plan().and_then(|plan| match plan {
        Some(plan) => run(&plan).map_err(|error| error.to_string()),
        None => Ok(()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("programs: {text}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Option<Plan>, String> {
    let (mut jobs, mut runs, mut scale, mut ends) = (JOBS.to_vec(), 3, 1.0, "ours".to_owned());
    let (mut folder, mut program, mut daemon) = (None, None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next().map_err(|error| error.to_string())? {
        match argument {
            Long("only") => {
                let names = value(&mut arguments)?;
                jobs = names.split(',').map(job).collect::<Result<_, _>>()?;
            }
            Long("runs") => runs = number(&value(&mut arguments)?)? as usize,
            Long("scale") => scale = number(&value(&mut arguments)?)?,
            Long("ends") => ends = value(&mut arguments)?,
            Long("dir") => folder = Some(PathBuf::from(value(&mut arguments)?)),
            Long("ours") => program = Some(PathBuf::from(value(&mut arguments)?)),
            Long("our-daemon") => daemon = Some(PathBuf::from(value(&mut arguments)?)),
            Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let stock = Program::stock("rsync")?.path;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = program.unwrap_or_else(|| own.with_file_name("syncline"));
    let daemon = daemon.unwrap_or_else(|| {
        let beside = own.with_file_name("synclined");
        if beside.is_file() { beside } else { program.clone() }
    });
    let choose = |ours: bool, program: &PathBuf| if ours { program } else { &stock }.clone();
    let (client, server) = match ends.as_str() {
        "ours" => (true, true),
        "client" => (true, false),
        "server" => (false, true),
        other => return Err(format!("--ends={other}: say ours, client or server")),
    };
    let ours = Side {
        client: choose(client, &program),
        server: choose(server, &program),
        daemon: choose(server, &daemon),
        ours: client,
    };
    let stock = Side { client: stock.clone(), server: stock.clone(), daemon: stock, ours: false };
    let folder = folder.unwrap_or_else(|| roomy(scale));
    Ok(Some(Plan { jobs, runs, scale, folder, stock, ours }))
}

fn value(arguments: &mut lexopt::Parser) -> Result<String, String> {
    arguments.value().and_then(ValueExt::string).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn job(name: &str) -> Result<Job, String> {
    JOBS.into_iter()
        .find(|job| job.name == name)
        .ok_or_else(|| format!("no job {name}; there are: {}", JOBS.map(|job| job.name).join(", ")))
}

/// Memory where it is large enough: on a disk the journal drowns the programs' own cost.
fn roomy(scale: f64) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let free = rustix::fs::statvfs(&memory).map_or(0, |data| data.f_bavail * data.f_frsize);
    if free as f64 > 8e9 * scale { memory } else { std::env::temp_dir() }
}

fn run(plan: &Plan) -> io::Result<()> {
    let top = tempfile::Builder::new().prefix("bench").tempdir_in(&plan.folder)?;
    let store = Store::new(top.path().to_path_buf(), plan.scale);
    println!(
        "| job | stock s | ours s | speed-up | stock MiB | ours MiB | stock cpu s | ours cpu s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for &job in &plan.jobs {
        let stages = [job.stage(&store, &plan.stock)?, job.stage(&store, &plan.ours)?];
        let mut costs: [Vec<Cost>; 2] = Default::default();
        // The first round only warms caches; a load of many sessions has no need of it.
        let rounds = if job.is_load() { 1..=1 } else { 0..=plan.runs };
        for round in rounds {
            for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                stages[side].prepare(&plan.stock.client)?;
                rustix::fs::sync();
                let cost = stages[side].run()?;
                if round > 0 {
                    costs[side].push(cost);
                }
            }
        }
        let mut memory = [0.0; 2];
        for (side, stage) in stages.iter().enumerate() {
            stage.prepare(&plan.stock.client)?;
            memory[side] = stage.memory()?;
        }
        let middle = |side: usize, of: fn(&Cost) -> f64| {
            median(&mut costs[side].iter().map(of).collect::<Vec<_>>())
        };
        let (stock, ours) = (middle(0, |cost| cost.seconds), middle(1, |cost| cost.seconds));
        println!(
            "| {} | {stock:.3} | {ours:.3} | {:.2} | {:.1} | {:.1} | {:.2} | {:.2} |",
            job.name,
            stock / ours,
            memory[0],
            memory[1],
            middle(0, |cost| cost.processor),
            middle(1, |cost| cost.processor),
        );
    }
    Ok(())
}
