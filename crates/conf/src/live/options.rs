//! rsync's options, by their long names.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum OptionValue {
    /// On or off.
    Switch(bool),
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

/// Which of them an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Number,
    Text,
}

use Kind::{Number, Switch, Text};

/// Every option that has a meaning in a mirror, in order of name. Recursion is always on; what concerns a
/// connection, a filter or deletion has a key of its own.
const TABLE: &[(&str, Kind)] = &[
    ("acls", Switch),
    ("append", Switch),
    ("append-verify", Switch),
    ("archive", Switch),
    ("atimes", Switch),
    ("backup", Switch),
    ("backup-dir", Text),
    ("block-size", Number),
    ("checksum", Switch),
    ("checksum-choice", Text),
    ("chmod", Text),
    ("chown", Text),
    ("compress", Switch),
    ("compress-choice", Text),
    ("compress-level", Number),
    ("copy-dirlinks", Switch),
    ("copy-links", Switch),
    ("copy-unsafe-links", Switch),
    ("cvs-exclude", Switch),
    ("delete-excluded", Switch),
    ("devices", Switch),
    ("dry-run", Switch),
    ("executability", Switch),
    ("existing", Switch),
    ("fake-super", Switch),
    ("force", Switch),
    ("fsync", Switch),
    ("group", Switch),
    ("groupmap", Text),
    ("hard-links", Switch),
    ("iconv", Text),
    ("ignore-existing", Switch),
    ("ignore-times", Switch),
    ("inplace", Switch),
    ("ipv4", Switch),
    ("ipv6", Switch),
    ("keep-dirlinks", Switch),
    ("links", Switch),
    ("max-size", Text),
    ("min-size", Text),
    ("modify-window", Number),
    ("munge-links", Switch),
    ("numeric-ids", Switch),
    ("omit-dir-times", Switch),
    ("omit-link-times", Switch),
    ("one-file-system", Switch),
    ("owner", Switch),
    ("partial", Switch),
    ("partial-dir", Text),
    ("perms", Switch),
    ("preallocate", Switch),
    ("prune-empty-dirs", Switch),
    ("rsync-path", Text),
    ("safe-links", Switch),
    ("size-only", Switch),
    ("skip-compress", Text),
    ("sparse", Switch),
    ("specials", Switch),
    ("suffix", Text),
    ("super", Switch),
    ("temp-dir", Text),
    ("times", Switch),
    ("update", Switch),
    ("usermap", Text),
    ("whole-file", Switch),
    ("xattrs", Switch),
];

/// What `archive` stands for beside recursion.
pub(crate) const ARCHIVE: [&str; 7] =
    ["links", "perms", "times", "group", "owner", "devices", "specials"];

/// Options of rsync that are set.
///
/// A mirror is made with `archive` unless it is switched off, and every part of it can be switched by its own
/// name, as after `-a --no-perms`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<&'static str, OptionValue>);

impl Options {
    /// Sets an option; fails if rsync has no such option for a mirror, or it takes another kind of value.
    pub fn set(&mut self, name: &str, value: OptionValue) -> Result<(), OptionValue> {
        let kind = match value {
            OptionValue::Switch(_) => Switch,
            OptionValue::Number(_) => Number,
            OptionValue::Text(_) => Text,
        };
        match entry(name) {
            Some((name, known)) if known == kind => {
                self.0.insert(name, value);
                Ok(())
            }
            _ => Err(value),
        }
    }

    /// Sets an option from the text that follows its name on a command line, none for a switch.
    pub(crate) fn set_from_text(&mut self, name: &str, text: Option<&str>) -> bool {
        let value = match (entry(name), text) {
            (Some((_, Switch)), None) => OptionValue::Switch(true),
            (Some((_, Text)), Some(text)) if !text.contains(['\0', '\n']) => {
                OptionValue::Text(text.to_owned())
            }
            (Some((_, Number)), Some(text)) => match text.parse() {
                Ok(number) => OptionValue::Number(number),
                Err(_) => return false,
            },
            _ => return false,
        };
        self.set(name, value).is_ok()
    }

    /// Whether the option takes a value.
    pub(crate) fn takes_value(name: &str) -> Option<bool> {
        entry(name).map(|(_, kind)| kind != Switch)
    }

    /// An option, if it is set.
    pub fn value(&self, name: &str) -> Option<&OptionValue> {
        self.0.get(name)
    }

    /// Whether a switch is on, `archive` considered.
    pub fn is_on(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(OptionValue::Switch(on)) => *on,
            Some(_) => false,
            None => name == "archive" || (ARCHIVE.contains(&name) && self.is_on("archive")),
        }
    }

    /// All that are set, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &OptionValue)> {
        self.0.iter().map(|(&name, value)| (name, value))
    }

    /// These, with those of a target in place of those of the same name.
    pub fn overridden_by(&self, target: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(target.0.iter().map(|(&name, value)| (name, value.clone())));
        Self(all)
    }
}

fn entry(name: &str) -> Option<(&'static str, Kind)> {
    let index = TABLE.binary_search_by_key(&name, |(name, _)| name).ok()?;
    TABLE.get(index).copied()
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of rsync's options such as `{ compress = true }`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
                let mut options = BTreeMap::new();
                while let Some(Name(name, kind)) = map.next_key()? {
                    options.insert(name, map.next_value_seed(kind)?);
                }
                Ok(Options(options))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

struct Name(&'static str, Kind);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some((name, kind)) = entry(&name) {
            Ok(Self(name, kind))
        } else {
            let names: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
            Err(de::Error::custom(format_args!(
                "unknown option `{}`, expected one of {}",
                crate::text::show(name.as_bytes()),
                names.join(", ")
            )))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = OptionValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<OptionValue, D::Error> {
        match self {
            Switch => bool::deserialize(deserializer).map(OptionValue::Switch),
            Number => i64::deserialize(deserializer).map(OptionValue::Number),
            Text => super::Word::deserialize(deserializer)
                .map(|word| OptionValue::Text(word.as_str().to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_all_of_archive() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| *name));
        assert!(ARCHIVE.iter().all(|name| entry(name) == Some((name, Switch))));
    }

    #[test]
    fn a_mirror_archives_unless_told_otherwise() {
        let mut options = Options::default();
        assert!(options.is_on("perms") && !options.is_on("compress"));
        options.set("perms", OptionValue::Switch(false)).unwrap();
        assert!(!options.is_on("perms") && options.is_on("owner"));
        options.set("archive", OptionValue::Switch(false)).unwrap();
        assert!(!options.is_on("owner"));
        let mut target = Options::default();
        target.set("owner", OptionValue::Switch(true)).unwrap();
        assert!(options.overridden_by(&target).is_on("owner"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_handed_back() {
        let mut options = Options::default();
        let text = OptionValue::Text("x".into());
        assert_eq!(options.set("compress", text.clone()), Err(text.clone()));
        assert_eq!(options.set("delete", text.clone()), Err(text));
        assert!(options.set_from_text("modify-window", Some("-1")));
        assert!(!options.set_from_text("modify-window", Some("x")));
        assert!(!options.set_from_text("compress", Some("1")));
    }
}
