//! `sync{…}` as mirrors (live.md 7.2).

use std::time::Duration;

use super::words::Asked;
use super::{Choices, NoteKind, Translation, holds_user, split_words};
use crate::Surroundings;
use crate::live::{Address, Deletion, Interval, Mirror, Startup, Target, Word};
use crate::lsyncd::{Base, Delete, Init, InotifyMode, Parsed, RsyncValue, Settings, Ssh, Sync};
use crate::text::show;

pub(super) fn translate(
    parsed: &Parsed,
    surroundings: &dyn Surroundings,
    choices: Choices,
) -> Translation {
    let mut to = Translation::new();
    to.losses.clone_from(&parsed.losses);
    for (line, name) in &parsed.variables {
        to.note(*line, NoteKind::EnvironmentTaken(name.clone()));
    }
    for sync in &parsed.syncs {
        let Some(mirror) = mirror(sync, &parsed.settings, surroundings, choices, &mut to) else {
            continue;
        };
        // Of one source and with one mind: one mirror with several targets.
        let joined = to.config.mirrors.iter_mut().find(|other| {
            let mut same = mirror.clone();
            same.targets.clone_from(&other.targets);
            same == **other
        });
        match joined {
            Some(other) => {
                other.targets.extend(mirror.targets);
                to.note(sync.line, NoteKind::SyncsJoined);
            }
            None => to.config.mirrors.push(mirror),
        }
    }
    if !parsed.syncs.is_empty() {
        settings(&parsed.settings, &mut to);
    }
    to.losses.sort_by_key(|loss| loss.line);
    to.finish()
}

fn settings(settings: &Settings, to: &mut Translation) {
    if let Some(path) = &settings.status_file {
        if let Some(path) = to.utf8(0, "statusFile", path) {
            to.config.status_file = Some(path.into());
        }
        to.note(0, NoteKind::StatusFormat);
    }
    let logs = [&settings.logfile, &settings.logfacility, &settings.logident];
    for (given, kind) in [
        (logs.iter().any(|log| log.is_some()), NoteKind::LogToStderr),
        (settings.insist != Some(true), NoteKind::InsistNowOn),
        (
            settings.max_processes.is_some() || settings.max_delays.is_some(),
            NoteKind::MaxProcessesDropped,
        ),
    ] {
        if given {
            to.note(0, kind);
        }
    }
}

fn mirror(
    sync: &Sync,
    settings: &Settings,
    surroundings: &dyn Surroundings,
    choices: Choices,
    to: &mut Translation,
) -> Option<Mirror> {
    let line = sync.line;
    let mut mirror =
        Mirror { source: to.utf8(line, "source", &sync.source)?.into(), ..Mirror::default() };
    mirror.startup = if sync.init == Init::Off { Startup::None } else { Startup::Compare };
    mirror.delete = match sync.delete {
        Delete::Always => Deletion::Always,
        Delete::Never | Delete::Odd => Deletion::Never,
        Delete::Startup => Deletion::Startup,
        Delete::Running => Deletion::Running,
    };
    if matches!(settings.inotify_mode, Some(InotifyMode::Modify | InotifyMode::Both)) {
        mirror.max_open_wait = Interval(Duration::from_secs(1));
        to.note(line, NoteKind::ModifyBecomesOpenWait);
    }
    if choices.keep_delays {
        let milliseconds = (sync.delay * 1000.0).clamp(0.0, 86_400_000.0) as u64;
        mirror.min_interval =
            (milliseconds > 0).then_some(Interval(Duration::from_millis(milliseconds)));
    } else {
        to.note(line, NoteKind::DelayDropped(sync.delay.to_string()));
    }

    let target = target(sync, to)?;
    let mut asked = asked(sync, to);
    if sync.base == Base::Direct {
        to.note(line, NoteKind::DirectNowExact);
    } else {
        asked.note_options(line, to);
    }
    for (given, kind) in [
        (sync.delete == Delete::Odd, NoteKind::DeleteTakenAsFalse),
        (sync.init == Init::True, NoteKind::InitTrueTakenAsDefault),
        (sync.has_limits, NoteKind::MaxProcessesDropped),
        (sync.has_exitcodes, NoteKind::ExitcodesDropped),
        (sync.base == Base::RsyncSsh, NoteKind::SshMovesReplaced),
    ] {
        if given {
            to.note(line, kind);
        }
    }
    filter(sync, &mut mirror, to);
    mirror.filter.append(&mut asked.filter);
    mirror.options = std::mem::take(&mut asked.options);
    mirror.rsync_options = std::mem::take(&mut asked.rsync_options);
    mirror.bwlimit = asked.bwlimit.take();
    mirror.targets = vec![finished(target, asked, sync, surroundings, to)];
    Some(mirror)
}

fn filter(sync: &Sync, mirror: &mut Mirror, to: &mut Translation) {
    for rule in &sync.filter {
        let text = to.utf8(sync.line, "filter", rule);
        mirror.filter.extend(text.and_then(|text| to.rule(sync.line, "filter", &text)));
    }
    for pattern in &sync.exclude {
        if pattern.contains(&b'[') || pattern.contains(&b'\\') {
            to.note(sync.line, NoteKind::PatternNowRsync(show(pattern)));
        }
        let text = to.utf8(sync.line, "exclude", pattern);
        mirror
            .filter
            .extend(text.and_then(|text| to.rule(sync.line, "exclude", &format!("- {text}"))));
    }
}

fn target(sync: &Sync, to: &mut Translation) -> Option<Target> {
    let text = to.utf8(sync.line, "target", &sync.target)?;
    let mut target = Target::default();
    match text.parse() {
        Ok(Address::Local(path)) if !path.starts_with('/') => {
            to.lose(sync.line, "target", "it is relative to where lsyncd was started");
            return None;
        }
        Ok(url) => target.url = url,
        Err(()) => {
            to.lose(sync.line, "target", "it is no address of rsync");
            return None;
        }
    }
    Some(target)
}

fn asked(sync: &Sync, to: &mut Translation) -> Asked {
    let line = sync.line;
    let mut asked = Asked::default();
    let is_on = |name: &str| sync.rsync.get(name) == Some(&RsyncValue::Switch(true));
    asked.switch("archive", is_on("archive"));
    if !is_on("archive") {
        asked.switch("links", true);
        asked.switch("times", true);
    }
    for (key, value) in &sync.rsync {
        let name = key.replace('_', "-");
        let shown = format!("rsync.{key}");
        match (&name[..], value) {
            // How the child is called and what it prints; there is no child.
            ("binary" | "protect-args" | "verbose" | "quiet" | "archive", _) => {}
            (_, RsyncValue::Switch(on)) => asked.switch(&name, *on),
            (_, RsyncValue::Text(text)) => {
                let Some(text) = to.utf8(line, &shown, text) else { continue };
                match &name[..] {
                    "bwlimit" => asked.bandwidth(&text, line, &shown, to),
                    "timeout" => match text.parse() {
                        Ok(seconds) => asked.timeout(seconds),
                        Err(_) => to.lose(line, shown, "it is no number of seconds"),
                    },
                    "password-file" => asked.password_file = Some(text),
                    "rsh" => asked.ssh = words(&split_words(&text)),
                    _ if asked.options.set_from_text(&name, Some(&text)) => {}
                    _ => to.lose(line, shown, "its value is not one that rsync takes"),
                }
            }
            (_, RsyncValue::Words(list)) => {
                let list: Vec<String> =
                    list.iter().filter_map(|word| to.utf8(line, &shown, word)).collect();
                asked.read(&list, line, &shown, to);
            }
        }
    }
    asked
}

/// The target with what words asked of it, as far as its kind takes it.
fn finished(
    mut target: Target,
    asked: Asked,
    sync: &Sync,
    surroundings: &dyn Surroundings,
    to: &mut Translation,
) -> Target {
    let line = sync.line;
    target.io_timeout = asked.io_timeout.unwrap_or(target.io_timeout);
    let shell = if sync.base == Base::RsyncSsh { ssh(&sync.ssh, line, to) } else { asked.ssh };
    match &mut target.url {
        Address::Daemon { port, .. } => {
            *port = port.or(asked.port);
            if let Some(file) = asked.password_file {
                if holds_user(surroundings, &file) {
                    to.note(line, NoteKind::PasswordFileHoldsUser(file.clone()));
                }
                target.password_file = Some(file.into());
            }
            if !shell.is_empty() {
                to.lose(line, "rsync.rsh", "a daemon reached through a remote shell has no equal");
            }
        }
        Address::Shell { .. } => {
            if let Some(file) = asked.password_file {
                to.note(line, NoteKind::SshPasswordFileDropped(file));
            }
            if let Some(port) = asked.port {
                to.note(line, NoteKind::SshPortDropped(port.to_string()));
            }
            target.ssh = shell;
        }
        Address::Local(_) => {}
    }
    target
}

/// The command of `ssh = {…}`; none if nothing is said.
fn ssh(ssh: &Ssh, line: u32, to: &mut Translation) -> Vec<Word> {
    let mut command = vec![ssh.binary.clone().unwrap_or_else(|| b"ssh".to_vec())];
    if let Some(file) = &ssh.identity_file {
        command.extend([b"-i".to_vec(), file.clone()]);
    }
    for (key, value) in &ssh.options {
        command.extend([b"-o".to_vec(), [&key[..], b"=", value].concat()]);
    }
    if let Some(port) = &ssh.port {
        command.extend([b"-p".to_vec(), port.clone()]);
    }
    command.extend(ssh.extra.iter().cloned());
    if command == [b"ssh".to_vec()] {
        return Vec::new();
    }
    let command: Vec<String> =
        command.iter().filter_map(|word| to.utf8(line, "ssh", word)).collect();
    words(&command)
}

fn words(list: &[String]) -> Vec<Word> {
    list.iter().filter_map(|word| word.parse().ok()).collect()
}
