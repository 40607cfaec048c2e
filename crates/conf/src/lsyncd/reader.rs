//! The tables of `settings` and `sync` to values, refused where lsyncd refuses them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::evaluate::{self, Entry, Key, Table, Value};
use super::lexer::{self, Problem};
use super::syntax;
use super::{Base, Delete, Init, InotifyMode, Loss, Parsed, RsyncValue, Settings, Ssh, Sync};
use crate::text::show;
use crate::{Error, Location, Surroundings};

pub(super) fn read(
    file: &Path,
    text: &[u8],
    surroundings: &dyn Surroundings,
) -> Result<Parsed, Error> {
    parsed(text, surroundings)
        .map_err(|(line, problem)| Error::Lsyncd { location: Location::new(file, line), problem })
}

fn parsed(text: &[u8], surroundings: &dyn Surroundings) -> Result<Parsed, Problem> {
    let tokens = lexer::tokens(text)?;
    let block = syntax::parse(&tokens)?;
    let calls = evaluate::run(&block, surroundings)?;
    let mut reader = Reader { losses: calls.losses, surroundings };
    let mut settings = Settings::default();
    for table in &calls.settings {
        reader.settings(table, &mut settings)?;
    }
    let mut syncs = Vec::new();
    for table in &calls.syncs {
        syncs.extend(reader.sync(table)?);
    }
    let mut losses = reader.losses;
    if syncs.is_empty() && losses.is_empty() {
        let last = tokens.last().map_or(1, |token| token.line);
        return Err((
            last,
            "there is nothing to watch: write `sync{ default.rsync, source = …, target = … }`"
                .to_owned(),
        ));
    }
    losses.sort_by_key(|loss| loss.line);
    losses.dedup();
    Ok(Parsed { settings, syncs, losses, variables: calls.variables })
}

struct Reader<'a> {
    losses: Vec<Loss>,
    surroundings: &'a dyn Surroundings,
}

/// Keys of a sync whose values are functions or commands.
const ACTIONS: [&[u8]; 11] = [
    b"action",
    b"checkgauge",
    b"collect",
    b"onAttrib",
    b"onCreate",
    b"onDelete",
    b"onModify",
    b"onMove",
    b"onStartup",
    b"onFullSync",
    b"prepare",
];

const KEYS: &str = "source, target, host, targetdir, delay, delete, init, exclude, excludeFrom, filter, \
                    filterFrom, maxProcesses, maxDelays, exitcodes, rsync, ssh";

/// `rsync = {…}`: switches, and what takes text.
const SWITCHES: [&[u8]; 37] = [
    b"acls",
    b"append",
    b"append_verify",
    b"archive",
    b"backup",
    b"checksum",
    b"compress",
    b"copy_dirlinks",
    b"copy_links",
    b"cvs_exclude",
    b"devices",
    b"dry_run",
    b"executability",
    b"existing",
    b"group",
    b"hard_links",
    b"ignore_times",
    b"inplace",
    b"ipv4",
    b"ipv6",
    b"keep_dirlinks",
    b"links",
    b"omit_dir_times",
    b"omit_link_times",
    b"one_file_system",
    b"owner",
    b"perms",
    b"protect_args",
    b"prune_empty_dirs",
    b"quiet",
    b"sparse",
    b"specials",
    b"times",
    b"update",
    b"verbose",
    b"whole_file",
    b"xattrs",
];
const TEXTS: [&[u8]; 13] = [
    b"backup_dir",
    b"binary",
    b"bwlimit",
    b"chmod",
    b"chown",
    b"groupmap",
    b"password_file",
    b"rsh",
    b"rsync_path",
    b"suffix",
    b"temp_dir",
    b"timeout",
    b"usermap",
];

impl Reader<'_> {
    fn settings(&mut self, table: &Table, settings: &mut Settings) -> Result<(), Problem> {
        for entry in &table.entries {
            let Key::Name(name) = &entry.key else {
                return Err((entry.line, "`settings` takes only `NAME = VALUE`".to_owned()));
            };
            let shown = show(name);
            if self.is_lost(entry, &shown) || matches!(entry.value, Value::Nil) {
                continue;
            }
            match &name[..] {
                b"logfile" => settings.logfile = Some(text(entry, &shown)?),
                b"pidfile" => settings.pidfile = Some(text(entry, &shown)?),
                b"nodaemon" => settings.nodaemon = Some(switch(entry, &shown)?),
                b"statusFile" => settings.status_file = Some(text(entry, &shown)?),
                b"statusInterval" => settings.status_interval = Some(number(entry, &shown)?),
                b"logfacility" => settings.logfacility = Some(text(entry, &shown)?),
                b"logident" => settings.logident = Some(text(entry, &shown)?),
                b"insist" => settings.insist = Some(switch(entry, &shown)?),
                b"maxProcesses" => settings.max_processes = Some(number(entry, &shown)?),
                b"maxDelays" => settings.max_delays = Some(number(entry, &shown)?),
                b"inotifyMode" => {
                    settings.inotify_mode = Some(match &text(entry, &shown)?[..] {
                        b"CloseWrite" => InotifyMode::CloseWrite,
                        b"Modify" => InotifyMode::Modify,
                        b"CloseWrite or Modify" | b"Modify or CloseWrite" => InotifyMode::Both,
                        other => {
                            let problem = format!(
                                "`inotifyMode` is \"{}\" (accepted: CloseWrite, Modify, CloseWrite or Modify)",
                                show(other)
                            );
                            return Err((entry.line, problem));
                        }
                    });
                }
                _ => {
                    let problem = format!(
                        "setting `{shown}` is unknown (accepted: logfile, pidfile, nodaemon, statusFile, \
                         statusInterval, logfacility, logident, insist, inotifyMode, maxProcesses, maxDelays)"
                    );
                    return Err((entry.line, problem));
                }
            }
        }
        Ok(())
    }

    fn sync(&mut self, table: &Rc<Table>) -> Result<Option<Sync>, Problem> {
        let mut base = None;
        let mut entries: Vec<&Entry> = Vec::new();
        inherit(table, &mut base, &mut entries, 0)?;
        let lost_before = self.losses.len();
        let mut parts = Parts::default();
        for entry in entries {
            self.part(entry, base, &mut parts)?;
        }
        let line = table.line;
        let Some(base) = base else {
            if self.losses.len() == lost_before {
                let what = "it has none of default.rsync, default.rsyncssh and default.direct";
                self.losses.push(Loss { line, key: "sync".to_owned(), what });
            }
            return Ok(None);
        };
        if parts.place_lost {
            return Ok(None);
        }
        let mut source =
            parts.source.ok_or_else(|| (line, "`source` is missing from `sync`".to_owned()))?;
        let target = match base {
            Base::Rsync | Base::Direct => {
                parts.target.ok_or_else(|| (line, "`target` is missing from `sync`".to_owned()))?
            }
            Base::RsyncSsh => {
                let missing =
                    |key| (line, format!("`{key}` is missing from `sync` with `default.rsyncssh`"));
                let host = parts.host.ok_or_else(|| missing("host"))?;
                let directory = parts.targetdir.ok_or_else(|| missing("targetdir"))?;
                [&host[..], b":", &directory].concat()
            }
        };
        if !source.starts_with(b"/") {
            return Err((
                line,
                format!("`source` is \"{}\": write an absolute path", show(&source)),
            ));
        }
        if !source.ends_with(b"/") {
            source.push(b'/');
        }
        if !self.surroundings.is_directory(Path::new(OsStr::from_bytes(&source))) {
            return Err((
                line,
                format!("`source` is \"{}\", which is no directory here", show(&source)),
            ));
        }
        Ok(Some(Sync {
            line,
            base,
            source,
            target,
            delay: parts.delay.unwrap_or(base.delay()),
            delete: parts.delete.unwrap_or(Delete::Always),
            init: parts.init.unwrap_or(Init::Default),
            filter: parts.filter,
            exclude: parts.exclude,
            has_limits: parts.has_limits,
            has_exitcodes: parts.has_exitcodes,
            rsync: parts.rsync,
            ssh: parts.ssh,
        }))
    }

    fn part(
        &mut self,
        entry: &Entry,
        base: Option<Base>,
        parts: &mut Parts,
    ) -> Result<(), Problem> {
        let line = entry.line;
        let name = match &entry.key {
            Key::Name(name) => &name[..],
            // The defaults, taken already.
            Key::Index(_)
                if matches!(entry.value, Value::Base(_) | Value::Table(_) | Value::Nil) =>
            {
                return Ok(());
            }
            Key::Index(_) | Key::Other => {
                if !self.is_lost(entry, "sync") {
                    return Err((line, "`sync` takes a default and `NAME = VALUE`".to_owned()));
                }
                return Ok(());
            }
        };
        let shown = show(name);
        if matches!(entry.value, Value::Nil) {
            return Ok(());
        }
        if ACTIONS.contains(&name) {
            let what =
                "actions of one's own are not translated; a `[[mirror.hook]]` may do the same";
            self.losses.push(Loss { line, key: shown, what });
            return Ok(());
        }
        if self.is_lost(entry, &shown) {
            parts.place_lost |= matches!(name, b"source" | b"target" | b"host" | b"targetdir");
            return Ok(());
        }
        match name {
            b"source" => parts.source = Some(text(entry, &shown)?),
            b"target" => parts.target = Some(text(entry, &shown)?),
            b"host" => parts.host = Some(text(entry, &shown)?),
            b"targetdir" => parts.targetdir = Some(text(entry, &shown)?),
            b"delay" => {
                let delay = number(entry, &shown)?;
                if delay < 0.0 {
                    return Err((line, "`delay` is below 0".to_owned()));
                }
                parts.delay = Some(delay);
            }
            b"delete" => {
                parts.delete = Some(match &entry.value {
                    Value::Bool(true) => Delete::Always,
                    Value::Bool(false) => Delete::Never,
                    Value::Text(text) if &text[..] == b"startup" => Delete::Startup,
                    Value::Text(text) if &text[..] == b"running" => Delete::Running,
                    _ => Delete::Odd,
                });
            }
            b"init" => {
                parts.init = Some(if switch(entry, &shown)? { Init::True } else { Init::Off });
            }
            b"exclude" => parts.exclude.splice(0..0, self.texts(entry, &shown)?).for_each(drop),
            b"excludeFrom" => {
                let lines = self.lines(entry, &shown)?;
                parts.exclude.extend(lines.iter().filter_map(|line| excluded(line)));
            }
            b"filter" => {
                let rules = self.texts(entry, &shown)?;
                let rules: Result<Vec<_>, _> =
                    rules.iter().map(|rule| filter_rule(entry, rule)).collect();
                parts.filter.splice(0..0, rules?).for_each(drop);
            }
            b"filterFrom" => {
                for rule in self.lines(entry, &shown)? {
                    if !rule.is_empty() && !rule.starts_with(b"#") {
                        parts.filter.push(filter_rule(entry, &rule)?);
                    }
                }
            }
            b"maxProcesses" | b"maxDelays" => {
                number(entry, &shown)?;
                parts.has_limits = true;
            }
            b"exitcodes" => {
                sub_table(entry, &shown)?;
                parts.has_exitcodes = true;
            }
            b"rsync" => self.rsync(sub_table(entry, &shown)?, &mut parts.rsync)?,
            b"ssh" if base != Some(Base::Rsync) => {
                self.ssh(sub_table(entry, &shown)?, &mut parts.ssh)?;
            }
            _ => return Err((line, format!("`{shown}` is no key of `sync` (accepted: {KEYS})"))),
        }
        Ok(())
    }

    fn rsync(
        &mut self,
        table: &Table,
        rsync: &mut BTreeMap<String, RsyncValue>,
    ) -> Result<(), Problem> {
        for entry in &table.entries {
            let Key::Name(name) = &entry.key else {
                return Err((
                    entry.line,
                    "`rsync` takes only `NAME = VALUE`; further words go into `_extra`".to_owned(),
                ));
            };
            let shown = format!("rsync.{}", show(name));
            if self.is_lost(entry, &shown) || matches!(entry.value, Value::Nil) {
                continue;
            }
            let value = if SWITCHES.contains(&&name[..]) {
                RsyncValue::Switch(switch(entry, &shown)?)
            } else if TEXTS.contains(&&name[..]) {
                RsyncValue::Text(text(entry, &shown)?)
            } else if name == b"_extra" {
                RsyncValue::Words(self.texts(entry, &shown)?)
            } else {
                let names = SWITCHES.iter().chain(&TEXTS).map(|name| show(name));
                let names: Vec<String> = names.chain(["_extra".into()]).collect();
                return Err((
                    entry.line,
                    format!("`{shown}` is unknown (accepted: {})", names.join(", ")),
                ));
            };
            rsync.insert(String::from_utf8_lossy(name).into_owned(), value);
        }
        Ok(())
    }

    fn ssh(&mut self, table: &Table, ssh: &mut Ssh) -> Result<(), Problem> {
        for entry in &table.entries {
            let Key::Name(name) = &entry.key else {
                return Err((
                    entry.line,
                    "`ssh` takes only `NAME = VALUE`; further words go into `_extra`".to_owned(),
                ));
            };
            let shown = format!("ssh.{}", show(name));
            if self.is_lost(entry, &shown) || matches!(entry.value, Value::Nil) {
                continue;
            }
            match &name[..] {
                b"binary" => ssh.binary = Some(text(entry, &shown)?),
                b"port" => ssh.port = Some(text(entry, &shown)?),
                b"identityFile" => ssh.identity_file = Some(text(entry, &shown)?),
                b"_extra" => ssh.extra = self.texts(entry, &shown)?,
                b"options" => {
                    for option in &sub_table(entry, &shown)?.entries {
                        let Key::Name(key) = &option.key else {
                            return Err((
                                option.line,
                                "`ssh.options` takes only `NAME = VALUE`".to_owned(),
                            ));
                        };
                        let shown = format!("{shown}.{}", show(key));
                        if !self.is_lost(option, &shown) {
                            ssh.options.push((key.clone(), text(option, &shown)?));
                        }
                    }
                }
                _ => {
                    let problem = format!(
                        "`{shown}` is unknown (accepted: binary, port, identityFile, options, _extra)"
                    );
                    return Err((entry.line, problem));
                }
            }
        }
        Ok(())
    }

    /// A string, or a list of them.
    fn texts(&mut self, entry: &Entry, shown: &str) -> Result<Vec<Vec<u8>>, Problem> {
        let Value::Table(table) = &entry.value else { return Ok(vec![text(entry, shown)?]) };
        let mut texts = Vec::new();
        for item in &table.entries {
            if !self.is_lost(item, shown) {
                texts.push(text(item, shown)?);
            }
        }
        Ok(texts)
    }

    /// The lines of a file.
    fn lines(&mut self, entry: &Entry, shown: &str) -> Result<Vec<Vec<u8>>, Problem> {
        let path = text(entry, shown)?;
        let content = self.surroundings.read(Path::new(OsStr::from_bytes(&path)));
        let content = content.map_err(|error| {
            (entry.line, format!("cannot read `{}` named by `{shown}`: {error}", show(&path)))
        })?;
        Ok(content.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    fn is_lost(&mut self, entry: &Entry, key: &str) -> bool {
        if let Value::Unknown(what) = entry.value {
            self.losses.push(Loss { line: entry.line, key: key.to_owned(), what });
            return true;
        }
        false
    }
}

#[derive(Default)]
struct Parts {
    source: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    targetdir: Option<Vec<u8>>,
    /// One of those cannot be translated.
    place_lost: bool,
    delay: Option<f64>,
    delete: Option<Delete>,
    init: Option<Init>,
    filter: Vec<Vec<u8>>,
    exclude: Vec<Vec<u8>>,
    has_limits: bool,
    has_exitcodes: bool,
    rsync: BTreeMap<String, RsyncValue>,
    ssh: Ssh,
}

/// The entries of a table after those of the tables it inherits from, of equal names the last.
fn inherit<'a>(
    table: &'a Table,
    base: &mut Option<Base>,
    entries: &mut Vec<&'a Entry>,
    depth: u32,
) -> Result<(), Problem> {
    if depth > 20 {
        return Err((table.line, "this table inherits from too many others".to_owned()));
    }
    for entry in &table.entries {
        match (&entry.key, &entry.value) {
            (Key::Index(_), Value::Base(found)) => *base = Some(*found),
            (Key::Index(_), Value::Table(parent)) => inherit(parent, base, entries, depth + 1)?,
            _ => {}
        }
    }
    for entry in &table.entries {
        if entry.key != Key::Other {
            entries.retain(|other| other.key != entry.key || matches!(entry.key, Key::Index(_)));
        }
        entries.push(entry);
    }
    Ok(())
}

fn text(entry: &Entry, shown: &str) -> Result<Vec<u8>, Problem> {
    match &entry.value {
        Value::Text(text) => Ok(text.to_vec()),
        Value::Number(number) => Ok(number.to_text().into_bytes()),
        _ => Err((entry.line, format!("`{shown}` is no string"))),
    }
}

fn switch(entry: &Entry, shown: &str) -> Result<bool, Problem> {
    match entry.value {
        Value::Bool(value) => Ok(value),
        _ => Err((entry.line, format!("`{shown}` is neither `true` nor `false`"))),
    }
}

fn number(entry: &Entry, shown: &str) -> Result<f64, Problem> {
    match entry.value {
        Value::Number(number) => Ok(number.to_f64()),
        _ => Err((entry.line, format!("`{shown}` is no number"))),
    }
}

fn sub_table<'a>(entry: &'a Entry, shown: &str) -> Result<&'a Table, Problem> {
    match &entry.value {
        Value::Table(table) => Ok(table),
        _ => Err((entry.line, format!("`{shown}` is no table: write `{shown} = {{ … }}`"))),
    }
}

/// `+ PATTERN` or `- PATTERN`, with one blank.
fn filter_rule(entry: &Entry, rule: &[u8]) -> Result<Vec<u8>, Problem> {
    let wrong = || {
        let problem =
            format!("`{}` is no rule of lsyncd: write `+ PATTERN` or `- PATTERN`", show(rule));
        (entry.line, problem)
    };
    let (&sign, rest) = rule.split_first().ok_or_else(wrong)?;
    let pattern = rest.trim_ascii_start();
    if !matches!(sign, b'+' | b'-') || pattern.is_empty() || pattern.len() == rest.len() {
        return Err(wrong());
    }
    Ok([&[sign, b' '], pattern].concat())
}

/// The pattern of a line of `excludeFrom` (live.md 2.3).
fn excluded(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii_start();
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"+") {
        return None;
    }
    let pattern = line.strip_prefix(b"-").map_or(line, <[u8]>::trim_ascii_start);
    (!pattern.is_empty()).then(|| pattern.to_vec())
}
