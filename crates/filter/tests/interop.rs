//! Random trees and random rules, run by the stock program and replayed by the crate.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::run::{replay, strings};

/// Enough to meet each kind of rule often, few enough for a test run.
const RUNS: u64 = 40;

#[test]
fn random_rules_do_what_the_stock_program_does() {
    if Command::new("rsync").arg("--version").output().is_err() {
        eprintln!("SKIPPED random_rules_do_what_the_stock_program_does: no rsync here");
        return;
    }
    for seed in 0..RUNS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let case = random_case(&mut random);
        let mut outcome = replay(&case);
        outcome.stderr.sort();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (result, exit, stderr) = run_stock(&case, directory.path());
        let mut said: Vec<String> = stderr
            .iter()
            .map(|line| line.replace(&*directory.path().to_string_lossy(), "/w"))
            .collect();
        said.sort();
        assert_eq!((outcome.exit, outcome.stderr), (exit, said), "seed {seed}: {case:#}");
        // A run that ends early has done what it came to, in an order of its own.
        if exit == 0 {
            assert_eq!(outcome.result, result, "seed {seed}: {case:#}");
        }
    }
}

/// A linear congruential generator: the runs are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "ab", "d", "x.o", "core", ".h"];
        let depth = 1 + self.below(4);
        let parts: Vec<&str> = (0..depth).map(|_| self.one_of(&names)).collect();
        parts.join("/")
    }

    fn pattern(&mut self) -> String {
        let pieces = [
            "a", "b", "d", "x.o", "/", "/", "*", "**", "***", "?", "[ab]", "[!a]", "*.o", "core",
            "\\a",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| self.one_of(&pieces)).collect()
    }

    fn rule(&mut self) -> String {
        let verbs = [
            "-", "-", "-", "+", "+", "H", "S", "P", "R", "-!", "+!", "-p", "-s", "-r", "-sr", "Pp",
            "exclude", "show", "hide,!", "-/",
        ];
        format!("{} {}", self.one_of(&verbs), self.pattern())
    }
}

fn random_case(random: &mut Random) -> Value {
    let mut options = vec!["-r".to_owned()];
    options.extend(match random.below(6) {
        0 => None,
        1 => Some("--delete-excluded".to_owned()),
        2 => Some("--delete-after".to_owned()),
        _ => Some("--delete".to_owned()),
    });
    if random.below(8) == 0 {
        options.push("-C".to_owned());
    }
    for _ in 0..=random.below(4) {
        match random.below(8) {
            0 => options.push(format!("--exclude={}", random.pattern())),
            1 => options.push(format!("--include={}", random.pattern())),
            2 => {
                let verb = random.one_of(&[":", ":n", ":e", ":-", ":p", ":/", ":+"]);
                options.extend(["-f".to_owned(), format!("{verb} .r")]);
            }
            3 => options.extend([
                "-f".to_owned(),
                random.one_of(&[". r", ".s r", ".- r", "-C", ":C"]).to_owned(),
            ]),
            _ => options.extend(["-f".to_owned(), random.rule()]),
        }
    }
    let mut tree = |rules: bool| -> Vec<Value> {
        let mut paths: Vec<String> = (0..6 + random.below(10)).map(|_| random.path()).collect();
        paths.sort();
        paths.dedup();
        // What is a directory to one path cannot be a file to another.
        let files: Vec<String> = paths
            .iter()
            .filter(|path| !paths.iter().any(|other| other.starts_with(&format!("{path}/"))))
            .cloned()
            .collect();
        let mut entries: Vec<Value> = files.iter().map(|path| json!(path)).collect();
        for _ in 0..if rules { 1 + random.below(2) } else { 0 } {
            let file = &files[random.below(files.len())];
            let directory =
                file.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
            let count = 1 + random.below(3);
            let mut lines: Vec<String> = (0..count).map(|_| random.rule()).collect();
            if random.below(5) == 0 {
                lines.insert(random.below(lines.len()), "!".to_owned());
            }
            let text = lines.join("\n");
            entries.push(json!({ "path": format!("{directory}.r"), "content": text }));
        }
        entries
    };
    let (source, destination) = (tree(true), tree(true));
    json!({
        "name": "random", "via": "local", "src": source, "dst": destination,
        "extra": [{ "path": "r", "content": format!("{}\n{}\n", random.rule(), random.rule()) }],
        "options": options, "args": ["src/", "dst/"],
    })
}

/// What is below `dst` afterwards, the exit code, and the error lines.
fn run_stock(case: &Value, directory: &Path) -> (Vec<String>, i32, Vec<String>) {
    for name in ["src", "dst", "home"] {
        fs::create_dir(directory.join(name)).expect("a directory");
    }
    for (key, base) in [("src", "src"), ("dst", "dst"), ("extra", ".")] {
        for entry in case[key].as_array().into_iter().flatten() {
            let name = entry.as_str().or(entry["path"].as_str()).unwrap_or_default();
            let path = directory.join(base).join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, entry["content"].as_str().unwrap_or("x\n")).expect("a file");
        }
    }
    let output = Command::new("rsync")
        .args(strings(&case["options"]))
        .args(strings(&case["args"]))
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("HOME", directory.join("home"))
        .output()
        .expect("rsync runs");
    let mut result = Vec::new();
    list(&directory.join("dst"), "", &mut result);
    result.sort();
    let stderr = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| {
            !line.starts_with("rsync error: ") && !line.contains("connection unexpectedly closed")
        })
        .map(str::to_owned)
        .collect();
    (result, output.status.code().unwrap_or(-1), stderr)
}

fn list(directory: &Path, prefix: &str, result: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), result);
            result.push(format!("{name}/"));
        } else {
            result.push(name);
        }
    }
}
