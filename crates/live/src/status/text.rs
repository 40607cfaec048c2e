//! The state as text for a terminal, and numbers as people read them.

use std::fmt::Write as _;

use crate::state::{MirrorSnapshot, Snapshot};

/// Everything as text for a terminal.
pub fn text(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for mirror in &snapshot.mirrors {
        let _ = writeln!(
            text,
            "{}  {}  {} watches{}{}",
            clean(&mirror.name),
            clean(&mirror.source),
            mirror.watches,
            if mirror.watching { "" } else { ", not all of them yet" },
            polled(mirror),
        );
        let width = |length: fn(&crate::state::TargetSnapshot) -> usize| {
            mirror.targets.iter().map(length).max().unwrap_or(0)
        };
        let (name, state) = (
            width(|target| target.name.chars().count()),
            width(|target| target.state.name().len()),
        );
        for target in &mirror.targets {
            let _ = write!(
                text,
                "  {:name$}  {:state$}  lag {:>8}  {} waiting  {} sent",
                clean(&target.name),
                target.state.name(),
                seconds(target.lag.seconds),
                paths(target.lag.paths),
                bytes(target.bytes.sent),
            );
            for (what, count) in [("failed", target.failed_paths), ("retries", target.retries)] {
                if count > 0 {
                    let _ = write!(text, "  {count} {what}");
                }
            }
            if !target.reason.is_empty() {
                let _ = write!(text, "  {}", clean(&target.reason));
            }
            text.push('\n');
            if let Some(progress) = &target.progress {
                let _ = writeln!(
                    text,
                    "      sending {}: {} of {}",
                    clean(&progress.path),
                    bytes(progress.done),
                    bytes(progress.total)
                );
            }
            for error in target.errors.iter().take(3) {
                let _ = writeln!(
                    text,
                    "      {} ago: {}",
                    seconds(error.seconds_ago),
                    clean(&error.text)
                );
            }
        }
        for error in mirror.hook_errors.iter().take(3) {
            let _ = writeln!(
                text,
                "  hook, {} ago: {}",
                seconds(error.seconds_ago),
                clean(&error.text)
            );
        }
    }
    if snapshot.mirrors.is_empty() {
        text += "no mirror\n";
    }
    text
}

/// What a mirror has to do without.
pub(super) fn polled(mirror: &MirrorSnapshot) -> String {
    if mirror.polled == 0 {
        return String::new();
    }
    format!(
        ", {} directories without one, looked at every {}",
        number(mirror.polled),
        seconds(mirror.poll_seconds)
    )
}

/// What came from names and peers cannot steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A time as people read it.
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if whole >= 100 {
        format!("{minutes} min")
    } else if seconds >= 9.95 {
        format!("{whole} s")
    } else if seconds >= 0.9995 {
        format!("{seconds:.1} s")
    } else if seconds > 0.0 {
        format!("{:.0} ms", (seconds * 1000.0).ceil())
    } else {
        "0 s".into()
    }
}

/// A number of bytes as people read it.
pub(super) fn bytes(bytes: u64) -> String {
    let mut number = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if number < 999.5 {
            let digits = usize::from(number < 9.95 && unit != "B");
            return format!("{number:.digits$} {unit}");
        }
        number /= 1000.0;
    }
    format!("{number:.0} PB")
}

/// A number with blanks between thousands.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn paths(count: u64) -> String {
    if count == 1 { "1 path".into() } else { format!("{count} paths") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (time, expected) in [
            (0.0, "0 s"),
            (0.0042, "5 ms"),
            (0.9999, "1.0 s"),
            (59.9, "60 s"),
            (119.0, "1 min"),
            (3_700.0, "1 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(seconds(time), expected);
        }
        for (count, expected) in
            [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (10_400_000, "10 MB")]
        {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(12), "12");
    }
}
