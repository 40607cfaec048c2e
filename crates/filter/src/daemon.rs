//! The filter parameters of a daemon's module (docs/spec/filters.md 15).

use crate::error::{FilterError, Warning};
use crate::filter::Filter;
use crate::load::{Base, Context, RuleFiles, Settings};
use crate::parse::Template;
use crate::rule::{Action, Side};
use crate::rules::Rules;

/// The parameters as they stand in the configuration; an empty value is an absent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleFilters<'a> {
    /// `filter`.
    pub filter: &'a [u8],
    /// `include from`.
    pub include_from: &'a [u8],
    /// `include`.
    pub include: &'a [u8],
    /// `exclude from`.
    pub exclude_from: &'a [u8],
    /// `exclude`.
    pub exclude: &'a [u8],
}

impl ModuleFilters<'_> {
    /// The module's list, to be given to [`Filter::with_daemon`] or asked by itself about requested paths.
    ///
    /// `module` is the module's directory, for merge rules whose file name holds a slash. Errors belong into the
    /// daemon's log, not before the client's eyes.
    pub fn compile(
        &self,
        module: &[u8],
        files: &mut dyn RuleFiles,
    ) -> Result<(Filter, Vec<Warning>), FilterError> {
        let mut rules = Rules::new(Settings { role: "Receiver", ..Settings::default() });
        // The parameters are parsed before the daemon knows its role, as if it were the receiver (15.3).
        let context = Context {
            base: Base::Module(module.strip_suffix(b"/").unwrap_or(module)),
            only_for: Some(Side::Receiver),
            acts_always: true,
            module: true,
            ..Context::OPTIONS
        };
        rules.load(files, |loader, target| {
            loader.add_words(target, self.filter, &Template::NEW, context)?;
            for (file, text, action) in [
                (self.include_from, self.include, Action::Include),
                (self.exclude_from, self.exclude, Action::Exclude),
            ] {
                let template = Template::old(action);
                if !file.is_empty() && !loader.is_hidden_by(target, context.base, file) {
                    loader.add_named_file(target, file, &template, context)?;
                }
                loader.add_words(target, text, &template, context)?;
            }
            Ok::<_, FilterError>(())
        })?;
        let warnings = rules.take_warnings();
        Ok((Filter::new(&rules, Side::Receiver), warnings))
    }
}
