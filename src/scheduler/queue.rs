//! The pods that wait for a node, and whose turn it is. A value: time and events are handed in.
//!
//! ```text
//!            add                pop                  placed
//!   (none) ───────▶ Active ───────────▶ Working ───────────────▶ (none)
//!                     ▲ ▲                 │  │
//!                due  │ │ event helps,    │  │ failed: no node, and nothing changed meanwhile
//!                     │ │ or 5 min        │  ▼
//!                     │ └────────────── Unfit ──▶ Backoff (event helps, but tried a moment ago)
//!                     └───────────────── Backoff ◀── failed: an error, or something changed meanwhile
//! ```
//!
//! `pods` says where a pod is and is canonical; `active`, `due` and `unfit` find the next one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Law;
use base::clock::Instant;
use client::Key;

use crate::plugins::Rejecters;
use crate::pod::Pending;

/// The wait between two tries of one pod: upstream's `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
const BACKOFF: Law = Law::exact(Duration::from_secs(1), Duration::from_secs(10));

/// A pod that no node can take is tried again after this long even if nothing happened (upstream's
/// `podMaxInUnschedulablePodsDuration`).
const UNFIT_MAX: Duration = Duration::from_secs(300);

/// See the module. Bounded by the pods that exist.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: HashMap<Key, Waiting>,
    /// Highest priority first, then who came first.
    active: BTreeSet<Turn>,
    /// When pods in `Backoff` and `Unfit` become active by themselves.
    due: BTreeSet<(Instant, Key)>,
    unfit: BTreeSet<Key>,
    /// Numbers those that come.
    arrivals: u64,
    /// Numbers the events that may help somebody.
    events: u64,
}

type Turn = (Reverse<i32>, u64, Key);

#[derive(Debug)]
struct Waiting {
    pending: Arc<Pending>,
    arrival: u64,
    place: Place,
    /// How often no node was found.
    tries: u32,
    last_try: Option<Instant>,
}

/// Where a pod is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// It is its turn as soon as nobody is before it.
    Active,
    /// It was tried a moment ago and waits for `until`, unless nobody else is there and `cause` allows it.
    Backoff { until: Instant, cause: Cause },
    /// No node can take it; it waits for an event that helps against `rejecters`, or for `until`.
    Unfit { until: Instant, rejecters: Rejecters },
    /// It was handed out when this many events had been.
    Working { events: u64 },
}

/// Why a pod waits for another try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    /// Something went wrong that may go wrong again.
    Error,
    /// Something happened that may help.
    Event,
}

/// What happened in the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A node is new, or differs in what filters look at.
    NodeChanged,
    /// A pod has left its node.
    PodLeft,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// No node can take the pod; these objected.
    Unfit(Rejecters),
    /// The pod could not be bound.
    Error,
}

impl Queue {
    /// A pod is new or has changed. A change may help it: it is tried anew.
    pub(crate) fn add(&mut self, key: Key, pending: Pending, now: Instant) {
        let pending = Arc::new(pending);
        match self.pods.get_mut(&key) {
            Some(waiting) if waiting.pending.uid() == pending.uid() => {
                let is_relevant = waiting.pending.pod.spec != pending.pod.spec
                    || waiting.pending.pod.metadata.labels != pending.pod.metadata.labels;
                let place = waiting.place;
                match place {
                    // The priority of a pod never changes, so it keeps its turn.
                    Place::Active | Place::Working { .. } | Place::Backoff { .. } => waiting.pending = pending,
                    Place::Unfit { .. } => {
                        waiting.pending = pending;
                        if is_relevant {
                            self.help(&key, now);
                        }
                    }
                }
            }
            _ => {
                self.remove(&key);
                self.arrivals += 1;
                let waiting =
                    Waiting { pending, arrival: self.arrivals, place: Place::Active, tries: 0, last_try: None };
                self.pods.insert(key.clone(), waiting);
                self.put(&key, Place::Active);
            }
        }
    }

    /// A pod waits no longer: it is gone, has a node, or is not ours any more.
    pub(crate) fn remove(&mut self, key: &Key) {
        self.take_out(key);
        self.pods.remove(key);
    }

    /// The pod whose turn it is, to be given back by [`Queue::failed`] or [`Queue::remove`].
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Key, Arc<Pending>)> {
        while let Some((due, key)) = self.due.first().cloned()
            && due <= now
        {
            self.put(&key, Place::Active);
        }
        let key = match self.active.first() {
            Some((_, _, key)) => key.clone(),
            // Nobody else waits, so that what an event helped need not wait either (upstream's
            // `SchedulerPopFromBackoffQ`).
            None => self.due.iter().map(|(_, key)| key).find(|key| self.is_helped(key))?.clone(),
        };
        self.put(&key, Place::Working { events: self.events });
        let waiting = self.pods.get_mut(&key)?;
        waiting.last_try = Some(now);
        Some((key, Arc::clone(&waiting.pending)))
    }

    /// When [`Queue::pop`] will have something that it has not now.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A try has failed. Does nothing where the pod is gone meanwhile, or another one has its name.
    pub(crate) fn failed(&mut self, key: &Key, uid: &str, failure: Failure, now: Instant) {
        let Some(waiting) = self.pods.get_mut(key).filter(|waiting| waiting.pending.uid() == uid) else { return };
        let Place::Working { events } = waiting.place else { return };
        waiting.tries = waiting.tries.saturating_add(1);
        let until = now + BACKOFF.wait(waiting.tries - 1);
        let place = match failure {
            Failure::Error => Place::Backoff { until, cause: Cause::Error },
            // What happened while it was tried may have come too late for the try.
            Failure::Unfit(_) if events != self.events => Place::Backoff { until, cause: Cause::Event },
            Failure::Unfit(rejecters) => Place::Unfit { until: now + UNFIT_MAX, rejecters },
        };
        self.put(key, place);
    }

    /// Something happened: those whom it may help are tried again.
    pub(crate) fn happened(&mut self, event: Event, now: Instant) {
        self.events += 1;
        let is_helped = |key: &&Key| match self.pods.get(*key).map(|waiting| waiting.place) {
            Some(Place::Unfit { rejecters, .. }) => match event {
                Event::NodeChanged => true,
                Event::PodLeft => rejecters.are_about_pods(),
            },
            _ => false,
        };
        let helped: Vec<Key> = self.unfit.iter().filter(is_helped).cloned().collect();
        for key in helped {
            self.help(&key, now);
        }
    }

    /// How many pods wait.
    pub(crate) fn len(&self) -> usize {
        self.pods.len()
    }

    /// Makes a pod active, at the earliest when its last try is long enough ago.
    fn help(&mut self, key: &Key, now: Instant) {
        let Some(waiting) = self.pods.get(key) else { return };
        let until = waiting.last_try.map(|last| last + BACKOFF.wait(waiting.tries.saturating_sub(1)));
        let place = match until {
            Some(until) if until > now => Place::Backoff { until, cause: Cause::Event },
            _ => Place::Active,
        };
        self.put(key, place);
    }

    fn is_helped(&self, key: &Key) -> bool {
        let place = self.pods.get(key).map(|waiting| waiting.place);
        matches!(place, Some(Place::Backoff { cause: Cause::Event, .. }))
    }

    /// Puts a pod where it belongs now, and out of where it was.
    fn put(&mut self, key: &Key, place: Place) {
        self.take_out(key);
        let Some(waiting) = self.pods.get_mut(key) else { return };
        waiting.place = place;
        match place {
            Place::Active => {
                self.active.insert((Reverse(waiting.pending.priority), waiting.arrival, key.clone()));
            }
            Place::Backoff { until, .. } => {
                self.due.insert((until, key.clone()));
            }
            Place::Unfit { until, .. } => {
                self.due.insert((until, key.clone()));
                self.unfit.insert(key.clone());
            }
            Place::Working { .. } => {}
        }
    }

    fn take_out(&mut self, key: &Key) {
        let Some(waiting) = self.pods.get(key) else { return };
        match waiting.place {
            Place::Active => {
                self.active.remove(&(Reverse(waiting.pending.priority), waiting.arrival, key.clone()));
            }
            Place::Backoff { until, .. } => {
                self.due.remove(&(until, key.clone()));
            }
            Place::Unfit { until, .. } => {
                self.due.remove(&(until, key.clone()));
                self.unfit.remove(key);
            }
            Place::Working { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, priority: i32) -> Pending {
        let pod = json!({"metadata": {"name": name, "namespace": "default", "uid": name},
                         "spec": {"containers": [], "priority": priority}});
        Pending::new(Arc::new(serde_json::from_value(pod).unwrap()))
    }

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    fn queue(names: &[&str]) -> (Queue, Instant) {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for name in names {
            queue.add(key(name), pod(name, 0), now);
        }
        (queue, now)
    }

    fn popped(queue: &mut Queue, now: Instant) -> String {
        queue.pop(now).map_or("-".into(), |(key, _)| key.name.to_string())
    }

    /// What filters look at the pods of a node, and what do not.
    fn rejecters(is_about_pods: bool) -> Rejecters {
        let mut rejecters = Rejecters::default();
        rejecters.insert(if is_about_pods { 4 } else { 1 });
        rejecters
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn the_highest_priority_goes_first_and_then_who_came_first() {
        let (mut queue, now) = queue(&["a", "b"]);
        queue.add(key("high"), pod("high", 7), now);
        queue.add(key("low"), pod("low", -7), now);
        let order: Vec<String> = (0..5).map(|_| popped(&mut queue, now)).collect();
        assert_eq!(order, ["high", "a", "b", "low", "-"]);
    }

    #[test]
    fn a_pod_without_a_node_waits_for_what_may_help_it() {
        for (event, is_about_pods, expected) in [
            (Event::NodeChanged, true, "a"),
            (Event::NodeChanged, false, "a"),
            (Event::PodLeft, true, "a"),
            (Event::PodLeft, false, "-"),
        ] {
            let (mut queue, now) = queue(&["a"]);
            queue.pop(now);
            queue.failed(&key("a"), "a", Failure::Unfit(rejecters(is_about_pods)), now);
            assert_eq!(popped(&mut queue, after(now, 20)), "-");
            queue.happened(event, after(now, 20));
            assert_eq!(popped(&mut queue, after(now, 20)), expected, "{event:?} {is_about_pods}");
        }
    }

    #[test]
    fn a_pod_without_a_node_is_tried_again_after_five_minutes() {
        let (mut queue, now) = queue(&["a"]);
        queue.pop(now);
        queue.failed(&key("a"), "a", Failure::Unfit(rejecters(true)), now);
        assert_eq!(queue.next_due(), Some(now + UNFIT_MAX));
        assert_eq!(popped(&mut queue, now + UNFIT_MAX), "a");
    }

    #[test]
    fn what_happens_during_a_try_is_not_missed() {
        let (mut queue, now) = queue(&["a"]);
        queue.pop(now);
        queue.happened(Event::NodeChanged, now);
        queue.failed(&key("a"), "a", Failure::Unfit(rejecters(true)), now);
        assert_eq!(popped(&mut queue, now), "a");
    }

    #[test]
    fn who_was_tried_a_moment_ago_lets_others_go_first() {
        let (mut queue, now) = queue(&["a"]);
        queue.pop(now);
        queue.failed(&key("a"), "a", Failure::Unfit(rejecters(true)), now);
        queue.happened(Event::NodeChanged, now);
        queue.add(key("b"), pod("b", -1), now);
        assert_eq!(popped(&mut queue, now), "b");
        assert_eq!(popped(&mut queue, now), "a");
    }

    #[test]
    fn an_error_is_waited_out_longer_each_time() {
        let (mut queue, mut now) = queue(&["a"]);
        for wait in [1, 2, 4, 8, 10, 10] {
            assert_eq!(popped(&mut queue, now), "a");
            queue.failed(&key("a"), "a", Failure::Error, now);
            assert_eq!(popped(&mut queue, after(now, wait) - Duration::from_millis(1)), "-", "{wait}");
            now = after(now, wait);
        }
    }

    #[test]
    fn a_pod_that_is_gone_or_made_anew_is_not_put_back() {
        let (mut queue, now) = queue(&["a"]);
        queue.pop(now);
        queue.remove(&key("a"));
        queue.failed(&key("a"), "a", Failure::Error, now);
        assert_eq!(queue.len(), 0);

        queue.add(key("b"), pod("b", 0), now);
        queue.pop(now);
        queue.failed(&key("b"), "another uid", Failure::Error, now);
        assert!(queue.due.is_empty() && queue.active.is_empty());
    }

    #[test]
    fn a_change_of_its_spec_helps_a_pod() {
        let (mut queue, now) = queue(&["a"]);
        queue.pop(now);
        queue.failed(&key("a"), "a", Failure::Unfit(rejecters(false)), now);
        queue.add(key("a"), pod("a", 0), after(now, 20));
        assert_eq!(popped(&mut queue, after(now, 20)), "-", "nothing changed");
        let mut changed = pod("a", 0);
        let tolerations = json!([{"operator": "Exists"}]);
        let mut object = (*changed.pod).clone();
        object.spec.as_mut().unwrap().tolerations = serde_json::from_value(tolerations).unwrap();
        changed.pod = Arc::new(object);
        queue.add(key("a"), changed, after(now, 20));
        assert_eq!(popped(&mut queue, after(now, 20)), "a");
    }
}
