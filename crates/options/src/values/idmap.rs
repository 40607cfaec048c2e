//! `--usermap`, `--groupmap`, `--chown` (cli.md 4.5). The text travels to the receiving side, which parses it.

use crate::word::{Shown, Word};

/// What a map entry matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A name or a pattern (`*`, `?`, `[`).
    Name(Word),
    /// Ids from the first to the second, both included.
    Ids(u32, u32),
    /// Ids that have no name.
    Nameless,
}

/// What an entry maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A name on the receiver.
    Name(Word),
    /// A number.
    Id(u32),
}

/// One `FROM:TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it matches.
    pub from: From,
    /// What it becomes.
    pub to: To,
}

/// An error in a map; the option's name is `usermap` or `groupmap`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapProblem {
    /// No colon.
    #[error("No colon found in --{0}: {word}", word = Shown(.1))]
    NoColon(&'static str, Word),
    /// Nothing after the colon.
    #[error("No name found after colon --{0}: {word}", word = Shown(.1))]
    NoName(&'static str, Word),
    /// A broken number or range.
    #[error("Invalid number in --{0}: {word}", word = Shown(.1))]
    BadNumber(&'static str, Word),
    /// More than 32 bits.
    #[error("Invalid ID number: {}", Shown(.0))]
    BadId(Word),
}

/// Parses a whole list for the option called `option`; the first entry that matches wins.
pub fn parse(option: &'static str, text: &[u8]) -> Result<Vec<Entry>, MapProblem> {
    text.split(|&b| b == b',').map(|item| parse_entry(option, item)).collect()
}

fn parse_entry(option: &'static str, item: &[u8]) -> Result<Entry, MapProblem> {
    let Some(colon) = item.iter().position(|&b| b == b':') else {
        return Err(MapProblem::NoColon(option, item.to_vec()));
    };
    let (from, to) = (&item[..colon], &item[colon + 1..]);
    if to.is_empty() {
        return Err(MapProblem::NoName(option, item.to_vec()));
    }
    let from = match from {
        [] => From::Nameless,
        [b'0'..=b'9', ..] => {
            let bad = || MapProblem::BadNumber(option, from.to_vec());
            let (low, high) = match from.iter().position(|&b| b == b'-') {
                Some(dash) => (&from[..dash], &from[dash + 1..]),
                None => (from, from),
            };
            if high.is_empty() || !low.iter().chain(high).all(u8::is_ascii_digit) {
                return Err(bad());
            }
            From::Ids(id(low)?, id(high)?)
        }
        name => From::Name(name.to_vec()),
    };
    let to =
        if to.iter().all(u8::is_ascii_digit) { To::Id(id(to)?) } else { To::Name(to.to_vec()) };
    Ok(Entry { from, to })
}

fn id(digits: &[u8]) -> Result<u32, MapProblem> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| MapProblem::BadId(digits.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_an_entry_are_read() {
        let map = parse("usermap", b"0-99:nobody,*:1000,:x,bob:rob").expect("a good map");
        assert_eq!(map.len(), 4);
        assert_eq!(map[0], Entry { from: From::Ids(0, 99), to: To::Name(b"nobody".to_vec()) });
        assert_eq!(map[1], Entry { from: From::Name(b"*".to_vec()), to: To::Id(1000) });
        assert_eq!(map[2].from, From::Nameless);
    }

    #[test]
    fn broken_entries_have_stock_texts() {
        for (text, message) in [
            ("x", "No colon found in --usermap: x"),
            ("x:", "No name found after colon --usermap: x:"),
            ("1-z:a", "Invalid number in --usermap: 1-z"),
            ("99999999999:a", "Invalid ID number: 99999999999"),
        ] {
            assert_eq!(
                parse("usermap", text.as_bytes()).map_err(|e| e.to_string()),
                Err(message.to_owned())
            );
        }
    }
}
