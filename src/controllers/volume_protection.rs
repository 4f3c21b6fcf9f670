//! Keeps claims and volumes that are in use until they are not: a claim that a pod mounts, a volume that is bound
//! (upstream's `pvc-protection-controller` and `pv-protection-controller`).
//!
//! The finalizers come with the object (`StorageObjectInUseProtection`); here they go.

use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::pods::{self, ByNode};
use crate::reconcile::{self, Next, Outcome};

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

/// How many objects are looked at beside one another.
const WORKERS: usize = 5;

/// The controller of claims.
pub(crate) struct ClaimProtection {
    client: Client,
    claims: Informer<core::PersistentVolumeClaim>,
    pods: Informer<core::Pod>,
}

/// The controller of volumes.
pub(crate) struct VolumeProtection {
    client: Client,
    volumes: Informer<core::PersistentVolume>,
}

impl ClaimProtection {
    pub(crate) fn new(informers: &Informers, pods: &ByNode) -> Self {
        Self { client: informers.client().clone(), claims: informers.of(), pods: pods.informer().clone() }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _claims = reconcile::feed(&self.claims, &queue, |change| change.key.clone());
        let _pods = self.pods.subscribe({
            let queue = queue.clone();
            move |change| {
                // A pod that went or ended may have been the last that used its claims.
                for pod in [&change.old, &change.new].into_iter().flatten() {
                    pods::claims(pod).for_each(|claim| queue.add(Key::new(&change.key.namespace, &claim)));
                }
            }
        });
        let synced = async { tokio::join!(self.claims.synced(), self.pods.synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let claim = self.claims.get(&key).filter(|claim| is_going(&claim.metadata, CLAIM));
        let Some(claim) = claim else { return Ok(Next::Changed) };
        // The server's word, not the cache's: a pod that was made a moment ago may not be there yet.
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let is_used = api.list(&ListParams::default()).await?.items.iter().any(|pod| uses(pod, &key.name));
        if is_used {
            return Ok(Next::Changed);
        }
        let api: Api<core::PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        refusal::found(api.patch(&key.name, &PatchParams::default(), &without(&claim.metadata, CLAIM)).await)?;
        Ok(Next::Changed)
    }
}

impl VolumeProtection {
    pub(crate) fn new(informers: &Informers) -> Self {
        Self { client: informers.client().clone(), volumes: informers.of() }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _volumes = reconcile::feed(&self.volumes, &queue, |change| change.key.clone());
        if shutdown.or(self.volumes.synced()).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let volume = self.volumes.get(&key).filter(|volume| is_going(&volume.metadata, VOLUME) && !is_bound(volume));
        let Some(volume) = volume else { return Ok(Next::Changed) };
        let api: Api<core::PersistentVolume> = Api::all(self.client.clone());
        refusal::found(api.patch(&key.name, &PatchParams::default(), &without(&volume.metadata, VOLUME)).await)?;
        Ok(Next::Changed)
    }
}

/// Whether the object is being deleted and waits for this finalizer.
fn is_going(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.deletion_timestamp.is_some() && metadata.finalizers.iter().flatten().any(|found| found == finalizer)
}

fn is_bound(volume: &core::PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// Whether a pod has the claim mounted: one that is on no node has not, one that has ended no longer.
fn uses(pod: &core::Pod, claim: &str) -> bool {
    !pods::node_of(pod).is_empty() && !pods::has_ended(pod) && pods::claims(pod).any(|used| used == claim)
}

/// Takes the finalizer away, from the state that was looked at alone.
fn without(metadata: &ObjectMeta, finalizer: &str) -> Patch<serde_json::Value> {
    let kept: Vec<&String> = metadata.finalizers.iter().flatten().filter(|found| *found != finalizer).collect();
    Patch::Merge(json!({"metadata": {"resourceVersion": metadata.resource_version, "finalizers": kept}}))
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_claim_goes_when_no_pod_uses_it_any_more() {
        let server = FakeServer::default();
        let (claim, pod) = ("/api/v1/namespaces/n/persistentvolumeclaims/c", "/api/v1/namespaces/n/pods/p");
        let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
        server.put(pod, json!({"spec": {"nodeName": "node", "containers": [], "volumes": volumes}}));
        let going = json!({"deletionTimestamp": "2026-11-24T00:00:00Z", "finalizers": [CLAIM, "other"]});
        server.put(claim, json!({"metadata": going}));
        let (_trigger, shutdown) = shutdown::channel();
        let informers = Informers::new(server.client());
        let pods = ByNode::new(informers.of_pruned(pods::prune));
        task::spawn("claims", ClaimProtection::new(&informers, &pods).run(shutdown)).detach();

        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let finalizers = |claim: Option<&Value>| claim.unwrap()["metadata"]["finalizers"].clone();
        server.wait(claim, |claim| finalizers(claim) == json!([CLAIM, "other"])).await;
        server.remove(pod);
        server.wait(claim, |claim| finalizers(claim) == json!(["other"])).await;
    }

    #[test]
    fn only_a_pod_that_runs_somewhere_uses_a_claim() {
        let pod = |node: &str, phase: &str| -> core::Pod {
            let volumes = json!([{"name": "v", "ephemeral": {}}]);
            serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"phase": phase},
                "spec": {"nodeName": node, "containers": [], "volumes": volumes}}))
            .unwrap()
        };
        assert!(uses(&pod("node", "Running"), "p-v"));
        assert!(!uses(&pod("node", "Running"), "another"));
        assert!(!uses(&pod("", "Pending"), "p-v"));
        assert!(!uses(&pod("node", "Succeeded"), "p-v"));
    }
}
