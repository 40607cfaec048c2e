//! The receiving side: collect, decide, apply, verify, commit, finish.
//!
//! Contract with the rest of the engine:
//!
//! * [`run`] is called once a run, with both halves of the link. It returns when [`crate::link::Offer::End`] was read, or
//!   with the first error; by then every thread it made has ended and no temporary file is left but what `--partial`
//!   and `--delay-updates` keep.
//! * It makes the generator's thread and keeps the calling thread as the receiving one. See [`crate::link`] for who may
//!   wait for whom. When the generator fails it drops its half of the link.
//! * Rounds of [`crate::link::Requests::done`] follow docs/spec session.md 11.1: `Protocol::generator_rounds` in all,
//!   deletion statistics before the round before the last where the version has them.
//! * What happens is told to the monitor at the moment it is decided: [`crate::Event::Item`] by the *receiving* thread
//!   when the source repeats the item (a client's view), by the generator itself in a local run and for what is never
//!   sent below protocol 29. A server tells items to its log only; its observer looks away.
//! * Numbers of users and groups in the list are the source's. Names arrive with the lists.
//!
//! [`run`]: self

pub(crate) mod apply;
mod attributes;
mod backup;
pub(crate) mod collect;
mod commit;
pub(crate) mod context;
mod decide;
mod delete;
mod destination;
pub(crate) mod extras;
mod generate;
mod groups;
mod items;
mod near;
pub(crate) mod outlet;
mod owners;
mod partial;
mod receive;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Sender, unbounded};
use syncline_filter::Filter;

use crate::extras::XattrNames;
use crate::link::{Offer, Offers, Requests};
use crate::source::OperatorFiles;
use crate::{Error, ExitCode, Extras, Job, Monitor, Notice, Result, Role, Terms};
use collect::{Batch, Collector};
use context::Context;
use delete::Sweeper;
use destination::{Arrived, Destination};
use extras::Dressing;
use generate::Generator;
use outlet::{Far, Outlet, Report};
use owners::Owners;
use receive::Receiving;

/// What a sink works from beside the job.
#[derive(Debug)]
pub struct SinkPlan {
    /// The destination argument, as given.
    pub destination: Vec<u8>,
    /// Where a relative destination starts.
    pub start: PathBuf,
    /// The receiving side's rules, for deletion.
    pub filter: Filter,
}

/// Receives until the source has ended.
pub fn run(
    job: &Job,
    terms: &Terms,
    plan: SinkPlan,
    mut offers: Box<dyn Offers>,
    requests: Box<dyn Requests>,
    monitor: &Monitor,
) -> Result<()> {
    receive_with(job, terms, plan, &mut *offers, monitor, |context, _| Link {
        outlet: Box::new(Far { context, requests }),
        workers: Vec::new(),
    })
}

/// The way to a source.
pub(crate) struct Link<'c> {
    pub(crate) outlet: Box<dyn Outlet + 'c>,
    /// Threads that copy; they end when the outlet is dropped.
    pub(crate) workers: Vec<Worker<'c>>,
}

/// A thread's work.
pub(crate) type Worker<'c> = Box<dyn FnOnce() -> Result<()> + Send + 'c>;

/// Receives; `connect` makes the way to the source once the destination is known.
pub(crate) fn receive_with(
    job: &Job,
    terms: &Terms,
    plan: SinkPlan,
    offers: &mut dyn Offers,
    monitor: &Monitor,
    connect: impl for<'c> FnOnce(&'c Context<'c>, &Sender<Report>) -> Link<'c>,
) -> Result<()> {
    refuse_what_is_missing(job)?;
    let SinkPlan { destination, start, filter } = plan;
    let owners = Owners::new(job, monitor)?;
    let extras = Extras::default();
    let mut collector = Collector::new(job, terms, owners, &filter, monitor, extras.clone());
    let (first, ended) = first_lists(&mut collector, offers, terms, monitor)?;
    let count = first.iter().map(|batch| batch.list.len()).sum();
    if count == 0 && !job.is_server() {
        // A server that has nothing to send leaves at once (docs/spec session.md 11.4).
        for batch in &first {
            monitor.tally().add_io_errors(batch.list.io_errors());
        }
        return Ok(());
    }
    let only = first.first().and_then(|batch| batch.list.get(0));
    let arrived = Arrived {
        count,
        is_directory: only.is_some_and(syncline_wire::list::EntryRef::is_directory),
    };
    let place = Destination::enter(job, &destination, &start, arrived, monitor)?;
    let names = XattrNames::new(&job.options, Some(&filter));
    let dressing = Dressing::new(job, names, extras);
    let context = Context::new(job, terms, monitor, place, dressing);
    monitor.notice(Notice::DeltaTransmission(!context.whole));
    let context = &context;
    let (paths, module) = (job.paths.clone(), job.module.clone());
    let mut files = OperatorFiles { paths, module, ..OperatorFiles::default() };
    let files = &mut files;
    let waker = offers.waker();
    std::thread::scope(|scope| {
        let (reports, inbox) = unbounded();
        let Link { outlet, workers } = connect(context, &reports);
        let workers: Vec<_> = workers.into_iter().map(|worker| scope.spawn(worker)).collect();
        let generator = scope.spawn(move || {
            let sweeper = Sweeper::new(context, filter, files);
            let result = Generator::new(context, outlet, inbox, sweeper).run();
            if let (Err(error), Some(wake)) = (&result, waker)
                && is_own(error)
            {
                wake();
            }
            result
        });
        for batch in first {
            // The generator may have failed: joining it tells.
            let _ = reports.send(Report::List(batch));
        }
        if ended {
            let _ = reports.send(Report::ListsEnd);
        }
        let received = Receiving::new(context, &reports, collector).run(offers);
        if received.is_err() {
            let _ = reports.send(Report::Broken);
        }
        drop(reports);
        let generated = generator.join().unwrap_or(Err(Error::Stopped));
        let mut results = vec![received, generated];
        if results[1].as_ref().is_err_and(is_own) {
            // It is what ended the receiving thread.
            results.swap(0, 1);
        }
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or(Err(Error::Stopped)));
        results.extend(joined);
        first_error(results)
    })
}

/// Whether the generator failed by itself. Where the connection did, what can still be read from it tells why.
fn is_own(error: &Error) -> bool {
    match error {
        Error::Closed { .. } | Error::Timeout { .. } | Error::PeerExit(_) | Error::Stopped => false,
        error => error.exit_code() != ExitCode::SOCKET,
    }
}

/// The error that made the others stop.
fn first_error(results: Vec<Result<()>>) -> Result<()> {
    let mut stopped = Ok(());
    for result in results {
        match result {
            Ok(()) => {}
            Err(Error::Stopped) => stopped = Err(Error::Stopped),
            Err(error) => return Err(error),
        }
    }
    stopped
}

/// What is needed to choose the destination: the first list, and with one entry whatever follows it
/// (docs/spec filelist.md 8.4).
fn first_lists(
    collector: &mut Collector<'_>,
    offers: &mut dyn Offers,
    terms: &Terms,
    monitor: &Monitor,
) -> Result<(Vec<Arc<Batch>>, bool)> {
    let mut first = Vec::new();
    loop {
        match offers.next()? {
            Offer::List(received) => {
                first.push(collector.add(received, offers)?);
                let alone = first.len() == 1 && first[0].list.len() == 1;
                if terms.incremental() && !alone {
                    return Ok((first, false));
                }
            }
            Offer::ListsEnd => {
                monitor.tally().end_lists();
                return Ok((first, true));
            }
            Offer::IoErrors(errors) => monitor.tally().add_io_errors(errors),
            Offer::End => return Ok((first, true)),
            other => {
                let text = format!("a list was expected, not {other:?} [{}]", Role::Destination);
                return Err(Error::fatal(ExitCode::PROTOCOL, text));
            }
        }
    }
}

/// Options that a sink would have to mind and cannot yet are refused, never ignored.
fn refuse_what_is_missing(job: &Job) -> Result<()> {
    let attributes = &job.options.attributes;
    let missing = [(attributes.crtimes, "--crtimes")];
    match missing.into_iter().find(|(wanted, _)| *wanted) {
        Some((_, option)) => {
            let text = format!("{option} is not performed by this receiver yet");
            Err(Error::fatal(ExitCode::UNSUPPORTED, text))
        }
        None => Ok(()),
    }
}
