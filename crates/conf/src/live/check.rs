//! What the types alone do not rule out.

use std::collections::BTreeMap;
use std::path::Path;

use super::reader::Step::{self, Index, Key};
use super::{Address, Config, Mirror, Target};

/// What is wrong, and where.
pub(super) struct Fault {
    pub(super) place: Vec<Step>,
    pub(super) problem: String,
}

pub(super) fn check(config: &Config) -> Result<(), Fault> {
    let fail = |place: Vec<Step>, problem: &str| Err(Fault { place, problem: problem.to_owned() });
    if config.mirrors.is_empty() {
        return fail(
            vec![Key("mirror")],
            "there is no mirror: write `[[mirror]]` with `source` and a target",
        );
    }
    if !config.state_dir.is_absolute() {
        return fail(vec![Key("state-dir")], "write an absolute path");
    }
    if config.status_file.as_ref().is_some_and(|path| !path.is_absolute()) {
        return fail(vec![Key("status-file")], "write an absolute path");
    }
    let mut names = BTreeMap::new();
    for (index, mirror) in config.mirrors.iter().enumerate() {
        let at = vec![Key("mirror"), Index(index)];
        check_mirror(mirror, &at)?;
        if let Some(other) = mirror.name.as_ref().and_then(|name| names.insert(name, index)) {
            return fail(at_key(&at, "name"), &format!("mirror[{other}] has this name already"));
        }
    }
    check_overlaps(config)?;
    check_circles(config)
}

fn check_mirror(mirror: &Mirror, at: &[Step]) -> Result<(), Fault> {
    let fail =
        |key, problem: &str| Err(Fault { place: at_key(at, key), problem: problem.to_owned() });
    if !mirror.source.is_absolute() {
        let problem = if mirror.source.as_os_str().is_empty() {
            "missing: write the directory to mirror, as in `source = \"/data/www/\"`"
        } else {
            "write an absolute path"
        };
        return fail("source", problem);
    }
    if has_parent_steps(&mirror.source) {
        return fail("source", "write it without `..`");
    }
    if mirror.targets.is_empty() && mirror.hooks.is_empty() && mirror.streams.is_empty() {
        return fail("target", "there is no target: write `[[mirror.target]]` with `url`");
    }
    for (key, value) in [("batch-paths", mirror.batch_paths), ("max-paths", mirror.max_paths)] {
        if value == 0 {
            return fail(key, "write a number above 0");
        }
    }
    if mirror.batch_bytes.0 == 0 {
        return fail("batch-bytes", "write a size above 0");
    }
    if mirror.max_delay < mirror.settle {
        return fail("max-delay", "it is shorter than `settle`");
    }
    if mirror.verify_content && mirror.verify.is_none() {
        return fail("verify-content", "it says how `verify` compares: write that as well");
    }
    if !mirror.schedule_filter.is_empty() && mirror.schedule.is_none() {
        return fail("schedule-filter", "it says what `schedule` hides: write that as well");
    }
    if mirror.rsync_options.iter().any(|word| !word.as_str().starts_with('-')) {
        return fail("rsync-options", "each word begins with `-`");
    }
    let mut names = BTreeMap::new();
    for (index, target) in mirror.targets.iter().enumerate() {
        let at = [at, &[Key("target"), Index(index)]].concat();
        check_target(target, mirror, &at)?;
        if let Some(other) = target.name.as_ref().and_then(|name| names.insert(name, index)) {
            let problem = format!("target[{other}] of this mirror has this name already");
            return Err(Fault { place: at_key(&at, "name"), problem });
        }
    }
    Ok(())
}

fn check_target(target: &Target, mirror: &Mirror, at: &[Step]) -> Result<(), Fault> {
    let fail =
        |key, problem: &str| Err(Fault { place: at_key(at, key), problem: problem.to_owned() });
    match &target.url {
        Address::Local(path) if path.is_empty() => {
            return fail(
                "url",
                "missing: write where it goes, as in `url = \"rsync://host/module/\"`",
            );
        }
        Address::Local(path) if !path.starts_with('/') => {
            return fail(
                "url",
                "write an absolute path, or `HOST::MODULE` or `HOST:PATH` for another machine",
            );
        }
        Address::Local(path) if has_parent_steps(Path::new(path)) => {
            return fail("url", "write it without `..`");
        }
        Address::Local(path) => {
            if nested(Path::new(path), &mirror.source) {
                return fail(
                    "url",
                    "the target is the source or lies in it: it would mirror itself for ever",
                );
            }
            if nested(&mirror.source, Path::new(path)) {
                return fail(
                    "url",
                    "the source lies in the target, which would be removed with all that is not in it",
                );
            }
        }
        _ => {}
    }
    if target.password_file.is_some() && !matches!(target.url, Address::Daemon { .. }) {
        return fail("password-file", "only the daemons of `rsync://` ask for a password");
    }
    if !target.ssh.is_empty() && !matches!(target.url, Address::Shell { .. }) {
        return fail("ssh", "only targets of the form `HOST:PATH` are reached by a remote shell");
    }
    if target.rsync_options.iter().any(|word| !word.as_str().starts_with('-')) {
        return fail("rsync-options", "each word begins with `-`");
    }
    for (key, time) in [
        ("connect-timeout", target.connect_timeout),
        ("handshake-timeout", target.handshake_timeout),
        ("io-timeout", target.io_timeout),
        ("backoff-max", target.backoff_max),
    ] {
        if time.0.is_zero() {
            return fail(key, "write a time above 0");
        }
    }
    Ok(())
}

/// Two targets in one place would remove each other's files.
fn check_overlaps(config: &Config) -> Result<(), Fault> {
    let mut seen: Vec<(&Address, String)> = Vec::new();
    for (m, mirror) in config.mirrors.iter().enumerate() {
        for (t, target) in mirror.targets.iter().enumerate() {
            if let Some((_, other)) = seen.iter().find(|(other, _)| overlap(other, &target.url)) {
                let place = vec![Key("mirror"), Index(m), Key("target"), Index(t), Key("url")];
                let problem = format!(
                    "it is {other}, or one lies in the other: each would remove the other's files"
                );
                return Err(Fault { place, problem });
            }
            seen.push((&target.url, format!("mirror[{m}].target[{t}]")));
        }
    }
    Ok(())
}

/// Two directories that mirror each other never come to rest.
fn check_circles(config: &Config) -> Result<(), Fault> {
    let feeds = |from: &Mirror, to: &Mirror| {
        from.targets.iter().position(|target| match &target.url {
            Address::Local(path) => {
                nested(Path::new(path), &to.source) || nested(&to.source, Path::new(path))
            }
            _ => false,
        })
    };
    for (m, mirror) in config.mirrors.iter().enumerate() {
        for (other, before) in config.mirrors.iter().enumerate().take(m) {
            if let (Some(t), Some(_)) = (feeds(mirror, before), feeds(before, mirror)) {
                let place = vec![Key("mirror"), Index(m), Key("target"), Index(t), Key("url")];
                let problem = format!(
                    "mirror[{other}] goes the other way: mirrors of each other never come to rest"
                );
                return Err(Fault { place, problem });
            }
        }
    }
    Ok(())
}

fn overlap(one: &Address, other: &Address) -> bool {
    let either = |one: &str, other: &str| {
        let (one, other) = (Path::new(one), Path::new(other));
        nested(one, other) || nested(other, one)
    };
    match (one, other) {
        (
            Address::Daemon { host, port, module, path, .. },
            Address::Daemon { host: host2, port: port2, module: module2, path: path2, .. },
        ) => {
            let same_port = port.unwrap_or(873) == port2.unwrap_or(873);
            host.eq_ignore_ascii_case(host2)
                && same_port
                && module == module2
                && either(path, path2)
        }
        (
            Address::Shell { user, host, path },
            Address::Shell { user: user2, host: host2, path: path2 },
        ) => {
            // Relative paths begin at the user's home.
            let comparable = (path.starts_with('/') && path2.starts_with('/'))
                || (user == user2 && path.starts_with('/') == path2.starts_with('/'));
            host.eq_ignore_ascii_case(host2) && comparable && either(path, path2)
        }
        (Address::Local(path), Address::Local(path2)) => either(path, path2),
        _ => false,
    }
}

/// Whether the names of `inner` begin with those of `outer`.
fn nested(inner: &Path, outer: &Path) -> bool {
    inner.starts_with(outer)
}

fn has_parent_steps(path: &Path) -> bool {
    path.components().any(|component| component == std::path::Component::ParentDir)
}

fn at_key(at: &[Step], key: &'static str) -> Vec<Step> {
    [at, &[Key(key)]].concat()
}
