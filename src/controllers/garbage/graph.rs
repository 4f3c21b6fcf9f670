//! Who owns whom, as far as it was seen: a value that each change of an object's metadata enters, and that says whom
//! the change concerns.
//!
//! `nodes` is canonical. `dependents` finds the dependents of an owner, also of one that was not seen (yet, or any
//! more). It may lag behind the API server: it says where to look, never what to delete.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use client::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::resources::Kind;

/// Stands in the finalizers of an object that goes after its dependents.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Stands in the finalizers of an object whose dependents stay.
pub(super) const ORPHAN: &str = "orphan";

/// The id of one life of an object.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Uid(Arc<str>);

/// An object as far as ownership goes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Arc<Kind>,
    pub(super) key: Key,
    pub(super) uid: Uid,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) fate: Fate,
}

/// What shall become of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It stays.
    Stays,
    /// It goes once its dependents are gone.
    GoesLast,
    /// It goes once its dependents have forgotten it.
    Orphans,
    /// It goes; others hold it for a while.
    Goes,
}

/// See the module. Bounded by the objects that exist.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    /// By the uid of the owner.
    dependents: HashMap<Uid, BTreeSet<Uid>>,
}

impl Uid {
    /// The uid in an object's metadata; every object of the server has one.
    pub(super) fn of(meta: &ObjectMeta) -> Option<Self> {
        meta.uid.as_deref().map(Self::new)
    }

    pub(super) fn new(uid: &str) -> Self {
        Self(uid.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fate {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let has = |name: &str| meta.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        match meta.deletion_timestamp {
            None => Self::Stays,
            Some(_) if has(ORPHAN) => Self::Orphans,
            Some(_) if has(FOREGROUND) => Self::GoesLast,
            Some(_) => Self::Goes,
        }
    }
}

impl Node {
    /// The object `key` as its metadata say; every object of the server has a uid.
    pub(super) fn of(kind: Arc<Kind>, key: Key, meta: &ObjectMeta) -> Option<Self> {
        let owners = meta.owner_references.clone().unwrap_or_default();
        Some(Self { kind, key, uid: Uid::of(meta)?, owners, fate: Fate::of(meta) })
    }

    /// Whether its deletion holds up that of `owner`.
    pub(super) fn blocks(&self, owner: &Uid) -> bool {
        let is_meant = |reference: &&OwnerReference| Uid::new(&reference.uid) == *owner;
        self.owners.iter().filter(is_meant).any(|reference| reference.block_owner_deletion == Some(true))
    }
}

impl Graph {
    pub(super) fn get(&self, uid: &Uid) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The objects that name this owner.
    pub(super) fn dependents(&self, owner: &Uid) -> impl Iterator<Item = &Node> {
        self.dependents.get(owner).into_iter().flatten().filter_map(|uid| self.nodes.get(uid))
    }

    /// An object is new or has changed. Answers with those that this concerns.
    pub(super) fn apply(&mut self, node: Node) -> Vec<Uid> {
        let uid = node.uid.clone();
        let old = self.nodes.get(&uid);
        let old_owners = old.map(|old| old.owners.clone()).unwrap_or_default();
        let is_new = old.is_none();
        let has_new_fate = old.is_none_or(|old| old.fate != node.fate) && node.fate != Fate::Stays;
        let has_new_owners = old_owners != node.owners;

        let mut concerned = Vec::new();
        if has_new_owners {
            for gone in &old_owners {
                self.forget_dependent(&Uid::new(&gone.uid), &uid);
            }
            for owner in &node.owners {
                self.dependents.entry(Uid::new(&owner.uid)).or_default().insert(uid.clone());
            }
            // Whoever waits for this one to go may wait no longer.
            concerned.extend(self.waiting(&old_owners));
        }
        if has_new_fate && node.fate == Fate::GoesLast {
            concerned.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        if has_new_fate || (has_new_owners && !node.owners.is_empty()) {
            concerned.push(uid.clone());
        }
        if is_new {
            // They were seen before their owner, and may have been taken for orphans.
            concerned.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        self.nodes.insert(uid, node);
        concerned
    }

    /// An object is gone. Answers with those that this concerns: its dependents, and the owners that waited for it.
    pub(super) fn remove(&mut self, uid: &Uid) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        for owner in &node.owners {
            self.forget_dependent(&Uid::new(&owner.uid), uid);
        }
        let mut concerned = self.waiting(&node.owners);
        concerned.extend(self.dependents.get(uid).into_iter().flatten().cloned());
        concerned
    }

    /// A kind is no more.
    pub(super) fn remove_kind(&mut self, kind: &Kind) -> Vec<Uid> {
        let of_kind = self.nodes.values().filter(|node| node.kind.resource == kind.resource);
        let uids: Vec<Uid> = of_kind.map(|node| node.uid.clone()).collect();
        uids.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    /// Those of the owners that go once their dependents are gone.
    fn waiting(&self, owners: &[OwnerReference]) -> Vec<Uid> {
        let uids = owners.iter().map(|owner| Uid::new(&owner.uid));
        uids.filter(|uid| self.nodes.get(uid).is_some_and(|node| node.fate == Fate::GoesLast)).collect()
    }

    fn forget_dependent(&mut self, owner: &Uid, dependent: &Uid) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::garbage::plan::testing::kind;

    fn node(name: &str, more: Value) -> Node {
        let mut meta = json!({"name": name, "uid": name});
        meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Node::of(Arc::new(kind("ConfigMap")), Key::new("", name), &serde_json::from_value(meta).unwrap()).unwrap()
    }

    fn owned_by(owner: &str) -> Value {
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner}]})
    }

    fn concerned(uids: Vec<Uid>) -> Vec<String> {
        uids.iter().map(Uid::to_string).collect()
    }

    #[test]
    fn a_change_concerns_those_whose_fate_it_may_turn() {
        let mut graph = Graph::default();
        assert!(concerned(graph.apply(node("free", json!({})))).is_empty());
        assert_eq!(concerned(graph.apply(node("child", owned_by("owner")))), ["child"]);
        assert_eq!(concerned(graph.apply(node("owner", json!({})))), ["child"]);
        assert!(concerned(graph.apply(node("child", owned_by("owner")))).is_empty());

        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]});
        assert_eq!(concerned(graph.apply(node("owner", deleted))), ["child", "owner"]);
        assert_eq!(concerned(graph.remove(&Uid::new("child"))), ["owner"]);
        assert!(concerned(graph.remove(&Uid::new("owner"))).is_empty());
        assert!(graph.dependents.is_empty());
    }

    #[test]
    fn an_owner_that_is_gone_concerns_its_dependents_and_they_are_remembered() {
        let mut graph = Graph::default();
        graph.apply(node("owner", json!({})));
        graph.apply(node("child", owned_by("owner")));
        assert_eq!(concerned(graph.remove(&Uid::new("owner"))), ["child"]);
        assert_eq!(graph.dependents(&Uid::new("owner")).count(), 1);
        graph.apply(node("child", json!({})));
        assert_eq!(graph.dependents(&Uid::new("owner")).count(), 0);
    }
}
