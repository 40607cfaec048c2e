//! `--check-config` and `--print-config`: what an administrator asks before it matters.

use std::fmt::Write as _;

use syncline_conf::rsyncd::{Config, ModuleSettings, Origin};
use syncline_conf::{Text, log_format::LogFormat};
use syncline_engine::source::OperatorFiles;
use syncline_engine::{Charset, OperatorPaths};
use syncline_filter::ModuleFilters;
use syncline_options::refuse::Refusals;
use syncline_options::values::chmod::Chmod;

use crate::identity::Identity;
use crate::load::{Failure, Source};
use crate::paths::{path, shown};
use crate::secrets_file;
use crate::tls;
use crate::variables::SessionVariables;

/// Prints every problem; 1 if there is any.
pub(crate) fn check(source: &Source) -> u8 {
    let mut problems = Vec::new();
    match source.whole() {
        Ok(parsed) => {
            problems.extend(parsed.warnings.iter().map(ToString::to_string));
            Examiner { problems: &mut problems }.examine(&parsed.config);
        }
        Err(Failure::Unreadable(file, error)) => {
            problems.push(format!("{}: {}", file.display(), syncline_engine::reason(&error)));
        }
        Err(Failure::Unusable(errors)) => {
            problems.extend(errors.warnings.iter().map(ToString::to_string));
            problems.extend(errors.errors.iter().map(ToString::to_string));
        }
    }
    let mut text = problems.join("\n");
    if problems.is_empty() {
        let _ = write!(text, "{}: no problems found", source.path.display());
    }
    text.push('\n');
    crate::print(text.as_bytes());
    u8::from(!problems.is_empty())
}

/// Prints the effective configuration; 1 if there is none.
pub(crate) fn print(source: &Source) -> u8 {
    match source.whole() {
        Ok(parsed) => {
            crate::print(&parsed.config.print());
            0
        }
        Err(failure) => {
            failure.log_lines().iter().for_each(|line| crate::complain(line));
            1
        }
    }
}

/// Looks at what only this machine can tell.
struct Examiner<'a> {
    problems: &'a mut Vec<String>,
}

impl Examiner<'_> {
    fn examine(&mut self, config: &Config) {
        let global = config.global();
        if let Some((origin, text)) = tls::problem(global) {
            self.say(origin, &text);
        }
        if *global.max_connections_per_host > 0 && *global.proxy_protocol {
            let origin = global.max_connections_per_host.origin();
            self.say(origin, "`max connections per host` has no effect with `proxy protocol`");
        }
        for module in config.modules() {
            self.module(module.name(), &module.settings);
        }
    }

    fn say(&mut self, origin: &Origin, text: impl std::fmt::Display) {
        let problem = format!("{origin}: {text}");
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value, unless it depends on what only a session knows.
    fn value(text: &Text) -> Option<Vec<u8>> {
        let value = text.expand(&SessionVariables::default()).ok()?.into_owned();
        (!value.windows(7).any(|window| window == b"%RSYNC_")).then_some(value)
    }

    fn module(&mut self, name: &[u8], settings: &ModuleSettings) {
        let charset = Self::value(&settings.charset).filter(|value| !value.is_empty());
        if let Some(charset) = charset.filter(|charset| Charset::open(charset).is_err()) {
            let charset = shown(&charset);
            self.say(
                settings.charset.origin(),
                format_args!("`charset`: this system knows no charset {charset}"),
            );
        }
        if let Some(directory) = Self::value(&settings.path).filter(|value| !value.is_empty()) {
            match std::fs::metadata(path(&directory)) {
                Ok(data) if data.is_dir() => {}
                Ok(_) => self.say(
                    settings.path.origin(),
                    format_args!("`path`: {} is not a directory", shown(&directory)),
                ),
                Err(error) => self.say(
                    settings.path.origin(),
                    format_args!(
                        "`path`: {}: {}",
                        shown(&directory),
                        syncline_engine::reason(&error)
                    ),
                ),
            }
        }
        if let (Some(uid), Some(gid)) = (Self::value(&settings.uid), Self::value(&settings.gid))
            && let Err(trouble) = Identity::of_module(&uid, &gid)
        {
            let origin = if trouble.log.starts_with("Invalid gid") {
                settings.gid.origin()
            } else {
                settings.uid.origin()
            };
            self.say(origin, format_args!("module [{}]: {}", shown(name), trouble.log));
        }
        self.secrets(settings);
        for (label, setting) in [
            ("incoming chmod", &settings.incoming_chmod),
            ("outgoing chmod", &settings.outgoing_chmod),
        ] {
            if let Some(value) = Self::value(setting).filter(|value| !value.is_empty())
                && Chmod::parse(&value).is_none()
            {
                let text = format!("`{label}`: {} is no change of mode", shown(&value));
                self.say(setting.origin(), text);
            }
        }
        if let Some(value) = Self::value(&settings.log_format)
            && let Err(error) = LogFormat::parse(&value)
        {
            self.say(settings.log_format.origin(), format_args!("`log format`: {error}"));
        }
        if let Some(value) = Self::value(&settings.refuse_options) {
            for token in Refusals::for_module(&value, true).unmatched() {
                let text = format!("`refuse options`: no option is called {}", shown(token));
                self.say(settings.refuse_options.origin(), text);
            }
        }
        self.filters(settings);
    }

    fn secrets(&mut self, settings: &ModuleSettings) {
        if settings.auth_users.is_empty() || settings.secrets_file.is_empty() {
            return;
        }
        let Some(file) = Self::value(&settings.secrets_file) else { return };
        let origin = settings.secrets_file.origin();
        match secrets_file::open(&file, *settings.strict_modes) {
            Ok(secrets) => {
                for finding in secrets.findings() {
                    self.say(origin, format_args!("{}: {finding}", shown(&file)));
                }
            }
            Err(refusal) => self.say(origin, format_args!("{}: {refusal}", shown(&file))),
        }
    }

    fn filters(&mut self, settings: &ModuleSettings) {
        let all = [
            &settings.filter,
            &settings.include_from,
            &settings.include,
            &settings.exclude_from,
            &settings.exclude,
        ];
        let values: Option<Vec<Vec<u8>>> = all.iter().map(|setting| Self::value(setting)).collect();
        let Some([filter, include_from, include, exclude_from, exclude]) = values.as_deref() else {
            return;
        };
        let parameters = ModuleFilters { filter, include_from, include, exclude_from, exclude };
        let mut files = OperatorFiles {
            paths: OperatorPaths::following(*settings.insecure_links),
            ..OperatorFiles::default()
        };
        let module = Self::value(&settings.path).unwrap_or_default();
        if let Err(error) = parameters.compile(&module, &mut files) {
            let set = all.iter().find(|setting| setting.is_set());
            let origin = set.map_or(Origin::BuiltIn, |setting| setting.origin().clone());
            self.say(&origin, format_args!("filters: {error}"));
        }
    }
}
