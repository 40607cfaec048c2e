//! The configurations of sersync and lsyncd as mirrors: every case of the vectors.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use common::vectors;
use serde_json::{Map, Value, json};
use syncline_conf::live::{
    Action, Address, Bandwidth, Config, Deletion, Hook, Interval, Mirror, OptionValue, Output,
    PassPaths, Schedule, Startup, StreamAddress, StreamFormat, Target,
};
use syncline_conf::lsyncd::{InotifyMode, Settings};
use syncline_conf::migrate::{Choices, Translation, migrate};
use syncline_conf::{Error, Surroundings, lsyncd};

/// What the vectors call `{DIR}` is `/srv` here.
struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/srv/lsyncd.exclude") => {
                std::fs::read(vectors().join("live/lsyncd/lsyncd.exclude"))
            }
            Some("/srv/pw") => Ok(b"secret\n".to_vec()),
            Some("/srv/mixed") => Ok(b"backup:secret\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.starts_with("/srv") && !path.ends_with("nosuch")
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name == b"MIRROR_HOST").then(|| b"web9".to_vec())
    }
}

fn placed(text: &str) -> String {
    text.replace("{DIR}", "/srv").replace("{PORT}", "18731").replace("{FILE}", "/srv/l.lua")
}

fn cases() -> Vec<(String, Value, Vec<u8>)> {
    let json = std::fs::read_to_string(vectors().join("live/cases.json")).unwrap();
    let json: Value = serde_json::from_str(&placed(&json)).unwrap();
    json.as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let file = case["file"].as_str().unwrap().to_owned();
            let text = std::fs::read_to_string(vectors().join("live").join(&file)).unwrap();
            (file, case.clone(), placed(&text).into_bytes())
        })
        .collect()
}

fn translated(file: &str, text: &[u8]) -> Result<Translation, Error> {
    migrate(Path::new(file), text, &Machine, Choices::default())
}

fn rules<T: std::fmt::Display>(rules: &[T]) -> Value {
    rules.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}

fn hook(hook: &Hook) -> Value {
    let Action::Run(run) = &hook.action else { panic!("no case has {hook:?}") };
    assert_eq!(run.pass, PassPaths::Args);
    let mut described = json!({
        "after": "batch", "run": run.run, "suffix": run.suffix, "paths": "args", "only": rules(&hook.only),
    });
    if run.output == Output::Discard {
        described["output"] = json!("discard");
    }
    described
}

fn target(target: &Target) -> Value {
    let mut described = Map::new();
    match &target.url {
        Address::Local(path) => described.insert("path".into(), json!(path)),
        url => described.insert("url".into(), json!(url.to_string())),
    };
    if let Some(file) = &target.password_file {
        described.insert("password_file".into(), json!(file));
    }
    if target.io_timeout != Target::default().io_timeout {
        described.insert("io_timeout".into(), json!(target.io_timeout.0.as_secs()));
    }
    if !target.ssh.is_empty() {
        described.insert("ssh".into(), rules(&target.ssh));
    }
    described.into()
}

/// A mirror in the words of the cases, without what the two tools describe differently.
fn common_part(mirror: &Mirror) -> Map<String, Value> {
    let delete = match mirror.delete {
        Deletion::Always => json!(true),
        Deletion::Never => json!(false),
        Deletion::Startup => json!("startup"),
        Deletion::Running => json!("running"),
    };
    let mut described = Map::new();
    described.insert("source".into(), json!(mirror.source));
    described.insert(
        "startup".into(),
        json!(if mirror.startup == Startup::None { "none" } else { "compare" }),
    );
    described.insert("delete".into(), delete);
    described.insert("filter".into(), rules(&mirror.filter));
    described.insert("targets".into(), mirror.targets.iter().map(target).collect());
    if mirror.max_open_wait != Mirror::default().max_open_wait {
        described.insert("max_open_wait".into(), json!(mirror.max_open_wait.to_string()));
    }
    described
}

fn of_sersync(mirror: &Mirror) -> Value {
    if mirror.targets.is_empty() {
        let [stream] = &mirror.streams[..] else { panic!("{:?}", mirror.streams) };
        let StreamAddress::Tcp(tcp) = &stream.to else { panic!() };
        assert_eq!(stream.format, StreamFormat::Sersync);
        let stream = json!({"tcp": tcp.to_string(), "format": "sersync"});
        return json!({"source": mirror.source, "targets": [], "stream": stream});
    }
    let mut described = common_part(mirror);
    for name in ["archive", "compress", "update"] {
        described.insert(name.into(), json!(mirror.options.is_on(name)));
    }
    let schedule = mirror.schedule.as_ref().map(|schedule| match schedule {
        Schedule::Every(Interval(interval)) => format!("every {}m", interval.as_secs() / 60),
        other => panic!("{other}"),
    });
    described.insert("schedule".into(), json!(schedule));
    described.insert("schedule_filter".into(), rules(&mirror.schedule_filter));
    described.insert("hooks".into(), mirror.hooks.iter().map(hook).collect());
    described.into()
}

fn of_lsyncd(mirror: &Mirror, expected: &Value) -> Value {
    let mut described = common_part(mirror);
    let mut options = Map::new();
    options.insert("recursive".into(), json!(true));
    for name in ["links", "perms", "times", "group", "owner", "devices", "specials"] {
        if mirror.options.is_on(name) {
            options.insert(name.into(), json!(true));
        }
    }
    for (name, value) in mirror.options.iter() {
        match value {
            OptionValue::Switch(false) => {}
            OptionValue::Switch(true) if name == "archive" => {}
            OptionValue::Switch(true) => _ = options.insert(name.into(), json!(true)),
            OptionValue::Number(number) => _ = options.insert(name.into(), json!(number)),
            OptionValue::Text(text) => _ = options.insert(name.into(), json!(text)),
            other => panic!("{other:?}"),
        }
    }
    if let Some(Bandwidth::Always(rate)) = &mirror.bwlimit {
        options.insert("bwlimit".into(), json!(rate.0 / 1024));
    }
    described.insert("options".into(), options.into());
    // The delay is in a note; a remote shell has one key here, as words.
    described.insert("lsyncd_delay".into(), expected["lsyncd_delay"].clone());
    described.into()
}

/// The expected mirror with a remote shell in words, and a time limit that is ours anyway left out.
fn expected_of_lsyncd(mirror: &Value) -> Value {
    let mut mirror = mirror.clone();
    for target in mirror["targets"].as_array_mut().unwrap() {
        let target = target.as_object_mut().unwrap();
        if let Some(rsh) = target.remove("rsh") {
            target.insert("ssh".into(), rsh.as_str().unwrap().split(' ').collect());
        }
        if target.get("io_timeout") == Some(&json!(60)) {
            target.remove("io_timeout");
        }
    }
    mirror
}

#[test]
fn every_case_means_the_same_as_before() {
    let cases = cases();
    for (file, case, text) in &cases {
        let is_sersync = case["tool"] == "sersync";
        let expected = if is_sersync { &case["translation"]["mirrors"] } else { &case["mirrors"] };
        let translation = match translated(file, text) {
            Ok(translation) => translation,
            Err(error) => {
                assert!(expected.is_null(), "{file}: {error}");
                continue;
            }
        };
        let expected = expected.as_array().unwrap_or_else(|| panic!("{file} is not refused"));
        let mirrors = &translation.config.mirrors;
        assert_eq!(mirrors.len(), expected.len(), "{file}");
        for (mirror, expected) in mirrors.iter().zip(expected) {
            if is_sersync {
                assert_eq!(of_sersync(mirror), *expected, "{file}");
            } else {
                assert_eq!(of_lsyncd(mirror, expected), expected_of_lsyncd(expected), "{file}");
            }
        }
    }
    assert_eq!(cases.len(), 56);
}

#[test]
fn r141_every_case_gives_its_notes_and_no_others() {
    for (file, case, text) in cases() {
        let Ok(translation) = translated(&file, &text) else { continue };
        let codes: BTreeSet<String> =
            translation.notes.iter().map(|note| note.kind.code()).collect();
        let expected =
            case["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned());
        assert_eq!(codes, expected.collect(), "{file}");
    }
}

#[test]
fn r140_what_cannot_be_translated_is_named_with_its_line() {
    for (file, case, text) in cases() {
        let Ok(translation) = translated(&file, &text) else { continue };
        let losses: Vec<Value> = translation
            .losses
            .iter()
            .map(|loss| json!({"line": loss.line, "key": loss.key}))
            .collect();
        assert_eq!(
            json!(losses),
            case.get("cannot_translate").unwrap_or(&json!([])).clone(),
            "{file}"
        );
    }
}

#[test]
fn what_lsyncd_refuses_is_refused_at_the_same_line() {
    let mut refused = 0;
    for (file, case, text) in cases() {
        if case["tool"] != "lsyncd" || !case["mirrors"].is_null() {
            continue;
        }
        let error = translated(&file, &text).expect_err(&file);
        let Error::Lsyncd { location, .. } = &error else { panic!("{file}: {error}") };
        if let Some(line) = case["error_line"].as_u64() {
            assert_eq!(u64::from(location.line()), line, "{file}: {error}");
        }
        refused += 1;
    }
    assert_eq!(refused, 12);
}

#[test]
fn lsyncds_settings_are_read() {
    for (file, case, text) in cases() {
        let Some(expected) = case.get("settings").filter(|_| case["tool"] == "lsyncd") else {
            continue;
        };
        let Settings {
            logfile,
            nodaemon,
            status_file,
            status_interval,
            insist,
            inotify_mode,
            max_processes,
            ..
        } = lsyncd::parse(Path::new("l.lua"), &text, &Machine).unwrap().settings;
        let text =
            |bytes: Option<Vec<u8>>| bytes.map(|bytes| json!(String::from_utf8(bytes).unwrap()));
        let mode = inotify_mode.map(|mode| match mode {
            InotifyMode::CloseWrite => json!("CloseWrite"),
            InotifyMode::Modify => json!("Modify"),
            InotifyMode::Both => json!("CloseWrite or Modify"),
        });
        let given = [
            ("logfile", text(logfile)),
            ("nodaemon", nodaemon.map(Value::from)),
            ("statusFile", text(status_file)),
            ("statusInterval", status_interval.map(|seconds| json!(seconds as i64))),
            ("insist", insist.map(Value::from)),
            ("inotifyMode", mode),
            ("maxProcesses", max_processes.map(|number| json!(number as i64))),
        ];
        let given = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        assert_eq!(given.collect::<Value>(), *expected, "{file}");
    }
}

#[test]
fn r5_every_translation_prints_as_toml_that_is_read_as_the_same() {
    let mut read = 0;
    for (file, _, text) in cases() {
        let Ok(translation) = translated(&file, &text) else { continue };
        let printed = translation.config.print().unwrap();
        let again = Config::parse(Path::new("s.toml"), printed.as_bytes());
        assert_eq!(
            again.unwrap_or_else(|error| panic!("{file}: {error}\n{printed}")),
            translation.config
        );
        read += 1;
    }
    assert!(read > 30);
}

#[test]
fn r142_no_secret_reaches_the_toml_and_a_mixed_up_password_file_is_reported() {
    let xml = std::fs::read_to_string(vectors().join("live/sersync/two-remotes-auth.xml")).unwrap();
    let xml = placed(&xml).replace("/srv/pw", "/srv/mixed");
    let translation = translated("c.xml", xml.as_bytes()).unwrap();
    let codes: Vec<String> = translation.notes.iter().map(|note| note.kind.code()).collect();
    assert!(codes.contains(&"password-file-holds-user:/srv/mixed".to_owned()), "{codes:?}");

    let xml = std::fs::read_to_string(vectors().join("live/sersync/plugin-command.xml")).unwrap();
    let xml = placed(&xml)
        .replace(
            "<plugin start=\"true\" name=\"command\"/>",
            "<plugin start=\"true\" name=\"refreshCDN\"/>",
        )
        .replace("passwd=\"p\"", "passwd=\"geheim\"");
    let translation = translated("c.xml", xml.as_bytes()).unwrap();
    let printed = translation.config.print().unwrap();
    assert!(!printed.contains("geheim"), "{printed}");
    assert!(
        printed.contains(
            "url = \"http://127.0.0.1:8080/index.jsp?user=u&pswd={secret}&ok=ok&urls=http://cdn.example/cms/{path}\""
        ),
        "{printed}"
    );
}

fn lua(text: &str) -> Translation {
    translated("l.lua", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn codes(translation: &Translation) -> Vec<String> {
    translation.notes.iter().map(|note| note.kind.code()).collect()
}

#[test]
fn values_that_statements_could_change_are_not_guessed() {
    let translation = lua("host = 'a'\nif os.getenv('X') then host = 'b' end\n\
                           sync{ default.rsync, source = '/srv/data', target = host .. '::m' }\n\
                           sync{ default.rsync, source = '/srv/data', target = 'c::m', delay = 2 * 3 }");
    let losses: Vec<(u32, &str)> =
        translation.losses.iter().map(|loss| (loss.line, &loss.key[..])).collect();
    assert_eq!(losses, [(2, "if"), (3, "target"), (4, "delay")]);
    assert_eq!(translation.config.mirrors.len(), 1);
    let translation = lua(
        "local t = { host = 'a' }\nt.host = 'b'\nsync{ default.rsync, source = '/srv/data', target = t.host .. '::m' }\n\
                           require 'x'",
    );
    let losses: Vec<(u32, &str)> =
        translation.losses.iter().map(|loss| (loss.line, &loss.key[..])).collect();
    assert_eq!(losses, [(2, "t.host"), (3, "target"), (4, "require")]);
}

#[test]
fn tables_are_inherited_looped_over_and_indexed() {
    let translation = lua(
        "local common = { default.rsync, source = '/srv/data', rsync = { archive = true, _extra = {} } }\n\
                           local hosts = { web = { 'a', 'b' }, other = nil }\n\
                           for name, list in pairs(hosts) do for i, host in ipairs(list) do\n\
                           sync{ common, target = host .. i .. '::' .. name } end end\n\
                           do local h = os.getenv('MIRROR_HOST') sync{ common, target = h .. '::m', delay = 0 } end",
    );
    let urls: Vec<String> = translation
        .config
        .mirrors
        .iter()
        .flat_map(|mirror| &mirror.targets)
        .map(|target| target.url.to_string())
        .collect();
    assert_eq!(urls, ["rsync://a1/web/", "rsync://b2/web/", "rsync://web9/m/"]);
    assert!(codes(&translation).contains(&"environment-taken:MIRROR_HOST".to_owned()));
}

#[test]
fn a_runaway_file_is_refused_and_not_run_for_ever() {
    let list = format!("local t = {{ {} }}\n", "1,".repeat(100));
    let text = list + &"for _, a in ipairs(t) do ".repeat(5) + "x = 1 " + &"end ".repeat(5);
    let error = translated("l.lua", text.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "l.lua:2: the file takes more than 200000 steps");
    let doubling = "x = 'aaaaaaaa'\n".to_owned() + &"x = x .. x\n".repeat(60);
    assert!(
        translated("l.lua", doubling.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("longer than 65536 bytes")
    );
}

#[test]
fn words_of_rsync_become_keys() {
    let translation = lua(
        "sync{ default.rsync, source = '/srv/data', target = 'u@h::m', rsync = { archive = true, update = true,\n\
        password_file = '/srv/mixed', _extra = { '-zH', '--port=8730', '--timeout', '30', '--exclude=*.o', '--exclude-from=/e',\n\
        '--no-perms', '--chmod=D755', '--inplace', '--bwlimit=1m', '--frobnicate', '-vy', '--info=stats2' } } }",
    );
    let printed = translation.config.print().unwrap();
    let expected = r#"[[mirror]]
source = "/srv/data/"
filter = ["- *.o", ".- /e"]
rsync-options = ["--frobnicate", "-y"]
bwlimit = "1M"

[mirror.options]
archive = true
chmod = "D755"
compress = true
hard-links = true
inplace = true
perms = false
update = true

[[mirror.target]]
url = "rsync://u@h:8730/m/"
password-file = "/srv/mixed"
io-timeout = "30s"
"#;
    let flat = |text: &str| text.split_whitespace().collect::<String>().replace(",]", "]");
    assert_eq!(flat(&printed), flat(expected), "{printed}");
    assert_eq!(
        codes(&translation),
        [
            "delay-dropped:15",
            "option-kept-as-word:--frobnicate",
            "option-kept-as-word:-y",
            "option-dropped:--info",
            // R97
            "update-keeps-newer",
            "torn-reads:inplace",
            "password-file-holds-user:/srv/mixed",
            "insist-now-on",
        ]
    );
}

#[test]
fn a_result_that_could_not_run_says_so() {
    let translation =
        lua("sync{ default.direct, source = '/srv/data', target = '/srv/data/copy' }");
    let note = translation.notes.last().unwrap();
    assert_eq!(note.kind.code(), "needs-correction");
    assert!(note.to_string().contains("`mirror[0].target[0].url`"), "{note}");
}

#[test]
fn delays_are_kept_if_wanted() {
    let text = b"sync{ default.rsync, source = '/srv/data', target = 'h::m', delay = 0.5 }";
    let translation =
        migrate(Path::new("l.lua"), text, &Machine, Choices { keep_delays: true }).unwrap();
    assert_eq!(translation.config.mirrors[0].min_interval.unwrap().to_string(), "500ms");
    assert!(!codes(&translation).iter().any(|code| code.starts_with("delay")));
}
