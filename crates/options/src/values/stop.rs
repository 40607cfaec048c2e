//! `--stop-after` and `--stop-at` (cli.md 4.3).

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::integer::leading_decimal;

/// Why a stop time was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopProblem {
    /// The text does not follow the grammar.
    Invalid,
    /// The moment is not after now.
    NotInTheFuture,
}

/// The moment `text` minutes from now.
pub fn after(text: &[u8], now: &Zoned) -> Result<Timestamp, StopProblem> {
    let minutes = leading_decimal(text);
    if minutes <= 0 {
        return Err(StopProblem::Invalid);
    }
    // A limit beyond the calendar is no limit that anybody could meet.
    let wait = SignedDuration::from_secs(minutes.saturating_mul(60));
    Ok(now.timestamp().checked_add(wait).unwrap_or(Timestamp::MAX))
}

/// The moment that `[[Y-]M-]D`, `…T H:M`, `H:M`, `T H:M` or `:M` (without blanks) names in the local time zone of `now`.
pub fn at(text: &[u8], now: &Zoned) -> Result<Timestamp, StopProblem> {
    let fields = parse(text).ok_or(StopProblem::Invalid)?;
    let moment = fields.resolve(now).ok_or(StopProblem::Invalid)?;
    if moment <= now.timestamp() {
        return Err(StopProblem::NotInTheFuture);
    }
    Ok(moment)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
}

fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(leading_decimal(text))
}

fn parse(text: &[u8]) -> Option<Fields> {
    let mut fields = Fields::default();
    let (date, time) = match text.iter().position(|b| b.eq_ignore_ascii_case(&b't')) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None if text.contains(&b':') => (&text[..0], text),
        None => (text, &text[..0]),
    };
    let has_separator = date.len() < text.len()
        && !text.starts_with(b":")
        && (date.len() + time.len() < text.len());
    if !date.is_empty() {
        let parts: Vec<&[u8]> = date.split(|b| matches!(b, b'-' | b'/')).collect();
        match parts.as_slice() {
            [day] => fields.day = Some(number(day)?),
            [month, day] => (fields.month, fields.day) = (Some(number(month)?), Some(number(day)?)),
            [year, month, day] => {
                fields.year = Some(number(year)?);
                fields.month = Some(number(month)?);
                fields.day = Some(number(day)?);
            }
            _ => return None,
        }
        if !(1..=31).contains(&fields.day?)
            || fields.month.is_some_and(|month| !(1..=12).contains(&month))
        {
            return None;
        }
    }
    if time.is_empty() {
        return if date.is_empty() {
            None
        } else {
            Some(Fields { hour: Some(0), minute: Some(0), ..fields })
        };
    }
    let colon = time.iter().position(|&b| b == b':')?;
    let (hour, minute) = (&time[..colon], &time[colon + 1..]);
    if hour.is_empty() {
        if has_separator || !date.is_empty() {
            return None;
        }
    } else {
        fields.hour = Some(number(hour).filter(|hour| (0..24).contains(hour))?);
    }
    fields.minute = Some(number(minute).filter(|minute| (0..60).contains(minute))?);
    Some(fields)
}

impl Fields {
    /// Fills what is missing with the next moment in the future that matches.
    fn resolve(self, now: &Zoned) -> Option<Timestamp> {
        let zone = now.time_zone();
        let to_moment = |when: DateTime| zone.to_timestamp(when).ok();
        let today = now.date();
        let minute = self.minute? as i8;
        let Some(hour) = self.hour else {
            // `:M`: this hour or the next.
            let this = now.date().at(now.hour(), minute, 0, 0);
            let moment = to_moment(this)?;
            return if moment > now.timestamp() {
                Some(moment)
            } else {
                to_moment(this.checked_add(1.hours()).ok()?)
            };
        };
        let at = |date: Date| to_moment(date.at(hour as i8, minute, 0, 0));
        let future = |date: Date| at(date).filter(|&moment| moment > now.timestamp());
        match (self.year, self.month, self.day) {
            (None, None, None) => future(today).or_else(|| at(today.tomorrow().ok()?)),
            (None, None, Some(day)) => {
                let first = today.first_of_month();
                (0..=24).find_map(|months| {
                    let month = first.checked_add(months.months()).ok()?;
                    future(Date::new(month.year(), month.month(), day as i8).ok()?)
                })
            }
            (None, Some(month), Some(day)) => (0..=8).find_map(|years| {
                future(Date::new(today.year() + years, month as i8, day as i8).ok()?)
            }),
            (Some(year), Some(month), Some(day)) => {
                let mut year = year;
                if year < 100 {
                    while year < i64::from(today.year()) {
                        year += 100;
                    }
                }
                // A complete date that overflows its month rolls over.
                let first = Date::new(i16::try_from(year).ok()?, month as i8, 1).ok()?;
                at(first.checked_add((day - 1).days()).ok()?)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<String, StopProblem> {
        let now: Zoned = "2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date");
        at(text.as_bytes(), &now).map(|moment| moment.to_string())
    }

    #[test]
    fn missing_parts_become_the_next_moment() {
        for (text, moment) in [
            ("18:00", "2026-11-21T18:00:00Z"),
            ("17:00", "2026-11-22T17:00:00Z"),
            ("T5:00", "2026-11-22T05:00:00Z"),
            (":30", "2026-11-21T17:30:00Z"),
            (":01", "2026-11-21T18:01:00Z"),
            ("31", "2026-12-31T00:00:00Z"),
            ("21", "2026-12-21T00:00:00Z"),
            ("2-29", "2028-02-29T00:00:00Z"),
            ("1/2T3:4", "2027-01-02T03:04:00Z"),
            ("27-2-30", "2027-03-02T00:00:00Z"),
            ("2027-2-30T", "2027-03-02T00:00:00Z"),
        ] {
            assert_eq!(resolve(text).as_deref(), Ok(moment), "{text}");
        }
    }

    #[test]
    fn minutes_may_go_beyond_the_calendar() {
        let now: Zoned = "2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date");
        assert_eq!(
            after(b"2h", &now).map(|moment| moment.to_string()).as_deref(),
            Ok("2026-11-21T17:04:39Z")
        );
        for text in ["20200120127", "99999999999999999999"] {
            assert_eq!(after(text.as_bytes(), &now), Ok(Timestamp::MAX), "{text}");
        }
    }

    #[test]
    fn malformed_and_past_times_are_told_apart() {
        for text in
            ["2027", "T12", "T:5", "24:00", ":60", "1:2:3", "1-2-3-4", "2-30", "", "T", "x", "0"]
        {
            assert_eq!(resolve(text), Err(StopProblem::Invalid), "{text}");
        }
        assert_eq!(resolve("2020-1-1"), Err(StopProblem::NotInTheFuture));
    }
}
