//! Bounded queues between threads. A thread that waits sleeps at once.
//!
//! General channels try again for some microseconds before they sleep. That is lost on a connection, whose threads
//! wait for a peer most of the time, and a crowd of connections pays for it with its processors.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A queue of at most so many things.
pub(super) fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { things: VecDeque::new(), senders: 1, receivers: 1, hungry: 0, blocked: 0 };
    let queue = Arc::new(Shared {
        state: Mutex::new(state),
        most,
        filled: Condvar::new(),
        drained: Condvar::new(),
    });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

/// A queue without a bound of its own.
pub(super) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    most: usize,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug)]
struct State<T> {
    things: VecDeque<T>,
    senders: usize,
    receivers: usize,
    /// Threads that wait for things, and for room.
    hungry: usize,
    blocked: usize,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nothing {
    /// Not yet.
    Yet,
    /// Never again: all senders are gone.
    Ever,
}

/// Puts things in; clones share the queue.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// Takes things out; clones share the queue.
#[derive(Debug)]
pub(super) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, thing: T) {
        state.things.push_back(thing);
        let wanted = state.hungry > 0;
        drop(state);
        if wanted {
            self.filled.notify_one();
        }
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Result<T, Nothing> {
        let Some(thing) = state.things.pop_front() else {
            return Err(if state.senders == 0 { Nothing::Ever } else { Nothing::Yet });
        };
        let wanted = state.blocked > 0;
        drop(state);
        if wanted {
            self.drained.notify_one();
        }
        Ok(thing)
    }
}

impl<T> Sender<T> {
    /// Waits for room. The thing comes back when nobody will take it.
    pub(super) fn send(&self, thing: T) -> Result<(), T> {
        let mut state = self.0.lock();
        while state.receivers > 0 && state.things.len() >= self.0.most {
            state.blocked += 1;
            state = self.0.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.blocked -= 1;
        }
        if state.receivers == 0 {
            return Err(thing);
        }
        self.0.put(state, thing);
        Ok(())
    }

    /// The same without waiting; whether there was room.
    pub(super) fn try_send(&self, thing: T) -> bool {
        let state = self.0.lock();
        let takes = state.receivers > 0 && state.things.len() < self.0.most;
        if takes {
            self.0.put(state, thing);
        }
        takes
    }
}

impl<T> Receiver<T> {
    /// What is there.
    pub(super) fn try_recv(&self) -> Result<T, Nothing> {
        self.0.take(self.0.lock())
    }

    /// Waits; none when all senders are gone.
    pub(super) fn recv(&self) -> Option<T> {
        let mut state = self.0.lock();
        while state.things.is_empty() && state.senders > 0 {
            state.hungry += 1;
            state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.hungry -= 1;
        }
        self.0.take(state).ok()
    }

    /// Waits for so long.
    pub(super) fn recv_timeout(&self, time: Duration) -> Result<T, Nothing> {
        let end = Instant::now() + time;
        let mut state = self.0.lock();
        while state.things.is_empty() && state.senders > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.hungry += 1;
            let waited = self.0.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.hungry -= 1;
        }
        self.0.take(state)
    }

    /// Whether there is nothing just now.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().things.is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.filled.notify_all();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.lock().receivers += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receivers -= 1;
        if state.receivers > 0 {
            return;
        }
        // They may hold what others wait for.
        let unread = std::mem::take(&mut state.things);
        drop(state);
        drop(unread);
        self.0.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn things_arrive_in_order_through_a_queue_that_is_full_most_of_the_time() {
        let (sender, receiver) = bounded(2);
        let sending = thread::spawn(move || (0..10_000).try_for_each(|number| sender.send(number)));
        let received: Vec<i32> = std::iter::from_fn(|| receiver.recv()).collect();
        sending.join().unwrap().unwrap();
        assert!(received.into_iter().eq(0..10_000));
        assert_eq!(receiver.try_recv(), Err(Nothing::Ever));
    }

    #[test]
    fn nobody_waits_for_those_who_are_gone() {
        let (sender, receiver) = bounded(1);
        sender.send(1).unwrap();
        assert!(!sender.try_send(2));
        let blocked = thread::spawn(move || sender.send(3));
        drop(receiver);
        assert_eq!(blocked.join().unwrap(), Err(3));
        let (sender, receiver) = unbounded::<i32>();
        let hungry = thread::spawn(move || receiver.recv());
        drop(sender);
        assert_eq!(hungry.join().unwrap(), None);
    }

    #[test]
    fn what_is_not_read_is_dropped_with_the_last_receiver() {
        let (sender, receiver) = unbounded();
        let (answer, answered) = bounded::<()>(1);
        sender.send(answer).unwrap();
        drop(receiver);
        assert_eq!(answered.recv(), None);
        assert!(sender.send(bounded(1).0).is_err());
    }

    #[test]
    fn a_wait_ends_in_time() {
        let (sender, receiver) = unbounded::<()>();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(Nothing::Yet));
        assert!(receiver.is_empty());
        drop(sender);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Err(Nothing::Ever));
    }
}
