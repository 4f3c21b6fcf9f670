//! Takes away pods that nobody would end any more: those whose node is gone, those deleted before they had a node, and
//! the oldest of very many that have ended (upstream's `pkg/controller/podgc`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::clock::{self, Instant};
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use crate::nodes::conditions::node_of;

/// How often it is looked, as upstream.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// How many pods may lie there that have ended (upstream's `--terminated-pod-gc-threshold`); beyond it the oldest go.
const ENDED_MAX: usize = 12_500;

/// Why a pod goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Why {
    /// Its node is gone, and with it whoever would end it.
    NodeGone,
    /// It was deleted and never had a node.
    NeverPlaced,
    /// It has ended, and too many have.
    TooMany,
}

/// The decision: which pods go. `gone` says for how long nodes that pods name are not there.
fn plan(
    pods: &BTreeMap<Key, Arc<core::Pod>>,
    gone: &HashMap<String, Duration>,
    grace: Duration,
    ended_max: usize,
) -> Vec<(Key, Why)> {
    let mut plan = Vec::new();
    let mut ended = Vec::new();
    for (key, pod) in pods {
        let node = node_of(pod);
        let is_deleted = pod.metadata.deletion_timestamp.is_some();
        if gone.get(node).is_some_and(|since| *since >= grace) {
            plan.push((key.clone(), Why::NodeGone));
        } else if node.is_empty() && is_deleted {
            plan.push((key.clone(), Why::NeverPlaced));
        } else if has_ended(pod) && !is_deleted {
            ended.push((pod.metadata.creation_timestamp.as_ref().map(|time| time.0), key));
        }
    }
    let excess = ended.len().saturating_sub(ended_max);
    ended.sort();
    plan.extend(ended.into_iter().take(excess).map(|(_, key)| (key.clone(), Why::TooMany)));
    plan
}

/// The controller.
pub(crate) struct PodGc {
    client: Client,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    grace: Duration,
}

impl PodGc {
    /// `grace` is how long pods of a node whose object is gone are left alone.
    pub(crate) fn new(informers: &Informers, grace: Duration) -> Self {
        Self { client: informers.client().clone(), nodes: informers.of(), pods: informers.of(), grace }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let synced = async { tokio::join!(self.nodes.synced(), self.pods.synced()) };
        if shutdown.or(synced).await.is_none() {
            return;
        }
        let look_again = LOOK_AGAIN.min(self.grace.max(Duration::from_secs(1)));
        // Since when nodes that pods name are not there. Bounded by the names in pods.
        let mut missing: HashMap<String, Instant> = HashMap::new();
        loop {
            let looked = shutdown.or(self.look(&mut missing)).await;
            if looked.is_none() || shutdown.or(tokio::time::sleep(look_again)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&self, missing: &mut HashMap<String, Instant>) {
        let now = Instant::now();
        let pods: BTreeMap<Key, Arc<core::Pod>> = self.pods.all().into_iter().collect();
        let named: HashSet<&str> = pods.values().map(|pod| node_of(pod)).filter(|name| !name.is_empty()).collect();
        missing.retain(|node, _| named.contains(node.as_str()));
        for node in named {
            if self.nodes.get(&Key::of_cluster(node)).is_some() {
                missing.remove(node);
            } else {
                missing.entry(node.to_owned()).or_insert(now);
            }
        }
        let gone = missing.iter().map(|(node, since)| (node.clone(), now.saturating_duration_since(*since))).collect();
        for (key, why) in plan(&pods, &gone, self.grace, ENDED_MAX) {
            if let Some(pod) = pods.get(&key)
                && let Err(error) = self.take_away(&key, pod, why).await
            {
                tracing::warn!(pod = %key, %error, "cannot take a pod away; trying again");
            }
        }
    }

    async fn take_away(&self, key: &Key, pod: &core::Pod, why: Why) -> kube::Result<()> {
        // The informer may lag: a node that is there after all keeps its pods.
        if why == Why::NodeGone {
            let nodes: Api<core::Node> = Api::all(self.client.clone());
            if nodes.get_metadata_opt(node_of(pod)).await?.is_some() {
                return Ok(());
            }
        }
        tracing::info!(pod = %key, ?why, "taking a pod away that nobody would end");
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        if !has_ended(pod) {
            let patch = failed(why);
            if refusal::found(status::patch(&api, &key.name, "pod-garbage-collector", &patch).await)?.is_none() {
                return Ok(());
            }
        }
        let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        refusal::found(api.delete(&key.name, &params).await).map(drop)
    }
}

/// The status of a pod that is taken away before it has ended.
fn failed(why: Why) -> serde_json::Value {
    let message = match why {
        Why::NodeGone => "PodGC: node no longer exists",
        Why::NeverPlaced | Why::TooMany => return json!({"phase": "Failed"}),
    };
    let condition = core::PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("DeletionByPodGC".to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(clock::now_seconds())),
        ..core::PodCondition::default()
    };
    json!({"phase": "Failed", "conditions": [condition]})
}

fn has_ended(pod: &core::Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    const GRACE: Duration = Duration::from_secs(40);

    fn pod(value: Value) -> Arc<core::Pod> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_pod_goes_whom_nobody_would_end() {
        let gone = HashMap::from([("gone".to_owned(), GRACE), ("just gone".to_owned(), GRACE / 2)]);
        let check = |value: Value, expected: Option<Why>| {
            let pods = BTreeMap::from([(Key::new("a", "pod"), pod(value.clone()))]);
            let planned = plan(&pods, &gone, GRACE, 10);
            assert_eq!(planned.first().map(|(_, why)| *why), expected, "{value}");
        };
        let on = |node: &str| json!({"metadata": {}, "spec": {"containers": [], "nodeName": node}});
        let deleted = |mut pod: Value| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            pod
        };
        check(on("gone"), Some(Why::NodeGone));
        check(on("just gone"), None);
        check(on("there"), None);
        check(deleted(on("there")), None);
        check(on(""), None);
        check(deleted(on("")), Some(Why::NeverPlaced));
    }

    #[test]
    fn of_too_many_that_have_ended_the_oldest_go() {
        let ended = |name: &str, day: u8| {
            let created = format!("2026-01-{day:02}T00:00:00Z");
            let value = json!({"metadata": {"creationTimestamp": created}, "status": {"phase": "Succeeded"}});
            (Key::new("a", name), pod(value))
        };
        let pods = BTreeMap::from([ended("a", 3), ended("b", 1), ended("c", 2)]);
        assert_eq!(plan(&pods, &HashMap::new(), GRACE, 2), [(Key::new("a", "b"), Why::TooMany)]);
    }

    #[tokio::test(start_paused = true)]
    async fn pods_of_a_node_that_is_gone_are_ended_for_it() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/there", json!({}));
        for node in ["there", "gone"] {
            let path = format!("/api/v1/namespaces/default/pods/on-{node}");
            server.put(&path, json!({"spec": {"nodeName": node, "containers": []}}));
        }
        let (_trigger, shutdown) = shutdown::channel();
        let controller = PodGc::new(&Informers::new(server.client()), GRACE);
        task::spawn("pod garbage collector", controller.run(shutdown)).detach();
        tokio::time::timeout(GRACE * 2, server.gone("/api/v1/namespaces/default/pods/on-gone")).await.unwrap();
        assert!(server.object("/api/v1/namespaces/default/pods/on-there").is_some());
    }
}
