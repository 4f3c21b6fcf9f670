//! Nodes that fall silent, come back, are cordoned, come and go.

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
    let pod = json!({"spec": {"nodeName": "dead"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
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
    let is_tainted = |node: Option<&Value>| taints(node.unwrap()) == ["node.kubernetes.io/unschedulable:NoSchedule"];
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
