//! The vectors of inotifywait and inotifywatch, recorded from the stock tools. What each field means stands in
//! `tests/vectors/README.md`. `INOTIFYWAIT` and `INOTIFYWATCH` in the environment name other programs to judge.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails, or says why it was skipped"
)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use regex::{Captures, Regex};
use serde_json::Value;

/// Cases that run side by side; they sleep most of the time.
const AT_ONCE: usize = 12;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("vectors/cases.json")).unwrap()
}

/// The two programs, under their stock names.
struct Programs {
    _directory: tempfile::TempDir,
    wait: PathBuf,
    watch: PathBuf,
}

impl Programs {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str, variable: &str| {
            let path = directory.path().join(name);
            let target = std::env::var_os(variable)
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_syncwatch").into());
            std::os::unix::fs::symlink(target, &path).unwrap();
            path
        };
        let (wait, watch) =
            (named("inotifywait", "INOTIFYWAIT"), named("inotifywatch", "INOTIFYWATCH"));
        Self { _directory: directory, wait, watch }
    }
}

/// What a program said so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn collect(&self, mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let said = self.0.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                said.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        })
    }

    fn contains(&self, text: &str) -> bool {
        self.0.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

struct Shell<'a> {
    directory: &'a Path,
    environment: HashMap<String, String>,
}

impl Shell<'_> {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory).env_clear().envs(&self.environment);
        command
    }

    fn run(&self, script: &str) -> (bool, String) {
        let script = format!("exec 2>&1\n{script}");
        let output =
            self.command("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

/// Runs a case; what differs from what was recorded.
fn differences(case: &Value, programs: &Programs, slow: f64) -> Vec<String> {
    let outer = tempfile::Builder::new().prefix("iwv.").tempdir().unwrap();
    let top = outer.path().canonicalize().unwrap().join("w");
    std::fs::create_dir(&top).unwrap();
    let top_text = top.to_str().unwrap();
    let here = |text: &str| text.replace("@DIR@", top_text);
    let pause = |seconds: f64| std::thread::sleep(Duration::from_secs_f64(seconds * slow));
    let mut environment: HashMap<String, String> = ["PATH", "HOME", "TMPDIR"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .chain([("LC_ALL".into(), "C".into()), ("TZ".into(), "UTC".into())])
        .collect();
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        environment.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    let shell = Shell { directory: &top, environment };
    let mut differences = Vec::new();
    if let Some(setup) = case["setup"].as_str() {
        let (well, said) = shell.run(&format!("set -e\n{}", here(setup)));
        if !well {
            differences.push(format!("setup failed: {said}"));
        }
    }
    let waits = case["tool"] == "wait";
    let program = if waits { &programs.wait } else { &programs.watch };
    let mut words: Vec<String> = strings(&case["argv"]).iter().map(|word| here(word)).collect();
    if let Some(repeat) = case["argv_repeat"].as_array() {
        let word = repeat[0].as_str().unwrap();
        words.extend(std::iter::repeat_n(word.to_owned(), repeat[1].as_u64().unwrap() as usize));
    }
    let mut command = if let Some(wrap) = case["wrap"].as_str() {
        let mut command = shell.command("unshare");
        command.args(["-Ur", "sh", "-c", &format!("{wrap}; exec \"$0\" \"$@\"")]).arg(program);
        command
    } else {
        let mut command = shell.command(program);
        command.arg0(if waits { "inotifywait" } else { "inotifywatch" });
        command
    };
    let mut child = command
        .args(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (Said::default(), Said::default());
    let readers = [
        stdout.collect(child.stdout.take().unwrap()),
        stderr.collect(child.stderr.take().unwrap()),
    ];
    // A program that does not read its input may be gone already.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(here(case["stdin"].as_str().unwrap_or_default()).as_bytes());
    let started = Instant::now();
    if let Some(seconds) = case["ready"].as_f64() {
        pause(seconds);
    } else {
        let ready = if waits {
            "Watches established.\n"
        } else {
            "Finished establishing watches, now collecting statistics.\n"
        };
        while !stderr.contains(ready) && child.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(10) {
                differences.push("never ready".into());
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        pause(0.05);
    }
    for action in case["actions"].as_array().into_iter().flatten() {
        if let Some(seconds) = action.as_f64() {
            pause(seconds);
        } else if let Some(signal) = action["kill"].as_str() {
            kill(&child, signal);
            pause(0.2);
        } else {
            let (well, said) = shell.run(&here(action.as_str().unwrap()));
            if !well {
                differences.push(format!("action {action} failed: {said}"));
            }
            pause(case["gap"].as_f64().unwrap_or(0.1));
        }
    }
    let stop = case["stop"].as_str().unwrap_or("TERM");
    if !matches!(stop, "self" | "timeout") {
        pause(case["settle"].as_f64().unwrap_or(0.3));
        if child.try_wait().unwrap().is_some() {
            differences.push("ended before it was stopped".into());
        } else {
            kill(&child, stop);
        }
    }
    let limit = Instant::now() + Duration::from_secs_f64(15.0 * slow);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > limit {
            child.kill().unwrap();
            differences.push("had to be killed".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = started.elapsed().as_secs_f64();
    if stop == "timeout" {
        let (least, most) =
            (case["seconds"][0].as_f64().unwrap(), case["seconds"][1].as_f64().unwrap());
        if !(least - 0.1..=most * slow + 0.5).contains(&took) {
            differences.push(format!("ended after {took:.2} s instead of {least} to {most}"));
        }
    }
    // A daemon that was left behind holds no end of these pipes.
    for reader in readers {
        reader.join().unwrap();
    }
    let after = case["after"].as_str().map(|script| shell.run(&here(script)).1);
    let there = |text: String| text.replace(top_text, "@DIR@");
    let got = HashMap::from([
        ("stdout", there(stdout.text())),
        ("stderr", there(stderr.text())),
        ("after", there(after.unwrap_or_default())),
    ]);
    let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
    compare(case, &got, code, &mut differences);
    differences
}

fn kill(child: &Child, signal: &str) {
    Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
}

fn compare(case: &Value, got: &HashMap<&str, String>, code: i32, differences: &mut Vec<String>) {
    let expected = &case["expect"];
    for (name, got) in got {
        let mut got = got.clone();
        if case["cookies"] == true {
            got = number_cookies(&got);
        }
        if let Some(pattern) = expected[format!("{name}_re")].as_str() {
            let whole = Regex::new(&format!("(?s)^(?:{pattern})$")).unwrap();
            if !whole.is_match(&got) {
                differences.push(format!("{name} does not match {pattern}: {got:?}"));
            }
        } else if let Some(text) = expected[*name].as_str() {
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
                lines.sort_unstable();
                lines.concat()
            };
            let any_order = case["order"] == "any" && *name == "stdout";
            if got != text && !(any_order && sorted(&got) == sorted(text)) {
                differences.push(format!("{name}:\n    expected {text:?}\n    got      {got:?}"));
            }
        }
    }
    if expected["exit"] != code {
        differences.push(format!("exit: expected {}, got {code}", expected["exit"]));
    }
}

/// Cookies as `<c1>`, `<c2>` in order of appearance; 0 stays.
fn number_cookies(text: &str) -> String {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let cookie = Regex::new("<([0-9a-f]+)>").unwrap();
    cookie
        .replace_all(text, |found: &Captures<'_>| {
            if &found[1] == "0" {
                return "<0>".to_owned();
            }
            let next = numbers.len() + 1;
            format!("<c{}>", numbers.entry(found[1].to_owned()).or_insert(next))
        })
        .into_owned()
}

/// Why a case cannot run here.
fn missing(case: &Value) -> Option<String> {
    for need in strings(&case["needs"]) {
        let there = match need.as_str() {
            "root" => rustix::process::geteuid().is_root(),
            "userns" => Command::new("unshare")
                .args(["-Ur", "sh", "-c", "test -w /proc/sys/user/max_inotify_watches"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            "queue16k" => std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
                .is_ok_and(|text| text.trim().parse::<u64>().is_ok_and(|limit| limit <= 20_000)),
            _ => false,
        };
        if !there {
            return Some(need);
        }
    }
    None
}

#[test]
fn every_vector_that_records_no_defect_holds() {
    let programs = Programs::new();
    let cases: Vec<Value> = cases().into_iter().filter(|case| case["defect"] != true).collect();
    assert_eq!(cases.len(), 260);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = case["name"].as_str().unwrap();
                    if let Some(need) = missing(case) {
                        eprintln!("SKIPPED vector {name}: needs {need}");
                        continue;
                    }
                    // More patience for a loaded machine before a difference counts.
                    let [first, second, third] = [1.0, 2.0, 4.0];
                    let mut differences = differences(case, &programs, first);
                    for slow in [second, third] {
                        if !differences.is_empty() {
                            differences = self::differences(case, &programs, slow);
                        }
                    }
                    if !differences.is_empty() {
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{name}: {}", differences.join("\n  ")));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
