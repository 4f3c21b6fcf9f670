//! A server and nodes in processes of their own.

use serde_json::Value;

use crate::harness::{Cluster, Process, happens};

const TOKEN: &str = "apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData: {token-id: abcdef, token-secret: 0123456789abcdef, usage-bootstrap-authentication: \"true\"}
";

/// A pod that writes down each of its starts.
fn journal(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{{name: d, emptyDir: {{}}}}]
  containers:
  - name: c
    image: registry.minke.local/default/journal
    imagePullPolicy: IfNotPresent
    args: [/d/journal]
    env: [{{name: POD_NAME, value: {name}}}]
    volumeMounts: [{{name: d, mountPath: /d}}]
"
    )
}

/// A server whose nodes are soon missed, and three nodes.
struct Three {
    cluster: Cluster,
    folders: Vec<tempfile::TempDir>,
    nodes: Vec<Process>,
}

impl Three {
    async fn start() -> Self {
        let flags = ["--node-monitor-grace-period=4s", "--default-unreachable-toleration-seconds=1"];
        let cluster = Cluster::start("server", &flags).await;
        cluster.create(TOKEN).await;
        cluster.push("journal").await;
        let mut three = Self { cluster, folders: Vec::new(), nodes: Vec::new() };
        for index in 0..3 {
            three.folders.push(tempfile::tempdir().unwrap());
            let node = three.node(index, "abcdef.0123456789abcdef").await;
            three.nodes.push(node);
        }
        for index in 0..3 {
            three.becomes(index, "True").await;
        }
        three
    }

    /// Starts the node of this index.
    async fn node(&self, index: usize, token: &str) -> Process {
        let authority = std::fs::read_to_string(self.cluster.data().join("pki/ca.crt")).unwrap();
        let hash = base::pki::public_key_hash(&authority).unwrap();
        let (url, name) = (self.cluster.url().await, format!("n{index}"));
        let (folder, ip) = (self.folders[index].path().display().to_string(), format!("127.0.0.{}", index + 2));
        let mut args = vec!["node", "--join", &url, "--token", token, "--ca-hash", &hash, "--name", &name];
        args.extend(["--data-dir", &folder, "--node-ip", &ip, "--port=0"]);
        args.extend(["--node-lease-duration=2s", "--node-status-update-frequency=1s"]);
        Process::start(&args)
    }

    /// Waits until a node's condition `Ready` is this.
    async fn becomes(&self, index: usize, ready: &str) {
        let is = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == ready)
        };
        self.cluster.until("Node", &format!("n{index}"), is).await;
    }

    async fn pod(&self, name: &str) -> Value {
        let pod = journal(name);
        self.cluster.create(&pod).await;
        self.cluster.pod(name).is("Running").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_spread_over_nodes_and_those_of_a_dead_node_go_when_it_is_back() {
    let mut three = Three::start().await;
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        let pod = three.pod(name).await;
        nodes.push(pod["spec"]["nodeName"].as_str().unwrap().to_owned());
        let log = three.cluster.pod(name).log().await;
        assert!(log.starts_with(&format!("{name} - start\n")), "{name}: {log:?}");
    }
    let mut each = nodes.clone();
    each.sort();
    assert_eq!(each, ["n0", "n1", "n2"]);

    let index: usize = nodes[0].trim_start_matches('n').parse().unwrap();
    three.nodes[index].kill().await;
    three.becomes(index, "Unknown").await;
    three.cluster.pod("a").is("Terminating").await;
    let tainted = three.cluster.get("Node", &nodes[0]).await;
    assert_eq!(tainted["spec"]["taints"][0]["key"], "node.kubernetes.io/unreachable");
    three.cluster.pod("b").is("Running").await;

    three.nodes[index] = three.node(index, "used.before").await;
    three.becomes(index, "True").await;
    three.cluster.pod("a").is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_wrong_hash_a_wrong_token_or_a_name_in_use_does_not_join() {
    let mut three = Three::start().await;
    let refused = |args: Vec<String>, expected: &'static str| async move {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Process::start(&args).says(expected).await;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = three.cluster.url().await;
    let hash =
        base::pki::public_key_hash(&std::fs::read_to_string(three.cluster.data().join("pki/ca.crt")).unwrap()).unwrap();
    let line = |token: &str, hash: &str, name: &str, ip: &str| -> Vec<String> {
        let folder = folder.path().join(name).display().to_string();
        [
            "node",
            "--join",
            &url,
            "--token",
            token,
            "--ca-hash",
            hash,
            "--name",
            name,
            "--data-dir",
            &folder,
            "--node-ip",
            ip,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let token = "abcdef.0123456789abcdef";
    refused(line(token, "sha256:00", "x", "127.0.0.9"), "is not the one of --ca-hash").await;
    refused(line("abcdef.fedcba9876543210", &hash, "x", "127.0.0.9"), "Unauthorized").await;
    refused(line(token, &hash, "n0", "127.0.0.9"), "the name \"n0\" is in use by a living node").await;

    assert!(
        !three.nodes[0].log().contains("dialling again"),
        "the living node lost its connection to its name's thief"
    );

    three.nodes[1].end().await;
    three.becomes(1, "False").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_server_is_away_starts_and_runs_its_pods() {
    let mut cluster = Cluster::start("server", &[]).await;
    cluster.create(TOKEN).await;
    cluster.push("journal").await;
    let authority = std::fs::read_to_string(cluster.data().join("pki/ca.crt")).unwrap();
    let (hash, url) = (base::pki::public_key_hash(&authority).unwrap(), cluster.url().await);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let start = || {
        let whose = ["--join", &url, "--token", "abcdef.0123456789abcdef", "--ca-hash", &hash, "--name", "far"];
        Process::start(&[&["node", "--data-dir", &data, "--node-ip", "127.0.0.31"], whose.as_slice()].concat())
    };
    let mut node = start();
    cluster.create(&journal("p")).await;
    let pod = cluster.pod("p").is("Running").await;
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let path = folder.path().join(format!("node/pods/{uid}/volumes/d/journal"));
    let starts = || {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        written.lines().filter(|line| line.ends_with("start")).count()
    };
    happens("the guest does not write", || starts() == 1).await;
    let state = folder.path().join("node/state");
    let is_kept = || std::fs::read_to_string(&state).is_ok_and(|text| text.contains(uid));
    happens("the node does not write down its pod", is_kept).await;
    node.kill().await;
    cluster.process.kill().await;

    let node = start();
    happens("the pod does not run again", || starts() == 2).await;
    assert!(node.log().contains("going on from what this node knows pods=1"), "{}", node.log());
}
