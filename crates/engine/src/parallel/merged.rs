//! The events of several sessions as those of one run.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use syncline_options::values::flags::Debug;
use syncline_wire::ItemFlags;
use syncline_wire::list::FileKind;

use crate::report::Report;
use crate::{Event, Observer, Overall, Progress, Tally};

/// What the sessions of one job have in common.
pub struct Merger {
    report: Arc<Report>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// How often each line was passed on.
    told: HashMap<u64, u32>,
    /// How far each part is.
    parts: Vec<Reached>,
    transferred: u64,
}

/// How far one part is.
#[derive(Clone, Copy, Default)]
struct Reached {
    before: u64,
    under_way: u64,
    size: u64,
    left: usize,
    total: usize,
    known: bool,
}

impl Merger {
    /// Passes on to `report`.
    pub fn new(report: Arc<Report>) -> Arc<Self> {
        Arc::new(Self { report, shared: Mutex::default() })
    }

    /// The observer of the session that makes the directories.
    pub fn first(self: &Arc<Self>) -> Arc<Merged> {
        Arc::new(Merged::new(self, None))
    }

    /// The observers of so many parts, which follow on the session that made these directories.
    pub fn parts(self: &Arc<Self>, count: usize, made: &Arc<HashSet<Vec<u8>>>) -> Vec<Arc<Merged>> {
        let mut shared = self.shared();
        shared.parts = vec![Reached::default(); count];
        let part = |number| Arc::new(Merged::new(self, Some((number, Arc::clone(made)))));
        (0..count).map(part).collect()
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, number: usize, progress: &Progress<'_>) {
        let mut shared = self.shared();
        let Some(reached) = shared.parts.get_mut(number) else { return };
        reached.under_way = progress.done;
        (reached.left, reached.total) = (progress.left, progress.total);
        reached.size = progress.total_size;
        reached.known = !progress.growing;
        if progress.last {
            reached.before += std::mem::take(&mut reached.under_way);
            shared.transferred += 1;
        }
        let parts = &shared.parts;
        let overall = Overall {
            done: parts.iter().map(|part| part.before + part.under_way).sum(),
            size: parts.iter().map(|part| part.size).sum(),
            transferred: shared.transferred,
            left: parts.iter().map(|part| part.left).sum(),
            total: parts.iter().map(|part| part.total).sum(),
            growing: parts.iter().any(|part| !part.known),
            pressing: progress.last,
        };
        self.report.overall(&overall);
    }
}

/// Takes the events of one session.
pub struct Merged {
    merger: Arc<Merger>,
    /// The part's number, and what was done before it.
    part: Option<(usize, Arc<HashSet<Vec<u8>>>)>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    /// How often this session said each line.
    said: HashMap<u64, u32>,
    /// Directories that this session would have made and another has told of.
    created: u64,
}

impl Merged {
    fn new(merger: &Arc<Merger>, part: Option<(usize, Arc<HashSet<Vec<u8>>>)>) -> Self {
        Self { merger: Arc::clone(merger), part, own: Mutex::default() }
    }

    /// Adds what this session has counted to what all have. `shared` of the directories in its list were counted
    /// before.
    pub fn add(&self, all: &Tally, own: &Tally, shared: u64) {
        own.files.remove(FileKind::Directory, shared);
        own.created.remove(FileKind::Directory, self.own().created);
        all.add(own);
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has said this yet: what several sessions say is passed on as often as one of them says it.
    fn is_news(&self, text: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let key = hasher.finish();
        let mut own = self.own();
        let said = own.said.entry(key).or_default();
        *said += 1;
        let mut shared = self.merger.shared();
        let told = shared.told.entry(key).or_default();
        let news = *said > *told;
        *told = (*told).max(*said);
        news
    }

    fn is_made(&self, path: &[u8]) -> bool {
        self.part.as_ref().is_some_and(|(_, made)| made.contains(path))
    }
}

impl Observer for Merged {
    fn event(&self, event: &Event<'_>) {
        let report = &self.merger.report;
        let passes = match event {
            Event::Item(item) if item.entry.is_directory() && self.is_made(&item.entry.path()) => {
                if item.moved.is_none() && item.flags.contains(ItemFlags::IS_NEW) {
                    self.own().created += 1;
                }
                false
            }
            Event::UpToDate(path) => !self.is_made(path),
            Event::Notice(notice) => self.is_news(&format!("{notice:?}")),
            Event::Problem(problem) => self.is_news(&problem.text),
            Event::Peer { text, .. } => self.is_news(text),
            Event::Listing(_) | Event::ListDone(_) => false,
            Event::Listed(_) => self.part.is_none(),
            Event::Progress(progress) => {
                if let Some((number, _)) = &self.part {
                    self.merger.progress(*number, progress);
                }
                false
            }
            _ => true,
        };
        if passes {
            report.event(event);
        }
    }

    fn wants_progress(&self) -> bool {
        self.merger.report.wants_progress()
    }

    fn traces(&self, flag: Debug, level: u8) -> bool {
        self.merger.report.traces(flag, level)
    }
}
