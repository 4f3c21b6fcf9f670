//! What the scheduler knows, behind one lock, and how the informers' changes enter it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::clock::Instant;
use client::Key;
use client::informer::Change;
use k8s_openapi::api::core::v1 as core;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::node;
use crate::pod::{Load, Pending, has_ended, node_of, wants_node};
use crate::queue::{Event, Failure, Queue};
use crate::schedule::{Placement, Snapshot};

/// A handle to what the scheduler knows; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Knowledge {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    scheduler_name: String,
    /// Held for a moment, never across an await.
    state: Mutex<State>,
    /// Told when somebody's turn may have come.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    cache: Cache,
    queue: Queue,
}

/// A pod to be placed now, and what it may be placed on.
pub(crate) struct Turn {
    pub(crate) key: Key,
    pub(crate) pending: Arc<Pending>,
    pub(crate) snapshot: Snapshot,
}

impl Knowledge {
    /// Nothing is known yet; pods that name `scheduler_name` will be placed.
    pub(crate) fn new(scheduler_name: &str) -> Self {
        let shared =
            Shared { scheduler_name: scheduler_name.to_owned(), state: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Forgets everything: the informers tell it anew to who subscribes.
    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// The next pod whose turn it is; safe to drop while waiting.
    pub(crate) async fn next(&self) -> Turn {
        loop {
            let (turn, due) = {
                let mut state = self.lock();
                let turn = state.queue.pop(Instant::now()).map(|(key, pending)| {
                    let snapshot = state.cache.snapshot();
                    Turn { key, pending, snapshot }
                });
                (turn, state.queue.next_due())
            };
            if let Some(turn) = turn {
                return turn;
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

    /// Counts a pod on its node from now on. `false` where the node has gone since the snapshot: then it has failed.
    pub(crate) fn assume(&self, key: &Key, pending: &Pending, placement: &Placement) -> bool {
        let mut state = self.lock();
        let is_there = state.cache.has_node(&placement.node);
        if is_there {
            state.cache.assume(key, pending.uid(), &placement.node, Arc::clone(&pending.load));
        } else {
            state.queue.failed(key, pending.uid(), Failure::Error, Instant::now());
        }
        is_there
    }

    /// A pod could not be placed or bound; it will be tried again.
    pub(crate) fn failed(&self, key: &Key, pending: &Pending, failure: Failure) {
        let mut state = self.lock();
        state.cache.forget(key, pending.uid());
        state.queue.failed(key, pending.uid(), failure, Instant::now());
        drop(state);
        self.shared.changed.notify_one();
    }

    /// A pod was bound. The informer will say so, too.
    pub(crate) fn bound(&self, key: &Key) {
        self.lock().queue.remove(key);
    }

    /// How many pods wait for a node.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// A node has changed.
    pub(crate) fn node_changed(&self, change: &Change<core::Node>) {
        let mut state = self.lock();
        match &change.new {
            Some(node) => state.cache.set_node(&change.key.name, Arc::clone(node)),
            None => state.cache.remove_node(&change.key.name),
        }
        let helps = match (&change.old, &change.new) {
            (Some(old), Some(new)) => node::may_help(old, new),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if helps {
            state.queue.happened(Event::NodeChanged, Instant::now());
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// A pod has changed.
    pub(crate) fn pod_changed(&self, change: &Change<core::Pod>) {
        let key = &change.key;
        let now = Instant::now();
        let mut state = self.lock();
        match change.new.as_ref() {
            Some(pod) if !has_ended(pod) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                if let Some(node) = node_of(pod) {
                    let load = || pod.spec.as_ref().map(Load::of).unwrap_or_default();
                    state.cache.set_pod(key, uid, node, load);
                    state.queue.remove(key);
                } else if state.cache.is_assumed(key, uid) && wants_node(pod, &self.shared.scheduler_name) {
                    // It is being bound.
                } else if wants_node(pod, &self.shared.scheduler_name) {
                    state.leave(key, now);
                    state.queue.add(key.clone(), Pending::new(Arc::clone(pod)), now);
                } else {
                    state.leave(key, now);
                    state.queue.remove(key);
                }
            }
            _ => {
                state.leave(key, now);
                state.queue.remove(key);
            }
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A pod takes nothing of a node any more.
    fn leave(&mut self, key: &Key, now: Instant) {
        if self.cache.remove_pod(key) {
            self.queue.happened(Event::PodLeft, now);
        }
    }
}
