//! The run queue: least virtual time first; those in debt wait aside until they may.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use base::clock::Instant;

use super::Task;
use super::account::Place;

/// See the module. Bounded by the guests that exist: each is in it at most once.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By virtual time, then by arrival.
    ready: BTreeMap<(u64, u64), Arc<Task>>,
    /// In debt, by when they may run, then by arrival.
    paused: BTreeMap<(Instant, u64), Arc<Task>>,
    /// The virtual time of the last one that was taken.
    floor: u64,
    arrivals: u64,
    /// Threads that wait for work.
    waiting: usize,
    ended: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a task; after the end it is dropped.
    pub(super) fn push(&self, task: Arc<Task>) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            return;
        }
        state.insert(task, Instant::now());
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    /// The next task to poll; waits for one, and `None` after the end.
    pub(super) fn next(&self) -> Option<Arc<Task>> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            let now = Instant::now();
            state.admit_paid(now);
            if let Some(((virtual_ns, _), task)) = state.ready.pop_first() {
                state.floor = state.floor.max(virtual_ns);
                return Some(task);
            }
            let pause = state.paused.first_key_value().map(|((until, _), _)| until.saturating_duration_since(now));
            state.waiting += 1;
            state = match pause {
                Some(pause) => self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waiting -= 1;
        }
    }

    /// Looks at all who wait aside again, because some account has changed.
    pub(super) fn reconsider(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        for task in std::mem::take(&mut state.paused).into_values() {
            state.insert(task, now);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends all threads and drops what waits.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let dropped = (std::mem::take(&mut state.ready), std::mem::take(&mut state.paused));
        drop(state);
        // Dropping a guest may wake others, which takes the lock.
        drop(dropped);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, task: Arc<Task>, now: Instant) {
        self.arrivals += 1;
        match task.place(self.floor, now) {
            Place::Ready(virtual_ns) => {
                self.ready.insert((virtual_ns, self.arrivals), task);
            }
            Place::Paused(until) => {
                self.paused.insert((until, self.arrivals), task);
            }
        }
    }

    /// Moves those whose debt is paid among the ready. One whose sandbox has run up new debt meanwhile waits on.
    fn admit_paid(&mut self, now: Instant) {
        while let Some(first) = self.paused.first_entry() {
            if first.key().0 > now {
                break;
            }
            let task = first.remove();
            self.insert(task, now);
        }
    }
}
