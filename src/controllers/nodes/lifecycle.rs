//! Keeps conditions and taints of nodes true: asks [`health`] and [`taints`], and writes what they answer. Follows
//! upstream's `pkg/controller/nodelifecycle`, without its zones: the cluster is one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::bucket::Bucket;
use base::clock::{self, Instant};
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::events::{self, Recorder, Source, Writer};
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::Options;
use super::conditions::{self, READY, Status};
use super::disruption::Disruption;
use super::health::{self, Sign, Signs};
use super::taints::{self, Eviction};
use crate::pods::{self, ByNode};
use crate::reconcile::{self, Next, Outcome};

/// What this is called in Events and as the writer of fields.
const NAME: &str = "node-controller";

/// Where nodes keep their leases.
const LEASES: &str = "kube-node-lease";

/// How many nodes are looked at beside one another, as upstream.
const WORKERS: usize = 8;

/// How many pods of one node are written beside one another: their writes share the server's fsync.
const PODS_MAX: usize = 32;

/// How many nodes may begin to lose their pods at once.
const EVICTION_BURST: f64 = 1.0;

/// How soon a node is looked at again whose conditions were just written, or whose eviction was held back.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a node is looked at that is not ready (upstream's `--node-monitor-period`): what becomes of it depends on
/// how the others are.
const LOOK_AGAIN_DOWN: Duration = Duration::from_secs(5);

/// The controller.
pub(crate) struct Lifecycle {
    client: Client,
    options: Options,
    nodes: Informer<core::Node>,
    leases: Informer<coordination::Lease>,
    pods: ByNode,
    signs: Mutex<Signs>,
    /// The nodes that people were told of. Bounded by the nodes that exist.
    registered: Mutex<HashMap<Key, core::ObjectReference>>,
    /// The nodes that are down and whose pods were said to be not ready. Of those that still speak this is done once,
    /// for then their kubelets say what is so. Bounded by the nodes that exist.
    marked: Mutex<HashSet<Key>>,
    evictions: Mutex<Bucket>,
    recorder: Recorder,
}

impl Lifecycle {
    /// The controller, and the writer of what it tells people.
    pub(crate) fn new(informers: &Informers, pods: &ByNode, options: Options) -> (Self, Writer) {
        let client = informers.client().clone();
        let (recorder, writer) = events::channel(Source { component: NAME.to_owned(), host: String::new() });
        let controller = Self {
            nodes: informers.of(),
            leases: Informer::start(Api::namespaced(client.clone(), LEASES), Config::default()),
            pods: pods.clone(),
            signs: Mutex::default(),
            registered: Mutex::default(),
            marked: Mutex::default(),
            evictions: Mutex::new(Bucket::new(options.eviction_rate, EVICTION_BURST, Instant::now())),
            client,
            options,
            recorder,
        };
        (controller, writer)
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _nodes = reconcile::feed(&self.nodes, &queue, |change| change.key.clone());
        let _leases = reconcile::feed(&self.leases, &queue, |change| Key::of_cluster(&change.key.name));
        let synced = async { tokio::join!(self.nodes.synced(), self.leases.synced(), self.pods.informer().synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let node = self.nodes.get(&key);
        self.tell_registered(&key, node.as_deref());
        let Some(node) = node else {
            self.signs().forget(&key.name);
            self.marked().remove(&key);
            return Ok(Next::Changed);
        };
        let renewed = self.leases.get(&Key::new(LEASES, &key.name)).and_then(|lease| lease.spec.clone()?.renew_time);
        let sign = Sign::of(&node, renewed.map(|time| time.0));
        let silence = self.signs().silence(&key.name, sign, Instant::now());
        let grace = health::grace_period(&node, &self.options);
        let left = grace.saturating_sub(silence);
        if left.is_zero() && self.write_unknown(&node).await? {
            // The rest follows when the informer has seen the conditions.
            return Ok(Next::After(LOOK_AGAIN));
        }
        let is_held = self.taint(&node).await?;
        let is_down = conditions::status(&node, READY) != Status::True;
        if !is_down {
            self.marked().remove(&key);
        } else if left.is_zero() || !self.marked().contains(&key) {
            self.write_pods_not_ready(&key.name).await?;
            self.marked().insert(key);
        }
        // A sign of life is heard of at once; that there is none has to be looked for.
        let waits = [(!left.is_zero(), left), (is_held, LOOK_AGAIN), (is_down, LOOK_AGAIN_DOWN)];
        let soonest = waits.into_iter().filter(|(is_meant, _)| *is_meant).map(|(_, wait)| wait).min();
        Ok(soonest.map_or(Next::Changed, Next::After))
    }

    /// Writes that nothing is known of a silent node; says whether that was news.
    async fn write_unknown(&self, node: &core::Node) -> kube::Result<bool> {
        let unknown = health::silent(node, clock::now_seconds());
        if unknown.is_empty() {
            return Ok(false);
        }
        let api: Api<core::Node> = Api::all(self.client.clone());
        // Not over what the kubelet has just said: it would believe itself to have said so, and not say it again soon.
        let patched = status::patch_seen(&api, node, NAME, &json!({ "conditions": unknown })).await;
        if refusal::found(patched)?.is_some() && conditions::status(node, READY) == Status::True {
            let message = format!("Node {} status is now: NodeNotReady", node.name_any());
            self.recorder.normal(events::reference(node, None), "NodeNotReady", message);
        }
        Ok(true)
    }

    /// The pods of a node that is down are not ready either.
    async fn write_pods_not_ready(&self, node: &str) -> kube::Result<()> {
        let written = reconcile::each(self.pods.of(node), PODS_MAX, |(key, pod)| self.write_not_ready(key, pod)).await;
        // One that cannot be written holds up no other.
        written.into_iter().collect()
    }

    async fn write_not_ready(&self, key: Key, pod: Arc<core::Pod>) -> kube::Result<()> {
        let ready = pods::conditions(&pod).iter().find(|one| one.type_ == READY && one.status == "True");
        let Some(ready) = ready else { return Ok(()) };
        let not_ready = core::PodCondition {
            status: "False".to_owned(),
            last_transition_time: Some(Time(clock::now_seconds())),
            ..ready.clone()
        };
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let patched = status::patch_seen(&api, &*pod, NAME, &json!({ "conditions": [not_ready] })).await;
        if refusal::found(patched)?.is_some() {
            self.recorder.warning(events::reference(&*pod, None), "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }

    /// Gives a node the taints of its conditions; says whether one was held back.
    async fn taint(&self, node: &core::Node) -> kube::Result<bool> {
        let now = clock::now_seconds();
        let mut plan = taints::plan(node, Eviction::Held, now);
        let disruption =
            if conditions::status(node, READY) == Status::True { Disruption::None } else { self.disruption() };
        match disruption {
            Disruption::Full => plan = taints::plan(node, Eviction::Withdrawn, now),
            Disruption::None if plan.is_held && self.may_evict() => {
                plan = taints::plan(node, Eviction::Allowed, now);
            }
            Disruption::None | Disruption::Partial => {}
        }
        if let Some(taints) = &plan.taints {
            let api: Api<core::Node> = Api::all(self.client.clone());
            let version = node.metadata.resource_version.as_deref();
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
            let patched = api.patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
            if patched.is_err() && plan.begins_eviction {
                self.evictions().put_back(1.0);
            }
            refusal::found(patched)?;
            if plan.begins_eviction {
                tracing::info!(
                    node = node.name_any(),
                    "the node is not ready; its pods go when they tolerate it no longer"
                );
            }
        }
        Ok(plan.is_held)
    }

    fn disruption(&self) -> Disruption {
        let all = self.nodes.all();
        let down = all.values().filter(|node| conditions::status(node, READY) != Status::True).count();
        Disruption::of(down, all.len())
    }

    /// Whether one more node may begin to lose its pods.
    fn may_evict(&self) -> bool {
        self.evictions().try_take(1.0, Instant::now())
    }

    fn evictions(&self) -> MutexGuard<'_, Bucket> {
        self.evictions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells people of a node that is new, or gone.
    fn tell_registered(&self, key: &Key, node: Option<&core::Node>) {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &key.name;
        let is_known = |known: &core::ObjectReference| node.is_some_and(|node| node.metadata.uid == known.uid);
        if registered.get(key).is_some_and(is_known) {
            return;
        }
        if let Some(gone) = registered.remove(key) {
            let message = format!("Node {name} event: Removing Node {name} from Controller");
            self.recorder.normal(gone, "RemovingNode", message);
        }
        if let Some(node) = node {
            let about = events::reference(node, None);
            let message = format!("Node {name} event: Registered Node {name} in Controller");
            self.recorder.normal(about.clone(), "RegisteredNode", message);
            registered.insert(key.clone(), about);
        }
    }

    fn marked(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
