//! The small values: times, sizes, rates, rules.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Makes a type that has `FromStr` and `Display` a string in TOML; `$expecting` is what an error asks for.
macro_rules! as_text {
    ($type:ty, $expecting:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(|()| {
                            E::custom(format_args!(
                                "`{}` is not {}",
                                $crate::text::show(text.as_bytes()),
                                $expecting
                            ))
                        })
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
pub(super) use as_text;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(pub Duration);

as_text!(Interval, "a time such as `500ms`, `30s`, `10m`, `2h` or `1d`");

/// Units of time in milliseconds, the longest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Ten years: more is a slip of the finger.
const MAX_MILLISECONDS: u64 = 10 * 366 * 86_400_000;

impl FromStr for Interval {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.find(|byte: char| !byte.is_ascii_digit()).ok_or(())?;
        let (number, unit) = text.split_at(digits);
        let (_, milliseconds) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or(())?;
        let number: u64 = number.parse().map_err(drop)?;
        let total = number.checked_mul(*milliseconds).filter(|&total| total <= MAX_MILLISECONDS);
        total.map(|total| Self(Duration::from_millis(total))).ok_or(())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = |(_, unit): &&(&str, u64)| total != 0 && total % unit == 0;
        let (name, unit) = TIME_UNITS.iter().find(whole).unwrap_or(&("s", 1_000));
        write!(f, "{}{name}", total / unit)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

const SIZE: &str = "a size such as `65536`, `64K`, `256M` or `1G`";

/// `K`, `M`, `G` and `T` count in 1,024s, `KB` and so on in 1,000s, as in rsync.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (letter, base) = match unit.strip_suffix("iB") {
        Some(letter) if !letter.is_empty() => (letter, 1024_u64),
        _ => match unit.strip_suffix('B') {
            Some("") => ("", 1),
            Some(letter) => (letter, 1000),
            None => (unit, 1024),
        },
    };
    let power = match letter {
        "" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return None,
    };
    number.checked_mul(base.pow(power)).filter(|&size| i64::try_from(size).is_ok())
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
        let whole = |(_, shift): &&(&str, u32)| self.0 != 0 && self.0.trailing_zeros() >= *shift;
        let (name, shift) = units.iter().find(whole).unwrap_or(&("", 0));
        write!(f, "{}{name}", self.0 >> shift)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor { expecting: SIZE, bytes_of_number: 1 }).map(Self)
    }
}

/// Takes text with a unit, or a number of things of `bytes_of_number` bytes.
struct SizeVisitor {
    expecting: &'static str,
    bytes_of_number: u64,
}

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        let bytes =
            u64::try_from(number).ok().and_then(|number| number.checked_mul(self.bytes_of_number));
        let bytes = bytes.filter(|&bytes| i64::try_from(bytes).is_ok());
        bytes.ok_or_else(|| E::custom(format_args!("`{number}` is not {}", self.expecting)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        let bytes = match text.parse() {
            Ok(number) => return self.visit_i64(number),
            Err(_) => size(text),
        };
        bytes.ok_or_else(|| {
            E::custom(format_args!(
                "`{}` is not {}",
                crate::text::show(text.as_bytes()),
                self.expecting
            ))
        })
    }
}

/// A number of bytes in a second; 0: as many as there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

const RATE: &str =
    "a rate such as `500K` or `2M` a second, or a number of KiB, as for rsync's `--bwlimit`";

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.trailing_zeros() >= 10 || self.0 == 0 {
            Size(self.0).fmt(f)
        } else {
            // Without a unit it would be KiB.
            write!(f, "{}B", self.0)
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(SizeVisitor { expecting: RATE, bytes_of_number: 1024 })
            .map(Self)
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let visitor = SizeVisitor { expecting: RATE, bytes_of_number: 1024 };
        visitor.visit_str::<de::value::Error>(text).map(Self).map_err(drop)
    }
}

/// How much may be sent in a second: always the same, or by the time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bandwidth {
    /// Always the same.
    Always(Rate),
    /// The first window that holds the time counts; outside of all there is no limit.
    Windows(Vec<BandwidthWindow>),
}

/// A rate for a part of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BandwidthWindow {
    /// From when to when.
    pub between: DayPart,
    /// How much.
    pub rate: Rate,
}

/// A part of the day in minutes since midnight; one that ends before it begins goes on past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayPart {
    from: u16,
    until: u16,
}

as_text!(DayPart, "a part of the day such as `08:00-18:30`");

impl DayPart {
    /// Whether it holds this minute of the day.
    pub fn holds(self, minute: u16) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl FromStr for DayPart {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, until) = text.split_once('-').ok_or(())?;
        let minute =
            |text| clock(text).map(|(hour, minute)| u16::from(hour) * 60 + u16::from(minute));
        let (from, until) = (minute(from).ok_or(())?, minute(until).ok_or(())?);
        if from == until { Err(()) } else { Ok(Self { from, until }) }
    }
}

impl fmt::Display for DayPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

/// `HH:MM`.
pub(super) fn clock(text: &str) -> Option<(u8, u8)> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, limit| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|&number| digits && number < limit)
    };
    Some((number(hour, 24)?, number(minute, 60)?))
}

impl Serialize for Bandwidth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always(rate) => rate.serialize(serializer),
            Self::Windows(windows) => windows.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bandwidth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Bandwidth;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{RATE}, or a list of `{{ between = \"08:00-18:30\", rate = \"2M\" }}`")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bandwidth, E> {
                let visitor = SizeVisitor { expecting: RATE, bytes_of_number: 1024 };
                visitor.visit_i64(number).map(Rate).map(Bandwidth::Always)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bandwidth, E> {
                let visitor = SizeVisitor { expecting: RATE, bytes_of_number: 1024 };
                visitor.visit_str(text).map(Rate).map(Bandwidth::Always)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, windows: A) -> Result<Bandwidth, A::Error> {
                let windows = de::value::SeqAccessDeserializer::new(windows);
                Vec::deserialize(windows).map(Bandwidth::Windows)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What is removed at the targets (the values are lsyncd's: live.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletion {
    /// What was seen to go, and what a comparison proves to be gone.
    #[default]
    Always,
    /// Nothing.
    Never,
    /// Only what the comparison at the start proves.
    Startup,
    /// Only what was seen to go.
    Running,
}

impl Serialize for Deletion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
            Self::Startup => serializer.serialize_str("startup"),
            Self::Running => serializer.serialize_str("running"),
        }
    }
}

impl<'de> Deserialize<'de> for Deletion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Deletion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false`, `\"startup\"` or `\"running\"`")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Deletion, E> {
                Ok(if value { Deletion::Always } else { Deletion::Never })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Deletion, E> {
                match text {
                    "startup" => Ok(Deletion::Startup),
                    "running" => Ok(Deletion::Running),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A filter rule of rsync, as it is written.
///
/// Its syntax is not checked here: the crate of the filters reads it before a mirror starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule(String);

as_text!(Rule, "a filter rule of rsync such as `- *.tmp`, on one line");

impl Rule {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Rule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        one_line(text).map(Self)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word for a command line, or a name: not empty, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(String);

as_text!(Word, "a word: not empty, on one line");

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        one_line(text).map(Self)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn one_line(text: &str) -> Result<String, ()> {
    let bad = text.is_empty() || text.contains(['\n', '\r', '\0']);
    if bad { Err(()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(text: &str) -> Option<String> {
        text.parse::<Interval>().ok().map(|interval| interval.to_string())
    }

    #[test]
    fn times_need_a_unit_and_print_in_the_longest_that_is_exact() {
        assert_eq!(interval("3ms").unwrap(), "3ms");
        assert_eq!(interval("5000ms").unwrap(), "5s");
        assert_eq!(interval("600m").unwrap(), "10h");
        assert_eq!(interval("0ms").unwrap(), "0s");
        for wrong in ["", "5", "s", "-1s", "1.5s", "5 s", "99999999999d", "1w"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_count_as_rsync_does() {
        assert_eq!(size("64K"), Some(65_536));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("8MB"), Some(8_000_000));
        assert_eq!(size("7B"), Some(7));
        for wrong in ["", "K", "1.5M", "1X", "-1", "99999999T", "1iB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        assert_eq!(Size(3 << 20).to_string(), "3M");
        assert_eq!(Size(1000).to_string(), "1000");
    }

    #[test]
    fn a_rate_without_unit_is_in_kib() {
        assert_eq!("2000".parse(), Ok(Rate(2000 * 1024)));
        assert_eq!("2M".parse(), Ok(Rate(2 << 20)));
        assert_eq!(Rate(1500).to_string().parse(), Ok(Rate(1500)));
        assert_eq!(Rate(0).to_string().parse(), Ok(Rate(0)));
    }

    #[test]
    fn a_part_of_the_day_may_pass_midnight() {
        let night: DayPart = "22:00-06:00".parse().unwrap();
        assert!(night.holds(23 * 60) && night.holds(0) && !night.holds(6 * 60));
        let day: DayPart = "08:00-18:30".parse().unwrap();
        assert!(day.holds(8 * 60) && !day.holds(18 * 60 + 30));
        for wrong in ["8:00-9:00", "08:00", "08:00-08:00", "24:00-01:00", "+8:00-09:00"] {
            assert!(wrong.parse::<DayPart>().is_err(), "{wrong}");
        }
    }
}
