//! `syncwatch stats`, also called `inotifywatch`: counts events.

mod options;
mod table;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use syncline_watch::{Backend, Mask, Notice, Options, Watcher};

use crate::common::{Filter, cannot_start, path, watched};
use crate::options::{Ended, Established, Wording};
use crate::syslog::Diagnostics::Stderr;
use options::Settings;
pub(crate) use options::TEXT;
use table::Counts;

/// Runs the program.
pub(crate) fn run(program: &str, words: Vec<Vec<u8>>) -> ExitCode {
    let settings = match Settings::parse(program, words) {
        Ok(settings) => settings,
        Err(Ended::Refused(text)) => {
            Stderr.say(&text);
            return ExitCode::FAILURE;
        }
        Err(Ended::Told(text, status)) => {
            print(text.as_bytes());
            return ExitCode::from(status);
        }
    };
    match start(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            Stderr.say(&text);
            ExitCode::FAILURE
        }
    }
}

fn start(settings: &Settings) -> Result<(), String> {
    let ready = Arc::new(AtomicBool::new(false));
    let mut signals =
        handle_signals(&ready).map_err(|error| format!("Couldn't handle signals: {error}"))?;
    if let Err(error) = settings.watching.probe() {
        return Err(cannot_start(&error));
    }
    let mut filter = settings.watching.patterns.compile()?;
    let paths = settings.watching.paths(|text| Stderr.say(text));
    if paths.watch.is_empty() {
        return Err("No files specified to watch!".into());
    }
    filter.set_at(&paths.at);
    let filter = Arc::new(filter);
    let options = Options {
        mask: settings.watching.events,
        grow: true,
        report_found: false,
        rescan: false,
        by_name: false,
        inspect_created: false,
        ..Options::default()
    };
    Stderr.say("Establishing watches...");
    let words = Wording { verb: "Failed to watch", place: path };
    let talkative = settings.verbose && settings.watching.recursive;
    let announce = |argument: &[u8], done: bool| {
        let name = String::from_utf8_lossy(argument);
        if talkative && done {
            Stderr.say(&format!("OK, {name} is now being watched."));
        } else if talkative {
            Stderr.say(&format!("Setting up watch(es) on {name}"));
        }
    };
    let Established { mut watcher, roots } =
        settings.watching.establish(&options, &filter, &paths, &words, announce)?;
    if settings.verbose {
        Stderr.say(&format!("Total of {} watches.", watcher.watches()));
    }
    // Before the line: whoever reads it may send a signal at once.
    ready.store(true, Ordering::SeqCst);
    Stderr.say("Finished establishing watches, now collecting statistics.");
    if let Some(seconds) = settings.timeout.filter(|_| settings.verbose) {
        Stderr.say(&format!("Will listen for events for {seconds} seconds."));
    }
    let counts = Counts::new(watcher.backend() == Backend::Fanotify);
    let mut collector = Collector { settings, filter, roots, counts };
    collector.collect(&mut watcher, &mut signals)
}

/// What the signal thread tells the main one.
const REPORT: u8 = b'r';
const END: u8 = b'e';

/// Starts the thread that turns signals into bytes on a socket.
fn handle_signals(ready: &Arc<AtomicBool>) -> std::io::Result<UnixStream> {
    let (receiver, mut sender) = UnixStream::pair()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    let ready = ready.clone();
    std::thread::spawn(move || {
        let mut interrupted = false;
        for signal in signals.forever() {
            let ready = ready.load(Ordering::SeqCst);
            match signal {
                SIGINT if !ready && interrupted => {
                    Stderr.say(
                        "No statistics collected, asked to abort before all watches could be established.",
                    );
                    std::process::exit(1);
                }
                SIGINT if !ready => {
                    interrupted = true;
                    Stderr.say(
                        "No statistics have been collected because I haven't finished establishing\n\
                         inotify watches yet.  If you are sure you want me to exit, interrupt me again.",
                    );
                }
                _ if !ready => crate::output::die_by(signal),
                // Without a main thread there is nothing to report to.
                SIGUSR1 => drop(sender.write_all(&[REPORT])),
                _ => drop(sender.write_all(&[END])),
            }
        }
    });
    Ok(receiver)
}

struct Collector<'a> {
    settings: &'a Settings,
    filter: Arc<Filter>,
    roots: Vec<Vec<u8>>,
    counts: Counts,
}

impl Collector<'_> {
    fn collect(&mut self, watcher: &mut Watcher, signals: &mut UnixStream) -> Result<(), String> {
        let end = self
            .settings
            .timeout
            .map(|seconds| Instant::now() + Duration::from_secs(u64::from(seconds)));
        loop {
            let wake = self.read(watcher)?;
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                self.report(watcher);
                return Ok(());
            }
            let wait = [left, wake].into_iter().flatten().min().map(|wait| Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            let mut polled =
                [PollFd::new(&*watcher, PollFlags::IN), PollFd::new(&*signals, PollFlags::IN)];
            match poll(&mut polled, wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("Couldn't wait for events: {errno}")),
            }
            if polled[1].revents().intersects(PollFlags::IN) {
                let mut what = [0];
                signals.read_exact(&mut what).map_err(|error| error.to_string())?;
                self.read(watcher)?;
                self.report(watcher);
                if what[0] == END {
                    return Ok(());
                }
                print(b"\n");
            }
        }
    }

    /// Counts everything that is there.
    fn read(&mut self, watcher: &mut Watcher) -> Result<Option<Duration>, String> {
        let mut notices = Vec::new();
        loop {
            let wake = watcher.ready(&mut notices).map_err(|error| error.to_string())?;
            if notices.is_empty() {
                return Ok(wake);
            }
            for notice in notices.drain(..) {
                self.count(&notice);
            }
        }
    }

    fn count(&mut self, notice: &Notice) {
        let entry = match notice {
            Notice::Entry(entry) if !entry.found => entry,
            Notice::Overflow => {
                return Stderr.say(
                    "The kernel's queue was full and events were lost; the counts are too low.",
                );
            }
            _ => return,
        };
        // What is only asked for to keep the watcher's books is not counted.
        let always = Mask::IGNORED | Mask::UNMOUNT;
        if !entry.mask.intersects(self.settings.watching.events | always) {
            return;
        }
        let root = self.roots.get(entry.root.0 as usize).map(Vec::as_slice).unwrap_or_default();
        let watched = watched(root, &entry.directory);
        if !self.filter.drops(&[watched.as_slice(), &entry.name].concat()) {
            self.counts.count(entry.watch, &watched, entry.mask);
        }
    }

    fn report(&mut self, watcher: &mut Watcher) {
        // With one mark for all, only rows without events need a look at the tree.
        let places = if watcher.backend() == Backend::Inotify || self.settings.zero {
            watcher.places()
        } else {
            Vec::new()
        };
        for (watch, root, directory) in places {
            let root = self.roots.get(root.0 as usize).map(Vec::as_slice).unwrap_or_default();
            self.counts.place(watch, watched(root, &directory));
        }
        let Settings { zero, order, json, .. } = *self.settings;
        let events = self.settings.watching.events;
        if json {
            print(&self.counts.json(events, zero, order));
        } else if self.counts.nothing_happened() {
            Stderr.say("No events occurred.");
        } else {
            print(&self.counts.table(events, zero, order));
        }
    }
}

/// Writes to standard output at once; whoever closed it does not want to know.
fn print(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    drop(stdout.write_all(text).and_then(|()| stdout.flush()));
}
