//! The options of a session, as words of rsync's command line.

use syncline_conf::live::{Address, Bandwidth, Mirror, OptionValue, Rule, Target, Word};
use syncline_engine::{Error, ExitCode};
use syncline_options::{Command, Context, Options, parse};

use super::{Comparison, Load};
use crate::mirror::Expressions;

/// The words that every session with a target begins with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Words {
    options: Vec<Vec<u8>>,
    filter: Vec<Vec<u8>>,
    /// What scheduled comparisons hide, if not the same.
    schedule_filter: Option<Vec<Vec<u8>>>,
    /// What keeps a target that removes from removing what expressions hide.
    guards: Vec<Vec<u8>>,
    bandwidth: Option<Bandwidth>,
}

impl Words {
    /// What mirror and target ask for.
    pub(crate) fn of(mirror: &Mirror, target: &Target, hidden: Option<&Expressions>) -> Self {
        let options = mirror.options.overridden_by(&target.options);
        let mut words = Vec::new();
        if options.is_on("archive") {
            words.push("--archive".to_owned());
        }
        for (name, value) in options.iter().filter(|(name, _)| *name != "archive") {
            words.push(match value {
                OptionValue::Switch(true) => format!("--{name}"),
                OptionValue::Switch(false) => format!("--no-{name}"),
                OptionValue::Number(number) => format!("--{name}={number}"),
                OptionValue::Text(text) => format!("--{name}={text}"),
                _ => continue,
            });
        }
        if !target.ssh.is_empty() {
            let shell: Vec<&str> = target.ssh.iter().map(Word::as_str).collect();
            words.push(format!("--rsh={}", shell.join(" ")));
        }
        let seconds = |interval: std::time::Duration| interval.as_secs().max(1);
        words.push(format!("--timeout={}", seconds(target.io_timeout.0)));
        if matches!(target.url, Address::Daemon { .. }) {
            words.push(format!("--contimeout={}", seconds(target.connect_timeout.0)));
        }
        let further = mirror.rsync_options.iter().chain(&target.rsync_options);
        words.extend(further.map(|word| word.as_str().to_owned()));
        let rules = |rules: &[Rule]| -> Vec<Vec<u8>> {
            rules.iter().map(|rule| format!("--filter={}", rule.as_str()).into_bytes()).collect()
        };
        let differs = schedule_differs(mirror);
        // A local target asks the expressions themselves.
        let is_told = !matches!(target.url, Address::Local(_)) && !options.is_on("delete-excluded");
        let guards = hidden.filter(|_| is_told).into_iter().flat_map(Expressions::guards);
        Self {
            options: words.into_iter().map(String::into_bytes).collect(),
            filter: rules(&mirror.filter),
            schedule_filter: differs.then(|| rules(&mirror.schedule_filter)),
            guards: guards.map(|rule| [b"--filter=", &rule[..]].concat()).collect(),
            bandwidth: target.bwlimit.clone().or_else(|| mirror.bwlimit.clone()),
        }
    }

    /// The words of a session that carries `load`.
    pub(crate) fn of_session(&self, load: &Load, max_delete: Option<u64>) -> Vec<Vec<u8>> {
        let mut words = self.options.clone();
        let (scheduled, removes_unnamed) = match load {
            Load::Everything { removes, kind } => (*kind == Comparison::Scheduled, *removes),
            Load::Lines { contents, removes, .. } => (false, *contents && *removes),
        };
        if removes_unnamed {
            words.extend_from_slice(&self.guards);
        }
        let filter = self.schedule_filter.as_ref().filter(|_| scheduled).unwrap_or(&self.filter);
        words.extend_from_slice(filter);
        if let Some(rate) =
            self.bandwidth.as_ref().and_then(|rates| rate_at(rates, &jiff::Zoned::now()))
        {
            words.push(format!("--bwlimit={rate}").into_bytes());
        }
        let mut add = |word: &str| words.push(word.as_bytes().to_vec());
        match load {
            Load::Everything { removes, kind } => {
                add("--recursive");
                if let Comparison::Check { content } = kind {
                    add("--dry-run");
                    add("--itemize-changes");
                    if *content {
                        add("--checksum");
                    }
                }
                if *removes {
                    add("--delete");
                }
            }
            Load::Lines { forced, contents, removes, links, .. } => {
                add("--files-from=-");
                add("--from0");
                if *contents {
                    add("--recursive");
                    add("--no-inc-recursive");
                    if *removes {
                        add("--delete");
                    }
                } else {
                    add("--no-recursive");
                }
                if *removes {
                    add("--delete-missing-args");
                }
                add("--force");
                if *forced {
                    add("--ignore-times");
                }
                if *links {
                    add("--hard-links");
                }
            }
        }
        // Times are compared to the nanosecond (live.md 5.6).
        add("--modify-window=-1");
        if let Some(limit) = max_delete {
            add(&format!("--max-delete={limit}"));
        }
        words
    }
}

/// Whether scheduled comparisons hide something else than all others.
pub(crate) fn schedule_differs(mirror: &Mirror) -> bool {
    !mirror.schedule_filter.is_empty() && mirror.schedule_filter != mirror.filter
}

/// The rate of a moment, in units of 1,024 bytes a second; none is no limit.
fn rate_at(rates: &Bandwidth, now: &jiff::Zoned) -> Option<u64> {
    let minute = (i16::from(now.hour()) * 60 + i16::from(now.minute())).unsigned_abs();
    let rate = match rates {
        Bandwidth::Always(rate) => *rate,
        Bandwidth::Windows(windows) => {
            windows.iter().find(|window| window.between.holds(minute))?.rate
        }
        _ => return None,
    };
    (rate.0 > 0).then(|| (rate.0 / 1024).max(1))
}

/// What words ask for.
pub(crate) fn options(words: &[Vec<u8>]) -> Result<Options, Error> {
    // The ends are known otherwise; the parser wants some.
    let words = [words, &[b".".to_vec(), b".".to_vec()]].concat();
    let usage = |error: String| Error::fatal(ExitCode::USAGE, error);
    match parse(&words, &Context::at(jiff::Zoned::now())) {
        Ok(Command::Transfer(options)) => Ok(*options),
        Ok(_) => Err(usage("`rsync-options` ask for something else than a transfer".into())),
        Err(error) => Err(usage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r66_the_rate_is_that_of_the_time_of_day() {
        let at = |text: &str| text.parse::<jiff::Zoned>().unwrap();
        let morning = at("2026-03-01T09:30:00+00:00[UTC]");
        let night = at("2026-03-01T23:30:00+00:00[UTC]");
        let always = Bandwidth::Always("2M".parse().unwrap());
        assert_eq!(rate_at(&always, &night), Some(2048));
        let window = syncline_conf::live::BandwidthWindow {
            between: "08:00-18:30".parse().unwrap(),
            rate: "512".parse().unwrap(),
        };
        let windows = Bandwidth::Windows(vec![window]);
        assert_eq!(rate_at(&windows, &morning), Some(512));
        assert_eq!(rate_at(&windows, &night), None);
    }
}
