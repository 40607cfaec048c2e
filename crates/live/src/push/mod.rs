//! One session with one target: what it carries, how it is made, what came of it (docs/spec live.md 5).

mod daemon;
mod password;
mod watcher;
mod words;

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_conf::live::Address;
use syncline_engine::local::LocalPlan;
use syncline_engine::session::shell::{RemoteShell, server_command};
use syncline_engine::session::{ClientPlan, Connection, rules_of};
use syncline_engine::source::{Line, Names, OperatorFiles};
use syncline_engine::{Error, ExitCode, Interrupt, Job, Monitor, Place, Role};
use syncline_fs::RelPathBuf;
use syncline_options::{Direction, Options};

pub(crate) use daemon::Spare;
pub(crate) use watcher::Findings;
use watcher::Watcher;
pub(crate) use words::Words;

use crate::state::Pulse;

/// What a session is to carry.
#[derive(Debug)]
pub(crate) enum Load {
    /// Exactly these lines.
    Lines {
        lines: Vec<Line>,
        /// Equal size and time prove nothing.
        forced: bool,
        /// Some lines are directories with their contents, of which what is gone is removed if deletion is on.
        contents: bool,
        /// Names that are gone are removed.
        removes: bool,
        /// Several names of a file are one file there as well.
        links: bool,
    },
    /// The source as a whole.
    Everything { removes: bool },
}

impl Load {
    /// The same by size and time, where this one was forced: asks only for what did not arrive.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Lines { lines, contents, removes, links, .. } => Some(Self::Lines {
                lines: lines.clone(),
                forced: false,
                contents: *contents,
                removes: *removes,
                links: *links,
            }),
            Self::Everything { .. } => None,
        }
    }
}

/// How one target is reached with one source.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) source: PathBuf,
    /// The one file of it that is meant, if it is not all.
    pub(crate) single: Option<RelPathBuf>,
    pub(crate) address: Address,
    pub(crate) words: Words,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) max_delete: Option<u64>,
}

/// What came of a session.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<ExitCode, Error>,
    pub(crate) findings: Findings,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) literal: u64,
    pub(crate) deleted: u64,
    /// Entries in the list.
    pub(crate) listed: u64,
    pub(crate) took: Duration,
}

impl Route {
    /// Carries `load` over, on the spare connection if there is one.
    pub(crate) fn carry(
        &self,
        load: Load,
        spare: Option<Spare>,
        pulse: &Arc<Pulse>,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Outcome {
        let begun = Instant::now();
        let watcher = Arc::new(Watcher::new(pulse, patience));
        let monitor = Monitor::new(watcher.clone());
        let result = self.session(load, spare, interrupt, &monitor);
        let tally = monitor.tally();
        Outcome {
            result,
            sent: tally.sent.get(),
            received: tally.received.get(),
            literal: tally.literal.get(),
            deleted: tally.deleted.total(),
            listed: tally.files.total(),
            findings: watcher.findings(),
            took: begun.elapsed(),
        }
    }

    fn session(
        &self,
        load: Load,
        spare: Option<Spare>,
        interrupt: &Interrupt,
        monitor: &Monitor,
    ) -> Result<ExitCode, Error> {
        let load = match (load, &self.single) {
            (Load::Everything { .. }, Some(single)) => Load::Lines {
                lines: vec![Line::Path(single.clone())],
                forced: false,
                contents: false,
                removes: false,
                links: false,
            },
            (load, _) => load,
        };
        let options = self.words.options(&load, self.max_delete)?;
        let place = if self.is_local() { Place::Local } else { Place::Client };
        let mut job = Job::new(options.clone(), place);
        job.exact = true;
        job.interrupt = interrupt.clone();
        let mut files = OperatorFiles::default();
        let rules = rules_of(&options, &mut files)?;
        let source = self.source.as_os_str().as_bytes();
        let (sources, names) = match load {
            Load::Everything { .. } => (vec![[source, b"/"].concat()], None),
            Load::Lines { lines, .. } => {
                (Vec::new(), Some(Names::Exactly { below: source.to_vec(), lines }))
            }
        };
        if let Address::Local(directory) = &self.address {
            let plan = LocalPlan {
                job,
                sources,
                names,
                destination: Some(directory.clone().into_bytes()),
                listing: false,
                start: PathBuf::from("/"),
                rules,
                files,
            };
            return plan.run(&|_| {}, monitor).0;
        }
        let plan = ClientPlan {
            job,
            sources,
            names,
            requested: (Vec::new(), matches!(self.address, Address::Daemon { .. })),
            destination: None,
            pull: false,
            listing: false,
            start: PathBuf::from("/"),
            rules,
            files,
            settled: None,
            lists: (None, None),
            begun: &|_| {},
        };
        match &self.address {
            Address::Shell { user, host, path } => {
                by_shell(&options, plan, (user.as_deref(), host, path), monitor)
            }
            _ => self.by_daemon(&options, plan, spare, monitor),
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self.address, Address::Local(_))
    }
}

/// Runs a plan by a remote shell, one process a session (R65).
fn by_shell(
    options: &Options,
    plan: ClientPlan<'_>,
    (user, host, path): (Option<&str>, &str, &str),
    monitor: &Monitor,
) -> Result<ExitCode, Error> {
    let path = if path.is_empty() { b".".to_vec() } else { path.as_bytes().to_vec() };
    let (words, secluded) = server_command(
        options,
        user.map(str::as_bytes),
        host.as_bytes(),
        Direction::Push,
        32,
        &[path],
    )?;
    let shell = RemoteShell::spawn(&words, &[], Role::Sender)?;
    let (reader, writer, child) = shell.into_parts();
    let interrupt = plan.job.interrupt.clone();
    let result = Connection::new(reader, writer, options, &interrupt).and_then(|connection| {
        if let Some(words) = secluded {
            connection.send_secluded(&words);
        }
        plan.run(connection, monitor).0
    });
    let status = RemoteShell::wait(child, result.is_err());
    match result {
        Ok(code) if status.number() > code.number() => Ok(status),
        Err(error) if matches!(error, Error::Closed { .. }) && status.number() > 12 => {
            Err(Error::fatal(status, error.to_string()))
        }
        result => result,
    }
}
