//! What controllers read of a pod, and so what they keep of it: a cluster has many pods, and most of a pod is its
//! containers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::informer::{Change, Subscription};
use client::{Informer, Key};
use k8s_openapi::api::core::v1 as core;

/// The pods of each node, kept in step with the informer of pods; clones share it.
#[derive(Clone)]
pub(crate) struct ByNode {
    pods: Informer<core::Pod>,
    keys: Arc<Mutex<Keys>>,
    _changes: Subscription,
}

/// By node. Bounded by the pods that exist.
type Keys = HashMap<String, BTreeSet<Key>>;

impl ByNode {
    pub(crate) fn new(pods: Informer<core::Pod>) -> Self {
        let keys: Arc<Mutex<Keys>> = Arc::default();
        let changes = pods.subscribe({
            let keys = Arc::clone(&keys);
            move |change| enter(&mut lock(&keys), change)
        });
        Self { pods, keys, _changes: changes }
    }

    /// The informer that this follows. Its changes were entered here before later listeners hear of them.
    pub(crate) fn informer(&self) -> &Informer<core::Pod> {
        &self.pods
    }

    /// The pods that are bound to a node, in the order of their keys.
    pub(crate) fn of(&self, node: &str) -> Vec<(Key, Arc<core::Pod>)> {
        let keys = lock(&self.keys).get(node).cloned().unwrap_or_default();
        let pods = keys.into_iter().filter_map(|key| Some((key.clone(), self.pods.get(&key)?)));
        pods.filter(|(_, pod)| node_of(pod) == node).collect()
    }
}

fn lock(keys: &Mutex<Keys>) -> MutexGuard<'_, Keys> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(keys: &mut Keys, change: &Change<core::Pod>) {
    let node =
        |pod: &Option<Arc<core::Pod>>| pod.as_deref().map(node_of).filter(|node| !node.is_empty()).map(str::to_owned);
    let (old, new) = (node(&change.old), node(&change.new));
    if old == new {
        return;
    }
    if let Some(old) = old
        && let Some(of_node) = keys.get_mut(&old)
    {
        of_node.remove(&change.key);
        if of_node.is_empty() {
            keys.remove(&old);
        }
    }
    if let Some(new) = new {
        keys.entry(new).or_default().insert(change.key.clone());
    }
}

/// Drops of a pod what no controller here reads. What stays: who it is and whose, its node, its tolerations, the claims
/// that it mounts, its phase, reason and conditions.
pub(crate) fn prune(pod: &mut core::Pod) {
    let metadata = &mut pod.metadata;
    metadata.labels = None;
    metadata.annotations = None;
    metadata.owner_references = None;
    metadata.generate_name = None;
    if let Some(spec) = pod.spec.take() {
        let is_claim = |volume: &core::Volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some();
        let claims: Vec<core::Volume> = spec.volumes.unwrap_or_default().into_iter().filter(is_claim).collect();
        pod.spec = Some(core::PodSpec {
            node_name: spec.node_name,
            tolerations: spec.tolerations,
            volumes: Some(claims).filter(|claims| !claims.is_empty()),
            ..core::PodSpec::default()
        });
    }
    if let Some(status) = pod.status.take() {
        pod.status = Some(core::PodStatus {
            phase: status.phase,
            reason: status.reason,
            conditions: status.conditions,
            ..core::PodStatus::default()
        });
    }
}

/// The node that a pod is bound to; empty where it has none.
pub(crate) fn node_of(pod: &core::Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// The names of the claims that a pod mounts, or will when its own are made.
pub(crate) fn claims(pod: &core::Pod) -> impl Iterator<Item = String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| match &volume.persistent_volume_claim {
        Some(claim) => Some(claim.claim_name.clone()),
        // A claim of the pod's own is called by both.
        None if volume.ephemeral.is_some() => {
            Some(format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name))
        }
        None => None,
    })
}

/// The conditions of a pod.
pub(crate) fn conditions(pod: &core::Pod) -> &[core::PodCondition] {
    pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// Whether a pod has ended, well or not.
pub(crate) fn has_ended(pod: &core::Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pods_of_a_node_are_those_that_are_bound_to_it_now() {
        let mut keys = Keys::new();
        let pod = |node: &str| {
            let pod = json!({"metadata": {}, "spec": {"containers": [], "nodeName": node}});
            Some(Arc::new(serde_json::from_value::<core::Pod>(pod).unwrap()))
        };
        let mut change = |old: Option<Arc<core::Pod>>, new: Option<Arc<core::Pod>>| {
            enter(&mut keys, &Change { key: Key::new("a", "web"), old, new });
            keys.keys().cloned().collect::<Vec<_>>()
        };
        assert!(change(None, pod("")).is_empty());
        assert_eq!(change(pod(""), pod("n")), ["n"]);
        assert_eq!(change(pod("n"), pod("m")), ["m"], "another one under its name");
        assert!(change(pod("m"), None).is_empty());
    }

    #[test]
    fn what_nobody_reads_of_a_pod_is_not_kept() {
        let mut pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "uid": "1", "labels": {"a": "b"}, "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "c"}], "tolerations": [{"operator": "Exists"}]},
            "status": {"phase": "Running", "reason": "Evicted", "hostIP": "127.0.0.1",
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        prune(&mut pod);
        assert_eq!(
            serde_json::to_value(&pod).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"nodeName": "n", "containers": [], "tolerations": [{"operator": "Exists"}]},
                "status": {"phase": "Running", "reason": "Evicted", "conditions": [{"type": "Ready", "status": "True"}]},
            })
        );
    }
}
