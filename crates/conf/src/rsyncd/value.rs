//! The types a parameter's value can have, and a value together with where it came from.

use std::fmt;
use std::ops::Deref;

use crate::text::{is_blank, show};
use crate::{Location, Text, Variables};

/// The value of a parameter and where it came from. It dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    value: T,
    origin: Origin,
}

/// Where a value came from; shown as `FILE:LINE`, `command line` or `built-in default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nothing set it.
    BuiltIn,
    /// A parameter given to the program (`--dparam`).
    CommandLine,
    /// A line of a configuration file.
    File(Location),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in default"),
            Self::CommandLine => f.write_str("command line"),
            Self::File(location) => location.fmt(f),
        }
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Setting<T> {
    /// Where the value came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether anything set it.
    pub fn is_set(&self) -> bool {
        self.origin != Origin::BuiltIn
    }
}

/// What the table does with its settings.
pub(super) trait Assign: Sized {
    /// A value that nothing has set.
    fn built_in(default: &str) -> Self;

    /// Sets the value, unless it cannot be read: then the previous one stays, as in stock.
    fn assign(&mut self, text: &[u8], origin: &Origin, variables: &dyn Variables) -> Assigned;

    /// A string without built-in value that nothing has set takes the default as it is at the end of the file
    /// (daemon.md 2.1).
    fn take_late_default(&mut self, built_in: &str, default: &Self);
}

impl<T: ParameterType + Clone> Assign for Setting<T> {
    fn built_in(default: &str) -> Self {
        let value = match T::parse(default.as_bytes(), &no_variables) {
            Reading::Good(value) | Reading::Lenient(value) => value,
            Reading::Bad => T::default(),
        };
        Self { value, origin: Origin::BuiltIn }
    }

    fn assign(&mut self, text: &[u8], origin: &Origin, variables: &dyn Variables) -> Assigned {
        let (value, assigned) = match T::parse(text, variables) {
            Reading::Good(value) => (value, Assigned::Good),
            Reading::Lenient(value) => {
                let used = show(&value.written());
                (value, Assigned::Lenient { used })
            }
            Reading::Bad => return Assigned::Bad { stays: show(&self.value.written()) },
        };
        *self = Self { value, origin: origin.clone() };
        assigned
    }

    fn take_late_default(&mut self, built_in: &str, default: &Self) {
        if T::KIND.is_text() && built_in.is_empty() && !self.is_set() {
            *self = default.clone();
        }
    }
}

/// What became of an assignment.
pub(super) enum Assigned {
    Good,
    /// Something was ignored.
    Lenient {
        used: String,
    },
    /// The value could not be read at all.
    Bad {
        stays: String,
    },
}

pub(super) enum Reading<T> {
    Good(T),
    Lenient(T),
    Bad,
}

/// The kind of value a parameter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Yes or no.
    Boolean,
    /// Yes, no or unset.
    Tristate,
    /// A number.
    Integer,
    /// Bytes as they are.
    String,
    /// A string whose trailing slashes are removed.
    Path,
    /// A facility of syslog.
    Facility,
}

impl Kind {
    fn is_text(self) -> bool {
        matches!(self, Self::String | Self::Path)
    }

    /// The values that are accepted.
    pub fn accepted(self) -> &'static str {
        match self {
            Self::Boolean => "yes, true, 1, no, false, 0",
            Self::Tristate => "yes, true, 1, no, false, 0, unset, -1",
            Self::Integer => "a decimal number",
            Self::String => "any text",
            Self::Path => "a path",
            Self::Facility => {
                "auth, authpriv, cron, daemon, ftp, kern, lpr, mail, news, security, syslog, user, uucp, local0 to \
                 local7, or a number"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Tristate => "boolean or unset",
            Self::Integer => "number",
            Self::String => "string",
            Self::Path => "path",
            Self::Facility => "syslog facility",
        })
    }
}

/// A type of values.
pub(super) trait ParameterType: Sized + Default {
    const KIND: Kind;

    fn parse(text: &[u8], variables: &dyn Variables) -> Reading<Self>;

    /// The value as a file would have it.
    fn written(&self) -> Vec<u8>;
}

impl ParameterType for bool {
    const KIND: Kind = Kind::Boolean;

    fn parse(text: &[u8], variables: &dyn Variables) -> Reading<Self> {
        match folded_expansion(text, variables).as_deref() {
            Some(b"yes" | b"true" | b"1") => Reading::Good(true),
            Some(b"no" | b"false" | b"0") => Reading::Good(false),
            _ => Reading::Bad,
        }
    }

    fn written(&self) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

impl ParameterType for Option<bool> {
    const KIND: Kind = Kind::Tristate;

    fn parse(text: &[u8], variables: &dyn Variables) -> Reading<Self> {
        if matches!(folded_expansion(text, variables).as_deref(), Some(b"unset" | b"-1")) {
            return Reading::Good(None);
        }
        match bool::parse(text, variables) {
            Reading::Good(value) => Reading::Good(Some(value)),
            _ => Reading::Bad,
        }
    }

    fn written(&self) -> Vec<u8> {
        self.map_or_else(|| b"unset".to_vec(), |value| value.written())
    }
}

impl ParameterType for i32 {
    const KIND: Kind = Kind::Integer;

    fn parse(text: &[u8], variables: &dyn Variables) -> Reading<Self> {
        let Some(text) = expansion(text, variables) else { return Reading::Bad };
        match leading_integer(&text) {
            (value, true) => Reading::Good(value),
            (value, false) => Reading::Lenient(value),
        }
    }

    fn written(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl ParameterType for Text {
    const KIND: Kind = Kind::String;

    fn parse(text: &[u8], _: &dyn Variables) -> Reading<Self> {
        Reading::Good(Self::from(text))
    }

    fn written(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

/// A path: a [`Text`] without trailing slashes, `/` itself excepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PathText(Text);

impl Deref for PathText {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.0
    }
}

impl ParameterType for PathText {
    const KIND: Kind = Kind::Path;

    fn parse(text: &[u8], _: &dyn Variables) -> Reading<Self> {
        let end =
            text.iter().rposition(|&byte| byte != b'/').map_or(text.len().min(1), |last| last + 1);
        Reading::Good(Self(Text::from(&text[..end])))
    }

    fn written(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

/// A facility of syslog: its raw value, as `<syslog.h>` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facility(i32);

impl Facility {
    /// The value to be passed to `openlog`.
    pub fn raw(self) -> i32 {
        self.0
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self(3 << 3)
    }
}

const FACILITIES: [(&[u8], i32); 21] = [
    (b"kern", 0),
    (b"user", 1),
    (b"mail", 2),
    (b"daemon", 3),
    (b"auth", 4),
    (b"security", 4),
    (b"syslog", 5),
    (b"lpr", 6),
    (b"news", 7),
    (b"uucp", 8),
    (b"cron", 9),
    (b"authpriv", 10),
    (b"ftp", 11),
    (b"local0", 16),
    (b"local1", 17),
    (b"local2", 18),
    (b"local3", 19),
    (b"local4", 20),
    (b"local5", 21),
    (b"local6", 22),
    (b"local7", 23),
];

impl ParameterType for Facility {
    const KIND: Kind = Kind::Facility;

    fn parse(text: &[u8], variables: &dyn Variables) -> Reading<Self> {
        let Some(text) = expansion(text, variables) else { return Reading::Bad };
        if let Some((_, number)) =
            FACILITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text))
        {
            return Reading::Good(Self(number << 3));
        }
        match leading_integer(&text) {
            (number @ 1.., true) => Reading::Good(Self(number)),
            (number @ 1.., false) => Reading::Lenient(Self(number)),
            _ => Reading::Bad,
        }
    }

    fn written(&self) -> Vec<u8> {
        match FACILITIES.iter().find(|(_, number)| number << 3 == self.0) {
            Some((name, _)) => name.to_vec(),
            None => self.0.to_string().into_bytes(),
        }
    }
}

/// A number as stock reads it: blanks, a sign, digits; the rest is ignored, and there may be none. What does not
/// fit wraps as it does in C. Also tells whether that was all of the text.
pub(crate) fn leading_integer(text: &[u8]) -> (i32, bool) {
    let start =
        text.iter().position(|&byte| !is_blank(byte) && byte != b'\n').unwrap_or(text.len());
    let text = &text[start..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut value = 0_i64;
    for digit in &digits[..count] {
        let digit = i64::from(digit - b'0');
        let step = value.saturating_mul(10);
        value = if negative { step.saturating_sub(digit) } else { step.saturating_add(digit) };
    }
    (value as i32, count > 0 && count == digits.len() && i32::try_from(value).is_ok())
}

pub(super) fn no_variables(_: &[u8]) -> Option<Vec<u8>> {
    None
}

fn expansion(text: &[u8], variables: &dyn Variables) -> Option<Vec<u8>> {
    Text::from(text).expand(variables).ok().map(std::borrow::Cow::into_owned)
}

fn folded_expansion(text: &[u8], variables: &dyn Variables) -> Option<Vec<u8>> {
    expansion(text, variables).map(|text| fold(&text))
}

/// Names and booleans are compared without blanks and without regard to case.
pub(super) fn fold(text: &[u8]) -> Vec<u8> {
    text.iter()
        .filter(|&&byte| !is_blank(byte) && byte != b'\n')
        .map(u8::to_ascii_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: ParameterType>(text: &str) -> Option<T> {
        match T::parse(text.as_bytes(), &|name: &[u8]| (name == b"YES").then(|| b"yes".to_vec())) {
            Reading::Good(value) | Reading::Lenient(value) => Some(value),
            Reading::Bad => None,
        }
    }

    #[test]
    fn booleans_ignore_case_and_blanks_and_nothing_else() {
        assert_eq!(read::<bool>("t R u\te"), Some(true));
        assert_eq!(read::<bool>("0"), Some(false));
        assert_eq!(read::<bool>("%YES%"), Some(true));
        for text in ["on", "off", "y", "", "unset", "是", "ｙｅｓ"] {
            assert_eq!(read::<bool>(text), None, "{text}");
        }
        assert_eq!(read::<Option<bool>>("Un Set"), Some(None));
        assert_eq!(read::<Option<bool>>("-1"), Some(None));
        assert_eq!(read::<Option<bool>>("no"), Some(Some(false)));
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, expected) in [
            ("12abc", (12, false)),
            ("abc", (0, false)),
            ("0x10", (0, false)),
            (" +7", (7, true)),
            ("-3", (-3, true)),
            ("4294967297", (1, false)),
            ("99999999999999999999", (-1, false)),
        ] {
            assert_eq!(leading_integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_path_loses_its_trailing_slashes() {
        for (text, expected) in
            [("/srv//", "/srv"), ("/", "/"), ("///", "/"), ("", ""), ("/a b /", "/a b ")]
        {
            assert_eq!(read::<PathText>(text).unwrap().as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn facilities_are_names_or_positive_numbers() {
        assert_eq!(read::<Facility>("LOCAL7").unwrap().raw(), 23 << 3);
        assert_eq!(read::<Facility>("security").unwrap().written(), b"auth");
        assert_eq!(read::<Facility>("5").unwrap().raw(), 5);
        assert_eq!(read::<Facility>("nope"), None);
    }
}
