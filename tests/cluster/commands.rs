//! The commands that people type, against a running cluster.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::{Cluster, DEADLINE, guest};

/// What a command did.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `minke ARGS` as the cluster's administrator, with `input`.
pub(crate) async fn minke(cluster: &Cluster, args: &[&str], input: &str) -> Done {
    let mut child = Command::new(env!("CARGO_BIN_EXE_minke"))
        .args(args)
        .env("KUBECONFIG", cluster.data().join("kubeconfig"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("minke {args:?} does not end")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_passes_on_what_a_program_prints_and_ends_as_it_ended() {
    let cluster = Cluster::up().await;
    let hello = guest("hello").display().to_string();
    let done = minke(&cluster, &["run", &hello, "--", "a", "b"], "").await;
    assert_eq!((done.code, done.out.as_str()), (0, "hello a b\n"), "{done:?}");
    let done = minke(&cluster, &["run", &hello, "--env", "COLOUR=blue", "--", "env", "COLOUR"], "").await;
    assert_eq!((done.code, done.out.as_str()), (0, "blue\n"), "{done:?}");
    let done = minke(&cluster, &["run", &hello, "--", "exit", "3"], "").await;
    assert_eq!(done.code, 3, "{done:?}");
    let done = minke(&cluster, &["run", "-i", "--rm", "--name", "upper", &hello, "--", "upper"], "one\ntwo\n").await;
    assert_eq!((done.code, done.out.as_str()), (0, "ONE\nTWO\n"), "{done:?}");
    cluster.pod("upper").is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_use_is_refused_unless_it_is_to_be_replaced() {
    let cluster = Cluster::up().await;
    let hello = guest("hello").display().to_string();
    assert_eq!(minke(&cluster, &["run", &hello, "--name", "x"], "").await.code, 0);
    let refused = minke(&cluster, &["run", &hello, "--name", "x"], "").await;
    assert_eq!((refused.code, refused.err.as_str()), (1, "minke: pods \"x\" already exists\n"));
    let replaced = minke(&cluster, &["run", &hello, "--name", "x", "--replace", "--", "again"], "").await;
    assert_eq!((replaced.code, replaced.out.as_str()), (0, "hello again\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_has_a_name_that_pods_can_use() {
    let cluster = Cluster::up().await;
    let pushed = minke(&cluster, &["push", &guest("hello").display().to_string(), "hello:v1"], "").await;
    let image = pushed.out.trim();
    assert!(image.starts_with("registry.minke.local/default/hello@sha256:"), "{pushed:?}");
    let spec = format!("{{restartPolicy: Never, containers: [{{name: c, image: \"{image}\"}}]}}");
    cluster.create(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}")).await;
    cluster.pod("p").is("Succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_revoked() {
    let cluster = Cluster::up().await;
    let join = minke(&cluster, &["token", "create", "--print-join-command", "--description", "for n1"], "").await;
    assert!(join.out.starts_with("minke node --join https://127.0.0.1:"), "{join:?}");
    let id = join.out.split("--token ").nth(1).unwrap().split('.').next().unwrap().to_owned();
    let list = minke(&cluster, &["token", "list"], "").await;
    assert_eq!(list.out.lines().nth(1).unwrap(), format!("{id}   nodes   in 24h    for n1"), "{list:?}");
    assert_eq!(minke(&cluster, &["token", "delete", &id], "").await.out, format!("token {id} was revoked\n"));
    assert_eq!(minke(&cluster, &["token", "list"], "").await.out.lines().count(), 1);

    let login = minke(&cluster, &["token", "create", "--registry"], "").await.out;
    let authority = cluster.data().join("pki/ca.crt");
    assert!(login.ends_with(&format!(" --ca-file {}\n", authority.display())), "{login}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_begins_another_cluster() {
    let cluster = Cluster::up().await;
    cluster.create("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\ndata: {k: v}").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.redb").display().to_string();
    let done = minke(&cluster, &["backup", &file], "").await;
    assert!(done.code == 0 && done.out.contains(&format!("minke up --restore {file}")), "{done:?}");
    assert_eq!(minke(&cluster, &["backup", &file], "").await.code, 1, "a backup is overwritten");

    let other = Cluster::start("up", &["--restore", &file]).await;
    let kept: Value = other.get("ConfigMap", "kept").await;
    assert_eq!(kept["data"]["k"], "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let mut cluster = Cluster::up().await;
    cluster.process.end().await;
    let done = minke(&cluster, &["token", "list"], "").await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains("is it running? `minke up` starts one"), "{done:?}");
}
