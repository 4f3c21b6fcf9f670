//! Who hears of a change: watchers by what they are interested in, each with a bounded queue of its own.
//!
//! A watcher with an equality on name, namespace or `spec.nodeName` is found by map, so an event costs only its
//! interested watchers. Telling never waits: a watcher whose queue is full is cut off (its client lists again or
//! resumes from its last revision), so no slow reader delays the feed or grows memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::{Event, Shared};

/// Events that wait for one watcher. A client that is this far behind while its connection takes no more is cut off.
const QUEUE_EVENTS_MAX: usize = 4096;

/// The selectable field that routes pod events to nodes.
const NODE_FIELD: &str = "spec.nodeName";

/// The equalities of a watch, by which its events are routed. Other selectors are the watch's own matter.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Interest {
    /// Objects of this namespace.
    pub namespace: Option<String>,
    /// Objects of this name.
    pub name: Option<String>,
    /// Objects whose `spec.nodeName` is, or was before the change, this one.
    pub node: Option<String>,
}

/// The canonical table is `watchers`; `routes` finds them by interest.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    next: u64,
    watchers: HashMap<u64, Watcher>,
    routes: HashMap<Interest, Vec<u64>>,
    /// How many routes name a node; without any, no event is asked for its node.
    node_routes: usize,
}

#[derive(Debug)]
struct Watcher {
    interest: Interest,
    queue: mpsc::Sender<Arc<Event>>,
}

/// The receiving end of a watch; dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: u64,
    /// What happened before the watch began, to be handed out first.
    missed: VecDeque<Arc<Event>>,
    queue: mpsc::Receiver<Arc<Event>>,
    cache: Weak<Shared>,
}

impl Interest {
    /// Whether a watcher with this interest is told of `event`.
    pub(crate) fn covers(&self, event: &Event) -> bool {
        let object = &event.object;
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.as_deref().is_none_or(|w| Some(w) == value);
        is(&self.namespace, object.namespace())
            && is(&self.name, Some(object.name()))
            && self.node.as_deref().is_none_or(|node| {
                object.field(NODE_FIELD) == node
                    || event.previous.as_ref().is_some_and(|previous| previous.field(NODE_FIELD) == node)
            })
    }
}

impl Watchers {
    pub(super) fn add(
        &mut self,
        interest: Interest,
        missed: VecDeque<Arc<Event>>,
        cache: Weak<Shared>,
    ) -> Subscription {
        let (sender, queue) = mpsc::channel(QUEUE_EVENTS_MAX);
        let id = self.next;
        self.next += 1;
        let route = self.routes.entry(interest.clone()).or_default();
        if route.is_empty() && interest.node.is_some() {
            self.node_routes += 1;
        }
        route.push(id);
        self.watchers.insert(id, Watcher { interest, queue: sender });
        Subscription { id, missed, queue, cache }
    }

    /// Hands `event` to each interested watcher, and cuts off those whose queue is full.
    pub(super) fn tell(&mut self, event: &Arc<Event>) {
        if self.watchers.is_empty() {
            return;
        }
        let mut cut = Vec::new();
        for interest in self.interests_of(event) {
            for id in self.routes.get(&interest).into_iter().flatten() {
                let full = self.watchers.get(id).is_some_and(|w| w.queue.try_send(Arc::clone(event)).is_err());
                if full {
                    cut.push(*id);
                }
            }
        }
        for id in cut {
            self.remove(id);
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        let Some(watcher) = self.watchers.remove(&id) else { return };
        if let Some(route) = self.routes.get_mut(&watcher.interest) {
            route.retain(|other| *other != id);
            if route.is_empty() {
                self.routes.remove(&watcher.interest);
                self.node_routes -= usize::from(watcher.interest.node.is_some());
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Every interest that covers `event`: each of namespace, name and node is either asked for or not.
    fn interests_of(&self, event: &Event) -> Vec<Interest> {
        let mut nodes = vec![None];
        if self.node_routes > 0 {
            let now = event.object.field(NODE_FIELD);
            let before = event.previous.as_ref().map_or("", |previous| previous.field(NODE_FIELD));
            nodes.extend((!now.is_empty()).then(|| Some(now.to_owned())));
            nodes.extend((!before.is_empty() && before != now).then(|| Some(before.to_owned())));
        }
        let namespace = event.object.namespace().map(str::to_owned);
        let mut namespaces = vec![None];
        namespaces.extend(namespace.map(Some));
        let mut interests = Vec::with_capacity(nodes.len() * 4);
        for namespace in &namespaces {
            for name in [None, Some(event.object.name().to_owned())] {
                for node in &nodes {
                    interests.push(Interest { namespace: namespace.clone(), name: name.clone(), node: node.clone() });
                }
            }
        }
        interests
    }
}

impl Subscription {
    /// The next change; `None` when the watcher was cut off because it fell behind.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        match self.missed.pop_front() {
            Some(event) => Some(event),
            None => self.queue.recv().await,
        }
    }

    /// The next change if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<Event>> {
        self.missed.pop_front().or_else(|| self.queue.try_recv().ok())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.lock().watchers.remove(self.id);
        }
    }
}
