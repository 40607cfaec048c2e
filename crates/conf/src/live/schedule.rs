//! When something is done again and again.

use std::fmt;
use std::str::FromStr;

use super::value::{Interval, as_text, clock};

/// When something is done again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// `every 600m`: that long after the last time.
    Every(Interval),
    /// `03:00`: each day.
    Daily {
        /// From 0 to 23.
        hour: u8,
        /// From 0 to 59.
        minute: u8,
    },
    /// `*/10 * * * *`
    Cron(Cron),
}

as_text!(Schedule, "a schedule such as `every 6h`, `03:00` or `*/10 * * * *`");

impl FromStr for Schedule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(interval) = text.strip_prefix("every ") {
            let interval: Interval = interval.trim_start().parse()?;
            return if interval.0.is_zero() { Err(()) } else { Ok(Self::Every(interval)) };
        }
        if let Some((hour, minute)) = clock(text) {
            return Ok(Self::Daily { hour, minute });
        }
        text.parse().map(Self::Cron)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "every {interval}"),
            Self::Daily { hour, minute } => write!(f, "{hour:02}:{minute:02}"),
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

/// The five fields of a crontab line: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days are restricted: then one of them is enough, as cron has it.
    either_day: bool,
}

impl Cron {
    /// Whether it names this minute. Days and months count from 1, weekdays from Sunday, which is 0.
    pub fn names(&self, minute: u8, hour: u8, day: u8, month: u8, weekday: u8) -> bool {
        self.names_day(day, month, weekday)
            && holds(self.minutes, minute)
            && holds(self.hours, hour)
    }

    /// Whether it names a minute of this day.
    pub fn names_day(&self, day: u8, month: u8, weekday: u8) -> bool {
        let (by_day, by_weekday) = (holds(self.days, day), holds(self.weekdays, weekday));
        let day = if self.either_day { by_day || by_weekday } else { by_day && by_weekday };
        day && holds(self.months, month)
    }
}

fn holds(set: u64, number: u8) -> bool {
    number < 64 && set >> number & 1 == 1
}

impl FromStr for Cron {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = &fields[..] else { return Err(()) };
        let sundays = set(weekdays, 0, 7)?;
        Ok(Self {
            text: fields.join(" "),
            minutes: set(minutes, 0, 59)?,
            hours: set(hours, 0, 23)?,
            days: set(days, 1, 31)?,
            months: set(months, 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: (sundays | sundays >> 7) & 0x7f,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `*`, `5`, `1-5`, each with a step if wanted, separated by commas.
fn set(field: &str, first: u32, last: u32) -> Result<u64, ()> {
    let number = |text: &str| {
        let number = text.parse().ok().filter(|number| (first..=last).contains(number));
        number.filter(|_| !text.starts_with('+')).ok_or(())
    };
    let mut set = 0;
    for part in field.split(',') {
        let (range, step) =
            part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, until) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((from, until)) => (number(from)?, number(until)?),
            None => (number(range)?, if step.is_some() { last } else { number(range)? }),
        };
        let step: usize = step.map_or(Ok(1), |step| step.parse().map_err(drop))?;
        if step == 0 || from > until {
            return Err(());
        }
        set |= (from..=until).step_by(step).fold(0, |set, number| set | 1_u64 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Cron {
        text.parse().unwrap()
    }

    #[test]
    fn each_form_is_read_and_printed() {
        for (text, expected) in [
            ("every 600m", "every 10h"),
            ("03:00", "03:00"),
            ("*/10  * * * *", "*/10 * * * *"),
            ("0 3 1,15 * 1-5", "0 3 1,15 * 1-5"),
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), expected);
        }
        for wrong in [
            "",
            "every",
            "every 0s",
            "every 5",
            "3:00",
            "* * * *",
            "60 * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
        ] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn cron_names_the_minutes_cron_would() {
        let ten = cron("*/10 * * * *");
        assert!(ten.names(50, 23, 31, 12, 0) && !ten.names(51, 23, 31, 12, 0));
        let sunday = cron("0 3 * * 7");
        assert!(sunday.names(0, 3, 5, 6, 0) && !sunday.names(0, 3, 5, 6, 1));
        // Day of the month or of the week, when both are restricted.
        let either = cron("0 0 13 * 5");
        assert!(
            either.names(0, 0, 13, 1, 1)
                && either.names(0, 0, 1, 1, 5)
                && !either.names(0, 0, 1, 1, 1)
        );
        let from = cron("5/20 * * * *");
        assert!(
            from.names(5, 0, 1, 1, 1) && from.names(45, 0, 1, 1, 1) && !from.names(0, 0, 1, 1, 1)
        );
    }
}
