//! The log: lines for operators on standard error (R143).

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use syncline_conf::live::LogLevel;

/// Where log lines go. Clones share the level.
#[derive(Clone)]
pub struct Log {
    sink: Arc<Sink>,
    level: Arc<AtomicU8>,
}

type Sink = dyn Fn(LogLevel, &str) + Send + Sync;

impl Log {
    /// Lines on standard error: with their level as the journal reads it where standard error is the journal, else
    /// with the time.
    pub fn standard_error() -> Self {
        let journal = std::env::var_os("JOURNAL_STREAM").is_some();
        Self::to(move |level, text| {
            let line = if journal {
                format!("<{}>{text}\n", priority(level))
            } else {
                let now = jiff::Zoned::now();
                format!("{} {} {text}\n", now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"), name(level))
            };
            // One write a line, so that lines stay whole; a log that cannot be written must not stop the service.
            let _ = std::io::stderr().write_all(line.as_bytes());
        })
    }

    /// Lines on standard error as they are, for what a person typed.
    pub fn plain() -> Self {
        Self::to(|_, text| {
            // Nobody to tell when standard error is closed.
            let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
        })
    }

    /// Lines to somebody else.
    pub fn to(sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        let level = Arc::new(AtomicU8::new(LogLevel::Info as u8));
        Self { sink: Arc::new(sink), level }
    }

    /// How much is logged from now on.
    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Whether lines of this level are logged.
    pub fn logs(&self, level: LogLevel) -> bool {
        level as u8 <= self.level.load(Ordering::Relaxed)
    }

    /// What needs a person.
    pub fn error(&self, text: impl fmt::Display) {
        self.write(LogLevel::Error, &text);
    }

    /// What may need one.
    pub fn warn(&self, text: impl fmt::Display) {
        self.write(LogLevel::Warn, &text);
    }

    /// What happens.
    pub fn info(&self, text: impl fmt::Display) {
        self.write(LogLevel::Info, &text);
    }

    /// Each path.
    pub fn debug(&self, text: impl fmt::Display) {
        self.write(LogLevel::Debug, &text);
    }

    /// Logs a line.
    pub fn write(&self, level: LogLevel, text: &dyn fmt::Display) {
        if self.logs(level) {
            (self.sink)(level, &on_one_line(&text.to_string()));
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

/// A name or a peer's text cannot make lines of its own.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end_matches('\n').chars() {
        if character.is_control() && character != '\t' {
            let _ = write!(line, "\\x{:02x}", u32::from(character));
        } else {
            line.push(character);
        }
    }
    line
}

fn priority(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warn => 4,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn r143_a_level_hides_what_is_below_it_and_a_line_stays_one_line() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let log = Log::to(move |_, line| kept.lock().unwrap().push(line.to_owned()));
        log.info("target=web1 text=\"a\nERROR forged\x1b[31m\"\n");
        log.debug("hidden");
        log.clone().set_level(LogLevel::Debug);
        log.debug("shown");
        assert_eq!(
            *lines.lock().unwrap(),
            ["target=web1 text=\"a\\x0aERROR forged\\x1b[31m\"", "shown"]
        );
    }
}
