//! Text to a configuration, and errors to the places they come from.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, check};
use crate::{Error, Location};

pub(super) fn read(file: &Path, text: &[u8]) -> Result<Config, Error> {
    let text = str::from_utf8(text).map_err(|error| Error::Live {
        location: Location::new(file, line_of(text, error.valid_up_to())),
        key: String::new(),
        problem: "this is not UTF-8, as TOML must be".into(),
    })?;
    let fail = |document: Option<&Spanned<DeTable<'_>>>, error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let key = document.map_or(String::new(), |document| key_at(document, &span));
        let location = Location::new(file, line_of(text.as_bytes(), span.start));
        Error::Live { location, key, problem: error.message().to_owned() }
    };
    let document = DeTable::parse(text).map_err(|error| fail(None, &error))?;
    let config = Config::deserialize(toml::de::Deserializer::from(document.clone()))
        .map_err(|error| fail(Some(&document), &error))?;
    check::check(&config).map_err(|fault| {
        let (key, start) = place_of(&document, &fault.place);
        let location = Location::new(file, line_of(text.as_bytes(), start));
        Error::Live { location, key, problem: fault.problem }
    })?;
    Ok(config)
}

/// The line that holds the byte at `offset`; the first is 1.
fn line_of(text: &[u8], offset: usize) -> u32 {
    let before = &text[..offset.min(text.len())];
    u32::try_from(before.split(|&byte| byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// A step from a table or a list to what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

/// The name of a place, as in `mirror[0].target[1].url`.
pub(super) fn name_of(place: &[Step]) -> String {
    let mut name = String::new();
    for step in place {
        match step {
            Step::Key(key) => extend(&mut name, key),
            Step::Index(index) => {
                let _ = write!(name, "[{index}]");
            }
        }
    }
    name
}

/// The name and the offset of the value at `place`, or of what holds it if it is not there.
fn place_of(document: &Spanned<DeTable<'_>>, place: &[Step]) -> (String, usize) {
    let mut start = 0;
    let mut table = Some(document.get_ref());
    let mut value: Option<&DeValue<'_>> = None;
    for step in place {
        let next = match step {
            Step::Key(key) => table.and_then(|table| table.get(*key)),
            Step::Index(index) => value.and_then(|value| value.get(*index)),
        };
        if let Some(next) = next {
            start = next.span().start;
        }
        value = next.map(Spanned::get_ref);
        table = value.and_then(DeValue::as_table);
    }
    (name_of(place), start)
}

/// The name of the smallest key or value whose text holds `span`.
fn key_at(document: &Spanned<DeTable<'_>>, span: &Range<usize>) -> String {
    let mut best = (usize::MAX, String::new());
    search_table(document.get_ref(), "", span, &mut best);
    best.1
}

fn search_table(table: &DeTable<'_>, name: &str, span: &Range<usize>, best: &mut (usize, String)) {
    for (key, value) in table {
        let mut inner = name.to_owned();
        extend(&mut inner, key.get_ref());
        consider(&key.span(), &inner, span, best);
        search_value(value, &inner, span, best);
    }
}

fn search_value(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    span: &Range<usize>,
    best: &mut (usize, String),
) {
    consider(&value.span(), name, span, best);
    match value.get_ref() {
        DeValue::Table(table) => search_table(table, name, span, best),
        DeValue::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                search_value(value, &format!("{name}[{index}]"), span, best);
            }
        }
        _ => {}
    }
}

fn consider(candidate: &Range<usize>, name: &str, span: &Range<usize>, best: &mut (usize, String)) {
    let holds = candidate.start <= span.start && span.end <= candidate.end;
    // A list of one has the span of its item: the item comes later and is the better name.
    if holds && candidate.len() <= best.0 {
        *best = (candidate.len(), name.to_owned());
    }
}

fn extend(name: &mut String, key: &str) {
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(&crate::text::show(key.as_bytes()));
}
