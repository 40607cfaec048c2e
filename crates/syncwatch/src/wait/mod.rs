//! `syncwatch wait`, also called `inotifywait`: prints events.

mod daemon;
mod options;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use syncline_watch::{Entry, Lost, Mask, Notice, OnLimit, Options, Watcher};

use crate::common::{Filter, cannot_start, errno_reason, path, watched};
use crate::format::{Format, Line};
use crate::options::{Ended, Established, Wording};
use crate::output::{Output, PIPE_SIGNAL, has_reader, not_ignored};
use crate::syslog::Diagnostics;
pub(crate) use options::TEXT;
use options::{RootLost, Settings};

/// How often directories that got no watch are looked at (`--keep-going`).
const POLL: Duration = Duration::from_secs(2);
const TIMED_OUT: u8 = 2;

/// Runs the program; the status is what the stock tool's would be.
pub(crate) fn run(program: &str, words: Vec<Vec<u8>>) -> ExitCode {
    match Settings::parse(program, words) {
        Ok(settings) => ExitCode::from(start(&settings).unwrap_or_else(|text| {
            settings.diagnostics().say(&text);
            1
        })),
        Err(Ended::Refused(text)) => {
            Diagnostics::Stderr.say(&text);
            ExitCode::FAILURE
        }
        Err(Ended::Told(text, status)) => {
            // Nobody to tell when standard output is closed.
            let _ = rustix::io::write(std::io::stdout(), text.as_bytes());
            ExitCode::from(status)
        }
    }
}

impl Settings {
    fn diagnostics(&self) -> Diagnostics {
        // A daemon's set-up errors reach whoever starts it.
        if self.syslog && !self.daemon { Diagnostics::Syslog } else { Diagnostics::Stderr }
    }
}

/// What happens in order at the start (1.4). An error is the text for the diagnostics.
fn start(settings: &Settings) -> Result<u8, String> {
    let stderr = |text: &str| {
        Diagnostics::Stderr.say(text);
        Ok(1)
    };
    if settings.daemon && !daemon::is_child() {
        return daemon::spawn();
    }
    settings.warnings().iter().for_each(|warning| Diagnostics::Stderr.say(warning));
    // Whether inotify is to be had comes before everything else that can be wrong.
    if let Err(error) = settings.watching.probe() {
        return stderr(&cannot_start(&error));
    }
    let mut filter = match settings.watching.patterns.compile() {
        Ok(filter) => filter,
        Err(text) => return stderr(&text),
    };
    let format = match (&settings.format, settings.csv) {
        (Some(text), _) => Format::parse(text, !settings.no_newline, settings.timefmt.as_deref()),
        (None, true) => Some(Format::Csv),
        (None, false) => Some(Format::Default),
    };
    let Some(format) = format else { return stderr("Something is wrong with your format string.") };
    let paths = settings.watching.paths(|text| Diagnostics::Stderr.say(text));
    if paths.watch.is_empty() {
        return stderr("No files specified to watch!");
    }
    filter.set_at(&paths.at);
    if let Some(file) = &settings.outfile {
        let opened = daemon::append_to(file, !settings.daemon);
        if let Err(text) = opened {
            return stderr(&text);
        }
    }
    let filter = Arc::new(filter);
    let banner = if settings.watching.recursive {
        "Setting up watches.  Beware: since -r was given, this may take a while!"
    } else {
        "Setting up watches."
    };
    if settings.quiet == 0 {
        settings.run_time_diagnostics().say(banner);
    }
    let words = Wording {
        verb: "Couldn't watch",
        place: if settings.daemon { daemon::absolute } else { path },
    };
    let options = watcher_options(settings);
    let Established { mut watcher, roots } =
        settings.watching.establish(&options, &filter, &paths, &words, |_, _| {})?;
    if settings.daemon {
        daemon::detach()?;
    }
    if settings.quiet == 0 {
        settings.run_time_diagnostics().say("Watches established.");
    }
    if let Some(file) = &settings.ready_file {
        std::fs::write(path(file), b"").map_err(|error| {
            format!("Couldn't create {}: {error}", String::from_utf8_lossy(file))
        })?;
    }
    let output = Output::start();
    let mut printer = Printer { settings, format, filter, roots, lines: Vec::new(), output };
    let status = printer.print_events(&mut watcher)?;
    printer.output.write(&mut printer.lines);
    printer.output.finish();
    Ok(status)
}

fn watcher_options(settings: &Settings) -> Options {
    Options {
        mask: settings.watching.events,
        grow: settings.monitor,
        report_found: true,
        rescan: settings.monitor,
        remember_names: settings.monitor,
        by_name: settings.by_name,
        reattach: settings.root_lost == RootLost::Wait,
        on_limit: if settings.keep_going { OnLimit::Poll(POLL) } else { OnLimit::Fail },
        inspect_created: false,
        ..Options::default()
    }
}

impl Settings {
    fn run_time_diagnostics(&self) -> Diagnostics {
        if self.syslog { Diagnostics::Syslog } else { Diagnostics::Stderr }
    }
}

struct Printer<'a> {
    settings: &'a Settings,
    format: Format,
    filter: Arc<Filter>,
    /// What is printed for each root.
    roots: Vec<Vec<u8>>,
    lines: Vec<u8>,
    output: Output,
}

impl Printer<'_> {
    /// Prints events until the program is to end; its status.
    fn print_events(&mut self, watcher: &mut Watcher) -> Result<u8, String> {
        let (signals, sender) =
            std::os::unix::net::UnixStream::pair().map_err(|error| error.to_string())?;
        let last_signal = Arc::new(AtomicUsize::new(0));
        for signal in not_ignored(&[SIGINT, SIGTERM, SIGHUP]) {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, last_signal.clone(), number)
                .and_then(|_| signal_hook::low_level::pipe::register(signal, sender.try_clone()?))
                .map_err(|error| format!("Couldn't handle signal {signal}: {error}"))?;
        }
        let stdout = has_reader().then(std::io::stdout);
        let mut notices = Vec::new();
        let mut last_event = Instant::now();
        loop {
            let wake = watcher.ready(&mut notices).map_err(|error| error.to_string())?;
            if !notices.is_empty() {
                last_event = Instant::now();
                for notice in notices.drain(..) {
                    if let Some(status) = self.notice(&notice) {
                        return Ok(status);
                    }
                }
                self.output.write(&mut self.lines);
            }
            let left = match self.settings.timeout {
                Some(timeout) => {
                    let left = timeout.saturating_sub(last_event.elapsed());
                    if left.is_zero() {
                        return Ok(TIMED_OUT);
                    }
                    Some(left)
                }
                None => None,
            };
            let wait = [left, wake].into_iter().flatten().min();
            let mut polled =
                vec![PollFd::new(&*watcher, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            if let Some(stdout) = &stdout {
                polled.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty()));
            }
            match poll(&mut polled, wait.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("Couldn't wait for events: {errno}")),
            }
            if polled
                .get(2)
                .is_some_and(|stdout| stdout.revents().intersects(PollFlags::ERR | PollFlags::HUP))
            {
                crate::output::die_by(PIPE_SIGNAL);
            }
            if polled.get(1).is_some_and(|signals| signals.revents().intersects(PollFlags::IN)) {
                drop(polled);
                // What the kernel had queued before the signal came is printed first.
                let _ = watcher.ready(&mut notices);
                notices.drain(..).for_each(|notice| {
                    self.notice(&notice);
                });
                self.output.write(&mut self.lines);
                self.output
                    .die(i32::try_from(last_signal.load(Ordering::Relaxed)).unwrap_or(SIGTERM));
            }
        }
    }

    /// Handles one notice; the status when the program is to end.
    fn notice(&mut self, notice: &Notice) -> Option<u8> {
        match notice {
            Notice::Entry(entry) => self.entry(entry),
            Notice::Overflow => self.overflow(),
            Notice::Unwatched { root, path, errno } => {
                let place = self.place(root.0, path);
                self.say(&format!(
                    "Couldn't watch new directory {place}: {}",
                    errno_reason(*errno)
                ));
                None
            }
            Notice::Rescan { root, path, .. } => {
                let place = self.place(root.0, path);
                self.say(&format!("Names in {place} may have come or gone without an event."));
                None
            }
            Notice::Polled { root, unwatched, needed, limit } => {
                let place = self.place(root.0, b"");
                self.say(&format!(
                    "{unwatched} directories in {place} are polled, not watched: {needed} watches are needed, \
                     fs.inotify.max_user_watches is {limit}."
                ));
                None
            }
            Notice::RootLost { root, reason } => {
                let place = self.place(root.0, b"");
                let how = match reason {
                    Lost::Moved => "was renamed",
                    Lost::Unmounted => "was unmounted",
                    _ => "was deleted",
                };
                self.say(&format!("{place} {how}; it is no longer watched."));
                (self.settings.root_lost == RootLost::Exit).then_some(1)
            }
            Notice::RootBack { root } => {
                let place = self.place(root.0, b"");
                self.say(&format!("{place} is back and watched again."));
                None
            }
            _ => None,
        }
    }

    /// Whether the stock tool's watch would deliver such an event; ours may ask for more, to keep its books.
    fn is_delivered(&self, mask: Mask) -> bool {
        let mut delivered = self.settings.watching.events;
        if self.settings.monitor && self.settings.watching.recursive {
            delivered |= Mask::CREATE | Mask::MOVE;
        }
        !mask.intersects(Mask::ALL) || (mask & Mask::ALL).intersects(delivered)
    }

    fn entry(&mut self, entry: &Entry) -> Option<u8> {
        if !self.is_delivered(entry.mask) {
            return None;
        }
        let root = self.roots.get(entry.root.0 as usize).map(Vec::as_slice).unwrap_or_default();
        let watched = watched(root, &entry.directory);
        let whole = [watched.as_slice(), &entry.name].concat();
        if self.filter.drops(&whole) {
            return None;
        }
        let line =
            Line { watched: &watched, name: &entry.name, mask: entry.mask, cookie: entry.cookie };
        self.line(&line)
    }

    fn overflow(&mut self) -> Option<u8> {
        if self.settings.monitor {
            self.say(
                "The kernel's queue was full and events were lost; looking for the differences.",
            );
        }
        if self.filter.drops(b"") {
            return None;
        }
        self.line(&Line { watched: b"", name: b"", mask: Mask::OVERFLOW, cookie: 0 })
    }

    fn line(&mut self, line: &Line<'_>) -> Option<u8> {
        let asked = line.mask.intersects(self.settings.watching.events);
        if asked && self.settings.quiet < 2 {
            self.format.write(line, &mut self.lines);
        }
        (!self.settings.monitor).then_some(u8::from(!asked))
    }

    fn place(&self, root: u32, directory: &[u8]) -> String {
        let root = self.roots.get(root as usize).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(&watched(root, directory)).into_owned()
    }

    fn say(&self, text: &str) {
        self.settings.run_time_diagnostics().say(text);
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
