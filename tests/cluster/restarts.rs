//! What the end of the process means for pods.

use serde_json::Value;

use crate::harness::{Cluster, happens};

/// A pod that writes into its emptyDir at each start.
fn journal(name: &str, policy: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: {policy}
  terminationGracePeriodSeconds: 1
  volumes: [{{name: d, emptyDir: {{}}}}]
  containers:
  - name: c
    image: registry.minke.local/default/journal
    args: [/d/journal, \"0.05\"]
    volumeMounts: [{{name: d, mountPath: /d}}]
"
    )
}

async fn started() -> Cluster {
    let cluster = Cluster::up().await;
    cluster.push("journal").await;
    cluster.push("hello").await;
    cluster.create(&journal("always", "Always")).await;
    cluster.create(&journal("never", "Never")).await;
    let done = "apiVersion: v1
kind: Pod
metadata: {name: done}
spec: {restartPolicy: Never, containers: [{name: c, image: registry.minke.local/default/hello}]}
";
    cluster.create(done).await;
    let always = cluster.pod("always").is("Running").await;
    has_started(&cluster, &always, 1).await;
    cluster.pod("never").is("Running").await;
    cluster.pod("done").is("Succeeded").await;
    cluster
}

/// What ran counts as ended by force; the policy decides whether it runs again, with the files that it had.
async fn goes_on(cluster: &Cluster) {
    let restarted = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    };
    let always = cluster.pod("always").until(restarted).await;
    assert_eq!(always["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    let never = cluster.pod("never").until(|pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(never["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    let done = cluster.pod("done").is("Succeeded").await;
    assert_eq!(done["status"]["containerStatuses"][0]["restartCount"], 0);

    has_started(cluster, &always, 2).await;
}

/// Waits until the guest has written that it started for the `times`th time: a pod is Running before its guest's first word.
async fn has_started(cluster: &Cluster, pod: &Value, times: usize) {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let path = cluster.data().join(format!("node/pods/{uid}/volumes/d/journal"));
    let starts = || {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        written.lines().filter(|line| line.ends_with("start")).count()
    };
    happens("the guest does not write", || starts() == times).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_peaceful_end_pods_go_on_by_their_policy() {
    let cluster = started().await.restart(&[]).await;
    goes_on(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_pods_go_on_by_their_policy() {
    let cluster = started().await.crash(&[]).await;
    goes_on(&cluster).await;
}
