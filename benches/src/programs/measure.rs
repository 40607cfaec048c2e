//! Running one command: how long, how much processor time, how much memory.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Wall clock, seconds.
    pub seconds: f64,
    /// User and system time of the command and of what it waited for, seconds.
    pub processor: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.processor += other.processor;
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let before = children_time();
    let began = Instant::now();
    let child = start(command)?;
    finish(command, child)?;
    Ok(Cost { seconds: began.elapsed().as_secs_f64(), processor: children_time() - before })
}

/// Runs commands at the same time; all must succeed.
pub fn run_all(commands: &mut [Command]) -> io::Result<()> {
    let children: Vec<Child> = commands.iter_mut().map(start).collect::<io::Result<_>>()?;
    let outcomes: Vec<io::Result<()>> =
        commands.iter().zip(children).map(|(command, child)| finish(command, child)).collect();
    outcomes.into_iter().collect()
}

/// Processor time of a process and of those below it that have ended, in seconds.
pub fn family_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat, 11, 4)
}

/// Runs a command that must succeed; returns the largest memory, in MiB, that it, all below it and `others` used together.
pub fn peak_memory(command: &mut Command, others: &[u32]) -> io::Result<f64> {
    let child = start(command)?;
    let roots: Vec<u32> = std::iter::once(child.id()).chain(others.iter().copied()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(family_memory(&roots));
                thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let outcome = finish(command, child);
        done.store(true, Ordering::Relaxed);
        let peak = sampler.join().unwrap_or_default();
        outcome.map(|()| peak)
    })
}

fn start(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

fn finish(command: &Command, child: Child) -> io::Result<()> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}: {text}", output.status)))
}

/// Processor time of all children waited for so far, in seconds.
fn children_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat, 13, 2)
}

/// The sum of `count` fields of a process's record in seconds: own user and system time are the fields 11 and 12 after
/// the name, which may hold blanks, those of ended children 13 and 14. The kernel's tick is 10 ms everywhere we run.
fn ticks(stat: &str, first: usize, count: usize) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(first).take(count).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}

/// Proportional memory of these processes and all below them, MiB.
fn family_memory(roots: &[u32]) -> f64 {
    let mut kibibytes = 0_u64;
    let mut left = roots.to_vec();
    while let Some(pid) = left.pop() {
        let rollup =
            std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        kibibytes += pss
            .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            left.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    kibibytes as f64 / 1024.0
}

/// The middle one of some figures.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
