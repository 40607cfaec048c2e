//! Progress lines (docs/spec cli.md 13).

use std::time::{Duration, Instant};

use super::Numbers;
use crate::{Overall, Progress};

/// Samples that a running rate is made of.
const SAMPLES: usize = 5;

/// What the next line depends on.
#[derive(Debug, Default)]
pub(super) struct State {
    file: Option<File>,
    run: Option<Instant>,
    transferred: u64,
    /// Bytes of files that are done.
    before: u64,
    /// A line is on the terminal without its newline.
    open: bool,
    /// When the last line about several sessions was printed.
    shown: Option<Instant>,
}

#[derive(Debug)]
struct File {
    start: Instant,
    last: Instant,
    /// When so many bytes were done, at most one a second.
    samples: Vec<(Instant, u64)>,
}

impl State {
    /// The text for an update, if one is due.
    pub(super) fn update(
        &mut self,
        progress: &Progress<'_>,
        level: u8,
        numbers: Numbers,
    ) -> Option<String> {
        if level == 0 {
            return None;
        }
        let now = Instant::now();
        let run = *self.run.get_or_insert(now);
        let first = self.file.is_none();
        let file = self.file.get_or_insert_with(|| File {
            start: now,
            last: now,
            samples: vec![(now, 0)],
        });
        if progress.last {
            let start = if level >= 2 { run } else { file.start };
            self.transferred += 1;
            self.file = None;
            let done = if level >= 2 { self.before + progress.done } else { progress.done };
            self.before += progress.done;
            let elapsed = now - start;
            let rate = done as f64 / 1024.0 / elapsed.as_secs_f64().max(0.001);
            let size = if level >= 2 { progress.total_size } else { progress.size };
            let head = line(done, size, rate, elapsed, numbers);
            let word = if progress.growing { "ir" } else { "to" };
            let (count, left, total) = (self.transferred, progress.left, progress.total);
            let tail = format!(" (xfr#{count}, {word}-chk={left}/{total})");
            self.open = level >= 2;
            let end = if level >= 2 { "" } else { "\n" };
            return Some(format!("{head}{tail}{end}"));
        }
        if progress.size == 0 || !(first || now - file.last >= Duration::from_secs(1)) {
            return None;
        }
        file.last = now;
        file.samples.push((now, progress.done));
        if file.samples.len() > SAMPLES {
            file.samples.remove(0);
        }
        let (since, from) = file.samples[0];
        let seconds = (now - since).as_secs_f64().max(0.001);
        let rate = progress.done.saturating_sub(from) as f64 / 1024.0 / seconds;
        let still = progress.size.saturating_sub(progress.done) as f64;
        let remaining = if rate > 0.0 { still / rate / 1024.0 } else { 0.0 };
        self.open = true;
        let (done, size) = if level >= 2 {
            (self.before + progress.done, progress.total_size)
        } else {
            (progress.done, progress.size)
        };
        let time = Duration::from_secs_f64(remaining.min(1e9));
        Some(line(done, size, rate, time, numbers) + "  ")
    }

    /// The text for an update about the whole run, if one is due.
    pub(super) fn overall(&mut self, overall: &Overall, numbers: Numbers) -> Option<String> {
        let now = Instant::now();
        let run = *self.run.get_or_insert(now);
        let recent = self.shown.is_some_and(|shown| now - shown < Duration::from_secs(1));
        if recent && !overall.pressing {
            return None;
        }
        self.shown = Some(now);
        self.open = true;
        let elapsed = now - run;
        let rate = overall.done as f64 / 1024.0 / elapsed.as_secs_f64().max(0.001);
        let head = line(overall.done, overall.size, rate, elapsed, numbers);
        let word = if overall.growing { "ir" } else { "to" };
        let Overall { transferred, left, total, .. } = overall;
        Some(format!("{head} (xfr#{transferred}, {word}-chk={left}/{total})"))
    }

    /// Whether a newline is due before anything else is printed.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }
}

fn line(done: u64, size: u64, rate: f64, time: Duration, numbers: Numbers) -> String {
    let percent =
        if done >= size { 100 } else { (u128::from(done) * 100 / u128::from(size)) as u64 };
    let (rate, unit) = match rate {
        rate if rate > 1024.0 * 1024.0 => (rate / 1024.0 / 1024.0, "GB/s"),
        rate if rate > 1024.0 => (rate / 1024.0, "MB/s"),
        rate => (rate, "kB/s"),
    };
    let seconds = time.as_secs();
    let time = if seconds > 9999 * 3600 {
        "  ??:??:??".to_owned()
    } else {
        format!("{:4}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    };
    format!("\r{:>15} {percent:3}% {rate:7.2}{unit} {time}", numbers.bytes(done))
}
