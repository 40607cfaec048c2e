//! Parameters that are understood but not performed yet: said plainly, never passed over.

use std::fmt;

use syncline_conf::rsyncd::{Config, ModuleSettings, Origin};

/// A parameter that is set and would have no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unperformed {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is set.
    pub(crate) origin: Origin,
    /// What happens instead.
    instead: &'static str,
}

impl fmt::Display for Unperformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, origin, instead } = self;
        write!(f, "{origin}: `{name}` is not performed by this version of Syncline: {instead}")
    }
}

/// All of them in a configuration, each place once.
pub(crate) fn unperformed(config: &Config) -> Vec<Unperformed> {
    let mut all = Vec::new();
    let modules = config.modules().iter().map(|module| &module.settings);
    for settings in std::iter::once(config.defaults()).chain(modules) {
        for problem in in_module(settings) {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
    }
    all
}

/// Those of one module: nobody can enter it.
pub(crate) fn in_module(settings: &ModuleSettings) -> Vec<Unperformed> {
    let refused = "the module refuses its clients";
    let mut all = Vec::new();
    let mut check = |name, set: bool, origin: &Origin| {
        if set {
            all.push(Unperformed { name, origin: origin.clone(), instead: refused });
        }
    };
    let s = settings;
    check("charset", !s.charset.is_empty(), s.charset.origin());
    all
}
