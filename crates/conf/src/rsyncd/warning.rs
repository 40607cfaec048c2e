//! What a stock daemon passes over in silence, or nearly, and an administrator wants to know.

use std::fmt;

use super::value::{Kind, Origin};
use crate::access::AccessFinding;
use crate::auth::AuthFinding;
use crate::socket_options::SocketOptionFinding;

/// A leniency of stock that the configuration depends on. It keeps stock's meaning; the text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Where.
    pub origin: Origin,
    /// What.
    pub kind: WarningKind,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.kind)
    }
}

/// A character that is not the ASCII one it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lookalike {
    /// What stands there.
    pub found: char,
    /// What was meant.
    pub meant: char,
}

impl fmt::Display for Lookalike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it holds `{}` (U+{:04X}) where `{}` is meant",
            self.found,
            u32::from(self.found),
            self.meant
        )
    }
}

/// What is probably wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// It ends in what was meant as a comment.
    Comment,
    /// It holds a character that only looks right.
    Lookalike(Lookalike),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment => f.write_str(OWN_LINE),
            Self::Lookalike(lookalike) => lookalike.fmt(f),
        }
    }
}

/// The kinds of warnings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// The file begins with a UTF-8 byte order mark.
    ByteOrderMark,
    /// A line without `=`.
    NotAParameter {
        /// The line.
        text: String,
        /// A lookalike in it.
        lookalike: Option<Lookalike>,
    },
    /// `[name] text`
    TextAfterSection {
        /// The section.
        section: String,
        /// The text.
        text: String,
    },
    /// A name that is not in the table.
    UnknownParameter {
        /// The name.
        name: String,
        /// What was probably meant.
        suggestion: Option<&'static str>,
        /// A lookalike in it.
        lookalike: Option<Lookalike>,
    },
    /// A global parameter in a module.
    GlobalInModule {
        /// The parameter.
        name: &'static str,
        /// The module.
        module: String,
    },
    /// A value of the wrong kind.
    BadValue {
        /// The parameter.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        kind: Kind,
        /// The value that stays.
        stays: String,
        /// What is probably wrong with it.
        hint: Option<Hint>,
    },
    /// A number with something behind it, or none at all.
    NotANumber {
        /// The parameter.
        name: &'static str,
        /// The value.
        value: String,
        /// The number taken.
        used: String,
        /// What is probably wrong with it.
        hint: Option<Hint>,
    },
    /// A text that seems to end in a comment.
    CommentInValue {
        /// The parameter.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// A text with a lookalike where none belongs.
    LookalikeInValue {
        /// The parameter.
        name: &'static str,
        /// The value.
        value: String,
        /// The character.
        lookalike: Lookalike,
    },
    /// A token of an access list.
    Access {
        /// `hosts allow`, `hosts deny` or `proxy protocol hosts`.
        name: &'static str,
        /// What is wrong with it.
        finding: AccessFinding,
        /// The module is open to hosts that `hosts allow` does not have.
        opens: bool,
    },
    /// A rule of `auth users`.
    Auth {
        /// What is wrong with it.
        finding: AuthFinding,
    },
    /// An item of `socket options`.
    SocketOption {
        /// What is wrong with it.
        finding: SocketOptionFinding,
    },
    /// `auth users` without `secrets file`.
    NoSecretsFile {
        /// The module.
        module: String,
    },
    /// A digest that does not exist.
    UnknownDigest {
        /// The value of `auth digest`.
        value: String,
    },
    /// A module without `path`.
    NoPath {
        /// The module.
        module: String,
    },
    /// A parameter of the listener below the first section.
    ListenerParameterBelowSection {
        /// The parameter.
        name: &'static str,
    },
    /// A global parameter in an included file.
    GlobalInInclude {
        /// The parameter.
        name: &'static str,
    },
    /// An included file that only sets defaults.
    IncludeWithoutEffect {
        /// The file.
        path: String,
    },
    /// A parameter after an `&include` in a module.
    ParameterAfterInclude {
        /// The parameter.
        name: &'static str,
        /// The module.
        module: String,
    },
    /// `refuse options = a,b`
    CommaInRefuseOptions {
        /// The word.
        word: String,
    },
    /// `proxy protocol = yes` alone.
    NoProxyHosts,
}

const OWN_LINE: &str = "a comment after a value is part of the value: give it a line of its own";

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str(
                "the file begins with a byte order mark, which becomes part of the first name and makes that line \
                 void: save it as UTF-8 without BOM",
            ),
            Self::NotAParameter { text, lookalike } => {
                write!(f, "`{text}` has no `=` and is ignored")?;
                match lookalike {
                    Some(lookalike) => write!(f, ": {lookalike}"),
                    None => f.write_str(": write `NAME = VALUE`, or put a # before it"),
                }
            }
            Self::TextAfterSection { section, text } => {
                write!(f, "`{text}` after `[{section}]` is ignored: begin a new line")
            }
            Self::UnknownParameter { name, suggestion, lookalike } => {
                write!(f, "unknown parameter `{name}` is ignored")?;
                match (lookalike, suggestion) {
                    (Some(lookalike), _) => write!(f, ": {lookalike}"),
                    (None, Some(suggestion)) => write!(f, ": did you mean `{suggestion}`?"),
                    (None, None) => f.write_str(": remove it or correct its name"),
                }
            }
            Self::GlobalInModule { name, module } => write!(
                f,
                "global parameter `{name}` is ignored in module [{module}]: move it above the first section"
            ),
            Self::BadValue { name, value, kind, stays, hint } => {
                let wanted = match kind {
                    Kind::Boolean | Kind::Tristate => "boolean",
                    _ => "valid value",
                };
                write!(
                    f,
                    "`{name} = {value}` is not a {wanted} (accepted: {}), so the value stays `{stays}`",
                    kind.accepted()
                )?;
                hint.map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            Self::NotANumber { name, value, used, hint } => {
                write!(f, "`{name} = {value}` is not just a number and is taken as {used}: write a decimal number")?;
                hint.map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            Self::CommentInValue { name, value } => write!(f, "the value of `{name}` is `{value}`: {OWN_LINE}"),
            Self::LookalikeInValue { name, value, lookalike } => {
                write!(f, "the value of `{name}` is `{value}`: {lookalike}")
            }
            Self::Access { name, finding, opens } => {
                write!(f, "`{name}`: {finding}")?;
                if *opens {
                    f.write_str(
                        "; as it matches nobody, hosts that `hosts allow` does not have are let in, though without \
                         `hosts deny` they would not be",
                    )?;
                }
                Ok(())
            }
            Self::Auth { finding } => write!(f, "`auth users`: {finding}"),
            Self::SocketOption { finding } => write!(f, "`socket options`: {finding}"),
            Self::NoSecretsFile { module } => write!(
                f,
                "module [{module}] has `auth users` but no `secrets file`, so that nobody can enter: set `secrets file`"
            ),
            Self::UnknownDigest { value } => write!(
                f,
                "`auth digest = {value}` is no digest (accepted: sha512, sha256, sha1, md5, md4), so that nobody can enter"
            ),
            Self::NoPath { module } => {
                write!(f, "module [{module}] has no `path`, so that nobody can use it: set `path`")
            }
            Self::ListenerParameterBelowSection { name } => write!(
                f,
                "`{name}` has no effect here, because the daemon reads it at start and only above the first [section], \
                 [global] included: move it there"
            ),
            Self::GlobalInInclude { name } => write!(
                f,
                "global parameter `{name}` has no effect in a file that is read by &include: use &merge, or move it"
            ),
            Self::IncludeWithoutEffect { path } => write!(
                f,
                "`{path}` only sets defaults, and those end with an included file: use &merge instead of &include"
            ),
            Self::ParameterAfterInclude { name, module } => write!(
                f,
                "`{name}` sets a default and not module [{module}], because &include has ended the module: move the \
                 &include out of the module, or use &merge"
            ),
            Self::CommaInRefuseOptions { word } => {
                write!(f, "`refuse options`: `{word}` is one word and names no option: separate options with blanks")
            }
            Self::NoProxyHosts => f.write_str(
                "\"proxy protocol = true\" but \"proxy protocol hosts\" is unset: all connections will be rejected as \
                 untrusted proxy peers.  Set \"proxy protocol hosts\" to your trusted proxy's address.",
            ),
        }
    }
}
