//! What processes take that have nothing to do.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::Bench;
use crate::cluster::{Cluster, Process, SETTLE};
use crate::connection::Connection;
use crate::report::Row;
use crate::usage::{Usage, cpu, megabytes};

/// How long CPU time is counted: two renewals of a lease, and 0.05 % of a core is the clock tick.
const WINDOW: Duration = Duration::from_secs(20);

/// What design allows all in one process, in bytes.
const ALL_IN_ONE_BYTES_MAX: i64 = 80_000_000;

/// What design allows the node daemon alone, in bytes.
const NODE_BYTES_MAX: i64 = 25_000_000;

/// What design allows of one core, in percent.
const CPU_PERCENT_MAX: f64 = 1.0;

const TOKEN: &str = "abcdef.0123456789abcdef";

/// What a process takes at rest.
struct Rest {
    usage: Usage,
    cpu_percent: f64,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let all = Cluster::start(bench, "up", &[]).await?;
    until_nodes_are_ready(&all).await?;
    let rest = rest(&all.process).await?;
    let mut rows = memory("`minke up`", &rest, "≤ 80 MB", ALL_IN_ONE_BYTES_MAX);
    drop(all);

    let server = Cluster::start(bench, "server", &[]).await?;
    let folder = tempfile::tempdir_in(&bench.folder)?;
    let node = join(bench, &server, folder.path()).await?;
    until_nodes_are_ready(&server).await?;
    // Both at once: they rest together as they would run together.
    let (of_node, of_server) = tokio::try_join!(self::rest(&node), self::rest(&server.process))?;
    rows.extend(memory("`minke node`", &of_node, "≤ 25 MB", NODE_BYTES_MAX));
    rows.push(told("`minke server`", &of_server));
    Ok(rows)
}

fn memory(name: &str, rest: &Rest, target: &'static str, bytes_max: i64) -> Vec<Row> {
    let cpu = Row::new(format!("{name} idle: CPU"), format!("{:.2} % of a core", rest.cpu_percent));
    vec![
        told(name, rest).target(target, rest.usage.rss <= bytes_max),
        cpu.target("≤ 1 % of a core", rest.cpu_percent <= CPU_PERCENT_MAX).value("cpu_percent", rest.cpu_percent),
    ]
}

fn told(name: &str, rest: &Rest) -> Row {
    let Usage { rss, pss, anonymous, threads, descriptors, mappings } = rest.usage;
    let numbers = [("rss_bytes", rss), ("pss_bytes", pss), ("anonymous_bytes", anonymous), ("threads", threads)];
    let row = Row::new(format!("{name} idle: memory"), format!("{} resident", megabytes(rss))).note(format!(
        "{} proportional, {} its own, the rest pages of the binary; {threads} threads, {descriptors} descriptors, \
         {mappings} mappings; {:.2} % of a core",
        megabytes(pss),
        megabytes(anonymous),
        rest.cpu_percent
    ));
    numbers.into_iter().fold(row, |row, (name, number)| row.value(name, number as f64))
}

async fn rest(process: &Process) -> Result<Rest> {
    tokio::time::sleep(SETTLE).await;
    let before = cpu(process.id()?)?;
    tokio::time::sleep(WINDOW).await;
    let spent = cpu(process.id()?)? - before;
    let cpu_percent = spent.as_secs_f64() / WINDOW.as_secs_f64() * 100.0;
    Ok(Rest { usage: Usage::of(process.id()?)?, cpu_percent })
}

/// Starts a node of its own process and lets it join.
async fn join(bench: &Bench, server: &Cluster, folder: &std::path::Path) -> Result<Process> {
    let (id, secret) = TOKEN.split_once('.').unwrap_or_default();
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("bootstrap-token-{id}")},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true"},
    });
    Connection::open(&server.server).await?.create("/api/v1/namespaces/kube-system/secrets", &token).await?;
    let hash = base::pki::public_key_hash(&server.authority()?)?;
    let (url, data) = (server.server.url(), folder.display().to_string());
    let mut args = vec!["node", "--join", &url, "--token", TOKEN, "--ca-hash", &hash, "--name", "node"];
    args.extend(["--data-dir", &data, "--node-ip", "127.0.0.2", "--port=0"]);
    Process::start(&bench.minke, &args, folder.join("log"))
}

async fn until_nodes_are_ready(cluster: &Cluster) -> Result<()> {
    let is_ready = |nodes: &serde_json::Value| {
        let conditions = nodes.pointer("/items/0/status/conditions").and_then(|it| it.as_array());
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|it| it.get("type") == Some(&json!("Ready")) && it.get("status") == Some(&json!("True")))
    };
    cluster.until("/api/v1/nodes", is_ready).await
}
