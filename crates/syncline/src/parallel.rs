//! `--parallel`: one job as several sessions.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_engine::parallel::{
    Division, Merged, Merger, OLDEST_PROTOCOL, Part, Surveyor, first_options, obstacle,
    part_options, survey_options, weigh,
};
use syncline_engine::report::Class;
use syncline_engine::{Cause, Error, ExitCode, Job, Monitor, Place, Role};
use syncline_filter::Rules;
use syncline_options::values::flags::Info;
use syncline_options::{Form, Options};

use crate::client::{Ended, Opening, Run, operator_files};

/// How a run ended, and what stopped it from outside.
type Stopped = (Ended, Option<Cause>);

/// Does a run over several sessions; none if it is to be done in one.
pub(crate) fn run(whole: &Run) -> Option<Stopped> {
    let (sources, at_hand) = match &whole.arguments.form {
        Form::Push { sources, .. } => (sources, true),
        Form::Local { sources, destination: Some(_) } if whole.options.batch.write.is_none() => {
            (sources, true)
        }
        Form::Pull { sources, destination: Some(_), .. } => (sources, false),
        _ => return None,
    };
    let rules = whole.rules.as_ref()?;
    if let Some(reason) = obstacle(&whole.options, rules, sources.len()) {
        return alone(whole, reason);
    }
    let job = Divided { whole, rules };
    let mut survey = match job.survey(sources, at_hand) {
        Ok((survey, protocol)) if at_hand || protocol >= OLDEST_PROTOCOL => survey,
        Ok(_) => return alone(whole, "the protocol is older than 30"),
        Err(ended) => return Some((ended, whole.job.interrupt.cause())),
    };
    if at_hand {
        let start = std::env::current_dir().unwrap_or_default();
        weigh(&mut survey, sources, &start);
    }
    // Each session needs something of the bandwidth.
    let most = whole.options.connection.bwlimit.map_or(usize::MAX, |limit| limit as usize);
    let sessions = most.min(whole.options.parallel.into());
    let chmod = &whole.options.attributes.chmod;
    match Division::new(&survey, sessions, chmod) {
        Some(division) => Some(job.run(division)),
        None => alone(whole, "there are no subtrees to share out"),
    }
}

/// Says why one session does it all.
fn alone(whole: &Run, reason: &str) -> Option<Stopped> {
    tell(whole, 1, &format!("--parallel: one session, because {reason}"));
    None
}

fn tell(whole: &Run, level: u8, text: &str) {
    if whole.options.output.info.level(Info::Misc) >= level {
        whole.report.line(Class::Info, text.as_bytes());
    }
}

struct Divided<'a> {
    whole: &'a Run,
    rules: &'a Rules,
}

impl Divided<'_> {
    /// Lists the top of the source: from here where it is at hand, else from the server.
    fn survey(
        &self,
        sources: &[Vec<u8>],
        at_hand: bool,
    ) -> Result<(syncline_engine::parallel::Survey, u8), Ended> {
        let (surveyor, rule) = Surveyor::new(sources);
        let surveyor = Arc::new(surveyor);
        let monitor = Monitor::new(surveyor.clone());
        let mut session = self.session(survey_options(&self.whole.options), &[rule], monitor)?;
        session.opening = Opening::Unseen;
        session.arguments.listing = true;
        if at_hand {
            session.arguments.form = Form::Local { sources: sources.to_vec(), destination: None };
            session.job.place = Place::Local;
        }
        let (result, role) = session.session();
        let (survey, lines) = surveyor.finish();
        match result {
            Ok(code) if is_partial(code) => Ok((survey, session.protocol.load(Ordering::Relaxed))),
            result => {
                for line in lines {
                    self.whole.report.line(Class::Error, &line);
                }
                Err((result, role))
            }
        }
    }

    fn run(&self, division: Division) -> Stopped {
        let whole = self.whole;
        let merger = Merger::new(Arc::clone(&whole.report));
        let observer = merger.first();
        let monitor = Monitor::new(observer.clone());
        let first =
            match self.session(first_options(&whole.options), &division.first, monitor.clone()) {
                Ok(first) => first,
                Err(ended) => return (ended, None),
            };
        let (result, role) = first.session();
        observer.add(whole.monitor.tally(), monitor.tally(), 0);
        match result {
            Ok(code) if is_partial(code) => {}
            result => return ((result, role), whole.job.interrupt.cause()),
        }
        let made = Arc::new(division.directories);
        let mut parts = division.parts;
        if first.protocol.load(Ordering::Relaxed) < OLDEST_PROTOCOL {
            tell(whole, 1, "--parallel: one session, because the protocol is older than 30");
            parts = vec![Part { rules: Vec::new(), shared: made.len() as u64 }];
        }
        self.run_parts(&merger, &parts, &made)
    }

    /// Runs all parts at once. The first that cannot go on stops the others.
    fn run_parts(
        &self,
        merger: &Arc<Merger>,
        parts: &[Part],
        made: &Arc<HashSet<Vec<u8>>>,
    ) -> Stopped {
        let whole = self.whole;
        let interrupt = &whole.job.interrupt;
        tell(whole, 2, &format!("--parallel: {} sessions", parts.len()));
        let options = part_options(&whole.options, parts.len());
        let failure: Mutex<Option<Ended>> = Mutex::new(None);
        let run_part = |part: &Part, observer: Arc<Merged>| -> Option<(ExitCode, Role)> {
            let monitor = Monitor::new(observer.clone());
            let (result, role) = match self.session(options.clone(), &part.rules, monitor.clone()) {
                Ok(session) => Run { opening: Opening::Continued, ..session }.session(),
                Err(ended) => ended,
            };
            observer.add(whole.monitor.tally(), monitor.tally(), part.shared);
            match result {
                Ok(code) => Some((code, role)),
                Err(error) => {
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if !interrupt.is_raised() {
                        *failure = Some((Err(error), role));
                        interrupt.raise();
                    }
                    None
                }
            }
        };
        let ended: Vec<Option<(ExitCode, Role)>> = std::thread::scope(|scope| {
            let running: Vec<_> = merger
                .parts(parts.len(), made)
                .into_iter()
                .zip(parts)
                .map(|(observer, part)| scope.spawn(|| run_part(part, observer)))
                .collect();
            running.into_iter().map(|part| part.join().unwrap_or(None)).collect()
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = failure {
            return (failure, None);
        }
        let own = whole.monitor.tally().exit_code();
        let role = ended.iter().flatten().map(|(_, role)| *role).next().unwrap_or(Role::Client);
        if ended.iter().any(Option::is_none) {
            return ((Err(Error::Stopped), role), interrupt.cause());
        }
        let code = ended.iter().flatten().fold(own, |worst, (code, _)| worse(worst, *code));
        ((Ok(code), role), None)
    }

    /// A session with these rules in front of those of the command line.
    fn session(&self, options: Options, rules: &[Vec<u8>], monitor: Monitor) -> Result<Run, Ended> {
        let whole = self.whole;
        let mut all = self.rules.clone();
        let mut files = operator_files(whole.job.paths.clone());
        all.filter_first(rules.iter().map(Vec::as_slice), &mut files).map_err(|error| {
            let code = ExitCode::new(error.exit_code());
            (Err(Error::fatal(code, error.to_string())), Role::Client)
        })?;
        Ok(Run {
            job: Job { options: options.clone(), ..whole.job.clone() },
            options,
            monitor,
            rules: Some(all),
            protocol: Arc::default(),
            ..whole.clone()
        })
    }
}

/// Whether a session came to its end, be it with something left undone.
fn is_partial(code: ExitCode) -> bool {
    let partial = [ExitCode::OK, ExitCode::PARTIAL, ExitCode::VANISHED, ExitCode::DELETE_LIMIT];
    partial.contains(&code)
}

/// The code of two sessions that came to their ends (docs/spec cli.md 16).
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    let order = [ExitCode::PARTIAL, ExitCode::VANISHED, ExitCode::DELETE_LIMIT, ExitCode::OK];
    let rank = |code| order.iter().position(|known| *known == code).map_or(0, |at| at + 1);
    if rank(other) < rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_code_wins() {
        let (vanished, partial) = (ExitCode::VANISHED, ExitCode::PARTIAL);
        assert_eq!(worse(ExitCode::OK, vanished), vanished);
        assert_eq!(worse(partial, vanished), partial);
        assert_eq!(worse(partial, ExitCode::STREAM), ExitCode::STREAM);
    }
}
