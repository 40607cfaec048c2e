//! The configurations of sersync: read as the program itself read them.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use common::vectors;
use serde_json::{Value, json};
use syncline_conf::Error;
use syncline_conf::sersync::{Confxml, ConfxmlProblem, Plugin, XmlProblem};

const PORT: &str = "18731";

fn placed(text: &str) -> String {
    text.replace("{DIR}", "/srv").replace("{PORT}", PORT)
}

fn cases() -> Vec<(String, Value, Vec<u8>)> {
    let json = std::fs::read_to_string(vectors().join("live/cases.json")).unwrap();
    let json: Value = serde_json::from_str(&placed(&json)).unwrap();
    let all = json.as_array().unwrap().iter().filter(|case| case["tool"] == "sersync");
    let cases: Vec<_> = all
        .map(|case| {
            let file = case["file"].as_str().unwrap().to_owned();
            let text = std::fs::read_to_string(vectors().join("live").join(&file)).unwrap();
            (file, case.clone(), placed(&text).into_bytes())
        })
        .collect();
    assert!(cases.len() > 30);
    cases
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The reading in the words of the cases.
fn described(confxml: &Confxml) -> Value {
    let targets = confxml.source.remotes.iter().map(|remote| {
        let user = confxml.auth.as_ref().map_or(String::new(), |auth| text(&auth.users) + "@");
        let (ip, name) = (text(&remote.ip), text(&remote.name));
        let mut target = json!({});
        if confxml.ssh {
            target["url"] = json!(format!("{user}{ip}:{name}/"));
            if let Some(port) = confxml.port {
                target["port"] = json!(port.to_string());
            }
        } else {
            let port = confxml.port.map_or(String::new(), |port| format!(":{port}"));
            target["url"] = json!(format!("rsync://{user}{ip}{port}/{name}/"));
        }
        if let Some(auth) = &confxml.auth {
            target["password_file"] = json!(text(&auth.password_file));
        }
        if let Some(timeout) = confxml.timeout {
            target["io_timeout"] = json!(timeout);
        }
        target
    });
    let crontab = confxml.crontab.as_ref().filter(|crontab| !crontab.switched_off).map(|crontab| {
        let filter: Vec<String> = crontab.filter.iter().map(|pattern| text(pattern)).collect();
        json!({"minutes": crontab.minutes, "filter": filter})
    });
    let plugin = confxml.active_plugin().map(|plugin| match plugin {
        Plugin::Command { prefix, suffix, ignore_error, filter } => json!({
            "name": "command", "prefix": text(prefix), "suffix": text(suffix), "ignore_error": ignore_error,
            "include": filter.in_force().map(text).collect::<Vec<_>>(),
        }),
        Plugin::Socket { watch, ip, port } => {
            json!({"name": "socket", "watch": text(watch), "ip": text(ip), "port": port})
        }
        other => panic!("no case has {other:?}"),
    });
    let events = &confxml.events;
    json!({
        "source": text(&confxml.source.watch).trim_end_matches('/').to_owned() + "/",
        "targets": targets.collect::<Vec<_>>(),
        "events": {
            "delete": events.delete, "createFolder": events.create_folder, "createFile": events.create_file,
            "closeWrite": events.close_write, "moveFrom": events.move_from, "moveTo": events.move_to,
            "attrib": events.attrib, "modify": events.modify,
        },
        "filter_regex": confxml.filter.in_force().map(text).collect::<Vec<_>>(),
        "params": text(&confxml.params),
        "fail_log": {"path": text(&confxml.fail_log.path), "minutes": confxml.fail_log.minutes},
        "crontab": crontab,
        "plugin": plugin,
        "debug": confxml.debug,
        "xfs": confxml.xfs,
    })
}

#[test]
fn what_sersync_ran_is_read_as_it_was() {
    let mut read = 0;
    for (file, case, xml) in cases() {
        if case["sersync"].is_object() {
            let parsed = Confxml::parse(&xml).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(described(&parsed.confxml), case["sersync"], "{file}");
            read += 1;
        }
    }
    assert!(read > 15, "only {read}");
}

#[test]
fn what_cannot_run_is_refused_with_the_reason_of_the_case() {
    for (file, case, xml) in cases() {
        let Some(expected) = case["error"].as_str() else { continue };
        let error = Confxml::parse(&xml).expect_err(&file);
        let code = match &error {
            Error::Xml { problem: XmlProblem::WrongRoot(_), .. } => "root-element",
            Error::Xml { .. } => "xml",
            Error::Confxml { problem: ConfxmlProblem::NoLocalpath, .. } => "no-localpath",
            Error::Confxml { problem: ConfxmlProblem::EmptyWatch, .. } => "empty-watch",
            Error::Confxml { problem: ConfxmlProblem::NoRemote, .. } => "no-remote",
            Error::Confxml { problem: ConfxmlProblem::EmptyIp, .. } => "empty-ip",
            Error::Confxml { problem: ConfxmlProblem::NoName, .. } => "no-name",
            other => panic!("{file}: {other}"),
        };
        assert_eq!(code, expected, "{file}: {error}");
        // Where sersync names a line of the text, it is ours as well.
        for line in case["run"]["stdout"].as_array().unwrap().iter().filter_map(Value::as_str) {
            if let Some(place) =
                line.strip_prefix("At line ").filter(|place| !place.starts_with('0'))
            {
                assert!(
                    error
                        .to_string()
                        .starts_with(&format!("line {}: ", place.trim_end_matches('.'))),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn every_note_that_concerns_reading_is_a_finding() {
    let concerns_reading = |note: &&str| {
        let code = note.split(':').next().unwrap();
        matches!(
            code,
            "missing-element-default"
                | "value-not-true"
                | "unknown-element"
                | "text-ignored"
                | "bad-regex"
                | "second-localpath-was-ignored"
                | "unknown-plugin"
                | "plugin-watch-replaced-source"
                | "crontab-was-switched-off"
        )
    };
    for (file, case, xml) in cases() {
        let Ok(parsed) = Confxml::parse(&xml) else { continue };
        let notes = case["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap());
        let expected: Vec<&str> = notes.filter(concerns_reading).collect();
        let mut codes: Vec<String> =
            parsed.findings.iter().map(|finding| finding.kind.code()).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes, expected, "{file}");
    }
}

#[test]
fn the_operators_file_is_read_without_findings() {
    let xml = std::fs::read_to_string(vectors().join("operators/confxml.xml")).unwrap();
    let parsed = Confxml::parse(placed(&xml).as_bytes()).unwrap();
    assert_eq!(parsed.findings, []);
    assert_eq!(parsed.confxml.source.remotes.len(), 2);
    assert_eq!(parsed.confxml.crontab.unwrap().filter, [&b"*.php"[..], b"info/*"]);
}
