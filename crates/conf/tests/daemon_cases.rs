//! The parts of the daemon's cases that are about reading a configuration and deciding by it.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::path::{Path, PathBuf};

use common::{Files, vectors};
use serde_json::Value;
use syncline_conf::access::{AccessList, Lookups, NoLookups, Peer, decide};
use syncline_conf::auth::{Access, AuthRules, UserGroups};
use syncline_conf::rsyncd::{Config, Errors, Overrides, Parsed};
use syncline_conf::secrets::{FileFacts, Secrets};

const DIR: &str = "/srv/case";

struct Case {
    name: String,
    json: Value,
}

fn placed(text: &str) -> String {
    text.replace("{DIR}", DIR).replace("{OWN}", "").replace("{PORT}", "8730")
}

fn cases(group: &str) -> Vec<Case> {
    let text = std::fs::read(vectors().join("daemon/cases.json")).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    let all = json["cases"].as_array().unwrap().iter();
    let cases: Vec<Case> = all
        .filter(|case| case["group"] == group)
        .map(|case| Case { name: case["name"].as_str().unwrap().to_owned(), json: case.clone() })
        .collect();
    assert!(!cases.is_empty());
    cases
}

impl Case {
    fn files(&self) -> Files {
        let mut files = Files::default();
        for file in self.json["files"].as_array().into_iter().flatten() {
            let path = PathBuf::from(DIR).join(file["path"].as_str().unwrap());
            files.files.insert(path, placed(file["text"].as_str().unwrap()).into_bytes());
        }
        for (name, value) in self.json["daemon_env"].as_object().into_iter().flatten() {
            files.variables.insert(name.clone().into_bytes(), value.as_str().unwrap().into());
        }
        files
    }

    fn parse(&self) -> Result<Parsed, Errors> {
        let mut overrides = Overrides::default();
        let mut args = self.json["daemon_args"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|arg| placed(arg.as_str().unwrap()));
        while let Some(arg) = args.next() {
            let text = if arg == "-M" {
                args.next()
            } else {
                arg.strip_prefix("--dparam=").map(str::to_owned)
            };
            if let Some(text) = text {
                overrides.add(text.as_bytes()).unwrap();
            }
        }
        let conf = placed(self.json["conf"].as_str().unwrap());
        Config::parse_with(Path::new("rsyncd.conf"), conf.as_bytes(), &self.files(), &overrides)
    }

    fn config(&self) -> Config {
        self.parse().unwrap_or_else(|errors| panic!("{}: {errors}", self.name)).config
    }

    fn raw_steps(&self) -> impl Iterator<Item = (&Vec<Value>, Vec<&str>)> {
        self.json["steps"].as_array().unwrap().iter().filter(|step| step["kind"] == "raw").map(
            |step| {
                let lines = step["expect_lines"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|line| line.as_str().unwrap());
                (step["send"].as_array().unwrap(), lines.collect())
            },
        )
    }

    fn logs(&self, text: &str) -> bool {
        self.json["log_contains"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|line| line.as_str().unwrap().contains(text))
    }
}

/// The module list as the daemon sends it.
fn listing(config: &Config, files: &Files) -> Vec<String> {
    let variables = |name: &[u8]| files.variables.get(name).cloned();
    let listed = config.modules().iter().filter(|module| *module.settings.list);
    listed
        .map(|module| {
            let comment = module.settings.comment.expand(&variables).unwrap().into_owned();
            format!(
                "{:<15}\t{}",
                String::from_utf8_lossy(module.name()),
                String::from_utf8(comment).unwrap()
            )
        })
        .collect()
}

#[test]
fn every_module_list_of_the_cases_is_read_as_stock_reads_it() {
    let mut lists = 0;
    for group in ["config", "greeting", "access"] {
        for case in cases(group) {
            for (send, expected) in case.raw_steps() {
                if send.last() != Some(&Value::from("#list\n")) || case.name == "line-limits" {
                    continue;
                }
                lists += 1;
                if expected.is_empty() {
                    assert!(case.parse().is_err(), "{}: stock closes every connection", case.name);
                    continue;
                }
                // `conf-reread-per-connection` edits its file in between.
                let renamed = expected.iter().any(|line| line.starts_with("renamed"));
                let expected: Vec<&str> =
                    expected.into_iter().filter(|line| line.contains('\t')).collect();
                if !renamed {
                    assert_eq!(listing(&case.config(), &case.files()), expected, "{}", case.name);
                }
            }
        }
    }
    assert!(lists >= 25, "only {lists} lists");
}

#[test]
fn what_stock_logs_about_a_file_is_a_warning_or_an_error_with_its_line() {
    let warnings = |name: &str| -> Vec<String> {
        let case = cases("config").into_iter().find(|case| case.name == name).unwrap();
        case.parse().unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    let bad = "yes, true, 1, no, false, 0), so the value stays";
    assert_eq!(
        warnings("conf-bad-boolean-keeps-previous"),
        [
            format!("rsyncd.conf:4: `list = on` is not a boolean (accepted: {bad} `no`"),
            format!("rsyncd.conf:8: `list = maybe` is not a boolean (accepted: {bad} `yes`"),
            format!("rsyncd.conf:11: `list = unset` is not a boolean (accepted: {bad} `no`"),
        ]
    );
    assert_eq!(
        warnings("conf-unknown-parameter"),
        [
            "rsyncd.conf:3: unknown parameter `foo bar` is ignored: remove it or correct its name",
            "rsyncd.conf:5: global parameter `port` is ignored in module [m]: move it above the first section",
            "rsyncd.conf:6: `just words` has no `=` and is ignored: write `NAME = VALUE`, or put a # before it",
            "rsyncd.conf:7: unknown parameter `comment2` is ignored: did you mean `comment`?",
        ]
    );
    let bom = warnings("conf-bom");
    assert!(bom[0].starts_with("rsyncd.conf:1: the file begins with a byte order mark"), "{bom:?}");
    let errors = |name: &str| {
        let case = cases("config").into_iter().find(|case| case.name == name).unwrap();
        let errors = case.parse().unwrap_err();
        assert!(!errors.before_first_section);
        errors.to_string()
    };
    assert_eq!(
        errors("conf-bad-section-closes"),
        "rsyncd.conf:3: `[a/b]` is no module name, because a client ends it at the `/`: use a name without `/`"
    );
    assert_eq!(
        errors("conf-missing-include-closes"),
        "rsyncd.conf:3: cannot read `/srv/case/nope` named by `&include`: entity not found"
    );
    assert_eq!(
        errors("conf-unknown-directive"),
        "rsyncd.conf:3: unknown directive `&foo` (accepted: &include, &merge)"
    );
}

/// The hosts of the machine on which the cases were made.
struct Localhost;
impl Lookups for Localhost {
    fn addresses(&self, name: &[u8]) -> Vec<std::net::IpAddr> {
        if name == b"localhost" { vec!["127.0.0.1".parse().unwrap()] } else { Vec::new() }
    }
}

#[test]
fn every_access_case_is_decided_as_by_stock() {
    let mut decisions = 0;
    for case in cases("access").iter().filter(|case| !case.name.starts_with("proxy")) {
        let config = case.config();
        let mut complaints = Vec::new();
        for (send, expected) in case.raw_steps() {
            let Some(module) =
                config.module(send.last().unwrap().as_str().unwrap().trim_end().as_bytes())
            else {
                continue;
            };
            let settings = &module.settings;
            let name: &[u8] = if *settings.reverse_lookup { b"localhost" } else { b"UNDETERMINED" };
            let peer = Peer { address: "127.0.0.1".parse().unwrap(), scope: 0, name };
            let lookups: &dyn Lookups =
                if *settings.forward_lookup { &Localhost } else { &NoLookups };
            let allow = AccessList::parse(settings.hosts_allow.as_bytes());
            let deny = AccessList::parse(settings.hosts_deny.as_bytes());
            let decision = decide(&allow, &deny, &peer, lookups);
            let last = expected.last().unwrap();
            assert_eq!(
                decision.allowed,
                *last == "@RSYNCD: OK",
                "{} {:?}",
                case.name,
                decision.reason
            );
            complaints.extend(decision.complaints.iter().map(ToString::to_string));
            decisions += 1;
        }
        if case.name == "access-malformed" {
            let logged: Vec<&str> = case.json["log_contains"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap())
                .collect();
            assert_eq!(complaints, logged);
        }
    }
    assert!(decisions > 40, "only {decisions} decisions");
}

#[test]
fn a_proxy_is_trusted_by_the_hosts_that_are_listed() {
    let config =
        cases("access").iter().find(|case| case.name == "proxy-protocol").unwrap().config();
    let hosts = AccessList::parse(config.global().proxy_protocol_hosts.as_bytes());
    let peer =
        |address: &str| Peer { address: address.parse().unwrap(), scope: 0, name: b"undetermined" };
    assert!(hosts.matches(&peer("127.0.0.1"), &NoLookups));
    assert!(!hosts.matches(&peer("10.9.8.7"), &NoLookups));
    let untrusted =
        cases("access").into_iter().find(|case| case.name == "proxy-protocol-untrusted").unwrap();
    let warnings = untrusted.parse().unwrap().warnings;
    assert!(warnings.iter().any(|warning| untrusted.logs(&warning.kind.to_string())));
}

/// Only root exists, in its own group.
struct OnlyRoot;
impl UserGroups for OnlyRoot {
    fn groups_of(&self, user: &[u8]) -> Vec<Vec<u8>> {
        if user == b"root" { vec![b"root".to_vec()] } else { Vec::new() }
    }
}

/// What stock logs after `for USER: `, or nothing if the user may enter.
fn authenticate(
    config: &Config,
    files: &Files,
    modes: &[(PathBuf, u32)],
    module: &str,
    user: &str,
    password: &str,
) -> Option<String> {
    let settings = &config.module(module.as_bytes()).unwrap().settings;
    let rules = AuthRules::parse(settings.auth_users.as_bytes());
    let Some(found) = rules.decide(user.as_bytes(), &OnlyRoot) else {
        return Some("no matching rule".into());
    };
    if found.rule.access == Access::Deny {
        return Some("denied by rule".into());
    }
    let path = PathBuf::from(String::from_utf8(settings.secrets_file.as_bytes().to_vec()).unwrap());
    let Some(text) = files.files.get(&path) else { return Some("no secrets file".into()) };
    let mode = modes.iter().find(|(name, _)| *name == path).unwrap().1;
    let facts = FileFacts { mode, owner: 1000, running_as_root: false };
    if *settings.strict_modes && facts.check().is_err() {
        return Some("ignoring secrets file".into());
    }
    if user.starts_with('#') {
        return Some("invalid username".into());
    }
    let secrets = Secrets::new(text.clone());
    let passwords = secrets.passwords(user.as_bytes(), found.group.as_deref());
    if passwords.is_empty() {
        return Some("secret not found".into());
    }
    let matches = passwords.iter().any(|secret| secret.expose() == password.as_bytes());
    (!matches).then(|| "password mismatch".into())
}

#[test]
fn every_authentication_case_ends_as_with_stock() {
    let mut attempts = 0;
    for case in cases("auth") {
        if case.json["root"] == true {
            continue;
        }
        let (config, files) = (case.config(), case.files());
        let modes: Vec<(PathBuf, u32)> = case.json["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                let mode = u32::from_str_radix(file["mode"].as_str().unwrap(), 8).unwrap();
                (PathBuf::from(DIR).join(file["path"].as_str().unwrap()), mode)
            })
            .collect();
        for (send, expected) in case.raw_steps() {
            let Some(auth) = send.last().and_then(|last| last.get("auth")) else { continue };
            if case.name == "auth-no-digest-list" {
                continue;
            }
            let module = send[1].as_str().unwrap().trim_end();
            let (user, password) =
                (auth["user"].as_str().unwrap(), auth["password"].as_str().unwrap());
            let failure = authenticate(&config, &files, &modes, module, user, password);
            let entered = expected.last() == Some(&"@RSYNCD: OK");
            assert_eq!(failure.is_none(), entered, "{} {module} {user}: {failure:?}", case.name);
            if let Some(failure) = failure
                && case.json.get("log_contains").is_some()
            {
                assert!(
                    case.logs(&format!("for {user}: {failure}")),
                    "{} {user}: {failure}",
                    case.name
                );
            }
            attempts += 1;
        }
    }
    assert!(attempts > 25, "only {attempts} attempts");
}

#[test]
fn rights_of_auth_rules_override_the_module() {
    let config =
        cases("auth").iter().find(|case| case.name == "auth-ro-rw-override").unwrap().config();
    let access = |module: &[u8], user: &[u8]| {
        let rules = AuthRules::parse(config.module(module).unwrap().settings.auth_users.as_bytes());
        rules.decide(user, &OnlyRoot).unwrap().rule.access
    };
    assert_eq!(access(b"w", b"joe"), Access::ReadOnly);
    assert_eq!(access(b"w", b"ann"), Access::ReadWrite);
    assert_eq!(access(b"w", b"bob"), Access::AsModule);
    assert_eq!(access(b"r", b"joe"), Access::ReadWrite);
}

#[test]
fn every_other_configuration_of_the_cases_is_read() {
    for group in ["entry", "limits", "options", "paths", "hooks", "log", "lifecycle", "greeting"] {
        for case in cases(group) {
            let printed = case.config().print();
            assert!(
                Config::parse(Path::new("printed"), &printed, &Files::default()).is_ok(),
                "{}",
                case.name
            );
        }
    }
}
