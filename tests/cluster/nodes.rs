//! A server and nodes in processes of their own.

use serde_json::Value;

use crate::harness::{Cluster, Process};

const TOKEN: &str = "apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData: {token-id: abcdef, token-secret: 0123456789abcdef, usage-bootstrap-authentication: \"true\"}
";

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
        cluster.push("hello").await;
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
        let pod = format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: c, image: registry.minke.local/default/hello, args: [sleep, \"1000\"]}}]}}
"
        );
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
        assert_eq!(three.cluster.pod(name).log().await, "", "the log of {name} is not reached");
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

    three.nodes[1].end().await;
    three.becomes(1, "False").await;
}
