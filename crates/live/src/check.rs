//! Whether mirrors would work, found out without changing anything (R3).

use std::fs;
use std::sync::Arc;

use syncline_conf::live::{Config, Deletion, Mirror, OptionValue, Target, Warm};
use syncline_engine::ExitCode;
use syncline_engine::source::Line;
use syncline_fs::RelPath;

use crate::push::{Keep, Load, Outcome};
use crate::service::{ServiceError, check_mirror, name_of, route_of, target_name_of};
use crate::state::Registry;

/// What was found out about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The mirror.
    pub mirror: String,
    /// The target.
    pub target: String,
    /// What.
    pub text: String,
    /// Whether it would work.
    pub ok: bool,
}

/// Whether options, filter rules and values of a configuration can be used; opens nothing.
pub fn validate(config: &Config) -> Result<(), ServiceError> {
    config.check()?;
    config.mirrors.iter().try_for_each(check_mirror)
}

/// The first key of a mirror that nothing performs: a start that ignored it would promise too much.
pub(crate) fn unperformed(mirror: &Mirror) -> Option<&'static str> {
    let keys =
        [("warm = \"module\"", mirror.targets.iter().any(|target| target.warm == Warm::Module))];
    keys.into_iter().find(|(_, asked)| *asked).map(|(key, _)| key)
}

/// Opens a session with each target that changes nothing, and says what would be refused.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mirror in &config.mirrors {
        let mut found = |target: &str, text: String, ok| {
            let (mirror, target) = (name_of(mirror), target.to_owned());
            findings.push(Finding { mirror, target, text, ok });
        };
        if let Err(error) = check_mirror(mirror) {
            found("-", error.to_string(), false);
            continue;
        }
        if let Err(error) = fs::read_dir(&mirror.source).or_else(|error| {
            // A single file is a source as well.
            if mirror.source.is_file() { fs::read_dir("/") } else { Err(error) }
        }) {
            found("-", format!("source {}: {error}", mirror.source.display()), false);
            continue;
        }
        for target in &mirror.targets {
            let (text, ok) = check_target(mirror, target);
            found(&target_name_of(target), text, ok);
        }
    }
    findings
}

/// Tries what a session of this mirror needs, all of it first, then with less.
fn check_target(mirror: &Mirror, target: &Target) -> (String, bool) {
    let removes = mirror.delete != Deletion::Never;
    let whole = attempt(mirror, target, removes, true);
    let Err(problem) = whole else { return ("reached".into(), true) };
    if removes && attempt(mirror, target, false, true).is_ok() {
        return (format!("removals are refused: {problem}"), false);
    }
    if attempt(mirror, target, removes, false).is_ok() {
        return (format!("reached; renames send content again: {problem}"), true);
    }
    (problem, false)
}

/// A session for the top of the source alone, as a trial run.
fn attempt(mirror: &Mirror, target: &Target, removes: bool, links: bool) -> Result<(), String> {
    let mut mirror = mirror.clone();
    // The switch is in the table of options.
    let _ = mirror.options.set("dry-run", OptionValue::Switch(true));
    let registry = Registry::new();
    let pulse = Arc::new(registry.pulse("check"));
    let patience = target.connect_timeout.0 + target.handshake_timeout.0 + target.io_timeout.0;
    let route = route_of(&mirror, target, &mirror.source, None);
    let mut route = route.map_err(|error| error.to_string())?;
    (route.keeps_spare, route.pipelines) = (false, false);
    let lines = vec![Line::Path(RelPath::ROOT.to_owned())];
    let load = Load::Lines { lines, forced: false, contents: false, removes, links };
    let outcome = route.carry(load, &mut Keep::default(), &pulse, patience, &|_| {});
    verdict(&outcome)
}

fn verdict(outcome: &Outcome) -> Result<(), String> {
    // The last line of a peer is only its exit code.
    let texts = || outcome.findings.texts.iter().map(|text| text.trim());
    let telling = || texts().find(|text| !text.is_empty() && !text.starts_with("rsync error:"));
    let last = || telling().or(texts().next_back()).map(str::to_owned);
    match &outcome.result {
        Ok(code) if *code == ExitCode::OK => Ok(()),
        Ok(code) => Err(last().unwrap_or_else(|| code.to_string())),
        Err(error) => Err(last().unwrap_or_else(|| error.to_string())),
    }
}
