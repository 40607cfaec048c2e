//! Mirroring until a signal ends it (R138, R139).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use syncline_live::state::{Concern, Registry, State};
use syncline_live::{Log, Notifier, Service, StartOptions, StatusFile, Watchdog, status};
use syncline_options::LiveOptions;
use syncline_sys::notify::Listener;
use syncline_sys::process::{Half, split};

use crate::plan::Plan;
use crate::{FAILED, control, failure};

/// How often it is looked whether everything is watched, or a target cannot be reached.
const LOOK: Duration = Duration::from_millis(20);

/// rsync's code for a peer that cannot be reached.
const UNREACHABLE: u8 = 10;

/// What happens to a service.
enum Event {
    Signal(i32),
    /// A target that cannot be reached, with `--fail-fast`.
    Unreachable(String),
    Stopped,
}

pub(crate) fn run(options: &LiveOptions, plan: &Plan, log: &Log) -> Result<u8, u8> {
    if !options.detach {
        return mirror(options, plan, log, None);
    }
    let fail = |error: std::io::Error| {
        log.error(format_args!("cannot detach: {error}"));
        FAILED
    };
    // The command ends when everything is watched, or with the service's own code if that never is.
    let (mut readiness, told) = std::io::pipe().map_err(fail)?;
    match split().map_err(fail)? {
        Half::Child => {
            drop(readiness);
            // Only a process that leads a session already is refused, and it is none: it is a child.
            let _ = rustix::process::setsid();
            if let Ok(null) = File::open("/dev/null") {
                // A standard input that stays is no harm.
                let _ = rustix::stdio::dup2_stdin(&null);
            }
            mirror(options, plan, log, Some(&File::from(OwnedFd::from(told))))
        }
        Half::Parent(_) => {
            drop(told);
            let mut code = [FAILED];
            // Nothing comes from a child that did not get that far.
            let _ = readiness.read(&mut code);
            Ok(code[0])
        }
    }
}

fn mirror(options: &LiveOptions, plan: &Plan, log: &Log, parent: Option<&File>) -> Result<u8, u8> {
    let result = start(options, plan, log, parent);
    let (mut running, events) = result.inspect_err(|code| tell(parent, *code))?;
    let code = running.serve(&events);
    let within = running.within;
    if let Some(notifier) = &running.notifier {
        notifier.stopping(within);
    }
    log.info(format_args!("stopping within {} s", within.as_secs_f64()));
    let Running { service, sender, status_file, server, notifier, .. } = running;
    let ends = std::thread::spawn(move || {
        service.stop(within);
        // Nobody listens who waits for a signal any more.
        let _ = sender.send(Event::Stopped);
    });
    for event in events {
        match event {
            Event::Stopped => break,
            // The second one.
            Event::Signal(signal @ (SIGTERM | SIGINT)) => std::process::exit(128 + signal),
            _ => {}
        }
    }
    // A thread that died has said so on standard error.
    let _ = ends.join();
    drop((status_file, server, notifier));
    log.info("stopped");
    Ok(code)
}

/// A service and what shows it.
struct Running {
    service: Service,
    registry: Registry,
    options: LiveOptions,
    within: Duration,
    state_dir: std::path::PathBuf,
    has_file: bool,
    log: Log,
    sender: Sender<Event>,
    server: Option<status::Server>,
    status_addr: Option<SocketAddr>,
    status_file: Option<StatusFile>,
    notifier: Option<Notifier>,
}

fn start(
    options: &LiveOptions,
    plan: &Plan,
    log: &Log,
    parent: Option<&File>,
) -> Result<(Running, Receiver<Event>), u8> {
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        log.error(format_args!("{what}: {error}"));
        FAILED
    };
    let (sender, events) = channel();
    // Before anything else, so that no signal finds the process without a plan.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])
        .map_err(|error| fail("signals", &error))?;
    let to = sender.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if to.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    plan.tell(log);
    let config = &plan.config;
    let registry = Registry::new();
    let server = match config.status_addr {
        Some(address) => {
            let server = status::Server::start(address, registry.clone(), config.healthy_lag.0);
            let server =
                server.map_err(|error| fail(&format!("status address {address}"), &error))?;
            log.info(format_args!("status at http://{}/", server.address()));
            Some(server)
        }
        None => None,
    };
    let (within, state_dir) = (config.stop_within.0, config.state_dir.clone());
    let status_addr = config.status_addr;
    let status_path = config.status_file.clone();
    let service =
        Service::start(&plan.config, StartOptions::default(), registry.clone(), log.clone())
            .map_err(|error| failure(&error))?;
    let status_file = status_path
        .map(|path| {
            StatusFile::start(path.clone(), &registry, log)
                .map_err(|error| fail(&format!("status file {}", path.display()), &error))
        })
        .transpose()?;
    let notifier = Listener::from_environment()
        .map(|listener| Notifier::start(listener, Watchdog::from_environment(), &registry, log))
        .transpose()
        .map_err(|error| fail("service manager", &error))?;
    if options.fail_fast {
        watch_for_failure(registry.clone(), sender.clone());
    }
    if parent.is_some() {
        while !registry.is_watching() {
            std::thread::sleep(LOOK);
        }
        tell(parent, 0);
    }
    let running = Running {
        service,
        registry,
        options: options.clone(),
        within,
        state_dir,
        has_file: plan.has_file,
        log: log.clone(),
        sender,
        server,
        status_addr,
        status_file,
        notifier,
    };
    Ok((running, events))
}

/// Tells the command that waits for it how the start went.
fn tell(parent: Option<&File>, code: u8) {
    if let Some(mut parent) = parent {
        // A command that was killed does not mind.
        let _ = parent.write_all(&[code]);
    }
}

/// Says so when a target is in trouble before it was ever live.
fn watch_for_failure(registry: Registry, to: Sender<Event>) {
    std::thread::spawn(move || {
        loop {
            let snapshot = registry.snapshot(registry.now());
            let targets = || snapshot.mirrors.iter().flat_map(|mirror| &mirror.targets);
            if let Some(target) =
                targets().find(|target| target.state.concern() == Concern::Trouble)
            {
                let text = format!("{}: {} {}", target.name, target.state.name(), target.reason);
                // Whoever stops already needs no second reason.
                let _ = to.send(Event::Unreachable(text));
                return;
            }
            if targets().all(|target| target.state == State::Live) {
                return;
            }
            std::thread::sleep(LOOK);
        }
    });
}

impl Running {
    /// Obeys signals until one of them ends it; the exit code.
    fn serve(&mut self, events: &Receiver<Event>) -> u8 {
        for event in events {
            match event {
                Event::Signal(SIGHUP) => self.reload(),
                Event::Signal(SIGUSR1) => {
                    let snapshot = self.registry.snapshot(self.registry.now());
                    status::text(&snapshot).lines().for_each(|line| self.log.info(line));
                }
                Event::Signal(SIGUSR2) => {
                    for mirror in control::allowed(&self.state_dir) {
                        if self.service.allow(&mirror) {
                            self.log.info(format_args!("mirror={mirror} allowed"));
                        } else {
                            self.log.warn(format_args!("there is no mirror {mirror} to allow"));
                        }
                    }
                    self.service.retry_now();
                }
                Event::Signal(_) | Event::Stopped => return 0,
                Event::Unreachable(target) => {
                    self.log.error(format_args!("--fail-fast: {target}"));
                    return UNREACHABLE;
                }
            }
        }
        0
    }

    /// Reads the configuration again; a bad one changes nothing.
    fn reload(&mut self) {
        if !self.has_file {
            self.log.info("everything stands on the command line: there is nothing to read again");
            return;
        }
        if let Some(notifier) = &self.notifier {
            notifier.reloading();
        }
        match self.try_reload() {
            Ok(()) => self.log.info("the configuration was read again"),
            Err(problem) => {
                self.log.error(format_args!("the configuration stays as it was: {problem}"));
            }
        }
        if let Some(notifier) = &self.notifier {
            notifier.ready();
        }
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let plan = Plan::of(&self.options)?;
        if plan.config.state_dir != self.state_dir {
            return Err("another state directory needs a restart".into());
        }
        self.service.reload(&plan.config).map_err(|error| error.to_string())?;
        plan.tell(&self.log);
        self.log.set_level(plan.config.log_level);
        self.within = plan.config.stop_within.0;
        let address = plan.config.status_addr;
        if address != self.status_addr {
            self.server = None;
            self.status_addr = address;
            let lag = plan.config.healthy_lag.0;
            let start = |address| status::Server::start(address, self.registry.clone(), lag);
            self.server = address.map(start).transpose().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
