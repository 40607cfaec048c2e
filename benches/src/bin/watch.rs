//! `cargo xtask bench watch`: the claims of watching, side by side with inotifywait. Medians of runs in turns; a ratio above 1
//! is in our favour.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a person")]

use lexopt::prelude::*;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use syncline_benches::programs::measure::{family_time, median};
use syncline_suite::program::Program;
use syncline_watch::{Backend, Options, Root, Watcher};

const HELP: &str = "\
watch [--directories N] [--runs N]

Measures the set-up of so many directories (100000) and how fast queued events are drained, by
inotifywait and by syncwatch under that name, and by the library alone through both of its back ends.
";

/// Just under the kernel's default queue.
const QUEUED: usize = 16_000;

/// A figure, and what it must be at least.
struct Row {
    job: String,
    stock: Option<f64>,
    ours: f64,
    ratio: Option<f64>,
    required: Option<f64>,
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("watch: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; whether everything that is required was reached.
fn measure() -> Result<bool, String> {
    let (mut directories, mut runs) = (100_000, 5);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next().map_err(|error| error.to_string())? {
        match argument {
            Long("directories") => directories = number(&mut arguments)?,
            Long("runs") => runs = number(&mut arguments)?.max(1),
            Long("help") => {
                print!("{HELP}");
                return Ok(true);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let stock = Program::stock("inotifywait")?.path;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = [stock, own.with_file_name("syncwatch")];
    let mut rows = Vec::new();
    let measured = tree(directories).and_then(|top| {
        set_up(&programs, top.path(), directories, runs, &mut rows)?;
        drain(&programs, runs, &mut rows)?;
        library(top.path(), directories, runs, &mut rows)
    });
    measured.map_err(|error| error.to_string())?;
    println!("| job | inotifywait | ours | ratio | required |\n|---|---|---|---|---|");
    for Row { job, stock, ours, ratio, required } in &rows {
        let shown =
            |figure: &Option<f64>| figure.map_or(String::new(), |figure| format!("{figure:.3}"));
        println!(
            "| {job} | {} | {ours:.3} | {} | {} |",
            shown(stock),
            shown(ratio),
            shown(required)
        );
    }
    Ok(rows.iter().all(|row| row.required.is_none_or(|required| row.reached() >= required)))
}

fn number(arguments: &mut lexopt::Parser) -> Result<usize, String> {
    let value = arguments.value().and_then(|value| value.parse());
    value.map_err(|error| error.to_string())
}

impl Row {
    /// What is compared with the requirement: a ratio where there is one.
    fn reached(&self) -> f64 {
        self.ratio.unwrap_or(self.ours)
    }
}

/// A tree three levels deep, the way release directories and caches look: most directories are leaves.
fn tree(directories: usize) -> io::Result<tempfile::TempDir> {
    let top = tempfile::tempdir()?;
    for number in 0..directories {
        let (a, b, c) = (number / 1000, number / 100 % 10, number % 100);
        std::fs::create_dir_all(top.path().join(format!("dir{a:03}/sub{b}/leaf{c:03}")))?;
    }
    Ok(top)
}

/// Starts a program and waits until it watches; the seconds that took.
fn start(program: &Path, words: &[&str], directory: &Path) -> io::Result<(Child, f64)> {
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg0("inotifywait")
        .args(words)
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufReader::lines);
    if said.map_while(Result::ok).any(|line| line == "Watches established.") {
        return Ok((child, started.elapsed().as_secs_f64()));
    }
    stop(child)?;
    Err(io::Error::other(format!("{} did not get ready", program.display())))
}

fn resident(child: &Child) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    figure.map(|kibibytes| kibibytes / 1024.0).ok_or_else(|| io::Error::other("no VmRSS"))
}

fn stop(mut child: Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

fn set_up(
    programs: &[PathBuf; 2],
    top: &Path,
    directories: usize,
    runs: usize,
    rows: &mut Vec<Row>,
) -> io::Result<()> {
    let changes = "modify,attrib,close_write,move,create,delete";
    for (name, words) in
        [("changes", &["-mr", "-e", changes, "."][..]), ("all events", &["-mr", "."])]
    {
        let mut figures: [[Vec<f64>; 3]; 2] = Default::default();
        for _ in 0..runs {
            for (program, figures) in programs.iter().zip(&mut figures) {
                let (child, seconds) = start(program, words, top)?;
                figures[0].push(seconds);
                figures[1].push(family_time(child.id()));
                figures[2].push(resident(&child)?);
                stop(child)?;
            }
        }
        let [stock, ours] = figures.map(|figures| figures.map(|mut all| median(&mut all)));
        let kinds =
            [("seconds", Some(2.0)), ("processor seconds", None), ("MiB resident", Some(2.0))];
        for (((kind, required), stock), ours) in kinds.into_iter().zip(stock).zip(ours) {
            rows.push(Row {
                job: format!("set-up of {directories} directories, {name}: {kind}"),
                stock: Some(stock),
                ours,
                ratio: Some(stock / ours),
                // The claim is made for the size at which it was measured.
                required: required.filter(|_| directories >= 100_000),
            });
        }
    }
    Ok(())
}

/// The queue is filled while the program is stopped; measured is the time from its waking to its last line.
fn drain(programs: &[PathBuf; 2], runs: usize, rows: &mut Vec<Row>) -> io::Result<()> {
    let mut rates: [Vec<f64>; 2] = Default::default();
    for _ in 0..runs {
        for (program, rates) in programs.iter().zip(&mut rates) {
            let top = tempfile::tempdir()?;
            std::fs::create_dir(top.path().join("d"))?;
            let words = ["-m", "-e", "create", "--format", "%f", "d"];
            let (mut child, _) = start(program, &words, top.path())?;
            signal(&child, "STOP")?;
            for number in 0..QUEUED {
                std::fs::write(top.path().join(format!("d/{number:05}")), b"")?;
            }
            let mut lines = vec![0; QUEUED * 6];
            signal(&child, "CONT")?;
            let woken = Instant::now();
            if let Some(stdout) = &mut child.stdout {
                stdout.read_exact(&mut lines)?;
            }
            rates.push(QUEUED as f64 / woken.elapsed().as_secs_f64());
            stop(child)?;
        }
    }
    let [stock, ours] = rates.map(|mut rates| median(&mut rates));
    rows.push(Row {
        job: "events drained and printed a second".into(),
        stock: Some(stock),
        ours,
        ratio: Some(ours / stock),
        required: None,
    });
    Ok(())
}

fn signal(child: &Child, name: &str) -> io::Result<()> {
    Command::new("kill").args(["-s", name, &child.id().to_string()]).status().map(drop)
}

/// Notices a second when everything is queued already; `None` where this back end is not to be had.
fn notices_a_second(backend: Backend) -> io::Result<Option<f64>> {
    let top = tempfile::tempdir()?;
    let options = Options { backend, inspect_created: false, ..Options::default() };
    let Ok(mut watcher) = Watcher::new(options) else { return Ok(None) };
    if watcher.add(Root::tree(top.path())).is_err() {
        return Ok(None);
    }
    // Each file is told as created, modified and closed.
    for number in 0..QUEUED / 4 {
        std::fs::write(top.path().join(format!("{number:05}")), b"x")?;
    }
    let started = Instant::now();
    let mut notices = 0_u32;
    while watcher.next(Some(Duration::ZERO)).map_err(io::Error::other)?.is_some() {
        notices += 1;
    }
    Ok(Some(f64::from(notices) / started.elapsed().as_secs_f64()))
}

/// The library alone, through both back ends.
fn library(top: &Path, directories: usize, runs: usize, rows: &mut Vec<Row>) -> io::Result<()> {
    for backend in [Backend::Inotify, Backend::Fanotify] {
        let mut rates = Vec::new();
        let mut seconds = Vec::new();
        for _ in 0..runs {
            rates.extend(notices_a_second(backend)?);
            let started = Instant::now();
            let made = Watcher::new(Options { backend, ..Options::default() })
                .and_then(|mut watcher| watcher.add(Root::tree(top)));
            seconds.extend(made.ok().map(|_| started.elapsed().as_secs_f64()));
        }
        if rates.is_empty() || seconds.is_empty() {
            println!("{backend:?} is not to be had here.");
            continue;
        }
        let row = |job, ours, required| Row { job, stock: None, ours, ratio: None, required };
        let job = format!("notices a second, library, {backend:?}");
        rows.push(row(job, median(&mut rates), Some(200_000.0)));
        let job = format!("set-up of {directories} directories, library, {backend:?}: seconds");
        rows.push(row(job, median(&mut seconds), None));
    }
    Ok(())
}
