//! What is where: the nodes, and the pods that take something of them. Kept in step with the informers, and ahead of
//! them by the pods that are about to be bound.
//!
//! `homes` says where a pod counts and is canonical; `places` has the same pods by node, and `nodes` their sums.

use std::collections::HashMap;
use std::sync::Arc;

use client::Key;
use k8s_openapi::api::core::v1 as core;

use crate::node::Node;
use crate::pod::Load;
use crate::schedule::Snapshot;

/// See the module. Bounded by the nodes and pods that exist.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    homes: HashMap<Key, Home>,
    /// By name; also for a node that pods name and that was not seen yet.
    places: HashMap<Arc<str>, Place>,
    nodes: Snapshot,
}

#[derive(Debug)]
struct Home {
    uid: String,
    node: Arc<str>,
    /// The pod is about to be bound; the informer does not know yet.
    is_assumed: bool,
}

#[derive(Debug, Default)]
struct Place {
    /// Where the node is among `nodes`; `None` where there is no such node.
    index: Option<usize>,
    loads: HashMap<Key, Arc<Load>>,
}

impl Cache {
    /// All nodes with what is taken of them.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.nodes.clone()
    }

    /// A node is new or has changed.
    pub(crate) fn set_node(&mut self, name: &str, object: Arc<core::Node>) {
        let place = self.places.entry(name.into()).or_default();
        if let Some(node) = place.index.and_then(|index| self.nodes.get_mut(index)) {
            Arc::make_mut(node).update(object);
            return;
        }
        let mut node = Node::new(name.into(), object);
        for load in place.loads.values() {
            node.add(load);
        }
        place.index = Some(self.nodes.len());
        self.nodes.push_back(Arc::new(node));
    }

    /// A node is gone; its pods stay counted until they are gone, too.
    pub(crate) fn remove_node(&mut self, name: &str) {
        let Some(index) = self.places.get_mut(name).and_then(|place| place.index.take()) else { return };
        // The last one moves into the gap.
        if let Some(last) = self.nodes.pop_back()
            && index < self.nodes.len()
        {
            if let Some(place) = self.places.get_mut(&last.name) {
                place.index = Some(index);
            }
            self.nodes.set(index, last);
        }
        self.places.retain(|_, place| place.index.is_some() || !place.loads.is_empty());
    }

    /// The informer says that a pod is bound to a node.
    pub(crate) fn set_pod(&mut self, key: &Key, uid: &str, node: &str, load: impl FnOnce() -> Load) {
        if let Some(home) = self.homes.get_mut(key)
            && home.uid == uid
            && &*home.node == node
        {
            home.is_assumed = false;
            return;
        }
        self.remove_pod(key);
        self.put(key, uid, node, Arc::new(load()), IsAssumed::No);
    }

    /// A pod is about to be bound to a node.
    pub(crate) fn assume(&mut self, key: &Key, uid: &str, node: &str, load: Arc<Load>) {
        self.remove_pod(key);
        self.put(key, uid, node, load, IsAssumed::Yes);
    }

    /// A pod was not bound after all. Does nothing where the informer knows better.
    pub(crate) fn forget(&mut self, key: &Key, uid: &str) {
        if self.homes.get(key).is_some_and(|home| home.is_assumed && home.uid == uid) {
            self.remove_pod(key);
        }
    }

    /// A pod is gone or has ended; says whether it counted.
    pub(crate) fn remove_pod(&mut self, key: &Key) -> bool {
        let Some(home) = self.homes.remove(key) else { return false };
        if let Some(place) = self.places.get_mut(&home.node) {
            let load = place.loads.remove(key);
            let node = place.index.and_then(|index| self.nodes.get_mut(index));
            if let (Some(load), Some(node)) = (load, node) {
                Arc::make_mut(node).remove(&load);
            }
            if place.index.is_none() && place.loads.is_empty() {
                self.places.remove(&home.node);
            }
        }
        true
    }

    /// Whether this pod is about to be bound.
    pub(crate) fn is_assumed(&self, key: &Key, uid: &str) -> bool {
        self.homes.get(key).is_some_and(|home| home.is_assumed && home.uid == uid)
    }

    /// Whether there is a node of this name.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|place| place.index.is_some())
    }

    fn put(&mut self, key: &Key, uid: &str, node: &str, load: Arc<Load>, is_assumed: IsAssumed) {
        let name: Arc<str> = node.into();
        let place = self.places.entry(Arc::clone(&name)).or_default();
        if let Some(node) = place.index.and_then(|index| self.nodes.get_mut(index)) {
            Arc::make_mut(node).add(&load);
        }
        place.loads.insert(key.clone(), load);
        let home = Home { uid: uid.to_owned(), node: name, is_assumed: is_assumed == IsAssumed::Yes };
        self.homes.insert(key.clone(), home);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum IsAssumed {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::pod_of;

    fn object(name: &str) -> Arc<core::Node> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}})).unwrap())
    }

    /// `name=milli-CPU taken of it` of each node.
    fn taken(cache: &Cache) -> Vec<String> {
        let mut taken: Vec<String> =
            cache.snapshot().iter().map(|node| format!("{}={}", node.name, node.requested.cpu_milli)).collect();
        taken.sort();
        taken
    }

    fn load() -> Load {
        (*pod_of("1", "1G").load).clone()
    }

    #[test]
    fn an_assumed_pod_counts_until_it_is_forgotten_or_confirmed() {
        let (mut cache, key) = (Cache::default(), Key::new("default", "web"));
        cache.set_node("a", object("a"));
        cache.set_node("b", object("b"));
        cache.assume(&key, "1", "a", Arc::new(load()));
        assert_eq!(taken(&cache), ["a=1000", "b=0"]);
        cache.forget(&key, "1");
        assert_eq!(taken(&cache), ["a=0", "b=0"]);

        cache.assume(&key, "1", "a", Arc::new(load()));
        cache.set_pod(&key, "1", "a", load);
        cache.forget(&key, "1");
        assert_eq!(taken(&cache), ["a=1000", "b=0"]);
        // The informer is right where somebody else bound it elsewhere, or made another one of the name.
        cache.set_pod(&key, "2", "b", load);
        assert_eq!(taken(&cache), ["a=0", "b=1000"]);
        assert!(cache.remove_pod(&key) && !cache.remove_pod(&key));
        assert_eq!(taken(&cache), ["a=0", "b=0"]);
    }

    #[test]
    fn pods_may_be_seen_before_their_node_and_after_it() {
        let (mut cache, key) = (Cache::default(), Key::new("default", "web"));
        cache.set_pod(&key, "1", "a", load);
        assert!(taken(&cache).is_empty());
        cache.set_node("a", object("a"));
        assert_eq!(taken(&cache), ["a=1000"]);
        cache.remove_node("a");
        assert!(taken(&cache).is_empty() && !cache.has_node("a"));
        cache.set_node("a", object("a"));
        assert_eq!(taken(&cache), ["a=1000"]);
        cache.remove_node("a");
        cache.remove_pod(&key);
        assert!(cache.places.is_empty() && cache.homes.is_empty());
    }

    #[test]
    fn the_place_of_a_node_that_went_is_taken_by_another() {
        let mut cache = Cache::default();
        for name in ["a", "b", "c"] {
            cache.set_node(name, object(name));
        }
        cache.remove_node("a");
        cache.assume(&Key::new("default", "web"), "1", "c", Arc::new(load()));
        assert_eq!(taken(&cache), ["b=0", "c=1000"]);
    }

    #[test]
    fn a_snapshot_does_not_change() {
        let mut cache = Cache::default();
        cache.set_node("a", object("a"));
        let before = cache.snapshot();
        cache.assume(&Key::new("default", "web"), "1", "a", Arc::new(load()));
        assert_eq!(before.get(0).unwrap().requested.cpu_milli, 0);
    }
}
