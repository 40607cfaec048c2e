//! One session with one target: what it carries, how it is made, what came of it (docs/spec live.md 5).

mod daemon;
mod limit;
mod password;
mod watcher;
mod words;

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_conf::live::Address;
use syncline_engine::local::LocalPlan;
use syncline_engine::session::shell::{RemoteShell, server_command};
use syncline_engine::session::{ClientPlan, Connection, rules_of};
use syncline_engine::source::{Line, Names, OperatorFiles};
use syncline_engine::{Error, ExitCode, Interrupt, Job, Monitor, Place, Role, Terms};
use syncline_filter::Rules;
use syncline_fs::RelPathBuf;
use syncline_options::{Direction, Options};

pub(crate) use daemon::Keep;
use limit::Limit;
pub(crate) use watcher::Findings;
use watcher::Watcher;
pub(crate) use words::{Words, options, schedule_differs};

use crate::mirror::Expressions;
use crate::state::{Pulse, TargetStatus};

/// What a session is to carry.
#[derive(Clone, Debug)]
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
    Everything { removes: bool, kind: Comparison },
}

/// Why the source as a whole is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    /// So that the target becomes what it is.
    Plain,
    /// The same, as often as a person wants it, with rules of its own.
    Scheduled,
    /// To find out what differs, and nothing else.
    Check { content: bool },
}

impl Load {
    /// The names that are listed as gone, in order.
    pub(crate) fn gone(&self) -> Vec<RelPathBuf> {
        let Self::Lines { lines, .. } = self else { return Vec::new() };
        let gone = lines.iter().filter_map(|line| match line {
            Line::Gone(path) => Some(path.clone()),
            _ => None,
        });
        let mut gone: Vec<RelPathBuf> = gone.collect();
        gone.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        gone
    }

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
    /// What is hidden beside what rules hide.
    pub(crate) hidden: Option<Arc<Expressions>>,
    pub(crate) password_file: Option<PathBuf>,
    /// How long a handshake may take.
    pub(crate) handshake: Duration,
    pub(crate) max_delete: Option<u64>,
    /// What is known of a daemon is sent ahead of its answers.
    pub(crate) pipelines: bool,
    /// A connection to a daemon is kept ready.
    pub(crate) keeps_spare: bool,
    /// Where a transfer that takes long is shown.
    pub(crate) shown: Option<Arc<TargetStatus>>,
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
    /// What was not there before.
    pub(crate) created: u64,
    /// Entries in the list.
    pub(crate) listed: u64,
    pub(crate) took: Duration,
}

impl Route {
    /// Carries `load` over. `running` is told how to end the session.
    pub(crate) fn carry(
        &self,
        load: Load,
        keep: &mut Keep,
        pulse: &Arc<Pulse>,
        patience: Duration,
        running: &dyn Fn(&Interrupt),
    ) -> Outcome {
        let begun = Instant::now();
        let checks = matches!(load, Load::Everything { kind: Comparison::Check { .. }, .. });
        let watcher = Arc::new(Watcher::new(pulse, patience, checks, self.shown.clone()));
        let monitor = Monitor::new(watcher.clone());
        let result = self.session(load, keep, running, &monitor);
        let tally = monitor.tally();
        Outcome {
            result,
            sent: tally.sent.get(),
            received: tally.received.get(),
            literal: tally.literal.get(),
            deleted: tally.deleted.total(),
            created: tally.created.total(),
            listed: tally.files.total(),
            findings: watcher.findings(),
            took: begun.elapsed(),
        }
    }

    fn session(
        &self,
        load: Load,
        keep: &mut Keep,
        running: &dyn Fn(&Interrupt),
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
        let words = self.words.of_session(&load, self.max_delete);
        let options = options(&words)?;
        match &self.address {
            Address::Local(directory) => {
                let interrupt = Interrupt::default();
                running(&interrupt);
                self.locally(&options, load, directory, interrupt, monitor)
            }
            Address::Shell { user, host, path } => {
                let interrupt = Interrupt::default();
                running(&interrupt);
                let plan = self.plan(&options, load, interrupt)?;
                let limit = Limit::start(&plan.job.interrupt, self.handshake);
                by_shell(&options, plan, (user.as_deref(), host, path), limit, monitor)
            }
            _ => {
                let plan = |interrupt| self.plan(&options, load.clone(), interrupt);
                let result = self.by_daemon(&options, &words, plan, keep, running, monitor);
                if self.keeps_spare && result.is_ok() {
                    self.make_spare(&options, keep);
                }
                result
            }
        }
    }

    /// Makes the spare anew.
    pub(crate) fn renew(&self, keep: &Keep) {
        let load = Load::Everything { removes: false, kind: Comparison::Plain };
        let words = self.words.of_session(&load, None);
        if let Ok(options) = options(&words) {
            self.make_spare(&options, keep);
        }
    }

    fn job(options: &Options, place: Place, interrupt: Interrupt) -> Job {
        let mut job = Job::new(options.clone(), place);
        job.exact = true;
        job.interrupt = interrupt;
        job
    }

    fn rules(&self, options: &Options, files: &mut OperatorFiles) -> Result<Rules, Error> {
        let mut rules = rules_of(options, files)?;
        if let Some(hidden) = self.hidden.clone() {
            rules.hide(hidden);
        }
        Ok(rules)
    }

    /// What is sent: arguments, or a list.
    fn names(&self, load: Load) -> (Vec<Vec<u8>>, Option<Names>) {
        let source = self.source.as_os_str().as_bytes();
        match load {
            Load::Everything { .. } => (vec![[source, b"/"].concat()], None),
            Load::Lines { lines, .. } => {
                (Vec::new(), Some(Names::Exactly { below: source.to_vec(), lines }))
            }
        }
    }

    fn plan(
        &self,
        options: &Options,
        load: Load,
        interrupt: Interrupt,
    ) -> Result<ClientPlan<'static>, Error> {
        let mut files = OperatorFiles::default();
        let rules = self.rules(options, &mut files)?;
        let (sources, names) = self.names(load);
        Ok(ClientPlan {
            job: Self::job(options, Place::Client, interrupt),
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
        })
    }

    fn locally(
        &self,
        options: &Options,
        load: Load,
        directory: &str,
        interrupt: Interrupt,
        monitor: &Monitor,
    ) -> Result<ExitCode, Error> {
        let mut files = OperatorFiles::default();
        let rules = self.rules(options, &mut files)?;
        let (sources, names) = self.names(load);
        let plan = LocalPlan {
            job: Self::job(options, Place::Local, interrupt),
            sources,
            names,
            destination: Some(directory.as_bytes().to_vec()),
            listing: false,
            start: PathBuf::from("/"),
            rules,
            files,
        };
        plan.run(&|_| {}, monitor).0
    }
}

/// Runs a plan by a remote shell, one process a session (R65).
fn by_shell(
    options: &Options,
    plan: ClientPlan<'_>,
    (user, host, path): (Option<&str>, &str, &str),
    limit: Limit,
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
        let limit = RefCell::new(limit);
        let begun = |_: &Terms| limit.borrow_mut().lift();
        let result = ClientPlan { begun: &begun, ..plan }.run(connection, monitor).0;
        limit.borrow().explain(result)
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
