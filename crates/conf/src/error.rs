//! The error of this crate.

use std::io;

use crate::Location;

/// Why a configuration, or a value in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `[]`
    #[error("{location}: the section has no name: write `[name]`")]
    EmptySectionName {
        /// Where.
        location: Location,
    },
    /// `[name` and the end of the line or of the file.
    #[error(
        "{location}: the section header `[{name}` is not closed: end it with `]` on the same line"
    )]
    UnclosedSection {
        /// Where.
        location: Location,
        /// What was read of the name.
        name: String,
    },
    /// `[a/b]`
    #[error(
        "{location}: `[{name}]` is no module name, because a client ends it at the `/`: use a name without `/`"
    )]
    SlashInSectionName {
        /// Where.
        location: Location,
        /// The name.
        name: String,
    },
    /// `= value`
    #[error("{location}: there is no parameter name before the `=`")]
    NoParameterName {
        /// Where.
        location: Location,
    },
    /// `&name`
    #[error("{location}: unknown directive `&{name}` (accepted: &include, &merge)")]
    UnknownDirective {
        /// Where.
        location: Location,
        /// Its name.
        name: String,
    },
    /// The target of a directive could not be read.
    #[error("{location}: cannot read `{path}` named by `&{directive}`: {source}")]
    Include {
        /// Where the directive stands.
        location: Location,
        /// `include` or `merge`.
        directive: &'static str,
        /// Its target.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// Files include each other too deeply, probably for ever.
    #[error(
        "{location}: files include each other more than {limit} deep: does a file include itself?"
    )]
    IncludesTooDeep {
        /// Where the innermost directive stands.
        location: Location,
        /// The bound.
        limit: usize,
    },
    /// Includes read too many files or bytes.
    #[error("{location}: the included files together are more than {limit} {unit}")]
    IncludesTooLarge {
        /// Where the directive stands.
        location: Location,
        /// The bound.
        limit: usize,
        /// `files` or `bytes`.
        unit: &'static str,
    },
    /// A parameter given on the command line is not known.
    #[error("unknown parameter \"{name}\"{}", suggestion.map_or(String::new(), |name| format!(": did you mean \"{name}\"?")))]
    UnknownParameter {
        /// As given.
        name: String,
        /// The known name that is nearest.
        suggestion: Option<&'static str>,
    },
    /// A parameter given on the command line has no `=`.
    #[error("the parameter is missing an '=': {text}")]
    ParameterWithoutValue {
        /// As given.
        text: String,
    },
    /// A value grew too much when its variables were replaced.
    #[error("`{template}` is longer than {limit} bytes after its variables are replaced")]
    ExpansionTooLong {
        /// The value as written.
        template: String,
        /// The bound.
        limit: usize,
    },
    /// A variable of the session must not reach a shell.
    #[error("refusing to run shell hook: %{variable}% holds a shell metacharacter")]
    ShellMetacharacter {
        /// Its name.
        variable: String,
    },
    /// A `log format` longer than stock takes.
    #[error("the log format has {length} bytes, more than {limit}")]
    LogFormatTooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// A client's password file whose first line is empty.
    #[error("the password file holds no password on its first line")]
    NoPassword,
    /// A confxml.xml that cannot be read as XML.
    #[error("line {line}, column {column}: {problem}")]
    Xml {
        /// The line of the problem; the first is 1.
        line: u32,
        /// The column after the text that shows it; the first is 1.
        column: u32,
        /// What to change.
        problem: crate::sersync::XmlProblem,
    },
    /// A confxml.xml that is XML but says too little to run.
    #[error("line {line}: {problem}")]
    Confxml {
        /// The line of the element; the first is 1.
        line: u32,
        /// What to change.
        problem: crate::sersync::ConfxmlProblem,
    },
    /// A synclive.toml that cannot be used.
    #[error("{location}: {}{problem}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    Live {
        /// Where.
        location: Location,
        /// The key, as in `mirror[0].target[1].url`; empty if there is none.
        key: String,
        /// What is wrong, and what is accepted.
        problem: String,
    },
    /// A configuration that does not come from a file and cannot be used.
    #[error("`{key}`: {problem}")]
    LiveCheck {
        /// The key, as in `mirror[0].target[1].url`.
        key: String,
        /// What is wrong, and what is accepted.
        problem: String,
    },
    /// A configuration that cannot be written as TOML.
    #[error("cannot write the configuration as TOML: {problem}")]
    LivePrint {
        /// Why.
        problem: String,
    },
    /// A configuration of lsyncd that cannot be read, or that lsyncd refuses as well.
    #[error("{location}: {problem}")]
    Lsyncd {
        /// Where.
        location: Location,
        /// What is wrong.
        problem: String,
    },
}
