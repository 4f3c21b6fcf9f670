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

use super::conditions::{NO_EXECUTE, node_of, taints};
use crate::reconcile::{self, Next, Outcome};

/// How many nodes are looked at beside one another.
const WORKERS: usize = 8;

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

/// The controller.
pub(crate) struct TaintEviction {
    client: Client,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    recorder: Recorder,
    /// Since when pods bear taints that they do not tolerate for ever, by node and uid. Bounded by the pods of tainted
    /// nodes.
    bearing: Mutex<HashMap<Key, HashMap<String, Instant>>>,
}

impl TaintEviction {
    /// The controller, and the writer of what it tells people.
    pub(crate) fn new(informers: &Informers) -> (Self, Writer) {
        let (recorder, writer) =
            events::channel(Source { component: "taint-eviction-controller".to_owned(), host: String::new() });
        let controller = Self {
            client: informers.client().clone(),
            nodes: informers.of(),
            pods: informers.of(),
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
        let _pods = self.pods.subscribe({
            let (queue, nodes) = (queue.clone(), self.nodes.clone());
            move |change| {
                let node = change.object().map(|pod| Key::of_cluster(node_of(pod)));
                // Only few nodes are tainted, and pods change often.
                if let Some(node) = node.filter(|node| nodes.get(node).is_some_and(|node| drives_off(&node))) {
                    queue.add(node);
                }
            }
        });
        let synced = async { tokio::join!(self.nodes.synced(), self.pods.synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let node = self.nodes.get(&key).filter(|node| drives_off(node));
        let Some(node) = node else {
            self.bearing.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Ok(Next::Changed);
        };
        let mut soonest: Option<Duration> = None;
        for (key, pod, wait) in self.due(&key, &node) {
            if wait.is_zero() {
                self.evict(&key, &pod).await?;
            } else {
                soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
            }
        }
        Ok(soonest.map_or(Next::Changed, Next::After))
    }

    /// The pods of a node that have to go, and in how long.
    fn due(&self, key: &Key, node: &core::Node) -> Vec<(Key, Arc<core::Pod>, Duration)> {
        let now = Instant::now();
        let pods = self.pods.all();
        let of_node = pods.iter().filter(|(_, pod)| {
            node_of(pod) == &*key.name && pod.metadata.deletion_timestamp.is_none() && pod.metadata.uid.is_some()
        });
        let mut all = self.bearing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(key).unwrap_or_default();
        let mut bearing = HashMap::new();
        let mut due = Vec::new();
        for (pod_key, pod) in of_node {
            let Fate::GoesAfter(limit) = fate(pod, taints(node)) else { continue };
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let since = before.get(&uid).copied().unwrap_or(now);
            bearing.insert(uid, since);
            due.push((pod_key.clone(), Arc::clone(pod), limit.saturating_sub(now.saturating_duration_since(since))));
        }
        all.insert(key.clone(), bearing);
        due
    }

    async fn evict(&self, key: &Key, pod: &core::Pod) -> kube::Result<()> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        self.recorder.normal(
            events::reference(pod, None),
            "TaintManagerEviction",
            format!("Marking for deletion Pod {key}"),
        );
        let condition = core::PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByTaintManager".to_owned()),
            message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
            last_transition_time: Some(Time(clock::now_seconds())),
            ..core::PodCondition::default()
        };
        let patch = json!({ "conditions": [condition] });
        if refusal::found(status::patch(&api, &key.name, "taint-eviction-controller", &patch).await)?.is_none() {
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
        server.put(&path("hasty"), pod(json!([])));
        server.put(&path("tough"), pod(json!([{"operator": "Exists"}])));
        server.put("/api/v1/nodes/n", json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}));
        let (_trigger, shutdown) = shutdown::channel();
        let (controller, _writer) = TaintEviction::new(&Informers::new(server.client()));
        let start = Instant::now();
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
}
