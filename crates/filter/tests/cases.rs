//! Whole runs recorded from stock rsync 3.5.0, replayed over a tree in memory: which files arrive, which are deleted,
//! what is said, what is sent.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::run::{replay, strings};

#[test]
fn every_recorded_run_is_reproduced() {
    let cases = include_str!("vectors/cases.json").replace("{W}", "/w");
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    assert_eq!(cases.len(), 1065);
    let mut failures = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let outcome = replay(case);
        let mut complain = |what: &str, wanted: String, found: String| {
            failures.push(format!("{name}: {what}\n   wanted {wanted}\n   found  {found}"));
        };
        if outcome.result != strings(&case["result"]) {
            let (wanted, found) = (strings(&case["result"]), &outcome.result);
            complain("result", format!("{wanted:?}"), format!("{found:?}"));
        }
        if i64::from(outcome.exit) != case["exit"].as_i64().unwrap() {
            let found = format!("{} {:?}", outcome.exit, outcome.stderr);
            complain("exit", case["exit"].to_string(), found);
        }
        if outcome.stderr != strings(&case["stderr"]) {
            complain("stderr", case["stderr"].to_string(), format!("{:?}", outcome.stderr));
        }
        if let Some(wire) = case.get("wire") {
            let wanted = wire.is_array().then(|| strings(wire));
            if outcome.wire != wanted && outcome.exit != 2 {
                complain("wire", format!("{wanted:?}"), format!("{:?}", outcome.wire));
            }
        }
        let wanted: BTreeMap<String, Vec<String>> = case["xattrs"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, names)| (path.clone(), strings(names)))
            .collect();
        if outcome.xattrs != wanted {
            complain("xattrs", format!("{wanted:?}"), format!("{:?}", outcome.xattrs));
        }
    }
    let (count, all) = (failures.len(), failures.join("\n"));
    assert!(failures.is_empty(), "{count} differences:\n{all}");
}
