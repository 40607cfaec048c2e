//! The measured claims of watching, side by side with inotifywait. Prints `job,stock,ours,ratio`; a ratio above 1 is in our
//! favour.
//!
//! ```sh
//! cargo build --release -p syncwatch && cargo build --release -p syncwatch --example watch_bench
//! target/release/examples/watch_bench [DIRECTORIES]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program to measure with"
)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use syncline_watch::{Backend, Options, Root, Watcher};

const ROUNDS: usize = 5;
/// Just under the kernel's default queue.
const QUEUED: usize = 16_000;
/// The rate that is required of the library, in notices a second.
const REQUIRED: f64 = 200_000.0;

fn main() {
    let directories = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let ours = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("syncwatch");
    let Some(stock) = which("inotifywait") else {
        eprintln!("inotifywait is not installed: nothing to compare with");
        return;
    };
    println!("job,stock,ours,ratio");
    set_up(&stock, &ours, directories);
    drain(&stock, &ours);
    in_process(directories);
}

fn which(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|path| path.join(name))
        .find(|path| path.exists())
}

fn row(job: &str, stock: f64, ours: f64, ratio: f64) {
    println!("{job},{stock:.3},{ours:.3},{ratio:.2}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A tree three levels deep, the way release directories and caches look: most directories are leaves.
fn tree(directories: usize) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for number in 0..directories {
        let (a, b, c) = (number / 1000, number / 100 % 10, number % 100);
        std::fs::create_dir_all(top.path().join(format!("dir{a:03}/sub{b}/leaf{c:03}"))).unwrap();
    }
    top
}

fn start(program: &Path, words: &[&str], directory: &Path) -> (Child, f64) {
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg0("inotifywait")
        .args(words)
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let ready = stderr.lines().map_while(Result::ok).any(|line| line == "Watches established.");
    assert!(ready, "{} did not get ready", program.display());
    (child, started.elapsed().as_secs_f64())
}

fn resident(child: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn processor_seconds(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn stop(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn set_up(stock: &Path, ours: &Path, directories: usize) {
    let top = tree(directories);
    let changes = "modify,attrib,close_write,move,create,delete";
    for (name, words) in
        [("changes", vec!["-mr", "-e", changes, "."]), ("all events", vec!["-mr", "."])]
    {
        let mut figures: [[Vec<f64>; 3]; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (program, figures) in [stock, ours].into_iter().zip(&mut figures) {
                let (child, seconds) = start(program, &words, top.path());
                figures[0].push(seconds);
                figures[1].push(processor_seconds(&child));
                figures[2].push(resident(&child));
                stop(child);
            }
        }
        let [stock, ours] = figures.map(|figures| figures.map(median));
        let jobs = ["seconds", "processor seconds", "kB resident"];
        for ((job, stock), ours) in jobs.iter().zip(stock).zip(ours) {
            let job = format!("set up {directories} directories ({name}): {job}");
            row(&job, stock, ours, stock / ours);
        }
    }
}

/// The queue is filled while the program is stopped; measured is the time from its waking to its last line.
fn drain(stock: &Path, ours: &Path) {
    let rate = |program: &Path| {
        let rates = (0..ROUNDS).map(|_| {
            let top = tempfile::tempdir().unwrap();
            std::fs::create_dir(top.path().join("d")).unwrap();
            let words = ["-m", "-e", "create", "--format", "%f", "d"];
            let (mut child, _) = start(program, &words, top.path());
            signal(&child, "STOP");
            for number in 0..QUEUED {
                std::fs::write(top.path().join(format!("d/{number:05}")), b"").unwrap();
            }
            let mut stdout = child.stdout.take().unwrap();
            let mut lines = vec![0; QUEUED * 6];
            signal(&child, "CONT");
            let woken = Instant::now();
            stdout.read_exact(&mut lines).unwrap();
            let seconds = woken.elapsed().as_secs_f64();
            stop(child);
            QUEUED as f64 / seconds
        });
        median(rates.collect())
    };
    let (stock, ours) = (rate(stock), rate(ours));
    row("events drained and printed a second", stock, ours, ours / stock);
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
}

/// Notices a second when everything is queued already; `None` where this back end is not to be had.
fn notices_a_second(backend: Backend) -> Option<f64> {
    let top = tempfile::tempdir().unwrap();
    let options = Options { backend, inspect_created: false, ..Options::default() };
    let mut watcher = Watcher::new(options).ok()?;
    watcher.add(Root::tree(top.path())).ok()?;
    // Each file is told as created, modified and closed.
    for number in 0..QUEUED / 4 {
        std::fs::write(top.path().join(format!("{number:05}")), b"x").unwrap();
    }
    let started = Instant::now();
    let mut notices = 0;
    while watcher.next(Some(Duration::ZERO)).unwrap().is_some() {
        notices += 1;
    }
    Some(f64::from(notices) / started.elapsed().as_secs_f64())
}

fn set_up_in_process(backend: Backend, top: &Path) -> Option<f64> {
    let started = Instant::now();
    let mut watcher = Watcher::new(Options { backend, ..Options::default() }).ok()?;
    watcher.add(Root::tree(top)).ok()?;
    Some(started.elapsed().as_secs_f64())
}

/// The library alone: both back ends' rates against what is required, and fanotify's set-up against inotify's.
fn in_process(directories: usize) {
    for backend in [Backend::Inotify, Backend::Fanotify] {
        let rates: Vec<f64> = (0..ROUNDS).filter_map(|_| notices_a_second(backend)).collect();
        if !rates.is_empty() {
            let rate = median(rates);
            let job = format!("notices a second in process: required and {backend:?}");
            row(&job, REQUIRED, rate, rate / REQUIRED);
        }
    }
    let top = tree(directories);
    let inotify = set_up_in_process(Backend::Inotify, top.path());
    let fanotify = set_up_in_process(Backend::Fanotify, top.path());
    if let (Some(inotify), Some(fanotify)) = (inotify, fanotify) {
        let job = format!("set up {directories} directories in process: inotify and fanotify");
        row(&job, inotify, fanotify, inotify / fanotify);
    }
}
