//! `cargo xtask bench`: measures, then prints one table of medians and ratios.
//!
//! Criterion names a bench `GROUP/FUNCTION/VALUE`. Functions that begin with `syncline` are ours, all others are rivals:
//! the ratio is the best rival's time over ours, so 2.0 means twice as fast.

use crate::run::{self, Chore, Failure};
use lexopt::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) fn run(mut arguments: lexopt::Parser) -> Chore {
    match arguments.value().ok().map(ValueExt::string).transpose()?.as_deref() {
        Some("parts") => parts(arguments),
        Some(name @ ("programs" | "watch" | "live")) => {
            whole(name, &arguments.raw_args()?.collect::<Vec<_>>())
        }
        None => {
            parts(arguments)?;
            whole("programs", &[])?;
            whole("watch", &[])
        }
        Some(other) => {
            Err(Failure::new(format!("bench {other:?}: say parts, programs, watch or live")))
        }
    }
}

/// Whole programs, stock's and ours, in turns.
fn whole(name: &str, arguments: &[OsString]) -> Chore {
    let mut build = run::cargo(["build", "--release", "--bins", "--locked"]);
    let which = match name {
        "watch" => &["--package", "syncwatch"][..],
        "live" => &["--package", "synclive"],
        _ => &["--workspace"],
    };
    run::must(build.args(which))?;
    run::must(
        run::cargo(["run", "--release", "--locked", "--package", "syncline-benches"])
            .args(["--bin", name, "--"])
            .args(arguments),
    )
}

/// The criterion benches.
fn parts(mut arguments: lexopt::Parser) -> Chore {
    let mut quick = false;
    let mut filter = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("quick") => quick = true,
            Value(pattern) if filter.is_none() => filter = Some(pattern),
            other => return Err(other.unexpected().into()),
        }
    }
    let started = SystemTime::now();
    let mut command =
        run::cargo(["bench", "--package", "syncline-benches", "--benches", "--locked", "--"]);
    command.args(quick.then_some("--quick")).args(filter);
    run::must(&mut command)?;
    let results = collect(&run::workspace().join("target/criterion"), started)?;
    print!("{}", table(&results));
    Ok(())
}

/// One measured function.
struct Measured {
    group: String,
    value: String,
    function: String,
    nanoseconds: f64,
    bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Bytes")]
    bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Reads what criterion wrote since `started`.
fn collect(folder: &Path, started: SystemTime) -> Chore<Vec<Measured>> {
    let mut results = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.file_name().is_some_and(|name| name == "new") {
                results.extend(measured(&path, started)?);
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(results)
}

fn entries(folder: &Path) -> Chore<Vec<PathBuf>> {
    let listing = std::fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    Ok(listing.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn measured(folder: &Path, started: SystemTime) -> Chore<Option<Measured>> {
    let path = folder.join("benchmark.json");
    let fresh = path.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= started);
    if !fresh {
        return Ok(None);
    }
    let benchmark: Benchmark = json(&path)?;
    let estimates: Estimates = json(&folder.join("estimates.json"))?;
    Ok(Some(Measured {
        group: benchmark.group_id,
        value: benchmark.value_str.unwrap_or_default(),
        function: benchmark.function_id.unwrap_or_default(),
        nanoseconds: estimates.median.point_estimate,
        bytes: benchmark.throughput.and_then(|throughput| throughput.bytes),
    }))
}

fn json<T: for<'text> Deserialize<'text>>(path: &Path) -> Chore<T> {
    let failure = |text: String| Failure::new(format!("{}: {text}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failure(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failure(error.to_string()))
}

/// One line for each of our functions: its median, its throughput, and the best rival's time over it.
fn table(results: &[Measured]) -> String {
    let mut jobs: BTreeMap<(&str, &str), Vec<&Measured>> = BTreeMap::new();
    for result in results {
        jobs.entry((&result.group, &result.value)).or_default().push(result);
    }
    let mut text = String::from(
        "| job | ours | median | MB/s | best rival | its median | ratio |\n|---|---|---|---|---|---|---|\n",
    );
    for ((group, value), functions) in jobs {
        let (mut ours, rivals): (Vec<_>, Vec<_>) =
            functions.into_iter().partition(|one| one.function.starts_with("syncline"));
        ours.sort_by(|a, b| a.function.cmp(&b.function));
        let rival = rivals.into_iter().min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
        for one in ours {
            let speed = one
                .bytes
                .map(|bytes| format!("{:.0}", bytes as f64 * 1e3 / one.nanoseconds))
                .unwrap_or_default();
            let (name, median, ratio) = rival.map_or_else(Default::default, |rival| {
                let ratio = format!("{:.2}", rival.nanoseconds / one.nanoseconds);
                (rival.function.clone(), milliseconds(rival.nanoseconds), ratio)
            });
            let _ = writeln!(
                text,
                "| {group} {value} | {} | {} | {speed} | {name} | {median} | {ratio} |",
                one.function,
                milliseconds(one.nanoseconds),
            );
        }
    }
    text
}

fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.3} ms", nanoseconds / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_ours_with_the_best_rival() {
        let one = |function: &str, nanoseconds| Measured {
            group: "search".into(),
            value: "shifted".into(),
            function: function.into(),
            nanoseconds,
            bytes: Some(1_000_000),
        };
        let text = table(&[one("slow_rival", 8e6), one("syncline xxh3", 1e6), one("rival", 4e6)]);
        let line = text.lines().last().unwrap_or_default();
        assert_eq!(
            line,
            "| search shifted | syncline xxh3 | 1.000 ms | 1000 | rival | 4.000 ms | 4.00 |"
        );
    }
}
