//! What a mirror and the worker of one of its targets share.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use syncline_engine::Interrupt;
use syncline_fs::{RelPath, RelPathBuf};

use super::moves::Moves;
use crate::outbox::Outbox;
use crate::queue::Todo;
use crate::state::{Registry, State};
use crate::storage::Directory;

/// The queue of one target, and wishes of others.
#[derive(Debug)]
pub(crate) struct Desk {
    inner: Mutex<Inner>,
    wake: Condvar,
    registry: Registry,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) outbox: Outbox<Directory>,
    pub(crate) moves: Moves,
    /// Everything is to be compared; `true` with removals.
    pub(crate) compare: Option<bool>,
    /// The same by the rules of the schedule, where these are others.
    pub(crate) scheduled: Option<bool>,
    /// What was told since a check began, while one is under way.
    pub(crate) touched: Option<BTreeSet<RelPathBuf>>,
    /// Why nothing may be sent now.
    pub(crate) block: Option<(State, String)>,
    /// What the mirror has to do without.
    pub(crate) degraded: Option<String>,
    /// The moment after which nothing is begun any more.
    pub(crate) stop: Option<Duration>,
    pub(crate) retry: bool,
    pub(crate) allow: bool,
    /// Ends the session under way.
    pub(crate) interrupt: Option<Interrupt>,
}

impl Desk {
    pub(crate) fn new(outbox: Outbox<Directory>, registry: Registry) -> Arc<Self> {
        let inner = Inner {
            outbox,
            moves: Moves::default(),
            compare: None,
            scheduled: None,
            touched: None,
            block: None,
            degraded: None,
            stop: None,
            retry: false,
            allow: false,
            interrupt: None,
        };
        Arc::new(Self { inner: Mutex::new(inner), wake: Condvar::new(), registry })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to what is shared and wakes the worker.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let result = change(&mut self.lock(), self.registry.now());
        self.wake.notify_all();
        result
    }

    /// Adds what has come to rest.
    pub(crate) fn push(&self, changes: &[(RelPathBuf, Todo)]) {
        self.change(|inner, now| {
            for (path, todo) in changes {
                inner.outbox.push(now, path.as_path(), *todo);
            }
            if let Some(touched) = &mut inner.touched {
                touched.extend(changes.iter().map(|(path, _)| path.clone()));
            }
        });
    }

    /// Asks for a comparison of everything.
    pub(crate) fn compare(&self, removes: bool, scheduled: bool) {
        self.change(|inner, _| {
            let wish = if scheduled { &mut inner.scheduled } else { &mut inner.compare };
            *wish = Some(removes || wish.unwrap_or_default());
        });
    }

    /// Notes a rename, if the target can be thought to have the old name as it was (R52).
    pub(crate) fn moved(&self, from: RelPath<'_>, to: RelPath<'_>, directory: bool) {
        let mut inner = self.lock();
        let queue = inner.outbox.queue();
        if !queue.concerns(from) && !queue.concerns(to) {
            let now = self.registry.now();
            inner.moves.add(now, from.to_owned(), to.to_owned(), directory);
        }
    }

    /// Forgets renames to this path or below it: what has the name now is something else.
    pub(crate) fn left(&self, path: RelPath<'_>) {
        self.lock().moves.forget(path);
    }

    /// Ends as a program should.
    pub(crate) fn close(self) -> Result<(), crate::Error> {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).outbox.close()
    }

    /// Waits for somebody's wish, at most so long.
    pub(crate) fn wait<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        match at_most {
            None => self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                self.wake.wait_timeout(inner, at_most).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
