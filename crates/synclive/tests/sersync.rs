//! Configurations of sersync run as they are: what the program plans has the effect of the commands that sersync ran.
#![allow(clippy::unwrap_used)]

mod bench;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bench::{Bench, code, stderr, stdout, synclive};
use serde_json::Value;
use syncline_conf::live::{
    Action, Address, Config, Deletion, Mirror, PassPaths, Startup, StreamFormat,
};

const PORT: u16 = 18731;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/tests/vectors/live")
}

/// The recorded runs or cases of sersync, with their places filled in.
fn recorded(file: &str, bench: &Bench) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(vectors().join(file)).unwrap();
    let text = text
        .replace("{DIR}", &bench.top.path().display().to_string())
        .replace("{PORT}", &PORT.to_string());
    let all: Value = serde_json::from_str(&text).unwrap();
    let all = all.as_array().unwrap().iter().filter(|case| case["tool"] == "sersync");
    all.map(|case| (case["file"].as_str().unwrap().to_owned(), case.clone())).collect()
}

/// The configuration with its places filled in; its path.
fn placed(file: &str, bench: &Bench) -> String {
    let text = std::fs::read_to_string(vectors().join(file)).unwrap();
    let text = text
        .replace("{DIR}", &bench.top.path().display().to_string())
        .replace("{PORT}", &PORT.to_string());
    bench.write("confxml.xml", &text);
    bench.text("confxml.xml")
}

fn bench() -> Bench {
    let bench = Bench::new();
    for directory in ["data", "copy", "copy2", "other", "second"] {
        std::fs::create_dir(bench.path(directory)).unwrap();
    }
    bench
}

fn plan(words: &[&str]) -> Config {
    let output = synclive([words, &["--print-config"]].concat());
    assert_eq!(code(&output), 0, "{words:?}: {}", stderr(&output));
    Config::parse(Path::new("printed"), &output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stdout(&output)))
}

/// What a session does, in words that both sides have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    to: String,
    password_file: Option<String>,
    seconds: u64,
    deletes: bool,
    options: BTreeSet<String>,
}

/// What a command line of sersync does.
fn by_command(argv: &[&str]) -> Session {
    let (mut port, mut shell, mut to) = (None, false, String::new());
    let mut session = Session {
        to: String::new(),
        password_file: None,
        seconds: 60,
        deletes: false,
        options: BTreeSet::new(),
    };
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        if let Some(value) = word.strip_prefix("--port=") {
            port = Some(value.to_owned());
        } else if let Some(value) = word.strip_prefix("--timeout=") {
            session.seconds = value.parse().unwrap();
        } else if let Some(value) = word.strip_prefix("--password-file=") {
            session.password_file = Some(value.to_owned());
        } else if *word == "--delete" {
            session.deletes = true;
        } else if *word == "-e" {
            shell = words.next() == Some(&"ssh");
        } else if word.starts_with("--") {
            panic!("unknown word {word}");
        } else if let Some(letters) = word.strip_prefix('-') {
            for letter in letters.chars() {
                session.options.extend(match letter {
                    'a' => vec!["archive".to_owned()],
                    'z' => vec!["compress".to_owned()],
                    'u' => vec!["update".to_owned()],
                    // A mirror's names are always relative to its source, and it looks at all below; times are in -a.
                    'r' | 't' | 'R' => vec![],
                    other => panic!("unknown letter {other}"),
                });
            }
        } else if !word.starts_with("./") {
            (*word).clone_into(&mut to);
        }
    }
    if shell {
        // Neither means anything to a remote shell.
        session.password_file = None;
        session.to = format!("{to}/");
    } else {
        let (host, module) = to.split_once("::").unwrap();
        session.to = format!("rsync://{host}:{}/{module}/", port.unwrap());
    }
    session
}

/// What the targets of a plan do.
fn by_plan(mirror: &Mirror) -> Vec<Session> {
    let sessions = mirror.targets.iter().map(|target| {
        let options = ["archive", "compress", "update"];
        let options = options.iter().filter(|name| mirror.options.is_on(name));
        Session {
            to: target.url.to_string(),
            password_file: target.password_file.as_ref().map(|file| file.display().to_string()),
            seconds: target.io_timeout.0.as_secs(),
            deletes: mirror.delete != Deletion::Never,
            options: options.map(ToString::to_string).collect(),
        }
    });
    sessions.collect()
}

#[test]
fn r4_the_first_push_goes_where_and_as_sersyncs_did() {
    let bench = bench();
    let mut compared = 0;
    for (file, run) in recorded("commands.json", &bench) {
        let start: Vec<Vec<&str>> = run["start"]
            .as_array()
            .unwrap()
            .iter()
            .map(|command| {
                command["argv"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
            })
            .collect();
        if start.is_empty() || file.contains("unknown") {
            continue;
        }
        let config = plan(&["-o", &placed(&file, &bench), "-r", "-n", "8"]);
        let mirror = &config.mirrors[0];
        assert_eq!(mirror.startup, Startup::Compare);
        assert_eq!(mirror.source, bench.path("data"), "{file}");
        let mut expected: Vec<Session> = start.iter().map(|argv| by_command(argv)).collect();
        let mut planned = by_plan(mirror);
        expected.sort();
        planned.sort();
        assert_eq!(planned, expected, "{file}");
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn r4_changes_go_where_sersyncs_went_and_without_the_first_push_only_they_do() {
    let bench = bench();
    let mut compared = 0;
    for (file, run) in recorded("commands.json", &bench) {
        let output = synclive(["-o", &placed(&file, &bench), "--print-config"]);
        let Ok(config) = Config::parse(Path::new("printed"), &output.stdout) else { continue };
        let Some(mirror) = config.mirrors.first() else { continue };
        assert_eq!(mirror.startup, Startup::None, "{file}");
        let planned: BTreeSet<Session> = by_plan(mirror)
            .into_iter()
            .map(|session| Session { deletes: false, ..session })
            .collect();
        let steps = run["steps"].as_array().unwrap().iter();
        for command in steps.flat_map(|step| step["rsync"].as_array().unwrap()) {
            let argv: Vec<&str> =
                command["argv"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // What a change selects is the batch's affair.
            let plain = argv.into_iter().filter(|word| {
                !["--include=", "--exclude=", "--delete"]
                    .iter()
                    .any(|start| word.starts_with(start))
            });
            let session = by_command(&plain.collect::<Vec<_>>());
            assert!(planned.contains(&session), "{file}: {session:?} in {planned:?}");
            compared += 1;
        }
    }
    assert!(compared >= 50, "{compared}");
}

#[test]
fn r4_what_sersync_could_not_run_is_refused_with_a_reason_and_the_rest_is_taken() {
    let bench = bench();
    for (file, case) in recorded("cases.json", &bench) {
        let output = synclive(["-o", &placed(&file, &bench), "--print-config"]);
        let refused = case["translation"]["mirrors"].is_null();
        assert_eq!(code(&output), if refused { 2 } else { 0 }, "{file}: {}", stderr(&output));
        assert!(!refused || stderr(&output).contains("confxml.xml"), "{file}: {}", stderr(&output));
        // Every doubtful thing is told when it is checked or run.
        if !refused {
            let output = synclive(["-o", &placed(&file, &bench), "--check-config"]);
            let notes = case["notes"].as_array().map_or(0, Vec::len);
            let told = stderr(&output).lines().filter(|line| line.contains(" WARN ")).count();
            assert_eq!(told, notes, "{file}: {}", stderr(&output));
        }
    }
}

#[test]
fn r4_and_r133_a_plugin_runs_for_each_path_and_alone_with_m() {
    let bench = bench();
    let file = placed("sersync/plugin-command.xml", &bench);
    let with = plan(&["-o", &file]);
    let Action::Run(run) = &with.mirrors[0].hooks[0].action else { panic!("no program") };
    assert_eq!(run.pass, PassPaths::Each);
    let alone = plan(&["-o", &file, "-m", "command"]);
    assert!(alone.mirrors[0].targets.is_empty() && alone.mirrors[0].hooks.len() == 1);
    let file = placed("sersync/plugin-socket-other-watch.xml", &bench);
    let alone = plan(&["-o", &file, "-m", "socket"]);
    assert!(alone.mirrors.iter().all(|mirror| mirror.targets.is_empty()));
    assert_eq!(alone.mirrors[0].streams[0].format, StreamFormat::Sersync);
    for name in ["http", "nonsense"] {
        let output = synclive(["-o", &file, "-m", name]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(&format!("-m {name}: there is no such plugin")));
    }
}

#[test]
fn r4_a_plugin_alone_is_told_each_change() {
    let bench = bench();
    let script = bench.text("plug.sh");
    bench.write("plug.sh", &format!("#!/bin/sh\necho \"$@\" >> {}\n", bench.text("told")));
    bench.write(
        "confxml.xml",
        &format!(
            r#"<head><sersync><localpath watch="{}"><remote ip="127.0.0.1" name="m"/></localpath></sersync>
            <plugin name="command"><param prefix="/bin/sh {script}" suffix="after" ignoreError="true"/></plugin></head>"#,
            bench.text("data")
        ),
    );
    let live = bench.start(&["-o", &bench.text("confxml.xml"), "-m", "command"]);
    bench.until_log("watching ");
    bench.write("data/a", "1");
    bench.until_is("told", &format!("{} after\n", bench.text("data/a")));
    drop(live);
}

#[test]
fn r4_a_configuration_of_sersync_mirrors() {
    if bench::stock_is_missing("r4_a_configuration_of_sersync_mirrors") {
        return;
    }
    let bench = bench();
    bench.write("data/before", "1");
    let daemon = bench::Daemon::start(&bench.path("daemon"), &bench.path("copy"), "");
    bench.write(
        "confxml.xml",
        &format!(
            r#"<head><sersync><localpath watch="{}"><remote ip="127.0.0.1" name="m"/></localpath>
            <rsync><commonParams params="-artuz"/><userDefinedPort start="true" port="{}"/></rsync></sersync></head>"#,
            bench.text("data"),
            daemon.port
        ),
    );
    let mut live = bench.start(&["-r", "-n", "10", "-o", &bench.text("confxml.xml")]);
    bench.until_is("copy/before", "1");
    bench.write("data/d/.htaccess", "2");
    bench.until_is("copy/d/.htaccess", "2");
    live.signal("TERM");
    assert_eq!(live.end(), Some(0));
    let Address::Daemon { .. } =
        plan(&["-o", &bench.text("confxml.xml")]).mirrors[0].targets[0].url
    else {
        panic!("no daemon");
    };
}
