//! Takes away pods that nobody would end any more: those whose node is gone or given up, those deleted before they had a
//! node, and the oldest of very many that have ended (upstream's `pkg/controller/podgc`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::clock::{self, Instant};
use base::shutdown::Shutdown;
use client::informer::Snapshot;
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use crate::nodes::conditions;
use crate::pods::{has_ended, node_of};
use crate::reconcile;

/// How often it is looked, as upstream.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// How many pods may lie there that have ended (upstream's `--terminated-pod-gc-threshold`); beyond it the oldest go.
const ENDED_MAX: usize = 12_500;

/// How many pods are taken away beside one another: their writes share the server's fsync.
const REQUESTS_MAX: usize = 32;

/// Why a pod goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Why {
    /// Its node is gone, and with it whoever would end it.
    NodeGone,
    /// It was deleted, and its node is down and was said to be out of service.
    OutOfService,
    /// It was deleted and never had a node.
    NeverPlaced,
    /// It has ended, and too many have.
    TooMany,
}

/// What is known of nodes that pods name.
#[derive(Debug, Default)]
struct Nodes {
    /// Those that are gone for long enough.
    gone: HashSet<String>,
    /// Those that are down and will not come back by themselves.
    out_of_service: HashSet<String>,
}

/// The decision: which pods go. At most `ended_max` of those that have ended stay.
fn plan(pods: &Snapshot<core::Pod>, nodes: &Nodes, ended_max: usize) -> Vec<(Key, Why)> {
    let mut plan = Vec::new();
    let mut ended = Vec::new();
    for (key, pod) in pods {
        let node = node_of(pod);
        let is_deleted = pod.metadata.deletion_timestamp.is_some();
        if nodes.gone.contains(node) {
            plan.push((key.clone(), Why::NodeGone));
        } else if is_deleted && node.is_empty() {
            plan.push((key.clone(), Why::NeverPlaced));
        } else if is_deleted && nodes.out_of_service.contains(node) {
            plan.push((key.clone(), Why::OutOfService));
        } else if !is_deleted && has_ended(pod) {
            let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
            ended.push((!is_evicted(pod), created, key));
        }
    }
    let excess = ended.len().saturating_sub(ended_max);
    // Those that were evicted first, so that others, which controllers count, stay longer; then the oldest.
    ended.sort_unstable();
    plan.extend(ended.into_iter().take(excess).map(|(_, _, key)| (key.clone(), Why::TooMany)));
    plan
}

fn is_evicted(pod: &core::Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| status.phase.as_deref() == Some("Failed") && status.reason.as_deref() == Some("Evicted"))
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
        let pods = self.pods.all();
        let nodes = self.find_out(&pods, missing);
        let plan = plan(&pods, &nodes, ENDED_MAX);
        let chosen = plan.into_iter().filter_map(|(key, why)| Some((pods.get(&key).cloned()?, key, why))).collect();
        reconcile::each(chosen, REQUESTS_MAX, async |(pod, key, why): (Arc<core::Pod>, Key, Why)| {
            if let Err(error) = self.take_away(&key, &pod, why).await {
                tracing::warn!(pod = %key, %error, "cannot take a pod away; trying again");
            }
        })
        .await;
    }

    fn find_out(&self, pods: &Snapshot<core::Pod>, missing: &mut HashMap<String, Instant>) -> Nodes {
        let now = Instant::now();
        let named: HashSet<&str> = pods.values().map(|pod| node_of(pod)).filter(|name| !name.is_empty()).collect();
        missing.retain(|node, _| named.contains(node.as_str()));
        let mut nodes = Nodes::default();
        for name in named {
            match self.nodes.get(&Key::of_cluster(name)) {
                Some(node) => {
                    missing.remove(name);
                    if is_out_of_service(&node) {
                        nodes.out_of_service.insert(name.to_owned());
                    }
                }
                None => {
                    let since = *missing.entry(name.to_owned()).or_insert(now);
                    if now.saturating_duration_since(since) >= self.grace {
                        nodes.gone.insert(name.to_owned());
                    }
                }
            }
        }
        nodes
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
            if refusal::found(status::patch_seen(&api, pod, "pod-garbage-collector", &patch).await)?.is_none() {
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
        Why::OutOfService | Why::NeverPlaced | Why::TooMany => return json!({"phase": "Failed"}),
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

/// Whether somebody said of a node that is down that it is off for good.
fn is_out_of_service(node: &core::Node) -> bool {
    let is_said = conditions::taints(node).iter().any(|taint| taint.key == conditions::OUT_OF_SERVICE);
    is_said && conditions::status(node, conditions::READY) != conditions::Status::True
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    const GRACE: Duration = Duration::from_secs(40);

    fn pods(pods: &[(&str, Value)]) -> Snapshot<core::Pod> {
        let pod = |(name, value): &(&str, Value)| {
            (Key::new("a", name), Arc::new(serde_json::from_value(value.clone()).unwrap()))
        };
        pods.iter().map(pod).collect()
    }

    #[test]
    fn a_pod_goes_whom_nobody_would_end() {
        let nodes = Nodes { gone: HashSet::from(["gone".into()]), out_of_service: HashSet::from(["off".into()]) };
        let check = |value: Value, expected: Option<Why>| {
            let planned = plan(&pods(&[("pod", value.clone())]), &nodes, 10);
            assert_eq!(planned.first().map(|(_, why)| *why), expected, "{value}");
        };
        let on = |node: &str| json!({"metadata": {}, "spec": {"containers": [], "nodeName": node}});
        let deleted = |mut pod: Value| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            pod
        };
        check(on("gone"), Some(Why::NodeGone));
        check(on("there"), None);
        check(on("off"), None);
        check(deleted(on("off")), Some(Why::OutOfService));
        check(deleted(on("there")), None);
        check(on(""), None);
        check(deleted(on("")), Some(Why::NeverPlaced));
    }

    #[test]
    fn of_too_many_that_have_ended_the_evicted_and_then_the_oldest_go() {
        let ended = |day: u8, reason: &str| {
            let created = format!("2026-01-{day:02}T00:00:00Z");
            json!({"metadata": {"creationTimestamp": created}, "status": {"phase": "Failed", "reason": reason}})
        };
        let pods = pods(&[("a", ended(3, "")), ("b", ended(1, "")), ("c", ended(2, "")), ("d", ended(4, "Evicted"))]);
        let check = |ended_max: usize, expected: &[&str]| {
            let planned = plan(&pods, &Nodes::default(), ended_max);
            let names: Vec<&str> = planned.iter().map(|(key, _)| &*key.name).collect();
            assert_eq!(names, expected, "of at most {ended_max}");
        };
        check(4, &[]);
        check(3, &["d"]);
        check(2, &["d", "b"]);
    }

    #[test]
    fn a_node_is_out_of_service_that_is_down_and_said_to_be() {
        for (ready, key, expected) in [
            ("Unknown", conditions::OUT_OF_SERVICE, true),
            ("True", conditions::OUT_OF_SERVICE, false),
            ("Unknown", "node.kubernetes.io/unreachable", false),
        ] {
            let node = json!({"metadata": {}, "spec": {"taints": [{"key": key, "effect": "NoExecute"}]},
                              "status": {"conditions": [{"type": "Ready", "status": ready}]}});
            assert_eq!(is_out_of_service(&serde_json::from_value(node).unwrap()), expected, "{ready} {key}");
        }
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
        server.refuse("DELETE /api/v1/namespaces/default/pods/on-gone", 500, 1);
        tokio::time::sleep(GRACE).await;
        server.gone("/api/v1/namespaces/default/pods/on-gone").await;
        assert!(server.object("/api/v1/namespaces/default/pods/on-there").is_some());
    }
}
