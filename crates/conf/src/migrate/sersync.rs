//! `confxml.xml` as mirrors (live.md 7.1).

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::Asked;
use super::{NoteKind, Translation, expression, holds_user, split_words};
use crate::Surroundings;
use crate::live::{
    Action, Address, Body, Deletion, Hook, HttpHook, Interval, LogLevel, Mirror, Output, PassPaths,
    Rule, RunHook, Schedule, Stream, StreamAddress, StreamFormat, Target,
};
use crate::sersync::{Confxml, FindingKind, LocalPath, Parsed, Plugin};
use crate::text::show;

/// Where the password of a CDN is expected, since it does not go into the configuration.
const CDN_SECRET: &str = "/etc/synclive/cdn.secret";

pub(super) fn translate(parsed: &Parsed, surroundings: &dyn Surroundings) -> Translation {
    let confxml = &parsed.confxml;
    let mut to = Translation::new();
    for finding in &parsed.findings {
        to.note(finding.line, NoteKind::Finding(finding.kind.clone()));
    }
    note_events(parsed, &mut to);
    if confxml.debug {
        to.config.log_level = LogLevel::Debug;
    }

    let Some(template) = template(confxml, &mut to) else { return to.finish() };
    for path in [&confxml.source].into_iter().chain(&confxml.ignored_sources) {
        let Some(source) = source(&path.watch, path.line, surroundings, &mut to) else { continue };
        let mut mirror = template.mirror.clone();
        mirror.source = source;
        mirror.targets = targets(confxml, path, &template, surroundings, &mut to);
        to.config.mirrors.push(mirror);
    }
    if let Some(plugin) = confxml.active_plugin() {
        add_plugin(confxml, plugin, surroundings, &mut to);
    }
    to.finish()
}

fn note_events(parsed: &Parsed, to: &mut Translation) {
    let (confxml, events) = (&parsed.confxml, &parsed.confxml.events);
    let missing = |name: &str| {
        parsed
            .findings
            .iter()
            .any(|finding| matches!(&finding.kind, FindingKind::Missing(it) if it == name))
    };
    if !missing("failLog") {
        to.note(0, NoteKind::FailLogReplaced(show(&confxml.fail_log.path)));
    }
    for (wrong, kind) in [
        (!events.attrib, NoteKind::AttributesNowMirrored),
        (!events.create_folder, NoteKind::DirectoriesNowMirrored),
        (!events.move_from, NoteKind::MovesNowMirrored),
        (!events.close_write && !events.modify, NoteKind::ContentsNowMirrored),
        (events.modify, NoteKind::ModifyBecomesOpenWait),
    ] {
        if wrong {
            to.note(0, kind);
        }
    }
}

/// What all mirrors and targets of the file share.
struct Template {
    mirror: Mirror,
    asked: Asked,
}

fn template(confxml: &Confxml, to: &mut Translation) -> Option<Template> {
    let mut asked = Asked::default();
    let params = to.utf8(confxml.source.line, "commonParams", &confxml.params)?;
    // Without `-a` there is what is asked for one by one, and `-r -t`, without which sersync mirrors nothing.
    asked.switch("archive", false);
    asked.read(&split_words(&params), 0, "commonParams", to);
    if !asked.options.is_on("archive") && asked.options.value("times").is_none() {
        asked.switch("times", true);
    }
    asked.note_options(0, to);

    let mut mirror = Mirror {
        options: asked.options.clone(),
        rsync_options: asked.rsync_options.clone(),
        bwlimit: asked.bwlimit.clone(),
        filter: std::mem::take(&mut asked.filter),
        ..Mirror::default()
    };
    mirror.delete =
        if confxml.events.delete || asked.delete { Deletion::Always } else { Deletion::Never };
    if confxml.events.modify {
        mirror.max_open_wait = Interval(Duration::from_secs(1));
    }
    filter(confxml, &mut mirror, to);
    if let Some(crontab) = &confxml.crontab {
        let minutes = u64::try_from(crontab.minutes).unwrap_or(600);
        mirror.schedule = Some(Schedule::Every(Interval(Duration::from_secs(minutes * 60))));
        for pattern in &crontab.filter {
            let pattern = to.utf8(0, "crontabfilter", pattern);
            let rule =
                pattern.and_then(|pattern| to.rule(0, "crontabfilter", &format!("- {pattern}")));
            mirror.schedule_filter.extend(rule);
        }
        if !crontab.switched_off && mirror.schedule_filter != mirror.filter {
            to.note(0, NoteKind::ScheduleFilterDiffers);
        }
    }
    Some(Template { mirror, asked })
}

fn filter(confxml: &Confxml, mirror: &mut Mirror, to: &mut Translation) {
    for text in confxml.filter.in_force() {
        let Some(text) = to.utf8(0, "filter", text) else { continue };
        to.note(0, NoteKind::FilterNowAppliesToFullPush);
        if !expression::hides_directories(&text) {
            to.note(0, NoteKind::FilterDirectoriesByEventOnly);
        }
        if let Some(pattern) = expression::pattern(&text) {
            mirror.filter.extend(to.rule(0, "filter", &format!("- {pattern}")));
        } else {
            to.note(0, NoteKind::FilterKeptAsRegex(text.clone()));
            mirror.filter_regex.push(text);
        }
    }
}

/// The directory with a slash at its end.
fn source(
    watch: &[u8],
    line: u32,
    surroundings: &dyn Surroundings,
    to: &mut Translation,
) -> Option<PathBuf> {
    let text = to.utf8(line, "localpath", watch)?;
    if !surroundings.is_directory(Path::new(OsStr::from_bytes(watch))) {
        to.note(line, NoteKind::SourceMissing(text.clone()));
    }
    Some(PathBuf::from(with_slash(&text)))
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

fn targets(
    confxml: &Confxml,
    path: &LocalPath,
    template: &Template,
    surroundings: &dyn Surroundings,
    to: &mut Translation,
) -> Vec<Target> {
    let mut targets = Vec::new();
    let line = path.line;
    for remote in &path.remotes {
        let (Some(ip), Some(name)) =
            (to.utf8(line, "remote", &remote.ip), to.utf8(line, "remote", &remote.name))
        else {
            continue;
        };
        let mut target = Target::default();
        let user = match &confxml.auth {
            Some(auth) => {
                to.utf8(line, "auth", &auth.users).map_or(String::new(), |user| user + "@")
            }
            None => String::new(),
        };
        let port = confxml.port.or(template.asked.port);
        let password_file = match &confxml.auth {
            Some(auth) => to.utf8(line, "auth", &auth.password_file),
            None => template.asked.password_file.clone(),
        };
        let url = if confxml.ssh {
            if let Some(file) = password_file {
                to.note(line, NoteKind::SshPasswordFileDropped(file));
            }
            if let Some(port) = port {
                to.note(line, NoteKind::SshPortDropped(port.to_string()));
            }
            target.ssh.clone_from(&template.asked.ssh);
            format!("{user}{ip}:{name}")
        } else {
            if let Some(file) = password_file.filter(|file| !file.is_empty()) {
                if holds_user(surroundings, &file) {
                    to.note(line, NoteKind::PasswordFileHoldsUser(file.clone()));
                }
                target.password_file = Some(file.into());
            }
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            format!("rsync://{user}{ip}{port}/{name}")
        };
        let Ok(url) = url.parse::<Address>() else {
            to.lose(line, "remote", "its address and its name are no address of rsync");
            continue;
        };
        target.url = url;
        let timeout = confxml.timeout.filter(|&seconds| seconds != 0);
        let timeout = timeout.map(|seconds| Interval(Duration::from_secs(u64::from(seconds))));
        target.io_timeout = timeout.or(template.asked.io_timeout).unwrap_or(target.io_timeout);
        targets.push(target);
    }
    targets
}

/// Adds a plugin to the mirror of its source, or to one of its own.
fn add_plugin(
    confxml: &Confxml,
    plugin: &Plugin,
    surroundings: &dyn Surroundings,
    to: &mut Translation,
) {
    let mut added = Mirror::default();
    match plugin {
        Plugin::Command { prefix, suffix, ignore_error, filter } => {
            let (Some(prefix), Some(suffix)) =
                (to.utf8(0, "plugin/param", prefix), to.utf8(0, "plugin/param", suffix))
            else {
                return;
            };
            let words =
                |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let run = words(&prefix);
            if run.is_empty() {
                // sersync then runs each changed file as a program.
                return to.lose(0, "plugin/param", "it names no program");
            }
            let output = if *ignore_error { Output::Discard } else { Output::Log };
            let action = RunHook { run, suffix: words(&suffix), pass: PassPaths::Args, output };
            let mut hook = Hook::new(Action::Run(action));
            let includes: Vec<String> =
                filter.in_force().filter_map(|text| to.utf8(0, "plugin/filter", text)).collect();
            hook.only = only(&includes, to);
            to.note(0, NoteKind::HookOncePerBatch);
            added.hooks.push(hook);
        }
        Plugin::Socket { ip, port, .. } => {
            let Some(ip) = to.utf8(0, "plugin/deshost", ip) else { return };
            match format!("{ip}:{port}").parse() {
                Ok(address) => added
                    .streams
                    .push(Stream::new(StreamAddress::Tcp(address), StreamFormat::Sersync)),
                Err(()) => return to.lose(0, "plugin/deshost", "it is no address"),
            }
        }
        Plugin::RefreshCdn { regex: true, .. } => {
            return to.lose(
                0,
                "plugin/regexurl",
                "a URL that a regular expression makes has no equal",
            );
        }
        Plugin::RefreshCdn { domain_name, port, user_name, base, .. } => {
            let texts =
                [domain_name, user_name, base].map(|bytes| to.utf8(0, "plugin/cdninfo", bytes));
            let [Some(domain), Some(user), Some(base)] = texts else { return };
            let user = percent_encoded(&user);
            let base = base.trim_end_matches('/');
            let url = format!(
                "http://{domain}:{port}/index.jsp?user={user}&pswd={{secret}}&ok=ok&urls={base}/{{path}}"
            );
            let (Ok(method), Ok(url)) = ("HEAD".parse(), url.parse()) else {
                return to.lose(0, "plugin/cdninfo", "it makes no URL");
            };
            let secret_file = Some(PathBuf::from(CDN_SECRET));
            let headers = [("Host".to_owned(), domain)].into();
            let hook = HttpHook { method, url, headers, body: Body::None, secret_file };
            added.hooks.push(Hook::new(Action::Http(hook)));
            to.note(0, NoteKind::CdnPasswordLeftOut(CDN_SECRET.to_owned()));
            to.note(0, NoteKind::CdnDirectoriesAsUrls);
        }
    }
    let watch = plugin.watch().unwrap_or(&confxml.source.watch);
    let same = watch.strip_suffix(b"/").unwrap_or(watch)
        == confxml.source.watch.strip_suffix(b"/").unwrap_or(&confxml.source.watch);
    if let Some(mirror) = to.config.mirrors.first_mut().filter(|_| same) {
        mirror.hooks.append(&mut added.hooks);
        mirror.streams.append(&mut added.streams);
    } else if let Some(source) = source(watch, 0, surroundings, to) {
        added.source = source;
        to.config.mirrors.push(added);
    }
}

/// Rules that let through what one of the expressions matches; none, for all, if one of them has no pattern.
fn only(includes: &[String], to: &mut Translation) -> Vec<Rule> {
    let mut rules = Vec::new();
    for text in includes {
        if let Some(rule) =
            expression::pattern(text).and_then(|pattern| format!("+ {pattern}").parse().ok())
        {
            rules.push(rule);
        } else {
            to.note(0, NoteKind::HookFilterDropped(text.clone()));
            return Vec::new();
        }
    }
    if !rules.is_empty() {
        rules.extend("- *".parse().ok());
    }
    rules
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
