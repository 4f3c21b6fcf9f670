//! Keeps conditions and taints of nodes true: asks [`health`](super::health) and [`taints`](super::taints), and writes
//! what they answer. Follows upstream's `pkg/controller/nodelifecycle`, without its zones: the cluster is one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::bucket::Bucket;
use base::clock::{self, Instant};
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::events::{self, Recorder, Source, Writer};
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::Options;
use super::conditions::{self, READY, Status, node_of};
use super::health::{self, Sign, Signs};
use super::taints::{self, Eviction};
use crate::reconcile::{self, Next, Outcome};

/// Where nodes keep their leases.
const LEASES: &str = "kube-node-lease";

/// How many nodes are looked at beside one another, as upstream.
const WORKERS: usize = 8;

/// How many nodes may begin to lose their pods at once.
const EVICTION_BURST: f64 = 1.0;

/// How soon a node is looked at again whose eviction was held back.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// With so many nodes down, and this part of all, the network is more likely at fault than they are: nobody begins to
/// lose pods (upstream's `--unhealthy-zone-threshold`, in a cluster that is not large).
const DOWN_MANY: usize = 3;
const DOWN_PERCENT: usize = 55;

/// The controller.
pub(crate) struct Lifecycle {
    client: Client,
    options: Options,
    nodes: Informer<core::Node>,
    leases: Informer<coordination::Lease>,
    pods: Informer<core::Pod>,
    signs: Mutex<Signs>,
    evictions: Mutex<Bucket>,
    recorder: Recorder,
}

impl Lifecycle {
    /// The controller, and the writer of what it tells people.
    pub(crate) fn new(informers: &Informers, options: Options) -> (Self, Writer) {
        let client = informers.client().clone();
        let (recorder, writer) =
            events::channel(Source { component: "node-controller".to_owned(), host: String::new() });
        let controller = Self {
            nodes: informers.of(),
            leases: Informer::start(Api::namespaced(client.clone(), LEASES), Config::default()),
            pods: informers.of(),
            signs: Mutex::default(),
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
        let synced = async { tokio::join!(self.nodes.synced(), self.leases.synced(), self.pods.synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(node) = self.nodes.get(&key) else {
            self.signs().forget(&key.name);
            return Ok(Next::Changed);
        };
        let renewed = self.leases.get(&Key::new(LEASES, &key.name)).and_then(|lease| lease.spec.clone()?.renew_time);
        let sign = Sign::of(&node, renewed.map(|time| time.0));
        let silence = self.signs().silence(&key.name, sign, Instant::now());
        let grace = health::grace_period(&node, &self.options);
        if silence < grace {
            let is_held = self.taint(&node).await?;
            let left = grace - silence;
            return Ok(Next::After(if is_held { LOOK_AGAIN.min(left) } else { left }));
        }
        let conditions = health::silent(&node, clock::now_seconds());
        if !conditions.is_empty() {
            let was_ready = conditions::status(&node, READY) == Status::True;
            let api: Api<core::Node> = Api::all(self.client.clone());
            let patch = json!({ "conditions": conditions });
            refusal::found(status::patch(&api, &key.name, "node-controller", &patch).await)?;
            if was_ready {
                self.tell_not_ready(&node).await?;
            }
            // The taints follow when the informer has seen the conditions.
            return Ok(Next::After(LOOK_AGAIN));
        }
        let is_held = self.taint(&node).await?;
        // A sign of life is heard of at once.
        Ok(if is_held { Next::After(LOOK_AGAIN) } else { Next::Changed })
    }

    /// Gives a node the taints of its conditions; says whether one was held back.
    async fn taint(&self, node: &core::Node) -> kube::Result<bool> {
        let now = clock::now_seconds();
        let held = taints::plan(node, Eviction::Held, now);
        let plan = if held.is_held && self.may_evict() { taints::plan(node, Eviction::Allowed, now) } else { held };
        if let Some(taints) = &plan.taints {
            let api: Api<core::Node> = Api::all(self.client.clone());
            let version = node.metadata.resource_version.as_deref();
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
            refusal::found(api.patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await)?;
            if plan.begins_eviction {
                tracing::info!(
                    node = node.name_any(),
                    "the node is not ready; its pods go when they tolerate it no longer"
                );
            }
        }
        Ok(plan.is_held)
    }

    /// Whether one more node may begin to lose its pods.
    fn may_evict(&self) -> bool {
        let all = self.nodes.all();
        let down = all.values().filter(|node| conditions::status(node, READY) != Status::True).count();
        !is_cluster_down(down, all.len())
            && self.evictions.lock().unwrap_or_else(PoisonError::into_inner).try_take(1.0, Instant::now())
    }

    /// A node that was ready is not: its pods are not ready either, and people are told.
    async fn tell_not_ready(&self, node: &core::Node) -> kube::Result<()> {
        let name = node.name_any();
        let about = events::reference(node, None);
        self.recorder.normal(about, "NodeNotReady", format!("Node {name} status is now: NodeNotReady"));
        for (key, pod) in self.pods.all() {
            let ready = conditions_of(&pod).iter().find(|one| one.type_ == READY && one.status == "True");
            let Some(ready) = ready.filter(|_| node_of(&pod) == name) else { continue };
            let condition = core::PodCondition {
                status: "False".to_owned(),
                last_transition_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(clock::now_seconds())),
                ..ready.clone()
            };
            let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
            let patch = json!({ "conditions": [condition] });
            refusal::found(status::patch(&api, &key.name, "node-controller", &patch).await)?;
            self.recorder.warning(events::reference(&*pod, None), "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether so much is down that the nodes are hardly at fault.
fn is_cluster_down(down: usize, all: usize) -> bool {
    down >= all || down >= DOWN_MANY && down * 100 >= all * DOWN_PERCENT
}

fn conditions_of(pod: &core::Pod) -> &[core::PodCondition] {
    pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base::shutdown;
    use base::task;
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    #[test]
    fn when_most_is_down_nobody_loses_pods() {
        for (down, all, expected) in
            [(0, 3, false), (1, 1, true), (1, 2, false), (2, 3, false), (3, 5, true), (3, 6, false), (10, 100, false)]
        {
            assert_eq!(is_cluster_down(down, all), expected, "{down} of {all}");
        }
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
        let (_trigger, shutdown) = shutdown::channel();
        let (controller, writer) = Lifecycle::new(&Informers::new(server.client()), Options::default());
        task::spawn("nodes", controller.run(shutdown.clone())).detach();
        task::spawn("events", writer.run(server.client(), shutdown)).detach();

        // One goes on renewing its lease, the other never begins.
        let renewing = server.clone();
        let _renewals = task::spawn("renewals", async move {
            for second in (0..).map(|n| n % 60) {
                renewing.put(&lease_path("alive"), lease(second));
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let is_tainted = |node: Option<&Value>| node.is_some_and(|node| taints(node).len() == 2);
        let node = tokio::time::timeout(Duration::from_secs(70), async {
            server.wait("/api/v1/nodes/dead", is_tainted).await.unwrap()
        });
        let node = node.await.unwrap();
        assert_eq!(
            taints(&node),
            ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
        );
        assert_eq!(node["status"]["conditions"][0]["reason"], "NodeStatusUnknown");
        let pod = server.object("/api/v1/namespaces/default/pods/web").unwrap();
        assert_eq!(pod["status"]["conditions"][0]["status"], "False");
        assert!(taints(&server.object("/api/v1/nodes/alive").unwrap()).is_empty());

        let mut back = node;
        back["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T01:00:00Z"}]);
        server.put("/api/v1/nodes/dead", back);
        server.wait("/api/v1/nodes/dead", |node| node.is_some_and(|node| taints(node).is_empty())).await;
    }
}
