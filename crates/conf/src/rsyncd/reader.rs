//! Logical lines to settings: contexts, snapshots of the defaults, includes (daemon.md 1.6, 1.7, 2.1, 2.4).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::lines::{Line, Lines};
use super::parameters::{Settings, nearest, parameter};
use super::value::{Assigned, Kind, Origin, fold};
use super::warning::{Hint, Lookalike, Warning, WarningKind};
use super::{
    Config, Environment, Errors, GlobalSettings, Includes, Module, ModuleSettings, Overrides,
    Parameter, Parsed, Scope, Target, review,
};
use crate::text::{lookalike, show};
use crate::{Error, Location, Text};

/// How deep files may include each other; stock has no bound.
const MAX_DEPTH: usize = 32;
/// How many files one configuration may include.
const MAX_FILES: usize = 20_000;
/// How many bytes they may have together.
const MAX_BYTES: usize = 64 << 20;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// Up to the first `[` anywhere.
    FirstSection,
}

pub(super) fn read(
    path: &Path,
    text: &[u8],
    includes: &dyn Includes,
    overrides: &Overrides,
    extent: Extent,
) -> Result<Parsed, Errors> {
    let mut reader = Reader {
        includes,
        overrides: Some(overrides),
        extent,
        global: GlobalSettings::default(),
        defaults: ModuleSettings::default(),
        modules: Vec::new(),
        by_name: HashMap::new(),
        context: Context::Default,
        past_first_section: false,
        stopped: false,
        included_files: 0,
        included_bytes: 0,
        left_by_include: None,
        errors: Vec::new(),
        warnings: Vec::new(),
        before_first_section: false,
    };
    reader.file(&Arc::from(path), text, &Place { depth: 0, included: false });
    reader.apply_overrides();
    reader.finish()
}

struct Reader<'a> {
    includes: &'a dyn Includes,
    /// Taken when they are applied.
    overrides: Option<&'a Overrides>,
    extent: Extent,
    global: GlobalSettings,
    defaults: ModuleSettings,
    modules: Vec<Draft>,
    /// Modules by folded name. Only renaming can give one name to several; a header then means the last.
    by_name: HashMap<Vec<u8>, Vec<usize>>,
    context: Context,
    /// Some `[` has been read.
    past_first_section: bool,
    /// Nothing more is to be read.
    stopped: bool,
    included_files: usize,
    included_bytes: usize,
    /// The module that an `&include` has just ended.
    left_by_include: Option<String>,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
    before_first_section: bool,
}

/// A module while the files are being read.
struct Draft {
    /// Its header's name, or what `name` set.
    name: Vec<u8>,
    location: Location,
    settings: ModuleSettings,
}

enum Context {
    Default,
    Module(usize),
    /// Below a broken header: parameters are checked and forgotten.
    Nowhere(Box<ModuleSettings>),
}

/// How a file came to be read.
struct Place {
    depth: usize,
    /// Some `&include` is on the way to it.
    included: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Arc<Path>, text: &[u8], place: &Place) {
        if text.starts_with(b"\xef\xbb\xbf") {
            self.warn(&Location::new(path.clone(), 1), WarningKind::ByteOrderMark);
        }
        for (number, line) in Lines::new(text) {
            self.line(line, Location::new(path.clone(), number), place);
            if self.stopped {
                return;
            }
        }
    }

    fn line(&mut self, line: Line, location: Location, place: &Place) {
        match line {
            Line::Section { name, trailing } => {
                if self.enter_section() {
                    self.section(name, &trailing, location);
                }
            }
            Line::UnclosedSection { name } => {
                if self.enter_section() {
                    self.broken_section(Error::UnclosedSection { location, name: show(&name) });
                }
            }
            Line::Parameter { name, .. } if name.is_empty() => {
                self.fail(Error::NoParameterName { location });
            }
            Line::Parameter { name, value } => self.parameter(&name, &value, location, place),
            Line::Directive { name, value } => self.directive(&name, &value, location, place),
            Line::NotAParameter { text } => {
                let kind = WarningKind::NotAParameter {
                    lookalike: lookalike_in(&text),
                    text: show(&text),
                };
                self.warn(&location, kind);
            }
        }
    }

    /// Notes a `[`. False: the reading ends at it.
    fn enter_section(&mut self) -> bool {
        self.past_first_section = true;
        self.left_by_include = None;
        self.stopped |= self.extent == Extent::FirstSection;
        !self.stopped
    }

    fn section(&mut self, name: Vec<u8>, trailing: &[u8], location: Location) {
        if !trailing.is_empty() && !matches!(trailing[0], b'#' | b';') {
            let kind = WarningKind::TextAfterSection { section: show(&name), text: show(trailing) };
            self.warn(&location, kind);
        }
        let folded = fold(&name);
        if name.is_empty() {
            self.broken_section(Error::EmptySectionName { location });
        } else if folded == b"global" {
            self.context = Context::Default;
        } else if name.contains(&b'/') {
            self.broken_section(Error::SlashInSectionName { location, name: show(&name) });
        } else {
            self.apply_overrides();
            let known = self.by_name.get(&folded).and_then(|indices| indices.iter().max().copied());
            let index = known.unwrap_or_else(|| {
                self.modules.push(Draft { name, location, settings: self.defaults.clone() });
                let index = self.modules.len() - 1;
                self.by_name.entry(folded).or_default().push(index);
                index
            });
            self.context = Context::Module(index);
        }
    }

    fn broken_section(&mut self, error: Error) {
        self.fail(error);
        self.context = Context::Nowhere(Box::new(self.defaults.clone()));
    }

    fn parameter(&mut self, name: &[u8], value: &[u8], location: Location, place: &Place) {
        let Some(parameter) = parameter(name) else {
            let kind = WarningKind::UnknownParameter {
                name: show(name),
                suggestion: nearest(name),
                lookalike: lookalike_in(name),
            };
            self.warn(&location, kind);
            return;
        };
        if let (Context::Default, Some(module)) = (&self.context, self.left_by_include.take()) {
            self.warn(
                &location,
                WarningKind::ParameterAfterInclude { name: parameter.name, module },
            );
        }
        if parameter.scope == Scope::Global {
            self.global_parameter(parameter, value, location, place);
        } else {
            self.module_parameter(parameter, value, location);
        }
    }

    fn global_parameter(
        &mut self,
        parameter: &'static Parameter,
        value: &[u8],
        location: Location,
        place: &Place,
    ) {
        let name = parameter.name;
        if let Context::Module(index) = self.context {
            let module = show(&self.modules[index].name);
            self.warn(&location, WarningKind::GlobalInModule { name, module });
            return;
        }
        let for_listener =
            matches!(name, "address" | "port" | "socket options" | "listen backlog" | "pid file");
        if for_listener && self.past_first_section {
            self.warn(&location, WarningKind::ListenerParameterBelowSection { name });
        } else if !for_listener && place.included {
            self.warn(&location, WarningKind::GlobalInInclude { name });
        }
        let origin = Origin::File(location);
        if let Some(assigned) =
            self.global.assign(name, value, &origin, &Environment(self.includes))
        {
            self.report(parameter, value, origin, assigned);
        }
    }

    fn module_parameter(
        &mut self,
        parameter: &'static Parameter,
        value: &[u8],
        location: Location,
    ) {
        if parameter.name == "name" {
            self.rename(value);
            return;
        }
        let settings = match &mut self.context {
            Context::Default => &mut self.defaults,
            Context::Module(index) => &mut self.modules[*index].settings,
            Context::Nowhere(settings) => settings,
        };
        let origin = Origin::File(location);
        if let Some(assigned) =
            settings.assign(parameter.name, value, &origin, &Environment(self.includes))
        {
            self.report(parameter, value, origin, assigned);
        }
    }

    /// `name = value`, which means nothing outside of modules.
    fn rename(&mut self, name: &[u8]) {
        let Context::Module(index) = self.context else { return };
        let old = std::mem::replace(&mut self.modules[index].name, name.to_vec());
        if let Some(indices) = self.by_name.get_mut(&fold(&old)) {
            indices.retain(|&other| other != index);
        }
        self.by_name.entry(fold(name)).or_default().push(index);
    }

    fn report(&mut self, parameter: &Parameter, value: &[u8], origin: Origin, assigned: Assigned) {
        let (name, kind) = (parameter.name, parameter.kind);
        let hint = if review::comment_start(value).is_some() {
            Some(Hint::Comment)
        } else {
            lookalike_in(value).map(Hint::Lookalike)
        };
        let value = show(value);
        let kind = match assigned {
            Assigned::Good => return,
            Assigned::Lenient { used } => WarningKind::NotANumber { name, value, used, hint },
            Assigned::Bad { stays } => WarningKind::BadValue { name, value, kind, stays, hint },
        };
        self.warnings.push(Warning { origin, kind });
    }

    fn directive(&mut self, name: &[u8], value: &[u8], location: Location, place: &Place) {
        let directive = match &name.to_ascii_lowercase()[..] {
            b"include" => "include",
            b"merge" => "merge",
            _ => return self.fail(Error::UnknownDirective { location, name: show(name) }),
        };
        let include =
            Include { directive, location, depth: place.depth + 1, included: place.included };
        let path = Path::new(OsStr::from_bytes(value));
        match self.includes.read(path) {
            Ok(Target::File(text)) => self.included_file(path, &text, &include),
            Ok(Target::Directory(mut names)) => {
                let suffix: &[u8] = if directive == "include" { b".conf" } else { b".inc" };
                names.retain(|name| name.ends_with(suffix));
                names.sort_unstable();
                for name in names {
                    let path = path.join(OsStr::from_bytes(&name));
                    match self.includes.read(&path) {
                        Ok(Target::File(text)) => self.included_file(&path, &text, &include),
                        // Stock passes over directories in a directory.
                        Ok(Target::Directory(_)) => {}
                        Err(source) => self.unreadable(&path, &include, source),
                    }
                    if self.stopped {
                        return;
                    }
                }
            }
            Err(source) => self.unreadable(path, &include, source),
        }
        if directive == "include" && !self.stopped && self.extent == Extent::Whole {
            self.left_by_include = match &self.context {
                Context::Module(index) => Some(show(&self.modules[*index].name)),
                _ => None,
            };
            self.context = Context::Default;
        }
    }

    fn included_file(&mut self, path: &Path, text: &[u8], include: &Include) {
        self.included_files += 1;
        self.included_bytes = self.included_bytes.saturating_add(text.len());
        let location = || include.location.clone();
        let error = if include.depth > MAX_DEPTH {
            Error::IncludesTooDeep { location: location(), limit: MAX_DEPTH }
        } else if self.included_files > MAX_FILES {
            Error::IncludesTooLarge { location: location(), limit: MAX_FILES, unit: "files" }
        } else if self.included_bytes > MAX_BYTES {
            Error::IncludesTooLarge { location: location(), limit: MAX_BYTES, unit: "bytes" }
        } else {
            let pushes = include.directive == "include" && self.extent == Extent::Whole;
            let place = Place { depth: include.depth, included: include.included || pushes };
            if pushes {
                self.isolated_file(path, text, &place, &include.location);
            } else {
                self.file(&Arc::from(path), text, &place);
            }
            return;
        };
        self.fail(error);
        self.stopped = true;
    }

    /// Reads a file whose globals and defaults end with it.
    fn isolated_file(&mut self, path: &Path, text: &[u8], place: &Place, location: &Location) {
        let saved = (self.global.clone(), self.defaults.clone());
        let context = std::mem::replace(&mut self.context, Context::Default);
        let modules = self.modules.len();
        self.file(&Arc::from(path), text, place);
        let only_sets_defaults = self.modules.len() == modules && self.defaults != saved.1;
        if only_sets_defaults && matches!(self.context, Context::Default) {
            self.warn(
                location,
                WarningKind::IncludeWithoutEffect { path: show(path.as_os_str().as_bytes()) },
            );
        }
        (self.global, self.defaults) = saved;
        self.context = context;
    }

    fn unreadable(&mut self, path: &Path, include: &Include, source: std::io::Error) {
        let path = show(path.as_os_str().as_bytes());
        self.fail(Error::Include {
            location: include.location.clone(),
            directive: include.directive,
            path,
            source,
        });
    }

    /// Sets what was given to the program, once: at the end of the first default context.
    fn apply_overrides(&mut self) {
        let Some(overrides) = self.overrides.take() else { return };
        for (parameter, value) in &overrides.items {
            let environment = Environment(self.includes);
            let assigned = match parameter.scope {
                Scope::Global => {
                    self.global.assign(parameter.name, value, &Origin::CommandLine, &environment)
                }
                Scope::Module => {
                    self.defaults.assign(parameter.name, value, &Origin::CommandLine, &environment)
                }
            };
            if let Some(assigned) = assigned {
                self.report(parameter, value, Origin::CommandLine, assigned);
            }
        }
    }

    fn finish(mut self) -> Result<Parsed, Errors> {
        if !self.errors.is_empty() {
            let Self { errors, warnings, before_first_section, .. } = self;
            return Err(Errors { errors, warnings, before_first_section });
        }
        let defaults = &self.defaults;
        let modules = self.modules.into_iter().map(|mut draft| {
            draft.settings.take_late_defaults(defaults);
            // Before a session knows its module, variables are those of the environment.
            let name = Text::from(&draft.name[..]);
            let name = name
                .expand(&Environment(self.includes))
                .map_or(draft.name, std::borrow::Cow::into_owned);
            Module { name, location: draft.location, settings: draft.settings }
        });
        let modules = modules.collect();
        let config = Config { global: self.global, defaults: self.defaults, modules };
        review::review(&config, self.extent, &mut self.warnings);
        Ok(Parsed { config, warnings: self.warnings })
    }

    fn fail(&mut self, error: Error) {
        if self.errors.is_empty() {
            self.before_first_section = !self.past_first_section;
        }
        self.errors.push(error);
    }

    fn warn(&mut self, location: &Location, kind: WarningKind) {
        self.warnings.push(Warning { origin: Origin::File(location.clone()), kind });
    }
}

/// A directive at work.
struct Include {
    directive: &'static str,
    location: Location,
    /// Of the file it names.
    depth: usize,
    /// The directive itself stands in a file read by `&include`.
    included: bool,
}

pub(super) fn lookalike_in(text: &[u8]) -> Option<Lookalike> {
    lookalike(text).map(|(found, meant)| Lookalike { found, meant })
}

/// Whether a value of this kind is kept as text.
pub(super) fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::Path)
}
