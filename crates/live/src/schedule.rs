//! When a mirror's schedule is due next (R122).
//!
//! Pure: both clocks are the caller's, the one on the wall and the one that nobody sets.
//!
//! ```
//! let schedule = "30 3 * * 1-5".parse().unwrap();
//! let friday: jiff::Zoned = "2026-11-20T12:00[Europe/Berlin]".parse()?;
//! let next = syncline_live::schedule::next(&schedule, &friday).unwrap();
//! assert_eq!(next.to_string(), "2026-11-23T03:30:00+01:00[Europe/Berlin]");
//! # Ok::<(), jiff::Error>(())
//! ```

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Zoned};
use syncline_conf::live::{Cron, Schedule};

/// The longest span without a 29 February, and some days.
const DAYS_SEARCHED: u32 = 8 * 366 + 7;

/// A clock on the wall that is set is noticed after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// A clock set back further than this was wrong before.
const SLIP: SignedDuration = SignedDuration::from_hours(48);

/// The first moment after `after`, if there is one.
///
/// By the local clock: a time that it leaps over comes that much later, one that it shows twice comes the first
/// time.
pub fn next(schedule: &Schedule, after: &Zoned) -> Option<Zoned> {
    match schedule {
        Schedule::Every(interval) => after.checked_add(interval.0).ok(),
        Schedule::Daily { hour, minute } => {
            first_after(after, |date| vec![date.at(*hour as i8, *minute as i8, 0, 0)])
        }
        Schedule::Cron(cron) => first_after(after, |date| minutes(cron, date)),
        _ => None,
    }
}

/// The first of the moments that `of_day` gives for each day, in order.
fn first_after(after: &Zoned, of_day: impl Fn(Date) -> Vec<DateTime>) -> Option<Zoned> {
    let mut date = after.date();
    for _ in 0..DAYS_SEARCHED {
        for moment in of_day(date).into_iter().filter(|moment| *moment > after.datetime()) {
            let moment = moment.to_zoned(after.time_zone().clone()).ok()?;
            // In an hour that comes twice, the first time of it may be over.
            if moment > *after {
                return Some(moment);
            }
        }
        date = date.tomorrow().ok()?;
    }
    None
}

/// The minutes of a day that are named.
fn minutes(cron: &Cron, date: Date) -> Vec<DateTime> {
    let (day, month) = (date.day() as u8, date.month() as u8);
    let weekday = date.weekday().to_sunday_zero_offset() as u8;
    if !cron.names_day(day, month, weekday) {
        return Vec::new();
    }
    let all = (0..24_u8).flat_map(|hour| (0..60_u8).map(move |minute| (hour, minute)));
    all.filter(|&(hour, minute)| cron.names(minute, hour, day, month, weekday))
        .map(|(hour, minute)| date.at(hour as i8, minute as i8, 0, 0))
        .collect()
}

/// A schedule that is being kept.
///
/// Intervals go by the clock that nobody sets. A clock on the wall that is set forward over a moment gives one run,
/// one that is set back none a second time (R87).
#[derive(Debug, Clone)]
pub struct Timer {
    schedule: Schedule,
    due: Due,
    /// When it fired last, by the wall.
    fired: Option<Zoned>,
}

#[derive(Debug, Clone)]
enum Due {
    After(Duration),
    At(Option<Zoned>),
}

impl Timer {
    /// Keeps a schedule from now on.
    pub fn new(schedule: &Schedule, wall: &Zoned, now: Duration) -> Self {
        let due = match schedule {
            Schedule::Every(interval) => Due::After(now.saturating_add(interval.0)),
            _ => Due::At(next(schedule, wall)),
        };
        Self { schedule: schedule.clone(), due, fired: None }
    }

    /// How long to wait before asking [`fire`](Self::fire) again; `None`: for ever.
    pub fn wait(&self, wall: &Zoned, now: Duration) -> Option<Duration> {
        match &self.due {
            Due::After(due) => Some(due.saturating_sub(now)),
            Due::At(due) => {
                let left = wall.duration_until(due.as_ref()?);
                Some(Duration::try_from(left).unwrap_or(Duration::ZERO).min(LOOK_AGAIN))
            }
        }
    }

    /// Whether it is due; if so, the next moment counts from here on.
    pub fn fire(&mut self, wall: &Zoned, now: Duration) -> bool {
        match (&mut self.due, &self.schedule) {
            (Due::After(due), Schedule::Every(interval)) => {
                let is_due = now >= *due;
                if is_due {
                    *due = now.saturating_add(interval.0);
                }
                is_due
            }
            (Due::At(due), schedule) => {
                let is_due = due.as_ref().is_some_and(|due| wall >= due);
                if is_due {
                    self.fired = Some(wall.clone());
                    *due = next(schedule, wall);
                } else {
                    // Set back: not again what was done, unless the clock had been wrong by days.
                    let fired = self.fired.as_ref();
                    let fired = fired.filter(|fired| wall.duration_until(fired) <= SLIP);
                    *due = next(schedule, fired.filter(|fired| *fired > wall).unwrap_or(wall));
                }
                is_due
            }
            (Due::After(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn after(schedule: &str, now: &str) -> String {
        next(&schedule.parse().unwrap(), &at(now)).map_or("never".into(), |next| next.to_string())
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn r122_the_next_moment_is_the_one_cron_would_take() {
        for (schedule, now, expected) in [
            ("every 600m", "2026-01-01T00:00[UTC]", "2026-01-01T10:00:00+00:00[UTC]"),
            ("03:00", "2026-01-01T03:00[UTC]", "2026-01-02T03:00:00+00:00[UTC]"),
            ("*/10 * * * *", "2026-12-31T23:50:01[UTC]", "2027-01-01T00:00:00+00:00[UTC]"),
            ("0 0 29 2 *", "2097-01-01T00:00[UTC]", "2104-02-29T00:00:00+00:00[UTC]"),
            ("0 0 31 2 *", "2026-01-01T00:00[UTC]", "never"),
            // Leapt over: half past two comes at half past three.
            (
                "02:30",
                "2026-03-28T12:00[Europe/Berlin]",
                "2026-03-29T03:30:00+02:00[Europe/Berlin]",
            ),
            // Shown twice: the first time counts, and after the second the next hour.
            (
                "02:30",
                "2026-10-25T02:29:00+02:00[Europe/Berlin]",
                "2026-10-25T02:30:00+02:00[Europe/Berlin]",
            ),
            (
                "*/10 * * * *",
                "2026-10-25T02:31:00+01:00[Europe/Berlin]",
                "2026-10-25T03:00:00+01:00[Europe/Berlin]",
            ),
        ] {
            assert_eq!(after(schedule, now), expected, "{schedule} after {now}");
        }
    }

    #[test]
    fn r87_a_clock_set_forward_gives_one_run_and_one_set_back_no_second() {
        let schedule = "03:00".parse().unwrap();
        let mut timer = Timer::new(&schedule, &at("2026-01-01T02:00[UTC]"), s(0));
        assert!(!timer.fire(&at("2026-01-01T02:59[UTC]"), s(1)));
        // Forward by a day and a bit: one run.
        assert!(timer.fire(&at("2026-01-02T04:00[UTC]"), s(2)));
        assert!(!timer.fire(&at("2026-01-02T04:00:01[UTC]"), s(3)));
        // Back by a day: what was run is not run again.
        assert!(!timer.fire(&at("2026-01-01T02:00[UTC]"), s(4)));
        assert!(!timer.fire(&at("2026-01-01T03:00[UTC]"), s(5)));
        assert!(!timer.fire(&at("2026-01-02T03:00[UTC]"), s(6)));
        assert!(timer.fire(&at("2026-01-03T03:00[UTC]"), s(7)));
        // Back by a year: the old time was wrong.
        assert!(!timer.fire(&at("2025-01-03T02:00[UTC]"), s(8)));
        assert!(timer.fire(&at("2025-01-03T03:00[UTC]"), s(9)));
    }

    #[test]
    fn r87_intervals_ignore_the_clock_on_the_wall() {
        let schedule = "every 10m".parse().unwrap();
        let wall = at("2026-01-01T00:00[UTC]");
        let mut timer = Timer::new(&schedule, &wall, s(0));
        assert!(!timer.fire(&at("2027-01-01T00:00[UTC]"), s(599)));
        assert!(timer.fire(&wall, s(600)));
        assert_eq!(timer.wait(&wall, s(900)), Some(s(300)));
        assert!(!timer.fire(&wall, s(1199)));
        assert!(timer.fire(&wall, s(1200)));
    }

    prop_compose! {
        fn moments()(second in 0_i64..4_000_000_000, zone in prop::sample::select(
            vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"],
        )) -> Zoned {
            jiff::Timestamp::from_second(second).unwrap().in_tz(zone).unwrap()
        }
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let field = |first: u8, last: u8| {
            prop_oneof![
                Just("*".to_owned()),
                (first..=last).prop_map(|number| number.to_string()),
                (first..=last, 1..20_u8).prop_map(|(number, step)| format!("{number}/{step}")),
                (1..20_u8).prop_map(|step| format!("*/{step}")),
            ]
        };
        prop_oneof![
            (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| Schedule::Daily { hour, minute }),
            (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).prop_map(
                |(minute, hour, day, month, weekday)| {
                    format!("{minute} {hour} {day} {month} {weekday}").parse().unwrap()
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn r122_the_next_moment_is_later_is_named_and_nothing_named_lies_between(
            schedule in schedules(), now in moments()
        ) {
            let next = next(&schedule, &now);
            if let Some(next) = &next {
                prop_assert!(*next > now);
                prop_assert_eq!(next.second(), 0);
            }
            // A day's minutes one by one, where the clock goes evenly.
            let even = now.checked_add(SignedDuration::from_hours(24)).unwrap();
            if now.offset() == even.offset() {
                let names = |moment: &Zoned| match &schedule {
                    Schedule::Daily { hour, minute } => {
                        (moment.hour(), moment.minute()) == (*hour as i8, *minute as i8)
                    }
                    Schedule::Cron(cron) => cron.names(
                        moment.minute() as u8,
                        moment.hour() as u8,
                        moment.day() as u8,
                        moment.month() as u8,
                        moment.weekday().to_sunday_zero_offset() as u8,
                    ),
                    _ => false,
                };
                let start = now.timestamp().as_second().div_euclid(60) + 1;
                let mut day = (start..start + 1439).map(|minute| {
                    let moment = jiff::Timestamp::from_second(minute * 60).unwrap();
                    moment.to_zoned(now.time_zone().clone())
                });
                let first = day.clone().find(names);
                if let Some(first) = first {
                    prop_assert_eq!(next.as_ref(), Some(&first));
                } else if let Some(next) = &next {
                    prop_assert!(*next > day.next_back().unwrap());
                }
            }
        }

        #[test]
        fn r87_no_steps_of_the_clock_fire_twice_for_one_moment(
            schedule in schedules(), start in moments(), steps in prop::collection::vec(-90_000_i64..90_000, 1..60)
        ) {
            let mut timer = Timer::new(&schedule, &start, s(0));
            let mut wall = start;
            let mut fired: Option<Zoned> = None;
            for (second, step) in steps.into_iter().enumerate() {
                wall = wall.checked_add(SignedDuration::from_secs(step)).unwrap();
                // Less than the slip behind the last run.
                let behind = fired.as_ref().is_some_and(|fired| wall.duration_until(fired) > SLIP);
                prop_assume!(!behind);
                if timer.fire(&wall, s(second as u64)) {
                    if let Some(fired) = &fired {
                        prop_assert!(next(&schedule, fired).is_some_and(|next| next <= wall));
                    }
                    fired = Some(wall.clone());
                }
            }
        }
    }
}
