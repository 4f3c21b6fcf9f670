//! Pods of a tainted node that do not tolerate it, or no longer, get a deletionTimestamp (upstream's
//! `pkg/controller/tainteviction`).
//!
//! They stay Terminating until the kubelet has ended them; where that is silent, until the node is back or its object
//! is gone. How long a pod has borne a taint is measured by our own clock, and anew after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::taints::tolerates;
use base::clock::{self, Instant};
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::events::{self, Recorder, Source, Writer};
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::conditions::{NO_EXECUTE, taints};
use crate::pods::{ByNode, node_of};
use crate::reconcile::{self, Next, Outcome};

/// How many nodes are looked at beside one another.
const WORKERS: usize = 8;

/// How many pods of one node are evicted beside one another: their writes share the server's fsync.
const EVICTIONS_MAX: usize = 32;

/// What this is called in Events and as the writer of fields.
const NAME: &str = "taint-eviction-controller";

/// Why people are told of a pod that has to go, or need not go after all.
const EVICTION: &str = "TaintManagerEviction";

/// What the taints of its node mean for a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It tolerates them.
    Stays,
    /// It tolerates them for so long from the moment on when it first bore them.
    GoesAfter(Duration),
}

/// The decision: a pod bears taints for the shortest time that one of its tolerations says.
fn fate(pod: &core::Pod, taints: &[core::Taint]) -> Fate {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut shortest = None;
    for taint in taints.iter().filter(|taint| taint.effect == NO_EXECUTE) {
        let mut matching = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if matching.peek().is_none() {
            return Fate::GoesAfter(Duration::ZERO);
        }
        let limits = matching.filter_map(|toleration| toleration.toleration_seconds);
        shortest = limits.chain(shortest).min();
    }
    match shortest {
        None => Fate::Stays,
        // Below nothing is nothing.
        Some(seconds) => Fate::GoesAfter(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    }
}

/// A pod that has to go.
struct Due {
    key: Key,
    pod: Arc<core::Pod>,
    /// In how long.
    wait: Duration,
}

/// The controller.
pub(crate) struct TaintEviction {
    client: Client,
    nodes: Informer<core::Node>,
    pods: ByNode,
    recorder: Recorder,
    /// Since when pods bear taints that they do not tolerate for ever, by node and uid. Bounded by the pods of tainted
    /// nodes.
    bearing: Mutex<HashMap<Key, Bearing>>,
}

/// Since when pods of a node bear its taints, by uid.
type Bearing = HashMap<String, Instant>;

impl TaintEviction {
    /// The controller, and the writer of what it tells people.
    pub(crate) fn new(informers: &Informers, pods: &ByNode) -> (Self, Writer) {
        let (recorder, writer) = events::channel(Source { component: NAME.to_owned(), host: String::new() });
        let controller = Self {
            client: informers.client().clone(),
            nodes: informers.of(),
            pods: pods.clone(),
            recorder,
            bearing: Mutex::default(),
        };
        (controller, writer)
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _nodes = self.nodes.subscribe({
            let queue = queue.clone();
            move |change| {
                let drives = |node: &Option<Arc<core::Node>>| node.as_deref().is_some_and(drives_off);
                if drives(&change.old) || drives(&change.new) {
                    queue.add(change.key.clone());
                }
            }
        });
        let _pods = self.pods.informer().subscribe({
            let (queue, nodes) = (queue.clone(), self.nodes.clone());
            move |change| {
                let node = change.object().map(|pod| Key::of_cluster(node_of(pod)));
                // Only few nodes are tainted, and pods change often.
                if let Some(node) = node.filter(|node| nodes.get(node).is_some_and(|node| drives_off(&node))) {
                    queue.add(node);
                }
            }
        });
        let synced = async { tokio::join!(self.nodes.synced(), self.pods.informer().synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let (now, later): (Vec<Due>, Vec<Due>) = self.due(&key).into_iter().partition(|due| due.wait.is_zero());
        let evicted = reconcile::each(now, EVICTIONS_MAX, |due| self.evict(due.key, due.pod)).await;
        // One that cannot be evicted holds up no other; it is tried again with those that are due then.
        evicted.into_iter().collect::<kube::Result<()>>()?;
        let soonest = later.iter().map(|due| due.wait).min();
        Ok(soonest.map_or(Next::Changed, Next::After))
    }

    /// The pods of a node that have to go, and in how long. Those that need not go any more are told so.
    fn due(&self, key: &Key) -> Vec<Due> {
        let now = Instant::now();
        let node = self.nodes.get(key);
        let taints = node.as_deref().map(taints).unwrap_or_default();
        let mut all = self.bearing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(key).unwrap_or_default();
        let (mut bearing, mut due) = (Bearing::new(), Vec::new());
        for (key, pod) in self.pods.of(&key.name) {
            let Some(uid) = pod.metadata.uid.clone().filter(|_| pod.metadata.deletion_timestamp.is_none()) else {
                continue;
            };
            let since = before.get(&uid).copied();
            match fate(&pod, taints) {
                Fate::GoesAfter(limit) => {
                    let since = since.unwrap_or(now);
                    bearing.insert(uid, since);
                    due.push(Due { wait: limit.saturating_sub(now.saturating_duration_since(since)), key, pod });
                }
                Fate::Stays if since.is_some() && node.is_some() => {
                    let message = format!("Cancelling deletion of Pod {key}");
                    self.recorder.normal(events::reference(&*pod, None), EVICTION, message);
                }
                Fate::Stays => {}
            }
        }
        if !bearing.is_empty() {
            all.insert(key.clone(), bearing);
        }
        due
    }

    async fn evict(&self, key: Key, pod: Arc<core::Pod>) -> kube::Result<()> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let message = format!("Marking for deletion Pod {key}");
        self.recorder.normal(events::reference(&*pod, None), EVICTION, message);
        let condition = core::PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByTaintManager".to_owned()),
            message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
            last_transition_time: Some(Time(clock::now_seconds())),
            ..core::PodCondition::default()
        };
        let patch = json!({ "conditions": [condition] });
        if refusal::found(status::patch_seen(&api, &*pod, NAME, &patch).await)?.is_none() {
            return Ok(());
        }
        let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        refusal::found(api.delete(&key.name, &params).await).map(drop)
    }
}

fn drives_off(node: &core::Node) -> bool {
    taints(node).iter().any(|taint| taint.effect == NO_EXECUTE)
}

#[cfg(test)]
mod tests {
    use base::shutdown;
    use base::task;
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_pod_bears_its_node_for_the_shortest_time_it_says() {
        let check = |tolerations: Value, expected| {
            let pod = json!({"metadata": {}, "spec": {"containers": [], "tolerations": tolerations}});
            let taints = json!([{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"},
                                {"key": "c", "effect": "NoSchedule"}]);
            let (pod, taints): (core::Pod, Vec<core::Taint>) =
                (serde_json::from_value(pod).unwrap(), serde_json::from_value(taints).unwrap());
            assert_eq!(fate(&pod, &taints), expected, "{tolerations}");
        };
        let after = |seconds| Fate::GoesAfter(Duration::from_secs(seconds));
        let one = |key: &str, seconds: Value| json!({"key": key, "operator": "Exists", "tolerationSeconds": seconds});
        check(json!([]), after(0));
        check(json!([one("a", json!(300))]), after(0));
        check(json!([{"operator": "Exists"}]), Fate::Stays);
        check(json!([one("a", json!(300)), one("b", json!(null))]), after(300));
        check(json!([one("a", json!(300)), one("b", json!(20))]), after(20));
        check(json!([one("a", json!(-1)), one("b", json!(20))]), after(0));
    }

    #[tokio::test(start_paused = true)]
    async fn pods_go_when_their_time_is_over_and_those_that_tolerate_it_stay() {
        let server = FakeServer::default();
        let path = |name: &str| format!("/api/v1/namespaces/default/pods/{name}");
        let pod = |tolerations: Value| json!({"spec": {"nodeName": "n", "containers": [], "tolerations": tolerations}});
        server.put(&path("patient"), pod(json!([{"operator": "Exists", "tolerationSeconds": 300}])));
        server.put(&path("blocked"), pod(json!([])));
        server.put(&path("hasty"), pod(json!([])));
        server.put(&path("tough"), pod(json!([{"operator": "Exists"}])));
        server.put("/api/v1/nodes/n", json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}));
        let (_trigger, shutdown) = shutdown::channel();
        let informers = Informers::new(server.client());
        let (controller, _writer) = TaintEviction::new(&informers, &ByNode::new(informers.of()));
        let start = Instant::now();
        // One that cannot be evicted yet holds up no other.
        server.refuse(&format!("PATCH {}/status", path("blocked")), 409, usize::MAX);
        task::spawn("eviction", controller.run(shutdown)).detach();

        let is_deleted = |pod: Option<&Value>| pod.is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        let hasty = server.wait(&path("hasty"), is_deleted).await.unwrap();
        assert_eq!(hasty["status"]["conditions"][0]["type"], "DisruptionTarget");
        assert!(start.elapsed() < Duration::from_secs(1));
        while !is_deleted(server.object(&path("patient")).as_ref()) {
            assert!(start.elapsed() < Duration::from_secs(400), "the patient pod stays");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(299));
        assert!(!is_deleted(server.object(&path("tough")).as_ref()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_stays_whose_node_is_back_in_time_and_bears_the_next_taint_anew() {
        let server = FakeServer::default();
        let path = "/api/v1/namespaces/default/pods/web";
        let tainted = json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}});
        let tolerations = json!([{"operator": "Exists", "tolerationSeconds": 100}]);
        server.put(path, json!({"spec": {"nodeName": "n", "containers": [], "tolerations": tolerations}}));
        let (_trigger, shutdown) = shutdown::channel();
        let informers = Informers::new(server.client());
        let (controller, writer) = TaintEviction::new(&informers, &ByNode::new(informers.of()));
        task::spawn("eviction", controller.run(shutdown.clone())).detach();
        task::spawn("events", writer.run(server.client(), shutdown)).detach();
        for _ in 0..2 {
            server.put("/api/v1/nodes/n", tainted.clone());
            tokio::time::sleep(Duration::from_secs(80)).await;
            server.put("/api/v1/nodes/n", json!({}));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(server.object(path).unwrap()["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(server.events(), ["TaintManagerEviction Cancelling deletion of Pod default/web"]);
    }
}
