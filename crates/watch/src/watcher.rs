//! The watcher's public face.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::change::{Change, Joiner};
use crate::error::Error;
use crate::fanotify::Fanotify;
use crate::inotify::Inotify;
use crate::notice::Notice;
use crate::options::{Backend, Options, Root, RootId};

/// Where events come from.
enum Source {
    Inotify(Box<Inotify>),
    Fanotify(Box<Fanotify>),
}

/// Watches files and trees of directories.
pub struct Watcher {
    source: Source,
    options: Options,
    joiner: Joiner,
}

impl Watcher {
    /// A watcher without roots.
    pub fn new(options: Options) -> Result<Self, Error> {
        let source = match options.backend {
            // By inode, with links watched themselves or followed, or with memory of names: inotify's business.
            Backend::Auto
                if options.by_name
                    && !options.follow_links
                    && !options.watch_links
                    && !options.remember_names =>
            {
                match Fanotify::new(options.clone()) {
                    Ok(fanotify) => Source::Fanotify(Box::new(fanotify)),
                    Err(_) => inotify(&options)?,
                }
            }
            Backend::Auto | Backend::Inotify => inotify(&options)?,
            Backend::Fanotify if options.follow_links => {
                return Err(Error::Fanotify { path: "/".into(), errno: Errno::OPNOTSUPP });
            }
            Backend::Fanotify => {
                let fanotify = Fanotify::new(options.clone())
                    .map_err(|errno| Error::Fanotify { path: "/".into(), errno })?;
                Source::Fanotify(Box::new(fanotify))
            }
        };
        Ok(Self { source, options, joiner: Joiner::default() })
    }

    /// Watches `root`. When this returns, nothing that happens to it goes unnoticed.
    ///
    /// Of two roots that overlap, inotify tells the part they share under the one that was added first, fanotify under both.
    pub fn add(&mut self, root: Root) -> Result<RootId, Error> {
        match &mut self.source {
            Source::Inotify(inotify) => inotify.add(root),
            Source::Fanotify(fanotify) => match fanotify.add(&root) {
                Err(Error::Fanotify { .. }) if self.options.backend == Backend::Auto => {
                    self.fall_back()?;
                    self.add(root)
                }
                other => other,
            },
        }
    }

    /// Which back end is at work.
    pub fn backend(&self) -> Backend {
        match self.source {
            Source::Inotify(_) => Backend::Inotify,
            Source::Fanotify(_) => Backend::Fanotify,
        }
    }

    /// Goes on with inotify, because a file system does not support what fanotify needs.
    fn fall_back(&mut self) -> Result<(), Error> {
        let Source::Fanotify(fanotify) = &self.source else { return Ok(()) };
        let roots = fanotify.asked();
        self.source = inotify(&self.options)?;
        for root in roots {
            self.add(root)?;
        }
        Ok(())
    }

    fn pump(&mut self) -> Result<Option<Duration>, Error> {
        match &mut self.source {
            Source::Inotify(inotify) => inotify.pump(),
            Source::Fanotify(fanotify) => fanotify.pump(),
        }
    }

    fn out(&mut self) -> &mut VecDeque<Notice> {
        match &mut self.source {
            Source::Inotify(inotify) => inotify.out(),
            Source::Fanotify(fanotify) => fanotify.out(),
        }
    }

    /// The next thing to tell, waiting for it at most `timeout` (`None`: for ever). `None` when the time is up or a signal
    /// was handled.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Notice>, Error> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(notice) = self.out().pop_front() {
                return Ok(Some(notice));
            }
            let wake = self.pump()?;
            if !self.out().is_empty() {
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let wait = [left, wake].into_iter().flatten().min();
            if wait_for(self.as_fd(), wait)? == Waited::Interrupted {
                return Ok(None);
            }
        }
    }

    /// The next change of a tree, waiting for it at most `timeout` (`None`: for ever). `None` when the time is up or a signal
    /// was handled.
    pub fn next_change(&mut self, timeout: Option<Duration>) -> Result<Option<Change>, Error> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let Some(notice) = self.next(left)? else { return Ok(None) };
            if let Some(change) = self.joiner.join(notice) {
                return Ok(Some(change));
            }
        }
    }

    /// What is ready now, without waiting, and how long to wait at most before asking again although
    /// [`as_fd`](AsFd::as_fd) did not become readable.
    pub fn ready(&mut self, notices: &mut Vec<Notice>) -> Result<Option<Duration>, Error> {
        let wake = self.pump()?;
        notices.extend(self.out().drain(..));
        Ok(wake)
    }

    /// Every directory that is watched, and every file that is watched itself, as root and path below it. With fanotify these
    /// are the roots.
    pub fn watched(&self) -> Vec<(RootId, Vec<u8>)> {
        match &self.source {
            Source::Inotify(inotify) => inotify.watched(),
            Source::Fanotify(fanotify) => fanotify.roots(),
        }
    }

    /// How many kernel watches are held; with fanotify, how many roots.
    pub fn watches(&self) -> usize {
        match &self.source {
            Source::Inotify(inotify) => inotify.watches(),
            Source::Fanotify(fanotify) => fanotify.roots().len(),
        }
    }

    /// Whether part of a tree did not fit under the limit on watches and is polled.
    pub fn polls(&self) -> bool {
        match &self.source {
            Source::Inotify(inotify) => inotify.is_polling(),
            Source::Fanotify(_) => false,
        }
    }

    /// The number, root and path of every watch, in the order in which they were made; with fanotify, of every directory that
    /// is there now.
    pub fn places(&mut self) -> Vec<(i64, RootId, Vec<u8>)> {
        match &mut self.source {
            Source::Inotify(inotify) => inotify.places(),
            Source::Fanotify(fanotify) => fanotify.places(),
        }
    }

    /// Where the object with this watch number is now, unless it is no longer watched.
    pub fn place(&self, watch: i64) -> Option<(RootId, Vec<u8>)> {
        match &self.source {
            Source::Inotify(inotify) => inotify.place(watch),
            Source::Fanotify(_) => None,
        }
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Inotify(inotify) => inotify.as_fd(),
            Source::Fanotify(fanotify) => fanotify.as_fd(),
        }
    }
}

fn inotify(options: &Options) -> Result<Source, Error> {
    Ok(Source::Inotify(Box::new(Inotify::new(options.clone())?)))
}

#[derive(PartialEq, Eq)]
enum Waited {
    Woken,
    Interrupted,
}

fn wait_for(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<Waited, Error> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) => Ok(Waited::Woken),
        Err(Errno::INTR) => Ok(Waited::Interrupted),
        Err(errno) => Err(Error::Wait(errno)),
    }
}
