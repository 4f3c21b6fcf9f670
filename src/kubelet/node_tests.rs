//! Pods that run: the whole daemon with a real runtime, under an API server in a map.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::testing::api::{FakeApi, pod_path};
use crate::testing::registry::FakeRegistry;
use crate::testing::{ECHO, FOREVER, HELLO, PREVIEW3, THREE, TRAP, TestNode, node};

fn terminated(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]
}

#[tokio::test]
async fn a_hello_runs_to_its_end_and_its_log_is_kept() {
    let (_folder, node) = node().await;
    let image = node.image("hello", HELLO);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}));

    let pod = node.api.pod_in("web", "Succeeded").await;
    assert_eq!(terminated(&pod)["reason"], "Completed");
    assert_eq!(pod["status"]["podIP"], "100.64.0.1");
    assert_eq!(node.get("/containerLogs/default/web/c").await, "hello\n");
    let api = node.api.clone();
    node.stop().await;
    let reasons: Vec<String> =
        api.events().iter().filter_map(|event| event.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(reasons, ["Starting", "Pulling", "Pulled", "Created", "Started"]);
}

#[tokio::test]
async fn a_node_measures_its_pods_its_code_and_its_images_beside_their_bounds() {
    let (_folder, node) = node().await;
    let image = node.image("hello", HELLO);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}));

    node.api.pod_in("web", "Succeeded").await;
    let text = node.get("/metrics").await;
    for expected in [
        "kubelet_working_pods 1.0",
        "minke_compilations 1.0",
        "minke_failed_compilations 0.0",
        "minke_compile_timeout_seconds 60.0",
        "minke_images_pulled 1.0",
        "minke_dead_containers_max 1.0",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} is not in\n{text}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_trap_is_told_in_the_termination_message_and_in_the_log() {
    let (_folder, node) = node().await;
    let image = node.image("trap", TRAP);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}));

    let pod = node.api.pod_in("web", "Failed").await;
    assert_eq!((&terminated(&pod)["exitCode"], &terminated(&pod)["reason"]), (&json!(134), &json!("Error")));
    let message = terminated(&pod)["message"].as_str().unwrap();
    assert!(message.contains("unreachable"), "{message}");
    assert!(node.get("/containerLogs/default/web/c").await.contains("unreachable"));
    node.stop().await;
}

#[tokio::test]
async fn a_container_that_fails_again_and_again_backs_off() {
    let (_folder, node) = node().await;
    let image = node.image("three", THREE);
    node.create("web", json!({"restartPolicy": "Always", "containers": [{"name": "c", "image": image}]}));

    let backs_off = |pod: Option<&Value>| {
        pod.is_some_and(|pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff")
    };
    let pod = node.api.wait(&pod_path("web"), backs_off).await.unwrap();
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["restartCount"], 1);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(
        container["state"]["waiting"]["message"],
        "back-off 10s restarting failed container=c pod=web_default(uid-of-web)"
    );
    assert_eq!(pod["status"]["phase"], "Running");
    node.stop().await;
}

#[tokio::test]
async fn a_deleted_pod_ends_and_its_object_goes() {
    let (folder, node) = node().await;
    let image = node.image("forever", FOREVER);
    node.create("web", json!({"containers": [{"name": "c", "image": image}]}));
    let mut pod = node.api.pod_in("web", "Running").await;

    pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    node.api.put(&pod_path("web"), pod);
    node.api.wait(&pod_path("web"), |pod| pod.is_none()).await;
    assert!(!folder.path().join("node/pods/uid-of-web").exists());
    node.stop().await;
}

#[tokio::test]
async fn init_containers_share_volumes_with_main_ones_and_go_first() {
    let (_folder, node) = node().await;
    let (hello, three) = (node.image("hello", HELLO), node.image("three", THREE));
    node.api
        .put("/api/v1/namespaces/default/configmaps/conf", json!({"metadata": {"name": "conf"}, "data": {"a": "1"}}));
    let mount = json!([{"name": "data", "mountPath": "/data"}, {"name": "conf", "mountPath": "/etc/conf"}]);
    node.create(
        "web",
        json!({
            "restartPolicy": "Never",
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "conf"}}],
            "initContainers": [{"name": "init", "image": hello, "volumeMounts": mount}],
            "containers": [{"name": "main", "image": three, "volumeMounts": mount}],
        }),
    );

    let pod = node.api.pod_in("web", "Failed").await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!(terminated(&pod)["exitCode"], 3);
    assert_eq!(node.get("/containerLogs/default/web/init").await, "hello\n");
    node.stop().await;
}

#[tokio::test]
async fn after_a_restart_what_ran_runs_again_and_what_ended_stays_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (api, registry) = (FakeApi::default(), FakeRegistry::start().await);
    let node = TestNode::start(&api, &registry, folder.path()).await;
    let (hello, forever) = (node.image("hello", HELLO), node.image("forever", FOREVER));
    node.create("done", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": hello}]}));
    node.create("always", json!({"containers": [{"name": "c", "image": forever.clone()}]}));
    node.create("never", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": forever}]}));
    api.pod_in("done", "Succeeded").await;
    api.pod_in("always", "Running").await;
    api.pod_in("never", "Running").await;
    node.stop().await;

    let node = TestNode::start(&api, &registry, folder.path()).await;
    let never = api.pod_in("never", "Failed").await;
    assert_eq!(terminated(&never)["exitCode"], 137);
    let again = |pod: Option<&Value>| pod.is_some_and(|pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1);
    let always = api.wait(&pod_path("always"), again).await.unwrap();
    assert_eq!(always["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(api.pod_in("done", "Succeeded").await["status"]["containerStatuses"][0]["restartCount"], 0);
    node.stop().await;
}

#[tokio::test]
async fn a_pull_that_fails_is_told_and_backs_off() {
    let (_folder, node) = node().await;
    let image = node.image("there", HELLO).replace("there", "none");
    node.create("web", json!({"containers": [{"name": "c", "image": image}]}));
    let backs_off = |pod: Option<&Value>| {
        pod.is_some_and(|pod| {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            let message = waiting["message"].as_str().unwrap_or_default();
            waiting["reason"] == "ImagePullBackOff" && message.contains("ErrImagePull") && message.contains("not found")
        })
    };
    let pod = node.api.wait(&pod_path("web"), backs_off).await.unwrap();
    assert_eq!(pod["status"]["phase"], "Pending");
    node.stop().await;
}

#[tokio::test]
async fn an_attached_client_talks_to_the_guest_and_is_told_of_its_end() {
    let (_folder, node) = node().await;
    let image = node.image("echo", ECHO);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image, "stdin": true}]}));
    node.api.pod_in("web", "Running").await;

    let mut client = node.attach("/attach/default/web/c?stdin=true&stdout=true").await;
    client.send(Message::binary(b"\0ping\n".as_slice())).await.unwrap();
    let mut answers = Vec::new();
    while let Some(Ok(Message::Binary(frame))) = client.next().await {
        answers.push(String::from_utf8(frame.to_vec()).unwrap());
    }
    assert_eq!(answers, ["\u{1}ping\n", "\u{3}{\"metadata\":{},\"status\":\"Success\"}"]);
    node.api.pod_in("web", "Succeeded").await;
    node.stop().await;
}

#[tokio::test]
async fn the_api_server_attaches_through_the_tunnel() {
    let (_folder, node) = node().await;
    let image = node.image("echo", ECHO);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image, "stdin": true}]}));
    node.api.pod_in("web", "Running").await;

    let mut client = node.attach_through_tunnel("/attach/default/web/c?stdin=true&stdout=true").await;
    client.send(Message::binary(b"\0ping\n".as_slice())).await.unwrap();
    let answer = client.next().await.unwrap().unwrap();
    assert_eq!(answer.into_data(), b"\x01ping\n".as_slice());
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_is_alone_goes_on_from_its_own_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (api, registry) = (FakeApi::default(), FakeRegistry::start().await);
    let node = TestNode::start(&api, &registry, folder.path()).await;
    let image = node.image("hello", HELLO);
    node.create("web", json!({"containers": [{"name": "c", "image": image}]}));
    node.answers("/containerLogs/default/web/c?previous=true", "hello\n").await;
    node.stop().await;

    api.set_away(true);
    drop(registry);
    let registry = FakeRegistry::start().await;
    let node = TestNode::start(&api, &registry, folder.path()).await;
    node.answers("/containerLogs/default/web/c", "hello\n").await;
    let pods: Value = serde_json::from_str(&node.get("/pods").await).unwrap();
    assert_eq!(pods["items"][0]["metadata"]["name"], "web");
    api.set_away(false);
    node.stop().await;
}

#[tokio::test]
async fn a_follower_reads_to_the_end_of_the_run() {
    let (_folder, node) = node().await;
    let image = node.image("echo", ECHO);
    node.create("web", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": image, "stdin": true}]}));
    node.api.pod_in("web", "Running").await;

    let follow = node.get("/containerLogs/default/web/c?follow=true");
    let talk = async {
        let mut client = node.attach("/attach/default/web/c?stdin=true").await;
        client.send(Message::binary(b"\0ping\n".as_slice())).await.unwrap();
        while client.next().await.is_some_and(|message| message.is_ok()) {}
    };
    let (log, ()) = tokio::join!(follow, talk);
    assert_eq!(log, "ping\n");
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_cannot_start_says_why() {
    let (_folder, node) = node().await;
    let odd = r#"(module (import "env" "gpu_draw" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    let (image, hello, draft) = (node.image("odd", odd), node.image("hello", HELLO), node.image("draft", PREVIEW3));
    let env = json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]);
    node.create("import", json!({"containers": [{"name": "c", "image": image}]}));
    node.create("config", json!({"containers": [{"name": "c", "image": hello, "env": env}]}));
    node.create("draft", json!({"containers": [{"name": "c", "image": draft}]}));

    waits(&node, "import", "CreateContainerError", "gpu_draw").await;
    waits(&node, "config", "CreateContainerConfigError", "configmap \"none\" not found").await;
    waits(&node, "draft", "CreateContainerError", "uses wasi:cli/run@0.3.0, which is WASI 0.3").await;
    waits(&node, "draft", "CreateContainerError", "RuntimeClass with the handler wasi-preview3").await;
    node.stop().await;
}

/// Asserts that the one container of the pod NAME waits, for this reason and with a message that holds `text`.
async fn waits(node: &TestNode, name: &str, reason: &str, text: &str) {
    let waits = |pod: Option<&Value>| {
        pod.is_some_and(|pod| {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == reason && waiting["message"].as_str().is_some_and(|message| message.contains(text))
        })
    };
    node.api.wait(&pod_path(name), waits).await;
}

#[tokio::test]
async fn a_runtime_class_that_the_node_cannot_serve_keeps_its_pods_waiting() {
    let (_folder, node) = node().await;
    let image = node.image("hello", HELLO);
    node.api.put_runtime_class("foreign", "runc");
    node.api.put_runtime_class("draft", "wasi-preview3");
    for (class, expected) in [
        ("none", r#"runtimeclasses.node.k8s.io "none" not found"#),
        ("foreign", r#"no runtime for "runc" is configured"#),
        ("draft", r#"no runtime for "wasi-preview3" is configured: this node runs without --wasi-preview3"#),
    ] {
        let containers = json!([{"name": "c", "image": image}]);
        node.create(class, json!({"runtimeClassName": class, "containers": containers}));
        node.api.event(&format!("FailedCreatePodSandBox Failed to create pod sandbox: {expected}")).await;
        node.api.wait(&pod_path(class), |pod| pod.is_some_and(|pod| pod["status"]["phase"] == "Pending")).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_runtime_class_brings_wasi_0_3_to_a_node_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (api, registry) = (FakeApi::default(), FakeRegistry::start().await);
    let node = TestNode::start_with(&api, &registry, folder.path(), |options| options.wasi_preview3 = true).await;
    api.put_runtime_class("draft", "wasi-preview3");
    let containers = json!([{"name": "c", "image": node.image("draft", PREVIEW3)}]);
    node.create("web", json!({"runtimeClassName": "draft", "restartPolicy": "Never", "containers": containers}));
    api.pod_in("web", "Succeeded").await;
    node.stop().await;
}
