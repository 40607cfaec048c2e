//! What a reader of confxml.xml notices.

use std::fmt;

/// Something sersync passes over in silence, or crashes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the element.
    pub line: u32,
    /// What.
    pub kind: FindingKind,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// The kinds of findings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindingKind {
    /// An element or attribute that must be there.
    #[error(
        "`{0}` is missing, without which sersync crashes: the value of its default file is taken"
    )]
    Missing(String),
    /// A switch that is neither `true` nor `false`.
    #[error("`{element}` is `{value}`: anything but `true` means false; write `true` or `false`")]
    NotTrue {
        /// The element.
        element: String,
        /// The value.
        value: String,
    },
    /// An element that means nothing at its place.
    #[error("element `{0}` is ignored: remove it or correct its name")]
    UnknownElement(String),
    /// Text between elements.
    #[error("text between elements is ignored: put it into `<!-- … -->`")]
    TextIgnored,
    /// An expression that cannot be used.
    #[error(
        "`{0}` is no regular expression and is skipped, so that what it should hide is mirrored"
    )]
    BadRegex(String),
    /// Another element among a filter's expressions pushes one out.
    #[error(
        "`{0}` is not read, because another element stands among the expressions: remove that element"
    )]
    ExpressionNotRead(String),
    /// A number that is none.
    #[error("`{element}` is `{value}`: write a number; {taken} is taken")]
    NotANumber {
        /// The element.
        element: String,
        /// The value.
        value: String,
        /// What is taken.
        taken: i64,
    },
    /// A port that is none.
    #[error(
        "`{element}` is `{value}`, which is no port: write a number from 1 to 65535; it is ignored"
    )]
    NotAPort {
        /// The element.
        element: String,
        /// The value.
        value: String,
    },
    /// A second `localpath`.
    #[error("only the first `localpath` counts: `{0}` is not mirrored by sersync")]
    SecondLocalpath(String),
    /// A plugin that does not exist.
    #[error("plugin `{0}` does not exist (accepted: command, socket, refreshCDN)")]
    UnknownPlugin(String),
    /// A plugin without definition.
    #[error("plugin `{0}` is on but has no usable `<plugin name=\"{0}\">`")]
    UndefinedPlugin(String),
    /// A plugin that watches another directory.
    #[error("plugin `{plugin}` has sersync watch `{watch}` in place of its source")]
    PluginReplacesSource {
        /// The plugin.
        plugin: String,
        /// Its directory.
        watch: String,
    },
    /// Full pushes that never happen.
    #[error("`filter` is on and `crontabfilter` is not, so that sersync never runs `crontab`")]
    CrontabSwitchedOff,
}

impl FindingKind {
    /// The code of the note a translation prints for it, the thing it is about after a colon.
    pub fn code(&self) -> String {
        match self {
            Self::Missing(name) => format!("missing-element-default:{name}"),
            Self::NotTrue { element, .. } => format!("value-not-true:{element}"),
            Self::UnknownElement(name) => format!("unknown-element:{name}"),
            Self::TextIgnored => "text-ignored".to_owned(),
            Self::BadRegex(expression) => format!("bad-regex:{expression}"),
            Self::ExpressionNotRead(expression) => format!("expression-not-read:{expression}"),
            Self::NotANumber { element, .. } => format!("not-a-number:{element}"),
            Self::NotAPort { element, .. } => format!("not-a-port:{element}"),
            Self::SecondLocalpath(_) => "second-localpath-was-ignored".to_owned(),
            Self::UnknownPlugin(_) => "unknown-plugin".to_owned(),
            Self::UndefinedPlugin(_) => "undefined-plugin".to_owned(),
            Self::PluginReplacesSource { .. } => "plugin-watch-replaced-source".to_owned(),
            Self::CrontabSwitchedOff => "crontab-was-switched-off".to_owned(),
        }
    }
}

/// Why a configuration says too little to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfxmlProblem {
    /// No `localpath`.
    #[error(
        "there is no `localpath`: write `<localpath watch=\"DIRECTORY\">` inside of `<sersync>`"
    )]
    NoLocalpath,
    /// `watch` is empty or missing.
    #[error("`localpath` names no directory: write `watch=\"DIRECTORY\"`")]
    EmptyWatch,
    /// No `remote`.
    #[error(
        "`localpath` has no target: write `<remote ip=\"HOST\" name=\"MODULE\"/>` inside of it"
    )]
    NoRemote,
    /// `ip` is empty or missing.
    #[error("`remote` names no host: write `ip=\"HOST\"`")]
    EmptyIp,
    /// `name` is empty or missing.
    #[error("`remote` names no module: write `name=\"MODULE\"`")]
    NoName,
}
