//! What a pod can say, and what comes of it.

use kube::api::LogParams;
use serde_json::json;

use crate::harness::Cluster;

/// A pod of the guest `hello` with these arguments, which runs once.
fn hello(name: &str, args: &[&str]) -> String {
    let args = json!(args);
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  containers: [{{name: c, image: registry.minke.local/default/hello, args: {args}}}]
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_once_and_its_code_is_the_pods_phase() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    cluster.create(&hello("greets", &["a", "b"])).await;
    cluster.create(&hello("fails", &["exit", "3"])).await;

    cluster.pod("greets").is("Succeeded").await;
    assert_eq!(cluster.pod("greets").log().await, "hello a b\n");
    let failed = cluster.pod("fails").is("Error").await;
    assert_eq!(failed["status"]["phase"], "Failed");
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_files_and_folders_come_from_where_the_pod_says() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    cluster.create(FILES).await;
    cluster.pod("p").is("Succeeded").await;
    let log = async |container: &str| {
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        cluster.pod("p").log_of(&params).await
    };
    assert_eq!(log("direct").await, "from p on 127.0.0.1\n");
    assert_eq!(log("from-map").await, "one\n");
    assert_eq!(log("mounted").await, "one");
    assert_eq!(log("one-file").await, "s3cret");
    assert_eq!(log("shared").await, "left by init");
}

const FILES: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {KEY: one}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: secret, secret: {secretName: secret}}
  - {name: work, emptyDir: {}}
  initContainers:
  - name: writes
    image: registry.minke.local/default/hello
    args: [write, note.txt, left by init]
    workingDir: /work
    volumeMounts: [{name: work, mountPath: /work}]
  containers:
  - name: direct
    image: registry.minke.local/default/hello
    command: [hello, env, TEXT]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: TEXT, value: from $(NAME) on $(NODE)}
  - name: from-map
    image: registry.minke.local/default/hello
    args: [env, KEY]
    envFrom: [{configMapRef: {name: settings}}]
  - name: mounted
    image: registry.minke.local/default/hello
    args: [cat, /etc/settings/KEY]
    volumeMounts: [{name: settings, mountPath: /etc/settings}]
  - name: one-file
    image: registry.minke.local/default/hello
    args: [cat, /etc/password]
    volumeMounts: [{name: secret, mountPath: /etc/password, subPath: password, readOnly: true}]
  - name: shared
    image: registry.minke.local/default/hello
    args: [cat, /in/note.txt]
    volumeMounts: [{name: work, mountPath: /in, readOnly: true}]
";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_read_only_cannot_be_written_and_no_path_leaves_its_volume() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    let pod = |name: &str, args: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  volumes: [{{name: v, emptyDir: {{}}}}]
  containers:
  - name: c
    image: registry.minke.local/default/hello
    args: {args}
    volumeMounts: [{{name: v, mountPath: /v, readOnly: true}}]
"
        )
    };
    cluster.create(&pod("writes", "[write, /v/x, text]")).await;
    cluster.create(&pod("climbs", "[cat, /v/../../../../etc/hostname]")).await;
    for name in ["writes", "climbs"] {
        cluster.pod(name).is("Error").await;
        let log = cluster.pod(name).log().await;
        assert!(log.starts_with("hello: "), "{name}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fails_is_started_again_in_growing_waits() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    let pod = hello("fails", &["exit", "1"]).replace("restartPolicy: Never", "restartPolicy: OnFailure");
    cluster.create(&pod).await;

    let pod = cluster.pod("fails").is("CrashLoopBackOff").await;
    assert_eq!(pod["status"]["phase"], "Running");
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert!(
        cluster.events("fails").await.contains("BackOff: Back-off restarting failed container c in pod fails_default")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_takes_too_much_or_traps_says_so() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    let limits = "resources: {limits: {memory: 64Mi}}, args:";
    cluster.create(&hello("hoards", &["hoard"]).replace("args:", limits)).await;
    cluster.create(&hello("traps", &["abort"])).await;
    cluster
        .create(&hello("spins", &["spin"]).replace("restartPolicy", "activeDeadlineSeconds: 1\n  restartPolicy"))
        .await;

    let hoards = cluster.pod("hoards").is("OOMKilled").await;
    assert_eq!(hoards["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    let traps = cluster.pod("traps").is("Error").await;
    let told = traps["status"]["containerStatuses"][0]["state"]["terminated"]["message"].as_str().unwrap().to_owned();
    assert!(told.contains("unreachable") && told.contains("dig"), "{told}");
    let spins = cluster.pod("spins").until(|pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(spins["status"]["reason"], "DeadlineExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_cannot_run_keeps_its_pod_waiting_with_the_reason() {
    let cluster = Cluster::up().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wants.wasm");
    let wants = "(module (import \"host\" \"teleport\" (func)) (memory (export \"memory\") 1) (func (export \"_start\") call 0))";
    std::fs::write(&path, wat::parse_str(wants).unwrap()).unwrap();
    cluster.push_file("hello", &path).await;
    cluster.create(&hello("wants", &[])).await;
    cluster.create(&hello("lacks", &[]).replace("default/hello", "default/nothing")).await;

    let waits =
        |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"].is_string();
    let wants = cluster.pod("wants").until(waits).await;
    let told = wants["status"]["containerStatuses"][0]["state"]["waiting"]["message"].to_string();
    assert!(told.contains("host") && told.contains("teleport"), "{told}");
    let lacks = cluster.pod("lacks").until(waits).await;
    let waiting = &lacks["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(["ErrImagePull", "ImagePullBackOff"].contains(&waiting["reason"].as_str().unwrap()), "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_component_answers_on_its_host_port() {
    let cluster = Cluster::up().await;
    cluster.push("web").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    cluster
        .create(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
  - name: c
    image: registry.minke.local/default/web
    env: [{{name: COLOUR, value: blue}}]
    ports: [{{containerPort: 8080, hostPort: {port}}}]
"
        ))
        .await;
    cluster.pod("web").until(|pod| pod["status"]["containerStatuses"][0]["ready"] == true).await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/").await, (200, "hello from wasm\n".to_owned()));
    assert_eq!(get("/env/COLOUR").await, (200, "blue".to_owned()));
    assert_eq!(get("/trap").await.0, 500);
    assert_eq!(get("/").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_goes_within_its_grace() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    let pod = hello("sleeps", &["sleep", "1000"])
        .replace("restartPolicy", "terminationGracePeriodSeconds: 1\n  restartPolicy");
    cluster.create(&pod).await;
    cluster.pod("sleeps").is("Running").await;
    cluster.delete("Pod", "sleeps").await;
    cluster.pod("sleeps").is_gone().await;
    assert!(cluster.events("sleeps").await.contains("Killing: Stopping container c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_cut_and_kept_of_the_run_before() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    let flaky =
        hello("flaky", &["exit", "1"]).replace("Never", "OnFailure").replace("\"exit\",\"1\"", "\"cat\",\"/none\"");
    cluster.create(&flaky).await;
    cluster.pod("flaky").is("CrashLoopBackOff").await;
    let previous = LogParams { previous: true, timestamps: true, tail_lines: Some(1), ..LogParams::default() };
    let log = cluster.pod("flaky").log_of(&previous).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    let (time, text) = log.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && text.starts_with("hello: "), "{log}");

    cluster.create(&hello("slow", &["sleep", "0.5"])).await;
    cluster.pod("slow").until(|pod| pod["status"]["phase"] != "Pending").await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    assert_eq!(cluster.pod("slow").log_of(&follow).await, "hello after 0.5 s\n");
}
