//! What our processes promise whoever starts, watches and ends them.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Cluster, DEADLINE, Process};

/// A cluster with a pod that is in the midst of an answer, which ends with the connection.
async fn answering(flags: &[&str]) -> (Cluster, TcpStream) {
    let cluster = Cluster::start("up", flags).await;
    cluster.push("web").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pod = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  terminationGracePeriodSeconds: 3000
  containers:
  - name: c
    image: registry.minke.local/default/web
    ports: [{{containerPort: 8080, hostPort: {port}}}]
"
    );
    cluster.create(&pod).await;
    cluster.pod("web").until(|pod| pod["status"]["containerStatuses"][0]["ready"] == true).await;
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}5\r\nhello\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("hello") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "the guest does not answer");
    }
    (cluster, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_with_what_to_do() {
    let cluster = Cluster::start("server", &[]).await;
    let (url, folder) = (cluster.url().await, tempfile::tempdir().unwrap());
    let address = url.trim_start_matches("https://");
    let data = folder.path().display().to_string();
    let other = Process::start(&["up", "--data-dir", &data, "--listen", address]);
    other.says(&format!("cannot listen on {address}: is another Minke running? Choose another address")).await;
    assert!(!folder.path().join("kubeconfig").exists(), "something was made before the port was had");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_left_alone() {
    let cluster = Cluster::start("server", &[]).await;
    let data = cluster.data().display().to_string();
    let kubeconfig = || std::fs::read_to_string(cluster.data().join("kubeconfig")).unwrap();
    let (before, holder) = (kubeconfig(), cluster.process.id());
    for line in [vec!["up", "--listen", "127.0.0.1:0"], vec!["server", "--listen", "127.0.0.1:0"], vec!["node"]] {
        let other = Process::start(&[line, vec!["--data-dir", &data]].concat());
        other.says(&format!("is in use by another Minke (process {holder}): stop that one, or choose")).await;
    }
    assert_eq!(kubeconfig(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_database_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.redb"), "rubbish").unwrap();
    let up = Process::start(&["up", "--data-dir", &folder.path().display().to_string(), "--listen", "127.0.0.1:0"]);
    up.says("store.redb is broken").await;
    up.says("restore it from a backup with `minke up --restore FILE`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_waited_for_no_longer_than_the_grace_of_the_shutdown() {
    let (mut cluster, _client) = answering(&["--shutdown-grace=1s"]).await;
    // An answer that goes on has 60 s by itself, the pod 50 minutes.
    let ended = tokio::time::timeout(DEADLINE / 2, cluster.process.end()).await;
    assert!(ended.is_ok(), "it waits for more than the grace of the shutdown:\n{}", cluster.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let (mut cluster, _client) = answering(&["--shutdown-grace=50m"]).await;
    cluster.process.signal(Signal::TERM);
    cluster.process.says("a second signal ends at once").await;
    cluster.process.signal(Signal::INT);
    assert_eq!(cluster.process.ended().await.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_hears_when_it_serves_and_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let heard = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let data = folder.path().join("data").display().to_string();
    let args = ["up", "--data-dir", &data, "--listen", "127.0.0.1:0"];
    let mut up = Process::start_with(&args, &[("NOTIFY_SOCKET", path.as_os_str())]);
    assert_eq!(heard().trim(), "READY=1");
    up.end().await;
    assert_eq!(heard().trim(), "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_programs_is_json_in_every_line_and_names_a_request_everywhere() {
    let cluster = Cluster::start("up", &["--log-format=json", "--log-level=debug"]).await;
    cluster.push("hello").await;
    let pod = "{restartPolicy: Never, containers: [{name: c, image: registry.minke.local/default/hello}]}";
    cluster.create(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {pod}")).await;
    cluster.pod("p").is("Succeeded").await;
    let request = http::Request::get("/api/v1/namespaces/default/pods/p/log").header("audit-id", "find-me");
    let log = cluster.client.request_text(request.body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(log, "hello from wasm\n");

    let printed = cluster.process.log();
    // The four lines for people are printed to standard output, the log to standard error.
    let (for_people, lines): (Vec<&str>, Vec<&str>) = printed.lines().partition(|line| !line.starts_with('{'));
    assert_eq!(for_people.len(), 4, "{for_people:#?}");
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = |path: &str| {
        lines.iter().any(|line| {
            let request = &line["spans"][0];
            line["fields"]["message"] == "answered" && request["id"] == "find-me" && request["path"] == path
        })
    };
    assert!(answered("/api/v1/namespaces/default/pods/p/log"), "the server does not name the request");
    assert!(answered("/containerLogs/default/p/c"), "the node does not name the request");
}

#[test]
fn a_shell_completes_our_commands() {
    let minke = env!("CARGO_BIN_EXE_minke");
    let script = format!(
        "source <({minke} completions bash) && COMP_WORDS=(minke r) COMP_CWORD=1 && _minke minke r '' && echo ${{COMPREPLY[@]}}"
    );
    let done = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap().trim(), "run", "{}", String::from_utf8_lossy(&done.stderr));
    for shell in ["zsh", "fish"] {
        let done = Command::new(minke).args(["completions", shell]).output().unwrap();
        assert!(done.status.success() && String::from_utf8(done.stdout).unwrap().contains("minke"), "{shell}");
    }
}
