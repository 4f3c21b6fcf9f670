//! Keys that wait for their turn: each at most once, at its earliest time, and never twice at work at once.
//!
//! This is the work queue of every reconcile loop (upstream's `workqueue`): a key added while it is being worked on
//! comes again afterwards; a key added twice comes once. `waiting` says when a key is due, `order` finds the next
//! one; `waiting` is canonical.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Instant;

/// A handle to one queue; clones share it.
#[derive(Debug)]
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    /// When each waiting key is due.
    waiting: HashMap<K, Instant>,
    /// The same keys, soonest first.
    order: BTreeSet<(Instant, K)>,
    /// Keys handed out and not done yet.
    working: HashSet<K>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash + Ord> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// An empty queue. It holds at most one place a key, so it is bounded by the objects that exist.
    #[must_use]
    pub fn new() -> Self {
        let state = State { waiting: HashMap::new(), order: BTreeSet::new(), working: HashSet::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// Makes `key` due now.
    pub fn add(&self, key: K) {
        self.add_after(key, Duration::ZERO);
    }

    /// Makes `key` due after `wait`, or earlier if it was due earlier.
    pub fn add_after(&self, key: K, wait: Duration) {
        self.lock().add_at(key, Instant::now() + wait);
        self.shared.changed.notify_one();
    }

    /// The next due key, to be given back by [`Queue::done`]; safe to drop while waiting.
    pub async fn next(&self) -> K {
        loop {
            let (due, key) = {
                let mut state = self.lock();
                match state.take(Instant::now()) {
                    Ok(key) => (None, Some(key)),
                    Err(due) => (due, None),
                }
            };
            if let Some(key) = key {
                // Another worker may sleep towards a key that is due by now.
                self.shared.changed.notify_one();
                return key;
            }
            match due {
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.shared.changed.notified() => {}
                },
                None => self.shared.changed.notified().await,
            }
        }
    }

    /// Says that the work on `key` has ended, so that it may be handed out again.
    pub fn done(&self, key: &K) {
        self.lock().working.remove(key);
        self.shared.changed.notify_one();
    }

    /// How many keys wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether no key waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn add_at(&mut self, key: K, due: Instant) {
        match self.waiting.get(&key) {
            Some(earlier) if *earlier <= due => return,
            Some(later) => {
                self.order.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.waiting.insert(key.clone(), due);
        self.order.insert((due, key));
    }

    /// The soonest due key that nobody works on, or when to look again.
    fn take(&mut self, now: Instant) -> Result<K, Option<Instant>> {
        let free = self.order.iter().find(|(_, key)| !self.working.contains(key)).cloned();
        match free {
            Some((due, key)) if due <= now => {
                self.order.remove(&(due, key.clone()));
                self.waiting.remove(&key);
                self.working.insert(key.clone());
                Ok(key)
            }
            Some((due, _)) => Err(Some(due)),
            None => Err(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_comes_once_and_not_twice_at_once() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        let early = tokio::time::timeout(Duration::from_secs(1), queue.next()).await;
        assert!(early.is_err(), "handed out while being worked on");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_time_wins() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("b", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(2));
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 2);
        assert_eq!(queue.next().await, "b");
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
