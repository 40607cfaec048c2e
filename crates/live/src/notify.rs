//! Telling a service manager that mirrors are ready, how they are, and that no thread hangs (R25, R26).

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use syncline_sys::notify::{Listener, monotonic_microseconds};

use crate::Log;
use crate::state::{Concern, Registry, Snapshot, State};

/// How often it is looked whether everything is watched.
const LOOK: Duration = Duration::from_millis(50);

/// How often the state is told, if it changed.
const TELL: Duration = Duration::from_secs(10);

/// How often a service manager wants to hear that all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchdog(Option<Duration>);

impl Watchdog {
    /// What the environment asks of this process.
    pub fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let time = number("WATCHDOG_USEC").filter(|time| *time > 0 && is_ours);
        Self(time.map(Duration::from_micros))
    }

    /// Within each such time.
    pub fn every(time: Duration) -> Self {
        Self(Some(time))
    }
}

/// Tells a service manager until it is dropped.
#[derive(Debug)]
pub struct Notifier {
    listener: Listener,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Notifier {
    /// Tells `listener`: that mirrors are ready once all is watched, their state, and while every thread keeps its
    /// word, that all is well.
    pub fn start(
        listener: Listener,
        watchdog: Watchdog,
        registry: &Registry,
        log: &Log,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let (registry, log, to) = (registry.clone(), log.clone(), listener.clone());
        let work = move || {
            let mut teller =
                Teller { to, registry, log, ready: false, said: String::new(), late: Vec::new() };
            loop {
                let pause = teller.tell(watchdog);
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("notify".into()).spawn(work)?;
        Ok(Self { listener, stop: Some(stop), thread: Some(thread) })
    }

    /// The configuration is being read again; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        let now = monotonic_microseconds();
        self.listener.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// The configuration was read again.
    pub fn ready(&self) {
        self.listener.tell("READY=1");
    }

    /// The end begins, which may take so long.
    pub fn stopping(&self, within: Duration) {
        let microseconds = within.saturating_add(Duration::from_secs(5)).as_micros();
        self.listener.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}"));
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that died has said so on standard error.
            let _ = thread.join();
        }
    }
}

struct Teller {
    to: Listener,
    registry: Registry,
    log: Log,
    ready: bool,
    said: String,
    /// Threads that do not keep their word, as logged.
    late: Vec<String>,
}

impl Teller {
    /// Tells what is to be told; gives the time until the next word.
    fn tell(&mut self, watchdog: Watchdog) -> Duration {
        let now = self.registry.now();
        if !self.ready && self.registry.is_watching() {
            self.ready = true;
            self.to.tell("READY=1");
        }
        let state = summary(&self.registry.snapshot(now));
        if state != self.said {
            self.to.tell(&format!("STATUS={state}"));
            self.said = state;
        }
        let late = self.registry.late(now);
        if watchdog.0.is_some() && late.is_empty() {
            self.to.tell("WATCHDOG=1");
        }
        if late != self.late {
            for name in late.iter().filter(|name| !self.late.contains(name)) {
                self.log.error(format_args!("thread {name} makes no progress"));
            }
            self.late = late;
        }
        let pause = if self.ready { TELL } else { LOOK };
        watchdog.0.map_or(pause, |time| pause.min(time / 3))
    }
}

/// The state in a line.
fn summary(snapshot: &Snapshot) -> String {
    let targets: Vec<_> = snapshot.mirrors.iter().flat_map(|mirror| &mirror.targets).collect();
    let mut parts: Vec<String> = State::ALL
        .iter()
        .filter_map(|state| {
            let count = targets.iter().filter(|target| target.state == *state).count();
            (count > 0).then(|| format!("{count} {}", state.name()))
        })
        .collect();
    let worst = targets.iter().max_by_key(|target| target.state.concern());
    if let Some(worst) = worst.filter(|target| target.state.concern() == Concern::Trouble) {
        parts.push(format!("{}: {}", worst.name, worst.reason.replace('\n', " ")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::time::Instant;

    use super::*;

    struct Manager(tempfile::TempDir, UnixDatagram);

    impl Manager {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            let socket = UnixDatagram::bind(top.path().join("notify")).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            Self(top, socket)
        }

        fn listener(&self) -> Listener {
            Listener::new(self.0.path().join("notify").as_os_str()).unwrap()
        }

        fn hear(&self) -> String {
            let mut buffer = [0; 4096];
            let count = self.1.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..count].to_vec()).unwrap()
        }

        fn hears(&self, wanted: &str) {
            while self.hear() != wanted {}
        }
    }

    fn silent() -> Log {
        Log::to(|_, _| {})
    }

    #[test]
    fn r25_ready_comes_once_all_is_watched_and_the_state_is_told() {
        let manager = Manager::new();
        let registry = Registry::new();
        let mirror = registry.mirror("www", Path::new("/data"));
        let target = mirror.target("web1", "web1::www");
        let notifier =
            Notifier::start(manager.listener(), Watchdog(None), &registry, &silent()).unwrap();
        assert_eq!(manager.hear(), "STATUS=1 starting");
        let _ = target.set_state(registry.now(), State::Comparing, "");
        manager.hears("STATUS=1 comparing");
        mirror.set_watching(true);
        manager.hears("READY=1");
        notifier.reloading();
        assert!(manager.hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        notifier.ready();
        manager.hears("READY=1");
        notifier.stopping(Duration::from_secs(10));
        manager.hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000");
    }

    #[test]
    fn r26_the_watchdog_is_fed_only_while_every_thread_makes_progress() {
        let manager = Manager::new();
        let registry = Registry::new();
        let pulse = registry.pulse("worker www web1");
        let watchdog = Watchdog::every(Duration::from_millis(30));
        let _notifier =
            Notifier::start(manager.listener(), watchdog, &registry, &silent()).unwrap();
        manager.hears("WATCHDOG=1");
        // It hangs from now on.
        pulse.busy(Duration::ZERO);
        let hung = Instant::now();
        manager.1.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        while manager.1.recv(&mut [0; 100]).is_ok() {
            assert!(hung.elapsed() < Duration::from_secs(20), "it is fed on and on");
        }
        pulse.idle();
        manager.1.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        manager.hears("WATCHDOG=1");
    }

    #[test]
    fn the_worst_state_is_told_with_its_reason() {
        let registry = Registry::new();
        let mirror = registry.mirror("www", Path::new("/data"));
        for (name, state) in [("a", State::Live), ("b", State::Live), ("c", State::Misconfigured)] {
            let _ = mirror.target(name, "x").set_state(Duration::ZERO, state, "unknown\nmodule");
        }
        let text = summary(&registry.snapshot(Duration::ZERO));
        assert_eq!(text, "2 live, 1 misconfigured, c: unknown module");
    }
}
