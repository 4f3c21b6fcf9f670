//! Keeps conditions and taints of nodes true: asks [`health`](super::health) and [`taints`](super::taints), and writes
//! what they answer. Follows upstream's `pkg/controller/nodelifecycle`, without its zones: the cluster is one.

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
        let _nodes = self.nodes.subscribe({
            let queue = queue.clone();
            move |change| queue.add(change.key.clone())
        });
        let _leases = self.leases.subscribe({
            let queue = queue.clone();
            move |change| queue.add(Key::of_cluster(&change.key.name))
        });
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
mod tests {
    use base::shutdown;
    use base::task;
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    /// Starts the controller on `server`; it ends with the trigger.
    fn start(server: &FakeServer, options: Options) -> shutdown::Trigger {
        let (trigger, shutdown) = shutdown::channel();
        let informers = Informers::new(server.client());
        let (controller, writer) = Lifecycle::new(&informers, &ByNode::new(informers.of()), options);
        task::spawn("nodes", controller.run(shutdown.clone())).detach();
        task::spawn("events", writer.run(server.client(), shutdown)).detach();
        trigger
    }

    /// Renews the lease of a node every ten seconds.
    fn renew(server: &FakeServer, node: &'static str) -> task::Task<()> {
        let server = server.clone();
        task::spawn("renewals", async move {
            for second in (0..).map(|n| n % 60) {
                server.put(&lease_path(node), lease(second));
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        })
    }

    fn ready() -> Value {
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn lease(second: u64) -> Value {
        json!({"spec": {"renewTime": format!("2026-01-01T00:00:{second:02}.000000Z")}})
    }

    fn lease_path(node: &str) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{LEASES}/leases/{node}")
    }

    fn taints(node: &Value) -> Vec<String> {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints
            .iter()
            .map(|taint| format!("{}:{}", taint["key"].as_str().unwrap(), taint["effect"].as_str().unwrap()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_unknown_and_tainted_until_it_gives_a_sign() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/dead", ready());
        server.put("/api/v1/nodes/alive", ready());
        let pod =
            json!({"spec": {"nodeName": "dead"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        server.put("/api/v1/namespaces/default/pods/web", pod);
        // Whoever gets in between is not written over, and the controller comes again.
        for path in ["nodes/dead", "nodes/dead/status", "namespaces/default/pods/web/status"] {
            server.refuse(&format!("PATCH /api/v1/{path}"), 409, 1);
        }
        let _running = start(&server, Options::default());
        // One goes on renewing its lease, the other never begins.
        let _renewals = renew(&server, "alive");
        let is_tainted = |node: Option<&Value>| node.is_some_and(|node| taints(node).len() == 2);
        let node = server.wait("/api/v1/nodes/dead", is_tainted).await.unwrap();
        assert_eq!(
            taints(&node),
            ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
        );
        assert_eq!(node["status"]["conditions"][0]["reason"], "NodeStatusUnknown");
        let is_not_ready = |pod: Option<&Value>| pod.unwrap()["status"]["conditions"][0]["status"] == "False";
        server.wait("/api/v1/namespaces/default/pods/web", is_not_ready).await;
        assert!(taints(&server.object("/api/v1/nodes/alive").unwrap()).is_empty());

        let mut back = node;
        back["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T01:00:00Z"}]);
        server.put("/api/v1/nodes/dead", back);
        server.wait("/api/v1/nodes/dead", |node| node.is_some_and(|node| taints(node).is_empty())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_nodes_are_silent_none_loses_its_pods_and_one_that_did_stops() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/a", ready());
        server.put("/api/v1/nodes/b", ready());
        let _running = start(&server, Options::default());
        let renewals = renew(&server, "b");
        let has = |count: usize| move |node: Option<&Value>| node.is_some_and(|node| taints(node).len() == count);
        server.wait("/api/v1/nodes/a", has(2)).await;

        renewals.abort();
        tokio::time::sleep(Duration::from_secs(90)).await;
        for node in ["a", "b"] {
            let node = server.object(&format!("/api/v1/nodes/{node}")).unwrap();
            assert_eq!(taints(&node), ["node.kubernetes.io/unreachable:NoSchedule"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_never_spoke_is_unknown_and_people_hear_of_its_coming_and_going() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/mute", json!({}));
        let _running = start(&server, Options::default());
        let is_unknown = |node: Option<&Value>| !node.unwrap()["status"]["conditions"].is_null();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let node = server.wait("/api/v1/nodes/mute", is_unknown).await.unwrap();
        assert_eq!(node["status"]["conditions"][0]["reason"], "NodeStatusNeverUpdated");
        server.remove("/api/v1/nodes/mute");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut events = server.events();
        events.sort();
        assert_eq!(
            events,
            [
                "RegisteredNode Node mute event: Registered Node mute in Controller",
                "RemovingNode Node mute event: Removing Node mute from Controller",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_cordoned_node_is_tainted_at_once_and_no_longer_when_it_is_let_go() {
        let server = FakeServer::default();
        let mut node = ready();
        node["spec"] = json!({"unschedulable": true});
        server.put("/api/v1/nodes/a", node);
        let _running = start(&server, Options::default());
        let is_tainted =
            |node: Option<&Value>| taints(node.unwrap()) == ["node.kubernetes.io/unschedulable:NoSchedule"];
        let mut node = server.wait("/api/v1/nodes/a", is_tainted).await.unwrap();
        node["spec"]["unschedulable"] = json!(false);
        server.put("/api/v1/nodes/a", node);
        server.wait("/api/v1/nodes/a", |node| taints(node.unwrap()).is_empty()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn pods_of_a_node_that_says_it_is_not_ready_are_said_to_be_so_once() {
        let server = FakeServer::default();
        let path = "/api/v1/namespaces/default/pods/web";
        let pod = json!({"spec": {"nodeName": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        server.put(path, pod.clone());
        server.put("/api/v1/nodes/a", json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
        let _running = start(&server, Options::default());
        let is_not_ready = |pod: Option<&Value>| pod.unwrap()["status"]["conditions"][0]["status"] == "False";
        server.wait(path, is_not_ready).await;

        // The kubelet knows better.
        server.put(path, pod);
        tokio::time::sleep(LOOK_AGAIN_DOWN * 3).await;
        assert!(!is_not_ready(server.object(path).as_ref()));
    }
}
